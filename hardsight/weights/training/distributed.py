"""Several ranks, one batch: what each holds is brought together, and every rank goes on with the same whole."""

from typing import NamedTuple

import torch
from torch import Tensor, distributed

from hardsight.errors import InputError

_FAILED = -1
_AVAILABLE = distributed.is_available()


def world_size() -> int:
    """How many processes train together; 1 where ``torch.distributed`` was not started."""
    return distributed.get_world_size() if _AVAILABLE and distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this is; 0 where there is one."""
    return distributed.get_rank() if world_size() > 1 else 0


class RankSlices(NamedTuple):
    """How many rows of the global batch are each rank's, in the order of ranks."""

    sizes: tuple[int, ...]
    rank: int

    @property
    def own(self) -> slice:
        """Where this rank's rows are."""
        start = sum(self.sizes[: self.rank])
        return slice(start, start + self.sizes[self.rank])

    def whole(self, mine: Tensor) -> Tensor:
        """The tensors of all ranks, one below the other; gradients flow through this rank's own rows. ``(row, …)``"""
        padded = mine.new_zeros((max(self.sizes), *mine.shape[1:]))
        padded[: len(mine)] = mine.detach()
        theirs = [torch.empty_like(padded) for _ in self.sizes]
        distributed.all_gather(theirs, padded)
        parts = [part[:size] for part, size in zip(theirs, self.sizes, strict=True)]
        parts[self.rank] = mine
        return torch.cat(parts)


def exchange_sizes(rows: int, device: torch.device, fault: Exception | None) -> RankSlices:
    """How many rows each rank brings; where one refuses its batch, all do, so that none waits for it for ever.

    Args:
        rows: of this rank's batch.
        device: of the tensors that will be brought together.
        fault: why this rank refuses its batch, or None.

    Raises:
        Exception: ``fault``, where there is one.
        InputError: another rank refused its batch.
    """
    mine = torch.tensor([rows if fault is None else _FAILED], device=device)
    all_sizes = [torch.empty_like(mine) for _ in range(world_size())]
    distributed.all_gather(all_sizes, mine)
    sizes = tuple(int(size) for size in all_sizes)
    if fault is not None:
        raise fault
    if _FAILED in sizes:
        raise InputError(f"rank {sizes.index(_FAILED)} refused its batch: its own error says why")
    return RankSlices(sizes, rank())


def first_occurrences(ids: Tensor) -> Tensor:
    """Where each id comes for the first time. ``(sample,)`` bool

    >>> first_occurrences(torch.tensor([4, 2, 4, 2, 3]))
    tensor([ True,  True, False, False,  True])
    """
    ordered, order = ids.sort(stable=True)
    first = torch.ones_like(ids, dtype=torch.bool)
    first[order[1:]] = ordered[1:] != ordered[:-1]
    return first


def scale_gradient(total: Tensor, count: int) -> Tensor:
    """The same number, with the gradient times the number of ranks, ``count``.

    ``DistributedDataParallel`` averages gradients over ranks; each holds the part of the global loss's gradient that comes
    from its own rows, and these must be added up.
    """
    if count == 1:
        return total
    held = total.detach()
    return held + count * (total - held)
