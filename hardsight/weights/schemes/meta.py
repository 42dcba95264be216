"""Weights by a small network that a clean batch teaches, through a virtual step of the model.

In a loop, with ``loss = F.cross_entropy(model(x), y, reduction="none")``::

    optimizer_of_net.zero_grad()
    meta_weight_net(net, model, x, y, x_clean, y_clean, learning_rate).backward(); optimizer_of_net.step()
    (net(loss.detach()).detach() * loss).mean().backward()
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import grad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from hardsight.validation import check_int, check_range
from hardsight.weights.scheme import Scheme
from hardsight.weights.schemes.calls import CLEAN, Parameters, called, sample_losses, trained


class MetaWeightNet(nn.Module):
    """From a loss to a weight between 0 and 1: one hidden layer. Published: Adam, rate 1e-3, weight decay 1e-4."""

    def __init__(self, hidden: int = 100):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid())

    def forward(
        self, loss: Float[Tensor, " sample"], labels: Int[Tensor, " sample"] | None = None
    ) -> Float[Tensor, " sample"]:
        """Weights; the labels are not read."""
        weights: Tensor = self.layers(loss[:, None])[:, 0]
        return weights


class CMWNet(nn.Module):
    """:class:`MetaWeightNet` with an output layer for each family of classes of like sizes, found by k-means.

    Published: Adam with amsgrad, rate 1e-4, weight decay 1e-5.

    Args:
        sizes: samples of each class; ``(class,)``.
        families: how many; less where there are less different sizes.
        hidden: units.
        seed: of the k-means.
    """

    families: Tensor

    def __init__(self, sizes: np.ndarray | Tensor, families: int = 3, hidden: int = 100, seed: int = 0):
        from sklearn.cluster import KMeans

        super().__init__()
        values = np.asarray(sizes, dtype=float).reshape(-1, 1)
        count = min(check_int("families", families, 1), len(np.unique(values)))
        found = KMeans(count, n_init=10, random_state=seed).fit(values).labels_
        self.register_buffer("families", torch.as_tensor(found, dtype=torch.int64))
        self.shared = nn.Sequential(nn.Linear(1, hidden), nn.ReLU())
        self.heads = nn.Linear(hidden, count)

    def forward(self, loss: Float[Tensor, " sample"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
        """Weights by the loss and the family of the label."""
        scores = self.heads(self.shared(loss[:, None]))
        own: Tensor = scores.gather(1, self.families[labels][:, None])[:, 0]
        return own.sigmoid()


def meta_weight_net(
    weigher: nn.Module,
    model: nn.Module,
    inputs: Any,
    labels: Int[Tensor, " sample"],
    clean_inputs: Any,
    clean_labels: Int[Tensor, " clean"],
    learning_rate: float,
) -> Float[Tensor, ""]:
    """Loss of the clean batch after one virtual step of the model by sum(w l) / n, as a function of the weigher.

    Its gradient reaches the weigher's parameters only; the model stays as it is. Weights for the step that follows are
    ``weigher(loss, labels)``.

    Args:
        weigher: :class:`MetaWeightNet`, or any module from ``(loss, labels)`` to weights.
        model: from inputs to logits.
        inputs: a tensor, or a mapping of keyword arguments; ``(sample, ...)``.
        labels: class codes; ``(sample,)``.
        clean_inputs: as inputs; ``(clean, ...)``.
        clean_labels: class codes; ``(clean,)``.
        learning_rate: of the virtual step of gradient descent; that of the model's optimiser.

    Raises:
        InputError: a model without parameters that are trained, or a rate that is not above zero.
    """

    def shares(logits: Tensor, loss: Tensor) -> Tensor:
        weights: Tensor = weigher(loss, labels)
        return weights / len(loss)

    return after_step(shares, model, inputs, labels, clean_inputs, clean_labels, learning_rate)


def cmw_net(
    weigher: nn.Module,
    model: nn.Module,
    inputs: Any,
    labels: Int[Tensor, " sample"],
    clean_inputs: Any,
    clean_labels: Int[Tensor, " clean"],
    learning_rate: float,
) -> Float[Tensor, ""]:
    """:func:`meta_weight_net` for :class:`CMWNet`; the step is by sum(w l) / sum(w), no gradient through the divisor."""

    def shares(logits: Tensor, loss: Tensor) -> Tensor:
        weights: Tensor = weigher(loss, labels)
        return weights / weights.sum().detach()

    return after_step(shares, model, inputs, labels, clean_inputs, clean_labels, learning_rate)


def after_step(
    shares: Callable[[Tensor, Tensor], Tensor],
    model: nn.Module,
    inputs: Any,
    labels: Tensor,
    clean_inputs: Any,
    clean_labels: Tensor,
    learning_rate: float,
) -> Tensor:
    """Loss of the clean batch after a virtual step by the sum of losses times ``shares(logits, losses)``.

    The shares see logits and losses through which no gradient flows. Other arguments as in :func:`meta_weight_net`.
    """
    check_range("learning_rate", learning_rate, 0, strict=(True, False))
    at = trained(model)

    def weighted(parameters: Parameters) -> Tensor:
        logits = called(model, parameters, inputs)
        loss = cross_entropy(logits, labels, reduction="none")
        return (shares(logits.detach(), loss.detach()) * loss).sum()

    # Fused attention has no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        gradient = grad(weighted)(at)
    moved = {name: value - learning_rate * gradient[name] for name, value in at.items()}
    return sample_losses(model, moved, clean_inputs, clean_labels).mean()


ROWS = (
    Scheme(
        "meta-weight-net",
        "samples of the losses by which a clean batch gains",
        "v(l), a network learned by the loss of a clean batch after a virtual step by sum(v l) / n",
        meta_weight_net,
        "learned",
        "loss, nats",
        "Shu et al. 2019, Meta-Weight-Net: learning an explicit mapping for sample weighting, NeurIPS",
        kind="learned",
        clean_data=CLEAN,
        note="The function gives what MetaWeightNet minimises; its weights are net(loss). Not normalised, as in the "
        "authors' code; the paper divides by the sum. Nothing makes the weights fall or rise with the loss: look at them.",
    ),
    Scheme(
        "cmw-net",
        "as meta-weight-net, separately for large, medium and small classes",
        "v_f(l), f the family of the class by k-means of the sizes; learned after a virtual step by sum(v l) / sum(v)",
        cmw_net,
        "learned",
        "loss, nats; samples of each class",
        "Shu et al. 2023, CMW-Net: learning a class-aware sample weighting mapping for robust deep learning, TPAMI",
        kind="learned",
        reduction="weighted mean",
        clean_data=CLEAN,
        note="The function gives what CMWNet minimises; its weights are net(loss, labels).",
    ),
)
