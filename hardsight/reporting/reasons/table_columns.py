"""Columns of a table as sentences compare them: the value of a sample against those of its nearest samples."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd

from hardsight.attribution.column_evidence import NearestByLabel, weigh_categories, weigh_numbers
from hardsight.reporting.formatting import format_line, format_value
from hardsight.reporting.outlier_values import ROWS_TO_JUDGE, UsualRange, is_numeric, usual_range

_VALUE_LENGTH = 40
# Integers that all lie between these are written without a thousands separator.
_YEARS = (1500, 2200)
_DIGITS, _RANGE_DIGITS = 4, 3
# A value that is missing in a larger share of the rows is not odd.
_SELDOM = 0.05

# The name of a label, and the positions of the nearest samples with it, -1 for none.
Side = tuple[str, np.ndarray]


class TableColumn(Protocol):
    """One column of a table."""

    def weigh(self, rows: np.ndarray, nearest: NearestByLabel, n_columns: int) -> np.ndarray:
        """Return the evidence for the other label, ``(row,)``; see :mod:`hardsight.attribution.column_evidence`."""

    def compare(self, row: int, sides: Sequence[Side]) -> str:
        """Return the value of a sample, and in brackets what is typical of each side."""

    def odd_value(self, row: int) -> tuple[float, str]:
        """Return how far beyond the usual range a value is, in standard deviations, and a phrase; 0 if it is not beyond.

        A value that is seldom missing counts as well, by the standard deviations of missing (1) or not (0).
        """


def read_column(column: pd.Series) -> TableColumn:
    """Return a column of a table or an array."""
    if column.dtype.kind == "M":
        days = column.to_numpy().astype("datetime64[s]").astype(np.float64)
        days[column.isna().to_numpy()] = np.nan
        return NumberColumn(days, _format_date)
    if is_numeric(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return NumberColumn(values, _format_year if _holds_years(values) else format_value)
    if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype.kind == "b":
        return CategoryColumn(column)
    return TextColumn()


class NumberColumn:
    """A column of numbers or dates.

    Args:
        values: NaN is missing, ``(sample,)`` float64.
        text: formats one of them to a number of significant digits.
    """

    def __init__(self, values: np.ndarray, text: Callable[[float, int], str]) -> None:
        self.values, self.text = values, text
        self._usual: UsualRange | None = None

    def weigh(self, rows: np.ndarray, nearest: NearestByLabel, n_columns: int) -> np.ndarray:
        """Return the evidence for the other label, ``(row,)``."""
        return weigh_numbers(self.values, rows, nearest, n_columns)

    def compare(self, row: int, sides: Sequence[Side]) -> str:
        """Return the value and the medians of both sides."""
        medians = [
            f"{name}: {self.text(float(np.nanmedian(self.values[near[near >= 0]])), _DIGITS)}" for name, near in sides
        ]
        return f"{self.text(float(self.values[row]), _DIGITS)} ({', '.join(medians)})"

    def odd_value(self, row: int) -> tuple[float, str]:
        """Return how far the value is beyond the range of 98 % of the column, and both as a phrase."""
        if np.isnan(self.values[row]):
            return self._missing
        self._usual = self._usual or usual_range(self.values)
        value, (low, high) = float(self.values[row]), self._usual
        beyond = max(low - value, value - high)
        if not beyond > 0:
            return 0.0, ""
        usual = " to ".join(dict.fromkeys(self.text(end, _RANGE_DIGITS) for end in (low, high)))
        return beyond / float(np.nanstd(self.values)), f"{self.text(value, _DIGITS)} (usual: {usual})"

    @cached_property
    def _missing(self) -> tuple[float, str]:
        return _odd_if_seldom(np.isnan(self.values))


class CategoryColumn:
    """A column of categories."""

    def __init__(self, column: pd.Series) -> None:
        categories = column.astype("category").cat
        self.codes, self.names = categories.codes.to_numpy().astype(np.int64), categories.categories

    def weigh(self, rows: np.ndarray, nearest: NearestByLabel, n_columns: int) -> np.ndarray:
        """Return the evidence for the other label, ``(row,)``."""
        return weigh_categories(self.codes, rows, nearest)

    def compare(self, row: int, sides: Sequence[Side]) -> str:
        """Return the category, and how many of the nearest samples of each side share it."""
        code = self.codes[row]
        counts = []
        for name, near in sides:
            known = near[near >= 0]
            counts.append(f"{name}: {int((self.codes[known] == code).sum())} of {len(known)}")
        text = "missing" if code < 0 else format_line(self.names[code], _VALUE_LENGTH)
        return f"{text} ({', '.join(counts)})"

    def odd_value(self, row: int) -> tuple[float, str]:
        """Return nothing unless the category is missing: a rare one may be a group of people, and rare is not odd."""
        return self._missing if self.codes[row] < 0 else (0.0, "")

    @cached_property
    def _missing(self) -> tuple[float, str]:
        return _odd_if_seldom(self.codes < 0)


class TextColumn:
    """A column of texts, which are not compared."""

    def weigh(self, rows: np.ndarray, nearest: NearestByLabel, n_columns: int) -> np.ndarray:
        """Return no evidence."""
        return np.zeros(len(rows))

    def compare(self, row: int, sides: Sequence[Side]) -> str:
        """Return nothing."""
        return ""

    def odd_value(self, row: int) -> tuple[float, str]:
        """Return nothing."""
        return 0.0, ""


def _odd_if_seldom(missing: np.ndarray) -> tuple[float, str]:
    """Return how odd a missing value is, and a phrase; 0 if values are often missing, or there are few."""
    share = float(missing.mean())
    if len(missing) < ROWS_TO_JUDGE or share > _SELDOM:
        return 0.0, ""
    return float(np.sqrt((1 - share) / share)), f"missing (as in {int(missing.sum()):,} of {len(missing):,})"


def _holds_years(values: np.ndarray) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known) and (known == np.floor(known)).all() and known.min() >= _YEARS[0] and known.max() <= _YEARS[1])


def _format_year(value: float, _digits: int) -> str:
    return str(round(value))


def _format_date(seconds: float, _digits: int) -> str:
    return str(np.datetime64(round(seconds), "s").astype("datetime64[D]"))
