"""Learners and their names: networks, scikit-learn estimators, out-of-bag forests, closed forms, Hugging Face models."""

from typing import TYPE_CHECKING, Any

from hardsight.learners import forked as forked
from hardsight.learners.base import Capabilities, Learner, OnProgress, Predictions, TunableLength, capabilities_of
from hardsight.learners.forest_oob import ForestOOB
from hardsight.learners.in_sample import InSampleLosses
from hardsight.learners.leave_one_out import KernelRidgeLeaveOneOut, LogisticLeaveOneOut, NeighboursLeaveOneOut
from hardsight.learners.lightning import LightningModel
from hardsight.learners.linear.logistic import Logistic
from hardsight.learners.linear.ridge import Ridge
from hardsight.learners.loop import Loop
from hardsight.learners.network.network import Network
from hardsight.learners.registry import LEARNERS, check_name, choose, weighted_learners
from hardsight.learners.sklearn import SklearnModel

if TYPE_CHECKING:
    from hardsight.learners.huggingface import HuggingFace

__all__ = [
    "LEARNERS",
    "Capabilities",
    "ForestOOB",
    "HuggingFace",
    "InSampleLosses",
    "KernelRidgeLeaveOneOut",
    "Learner",
    "LightningModel",
    "Logistic",
    "LogisticLeaveOneOut",
    "Loop",
    "NeighboursLeaveOneOut",
    "Network",
    "OnProgress",
    "Predictions",
    "Ridge",
    "SklearnModel",
    "TunableLength",
    "capabilities_of",
    "check_name",
    "choose",
    "weighted_learners",
]


def __getattr__(name: str) -> Any:
    # The Hugging Face learner needs all schemes of weights, which no other learner does.
    if name == "HuggingFace":
        from hardsight.learners.huggingface import HuggingFace

        return HuggingFace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
