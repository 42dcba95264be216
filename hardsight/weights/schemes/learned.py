"""Weights that are learned with the model: temperatures, three numbers, a network of the inputs, or a soft regression tree.

Data parameters in a loop, ``rows`` being the positions of the batch's samples::

    state = SCHEMES["data-parameters"].init_state(StateShape(samples, classes), {})
    data_parameters(state, model(x), y, rows).mean().backward(); optimizer.step(); descend_data_parameters(state)

LiLAW, after a step of the model by ``(lilaw(state, logits, y) * loss).mean()``, with a batch of validation data::

    descend_lilaw(state, model(x_val), y_val)

ScreenerNet::

    weights, objective = screener_net(net, x, loss) net_optimizer.zero_grad(); objective.mean().backward();
    net_optimizer.step() (weights * loss).mean().backward()

The tree, with a state from ``SCHEMES["weight-tree"].init_state(StateShape(samples, classes), {})``, a ``tree =
WeightTree()`` and ``loss = F.cross_entropy(logits, y, reduction="none")``::

    tree_optimizer.zero_grad() weight_tree(state, tree, model, x, y, sizes, rows, x_clean, y_clean, learning_rate).backward()
    tree_optimizer.step() weights = tree(tree_features(state, logits, y, sizes, rows)).detach() remember_weights(state,
    weights, loss.detach(), y, rows) (weights * loss).mean().backward()

and after each epoch ``end_epoch(state); tree.regrow()``.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_class_codes, check_finite
from hardsight.weights.scheme import State, StateShape, scheme
from hardsight.weights.schemes.class_balance import class_sizes
from hardsight.weights.schemes.meta import CLEAN_BATCH, WeightsAndObjective, call_model, loss_after_step

# Temperatures stay between 1/20 and 20.
_MAX_LOG_TEMPERATURE = math.log(20)
# Number of features that the tree reads.
_FEATURES = 9


def init_data_parameters(shape: StateShape, *, sample: float = 1.0, of_class: float = 1.0) -> State:
    """Return the logarithms of the temperatures, to be learned, and their momentum.

    Args:
        shape: number of samples and classes.
        sample: initial temperature of a sample.
        of_class: initial temperature of a class.
    """
    tables = {"samples": (shape.samples, sample), "classes": (shape.classes, of_class)}
    state: State = {}
    for name, (length, value) in tables.items():
        log = math.log(check_range(f"first temperature of {name}", value, 0, strict=(True, False)))
        state[name] = torch.full((length,), log, device=shape.device, requires_grad=True)
        state[f"{name} momentum"] = torch.zeros(length, device=shape.device)
    return state


@scheme(
    "data-parameters",
    formula="cross-entropy of z / (sigma_i + sigma_y), log sigma by gradient descent",
    priority="learned",
    scale="none: logits",
    source="Saxena, Tuzel & DeCoste 2019, Data parameters: a new family of parameters for learning a differentiable "
    "curriculum, NeurIPS",
    kind="learned",
    through=True,
    init=init_data_parameters,
    note="The function returns losses. Both temperatures start at 1, so that their sum starts at 2, as in the "
    "authors' code. descend_data_parameters is its step: rate .1, momentum .9, log sigma within ±log 20.",
)
def data_parameters(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"] | None = None,
) -> Float[Tensor, " sample"]:
    """Prefer samples and classes whose learned temperature stays low.

    Returns the cross-entropy of the logits divided by a learned temperature sigma: that of the sample plus that of its
    class. Without classes in the state it is that of the sample, without samples that of the class. The gradient by the
    logits is (softmax(z / sigma) - y) / sigma, so that hard samples come to count less by a rising temperature.

    Args:
        state: from :func:`init_data_parameters`.
        rows: rows of the samples in the state, read only if there are temperatures of samples; ``(sample,)``.

    Raises:
        InputError: a state with neither samples nor classes, no rows for temperatures of samples, logits that are not
            finite, or labels that are not class codes.
    """
    temperatures = []
    if len(state["samples"]):
        if rows is None:
            raise InputError("a temperature per sample needs the samples' rows in the state: pass rows=…")
        temperatures.append(state["samples"][rows].exp())
    if len(state["classes"]):
        temperatures.append(state["classes"][check_class_codes(labels, len(state["classes"]))].exp())
    if not temperatures:
        raise InputError(
            "state must have temperatures of samples or of classes. Got neither: make it with StateShape(samples=…, "
            "classes=…)"
        )
    sigma = torch.stack(temperatures).sum(0).to(logits.dtype)
    return cross_entropy(check_finite("logits", logits) / sigma[:, None], labels, reduction="none")


def descend_data_parameters(state: State, *, rate: float = 0.1, momentum: float = 0.9) -> None:
    """Take one step of gradient descent by the present gradients, and clear them; temperatures stay in [1/20, 20].

    Only entries with a gradient change, and so does their momentum: a sample that was not in the batch keeps its
    temperature.
    """
    check_range("rate", rate, 0, strict=(True, False))
    check_range("momentum", momentum, 0, 1, strict=(False, True))
    for name in ("samples", "classes"):
        values, velocity = state[name], state[f"{name} momentum"]
        if values.grad is None:
            continue
        moving = values.grad != 0
        velocity[moving] = momentum * velocity[moving] + values.grad[moving]
        with torch.no_grad():
            values[moving] = (values - rate * velocity)[moving].clamp(-_MAX_LOG_TEMPERATURE, _MAX_LOG_TEMPERATURE)
        values.grad = None


def init_lilaw(shape: StateShape, *, alpha: float = 10.0, beta: float = 2.0, delta: float = 6.0) -> State:
    """Return the three numbers that are learned."""
    initial = {"alpha": alpha, "beta": beta, "delta": delta}
    return {name: torch.tensor(value, device=shape.device) for name, value in initial.items()}


@scheme(
    "lilaw",
    formula="sigmoid(a p - q) + sigmoid(q - b p) + exp(-(d p - q)²/2), q = max_c p_c; a, b, d by a step on validation data",
    priority="learned",
    scale="p and the largest probability",
    source="Moturu et al. 2025, LiLAW: lightweight learnable adaptive weighting, arXiv 2509.20786",
    kind="learned",
    through=True,
    clean_data="a validation batch at every step; its labels may be noisy",
    init=init_lilaw,
    note="descend_lilaw is the step of a, b, d. The gradient flows through the weights in the authors' code.",
)
def lilaw(state: State, logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Prefer easy, medium or hard samples, depending on three learned numbers.

    The weight is sigmoid(alpha p - top) + sigmoid(top - beta p) + exp(-(delta p - top)² / 2), top the largest probability.

    Args:
        state: "alpha", "beta" and "delta".
    """
    predicted = check_finite("logits", logits).softmax(1)
    p = predicted.gather(1, check_class_codes(labels, logits.shape[1])[:, None])[:, 0]
    top = predicted.amax(1)
    alpha, beta, delta = (state[name].to(logits.dtype) for name in ("alpha", "beta", "delta"))
    return (alpha * p - top).sigmoid() + (top - beta * p).sigmoid() + torch.exp(-((delta * p - top) ** 2) / 2)


def descend_lilaw(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    *,
    rate: float = 5e-3,
    decay: float = 1e-4,
) -> None:
    """Take one step of the three numbers down the weighted loss of a validation batch; alpha >= 1, delta >= beta.

    Published with ``rate`` and ``decay`` as here, after two epochs in which all weights are one.
    """
    check_range("rate", rate, 0, strict=(True, False))
    check_range("decay", decay, 0)
    names = ("alpha", "beta", "delta")
    learned = {name: state[name].detach().requires_grad_() for name in names}
    with torch.enable_grad():
        fixed_logits = logits.detach()
        loss = (lilaw(learned, fixed_logits, labels) * cross_entropy(fixed_logits, labels, reduction="none")).mean()
        gradients = torch.autograd.grad(loss, [learned[name] for name in names])
    for name, gradient in zip(names, gradients, strict=True):
        state[name].sub_(rate * (gradient + decay * state[name]))
    state["alpha"].clamp_(min=1)
    state["delta"].clamp_(min=float(state["beta"]))


@scheme(
    "screener-net",
    formula="w = s(x), s by the mean of (1 - w)² l + w² max(margin - l, 0)",
    priority="learned",
    scale="inputs; loss, nats",
    source="Kim & Choi 2018, ScreenerNet: learning self-paced curriculum for deep neural networks, arXiv 1801.00904",
    kind="learned",
)
def screener_net(
    weigher: nn.Module, inputs: Any, loss: Float[Tensor, " sample"], *, margin: float = 1.0
) -> WeightsAndObjective:
    """Prefer inputs that resemble those with a high loss.

    The weights are those of a network that reads the inputs and is trained to give large weights to high losses.

    Args:
        weigher: network from inputs to weights from 0 to 1, ``(sample,)`` or ``(sample, 1)``.
        margin: loss above which the objective asks for a weight of one.

    Returns:
        The weights, and the objective (1 - w)² l + w² max(margin - l, 0).
    """
    weights = call_model(weigher, {}, inputs).reshape(len(loss))
    fixed_loss = loss.detach()
    objective = (1 - weights) ** 2 * fixed_loss + weights**2 * (check_range("margin", margin, 0) - fixed_loss).clamp(min=0)
    return WeightsAndObjective(weights.detach(), objective)


def init_weight_tree(shape: StateShape) -> State:
    """Return the weights of this epoch and the last two, all 1, and the classes' mean losses, 5 until an epoch ends."""
    ones = torch.ones(shape.samples, device=shape.device)
    zeros = torch.zeros(shape.classes, device=shape.device)
    return {
        "now": ones,
        "last": ones.clone(),
        "before": ones.clone(),
        "class loss": torch.full_like(zeros, 5),
        "summed": zeros,
        "seen": zeros.clone(),
    }


class WeightTree(nn.Module):
    """A soft regression tree: each feature is cut softly into bins, and each combination of bins has a weight.

    Published: Adam, rate 1e-3, weight decay 5e-4; one step of the tree at every 20th step of the model.

    Args:
        cuts: maximum number of cuts of a feature; it begins with one.
        temperature: of the bins; near 0 the cuts are hard.
        seed: seed of cuts and leaves.
    """

    active: Tensor
    past: Tensor
    looks: Tensor

    def __init__(self, cuts: int = 4, temperature: float = 1e-4, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.norm = nn.BatchNorm1d(_FEATURES)
        self.cuts = nn.Parameter(torch.rand(_FEATURES, cuts, generator=generator))
        self.leaves = nn.Parameter(torch.rand((cuts + 1,) * _FEATURES, generator=generator))
        self.temperature = temperature
        self.register_buffer("active", torch.arange(cuts).expand(_FEATURES, cuts) < 1)
        self.register_buffer("past", torch.zeros(_FEATURES, cuts, 5))
        self.register_buffer("looks", torch.zeros(_FEATURES, dtype=torch.int64))

    def forward(self, features: Float[Tensor, "sample 9"]) -> Float[Tensor, " sample"]:
        """Return weights between 0 and 1: the sigmoid of the mean leaf, weighted by the memberships of the bins."""
        normed = self.norm(features)
        bins = [self._bins(normed[:, i], self.cuts[i][self.active[i]]) for i in range(_FEATURES)]
        leaves = self.leaves[tuple(slice(b.shape[1]) for b in bins)]
        mean = bins[0] @ leaves.reshape(leaves.shape[0], -1)
        for membership in bins[1:]:
            mean = torch.einsum("nb,nbr->nr", membership, mean.reshape(len(features), membership.shape[1], -1))
        return mean[:, 0].sigmoid()

    def _bins(self, values: Tensor, cuts: Tensor) -> Tensor:
        steps = torch.arange(1, len(cuts) + 2).to(values)
        offsets = torch.cat([cuts.new_zeros(1), -cuts.sort().values]).cumsum(0)
        return ((values[:, None] * steps + offsets) / self.temperature).softmax(1)

    @torch.no_grad()
    def regrow(self, still: float = 0.1, near: float = 0.2) -> None:
        """Add and remove cuts, after an epoch.

        A feature one of whose cuts moved less than ``still`` in five epochs gets one more. Of two cuts of a feature
        closer than ``near`` the later one is removed. Either starts the five epochs again.
        """
        for i in range(_FEATURES):
            self.past[i, :, self.looks[i] % 5] = self.cuts[i]
            self.looks[i] += 1
            movement = (self.past[i].amax(1) - self.past[i].amin(1))[self.active[i]]
            if self.looks[i] >= 5 and float(movement.min()) < still and not bool(self.active[i].all()):
                self.active[i, int((~self.active[i]).nonzero()[0])] = True
                self.looks[i] = 0
            index = self.active[i].nonzero()[:, 0]
            distances = (self.cuts[i][index, None] - self.cuts[i][None, index]).abs().fill_diagonal_(torch.inf)
            if float(distances.min()) < near:
                self.active[i, index[max(divmod(int(distances.argmin()), len(index)))]] = False
                self.looks[i] = 0


@scheme(
    "weight-tree",
    formula="sigmoid(sum over leaves of (product of the memberships of its bins) · its score)",
    priority="learned",
    scale="loss, class loss, gradient, margin, entropy, past weights, class size",
    source="Zhou et al. 2023, Investigating the sample weighting mechanism using an interpretable weighting framework, TKDE",
    kind="learned",
    clean_data=CLEAN_BATCH,
    init=init_weight_tree,
    note="The function returns what WeightTree minimizes. The features are those of the authors' code: its "
    "gradient is the norm of 1 - p over all classes, its entropy has the opposite sign. Its virtual step is "
    "by momentum, and differentiates through the features; this scheme does neither.",
)
def weight_tree(
    state: State,
    weigher: nn.Module,
    model: nn.Module,
    inputs: Any,
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " class"],
    rows: Int[Tensor, " sample"],
    clean_inputs: Any,
    clean_labels: Int[Tensor, " clean"],
    learning_rate: float,
) -> Float[Tensor, ""]:
    """Prefer the samples that a soft tree over nine features of each sample has learned to prefer from a clean batch.

    Returns the loss of the clean batch after one virtual step of the model by sum(w l) / n, as a function of the tree.

    Args:
        state: from :func:`init_weight_tree`; it stays as it is.
        weigher: :class:`WeightTree`, or any module from :func:`tree_features` to weights.
        learning_rate: learning rate of the virtual step of gradient descent; that of the model's optimizer.

    Raises:
        InputError: a model without trainable parameters, or a rate that is not above zero.
    """

    def shares(logits: Tensor, loss: Tensor) -> Tensor:
        weights: Tensor = weigher(tree_features(state, logits, labels, sizes, rows))
        return weights / len(loss)

    return loss_after_step(shares, model, inputs, labels, clean_inputs, clean_labels, learning_rate)


def tree_features(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " class"],
    rows: Int[Tensor, " sample"],
) -> Float[Tensor, "sample 9"]:
    """Return the features of the samples that the tree reads, detached; ``(sample, 9)``.

    In this order: loss; mean loss of its class in the last epoch; norm of 1 - p over all classes; p minus the largest
    other probability; weight in the last epoch and in the one before; their difference; sum of p log p over all
    classes; share of its class.
    """
    logits = logits.detach()
    predicted = logits.softmax(1)
    p = predicted.gather(1, labels[:, None])[:, 0]
    other = predicted.scatter(1, labels[:, None], -1.0).amax(1)
    n = class_sizes(labels, sizes).to(logits)
    last, before = (state[name][rows].to(logits) for name in ("last", "before"))
    columns = (
        cross_entropy(logits, labels, reduction="none"),
        state["class loss"][labels].to(logits),
        (1 - predicted).norm(dim=1),
        p - other,
        last,
        before,
        last - before,
        (predicted * logits.log_softmax(1)).sum(1),
        (n / n.sum())[labels],
    )
    return torch.stack(columns, 1)


def remember_weights(
    state: State,
    weights: Float[Tensor, " sample"],
    loss: Float[Tensor, " sample"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
) -> None:
    """Record the weights and losses of a step, for the features of the next two epochs."""
    state["now"][rows] = weights.detach().to(state["now"])
    state["summed"].index_add_(0, labels, loss.detach().to(state["summed"]))
    state["seen"] += torch.bincount(labels, minlength=len(state["seen"]))


def end_epoch(state: State) -> None:
    """Make the weights of the current epoch those of the last one; a class without samples gets a mean loss of 0."""
    state["before"].copy_(state["last"])
    state["last"].copy_(state["now"])
    state["class loss"].copy_(state["summed"] / state["seen"].clamp(min=1))
    state["summed"].zero_()
    state["seen"].zero_()
