"""Weights: every scheme as a pure function of difficulty, and ``SCHEMES``, which describes each."""

from hardsight.weights.catalogue import get_scheme
from hardsight.weights.from_difficulty import average_by_sample, weigh
from hardsight.weights.inputs import INPUTS, Input
from hardsight.weights.preference_losses import conservative_dpo_loss, robust_dpo_loss
from hardsight.weights.priors import correct_priors
from hardsight.weights.scheme import SCHEMES, Scheme, StateShape, scheme
from hardsight.weights.schemes import automatic
from hardsight.weights.schemes.class_balance import leaf_purity
from hardsight.weights.schemes.hard_mining import dihcl_chances
from hardsight.weights.schemes.learned import WeightTree, descend_data_parameters, descend_lilaw
from hardsight.weights.schemes.meta import CMWNet, MetaWeightNet
from hardsight.weights.schemes.small_loss import Mentor, threshold_samples, train_mentor

__all__ = [
    "INPUTS",
    "SCHEMES",
    "CMWNet",
    "Input",
    "Mentor",
    "MetaWeightNet",
    "Scheme",
    "StateShape",
    "WeightTree",
    "average_by_sample",
    "automatic",
    "conservative_dpo_loss",
    "correct_priors",
    "descend_data_parameters",
    "descend_lilaw",
    "dihcl_chances",
    "get_scheme",
    "leaf_purity",
    "robust_dpo_loss",
    "scheme",
    "threshold_samples",
    "train_mentor",
    "weigh",
    *(row.function.__name__ for row in SCHEMES.values()),
]


def __getattr__(name: str) -> object:
    for row in SCHEMES.values():
        if row.function.__name__ == name:
            return row.function
    raise AttributeError(f"module 'hardsight.weights' has no attribute {name!r}")
