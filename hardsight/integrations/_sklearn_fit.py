"""One way to fit any scikit-learn estimator with weights, wherever in it the weights are taken."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.metaestimators import available_if

from hardsight.errors import InputError
from hardsight.learners.sklearn import weight_argument

# Names of parameters whose values are labels, besides those that map labels to something.
_LABEL_PARAMETERS = ("classes", "labels", "pos_label")


def fit_weighted(estimator: Any, X: Any, y: np.ndarray, weights: np.ndarray) -> Any:
    """Fit it in place with weights of samples, and give it back.

    Where metadata routing is enabled and some part of the estimator requests ``sample_weight``, they go where they are
    requested. Otherwise they go to the estimator itself, in a pipeline to its last step, in a search to what is searched.

    Raises:
        InputError: nothing in it takes weights.
    """
    if _requests_weights(estimator):
        return estimator.fit(X, y, sample_weight=weights)
    taken = _weight_argument(estimator)
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


def _requests_weights(estimator: Any) -> bool:
    if not sklearn.get_config()["enable_metadata_routing"] or not hasattr(estimator, "get_metadata_routing"):
        return False
    return "sample_weight" in get_routing_for_object(estimator).consumes("fit", {"sample_weight"})


def _weight_argument(estimator: Any) -> str | None:
    return weight_argument(estimator.estimator if isinstance(estimator, BaseSearchCV) else estimator)


def _fit_clone(estimator: Any, X: Any, y: np.ndarray, weights: np.ndarray | None) -> Any:
    model = clone(estimator)
    return model.fit(X, y) if weights is None else fit_weighted(model, X, y, weights)


def _available_with(name: str) -> Callable[[Callable[..., Any]], Any]:
    decorator: Callable[[Callable[..., Any]], Any] = available_if(lambda self: hasattr(self.estimator, name))
    return decorator


class CodedClassifier(ClassifierMixin, BaseEstimator):
    """An estimator that learns the labels as they were given, from codes and in codes.

    Some have parameters that name labels (``class_weight={"ham": 1, "spam": 5}``), which codes would not match. Others take
    no labels but 0, 1, … without a gap: where one refuses numbers of which a class is absent, and names none of them, it
    learns the codes.

    Args:
        estimator: a classifier.
        labels: what the codes stand for, ``(class,)``.
    """

    def __init__(self, estimator: Any, labels: np.ndarray) -> None:
        self.estimator = estimator
        self.labels = labels

    def fit(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> "CodedClassifier":
        """Fit a clone; ``y`` holds codes, ``(sample,)``."""
        try:
            self.learnt_, self.estimator_ = self.labels, _fit_clone(self.estimator, X, self.labels[y], sample_weight)
        except Exception as refused:
            codes = np.arange(len(self.labels))
            if self.labels.dtype.kind not in "iuf" or np.array_equal(self.labels, codes) or self._names_labels():
                raise
            try:
                self.learnt_, self.estimator_ = codes, _fit_clone(self.estimator, X, y, sample_weight)
            except Exception:  # noqa: BLE001 - then the labels were not what it refused
                raise refused from None
        self.classes_ = np.searchsorted(self.learnt_, self.estimator_.classes_)
        return self

    def _names_labels(self) -> bool:
        labels = set(self.labels.tolist())
        return any(
            not labels.isdisjoint(value)
            if isinstance(value, Mapping)
            else value is not None and name.split("__")[-1] in _LABEL_PARAMETERS
            for name, value in self.estimator.get_params().items()
        )

    def predict(self, X: Any) -> np.ndarray:
        """Codes, ``(sample,)``."""
        codes: np.ndarray = np.searchsorted(self.learnt_, self.estimator_.predict(X))
        return codes

    @_available_with("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, ``(sample, class)``."""
        probabilities: np.ndarray = self.estimator_.predict_proba(X)
        return probabilities

    @_available_with("predict_log_proba")
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Their logarithms, ``(sample, class)``."""
        logs: np.ndarray = self.estimator_.predict_log_proba(X)
        return logs


class WeightRoutingRegressor(RegressorMixin, BaseEstimator):
    """A regressor whose ``fit`` takes weights, wherever in it they are taken.

    Args:
        estimator: a regressor.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> "WeightRoutingRegressor":
        """Fit a clone; ``y`` are numbers, ``(sample,)``."""
        self.estimator_ = _fit_clone(self.estimator, X, y, sample_weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Numbers, ``(sample,)``."""
        numbers: np.ndarray = self.estimator_.predict(X)
        return numbers
