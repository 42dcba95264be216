"""Reading the items of a dataset so that they do not depend on chance, and noticing those that do."""

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hardsight.data.conversion import is_from, to_numpy
from hardsight.resampling.spacing import evenly_spaced

_SEED = 0
# A transform that changes every second item goes unnoticed once in 2^8 data sets.
_MAX_ITEMS_READ_AGAIN = 8


@contextmanager
def fixed_random_state() -> Iterator[None]:
    """Seed the global random numbers of Python, numpy and torch (on the CPU) inside the block, and restore them after it.

    Random transforms of a dataset then draw the same numbers every time that the data are read.
    """
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - what transforms draw from
    torch = sys.modules.get("torch")
    tensors = None if torch is None else torch.get_rng_state()
    random.seed(_SEED)
    np.random.seed(_SEED)  # noqa: NPY002
    if torch is not None:
        torch.default_generator.manual_seed(_SEED)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(tensors)


def changed_item(read: Callable[[int], Any], n_items: int, items: Sequence[Any] | None = None) -> int | None:
    """Return the first item that is another one when it is read again, of a few of them; None if there is none.

    Args:
        read: returns an item by its index.
        n_items: number of items.
        items: what was read before; None: each is read twice.
    """
    rows = spaced_rows(n_items)
    return next((row for row in rows if not _equal(read(row) if items is None else items[row], read(row))), None)


def spaced_rows(n_items: int) -> list[int]:
    """Return a few rows, evenly spaced.

    >>> spaced_rows(15)
    [0, 2, 4, 6, 8, 10, 12, 14]
    """
    rows: list[int] = evenly_spaced(n_items, _MAX_ITEMS_READ_AGAIN).tolist()
    return rows


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(_equal(*pair) for pair in zip(one, other, strict=True))
    if is_from(one, "PIL") and is_from(other, "PIL"):
        return bool(one.size == other.size and one.tobytes() == other.tobytes())
    first, second = np.asarray(to_numpy(one)), np.asarray(to_numpy(other))
    if first.dtype.kind in "fc" and second.dtype.kind in "fc":
        return bool(np.array_equal(first, second, equal_nan=True))
    # Objects of a class without equality tell nothing.
    return first.dtype == object or bool(np.array_equal(first, second))
