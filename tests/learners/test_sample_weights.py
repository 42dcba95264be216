"""Weights reach all models inside an estimator, or the estimator is refused before the first fit."""

from functools import partial

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import (
    AdaBoostClassifier,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import hardsight as hs
from hardsight.errors import InputError
from hardsight.integrations import _sklearn_base
from hardsight.learners.sample_weights import fit_with_weights, takes_weights

TREE = DecisionTreeClassifier(max_depth=3, random_state=0)
SCALED = make_pipeline(StandardScaler(), LogisticRegression())
NEIGHBOURS = KNeighborsClassifier()
CLASSIFIERS = {
    "voting": VotingClassifier([("tree", TREE), ("linear", SCALED[-1])]),
    "soft voting of a pipeline": VotingClassifier([("tree", TREE), ("linear", SCALED)], voting="soft"),
    "voting with a member left out": VotingClassifier([("tree", TREE), ("other", "drop")]),
    "stacking": StackingClassifier([("tree", TREE)], final_estimator=LogisticRegression(), cv=2),
    "stacking of a pipeline": StackingClassifier([("linear", SCALED), ("tree", TREE)], cv=2),
    "pipeline of voting": make_pipeline(StandardScaler(), VotingClassifier([("tree", TREE)])),
    "search over voting": GridSearchCV(VotingClassifier([("tree", TREE)]), {"tree__max_depth": [2, 3]}, cv=2),
    "search over a pipeline": GridSearchCV(SCALED, {"logisticregression__C": [0.1, 1]}, cv=2),
    "one against the rest": OneVsRestClassifier(SCALED),
    "boosted": AdaBoostClassifier(TREE, n_estimators=3, random_state=0),
}
REFUSED = {
    "KNeighborsClassifier takes": NEIGHBOURS,
    "KNeighborsClassifier in VotingClassifier takes": VotingClassifier([("tree", TREE), ("near", NEIGHBOURS)]),
    "KNeighborsClassifier in StackingClassifier takes": StackingClassifier([("tree", TREE)], final_estimator=NEIGHBOURS),
    "KNeighborsClassifier in Pipeline takes": make_pipeline(StandardScaler(), NEIGHBOURS),
    "KNeighborsClassifier in GridSearchCV takes": GridSearchCV(NEIGHBOURS, {"n_neighbors": [1, 2]}),
    "KNeighborsClassifier in AdaBoostClassifier takes": AdaBoostClassifier(NEIGHBOURS),
}


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_class_without_weight_is_never_predicted(wine, name, routing):
    X, y = wine
    with sklearn.config_context(enable_metadata_routing=routing):
        model = clone(CLASSIFIERS[name])
        assert takes_weights(model)
        fit_with_weights(model, X, y, np.where(y == 1, 0.0, 1.0))
        assert not (model.predict(X) == 1).any()
        assert (clone(CLASSIFIERS[name]).fit(X, y).predict(X) == 1).any()


@pytest.mark.parametrize("kind", [VotingRegressor, partial(StackingRegressor, final_estimator=Ridge())])
def test_regressors_in_ensembles_are_weighted(kind):
    X, y = load_diabetes(return_X_y=True)
    weights = (y < 100).astype(float)
    parts = [("tree", DecisionTreeRegressor(max_depth=3)), ("linear", make_pipeline(StandardScaler(), Ridge()))]
    for model in (kind(parts), TransformedTargetRegressor(kind(parts))):
        assert (
            fit_with_weights(clone(model), X, y, weights).predict(X).mean() < 100 < clone(model).fit(X, y).predict(X).mean()
        )
    assert not takes_weights(kind([("near", KNeighborsRegressor())]))


@pytest.mark.parametrize("message", REFUSED)
def test_a_model_that_takes_no_weights_is_refused_before_the_first_fit(wine, message, monkeypatch):
    assert not takes_weights(REFUSED[message])
    monkeypatch.setattr(_sklearn_base, "measure", None)
    with pytest.raises(InputError, match=message):
        hs.sklearn.DifficultyWeightedClassifier(REFUSED[message]).fit(*wine)


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("'focal' has no parameter 'gama': do you mean 'gamma'", {"scheme": "focal", "scheme_parameters": {"gama": 2.0}}),
        ("'spl-linear' has no published default for lam", {"scheme": "spl-linear"}),
        ("clip must be 1 or more|clip must be above 1", {"scheme": "focal", "clip": 0.5}),
        ("scheme 'gce-loss' needs a training loop", {"scheme": "gce-loss", "scheme_parameters": {"q": 0.7}}),
        ("scheme 'active-bias' needs a training loop", {"scheme": "active-bias"}),
    ],
)
def test_what_the_scheme_lacks_is_refused_before_the_first_fit(wine, monkeypatch, message, changes):
    monkeypatch.setattr(_sklearn_base, "measure", None)
    with pytest.raises(InputError, match=message):
        hs.sklearn.DifficultyWeightedClassifier(**changes).fit(*wine)


def test_difficulty_weighted_ensembles_work_with_the_other_parts_of_scikit_learn(wine):
    X, y = wine
    weighted = hs.sklearn.DifficultyWeightedClassifier
    changes = {"scheme": "spl-linear", "scheme_parameters": {"lam": 3.0}, "folds": 2}
    for name in ("soft voting of a pipeline", "stacking of a pipeline", "search over voting"):
        assert weighted(CLASSIFIERS[name], **changes).fit(X, y).score(X, y) > 0.9
    inside = VotingClassifier([("weighted", weighted(TREE, **changes)), ("forest", RandomForestClassifier(5))])
    assert inside.fit(X, y).score(X, y) > 0.9
    search = GridSearchCV(weighted(CLASSIFIERS["voting"], **changes), {"estimator__tree__max_depth": [1, 3]}, cv=2)
    assert search.fit(X, y).best_score_ > 0.5


def test_the_label_model_is_fitted_only_for_schemes_that_read_it(wine, monkeypatch):
    X, y = wine
    weighted = hs.sklearn.DifficultyWeightedClassifier
    assert weighted(TREE, folds=2).fit(X, y).difficulty_.p_wrong is not None
    from hardsight.attribution.label_noise.em import LabelModelFitter

    monkeypatch.setattr(LabelModelFitter, "run_em", None)
    d = weighted(TREE, "spl-linear", scheme_parameters={"lam": 3.0}, folds=2).fit(X, y).difficulty_
    assert d.p_wrong is None
    assert d.ledger is None
