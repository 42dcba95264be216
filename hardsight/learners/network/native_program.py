"""A module as a table of operations, for training as machine code.

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


class LayerKind(IntEnum):
    """What an operation does. ``CHANNELS_FIRST`` brings an image with channels last into torch's order."""

    LINEAR = 0
    RELU = 1
    CONVOLUTION = 2
    POOL = 3
    CHANNELS_FIRST = 4


class OpField(IntEnum):
    """Integers that describe an operation.

    ``READS`` and ``WRITES`` are the offsets of its activations, in numbers per row of the batch. ``START`` is the offset of
    its parameters, weight ``(input, output)`` first, then the bias if ``BIASED``. ``HEIGHT``, ``WIDTH`` and ``CHANNELS`` are
    those of the image it reads; ``SIZE`` and ``PADDING`` belong to a convolution; ``DOWN`` and ``ACROSS`` are the numbers of
    windows of a pool, whose bounds start at ``WINDOWS``.
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
class LayerProgram:
    """A module as a table."""

    operations: np.ndarray  # (operation, field) int64, see OpField
    windows: np.ndarray  # first and last bounds of the windows of all pools, int64
    layers: tuple[str, ...]  # names of the layers that have parameters, in the order of the state
    size: int  # total number of parameters

    def pack(self, net: nn.Module) -> Float32[np.ndarray, " parameter"]:
        """Return the parameters of a module of this program in one vector."""
        parts = []
        for name in self.layers:
            layer: Any = net.get_submodule(name)
            parts += [_as_inputs_by_outputs(layer.weight), layer.bias]
        return np.concatenate([p.detach().numpy().ravel() for p in parts if p is not None])

    @torch.no_grad()
    def unpack(self, vector: Float32[np.ndarray, " parameter"], net: nn.Module) -> None:
        """Copy the parameters of a vector into a module of this program."""
        remaining = torch.from_numpy(vector)
        for name in self.layers:
            layer: Any = net.get_submodule(name)
            view = _as_inputs_by_outputs(layer.weight)
            values, remaining = remaining[: view.numel()], remaining[view.numel() :]
            view.copy_(values.view(view.shape))
            if layer.bias is not None:
                values, remaining = remaining[: layer.bias.numel()], remaining[layer.bias.numel() :]
                layer.bias.copy_(values)


def read_program(net: nn.Module, shape: Sequence[int]) -> LayerProgram | None:
    """Return the module as a table of operations; None if it is not a chain of supported layers.

    Args:
        shape: of the inputs, without the row axis.

    >>> read_program(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), (4,)).layers
    ('0', '2')
    >>> read_program(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)), (4,)) is None
    True
    """
    chain = list(_chain(net, ""))
    if len({id(module) for _, module in chain}) < len(chain):
        return None
    if any(p.dtype != torch.float32 or not p.requires_grad for p in net.parameters()):
        return None
    builder = _ProgramBuilder(tuple(shape), prod(shape))
    for name, module in chain:
        if _has_hooks(module) or not builder.add(name, module):
            return None
    if not builder.layers or len(builder.shape) != 1:
        return None
    operations = np.array([[row.get(column, 0) for column in OpField] for row in builder.rows], np.int64)
    return LayerProgram(operations, np.array(builder.windows, np.int64), tuple(builder.layers), builder.size)


def _as_inputs_by_outputs(weight: torch.Tensor) -> torch.Tensor:
    return weight.mT if weight.ndim == 2 else weight.permute(2, 3, 1, 0)


def _chain(net: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    if type(net) is nn.Sequential and not _has_hooks(net):
        for inner, module in net._modules.items():
            assert module is not None
            yield from _chain(module, f"{name}.{inner}" if name else inner)
    else:
        yield name, net


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


@dataclass
class _ProgramBuilder:
    """The program so far; ``shape`` is that of the activations as torch sees them, which start at ``offset``."""

    shape: tuple[int, ...]
    end: int
    offset: int = 0
    rows: list[dict[OpField, int]] = field(default_factory=list)
    windows: list[int] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, name: str, module: Any) -> bool:
        """Add one layer; return False if it is not supported."""
        kind = type(module)
        if kind is nn.Linear:
            return self._linear(name, module)
        if kind is nn.ReLU:
            # In place: the result itself shows where it was positive.
            self.rows.append(self._row(LayerKind.RELU, self.shape) | {OpField.WRITES: self.offset})
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

    def _row(self, kind: LayerKind, shape: tuple[int, ...]) -> dict[OpField, int]:
        row = {OpField.KIND: int(kind), OpField.INPUTS: prod(self.shape), OpField.OUTPUTS: prod(shape)}
        if len(self.shape) == 3:
            row |= {OpField.CHANNELS: self.shape[0], OpField.HEIGHT: self.shape[1], OpField.WIDTH: self.shape[2]}
        return row | {OpField.READS: self.offset, OpField.WRITES: self.end}

    def _append(self, kind: LayerKind, shape: tuple[int, ...], **more: int) -> None:
        self.rows.append(self._row(kind, shape) | {OpField[name]: value for name, value in more.items()})
        self.shape, self.offset, self.end = shape, self.end, self.end + prod(shape)

    def _parameters(self, name: str, layer: Any) -> dict[str, int]:
        start = self.size
        self.size += sum(p.numel() for p in layer.parameters())
        self.layers.append(name)
        return {"START": start, "BIASED": int(layer.bias is not None)}

    def _linear(self, name: str, layer: nn.Linear) -> bool:
        if self.shape != (layer.in_features,):
            return False
        self._append(LayerKind.LINEAR, (layer.out_features,), **self._parameters(name, layer))
        return True

    def _convolution(self, name: str, layer: nn.Conv2d) -> bool:
        size = layer.kernel_size[0]
        padding = (
            {"same": (size // 2,) * 2, "valid": (0, 0)}[layer.padding] if isinstance(layer.padding, str) else layer.padding
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
        self._append(LayerKind.CONVOLUTION, (layer.out_channels, height, width), SIZE=size, PADDING=int(padding[0]), **more)
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
        self._append(LayerKind.POOL, shape, DOWN=len(down), ACROSS=len(across), WINDOWS=2 * begin)
        return True

    def _flatten(self, layer: nn.Flatten) -> bool:
        if (layer.start_dim, layer.end_dim) != (1, -1):
            return False
        if len(self.shape) == 3 and self.shape[0] > 1 and prod(self.shape[1:]) > 1:
            self._append(LayerKind.CHANNELS_FIRST, (prod(self.shape),))
        self.shape = (prod(self.shape),)
        return True

    def _unflatten(self, layer: nn.Unflatten) -> bool:
        """Accept only a new axis of one channel, which moves no number."""
        sizes = tuple(layer.unflattened_size)
        if len(self.shape) != 2 or layer.dim != 1 or sizes not in ((1, -1), (1, self.shape[0])):
            return False
        self.shape = (1, *self.shape)
        return True


def _bounds(layer: Any, axis: int, side: int) -> list[tuple[int, int]]:
    """Return first and last + 1 row (axis 0) or column (axis 1) of every window; empty for unsupported pools."""
    if type(layer) is nn.AdaptiveMaxPool2d:
        count = _pair(layer.output_size)[axis] or side
        return [(i * side // count, -(-(i + 1) * side // count)) for i in range(count)]
    size, stride = _pair(layer.kernel_size)[axis], _pair(layer.stride)[axis]
    if _pair(layer.padding) != (0, 0) or _pair(layer.dilation) != (1, 1) or layer.ceil_mode:
        return []
    return [(first, first + size) for first in range(0, side - size + 1, stride)]


def _pair(value: Any) -> tuple[Any, Any]:
    return tuple(value) if isinstance(value, tuple) else (value, value)
