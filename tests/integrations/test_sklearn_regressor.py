"""The regressor that weights its training data, with the other parts of scikit-learn."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data,
    check_sample_weight_equivalence_on_sparse_data,
    parametrize_with_checks,
)

import hardsight as hs
from hardsight.errors import HardsightWarning, InputError

Weighted = hs.sklearn.DifficultyWeightedRegressor
SAMPLE_WEIGHTS = [check_sample_weight_equivalence_on_dense_data, check_sample_weight_equivalence_on_sparse_data]
# Errors are squared: about the largest of these data.
EASY = {"scheme": "spl-linear", "scheme_parameters": {"lam": 30000.0}}


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X[:120], y[:120]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hardsight.HardsightWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([Weighted(folds=3)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::hardsight.HardsightWarning")
@pytest.mark.parametrize("check", SAMPLE_WEIGHTS)
@pytest.mark.parametrize("seed", [None, 0])
def test_copies_are_weights_even_if_splits_are_equally_good(check, seed):
    check("DifficultyWeightedRegressor", Weighted(DecisionTreeRegressor(random_state=seed)))


def test_it_is_the_regressor_fitted_with_the_weights_of_its_measured_difficulty(diabetes):
    X, y = diabetes
    model = Weighted(LinearRegression(), **EASY, random_state=3).fit(X, y)
    assert model.difficulty_.ids.tolist() == list(range(len(y)))
    np.testing.assert_array_equal(model.difficulty_.labels, y)
    by_hand = np.maximum(0, 1 - model.difficulty_.error / 30000)
    np.testing.assert_allclose(model.weights_, by_hand / by_hand.mean(), rtol=1e-9, atol=1e-9)
    plain = LinearRegression().fit(X, y, sample_weight=model.weights_)
    np.testing.assert_array_equal(plain.predict(X), model.predict(X))
    assert model.score(X, y) == plain.score(X, y)


def test_difficulty_is_held_out(diabetes):
    X, y = diabetes
    result = Weighted(DecisionTreeRegressor(random_state=0), **EASY).fit(X, y).difficulty_
    # A tree fits its training data perfectly.
    assert (result.error > 0).mean() > 0.9


def test_gross_errors_of_the_target_lose_their_weight():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = X @ [1.0, -2.0, 0.5] + rng.normal(size=200) / 3
    wrong = np.arange(0, 200, 10)
    y[wrong] += 12
    model = Weighted(LinearRegression()).fit(X, y)
    right = np.setdiff1d(np.arange(200), wrong)
    assert model.weights_[wrong].max() < 0.05 < 0.9 < model.weights_[right].min()
    plain, true = LinearRegression().fit(X, y), LinearRegression().fit(X[right], y[right])
    assert np.abs(model.estimator_.coef_ - true.coef_).max() < np.abs(plain.coef_ - true.coef_).max() / 5
    # Whatever the unit.
    second = Weighted(LinearRegression()).fit(X, 1000 * y)
    np.testing.assert_allclose(second.weights_, model.weights_, atol=1e-6)


def test_the_order_of_the_rows_changes_nothing(diabetes):
    X, y = diabetes
    order = np.random.default_rng(0).permutation(len(y))
    model, second = Weighted(Ridge(), **EASY).fit(X, y), Weighted(Ridge(), **EASY).fit(X[order], y[order])
    np.testing.assert_allclose(second.weights_, model.weights_[order], rtol=1e-9)


def test_integer_weights_are_copies(diabetes):
    X, y = diabetes
    counts = np.random.default_rng(0).integers(0, 4, len(y))
    fitted = Weighted(Ridge(), **EASY).fit(X, y, sample_weight=counts)
    copied = Weighted(Ridge(), **EASY).fit(X.repeat(counts, axis=0), y.repeat(counts))
    np.testing.assert_array_equal(fitted.difficulty_.error.repeat(counts[counts > 0]), copied.difficulty_.error)
    np.testing.assert_allclose(fitted.predict(X), copied.predict(X), rtol=1e-9)
    halves = Weighted(Ridge(), **EASY).fit(X, y, sample_weight=counts / 2 + 0.1)
    assert not np.allclose(halves.difficulty_.error, Weighted(Ridge(), **EASY).fit(X, y).difficulty_.error)


def test_pipelines_searches_and_metadata_routing(diabetes):
    X, y = diabetes
    pipe = make_pipeline(StandardScaler(), Ridge())
    model = Weighted(pipe, **EASY).fit(X, y)
    by_hand = clone(pipe).fit(X, y, ridge__sample_weight=model.weights_)
    np.testing.assert_array_equal(model.predict(X), by_hand.predict(X))
    assert Weighted(GridSearchCV(pipe, {"ridge__alpha": [0.1, 1]}, cv=2), **EASY).fit(X, y).score(X, y) > 0.3
    weights = np.where(y > 100, 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = Weighted(Ridge(), **EASY).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        result = cross_validate(
            routed, X, y, cv=3, params={"sample_weight": weights}, return_estimator=True, return_indices=True
        )
    for fitted, train in zip(result["estimator"], result["indices"]["train"], strict=True):
        assert (fitted.weights_[y[train] > 100] == 0).all()
        assert (fitted.difficulty_.labels <= 100).all()


def test_frames_and_sparse_matrices(diabetes):
    X, y = diabetes
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 8], "sex": np.where(X[:, 1] > 0, "f", "m")})
    columns = make_column_transformer((StandardScaler(), ["a", "b"]))
    model = Weighted(make_pipeline(columns, Ridge()), **EASY).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["a", "b", "sex"]
    sparse_model, dense_model = (Weighted(Ridge(), **EASY).fit(sparse.csr_array(X), y), Weighted(Ridge(), **EASY).fit(X, y))
    assert sparse_model.score(sparse.csr_array(X), y) == pytest.approx(dense_model.score(X, y), abs=0.05)


def test_samples_too_few_to_measure_have_weight_one_with_a_warning():
    with pytest.warns(HardsightWarning, match="No two samples are different"):
        one = Weighted().fit(np.ones((3, 2)), [1.0, 2, 3])
    assert one.difficulty_ is None
    assert (one.weights_ == 1).all()
    pair = Weighted(Ridge(), **EASY).fit([[0.0], [1.0]], [0.0, 1.0])
    assert len(pair.difficulty_) == 2


def test_it_pickles_clones_and_refuses(diabetes):
    X, y = diabetes
    model = Weighted(Ridge(), **EASY, clip=1.5).fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    np.testing.assert_array_equal(clone(model).fit(X, y).weights_, model.weights_)
    assert not hasattr(model, "predict_proba")
    with pytest.raises(InputError, match="KNeighborsRegressor takes no sample_weight"):
        Weighted(KNeighborsRegressor(), **EASY).fit(X, y)
    for classifier in (LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())):
        with pytest.raises(InputError, match=r"must be a regressor\. Got the classifier .*DifficultyWeightedClassifier"):
            Weighted(classifier, **EASY).fit(X, y)
    with pytest.raises(InputError, match="'auto' needs p_wrong"):
        Weighted(Ridge(), "auto").fit(X, y)
