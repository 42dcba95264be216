"""Weights: every scheme as a pure function of difficulty, and ``SCHEMES``, which says what each reads and means."""

from hardsight.weights.catalogue import get_scheme
from hardsight.weights.from_difficulty import weigh
from hardsight.weights.inputs import INPUTS
from hardsight.weights.scheme import SCHEMES, Scheme, StateShape
from hardsight.weights.schemes.icost import leaf_purity
from hardsight.weights.schemes.instance_hardness import dihcl_chances
from hardsight.weights.schemes.label_filters import threshold_samples
from hardsight.weights.schemes.learned import descend_data_parameters, descend_lilaw
from hardsight.weights.schemes.mentor import Mentor, train_mentor
from hardsight.weights.schemes.meta import CMWNet, MetaWeightNet
from hardsight.weights.schemes.tree import WeightTree

__all__ = [
    "INPUTS",
    "SCHEMES",
    "CMWNet",
    "Mentor",
    "MetaWeightNet",
    "StateShape",
    "Scheme",
    "WeightTree",
    "descend_data_parameters",
    "descend_lilaw",
    "dihcl_chances",
    "leaf_purity",
    "get_scheme",
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
