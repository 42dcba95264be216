"""Alignment of values that have one entry per sample: by index or by id, never by position where the orders differ."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from hardsight.errors import Faults, InputError


def check_indexes(**arguments: Any) -> None:
    """Refuse arguments whose indexes contradict each other, such as a frame and a Series in another order.

    Libraries differ in whether such values are matched by index or by position; a wrong guess shuffles all labels. What has
    no index is matched by position. So is a default index (0, 1, …), unless the other one holds the same numbers in another
    order.

    Args:
        arguments: values by the name of the argument; those without an index are ignored.

    Raises:
        InputError: two indexes contradict each other; each argument once.

    >>> check_indexes(X=pd.Series([5, 6]), y=pd.Series([1, 0], index=["a", "b"]))
    """
    faults = Faults()
    indexes = {name: index for name, value in arguments.items() if (index := _index_of(value)) is not None}
    refused: set[str] = set()
    for (first, index), (second, other) in combinations(indexes.items(), 2):
        if second in refused or first in refused:
            continue
        with faults.collect():
            refused.add(second)
            _check_pair(first, index, second, other)
            refused.remove(second)
    faults.raise_all()


def align_to_ids(name: str, values: Any, ids: np.ndarray) -> Any:
    """Return values in the order of the ids: by their index if it holds the ids, by position if it is 0, 1, ….

    Args:
        name: what messages call the values.
        values: a Series or frame, ``(sample, …)``; anything else has no index and is returned unchanged.
        ids: unique, ``(sample,)``.

    Returns:
        An array ``(sample, …)``.

    Raises:
        InputError: an index of other values, or of other samples.

    >>> align_to_ids("groups", pd.Series([1, 2], index=["b", "a"]), np.array(["a", "b"])).tolist()
    [2, 1]
    """
    index = _index_of(values)
    if index is None or len(index) != len(ids):
        return values
    rows = index.get_indexer(pd.Index(ids)) if index.is_unique else np.full(len(ids), -1)
    if not (rows < 0).any():
        return values.to_numpy()[rows]
    if not _is_default(index):
        raise InputError(
            f"{name} must be indexed by the ids of the {len(ids):,} samples, each once. The index holds other ids: index it "
            "by id, or pass an array in the order of the samples"
        )
    return values.to_numpy()


def _index_of(value: Any) -> pd.Index | None:
    # The attribute of a list or a tuple is a method.
    index = getattr(value, "index", None)
    return index if isinstance(index, pd.Index) else None


def _check_pair(first: str, index: pd.Index, second: str, other: pd.Index) -> None:
    if len(index) != len(other):
        _check_lengths(first, index, second, other)
        return
    # pandas cannot look up single values in an index of tuples.
    comparable = index.nlevels == other.nlevels
    if index.equals(other):
        return
    permuted = comparable and bool(index.isin(other).all() and other.isin(index).all())
    if not permuted and (_is_default(index) or _is_default(other)):
        return
    by_index = f"{second}.reindex({first}.index) to match them by index, or " if permuted and other.is_unique else ""
    raise InputError(
        f"{first} and {second} have different indexes: pass {by_index}{second}.to_numpy() to match them by position"
    )


def _check_lengths(first: str, index: pd.Index, second: str, other: pd.Index) -> None:
    """Refuse values of more samples, such as all labels with some of the rows of a frame, and say how to select them.

    Whatever reads the values refuses other lengths; it does not know the index.
    """
    if len(other) < len(index):
        first, index, second, other = second, other, first, index
    selects = index.nlevels == other.nlevels and other.is_unique and bool(index.isin(other).all())
    if selects and not _is_default(index):
        raise InputError(
            f"{second} has {len(other)} values for the {len(index)} of {first}: pass {second}.loc[{first}.index]"
        )


def _is_default(index: pd.Index) -> bool:
    return bool(index.equals(pd.RangeIndex(len(index))))
