"""Models of scikit-learn that weigh their training data by difficulty: ``hs.sklearn.DifficultyWeightedClassifier`` and
``hs.sklearn.DifficultyWeightedRegressor``.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import Tags, get_tags
from sklearn.utils.multiclass import check_classification_targets

from hardsight.difficulty.result import Difficulty
from hardsight.integrations._sklearn_base import DifficultyWeightedEstimator, available_with, warn_caller
from hardsight.integrations._sklearn_fit import CodedClassifier, WeightRoutingRegressor
from hardsight.integrations._sklearn_samples import MeasurableRows, select_classification_rows, select_regression_rows


class DifficultyWeightedClassifier(ClassifierMixin, DifficultyWeightedEstimator):
    """Measures how difficult every training sample is, weighs the samples by it, and fits a classifier with the weights.

    ``fit`` trains clones of the classifier on folds of its training data alone, so that cross-validation of the whole stays
    honest. Weights that are given to ``fit`` multiply those of the scheme; whole ones count as copies, 0 as absence.

    Args:
        estimator: a classifier whose ``fit`` takes ``sample_weight``, or a pipeline that ends in one, or a search over one;
            None: ``LogisticRegression()``.
        scheme: which weights; a name of ``hardsight.SCHEMES``, or "auto"; see :func:`hardsight.weigh`.
        scheme_parameters: its parameters by name; no inputs with a value for each sample.
        learner: what measures the difficulty; None: clones of ``estimator``. See :func:`hardsight.measure`.
        folds: parts of a repeat; fewer where a class is smaller.
        repeats: how often the samples are dealt into folds anew.
        clip: the largest weight of the scheme, before it is multiplied.
        random_state: fixes the folds, and the seeds of all models that have none of their own; a whole number, 0 or more.

    Attributes:
        classes_: the labels, sorted, ``(class,)``.
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.
        difficulty_: of the samples measured, a :class:`hardsight.Difficulty` whose ids are rows of the training data; None
            where there were too few to measure.
        weights_: what ``estimator_`` was fitted with, ``(sample,)``.
        estimator_: the fitted classifier.

    >>> from sklearn.datasets import load_wine
    >>> from sklearn.naive_bayes import GaussianNB
    >>> model = DifficultyWeightedClassifier(GaussianNB(), "spl-linear", scheme_parameters={"lam": 2.0})
    >>> bool(model.fit(*load_wine(return_X_y=True)).weights_.mean().round(6) == 1)
    True
    """

    # scikit-learn asks constructors to take whatever they are given: it is looked at in fit.
    def __init__(
        self,
        estimator: Any = None,
        scheme: Any = "auto",
        *,
        scheme_parameters: Any = None,
        learner: Any = None,
        folds: Any = 5,
        repeats: Any = 2,
        clip: Any = None,
        random_state: Any = 0,
    ) -> None:
        self.estimator = estimator
        self.scheme = scheme
        self.scheme_parameters = scheme_parameters
        self.learner = learner
        self.folds = folds
        self.repeats = repeats
        self.clip = clip
        self.random_state = random_state

    def _told(self, y: np.ndarray) -> np.ndarray:
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        return np.asarray(codes)

    def _counted(self, X: Any, told: np.ndarray, given: np.ndarray | None) -> MeasurableRows | None:
        found = select_classification_rows(X, told, given)
        if found is None:
            warn_caller(
                "no class but one has two different samples or more, so no difficulty was measured: no scheme weighs here"
            )
            return None
        absent = np.setdiff1d(told if given is None else told[given > 0], np.asarray(found.samples.classes))
        if len(absent):
            # An element of an array of objects has no item(), and one of another array is no plain value.
            name = self.classes_[absent[:1]].tolist()[0]
            warn_caller(
                f"class {name!r} has one sample, or copies of one: it is not measured, and "
                "weighs 1 before sample_weight"
            )
        return found

    def _labels(self, found: MeasurableRows) -> np.ndarray:
        labels: np.ndarray = self.classes_[np.asarray(found.samples.classes)]
        return labels

    def _wrapped(self, base: Any, found: MeasurableRows) -> Any:
        return CodedClassifier(base, self._labels(found))

    def _measured(self, found: MeasurableRows, folds: int) -> Difficulty:
        measured = super()._measured(found, folds)
        return replace(measured, classes=tuple(self._labels(found).tolist()))

    @available_with("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, ``(sample, class)``."""
        return self._asked("predict_proba", X)

    @available_with("predict_log_proba")
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of the probabilities, ``(sample, class)``."""
        return self._asked("predict_log_proba", X)

    @available_with("decision_function")
    def decision_function(self, X: Any) -> np.ndarray:
        """Scores, ``(sample,)`` or ``(sample, class)``."""
        return self._asked("decision_function", X)

    def _base(self) -> Any:
        return LogisticRegression() if self.estimator is None else self.estimator

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.classifier_tags = get_tags(self._base()).classifier_tags
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = False
        return tags


class DifficultyWeightedRegressor(RegressorMixin, DifficultyWeightedEstimator):
    """Measures how difficult every training sample is to predict, weighs the samples by it, and fits a regressor with the
    weights.

    As :class:`DifficultyWeightedClassifier`, of numbers: the difficulty is the mean squared error of clones of the regressor
    that have not seen the sample, in the square of the target's unit, and so are the parameters of schemes that read it.
    Schemes that read probabilities, labels or the ledger's P(label wrong), "auto" among them, have nothing to read here.

    Args:
        estimator: a regressor whose ``fit`` takes ``sample_weight``, or a pipeline that ends in one, or a search over one;
            None: ``Ridge()``.
        scheme: which weights; a name of ``hardsight.SCHEMES``. By default the probability that the error is one of the small
            ones, by a mixture of two normal distributions of the errors, whatever their unit.
        scheme_parameters: its parameters by name; no inputs with a value for each sample.
        learner: what measures the difficulty; None: clones of ``estimator``. See :func:`hardsight.measure`.
        folds: parts of a repeat; fewer where there are fewer different samples.
        repeats: how often the samples are dealt into folds anew.
        clip: the largest weight of the scheme, before it is multiplied.
        random_state: fixes the folds, and the seeds of all models that have none of their own; a whole number, 0 or more.

    Attributes:
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.
        difficulty_: of the samples measured, a :class:`hardsight.Difficulty` whose ids are rows of the training data; None
            where there were too few to measure.
        weights_: what ``estimator_`` was fitted with, ``(sample,)``.
        estimator_: the fitted regressor.

    >>> from sklearn.datasets import load_diabetes
    >>> model = DifficultyWeightedRegressor().fit(*load_diabetes(return_X_y=True))
    >>> bool(model.weights_.mean().round(6) == 1)
    True
    """

    # scikit-learn asks constructors to take whatever they are given: it is looked at in fit.
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
    ) -> None:
        self.estimator = estimator
        self.scheme = scheme
        self.scheme_parameters = scheme_parameters
        self.learner = learner
        self.folds = folds
        self.repeats = repeats
        self.clip = clip
        self.random_state = random_state

    def _told(self, y: np.ndarray) -> np.ndarray:
        return np.asarray(y, dtype=np.float64)

    def _counted(self, X: Any, told: np.ndarray, given: np.ndarray | None) -> MeasurableRows | None:
        found = select_regression_rows(X, told, given)
        if found is None:
            warn_caller("there are no two different samples, so no difficulty was measured: no scheme weighs here")
        return found

    def _wrapped(self, base: Any, found: MeasurableRows) -> Any:
        return WeightRoutingRegressor(base)

    def _base(self) -> Any:
        return Ridge() if self.estimator is None else self.estimator
