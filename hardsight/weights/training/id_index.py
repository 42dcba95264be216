"""Ids: which row of a table is a sample's own, whatever order the samples come in."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.validation import check_int

_ADVICE = "let the data set give each sample's number: hs.indexed(dataset)"

_MAX_SMALL = 4096
# What a table from id to row may have places for, times the ids.
_MAX_SPARSITY = 8


def as_ids(ids: Any) -> Tensor:
    """The ids as an int64 tensor, ``(sample,)``.

    Raises:
        InputError: they are absent, not whole numbers, or not one-dimensional.

    >>> as_ids([3, 1])
    tensor([3, 1])
    """
    if isinstance(ids, Tensor) and ids.dtype is torch.int64 and ids.dim() == 1:
        return ids
    if ids is None:
        raise InputError(f"ids are missing: {_ADVICE} and pass ids=…")
    if not isinstance(ids, Tensor):
        values = np.asarray(ids)
        if values.dtype.kind not in "iu" and values.size:
            raise InputError(f"ids must be whole numbers, not {values.dtype}: {_ADVICE}")
        ids = torch.from_numpy(values.astype(np.int64))
    found: Tensor = ids
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise InputError(f"ids must be whole numbers, not {found.dtype}: {_ADVICE}; floats lose large ones")
    if found.dim() != 1:
        raise InputError(f"ids must be one-dimensional. Got the shape {tuple(found.shape)}")
    return found.long()


class IdIndex(nn.Module):
    """The ids that are known: either all whole numbers below a count, or any that are listed.

    Attributes:
        count: how many; 0 where none are known.
        known: the listed ids in ascending order, ``(sample,)`` int64; None where they are 0, 1, … in their order.
    """

    known: Tensor | None
    _places: Tensor | None

    def __init__(self, num_samples: int | None = None, ids: Any = None) -> None:
        """Either, neither, or both where they agree.

        Raises:
            InputError: ``num_samples`` is not 1 or more, or not the number of ids, or an id comes twice.
        """
        super().__init__()
        self.count = 0 if num_samples is None else check_int("num_samples", num_samples, 1)
        self.register_buffer("known", None)
        self.register_buffer("_places", None, persistent=False)
        self._low: int = 0 if self.count else -(2**63)
        self._high: int = self.count - 1 if self.count else 2**63 - 1
        if ids is None:
            return
        listed = as_ids(ids).cpu().sort().values
        if num_samples is not None and self.count != len(listed):
            raise InputError(f"num_samples is {self.count}, but there are {len(listed)} ids: give one of both")
        if len(listed) == 0:
            raise InputError("ids are empty: give the id of every training sample")
        if len(twice := _duplicates(listed)):
            raise InputError(f"id {int(twice[0])} stands for two samples: ids must be distinct")
        self.count = len(listed)
        self._low, self._high = int(listed[0]), int(listed[-1])
        self.register_buffer("known", listed)
        self.register_buffer("_places", _lookup_table(listed), persistent=False)

    def rows(self, ids: Tensor, distinct: bool = True) -> Tensor | None:
        """The row of each id, or None where no ids are known. ``(sample,)`` int64

        Args:
            ids: whole numbers, ``(sample,)``.
            distinct: whether an id that comes twice is refused.

        Raises:
            InputError: an id that is unknown or comes twice; names it.
        """
        if ids.shape[0] and self._in_doubt(ids, distinct):
            self._refuse(ids)
        if self.known is None:
            return ids if self.count else None
        if self._places is not None:
            rows = self._places.index_select(0, ids)
            unknown = min(rows.tolist(), default=0) < 0 if _is_small(ids) else bool((rows < 0).any())
        else:
            rows = torch.searchsorted(self.known, ids)
            unknown = not torch.equal(self.known.index_select(0, rows), ids)
        if unknown:
            self._refuse(ids)
        return rows

    def _in_doubt(self, ids: Tensor, distinct: bool) -> bool:
        """Whether an id comes twice, or is below or above all that are known."""
        if not _is_small(ids):
            ordered = ids.sort().values
            wrong = (ordered[1:] == ordered[:-1]).any() & distinct
            return bool(wrong | ((ordered[0] < self._low) | (ordered[-1] > self._high)))
        # A batch is short: the interpreter, which is at work anyway, is done before a library has begun.
        numbers = ids.tolist()
        if distinct and len(set(numbers)) < len(numbers):
            return True
        return not self._low <= min(numbers) <= max(numbers) <= self._high

    def _refuse(self, ids: Tensor) -> None:
        if self.count:
            absent = (ids < 0) | (ids >= self.count) if self.known is None else ~torch.isin(ids, self.known)
            if bool(absent.any()):
                known = f"0 to {self.count - 1}" if self.known is None else f"the {self.count} that were given as ids="
                raise InputError(f"id {int(ids[absent][0])} is unknown: the ids are {known}")
        twice = _duplicates(ids.sort().values)
        raise InputError(
            f"id {int(twice[0])} comes twice in a batch: draw without replacement, or pass repeated='count' "
            "where the sampler draws with replacement"
        )


def _is_small(ids: Tensor) -> bool:
    return ids.is_cpu and ids.shape[0] <= _MAX_SMALL


def _lookup_table(known: Tensor) -> Tensor | None:
    """The row of every number up to the largest id, -1 where it is none; None where that would be a large table."""
    length = int(known[-1]) + 1
    if known[0] < 0 or length > _MAX_SPARSITY * len(known):
        return None
    places = torch.full((length,), -1)
    places[known] = torch.arange(len(known))
    return places


def _duplicates(ordered: Tensor) -> Tensor:
    return ordered[1:][ordered[1:] == ordered[:-1]]
