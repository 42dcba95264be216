"""How weighted losses become one number, over the batch of all ranks and all micro-batches."""

from typing import Any, Literal

import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights.training.batch import Batch
from hardsight.weights.training.distributed import scale_gradient, world_size

LoopReduction = Literal["mean", "weighted mean", "sum", "none"]
"""sum(w l) / n; sum(w l) / sum(w); sum(w l); w l of each sample."""


def reduce_losses(how: LoopReduction, values: Tensor, weights: Tensor | None, batch: Batch, items: Any) -> Tensor:
    """One number of a batch; its gradient is that by this rank's rows, times the number of ranks.

    Args:
        how: the reduction.
        values: losses, ``(sample,)``.
        weights: theirs, ``(sample,)``; None where the values are all there is.
        batch: whose they are.
        items: samples in the whole effective batch; None: those of this one.

    Raises:
        InputError: ``items`` is not above 0, or cannot make this reduction exact.
    """
    if how == "none":
        return batch.own(values if weights is None else values * weights)
    count = _divisor(how, weights, batch, items)
    if weights is None:
        return scale_gradient(values.sum() if how == "sum" else values.sum() / count, batch.ranks)
    if how != "sum":
        # Where no gradient flows through the weights, dividing them costs no step of the backward pass.
        weights = weights / (count if how == "mean" else clamp_positive(weights.sum()))
    if weights.dtype is not values.dtype:
        weights = weights.to(values.dtype)
    return scale_gradient(torch.dot(values, weights), batch.ranks)


def reduce_part(how: LoopReduction, values: Tensor, weights: Tensor, count: int, total: Tensor) -> Tensor:
    """A micro-batch's part of the number, times the number of ranks.

    Args:
        how: the reduction.
        values: losses of the micro-batch, ``(sample,)``.
        weights: theirs, ``(sample,)``.
        count: samples of the effective batch, of all ranks.
        total: the sum of its weights.
    """
    values = values.to(weights.dtype)
    if how == "none":
        return values * weights
    divisor: Any = 1 if how == "sum" else max(count, 1) if how == "mean" else clamp_positive(total)
    return torch.dot(values, weights / divisor) * world_size()


def clamp_positive(total: Tensor) -> Tensor:
    """The total, or the smallest number where it is 0, so that a mean of nothing is 0."""
    return total.clamp(min=torch.finfo(total.dtype).tiny)


def _divisor(how: LoopReduction, weights: Tensor | None, batch: Batch, items: Any) -> Any:
    if items is None:
        return max(batch.count, 1)
    if not isinstance(items, Tensor) and not items > 0:
        raise InputError(f"items must be above 0: the samples of the whole effective batch. Got {items!r}")
    if how == "weighted mean" and weights is not None:
        raise InputError(
            "a weighted mean over micro-batches needs all weights first: w = weighting.weights(losses, ids), then "
            "weighting.apply_weights(loss, w[part]) on each; or pass reduction='mean'"
        )
    # No word of zero from a tensor: to look at it would be to wait for its device.
    return items.clamp(min=1) if isinstance(items, Tensor) else items
