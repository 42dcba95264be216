"""The common part of scikit-learn estimators that weight their training data by difficulty."""

import warnings
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from loky import cpu_count
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import Tags, assert_all_finite, get_tags
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from hardsight.data.alignment import check_indexes
from hardsight.data.columns import encode_groups
from hardsight.difficulty.result import Difficulty
from hardsight.errors import HardsightError, HardsightWarning, InputError, LearnerError
from hardsight.estimation.measure import measure
from hardsight.estimation.request import Estimate
from hardsight.integrations._sklearn_fit import available_with
from hardsight.integrations._sklearn_samples import MeasurableRows
from hardsight.learners import SklearnModel
from hardsight.learners.sample_weights import check_takes_weights, fit_with_weights
from hardsight.learners.threads import use_threads
from hardsight.validation import check_int
from hardsight.weights import get_scheme, weigh
from hardsight.weights.from_difficulty import check_weighable
from hardsight.weights.inputs import SAMPLE_INPUTS

_GRID = 2.0**-30


def _find_estimator(model: Any) -> Any:
    return getattr(model, "estimator_", model._get_estimator())


delegated = partial(available_with, get_estimator=_find_estimator)
"""Decorator for a method that exists if the fitted model, or before ``fit`` the estimator, has one of that name."""


class DifficultyWeightedEstimator(MetaEstimatorMixin, BaseEstimator):
    """An estimator that measures the difficulty of its training data, and fits a model with the resulting weights.

    Attributes:
        difficulty_: difficulty of the samples that were measured; None if there were too few to measure.
        weights_: weights that ``estimator_`` was fitted with, ``(sample,)``.
        estimator_: the fitted model.
    """

    _known_inputs: frozenset[str]

    # scikit-learn wants constructors to store any arguments; fit checks them.
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
        n_jobs: Any = None,
    ) -> None:
        self.estimator = estimator
        self.scheme = scheme
        self.scheme_parameters = scheme_parameters
        self.learner = learner
        self.folds = folds
        self.repeats = repeats
        self.clip = clip
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, **keywords: Any) -> Any:
        """Measure the difficulty, weight the samples, and fit the model.

        Args:
            X: what the model takes, ``(sample, …)``.
            y: labels or targets, ``(sample,)``.
            sample_weight: 0 or more, ``(sample,)``; multiplies the weights of the scheme.
            groups: one per sample; no model that measures a sample has seen others of its group. ``(sample,)``
            keywords: other arguments of the estimator's ``fit``, such as ``eval_set`` of LightGBM and XGBoost. The models
                that measure are fitted without them.

        Raises:
            InputError: a scheme or parameter is unknown, a parameter has one value per sample, random_state is not an
                integer, a group is missing, indexes of pandas contradict each other, or the estimator takes no weights or is
                of the other kind.
            LearnerError: a model that measures failed, though the estimator can be fitted to all samples.
        """
        check_indexes(X=X, y=y, sample_weight=sample_weight, groups=groups, **keywords)
        validate_data(self, X, y, skip_check_array=True)
        check_consistent_length(X, y)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        targets = self._encode_targets(y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        base_weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        # Before the first model is trained, not after the last.
        self._check_kind()
        check_takes_weights(self._get_estimator())
        codes = None if groups is None else encode_groups(groups, len(y))
        try:
            self.difficulty_, weights = self._measure_and_weigh(X, targets, sample_weight, codes)
        except HardsightError as error:
            # The estimator itself says best what is wrong with the data.
            fit_with_weights(clone(self._get_estimator()), X, y, base_weights, **keywords)
            if keywords and isinstance(error, LearnerError):
                raise LearnerError(
                    f"{error}. The models that measure are fitted without {', '.join(sorted(keywords))}: pass learner=…, "
                    "such as the same estimator without early stopping"
                ) from error
            raise
        self.weights_ = weights * base_weights
        model = _clone_with_seed(self._get_estimator(), self._check_seed())
        self.estimator_ = fit_with_weights(model, X, y, self.weights_, **keywords)
        return self

    def _check_kind(self) -> None:
        """Check that the estimator is not a regressor where a classifier is needed, or the reverse."""
        raise NotImplementedError

    def _encode_targets(self, y: np.ndarray) -> np.ndarray:
        """Check the labels or targets, and return those that are measured. ``(sample,)``"""
        raise NotImplementedError

    def _select_rows(
        self, X: Any, targets: np.ndarray, sample_weight: np.ndarray | None, groups: np.ndarray | None
    ) -> MeasurableRows | None:
        """Select the rows that can be measured; None if there are too few."""
        raise NotImplementedError

    def _wrap_estimator(self, estimator: Any, rows: MeasurableRows) -> Any:
        """Return the estimator in the form that is cloned for measuring."""
        raise NotImplementedError

    def _get_estimator(self) -> Any:
        """Return the estimator, or the default for None."""
        raise NotImplementedError

    def _measure_and_weigh(
        self, X: Any, targets: np.ndarray, sample_weight: np.ndarray | None, groups: np.ndarray | None
    ) -> tuple[Difficulty | None, np.ndarray]:
        """Return the difficulty of the measurable rows, and the scheme's weights of all rows, ``(sample,)``."""
        weights, folds = np.ones(len(targets)), check_int("folds", self.folds, 2)
        parameters, seed = self._check_parameters(), self._check_seed()
        check_weighable(self.scheme, parameters, self.clip, self._known_inputs)
        rows = self._select_rows(X, targets, sample_weight, groups)
        if rows is None:
            return None, weights
        # Threads that wait for each other in many small operations stand still on a busy machine.
        with use_threads(_count_threads(self.n_jobs)):
            difficulty = self._measure(rows, min(folds, rows.max_folds))
            copies = weigh(difficulty, self.scheme, clip=self.clip, seed=seed, **parameters)
        first_copies = np.argsort(difficulty.ids)[: len(rows.rows)]
        weights[rows.rows] = _round_to_grid(copies[first_copies])
        return difficulty.select(rows.rows), weights

    def _check_parameters(self) -> dict[str, Any]:
        """Return the parameters of the scheme.

        Raises:
            InputError: one has a value per sample, which would go to other samples: they are measured in another order.
        """
        parameters: dict[str, Any] = self.scheme_parameters or {}
        for name in sorted(parameters.keys() & set(get_scheme(self.scheme).inputs) & SAMPLE_INPUTS):
            raise InputError(
                f"scheme_parameters has {name!r}, a value for each sample, which cannot follow the samples through "
                f"folds: pass sample_weight=hs.weigh(d, {self.scheme!r}, {name}=…) to the estimator itself"
            )
        return parameters

    def _check_seed(self) -> int:
        if not isinstance(self.random_state, Integral):
            raise InputError(
                f"random_state must be an integer, which fixes everything random. Got {self.random_state!r}: leave it "
                "out, or pass 0"
            )
        return check_int("random_state", self.random_state, 0)

    def _measure(self, rows: MeasurableRows, folds: int) -> Difficulty:
        learner = self.learner
        if learner is None:
            estimator = self._get_estimator()
            learner = SklearnModel(self._wrap_estimator(estimator, rows), name=type(estimator).__name__)
        reads_labels = "p_wrong" in get_scheme(self.scheme).inputs
        difficulty = measure(
            rows.samples,
            learner=learner,
            folds=folds,
            repeats=self.repeats,
            # Equal samples are groups already.
            duplicates="apart",
            # The label model, and further rounds that make it better, are for schemes that read it.
            estimate=Estimate(adjusted=False, ledger=reads_labels),
            refine=None if reads_labels else False,
            seed=self._check_seed(),
        )
        return replace(difficulty, samples=None)

    @delegated("predict")
    def predict(self, X: Any) -> np.ndarray:
        """Predict labels or targets. ``(sample,)``"""
        return self._call_fitted("predict", X)

    def _call_fitted(self, method: str, X: Any) -> np.ndarray:
        check_is_fitted(self)
        result: np.ndarray = getattr(self.estimator_, method)(X)
        return result

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self._get_estimator()).input_tags
        return tags


def _count_threads(n_jobs: Any) -> int:
    """Return the number of threads as scikit-learn counts ``n_jobs``: None is 1, -1 all cores, -2 all cores but one."""
    if n_jobs is None:
        return 1
    number = check_int("n_jobs", n_jobs, -cpu_count())
    return max(1, number if number >= 0 else cpu_count() + 1 + number)


def _clone_with_seed(estimator: Any, seed: int) -> Any:
    """Clone an estimator, and give each part without a seed a seed that follows from this one."""
    model = clone(estimator)
    parameters = sorted(model.get_params().items())
    names = [name for name, value in parameters if value is None and name.split("__")[-1] == "random_state"]
    seeds = np.random.SeedSequence(seed).generate_state(len(names) + 1)
    return model.set_params(**{name: int(value % 2**31) for name, value in zip(names, seeds, strict=False)})


def _round_to_grid(weights: np.ndarray) -> np.ndarray:
    """Round the weights to multiples of a power of two, about a billionth of their mean. ``(sample,)``

    Sums of these weights and of their multiples are exact in any order, for some millions of samples. So a tree that
    chooses among equally good splits chooses alike for a sample of weight 3 and for three copies.
    """
    multiples = np.round(weights / _GRID)
    rounded: np.ndarray = np.where(weights > 0, np.maximum(multiples, 1), 0) * _GRID
    return rounded


def warn_caller(message: str) -> None:
    """Warn the caller of ``fit``."""
    warnings.warn(message, HardsightWarning, stacklevel=5)
