"""A scheme called with a batch: without gradient unless it is wanted, and with numbers that overflowed."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights import Scheme
from hardsight.weights.training.state import SchemeState

NonFinite = Literal["skip", "raise"]
"""What to do with a batch whose losses or logits are infinite or not numbers: give a loss that is not a number, so that a
``GradScaler`` skips the step, or raise an error."""


def call_scheme(
    scheme: Scheme,
    parameters: Mapping[str, Any],
    state: SchemeState | None,
    inputs: Mapping[str, Tensor],
    others: Mapping[str, Any],
    *,
    differentiable: bool,
    on_nonfinite: NonFinite,
) -> Tensor:
    """Return the weights or losses of a batch. ``(sample,)``

    Args:
        scheme: the scheme.
        parameters: its own.
        state: what it remembers, which goes one step on; it stays as it is where numbers are not finite. None: nothing.
        inputs: inputs with one row per sample.
        others: other inputs.
        differentiable: whether the gradient flows through the result.
        on_nonfinite: "skip" makes the result not a number where the scheme refuses numbers that are not finite.

    Raises:
        InputError: an input is missing or out of its domain.
    """
    if not differentiable:
        inputs = {name: value.detach() for name, value in inputs.items()}
    try:
        if state is None:
            result: Tensor = scheme.call_unchecked({**inputs, **others}, parameters, None)
            return result
        # Tables of float32 take no float64 values.
        if any(table.dtype is torch.float32 for table in state.tensors.values()):
            inputs = {name: _to_float32(value) for name, value in inputs.items()}
        result = scheme.call_unchecked({**inputs, **others}, parameters, state.tensors)
    except InputError:
        if on_nonfinite == "raise" or all(_is_finite(value) for value in inputs.values()):
            raise
        return _not_a_number(inputs)
    state.detach_state()
    return result


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())


def _not_a_number(inputs: Mapping[str, Tensor]) -> Tensor:
    """Return NaN for each sample, with the graph of an input, so that its gradient is NaN, too. ``(sample,)``"""
    floats = [value for value in inputs.values() if value.is_floating_point()]
    carrier = next((value for value in floats if value.requires_grad), floats[0])
    return carrier.flatten(1).sum(1) * torch.nan if carrier.dim() > 1 else carrier * torch.nan


def _to_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.float64 else value
