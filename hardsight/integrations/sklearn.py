"""A scikit-learn classifier that weighs its training data by difficulty: ``hs.sklearn.DifficultyWeightedClassifier``."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import Tags, assert_all_finite, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from hardsight.difficulty import Difficulty
from hardsight.errors import HardsightError, HardsightWarning, whole
from hardsight.estimate import measure
from hardsight.integrations.counted import Counted, counted
from hardsight.integrations.fitting import InCodes, fit_weighted
from hardsight.learners import Estimator
from hardsight.weights import weigh


def _has(name: str) -> Callable[[Callable[..., Any]], Any]:
    asked = lambda self: hasattr(getattr(self, "estimator_", self._base()), name)  # noqa: E731
    decorator: Callable[[Callable[..., Any]], Any] = available_if(asked)
    return decorator


class DifficultyWeightedClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Measures how difficult every training sample is, weighs the samples by it, and fits a classifier with the weights.

    ``fit`` trains clones of the classifier on folds of its training data alone, so that cross-validation of the whole stays
    honest. Weights that are given to ``fit`` multiply those of the scheme; whole ones count as copies, 0 as absence.

    Args:
        estimator: a classifier whose ``fit`` takes ``sample_weight``, or a pipeline that ends in one, or a search over one;
            None: ``LogisticRegression()``.
        scheme: which weights; a name of ``hardsight.SCHEMES``, or "auto"; see :func:`hardsight.weigh`.
        scheme_parameters: its parameters by name.
        learner: what measures the difficulty; None: clones of ``estimator``. See :func:`hardsight.measure`.
        folds: parts of a repeat; fewer where a class is smaller.
        repeats: how often the samples are dealt into folds anew.
        clip: the largest weight of the scheme, before it is multiplied.
        random_state: fixes the folds and the seeds of the models that measure, int.

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

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "DifficultyWeightedClassifier":
        """Measure, weigh and fit.

        Args:
            X: what the classifier takes, ``(sample, …)``.
            y: labels, ``(sample,)``.
            sample_weight: 0 or more, ``(sample,)``; multiplies the weights of the scheme.

        Raises:
            InputError: an unknown scheme or parameter, or an estimator that takes no weights.
            LearnerError: a model that measures failed, though the classifier can be fitted to the whole.
        """
        validate_data(self, X, y, skip_check_array=True)
        check_consistent_length(X, y)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        given = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        alone = np.ones(len(y)) if given is None else np.asarray(given, dtype=np.float64)
        try:
            self.difficulty_, weights = self._weighed(X, codes, given)
        except HardsightError:
            # What is wrong with the data is best told by the classifier itself.
            fit_weighted(clone(self._base()), X, y, alone)
            raise
        self.weights_ = weights * alone
        self.estimator_ = fit_weighted(clone(self._base()), X, y, self.weights_)
        return self

    def _weighed(self, X: Any, codes: np.ndarray, given: np.ndarray | None) -> tuple[Difficulty | None, np.ndarray]:
        """The difficulty of the rows that can be measured, and the scheme's weights of all, ``(sample,)``."""
        weights, folds = np.ones(len(codes)), whole("folds", self.folds, 2)
        found = counted(X, codes, given)
        if found is None:
            _warn(
                "no class but one has two different samples or more, so no difficulty was measured: no scheme weighs here"
            )
            return None, weights
        absent = np.setdiff1d(codes if given is None else codes[given > 0], np.asarray(found.samples.classes))
        if len(absent):
            _warn(
                f"class {self.classes_[absent[0]].item()!r} has one sample, or copies of one: it is not measured, and "
                "weighs 1 before sample_weight"
            )
        measured = self._measured(found, min(folds, found.folds))
        all_of_them = weigh(
            measured, self.scheme, clip=self.clip, seed=self.random_state, **(self.scheme_parameters or {})
        )
        first = np.argsort(measured.ids)[: len(found.rows)]
        weights[found.rows] = all_of_them[first]
        return measured.select(found.rows), weights

    def _measured(self, found: Counted, folds: int) -> Difficulty:
        labels = self.classes_[np.asarray(found.samples.classes)]
        base = self._base()
        learner = self.learner
        if learner is None:
            learner = Estimator(InCodes(base, labels), name=type(base).__name__)
        # Equal samples are groups already.
        measured = measure(
            found.samples,
            learner=learner,
            folds=folds,
            repeats=self.repeats,
            duplicates="apart",
            adjusted=False,
            seed=self.random_state,
        )
        measured.classes = tuple(labels.tolist())
        measured.samples = None
        return measured

    @_has("predict")
    def predict(self, X: Any) -> np.ndarray:
        """Labels, ``(sample,)``."""
        return self._asked("predict", X)

    @_has("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, ``(sample, class)``."""
        return self._asked("predict_proba", X)

    @_has("predict_log_proba")
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of the probabilities, ``(sample, class)``."""
        return self._asked("predict_log_proba", X)

    @_has("decision_function")
    def decision_function(self, X: Any) -> np.ndarray:
        """Scores, ``(sample,)`` or ``(sample, class)``."""
        return self._asked("decision_function", X)

    def _asked(self, method: str, X: Any) -> np.ndarray:
        check_is_fitted(self)
        answer: np.ndarray = getattr(self.estimator_, method)(X)
        return answer

    def _base(self) -> Any:
        return LogisticRegression() if self.estimator is None else self.estimator

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        inner = get_tags(self._base())
        tags.input_tags, tags.classifier_tags = inner.input_tags, inner.classifier_tags
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = False
        return tags


def _warn(what: str) -> None:
    warnings.warn(what, HardsightWarning, stacklevel=4)
