"""Numbers, also those that are written with a unit, a currency, separators of thousands or a decimal comma."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.feature_columns.column import ColumnNote, Reading, TextColumn
from hardsight.errors import InputError
from hardsight.validation import describe_rows, format_option, join_examples

_FLOAT32 = float(np.finfo(np.float32).max)
# A column counts as numeric with typing errors if at least this many, and this share, of its distinct values are numbers.
_MIN_NUMBERS, _MIN_NUMERIC_SHARE = 20, 0.9
# Other cells among numbers count as missing in at most this share of the rows; so do words, such as "closed", in half of
# them if there are at most so many different ones.
_MAX_STRAY_SHARE, _MAX_WORD_SHARE, _MAX_WORDS = 0.05, 0.5, 3
_MAX_EXAMPLES, _MAX_EXAMPLE_LETTERS = 3, 30
_LEADING_ZERO = re.compile(r"[+-]?0\d+")

# A house number, a seat or a postal code of two parts.
_CODE = re.compile(r"\d+[ -]?[^\W\d_]{1,2}|[^\W\d_]{1,2}[ -]?\d+|\d+[-/]\d+")

_CURRENCIES = "USD EUR GBP JPY CHF CAD AUD NZD CNY RMB INR BRL KRW SEK NOK DKK PLN CZK HUF RUB TRY ZAR MXN SGD HKD THB ILS"
_CURRENCY = rf"(?:(?:US|CA|C|AU|A|HK|NZ|R)?[$€£¥₹₽₩₺฿]|Rs\.?|kr\.?|{'|'.join(_CURRENCIES.split())})"
_CELL = re.compile(
    rf"(?P<bracket>\()?(?P<sign>[+-])?\s?(?P<before>{_CURRENCY})?\s?(?P<bracket2>\()?(?P<sign2>[+-])?"
    r"(?P<number>[\d.,][\d.,' ]*?(?:e[+-]?\d+)?)\s?"
    r"(?P<after>[^\W\d_%][^\d,()]{0,14}|[%‰°€£$¥][^\d,()]{0,5})?(?P<sign3>-)?(?(bracket)\))(?(bracket2)\))",
    re.IGNORECASE,
)
_EXPONENT = r"(?:[eE][+-]?\d+)?"
# Units that are converted where a column mixes them: what they measure, and their size.
_UNITS = {
    unit: (quantity, size)
    for quantity, units in {
        "days": {"second": 1 / 86400, "sec": 1 / 86400, "minute": 1 / 1440, "min": 1 / 1440, "hour": 1 / 24, "hr": 1 / 24,
                 "day": 1.0, "week": 7.0, "month": 365.25 / 12, "year": 365.25, "yr": 365.25},
        "m": {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3},
        "kg": {"mg": 1e-6, "g": 1e-3, "kg": 1.0},
        "bytes": {"byte": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12},
        "": {"": 1.0, "k": 1e3, "thousand": 1e3, "mn": 1e6, "million": 1e6, "bn": 1e9, "billion": 1e9},
    }.items()
    for unit, size in units.items()
}  # fmt: skip
# "M" and "B" are millions and billions only beside amounts in thousands or of money: alone, "m" is a metre.
_AMOUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9, "billion": 1e9}
_ORDINALS = ("st", "nd", "rd", "th")
# What stands around a number that is a bound or an approximation, as in "<0.5", "~12" or "1,000+".
_LIMIT = re.compile(r"(?:[<>]=?|[≤≥~≈])(?P<after>.+)|(?P<before>.*\d)\s?\+")


class _Style(NamedTuple):
    """How decimals and thousands are separated."""

    pattern: re.Pattern[str]  # of a number
    thousands: str  # marks between thousands
    decimal: str
    words: str  # for a notice


_STYLES = (
    # Numbers with an exponent have no thousands: 4,910E-01 is 0.491.
    _Style(
        re.compile(rf"(?:\d+(?:\.\d*)?|\.\d+){_EXPONENT}|[1-9]\d{{0,2}}(?:[,' ]\d{{2,3}})*[,' ]\d{{3}}(?:\.\d*)?"),
        ",' ",
        ".",
        "",
    ),
    _Style(
        re.compile(rf"(?:\d+(?:,\d*)?|,\d+){_EXPONENT}|[1-9]\d{{0,2}}(?:[.' ]\d{{3}})+(?:,\d*)?"),
        ".' ",
        ",",
        "decimal comma",
    ),
)


class _Cell(NamedTuple):
    number: str  # digits with their separators
    negative: bool
    unit: str  # in lower case; empty if there is none


def numeric_series(column: pd.Series, present: np.ndarray, name: str) -> pd.Series:
    """Return numbers or booleans in a type of numpy; missing ones become NaN.

    Raises:
        InputError: complex or infinite numbers, or numbers beyond float32.
    """
    if getattr(column.dtype, "kind", "f") == "c":
        raise InputError(
            f"column {name!r} holds complex numbers: split them into real columns or drop it ({format_option('drop', name)})"
        )
    if present.all() and pd.api.types.is_bool_dtype(column.dtype):
        return pd.Series(column.to_numpy(dtype=bool))
    if present.all() and getattr(column.dtype, "kind", "f") in "iu":
        return pd.Series(column.to_numpy())
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    too_large = np.abs(numbers) > _FLOAT32
    if too_large.any():
        raise InputError(
            f"column {name!r} is infinite or beyond {_FLOAT32:.1e} in {too_large.sum()} of {len(column)} rows "
            f"({describe_rows(too_large)}): fix the values or drop it ({format_option('drop', name)})"
        )
    return pd.Series(numbers)


def read_numeric_text(column: TextColumn) -> Reading | None:
    """Read a column of strings as numbers; None if they are something else.

    Raises:
        InputError: many cells among numbers are neither numbers nor words for a missing value; the message names them.
    """
    texts = column.known_texts
    # Codes with leading zeros are names, whatever else the column holds.
    if not texts or any(_LEADING_ZERO.fullmatch(text) for text in texts):
        return None
    values, details = parse_numbers(texts)
    if values is None:
        return None
    values = _read_limits(texts, values, details)
    unread = np.isnan(values)
    numbers = np.full(len(column.distinct), np.nan)
    numbers[column.known] = values
    if unread.any():
        strays = column.known.copy()
        strays[column.known] = unread
        if not are_mostly_numbers(~unread) or _are_codes(column, strays, values):
            return None
        details.append(_read_strays_as_missing(column, strays))
    missing = column.describe_missing()
    details.extend([missing] if missing else [])
    series = numeric_series(pd.Series(column.spread(numbers)), column.present, column.name)
    return Reading(series, [ColumnNote("numbers", column.name, "; ".join(details))])


def _read_limits(texts: Sequence[str], values: np.ndarray, details: list[str]) -> np.ndarray:
    """Return the values with those of bounds and approximations, such as "<0.5", if nearly all others are numbers."""
    unread = np.flatnonzero(np.isnan(values)).tolist()
    parts = [_LIMIT.fullmatch(texts[index]) for index in unread]
    bounds = [
        (index, (match["after"] or match["before"]).strip()) for index, match in zip(unread, parts, strict=True) if match
    ]
    if not bounds:
        return values
    read, _ = parse_numbers([text for _, text in bounds])
    if read is None:
        return values
    filled = values.copy()
    filled[[index for index, _ in bounds]] = read
    if not are_mostly_numbers(~np.isnan(filled)):
        return values
    details.append(f"{texts[bounds[0][0]]!r} as {read[0]:g}")
    return filled


def parse_numbers(texts: Sequence[str]) -> tuple[np.ndarray | None, list[str]]:
    """Return the numbers that texts stand for, NaN for other texts, and words for a notice; None if none are numbers."""
    plain = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    if not np.isnan(plain).any():
        return plain, []
    cells = [_split_cell(text) for text in texts]
    parsed = [(*_apply_units(cells, _parse_style(cells, style)), style.words) for style in _STYLES]
    values, unit, style = min(parsed, key=lambda each: int(np.isnan(each[0]).sum()))
    other = parsed[1][0]
    if not style and np.isnan(other).sum() == np.isnan(values).sum() and not np.array_equal(other, values, equal_nan=True):
        # 1,234 may be either; with a decimal comma, some number would probably have another length.
        style = "thousands separated by commas" if any("," in text for text in texts) else "decimal point"
    if np.isnan(values).sum() >= np.isnan(plain).sum():
        return (None if np.isnan(plain).all() else plain), []
    return values, [word for word in (unit, style) if word]


def _split_cell(text: str) -> _Cell | None:
    match = _CELL.fullmatch(text)
    if match is None:
        return None
    before, after = match["before"] or "", (match["after"] or "").strip().lower()
    if before and after:
        # As in "$5 k": the currency says little.
        after = after if after in _AMOUNTS else f"{before} {after}"
    negative = bool(match["bracket"] or match["bracket2"]) != ("-" in (match["sign"], match["sign2"], match["sign3"]))
    after = "" if after in _ORDINALS else after
    return _Cell(match["number"].strip(), negative, after or before)


def _parse_style(cells: Sequence[_Cell | None], style: _Style) -> np.ndarray:
    """Return the numbers of cells in one style, without their units; NaN for other cells."""
    values = np.full(len(cells), np.nan)
    for index, cell in enumerate(cells):
        if cell is not None and style.pattern.fullmatch(cell.number):
            digits = cell.number.translate(dict.fromkeys(map(ord, style.thousands))).replace(style.decimal, ".")
            values[index] = -float(digits) if cell.negative else float(digits)
    return values


def _apply_units(cells: Sequence[_Cell | None], values: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the values in one unit, and that unit; values whose unit differs from the commonest one become NaN."""
    units = ["" if cell is None else cell.unit for cell in cells]
    read = ~np.isnan(values)
    different = sorted({unit for unit, is_read in zip(units, read, strict=True) if is_read})
    if len(different) <= 1:
        return values, f"in {different[0]}" if different and different[0] else ""
    if different == ["", "%"] and read.sum() >= _MIN_NUMBERS:
        return _apply_percent(np.array(units) == "%", values)
    factors, words = _find_factors(different)
    if factors is not None:
        return values * np.array([factors.get(unit, np.nan) for unit in units]), words
    commonest = max(different, key=lambda unit: sum(each == unit and bool(ok) for each, ok in zip(units, read, strict=True)))
    same = np.array([unit == commonest for unit in units], dtype=bool)
    return np.where(same, values, np.nan), f"in {commonest}" if commonest else ""


def _apply_percent(percent: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Return percentages and plain numbers in one unit: plain numbers are fractions if none is beyond 1."""
    plain = np.abs(values[~percent])
    if (plain[~np.isnan(plain)] <= 1).all():
        return np.where(percent, values / 100, values), "percentages as fractions"
    return values, "in %"


def _find_factors(units: Sequence[str]) -> tuple[dict[str, float] | None, str]:
    """Return the size of each unit in a common one, and words for a notice; None if they measure different things."""
    if all(unit in _AMOUNTS for unit in units) and "k" in units:
        return {unit: _AMOUNTS[unit] for unit in units}, "with k, M, B as factors"
    names = {unit: unit.rstrip(".") for unit in units}
    names = {unit: name if name in _UNITS else name.removesuffix("s") for unit, name in names.items()}
    if not all(name in _UNITS for name in names.values()):
        return None, ""
    quantities = {_UNITS[name][0] for name in names.values()}
    if len(quantities) > 1:
        return None, ""
    return {unit: _UNITS[name][1] for unit, name in names.items()}, f"converted to {quantities.pop() or 'ones'}"


def are_mostly_numbers(numeric: np.ndarray) -> bool:
    """Return whether all but a few of the distinct values that are not missing are numbers."""
    return bool(numeric.sum() >= max(_MIN_NUMBERS, _MIN_NUMERIC_SHARE * len(numeric)))


def _are_codes(column: TextColumn, strays: np.ndarray, values: np.ndarray) -> bool:
    """Return whether integers are names of things: many of the others are such a number with a letter or a second number."""
    if (values[~np.isnan(values)] % 1 != 0).any() or column.rows_with(strays).mean() <= _MAX_STRAY_SHARE:
        return False
    return all(_CODE.fullmatch(column.texts[index]) for index in np.flatnonzero(strays))


def _read_strays_as_missing(column: TextColumn, strays: np.ndarray) -> str:
    """Return the words for a notice if few cells among numbers are something else.

    Raises:
        InputError: they are many: then every number would become a category of its own, or too much be lost.
    """
    examples = [column.texts[index] for index in np.flatnonzero(strays)]
    rows = column.rows_with(strays)
    shown = join_examples((text[:_MAX_EXAMPLE_LETTERS] for text in examples), _MAX_EXAMPLES)
    are_words = len(examples) <= _MAX_WORDS and not any(any(map(str.isdigit, text)) for text in examples)
    if rows.sum() <= (_MAX_WORD_SHARE if are_words else _MAX_STRAY_SHARE) * len(rows):
        return f"{shown} taken as missing in {describe_rows(rows)}"
    raise InputError(
        f"column {column.name!r} holds numbers and also {shown} ({describe_rows(rows)}): write a number there, leave "
        f"the cell empty, or drop the column ({format_option('drop', column.name)}); if its numbers are names of "
        "categories, put a letter before each, or convert it to the pandas type category"
    )
