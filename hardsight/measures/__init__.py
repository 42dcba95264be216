"""Measures of sample difficulty: statistics of a view, reductions over views, and one row per measure.

Names are imported on first use, so that a module without torch can be imported from here without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hardsight.measures.catalogue import MEASURES as MEASURES
    from hardsight.measures.catalogue import describe_measures as describe_measures
    from hardsight.measures.gradients import gradient_norms as gradient_norms
    from hardsight.measures.gradients import input_gradients as input_gradients
    from hardsight.measures.leave_one_out import leave_one_out_logits as leave_one_out_logits
    from hardsight.measures.measure import Measure as Measure
    from hardsight.measures.neighbourhood import centroid_distance as centroid_distance
    from hardsight.measures.neighbourhood import knn_disagreement as knn_disagreement
    from hardsight.measures.neighbourhood import prototype_distance as prototype_distance

_MODULES = {
    "MEASURES": "catalogue",
    "Measure": "measure",
    "centroid_distance": "neighbourhood",
    "describe_measures": "catalogue",
    "gradient_norms": "gradients",
    "input_gradients": "gradients",
    "knn_disagreement": "neighbourhood",
    "leave_one_out_logits": "leave_one_out",
    "prototype_distance": "neighbourhood",
}

__all__ = [*_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'hardsight.measures' has no attribute {name!r}")
    return getattr(import_module(f"hardsight.measures.{_MODULES[name]}"), name)
