"""Columns of texts become what their role asks for; features become what pandas makes of them."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES

import hardsight as hs
from hardsight.data.cells import MISSING, convert_role


def converted(texts, role="feature", task="auto"):
    notices = []
    series = convert_role(pa.chunked_array([pa.array(texts, pa.string())]), role, "c", task, notices)
    return series, notices


def test_the_words_for_missing_features_are_those_of_pandas():
    assert set(MISSING) == STR_NA_VALUES


CELLS = st.one_of(
    st.integers(-(2**64), 2**65).map(str),
    st.floats(allow_nan=False).map(repr),
    st.decimals(-1000, 1000, places=3).map(str),
    st.sampled_from(
        [*MISSING, "+5", "-0", "0", "1.", ".5", "1e3", " 7", "7 ", "True", "FALSE", "true", "x", "0x1f", "1_0", "1,5"]
    ),
)


@example(["-9223372036854775809", ""])
@example(["9223372036854775808", ""])
@given(st.lists(CELLS, min_size=1, max_size=6))
def test_features_are_typed_as_pandas_types_them(texts):
    text = "c,d\n" + "".join(f'"{cell}",1\n' for cell in texts)
    expected = pd.read_csv(io.StringIO(text))["c"]
    series, _ = converted(texts)
    if series.dtype.kind == "f" and not pd.api.types.is_numeric_dtype(expected.dtype):
        # Integers of more than 64 bits: pandas keeps them as objects or, beside missing ones, as text.
        numbers = [np.nan if pd.isna(value) or value == "" else float(value) for value in expected]
        np.testing.assert_array_equal(series, numbers)
        return
    assert series.dtype == expected.dtype or {series.dtype, expected.dtype} <= {np.dtype("float64"), np.dtype("uint64")}
    np.testing.assert_array_equal(series.isna(), expected.isna())
    assert series.dropna().tolist() == expected.dropna().tolist()


def test_floats_are_the_closest_to_their_digits():
    rng = np.random.default_rng(0)
    texts = [f"{number:.{digits}g}" for number in 10 ** rng.uniform(-300, 300, 500) for digits in (3, 17, 25)]
    assert converted(texts)[0].tolist() == [float(text) for text in texts]


def test_numbers_with_leading_zeros_are_codes():
    assert converted(["007", "010", "100"])[0].tolist() == ["007", "010", "100"]
    assert converted(["0.7", "0", "-0.5"])[0].tolist() == [0.7, 0.0, -0.5]


@pytest.mark.parametrize(
    ("texts", "task", "expected", "message"),
    [
        (["0", "1", "2", "1"], "auto", [0, 1, 2, 1], False),
        (["0", "1", "NA", ""], "auto", [0, 1, None, None], False),
        (["1.5", "2.25"], "classification", [1.5, 2.25], False),
        (["True", "False"], "auto", [True, False], False),
        (["True", "TRUE", "False"], "auto", ["True", "TRUE", "False"], True),
        (["01", "1", "2"], "auto", ["01", "1", "2"], True),
        (["1e3", "1000"], "auto", ["1e3", "1000"], True),
        (["250.1", "250.10"], "auto", ["250.1", "250.10"], True),
        (["250.1", "250.10"], "classification", ["250.1", "250.10"], True),
        (["250.1", "250.10"], "regression", [250.1, 250.1], False),
        (["None", "mild", ""], "auto", ["None", "mild", None], False),
        (["NA", "nan", "null"], "auto", ["NA", "nan", "null"], True),
        ([" 1", "1", "2"], "auto", [1, 1, 2], False),
        (["3.0", "3", "1"], "auto", ["3.0", "3", "1"], True),
    ],
)
def test_labels_keep_their_spelling(texts, task, expected, message):
    series, notices = converted(texts, "label", task)
    assert [None if pd.isna(value) else value for value in series.tolist()] == expected
    assert bool(notices) == message


def test_a_quantity_may_be_spelled_in_several_ways():
    texts = [f"{at / 4:.2f}" for at in range(60)] + ["2.5", "2.50"]
    series, notices = converted(texts, "label")
    assert series.tolist()[-2:] == [2.5, 2.5]
    assert "if these are classes, pass task='classification'" in notices[0]
    assert converted(texts, "label", "classification")[0].tolist() == texts


def test_ids_and_texts_are_kept():
    assert converted(["1", "20", "-3"], "id")[0].tolist() == [1, 20, -3]
    for texts in (["01", "2"], ["1.0", "2"], ["NA", "None"], ["9" * 19, "1"]):
        assert converted(texts, "id")[0].tolist() == texts
    assert converted(["a", ""], "id")[0].isna().tolist() == [False, True]
    assert converted(["", "NA", "1"], "text")[0].tolist() == ["", "NA", "1"]
    assert converted(["NA", "b"], "group")[0].tolist() == ["NA", "b"]
    assert converted(["2", "10"], "group")[0].tolist() == [2, 10]
    assert converted(["1", "NA"], "weights")[0].isna().tolist() == [False, True]


def read_csv(tmp_path, columns, separator, **options):
    path = tmp_path / "table.csv"
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join(separator.join(row) for row in [columns, *rows]))
    return hs.read(path, label="label", **options)


LABELS = ["a", "b"] * 20
THOUSANDS = [f"{number:,}".replace(",", ".") for number in range(500, 2500, 50)]


def test_dots_separate_thousands_in_a_file_with_decimal_commas(tmp_path):
    shares = [f"{number / 10:.1f}".replace(".", ",") for number in range(40)]
    doubtful = [f"{number}.250".replace(".", ",") for number in range(1, 41)]
    table = {"share": shares, "price": THOUSANDS, "length": doubtful, "weight": shares[::-1], "label": LABELS}
    samples = read_csv(tmp_path, table, ";", weights="weight")
    assert samples.features["share"].tolist() == [number / 10 for number in range(40)]
    assert samples.features["price"].tolist() == list(range(500, 2500, 50))
    assert samples.features["length"].tolist() == [number + 0.25 for number in range(1, 41)]
    assert samples.weights[0] == pytest.approx(2)
    assert any("decimal commas" in notice and "'price'" in notice for notice in samples.notices)


def test_dots_are_decimal_points_in_other_files(tmp_path):
    table = {"share": ["0.5", "0.7"] * 20, "price": THOUSANDS, "label": LABELS}
    assert read_csv(tmp_path, table, ";").features["price"].tolist() == [float(cell) for cell in THOUSANDS]


@pytest.mark.parametrize("mark", ["?", "-", "\\N", "."])
def test_marks_among_numbers_to_predict_are_missing_labels(tmp_path, mark):
    labels = [f"{number}.5" for number in range(36)] + [mark] * 4
    samples = read_csv(tmp_path, {"x": THOUSANDS, "label": labels}, ",")
    assert samples.regression
    assert len(samples) == 36
    assert any(repr(mark) in notice for notice in samples.notices)


def test_marks_among_words_are_classes(tmp_path):
    assert read_csv(tmp_path, {"x": THOUSANDS, "label": ["+", "-"] * 20}, ",").classes == ("+", "-")


def test_large_integers_are_not_merged_where_some_are_missing(tmp_path):
    labels = [str(2**53), str(2**53 + 1), str(2**53 + 2), ""] * 10
    assert read_csv(tmp_path, {"x": THOUSANDS, "label": labels}, ",").classes == tuple(labels[:3])


@pytest.mark.parametrize(("spelling", "first"), [("${},000.00", 1000), ("{},000,000", 1e6), ("{} km", 1)])
def test_amounts_without_a_fraction_are_numbers_to_predict(tmp_path, spelling, first):
    labels = [f'"{spelling.format(number)}"' for number in range(1, 41)]
    samples = read_csv(tmp_path, {"x": THOUSANDS, "label": labels}, ",")
    assert samples.regression
    assert samples.labels[0] == first


def test_classes_that_may_mean_no_label_are_named(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("x,y\n1,a\n2,b\n3,n/a\n4,?\n5,a\n6,b\n")
    samples = hs.read(path, label="y")
    assert samples.classes == ("?", "a", "b", "n/a")
    assert "Label 'y' has classes that may mean that there is no label: '?', 'n/a'." in " ".join(samples.notices)
    path.write_text("x,y\n1,a\n2,None\n3,NA\n4,a\n5,NA\n6,None\n")
    assert not any("no label" in notice for notice in hs.read(path, label="y").notices)
