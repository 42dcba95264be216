"""How weighted losses become one number, over the batch of all ranks and all micro-batches.

Half precision is reduced in float32, and everything else in the precision of the losses. A sample of weight 0 is absent,
whatever its loss: also one that is infinite or not a number adds 0 to the result and to the gradient.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from hardsight.weights.training.batch import Batch
from hardsight.weights.training.distributed import scale_gradient, world_size

LoopReduction = Literal["mean", "weighted mean", "sum", "none"]
"""sum(w l) / n; sum(w l) / sum(w); sum(w l); w l of each sample."""

_FEW = 2**16


def reduce_losses(how: LoopReduction, losses: Tensor, weights: Tensor | None, batch: Batch, items: Any) -> Tensor:
    """Reduce the losses of a batch to one number.

    Its gradient is that from this rank's rows, times the number of ranks.

    Args:
        how: the reduction.
        losses: ``(sample,)``.
        weights: ``(sample,)``; None if the losses are weighted already.
        batch: the samples.
        items: number of samples in the whole effective batch; None: those of this batch.
    """
    if how == "none":
        return batch.local_rows(losses if weights is None else weigh_losses(losses, weights))
    count = max(batch.count, 1) if items is None else items
    if weights is None:
        return scale_gradient(losses.sum() if how == "sum" else losses.sum() / count, batch.world_size)
    if how != "sum":
        # Dividing the weights keeps the division out of the backward pass if no gradient flows through them.
        weights = weights / (count if how == "mean" else clamp_positive(weights.sum()))
    return scale_gradient(weighted_sum(losses, weights), batch.world_size)


def reduce_part(how: LoopReduction, losses: Tensor, weights: Tensor, count: int, total: Tensor) -> Tensor:
    """Reduce a micro-batch to its part of the number, times the number of ranks.

    Args:
        how: the reduction.
        losses: losses of the micro-batch, ``(sample,)``.
        weights: weights of the micro-batch, ``(sample,)``.
        count: number of samples in the effective batch of all ranks.
        total: sum of the weights of the effective batch.
    """
    dtype = torch.promote_types(torch.promote_types(losses.dtype, weights.dtype), torch.float32)
    losses, weights = losses.to(dtype), weights.to(dtype)
    if how == "none":
        return weigh_losses(losses, weights)
    divisor: Any = 1 if how == "sum" else max(count, 1) if how == "mean" else clamp_positive(total)
    return weighted_sum(losses, weights / divisor) * world_size()


def weigh_losses(losses: Tensor, weights: Tensor) -> Tensor:
    """Return the product of losses and weights, 0 where the weight is 0. ``(sample,)``"""
    return losses.where(weights != 0, 0) * weights


def weighted_sum(losses: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of the products of losses and weights, without the samples of weight 0."""
    if weights.dtype is not losses.dtype:
        weights = weights.to(losses.dtype)
    if losses.is_cpu:
        total = _dot(losses, weights)
        # In main memory it is cheaper to look at the sum than to select in every step.
        if math.isfinite(total.item()):
            return total
    return _dot(losses.where(weights != 0, 0), weights)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    # torch.sum adds in pairs, which millions of float32 numbers need; torch.dot is faster for a few.
    return torch.dot(first, second) if first.shape[0] <= _FEW else (first * second).sum()


def clamp_positive(total: Tensor) -> Tensor:
    """Replace a total of 0 by the smallest positive number, so that the mean of nothing is 0."""
    return total.clamp(min=torch.finfo(total.dtype).tiny)
