"""hardsight: every training sample's difficulty, measured by models that never saw it.

Names are opened on first use, so that ``import hardsight`` and the command's help cost no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hardsight.data import Samples as Samples
    from hardsight.difficulty.result import Difficulty as Difficulty
    from hardsight.errors import HardsightError as HardsightError
    from hardsight.errors import HardsightWarning as HardsightWarning
    from hardsight.errors import InputError as InputError
    from hardsight.errors import LearnerError as LearnerError
    from hardsight.estimation.measure import measure as measure
    from hardsight.estimation.measure import measure_predictions as measure_predictions
    from hardsight.explanation import Explanation as Explanation
    from hardsight.explanation import explain as explain
    from hardsight.learners import Estimator as Estimator
    from hardsight.learners import HuggingFace as HuggingFace
    from hardsight.learners import Logistic as Logistic
    from hardsight.learners import Network as Network
    from hardsight.learners import OutOfBag as OutOfBag
    from hardsight.learners import Ridge as Ridge
    from hardsight.measures import MEASURES as MEASURES
    from hardsight.measures.record import Record as Record
    from hardsight.resampling.splitters import KFold as KFold
    from hardsight.resampling.splitters import LeaveOneOut as LeaveOneOut
    from hardsight.resampling.splitters import Subsets as Subsets
    from hardsight.weights import SCHEMES as SCHEMES
    from hardsight.weights import weigh as weigh
    from hardsight.weights.training import WeightedSampler as WeightedSampler
    from hardsight.weights.training import Weighting as Weighting
    from hardsight.weights.training import collate as collate
    from hardsight.weights.training import indexed as indexed

__version__ = "0.1.0"

_HOME = {
    "Difficulty": "difficulty.result",
    "Estimator": "learners",
    "Explanation": "explanation",
    "HardsightError": "errors",
    "HardsightWarning": "errors",
    "HuggingFace": "learners",
    "InputError": "errors",
    "KFold": "resampling.splitters",
    "LearnerError": "errors",
    "LeaveOneOut": "resampling.splitters",
    "Logistic": "learners",
    "MEASURES": "measures",
    "Network": "learners",
    "OutOfBag": "learners",
    "Record": "measures.record",
    "Ridge": "learners",
    "SCHEMES": "weights",
    "Samples": "data",
    "Subsets": "resampling.splitters",
    "WeightedSampler": "weights.training",
    "Weighting": "weights.training",
    "collate": "weights.training",
    "indexed": "weights.training",
    "explain": "explanation",
    "measure": "estimation.measure",
    "measure_predictions": "estimation.measure",
    "weigh": "weights",
}
# Rooms whose own names are meant to be written out: hs.weights.focal, hs.sklearn.DifficultyWeightedClassifier.
_ROOMS = {
    "boosting": "integrations.boosting",
    "plot": "reporting.plot",
    "sklearn": "integrations.sklearn",
    "skorch": "integrations.skorch",
    "theory": "theory",
    "weights": "weights",
}

__all__ = [*_HOME, *_ROOMS, "load"]


def load(path: Any) -> "Difficulty":
    """Read the result that :meth:`Difficulty.save` wrote; opens no torch. See :meth:`Difficulty.load`."""
    from hardsight.difficulty.result import Difficulty

    return Difficulty.load(path)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"hardsight.{_ROOMS[name]}")
    if name not in _HOME:
        raise AttributeError(f"module 'hardsight' has no attribute {name!r}")
    return getattr(import_module(f"hardsight.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
