"""Labels: class codes or numbers to predict, and which of the two they are."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from hardsight.data.columns import are_dates, encode_in_order, encode_values, infer_dtype, missing_mask, to_column
from hardsight.data.conversion import to_numpy, to_series
from hardsight.data.label_numbers import parse_targets, read_written_numbers
from hardsight.data.spellings import check_spellings
from hardsight.errors import InputError
from hardsight.validation import check_choice, describe_rows

Task = Literal["auto", "classification", "regression"]

# Up to this many different integers are always classes; more must be plausible for the number of samples.
_MAX_SMALL = 20
# Class codes that start at 0 or 1 without a gap are accepted as classes if each occurs this often.
_MIN_REPEATS = 5


class EncodedLabels(NamedTuple):
    """Labels of the samples."""

    values: np.ndarray  # int64 codes into classes, or float64 targets if there are none. (sample,)
    classes: tuple[Any, ...] | None  # the sorted classes (str, int, float or bool); None for regression
    notices: list[str]  # what a user should know about how the labels were read


def encode_labels(y: Any, *, ids: np.ndarray, task: str, name: str, merge_spellings: bool | None = False) -> EncodedLabels:
    """Convert labels to codes with their classes, or to targets.

    Args:
        y: one label per sample: array, Series, list or tensor, ``(sample,)``.
        ids: the samples' ids, ``(sample,)``, for messages.
        task: "classification", "regression", or "auto": text, booleans and categories are classes, numbers with a
            fraction are targets; integers are classes unless there are too many different ones.
        name: what messages call the label.
        merge_spellings: whether classes that differ only in case, blanks or the encoding of letters are one; None if
            the caller has no such option.

    Raises:
        InputError: labels that are missing, infinite, of a wrong type or all the same.
    """
    check_choice("task", task, get_args(Task))
    y = to_series(y, f"label {name!r}")
    is_category = isinstance(getattr(y, "dtype", None), pd.CategoricalDtype)
    _refuse_one_hot(y, name)
    array = to_column(y, f"label {name!r}")
    if len(array) != len(ids):
        raise InputError(f"label {name!r} must have one value per sample: {len(ids)} samples, {len(array)} labels")
    _refuse_missing(array, name, ids)
    array, intervals = _name_intervals(infer_dtype(array) if array.dtype == object else array)
    array = _check_types(array, name, ids)
    notices: list[str] = []
    if task == "auto" and not is_category and intervals is None and array.dtype.kind in "OUT":
        array = read_written_numbers(array, name, ids, notices)
    if task == "regression" or (task == "auto" and not is_category and _are_targets(array, name, notices)):
        return EncodedLabels(_to_targets(array, name, ids, notices), None, notices)
    if array.dtype.kind == "f" and (array == np.floor(array)).all() and (np.abs(array) < 2**53).all():
        array = array.astype(np.int64)
    array, similar = check_spellings(array, f"Classes of {name!r}", merge=merge_spellings)
    array = infer_dtype(array) if array.dtype == object else array
    codes, classes = encode_values(array) if intervals is None else encode_in_order(array, intervals)
    if len(classes) < 2:
        raise InputError(f"all {len(array)} labels {name!r} are {classes[0]!r}: at least two classes are needed")
    return EncodedLabels(codes, tuple(classes), [*notices, *similar])


def _refuse_one_hot(y: Any, name: str) -> None:
    """Refuse a matrix of zeros and ones in place of labels, with what makes labels of it."""
    matrix = np.array(y) if isinstance(y, list | tuple) and _are_rows(y) else to_numpy(y)
    is_binary = isinstance(matrix, np.ndarray) and matrix.ndim == 2 and matrix.shape[1] > 1 and matrix.dtype.kind in "biuf"
    if not is_binary or not np.isin(matrix, (0, 1)).all():
        return
    if (matrix.sum(axis=1) == 1).all():
        argmax = "y.argmax(1)" if hasattr(y, "argmax") else "np.argmax(y, axis=1)"
        raise InputError(
            f"label {name!r} must be one value per sample. Got one-hot rows of {matrix.shape[1]}: pass {argmax}"
        )
    raise InputError(
        f"label {name!r} must be one value per sample. Got rows of {matrix.shape[1]} zeros and ones, several labels per "
        "sample: pass them to hs.measure, or take one of them at a time, [row[0] for row in y]"
    )


def _are_rows(y: Sequence[Any]) -> bool:
    """Return whether a list holds lists of numbers of one length."""
    lengths = {len(row) if isinstance(row, list | tuple) else -1 for row in y}
    return len(lengths) == 1 and lengths != {-1} and all(isinstance(value, int | float) for row in y for value in row)


def _name_intervals(array: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
    """Return intervals as text, and the texts in the order of the intervals; None if the labels are something else."""
    if array.dtype != object or not all(isinstance(value, pd.Interval) for value in array):
        return array, None
    names = {interval: str(interval) for interval in sorted(set(array))}
    return np.array([names[interval] for interval in array]), list(names.values())


def missing_labels(array: np.ndarray) -> np.ndarray:
    """Return where a label is missing: None, NaN, or blank text. ``(sample,)`` bool."""
    missing = missing_mask(array)
    if array.dtype.kind in "OUT":
        missing = missing | np.array([isinstance(value, str) and not value.strip() for value in array], dtype=bool)
    return missing


def _refuse_missing(array: np.ndarray, name: str, ids: np.ndarray) -> None:
    missing = missing_labels(array)
    if missing.any():
        raise InputError(
            f"label {name!r} is missing in {missing.sum()} of {len(array)} samples ({describe_rows(missing, ids)}): label "
            "them or leave them out (empty cells, NA, null and None count as missing)"
        )


def _check_types(array: np.ndarray, name: str, ids: np.ndarray) -> np.ndarray:
    """Return the labels if they are text or finite real numbers."""
    if array.dtype.kind in "mM" or (array.dtype == object and are_dates({type(value) for value in array})):
        raise InputError(f"label {name!r} holds dates or times: turn them into text (y.astype(str)) or numbers")
    if array.dtype.kind == "c":
        raise InputError(f"label {name!r} holds complex numbers: use classes or real numbers")
    if array.dtype == object:
        invalid = np.array([not isinstance(value, str | int | float | np.generic) for value in array])
        if invalid.any():
            kind = type(array[invalid][0]).__name__
            raise InputError(
                f"label {name!r} must be text or numbers. Got a value of type {kind} ({describe_rows(invalid, ids)}): "
                "convert them to text, or pass one column of labels"
            )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        infinite = ~np.isfinite(array)
        raise InputError(
            f"label {name!r} is infinite in {infinite.sum()} of {len(array)} samples ({describe_rows(infinite, ids)}): fix "
            "them or leave them out"
        )
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _are_targets(array: np.ndarray, name: str, notices: list[str]) -> bool:
    """Return whether labels are numbers to predict rather than classes; add a notice if that is doubtful."""
    if array.dtype.kind not in "iuf":
        return False
    distinct, counts = np.unique(array, return_counts=True)
    if array.dtype.kind == "f" and (distinct != np.floor(distinct)).any():
        if len(distinct) <= min(_MAX_SMALL, len(array) // 2):
            notices.append(
                f"The label {name!r} has {len(distinct)} different values, some with a fraction: taken as numbers to "
                "predict (regression). If they are classes, pass task='classification' (--task classification)."
            )
        return True
    if len(distinct) <= _MAX_SMALL:
        return False
    without_gaps = distinct[0] in (0, 1) and distinct[-1] - distinct[0] == len(distinct) - 1
    if without_gaps and counts.min() >= _MIN_REPEATS:
        return False
    are_targets = len(distinct) ** 2 > len(array)
    choice, other = ("numbers to predict (regression)", "classification") if are_targets else ("classes", "regression")
    notices.append(
        f"The label {name!r} has {len(distinct)} different integers in {len(array)} samples: taken as {choice}. "
        f"To change that, pass task='{other}' (--task {other})."
    )
    return are_targets


def _to_targets(array: np.ndarray, name: str, ids: np.ndarray, notices: list[str]) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        array = parse_targets(array, name, ids, notices)
    targets = array.astype(np.float64)
    too_large = np.abs(targets) > np.finfo(np.float32).max
    if too_large.any():
        raise InputError(
            f"label {name!r} must be finite in float32, because its square is an error. Got {targets[too_large][0]:g} "
            f"({describe_rows(too_large, ids)}): fix it, or pass all of them in a larger unit"
        )
    if (targets == targets[0]).all():
        raise InputError(f"all {len(targets)} labels {name!r} are {targets[0]:g}: there is nothing to predict")
    return targets
