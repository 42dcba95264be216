"""Forests judged out of bag: every tree judges the samples that its bootstrap left out."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.base import clone, is_regressor
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from threadpoolctl import threadpool_limits

from hardsight.data import Samples
from hardsight.errors import InputError, LearnerError
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.learners.sklearn import attempt, features_of, laplace, rows_of
from hardsight.resampling.plan import Plan

_FORESTS = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)


class ForestOOB:
    """A random forest whose trees are the judges: one view is the mean of the trees that did not see the sample.

    One forest is grown a turn, and is one view. Bootstraps draw whole units (groups, duplicates), so that no tree
    judges a relative of what it saw. About 36.8 % of the trees judge each sample. Weights of samples multiply how often a
    bag holds them.

    Args:
        forest: a RandomForest or ExtraTrees of scikit-learn, with the settings wanted; is left untouched.
        numbers: give it :attr:`Samples.matrix` in place of the features as they came.

    Raises:
        InputError: not such a forest, or one with ``class_weight`` or ``max_samples``.

    Breiman 1996, *Out-of-bag estimation*.
    """

    capabilities = Capabilities(splits_itself=True, takes_weights=True)

    def __init__(self, forest: Any, *, numbers: bool = False) -> None:
        if not isinstance(forest, _FORESTS):
            raise InputError(
                f"ForestOOB needs a RandomForest or ExtraTrees of scikit-learn. Got {type(forest).__name__}: "
                "pass it as the learner itself, to be judged by folds"
            )
        for name in ("class_weight", "max_samples"):
            if getattr(forest, name, None) is not None:
                raise InputError(
                    f"ForestOOB cannot honour {name}, because it draws the bags itself: leave it out, or pass the forest as "
                    "the learner itself, to be judged by folds"
                )
        self.forest, self.numbers = forest, numbers
        self.name = f"{type(forest).__name__} out of bag"

    def describe(self) -> str:
        """The forest with its changed parameters, on one line."""
        return f"{' '.join(repr(self.forest).split())}, out of bag; zero probabilities smoothed by Laplace's rule"

    def n_models(self, plan: Plan) -> int:
        """Trees of all forests."""
        return len(plan.repeat_indices) * int(self.forest.n_estimators)

    def fit_predict(self, samples: Samples, plan: Plan, tick: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        if is_regressor(self.forest) != samples.regression:
            kind = "numbers to predict" if samples.regression else "classes"
            raise InputError(f"{type(self.forest).__name__} does not fit labels that are {kind}: use its twin")
        features = features_of(samples, numbers=self.numbers)
        for forest in plan.repeat_indices:
            yield self._view(samples, features, plan, forest, tick)

    def _view(self, samples: Samples, features: Any, plan: Plan, forest: int, tick: OnProgress) -> Predictions:
        outputs = 1 if samples.classes is None else len(samples.classes)
        total, judges = np.zeros((len(samples), outputs)), np.zeros(len(samples))
        template = clone(self.forest.estimator).set_params(
            **{name: getattr(self.forest, name) for name in self.forest.estimator_params}
        )
        weights = np.ones(len(samples)) if samples.weights is None else samples.weights
        grow = partial(_grow, template, features, samples.labels, weights, plan.blocks, outputs, self.name)
        # More BLAS threads make small fits slower, and idle ones spin.
        with threadpool_limits(1):
            for index in range(int(self.forest.n_estimators)):
                left_out, answers = grow(plan.member_seed(forest, index), f"tree {index} of forest {forest}")
                total[left_out] += answers
                judges[left_out] += 1
                tick(1)
        if (judges == 0).any():
            raise LearnerError(
                f"{int((judges == 0).sum())} samples were in every tree's bag: grow more trees than n_estimators="
                f"{self.forest.n_estimators}"
            )
        mean = total / judges[:, None]
        rows = torch.arange(len(samples))
        if samples.regression:
            return Predictions(rows, torch.from_numpy(mean[:, 0]), forest)
        with np.errstate(divide="ignore"):
            return Predictions(rows, torch.from_numpy(laplace(np.log(mean), len(samples))), forest)


def _grow(
    template: Any,
    features: Any,
    labels: np.ndarray,
    weights: np.ndarray,
    units: np.ndarray,
    outputs: int,
    name: str,
    seed: int,
    where: str,
) -> tuple[np.ndarray, np.ndarray]:
    """One tree: the samples left out of its bag, and what it says of them, ``(sample, output)``."""
    rng = np.random.default_rng(seed)
    size = int(units.max()) + 1
    drawn = np.bincount(rng.integers(size, size=size), minlength=size)[units]
    seen, left_out = np.flatnonzero(drawn), np.flatnonzero(drawn == 0)
    tree = clone(template).set_params(random_state=int(rng.integers(2**31)))
    fit = partial(tree.fit, rows_of(features, seen), labels[seen], sample_weight=drawn[seen] * weights[seen])
    attempt(fit, name, where)
    answers = np.zeros((len(left_out), outputs))
    if len(left_out) and hasattr(tree, "classes_"):
        answers[:, tree.classes_.astype(np.int64)] = tree.predict_proba(rows_of(features, left_out))
    elif len(left_out):
        answers[:, 0] = tree.predict(rows_of(features, left_out))
    return left_out, answers
