"""A module read as a table of operations, for what trains it as machine code.

Perceptrons and small convolutional networks: chains of linear layers, ReLU, convolutions, max-pooling and flattening. Images
have their channels last inside a program, so that a patch of an image is a row of numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from math import prod
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn


class Kind(IntEnum):
    """What an operation does. ``CHANNELS_FIRST`` turns an image with channels last into torch's order."""

    LINEAR = 0
    RELU = 1
    CONVOLUTION = 2
    POOL = 3
    CHANNELS_FIRST = 4


class Column(IntEnum):
    """Whole numbers that describe an operation.

    ``READS`` and ``WRITES`` are where its activations begin, in numbers a row of the batch; ``START`` is where its
    parameters begin, weight ``(input, output)`` first, then the bias if ``BIASED``. ``HEIGHT``, ``WIDTH`` and ``CHANNELS``
    are those of the image it reads; ``SIZE`` and ``PADDING`` of a convolution; ``DOWN`` and ``ACROSS`` of a pool: how many
    windows, whose bounds begin at ``WINDOWS``.
    """

    KIND = 0
    INPUTS = 1
    OUTPUTS = 2
    READS = 3
    WRITES = 4
    START = 5
    BIASED = 6
    HEIGHT = 7
    WIDTH = 8
    CHANNELS = 9
    SIZE = 10
    PADDING = 11
    DOWN = 12
    ACROSS = 13
    WINDOWS = 14


@dataclass(frozen=True, eq=False)
class Program:
    """A module as a table.

    Attributes:
        operations: ``(operation, column)`` int64, see :class:`Column`.
        windows: first and last bounds of the windows of all pools, int64.
        layers: names of the layers that hold parameters, in the order of the state.
        size: how many numbers the parameters are.
    """

    operations: np.ndarray
    windows: np.ndarray
    layers: tuple[str, ...]
    size: int

    def pack(self, net: nn.Module) -> Float32[np.ndarray, " parameter"]:
        """The parameters of a module of this program, in one vector."""
        parts = []
        for name in self.layers:
            layer: Any = net.get_submodule(name)
            parts += [_as_inputs_by_outputs(layer.weight), layer.bias]
        return np.concatenate([p.detach().numpy().ravel() for p in parts if p is not None])

    @torch.no_grad()
    def unpack(self, vector: Float32[np.ndarray, " parameter"], net: nn.Module) -> None:
        """Give a module of this program the parameters of a vector."""
        left = torch.from_numpy(vector)
        for name in self.layers:
            layer: Any = net.get_submodule(name)
            view = _as_inputs_by_outputs(layer.weight)
            own, left = left[: view.numel()], left[view.numel() :]
            view.copy_(own.view(view.shape))
            if layer.bias is not None:
                own, left = left[: layer.bias.numel()], left[layer.bias.numel() :]
                layer.bias.copy_(own)


def program(net: nn.Module, shape: Sequence[int]) -> Program | None:
    """The module as a table of operations on inputs of ``shape`` (without the row axis); None where it is no such chain.

    >>> program(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), (4,)).layers
    ('0', '2')
    >>> program(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), (4,)) is None
    True
    """
    chain = list(_chain(net, ""))
    if len({id(module) for _, module in chain}) < len(chain):
        return None
    if any(p.dtype != torch.float32 or not p.requires_grad for p in net.parameters()):
        return None
    reading = _Reading(tuple(shape), prod(shape))
    for name, module in chain:
        if _hooked(module) or not reading.take(name, module):
            return None
    if not reading.layers or len(reading.shape) != 1:
        return None
    operations = np.array([[row.get(column, 0) for column in Column] for row in reading.rows], np.int64)
    return Program(operations, np.array(reading.windows, np.int64), tuple(reading.layers), reading.size)


def _as_inputs_by_outputs(weight: torch.Tensor) -> torch.Tensor:
    return weight.mT if weight.ndim == 2 else weight.permute(2, 3, 1, 0)


def _chain(net: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    if type(net) is nn.Sequential and not _hooked(net):
        for inner, module in net._modules.items():
            assert module is not None
            yield from _chain(module, f"{name}.{inner}" if name else inner)
    else:
        yield name, net


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


@dataclass
class _Reading:
    """What was read so far; ``shape`` is that of the activations as torch sees them, which begin at ``place``."""

    shape: tuple[int, ...]
    end: int
    place: int = 0
    rows: list[dict[Column, int]] = field(default_factory=list)
    windows: list[int] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    size: int = 0

    def take(self, name: str, module: Any) -> bool:
        """Read one layer; False where it is none that is known."""
        kind = type(module)
        if kind is nn.Linear:
            return self._linear(name, module)
        if kind is nn.ReLU:
            # In place: what is left says itself where it was positive.
            self.rows.append(self._row(Kind.RELU, self.shape) | {Column.WRITES: self.place})
            return True
        if kind is nn.Conv2d:
            return self._convolution(name, module)
        if kind is nn.MaxPool2d or kind is nn.AdaptiveMaxPool2d:
            return self._pool(module)
        if kind is nn.Flatten:
            return self._flatten(module)
        if kind is nn.Unflatten:
            return self._unflatten(module)
        return kind is nn.Identity

    def _row(self, kind: Kind, shape: tuple[int, ...]) -> dict[Column, int]:
        row = {Column.KIND: int(kind), Column.INPUTS: prod(self.shape), Column.OUTPUTS: prod(shape)}
        if len(self.shape) == 3:
            row |= {Column.CHANNELS: self.shape[0], Column.HEIGHT: self.shape[1], Column.WIDTH: self.shape[2]}
        return row | {Column.READS: self.place, Column.WRITES: self.end}

    def _add(self, kind: Kind, shape: tuple[int, ...], **more: int) -> None:
        self.rows.append(self._row(kind, shape) | {Column[name]: value for name, value in more.items()})
        self.shape, self.place, self.end = shape, self.end, self.end + prod(shape)

    def _parameters(self, name: str, layer: Any) -> dict[str, int]:
        start = self.size
        self.size += sum(p.numel() for p in layer.parameters())
        self.layers.append(name)
        return {"START": start, "BIASED": int(layer.bias is not None)}

    def _linear(self, name: str, layer: nn.Linear) -> bool:
        if self.shape != (layer.in_features,):
            return False
        self._add(Kind.LINEAR, (layer.out_features,), **self._parameters(name, layer))
        return True

    def _convolution(self, name: str, layer: nn.Conv2d) -> bool:
        size = layer.kernel_size[0]
        padding = (
            {"same": (size // 2,) * 2, "valid": (0, 0)}[layer.padding]
            if isinstance(layer.padding, str)
            else layer.padding
        )
        plain = (
            len(self.shape) == 3
            and self.shape[0] == layer.in_channels
            and layer.kernel_size == (size, size)
            and (layer.stride, layer.dilation, layer.groups) == ((1, 1), (1, 1), 1)
            and padding == (padding[0], padding[0])
            and layer.padding_mode == "zeros"
            and (layer.padding != "same" or size % 2 == 1)
        )
        height, width = (side + 2 * padding[0] - size + 1 for side in self.shape[-2:]) if plain else (0, 0)
        if min(height, width) < 1:
            return False
        more = self._parameters(name, layer)
        self._add(Kind.CONVOLUTION, (layer.out_channels, height, width), SIZE=size, PADDING=int(padding[0]), **more)
        return True

    def _pool(self, layer: Any) -> bool:
        if len(self.shape) != 3 or layer.return_indices:
            return False
        sides = [_bounds(layer, axis, side) for axis, side in enumerate(self.shape[1:])]
        down, across = sides
        if not down or not across:
            return False
        begin = len(self.windows) // 2
        self.windows += [bound for side in sides for window in side for bound in window]
        shape = (self.shape[0], len(down), len(across))
        self._add(Kind.POOL, shape, DOWN=len(down), ACROSS=len(across), WINDOWS=2 * begin)
        return True

    def _flatten(self, layer: nn.Flatten) -> bool:
        if (layer.start_dim, layer.end_dim) != (1, -1):
            return False
        if len(self.shape) == 3 and self.shape[0] > 1 and prod(self.shape[1:]) > 1:
            self._add(Kind.CHANNELS_FIRST, (prod(self.shape),))
        self.shape = (prod(self.shape),)
        return True

    def _unflatten(self, layer: nn.Unflatten) -> bool:
        """Only a new axis of one channel, which moves nothing."""
        sizes = tuple(layer.unflattened_size)
        if len(self.shape) != 2 or layer.dim != 1 or sizes not in ((1, -1), (1, self.shape[0])):
            return False
        self.shape = (1, *self.shape)
        return True


def _bounds(layer: Any, axis: int, side: int) -> list[tuple[int, int]]:
    """First and last + 1 row (axis 0) or column (axis 1) of every window; none where the pool is of another kind."""
    if type(layer) is nn.AdaptiveMaxPool2d:
        wanted = _pair(layer.output_size)[axis] or side
        return [(i * side // wanted, -(-(i + 1) * side // wanted)) for i in range(wanted)]
    size, stride = _pair(layer.kernel_size)[axis], _pair(layer.stride)[axis]
    if _pair(layer.padding) != (0, 0) or _pair(layer.dilation) != (1, 1) or layer.ceil_mode:
        return []
    return [(first, first + size) for first in range(0, side - size + 1, stride)]


def _pair(value: Any) -> tuple[Any, Any]:
    return tuple(value) if isinstance(value, tuple) else (value, value)
