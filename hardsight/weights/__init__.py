"""Weights: every scheme as a pure function of difficulty, and ``SCHEMES``, which says what each reads and means."""

from hardsight.weights.core import INPUTS, Room, Scheme
from hardsight.weights.icost import leaf_purity
from hardsight.weights.meta import CMWNet, MetaWeightNet
from hardsight.weights.of_difficulty import weigh
from hardsight.weights.table import SCHEMES, scheme

__all__ = [
    "INPUTS",
    "SCHEMES",
    "CMWNet",
    "MetaWeightNet",
    "Room",
    "Scheme",
    "leaf_purity",
    "scheme",
    "weigh",
    *(row.function.__name__ for row in SCHEMES.values()),
]


def __getattr__(name: str) -> object:
    for row in SCHEMES.values():
        if row.function.__name__ == name:
            return row.function
    raise AttributeError(f"module 'hardsight.weights' has no attribute {name!r}")
