"""Residual networks for images of 32 × 32 pixels (section 4.2 of He, Zhang, Ren & Sun 2016), and their augmentation."""

from math import gcd

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hardsight.errors import InputError
from hardsight.validation import check_int

NORMS = ("batch", "group")
_GROUPS = 8
_PADDING = 4


class ResNet(nn.Module):
    """Residual network of 6 n + 2 layers.

    A convolution, three stages of n blocks with 1, 2 and 4 times the width, the mean, and a linear layer. Shortcuts
    have no parameters where the width changes: they take every second pixel and pad the new channels with zeros (option
    A of the paper).

    Args:
        depth: 6 n + 2, for example 20 or 32.
        classes: outputs.
        norm: "batch", as published; "group": eight groups of channels (Wu & He 2018), which keeps no running
            statistics, so that the members of an ensemble can be trained in one batched pass.
        width: channels of the first stage, 16 as published.
        channels: of the images.

    Raises:
        InputError: another depth or norm.

    >>> sum(p.numel() for p in ResNet(20).parameters())
    269722
    """

    def __init__(
        self, depth: int = 32, classes: int = 10, *, norm: str = "batch", width: int = 16, channels: int = 3
    ) -> None:
        super().__init__()
        check_int("width", width, 1)
        if depth < 8 or depth % 6 != 2:
            raise InputError(f"depth must be 6 n + 2, such as 20 or 32. Got {depth}")
        if norm not in NORMS:
            raise InputError(f"norm must be one of {', '.join(NORMS)}. Got {norm!r}")
        layers: list[nn.Module] = [_convolution(channels, width, 1), _norm(norm, width), nn.ReLU()]
        before = width
        for stage in range(3):
            for block in range(depth // 6):
                after = width << stage
                layers.append(_Block(before, after, 2 if stage and not block else 1, norm))
                before = after
        self.features = nn.Sequential(*layers)
        self.last = nn.Linear(before, classes)

    def forward(self, x: Float[Tensor, "row channel height width"]) -> Float[Tensor, "row class"]:
        """Logits."""
        out: Tensor = self.last(self.features(x).mean((2, 3)))
        return out


class _Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, before: int, after: int, stride: int, norm: str) -> None:
        super().__init__()
        self.stride, self.new = stride, after - before
        self.residual = nn.Sequential(
            _convolution(before, after, stride),
            _norm(norm, after),
            nn.ReLU(),
            _convolution(after, after, 1),
            _norm(norm, after),
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x[:, :, :: self.stride, :: self.stride]
        # Half of the new channels go on each side of the old ones.
        shortcut = functional.pad(shortcut, (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))
        return functional.relu(shortcut + self.residual(x))


def _convolution(before: int, after: int, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return layer


def _norm(norm: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(gcd(_GROUPS, channels), channels)


def crop_and_flip(
    batch: Float[Tensor, "row channel height width"], generator: torch.Generator
) -> Float[Tensor, "row channel height width"]:
    """Shift each image by up to four pixels each way, black beyond its edges, and mirror half of the images."""
    n, _, height, width = batch.shape
    padded = functional.pad(batch, (_PADDING,) * 4)
    down, across = torch.randint(2 * _PADDING + 1, (2, n, 1), generator=generator)
    rows = down + torch.arange(height)
    columns = across + torch.arange(width)
    mirrored = torch.rand(n, 1, generator=generator) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    at = torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]
    image, row, column = (index.to(batch.device) for index in at)
    return padded[image, :, row, column].movedim(-1, 1).contiguous()
