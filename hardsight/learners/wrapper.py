"""Learners that change the predictions of another learner."""

from hardsight.learners.base import Learner, capabilities_of
from hardsight.resampling.plan import Plan


class LearnerWrapper:
    """What a wrapped learner says of itself; subclasses add ``fit_predict``.

    Args:
        learner: trains and predicts.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.name = learner.name
        self.capabilities = capabilities_of(learner)

    def n_models(self, plan: Plan) -> int:
        """See :meth:`Learner.n_models`."""
        return self.learner.n_models(plan)

    def describe(self) -> str:
        """See :meth:`Learner.describe`."""
        return self.learner.describe()
