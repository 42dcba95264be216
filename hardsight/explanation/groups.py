"""The groups that every part of an explanation reports: all samples, classes, causes, and deciles of difficulty."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hardsight.attribution.names import causes_in
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import group_by_class

N_DECILES = 10
BY = ("all", "class", "cause", "decile")


class Group(NamedTuple):
    """A group of samples."""

    by: str  # one of BY
    name: str  # the class, the cause, or the number of the decile from 1, the easiest tenth; "all" for all samples
    rows: np.ndarray  # mask, (sample,)


def assign_deciles(error: np.ndarray) -> np.ndarray:
    """Return the decile of each sample by its error, 1 the easiest; ties in the given order. ``(sample,)`` int64.

    >>> assign_deciles(np.array([0.3, 0.1, 0.2])).tolist()
    [7, 1, 4]
    """
    rank = np.empty(len(error), dtype=np.int64)
    rank[np.argsort(error, kind="stable")] = np.arange(len(error))
    decile: np.ndarray = rank * N_DECILES // max(len(error), 1) + 1
    return decile


def list_groups(d: Difficulty) -> Iterator[Group]:
    """Yield all groups that are not empty: classes in the order of their codes, causes in that of the ledger."""
    yield Group("all", "all", np.ones(len(d), dtype=bool))
    if d.classes is not None:
        _, codes, names = group_by_class(d)
        for code in np.unique(codes):
            yield Group("class", str(names[code]), codes == code)
    if d.cause is not None:
        for cause in causes_in(d.cause):
            if (d.cause == cause).any():
                yield Group("cause", cause, d.cause == cause)
    decile = assign_deciles(d.error)
    for number in np.unique(decile):
        yield Group("decile", str(number), decile == number)
