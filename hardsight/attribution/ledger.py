r"""The ledger: why a sample is hard, as four numbers that add up exactly to its log-loss error.

$E$ = uncertainty + imbalance + noise + margin. With $\bar p$ the consensus of the held-out predictions, $\pi$ the class
prior the members were trained on, $\bar p^b \propto \bar p/\pi$, $V$ the variance and $r$ the posterior of the true label
(:mod:`hardsight.attribution.label_noise`):

- imbalance $= I - (1 - r(y)) I_+$ with $I = \log \bar p^b(y) - \log \bar p(y)$: what balanced classes would save, as far as
  the label is right (below zero for frequent classes);
- noise $= \sum_c r(c)\,[\log \bar p^b(c) - \log \bar p^b(y)]_+ + (1 - r(y)) I_+$: what putting the label right
  would save, where it saves; the price of a wrong label of a rare class stands here, too;
- what remains, $R = E - V - \text{imbalance} - \text{noise}$, is shared: uncertainty $= V + sR$ and margin $= (1 - s) R$.

$V$ is what infinitely many members would save; $s$ is the share of $R$ that is put down to the sample being unlike the
others, where the consensus itself cannot be relied on. It grows with $u = \log \frac{V}{H + 0.05} + 2 \log t$: the
variance against the entropy $H$ of the consensus (a sample between two classes has much entropy and little variance, a
strange one the reverse), and the mean distance $t$ to the nearest neighbours against that of its predicted class.
$s = 1/(1 + e^{-2 (z - 2.5)})$ with $z$ the distance of $u$ from its median in (normal-consistent) median absolute
deviations: half at 2.5 deviations.

The finite-M correction of $V$ is taken off $R$, so margin may fall slightly below zero on easy samples.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.attribution.label_noise import (
    Evidence,
    LabelModel,
    LabelPosterior,
    fit_label_model,
    true_label_probabilities,
)
from hardsight.attribution.neighbours import Neighbours
from hardsight.measures.bias_variance import Decomposition

HARD_ERROR = math.log(2)
STRANGE, STEEP = 2.5, 2.0
# Keeps the ratio of variance to entropy from exploding where both vanish.
_FLOOR = 0.05
# A class of few samples borrows its usual distance from all, as if so many more were known.
_BORROWED = 10.0
_BLOCK = 65_536


class Ledger(NamedTuple):
    """The account of every sample.

    Attributes:
        terms: columns noise, imbalance, margin, uncertainty; rows sum to the error.
        p_wrong: posterior probability that the given label is wrong.
        suggested: class of the largest posterior.
        p_suggested: that posterior.
        cause: column of ``terms``, -1 for easy samples. A sample is hard when its error exceeds log 2 (the label as given
            gets less than half of the probability) or its label is more likely wrong than right. Its cause is noise if
            the label is more likely wrong than right, and otherwise the largest of the other terms.
        atypicality: log of how far the neighbours are, against what is usual; None where there are no features.
        label_model: what was estimated of how labels come about.
    """

    terms: Float64[Tensor, "sample 4"]
    p_wrong: Float64[Tensor, " sample"]
    suggested: Int64[Tensor, " sample"]
    p_suggested: Float64[Tensor, " sample"]
    cause: Int64[Tensor, " sample"]
    atypicality: Float64[Tensor, " sample"] | None
    label_model: LabelModel


def ledger(
    parts: Decomposition,
    consensus: Float64[Tensor, "sample class"],
    label: Int64[Tensor, " sample"],
    neighbours: Neighbours | None = None,
    *,
    prior: Float64[Tensor, " class"] | None = None,
    label_posterior: LabelPosterior | None = None,
) -> Ledger:
    """Split the log-loss error of every sample into its four causes.

    Args:
        parts: of :func:`hardsight.measures.bias_variance.log_loss`.
        consensus: log-probabilities of the dual mean.
        label: as given.
        neighbours: the samples' neighbours: they are a second witness of the true label, and tell strange samples. None where
            there are no features.
        prior: class shares that the members were trained on, weights counted; by default those of the labels.
        label_posterior: what is known of the true labels; by default what these members say of them.
    """
    samples, classes = consensus.shape
    if prior is None:
        # A class that no label names counts as one sample: dividing by a prior of zero would make every line NaN.
        prior = torch.bincount(label, minlength=classes).clamp(min=1).double() / samples
    if label_posterior is None:
        evidence = Evidence(
            consensus, label, prior, None if neighbours is None else torch.from_numpy(neighbours.labels)
        )
        label_posterior = LabelPosterior(evidence, fit_label_model(evidence))
    evidence, model = label_posterior
    terms = torch.empty(samples, 4, dtype=torch.float64)
    p_wrong, p_suggested = torch.empty(samples, dtype=torch.float64), torch.empty(samples, dtype=torch.float64)
    suggested, entropy = torch.empty(samples, dtype=torch.int64), torch.empty(samples, dtype=torch.float64)
    for start in range(0, samples, _BLOCK):
        rows = torch.arange(start, min(start + _BLOCK, samples))
        told, given = consensus[rows], label[rows][:, None]
        balanced = (told - prior.log()).log_softmax(1)
        truth = true_label_probabilities(model, evidence, rows)
        own = balanced.gather(1, given)
        p_wrong[rows] = (1 - truth.gather(1, given).squeeze(1)).clamp(0, 1)
        saved = (own - told.gather(1, given)).squeeze(1)
        in_vain = p_wrong[rows] * saved.clamp(min=0)
        terms[rows, 0] = (truth * (balanced - own).clamp(min=0)).sum(1) + in_vain
        terms[rows, 1] = saved - in_vain
        p_suggested[rows], suggested[rows] = truth.max(1)
        entropy[rows] = torch.special.entr(told.exp()).sum(1)
    rest = parts.error - parts.variance - terms[:, 0] - terms[:, 1]
    apart = None if neighbours is None else atypicality(neighbours.distance, consensus.argmax(1))
    share = atypical_share(parts.variance, entropy, apart)
    terms[:, 2], terms[:, 3] = (1 - share) * rest, parts.variance + share * rest
    wrong = p_wrong > 0.5
    other = torch.where(wrong, 0, terms[:, 1:].argmax(1) + 1)
    cause = torch.where((parts.error > HARD_ERROR) | wrong, other, -1)
    return Ledger(terms, p_wrong, suggested, p_suggested, cause, apart, model)


def atypical_share(
    variance: Float64[Tensor, " sample"],
    entropy: Float64[Tensor, " sample"],
    apart: Float64[Tensor, " sample"] | None,
) -> Float64[Tensor, " sample"]:
    """The share of a sample's remaining error that is put down to its being unlike the others, 0 to 1.

    Args:
        variance: of the log-loss.
        entropy: of the consensus, in nats.
        apart: of :func:`atypicality`; None where there are no features.
    """
    index = (variance.clamp(min=1e-6) / (entropy + _FLOOR)).log()
    if apart is not None:
        index = index + 2 * apart
    middle = index.median()
    spread = 1.4826 * (index - middle).abs().median()
    if not spread > 0:
        return torch.zeros_like(index)
    return torch.sigmoid(STEEP * ((index - middle) / spread - STRANGE))


def atypicality(distance: np.ndarray, predicted: Int64[Tensor, " sample"]) -> Float64[Tensor, " sample"]:
    """Log of the distances against what is usual (the median) in the predicted class; 0 where it is unknown.

    Args:
        distance: mean distance to the nearest neighbours, NaN where unknown.
        predicted: class of the consensus.
    """
    known = torch.from_numpy(np.isfinite(distance))
    log = torch.from_numpy(np.log(np.maximum(distance, 1e-9)))
    if not known.any():
        return torch.zeros_like(log)
    whole = log[known].median()
    usual = torch.zeros(int(predicted.max()) + 1, dtype=torch.float64)
    for code in range(len(usual)):
        own = log[known & (predicted == code)]
        middle = own.median() if len(own) else whole
        usual[code] = (len(own) * middle + _BORROWED * whole) / (len(own) + _BORROWED)
    return torch.where(known, log - usual[predicted], 0.0)
