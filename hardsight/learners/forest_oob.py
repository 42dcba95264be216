"""Random forests with out-of-bag predictions: every tree predicts the samples that its bootstrap left out."""

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
from hardsight.learners.sklearn import features_of, laplace, select_rows, wrap_errors
from hardsight.resampling.plan import Plan

_FORESTS = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)


class ForestOOB:
    """A random forest with out-of-bag predictions: the mean of the trees that did not train on the sample.

    One forest is grown per repeat, and gives one prediction per sample. Bootstraps draw whole blocks (groups, duplicates),
    so that no tree predicts a relative of its training samples. About 36.8 % of the trees predict each sample. Weights of
    samples multiply how often a bag contains them.

    Args:
        forest: a RandomForest or ExtraTrees of scikit-learn, with the settings wanted; is not changed.
        numbers: fit it to :attr:`Samples.matrix` instead of the features as they came.

    Raises:
        InputError: another model, or one with ``class_weight`` or ``max_samples``.

    Breiman 1996, *Out-of-bag estimation*.
    """

    capabilities = Capabilities(splits_itself=True, takes_weights=True, single_threaded=True, needs_calibration=True)

    def __init__(self, forest: Any, *, numbers: bool = False) -> None:
        if not isinstance(forest, _FORESTS):
            raise InputError(
                f"forest must be a RandomForest or ExtraTrees of scikit-learn. Got {type(forest).__name__}: "
                "pass it as the learner itself, to be measured by folds"
            )
        for name in ("class_weight", "max_samples"):
            if getattr(forest, name, None) is not None:
                raise InputError(
                    f"ForestOOB cannot honour {name}, because it draws the bags itself: leave it out, or pass the forest as "
                    "the learner itself, to be measured by folds"
                )
        self.forest, self.numbers = forest, numbers
        self.name = f"{type(forest).__name__} out of bag"

    def describe(self) -> str:
        """Return the forest with its changed parameters, on one line."""
        return f"{' '.join(repr(self.forest).split())}, out of bag; zero probabilities smoothed by Laplace's rule"

    def n_models(self, plan: Plan) -> int:
        """Return the number of trees of all forests."""
        return len(plan.repeat_indices) * int(self.forest.n_estimators)

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        if is_regressor(self.forest) != samples.regression:
            kind = "numbers to predict" if samples.regression else "classes"
            other = "classifier" if is_regressor(self.forest) else "regressor"
            raise InputError(f"{type(self.forest).__name__} does not fit labels that are {kind}: use a {other}")
        features = features_of(samples, self.forest, numbers=self.numbers)
        for repeat in plan.repeat_indices:
            yield self._predict(samples, features, plan, repeat, on_progress)

    def _predict(self, samples: Samples, features: Any, plan: Plan, repeat: int, on_progress: OnProgress) -> Predictions:
        outputs = 1 if samples.classes is None else len(samples.classes)
        total, n_trees = np.zeros((len(samples), outputs)), np.zeros(len(samples))
        template = clone(self.forest.estimator).set_params(
            **{name: getattr(self.forest, name) for name in self.forest.estimator_params}
        )
        weights = np.ones(len(samples)) if samples.weights is None else samples.weights
        grow = partial(_grow_tree, template, features, samples.labels, weights, plan.blocks, outputs, self.name)
        # More BLAS threads slow small fits down, and idle ones spin.
        with threadpool_limits(1):
            for index in range(int(self.forest.n_estimators)):
                left_out, values = grow(plan.member_seed(repeat, index), f"tree {index} of forest {repeat}")
                total[left_out] += values
                n_trees[left_out] += 1
                on_progress(1)
        if (n_trees == 0).any():
            raise LearnerError(
                f"{int((n_trees == 0).sum())} samples were in every tree's bag: grow more trees than n_estimators="
                f"{self.forest.n_estimators}"
            )
        mean = total / n_trees[:, None]
        rows = torch.arange(len(samples))
        if samples.regression:
            return Predictions(rows, torch.from_numpy(mean[:, 0]), repeat)
        with np.errstate(divide="ignore"):
            return Predictions(rows, torch.from_numpy(laplace(np.log(mean), len(samples))), repeat)


def _grow_tree(
    template: Any,
    features: Any,
    labels: np.ndarray,
    weights: np.ndarray,
    blocks: np.ndarray,
    outputs: int,
    name: str,
    seed: int,
    model: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit one tree; return the samples left out of its bag and its predictions for them, ``(sample, output)``."""
    rng = np.random.default_rng(seed)
    size = int(blocks.max()) + 1
    counts = np.bincount(rng.integers(size, size=size), minlength=size)[blocks]
    train, left_out = np.flatnonzero(counts), np.flatnonzero(counts == 0)
    tree = clone(template).set_params(random_state=int(rng.integers(2**31)))
    fit = partial(tree.fit, select_rows(features, train), labels[train], sample_weight=counts[train] * weights[train])
    wrap_errors(fit, name, model)
    values = np.zeros((len(left_out), outputs))
    if len(left_out) and hasattr(tree, "classes_"):
        values[:, tree.classes_.astype(np.int64)] = tree.predict_proba(select_rows(features, left_out))
    elif len(left_out):
        values[:, 0] = tree.predict(select_rows(features, left_out))
    return left_out, values
