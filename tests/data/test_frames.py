"""Frames: what becomes a feature, what is left out, what is refused."""

import decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.errors import rejects

from hardsight import Samples
from hardsight.data.encoding import encode_table
from hardsight.data.feature_columns.clean import clean_columns
from hardsight.errors import InputError

N = 30
NUMBERS = np.random.default_rng(0).normal(size=N)
Y = ["a", "b"] * (N // 2)
# Labels that no column of period two or three tells.
LABELS = ["a", "b", "b", "a", "a"] * (N // 5)
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs"]


def framed(column, dtype=None):
    return pd.DataFrame({"number": NUMBERS, "größe": pd.Series(column, dtype=dtype)})


def rejects_column(match, column, dtype=None):
    assert "größe" in rejects(match, Samples.of, framed(column, dtype), Y)


@pytest.mark.parametrize(
    ("column", "dtype", "expected"),
    [
        ([1, 2, 3] * 10, None, [1, 2, 3]),
        ([1, None, 3] * 10, "Int64", [1, np.nan, 3]),
        ([1.5, None, 3] * 10, "Float32", [1.5, np.nan, 3]),
        ([1, 2, 3] * 10, "int64[pyarrow]", [1, 2, 3]),
        ([1, None, 3] * 10, "double[pyarrow]", [1, np.nan, 3]),
        ([True, False, True] * 10, None, [1, 0, 1]),
        ([True, False, None] * 10, "boolean", [1, 0, np.nan]),
        ([True, False, None] * 10, object, [1, 0, np.nan]),
        ([True, False, True] * 10, "bool[pyarrow]", [1, 0, 1]),
        ([1, 2.5, True] * 10, object, [1, 2.5, 1]),
        ([decimal.Decimal("1.5"), 2, None] * 10, object, [1.5, 2, np.nan]),
        (["1", " 2.5", "-3e2"] * 10, None, [1, 2.5, -300]),
        (["1", "?", None] * 10, None, [1, np.nan, np.nan]),
        (["1", "N/A", "2"] * 10, "string", [1, np.nan, 2]),
        (["1", None, "2"] * 10, "string[pyarrow]", [1, np.nan, 2]),
    ],
)
def test_numbers(column, dtype, expected):
    table, _ = clean_columns(framed(column, dtype))
    assert table["größe"].dtype.kind in "ifb"
    np.testing.assert_array_equal(table["größe"].to_numpy(dtype=float)[:3], expected)


@pytest.mark.parametrize(
    ("column", "dtype", "vocabulary"),
    [
        (["rot", "blau", "grün"] * 10, None, ["blau", "grün", "rot"]),
        (["rot", None, "grün"] * 10, "string", ["grün", "rot"]),
        (["rot", "blau", "rot"] * 10, "category", ["blau", "rot"]),
        ([2, 1, 2] * 10, "category", ["1", "2"]),
        (["x", 1, 2] * 10, object, ["1", "2", "x"]),
        (["007", "042", "001"] * 10, None, ["001", "007", "042"]),
        (pd.cut(pd.Series([1, 2, 3] * 10), [0, 1.5, 4]), None, ["(0.0, 1.5]", "(1.5, 4.0]"]),
    ],
)
def test_categories(column, dtype, vocabulary):
    table, _ = clean_columns(framed(column, dtype))
    assert table["größe"].cat.categories.tolist() == vocabulary
    assert table["größe"].isna().tolist() == [value is None for value in column]


def notices(column, dtype=None):
    return " ".join(Samples.of(framed(column, dtype), LABELS).notices)


def test_notices_name_the_column():
    assert "Read as numbers: 'größe'." in notices(["1", "2", "3"] * 10)
    assert "Read as numbers: 'größe' ('?', 'NA' missing in 20 rows)." in notices(["1", "?", "NA"] * 10)
    assert "Read as categories: 'größe' (text and numbers)." in notices(["x", 1] * 15, object)
    assert "Left out of the features: 'größe' (the same in every row)." in notices([7] * N)
    assert "Left out of the features: 'größe' (a different text in every row)." in notices([f"k{at}" for at in range(N)])
    assert "Left out of the features: 'größe' (no values)." in notices([None] * N)
    assert "Left out of the features: 'größe' (no values)." in notices([np.nan] * N, float)
    assert "Left out of the features: 'größe' (no values)." in notices(["?", " "] * 15)


def test_one_notice_names_all_columns_of_a_kind():
    frame = pd.DataFrame(
        {"same": 1, "n": NUMBERS, "key": [f"k{at}" for at in range(N)], "day": ["2020-01-31", "2021-02-28"] * 15}
    )
    left_out, dates = Samples.of(frame.assign(time=frame["day"]), LABELS).notices
    assert left_out.startswith(
        "Left out of the features: 'same' (the same in every row), 'key' (a different text in every row)."
    )
    assert dates == "Read as dates: 'day', 'time'."


@pytest.mark.parametrize(
    ("column", "dtype", "message"),
    [
        ([1.0, np.inf, -np.inf] * 10, None, f"is infinite or beyond .* in 20 of {N} rows .rows 1, 2, 4, …"),
        ([1.0, 1e200] * 15, None, "is infinite or beyond 3.4e.38"),
        (["1", "inf"] * 15, None, "is infinite or beyond"),
        ([1, {"a": 1}, 2] * 10, object, r"holds values of type dict \(row 1\)"),
        ([[1, 2], 3] * 15, object, r"holds values of type list \(row 0\)"),
        ([1j, 2] * 15, None, "holds complex numbers"),
    ],
)
def test_columns_that_cannot_be_used(column, dtype, message):
    rejects_column(message, column, dtype)


def test_all_columns_that_cannot_be_used_are_named_at_once():
    with pytest.raises(InputError, match=r"(?s)2 faults:\n- column 'größe' is infinite.*\n- column 'other' holds complex"):
        Samples.of(framed([1.0, np.inf] * 15).assign(other=1j), LABELS)


DECIMALS = [f"{value:.3f}" for value in NUMBERS]


@pytest.mark.parametrize("dtype", [None, object])
@pytest.mark.parametrize("stray", ["k.A.", "closed", "10?", "51.2 cm", "49,7O", "49,7", "\x00", "x" * 5000])
def test_a_stray_text_among_numbers(stray, dtype):
    numbers = DECIMALS if dtype is None else NUMBERS.tolist()
    table, (note,) = clean_columns(framed([*numbers[:7], stray, *numbers[8:]], dtype))
    assert table["größe"].isna().tolist() == [at == 7 for at in range(N)]
    assert repr(stray[:30])[1:-1] in note.detail
    if any(map(str.isdigit, stray)):
        assert "taken as missing in row 7" in note.detail
        many = [*numbers[:3], stray, stray, stray, *numbers[6:]]
        rejects_column(r"holds numbers and also .* \(rows 3, 4, 5\): write a number there, .*--drop größe", many, dtype)


def test_strays_that_repeat_are_named_once():
    rejects_column(
        r"and also '1\?', '9\?' \(rows 22, 24, 26, …\): write", [*DECIMALS[:22], "1?", "2", *["1?", "1", "9?"] * 2]
    )


def test_a_word_may_stand_in_half_of_the_rows():
    table, (note,) = clean_columns(framed([*DECIMALS[:24], *["trace"] * 6]))
    assert table["größe"].isna().sum() == 6
    assert note.detail == "'trace' taken as missing in rows 24, 25, 26, …"


@pytest.mark.parametrize("column", [["1", "2", "3a"] * 10, [*map(str, range(12)), "1a", "2a", "3a"] * 2])
def test_codes_with_many_letters_are_categories_and_said_to_be(column):
    table, notes = clean_columns(framed(column))
    assert table["größe"].dtype == "category"
    assert [(note.topic, note.detail) for note in notes] == [("categories", "text and numbers")]


def test_codes_are_categories_where_the_data_say_so():
    codes = [*map(str, range(28)), "14?", "15?"]
    rejects_column("if its numbers are names of categories, put a letter before each, or convert it to the pandas", codes)
    thrice = np.tile(codes, 3)
    for column in (pd.Categorical(thrice), [f"n{code}" for code in thrice], ["0123", *thrice[1:]]):
        table, notes = clean_columns(pd.DataFrame({"code": column}))
        assert (str(table["code"].dtype), notes) == ("category", [])


@pytest.mark.parametrize("code", ["14a", "12 B", "98115-4820", "A7", "3/4"])
def test_numbers_with_a_letter_or_a_second_number_are_codes(code):
    table, (note,) = clean_columns(pd.DataFrame({"code": [*map(str, range(28)), code, code] * 3}))
    assert (str(table["code"].dtype), note.detail) == ("category", "text and numbers")
    rejects_column("holds numbers and also", [*DECIMALS[:-2], code, code])


def test_too_many_categories_are_merged():
    n = 3000
    codes = [f"c{at % 800}" for at in range(n - 400)] + [f"d{at}" for at in range(400)]
    table, notes = clean_columns(pd.DataFrame({"x": np.arange(n) / 7, "zip": codes}))
    assert len(table["zip"].cat.categories) == 1000
    assert (table["zip"] == "(rare)").sum() == 201
    assert [note.detail for note in notes] == ["the 999 commonest of 1200, all others as one"]


def test_frames_that_cannot_be_used():
    for frame, y, message in [
        (pd.DataFrame({"y": Y}), "y", "there is no feature column: keep at least one column"),
        (pd.DataFrame({"y": Y, "x": 1}), "y", r"no feature column is left of 'x' \(the same in every row\): add one"),
        (framed(NUMBERS), "z", "there is no column 'z' to use as label: the columns are 'number', 'größe'"),
        (framed(NUMBERS), None, r"the label is missing: name its column .*The columns are 'number', 'größe'"),
        (framed(NUMBERS).set_axis(["a", "a"], axis=1), Y, "column name 'a' appears twice"),
        (framed(NUMBERS).set_axis([1, "1"], axis=1), Y, "column name '1' appears twice"),
        (pd.DataFrame(columns=["a", "b"]), "b", "at least 2 samples are needed. Got 0"),
        (framed(NUMBERS), Y[:4], "30 samples, 4 labels"),
    ]:
        with pytest.raises(InputError, match=message):
            Samples.of(frame, y)
    with pytest.raises(InputError, match="column 'größe' cannot be both label and ids"):
        Samples.of(framed(Y), "größe", ids="größe")
    with pytest.raises(InputError, match=r"ids \(column 'größe'\) must be unique"):
        Samples.of(framed([1, 2] * 15), Y, ids="größe")
    with pytest.raises(InputError, match="no column 'x' to use as text"):
        Samples.of(framed(Y), Y, text="x")


def test_a_text_column_is_read_as_text():
    sentences = [f"{WORDS[at % 8]} and {WORDS[at % 5]} see the {WORDS[at % 3]} of number {at}" for at in range(N)]
    samples = Samples.of(framed(sentences), Y, text="größe")
    assert (samples.kind, samples.features.tolist()) == ("text", sentences)
    assert "Only column 'größe' is used as a feature; left out: 'number'." in samples.notices
    alone = Samples.of(pd.DataFrame({"review": sentences, "y": Y}), "y")
    assert alone.kind == "text"
    assert "Read as text: 'review'." in alone.notices
    with pytest.raises(InputError, match=r"column 'größe' must be text in every row. Got 1 other .* \(row 3\)"):
        Samples.of(framed([*sentences[:3], 7, *sentences[4:]]), Y, text="größe")


def test_a_series_of_categories_is_one_column():
    samples = Samples.of(pd.Series(["rot", "blau", "rot"], dtype="category", name="farbe"), ["x", "y", "x"])
    assert (samples.kind, samples.matrix.tolist()) == ("table", [[0, 1], [1, 0], [0, 1]])


def test_encoding_worked_by_hand():
    frame = pd.DataFrame({"n": [1.0, np.nan, 3.0], "c": ["b", "a", None], "t": [True, False, True], "y": ["u", "v", "u"]})
    samples = Samples.of(frame, "y")
    np.testing.assert_array_equal(
        samples.matrix, np.array([[1, 0, 0, 0, 1, 1], [np.nan, 1, 0, 1, 0, 0], [3, 0, 1, 0, 0, 1]], dtype=np.float32)
    )
    assert samples.take(np.array([0])).matrix.shape == (1, 4)


def test_encoding_stops_before_memory_does(monkeypatch):
    monkeypatch.setattr("hardsight.data.encoding._MAX_ENCODED_BYTES", 100)
    with pytest.raises(InputError, match="column 'größe' with its 2 categories makes the table too large"):
        encode_table(clean_columns(framed(Y))[0])


values = st.one_of(
    st.none(), st.text(max_size=4), st.integers(-5, 5), st.floats(allow_nan=True), st.booleans(), st.dates(), st.binary()
)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.lists(values, min_size=2, max_size=8))
def test_any_column_is_read_or_refused_in_one_line(column):
    frame = pd.DataFrame({"x": pd.Series(column, dtype=object), "n": np.arange(len(column)) / 3})
    refusal = None
    try:
        table, _ = clean_columns(frame)
    except InputError as caught:
        refusal = str(caught)
    if refusal is None:
        assert not np.isinf(encode_table(table)).any()
    else:
        assert "'x'" in refusal
        assert "\n" not in refusal


def test_the_mend_can_be_pasted_into_a_shell():
    for name, option in (("two words", "--drop 'two words'"), ("two\nlines", "--drop 'two lines'")):
        with pytest.raises(InputError, match=option) as caught:
            clean_columns(pd.DataFrame({name: [np.inf] * 3}))
        assert "\n" not in str(caught.value)


def test_a_column_under_two_headings_can_be_the_label():
    frame = pd.DataFrame({("x", "p"): NUMBERS, ("x", "q"): NUMBERS**2, ("kind", ""): LABELS})
    samples = Samples.of(frame, ("kind", ""))
    assert (samples.classes, list(samples.features)) == (("a", "b"), ["('x', 'p')", "('x', 'q')"])
