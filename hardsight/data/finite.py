"""The check of numbers that users pass: finite in float32, and some value in every column."""

import numpy as np

from hardsight.data.samples import row_slices
from hardsight.errors import InputError


def check_finite(name: str, values: np.ndarray, *, allow_missing: bool) -> None:
    """Refuse numbers that float32 cannot hold, and columns without values. In blocks: the array may be a mapped file.

    Args:
        name: what messages call the numbers.
        values: ``(sample, …)``.
        allow_missing: whether NaN stands for a missing value.

    Raises:
        InputError: an infinite or missing number, or one that is too large; or a column without values.
    """
    count, first, has_values = 0, (0,), np.zeros(values.shape[1:2], dtype=bool)
    for rows in row_slices(len(values), values[:1].nbytes):
        block = values[rows]
        invalid = np.isinf(block) if allow_missing else ~np.isfinite(block)
        invalid |= np.abs(block) > np.finfo(np.float32).max
        if invalid.any() and not count:
            start, *rest = (int(axis) for axis in np.argwhere(invalid)[0])
            first = (rows.start + start, *rest)
        count += int(invalid.sum())
        if allow_missing:
            has_values |= ~np.isnan(block).all(axis=0)
    if count:
        hint = "fix the values (NaN means missing)" if allow_missing else "fix the values"
        more = f" (and {count - 1:,} more)" if count > 1 else ""
        raise InputError(f"{name} must be finite in float32. Got {values[first].item()} at {list(first)}{more}: {hint}")
    if allow_missing and len(values) and not has_values.all():
        column = np.argmin(has_values)
        raise InputError(f"column {column} of {name} has no value in any of {len(values):,} rows: drop it")
