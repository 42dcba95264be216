"""Meta-learned weights: a clean batch, which stands for the goal, teaches which samples help it.

The clean batch has trusted labels, or balanced classes. Either the gradients of single samples are compared with that
of the clean batch, or a small network of the weights is trained through a virtual step of the model. In a loop, with
``loss = F.cross_entropy(model(x), y, reduction="none")``::

    (l2rw(model, x, y, x_clean, y_clean) * loss).sum().backward()

    weights, objective = dds(net, model, x, y, x_clean, y_clean) net_optimizer.zero_grad(); objective.mean().backward();
    net_optimizer.step() (weights * loss).sum().backward()

    net_optimizer.zero_grad() meta_weight_net(net, model, x, y, x_clean, y_clean, learning_rate).backward();
    net_optimizer.step() (net(loss.detach()).detach() * loss).mean().backward()
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from hardsight.errors import InputError
from hardsight.validation import check_int, check_range
from hardsight.weights.scheme import scheme

Parameters = dict[str, Tensor]
CLEAN_BATCH = "a batch of trusted labels, or of balanced classes, at every step"


class WeightsAndObjective(NamedTuple):
    """Weights, and the loss of the network that computes them."""

    weights: Tensor  # weights of the model's losses, which carry no gradient; (sample,)
    objective: Tensor  # the network minimizes its mean; (sample,)


@scheme(
    "l2rw",
    formula="max(<grad l_i, grad L_clean>, 0) / sum",
    priority="learned",
    scale="none: gradients",
    source="Ren et al. 2018, Learning to reweight examples for robust deep learning, ICML",
    kind="learned",
    reduction="sum",
    normalization="sum 1",
    clean_data=CLEAN_BATCH,
    note="Published with 1,000 clean samples against noise, 10 per class against imbalance.",
)
def l2rw(
    model: nn.Module, inputs: Any, labels: Int[Tensor, " sample"], clean_inputs: Any, clean_labels: Int[Tensor, " clean"]
) -> Float[Tensor, " sample"]:
    """Prefer samples whose gradient points in the direction of a clean batch's gradient.

    The weights reduce the clean loss fastest: positive parts of :func:`gradient_alignment` with sum one, or all zero.
    Published as the gradient of the clean loss by the weights of one virtual step, whose length cancels.

    Raises:
        InputError: a model without trainable parameters.

    >>> model = nn.Linear(1, 2, bias=False)
    >>> with torch.no_grad(): _ = model.weight.zero_()
    >>> l2rw(model, torch.ones(3, 1), torch.tensor([0, 0, 1]), torch.ones(1, 1), torch.tensor([0]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    aligned = gradient_alignment(model, inputs, labels, clean_inputs, clean_labels).clamp(min=0)
    total = aligned.sum()
    return aligned / (total + (total == 0))


def gradient_alignment(
    model: nn.Module, inputs: Any, labels: Int[Tensor, " sample"], clean_inputs: Any, clean_labels: Int[Tensor, " clean"]
) -> Float[Tensor, " sample"]:
    """Return the inner product of each sample's gradient with that of the clean batch's mean loss; ``(sample,)``, detached.

    One forward-mode derivative of the losses in the direction of the clean gradient gives all of them; no gradient of
    a single sample is kept in memory.

    Args:
        model: from inputs to logits, in its present mode. Its buffers stay as they are.
        inputs: a tensor, or a mapping of keyword arguments; ``(sample, ...)``.
        labels: class codes; ``(sample,)``.
        clean_inputs: like ``inputs``; ``(clean, ...)``.
        clean_labels: class codes; ``(clean,)``.

    Raises:
        InputError: a model without trainable parameters.
    """
    parameters = trainable_parameters(model)
    # Fused attention has no forward-mode derivative.
    with sdpa_kernel(SDPBackend.MATH):
        direction = grad(lambda p: sample_losses(model, p, clean_inputs, clean_labels).mean())(parameters)
        with torch.no_grad():
            slopes: Tensor = jvp(lambda p: sample_losses(model, p, inputs, labels), (parameters,), (direction,))[1]
    return slopes.detach()


@scheme(
    "dds",
    formula="softmax of s(x) over the batch; s by policy gradient, reward <grad l_i, grad L_clean>",
    priority="learned",
    scale="inputs",
    source="Wang et al. 2020, Optimizing data usage via differentiable rewards, ICML",
    kind="learned",
    reduction="sum",
    normalization="sum 1",
    clean_data=CLEAN_BATCH,
    note="Exact rewards at the current model; published with a finite difference of step 1e-3, between two steps.",
)
def dds(
    weigher: nn.Module,
    model: nn.Module,
    inputs: Any,
    labels: Int[Tensor, " sample"],
    clean_inputs: Any,
    clean_labels: Int[Tensor, " clean"],
) -> WeightsAndObjective:
    """Prefer inputs that help a clean batch, as a network has learned.

    The weights are a policy that is rewarded with :func:`gradient_alignment`: the softmax over the batch of the
    network's scores.

    Args:
        weigher: network from inputs to scores, ``(sample,)`` or ``(sample, 1)``.

    Returns:
        Weights with sum one, and the objective -reward · log weight (REINFORCE).

    Raises:
        InputError: a model without trainable parameters.
    """
    reward = gradient_alignment(model, inputs, labels, clean_inputs, clean_labels)
    log_weights = call_model(weigher, {}, inputs).reshape(len(labels)).log_softmax(0)
    return WeightsAndObjective(log_weights.detach().exp(), -reward * log_weights)


class MetaWeightNet(nn.Module):
    """A network with one hidden layer, from a loss to a weight in (0, 1). Published: Adam, rate 1e-3, weight decay 1e-4."""

    def __init__(self, hidden: int = 100):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid())

    def forward(
        self, loss: Float[Tensor, " sample"], labels: Int[Tensor, " sample"] | None = None
    ) -> Float[Tensor, " sample"]:
        """Return the weights; the labels are not read."""
        weights: Tensor = self.layers(loss[:, None])[:, 0]
        return weights


class CMWNet(nn.Module):
    """A :class:`MetaWeightNet` with an output layer for each family of classes of similar sizes, found by k-means.

    Published: Adam with amsgrad, rate 1e-4, weight decay 1e-5.

    Args:
        sizes: number of samples of each class; ``(class,)``.
        families: number of families; fewer if there are fewer distinct sizes.
        hidden: number of hidden units.
        seed: seed of the k-means.
    """

    families: Tensor

    def __init__(self, sizes: np.ndarray | Tensor, families: int = 3, hidden: int = 100, seed: int = 0):
        from sklearn.cluster import KMeans

        super().__init__()
        values = np.asarray(sizes, dtype=float).reshape(-1, 1)
        count = min(check_int("families", families, 1), len(np.unique(values)))
        codes = KMeans(count, n_init=10, random_state=seed).fit(values).labels_
        self.register_buffer("families", torch.as_tensor(codes, dtype=torch.int64))
        self.shared = nn.Sequential(nn.Linear(1, hidden), nn.ReLU())
        self.heads = nn.Linear(hidden, count)

    def forward(self, loss: Float[Tensor, " sample"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
        """Return the weights by the loss and the family of the label."""
        scores = self.heads(self.shared(loss[:, None]))
        score: Tensor = scores.gather(1, self.families[labels][:, None])[:, 0]
        return score.sigmoid()


@scheme(
    "meta-weight-net",
    formula="v(l), a network learned by the loss of a clean batch after a virtual step by sum(v l) / n",
    priority="learned",
    scale="loss, nats",
    source="Shu et al. 2019, Meta-Weight-Net: learning an explicit mapping for sample weighting, NeurIPS",
    kind="learned",
    clean_data=CLEAN_BATCH,
    note="The function returns what MetaWeightNet minimizes; its weights are net(loss). Not normalized, as in the authors' "
    "code; the paper divides by the sum. Nothing makes the weights fall or rise with the loss: inspect them.",
)
def meta_weight_net(
    weigher: nn.Module,
    model: nn.Module,
    inputs: Any,
    labels: Int[Tensor, " sample"],
    clean_inputs: Any,
    clean_labels: Int[Tensor, " clean"],
    learning_rate: float,
) -> Float[Tensor, ""]:
    """Prefer samples whose losses help a clean batch.

    Returns the loss of the clean batch after one virtual step of the model by sum(w l) / n, as a function of the
    network of the weights. Its gradient reaches only the parameters of that network; the model stays as it is. The
    weights of the step that follows are ``weigher(loss, labels)``.

    Args:
        weigher: :class:`MetaWeightNet`, or any module from ``(loss, labels)`` to weights.
        learning_rate: learning rate of the virtual step of gradient descent; that of the model's optimizer.

    Raises:
        InputError: a model without trainable parameters, or a rate that is not above zero.
    """

    def shares(logits: Tensor, loss: Tensor) -> Tensor:
        weights: Tensor = weigher(loss, labels)
        return weights / len(loss)

    return loss_after_step(shares, model, inputs, labels, clean_inputs, clean_labels, learning_rate)


@scheme(
    "cmw-net",
    formula="v_f(l), f the family of the class by k-means of the sizes; learned after a virtual step by sum(v l) / sum(v)",
    priority="learned",
    scale="loss, nats; number of samples of each class",
    source="Shu et al. 2023, CMW-Net: learning a class-aware sample weighting mapping for robust deep learning, TPAMI",
    kind="learned",
    reduction="weighted mean",
    clean_data=CLEAN_BATCH,
    note="The function returns what CMWNet minimizes; its weights are net(loss, labels).",
)
def cmw_net(
    weigher: nn.Module,
    model: nn.Module,
    inputs: Any,
    labels: Int[Tensor, " sample"],
    clean_inputs: Any,
    clean_labels: Int[Tensor, " clean"],
    learning_rate: float,
) -> Float[Tensor, ""]:
    """Prefer samples whose losses help a clean batch, separately for large, medium and small classes.

    As :func:`meta_weight_net` for :class:`CMWNet`; the step is by sum(w l) / sum(w), with no gradient through the divisor.

    Args:
        weigher: :class:`CMWNet`, or any module from ``(loss, labels)`` to weights.
        learning_rate: learning rate of the virtual step of gradient descent; that of the model's optimizer.

    Raises:
        InputError: a model without trainable parameters, or a rate that is not above zero.
    """

    def shares(logits: Tensor, loss: Tensor) -> Tensor:
        weights: Tensor = weigher(loss, labels)
        return weights / weights.sum().detach()

    return loss_after_step(shares, model, inputs, labels, clean_inputs, clean_labels, learning_rate)


def loss_after_step(
    shares: Callable[[Tensor, Tensor], Tensor],
    model: nn.Module,
    inputs: Any,
    labels: Tensor,
    clean_inputs: Any,
    clean_labels: Tensor,
    learning_rate: float,
) -> Tensor:
    """Return the loss of the clean batch after a virtual step by the sum of losses times ``shares(logits, losses)``.

    The logits and losses that ``shares`` reads carry no gradient. The other arguments are those of
    :func:`meta_weight_net`.
    """
    check_range("learning_rate", learning_rate, 0, strict=(True, False))
    parameters = trainable_parameters(model)

    def weighted(parameters: Parameters) -> Tensor:
        logits = call_model(model, parameters, inputs)
        loss = cross_entropy(logits, labels, reduction="none")
        return (shares(logits.detach(), loss.detach()) * loss).sum()

    # Fused attention has no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        gradient = grad(weighted)(parameters)
    moved = {name: value - learning_rate * gradient[name] for name, value in parameters.items()}
    return sample_losses(model, moved, clean_inputs, clean_labels).mean()


def trainable_parameters(model: nn.Module) -> Parameters:
    """Return the parameters of the model that are trained, by name, detached.

    Raises:
        InputError: the model has none.
    """
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not parameters:
        raise InputError("model must have parameters with requires_grad=True, by which gradients are taken. Got none")
    return parameters


def sample_losses(model: nn.Module, parameters: Parameters, inputs: Any, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each sample under the model with these parameters; ``(sample,)``."""
    return cross_entropy(call_model(model, parameters, inputs), labels, reduction="none")


def call_model(model: nn.Module, parameters: Parameters, inputs: Any) -> Tensor:
    """Return the model's output, or its ``logits``, with these parameters in place of its own; its buffers stay as they are.

    Args:
        model: called unchanged if there are no parameters.
        parameters: by name.
        inputs: a tensor, or a mapping of keyword arguments.
    """
    if not parameters:
        out = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    else:
        # Copied, so that batch statistics are not counted twice.
        replaced = parameters | {name: b.clone() for name, b in model.named_buffers()}
        args, kwargs = ((), dict(inputs)) if isinstance(inputs, Mapping) else ((inputs,), {})
        out = functional_call(model, replaced, args, kwargs)
    logits: Tensor = out.logits if hasattr(out, "logits") else out
    return logits
