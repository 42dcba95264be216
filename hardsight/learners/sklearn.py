"""Models with scikit-learn's ``fit`` and ``predict``: classifiers, regressors, pipelines, boosted trees."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from threadpoolctl import threadpool_limits
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import InputError, LearnerError, first_line
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.learners.sample_weights import fit_with_weights, takes_weights
from hardsight.resampling.plan import Member, Plan

T = TypeVar("T")


class SklearnModel:
    """A scikit-learn style estimator, cloned, seeded and fitted for every member, preprocessing included.

    It gets the features as they came (a DataFrame with its columns, an array, an array of strings), so a Pipeline refits
    all its steps on the training part of each member. Labels are passed as codes 0 … C-1 of the sorted classes that
    the training part has. Weights of
    samples, with mean 1 over the training part, are passed to ``fit`` as ``sample_weight``, in a Pipeline to its last step.

    Args:
        estimator: has ``fit(X, y)`` and ``predict_proba`` or ``predict``; is not changed.
        name: for tables and reports; by default the estimator's class.
        numbers: fit it to :attr:`Samples.matrix` instead of the features as they came.

    Raises:
        InputError: no ``fit``, or neither ``predict_proba`` nor ``predict``.
    """

    def __init__(self, estimator: Any, *, name: str | None = None, numbers: bool = False) -> None:
        if isinstance(estimator, type):
            raise InputError(f"learner must be an estimator, not a class: write {estimator.__name__}() with brackets")
        if not hasattr(estimator, "fit") or not (hasattr(estimator, "predict_proba") or hasattr(estimator, "predict")):
            raise InputError(
                f"learner must have fit, and predict_proba or predict, as in scikit-learn. Got {type(estimator).__name__}"
            )
        self.estimator, self.numbers = estimator, numbers
        self.name = name or type(estimator).__name__
        # In-sample predictions take some estimators longer than the fit, such as nearest neighbours.
        self.capabilities = Capabilities(
            takes_weights=takes_weights(estimator),
            divisible=True,
            single_threaded=True,
            predicts_in_sample=True,
            needs_calibration=True,
        )

    def describe(self) -> str:
        """Return the estimator with its changed parameters, on one line."""
        return f"{' '.join(repr(self.estimator).split())}; zero probabilities smoothed by Laplace's rule"

    def n_models(self, plan: Plan) -> int:
        """Return the number of members."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        self._check_task(samples)
        features = features_of(samples, self.estimator, numbers=self.numbers)
        # More BLAS threads slow small fits down, and idle ones spin.
        with threadpool_limits(1):
            for member in plan.members():
                held_out, in_sample = self._fit_member(samples, features, member, in_sample=plan.in_sample)
                yield Predictions(torch.from_numpy(member.held_out), held_out, member.round)
                if in_sample is not None:
                    yield Predictions(torch.from_numpy(member.train), in_sample, member.round, in_sample=True)
                on_progress(1)

    def _check_task(self, samples: Samples) -> None:
        if samples.regression and not hasattr(self.estimator, "predict"):
            raise InputError(f"{self.name} has no predict, and the labels are numbers to predict: use a regressor")
        if not isinstance(self.estimator, BaseEstimator):
            return
        if samples.regression and is_classifier(self.estimator):
            raise InputError(f"{self.name} is a classifier, and the labels are numbers to predict: use a regressor")
        if not samples.regression and is_regressor(self.estimator):
            raise InputError(
                f"{self.name} is a regressor, and the labels are classes: use a classifier, or task='regression' if the "
                "labels are quantities"
            )

    def _fit_member(
        self, samples: Samples, features: Any, member: Member, *, in_sample: bool
    ) -> tuple[Float64[Tensor, " row *class"], Float64[Tensor, " train *class"] | None]:
        """Fit one member; return its predictions for its held-out samples, and for its training samples or None."""
        where, train = f"member {member.fold} of round {member.round}", member.train
        outputs = 0 if samples.classes is None else len(samples.classes)
        model = set_seeds(clone(self.estimator, safe=False), member.seed)
        X, y, classes = select_rows(features, train), samples.labels[train], np.empty(0)
        if outputs:
            # Some estimators, such as XGBoost's, need codes without gaps.
            classes, y = np.unique(y, return_inverse=True)
        fit = partial(model.fit, X, y)
        if samples.weights is not None and self.capabilities.takes_weights:
            fit = partial(fit_with_weights, model, X, y, mean_one(samples.weights[train], where))
        wrap_errors(fit, self.name, where)

        def predict_at(rows: np.ndarray) -> Tensor:
            x = select_rows(features, rows)
            return wrap_errors(partial(predict, model, x, classes, outputs, len(train), self.name), self.name, where)

        return predict_at(member.held_out), predict_at(train) if in_sample else None


def mean_one(weights: np.ndarray, where: str) -> np.ndarray:
    """Scale the weights of a training part to mean 1.

    Args:
        weights: ``(sample,)``.

    Raises:
        LearnerError: all weights are 0.
    """
    if not weights.any():
        raise LearnerError(f"all samples that {where} trains on have weight 0: give more samples weight")
    scaled: np.ndarray = weights / weights.mean()
    return scaled


def features_of(samples: Samples, estimator: Any, *, numbers: bool) -> Any:
    """Return what an estimator is fitted to: the matrix, or the features as they came (images flattened).

    A sparse matrix stays sparse, unless it is small and the estimator does not say that it reads such. Of a table of one
    text, which most estimators of texts read as strings, an estimator that selects columns gets the table.
    """
    if not numbers and samples.original is not None and (samples.kind == "table" or _selects_columns(estimator)):
        return samples.original
    if samples.sparse and not numbers:
        return samples.features if samples.embedding is not None or _reads_sparse(estimator) else samples.features.toarray()
    if numbers or (samples.embedding is not None and samples.kind == "image"):
        return samples.matrix
    if samples.kind in ("array", "image"):
        return np.asarray(samples.features).reshape(len(samples), -1)
    return samples.features


def _selects_columns(estimator: Any) -> bool:
    """Return whether an estimator's first step names columns."""
    while isinstance(estimator, Pipeline):
        estimator = estimator[0]
    return isinstance(estimator, ColumnTransformer)


def _reads_sparse(estimator: Any) -> bool:
    return isinstance(estimator, BaseEstimator) and bool(get_tags(estimator).input_tags.sparse)


def select_rows(features: Any, rows: np.ndarray) -> Any:
    """Return some rows of a frame or an array."""
    return features.iloc[rows] if isinstance(features, pd.DataFrame) else features[rows]


def set_seeds(model: Any, seed: int) -> Any:
    """Set every ``random_state`` of a model, nested ones too, each to a different value; return the model."""
    if not hasattr(model, "get_params"):
        return model
    names = [p for p in sorted(model.get_params()) if p == "random_state" or p.endswith("__random_state")]
    states = np.random.SeedSequence(seed).generate_state(max(len(names), 1))
    return model.set_params(**{name: int(state % 2**31) for name, state in zip(names, states, strict=False)})


def wrap_errors(work: Callable[[], T], name: str, where: str) -> T:
    """Call a user's estimator.

    Raises:
        LearnerError: the call failed; one line that names the model.
    """
    try:
        return work()
    except InputError:
        raise
    except Exception as error:  # LightGBM, for example, raises a bare subclass of Exception
        raise LearnerError(f"{name} failed on {where}: {first_line(error).rstrip('.')}. {_advise(str(error))}") from error


def _advise(problem: str) -> str:
    """Return what to do about an error of an estimator."""
    if "early stopping" in problem.lower():
        return "Switch early stopping off: nothing is passed to fit that it could stop by"
    if "feature name" in problem.lower().replace("_", " "):
        return "Rename the columns"
    return "Put the preprocessing that it needs before it in a Pipeline, or use another learner"


def predict(
    model: Any, x: Any, classes: np.ndarray, outputs: int, trained_on: int, name: str
) -> Float64[Tensor, " row *class"]:
    """Return log-probabilities of a fitted classifier, one column per class code, or predicted targets of a regressor.

    Args:
        classes: class codes of the training part, which the model knows as 0, 1, 2, …
        outputs: number of classes; 0 in regression.

    Raises:
        LearnerError: probabilities of another shape, or NaN.
    """
    if not outputs:
        return torch.from_numpy(np.asarray(model.predict(x), dtype=np.float64).reshape(x.shape[0]))
    codes = np.asarray(model.classes_).astype(np.int64)
    trained_classes = _log_probabilities(model, x, codes)
    # A class that the training part lacks keeps its own column: columns never shift.
    if trained_classes.shape != (x.shape[0], len(codes)):
        raise LearnerError(
            f"{name} predicts shape {trained_classes.shape} for {x.shape[0]} samples and {len(codes)} classes"
        )
    log_prob = np.full((len(trained_classes), outputs), -np.inf)
    log_prob[:, classes[codes]] = trained_classes
    if np.isnan(log_prob).any():
        raise LearnerError(f"{name} predicts NaN probabilities")
    return torch.from_numpy(laplace(log_prob, trained_on))


def _log_probabilities(model: Any, x: Any, codes: np.ndarray) -> Any:
    if not hasattr(model, "predict_proba"):
        return np.where(np.asarray(model.predict(x))[:, None] == codes, 0.0, -np.inf)
    with np.errstate(divide="ignore"):
        # A model's own predict_log_proba does not underflow where predict_proba does.
        if hasattr(model, "predict_log_proba"):
            return model.predict_log_proba(x)
        return np.log(np.asarray(model.predict_proba(x), dtype=np.float64))


def laplace(log_prob: np.ndarray, trained_on: int) -> np.ndarray:
    r"""Make rows that contain a zero probability finite, by Laplace's rule of succession; leave all others alone.

    A model that counts (a tree, nearest neighbours, a majority vote) predicts 0 where it saw no example. With $n$ training
    samples and $C$ classes such a row becomes $(n p + 1)/(n + C)$: zero turns into $1/(n+C)$, the smallest probability that
    $n$ observations can support.

    >>> np.exp(laplace(np.log([[0.25, 0.75], [1e-300, 1.0]]), 8)).tolist()[0]
    [0.25, 0.75]
    >>> with np.errstate(divide="ignore"):
    ...     np.exp(laplace(np.log([[0.0, 1.0]]), 8)).round(3).tolist()
    [[0.1, 0.9]]
    """
    has_zero = np.isneginf(log_prob).any(axis=1)
    if not has_zero.any():
        return log_prob
    smoothed = log_prob.copy()
    prob = np.exp(log_prob[has_zero])
    smoothed[has_zero] = np.log((trained_on * prob + 1) / (trained_on + log_prob.shape[1]))
    return smoothed
