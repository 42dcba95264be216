"""Gradients of perceptrons by hand: all stacked members in a few batched matrix products, without autograd.

What autograd would do for linear layers with ReLU between them takes seven calls here, into buffers allocated once.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn.functional import softplus

from hardsight.learners.network.batches import Batch

# From the scores ``(member, class, row)`` and their batch: losses ``(member,)``, and the gradient of their sum by the
# scores, which may overwrite them.
LossGradient = Callable[[Tensor, Batch], tuple[Tensor, Tensor]]


class Layer(NamedTuple):
    """Names of a linear layer's parameters in the module's state; ``bias`` is None if there is none."""

    weight: str
    bias: str | None


def find_layers(net: nn.Module) -> list[Layer] | None:
    """Return the linear layers of a module that is exactly ``Linear, ReLU, …, Linear``; None for any other.

    >>> find_layers(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    [Layer(weight='0.weight', bias='0.bias'), Layer(weight='2.weight', bias='2.bias')]
    >>> find_layers(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))) is None
    True
    """
    if type(net) is not nn.Sequential or net._forward_hooks or net._forward_pre_hooks or not _is_perceptron(list(net)):
        return None
    if any(not p.requires_grad or p.dtype != torch.float32 for p in net.parameters()):
        return None
    return [
        Layer(f"{index}.weight", None if net[index].bias is None else f"{index}.bias") for index in range(0, len(net), 2)
    ]


def _is_perceptron(modules: list[nn.Module]) -> bool:
    """Return whether different plain modules alternate between linear layers, first and last, and ReLU, and fit together."""
    if len(modules) % 2 == 0 or len(set(map(id, modules))) < len(modules):
        return False
    kinds = [nn.Linear, nn.ReLU] * (len(modules) // 2) + [nn.Linear]
    if any(type(module) is not kind or module._forward_hooks for module, kind in zip(modules, kinds, strict=True)):
        return False
    return all(before.out_features == after.in_features for before, after in pairwise(modules[::2]))


class MlpGradient:
    """Losses of all members on one batch each; the gradient of each member's loss goes to ``parameters[…].grad``.

    Args:
        parameters: stacked, ``(member, …)``, by the names in ``layers``.
        layers: from :func:`find_layers`.
        loss_gradient: the loss of a batch and its gradient by the scores; None: :func:`mean_loss_and_gradient`.
    """

    def __init__(
        self, parameters: dict[str, Tensor], layers: list[Layer], loss_gradient: LossGradient | None = None
    ) -> None:
        self.loss_gradient = mean_loss_and_gradient if loss_gradient is None else loss_gradient
        self.weights = [parameters[layer.weight] for layer in layers]
        self.biases = [None if layer.bias is None else parameters[layer.bias] for layer in layers]
        for parameter in parameters.values():
            parameter.grad = torch.zeros_like(parameter)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Float32[Tensor, " member"]:
        """Return the losses of a batch with inputs ``(member, row, feature)``."""
        # Units before rows throughout: sums over classes and the mask of ReLU then run along contiguous rows.
        activations = [batch.inputs.mT]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            out = torch.bmm(weight, activations[-1])
            activations.append(out if bias is None else out.add_(bias[:, :, None]))
            if weight is not self.weights[-1]:
                out.relu_()
        scores = activations.pop()
        losses, gradient = self.loss_gradient(scores, batch)
        for index in range(len(self.weights) - 1, -1, -1):
            weight, bias = self.weights[index], self.biases[index]
            torch.bmm(gradient, activations[index].mT, out=weight.grad)
            if bias is not None:
                torch.sum(gradient, dim=2, out=bias.grad)
            if index:
                # A unit at zero after ReLU passes no gradient back.
                gradient = torch.bmm(weight.mT, gradient).mul_(activations[index] > 0)
        return losses


def mean_loss_and_gradient(
    scores: Float32[Tensor, "member class row"], batch: Batch
) -> tuple[Float32[Tensor, " member"], Float32[Tensor, "member class row"]]:
    """Return the weighted mean loss and its gradient, which overwrites the scores.

    The loss is cross-entropy for class codes, squared error for float targets, and the mean over labels of that of each for
    the weights of several labels.
    """
    rows, target, sample_weight = scores.shape[2], batch.targets, batch.weights
    if target.ndim == 3:
        having, lacking = target.mT.chunk(2, dim=1)
        losses = (having * softplus(-scores) + lacking * softplus(scores)).mean(1, keepdim=True)
        gradient = scores.sigmoid_().mul_(having + lacking).sub_(having).div_(rows * scores.shape[1])
    elif target.is_floating_point():
        gradient = scores.sub_(target[:, None])
        losses = gradient.square()
        gradient.mul_(2 / rows)
    else:
        label = target[:, None]
        normaliser = scores.logsumexp(1, keepdim=True)
        losses = normaliser - scores.gather(1, label)
        gradient = scores.sub_(normaliser).exp_()
        gradient.scatter_add_(1, label, torch.full_like(label, -1, dtype=gradient.dtype)).div_(rows)
    if sample_weight is not None:
        losses.mul_(sample_weight[:, None])
        gradient.mul_(sample_weight[:, None])
    return losses.mean(dim=(1, 2)), gradient
