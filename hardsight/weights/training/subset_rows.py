"""Which rows of the whole data set a subset has, where the subset tells: torch's subsets, selections of Hugging Face."""

from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import ConcatDataset, Subset

from hardsight.data.from_datasets import is_hugging_face
from hardsight.errors import InputError


class SubsetRows(NamedTuple):
    """The rows that a data set takes from another one.

    Attributes:
        whole: the other one; the data set itself if it is no subset.
        rows: row of each sample in the whole, ``(sample,)`` int64.
        size: number of rows in the whole.
    """

    whole: Any
    rows: np.ndarray
    size: int


def find_subset_rows(dataset: Any) -> SubsetRows:
    """Return the rows of a data set in the whole that it was taken from, also through subsets of subsets.

    Joined data sets (``ConcatDataset``) are numbered on, unless all of them are subsets of one whole. Selections of Hugging
    Face that were written anew (``map``, ``flatten_indices``) tell nothing of the whole any more.

    Raises:
        InputError: a slice of a Hugging Face data set does not tell where it begins.
    """
    if isinstance(dataset, Subset):
        inner = find_subset_rows(dataset.dataset)
        return inner._replace(rows=inner.rows[np.asarray(dataset.indices, dtype=np.int64)])
    if isinstance(dataset, ConcatDataset):
        return _join([find_subset_rows(part) for part in dataset.datasets])
    if is_hugging_face(dataset) and hasattr(dataset, "_indices"):
        rows = _find_selected_rows(dataset)
        return SubsetRows(dataset, rows, max(int(rows.max(initial=-1)) + 1, len(dataset._data)))
    return SubsetRows(dataset, np.arange(len(dataset)), len(dataset))


def is_reordered(rows: np.ndarray) -> bool:
    """Whether the rows are 0, 1, … in another order: the order of the whole and that of the subset then look alike.

    >>> is_reordered(np.array([1, 0, 2])), is_reordered(np.array([0, 1])), is_reordered(np.array([3, 1]))
    (True, False, False)
    """
    positions = np.arange(len(rows))
    return not np.array_equal(rows, positions) and np.array_equal(np.sort(rows), positions)


def _join(parts: list[SubsetRows]) -> SubsetRows:
    sizes = {id(part.whole): part.size for part in parts}
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    rows = np.concatenate([part.rows + starts[id(part.whole)] for part in parts])
    whole = parts[0].whole if len(sizes) == 1 else tuple(part.whole for part in parts)
    return SubsetRows(whole, rows, sum(sizes.values()))


def _find_selected_rows(dataset: Any) -> np.ndarray:
    """Return the rows of a Hugging Face data set in the table below it."""
    # The library has no public name for these: select, filter, shuffle, sort and train_test_split keep a table of rows, or
    # slice the table if the rows follow one another.
    start, indices = _find_start(dataset._data), dataset._indices
    if start is None:
        raise InputError(
            "this data set is a slice that does not tell which rows of the whole it has: pass hs.indexed(dataset, ids=…), "
            "the row of each sample"
        )
    rows = np.arange(len(dataset)) if indices is None else np.asarray(indices.column(0), dtype=np.int64)
    return rows + start


def _find_start(table: Any) -> int | None:
    """Return the row of the whole that a table of Hugging Face begins with; None if it does not tell."""
    if hasattr(table, "replays"):
        # A file has chunks of its own, so that only the slices themselves tell.
        return sum(_find_slices(table))
    if not hasattr(table, "blocks"):
        offsets = [chunk.offset for chunk in table.column(0).chunks] if table.num_columns else []
        return None if any(offsets) and len(offsets) > 1 else sum(offsets)
    # A slice of joined tables leaves out those before it, and only the first of the others tells that something is missing.
    parts = [part for row in table.blocks for part in row]
    is_slice = any(_find_slices(part) or _find_start(part) != 0 for part in parts)
    return None if is_slice else 0


def _find_slices(table: Any) -> list[int]:
    """Return where each slice that a table in a file was made by begins in the table before."""
    slices = [(args, more) for name, args, more in getattr(table, "replays", None) or () if name == "slice"]
    return [int(args[0] if args else more.get("offset", 0)) for args, more in slices]
