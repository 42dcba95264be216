"""Estimators of scikit-learn: equal to a naive loop, refitted inside each fold, seeded, and clear about what it refuses."""

from dataclasses import replace

import lightgbm
import numpy as np
import pandas as pd
import pytest
import torch
import xgboost
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from support.errors import raises_in_one_line

import hardsight as hs
from hardsight import Samples
from hardsight.errors import InputError, LearnerError
from hardsight.learners.sklearn import SklearnModel, laplace, predict, set_seeds
from hardsight.resampling.plan import Plan, split_seed
from hardsight.resampling.splitters import KFold

X, Y = load_iris(return_X_y=True)
# Iris holds one pair of equal rows.
X, Y = np.unique(X, axis=0), Y[np.unique(X, axis=0, return_index=True)[1]]
AS_PREDICTED = hs.Estimate(calibrate=False)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


def folds(repeats, k=4, seed=0):
    """Train and test positions of every member, repeat by repeat."""
    rounds = KFold(k, repeats).split(Y.astype(np.int64), np.arange(len(Y)), split_seed(seed))
    return [[(np.flatnonzero(r.fold != f), np.flatnonzero(r.fold == f)) for f in range(k)] for r in rounds]


@pytest.mark.slow
def test_against_cross_val_predict():
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10, max_iter=5000))
    d = hs.measure(X, NAMES, learner=model, folds=4, repeats=3)
    losses = []
    for cv in folds(3):
        found = cross_val_predict(model, X, NAMES, cv=cv, method="predict_log_proba")
        losses.append(-found[np.arange(len(Y)), Y])
    losses = np.array(losses)
    np.testing.assert_allclose(d.error, losses.mean(0), rtol=0, atol=1e-10)
    np.testing.assert_allclose(d.error_se, losses.std(0, ddof=1) / np.sqrt(3), rtol=0, atol=1e-10)


def test_regression_against_a_naive_loop():
    rng = np.random.default_rng(0)
    y = X @ [1.0, -2, 0.5, 3] + rng.normal(size=len(X))
    d = hs.measure(X, y, learner=LinearRegression(), folds=4, repeats=2)
    rounds = KFold(4, 2).split(None, np.arange(len(y)), split_seed(0))
    found = np.zeros((2, len(y)))
    for r, drawn in enumerate(rounds):
        for f in range(4):
            a = np.column_stack([np.ones(len(y)), X])
            train = drawn.fold != f
            found[r, ~train] = a[~train] @ np.linalg.lstsq(a[train], y[train], rcond=None)[0]
    np.testing.assert_allclose(d.error, ((found - y) ** 2).mean(0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(d.variance, found.var(0, ddof=1), rtol=0, atol=1e-9)
    np.testing.assert_allclose(d.predicted, found.mean(0), rtol=0, atol=1e-9)


def test_in_sample_predictions_against_a_naive_loop():
    model = make_pipeline(StandardScaler(), LogisticRegression())
    samples, units = Samples.of(X, Y), np.arange(len(Y))
    rounds = KFold(4, 2).split(samples.labels, units, split_seed(0))
    plan = Plan(rounds, units, 2, 0, in_sample=True)
    found = list(SklearnModel(model).fit_predict(samples, plan, lambda _: None))
    assert [view.in_sample for view in found] == [False, True] * 8
    for view, member in zip(found[1::2], plan.members(), strict=True):
        own = clone(model).fit(X[member.train], Y[member.train])
        np.testing.assert_array_equal(view.rows, member.train)
        np.testing.assert_allclose(view.values.exp(), own.predict_proba(X[member.train]), atol=1e-12)
    without = list(SklearnModel(model).fit_predict(samples, replace(plan, in_sample=False), lambda _: None))
    for view, other in zip(found[::2], without, strict=True):
        assert torch.equal(view.values, other.values)


class Watcher(TransformerMixin, BaseEstimator):
    """Remembers which rows it was fitted on and which it was then shown; the first feature names the row."""

    fits: list[list] = []  # noqa: RUF012

    def fit(self, X, y=None):
        self.seen_ = set(X[:, 0].tolist())
        Watcher.fits.append([self.seen_, set()])
        return self

    def transform(self, X):
        Watcher.fits[-1][1] |= set(X[:, 0].tolist()) - self.seen_
        return X


def test_pipelines_are_refitted_inside_each_fold():
    Watcher.fits = []
    named = np.column_stack([np.arange(len(Y)), X])
    hs.measure(named, Y, learner=make_pipeline(Watcher(), GaussianNB()), folds=4, repeats=2, refine=False)
    expected = [(set(train.tolist()), set(test.tolist())) for cv in folds(2) for train, test in cv]
    assert [(a, b) for a, b in Watcher.fits] == expected


def test_the_users_estimator_is_left_untouched():
    model = make_pipeline(StandardScaler(), DecisionTreeClassifier())
    before = repr(model.get_params())
    hs.measure(X, Y, learner=model, folds=3, repeats=2)
    assert repr(model.get_params()) == before
    assert not hasattr(model[0], "mean_")
    assert not hasattr(model[1], "tree_")


def test_every_random_state_is_set_and_each_differently():
    model = make_pipeline(StandardScaler(), BaggingClassifier(DecisionTreeClassifier()))
    params = set_seeds(model, 3).get_params()
    states = {name: value for name, value in params.items() if name.endswith("random_state")}
    assert set(states) == {"baggingclassifier__random_state", "baggingclassifier__estimator__random_state"}
    assert len(set(states.values())) == 2
    assert states == {n: v for n, v in set_seeds(model, 3).get_params().items() if n.endswith("random_state")}
    assert states != {n: v for n, v in set_seeds(model, 4).get_params().items() if n.endswith("random_state")}


@pytest.mark.slow
def test_members_draw_their_own_numbers_and_runs_repeat():
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5, max_features=1))
    first, again, other = (hs.measure(X, Y, learner=model, folds=3, repeats=2, seed=s) for s in (0, 0, 1))
    assert first.error.tobytes() == again.error.tobytes()
    assert first.error.tobytes() != other.error.tobytes()
    # The assignment of one-out splits is always the same, so only the members' own seeds can part their answers.
    d = hs.measure(X[40:70], Y[40:70], learner=model, splits=hs.LeaveOneOut(3))
    assert d.variance.max() > 0


def test_seeds_given_by_the_user_are_replaced():
    fixed = DecisionTreeClassifier(max_features=1, random_state=7)
    d = hs.measure(X[40:90], Y[40:90], learner=fixed, splits=hs.LeaveOneOut(4))
    assert d.variance.max() > 0


@pytest.mark.parametrize("model", [DecisionTreeClassifier(), KNeighborsClassifier(1)])
def test_hard_answers_follow_laplaces_rule(model):
    d = hs.measure(X, Y, learner=model, folds=2, repeats=2, estimate=AS_PREDICTED)
    trained = [len(train) for cv in folds(2, k=2) for train, _ in cv]
    allowed = {-np.log(p / (n + 3)) for n in trained for p in (1, n + 1)}
    means = np.array([(a + b) / 2 for a in allowed for b in allowed])
    assert np.isfinite(d.error).all()
    assert abs(d.error[:, None] - means).min(1).max() < 1e-12


def test_laplace_leaves_positive_probabilities_alone():
    with np.errstate(divide="ignore"):
        given = np.log([[0.0, 0.5, 0.5], [1e-300, 0.3, 0.7]])
    found = laplace(given, 7)
    np.testing.assert_allclose(np.exp(found[0]), [0.1, 0.45, 0.45], rtol=1e-12)
    np.testing.assert_array_equal(found[1], given[1])
    np.testing.assert_allclose(np.exp(found).sum(1), 1)


@pytest.mark.parametrize("model", [LogisticRegression(), DecisionTreeClassifier(), LinearSVC(), KNeighborsClassifier()])
def test_a_class_that_training_lacks_keeps_its_column(model):
    train = np.isin(Y, [0, 2])
    model.fit(X[train], Y[train] // 2)
    found = predict(model, X, np.array([0, 2]), 3, int(train.sum()), "model")
    assert found.shape == (len(X), 3)
    assert found.isfinite().all()
    np.testing.assert_array_equal(found.argmax(1)[train], Y[train])
    assert (found[:, 1] < -4).all()
    torch.testing.assert_close(found.exp().sum(1), torch.ones(len(X), dtype=torch.float64))


def test_log_probabilities_of_the_model_itself_do_not_underflow():
    x = np.array([[0.0], [0.1], [100.0], [100.1]])
    model = GaussianNB(var_smoothing=1e-12).fit(x, [0, 0, 1, 1])
    found = predict(model, x, np.arange(2), 2, 4, "bayes")
    assert found.min() < -1e4
    assert found.isfinite().all()


def test_votes_where_there_are_no_probabilities():
    d = hs.measure(X, NAMES, learner=make_pipeline(StandardScaler(), LinearSVC()), folds=3, repeats=4, estimate=AS_PREDICTED)
    assert np.isfinite(d.error).all()
    assert (d.predicted == d.labels).mean() > 0.9
    # Each vote is worth its Laplace probability: n/(n+C) of one, of about 98 training samples.
    assert d.error.min() == pytest.approx(-np.log(99 / 101), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name, kind", [("lightgbm", lightgbm.LGBMClassifier), ("xgboost", xgboost.XGBClassifier)])
def test_boosted_trees_really_run(name, kind, monkeypatch):
    fits = []
    fit = kind.fit
    monkeypatch.setattr(kind, "fit", lambda self, *a, **k: (fits.append(1), fit(self, *a, **k))[1])
    X, y = load_breast_cancer(return_X_y=True)
    X, y = X[::3], np.array(["benign", "malignant"])[y[::3]]
    d = hs.measure(X, y, learner=name, folds=3, repeats=2)
    assert len(fits) == d.settings["members"] == 6
    assert (d.label_names(d.predicted) == y).mean() > 0.9
    own = hs.measure(X, y, learner=kind(n_estimators=20, n_jobs=1, **{"verbose": -1} if name == "lightgbm" else {}))
    assert np.corrcoef(own.error, d.error)[0, 1] > 0.6
    again = hs.measure(X, y, learner=name, folds=3, repeats=2)
    assert d.error.tobytes() == again.error.tobytes()
    target = X[:, 0] / X[:, 0].max()
    assert hs.measure(X[:, 1:], target, learner=name, folds=3, repeats=2).error.mean() < target.var()


class NeedsColumns(ClassifierMixin, BaseEstimator):
    """A classifier that reads its columns by name and their types."""

    def fit(self, X, y):
        assert list(X.columns) == ["size", "colour"]
        assert isinstance(X["colour"].dtype, pd.CategoricalDtype | pd.StringDtype | np.dtype)
        self.classes_ = np.unique(y)
        self.rule_ = pd.Series(y).groupby(X["colour"].to_numpy()).mean()
        return self

    def predict(self, X):
        return self.classes_[(self.rule_.reindex(X["colour"]).to_numpy() > 0.5).astype(int)]


def test_columns_reach_the_estimator():
    frame = pd.DataFrame({"size": np.arange(60.0), "colour": ["red", "blue", "red"] * 20})
    y = np.where(frame["colour"] == "red", "warm", "cold")
    d = hs.measure(frame, y, learner=NeedsColumns(), folds=3, repeats=2)
    assert (d.predicted == d.labels).all()
    encoded = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    assert (hs.measure(frame[["colour"]].assign(n=range(60)), y, learner=encoded, folds=3, repeats=2).p_label > 0.5).all()


def test_columns_come_as_they_are():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    frame = pd.DataFrame({
        "text": [f"a rather {('dull', 'fine')[label]} film with number {at} in it" for at, label in enumerate(y)],
        "day": pd.date_range("2020-01-01", periods=60),
        "same": 1.0,
        "id": range(60),
        "price": [f"${at}" for at in range(60)],
    })  # fmt: skip

    class Reads(BaseEstimator, ClassifierMixin):
        def fit(self, X, y):
            pd.testing.assert_frame_equal(X, frame.loc[X.index])
            self.classes_ = np.unique(y)
            return self

        def predict(self, X):
            return X["text"].str.contains("fine").to_numpy().astype(int)

    assert (hs.measure(frame, y, learner=Reads(), folds=3, repeats=2).predicted == y).all()
    words, model = TfidfVectorizer(), LogisticRegression(C=100)
    by_name = make_pipeline(ColumnTransformer([("words", words, "text")]), model)
    one, other = (
        hs.measure(frame[["text"]], y, learner=each, folds=3, repeats=2) for each in (by_name, make_pipeline(words, model))
    )
    np.testing.assert_array_equal(one.error, other.error)


@pytest.mark.slow
def test_searches_and_wrappers_are_estimators_too():
    search = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 3]}, cv=2)
    wrapped = CalibratedClassifierCV(LinearSVC(), cv=2)
    for model in (search, wrapped, HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5)):
        d = hs.measure(X, NAMES, learner=model, folds=2, repeats=2)
        assert (d.predicted == d.labels).mean() > 0.85


def test_missing_values_for_those_who_can():
    gaps = X.copy()
    gaps[::7, 1] = np.nan
    d = hs.measure(gaps, Y, learner=make_pipeline(SimpleImputer(), LogisticRegression(max_iter=500)), folds=3, repeats=2)
    assert np.isfinite(d.error).all()


# Refusals


def measuring_raises(kind, match, X, y, learner, **more):
    raises_in_one_line(kind, match, hs.measure, X, y, learner=learner, folds=3, repeats=2, **more)


def test_the_wrong_task_is_refused():
    measuring_raises(
        InputError, "LogisticRegression is a classifier, and the labels are numbers", X, X[:, 0], LogisticRegression()
    )
    measuring_raises(
        InputError, "KNeighborsRegressor is a regressor, and the labels are classes", X, Y, KNeighborsRegressor()
    )
    measuring_raises(
        InputError, "Pipeline is a regressor", X, NAMES, make_pipeline(StandardScaler(), DecisionTreeRegressor())
    )


def test_what_is_no_estimator_is_refused():
    measuring_raises(InputError, r"write LogisticRegression\(\) with brackets", X, Y, LogisticRegression)
    measuring_raises(InputError, "must have fit, and predict_proba or predict.*Got StandardScaler", X, Y, StandardScaler())


def test_failures_of_an_estimator_become_one_line():
    gaps = X.copy()
    gaps[3, 1] = np.nan
    measuring_raises(
        LearnerError, "LogisticRegression failed on member . of round 0: Input X contains NaN.*Pipeline", gaps, Y,
        LogisticRegression(),
    )  # fmt: skip


class Odd(ClassifierMixin, BaseEstimator):
    """A classifier that misbehaves as it is told."""

    def __init__(self, how="fit"):
        self.how = how

    def fit(self, X, y):
        if self.how == "fit":
            raise AssertionError("no luck\nat all")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)

    def predict_proba(self, X):
        if self.how == "lose a row":
            return np.full((len(X) - 1, len(self.classes_)), 1 / 3)
        return np.full((len(X), len(self.classes_)), np.nan)


def test_any_fault_of_an_estimator_becomes_one_line():
    measuring_raises(LearnerError, "Odd failed on member 0 of round 0: no luck. Put", X, Y, Odd())
    measuring_raises(LearnerError, "Odd predicts NaN probabilities", X, Y, Odd("nan"))
    measuring_raises(LearnerError, "Odd failed on member 0 of round 0: ", X, Y, Odd("lose a row"))


def test_faults_that_no_preprocessing_mends_have_advice_of_their_own():
    lightgbm, xgboost = pytest.importorskip("lightgbm"), pytest.importorskip("xgboost")
    stopping = xgboost.XGBClassifier(n_estimators=2, early_stopping_rounds=1, n_jobs=1)
    measuring_raises(LearnerError, "XGBClassifier failed .*[^.]\\. Switch early stopping off", X, Y, stopping)
    named = pd.DataFrame(X).set_axis([f"a[{at}]" for at in range(X.shape[1])], axis=1)
    trees = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1)
    measuring_raises(LearnerError, "LGBMClassifier failed .*[^.]\\. Rename the columns", named, Y, trees)


class Plain:
    """Only what the contract asks for: ``fit`` and ``predict``, no scikit-learn base class."""

    def fit(self, X, y):
        self.mean = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean)


class Broken(Plain):
    def predict(self, X):
        return np.full(len(X), np.nan)


def test_fit_and_predict_are_enough():
    y = X[:, 0] + 0.05
    d = hs.measure(X, y, learner=Plain(), folds=3, repeats=2)
    assert d.error.mean() == pytest.approx(y.var(), rel=0.1)
    measuring_raises(LearnerError, "Broken predicts nan for sample", X, y, Broken())


def test_labels_of_many_classes_stay_in_place():
    X, y = make_classification(400, 20, n_informative=12, n_classes=8, class_sep=3, random_state=0)
    names = np.array(list("hgfedcba"))[y]
    d = hs.measure(X, names, learner=GaussianNB(), folds=3, repeats=2)
    assert (d.label_names(d.predicted) == names).mean() > 0.7
    assert d.classes == tuple("abcdefgh")


@pytest.mark.slow
@pytest.mark.parametrize(
    "learner",
    [
        make_pipeline(StandardScaler(), BaggingClassifier(n_estimators=3)),
        hs.ForestOOB(RandomForestClassifier(20)),
        "lightgbm",
    ],
    ids=["pipeline", "forest", "lightgbm"],
)
def test_processes_change_nothing(learner):
    one, two = (hs.measure(X, Y, learner=learner, repeats=2, execution=hs.Execution(jobs=jobs)) for jobs in (1, 2))
    np.testing.assert_array_equal(one.error, two.error)
    assert one.settings == two.settings


@pytest.mark.slow
def test_warnings_and_failures_cross_processes():
    hasty = LogisticRegression(max_iter=2)
    with pytest.warns(UserWarning, match="failed to converge"):
        one = hs.measure(X, Y, learner=hasty, repeats=2)
    with pytest.warns(UserWarning, match="failed to converge"):
        two = hs.measure(X, Y, learner=hasty, repeats=2, execution=hs.Execution(jobs=2))
    assert one.settings["notices"] == two.settings["notices"] != []
    with pytest.raises(LearnerError, match=r"LogisticRegression failed on member \d of round 0: "):
        hs.measure(X, Y, learner=LogisticRegression(C=-1.0), repeats=2, execution=hs.Execution(jobs=2))
    with pytest.raises(InputError, match=r"jobs must be 1 or more. Got 0"):
        hs.measure(X, Y, learner=hasty, execution=hs.Execution(jobs=0))


# Weights of samples


WEIGHTS = np.random.default_rng(0).choice([0.0, 0.5, 1.0, 2.0], size=len(Y))


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
def test_weights_reach_the_last_step_of_a_pipeline(nested):
    end = LogisticRegression(tol=1e-10, max_iter=5000)
    model = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), end) if nested else end)
    d = hs.measure(X, NAMES, learner=model, weights=3 * WEIGHTS, folds=4, repeats=2)
    losses = np.zeros(len(Y))
    for repeat in folds(2):
        for train, test in repeat:
            scaler = StandardScaler().fit(X[train])
            own = WEIGHTS[train] / WEIGHTS[train].mean()
            fitted = end.fit(scaler.transform(X[train]), Y[train], sample_weight=own)
            losses[test] -= fitted.predict_log_proba(scaler.transform(X[test]))[np.arange(len(test)), Y[test]] / 2
    np.testing.assert_allclose(d.error, losses, rtol=0, atol=1e-6)
    assert np.abs(d.error - hs.measure(X, NAMES, learner=model, folds=4, repeats=2).error).max() > 0.01


@pytest.mark.slow
def test_boosted_trees_take_weights():
    for model in (lightgbm.LGBMClassifier(n_estimators=5, verbose=-1), xgboost.XGBClassifier(n_estimators=5)):
        plain, weighted = (hs.measure(X, NAMES, learner=model, weights=w, folds=2, repeats=2).error for w in (None, WEIGHTS))
        assert not np.array_equal(plain, weighted)


@pytest.mark.parametrize(
    "name, learner, splits",
    [
        ("KNeighborsClassifier", KNeighborsClassifier(), None),
        ("Pipeline", make_pipeline(StandardScaler(), KNeighborsClassifier()), None),
        ("GridSearchCV", GridSearchCV(KNeighborsClassifier(), {}), None),
        ("logistic leave-one-out", "logistic-loo", "loo"),
        ("neighbours leave-one-out", "knn-loo", "loo"),
        ("kernel ridge leave-one-out", "kernel-loo", "loo"),
    ],
)
def test_learners_that_cannot_weigh_say_so(name, learner, splits):
    with pytest.raises(
        InputError, match=f"^{name} does not take weights of training samples: leave out weights, or use network"
    ):
        hs.measure(X, NAMES, learner=learner, weights=WEIGHTS, splits=splits)


def test_a_training_part_without_weight_is_refused():
    alone = np.zeros(len(Y))
    alone[0] = 1
    with pytest.raises(LearnerError, match=r"all samples that member \d of round 0 trains on have weight 0"):
        hs.measure(X, NAMES, learner=GaussianNB(), weights=alone, folds=2, repeats=2)


class OnlyProbabilities:
    """A classifier without ``predict``."""

    def fit(self, x, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares = counts / len(y)
        return self

    def predict_proba(self, x):
        return np.tile(self.shares, (len(x), 1))


def test_a_classifier_needs_no_predict():
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    d = hs.measure(x, y, learner=OnlyProbabilities(), folds=2, repeats=2)
    np.testing.assert_allclose(d.error, np.log(2), rtol=0.01)
    with pytest.raises(InputError, match="OnlyProbabilities has no predict, and the labels are numbers"):
        hs.measure(x, y + 0.5, learner=OnlyProbabilities(), task="regression", folds=2, repeats=2)
