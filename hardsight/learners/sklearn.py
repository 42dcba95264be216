"""Anything with scikit-learn's ``fit`` and ``predict``: classifiers, regressors, pipelines, boosted trees."""

from collections.abc import Callable, Iterator
from functools import partial
from inspect import signature
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import InputError, LearnerError, first_line
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.resampling.plan import Member, Plan

T = TypeVar("T")


class SklearnModel:
    """A scikit-learn style estimator, cloned, seeded and fitted anew for every member, preprocessing included.

    It is given the features as they came (a DataFrame with its columns, an array, an array of strings), so a Pipeline
    refits all its steps on the training part of each member. Labels reach it as codes 0 … C-1 of the sorted classes. Weights
    of samples, with mean 1 over the training part, go to ``fit`` as ``sample_weight``, in a Pipeline to its last step.

    Args:
        estimator: has ``fit(X, y)`` and ``predict_proba`` or ``predict``; is left untouched.
        name: for tables and reports; by default the estimator's class.
        numbers: give it :attr:`Samples.matrix` in place of the features as they came.

    Raises:
        InputError: no ``fit``, or neither ``predict_proba`` nor ``predict``.
    """

    def __init__(self, estimator: Any, *, name: str | None = None, numbers: bool = False) -> None:
        if isinstance(estimator, type):
            raise InputError(f"learner must be an estimator, not a class: write {estimator.__name__}() with brackets")
        if not hasattr(estimator, "fit") or not hasattr(estimator, "predict"):
            raise InputError(
                f"learner must have fit and predict, as scikit-learn's have. Got {type(estimator).__name__}"
            )
        self.estimator, self.numbers = estimator, numbers
        self.name = name or type(estimator).__name__
        # In-sample predictions take some estimators longer than the fit, such as nearest neighbours.
        self.capabilities = Capabilities(
            takes_weights=weight_argument(estimator) is not None, divisible=True, predicts_in_sample=True
        )

    def describe(self) -> str:
        """The estimator with its changed parameters, on one line."""
        return f"{' '.join(repr(self.estimator).split())}; zero probabilities smoothed by Laplace's rule"

    def n_models(self, plan: Plan) -> int:
        """One a member."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, tick: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        self._check_task(samples)
        features = features_of(samples, numbers=self.numbers)
        outputs = 0 if samples.classes is None else len(samples.classes)
        # More BLAS threads make small fits slower, and idle ones spin.
        with threadpool_limits(1):
            for member in plan.members():
                held_out, seen = _fit_and_predict(
                    self.estimator,
                    features,
                    samples.labels,
                    samples.weights,
                    outputs,
                    self.name,
                    member,
                    in_sample=plan.in_sample,
                )
                yield Predictions(torch.from_numpy(member.held_out), held_out, member.round)
                if seen is not None:
                    yield Predictions(torch.from_numpy(member.train), seen, member.round, in_sample=True)
                tick(1)

    def _check_task(self, samples: Samples) -> None:
        if not isinstance(self.estimator, BaseEstimator):
            return
        if samples.regression and is_classifier(self.estimator):
            raise InputError(f"{self.name} is a classifier, and the labels are numbers to predict: use a regressor")
        if not samples.regression and is_regressor(self.estimator):
            raise InputError(
                f"{self.name} is a regressor, and the labels are classes: use a classifier, or task='regression' if the "
                "labels are quantities"
            )


def _fit_and_predict(
    estimator: Any,
    features: Any,
    labels: np.ndarray,
    weights: np.ndarray | None,
    outputs: int,
    name: str,
    member: Member,
    *,
    in_sample: bool,
) -> tuple[Float64[Tensor, " row *class"], Float64[Tensor, " seen *class"] | None]:
    """What a member predicts for the samples held out from it, and for those it was trained on if that is asked for."""
    where = f"member {member.fold} of round {member.round}"
    train = member.train
    model = seeded(clone(estimator, safe=False), member.seed)
    taken = weight_argument(model)
    given = {} if weights is None or taken is None else {taken: leveled(weights[train], where)}
    attempt(partial(model.fit, rows_of(features, train), labels[train], **given), name, where)

    def judge(at: np.ndarray) -> Tensor:
        return attempt(partial(predict, model, rows_of(features, at), outputs, len(train), name), name, where)

    return judge(member.held_out), judge(train) if in_sample else None


def weight_argument(model: Any) -> str | None:
    """The argument of ``fit`` that takes weights of samples, in a pipeline that of its last step; None: there is none."""
    if isinstance(model, Pipeline):
        step, last = model.steps[-1]
        inner = weight_argument(last)
        return None if inner is None else f"{step}__{inner}"
    # An argument that takes anything may also drop anything.
    return "sample_weight" if "sample_weight" in signature(model.fit).parameters else None


def leveled(weights: np.ndarray, where: str) -> np.ndarray:
    """Weights of a training part, with mean 1.

    Raises:
        LearnerError: they are all 0.
    """
    if not weights.any():
        raise LearnerError(f"all samples that {where} trains on have weight 0: give more samples weight")
    scaled: np.ndarray = weights / weights.mean()
    return scaled


def features_of(samples: Samples, *, numbers: bool) -> Any:
    """What an estimator is fitted on: the matrix, or the features as they came (images flattened)."""
    if numbers or (samples.embedding is not None and samples.kind == "image"):
        return samples.matrix
    if samples.kind in ("array", "image"):
        return np.asarray(samples.features).reshape(len(samples), -1)
    return samples.features


def rows_of(features: Any, at: np.ndarray) -> Any:
    """Some rows of a frame or an array."""
    return features.iloc[at] if isinstance(features, pd.DataFrame) else features[at]


def seeded(model: Any, seed: int) -> Any:
    """The same model with every ``random_state`` in it set, nested ones too, each differently."""
    if not hasattr(model, "get_params"):
        return model
    names = [p for p in sorted(model.get_params()) if p == "random_state" or p.endswith("__random_state")]
    states = np.random.SeedSequence(seed).generate_state(max(len(names), 1))
    return model.set_params(**{name: int(state % 2**31) for name, state in zip(names, states, strict=False)})


def attempt(work: Callable[[], T], name: str, where: str) -> T:
    """Run a user's estimator; any fault of its own becomes one line that says which model it was."""
    try:
        return work()
    except InputError:
        raise
    except Exception as fault:  # LightGBM, for one, raises a bare subclass of Exception
        raise LearnerError(
            f"{name} failed on {where}: {first_line(fault)}. Put the preprocessing that it needs before it in a "
            "Pipeline, or use another learner"
        ) from fault


def predict(model: Any, judged: Any, outputs: int, trained_on: int, name: str) -> Float64[Tensor, " row *class"]:
    """Log-probabilities of a fitted classifier, one column a class code; targets of a regressor (``outputs`` 0)."""
    if not outputs:
        return torch.from_numpy(np.asarray(model.predict(judged), dtype=np.float64).reshape(judged.shape[0]))
    codes = np.asarray(model.classes_).astype(np.int64)
    if hasattr(model, "predict_proba"):
        with np.errstate(divide="ignore"):
            # predict_log_proba, where a model has its own, does not underflow where predict_proba does.
            found = (
                model.predict_log_proba(judged)
                if hasattr(model, "predict_log_proba")
                else np.log(_proba(model, judged))
            )
    else:
        found = np.where(np.asarray(model.predict(judged))[:, None] == codes, 0.0, -np.inf)
    # A class that a training part lacks gets its own column back: columns never shift.
    if found.shape != (judged.shape[0], len(codes)):
        raise LearnerError(
            f"{name} predicts shape {found.shape} for {judged.shape[0]} samples and {len(codes)} classes"
        )
    log_prob = np.full((len(found), outputs), -np.inf)
    log_prob[:, codes] = found
    if np.isnan(log_prob).any():
        raise LearnerError(f"{name} predicts NaN probabilities")
    return torch.from_numpy(laplace(log_prob, trained_on))


def _proba(model: Any, judged: Any) -> np.ndarray:
    return np.asarray(model.predict_proba(judged), dtype=np.float64)


def laplace(log_prob: np.ndarray, trained_on: int) -> np.ndarray:
    r"""Make rows that hold a zero probability finite, by Laplace's rule of succession; leave all others alone.

    A model that counts (a tree, nearest neighbours, a majority vote) answers 0 where it saw no example. With $n$ training
    samples and $C$ classes such a row becomes $(n p + 1)/(n + C)$: zero turns into $1/(n+C)$, the least probability that
    $n$ observations can support.

    >>> np.exp(laplace(np.log([[0.25, 0.75], [1e-300, 1.0]]), 8)).tolist()[0]
    [0.25, 0.75]
    >>> with np.errstate(divide="ignore"):
    ...     np.exp(laplace(np.log([[0.0, 1.0]]), 8)).round(3).tolist()
    [[0.1, 0.9]]
    """
    empty = np.isneginf(log_prob).any(axis=1)
    if not empty.any():
        return log_prob
    smoothed = log_prob.copy()
    prob = np.exp(log_prob[empty])
    smoothed[empty] = np.log((trained_on * prob + 1) / (trained_on + log_prob.shape[1]))
    return smoothed
