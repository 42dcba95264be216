"""Dropout in a batched pass over many networks, with each member's masks drawn from its own generator."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# A dropped value becomes the negative saturation of SELU (Klambauer et al. 2017).
_SATURATION = 1.7580993408473766


class MemberDropout(TorchFunctionMode):
    """While active, dropout of :mod:`torch.nn.functional` (and so of ``torch.nn``) draws masks member by member.

    A member's masks are those that torch itself would draw on the CPU from the same seed, one member after another. They
    depend neither on the device nor on which members share the pass.

    Args:
        generators: one per member, on the CPU.

    Attributes:
        member: the member of the current pass: a position in ``generators``, 0-dimensional; batched inside ``vmap``.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.generators = generators
        self.member = torch.tensor(0)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace the dropout functions; leave all others alone."""
        kwargs = kwargs or {}
        if func in _MASK_SHAPES and kwargs["training"] and 0 < kwargs["p"] < 1:
            return self._drop(func, args[0], kwargs["p"], inplace=kwargs["inplace"])
        return func(*args, **kwargs)

    def _drop(self, func: Callable[..., Any], x: Tensor, rate: float, *, inplace: bool) -> Tensor:
        keep = self._draw(_MASK_SHAPES[func](x), 1 - rate, x)
        if func in (functional.alpha_dropout, functional.feature_alpha_dropout):
            scale = 1 / math.sqrt((_SATURATION**2 * rate + 1) * (1 - rate))
            factor, shift = keep * scale, (keep - (1 - rate)) * (_SATURATION * scale)
        else:
            factor, shift = keep / (1 - rate), None
        out = x.mul_(factor) if inplace else x * factor
        return out if shift is None else out.add_(shift)

    def _draw(self, shape: Sequence[int], keep_rate: float, like: Tensor) -> Tensor:
        """Draw masks for all members, 1 with probability ``keep_rate``, else 0; return the current member's."""
        masks = torch.empty(len(self.generators), *shape)
        for mask, generator in zip(masks, self.generators, strict=True):
            mask.bernoulli_(keep_rate, generator=generator)
        masks = masks.to(like.device, like.dtype)
        return masks.index_select(0, self.member.reshape(1)).squeeze(0)


def _elements(x: Tensor) -> list[int]:
    return list(x.shape)


def _channels(x: Tensor) -> list[int]:
    return [*x.shape[:2], *[1] * (x.ndim - 2)]


def _channels_of_one(axes: int) -> Callable[[Tensor], list[int]]:
    # Without an axis of rows, channels come first.
    return lambda x: [x.shape[0], *[1] * (x.ndim - 1)] if x.ndim == axes else _channels(x)


_MASK_SHAPES: dict[Callable[..., Any], Callable[[Tensor], list[int]]] = {
    functional.dropout: _elements,
    functional.alpha_dropout: _elements,
    functional.dropout1d: _channels_of_one(2),
    functional.dropout2d: _channels,
    functional.dropout3d: _channels_of_one(4),
    functional.feature_alpha_dropout: _channels,
}
