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
from torch import Tensor

from hardsight.decompose import Decomposition

ROUNDS = 500
HELD = 10.0
SHARPEST = 20.0
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
    # Sums over a first axis of ten are many times quicker than over a last one.
    score = balanced.T.contiguous()
    same = torch.eye(classes, dtype=torch.float64)
    other = (1 - same) / (classes - 1)
    prior = torch.bincount(label, minlength=classes).clamp(min=1).double() / samples
    transition, sharpness = 0.95 * same + 0.05 * other, 1.0
    for _ in range(ROUNDS):
        before = transition, sharpness
        q, posterior = _posterior(score, label, prior, transition, sharpness)
        # One Newton step on what EM maximises, which is concave in the power: (observed - expected score) / its variance.
        mean = (q * score).sum(0)
        slope = ((posterior * score).sum(0) - mean).sum()
        bend = ((q * score.square()).sum(0) - mean.square()).sum()
        if bend > 0:
            sharpness = min(max(sharpness + float(slope / bend), 1.0), SHARPEST)
        prior = (posterior.sum(1) + 1) / (samples + classes)
        counts = torch.zeros(classes, classes, dtype=torch.float64).index_add_(1, label, posterior)
        rate = 1 - counts.trace() / samples
        counts += HELD * ((1 - rate) * same + rate * other)
        transition = counts / counts.sum(1, keepdim=True)
        if (transition - before[0]).abs().max() < 1e-6 and abs(sharpness - before[1]) < 1e-5:
            break
    posterior = _posterior(score, label, prior, transition, sharpness)[1]
    return TrueLabel(posterior.T.contiguous(), transition, prior, sharpness)


def _posterior(
    score: Float64[Tensor, "class sample"],
    label: Int64[Tensor, " sample"],
    prior: Float64[Tensor, " class"],
    transition: Float64[Tensor, "class class"],
    sharpness: float,
) -> tuple[Float64[Tensor, "class sample"], Float64[Tensor, "class sample"]]:
    """The true label's distribution before and after the given label is seen."""
    log_q = (sharpness * score + prior.log()[:, None]).log_softmax(0)
    return log_q.exp(), (log_q + transition.log()[:, label]).softmax(0)
