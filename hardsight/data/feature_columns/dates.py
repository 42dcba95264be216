"""Dates and times: recognised by their values, kept as datetimes, encoded as year, month, weekday, hour and elapsed time."""

import datetime
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.feature_columns.column import ColumnNote, Reading, TextColumn

# Fewer cells than this share that are no dates count as missing; with more, the column is not one of dates.
_MAX_STRAY_SHARE = 0.05
# Two-digit years that lie in one stretch are of the last century if the first is beyond 30 or the last beyond 68.
_FIRST_YEAR, _LAST_YEAR = 30, 68
# Integers such as 20180130 are dates if there are at least so many different ones, and all are valid.
_MIN_COMPACT = 10

# A part of the date is a feature if each of its values is that of so many rows on average.
_MIN_REPEATS = 10

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*\.?"
_TIME = r"(?:[t ,]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[ap]\.?m\.?)?(?: ?(?:z|utc|gmt|[+-]\d{2}:?\d{2}))?)?"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? )?"
_YEAR_FIRST = re.compile(rf"\d{{4}}([-/.])\d{{1,2}}\1\d{{1,2}}{_TIME}", re.IGNORECASE)
_NUMERIC = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}|\d{{2}}){_TIME}", re.IGNORECASE)
_NAMED = re.compile(
    rf"{_WEEKDAY}(?:\d{{1,2}}(?:st|nd|rd|th)?[ -]{_MONTH},?[ -](?P<year>\d{{2,4}})"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}){_TIME}",
    re.IGNORECASE,
)
_MONTHLY = re.compile(rf"({_MONTH}[ -]\d{{4}}|\d{{4}}[ -]{_MONTH}|\d{{4}}-\d{{2}})", re.IGNORECASE)
_QUARTERLY = re.compile(r"(\d{4})[- ]?q([1-4])", re.IGNORECASE)
_COMPACT = re.compile(r"\d{8}T\d{6}Z?")
_CLOCK = re.compile(r"(\d{1,3}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?( ?[ap]\.?m\.?)?", re.IGNORECASE)


def read_dates(column: TextColumn) -> Reading | None:
    """Read a column of strings as dates, or as times of day in seconds; None if they are something else."""
    texts = column.known_texts
    if not texts:
        return None
    for parse in _PARSERS:
        parsed = parse(texts)
        if parsed is None:
            continue
        values, detail = parsed
        empty: Any = np.datetime64("NaT") if values.dtype.kind == "M" else np.nan
        all_values = np.full(len(column.distinct), empty, values.dtype)
        all_values[column.known] = values
        strays = column.known & pd.isna(all_values)
        if column.counts[strays].sum() > _MAX_STRAY_SHARE * column.counts[column.known].sum():
            continue
        details = [detail] if detail else []
        if strays.any():
            details.append(f"no date in {column.counts[strays].sum()} rows, which count as missing")
        missing = column.describe_missing()
        details.extend([missing] if missing else [])
        series = pd.Series(column.spread(all_values, empty))
        return Reading(series, [ColumnNote("dates", column.name, "; ".join(details))])
    return None


def read_temporal(column: pd.Series, name: str) -> Reading | None:
    """Read a column of a temporal type, of pandas or of Python; None if it is something else."""
    dtype = column.dtype
    present = column.dropna()
    kinds: set[type] = set() if _is_temporal(dtype) else {type(value) for value in present}
    if isinstance(dtype, pd.PeriodDtype) or (kinds and all(issubclass(kind, pd.Period) for kind in kinds)):
        stamps = pd.Series(pd.PeriodIndex(column).to_timestamp(), index=column.index)
    elif getattr(dtype, "kind", "O") == "m" or _are(kinds, datetime.timedelta, np.timedelta64):
        seconds = pd.to_timedelta(column).dt.total_seconds().astype(np.float64)
        return Reading(seconds.reset_index(drop=True), [ColumnNote("numbers", name, "time spans in seconds")])
    elif _are(kinds, datetime.time):
        seconds = column.map(_seconds_of_day, na_action="ignore").astype(np.float64)
        return Reading(seconds, [ColumnNote("numbers", name, "times of day in seconds")])
    elif _is_temporal(dtype) or _are(kinds, datetime.date, np.datetime64):
        stamps = _to_stamps(column)
    else:
        return None
    return Reading(pd.Series(_without_zone(stamps).to_numpy(dtype="datetime64[us]")), [ColumnNote("dates", name)])


def read_compact_dates(column: pd.Series, name: str) -> Reading | None:
    """Read integers such as 20180130 as dates, if all are; None otherwise."""
    numbers = column.to_numpy()
    if numbers.dtype.kind == "b" or np.nanmin(numbers) < 1e7 or np.nanmax(numbers) >= 1e8:
        return None
    values = column.dropna().unique()
    if len(values) < _MIN_COMPACT or (values != np.floor(values)).any():
        return None
    texts = pd.Series([str(int(value)) for value in values], dtype=object)
    stamps = pd.to_datetime(texts, format="%Y%m%d", errors="coerce")
    if stamps.isna().any() or not stamps.dt.year.between(1900, 2099).all():
        return None
    by_value = dict(zip(values.tolist(), stamps, strict=True))
    dates = column.map(by_value).to_numpy(dtype="datetime64[us]")
    return Reading(pd.Series(dates), [ColumnNote("dates", name, "numbers such as 20180130")])


def encode_dates(column: pd.Series) -> np.ndarray:
    """Encode a column of datetimes as numbers: days elapsed, and those of year, month, weekday and hour that repeat.

    A part that varies is kept if each of its values is that of ten rows on average: in fewer, a model would learn chance.

    Args:
        column: ``(row,)`` datetime64.

    Returns:
        ``(row, feature)`` float64, NaN where the date is missing. Days are counted from the earliest date of the column.
    """
    stamps = column.dt
    # Through float64: whole days are exact, and so are microseconds within centuries.
    elapsed = (column - column.min()) / pd.Timedelta(days=1)
    parts = [elapsed, *(part for part in (stamps.year, stamps.month, stamps.day_of_week, stamps.hour) if _repeats(part))]
    return np.stack([part.to_numpy(dtype=np.float64, na_value=np.nan) for part in parts], axis=1)


def _repeats(part: pd.Series) -> bool:
    values = part.nunique()
    return bool(values > 1 and part.count() >= _MIN_REPEATS * values)


def _is_temporal(dtype: Any) -> bool:
    return getattr(dtype, "kind", "O") in "mM" or isinstance(dtype, pd.PeriodDtype)


def _are(kinds: set[type], *expected: type) -> bool:
    return bool(kinds) and all(issubclass(kind, expected) for kind in kinds)


def _seconds_of_day(time: datetime.time) -> float:
    return time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6


def _to_stamps(column: pd.Series) -> pd.Series:
    if getattr(column.dtype, "kind", "O") == "M":
        return column
    # utc: values with different offsets have no common wall clock.
    aware = {value.tzinfo is not None for value in column.dropna() if isinstance(value, datetime.datetime)}
    stamps: pd.Series = pd.to_datetime(column.astype(object), errors="coerce", utc=True in aware)
    return stamps


def _without_zone(stamps: pd.Series) -> pd.Series:
    """Return the wall clock of dates with a time zone."""
    if not isinstance(stamps.dtype, pd.DatetimeTZDtype | pd.ArrowDtype):
        return stamps
    plain = pd.Series(pd.DatetimeIndex(stamps)) if isinstance(stamps.dtype, pd.ArrowDtype) else stamps
    return plain.dt.tz_localize(None) if plain.dt.tz is not None else plain


def _to_datetimes(texts: list[str], matches: list[bool], **options: Any) -> np.ndarray:
    """Parse the matching texts; the others, and dates that do not exist, become NaT."""
    series = pd.Series([text if match else None for text, match in zip(texts, matches, strict=True)], dtype=object)
    zones = any(
        match and re.search(r"([zZ]|UTC|GMT|[+-]\d{2}:?\d{2})$", text) for text, match in zip(texts, matches, strict=True)
    )
    stamps = pd.to_datetime(series, errors="coerce", format="mixed", utc=zones, **options)
    return _without_zone(stamps).to_numpy(dtype="datetime64[us]")


def _parse_year_first(texts: list[str]) -> tuple[np.ndarray, str] | None:
    matches = [_YEAR_FIRST.fullmatch(text) is not None for text in texts]
    if not _enough(matches):
        return None
    plain = [re.sub(r"^(\d{4})[/.](\d{1,2})[/.]", r"\1-\2-", text) for text in texts]
    return _to_datetimes(plain, matches), ""


def _parse_numeric(texts: list[str]) -> tuple[np.ndarray, str] | None:
    """Parse day, month and year in the order that all dates allow; month first if both orders are possible."""
    parts = [_NUMERIC.fullmatch(text) for text in texts]
    matches = [match is not None for match in parts]
    if not _enough(matches):
        return None
    year_first = _parse_short_year_first(parts)
    if year_first is not None:
        return year_first
    first = max(int(match[1]) for match in parts if match)
    second = max(int(match[3]) for match in parts if match)
    if first > 12 and second > 12:
        return None
    dotted = sum(match[2] == "." for match in parts if match) > len(texts) / 2
    day_first = first > 12 or (second <= 12 and dotted)
    doubtful = first <= 12 and second <= 12
    order = "day before month" if day_first else "month before day"
    plain = [
        text.replace(".", "/", 2) if match and match[2] == "." else text for text, match in zip(texts, parts, strict=True)
    ]
    detail = (
        f"{order} assumed, since every date could be read either way: write 2020-01-31 to be sure" if doubtful else order
    )
    short = np.array([match is not None and len(match[4]) == 2 for match in parts])
    values, years = _choose_century(_to_datetimes(plain, matches, dayfirst=day_first), short)
    return values, "; ".join([detail, *years])


def _parse_short_year_first(parts: list[re.Match[str] | None]) -> tuple[np.ndarray, str] | None:
    """Parse dates such as 19-05-31; None if years come last: there are fewer different years than days, as a rule."""
    dates = [(match[1], match[3], match[4]) for match in parts if match]
    years, months, days = (set(part) for part in zip(*dates, strict=True))
    possible = all(len(part) == 2 for part in years | days) and max(map(int, months)) <= 12 and max(map(int, days)) <= 31
    if not possible or len(years) >= len(days) or max(map(int, years)) <= 12:
        return None
    texts = [f"20{match[1]}-{match[3]}-{match[4]}{match[0][match.end(4) :]}" if match else "" for match in parts]
    short = np.array([match is not None for match in parts])
    values, words = _choose_century(_to_datetimes(texts, short.tolist()), short)
    return values, "; ".join(["year before month", *words])


def _parse_named(texts: list[str]) -> tuple[np.ndarray, str] | None:
    parts = [_NAMED.fullmatch(text) for text in texts]
    matches = [match is not None for match in parts]
    if not _enough(matches):
        return None
    plain = [re.sub(r"(\d)(st|nd|rd|th)\b", r"\1", text, flags=re.IGNORECASE) for text in texts]
    short = np.array([match is not None and len(match["year"] or "") == 2 for match in parts])
    values, years = _choose_century(_to_datetimes(plain, matches), short)
    return values, "; ".join(years)


def _choose_century(dates: np.ndarray, short: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return dates whose two-digit years lie in one stretch without a large gap, and words for a notice.

    Pandas takes 69 to 99 for 1969 to 1999 and 00 to 68 for 2000 to 2068, which puts half of all dates of birth into the
    future.

    Args:
        dates: ``(date,)`` datetime64, as pandas reads them.
        short: which have a year of two digits, ``(date,)``.
    """
    short = short & ~np.isnat(dates)
    if not short.any():
        return dates, []
    stamps = pd.Series(dates)
    years = stamps.dt.year.to_numpy(dtype=np.float64, na_value=np.nan) % 100
    distinct = np.unique(years[short])
    gaps = np.diff(distinct, append=distinct[0] + 100)
    last = int(np.argmax(gaps))
    first = float(distinct[(last + 1) % len(distinct)])
    if first > distinct[last]:
        century_of_row = np.where(years >= first, 1900, 2000)
    else:
        century_of_row = np.full(len(years), 1900 if distinct[last] > _LAST_YEAR or first > _FIRST_YEAR else 2000)
    moved = short & (stamps.dt.year.to_numpy() - years != century_of_row)
    for century in (1900, 2000):
        rows = moved & (century_of_row == century)
        stamps[rows] = stamps[rows] + pd.DateOffset(years=-100 if century == 1900 else 100)
    read = stamps[short].dt.year
    span = f"{read.min()} to {read.max()}" if read.min() < read.max() else f"{read.min()}"
    return stamps.to_numpy(dtype="datetime64[us]"), [f"two-digit years as {span}"]


def _parse_monthly(texts: list[str]) -> tuple[np.ndarray, str] | None:
    matches = [_MONTHLY.fullmatch(text) is not None for text in texts]
    return (_to_datetimes(texts, matches), "") if _enough(matches) else None


def _parse_compact(texts: list[str]) -> tuple[np.ndarray, str] | None:
    matches = [_COMPACT.fullmatch(text) is not None for text in texts]
    return (_to_datetimes([text.rstrip("Z") for text in texts], matches), "") if _enough(matches) else None


def _parse_quarterly(texts: list[str]) -> tuple[np.ndarray, str] | None:
    parts = [_QUARTERLY.fullmatch(text) for text in texts]
    if not _enough([match is not None for match in parts]):
        return None
    months = [f"{match[1]}-{3 * int(match[2]) - 2:02d}" if match else "NaT" for match in parts]
    return np.array(months, dtype="datetime64[us]"), "quarters"


def _parse_clock(texts: list[str]) -> tuple[np.ndarray, str] | None:
    """Parse times of day, or of a duration, in seconds; a time of two parts is hours and minutes."""
    parts = [_CLOCK.fullmatch(text) for text in texts]
    if not _enough([match is not None for match in parts]):
        return None
    return np.array([_clock_seconds(match) if match else np.nan for match in parts]), "times in seconds"


def _clock_seconds(match: re.Match[str]) -> float:
    hours, half = int(match[1]), (match[4] or "").strip().lower()[:1]
    if half:
        hours = hours % 12 + (12 if half == "p" else 0)
    return hours * 3600 + int(match[2]) * 60 + float(match[3] or 0)


def _enough(matches: list[bool]) -> bool:
    return sum(matches) > (1 - 2 * _MAX_STRAY_SHARE) * len(matches) or sum(matches) >= len(matches) - 1 > 0


_PARSERS: tuple[Callable[[list[str]], tuple[np.ndarray, str] | None], ...] = (
    _parse_year_first,
    _parse_numeric,
    _parse_named,
    _parse_monthly,
    _parse_compact,
    _parse_quarterly,
    _parse_clock,
)
