"""Weights: every scheme as a pure function of difficulty, and ``SCHEMES``, which says what each reads and means."""

from hardsight.weights.core import INPUTS, Room, Scheme
from hardsight.weights.families.icost import leaf_purity
from hardsight.weights.families.instance_hardness import dihcl_chances
from hardsight.weights.families.label_filters import threshold_samples
from hardsight.weights.families.learned import descend_data_parameters, descend_lilaw
from hardsight.weights.families.mentor import Mentor, train_mentor
from hardsight.weights.families.meta import CMWNet, MetaWeightNet
from hardsight.weights.families.tree import WeightTree
from hardsight.weights.of_difficulty import weigh
from hardsight.weights.table import SCHEMES, scheme

__all__ = [
    "INPUTS",
    "SCHEMES",
    "CMWNet",
    "Mentor",
    "MetaWeightNet",
    "Room",
    "Scheme",
    "WeightTree",
    "descend_data_parameters",
    "descend_lilaw",
    "dihcl_chances",
    "leaf_purity",
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
