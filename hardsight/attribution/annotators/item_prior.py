"""The probability of the true label before annotations are seen: class shares, or held-out predictions, tempered."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize
from scipy.special import log_softmax

# The offsets of the classes and the logarithm of the exponent have normal priors with these standard deviations.
_OFFSET_SD, _EXPONENT_SD = 1.0, 1.0
# Steps of L-BFGS per round of coordinate ascent; each round starts where the last one ended.
_STEPS = 5


class ItemPrior(NamedTuple):
    r"""$P(z = c \mid x) \propto e^{b_c} f_c(x)^\beta$, with held-out predictions $f$; without them, the class shares.

    The exponent $\beta$ and the offsets $b$ are fitted with the annotators, so that models count for as much as their
    predictions say about what annotators agree on.

    Attributes:
        log_predicted: log-probabilities $\log f$, ``(item, class)``, or ``(1, class)`` of zeros without models.
        offset: $b$, ``(class,)``.
        exponent: $\beta$, 0 or more; 0 without models.
    """

    log_predicted: Float64[np.ndarray, "row class"]
    offset: Float64[np.ndarray, " class"]
    exponent: float

    @classmethod
    def start(cls, log_predicted: Float64[np.ndarray, "item class"] | None, n_classes: int) -> "ItemPrior":
        """Return the prior from which a fit starts: the predictions as they are, or equal shares."""
        if log_predicted is None:
            return cls(np.zeros((1, n_classes)), np.zeros(n_classes), 0.0)
        return cls(log_predicted, np.zeros(n_classes), 1.0)

    @property
    def has_models(self) -> bool:
        """Whether there are predictions."""
        return self.exponent > 0

    def log_probability(self) -> Float64[np.ndarray, "row class"]:
        """Return the log-probabilities of the true labels, ``(item, class)``, or one row for all items."""
        return np.asarray(log_softmax(self.offset + self.exponent * self.log_predicted, axis=1))

    def log_density(self) -> float:
        """Return the log-density of the offsets and the exponent, up to a constant."""
        penalty = float((self.offset**2).sum()) / _OFFSET_SD**2
        if self.has_models:
            penalty += (np.log(self.exponent) / _EXPONENT_SD) ** 2
        return -penalty / 2

    def refit(self, posterior: Float64[np.ndarray, "item class"]) -> "ItemPrior":
        """Return the prior that makes the posterior of the true labels likelier, by a few steps of L-BFGS."""
        scale = len(posterior)
        counts = posterior.sum(0)
        weighted = float((posterior * self.log_predicted).sum()) if self.has_models else 0.0
        rows = 1 if self.has_models else scale

        def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
            prior = self._at(values)
            scores = prior.offset + prior.exponent * self.log_predicted
            top = scores.max(1, keepdims=True)
            exp = np.exp(scores - top)
            total = exp.sum(1, keepdims=True)
            log_z = rows * float((np.log(total) + top).sum())
            probability = rows * exp / total
            value = log_z - float(counts @ prior.offset) - prior.exponent * weighted - prior.log_density()
            gradient = probability.sum(0) - counts + prior.offset / _OFFSET_SD**2
            if not self.has_models:
                return value / scale, gradient / scale
            slope = float((probability * self.log_predicted).sum()) - weighted
            of_log = prior.exponent * slope + np.log(prior.exponent) / _EXPONENT_SD**2
            return value / scale, np.append(gradient, of_log) / scale

        start = np.append(self.offset, np.log(self.exponent)) if self.has_models else self.offset
        optimum = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
        return self._at(optimum.x)

    def _at(self, values: np.ndarray) -> "ItemPrior":
        n = len(self.offset)
        return self._replace(offset=values[:n], exponent=float(np.exp(values[n])) if self.has_models else 0.0)
