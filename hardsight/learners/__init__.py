"""What trains the members: networks, scikit-learn style estimators, forests out of bag, closed forms; and their names."""

from hardsight.learners import forked as forked
from hardsight.learners.closed_form import Ridge
from hardsight.learners.core import Divisible, InSample, Learner, Tick, View
from hardsight.learners.estimators import Estimator
from hardsight.learners.forests import OutOfBag
from hardsight.learners.huggingface import HuggingFace
from hardsight.learners.in_sample import InSampleLosses
from hardsight.learners.leave_one_out import KernelRidgeLeaveOneOut, LogisticLeaveOneOut, NeighboursLeaveOneOut
from hardsight.learners.logistic import Logistic
from hardsight.learners.named import LEARNERS, choose
from hardsight.learners.networks import Network

__all__ = [
    "LEARNERS",
    "Divisible",
    "Estimator",
    "HuggingFace",
    "InSample",
    "InSampleLosses",
    "KernelRidgeLeaveOneOut",
    "Learner",
    "Logistic",
    "LogisticLeaveOneOut",
    "NeighboursLeaveOneOut",
    "Network",
    "OutOfBag",
    "Ridge",
    "Tick",
    "View",
    "choose",
]
