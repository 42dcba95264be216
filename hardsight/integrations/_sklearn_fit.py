"""Fitting any scikit-learn estimator with sample weights, whichever part of it takes them."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils.metaestimators import available_if

from hardsight.learners.sample_weights import fit_with_weights

# Names of parameters whose values are labels, besides parameters that map labels to something.
_LABEL_PARAMETERS = ("classes", "labels", "pos_label")


def available_with(name: str, get_estimator: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator for a method that exists only if the estimator inside has one of that name."""
    decorator: Callable[[Callable[..., Any]], Any] = available_if(lambda self: hasattr(get_estimator(self), name))
    return decorator


def _fit_clone(estimator: Any, X: Any, y: np.ndarray, weights: np.ndarray | None) -> Any:
    model = clone(estimator)
    return model.fit(X, y) if weights is None else fit_with_weights(model, X, y, weights)


class CodedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of class codes that lets its estimator learn the original labels.

    Some estimators have parameters that name labels (``class_weight={"ham": 1, "spam": 5}``), which codes would not
    match. Others take only the labels 0, 1, … without a gap: if an estimator refuses numeric labels, and none of its
    parameters names a label, it learns the codes.

    Args:
        estimator: a classifier.
        labels: the label of each code, ``(class,)``.
    """

    def __init__(self, estimator: Any, labels: np.ndarray) -> None:
        self.estimator = estimator
        self.labels = labels

    def fit(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> "CodedClassifier":
        """Fit a clone of the estimator to class codes ``y``, ``(sample,)``."""
        try:
            self.targets_, self.estimator_ = self.labels, _fit_clone(self.estimator, X, self.labels[y], sample_weight)
        except Exception as error:
            codes = np.arange(len(self.labels))
            if self.labels.dtype.kind not in "iuf" or np.array_equal(self.labels, codes) or self._names_labels():
                raise
            try:
                self.targets_, self.estimator_ = codes, _fit_clone(self.estimator, X, y, sample_weight)
            except Exception:  # noqa: BLE001 - then the labels were not the reason
                raise error from None
        self.classes_ = np.searchsorted(self.targets_, self.estimator_.classes_)
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
        """Predict class codes. ``(sample,)``"""
        codes: np.ndarray = np.searchsorted(self.targets_, self.estimator_.predict(X))
        return codes

    @available_with("predict_proba", attrgetter("estimator"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict probabilities. ``(sample, class)``"""
        probabilities: np.ndarray = self.estimator_.predict_proba(X)
        return probabilities

    @available_with("predict_log_proba", attrgetter("estimator"))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict logarithms of the probabilities. ``(sample, class)``"""
        log_probabilities: np.ndarray = self.estimator_.predict_log_proba(X)
        return log_probabilities


class WeightRoutingRegressor(RegressorMixin, BaseEstimator):
    """A regressor whose ``fit`` takes sample weights, whichever part of its estimator takes them.

    Args:
        estimator: a regressor.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None = None) -> "WeightRoutingRegressor":
        """Fit a clone of the estimator to targets ``y``, ``(sample,)``."""
        self.estimator_ = _fit_clone(self.estimator, X, y, sample_weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict targets. ``(sample,)``"""
        targets: np.ndarray = self.estimator_.predict(X)
        return targets
