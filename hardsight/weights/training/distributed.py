"""Several ranks, one batch: every rank gathers the rows of all ranks and goes on with the same whole."""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed
from torch.utils.data import Sampler

from hardsight.errors import InputError

_FAILED = -1
# What samplers call the number of ranks among which they divide: torch and Lightning, accelerate, others.
_RANK_COUNTS = ("num_replicas", "num_processes", "world_size")
_AVAILABLE = distributed.is_available()


def world_size() -> int:
    """Return the number of processes that train together; 1 if ``torch.distributed`` was not started."""
    return distributed.get_world_size() if _AVAILABLE and distributed.is_initialized() else 1


def rank() -> int:
    """Return the rank of this process; 0 if there is only one."""
    return distributed.get_rank() if world_size() > 1 else 0


def find_divider(sampler: Sampler[int]) -> str | None:
    """Return the class of what divides the draws of a sampler among ranks, if it is what asks for them now.

    Accelerate divides the batches of whatever sampler it is given, and does not tell the sampler. But what iterates over
    a sampler, or asks for its length, is on the call stack.

    Args:
        sampler: the innermost sampler, whose own division does not count.

    Returns:
        The name of the class; None if no caller divides the draws.
    """
    dividers = (type(caller).__name__ for caller in _find_callers() if caller is not sampler and _divides(caller))
    return next(dividers, None)


def find_loader_epoch() -> int | None:
    """Return the epoch of the accelerate loader that is being iterated over; None if there is no such caller.

    Accelerate does not tell the epoch to a sampler whose first batches it skips.
    """
    return next((caller.iteration for caller in _find_callers() if _is_accelerate_loader(caller)), None)


def _find_callers() -> Iterator[Any]:
    """Yield the objects whose methods are on the call stack, from the innermost outwards."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_varnames[:1] == ("self",):
            yield frame.f_locals.get("self")
        frame = frame.f_back


def _divides(caller: Any) -> bool:
    kind = type(caller)
    if kind.__name__ == "DataLoaderDispatcher" and _is_accelerate_loader(caller):
        return True
    if not issubclass(kind, Sampler):
        return False
    counts = (getattr(caller, name, None) for name in _RANK_COUNTS)
    return any(isinstance(count, int) and count > 1 for count in counts)


def _is_accelerate_loader(caller: Any) -> bool:
    # isinstance would ask an object for its class, and loaders of accelerate pretend to be others.
    kind = type(caller)
    return kind.__module__ == "accelerate.data_loader" and kind.__name__ in ("DataLoaderShard", "DataLoaderDispatcher")


class RankSlices(NamedTuple):
    """Which rows of the global batch belong to which rank.

    Attributes:
        sizes: number of rows of each rank, in rank order.
        rank: this process.
    """

    sizes: tuple[int, ...]
    rank: int

    @property
    def local(self) -> slice:
        """The rows of this rank."""
        start = sum(self.sizes[: self.rank])
        return slice(start, start + self.sizes[self.rank])

    def gather(self, local: Tensor) -> Tensor:
        """Concatenate the tensors of all ranks; gradients flow through the rows of this rank only. ``(row, …)``"""
        padded = local.new_zeros((max(self.sizes), *local.shape[1:]))
        padded[: len(local)] = local.detach()
        gathered = [torch.empty_like(padded) for _ in self.sizes]
        distributed.all_gather(gathered, padded)
        parts = [part[:size] for part, size in zip(gathered, self.sizes, strict=True)]
        parts[self.rank] = local
        return torch.cat(parts)


def exchange_sizes(rows: int, device: torch.device, error: Exception | None) -> RankSlices:
    """Exchange how many rows each rank has; if one rank fails, all do, so that none waits for it forever.

    Args:
        rows: number of rows in this rank's batch.
        device: device of the tensors that will be gathered.
        error: why this rank cannot use its batch, or None.

    Raises:
        Exception: ``error``, if given.
        InputError: another rank failed.
    """
    size = torch.tensor([rows if error is None else _FAILED], device=device)
    all_sizes = [torch.empty_like(size) for _ in range(world_size())]
    distributed.all_gather(all_sizes, size)
    sizes = tuple(int(size) for size in all_sizes)
    if error is not None:
        raise error
    if _FAILED in sizes:
        raise InputError(f"rank {sizes.index(_FAILED)} refused its batch: see the error of that rank")
    return RankSlices(sizes, rank())


def first_occurrences(ids: Tensor) -> Tensor:
    """Mark the first occurrence of each id. ``(sample,)`` bool

    >>> first_occurrences(torch.tensor([4, 2, 4, 2, 3]))
    tensor([ True,  True, False, False,  True])
    """
    ordered, order = ids.sort(stable=True)
    first = torch.ones_like(ids, dtype=torch.bool)
    first[order[1:]] = ordered[1:] != ordered[:-1]
    return first


def scale_gradient(total: Tensor, factor: int) -> Tensor:
    """Return the same number with its gradient multiplied by ``factor``, the number of ranks.

    ``DistributedDataParallel`` averages gradients over ranks. Each rank has the part of the global loss's gradient that
    comes from its own rows, and these parts must be added up.
    """
    if factor == 1:
        return total
    value = total.detach()
    return value + factor * (total - value)
