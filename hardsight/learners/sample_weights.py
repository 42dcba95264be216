"""Sample weights in scikit-learn's estimators: which of them take weights, and how the weights reach them."""

from collections.abc import Iterator
from inspect import Parameter, signature
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier, is_regressor
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

from hardsight.errors import InputError

_ENSEMBLES = (StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor)


def takes_weights(estimator: Any) -> bool:
    """Return whether all models that an estimator fits take sample weights."""
    return _requests_weights(estimator) or _find_unweighted(estimator) is None


def check_takes_weights(estimator: Any) -> None:
    """Check that all models that an estimator fits take sample weights.

    Raises:
        InputError: one does not.
    """
    if not takes_weights(estimator):
        part, whole = type(_find_unweighted(estimator)).__name__, type(estimator).__name__
        where = part if part == whole else f"{part} in {whole}"
        raise InputError(
            f"{where} takes no sample_weight: use an estimator whose fit takes it, or a pipeline whose last step does"
        )


def fit_with_weights(estimator: Any, X: Any, y: np.ndarray, weights: np.ndarray, **keywords: Any) -> Any:
    """Fit an estimator in place with sample weights, and return it.

    If metadata routing is enabled and some part of the estimator requests ``sample_weight``, the weights go where they
    are requested. Otherwise they go to all classifiers and regressors inside it: in a pipeline to its last step, in a
    search to the searched estimator, in voting and stacking to all members.

    Args:
        estimator: is changed; its parts may keep requests for weights.
        X: features, ``(sample, …)``.
        y: labels or targets, ``(sample,)``.
        weights: ``(sample,)``.
        keywords: other arguments of ``fit``.

    Raises:
        InputError: no part of the estimator takes weights.
    """
    if _requests_weights(estimator):
        return estimator.fit(X, y, sample_weight=weights, **keywords)
    check_takes_weights(estimator)
    argument = weight_argument(estimator.estimator if isinstance(estimator, BaseSearchCV) else estimator)
    if isinstance(estimator, _ENSEMBLES) and all(map(_takes_directly, _models_inside(estimator))):
        argument = "sample_weight"
    if argument is not None:
        # With routing, pipelines refuse step__sample_weight, and estimators that do not route refuse all weights.
        with sklearn.config_context(enable_metadata_routing=False):
            return estimator.fit(X, y, **{argument: weights}, **keywords)
    with sklearn.config_context(enable_metadata_routing=True):
        _request_weights(estimator)
        return estimator.fit(X, y, sample_weight=weights, **keywords)


def weight_argument(model: Any) -> str | None:
    """Return the argument of ``fit`` that takes sample weights, in a pipeline that of its last step; None if none does."""
    if isinstance(model, Pipeline):
        step, last = model.steps[-1]
        inner = weight_argument(last)
        return None if inner is None else f"{step}__{inner}"
    return "sample_weight" if _takes_directly(model) else None


def _takes_directly(model: Any) -> bool:
    # A fit with **kwargs might accept sample_weight and ignore it.
    return "sample_weight" in signature(model.fit).parameters


def _find_unweighted(model: Any) -> Any:
    """Return the first model inside that takes no weights, perhaps the whole; None if all take them."""
    if isinstance(model, Pipeline):
        return _find_unweighted(model.steps[-1][1])
    members = list(_models_inside(model))
    if not _takes_directly(model) and not (members and _routes(model)):
        return model
    return next((part for part in map(_find_unweighted, members) if part is not None), None)


def _models_inside(model: Any) -> Iterator[Any]:
    """Yield the models that are parameters of a model, or members of a list of named models."""
    if not isinstance(model, BaseEstimator):
        return
    for value in model.get_params(deep=False).values():
        named = [item[1] for item in value if isinstance(item, tuple) and len(item) > 1] if isinstance(value, list) else []
        yield from (part for part in (value, *named) if hasattr(part, "fit") and _predicts(part))


def _predicts(part: Any) -> bool:
    # A stacking model has predict only once it is fitted.
    return isinstance(part, (ClassifierMixin, RegressorMixin)) or hasattr(part, "predict")


def _routes(model: Any) -> bool:
    """Whether ``fit`` passes keyword arguments on to the models inside."""
    kinds = (parameter.kind for parameter in signature(model.fit).parameters.values())
    return Parameter.VAR_KEYWORD in kinds and hasattr(model, "get_metadata_routing")


def _requests_weights(estimator: Any) -> bool:
    if not sklearn.get_config()["enable_metadata_routing"] or not hasattr(estimator, "get_metadata_routing"):
        return False
    try:
        routing = get_routing_for_object(estimator)
    except NotImplementedError:
        # Some of scikit-learn's own estimators do not route.
        return False
    return "sample_weight" in routing.consumes("fit", {"sample_weight"})


def _request_weights(estimator: Any) -> None:
    """Let all classifiers and regressors inside request weights in ``fit``, and nothing else."""
    for part in (estimator, *estimator.get_params(deep=True).values()):
        if isinstance(part, type):
            continue
        if hasattr(part, "set_fit_request"):
            part.set_fit_request(sample_weight=is_classifier(part) or is_regressor(part))
        if hasattr(part, "set_score_request"):
            part.set_score_request(sample_weight=False)
