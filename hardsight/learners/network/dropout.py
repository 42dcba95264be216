"""Dropout in a batched pass over many networks, every member's masks drawn from a generator of its own."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# A dropped value becomes the negative saturation of SELU (Klambauer et al. 2017).
_SATURATION = 1.7580993408473766


class Masks(TorchFunctionMode):
    """While entered, dropout of :mod:`torch.nn.functional` (and so of ``torch.nn``) draws each member's masks by itself.

    A member's masks are those that torch itself would draw on the CPU from the same seed, one member after another; they
    depend neither on the device nor on who shares the pass.

    Args:
        generators: one a member, on the CPU.

    Attributes:
        member: whose pass it is: a position in ``generators``, 0-dimensional; batched where the pass is.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.generators = generators
        self.member = torch.tensor(0)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Take the place of the dropout functions; leave all others alone."""
        kwargs = kwargs or {}
        if func in _MASKED and kwargs["training"] and 0 < kwargs["p"] < 1:
            return self._dropped(func, args[0], kwargs["p"], inplace=kwargs["inplace"])
        return func(*args, **kwargs)

    def _dropped(self, func: Callable[..., Any], x: Tensor, chance: float, *, inplace: bool) -> Tensor:
        keep = self._drawn(_MASKED[func](x), 1 - chance, x)
        if func in (functional.alpha_dropout, functional.feature_alpha_dropout):
            scale = 1 / math.sqrt((_SATURATION**2 * chance + 1) * (1 - chance))
            factor, shift = keep * scale, (keep - (1 - chance)) * (_SATURATION * scale)
        else:
            factor, shift = keep / (1 - chance), None
        out = x.mul_(factor) if inplace else x * factor
        return out if shift is None else out.add_(shift)

    def _drawn(self, shape: Sequence[int], chance: float, like: Tensor) -> Tensor:
        """1 with some chance, else 0: what this member draws, of all that the members draw now."""
        every = torch.empty(len(self.generators), *shape)
        for own, generator in zip(every, self.generators, strict=True):
            own.bernoulli_(chance, generator=generator)
        every = every.to(like.device, like.dtype)
        return every.index_select(0, self.member.reshape(1)).squeeze(0)


def _elements(x: Tensor) -> list[int]:
    return list(x.shape)


def _channels(x: Tensor) -> list[int]:
    return [*x.shape[:2], *[1] * (x.ndim - 2)]


def _channels_of_one(axes: int) -> Callable[[Tensor], list[int]]:
    # Without an axis of rows, channels come first.
    return lambda x: [x.shape[0], *[1] * (x.ndim - 1)] if x.ndim == axes else _channels(x)


_MASKED: dict[Callable[..., Any], Callable[[Tensor], list[int]]] = {
    functional.dropout: _elements,
    functional.alpha_dropout: _elements,
    functional.dropout1d: _channels_of_one(2),
    functional.dropout2d: _channels,
    functional.dropout3d: _channels_of_one(4),
    functional.feature_alpha_dropout: _channels,
}
