"""Weights by the gradients of single samples: how far a step on a sample helps a clean batch.

A clean batch stands for what the model shall be good at: trusted labels, or balanced classes. In a loop, with
``loss = F.cross_entropy(model(x), y, reduction="none")``::

    (l2rw(model, x, y, x_clean, y_clean) * loss).sum().backward()

    weights, objective = dds(net, model, x, y, x_clean, y_clean)
    optimizer_of_net.zero_grad(); objective.mean().backward(); optimizer_of_net.step()
    (weights * loss).sum().backward()
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import grad, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from hardsight.weights.scheme import Scheme
from hardsight.weights.schemes.calls import CLEAN, Scored, called, sample_losses, trained


def l2rw(
    model: nn.Module,
    inputs: Any,
    labels: Int[Tensor, " sample"],
    clean_inputs: Any,
    clean_labels: Int[Tensor, " clean"],
) -> Float[Tensor, " sample"]:
    """Weights that make the clean loss fall fastest: positive parts of :func:`alignment`, with sum one, or all zero.

    Published as the gradient of the clean loss by the weights of one virtual step of any length; the length cancels.

    >>> model = nn.Linear(1, 2, bias=False)
    >>> with torch.no_grad(): _ = model.weight.zero_()
    >>> l2rw(model, torch.ones(3, 1), torch.tensor([0, 0, 1]), torch.ones(1, 1), torch.tensor([0]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    aligned = alignment(model, inputs, labels, clean_inputs, clean_labels).clamp(min=0)
    total = aligned.sum()
    return aligned / (total + (total == 0))


def alignment(
    model: nn.Module,
    inputs: Any,
    labels: Int[Tensor, " sample"],
    clean_inputs: Any,
    clean_labels: Int[Tensor, " clean"],
) -> Float[Tensor, " sample"]:
    """Inner product of each sample's gradient with that of the mean loss of the clean batch; no gradient flows through it.

    One forward-mode derivative of the losses along the clean gradient gives all of them; no sample's gradient is kept.

    Args:
        model: from inputs to logits; in the mode that it is in. Its buffers stay as they are.
        inputs: a tensor, or a mapping of keyword arguments; ``(sample, ...)``.
        labels: class codes; ``(sample,)``.
        clean_inputs: as inputs; ``(clean, ...)``.
        clean_labels: class codes; ``(clean,)``.

    Raises:
        InputError: a model without parameters that are trained.
    """
    at = trained(model)
    # Fused attention has no forward-mode derivative.
    with sdpa_kernel(SDPBackend.MATH):
        towards = grad(lambda p: sample_losses(model, p, clean_inputs, clean_labels).mean())(at)
        with torch.no_grad():
            slopes: Tensor = jvp(lambda p: sample_losses(model, p, inputs, labels), (at,), (towards,))[1]
    return slopes.detach()


def dds(
    weigher: nn.Module,
    model: nn.Module,
    inputs: Any,
    labels: Int[Tensor, " sample"],
    clean_inputs: Any,
    clean_labels: Int[Tensor, " clean"],
) -> Scored:
    """Weights by a policy that is rewarded with :func:`alignment`: softmax over the batch of the weigher's scores.

    Args:
        weigher: from inputs to scores, ``(sample,)`` or ``(sample, 1)``.
        model: from inputs to logits.
        inputs: a tensor, or a mapping of keyword arguments; ``(sample, ...)``.
        labels: class codes; ``(sample,)``.
        clean_inputs: as inputs; ``(clean, ...)``.
        clean_labels: class codes; ``(clean,)``.

    Returns:
        Weights with sum one, and the objective -reward · log weight (REINFORCE).

    Raises:
        InputError: a model without parameters that are trained.
    """
    reward = alignment(model, inputs, labels, clean_inputs, clean_labels)
    log_weights = called(weigher, {}, inputs).reshape(len(labels)).log_softmax(0)
    return Scored(log_weights.detach().exp(), -reward * log_weights)


ROWS = (
    Scheme(
        "l2rw",
        "samples whose gradient points where that of a clean batch points",
        "max(<grad l_i, grad L_clean>, 0) / sum",
        l2rw,
        "learned",
        "none: gradients",
        "Ren et al. 2018, Learning to reweight examples for robust deep learning, ICML",
        kind="learned",
        reduction="sum",
        normalization="sum one",
        clean_data=CLEAN,
        note="Published with 1,000 clean samples against noise, 10 a class against imbalance.",
    ),
    Scheme(
        "dds",
        "inputs that a network has learned to help a clean batch",
        "softmax of s(x) over the batch; s by policy gradient, reward <grad l_i, grad L_clean>",
        dds,
        "learned",
        "inputs",
        "Wang et al. 2020, Optimizing data usage via differentiable rewards, ICML",
        kind="learned",
        reduction="sum",
        normalization="sum one",
        clean_data=CLEAN,
        note="Exact rewards at the model as it is; published with a finite difference of step 1e-3, between two steps.",
    ),
)
