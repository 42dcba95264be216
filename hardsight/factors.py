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

ROUNDS = 50
HELD = 10.0
HARD = math.log(2)


class Ledger(NamedTuple):
    """The account of every sample.

    Attributes:
        lines: columns noise, imbalance, margin, uncertainty; rows sum to the error.
        p_wrong: posterior probability that the given label is wrong.
        cause: column of ``lines`` that explains most of a hard sample, -1 for easy ones. A sample is hard when its error
            exceeds log 2: the label as given gets less than half of the probability.
        truth: the posterior of the true label and all that was estimated for it.
    """

    lines: Float64[Tensor, "sample 4"]
    p_wrong: Float64[Tensor, " sample"]
    cause: Int64[Tensor, " sample"]
    truth: "TrueLabel"


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
    truth = true_label(balanced, label)
    own = balanced.gather(1, label[:, None]).squeeze(1)
    expected = (truth.posterior * balanced).sum(1)
    imbalance = own - consensus.gather(1, label[:, None]).squeeze(1)
    noise = expected - own
    lines = torch.stack([noise, imbalance, parts.error - noise - imbalance - parts.variance, parts.variance], dim=1)
    cause = torch.where(parts.error > HARD, lines.argmax(1), -1)
    p_wrong = (1 - truth.posterior.gather(1, label[:, None]).squeeze(1)).clamp(0, 1)
    return Ledger(lines, p_wrong, cause, truth)


class TrueLabel(NamedTuple):
    """What held-out predictions and given labels say of the true labels.

    Attributes:
        posterior: P(true label | consensus, given label); rows sum to one.
        transition: P(given label | true label), rows true.
        prior: share of each class among the true labels.
        sharpness: power on the balanced consensus.
    """

    posterior: Float64[Tensor, "sample class"]
    transition: Float64[Tensor, "class class"]
    prior: Float64[Tensor, " class"]
    sharpness: float


def true_label(balanced: Float64[Tensor, "sample class"], label: Int64[Tensor, " sample"]) -> TrueLabel:
    r"""Posterior of the true label, by EM on the held-out predictions.

    The given labels are explained by $P(y|x) = \sum_c q(c|x)\,T(c \to y)$ with $q \propto \rho\,(\bar p^b)^\beta$.
    Members trained on noisy labels answer softly, as if $T$ were in their predictions already; the power $\beta$, fitted
    with $T$ and the true classes' shares $\rho$ by maximum likelihood, takes that out again. It is held at 1 or more:
    below, heavy noise in small data passes for soft predictions of right labels. A few pseudo-counts hold each row of $T$
    to the noise rate common to all classes, so that small classes do not learn one from a handful of samples.

    Args:
        balanced: log-probabilities with the class prior of the given labels divided out.
        label: as given.
    """
    samples, classes = balanced.shape
    same = torch.eye(classes, dtype=torch.float64)
    other = (1 - same) / (classes - 1)
    prior = torch.bincount(label, minlength=classes).clamp(min=1).double() / samples
    transition, sharpness = 0.95 * same + 0.05 * other, 1.0

    def joint(beta: float) -> Tensor:
        return (beta * balanced + prior.log()).log_softmax(1) + transition.log().T[label]

    for _ in range(ROUNDS):
        found = minimize_scalar(
            lambda log_beta: -float(joint(math.exp(log_beta)).logsumexp(1).sum()),
            bounds=(0.0, 3.0),
            method="bounded",
            options={"xatol": 1e-3},
        )
        sharpness = math.exp(found.x)
        responsible = joint(sharpness).softmax(1)
        prior = (responsible.sum(0) + 1) / (samples + classes)
        counts = torch.zeros(classes, classes, dtype=torch.float64).index_add_(1, label, responsible.T)
        rate = 1 - counts.trace() / samples
        counts += HELD * ((1 - rate) * same + rate * other)
        before, transition = transition, counts / counts.sum(1, keepdim=True)
        if (transition - before).abs().max() < 1e-6:
            break
    return TrueLabel(joint(sharpness).softmax(1), transition, prior, sharpness)
