"""The row of each sample in a table, by its id."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.validation import check_int

_ADVICE = "let the data set give the ids, hs.indexed(dataset)"

# Up to this many ids, a Python loop is faster than torch.
_MAX_SMALL = 4096
# Largest size of the lookup table from id to row, as a multiple of the number of ids.
_MAX_SPARSITY = 8


def as_ids(ids: Any) -> Tensor:
    """Convert ids to an int64 tensor. ``(sample,)``

    Raises:
        InputError: the ids are missing, not integers, or not one-dimensional.

    >>> as_ids([3, 1])
    tensor([3, 1])
    """
    if isinstance(ids, Tensor) and ids.dtype is torch.int64 and ids.dim() == 1:
        return ids
    if ids is None:
        raise InputError(f"ids are missing: {_ADVICE}, and pass those of the batch, weighting(losses, ids)")
    if not isinstance(ids, Tensor):
        try:
            values = np.asarray(ids)
        except ValueError:
            raise InputError("ids must be one-dimensional. Got lists of different lengths") from None
        if values.dtype.kind not in "iu" and values.size:
            raise InputError(f"ids must be integers. Got {values.dtype}: {_ADVICE}")
        if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
            raise InputError(f"ids must be below 2**63. Got {values.max()}")
        ids = torch.from_numpy(values.astype(np.int64))
    tensor: Tensor = ids
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise InputError(f"ids must be integers. Got {tensor.dtype}: {_ADVICE}; floats round large ids")
    if tensor.dim() != 1:
        raise InputError(f"ids must be one-dimensional. Got the shape {tuple(tensor.shape)}")
    return tensor.long()


class IdIndex(nn.Module):
    """The ids of the training samples: either all integers below a count, or a list.

    Attributes:
        count: number of ids; 0 if none are known.
        ids: the listed ids in ascending order, ``(sample,)`` int64; None if they are 0, 1, … in order.
    """

    ids: Tensor | None

    def __init__(self, num_samples: int | None = None, ids: Any = None) -> None:
        """Create an index from a count, from a list, from both if they agree, or from neither.

        Raises:
            InputError: ``num_samples`` is not 1 or more, or not the number of ids, or an id is repeated.
        """
        super().__init__()
        self.count = 0 if num_samples is None else check_int("num_samples", num_samples, 1)
        self.register_buffer("ids", None)
        # No buffer: the from_pretrained of Transformers leaves buffers that are not saved without values.
        self._table: Tensor | None = None
        self._low: int = 0 if self.count else -(2**63)
        self._high: int = self.count - 1 if self.count else 2**63 - 1
        if ids is None:
            return
        ordered = as_ids(ids).cpu().sort().values
        if num_samples is not None and self.count != len(ordered):
            raise InputError(f"num_samples is {self.count}, but there are {len(ordered)} ids: pass only one of them")
        if len(ordered) == 0:
            raise InputError("ids are empty: pass the id of every training sample")
        if len(duplicates := _duplicates(ordered)):
            raise InputError(f"ids must be distinct: two samples have the id {int(duplicates[0])}")
        self.count = len(ordered)
        self._low, self._high = int(ordered[0]), int(ordered[-1])
        self.register_buffer("ids", ordered)
        self._table = _lookup_table(ordered)

    def find_rows(self, ids: Tensor, distinct: bool = True) -> Tensor | None:
        """Return the row of each id, or None if no ids are known. ``(sample,)`` int64

        Args:
            ids: integers, ``(sample,)``.
            distinct: whether a repeated id is an error.

        Raises:
            InputError: an id is unknown or repeated; names it.
        """
        if ids.shape[0] and self._has_suspect(ids, distinct):
            self._raise_bad_id(ids)
        if self.ids is None:
            return ids if self.count else None
        if self._table is not None:
            if self._table.device != ids.device:
                self._table = self._table.to(ids.device)
            rows = self._table.index_select(0, ids)
            unknown = min(rows.tolist(), default=0) < 0 if _is_small(ids) else bool((rows < 0).any())
        else:
            rows = torch.searchsorted(self.ids, ids)
            unknown = not torch.equal(self.ids.index_select(0, rows), ids)
        if unknown:
            self._raise_bad_id(ids)
        return rows

    def describe(self) -> str:
        """Describe the known ids in words."""
        return f"0 to {self.count - 1}" if self.ids is None else f"the {self.count} of the weights"

    def has_ids(self, ids: Tensor | None) -> bool:
        """Return whether these are the listed ids, in ascending order; None if 0, 1, … are."""
        if ids is None or self.ids is None:
            return ids is self.ids
        return torch.equal(ids.cpu(), self.ids.cpu())

    def _has_suspect(self, ids: Tensor, distinct: bool) -> bool:
        """Whether an id is repeated, or below or above all known ids."""
        if not _is_small(ids):
            ordered = ids.sort().values
            wrong = (ordered[1:] == ordered[:-1]).any() & distinct
            return bool(wrong | ((ordered[0] < self._low) | (ordered[-1] > self._high)))
        numbers = ids.tolist()
        if distinct and len(set(numbers)) < len(numbers):
            return True
        return not self._low <= min(numbers) <= max(numbers) <= self._high

    def _raise_bad_id(self, ids: Tensor) -> None:
        if self.count:
            unknown = (ids < 0) | (ids >= self.count) if self.ids is None else ~torch.isin(ids, self.ids)
            if bool(unknown.any()):
                raise InputError(
                    f"id {int(ids[unknown][0])} is unknown: the ids are {self.describe()}; for "
                    "those of a difficulty pass hs.indexed(dataset, ids=d.ids); hs.indexed numbers a subset as in the whole "
                    "data set: if the weights have its own order, pass ids=range(len(dataset))"
                )
        duplicates = _duplicates(ids.sort().values)
        raise InputError(
            f"id {int(duplicates[0])} comes twice in a batch: draw without replacement, or pass repeated='count' if the "
            "sampler draws with replacement; if two data sets were joined, give their samples distinct ids, "
            "hs.indexed(ConcatDataset([a, b]))"
        )


def _is_small(ids: Tensor) -> bool:
    return ids.is_cpu and ids.shape[0] <= _MAX_SMALL


def _lookup_table(ids: Tensor) -> Tensor | None:
    """Return the row of every number up to the largest id, -1 if it is not an id; None if the table would be large."""
    length = int(ids[-1]) + 1
    if ids[0] < 0 or length > _MAX_SPARSITY * len(ids):
        return None
    table = torch.full((length,), -1)
    table[ids] = torch.arange(len(ids))
    return table


def _duplicates(ordered: Tensor) -> Tensor:
    return ordered[1:][ordered[1:] == ordered[:-1]]
