"""Values of a column that few of its other values are like."""

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
    """Return whether a column's values are shown as numbers."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def usual_range(numbers: np.ndarray) -> UsualRange:
    """Return the 1st and the 99th percentile of the finite numbers; infinite bounds if there are too few rows to judge."""
    finite = numbers[np.isfinite(numbers)]
    if len(numbers) < ROWS_TO_JUDGE or not len(finite):
        return UsualRange(-np.inf, np.inf)
    return UsualRange(*np.quantile(finite, [_TAIL, 1 - _TAIL]).tolist())


def describe_number(value: float, usual: UsualRange) -> str:
    """Say in which way a number is unusual; empty if it is not."""
    return "unusually low" if value < usual.low else "unusually high" if value > usual.high else ""


def find_rare(codes: np.ndarray, n_values: int) -> np.ndarray:
    """Return which distinct values are rare, ``(value,)`` bool.

    Names and free text seldom repeat: if rare values are the rule, none of them is unusual.
    """
    share = np.bincount(codes, minlength=n_values) / max(len(codes), 1)
    rare = share < _TAIL
    judged = len(codes) >= ROWS_TO_JUDGE and share[rare].sum() <= 10 * _TAIL
    return rare if judged else np.zeros(n_values, dtype=bool)


def is_missing_rare(missing: np.ndarray) -> bool:
    """Return whether a missing value is unusual."""
    return len(missing) >= ROWS_TO_JUDGE and float(missing.mean()) < _TAIL


def describe_missing(missing: np.ndarray) -> str:
    """Say in which way a missing value is unusual; empty if it is not; see :func:`is_missing_rare`."""
    return "seldom missing" if is_missing_rare(missing) else ""
