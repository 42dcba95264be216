"""How weighted losses become one number, over the batch of all ranks and all micro-batches."""

from typing import Any, Literal

import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights.training.batch import Batch
from hardsight.weights.training.distributed import scale_gradient, world_size

LoopReduction = Literal["mean", "weighted mean", "sum", "none"]
"""sum(w l) / n; sum(w l) / sum(w); sum(w l); w l of each sample."""


def reduce_losses(how: LoopReduction, losses: Tensor, weights: Tensor | None, batch: Batch, items: Any) -> Tensor:
    """Reduce the losses of a batch to one number.

    Its gradient is that from this rank's rows, times the number of ranks.

    Args:
        how: the reduction.
        losses: ``(sample,)``.
        weights: ``(sample,)``; None if the losses are weighted already.
        batch: the samples.
        items: number of samples in the whole effective batch; None: those of this batch.

    Raises:
        InputError: ``items`` is not above 0, or this reduction cannot be exact with it.
    """
    if how == "none":
        return batch.local_rows(losses if weights is None else losses * weights)
    count = _divisor(how, weights, batch, items)
    if weights is None:
        return scale_gradient(losses.sum() if how == "sum" else losses.sum() / count, batch.world_size)
    if how != "sum":
        # Dividing the weights keeps the division out of the backward pass if no gradient flows through them.
        weights = weights / (count if how == "mean" else clamp_positive(weights.sum()))
    if weights.dtype is not losses.dtype:
        weights = weights.to(losses.dtype)
    return scale_gradient(torch.dot(losses, weights), batch.world_size)


def reduce_part(how: LoopReduction, losses: Tensor, weights: Tensor, count: int, total: Tensor) -> Tensor:
    """Reduce a micro-batch to its part of the number, times the number of ranks.

    Args:
        how: the reduction.
        losses: losses of the micro-batch, ``(sample,)``.
        weights: weights of the micro-batch, ``(sample,)``.
        count: number of samples in the effective batch of all ranks.
        total: sum of the weights of the effective batch.
    """
    losses = losses.to(weights.dtype)
    if how == "none":
        return losses * weights
    divisor: Any = 1 if how == "sum" else max(count, 1) if how == "mean" else clamp_positive(total)
    return torch.dot(losses, weights / divisor) * world_size()


def clamp_positive(total: Tensor) -> Tensor:
    """Replace a total of 0 by the smallest positive number, so that the mean of nothing is 0."""
    return total.clamp(min=torch.finfo(total.dtype).tiny)


def _divisor(how: LoopReduction, weights: Tensor | None, batch: Batch, items: Any) -> Any:
    if items is None:
        return max(batch.count, 1)
    if not isinstance(items, Tensor) and not items > 0:
        raise InputError(f"items must be above 0, the number of samples in the whole effective batch. Got {items!r}")
    if how == "weighted mean" and weights is not None:
        raise InputError(
            "a weighted mean over micro-batches needs all weights first: w = weighting.weights(losses, ids), then "
            "weighting.apply_weights(loss, w[part]) on each; or pass reduction='mean'"
        )
    # Reading a tensor's value would wait for its device, so a tensor of 0 is clamped rather than refused.
    return items.clamp(min=1) if isinstance(items, Tensor) else items
