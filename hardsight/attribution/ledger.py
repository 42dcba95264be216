r"""The ledger: why a sample is hard, as four terms that add up exactly to its log-loss error.

$E$ = uncertainty + imbalance + noise + margin. With $\bar p$ the consensus of the held-out predictions, $\pi$ the class
prior that the ensemble was trained on, $\bar p^b \propto \bar p/\pi$, $V$ the variance and $r$ the posterior of the true
label (:mod:`hardsight.attribution.label_noise`):

- imbalance $= I - (1 - r(y)) I_+ + h (V + (1 - s) D)$ with $I = \log \bar p^b(y) - \log \bar p(y)$: what balanced classes
  would save, as far as the label is right (below zero for frequent classes), and what is uncertain for want of samples of
  this class;
- noise $= N_y + N$ with $N_y = \sum_c r(c)\,[\log \bar p^b(c) - \log \bar p^b(y)]_+ + (1 - r(y)) I_+$: what correcting the
  label would save, if it saves anything, the cost of a wrong label of a rare class included; $N$ is what correcting the
  labels of the other samples would save;
- the remainder, $R = E - V - I + (1 - r(y)) I_+ - N_y - N$, is divided: uncertainty $= (1 - h)(V + (1 - s) D) + sR$ and
  margin $= (1 - s)(R - D)$.

Models that learned from noisy labels are never surer of class $c$ than $T(c \to c)$, the probability that a label of this
class is right. So $B = -\sum_c r(c) \log T(c \to c)$ of the loss is theirs to pay even where features leave no doubt. What
is attributed is $N = Q_+ B / (Q_+ + B)$ with $Q = R + N$: the smaller of both, nearly, and never more than there is.

If classes were balanced, a class of $n_c$ samples would have $\bar n$, and the variance that comes from its data would be
$n_c / \bar n$ of what it is. So $h = [1 - 1 / \sum_c r(c)\,\bar n / n_c]_+$ is the share that balanced classes would save.

$V$ is what infinitely many models would save. They would still share their data: two models of a 5-fold split have three
quarters of their samples in common, so most of the variance between independent data sets does not show in $V$. If models
leave out the share $f$ of the data, the delete-d jackknife multiplies by $(1 - f) / f$ (Shao and Wu 1989, *A general theory
for jackknife variance estimation*), so $W = (1/f - 2)_+ V$ is missing, and lies in $R$. What is attributed is
$D = R_+ W / (R_+ + W)$, again nearly the smaller of both. The part of $V$ that comes from random
starts alone does not shrink with data, so $W$ is an upper estimate for networks. Forests out of bag, and models that leave
out one sample, differ by random numbers alone: $W = 0$.

$s$ is the share of $R$ that is attributed to the sample being unlike the
others, where the consensus itself cannot be relied on. It grows with the strangeness of the sample
(:mod:`hardsight.attribution.strangeness`): its features, and $\log \frac{V}{H + 0.05} + 2 \log t$, the variance relative to
the entropy $H$ of the consensus (a sample between two classes has high entropy and low variance, a strange one the
reverse), and the mean distance $t$ to the nearest neighbours relative to that of its predicted class. The variance stays in
one line whatever the sample is like, so that the line shrinks as the data grow.

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
    SampleFeatures,
    add_class_centres,
    fit_label_model,
)
from hardsight.attribution.label_noise.model import row_blocks
from hardsight.attribution.names import CAUSES, NO_CAUSE, STRANGE
from hardsight.attribution.neighbours import Neighbours
from hardsight.attribution.oddity import Oddity, log_size
from hardsight.attribution.strangeness import p_strange, relative_to_class, strange_share, strangeness
from hardsight.measures.bias_variance import Decomposition

# The error of a sample whose label gets half of the probability.
HARD_ERROR = math.log(2)
# Keeps the ratio of variance to entropy finite where both vanish.
_MIN_ENTROPY = 0.05
# Keeps the logarithm finite for a class whose labels are all wrong.
_MIN_RIGHT_SHARE = 1e-3


class Ledger(NamedTuple):
    """The causes of every sample's error.

    Attributes:
        terms: columns noise, imbalance, margin, uncertainty; rows sum to the error.
        p_wrong: posterior probability that the given label is wrong.
        suggested: class of the largest posterior.
        p_suggested: that posterior.
        cause: position in :data:`hardsight.attribution.names.CAUSES`. It is noise if the label is more likely wrong than
            right; otherwise "strange" if the sample is more likely unlike the rest than not, whatever its error; otherwise
            the largest of the other terms if the error exceeds log 2 (the given label gets less than half of the
            probability), and "none" of easy samples.
        p_strange: of :func:`hardsight.attribution.strangeness.p_strange`.
        atypicality: of :func:`atypicality`; None if there are no features.
        label_model: the fitted model of how labels arise.
    """

    terms: Float64[Tensor, "sample 4"]
    p_wrong: Float64[Tensor, " sample"]
    suggested: Int64[Tensor, " sample"]
    p_suggested: Float64[Tensor, " sample"]
    cause: Int64[Tensor, " sample"]
    p_strange: np.ndarray
    atypicality: Float64[Tensor, " sample"] | None
    label_model: LabelModel


def ledger(
    parts: Decomposition,
    consensus: Float64[Tensor, "sample class"],
    label: Int64[Tensor, " sample"],
    neighbours: Neighbours | None = None,
    *,
    oddity: Oddity | None = None,
    prior: Float64[Tensor, " class"] | None = None,
    features: SampleFeatures | None = None,
    label_posterior: LabelPosterior | None = None,
    left_out: float = 1.0,
) -> Ledger:
    """Attribute the log-loss error of every sample to its four causes.

    Args:
        parts: result of :func:`hardsight.measures.bias_variance.log_loss`.
        consensus: log-probabilities of the dual mean.
        label: given labels.
        neighbours: the samples' neighbours, which are evidence of the true labels and show atypical samples. None if there
            are no features.
        oddity: how unlike the others the features are; None if there are none.
        prior: class shares that the ensemble was trained on, with sample weights counted; default: those of the labels.
        features: by which samples are compared with class centres; None: they are not.
        label_posterior: posterior of the true labels; default: fitted to these predictions.
        left_out: share of the data that a model leaves out, within (0, 1]; 1: unknown, so nothing is added to the variance.
    """
    if label_posterior is None:
        label_posterior = fit_label_posterior(consensus, label, neighbours, prior, features)
    if prior is None:
        prior = label_posterior.evidence.prior
    of_label = _label_terms(consensus, label, prior, label_posterior)
    rest = parts.error - parts.variance - of_label.noise - of_label.imbalance
    noise_of_others = _explained(rest, of_label.learned_noise)
    rest = rest - noise_of_others
    predicted = consensus.argmax(1)
    distance = None if neighbours is None else atypicality(neighbours.distance, predicted)
    index = disagreement_index(parts.variance, of_label.entropy, distance)
    deviations = strangeness(oddity, predicted.numpy(), [index.numpy()])
    assert deviations is not None
    strange, share = p_strange(deviations), torch.from_numpy(strange_share(deviations))
    unseen = max(1 / left_out - 2, 0) * parts.variance.clamp(min=0)
    lack_of_data = (1 - share) * _explained(rest, unseen)
    margin = (1 - share) * rest - lack_of_data
    lack_of_class = of_label.shortage * (parts.variance + lack_of_data)
    uncertainty = parts.variance + share * rest + lack_of_data - lack_of_class
    noise, imbalance = of_label.noise + noise_of_others, of_label.imbalance + lack_of_class
    terms = torch.stack([noise, imbalance, margin, uncertainty], 1)
    wrong = of_label.p_wrong > 0.5
    largest = torch.where(wrong, 0, terms[:, 1:].argmax(1) + 1)
    cause = torch.where((parts.error > HARD_ERROR) | wrong, largest, CAUSES.index(NO_CAUSE))
    cause[torch.from_numpy(strange > 0.5) & ~wrong] = CAUSES.index(STRANGE)
    of_labels = (of_label.p_wrong, of_label.suggested, of_label.p_suggested)
    return Ledger(terms, *of_labels, cause, strange, distance, label_posterior.model)


def fit_label_posterior(
    consensus: Float64[Tensor, "sample class"],
    label: Int64[Tensor, " sample"],
    neighbours: Neighbours | None = None,
    prior: Float64[Tensor, " class"] | None = None,
    features: SampleFeatures | None = None,
) -> LabelPosterior:
    """Fit the posterior of the true labels to predictions, and neighbours if there are any; arguments as :func:`ledger`."""
    if prior is None:
        samples, n_classes = consensus.shape
        # A class without labels counts as one sample: dividing by a prior of zero would make every term NaN.
        prior = torch.bincount(label, minlength=n_classes).clamp(min=1).double() / samples
    neighbour_labels = None if neighbours is None else torch.from_numpy(neighbours.labels)
    evidence = Evidence(consensus, label, prior, neighbour_labels)
    return LabelPosterior(*add_class_centres(evidence, fit_label_model(evidence), features))


class _LabelTerms(NamedTuple):
    """The terms that depend on the label, and what else is computed on the way; ``(sample,)`` each."""

    noise: Tensor
    imbalance: Tensor
    p_wrong: Tensor
    suggested: Tensor
    p_suggested: Tensor
    entropy: Tensor
    learned_noise: Tensor  # the loss that models cannot avoid that learned from noisy labels, B above
    shortage: Tensor  # share of the variance that more samples of the class would save, h above


def _label_terms(
    consensus: Float64[Tensor, "sample class"],
    label: Int64[Tensor, " sample"],
    prior: Float64[Tensor, " class"],
    label_posterior: LabelPosterior,
) -> _LabelTerms:
    samples = len(consensus)
    # Made first, so that the blocks' large intermediate arrays reuse the same memory.
    columns = [torch.empty(samples, dtype=torch.float64) for _ in _LabelTerms._fields]
    result = _LabelTerms(*columns)._replace(suggested=torch.empty(samples, dtype=torch.int64))
    learned_noise = -_right_share(label_posterior.model).log()
    scarcity = 1 / (prior * len(prior))
    for rows in row_blocks(*consensus.shape):
        log_prob, codes = consensus[rows], label[rows][:, None]
        balanced = (log_prob - prior.log()).log_softmax(1)
        probability = label_posterior.probabilities(rows)
        of_label = balanced.gather(1, codes)
        p_wrong = (1 - probability.gather(1, codes).squeeze(1)).clamp(0, 1)
        saved_by_balance = (of_label - log_prob.gather(1, codes)).squeeze(1)
        if_wrong = p_wrong * saved_by_balance.clamp(min=0)
        result.noise[rows] = (probability * (balanced - of_label).clamp(min=0)).sum(1) + if_wrong
        result.imbalance[rows] = saved_by_balance - if_wrong
        result.p_wrong[rows] = p_wrong
        result.p_suggested[rows], result.suggested[rows] = probability.max(1)
        result.entropy[rows] = torch.special.entr(log_prob.exp()).sum(1)
        result.learned_noise[rows] = probability @ learned_noise
        result.shortage[rows] = (1 - 1 / (probability @ scarcity)).clamp(min=0)
    return result


def _right_share(model: LabelModel) -> Float64[Tensor, " class"]:
    """Return how sure of each class models can be that learned from labels as noisy as the model says, at most 1."""
    if not model.informative:
        return torch.ones(len(model.prior), dtype=torch.float64)
    shares = [weight * each.transition.diagonal() for weight, each in model.mixture()]
    return torch.stack(shares).sum(0).clamp(_MIN_RIGHT_SHARE, 1)


def _explained(rest: Float64[Tensor, " sample"], most: Float64[Tensor, " sample"]) -> Float64[Tensor, " sample"]:
    """Return the part of the rest that a cause explains which can explain ``most`` of it: nearly the smaller of both."""
    remainder = rest.clamp(min=0)
    return remainder * most / (remainder + most).clamp(min=1e-300)


def disagreement_index(
    variance: Float64[Tensor, " sample"], entropy: Float64[Tensor, " sample"], distance: Float64[Tensor, " sample"] | None
) -> Float64[Tensor, " sample"]:
    """Return how much models disagree where their consensus is sure; with features, also how far the neighbours are.

    Args:
        entropy: entropy of the consensus, in nats.
        distance: of :func:`atypicality`; None if there are no features.
    """
    index = (variance.clamp(min=1e-6) / (entropy + _MIN_ENTROPY)).log()
    return index if distance is None else index + 2 * distance


def atypicality(distance: np.ndarray, predicted: Int64[Tensor, " sample"]) -> Float64[Tensor, " sample"]:
    """Return the log of the distances relative to the median in the predicted class; 0 if a distance is unknown.

    Args:
        distance: mean distance to the nearest neighbours, ``(sample,)``, NaN if unknown.
    """
    return torch.from_numpy(relative_to_class(log_size(distance), predicted.numpy()))
