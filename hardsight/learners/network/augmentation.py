"""Augmentation of training batches by a function of the user."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.learners.network.seeds import seed_global_numbers

_MAX_SEED = 2**32


class Augment(NamedTuple):
    """A function of a batch and a generator, and its name."""

    function: Callable[[Tensor, torch.Generator], Tensor]
    name: str

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Return a changed copy of a batch ``(row, …)``, of the same shape, type and device.

        Raises:
            InputError: it is something else.
        """
        shape, dtype, device = batch.shape, batch.dtype, batch.device
        result = self.function(batch, generator)
        if not isinstance(result, Tensor):
            raise InputError(f"augment must return the batch as a tensor. Got {type(result).__name__}")
        if result.shape != shape or (result.dtype, result.device) != (dtype, device):
            raise InputError(
                f"augment must keep the batch's shape, type and device: {tuple(shape)}, {dtype}, {device}. It returned "
                f"{tuple(result.shape)}, {result.dtype}, {result.device}"
            )
        return result.detach()


def bind_augment(augment: Callable[..., Tensor]) -> Augment:
    """Return an augmentation that is called with a batch and a generator, whether or not it takes the generator.

    Raises:
        InputError: it is not a function of a batch.
    """
    if not callable(augment):
        raise InputError(f"augment must be a function, augment(batch, generator) or augment(batch). Got {augment!r}")
    name = getattr(augment, "__name__", type(augment).__name__)
    if _takes_generator(augment):
        return Augment(augment, name)

    def with_global_numbers(batch: Tensor, generator: torch.Generator) -> Tensor:
        with seed_global_numbers(int(torch.randint(_MAX_SEED, (), generator=generator))):
            return augment(batch)

    return Augment(with_global_numbers, name)


def _takes_generator(augment: Callable[..., Tensor]) -> bool:
    """Return whether the second parameter is required, or called a generator."""
    try:
        parameters = list(inspect.signature(augment).parameters.values())
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 1 and (positional[1].default is inspect.Parameter.empty or "generator" in positional[1].name)
