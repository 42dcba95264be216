"""Coordinate ascent on the evidence of annotations, and the posterior of the true labels that follows."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import xlogy

from hardsight.attribution.annotators.incidence import Incidence
from hardsight.attribution.annotators.item_prior import ItemPrior
from hardsight.attribution.annotators.shared import Counts, SharedSkill
from hardsight.io.memmap import row_blocks

# Rounds at most, those before the shared distribution is fitted, and how often it is.
_MAX_ROUNDS, _FIRST_REFIT, _REFIT_EVERY = 200, 10, 3
# Gain of the bound per annotation, in nats over as many rounds as lie between two fits, at which the ascent ends.
_TOLERANCE = 1e-5
_START_DISPUTED, _START_RANDOM = 0.2, 0.5


class Disputes(NamedTuple):
    """Items that people disagree about, whatever their skill.

    Attributes:
        share: share of disputed items.
        random: probability that a label of a disputed item is drawn at random from all classes.
    """

    share: float
    random: float

    def log_density(self) -> float:
        """Return the log-density of a weak prior, Beta(1.2, 1.8) and Beta(2, 2), up to a constant."""
        return float(xlogy(0.2, self.share) + xlogy(0.8, 1 - self.share) + np.log(self.random) + np.log(1 - self.random))


class AnnotatorModel(NamedTuple):
    """A fitted model of annotators.

    Attributes:
        posterior: P(true label | annotations and models), ``(item, class)``; rows sum to 1. For each item, annotators are
            judged by all other items.
        p_disputed: probability that an item is disputed, ``(item,)``.
        incidence: the annotations.
        counts: expected counts by annotator.
        skill: what annotators have in common.
        item_prior: the true labels before annotations are seen.
        disputes: how often and how much people disagree.
        bounds: the lower bound of the log-evidence after each round; it never falls.
    """

    posterior: Float64[np.ndarray, "item class"]
    p_disputed: Float64[np.ndarray, " item"]
    incidence: Incidence
    counts: Counts
    skill: SharedSkill
    item_prior: ItemPrior
    disputes: Disputes
    bounds: list[float]

    def matrix_of(self, annotator: int) -> Float64[np.ndarray, "class class"]:
        """Return the mean confusion matrix of one annotator, ``(true class, label)``, for items that are not disputed."""
        return self.skill.matrix_of(self.counts, self.incidence, annotator)


class _State(NamedTuple):
    """Posterior of the true label with "not disputed", and with "disputed": ``(item, class)`` each."""

    clear: Float64[np.ndarray, "item class"]
    disputed: Float64[np.ndarray, "item class"]

    @property
    def both(self) -> Float64[np.ndarray, "item class"]:
        return np.asarray(self.clear + self.disputed)


def fit_annotators(incidence: Incidence, log_predicted: Float64[np.ndarray, "item class"] | None = None) -> AnnotatorModel:
    """Fit the model to annotations.

    Args:
        incidence: the annotations; every item has at least one.
        log_predicted: held-out log-probabilities of models; None: annotators alone. Finite.
    """
    n_classes = incidence.n_classes
    item_prior = ItemPrior.start(log_predicted, n_classes)
    skill, disputes = SharedSkill.start(n_classes), Disputes(_START_DISPUTED, _START_RANDOM)
    start = _start(incidence, log_predicted)
    state = _State((1 - disputes.share) * start, disputes.share * start)
    random = np.full((len(incidence.label), n_classes), disputes.random)
    by_pair = incidence.items.T.tocsr()
    bounds: list[float] = []
    tolerance = _TOLERANCE * len(incidence.item)
    for number in range(_MAX_ROUNDS):
        of_disputed = by_pair @ state.disputed
        counts = Counts.of(incidence, by_pair @ state.clear + of_disputed * (1 - random))
        drawn = float((of_disputed * random).sum())
        disputes = Disputes(
            (float(state.disputed.sum()) + 0.2) / (len(start) + 1), (drawn + 1) / (float(of_disputed.sum()) + 2)
        )
        if number >= _FIRST_REFIT and number % _REFIT_EVERY == 0:
            skill = skill.refit(incidence, counts)
        log_label = skill.expected_log(incidence, counts)
        # The Kullback-Leibler divergence of the annotators' matrices from the shared distribution.
        divergence = float((counts.pair * log_label).sum()) - skill.evidence(incidence, counts)
        log_disputed, random = _disputed(log_label, disputes, n_classes)
        prior = item_prior.log_probability()
        state, evidence = _posterior(incidence.items @ log_label + prior, incidence.items @ log_disputed + prior, disputes)
        densities = item_prior.log_density() + skill.log_density() + disputes.log_density()
        bounds.append(evidence - divergence + densities)
        start = state.both
        item_prior = item_prior.refit(start)
        if number > _FIRST_REFIT + _REFIT_EVERY and bounds[-1] - bounds[-1 - _REFIT_EVERY] < tolerance:
            break
    model = AnnotatorModel(start, state.disputed.sum(1), incidence, counts, skill, item_prior, disputes, bounds)
    return _leave_own_out(model, state, random)


def _start(incidence: Incidence, log_predicted: np.ndarray | None) -> Float64[np.ndarray, "item class"]:
    """Return the posterior from which a fit starts: the shares of the votes, with the models as one more."""
    votes = incidence.items @ incidence.is_right.astype(np.float64) + 0.5 / incidence.n_classes
    if log_predicted is not None:
        votes = votes + np.exp(log_predicted)
    shares: np.ndarray = votes / votes.sum(1, keepdims=True)
    return shares


def _disputed(log_label: np.ndarray, disputes: Disputes, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-probability of labels of disputed items, and the probability that they were drawn at random."""
    log_random = np.log(disputes.random / n_classes)
    log_disputed = np.logaddexp(np.log1p(-disputes.random) + log_label, log_random)
    return log_disputed, np.exp(log_random - log_disputed)


def _posterior(clear: np.ndarray, disputed: np.ndarray, disputes: Disputes) -> tuple[_State, float]:
    """Return the posterior of the true labels and of the disputes, and the logarithm of the normaliser of all items."""
    clear = clear + np.log1p(-disputes.share)
    disputed = disputed + np.log(disputes.share)
    top = np.maximum(clear.max(1, keepdims=True), disputed.max(1, keepdims=True))
    clear, disputed = np.exp(clear - top), np.exp(disputed - top)
    total = clear.sum(1, keepdims=True) + disputed.sum(1, keepdims=True)
    return _State(clear / total, disputed / total), float((np.log(total) + top).sum())


def _leave_own_out(model: AnnotatorModel, state: _State, random: np.ndarray) -> AnnotatorModel:
    """Return the model with posteriors of items for which annotators are judged by all other items.

    Args:
        random: of each pair, by true class, the probability that a label of a disputed item was drawn at random.
    """
    incidence, n_classes = model.incidence, model.incidence.n_classes
    items = incidence.item
    clear = np.tile(model.item_prior.log_probability(), (len(model.posterior) // len(model.item_prior.log_predicted), 1))
    disputed = clear.copy()
    for rows in row_blocks(len(items), n_classes):
        pair, item = incidence.pair[rows], items[rows]
        own = state.clear[item] + state.disputed[item] * (1 - random[pair])
        log_label = np.log(model.skill.mean_without(model.counts, incidence, pair, own))
        np.add.at(clear, item, log_label)
        np.add.at(disputed, item, _disputed(log_label, model.disputes, n_classes)[0])
    left_out, _ = _posterior(clear, disputed, model.disputes)
    return model._replace(posterior=left_out.both, p_disputed=left_out.disputed.sum(1))
