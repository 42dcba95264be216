"""Learners by name, for the command line and for ``learner="…"``; a new one is a function and a row of the table."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.learners.base import Learner
from hardsight.learners.forest_oob import OutOfBag
from hardsight.learners.leave_one_out import KernelRidgeLeaveOneOut, LogisticLeaveOneOut, NeighboursLeaveOneOut
from hardsight.learners.linear.logistic import Logistic
from hardsight.learners.linear.ridge import Ridge
from hardsight.learners.network.network import Network
from hardsight.learners.sklearn import Estimator


class Named(NamedTuple):
    """A learner by name: how to make it for some samples, and what it is."""

    make: Callable[[Samples], Learner]
    what: str


def _network(samples: Samples) -> Learner:
    return Network()


def _convnet(samples: Samples) -> Learner:
    if samples.kind != "image":
        raise InputError(
            f"the learner convnet reads images, and these samples are of kind {samples.kind!r}: use network"
        )
    outputs = 1 if samples.classes is None else len(samples.classes)
    grey = samples.features.ndim == 3
    channels = 1 if grey else int(samples.features.shape[-1])

    def convnet() -> nn.Module:
        return nn.Sequential(
            *([nn.Unflatten(1, (1, -1))] if grey else []),
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(4),
            nn.Flatten(),
            nn.Linear(512, outputs),
        )

    return Network(convnet)


def _linear(samples: Samples) -> Learner:
    scaler = make_pipeline(SimpleImputer(), StandardScaler())
    if samples.regression:
        return Estimator(make_pipeline(scaler, SklearnRidge()), name="linear", numbers=True)
    # Members that are fitted all at once share one Hessian, which weights would give each its own of.
    if samples.weights is not None:
        return Estimator(make_pipeline(scaler, LogisticRegression(max_iter=1000)), name="logistic", numbers=True)
    return Logistic()


def _forest(samples: Samples) -> Learner:
    kind = RandomForestRegressor if samples.regression else RandomForestClassifier
    return OutOfBag(kind(n_estimators=100), numbers=True)


def _ridge(samples: Samples) -> Learner:
    return Ridge()


def _logistic_loo(samples: Samples) -> Learner:
    return LogisticLeaveOneOut()


def _knn_loo(samples: Samples) -> Learner:
    return NeighboursLeaveOneOut()


def _kernel_loo(samples: Samples) -> Learner:
    return KernelRidgeLeaveOneOut()


def _lightgbm(samples: Samples) -> Learner:
    lightgbm = _optional("lightgbm")
    kind = lightgbm.LGBMRegressor if samples.regression else lightgbm.LGBMClassifier
    return Estimator(kind(n_estimators=100, n_jobs=1, verbose=-1, deterministic=True), name="lightgbm", numbers=True)


def _xgboost(samples: Samples) -> Learner:
    xgboost = _optional("xgboost")
    kind = xgboost.XGBRegressor if samples.regression else xgboost.XGBClassifier
    return Estimator(kind(n_estimators=100, n_jobs=1), name="xgboost", numbers=True)


LEARNERS: dict[str, Named] = {
    "network": Named(_network, "ensemble of small perceptrons, all members trained at once (the default)"),
    "convnet": Named(_convnet, "ensemble of small convolutional networks, for images"),
    "logistic": Named(
        _linear, "logistic regression on scaled features, all members at once, to convergence (ridge in regression)"
    ),
    "forest": Named(_forest, "random forests judged out of bag, 100 trees a view"),
    "ridge": Named(_ridge, "linear least squares with held-out predictions in closed form, exact leave-one-out"),
    "logistic-loo": Named(
        _logistic_loo, "logistic regression, leave-one-out from one fit, hard samples refitted (--splits loo)"
    ),
    "knn-loo": Named(_knn_loo, "ten nearest neighbours, exact leave-one-out (--splits loo)"),
    "kernel-loo": Named(
        _kernel_loo, "kernel ridge, exact leave-one-out from one fit (--splits loo; to 10,000 samples)"
    ),
    "lightgbm": Named(_lightgbm, "LightGBM, 100 trees a member (extra: boosting)"),
    "xgboost": Named(_xgboost, "XGBoost, 100 trees a member (extra: boosting)"),
}


def choose(learner: Any, samples: Samples) -> tuple[Learner, str]:
    """The learner that a name, an estimator or a Network stands for, and why, in words.

    Raises:
        InputError: an unknown name (lists those known), or something that cannot learn.
    """
    if isinstance(learner, str):
        if learner == "auto":
            numbers = {"table": "columns", "array": "numbers", "text": "text vectors", "image": "pixels"}[samples.kind]
            width = samples.matrix.shape[1]
            return Network(), f"small networks on {width:,} {numbers}: quick, and close to what is trained on such data"
        if learner not in LEARNERS:
            raise InputError(f"no learner is called {learner!r}: choose one of auto, {', '.join(LEARNERS)}")
        return LEARNERS[learner].make(samples), "as asked for"
    if isinstance(learner, Learner):
        return learner, "as given"
    if isinstance(learner, nn.Module):
        raise InputError("learner must make new networks, not be one: pass hs.Network(lambda: MyModule(…))")
    if isinstance(learner, torch.Tensor) or not hasattr(learner, "fit"):
        raise InputError(
            f"learner must be a name ({', '.join(LEARNERS)}), an estimator with fit and predict, or hs.Network(make_net). "
            f"Got {type(learner).__name__}"
        )
    return Estimator(learner), "as given"


def _optional(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as fault:
        raise InputError(f"{module} is not installed: pip install 'hardsight[boosting]'") from fault
