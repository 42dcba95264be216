"""What trains the members: networks, scikit-learn style estimators, forests out of bag, closed forms; and their names."""

from hardsight.learners import forked as forked
from hardsight.learners.base import Divisible, InSample, Learner, Tick, View
from hardsight.learners.forest_oob import OutOfBag
from hardsight.learners.huggingface import HuggingFace
from hardsight.learners.in_sample import InSampleLosses
from hardsight.learners.leave_one_out import KernelRidgeLeaveOneOut, LogisticLeaveOneOut, NeighboursLeaveOneOut
from hardsight.learners.linear.logistic import Logistic
from hardsight.learners.linear.ridge import Ridge
from hardsight.learners.network.network import Network
from hardsight.learners.registry import LEARNERS, choose
from hardsight.learners.sklearn import Estimator

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
