"""An effective batch before its first pass: which of its samples will count, on all ranks."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hardsight.weights.training.distributed import exchange_sizes, first_occurrences, world_size
from hardsight.weights.training.id_index import as_ids
from hardsight.weights.training.weighting import Weighting


class EffectiveBatch(NamedTuple):
    """The samples of an effective batch that count, of all micro-batches and ranks, each once.

    Attributes:
        sizes: what was said of each, ``(sample,)`` int64.
        weights: of each, ``(sample,)``; None where they are not fixed, and so not known before the pass.
    """

    sizes: Tensor
    weights: Tensor | None


def gather_effective_batch(
    weighting: Weighting, ids: Sequence[Tensor], sizes: Sequence[Tensor], device: torch.device
) -> EffectiveBatch:
    """What a weighting will count of the micro-batches that come next. All ranks must call it alike.

    Args:
        weighting: knows the ids, what came before in the epoch, and fixed weights.
        ids: of each micro-batch of this rank, ``(row,)``.
        sizes: of its samples, ``(row,)`` whole numbers, such as how many tokens each has.
        device: where they are brought together.

    Raises:
        InputError: an unknown id, or on another rank something of the kind.
    """
    mine, fault = torch.empty((0, 3), dtype=torch.int64, device=device), None
    try:
        told = [_local_rows(step, *each) for step, each in enumerate(zip(ids, sizes, strict=True))]
        mine = torch.cat([mine, *(each.to(device) for each in told)])
        weighting.known.rows(mine[:, 0].contiguous(), distinct=False)
    except Exception as error:
        # Other ranks would wait for this one.
        if world_size() == 1:
            raise
        fault = error
    whole = mine if world_size() == 1 else exchange_sizes(len(mine), device, fault).whole(mine)
    every, step, size = whole.T.contiguous()
    counted = _counted(weighting, every, step)
    rows = weighting.known.rows(every[counted], distinct=False)
    return EffectiveBatch(size[counted], None if weighting.fixed is None or rows is None else weighting.fixed[rows])


def _local_rows(step: int, ids: Tensor, sizes: Tensor) -> Tensor:
    found = as_ids(ids)
    return torch.stack([found, torch.full_like(found, step), sizes.to(found)], 1)


def _counted(weighting: Weighting, ids: Tensor, steps: Tensor) -> Tensor:
    """Which samples the weighting will count, going through the steps. ``(sample,)`` bool"""
    if weighting.skips and weighting.seen is not None:
        rows = weighting.known.rows(ids, distinct=False)
        assert weighting.epoch is not None
        return first_occurrences(ids) & (weighting.seen[rows] != int(weighting.epoch))
    found = torch.ones_like(ids, dtype=torch.bool)
    if world_size() > 1 and weighting.repeated != "count":
        for step in set(steps.tolist()):
            found[steps == step] = first_occurrences(ids[steps == step])
    return found
