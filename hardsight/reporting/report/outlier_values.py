"""Which values of a column few of its values are like."""

from typing import NamedTuple

import numpy as np
import pandas as pd

# With fewer rows the smallest and the largest value of every column would count as unusual.
ROWS_TO_JUDGE = 100
_TAIL = 0.01


class UsualRange(NamedTuple):
    """The range outside which a number is unusual."""

    low: float
    high: float


def is_numeric(column: pd.Series) -> bool:
    """Whether a column's values are shown as numbers."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def usual_range(numbers: np.ndarray) -> UsualRange:
    """The 1st and the 99th percentile of the finite numbers; endless with too few rows to judge. ``numbers``: ``(row,)``."""
    known = numbers[np.isfinite(numbers)]
    if len(numbers) < ROWS_TO_JUDGE or not len(known):
        return UsualRange(-np.inf, np.inf)
    return UsualRange(*np.quantile(known, [_TAIL, 1 - _TAIL]).tolist())


def find_rare(codes: np.ndarray, kinds: int) -> np.ndarray:
    """Which kinds of value are rare, ``(kind,)`` bool.

    Names and free text are seldom twice the same: where rare values are the rule, none of them is unusual.

    Args:
        codes: of every row's value, ``(row,)``.
        kinds: how many there are.
    """
    share = np.bincount(codes, minlength=kinds) / max(len(codes), 1)
    few = share < _TAIL
    judged = len(codes) >= ROWS_TO_JUDGE and share[few].sum() <= 10 * _TAIL
    return few if judged else np.zeros(kinds, dtype=bool)


def is_missing_rare(missing: np.ndarray) -> bool:
    """Whether a missing value is unusual; ``missing``: ``(row,)`` bool."""
    return len(missing) >= ROWS_TO_JUDGE and float(missing.mean()) < _TAIL
