"""Perceptrons by hand: the gradient of all members of a stack in a few batched matrix products, without autograd.

What autograd would do for linear layers with ReLU between them takes seven calls here, into buffers that are made once.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from hardsight.learners.network.batches import Batch

# Of the scores ``(member, class, row)`` and their batch: losses ``(member,)``, and the gradient of their sum by the scores,
# which may take the place of these.
Outer = Callable[[Tensor, Batch], tuple[Tensor, Tensor]]


class Layer(NamedTuple):
    """Names of a linear layer's parameters in the module's state; ``bias`` None where it has none."""

    weight: str
    bias: str | None


def layers(net: nn.Module) -> list[Layer] | None:
    """The linear layers of a module that is nothing but ``Linear, ReLU, …, Linear``; None for any other.

    >>> layers(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    [Layer(weight='0.weight', bias='0.bias'), Layer(weight='2.weight', bias='2.bias')]
    >>> layers(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))) is None
    True
    """
    if type(net) is not nn.Sequential or net._forward_hooks or net._forward_pre_hooks:
        return None
    parts = list(net)
    wanted = [nn.Linear if index % 2 == 0 else nn.ReLU for index in range(len(parts))]
    plain = all(type(part) is kind and not part._forward_hooks for part, kind in zip(parts, wanted, strict=True))
    if not parts or len(parts) % 2 == 0 or not plain:
        return None
    if len({id(part) for part in parts}) < len(parts):
        return None
    if any(not p.requires_grad or p.dtype != torch.float32 for p in net.parameters()):
        return None
    if any(before.out_features != after.in_features for before, after in pairwise(parts[::2])):
        return None
    return [
        Layer(f"{index}.weight", None if parts[index].bias is None else f"{index}.bias")
        for index in range(0, len(parts), 2)
    ]


class Gradient:
    """Losses of all members on a batch each, and the gradient of every member's own loss in ``parameters[…].grad``.

    Args:
        parameters: stacked, ``(member, …)``, by the names in ``stack``.
        stack: of :func:`layers`.
        outer: the loss of a batch and its gradient by the scores; None: :func:`mean_loss`.
    """

    def __init__(self, parameters: dict[str, Tensor], stack: list[Layer], outer: Outer | None = None) -> None:
        self.outer = mean_loss if outer is None else outer
        self.weights = [parameters[layer.weight] for layer in stack]
        self.biases = [None if layer.bias is None else parameters[layer.bias] for layer in stack]
        for parameter in parameters.values():
            parameter.grad = torch.zeros_like(parameter)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Float32[Tensor, " member"]:
        """The losses of a batch with inputs ``(member, row, feature)``."""
        # Units before rows throughout: sums over classes and the mask of ReLU then run along contiguous rows.
        seen = [batch.inputs.mT]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            out = torch.bmm(weight, seen[-1])
            seen.append(out if bias is None else out.add_(bias[:, :, None]))
            if weight is not self.weights[-1]:
                out.relu_()
        scores = seen.pop()
        losses, back = self.outer(scores, batch)
        for index in range(len(self.weights) - 1, -1, -1):
            weight, bias = self.weights[index], self.biases[index]
            torch.bmm(back, seen[index].mT, out=weight.grad)
            if bias is not None:
                torch.sum(back, dim=2, out=bias.grad)
            if index:
                # A unit that ReLU held at zero passes nothing back.
                back = torch.bmm(weight.mT, back).mul_(seen[index] > 0)
        return losses


def mean_loss(
    scores: Float32[Tensor, "member class row"], batch: Batch
) -> tuple[Float32[Tensor, " member"], Float32[Tensor, "member class row"]]:
    """Mean cross-entropy for class codes, mean squared error for float targets, weighted; gradient in place of scores."""
    rows, target, sample_weight = scores.shape[2], batch.targets, batch.weights
    if target.is_floating_point():
        back = scores.sub_(target[:, None])
        losses = back.square()
        back.mul_(2 / rows)
    else:
        own = target[:, None]
        normaliser = scores.logsumexp(1, keepdim=True)
        losses = normaliser - scores.gather(1, own)
        back = scores.sub_(normaliser).exp_()
        back.scatter_add_(1, own, torch.full_like(own, -1, dtype=back.dtype)).div_(rows)
    if sample_weight is not None:
        losses.mul_(sample_weight[:, None])
        back.mul_(sample_weight[:, None])
    return losses.mean(dim=(1, 2)), back
