"""Convolutional networks on a CPU: the same numbers in less time."""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Layers of more images do not fit into the cache of a core: EfficientNets then take two to four times as long.
_MAX_PART = 4
# A vision transformer has one or a few convolutions, which make its patches.
_MIN_CONVOLUTIONS = 8


def choose_parts(
    encode: Callable[["torch.Tensor"], "torch.Tensor"], module: Any, device: "torch.device"
) -> Callable[["torch.Tensor"], "torch.Tensor"]:
    """Return how a batch of images is encoded fastest: by a convolutional network on a CPU in small parts, else at once.

    Args:
        encode: from images ``(sample, channel, height, width)`` to ``(sample, feature)``.
        module: the network that encodes them; its weights change their memory format if need be.
        device: on which it will be.
    """
    import torch

    if device.type != "cpu" or not is_convolutional(module):
        return encode
    module.to(memory_format=torch.channels_last)
    return lambda images: encode_parts(encode, images)


def is_convolutional(module: "torch.nn.Module") -> bool:
    """Return whether a network consists of convolutions."""
    from torch import nn

    return sum(isinstance(layer, nn.Conv2d) for layer in module.modules()) >= _MIN_CONVOLUTIONS


def encode_parts(encode: Callable[["torch.Tensor"], "torch.Tensor"], images: "torch.Tensor") -> "torch.Tensor":
    """Encode a batch on the CPU in small parts of equal size, with the colours of a pixel beside each other.

    Args:
        encode: from images to ``(sample, feature)``; its weights may be in any memory format.
        images: ``(sample, channel, height, width)``.
    """
    import torch

    size = next(size for size in range(_MAX_PART, 0, -1) if len(images) % size == 0)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    return torch.cat([encode(channels_last[at : at + size]) for at in range(0, len(images), size)])


def fold_batch_norm(module: "torch.nn.Module") -> None:
    """Multiply the weights of convolutions by the scales of the normalisation that follows each in its parent, in place.

    The network must be in evaluation mode, and call each normalisation right after the convolution before it.
    """
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for parent in module.modules():
        children = list(parent.named_children())
        for (name, layer), (next_name, following) in pairwise(children):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(layer, following))
                setattr(parent, next_name, nn.Identity())
