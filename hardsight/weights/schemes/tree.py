"""Weights by a soft regression tree that can be read: which loss, margin, class and past weight lead to which weight.

In a loop, with a state from ``SCHEMES["weight-tree"].begin(StateShape(samples, classes), {})``, a ``tree = WeightTree()`` and
``loss = F.cross_entropy(logits, y, reduction="none")``::

    optimizer_of_tree.zero_grad()
    weight_tree(state, tree, model, x, y, sizes, rows, x_clean, y_clean, learning_rate).backward()
    optimizer_of_tree.step()
    weights = tree(traits(state, logits, y, sizes, rows)).detach(); remember(state, weights, loss.detach(), y, rows)
    (weights * loss).mean().backward()

and after each epoch ``end_epoch(state); tree.regrow()``.
"""

from typing import Any

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hardsight.weights.scheme import Scheme, State, StateShape
from hardsight.weights.schemes.calls import CLEAN
from hardsight.weights.schemes.classes import class_sizes
from hardsight.weights.schemes.meta import after_step

_TRAITS = 9


def start_weight_tree(room: StateShape) -> State:
    """Weights of the present epoch and of the last two, all one; mean losses of classes, 5 before the first epoch ends."""
    ones = torch.ones(room.samples, device=room.device)
    zeros = torch.zeros(room.classes, device=room.device)
    return {
        "now": ones,
        "last": ones.clone(),
        "before": ones.clone(),
        "class loss": torch.full_like(zeros, 5),
        "summed": zeros,
        "seen": zeros.clone(),
    }


class WeightTree(nn.Module):
    """Each trait is cut into bins, softly; each combination of bins has a weight.

    Published: Adam, rate 1e-3, weight decay 5e-4; a step of the tree at every 20th step of the model.

    Args:
        cuts: the most of a trait; it begins with one.
        temperature: of the bins; nearly 0 is hard.
        seed: of cuts and leaves.
    """

    active: Tensor
    past: Tensor
    looks: Tensor

    def __init__(self, cuts: int = 4, temperature: float = 1e-4, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.norm = nn.BatchNorm1d(_TRAITS)
        self.cuts = nn.Parameter(torch.rand(_TRAITS, cuts, generator=generator))
        self.leaves = nn.Parameter(torch.rand((cuts + 1,) * _TRAITS, generator=generator))
        self.temperature = temperature
        self.register_buffer("active", torch.arange(cuts).expand(_TRAITS, cuts) < 1)
        self.register_buffer("past", torch.zeros(_TRAITS, cuts, 5))
        self.register_buffer("looks", torch.zeros(_TRAITS, dtype=torch.int64))

    def forward(self, traits: Float[Tensor, "sample 9"]) -> Float[Tensor, " sample"]:
        """Weights between 0 and 1: sigmoid of the mean leaf, by the shares of the bins."""
        normed = self.norm(traits)
        bins = [self._bins(normed[:, i], self.cuts[i][self.active[i]]) for i in range(_TRAITS)]
        leaves = self.leaves[tuple(slice(b.shape[1]) for b in bins)]
        mixed = bins[0] @ leaves.reshape(leaves.shape[0], -1)
        for share in bins[1:]:
            mixed = torch.einsum("nb,nbr->nr", share, mixed.reshape(len(traits), share.shape[1], -1))
        return mixed[:, 0].sigmoid()

    def _bins(self, values: Tensor, cuts: Tensor) -> Tensor:
        steps = torch.arange(1, len(cuts) + 2).to(values)
        offsets = torch.cat([cuts.new_zeros(1), -cuts.sort().values]).cumsum(0)
        return ((values[:, None] * steps + offsets) / self.temperature).softmax(1)

    @torch.no_grad()
    def regrow(self, still: float = 0.1, near: float = 0.2) -> None:
        """After an epoch: a trait one of whose cuts moved less than ``still`` in five epochs gets one more.

        Of two cuts of a trait that are nearer than ``near`` the later one goes. Either begins the five epochs anew.
        """
        for i in range(_TRAITS):
            self.past[i, :, self.looks[i] % 5] = self.cuts[i]
            self.looks[i] += 1
            moved = (self.past[i].amax(1) - self.past[i].amin(1))[self.active[i]]
            if self.looks[i] >= 5 and float(moved.min()) < still and not bool(self.active[i].all()):
                self.active[i, int((~self.active[i]).nonzero()[0])] = True
                self.looks[i] = 0
            at = self.active[i].nonzero()[:, 0]
            apart = (self.cuts[i][at, None] - self.cuts[i][None, at]).abs().fill_diagonal_(torch.inf)
            if float(apart.min()) < near:
                self.active[i, at[max(divmod(int(apart.argmin()), len(at)))]] = False
                self.looks[i] = 0


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
    """Loss of the clean batch after one virtual step of the model by sum(w l) / n, as a function of the tree.

    Args:
        state: of :func:`start_weight_tree`; it stays as it is.
        weigher: :class:`WeightTree`, or any module from :func:`traits` to weights.
        model: from inputs to logits.
        inputs: a tensor, or a mapping of keyword arguments; ``(sample, ...)``.
        labels: class codes; ``(sample,)``.
        sizes: samples of each class.
        rows: of the samples in the state.
        clean_inputs: as inputs; ``(clean, ...)``.
        clean_labels: class codes; ``(clean,)``.
        learning_rate: of the virtual step of gradient descent; that of the model's optimiser.

    Raises:
        InputError: a model without parameters that are trained, or a rate that is not above zero.
    """

    def shares(logits: Tensor, loss: Tensor) -> Tensor:
        weights: Tensor = weigher(traits(state, logits, labels, sizes, rows))
        return weights / len(loss)

    return after_step(shares, model, inputs, labels, clean_inputs, clean_labels, learning_rate)


def traits(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " class"],
    rows: Int[Tensor, " sample"],
) -> Float[Tensor, "sample 9"]:
    """What the tree sees of a sample, in this order; no gradient flows.

    Loss; mean loss of its class in the last epoch; length of 1 - p over all classes; p less the largest other probability;
    weight in the last epoch and in the one before; their difference; sum of p log p over all classes; share of its class.
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


def remember(
    state: State,
    weights: Float[Tensor, " sample"],
    loss: Float[Tensor, " sample"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
) -> None:
    """Keep what a step used, for the traits of the next two epochs."""
    state["now"][rows] = weights.detach().to(state["now"])
    state["summed"].index_add_(0, labels, loss.detach().to(state["summed"]))
    state["seen"] += torch.bincount(labels, minlength=len(state["seen"]))


def end_epoch(state: State) -> None:
    """What was the present epoch is the last one now; a class that was not seen has a mean loss of 0."""
    state["before"].copy_(state["last"])
    state["last"].copy_(state["now"])
    state["class loss"].copy_(state["summed"] / state["seen"].clamp(min=1))
    state["summed"].zero_()
    state["seen"].zero_()


ROWS = (
    Scheme(
        "weight-tree",
        "as a soft tree over nine traits of the sample has learned from a clean batch",
        "sigmoid(sum over leaves of (product of the shares of its bins) · its score)",
        weight_tree,
        "learned",
        "loss, class loss, gradient, margin, entropy, past weights, class size",
        "Zhou et al. 2023, Investigating the sample weighting mechanism using an interpretable weighting framework, TKDE",
        kind="learned",
        clean_data=CLEAN,
        init=start_weight_tree,
        note="The function gives what WeightTree minimises. Traits are those of the authors' code: its gradient is the "
        "length of 1 - p over all classes, its entropy has the opposite sign. Its virtual step is by momentum, and "
        "differentiates through the traits; this one does neither.",
    ),
)
