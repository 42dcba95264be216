r"""The automatic scheme: what the ledger found decides for each sample what its weight is.

One sign for all hard samples is wrong by as much as it helps when their cause is another. So, for each sample by its own
causes: down by the probability that its label is wrong, and up as far as its class is short of *right* labels,

$$w_i = \frac{1 - P(\text{wrong})_i}{\sum_{j: y_j = y_i} (1 - P(\text{wrong})_j)},$$

scaled to mean one. Every class then weighs the same in training, and the rightly labelled samples of a class share
its weight;
with the truth known, these are the weights of clean, balanced data. Where no label is doubted and all classes are
alike, they are all one.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hardsight.difficulty import Difficulty
from hardsight.errors import InputError
from hardsight.weights.core import Scheme, probabilities

# A mean P(wrong) below which nothing is put down to wrong labels: weights that differ for nothing help nobody.
FEWEST_WRONG = 0.002


class Decision(NamedTuple):
    """What the automatic scheme decided.

    Attributes:
        weights: mean one, ``(sample,)`` float64.
        text: what was done and why, a paragraph.
    """

    weights: np.ndarray
    text: str


def auto(p_wrong: Float[Tensor, " sample"], labels: Int64[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Weights of mean one; all exactly one where no label is doubted and all classes have as many samples."""
    right = 1 - probabilities(p_wrong)
    if float(p_wrong.mean()) < FEWEST_WRONG:
        right = torch.ones_like(right)
    mass = torch.zeros(int(labels.max()) + 1, dtype=right.dtype, device=right.device).index_add(0, labels, right)
    present = torch.bincount(labels, minlength=len(mass)) > 0
    share = mass / mass[present].mean()
    if bool((share[present] == 1).all()):
        return right / right.mean()
    # A class all of whose labels are wrong has nothing to share.
    weights = torch.where(mass[labels] > 0, right / share[labels].clamp(min=torch.finfo(right.dtype).tiny), 0)
    return weights / weights.mean()


def decide(difficulty: Difficulty) -> Decision:
    """The automatic weights of what was measured, and what they do and why in words.

    Raises:
        InputError: there is no ledger (regression, other losses than log-loss, a single view a sample).
    """
    if difficulty.p_wrong is None or difficulty.classes is None:
        raise InputError(
            "the automatic scheme reads the ledger, and there is none (it needs classes, log-loss and two views a sample): "
            "measure so, or name another scheme"
        )
    weights = auto(torch.tensor(difficulty.p_wrong), torch.tensor(difficulty.labels)).numpy()
    return Decision(weights, _told(difficulty, weights))


def _told(d: Difficulty, weights: np.ndarray) -> str:
    assert d.p_wrong is not None
    assert d.classes is not None
    n = len(d)
    if (weights == 1).all():
        return (
            f"All {n:,} samples weigh the same: no label is doubted (mean P(wrong) {d.p_wrong.mean():.2%}), and all classes "
            "have as many samples, so there is nothing to gain."
        )
    said = []
    if d.p_wrong.mean() >= FEWEST_WRONG:
        doubted = d.p_wrong > 0.5
        said.append(
            f"About {d.p_wrong.sum():,.0f} of {n:,} labels ({d.p_wrong.mean():.1%}) are wrong, {int(doubted.sum()):,} of "
            f"them more likely so than not: every sample counts by the probability that its label is right, so that those "
            f"{int(doubted.sum()):,} carry {weights[doubted].sum() / weights.sum():.1%} of the weight."
        )
    else:
        said.append(f"No label is doubted (mean P(wrong) {d.p_wrong.mean():.2%}), so none is weighted down.")
    mass = np.bincount(d.labels, 1 - d.p_wrong, len(d.classes))
    present = np.flatnonzero(np.bincount(d.labels, minlength=len(d.classes)))
    least, most = present[mass[present].argmin()], present[mass[present].argmax()]
    said.append(
        f"Class {d.classes[least]!r} has {mass[least]:,.1f} rightly labelled samples and class {d.classes[most]!r} has "
        f"{mass[most]:,.1f}; every class weighs the same, so a sample of the first counts up to "
        f"{weights[d.labels == least].max():.3g}, one of the second up to {weights[d.labels == most].max():.3g}."
    )
    effective = float(weights.sum() ** 2 / np.square(weights).sum())
    said.append(f"The weights are worth {effective:,.0f} samples of equal weight.")
    return " ".join(said)


ROWS = (
    Scheme(
        "auto",
        "samples by their own causes: down by P(label wrong), up for classes that are short of right labels",
        "(1 - P(wrong)) / sum of 1 - P(wrong) over the samples of the label",
        auto,
        "learned",
        "probabilities of the ledger",
        "hardsight; after Northcutt et al. 2021, Confident learning, JAIR, and class-balanced weights",
        normalised="mean 1",
        note="Needs d.p_wrong: hs.weigh(d). hs.weights.automatic.decide(d) also says in words what it did.",
    ),
)
