"""Closed forms against brute-force refits."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp
from sklearn.linear_model import Ridge as SklearnRidge

import hardsight as hs
from hardsight import Samples
from hardsight.errors import InputError, LearnerError
from hardsight.learners.linear.ridge import Ridge, normal_equations, predict_held_out, standardize
from hardsight.resampling.plan import Plan, Round, block_codes, split_seed
from hardsight.resampling.splitters import KFold, LeaveOneOut, Subsets

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6))
Y = np.stack([X @ RNG.normal(size=6) + RNG.normal(size=40) + 3, RNG.normal(size=40)], axis=1)
GROUPS = block_codes(40, np.random.default_rng(1).integers(15, size=40))


def refitted(x, targets, drawn, penalty, weights=None):
    """Least squares on augmented rows, the intercept's own penalty zero, anew for every fold."""
    root = np.sqrt(np.ones(len(x)) if weights is None else weights)[:, None]
    out = np.full(targets.shape, np.nan)
    z = np.column_stack([np.ones(len(x)), x])
    shrink = np.sqrt(penalty) * np.eye(z.shape[1])[1:]
    for k in range(drawn.n_models):
        train, judged = drawn.fold != k, drawn.fold == k
        a = np.vstack([(root * z)[train], shrink])
        b = np.vstack([(root * targets)[train], np.zeros((len(shrink), targets.shape[1]))])
        out[judged] = z[judged] @ np.linalg.lstsq(a, b, rcond=None)[0]
    return out


SPLITS = {
    "one out": LeaveOneOut().split(None, np.arange(40), split_seed(0))[0],
    "groups out": LeaveOneOut().split(None, GROUPS, split_seed(0))[0],
    "small folds": KFold(10, 2).split(None, np.arange(40), split_seed(0))[0],
    "large folds": KFold(3, 2).split(None, np.arange(40), split_seed(0))[0],
    "grouped folds": KFold(4, 2).split(None, GROUPS, split_seed(0))[1],
    "subset": Subsets(2, 0.7).split(None, np.arange(40), split_seed(0))[0],
    "as many members as samples, most of them idle": Round(np.arange(40, dtype=np.int32) // 4, 40),
}


@pytest.mark.parametrize("penalty", [0.0, 1.0, 50.0])
@pytest.mark.parametrize("name", SPLITS)
def test_held_out_equals_refits(name, penalty):
    found = predict_held_out(normal_equations(X, Y, penalty), SPLITS[name])
    np.testing.assert_allclose(found, refitted(X, Y, SPLITS[name], penalty), rtol=0, atol=1e-10)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 50.0])
@pytest.mark.parametrize("name", SPLITS)
def test_weighted_least_squares_equal_weighted_refits(name, penalty):
    weights = np.random.default_rng(2).choice([0.0, 0.3, 1.0, 2.0, 5.0], size=40, p=[0.1, 0.2, 0.3, 0.3, 0.1])
    found = predict_held_out(normal_equations(X, Y, penalty, weights), SPLITS[name])
    np.testing.assert_allclose(found, refitted(X, Y, SPLITS[name], penalty, weights), rtol=0, atol=1e-9)


def test_weights_reach_the_fit_and_not_the_error():
    y = Y[:, 0]
    weights = np.random.default_rng(2).uniform(0, 3, size=40)
    d = hs.measure(X, y, learner="ridge", weights=10 * weights, folds=4, repeats=3)
    expected = np.zeros(40)
    for drawn in KFold(4, 3).split(None, np.arange(40), split_seed(0)):
        expected += (
            refitted(standardize(X.astype(np.float32)), Y[:, :1], drawn, 1.0, weights / weights.mean())[:, 0] - y
        ) ** 2 / 3
    np.testing.assert_allclose(d.error, expected, atol=1e-9)
    assert d.settings["recipe"].endswith("; training samples weighted")
    # A part of the samples is weighted anew, to mean 1.
    some = Samples.of(X, y, weights=weights).take(np.arange(20))
    other = Samples.of(X[:20], y[:20], weights=weights[:20])
    run = {"learner": "ridge", "folds": 4, "repeats": 3}
    np.testing.assert_allclose(hs.measure(some, **run).error, hs.measure(other, **run).error)


def test_refits_of_another_library():
    drawn = SPLITS["one out"]
    for i in (0, 17, 39):
        rest = np.arange(40) != i
        model = SklearnRidge(alpha=2.5, solver="cholesky").fit(X[rest], Y[rest])
        np.testing.assert_allclose(
            predict_held_out(normal_equations(X, Y, 2.5), drawn)[i], model.predict(X[[i]])[0], rtol=0, atol=1e-10
        )


def test_more_features_than_samples_under_a_penalty():
    wide = np.random.default_rng(3).normal(size=(40, 90))
    for name in ("one out", "small folds", "grouped folds"):
        found = predict_held_out(normal_equations(wide, Y, 1.0), SPLITS[name])
        np.testing.assert_allclose(found, refitted(wide, Y, SPLITS[name], 1.0), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["one out", "small folds", "large folds"])
@pytest.mark.parametrize(
    "x",
    [
        np.random.default_rng(3).normal(size=(40, 90)),
        np.column_stack([X, X[:, 0]]),
        np.column_stack([X, X[:, 0] + X[:, 1]]),
        np.random.default_rng(3).normal(size=(40, 37)),
    ],
    ids=["wide", "copied column", "sum of columns", "as many as the training part"],
)
def test_least_squares_without_a_single_solution(x, name):
    if x.shape[1] == 37 and name == "one out":
        x = np.random.default_rng(3).normal(size=(40, 39))
    with pytest.raises(LearnerError, match=r"no single solution.*use a penalty above 0"):
        predict_held_out(normal_equations(x, Y, 0.0), SPLITS[name])


def test_scaling_by_hand():
    x = np.array([[1.0, 5.0, np.nan], [3.0, 5.0, 1.0], [5.0, 5.0, 3.0]])
    root = np.sqrt(1.5)
    np.testing.assert_allclose(standardize(x), [[-root, 0, 0], [0, 0, -1], [root, 0, 1]], atol=1e-12)


def test_large_offsets_are_no_trouble():
    found = standardize(X + 1e6)
    np.testing.assert_allclose(found, (X - X.mean(0)) / X.std(0), atol=1e-6)
    assert not standardize(np.full((5, 1), 0.1) + 1e-12 * np.arange(5)[:, None]).any()


def test_regression_by_the_front_door():
    d = hs.measure(X, Y[:, 0], learner="ridge", splits="loo")
    x32 = X.astype(np.float32).astype(np.float64)
    x = (x32 - x32.mean(0)) / x32.std(0)
    expected = (refitted(x, Y[:, :1], SPLITS["one out"], 1.0)[:, 0] - Y[:, 0]) ** 2
    np.testing.assert_allclose(d.error, expected, rtol=1e-10, atol=1e-10)
    assert np.isnan(d.variance).all()
    assert d.factors is None
    assert d.settings["members"] == 40


def test_classes_become_normalised_finite_probabilities():
    samples = Samples.of(X, np.where(Y[:, 0] > 3, "up", "down"))
    rounds = KFold(4, 2).split(samples.labels, np.arange(40), split_seed(0))
    for view, drawn in zip(
        Ridge().fit_predict(samples, Plan(rounds, np.arange(40), 2, 0), lambda _: None), rounds, strict=True
    ):
        assert view.values.isfinite().all()
        torch.testing.assert_close(view.values.exp().sum(1), torch.ones(40, dtype=torch.float64))
        scores = predict_held_out(normal_equations(standardize(samples.matrix), np.eye(2)[samples.labels], 1.0), drawn)
        # Log-odds are the scores' differences times one positive scale, the best of a fine grid.
        odds = (view.values[:, 1] - view.values[:, 0]).numpy()
        scale = odds / (scores[:, 1] - scores[:, 0])
        np.testing.assert_allclose(scale, scale[0], rtol=1e-9)
        grid = np.exp(np.linspace(-3, 6, 2000))[:, None, None] * scores
        losses = (logsumexp(grid, axis=2) - grid[:, np.arange(40), samples.labels]).mean(1)
        own = -view.values[torch.arange(40), torch.from_numpy(samples.labels)].mean().item()
        assert own <= losses.min() + 1e-5


def test_separable_classes_stay_finite():
    x = np.linspace(-1, 1, 30)[:, None]
    d = hs.measure(x, (x[:, 0] > 0).astype(int), learner="ridge", splits="loo")
    assert np.isfinite(d.error).all()


def test_subsets_judge_only_what_they_hold_out():
    samples = Samples.of(X, Y[:, 0])
    drawn = SPLITS["subset"]
    (view,) = Ridge().fit_predict(samples, Plan([drawn], np.arange(40), 1, 0), lambda _: None)
    np.testing.assert_array_equal(view.rows, np.flatnonzero(drawn.fold == 0))
    assert view.values.isfinite().all()


def least_squares(samples, train, judged):
    """Ridge with penalty 1 by another library, on the features as scaled over all samples."""
    x = standardize(samples.matrix)
    targets = np.eye(len(samples.classes))[samples.labels] if samples.classes else samples.labels[:, None]
    return SklearnRidge(alpha=1.0, solver="cholesky").fit(x[train], targets[train]).predict(x[judged])


@pytest.mark.parametrize("labels", [Y[:, 0], np.where(Y[:, 0] > 3, "up", "down")], ids=["numbers", "classes"])
@pytest.mark.parametrize("name", ["small folds", "grouped folds", "subset"])
def test_in_sample_predictions_equal_refits(labels, name):
    samples, drawn = Samples.of(X, labels), SPLITS[name]
    plan = Plan([drawn], np.arange(40), 1, 0, in_sample=True)
    held_out, *in_sample = Ridge().fit_predict(samples, plan, lambda _: None)
    assert len(in_sample) == drawn.n_models
    assert not held_out.in_sample
    if samples.classes:
        member = drawn.fold == 0
        scores = least_squares(samples, ~member, member)
        odds = (held_out.values[:, 1] - held_out.values[:, 0]).numpy()[np.isin(held_out.rows, np.flatnonzero(member))]
        scale = (odds / (scores[:, 1] - scores[:, 0]))[0]
    for k, view in enumerate(in_sample):
        assert view.in_sample
        train = np.flatnonzero(drawn.fold != k)
        np.testing.assert_array_equal(view.rows, train)
        fitted = least_squares(samples, train, train).reshape(len(train), -1)
        expected = log_softmax(fitted * scale, axis=1) if samples.classes else fitted[:, 0]
        np.testing.assert_allclose(view.values, expected, rtol=0, atol=1e-9)


def test_in_sample_fits_that_do_not_exist_are_an_error():
    plan = Plan([SPLITS["small folds"]], np.arange(40), 1, 0, in_sample=True)
    with pytest.raises(LearnerError, match="no single solution"):
        list(Ridge(0).fit_predict(Samples.of(np.column_stack([X, X[:, 0]]), Y[:, 0]), plan, lambda _: None))


def test_ticks_and_names():
    done = []
    plan = Plan([SPLITS["small folds"]] * 2, np.arange(40), 2, 0)
    list(Ridge(0).fit_predict(Samples.of(X, Y[:, 0]), plan, done.append))
    assert sum(done) == Ridge().n_models(plan) == 20
    assert Ridge(0).name == "least squares"
    assert "penalty 2" in Ridge(2).describe()
    for penalty in (-1.0, float("nan")):
        with pytest.raises(InputError, match="penalty must be 0 or more"):
            Ridge(penalty)
