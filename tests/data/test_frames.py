"""Frames: what becomes a feature, what is left out, what is refused."""

import datetime
import decimal
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.errors import rejects

from hardsight import Samples
from hardsight.data.frames import clean_columns
from hardsight.data.samples import encode_table
from hardsight.errors import InputError
from hardsight.validation import format_option

N = 30
NUMBERS = np.random.default_rng(0).normal(size=N)
Y = ["a", "b"] * (N // 2)
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


def test_notices_name_the_column():
    def notices(column, dtype=None):
        return " ".join(Samples.of(framed(column, dtype), Y).notices)

    assert "Column 'größe' holds numbers written as text and is read as numbers." in notices(["1", "2"] * 15)
    assert "'?', 'NA' counts as missing (20 rows)" in notices(["1", "?", "NA"] * 10)
    assert "Column 'größe' mixes text and numbers and is read as categories." in notices(["x", 1] * 15, object)
    assert "Column 'größe' is the same in every row and was left out." in notices([7] * N)
    assert "Column 'größe' holds a different text in every row and was left out." in notices([f"k{at}" for at in range(N)])
    assert "Column 'größe' numbers the rows and is used as a feature" in notices(range(5, 5 + N))


def test_a_column_named_like_an_identifier_that_numbers_the_rows_is_left_out():
    for name in ("id", "Unnamed: 0", "customer_id", "Index"):
        samples = Samples.of(pd.DataFrame({name: range(N), "x": NUMBERS}), Y)
        assert list(samples.features) == ["x"]
        assert (
            f"Column {name!r} numbers the rows and was left out. Name it as id ({format_option('id', name)})"
            in samples.notices[0]
        )


@pytest.mark.parametrize(
    ("column", "dtype", "message"),
    [
        ([None] * N, None, f"column 'größe' has no value in any of {N} rows: drop it .--drop größe"),
        ([np.nan] * N, float, "has no value"),
        ([1.0, np.inf, -np.inf] * 10, None, f"is infinite or beyond .* in 20 of {N} rows .rows 1, 2, 4, …"),
        ([1.0, 1e200] * 15, None, "is infinite or beyond 3.4e.38"),
        (["1", "inf"] * 15, None, "is infinite or beyond"),
        (pd.date_range("2020-01-01", periods=N), None, r"holds dates or times \(2020-01-01"),
        (pd.to_timedelta(range(N), unit="h"), None, "holds dates or times"),
        (pd.period_range("2020-01", periods=N, freq="M"), None, "holds dates or times"),
        ([datetime.date(2020, 1, 1), None] * 15, object, "holds dates or times"),
        ([datetime.date(2020, 1, 1), None] * 15, "date32[pyarrow]", "holds dates or times"),
        (["2020-01-31", "2021-12-01T10:00:00Z", "?"] * 10, None, r"holds dates or times \(2020-01-31\): turn it into num"),
        (["31.01.2020", "1.2.21", None] * 10, None, "holds dates or times"),
        (["1/31/2020 10:15", "2/1/2021 9:00", ""] * 10, None, "holds dates or times"),
        (["5 Jan 2020", "12 February 2021", "x"] * 10, None, "holds dates or times"),
        (["Jan 5, 2020", "Mar 12, 2021", "x"] * 10, None, "holds dates or times"),
        (
            [f"{' '.join(WORDS[: at % 6 + 3])} {at}" for at in range(N)],
            None,
            "free text .30 different.*--text größe. or drop",
        ),
        ([[1, 2]] * N, object, r"holds values of type list \(row 0\): turn them into columns of numbers or text"),
        ([1, {"a": 1}, 2] * 10, object, r"holds values of type dict \(row 1\)"),
        ([1j, 2] * 15, None, "holds complex numbers"),
        (["1,5", "2,25", "3"] * 10, None, r"numbers written with commas \('1,5'\): write them with a decimal point"),
    ],
)
def test_columns_that_cannot_be_used(column, dtype, message):
    rejects_column(message, column, dtype)


DECIMALS = [f"{value:.3f}" for value in NUMBERS]


@pytest.mark.parametrize("dtype", [None, object])
@pytest.mark.parametrize("stray", ["k.A.", "<10", "51.2 cm", "49,7O", "49,7", "\x00", "x" * 5000])
def test_a_stray_text_among_numbers_is_refused_with_its_row(stray, dtype):
    numbers = DECIMALS if dtype is None else NUMBERS.tolist()
    rejects_column(
        rf"holds numbers and also {re.escape(repr(stray[:30]))} \(row 7\): write a number there, .*--drop größe",
        [*numbers[:7], stray, *numbers[8:]],
        dtype,
    )


def test_strays_that_repeat_are_named_once():
    rejects_column(
        r"and also 'k.A.', '<1' \(rows 22, 24, 26, …\): write", [*DECIMALS[:22], "k.A.", "2", *["k.A.", "1", "<1"] * 2]
    )
    rejects_column("numbers written with commas", [*(text.replace(".", ",") for text in DECIMALS[1:]), "k.A."])


@pytest.mark.parametrize("column", [["1", "2", "3a"] * 10, [*map(str, range(12)), "1a", "2a", "3a"] * 2])
def test_codes_with_many_letters_are_categories_and_said_to_be(column):
    table, notices = clean_columns(framed(column))
    assert table["größe"].dtype == "category"
    assert notices == ["Column 'größe' mixes text and numbers and is read as categories."]


def test_codes_are_categories_where_the_data_say_so():
    codes = [*map(str, range(25)), "14a", "0", "0", "0", "0"]
    rejects_column("if its numbers are names of categories, put a letter before each, or convert it to the pandas", codes)
    for column, dtype in ((codes, "category"), ([f"n{code}" for code in codes], None), ([*codes[1:], "0123"], None)):
        table, notices = clean_columns(framed(column, dtype))
        assert (str(table["größe"].dtype), notices) == ("category", [])


def test_too_many_categories():
    n = 2500
    codes = pd.DataFrame({"x": np.arange(n) / 7, "zip": [f"c{at % 1200}" for at in range(n)]})
    with pytest.raises(InputError, match="column 'zip' has 1200 different values in 2500 rows, more than 1000: merge"):
        Samples.of(codes, ["a", "b"] * (n // 2))


def test_frames_that_cannot_be_used():
    for frame, y, message in [
        (pd.DataFrame({"y": Y}), "y", "there is no feature column: keep at least one column"),
        (pd.DataFrame({"y": Y, "x": 1}), "y", "no feature column is left of 'x', each is constant or an identifier"),
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
    assert "Column 'review' is read as text." in alone.notices
    with pytest.raises(InputError, match=r"column 'größe' must be text in every row. Got 1 .* \(row 3\)"):
        Samples.of(framed([*sentences[:3], None, *sentences[4:]]), Y, text="größe")


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
    monkeypatch.setattr("hardsight.data.samples._MAX_ENCODED_BYTES", 100)
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
            clean_columns(pd.DataFrame({name: [np.nan] * 3}))
        assert "\n" not in str(caught.value)
