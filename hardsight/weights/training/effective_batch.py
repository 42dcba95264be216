"""The effective batch before its first pass: which of its samples will count, on all ranks."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hardsight.weights.training.distributed import exchange_sizes, first_occurrences, world_size
from hardsight.weights.training.id_index import as_ids
from hardsight.weights.training.weighting import Weighting


class EffectiveBatch(NamedTuple):
    """The samples of an effective batch that count, from all micro-batches and ranks, each once.

    Attributes:
        sizes: size of each sample, such as its number of tokens, ``(sample,)`` int64.
        weights: ``(sample,)``; None if they are not fixed, and so unknown before the pass.
        total: sum of the sizes of all samples, also of those that do not count.
    """

    sizes: Tensor
    weights: Tensor | None
    total: int


def gather_effective_batch(
    weighting: Weighting, ids: Sequence[Tensor], sizes: Sequence[Tensor], device: torch.device
) -> EffectiveBatch:
    """Gather the samples that a weighting will count in the next micro-batches. All ranks must call this alike.

    Args:
        weighting: knows the ids, the samples seen in this epoch, and fixed weights.
        ids: ids of each micro-batch of this rank, ``(row,)``.
        sizes: sizes of its samples, ``(row,)`` integers, such as the number of tokens of each.
        device: device on which they are gathered.

    Raises:
        InputError: an id is unknown, or another rank failed.
    """
    table, error = torch.empty((0, 3), dtype=torch.int64, device=device), None
    try:
        local = [_local_rows(step, *batch) for step, batch in enumerate(zip(ids, sizes, strict=True))]
        table = torch.cat([table, *(rows.to(device) for rows in local)])
        weighting.id_index.find_rows(table[:, 0].contiguous(), distinct=False)
    except Exception as reason:
        # Other ranks would wait for this one.
        if world_size() == 1:
            raise
        error = reason
    if world_size() > 1:
        table = exchange_sizes(len(table), device, error).gather(table)
    all_ids, steps, all_sizes = table.T.contiguous()
    mask = _find_counted(weighting, all_ids, steps)
    rows = weighting.id_index.find_rows(all_ids[mask], distinct=False)
    fixed = weighting.fixed_weights
    weights = None if fixed is None or rows is None else fixed[rows]
    return EffectiveBatch(all_sizes[mask], weights, int(all_sizes.sum()))


def _local_rows(step: int, ids: Tensor, sizes: Tensor) -> Tensor:
    """Return one row (id, step, size) per sample of a micro-batch."""
    numbers = as_ids(ids)
    return torch.stack([numbers, torch.full_like(numbers, step), sizes.to(numbers)], 1)


def _find_counted(weighting: Weighting, ids: Tensor, steps: Tensor) -> Tensor:
    """Return which samples the weighting will count, step by step. ``(sample,)`` bool"""
    mask = torch.ones_like(ids, dtype=torch.bool)
    if not len(ids) or weighting.repeated == "count" or (world_size() == 1 and weighting.repeated != "skip"):
        return mask
    positions = [(steps == step).nonzero().squeeze(1) for step in sorted(set(steps.tolist()))]
    positions = [step[first_occurrences(ids[step])] for step in positions]
    if weighting.skips_seen and weighting.id_index.count:
        rows = weighting.id_index.find_rows(ids, distinct=False)
        assert rows is not None
        assert weighting.epoch is not None
        each = [rows[step] for step in positions]
        counted = weighting.seen.preview(each, weighting.epoch, padding_only=weighting.repeated is None)
        positions = [step[counts] for step, counts in zip(positions, counted, strict=True)]
    mask.fill_(False)
    mask[torch.cat(positions)] = True
    return mask
