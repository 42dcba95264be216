"""Dates and times: which strings are dates, in which order, and what models read of them."""

import datetime

import numpy as np
import pandas as pd
import pytest

from hardsight import Samples
from hardsight.data.encoding import encode_table
from hardsight.data.feature_columns.clean import clean_columns

DAYS = pd.date_range("2019-11-25 10:30", periods=40, freq="29h")


def read(cells, dtype=None):
    table, notes = clean_columns(pd.DataFrame({"x": pd.Series(cells, dtype=dtype)}))
    return table["x"], "; ".join(note.detail for note in notes)


@pytest.mark.parametrize(
    "spelling",
    [
        "%Y-%m-%d",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%dT%H:%M:%S.%f",
        "%Y-%m-%d %H:%M:%S+02:00",
        "%Y/%m/%d %H:%M",
        "%Y.%m.%d",
        "%m/%d/%Y",
        "%m/%d/%y",
        "%d/%m/%Y",
        "%d.%m.%Y %H:%M",
        "%d-%m-%Y",
        "%m/%d/%Y %I:%M %p",
        "%d %b %Y",
        "%d-%b-%y",
        "%B %d, %Y",
        "%a, %d %b %Y %H:%M:%S",
    ],
)
def test_spellings_of_dates(spelling):
    texts = [day.strftime(spelling) for day in DAYS]
    series, _ = read(texts)
    # The reference is Python's own parser, with the spelling known.
    expected = [datetime.datetime.strptime(text, spelling) for text in texts]  # noqa: DTZ007
    if "+02" in spelling:
        expected = [stamp - datetime.timedelta(hours=2) for stamp in expected]
    assert series.dtype.kind == "M"
    assert series.tolist() == [pd.Timestamp(stamp).tz_localize(None) for stamp in expected]


def test_the_order_of_day_and_month_is_told():
    assert read(["13/01/2020", "02/03/2020"] * 15)[1] == "day before month"
    assert read(["01/13/2020", "02/03/2020"] * 15)[1] == "month before day"
    assert (
        "month before day assumed, since every date could be read either way" in read(["01/11/2020", "02/03/2020"] * 15)[1]
    )
    assert read(["01.11.2020", "02.03.2020"] * 15)[0][0] == pd.Timestamp(2020, 11, 1)
    assert read(["13/01/2020", "01/13/2020"] * 15)[0].dtype == "category"


@pytest.mark.parametrize(
    ("cells", "dtype", "first"),
    [
        (pd.date_range("2020-01-31", periods=30), None, pd.Timestamp(2020, 1, 31)),
        (pd.date_range("2020-01-31", periods=30, tz="Europe/Berlin"), None, pd.Timestamp(2020, 1, 31)),
        (pd.period_range("2020-01", periods=30, freq="M"), None, pd.Timestamp(2020, 1, 1)),
        ([datetime.date(2020, 1, 31), None] * 15, object, pd.Timestamp(2020, 1, 31)),
        ([datetime.date(2020, 1, 31), None] * 15, "date32[pyarrow]", pd.Timestamp(2020, 1, 31)),
        ([pd.Timestamp(2020, 1, 31, 5), None] * 15, "timestamp[us][pyarrow]", pd.Timestamp(2020, 1, 31, 5)),
        (["2020-Q2", "2020-Q3", "2021-Q1"] * 10, None, pd.Timestamp(2020, 4, 1)),
        (["Apr-2020", "Dec-2011", "Jan-2012"] * 10, None, pd.Timestamp(2020, 4, 1)),
        (["2020-04", "2011-12", "2012-01"] * 10, None, pd.Timestamp(2020, 4, 1)),
        ([20200131] + [20200201 + day for day in range(29)], None, pd.Timestamp(2020, 1, 31)),
    ],
)
def test_other_dates(cells, dtype, first):
    series, _ = read(cells, dtype)
    assert (series.dtype.kind, series[0]) == ("M", first)


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        (pd.to_timedelta([1, 2, 3] * 10, unit="h"), None, [3600, 7200, 10800]),
        ([datetime.time(1, 30), datetime.time(2), None] * 10, object, [5400, 7200, np.nan]),
        (["1:30", "02:00", "12:15:30"] * 10, None, [5400, 7200, 44130]),
        (["1:30 pm", "2:00 AM", "12:15 am"] * 10, None, [48600, 7200, 900]),
    ],
)
def test_times_are_seconds(cells, dtype, expected):
    np.testing.assert_array_equal(read(cells, dtype)[0].to_numpy()[:3], expected)


@pytest.mark.parametrize("cells", [["1-2-3", "4-5-6", "x"] * 10, ["5/8", "3/4", "1/2"] * 10, ["2020", "x", "2021"] * 10])
def test_what_is_no_date(cells):
    assert read(cells)[0].dtype == "category"


def test_a_few_cells_that_are_no_dates_count_as_missing():
    cells = [day.strftime("%Y-%m-%d") for day in DAYS]
    series, detail = read([*cells[:3], "soon", *cells[4:-1], "2020-02-31"])
    assert series.isna().sum() == 2
    assert detail == "no date in 2 rows, which count as missing"
    assert read([*cells[:5], *["soon", "later"] * 10])[0].dtype == "category"


def test_whole_numbers_of_eight_digits_are_amounts_unless_all_are_dates():
    days = [int(day.strftime("%Y%m%d")) for day in pd.date_range("2019-12-20", periods=30)]
    assert read(days)[0].dtype.kind == "M"
    assert read([*days[:-1], 20201399])[0].dtype.kind in "iu"
    assert read([20180130, 20180131] * 15)[0].dtype.kind in "iu"


def test_encoding_worked_by_hand():
    frame = pd.DataFrame({"when": ["2020-01-31 06:00", None, "2021-03-01 18:00"] * 10})
    encoded = encode_table(clean_columns(frame)[0])
    # Days elapsed, year, month, weekday (Friday, Monday), hour, missing.
    np.testing.assert_array_equal(encoded[:3], [[0, 2020, 1, 4, 6, 0], [np.nan] * 5 + [1], [395.5, 2021, 3, 0, 18, 0]])
    days = encode_table(clean_columns(pd.DataFrame({"day": ["2020-01-06", "2020-01-13"] * 15}))[0])
    np.testing.assert_array_equal(days[:2], [[0], [7]])


def test_parts_of_the_samples_keep_their_numbers():
    frame = pd.DataFrame(
        {"day": DAYS, "title": [f"{a} {b} lamp" for a in ("red", "big") for b in range(20)], "n": range(40)}
    )
    samples = Samples.of(frame, ["a", "b", "b", "a"] * 10)
    rows = np.arange(7, 20)
    np.testing.assert_array_equal(samples.take(rows).matrix, samples.matrix[rows])
    assert samples.take(rows).original.equals(frame.iloc[rows])


def test_parts_of_few_dates_are_no_features():
    few = pd.Series([None] * 100, dtype=object)
    few[:15] = pd.date_range("2019-05-03", periods=15, freq="17D").strftime("%Y-%m-%d")
    encoded = encode_table(clean_columns(pd.DataFrame({"day": few}))[0])
    # Days elapsed and missing: 15 dates tell nothing of years, months or weekdays.
    assert encoded.shape == (100, 2)


@pytest.mark.parametrize(
    ("years", "spelling", "words"),
    [
        ((1930, 1957, 1967, 1998), "%d/%m/%y", "1930 to 1998"),
        ((1935, 1955, 1968, 1985, 2005), "%d-%b-%y", "1935 to 2005"),
        ((1999, 2000, 2019), "%m/%d/%y", "1999 to 2019"),
        ((2016, 2045, 2060), "%d.%m.%y", "2016 to 2060"),
        ((1941, 1950, 1966), "%d.%m.%y %H:%M", "1941 to 1966"),
    ],
)
def test_two_digit_years_lie_in_one_stretch(years, spelling, words):
    dates = [pd.Timestamp(year, 5, day) for year in years for day in range(10, 25)]
    column, detail = read([date.strftime(spelling) for date in dates])
    assert column.tolist() == dates
    assert f"two-digit years as {words}" in detail


@pytest.mark.parametrize(
    ("spelling", "words"),
    [("%y-%m-%d", "year before month; two-digit years as 2019"), ("%y/%m/%d %H:%M", "year before month")],
)
def test_two_digit_years_may_come_first(spelling, words):
    column, detail = read(DAYS.strftime(spelling).tolist())
    assert column.dt.date.tolist() == list(DAYS.date)
    assert words in detail


@pytest.mark.parametrize("spelling", ["%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ"])
def test_compact_times(spelling):
    assert read(DAYS.strftime(spelling).tolist())[0].tolist() == DAYS.tolist()
