"""Forests and boosted trees by name."""

from importlib import import_module
from typing import Any

from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.learners.base import Learner
from hardsight.learners.forest_oob import ForestOOB
from hardsight.learners.presets import preset
from hardsight.learners.sklearn import SklearnModel


@preset("forest", "random forests judged out of bag, 100 trees a view", takes_weights=True)
def forest(samples: Samples) -> Learner:
    """Return random forests of 100 trees with out-of-bag predictions."""
    make = RandomForestRegressor if samples.regression else RandomForestClassifier
    return ForestOOB(make(n_estimators=100), numbers=True)


@preset("lightgbm", "LightGBM, 100 trees a member (extra: boosting)", takes_weights=True)
def lightgbm(samples: Samples) -> Learner:
    """Return LightGBM with 100 trees in one thread.

    Raises:
        InputError: LightGBM is not installed.
    """
    library = _import_optional("lightgbm")
    make = library.LGBMRegressor if samples.regression else library.LGBMClassifier
    return SklearnModel(make(n_estimators=100, n_jobs=1, verbose=-1, deterministic=True), name="lightgbm", numbers=True)


@preset("xgboost", "XGBoost, 100 trees a member (extra: boosting)", takes_weights=True)
def xgboost(samples: Samples) -> Learner:
    """Return XGBoost with 100 trees in one thread.

    Raises:
        InputError: XGBoost is not installed.
    """
    library = _import_optional("xgboost")
    make = library.XGBRegressor if samples.regression else library.XGBClassifier
    return SklearnModel(make(n_estimators=100, n_jobs=1), name="xgboost", numbers=True)


def _import_optional(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(f"{module} is not installed: pip install 'hardsight[boosting]'") from error
