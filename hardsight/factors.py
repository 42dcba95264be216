r"""The ledger: why a sample is hard, as four numbers that add up exactly to its log-loss error.

$E$ = uncertainty + imbalance + noise + margin, each a counterfactual. With $\bar p$ the consensus of the held-out
predictions, $\pi$ the class prior the members were trained on, $\bar p^b \propto \bar p/\pi$ and $r$ the posterior of the
true label:

- uncertainty $= V$: what infinitely many members would save;
- imbalance $= \log \bar p^b(y) - \log \bar p(y)$: what balanced classes would save (below zero for frequent classes);
- noise $= \sum_c r(c)\,[\log \bar p^b(c) - \log \bar p^b(y)]$: what putting the label right would save;
- margin $= -\sum_c r(c) \log \bar p^b(c)$: what remains, closeness to the class boundary and true ambiguity. The finite-M
  correction of $V$ is taken off here, so it may fall slightly below zero on easy samples.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from scipy.optimize import minimize_scalar
from torch import Tensor

from hardsight.decompose import Decomposition

ROUNDS = 30
HARD = math.log(2)


class Ledger(NamedTuple):
    """The account of every sample.

    Attributes:
        lines: columns noise, imbalance, margin, uncertainty; rows sum to the error.
        p_wrong: posterior probability that the given label is wrong.
        cause: column of ``lines`` that explains most of a hard sample, -1 for easy ones. A sample is hard when its error
            exceeds log 2: the label as given gets less than half of the probability.
        transition: estimated P(given label | true label), rows true.
        sharpness: estimated power that turns the balanced consensus into the posterior of the true label.
    """

    lines: Float64[Tensor, "sample 4"]
    p_wrong: Float64[Tensor, " sample"]
    cause: Int64[Tensor, " sample"]
    transition: Float64[Tensor, "class class"]
    sharpness: float


def ledger(parts: Decomposition, consensus: Float64[Tensor, "sample class"], label: Int64[Tensor, " sample"]) -> Ledger:
    """Split the log-loss error of every sample into its four causes.

    Args:
        parts: of :func:`hardsight.decompose.log_loss`.
        consensus: log-probabilities of the dual mean.
        label: as given.
    """
    classes = consensus.shape[1]
    # A class that no label names counts as one sample: dividing by a prior of zero would make every line NaN.
    prior = torch.bincount(label, minlength=classes).clamp(min=1).double() / len(label)
    balanced = (consensus - prior.log()).log_softmax(1)
    posterior, transition, sharpness = true_label(balanced, label)
    own = balanced.gather(1, label[:, None]).squeeze(1)
    expected = (posterior * balanced).sum(1)
    imbalance = own - consensus.gather(1, label[:, None]).squeeze(1)
    noise = expected - own
    lines = torch.stack([noise, imbalance, parts.error - noise - imbalance - parts.variance, parts.variance], dim=1)
    cause = torch.where(parts.error > HARD, lines.argmax(1), -1)
    return Ledger(lines, 1 - posterior.gather(1, label[:, None]).squeeze(1), cause, transition, sharpness)


def true_label(
    balanced: Float64[Tensor, "sample class"], label: Int64[Tensor, " sample"]
) -> tuple[Float64[Tensor, "sample class"], Float64[Tensor, "class class"], float]:
    r"""Posterior of the true label, class transitions and sharpness, by EM on the held-out predictions.

    The given labels are explained by $P(y|x) = \sum_c q_\beta(c|x)\,T(c \to y)$ with $q_\beta \propto (\bar p^b)^\beta$.
    Members trained on noisy labels answer softly, as if $T$ were already in their predictions; the power $\beta$, fitted
    with $T$ by maximum likelihood, takes that out again. Each row of $T$ starts from, and is held by a few pseudo-counts
    to, "mostly right", so that small classes do not learn a noise rate from a handful of samples.
    """
    samples, classes = balanced.shape
    hold = 2.0 * (torch.full((classes, classes), 0.05 / max(classes - 1, 1), dtype=torch.float64).fill_diagonal_(0.95))
    transition, sharpness = hold / hold.sum(1, keepdim=True), 1.0
    size = torch.bincount(label, minlength=classes).double()
    weight = (samples / (classes * size))[label]

    def joint(beta: float) -> Tensor:
        return (beta * balanced).log_softmax(1) + transition.log().T[label]

    for _ in range(ROUNDS):
        found = minimize_scalar(
            lambda log_beta: -float((joint(math.exp(log_beta)).logsumexp(1) * weight).sum()),
            bounds=(-2.0, 3.0),
            method="bounded",
            options={"xatol": 1e-3},
        )
        sharpness = math.exp(found.x)
        responsible = joint(sharpness).softmax(1)
        counts = hold.clone().index_add_(1, label, responsible.T)
        before, transition = transition, counts / counts.sum(1, keepdim=True)
        if (transition - before).abs().max() < 1e-6:
            break
    return joint(sharpness).softmax(1), transition, sharpness
