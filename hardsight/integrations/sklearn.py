"""scikit-learn estimators that weight their training data by difficulty.

They are ``hs.sklearn.DifficultyWeightedClassifier`` and ``hs.sklearn.DifficultyWeightedRegressor``.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import Tags, get_tags
from sklearn.utils.multiclass import check_classification_targets

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.integrations._sklearn_base import DifficultyWeightedEstimator, delegated, warn_caller
from hardsight.integrations._sklearn_fit import CodedClassifier, WeightRoutingRegressor
from hardsight.integrations._sklearn_samples import MeasurableRows, select_classification_rows, select_regression_rows
from hardsight.weights.from_difficulty import CLASSIFICATION_INPUTS, REGRESSION_INPUTS


class DifficultyWeightedClassifier(ClassifierMixin, DifficultyWeightedEstimator):
    """A classifier that measures how difficult its training samples are, and is fitted with the resulting weights.

    ``fit`` trains clones of the classifier on folds of its training data alone, so cross-validation of the whole stays
    honest. Weights that are passed to ``fit`` multiply those of the scheme; integer weights count as copies, 0 as
    absence.

    Args:
        estimator: a classifier whose ``fit`` takes ``sample_weight``, or a pipeline that ends in one, or a search over
            one; None: ``LogisticRegression()``.
        scheme: name of a scheme in ``hardsight.SCHEMES``, or "auto"; see :func:`hardsight.weigh`.
        scheme_parameters: parameters of the scheme by name, without inputs that have a value for each sample.
        learner: what measures the difficulty; None: clones of ``estimator``. See :func:`hardsight.measure`.
        folds: number of folds per repeat; fewer if a class is smaller.
        repeats: number of repeats with new folds.
        clip: the largest weight of the scheme, before it is multiplied.
        random_state: integer, 0 or more; fixes the folds, and the seeds of all models that have none of their own.
        n_jobs: number of threads for measuring and weighting; None: 1; -1: all cores.

    Attributes:
        classes_: the labels, sorted, ``(class,)``.
        feature_names_in_: as in all of scikit-learn.
        n_features_in_: as in all of scikit-learn.
        difficulty_: difficulty of the samples that were measured, a :class:`hardsight.Difficulty` whose ids are rows of
            the training data; None if there were too few to measure.
        weights_: weights that ``estimator_`` was fitted with, ``(sample,)``.
        estimator_: the fitted classifier.

    >>> from sklearn.datasets import load_wine
    >>> from sklearn.naive_bayes import GaussianNB
    >>> model = DifficultyWeightedClassifier(GaussianNB(), "spl-linear", scheme_parameters={"lam": 2.0})
    >>> bool(model.fit(*load_wine(return_X_y=True)).weights_.mean().round(6) == 1)
    True
    """

    _known_inputs = CLASSIFICATION_INPUTS

    def _check_kind(self) -> None:
        estimator = self._get_estimator()
        if is_regressor(estimator):
            raise InputError(
                f"estimator must be a classifier. Got the regressor {type(estimator).__name__}: use "
                "hs.sklearn.DifficultyWeightedRegressor for numbers to predict"
            )

    def _encode_targets(self, y: np.ndarray) -> np.ndarray:
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        return np.asarray(codes)

    def _select_rows(
        self, X: Any, targets: np.ndarray, sample_weight: np.ndarray | None, groups: np.ndarray | None
    ) -> MeasurableRows | None:
        rows = select_classification_rows(X, targets, sample_weight, groups)
        if rows is None:
            warn_caller(
                "At most one class has two or more different samples, so no difficulty was measured: the scheme has no "
                "effect."
            )
            return None
        present = targets if sample_weight is None else targets[sample_weight > 0]
        absent = np.setdiff1d(present, np.asarray(rows.samples.classes))
        if len(absent):
            # tolist, because elements of an object array have no item().
            name = self.classes_[absent[:1]].tolist()[0]
            warn_caller(
                f"Class {name!r} has one sample, or copies of one: it is not measured, and has weight 1 before "
                "sample_weight."
            )
        return rows

    def _labels(self, rows: MeasurableRows) -> np.ndarray:
        labels: np.ndarray = self.classes_[np.asarray(rows.samples.classes)]
        return labels

    def _wrap_estimator(self, estimator: Any, rows: MeasurableRows) -> Any:
        return CodedClassifier(estimator, self._labels(rows))

    def _measure(self, rows: MeasurableRows, folds: int) -> Difficulty:
        return replace(super()._measure(rows, folds), classes=tuple(self._labels(rows).tolist()))

    @delegated("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict probabilities. ``(sample, class)``"""
        return self._call_fitted("predict_proba", X)

    @delegated("predict_log_proba")
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict logarithms of the probabilities. ``(sample, class)``"""
        return self._call_fitted("predict_log_proba", X)

    @delegated("decision_function")
    def decision_function(self, X: Any) -> np.ndarray:
        """Compute scores, ``(sample,)`` or ``(sample, class)``."""
        return self._call_fitted("decision_function", X)

    def _get_estimator(self) -> Any:
        return LogisticRegression() if self.estimator is None else self.estimator

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.classifier_tags = get_tags(self._get_estimator()).classifier_tags
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = False
        return tags


class DifficultyWeightedRegressor(RegressorMixin, DifficultyWeightedEstimator):
    """A regressor that measures how difficult its training samples are, and is fitted with the resulting weights.

    It is :class:`DifficultyWeightedClassifier` for targets: the difficulty is the mean squared error of clones of the
    regressor that have not seen the sample, in the square of the target's unit, as are the parameters of schemes that
    read it. Schemes that read probabilities, labels or the ledger's P(label wrong), "auto" among them, cannot be used.

    Args:
        estimator: a regressor whose ``fit`` takes ``sample_weight``, or a pipeline that ends in one, or a search over
            one; None: ``Ridge()``.
        scheme: name of a scheme in ``hardsight.SCHEMES``. By default the probability that the error is one of the small
            ones, by a mixture of two normal distributions of the errors, whatever their unit.
        scheme_parameters: parameters of the scheme by name, without inputs that have a value for each sample.
        learner: what measures the difficulty; None: clones of ``estimator``. See :func:`hardsight.measure`.
        folds: number of folds per repeat; fewer if there are fewer different samples.
        repeats: number of repeats with new folds.
        clip: the largest weight of the scheme, before it is multiplied.
        random_state: integer, 0 or more; fixes the folds, and the seeds of all models that have none of their own.
        n_jobs: number of threads for measuring and weighting; None: 1; -1: all cores.

    Attributes:
        feature_names_in_: as in all of scikit-learn.
        n_features_in_: as in all of scikit-learn.
        difficulty_: difficulty of the samples that were measured, a :class:`hardsight.Difficulty` whose ids are rows of
            the training data; None if there were too few to measure.
        weights_: weights that ``estimator_`` was fitted with, ``(sample,)``.
        estimator_: the fitted regressor.

    >>> from sklearn.datasets import load_diabetes
    >>> model = DifficultyWeightedRegressor().fit(*load_diabetes(return_X_y=True))
    >>> bool(model.weights_.mean().round(6) == 1)
    True
    """

    def __init__(
        self,
        estimator: Any = None,
        scheme: Any = "divide-mix-gmm",
        *,
        scheme_parameters: Any = None,
        learner: Any = None,
        folds: Any = 5,
        repeats: Any = 2,
        clip: Any = None,
        random_state: Any = 0,
        n_jobs: Any = None,
    ) -> None:
        options = {"folds": folds, "repeats": repeats, "clip": clip, "random_state": random_state, "n_jobs": n_jobs}
        super().__init__(estimator, scheme, scheme_parameters=scheme_parameters, learner=learner, **options)

    _known_inputs = REGRESSION_INPUTS

    def _check_kind(self) -> None:
        estimator = self._get_estimator()
        if is_classifier(estimator):
            raise InputError(
                f"estimator must be a regressor. Got the classifier {type(estimator).__name__}: use "
                "hs.sklearn.DifficultyWeightedClassifier for classes"
            )

    def _encode_targets(self, y: np.ndarray) -> np.ndarray:
        return np.asarray(y, dtype=np.float64)

    def _select_rows(
        self, X: Any, targets: np.ndarray, sample_weight: np.ndarray | None, groups: np.ndarray | None
    ) -> MeasurableRows | None:
        rows = select_regression_rows(X, targets, sample_weight, groups)
        if rows is None:
            warn_caller("No two samples are different, so no difficulty was measured: the scheme has no effect.")
        return rows

    def _wrap_estimator(self, estimator: Any, rows: MeasurableRows) -> Any:
        return WeightRoutingRegressor(estimator)

    def _get_estimator(self) -> Any:
        return Ridge() if self.estimator is None else self.estimator
