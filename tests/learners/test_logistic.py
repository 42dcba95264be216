"""All members' logistic regressions at once against scikit-learn's, one member after another."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hardsight as hs
from hardsight import Samples
from hardsight.errors import HardsightWarning, InputError
from hardsight.learners import Logistic
from hardsight.learners.linear import logistic, softmax
from hardsight.learners.linear.lbfgs import minimize
from hardsight.learners.linear.softmax import TrainingParts, losses_and_gradients
from hardsight.learners.sklearn import laplace
from hardsight.resampling.plan import Plan, Round, split_seed
from hardsight.resampling.splitters import KFold, LeaveOneOut, Subsets


def planned(y, splits, units=None):
    units = np.arange(len(y)) if units is None else units
    rounds = splits.split(y, units, split_seed(0))
    return Plan(rounds, units, len(rounds), 0)


def views(learner, samples, plan):
    return [(v.rows.numpy(), v.values.numpy(), v.repeat) for v in learner.fit_predict(samples, plan, lambda _: None)]


def refit(samples, member, penalty):
    """scikit-learn's pipeline on one member's training part, in float64, converged."""
    x, y = samples.matrix.astype(np.float64), samples.labels
    model = make_pipeline(
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=20_000, solver="newton-cholesky"),
    ).fit(x[member.train], y[member.train])
    out = np.full((len(member.held_out), len(samples.classes)), -np.inf)
    out[:, model.classes_] = model.predict_log_proba(x[member.held_out])
    return laplace(out, len(member.train))


def assert_like_refits(samples, plan, penalty=1.0, atol=1e-4):
    found = views(Logistic(penalty), samples, plan)
    members = list(plan.members())
    assert len(found) == len(members)
    for (rows, predictions, turn), member in zip(found, members, strict=True):
        np.testing.assert_array_equal(rows, member.held_out)
        assert turn == member.round
        np.testing.assert_allclose(predictions, refit(samples, member, penalty), rtol=0, atol=atol)


def noisy(load, rate=0.05):
    x, y = load(return_X_y=True)
    rng = np.random.default_rng(3)
    return x, np.where(rng.random(len(y)) < rate, rng.integers(y.max() + 1, size=len(y)), y)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_equals_refits(load, penalty):
    x, y = noisy(load)
    assert_like_refits(Samples.of(x, y), planned(y, KFold(5, 2)), penalty, atol=1e-2 if penalty < 1 else 1e-4)


@pytest.mark.slow
def test_ranks_digits_as_refits_do():
    x, y = (part[:500] for part in noisy(load_digits))
    samples, plan = Samples.of(x, y), planned(y, KFold(3, 2)).select(range(1))
    every, truth = np.zeros(len(y)), np.zeros(len(y))
    for (rows, predictions, _), member in zip(views(Logistic(), samples, plan), plan.members(), strict=True):
        every[rows] = predictions[np.arange(len(rows)), y[rows]]
        truth[rows] = refit(samples, member, 1.0)[np.arange(len(rows)), y[rows]]
    assert np.abs(every - truth).max() < 1e-3
    assert spearmanr(every, truth)[0] > 0.999999


@pytest.mark.slow
@pytest.mark.parametrize("splits", [Subsets(12, 0.5), LeaveOneOut()], ids=["subsets", "one out"])
def test_other_splits_equal_refits(splits, monkeypatch):
    monkeypatch.setattr(logistic, "_MAX_BATCH", 7)
    x, y = noisy(load_iris)
    at = np.random.default_rng(0).permutation(150)[:60]
    assert_like_refits(Samples.of(x[at], y[at]), planned(y[at], splits))


@pytest.mark.slow
def test_missing_constant_and_single_features_equal_refits():
    rng = np.random.default_rng(1)
    x, y = noisy(load_iris)
    x[rng.random(x.shape) < 0.15] = np.nan
    rare = np.zeros(150)
    rare[7] = 3.0
    # Varies outside the member that holds row 7 out; constant; rarely known; far from zero.
    sparse = np.where(rng.random(150) < 0.03, rng.normal(size=150), np.nan)
    sparse[:2] = 1.0, 2.0
    wide = np.column_stack([x, rare, np.full(150, 4.0), sparse, 1e5 + 10 * rng.normal(size=150)])
    plan = planned(y, KFold(5, 2))
    assert_like_refits(Samples.of(wide, y), plan)
    assert_like_refits(Samples.of(x[:, 2:3], y), plan)


def test_values_known_only_where_they_are_held_out_count_for_nothing():
    x, y = noisy(load_iris)
    plan = planned(y, KFold(3, 2))
    only = np.full(150, np.nan)
    first = plan.rounds[0].fold == 1
    only[first] = np.arange(first.sum())
    assert_like_refits(Samples.of(np.column_stack([x, only]), y), plan)


@pytest.mark.parametrize("labels", [2, 3, 4])
def test_a_class_missing_from_a_training_part(labels):
    """Not to be had by the front door, but by no means a reason to fail."""
    rng = np.random.default_rng(2)
    y = np.repeat(np.arange(labels + 1), 12)
    x = rng.normal(size=(len(y), 3)) + y[:, None]
    fold = np.where(y == 1, 0, rng.integers(3, size=len(y))).astype(np.int32)
    assert_like_refits(Samples.of(x, y), Plan([Round(fold, 3)], np.arange(len(y)), 1, 0))


@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes(classes):
    y = np.repeat(np.arange(classes), 20)
    x = np.column_stack([y * 10 + np.linspace(0, 1, len(y)), np.linspace(0, 1, len(y))])
    assert_like_refits(Samples.of(x, y), planned(y, KFold(4, 2)), 0.01)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_gradient_equals_autograd_and_differences(classes):
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal(size=(700, 4)))
    labels = torch.from_numpy(rng.integers(classes, size=700))
    fold = torch.from_numpy(rng.integers(-1, 3, size=(2, 700)).astype(np.int32))
    parts = TrainingParts(fold, torch.tensor([0, 1, 1]), torch.tensor([2, 0, 1], dtype=torch.int32))
    weights = torch.from_numpy(rng.normal(size=(3, classes, 4)) * 3).requires_grad_()
    expected = torch.stack(
        [
            torch.nn.functional.cross_entropy(rows[fold[t] != k] @ weights[m].T, labels[fold[t] != k], reduction="sum")
            for m, (t, k) in enumerate([(0, 2), (1, 0), (1, 1)])
        ]
    )
    (slope,) = torch.autograd.grad(expected.sum(), weights)
    found, by_hand = losses_and_gradients(rows, labels, parts, weights.detach())
    torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(by_hand, slope)
    step = torch.zeros_like(slope)
    step[1, classes - 1, 2] = 1e-5
    forward, backward = (losses_and_gradients(rows, labels, parts, weights.detach() + s)[0] for s in (step, -step))
    assert float((forward - backward)[1]) / 2e-5 == pytest.approx(float(slope[1, classes - 1, 2]), rel=1e-6)
    assert float((forward - backward)[0]) == 0


def test_whole_objective_has_the_gradient_it_says():
    x, y = noisy(load_iris)
    x[::7, 1] = np.nan
    samples, plan = Samples.of(x, y), planned(y, KFold(3, 2))
    fits = logistic.MemberFits(logistic.build_design(samples), logistic._training_parts(list(plan.members())), 2.0)
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 3, 5)))
    live = torch.arange(6)
    slope = fits._evaluate(weights, live)[1]
    for index in [(0, 0, 0), (3, 1, 2), (5, 2, 4)]:
        step = torch.zeros_like(weights)
        step[index] = 1e-5
        forward, backward = (fits._evaluate(weights + s, live)[0][index[0]] for s in (step, -step))
        assert float(forward - backward) / 2e-5 == pytest.approx(float(slope[index]), rel=1e-5, abs=1e-9)


@pytest.mark.slow
def test_company_and_blocks_change_rounding_only(monkeypatch):
    x, y = noisy(load_wine)
    samples, plan = Samples.of(x, y), planned(y, KFold(5, 4))
    together = views(Logistic(), samples, plan)
    parts = [view for turn in range(4) for view in views(Logistic(), samples, plan.select(range(turn, turn + 1)))]
    monkeypatch.setattr(logistic, "_MAX_BATCH", 3)
    few = views(Logistic(), samples, plan)
    monkeypatch.setattr(softmax, "_SCORES", 1)
    monkeypatch.setattr(softmax, "_MIN_ROWS", 13)
    monkeypatch.setattr(logistic, "_STARTING_FITS", {})
    blocks = views(Logistic(), samples, plan)
    for a, b, c, d in zip(together, parts, few, blocks, strict=True):
        assert a[2] == b[2] == c[2] == d[2]
        for other in (b, c, d):
            np.testing.assert_allclose(other[1], a[1], rtol=0, atol=1e-6)


def test_where_it_starts_leaks_nothing(monkeypatch):
    """Other labels in a held-out part change the start of its member, and nothing of what it predicts there."""
    x, y = noisy(load_iris)
    plan = planned(y, KFold(3, 2)).select(range(1))
    other = np.where(plan.rounds[0].fold == 1, (y + 1) % 3, y)
    first, second = (views(Logistic(), Samples.of(x, labels), plan)[1][1] for labels in (y, other))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-4)
    monkeypatch.setattr(logistic, "_STARTING_FITS", {})
    monkeypatch.setattr(logistic, "_NUMBERS", 20)
    diagonal = views(Logistic(), Samples.of(x, y), plan)[1][1]
    np.testing.assert_allclose(diagonal, first, rtol=0, atol=1e-4)


def test_the_fit_to_all_samples_is_made_once_a_penalty(monkeypatch):
    x, y = noisy(load_iris)
    samples, plan = Samples.of(x, y), planned(y, KFold(3, 2))
    made = []
    fit = logistic._fit_all
    monkeypatch.setattr(logistic, "_fit_all", lambda design, penalty: made.append(penalty) or fit(design, penalty))
    for learner in (Logistic(1.0), Logistic(1.0), Logistic(2.0)):
        views(learner, samples, plan)
    assert made == [1.0, 2.0]


def test_members_that_do_not_converge_say_so(monkeypatch):
    monkeypatch.setattr(logistic, "EVALUATIONS", 3)
    x, y = noisy(load_iris)
    with pytest.warns(HardsightWarning, match=r"6 of 6 members .* in 3 evaluations \(largest gradient .* tolerance 1.0e-08"):
        views(Logistic(0.1), Samples.of(x, y), planned(y, KFold(3, 2)))


def test_minimise_on_quadratics_of_unlike_scale():
    rng = np.random.default_rng(0)
    root = torch.from_numpy(rng.normal(size=(6, 8, 8)))
    bend = root @ root.mT + torch.eye(8, dtype=torch.float64) * torch.logspace(-3, 3, 6)[:, None, None]
    goal = torch.from_numpy(rng.normal(size=(6, 8)))
    asked: list[int] = []

    def objective(points, live):
        asked.append(len(live))
        off = points - goal[live]
        slope = (bend[live] @ off[:, :, None]).squeeze(2)
        return 0.5 * (off * slope).sum(1), slope

    tolerance = torch.full((6,), 1e-9, dtype=torch.float64)
    tolerance[2] = 1.0
    found = minimize(objective, torch.zeros(6, 8, dtype=torch.float64), lambda v, live: v, tolerance, 2000)
    assert (found.max_gradient <= tolerance).all()
    assert found.max_gradient[2] > 1e-9
    assert asked == sorted(asked, reverse=True)
    assert found.evaluations == len(asked) < 1000
    at = [0, 1, 3, 4, 5]
    torch.testing.assert_close(found.points[at], goal[at], rtol=0, atol=1e-5)
    done = minimize(objective, goal, lambda v, live: v, tolerance, 2000)
    assert done.evaluations == 1
    exact = torch.linalg.inv(bend)
    newton = minimize(objective, goal + 1, lambda v, live: (exact[live] @ v[:, :, None]).squeeze(2), tolerance, 2000)
    assert newton.evaluations <= 4


def test_minimise_where_a_full_step_overshoots():
    """The least of log cosh from far away: the step of the Hessian at the minimum is far too short or too long."""

    def objective(points, live):
        return torch.log(torch.cosh(points)).sum(1), torch.tanh(points)

    start = torch.tensor([[9.0, -3.0], [0.5, 0.1]], dtype=torch.float64)
    for scale in (0.1, 1.0, 100.0):
        found = minimize(objective, start, lambda v, live, k=scale: k * v, torch.full((2,), 1e-10).double(), 300)
        assert (found.max_gradient <= 1e-10).all()
        assert found.points.abs().max() < 1e-9


@pytest.mark.slow
def test_by_the_front_door():
    x, y = noisy(load_wine)
    named = hs.measure(x, y, learner="logistic", repeats=2)
    given = hs.measure(x, y, learner=hs.Logistic(), repeats=2)
    np.testing.assert_array_equal(named.error, given.error)
    slope = np.arange(len(y)) / 7
    assert np.isfinite(hs.measure(x, slope, learner="logistic", repeats=2).error).all()
    with pytest.raises(InputError, match="logistic is a classifier"):
        hs.measure(x, slope, learner=hs.Logistic())


def test_recipe_and_arguments():
    assert "penalty 2.5" in Logistic(2.5).describe()
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="penalty must be above 0"):
            Logistic(value)
