"""Labels: class codes or targets, and which of the two they are."""

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from hardsight.data.columns import are_dates, encode_values, infer_dtype, missing_mask, to_column
from hardsight.errors import InputError
from hardsight.validation import describe_rows, join_names

Task = Literal["auto", "classification", "regression"]

# This many whole numbers are always classes; more must be plausible for the number of samples.
_FEW = 20
# Class codes that start at 0 or 1 without a gap are believed if each occurs this often.
_REPEATED = 5


def encode_labels(
    y: Any, *, ids: np.ndarray, task: str, name: str
) -> tuple[np.ndarray, tuple[Any, ...] | None, list[str]]:
    """Labels as codes with their classes, or as targets.

    Args:
        y: one label a sample: array, Series, list or tensor, ``(sample,)``.
        ids: the samples' ids, ``(sample,)``, for messages.
        task: "classification", "regression", or "auto": text, truth values and categories are classes, numbers with
            a fraction are targets; whole numbers are classes unless there are too many different ones.
        name: what messages call the label.

    Returns:
        ``(codes, classes, notices)`` with int64 codes into the sorted classes (str, int, float or bool), or
        ``(targets, None, notices)`` with float64 targets. ``(sample,)`` both.

    Raises:
        InputError: labels missing, infinite, of a wrong kind or all the same.
    """
    if task not in get_args(Task):
        raise InputError(f"task must be one of {join_names(get_args(Task))}. Got {task!r}")
    category = isinstance(getattr(y, "dtype", None), pd.CategoricalDtype)
    array = to_column(y, f"label {name!r}")
    if len(array) != len(ids):
        raise InputError(f"label {name!r} must have one value a sample: {len(ids)} samples, {len(array)} labels")
    array = _usable(array, name, ids)
    notices: list[str] = []
    if task == "regression" or (task == "auto" and not category and _targets(array, name, notices)):
        return _numbers(array, name, ids), None, notices
    if array.dtype.kind == "f" and (array == np.floor(array)).all() and (np.abs(array) < 2**53).all():
        array = array.astype(np.int64)
    codes, classes = encode_values(array)
    if len(classes) < 2:
        raise InputError(f"all {len(array)} labels {name!r} are {classes[0]!r}: at least two classes are needed")
    notices.extend(_doubtful(classes, name))
    return codes, tuple(classes), notices


def _usable(array: np.ndarray, name: str, ids: np.ndarray) -> np.ndarray:
    """The labels without missing or infinite ones, in the plainest type that holds them."""
    empty = missing_mask(array)
    if array.dtype.kind in "OUT":
        empty = empty | np.array([isinstance(value, str) and not value.strip() for value in array], dtype=bool)
    if empty.any():
        raise InputError(
            f"label {name!r} is missing in {empty.sum()} of {len(array)} samples ({describe_rows(empty, ids)}): label them or "
            "leave them out (empty cells, NA, null and None count as missing)"
        )
    if array.dtype == object:
        array = infer_dtype(array)
    if array.dtype.kind in "mM" or (array.dtype == object and are_dates({type(value) for value in array})):
        raise InputError(f"label {name!r} holds dates or times: turn them into classes or numbers")
    if array.dtype.kind == "c":
        raise InputError(f"label {name!r} holds complex numbers: give classes or real numbers")
    if array.dtype == object:
        odd = np.array([not isinstance(value, str | int | float | np.generic) for value in array])
        if odd.any():
            kind = type(array[odd][0]).__name__
            raise InputError(
                f"label {name!r} holds a value of type {kind} ({describe_rows(odd, ids)}): give text or numbers"
            )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        endless = ~np.isfinite(array)
        raise InputError(
            f"label {name!r} is infinite in {endless.sum()} samples ({describe_rows(endless, ids)}): mend those"
        )
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _targets(array: np.ndarray, name: str, notices: list[str]) -> bool:
    """Whether labels are numbers to predict rather than classes; says so where there is doubt."""
    if array.dtype.kind not in "iuf":
        return False
    distinct, counts = np.unique(array, return_counts=True)
    if array.dtype.kind == "f" and (distinct != np.floor(distinct)).any():
        if len(distinct) <= min(_FEW, len(array) // 2):
            notices.append(
                f"The label {name!r} has {len(distinct)} different values, some with a fraction: taken as numbers to "
                "predict (regression). If they are classes, say task='classification'."
            )
        return True
    if len(distinct) <= _FEW:
        return False
    running = distinct[0] in (0, 1) and distinct[-1] - distinct[0] == len(distinct) - 1
    if running and counts.min() >= _REPEATED:
        return False
    amounts = len(distinct) ** 2 > len(array)
    taken, other = ("numbers to predict (regression)", "classification") if amounts else ("classes", "regression")
    notices.append(
        f"The label {name!r} has {len(distinct)} different whole numbers in {len(array)} samples: taken as {taken}. "
        f"To change that, say task='{other}'."
    )
    return amounts


def _numbers(array: np.ndarray, name: str, ids: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        parsed = pd.to_numeric(pd.Series(array, dtype=object).astype(str), errors="coerce").to_numpy(dtype=np.float64)
        odd = ~np.isfinite(parsed)
        if odd.any():
            raise InputError(
                f"label {name!r} must be numbers for regression. Got {str(array[odd][0])[:40]!r} ({describe_rows(odd, ids)}): "
                "mend the label or say task='classification'"
            )
        array = parsed
    targets = array.astype(np.float64)
    if (targets == targets[0]).all():
        raise InputError(f"all {len(targets)} labels {name!r} are {targets[0]:g}: there is nothing to predict")
    return targets


def _doubtful(classes: list[Any], name: str) -> list[str]:
    """Classes that look like two spellings of one."""
    spelled: dict[str, list[Any]] = {}
    for value in classes:
        spelled.setdefault(str(value).strip().casefold(), []).append(value)
    twins = [same for same in spelled.values() if len(same) > 1]
    if not twins:
        return []
    shown = "; ".join(join_names(same) for same in twins[:3])
    return [f"Classes of {name!r} that differ only in spelling count as different: {shown}."]
