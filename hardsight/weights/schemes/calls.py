"""A model called with other parameters than its own, and what a learned scheme gives."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from hardsight.errors import InputError

Parameters = dict[str, Tensor]
CLEAN = "a batch of trusted labels, or of balanced classes, at every step"


class Scored(NamedTuple):
    """What a scheme whose weigher has a loss of its own gives.

    Attributes:
        weights: for the model's losses, through which no gradient flows; ``(sample,)``.
        objective: what the weigher minimises, the mean of it; ``(sample,)``.
    """

    weights: Tensor
    objective: Tensor


def trained(model: nn.Module) -> Parameters:
    """Its parameters that are trained, by name; no gradient reaches them.

    Raises:
        InputError: it has none.
    """
    found = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise InputError("model has no parameters that are trained: gradients are taken by them")
    return found


def sample_losses(model: nn.Module, parameters: Parameters, inputs: Any, labels: Tensor) -> Tensor:
    """Cross-entropy of each sample by the model with these parameters; ``(sample,)``."""
    return cross_entropy(called(model, parameters, inputs), labels, reduction="none")


def called(model: nn.Module, parameters: Parameters, inputs: Any) -> Tensor:
    """What the model gives, or its ``logits``, with these parameters in place of its own; its buffers stay as they are.

    Args:
        model: as it is where no parameters are given.
        parameters: by name.
        inputs: a tensor, or a mapping of keyword arguments.
    """
    if not parameters:
        out = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    else:
        # Copies, so that batch statistics are not counted twice.
        replaced = parameters | {name: b.clone() for name, b in model.named_buffers()}
        args, named = ((), dict(inputs)) if isinstance(inputs, Mapping) else ((inputs,), {})
        out = functional_call(model, replaced, args, named)
    logits: Tensor = out.logits if hasattr(out, "logits") else out
    return logits
