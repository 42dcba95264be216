"""Forests and boosted trees by name."""

from importlib import import_module
from typing import Any

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.learners.base import Learner
from hardsight.learners.forest_oob import ForestOOB
from hardsight.learners.presets import preset
from hardsight.learners.sklearn import SklearnModel


@preset("forest", "random forests with out-of-bag predictions, 100 trees per view", takes_weights=True)
def forest(samples: Samples) -> Learner:
    """Return random forests of 100 trees with out-of-bag predictions."""
    make = RandomForestRegressor if samples.regression else RandomForestClassifier
    return ForestOOB(make(n_estimators=100), numbers=True)


@preset("boosting", "histogram gradient boosting of scikit-learn, 100 rounds per model", takes_weights=True)
def boosting(samples: Samples) -> Learner:
    """Return scikit-learn's histogram gradient boosting of 100 rounds."""
    return make_boosting(samples, 100)


@preset("lightgbm", "LightGBM, 100 trees per model (extra: boosting)", takes_weights=True)
def lightgbm(samples: Samples) -> Learner:
    """Return LightGBM with 100 trees in one thread.

    Raises:
        InputError: LightGBM is not installed.
    """
    return make_lightgbm(samples, 100)


@preset("xgboost", "XGBoost, 100 trees per model (extra: boosting)", takes_weights=True)
def xgboost(samples: Samples) -> Learner:
    """Return XGBoost with 100 trees in one thread.

    Raises:
        InputError: XGBoost is not installed.
    """
    library = _import_optional("xgboost")
    make = library.XGBRegressor if samples.regression else library.XGBClassifier
    return SklearnModel(make(n_estimators=100, n_jobs=1), name="xgboost", numbers=True)


def make_boosting(samples: Samples, rounds: int) -> SklearnModel:
    """Return scikit-learn's histogram gradient boosting of a number of rounds, without early stopping."""
    make = HistGradientBoostingRegressor if samples.regression else HistGradientBoostingClassifier
    return SklearnModel(make(max_iter=rounds, early_stopping=False), name="boosting", numbers=True)


def make_lightgbm(samples: Samples, rounds: int) -> SklearnModel:
    """Return LightGBM with a number of trees per class.

    Raises:
        InputError: LightGBM is not installed.
    """
    library = _import_optional("lightgbm")
    make = library.LGBMRegressor if samples.regression else library.LGBMClassifier
    model = make(n_estimators=rounds, n_jobs=1, verbose=-1, deterministic=True)
    return SklearnModel(model, name="lightgbm", numbers=True)


def _import_optional(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(f"{module} is not installed: pip install 'hardsight[boosting]'") from error
