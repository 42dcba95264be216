"""Robust losses as weights: the factor by which each multiplies the gradient of cross-entropy."""

from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.validation import check_int, check_range
from hardsight.weights.inputs import check_probabilities
from hardsight.weights.scheme import Scheme, State, StateShape

_ZHANG = (
    "Zhang, Sabuncu 2018, Generalized cross entropy loss for training deep neural networks with noisy labels, NeurIPS"
)
_GHOSH = "Ghosh et al. 2017, Robust loss functions under label noise for deep neural networks, AAAI"
_SCE = "Wang et al. 2019, Symmetric cross entropy for robust learning with noisy labels, ICCV"
_IMAE = "Wang et al. 2019, IMAE for noise-robust learning, arXiv:1903.12141"
_DM = "Wang et al. 2019, Derivative manipulation for general example weighting, arXiv:1905.11233"
_P = "probability of the given label"
_EMPHASIS = "what adds up to one is the gradient's size: w 2(1 - p)"


def gce(p: Float[Tensor, " sample"], *, q: float = 0.7) -> Float[Tensor, " sample"]:
    """p^q; between cross-entropy (q near 0) and mean absolute error (q = 1)."""
    return check_probabilities(p) ** check_range("q", q, 0, 1, strict=(True, False))


def truncated_gce(
    state: State,
    p: Float[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    epoch: float,
    *,
    q: float = 0.7,
    k: float = 0.5,
    start_prune: int = 40,
    every: int = 10,
) -> Float[Tensor, " sample"]:
    """p^q of the samples whose label was last found likelier than ``k``, 0 of the others.

    Args:
        state: "kept", for every sample.
        p: probability of the given label.
        rows: of the samples.
        epoch: epochs done.
        q: as in :func:`gce`.
        k: what the probability must exceed.
        start_prune: epoch in which it is looked at first; until then all are kept.
        every: epochs from one look to the next.
    """
    due = int(epoch) - check_int("start_prune", start_prune, 0)
    check_range("k", k, 0, 1)
    if due >= 0 and due % check_int("every", every, 1) == 0:
        state["kept"][rows] = p.detach() > k
    return gce(p, q=q) * state["kept"][rows]


def mae(p: Float[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """p: the weight of the loss 1 - p."""
    return check_probabilities(p)


def sce(
    p: Float[Tensor, " sample"], *, alpha: float = 0.1, beta: float = 1.0, floor: float = 1e-4
) -> Float[Tensor, " sample"]:
    """The weight alpha - beta log(floor) p of cross-entropy and, for ``beta``, cross-entropy the other way round.

    Args:
        p: probability of the given label.
        alpha: strength of cross-entropy.
        beta: strength of the reverse.
        floor: what stands for the 0 of a one-hot label in its logarithm.
    """
    reverse = -log(check_range("floor", floor, 0, 1, strict=(True, True)))
    return check_range("alpha", alpha, 0) + check_range("beta", beta, 0) * reverse * check_probabilities(p)


def imae(p: Float[Tensor, " sample"], *, scale: float) -> Float[Tensor, " sample"]:
    """Makes the gradient's size exp(scale p (1 - p)): as for mean absolute error, but with another spread."""
    return derivative_manipulation(p, beta=scale, lam=1.0)


def derivative_manipulation(p: Float[Tensor, " sample"], *, beta: float, lam: float) -> Float[Tensor, " sample"]:
    """Makes the gradient's size exp(beta p^lam (1 - p)), which is largest at p = lam / (lam + 1).

    Args:
        p: probability of the given label.
        beta: how much the sizes differ.
        lam: where they are largest.
    """
    p = check_probabilities(p)
    size = torch.exp(check_range("beta", beta, 0) * p ** check_range("lam", lam, 0) * (1 - p))
    # The gradient of cross-entropy has itself the size 2 (1 - p), in the sum of absolute values.
    return size / (2 * (1 - p) + 1e-6) / (size.sum() + 1e-8)


def _start(room: StateShape) -> State:
    return {"kept": torch.ones(room.samples, dtype=torch.bool, device=room.device)}


ROWS = (
    Scheme("gce", "samples whose label is found likely", "p^q", gce, "easy", _P, _ZHANG),
    Scheme(
        "truncated-gce",
        "samples whose label is found likely, and after a while only these",
        "p^q 1[p > k], the indicator found anew every 10 epochs from epoch 40 on",
        truncated_gce,
        "varied",
        _P,
        _ZHANG,
        init=_start,
        note="The indicator is found as the samples pass in these epochs; published: before the epoch, in one go. The "
        "reference code takes the model that is best on test data for it, which leaks.",
    ),
    Scheme(
        "mae",
        "samples whose label is found likely, in proportion",
        "p",
        mae,
        "easy",
        _P,
        _GHOSH,
        note="For the loss 1 - p; written as sum |p - y| it is twice that.",
    ),
    Scheme(
        "sce",
        "samples whose label is found likely; unlikely ones keep a little weight",
        "alpha - beta log(floor) p",
        sce,
        "easy",
        _P,
        _SCE,
        note="alpha .1 and beta 1 are for CIFAR-10, 6 and .1 for CIFAR-100; the original script's are 1 and 1. All codes "
        "have the floor of 1e-4, that is log(floor) = -9.21.",
    ),
    Scheme(
        "imae",
        "samples whose label is found neither likely nor unlikely",
        "exp(scale p (1 - p))/(2 (1 - p) + 1e-6)/(sum exp(scale p (1 - p)) + 1e-8)",
        imae,
        "medium",
        _P,
        _IMAE,
        reduction="sum",
        normalization=_EMPHASIS,
        note="Checked against the authors' code. scale (T in the paper) was tuned to the share of wrong labels, "
        "between 1 and 12. Times the gradient of cross-entropy this gives the published gradient.",
    ),
    Scheme(
        "derivative-manipulation",
        "samples whose label has a certain probability, which lam sets: lam/(lam + 1)",
        "exp(beta p^lam (1 - p))/(2 (1 - p) + 1e-6)/(sum exp(beta p^lam (1 - p)) + 1e-8)",
        derivative_manipulation,
        "medium",
        _P,
        _DM,
        reduction="sum",
        normalization=_EMPHASIS,
        note="beta and lam were tuned to the share of wrong labels. Times the gradient of cross-entropy this gives the "
        "published gradient, whose size is exp(beta p^lam (1 - p)); lam 0 prefers hard samples, a large one easy ones.",
    ),
)
