"""Leave-one-out from one fit against brute-force refits."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

import hardsight as hs
from hardsight import Samples
from hardsight.cli.demo_data import flip_labels
from hardsight.errors import HardsightWarning, InputError, LearnerError
from hardsight.learners import (
    Capabilities,
    KernelRidgeLeaveOneOut,
    LogisticLeaveOneOut,
    NeighboursLeaveOneOut,
    capabilities_of,
)
from hardsight.learners.leave_one_out import kernel_ridge, logistic, shared
from hardsight.learners.leave_one_out.kernel_ridge import predict_kernel_ridge
from hardsight.learners.leave_one_out.logistic import predict_logistic
from hardsight.learners.leave_one_out.neighbours import find_neighbours
from hardsight.learners.linear.ridge import standardize
from hardsight.resampling.plan import Plan, Round, block_codes, split_seed
from hardsight.resampling.splitters import KFold, LeaveOneOut, Subsets

ALONE = np.arange(120)
GROUPS = block_codes(120, np.random.default_rng(1).integers(45, size=120))
LARGE = block_codes(120, np.random.default_rng(1).integers(6, size=120))
UNITS = {"one out": ALONE, "groups out": GROUPS}
LEARNERS = [LogisticLeaveOneOut(), NeighboursLeaveOneOut(), KernelRidgeLeaveOneOut()]
NAMES = [learner.name for learner in LEARNERS]


def noisy(load, classes=3):
    """120 samples (or all there are), scaled, a tenth of the labels drawn anew."""
    x, y = load(return_X_y=True)
    at = np.random.default_rng(5).permutation(np.flatnonzero(y < classes))[:120]
    x, y = x[at], y[at]
    anew = np.random.default_rng(6).random(len(y)) < 0.1
    return standardize(x), np.where(anew, np.random.default_rng(7).integers(classes, size=len(y)), y)


WINE, WINE_LABELS = noisy(load_wine)
TARGET = WINE[:, 0] + np.sin(WINE[:, 1]) + 7


def refits(units, answer):
    """``answer(rest, judged)`` for every unit, one after another."""
    found = [(units == unit, answer(units != unit, units == unit)) for unit in np.unique(units)]
    out = np.empty((len(units), *found[0][1].shape[1:]))
    for judged, predictions in found:
        out[judged] = predictions
    return out


def logistic_refits(x, y, units, penalty):
    # With two classes scikit-learn penalises the one difference of slopes, whose square is twice that of the pair.
    c = (2 if y.max() == 1 else 1) / penalty
    model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-11, max_iter=1000)
    return refits(units, lambda rest, judged: model.fit(x[rest], y[rest]).predict_log_proba(x[judged]))


def one_out(units, repeats=1):
    return Plan(LeaveOneOut(repeats).split(None, units, split_seed(0)), units, repeats, 0)


def view(learner, samples, units):
    (found,) = learner.fit_predict(samples, one_out(units), lambda _: None)
    np.testing.assert_array_equal(found.rows, np.arange(len(units)))
    return found.values.numpy()


# Measured: largest difference of a loss and of a label's probability, the losses themselves reaching 3 to 8.
CLOSE = {1.0: (0.005, 0.003), 10.0: (0.04, 0.003)}


@pytest.mark.slow
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("penalty", [1.0, 10.0])
@pytest.mark.parametrize(("load", "classes"), [(load_iris, 3), (load_wine, 3), (load_iris, 2)])
def test_logistic_is_close_to_refits(load, classes, penalty, units):
    x, y = noisy(load, classes)
    apart, every = UNITS[units][: len(x)], np.arange(len(x))
    found = -predict_logistic(x, y, apart, penalty)[every, y]
    truth = -logistic_refits(x, y, apart, penalty)[every, y]
    loss, probability = CLOSE[penalty]
    assert spearmanr(found, truth)[0] > 0.9999
    assert np.abs(found - truth).max() < loss
    assert np.abs(np.exp(-found) - np.exp(-truth)).max() < probability


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_equals_a_newton_step_without_the_unit(classes, monkeypatch):
    """The same step by automatic differentiation, in all classes, with a pseudo-inverse, one unit after another."""
    monkeypatch.setattr(logistic, "REFIT_THRESHOLD", np.inf)
    x, y = noisy(load_iris, classes)
    units = GROUPS[: len(x)]
    z = torch.from_numpy(np.column_stack([np.ones(len(x)), x]))
    truth = torch.from_numpy(y)
    fitted = torch.from_numpy(_whole_fit(x, y, 1.0))

    def loss(weights, rest=slice(None)):
        lost = torch.nn.functional.cross_entropy(z[rest] @ weights.T, truth[rest], reduction="sum")
        return lost + 0.5 * (weights[:, 1:] ** 2).sum()

    assert torch.func.grad(loss)(fitted).abs().max() < 1e-8

    def step(rest, judged):
        slope = torch.func.grad(loss)(fitted, torch.from_numpy(rest)).flatten()
        bend = torch.autograd.functional.hessian(lambda w: loss(w, torch.from_numpy(rest)), fitted)
        bend = bend.reshape(len(slope), -1)
        moved = fitted - (torch.linalg.pinv(bend, rtol=1e-9, hermitian=True) @ slope).reshape(fitted.shape)
        return (z[judged] @ moved.T).log_softmax(1).numpy()

    found = predict_logistic(x, y, units, 1.0)
    size = np.bincount(units)[units]
    assert set(size) >= {1, 2, 3, 4, 5}
    # Five coefficients a contrast: larger units are refitted instead.
    np.testing.assert_allclose(found[size < 5], refits(units, step)[size < 5], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found[size >= 5], logistic_refits(x, y, units, 1.0)[size >= 5], rtol=0, atol=1e-6)


def _whole_fit(x, y, penalty):
    contrasts = logistic.helmert(y.max() + 1)
    z = np.column_stack([np.ones(len(x)), x])
    problem = logistic._Problem(z, y, contrasts, penalty)
    return contrasts.T @ logistic._fit(problem, None, np.ones(len(x), dtype=bool)).weights


@pytest.mark.slow
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("penalty", [0.1, 10.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_refitted_everywhere_equals_refits(classes, penalty, units, monkeypatch):
    monkeypatch.setattr(logistic, "REFIT_THRESHOLD", 0.0)
    monkeypatch.setattr(logistic, "REFIT_BATCH", 7)
    x, y = noisy(load_iris, classes)
    apart = UNITS[units][: len(x)]
    found = predict_logistic(x, y, apart, penalty)
    np.testing.assert_allclose(found, logistic_refits(x, y, apart, penalty), rtol=0, atol=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", [1.0, 10.0])
def test_logistic_ranks_noisy_digits_as_refits_do(penalty):
    """The 20 hardest by the estimate and 20 at random, on data where the bare step falls short."""
    x, y = load_digits(return_X_y=True)
    y, _ = flip_labels(y[:400].astype(np.int64), 0.05, 0)
    x = standardize(x[:400])
    every = np.arange(400)
    found = -predict_logistic(x, y, every, penalty)[every, y]
    at = np.union1d(np.argsort(found)[-20:], np.random.default_rng(0).choice(400, 20, replace=False))
    model = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=2000)
    truth = [-model.fit(x[every != i], y[every != i]).predict_log_proba(x[[i]])[0, y[i]] for i in at]
    assert np.abs(found[at] - truth).max() < 0.03
    assert spearmanr(found[at], truth)[0] > 0.9999


def test_refits_that_do_not_converge_say_so(monkeypatch):
    monkeypatch.setattr(logistic, "REFIT_THRESHOLD", 0.0)
    whole = logistic.minimize

    def hasty(objective, start, precondition, tolerance, most):
        return whole(objective, start, precondition, tolerance, most if len(start) == 1 else 2)

    monkeypatch.setattr(logistic, "minimize", hasty)
    with pytest.warns(HardsightWarning, match=r"leave-one-out refits have not converged in 2 evaluations"):
        predict_logistic(WINE, WINE_LABELS, ALONE, 0.1)


def test_logistic_without_large_units_is_refitted():
    found = predict_logistic(WINE, WINE_LABELS, LARGE, 1.0)
    truth = logistic_refits(WINE, WINE_LABELS, LARGE, 1.0)
    assert np.bincount(LARGE).min() > WINE.shape[1]
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("count", [1, 10, 40])
def test_neighbours_equal_refits(count, units):
    learner = NeighboursLeaveOneOut(count)
    samples, apart = Samples.of(WINE, WINE_LABELS), UNITS[units]
    x = standardize(samples.matrix)
    model = KNeighborsClassifier(count)

    def proba(rest, judged):
        assert set(WINE_LABELS[rest]) == {0, 1, 2}
        return model.fit(x[rest], WINE_LABELS[rest]).predict_proba(x[judged])

    share = refits(apart, proba)
    found = np.exp(view(learner, samples, apart))
    full = (share > 0).all(axis=1)
    np.testing.assert_allclose(found[full], share[full], rtol=1e-12)
    np.testing.assert_allclose(found[~full], (count * share[~full] + 1) / (count + 3), rtol=1e-12)
    quantity = KNeighborsRegressor(count)
    goal = Samples.of(WINE, TARGET)
    mean = refits(apart, lambda rest, judged: quantity.fit(x[rest], goal.labels[rest]).predict(x[judged]))
    np.testing.assert_allclose(view(learner, goal, apart), mean, rtol=1e-12)


def test_neighbours_by_hand():
    x = np.array([[0.0], [1.0], [1.9], [4.0]])
    np.testing.assert_array_equal(find_neighbours(x, np.arange(4), 2), [[1, 2], [2, 0], [1, 0], [2, 1]])
    np.testing.assert_array_equal(find_neighbours(x, np.array([0, 1, 1, 2]), 2), [[1, 2], [0, 3], [0, 3], [2, 1]])


@pytest.mark.parametrize("units", [*UNITS.values(), LARGE], ids=[*UNITS, "large groups out"])
@pytest.mark.parametrize("penalty", [0.01, 1.0, 10.0])
def test_kernel_ridge_equals_refits(penalty, units):
    targets = np.column_stack([TARGET, 1e6 + np.eye(3)[WINE_LABELS]])
    gram = np.exp(-0.1 * ((WINE[:, None] - WINE[None]) ** 2).sum(2))

    def refit(rest, judged):
        size = int(rest.sum())
        system = np.ones((size + 1, size + 1))
        system[:size, :size] = gram[rest][:, rest] + penalty * np.eye(size)
        system[size, size] = 0
        offset = targets[rest].mean(0)
        solved = np.linalg.solve(system, np.vstack([targets[rest] - offset, np.zeros(4)]))
        return gram[judged][:, rest] @ solved[:size] + solved[size] + offset

    found = predict_kernel_ridge(WINE, targets, units, penalty, 0.1)
    np.testing.assert_allclose(found, refits(units, refit), rtol=0, atol=1e-8)


def test_kernel_learner_classes_and_regression():
    samples = Samples.of(WINE, WINE_LABELS)
    x = standardize(samples.matrix)
    scores = predict_kernel_ridge(x, np.eye(3)[WINE_LABELS], ALONE, 2.0, 1 / 13)
    found = np.exp(view(KernelRidgeLeaveOneOut(2.0), samples, ALONE))
    scale = np.log(found[:, 1] / found[:, 0]) / (scores[:, 1] - scores[:, 0])
    np.testing.assert_allclose(found, softmax(scale[0] * scores, axis=1), rtol=1e-8)
    assert scale[0] > 0
    goal = Samples.of(WINE, TARGET)
    expected = predict_kernel_ridge(x, goal.labels[:, None], ALONE, 2.0, 0.3)[:, 0]
    np.testing.assert_allclose(view(KernelRidgeLeaveOneOut(2.0, 0.3), goal, ALONE), expected, rtol=1e-12)


@pytest.mark.parametrize("learner", LEARNERS, ids=NAMES)
def test_batches_change_nothing(learner, monkeypatch):
    samples = Samples.of(WINE, WINE_LABELS)
    whole = view(learner, samples, GROUPS)
    monkeypatch.setattr(shared, "BATCH", 1)
    np.testing.assert_allclose(view(learner, samples, GROUPS), whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("learner", LEARNERS, ids=NAMES)
def test_a_unit_never_judges_itself(learner):
    """Other labels for a unit change nothing of what is predicted for that unit's rows."""
    samples, at = Samples.of(WINE, TARGET), np.flatnonzero(np.isin(GROUPS, np.bincount(GROUPS).argmax()))
    other = TARGET.copy()
    other[at] += 100
    if isinstance(learner, LogisticLeaveOneOut):
        # Only units that are refitted forget their labels wholly: the one step starts at the whole fit.
        labels = WINE_LABELS.copy()
        unit = np.isin(LARGE, LARGE[at[0]])
        labels[unit] = (WINE_LABELS[unit] + 1) % 3
        found = [predict_logistic(WINE, y, LARGE, 1.0)[unit] for y in (WINE_LABELS, labels)]
    else:
        found = [view(learner, s, GROUPS)[at] for s in (samples, Samples.of(WINE, other))]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("learner", LEARNERS, ids=NAMES)
def test_ticks_repeats_and_recipes(learner):
    done: list[float] = []
    plan = one_out(GROUPS, 3)
    first, second = learner.fit_predict(Samples.of(WINE, WINE_LABELS), plan.select(range(1, 3)), done.append)
    assert (first.repeat, second.repeat) == (1, 2)
    torch.testing.assert_close(first.values, second.values, rtol=0, atol=0)
    assert sum(done) == learner.n_models(plan.select(range(1, 3))) == 2 * (GROUPS.max() + 1)
    torch.testing.assert_close(first.values.exp().sum(1), torch.ones(120, dtype=torch.float64))
    assert capabilities_of(learner) == Capabilities(leaves_one_out=True)


def test_recipes_name_every_setting():
    assert "penalty 2.5" in LogisticLeaveOneOut(2.5).describe()
    assert "7 nearest" in NeighboursLeaveOneOut(7).describe()
    assert "gamma 1/features, penalty 3" in KernelRidgeLeaveOneOut(3).describe()
    assert "gamma 0.5" in KernelRidgeLeaveOneOut(3, 0.5).describe()


@pytest.mark.parametrize("learner", LEARNERS, ids=NAMES)
@pytest.mark.parametrize(
    "drawn",
    [
        KFold(5, 2).split(None, GROUPS, split_seed(0))[0],
        Subsets(2, 0.7).split(None, GROUPS, split_seed(0))[0],
        Round(ALONE.astype(np.int32), 120),
        Round(np.where(GROUPS == 3, -1, GROUPS).astype(np.int32), 45),
    ],
    ids=["folds", "subset", "torn groups", "not all"],
)
def test_other_splits_are_refused(learner, drawn):
    with pytest.raises(InputError, match=r"fitted without it: use splits='loo' \(--splits loo\)"):
        list(learner.fit_predict(Samples.of(WINE, WINE_LABELS), Plan([drawn], GROUPS, 1, 0), lambda _: None))


@pytest.mark.parametrize("name", ["logistic-loo", "knn-loo", "kernel-loo"])
def test_by_the_front_door(name):
    d = hs.measure(WINE, WINE_LABELS, learner=name, splits="loo")
    assert np.isfinite(d.error).all()
    assert np.isnan(d.variance).all()
    assert d.factors is None
    assert d.settings["members"] == 120
    with pytest.raises(InputError, match="use splits='loo'"):
        hs.measure(WINE, WINE_LABELS, learner=name)


def test_groups_and_duplicates_by_the_front_door():
    x, y = np.vstack([WINE, WINE[:30]]), np.append(WINE_LABELS, WINE_LABELS[:30])
    d = hs.measure(x, y, learner="logistic-loo", splits="loo")
    assert d.settings["members"] == 120
    samples = Samples.of(x, y)
    truth = logistic_refits(standardize(samples.matrix), y, np.append(ALONE, ALONE[:30]), 10.0)[np.arange(150), y]
    assert spearmanr(d.error, -truth)[0] > 0.9995
    grouped = hs.measure(WINE, WINE_LABELS, groups=GROUPS, learner="knn-loo", splits="loo")
    assert grouped.settings["members"] == GROUPS.max() + 1


@pytest.mark.parametrize("name", ["knn-loo", "kernel-loo"])
def test_regression_by_the_front_door(name):
    d = hs.measure(WINE, TARGET, learner=name, splits="loo")
    assert d.error.mean() < TARGET.var()
    with pytest.raises(InputError, match="use ridge, knn-loo or kernel-loo"):
        hs.measure(WINE, TARGET, learner="logistic-loo", splits="loo")


def test_too_large_is_refused(monkeypatch):
    samples = Samples.of(WINE, WINE_LABELS)
    monkeypatch.setattr(logistic, "MAX_UNKNOWNS", 28)
    view(LogisticLeaveOneOut(), samples, ALONE)
    monkeypatch.setattr(logistic, "MAX_UNKNOWNS", 27)
    with pytest.raises(InputError, match=r"= 28 unknowns at once, and stops at 27: reduce the features \(PCA\)"):
        view(LogisticLeaveOneOut(), samples, ALONE)
    monkeypatch.setattr(kernel_ridge, "MAX_SAMPLES", 119)
    with pytest.raises(InputError, match=r"cube of the samples and stops at 119\. Got 120: use knn-loo"):
        view(KernelRidgeLeaveOneOut(), samples, ALONE)
    with pytest.raises(InputError, match=r"neighbours=120 is more than the 119 samples outside .* use neighbours=119"):
        view(NeighboursLeaveOneOut(120), samples, ALONE)
    assert np.isfinite(view(NeighboursLeaveOneOut(119), samples, ALONE)).all()


def test_arguments_out_of_range():
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="penalty must be above 0"):
            LogisticLeaveOneOut(value)
        with pytest.raises(InputError, match="penalty must be above 0"):
            KernelRidgeLeaveOneOut(value)
        with pytest.raises(InputError, match="gamma must be above 0"):
            KernelRidgeLeaveOneOut(1.0, value)
    with pytest.raises(InputError, match="neighbours must be 1 or more"):
        NeighboursLeaveOneOut(0)


def test_what_cannot_be_solved(monkeypatch):
    with pytest.raises(LearnerError, match="singular system: use a larger penalty"):
        predict_kernel_ridge(np.zeros((4, 1)), np.arange(4.0)[:, None], np.arange(4), 1e-300, 1.0)
    with pytest.raises(LearnerError, match="singular Hessian: use a larger penalty"):
        predict_logistic(np.zeros((6, 2)), np.arange(6) % 2, np.arange(6), 1e-300 * 1e-300)
    monkeypatch.setattr(logistic, "NEWTON_STEPS", 0)
    with pytest.raises(LearnerError, match="not converged in 0 steps"):
        predict_logistic(WINE, WINE_LABELS, ALONE, 1.0)


def test_separable_classes_and_constant_columns():
    x = np.column_stack([np.linspace(-1, 1, 30), np.ones(30)])
    for name in ("logistic-loo", "knn-loo", "kernel-loo"):
        d = hs.measure(x, (x[:, 0] > 0).astype(int), learner=name, splits="loo")
        assert np.isfinite(d.error).all()
