"""What annotators have in common: means and strengths of their accuracies and confusions, fitted by evidence."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize, minimize_scalar
from scipy.special import betaln, expit, gammaln, logit, psi

from hardsight.attribution.annotators.incidence import Incidence

# The logarithm of a strength has a normal prior: about ten annotations, within a factor of 20 or so.
_LOG_STRENGTH, _LOG_STRENGTH_SD = float(np.log(10.0)), 1.5
_LOG_RANGE = (-3.0, float(np.log(1e4)))
# Standard deviation of the classes' log-odds of a right label about their mean. If it were free, disputed items of all
# classes would become one class, whose own label is not even its most frequent one.
_CLASS_SD = 0.3
# Pseudo-counts that shrink the destinations of wrong labels to an even spread.
_EVEN = 2.0
_START_ACCURACY, _START_STRENGTH = 0.8, 10.0
_STEPS = 5


class Counts(NamedTuple):
    """Expected numbers of annotations of the items whose label was not drawn at random, by true class.

    Attributes:
        pair: of each pair of annotator and label, ``(pair, class)``.
        right: of each annotator, with the right label, ``(annotator, class)``.
        total: of each annotator, ``(annotator, class)``.
        wrong: of each pair, if its label is wrong, ``(pair, class)``.
    """

    pair: Float64[np.ndarray, "pair class"]
    right: Float64[np.ndarray, "annotator class"]
    total: Float64[np.ndarray, "annotator class"]
    wrong: Float64[np.ndarray, "pair class"]

    @classmethod
    def of(cls, incidence: Incidence, pair: Float64[np.ndarray, "pair class"]) -> "Counts":
        """Return the counts of annotators from those of pairs."""
        right = incidence.is_right
        return cls(pair, incidence.by_annotator(pair * right), incidence.by_annotator(pair), pair * ~right)


class SharedSkill(NamedTuple):
    """The distribution of annotators.

    Attributes:
        log_odds: mean log-odds of a right label, and the deviations of the classes from it, ``(1 + class,)``.
        confusion: mean destinations of wrong labels, ``(true class, label)``; rows sum to 1, the diagonal is 0.
        accuracy_strength: the number of annotations for which the mean accuracy counts, per annotator and class.
        confusion_strength: the number of wrong annotations for which the mean destinations count.
    """

    log_odds: Float64[np.ndarray, " class_and_mean"]
    confusion: Float64[np.ndarray, "class class"]
    accuracy_strength: float
    confusion_strength: float

    @classmethod
    def start(cls, n_classes: int) -> "SharedSkill":
        """Return the distribution from which a fit starts."""
        log_odds = np.zeros(1 + n_classes)
        log_odds[0] = logit(_START_ACCURACY)
        confusion = (1 - np.eye(n_classes)) / max(n_classes - 1, 1)
        return cls(log_odds, confusion, _START_STRENGTH, _START_STRENGTH)

    @property
    def accuracy(self) -> Float64[np.ndarray, " class"]:
        """Mean probability of a right label, by true class."""
        return np.asarray(expit(self.log_odds[0] + self.log_odds[1:]))

    def log_density(self) -> float:
        """Return the log-density of the means and strengths, up to a constant."""
        strengths = np.log([self.accuracy_strength, self.confusion_strength])
        penalty = float((((strengths - _LOG_STRENGTH) / _LOG_STRENGTH_SD) ** 2).sum())
        penalty += float((self.log_odds[1:] ** 2).sum()) / _CLASS_SD**2
        return -penalty / 2 + self._log_density_of_confusion()

    def _log_density_of_confusion(self) -> float:
        n = len(self.confusion)
        off = ~np.eye(n, dtype=bool)
        return _EVEN / (n - 1) * float(np.log(self.confusion[off]).sum()) if n > 2 else 0.0

    def evidence(self, incidence: Incidence, counts: Counts) -> float:
        """Return the log-probability of the counts, with the annotators' own matrices integrated out."""
        strength, accuracy = self.accuracy_strength, self.accuracy
        right, wrong = strength * accuracy, strength * (1 - accuracy)
        total = float((betaln(right + counts.right, wrong + counts.total - counts.right) - betaln(right, wrong)).sum())
        return total + self._evidence_of_confusion(incidence, counts, self.confusion_strength)

    def _evidence_of_confusion(self, incidence: Incidence, counts: Counts, strength: float) -> float:
        prior = strength * self._off_diagonal(incidence)
        of_pairs = float((gammaln(prior + counts.wrong) - gammaln(prior)).sum())
        n_wrong = counts.total - counts.right
        return of_pairs - float((gammaln(strength + n_wrong) - gammaln(strength)).sum())

    def _off_diagonal(self, incidence: Incidence) -> Float64[np.ndarray, "pair class"]:
        """Return the mean share of each pair's label among wrong ones; 1 where it is right, where nothing is counted."""
        shares = self.confusion[:, incidence.label].T
        return np.asarray(np.where(incidence.is_right, 1.0, shares))

    def expected_log(self, incidence: Incidence, counts: Counts) -> Float64[np.ndarray, "pair class"]:
        """Return the posterior mean of the log-probability of each pair's label, by true class."""
        strength, accuracy = self.accuracy_strength, self.accuracy
        n_wrong = counts.total - counts.right
        total = psi(strength + counts.total)
        right = psi(strength * accuracy + counts.right) - total
        wrong = psi(strength * (1 - accuracy) + n_wrong) - total
        who = incidence.annotator
        prior = self.confusion_strength * self._off_diagonal(incidence)
        destination = psi(prior + counts.wrong) - psi(self.confusion_strength + n_wrong)[who]
        return np.asarray(np.where(incidence.is_right, right[who], wrong[who] + destination))

    def mean_without(
        self, counts: Counts, incidence: Incidence, pair: np.ndarray, own: Float64[np.ndarray, "annotation class"]
    ) -> Float64[np.ndarray, "annotation class"]:
        """Return the mean probability of the labels of annotations, judged without what they count themselves.

        Args:
            pair: the pairs of the annotations, ``(annotation,)``.
            own: what each annotation contributed to the counts.
        """
        who, is_right = incidence.annotator[pair], incidence.is_right[pair]
        total = counts.total[who] - own
        right = counts.right[who] - own * is_right
        n_wrong = np.maximum(total - right, 0)
        denominator = self.accuracy_strength + total
        p_right = (self.accuracy_strength * self.accuracy + right) / denominator
        p_wrong = (self.accuracy_strength * (1 - self.accuracy) + n_wrong) / denominator
        shares = self.confusion_strength * self.confusion[:, incidence.label[pair]].T
        own_wrong = np.maximum(counts.wrong[pair] - own, 0)
        p_destination = (shares + own_wrong) / (self.confusion_strength + n_wrong)
        return np.asarray(np.where(is_right, p_right, p_wrong * p_destination))

    def matrix_of(self, counts: Counts, incidence: Incidence, annotator: int) -> Float64[np.ndarray, "class class"]:
        """Return the mean confusion matrix of one annotator, ``(true class, label)``; rows sum to 1."""
        ends = np.append(incidence.starts, len(incidence.label))
        pairs = slice(ends[annotator], ends[annotator + 1])
        wrong = np.zeros_like(self.confusion)
        wrong[:, incidence.label[pairs]] = counts.wrong[pairs].T
        right, total = counts.right[annotator], counts.total[annotator]
        accuracy = (self.accuracy_strength * self.accuracy + right) / (self.accuracy_strength + total)
        destination = self.confusion_strength * self.confusion + wrong
        destination /= (self.confusion_strength + wrong.sum(1))[:, None]
        return np.asarray(np.diag(accuracy) + (1 - accuracy)[:, None] * destination)

    def mean_matrix(self) -> Float64[np.ndarray, "class class"]:
        """Return the mean confusion matrix of an annotator without annotations."""
        return np.asarray(np.diag(self.accuracy) + (1 - self.accuracy)[:, None] * self.confusion)

    def refit(self, incidence: Incidence, counts: Counts) -> "SharedSkill":
        """Return the distribution that makes the counts likelier, by some steps for each part."""
        fitted = self._refit_accuracy(counts)
        return fitted._refit_confusion(incidence, counts) if len(self.confusion) > 2 else fitted

    def _refit_accuracy(self, counts: Counts) -> "SharedSkill":
        n_right, n_wrong = counts.right, counts.total - counts.right

        def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
            skill = self._replace(accuracy_strength=float(np.exp(values[0])), log_odds=values[1:])
            strength, accuracy = skill.accuracy_strength, skill.accuracy
            right, wrong = strength * accuracy, strength * (1 - accuracy)
            value = float((betaln(right + n_right, wrong + n_wrong) - betaln(right, wrong)).sum())
            common = psi(strength) - psi(strength + counts.total)
            by_right = (psi(right + n_right) - psi(right) + common).sum(0)
            by_wrong = (psi(wrong + n_wrong) - psi(wrong) + common).sum(0)
            by_odds = strength * accuracy * (1 - accuracy) * (by_right - by_wrong)
            of_strength = float(right @ by_right + wrong @ by_wrong)
            excess = (values[0] - _LOG_STRENGTH) / _LOG_STRENGTH_SD**2
            deviations = values[2:]
            value -= (values[0] - _LOG_STRENGTH) * excess / 2 + float((deviations**2).sum()) / _CLASS_SD**2 / 2
            gradient = np.concatenate([[of_strength - excess, by_odds.sum()], by_odds - deviations / _CLASS_SD**2])
            return -value, -gradient

        start = np.append(np.log(self.accuracy_strength), self.log_odds)
        bounds = [_LOG_RANGE, (-10.0, 10.0)] + [(-3.0, 3.0)] * (len(start) - 2)
        optimum = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
        if not optimum.fun <= loss(start)[0]:
            return self
        return self._replace(accuracy_strength=float(np.exp(optimum.x[0])), log_odds=optimum.x[1:])

    def _refit_confusion(self, incidence: Incidence, counts: Counts) -> "SharedSkill":
        """Take a fixed-point step of the means (Minka 2000, *Estimating a Dirichlet distribution*) and fit the strength."""
        prior = self.confusion_strength * self._off_diagonal(incidence)
        weight = incidence.by_label(np.where(incidence.is_right, 0.0, prior * (psi(prior + counts.wrong) - psi(prior))))
        n = len(self.confusion)
        weight += _EVEN / (n - 1) * (1 - np.eye(n))
        fitted = self._replace(confusion=weight / weight.sum(1, keepdims=True))
        strength = _best_strength(
            lambda value: fitted._evidence_of_confusion(incidence, counts, value), self.confusion_strength
        )
        return fitted._replace(confusion_strength=strength)


def _best_strength(evidence: Callable[[float], float], current: float) -> float:
    """Return the likeliest strength near the current one, or the current one if no other is likelier."""

    def loss(log_strength: float) -> float:
        return ((log_strength - _LOG_STRENGTH) / _LOG_STRENGTH_SD) ** 2 / 2 - evidence(float(np.exp(log_strength)))

    start = float(np.log(current))
    bounds = (max(start - 1, _LOG_RANGE[0]), min(start + 1, _LOG_RANGE[1]))
    optimum = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 0.05})
    return float(np.exp(optimum.x)) if optimum.fun < loss(start) else current
