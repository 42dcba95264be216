"""Gradient accumulation: which schemes may weigh an effective batch micro-batch by micro-batch.

A scheme that weighs each sample by itself gives it the same weight in a micro-batch as in the whole effective batch, so
the parts of a mean or a sum add up. A scheme that compares samples (a softmax over the batch, a rank, a mean of one, a
running percentile) does not: eight micro-batches whose weights sum to one each make a loss eight times too large. Its
weights must be computed from all losses of the effective batch at once: ``Weighting.weights``, then ``apply_weights`` on
each micro-batch.
"""

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights import Scheme
from hardsight.weights.inputs import SAMPLE_INPUTS

_WEIGHTS_FIRST = (
    "call w = weighting.weights(losses, ids) with all losses, then weighting.apply_weights(loss, w[part]) on each"
)


def check_items(items: Any, reduction: str, is_loss: bool) -> Any:
    """Return ``items``, the number of samples in the whole effective batch, if losses of micro-batches can add up to it.

    Args:
        items: as given; a number, or a tensor of one element.
        reduction: of the weighting.
        is_loss: whether the scheme gives losses.

    Raises:
        InputError: ``items`` is not above 0, or the reduction needs other numbers.
    """
    if reduction == "none":
        raise InputError(
            "reduction='none' reduces nothing: leave items out, and divide the sum of the losses by it yourself"
        )
    _check_no_weighted_mean(reduction, is_loss)
    if isinstance(items, Tensor) and items.numel() != 1:
        raise InputError(f"items must be one number. Got a tensor of the shape {tuple(items.shape)}")
    if isinstance(items, Tensor):
        # Reading a tensor's value would wait for its device, so a tensor of 0 is clamped rather than refused.
        return items.reshape(()).clamp(min=1)
    if not hasattr(items, "__float__") or not float(items) > 0:
        raise InputError(f"items must be above 0, the number of samples in the whole effective batch. Got {items!r}")
    return items


def check_batch_size(items: Any, count: int) -> None:
    """Check that the effective batch has at least the ``count`` samples of this micro-batch on all ranks.

    Raises:
        InputError: ``items`` is smaller, such as the number of micro-batches, or of the samples of one rank.
    """
    # A tensor on another device is not read.
    if items is not None and (not isinstance(items, Tensor) or items.is_cpu) and float(items) < count:
        raise InputError(
            f"items must be the number of samples in the whole effective batch, of all micro-batches and ranks. Got "
            f"{float(items):g} for a batch of {count}"
        )


def check_separable(scheme: Scheme, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Refuse a scheme that compares the samples of a batch, where the batch is only a part of the effective batch.

    A scheme of one's own that does not state ``compares_samples`` is tried on a part of the batch.

    Args:
        scheme: the scheme.
        inputs: what it is about to be called with, by name.
        parameters: its own.

    Raises:
        InputError: the scheme compares samples, or does not state it and cannot be tried.
    """
    compares = scheme.compares({**parameters, **inputs})
    if compares is None and (scheme.init is not None or "generator" in scheme.inputs):
        raise InputError(
            f"scheme {scheme.name!r} does not state whether the weight of a sample depends on the other samples of its "
            "batch: pass compares_samples=False where it is registered if it does not, and leave items out otherwise"
        )
    if compares or (compares is None and _differs_in_part(scheme, inputs, parameters)):
        advice = "pass the whole batch at once" if scheme.kind == "loss" else _WEIGHTS_FIRST
        raise InputError(
            f"scheme {scheme.name!r} compares the samples of a batch, so the losses of micro-batches do not add up to that "
            f"of the effective batch: do not accumulate gradients; or {advice}"
        )


def check_averaged(reduction: str, is_loss: bool) -> None:
    """Check that the mean of the losses of micro-batches, which the loop takes, is that of the effective batch.

    Raises:
        InputError: the reduction is a sum, or a weighted mean.
    """
    if reduction == "sum":
        raise InputError(
            "the loop averages the losses of micro-batches, so a sum over each becomes too small by their number: pass "
            "reduction='mean', or do not accumulate gradients"
        )
    _check_no_weighted_mean(reduction, is_loss)


def averages_in_accelerate() -> bool:
    """Whether accelerate accumulates gradients over the batches being read; ``backward`` averages their losses."""
    state = sys.modules.get("accelerate.state")
    # Looking at the state before an Accelerator has made it would create it without its settings.
    if state is None or not state.GradientState._shared_state:
        return False
    gradients = state.GradientState()
    # A loader that accelerate did not prepare shows only in the steps without an update.
    return bool(gradients.num_steps > 1 and (gradients.in_dataloader or not gradients.sync_gradients))


def _check_no_weighted_mean(reduction: str, is_loss: bool) -> None:
    if reduction == "weighted mean" and not is_loss:
        raise InputError(
            f"a weighted mean over micro-batches needs all weights first: {_WEIGHTS_FIRST}; or pass reduction='mean'"
        )


def _differs_in_part(scheme: Scheme, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Whether the first half of the samples gets other values alone than in the batch; one sample is put beside itself."""
    values = {name: value.detach() if isinstance(value, Tensor) else value for name, value in inputs.items()}
    per_sample = {name: value for name, value in values.items() if name in SAMPLE_INPUTS and value is not None}
    count = len(next(iter(per_sample.values())))
    if count > 1:
        whole, part, kept = per_sample, {name: value[: count // 2] for name, value in per_sample.items()}, count // 2
    else:
        whole, part, kept = {name: torch.cat([value, value]) for name, value in per_sample.items()}, per_sample, count
    with torch.no_grad():
        in_batch = scheme.call_unchecked(values | whole, parameters, None)[:kept]
        alone = scheme.call_unchecked(values | part, parameters, None)
    return not torch.allclose(in_batch, alone, rtol=1e-4, atol=0, equal_nan=True)
