"""The classifier that weights its training data, with the other parts of scikit-learn."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
import xgboost
from loky import cpu_count
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data,
    check_sample_weight_equivalence_on_sparse_data,
    parametrize_with_checks,
)

import hardsight as hs
from hardsight.errors import HardsightWarning, InputError, LearnerError
from hardsight.integrations import _sklearn_base, _sklearn_samples

Weighted = hs.sklearn.DifficultyWeightedClassifier
# Far above any loss, so that the scheme leaves weight to every sample of the checks' data.
SOFT = {"scheme": "spl-linear", "scheme_parameters": {"lam": 500.0}, "folds": 2}
SAMPLE_WEIGHTS = [check_sample_weight_equivalence_on_dense_data, check_sample_weight_equivalence_on_sparse_data]
EASY = {"scheme": "spl-linear", "scheme_parameters": {"lam": 1.0}}


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return X, np.array(["barolo", "grignolino", "barbera"])[y]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hardsight.HardsightWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([Weighted(), Weighted(DecisionTreeClassifier(random_state=0), **SOFT)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hardsight.HardsightWarning")
@pytest.mark.parametrize("check", SAMPLE_WEIGHTS)
def test_copies_are_weights_even_if_splits_are_equally_good(check):
    check("DifficultyWeightedClassifier", Weighted(DecisionTreeClassifier()))


@pytest.mark.slow
def test_models_without_a_seed_have_one(wine):
    X, y = wine
    tree = DecisionTreeClassifier(max_features=1)
    one, second, other = (Weighted(tree, **EASY, random_state=seed).fit(X, y).estimator_ for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.predict_proba(X), second.predict_proba(X))
    assert one.random_state == second.random_state != other.random_state
    numbered = Weighted(tree, **EASY, random_state=np.int64(1)).fit(X, y).estimator_
    np.testing.assert_array_equal(numbered.predict_proba(X), other.predict_proba(X))
    assert Weighted(DecisionTreeClassifier(random_state=7), **EASY).fit(X, y).estimator_.random_state == 7


def test_it_is_the_classifier_fitted_with_the_weights_of_its_measured_difficulty(wine):
    X, y = wine
    model = Weighted(GaussianNB(), **EASY, random_state=3).fit(X, y)
    assert list(model.classes_) == list(model.difficulty_.classes) == ["barbera", "barolo", "grignolino"]
    assert (model.difficulty_.label_names(model.difficulty_.labels) == y).all()
    by_hand = np.maximum(0, 1 - model.difficulty_.error)
    np.testing.assert_allclose(model.weights_, by_hand / by_hand.mean(), rtol=1e-9, atol=1e-9)
    plain = GaussianNB().fit(X, y, sample_weight=model.weights_)
    np.testing.assert_array_equal(plain.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(plain.predict_log_proba(X), model.predict_log_proba(X))


def test_difficulty_is_held_out_and_by_row(wine):
    X, y = wine
    y = y.copy()
    y[[5, 77]] = y[[77, 5]]
    result = Weighted(DecisionTreeClassifier(random_state=0), **SOFT).fit(X, y)
    # A tree fits its training data perfectly: only models that have not seen these two are wrong about them.
    assert result.difficulty_.ids.tolist() == list(range(len(y)))
    assert (result.difficulty_.error[[5, 77]] > result.difficulty_.error.mean()).all()
    assert set(result.difficulty_.predicted[[5, 77]] == result.difficulty_.labels[[5, 77]]) == {False}


def test_the_order_of_the_rows_changes_nothing(wine):
    X, y = wine
    order = np.random.default_rng(0).permutation(len(y))
    model, second = Weighted(GaussianNB(), **EASY).fit(X, y), Weighted(GaussianNB(), **EASY).fit(X[order], y[order])
    np.testing.assert_allclose(second.weights_, model.weights_[order], rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_integer_weights_are_copies(seed):
    X, y = load_wine(return_X_y=True)
    X, y = X[::4], y[::4]
    counts = np.random.default_rng(seed).integers(0, 4, len(y))
    # Smoothing by the largest variance of all rows does not heed their weights.
    naive = GaussianNB(var_smoothing=1e-15)
    fitted = Weighted(naive, **SOFT).fit(X, y, sample_weight=counts)
    copied = Weighted(naive, **SOFT).fit(X.repeat(counts, axis=0), y.repeat(counts))
    np.testing.assert_array_equal(fitted.difficulty_.error.repeat(counts[counts > 0]), copied.difficulty_.error)
    np.testing.assert_allclose((fitted.weights_ / np.maximum(counts, 1)).repeat(counts), copied.weights_, rtol=1e-12)
    np.testing.assert_allclose(fitted.predict_proba(X), copied.predict_proba(X), rtol=1e-6, atol=1e-9)


def test_other_weights_reach_the_models_that_measure(wine):
    X, y = wine
    weights = np.random.default_rng(1).uniform(0.2, 3, len(y))
    light, heavy = (Weighted(GaussianNB(), **SOFT).fit(X, y, sample_weight=w) for w in (weights, 1000 * weights))
    np.testing.assert_allclose(light.difficulty_.error, heavy.difficulty_.error, rtol=1e-6)
    assert not np.allclose(light.difficulty_.error, Weighted(GaussianNB(), **SOFT).fit(X, y).difficulty_.error)
    np.testing.assert_allclose(light.weights_ * 1000, heavy.weights_, rtol=1e-6)


def test_pipelines_take_the_weights_at_their_last_step(wine):
    X, y = wine
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    model = Weighted(pipe, **EASY).fit(X, y)
    by_hand = clone(pipe).fit(X, y, logisticregression__sample_weight=model.weights_)
    np.testing.assert_array_equal(model.decision_function(X), by_hand.decision_function(X))
    searched = Weighted(GridSearchCV(pipe, {"logisticregression__C": [0.1, 1]}, cv=2), **EASY, learner="ridge").fit(X, y)
    assert searched.score(X, y) > 0.9
    np.testing.assert_allclose(searched.weights_.mean(), 1)


def test_with_metadata_routing_weights_go_where_they_are_requested(wine):
    X, y = wine
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=True), LogisticRegression().set_fit_request(sample_weight=True)
        )
        both = Weighted(pipeline, **EASY, learner="ridge").fit(X, y)
        by_hand = clone(pipeline).fit(X, y, sample_weight=both.weights_)
        np.testing.assert_array_equal(both.predict_proba(X), by_hand.predict_proba(X))
        default = Weighted(make_pipeline(StandardScaler(), LogisticRegression()), **EASY).fit(X, y)
    last = make_pipeline(StandardScaler(), LogisticRegression())
    last.fit(X, y, logisticregression__sample_weight=default.weights_)
    np.testing.assert_array_equal(default.predict_proba(X), last.predict_proba(X))
    assert not np.allclose(both.predict_proba(X), last.predict_proba(X), atol=1e-6)


@pytest.mark.slow
def test_cross_validation_routes_sample_weight_through_it(wine):
    X, y = wine
    weights = np.where(y == "barolo", 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = Weighted(DecisionTreeClassifier(max_depth=3), **EASY)
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        result = cross_validate(
            model, X, y, cv=3, params={"sample_weight": weights}, return_estimator=True, return_indices=True
        )
        model = Weighted(GaussianNB(), **EASY)
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        searched = GridSearchCV(model, {"scheme_parameters": [{"lam": 0.5}, {"lam": 2.0}], "clip": [None, 2]}, cv=2)
        searched.fit(X, y, sample_weight=weights + 1)
    for fitted, train in zip(result["estimator"], result["indices"]["train"], strict=True):
        assert (fitted.weights_[y[train] == "barolo"] == 0).all()
        assert fitted.difficulty_.classes == ("barbera", "grignolino")
    assert searched.best_score_ > 0.9


def test_sample_weights_of_hardsight_go_through_scikit_learn(wine):
    X, y = wine
    weights = hs.weigh(hs.measure(X, y, learner="ridge", folds=3, repeats=2), "spl-linear", lam=0.4)
    last = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())]).fit(X, y, clf__sample_weight=weights)
    scaled = StandardScaler().fit_transform(X)
    plain = LogisticRegression().fit(scaled, y, sample_weight=weights)
    np.testing.assert_array_equal(last.predict_proba(X), plain.predict_proba(scaled))
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight=True),
        )
        result = cross_validate(
            pipe, X, y, cv=3, params={"sample_weight": weights}, return_estimator=True, return_indices=True
        )
    for fitted, train, test, score in zip(
        result["estimator"], result["indices"]["train"], result["indices"]["test"], result["test_score"], strict=True
    ):
        mean = StandardScaler().fit(X[train])
        plain = LogisticRegression().fit(mean.transform(X[train]), y[train], sample_weight=weights[train])
        np.testing.assert_allclose(fitted[-1].coef_, plain.coef_)
        assert score == accuracy_score(y[test], plain.predict(mean.transform(X[test])), sample_weight=weights[test])


@pytest.mark.slow
def test_frames_keep_their_columns_text_its_words_and_sparse_matrices_their_form(wine):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=60), "same": 1, "hue": rng.choice(["red", "blue"], 60)})
    y = np.where(frame["size"] + rng.normal(size=60) / 3 > 0, "up", "down")
    columns = make_column_transformer((StandardScaler(), ["size", "same"]))
    model = Weighted(make_pipeline(columns, GaussianNB(var_smoothing=0.1)), **EASY).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["size", "same", "hue"]
    assert model.score(frame, y) > 0.8
    words = [f"{('sun', 'rain')[i % 2]} day {i % 7}" for i in range(60)]
    classifier = Weighted(make_pipeline(TfidfVectorizer(), LogisticRegression()), **EASY).fit(words, np.arange(60) % 2)
    assert classifier.score(words, np.arange(60) % 2) == 1
    counts = sparse.csr_array(rng.poisson(0.5, (60, 40)) + (y == "up")[:, None] * (np.arange(40) < 4))
    sparse_model, dense_model = (Weighted(BernoulliNB(), **EASY).fit(X, y) for X in (counts, counts.toarray()))
    assert sparse_model.score(counts, y) > 0.8
    np.testing.assert_allclose(sparse_model.difficulty_.error.mean(), dense_model.difficulty_.error.mean(), rtol=0.5)


@pytest.mark.slow
def test_columns_that_only_the_pipeline_reads_reach_it():
    rng = np.random.default_rng(0)
    size, day = rng.normal(size=60), pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, 60), "D")
    y = np.where(size + rng.normal(size=60) / 3 > 0, "up", "down")
    words = [f"a day of {'sun' if up else 'rain'} as it may be in the year {i}" for i, up in enumerate(y == "up")]
    unread = {"day": day, "wait": day - day[0], "path": [[value, [value]] for value in size], "pair": [np.ones(2)] * 60}
    frame = pd.DataFrame({"size": size, "words": words, "never": np.nan, **unread})
    ignoring = make_pipeline(make_column_transformer((StandardScaler(), ["size"])), GaussianNB())
    one, other = Weighted(ignoring, **EASY).fit(frame, y), Weighted(ignoring, **EASY).fit(frame[["size"]], y)
    np.testing.assert_allclose(one.difficulty_.error.mean(), other.difficulty_.error.mean(), rtol=0.3)
    assert one.feature_names_in_.tolist() == frame.columns.tolist()
    reading = make_pipeline(make_column_transformer((TfidfVectorizer(), "words")), LogisticRegression())
    assert Weighted(reading, **EASY).fit(frame, y).score(frame, y) == 1
    with pytest.raises(InputError, match="no column of X holds numbers or categories"):
        Weighted(make_pipeline(FunctionTransformer(lambda X: X.map(len)), GaussianNB()), **EASY).fit(frame[["path"]], y)
    twice = pd.concat([frame, frame], ignore_index=True)
    assert (
        len(
            np.unique(
                _sklearn_samples.select_classification_rows(twice, np.tile(y == "up", 2).astype(int), None).samples.groups
            )
        )
        == 60
    )


def test_neighbours_in_large_sparse_matrices_are_found_by_components(monkeypatch):
    rng = np.random.default_rng(0)
    X = sparse.csr_array(rng.poisson(0.2, (90, 200)))
    monkeypatch.setattr("hardsight.data.sparse._MAX_DENSE_VALUES", 0)
    result = _sklearn_samples.select_classification_rows(X, rng.integers(0, 2, 90), None)
    assert result.samples.matrix.shape == (90, 90)
    assert len(Weighted(BernoulliNB(), **SOFT).fit(X, rng.integers(0, 2, 90)).difficulty_) == 90


def test_the_classifier_learns_the_original_labels(wine):
    X, y = wine
    heavy = LogisticRegression(class_weight={"barolo": 1, "barbera": 9, "grignolino": 1}, max_iter=20)
    model = Weighted(make_pipeline(StandardScaler(), heavy), **EASY).fit(X, y)
    assert model.predict(X[:2]).tolist() == y[:2].tolist()


@pytest.mark.slow
def test_labels_with_a_gap_are_measured_by_classifiers_that_take_none():
    X = np.random.default_rng(0).normal(size=(41, 2))
    y = np.repeat([0, 1, 2], [20, 1, 20])
    X[y == 2] += 1
    boosted = xgboost.XGBClassifier(n_estimators=5, max_depth=2, n_jobs=1)
    with pytest.warns(HardsightWarning, match="Class 1 has one sample"):
        model = Weighted(boosted, **SOFT).fit(X, y)
    assert model.difficulty_.classes == (0, 2)
    assert (model.difficulty_.predicted == model.difficulty_.labels).mean() > 0.6
    assert model.predict_proba(X).shape == (41, 3)
    absent = Weighted(boosted, **SOFT).fit(X, np.arange(41) % 3, sample_weight=np.arange(41) % 3 != 1)
    assert absent.difficulty_.classes == (0, 2)
    # Codes would have the weights of other classes.
    heavy = Gapless(class_weight={0: 1, 1: 9, 2: 1})
    with pytest.warns(HardsightWarning), pytest.raises(LearnerError, match="labels are not 0, 1"):
        Weighted(heavy, **SOFT).fit(X, y)


class Gapless(DecisionTreeClassifier):
    def fit(self, X, y, sample_weight=None):
        if (np.unique(y) != np.arange(len(np.unique(y)))).any():
            raise ValueError("labels are not 0, 1, …")
        return super().fit(X, y, sample_weight)


def test_classifiers_without_probabilities_have_none(wine):
    X, y = wine
    model = Weighted(make_pipeline(StandardScaler(), LinearSVC(random_state=0)), **EASY).fit(X, y)
    assert not hasattr(model, "predict_proba")
    assert model.decision_function(X).shape == (178, 3)
    assert not hasattr(Weighted(RidgeClassifier()), "predict_proba")
    assert hasattr(Weighted(), "predict_proba")


def test_classes_too_small_to_measure_have_weight_one_with_a_warning():
    X = np.arange(12.0)[:, None]
    y = np.array([0] * 6 + [1] * 5 + [2])
    with pytest.warns(HardsightWarning, match="Class 2 has one sample"):
        model = Weighted(GaussianNB(), **EASY).fit(X, y)
    assert model.weights_[11] == 1
    assert model.difficulty_.ids.tolist() == list(range(11))
    assert model.classes_.tolist() == [0, 1, 2]
    with pytest.warns(HardsightWarning, match="no difficulty was measured"):
        one = Weighted(GaussianNB(), **EASY).fit(X[:2], [0, 1])
    assert one.difficulty_ is None
    assert (one.weights_ == 1).all()
    pair = Weighted(GaussianNB(), **EASY).fit(X[[0, 1, 8, 9]], [0, 0, 1, 1])
    assert len(pair.difficulty_) == 4


@pytest.mark.parametrize("kind", [object, str, "category"])
def test_a_class_of_one_sample_may_have_any_name(kind):
    y = pd.Series(["a"] * 6 + ["b"] * 5 + ["c"]).astype(kind)
    with pytest.warns(HardsightWarning, match="Class 'c' has one sample"):
        model = Weighted(GaussianNB(), **EASY).fit(np.arange(12.0)[:, None], y)
    assert model.weights_[11] == 1


@pytest.mark.slow
def test_copies_stay_together_in_what_is_measured():
    X, y = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(0)
    X, y = X[:60].repeat(3, axis=0), rng.integers(0, 2, 60).repeat(3)
    result = Weighted(DecisionTreeClassifier(random_state=0), **SOFT).fit(X, y).difficulty_
    # A tree that had seen a copy would know every label.
    assert (result.predicted == result.labels).mean() < 0.75


def test_it_pickles_clones_and_holds_no_training_data(wine):
    X, y = wine
    model = Weighted(GaussianNB(), **EASY, clip=1.5).fit(X, y)
    second = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(second.predict_proba(X), model.predict_proba(X))
    assert second.difficulty_.samples is None
    assert model.weights_.max() <= 1.5 + 1e-9
    np.testing.assert_array_equal(clone(model).fit(X, y).weights_, model.weights_)


@pytest.mark.parametrize(("n_jobs", "expected"), [(None, 1), (2, 2), (-1, cpu_count())])
def test_measuring_uses_the_threads_of_n_jobs(wine, monkeypatch, n_jobs, expected):
    threads = []

    def record_threads(*args, **kwargs):
        threads.append(torch.get_num_threads())
        return hs.weigh(*args, **kwargs)

    monkeypatch.setattr(_sklearn_base, "weigh", record_threads)
    before = torch.get_num_threads()
    Weighted(GaussianNB(), **EASY, n_jobs=n_jobs).fit(*wine)
    assert threads == [expected]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("scheme", "refine"), [(EASY, False), ({"scheme": "auto"}, None)])
def test_labels_are_refined_only_for_schemes_that_read_p_wrong(wine, monkeypatch, scheme, refine):
    arguments = []

    def record_arguments(*args, **kwargs):
        arguments.append(kwargs["refine"])
        return hs.measure(*args, **kwargs)

    monkeypatch.setattr(_sklearn_base, "measure", record_arguments)
    Weighted(GaussianNB(), **scheme, folds=2).fit(*wine)
    assert arguments == [refine]


def test_bad_arguments_are_refused_with_the_fix(wine):
    X, y = wine
    with pytest.raises(InputError, match="KNeighborsClassifier takes no sample_weight"):
        Weighted(KNeighborsClassifier(), **EASY).fit(X, y)
    for regressor in (Ridge(), make_pipeline(StandardScaler(), Ridge()), GridSearchCV(Ridge(), {"alpha": [1.0]})):
        with pytest.raises(InputError, match=r"must be a classifier\. Got the regressor .*DifficultyWeightedRegressor"):
            Weighted(regressor, **EASY).fit(X, y)
    with pytest.raises(InputError, match="do you mean 'spl-linear'"):
        Weighted(GaussianNB(), "spl-linaer").fit(X, y)
    with pytest.raises(InputError, match="scheme_parameters has 'first', a value for each sample"):
        Weighted(GaussianNB(), "jtt", scheme_parameters={"first": np.ones(len(y))}).fit(X, y)
    with pytest.raises(InputError, match=r"random_state must be an integer, .* Got None: leave it out, or pass 0"):
        Weighted(GaussianNB(), **EASY, random_state=None).fit(X, y)
    with pytest.raises(InputError, match="folds must be 2 or more"):
        Weighted(GaussianNB(), **EASY, folds=1).fit(X, y)
    with pytest.raises(ValueError, match="Negative values"):
        Weighted(GaussianNB(), **EASY).fit(X, y, sample_weight=-np.ones(len(y)))
    with pytest.raises(LearnerError, match="Failing failed on member 0"):
        Weighted(GaussianNB(), **EASY, learner=Failing()).fit(X, y)
    # The classifier itself says best what is wrong with the data.
    with pytest.raises(ValueError, match="GaussianNB does not accept missing values"):
        Weighted(GaussianNB(), **EASY).fit(np.where(X[3, 3] == X, np.nan, X), y)


class Failing(GaussianNB):
    def fit(self, X, y, sample_weight=None):
        raise RuntimeError("never")


def test_groups_are_not_split_between_training_and_held_out_rows():
    # Pairs with the same label that a nearest neighbour would recognize.
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(40, 3)), 2, axis=0) + 1e-6 * rng.normal(size=(80, 3))
    y, pairs = np.repeat(rng.integers(2, size=40), 2), np.repeat(np.arange(40), 2)
    options = {"scheme": "hard-first", "learner": KNeighborsClassifier(1), "repeats": 2}
    apart = hs.sklearn.DifficultyWeightedClassifier(LogisticRegression(), **options).fit(X, y)
    together = hs.sklearn.DifficultyWeightedClassifier(LogisticRegression(), **options).fit(
        X, y, groups=[f"pair {g}" for g in pairs]
    )
    # Calibrated votes for the right label have a loss of .12.
    assert np.mean(apart.difficulty_.table["error"] < 0.2) > 0.8
    assert np.mean(together.difficulty_.table["error"] < 0.2) < 0.8
    # The order of the rows changes nothing.
    order = rng.permutation(80)
    shuffled = hs.sklearn.DifficultyWeightedClassifier(LogisticRegression(), **options).fit(
        X[order], y[order], groups=pairs[order]
    )
    np.testing.assert_allclose(shuffled.weights_, together.weights_[order])


def test_missing_groups_are_refused():
    X, y = np.arange(12.0).reshape(6, 2), [0, 1] * 3
    with pytest.raises(InputError, match="groups"):
        hs.sklearn.DifficultyWeightedClassifier(folds=2).fit(X, y, groups=[0, 1, None, 3, 4, 5])
    with pytest.raises(InputError, match="groups"):
        hs.sklearn.DifficultyWeightedClassifier(folds=2).fit(X, y, groups=[0, 1])


# Its newer name is not in older releases.
@pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
def test_keywords_of_fit_reach_the_estimator():
    lightgbm = pytest.importorskip("lightgbm")
    X, y = load_iris(return_X_y=True)
    text = np.array(["red", "green", "blue"])[y]
    estimator = lightgbm.LGBMClassifier(n_estimators=60, num_leaves=4, verbose=-1)
    model = hs.sklearn.DifficultyWeightedClassifier(estimator, "hard-first", folds=2, repeats=2)
    stop = lightgbm.early_stopping(2, verbose=False)
    model.fit(X[::2], text[::2], eval_set=[(X[1::2], text[1::2])], callbacks=[stop])
    assert model.estimator_.best_iteration_ < 60
    plain = clone(estimator).fit(X[::2], text[::2], model.weights_, eval_set=[(X[1::2], text[1::2])], callbacks=[stop])
    np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(X))


def test_measuring_that_fails_without_keywords_of_fit_names_the_way_out():
    X, y = load_iris(return_X_y=True)
    estimator = xgboost.XGBClassifier(n_estimators=5, max_depth=2, early_stopping_rounds=2)
    model = hs.sklearn.DifficultyWeightedClassifier(estimator, "hard-first", folds=2, repeats=2)
    with pytest.raises(LearnerError, match=r"without eval_set.*pass learner="):
        model.fit(X, y, eval_set=[(X, y)], verbose=False)
    model.set_params(learner=xgboost.XGBClassifier(n_estimators=5, max_depth=2))
    assert model.fit(X, y, eval_set=[(X, y)], verbose=False).predict(X).shape == (150,)


def test_frames_of_polars_are_measured_as_those_of_pandas_are():
    polars = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=60), "hue": rng.choice(["red", "blue"], 60)})
    y = np.where(frame["size"] + rng.normal(size=60) > 0, "big", "small")
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["hue"]), ("passthrough", ["size"])), LogisticRegression()
    )
    expected = Weighted(model, folds=2, **EASY).fit(frame, y)
    fitted = Weighted(model, folds=2, **EASY).fit(polars.from_pandas(frame), y)
    np.testing.assert_allclose(fitted.predict_proba(polars.from_pandas(frame)), expected.predict_proba(frame))
