"""What scikit-learn's models that weigh their training data by difficulty have in common."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import Tags, assert_all_finite, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from hardsight.difficulty.result import Difficulty
from hardsight.errors import HardsightError, HardsightWarning, InputError
from hardsight.estimation.measure import measure
from hardsight.integrations._sklearn_fit import fit_weighted
from hardsight.integrations._sklearn_samples import MeasurableRows
from hardsight.learners import SklearnModel
from hardsight.validation import check_int
from hardsight.weights import scheme as named
from hardsight.weights import weigh
from hardsight.weights.scheme import OF_SAMPLES

_GRID = 2.0**-30


def available_with(name: str) -> Callable[[Callable[..., Any]], Any]:
    """A method that is there where the fitted model, or before that the estimator, has one of that name."""
    asked = lambda self: hasattr(getattr(self, "estimator_", self._base()), name)  # noqa: E731
    decorator: Callable[[Callable[..., Any]], Any] = available_if(asked)
    return decorator


class DifficultyWeightedEstimator(MetaEstimatorMixin, BaseEstimator):
    """Measures the difficulty of its training data, weighs them, and fits a model with the weights.

    Attributes:
        difficulty_: of the samples measured; None where there were too few to measure.
        weights_: what ``estimator_`` was fitted with, ``(sample,)``.
        estimator_: the fitted model.
    """

    estimator: Any
    scheme: Any
    scheme_parameters: Any
    learner: Any
    folds: Any
    repeats: Any
    clip: Any
    random_state: Any

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Measure, weigh and fit.

        Args:
            X: what the model takes, ``(sample, …)``.
            y: what it is to predict, ``(sample,)``.
            sample_weight: 0 or more, ``(sample,)``; multiplies the weights of the scheme.

        Raises:
            InputError: an unknown scheme or parameter, one with a value for each sample, a random_state that is no whole
                number, or an estimator that takes no weights.
            LearnerError: a model that measures failed, though the estimator can be fitted to the whole.
        """
        validate_data(self, X, y, skip_check_array=True)
        check_consistent_length(X, y)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        told = self._told(y)
        given = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        alone = np.ones(len(y)) if given is None else np.asarray(given, dtype=np.float64)
        try:
            self.difficulty_, weights = self._weighed(X, told, given)
        except HardsightError:
            # What is wrong with the data is best told by the estimator itself.
            fit_weighted(clone(self._base()), X, y, alone)
            raise
        self.weights_ = weights * alone
        self.estimator_ = fit_weighted(_clone_with_seed(self._base(), self._seed()), X, y, self.weights_)
        return self

    def _told(self, y: np.ndarray) -> np.ndarray:
        """What the samples that are measured have as labels, ``(sample,)``; checks them."""
        raise NotImplementedError

    def _counted(self, X: Any, told: np.ndarray, given: np.ndarray | None) -> MeasurableRows | None:
        """The rows that can be measured; None where there are too few."""
        raise NotImplementedError

    def _wrapped(self, base: Any, found: MeasurableRows) -> Any:
        """The estimator, as the models that measure are clones of it."""
        raise NotImplementedError

    def _base(self) -> Any:
        """The estimator, or what stands for None."""
        raise NotImplementedError

    def _weighed(self, X: Any, told: np.ndarray, given: np.ndarray | None) -> tuple[Difficulty | None, np.ndarray]:
        """The difficulty of the rows that can be measured, and the scheme's weights of all, ``(sample,)``."""
        weights, folds = np.ones(len(told)), check_int("folds", self.folds, 2)
        parameters, seed = self._parameters(), self._seed()
        found = self._counted(X, told, given)
        if found is None:
            return None, weights
        measured = self._measured(found, min(folds, found.folds))
        all_of_them = weigh(measured, self.scheme, clip=self.clip, seed=seed, **parameters)
        first = np.argsort(measured.ids)[: len(found.rows)]
        weights[found.rows] = _round_to_grid(all_of_them[first])
        return measured.select(found.rows), weights

    def _parameters(self) -> dict[str, Any]:
        """Those of the scheme; values of samples would go to other ones, which are measured in an order of their own."""
        parameters: dict[str, Any] = self.scheme_parameters or {}
        for name in sorted(parameters.keys() & set(named(self.scheme).reads) & OF_SAMPLES):
            raise InputError(
                f"scheme_parameters has {name!r}, a value for each sample, which cannot follow the samples through folds: "
                f"pass sample_weight=hs.weigh(d, {self.scheme!r}, {name}=…) to the estimator itself"
            )
        return parameters

    def _seed(self) -> int:
        if not isinstance(self.random_state, Integral):
            raise InputError(
                f"random_state must be a whole number, from which all that is random follows. Got {self.random_state!r}: "
                "leave it out, or pass 0"
            )
        return check_int("random_state", self.random_state, 0)

    def _measured(self, found: MeasurableRows, folds: int) -> Difficulty:
        base = self._base()
        learner = self.learner
        if learner is None:
            learner = SklearnModel(self._wrapped(base, found), name=type(base).__name__)
        # Equal samples are groups already.
        measured = measure(
            found.samples,
            learner=learner,
            folds=folds,
            repeats=self.repeats,
            duplicates="apart",
            adjusted=False,
            seed=self._seed(),
        )
        return replace(measured, samples=None)

    @available_with("predict")
    def predict(self, X: Any) -> np.ndarray:
        """What the fitted model predicts, ``(sample,)``."""
        return self._asked("predict", X)

    def _asked(self, method: str, X: Any) -> np.ndarray:
        check_is_fitted(self)
        answer: np.ndarray = getattr(self.estimator_, method)(X)
        return answer

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self._base()).input_tags
        return tags


def _clone_with_seed(estimator: Any, seed: int) -> Any:
    """A clone whose parts that have no seed have one that follows from this."""
    model = clone(estimator)
    params = sorted(model.get_params().items())
    names = [name for name, value in params if value is None and name.split("__")[-1] == "random_state"]
    seeds = np.random.SeedSequence(seed).generate_state(len(names) + 1)
    return model.set_params(**{name: int(each % 2**31) for name, each in zip(names, seeds, strict=False)})


def _round_to_grid(weights: np.ndarray) -> np.ndarray:
    """The weights in whole multiples of a power of two, a billionth of their mean.

    Sums of them and of their multiples are exact, whatever the order, for some millions of samples. A tree that chooses
    among splits that are equally good then chooses alike for a sample of weight 3 and for three copies.
    """
    whole_ones = np.round(weights / _GRID)
    found: np.ndarray = np.where(weights > 0, np.maximum(whole_ones, 1), 0) * _GRID
    return found


def warn_caller(what: str) -> None:
    """Warn whoever called ``fit``."""
    warnings.warn(what, HardsightWarning, stacklevel=5)
