"""Columns that tell the label: the label under a second name, and columns that were made from it."""

import numpy as np
import pandas as pd

from hardsight.data.feature_columns.column import ColumnNote

# With fewer rows, a feature tells the label by chance.
_MIN_ROWS = 20
# A category tells the label if the other rows with its value give the right one in this share of the rows, ...
_MIN_ACCURACY = 0.97
# ... and if it removes at least this share of the errors of always answering the commonest class.
_MIN_GAIN = 0.8
# A correlation this near to 1 is the same quantity in another unit.
_SAME = 1 - 1e-10
# A column of numbers is looked at as categories if it has at most so many different values.
_MAX_VALUES = 20


def note_label_copies(
    table: pd.DataFrame, labels: np.ndarray, n_classes: int | None, label_name: str | None = None
) -> list[ColumnNote]:
    """Return a note for each column that tells the label in all, or nearly all, rows.

    "left out" if the column is the label by another name; "doubtful" if it determines the label in another way, as a
    column that was made from it does, or a very good feature.

    Args:
        table: cleaned feature columns.
        labels: class codes or targets, ``(row,)``.
        n_classes: number of classes; None for regression.
        label_name: name of the label; a column of that name is compared however few the rows are.
    """
    notes = []
    for name, column in table.items():
        if len(table) < _MIN_ROWS and name != label_name:
            continue
        detail = _compare_targets(column, labels) if n_classes is None else _compare_classes(column, labels, n_classes)
        if detail is not None:
            notes.append(ColumnNote("left out" if detail.startswith("the label") else "doubtful", str(name), detail))
    return notes


def _compare_classes(column: pd.Series, labels: np.ndarray, n_classes: int) -> str | None:
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if numeric and len(np.unique(column.to_numpy())) > max(_MAX_VALUES, n_classes):
        return "tells the label in every row" if _separates(column.to_numpy(), labels, n_classes) else None
    codes, values = pd.factorize(column, use_na_sentinel=False)
    if len(values) > len(labels) / 2:
        return None
    counts = np.zeros((len(values), n_classes), dtype=np.int64)
    np.add.at(counts, (codes, labels), 1)
    if len(values) == n_classes and ((counts > 0).sum(axis=0) == 1).all() and ((counts > 0).sum(axis=1) == 1).all():
        return "the label by another name"
    others = counts[codes]
    others[np.arange(len(labels)), labels] -= 1
    right = (others.argmax(axis=1) == labels) & others.any(axis=1)
    accuracy, commonest = float(right.mean()), float(np.bincount(labels).max() / len(labels))
    if accuracy < _MIN_ACCURACY or 1 - accuracy > (1 - _MIN_GAIN) * (1 - commonest):
        return None
    return "tells the label in every row" if right.all() else f"tells the label in {accuracy:.1%} of the rows"


def _separates(numbers: np.ndarray, labels: np.ndarray, n_classes: int) -> bool:
    """Return whether each class takes up one interval of its own."""
    if np.isnan(numbers.astype(np.float64)).any():
        return False
    order = np.lexsort((labels, numbers))
    changes = np.flatnonzero(np.diff(labels[order]))
    # Rows of different classes with one value cannot be told apart by it.
    apart = (numbers[order][changes] < numbers[order][changes + 1]).all()
    return bool(len(changes) == n_classes - 1 and apart)


def _compare_targets(column: pd.Series, targets: np.ndarray) -> str | None:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return None
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    present = ~np.isnan(numbers)
    numbers, targets = numbers[present], targets[present]
    if len(numbers) < 2 or numbers.std() == 0 or targets.std() == 0:
        return None
    if abs(np.corrcoef(numbers, targets)[0, 1]) >= _SAME:
        return "the label in another unit" if present.all() else "tells the label wherever it has a value"
    ranks, target_ranks = (pd.Series(values).rank().to_numpy() for values in (numbers, targets))
    different = min(len(np.unique(numbers)), len(np.unique(targets))) > _MAX_VALUES
    if different and abs(np.corrcoef(ranks, target_ranks)[0, 1]) >= _SAME:
        return "ranks the rows exactly as the label does"
    return None
