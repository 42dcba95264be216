"""One way to fit any scikit-learn estimator with weights, wherever in it the weights are taken."""

from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.metaestimators import available_if

from hardsight.errors import InputError
from hardsight.learners.estimators import weight_argument


def fit_weighted(estimator: Any, X: Any, y: np.ndarray, weights: np.ndarray) -> Any:
    """Fit it in place with weights of samples, and give it back.

    Where metadata routing is enabled and some part of the estimator requests ``sample_weight``, they go where they are
    requested. Otherwise they go to the estimator itself, in a pipeline to its last step, in a search to what is searched.

    Raises:
        InputError: nothing in it takes weights.
    """
    if _requested(estimator):
        return estimator.fit(X, y, sample_weight=weights)
    taken = _argument(estimator)
    if taken is None:
        raise InputError(
            f"{type(estimator).__name__} takes no sample_weight: use an estimator whose fit does, or a "
            "pipeline whose last step's does"
        )
    if taken == "sample_weight" and not isinstance(estimator, BaseSearchCV):
        return estimator.fit(X, y, sample_weight=weights)
    # step__sample_weight is how a pipeline is told without requests, and scikit-learn refuses it where routing is enabled.
    with sklearn.config_context(enable_metadata_routing=False):
        return estimator.fit(X, y, **{taken: weights})


def _requested(estimator: Any) -> bool:
    if not sklearn.get_config()["enable_metadata_routing"] or not hasattr(estimator, "get_metadata_routing"):
        return False
    return "sample_weight" in get_routing_for_object(estimator).consumes("fit", {"sample_weight"})


def _argument(estimator: Any) -> str | None:
    return weight_argument(estimator.estimator if isinstance(estimator, BaseSearchCV) else estimator)


def _has(name: str) -> Callable[[Callable[..., Any]], Any]:
    decorator: Callable[[Callable[..., Any]], Any] = available_if(lambda self: hasattr(self.estimator, name))
    return decorator


class InCodes(ClassifierMixin, BaseEstimator):
    """An estimator that learns the labels as they were given, from codes and in codes.

    Some have parameters that name labels (``class_weight={"ham": 1, "spam": 5}``), which codes would not match.

    Args:
        estimator: a classifier.
        labels: what the codes stand for, ``(class,)``.
    """

    def __init__(self, estimator: Any, labels: np.ndarray) -> None:
        self.estimator = estimator
        self.labels = labels

    def fit(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> "InCodes":
        """Fit a clone; ``y`` holds codes, ``(sample,)``."""
        model, given = clone(self.estimator), self.labels[y]
        self.estimator_ = model.fit(X, given) if sample_weight is None else fit_weighted(model, X, given, sample_weight)
        self.classes_ = np.searchsorted(self.labels, self.estimator_.classes_)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Codes, ``(sample,)``."""
        codes: np.ndarray = np.searchsorted(self.labels, self.estimator_.predict(X))
        return codes

    @_has("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, ``(sample, class)``."""
        probabilities: np.ndarray = self.estimator_.predict_proba(X)
        return probabilities

    @_has("predict_log_proba")
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Their logarithms, ``(sample, class)``."""
        logs: np.ndarray = self.estimator_.predict_log_proba(X)
        return logs


class Routed(RegressorMixin, BaseEstimator):
    """A regressor whose ``fit`` takes weights, wherever in it they are taken.

    Args:
        estimator: a regressor.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> "Routed":
        """Fit a clone; ``y`` are numbers, ``(sample,)``."""
        model = clone(self.estimator)
        self.estimator_ = model.fit(X, y) if sample_weight is None else fit_weighted(model, X, y, sample_weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Numbers, ``(sample,)``."""
        numbers: np.ndarray = self.estimator_.predict(X)
        return numbers
