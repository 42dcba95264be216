"""Models whose predicted probabilities are calibrated by a temperature."""

from collections.abc import Iterator

from hardsight.data import Samples
from hardsight.learners.base import Learner, OnProgress, Predictions
from hardsight.learners.wrapper import LearnerWrapper
from hardsight.resampling.plan import Plan


class Tempered(LearnerWrapper):
    """A learner of classes whose log-probabilities are divided by a temperature (Guo et al. 2017, *On calibration*).

    Args:
        learner: trains and predicts.
        temperature: above 1 for a learner that is too sure of its predictions, below 1 for one that is not sure enough.
    """

    def __init__(self, learner: Learner, temperature: float) -> None:
        super().__init__(learner)
        self.temperature = temperature

    def describe(self) -> str:
        """See :meth:`Learner.describe`."""
        return f"{super().describe()}; log-probabilities divided by the temperature {self.temperature:.3g}"

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        for predictions in self.learner.fit_predict(samples, plan, on_progress):
            yield predictions._replace(values=(predictions.values / self.temperature).log_softmax(1))
