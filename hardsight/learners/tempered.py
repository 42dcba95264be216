"""Models whose predicted probabilities are calibrated by a temperature."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import minimize_scalar
from torch import Tensor

from hardsight.data import Samples
from hardsight.learners.base import Learner, OnProgress, Predictions
from hardsight.learners.wrapper import LearnerWrapper
from hardsight.resampling.plan import Plan

# Naive Bayes on many columns needs temperatures in the thousands.
_LOG_TEMPERATURES = -2.5, 12.0


class Tempered(LearnerWrapper):
    """A learner of classes whose log-probabilities are divided by a temperature (Guo et al. 2017, *On calibration*).

    Args:
        learner: trains and predicts.
        temperature: above 1 for a learner that is too sure of its predictions, below 1 for one that is not sure enough.
    """

    def __init__(self, learner: Learner, temperature: float) -> None:
        super().__init__(learner)
        self.temperature = temperature
        self.capabilities = replace(self.capabilities, needs_calibration=False)

    def with_learner(self, learner: Learner) -> "Tempered":
        """Return another learner with the same temperature."""
        return Tempered(learner, self.temperature)

    def describe(self) -> str:
        """See :meth:`Learner.describe`."""
        return f"{super().describe()}; log-probabilities divided by the temperature {self.temperature:.3g}"

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        for predictions in self.learner.fit_predict(samples, plan, on_progress):
            yield temper(predictions, self.temperature)


def temper(predictions: Predictions, temperature: float) -> Predictions:
    """Return predictions of classes with their log-probabilities divided by a temperature, and normalised."""
    return predictions._replace(values=(predictions.values / temperature).log_softmax(1))


def fit_temperature(log_prob: Float64[Tensor, "sample class"], label: Int64[Tensor, " sample"]) -> float:
    """Return the temperature by which log-probabilities have the least log-loss, .08 to 160,000.

    One more sample, spread over all, has another label than it is given: models that are always right would otherwise have
    to be made ever surer (Platt 1999, *Probabilistic outputs for support vector machines*).
    """
    n_samples, n_classes = log_prob.shape
    other = 1 / (n_samples + 2)

    def loss(log_temperature: float) -> float:
        calibrated = (log_prob / np.exp(log_temperature)).log_softmax(1)
        own = calibrated.gather(1, label[:, None]).squeeze(1)
        mean_of_others = (calibrated.sum(1) - own) / max(n_classes - 1, 1)
        return -float(((1 - other) * own + other * mean_of_others).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded").x))
