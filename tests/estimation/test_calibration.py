"""Runs fit one temperature to their own held-out predictions, and everything is derived from calibrated ones."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.optimize import minimize_scalar
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

import hardsight as hs
from hardsight.cli import main
from hardsight.errors import InputError
from hardsight.estimation.calibration import Calibration, Calibrator, fit_calibration, read_calibration
from hardsight.learners import Predictions, SklearnModel
from hardsight.learners.base import Capabilities
from hardsight.learners.tempered import Tempered

X, WINE = load_wine(return_X_y=True)
RNG = np.random.default_rng(0)
Y = np.where(RNG.random(len(WINE)) < 0.2, RNG.integers(3, size=len(WINE)), WINE)
TREE = DecisionTreeClassifier(min_samples_leaf=3)
QUICK = {"folds": 3, "repeats": 2, "refine": False}


class Fixed:
    """Predicts stored log-probabilities, ``(repeat, sample, class)``."""

    name = "fixed"
    capabilities = Capabilities(needs_calibration=True)

    def __init__(self, log_prob):
        self.log_prob = log_prob

    def n_models(self, plan):
        return plan.n_models

    def describe(self):
        return "fixed"

    def fit_predict(self, samples, plan, on_progress):
        for member in plan.members():
            rows = torch.from_numpy(member.held_out)
            yield Predictions(rows, self.log_prob[member.round][rows], member.round)


def overconfident(factor, n=200, repeats=4):
    """Labels drawn from known probabilities, and views whose logits are too large by a factor."""
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=1.5, size=(n, 3))
    y = np.array([rng.choice(3, p=row) for row in torch.from_numpy(logits).softmax(1).numpy()])
    views = logits + rng.normal(scale=0.3, size=(repeats, n, 3))
    return rng.normal(size=(n, 2)), y, torch.from_numpy(factor * views).log_softmax(2)


def log_losses(log_prob, y, temperature):
    return -(log_prob / temperature).log_softmax(-1)[..., torch.arange(len(y)), torch.from_numpy(y)]


@pytest.mark.parametrize("factor, calibrate", [(4.0, None), (4.0, True), (0.2, True)])
def test_everything_is_derived_from_calibrated_predictions(factor, calibrate):
    x, y, log_prob = overconfident(factor)
    d = hs.measure(x, y, learner=Fixed(log_prob), folds=3, repeats=4, estimate=hs.Estimate(calibrate=calibrate))
    # An independent fit: to the first repeat alone.
    best = minimize_scalar(lambda t: float(log_losses(log_prob[0], y, t).mean()), bounds=(0.05, 20), method="bounded").x
    temperature = d.run.calibration["temperature"]
    assert temperature == pytest.approx(best, rel=0.03)
    assert d.run.calibration["predictions"] == len(y)
    losses = log_losses(log_prob, y, temperature)
    np.testing.assert_allclose(d.error, losses.mean(0), rtol=1e-10)
    consensus = (log_prob.mean(0) / temperature).log_softmax(1)
    np.testing.assert_allclose(d.consensus, consensus, atol=1e-10)
    np.testing.assert_allclose(d.error_se, losses.numpy().std(0, ddof=1) / 2, rtol=1e-8)
    # What was asked for needs no notice.
    assert ["--no-calibrate" in notice for notice in d.run.notices if "temperature" in notice] == [True] * (not calibrate)
    assert f"temperature {temperature:.3g}" in d.run.recipe


@pytest.mark.parametrize("factor", [1.0, 0.4])
def test_models_that_are_not_far_too_sure_keep_their_own_loss(factor):
    x, y, log_prob = overconfident(factor)
    d = hs.measure(x, y, learner=Fixed(log_prob), folds=3, repeats=4)
    np.testing.assert_allclose(d.error, log_losses(log_prob, y, 1).mean(0), rtol=1e-10)
    assert d.run.calibration["temperature"] == 1
    assert d.run.calibration["fitted"] == pytest.approx(1.25 * factor, rel=0.05)
    assert not any("temperature" in notice for notice in d.run.notices)
    asked = hs.measure(x, y, learner=Fixed(log_prob), folds=3, repeats=4, estimate=hs.Estimate(calibrate=True))
    assert asked.run.calibration["temperature"] == d.run.calibration["fitted"]
    assert not any("temperature" in notice for notice in asked.run.notices)


def test_without_calibration_the_error_is_that_of_the_models():
    d = hs.measure(X, Y, learner=TREE, **QUICK, estimate=hs.Estimate(calibrate=False))
    calibrated = hs.measure(X, Y, learner=TREE, **QUICK)
    assert d.run.calibration is None
    assert "temperature" not in d.run.recipe
    assert calibrated.run.calibration["temperature"] > 1.5
    assert calibrated.error.mean() < 0.9 * d.error.mean()
    assert (calibrated.variance.mean()) < d.variance.mean()
    np.testing.assert_array_equal(calibrated.predicted, d.predicted)
    # Votes do not change.
    votes = hs.measure(X, Y, learner=TREE, loss="zero-one", **QUICK)
    assert votes.run.calibration is None


def test_the_label_of_a_sample_hardly_matters_for_its_temperature():
    _, y, log_prob = overconfident(4.0)
    changed = y.copy()
    changed[0] = (y[0] + 1) % 3
    first, second = (
        fit_calibration(log_prob[0], torch.from_numpy(each), np.arange(len(y)), always=True) for each in (y, changed)
    )
    assert first.temperature != second.temperature
    assert first.temperature == pytest.approx(second.temperature, rel=0.03)


def test_models_that_are_always_right_are_not_made_ever_surer():
    y = torch.arange(100) % 2
    log_prob = torch.where(y[:, None] == torch.arange(2), 0.9, 0.1).double().log()
    calibration = fit_calibration(log_prob, y, np.arange(100), always=True)
    sharpened = float((log_prob / calibration.temperature).log_softmax(1).exp().max())
    # Laplace's rule: one error more than none, in 102.
    assert sharpened == pytest.approx(101 / 102, abs=1e-4)


@pytest.mark.parametrize("share", [1, 3])
def test_predictions_wait_until_there_is_one_of_each_sample(share):
    _, y, log_prob = overconfident(4.0)
    calibrator = Calibrator(torch.from_numpy(y), np.arange(len(y)), always=True)
    part = [Predictions(rows, log_prob[0][rows], 0) for rows in torch.arange(len(y)).chunk(share)]
    in_sample = Predictions(torch.arange(5), log_prob[1][:5], 0, in_sample=True)
    released = list(calibrator.apply([*part, in_sample]))
    assert calibrator.calibration.predictions == len(y)
    assert [len(each.rows) for each in released] == [len(each.rows) for each in part] + [5]
    for raw, calibrated in zip([*part, in_sample], released, strict=True):
        expected = (raw.values / calibrator.calibration.temperature).log_softmax(1)
        torch.testing.assert_close(calibrated.values, expected)


def test_it_is_as_if_the_learner_had_the_temperature():
    run = {"folds": 3, "repeats": 6, "refine": False}
    record = hs.Record(members=True)
    d = hs.measure(X, Y, learner=TREE, **run, estimate=hs.Estimate(adjusted=True, calibrate=True), record=record)
    tempered = Tempered(SklearnModel(TREE), d.run.calibration["temperature"])
    same = hs.measure(X, Y, learner=tempered, **run, estimate=hs.Estimate(adjusted=True, calibrate=False))
    np.testing.assert_allclose(d.error, same.error, rtol=1e-12)
    np.testing.assert_allclose(d.p_wrong, same.p_wrong, atol=1e-9)
    # Predictions of training samples, too.
    np.testing.assert_allclose(d.hardness, same.hardness, rtol=1e-9)
    assert d.run.adjusted["gain"] == pytest.approx(same.run.adjusted["gain"])


@pytest.mark.slow
def test_workers_change_no_byte():
    one = hs.measure(X, Y, learner=TREE, **QUICK)
    two = hs.measure(X, Y, learner=TREE, **QUICK, execution=hs.Execution(jobs=2))
    assert one.run.calibration == two.run.calibration
    assert one.error.tobytes() == two.error.tobytes()


def test_a_run_that_is_continued_keeps_its_temperature(tmp_path):
    class Interrupted(Fixed):
        die_at = 7

        def fit_predict(self, samples, plan, on_progress):
            for each in super().fit_predict(samples, plan, on_progress):
                if each.repeat == self.die_at:
                    raise KeyboardInterrupt
                yield each

    x, y, log_prob = overconfident(4.0, repeats=10)
    learner = Interrupted(log_prob)
    run = {"folds": 5, "repeats": 10}
    path = tmp_path / "p.npz"
    with pytest.raises(KeyboardInterrupt):
        hs.measure(x, y, learner=learner, **run, execution=hs.Execution(checkpoint=path))
    learner.die_at = 0  # the first repeats are not predicted again
    again = hs.Execution(checkpoint=path, resume=True)
    with pytest.raises(InputError, match="whether predictions are calibrated changed"):
        hs.measure(x, y, learner=learner, **run, execution=again, estimate=hs.Estimate(calibrate=False))
    resumed = hs.measure(x, y, learner=learner, **run, execution=again)
    straight = hs.measure(x, y, learner=Fixed(log_prob), **run)
    assert resumed.run.calibration == straight.run.calibration
    assert resumed.error.tobytes() == straight.error.tobytes()


def test_splits_other_than_folds():
    for splits in (hs.Subsets(20, 0.6), hs.LeaveOneOut()):
        d = hs.measure(X[::3], Y[::3], learner=TREE, splits=splits)
        assert d.run.calibration["predictions"] >= len(X[::3])
        assert d.run.calibration["temperature"] > 1.2


def test_forests_out_of_bag_and_samples_without_a_label():
    y = np.array(["a", "b", "c"])[Y].astype(object)
    y[:6] = None
    forest = hs.ForestOOB(RandomForestClassifier(30))
    options = {"repeats": 2, "refine": False, "unlabelled": "predict"}
    raw = hs.measure(X, y, learner=forest, **options, estimate=hs.Estimate(calibrate=False))
    d = hs.measure(X, y, learner=forest, **options, estimate=hs.Estimate(calibrate=True))
    temperature = d.run.calibration["temperature"]
    odds = [np.log(each.unlabelled["p_predicted"] / (1 - each.unlabelled["p_predicted"])) for each in (raw, d)]
    assert temperature != pytest.approx(1, abs=0.02)
    assert (np.sign(odds[1] - odds[0]) == np.sign(1 - temperature)).mean() > 0.6


def test_the_second_round_has_the_temperature_of_the_first():
    d = hs.measure(X, Y, learner=TREE, folds=3, repeats=2, refine=1)
    assert d.run.refined["members"] == 6
    assert d.run.recipe.count("temperature") == 1


def test_calibration_needs_classes():
    with pytest.raises(
        InputError, match=r"^calibrate needs classes, and these samples have none: leave out calibrate=True$"
    ):
        hs.measure(X, X[:, 0], learner="ridge", estimate=hs.Estimate(calibrate=True), task="regression")
    with pytest.raises(InputError, match=r"calibrate is part of estimate: pass estimate=hs\.Estimate"):
        hs.measure(X, Y, calibrate=False)


@pytest.mark.slow
def test_results_and_commands_carry_it(tmp_path):
    data = tmp_path / "wine.csv"
    np.savetxt(data, np.c_[X[:, :3], Y], delimiter=",", header="a,b,c,kind", comments="")
    saved = {}
    for flag in ((), ("--no-calibrate",)):
        command = ["measure", str(data), "--label", "kind", "--learner", "xgboost", "--folds", "2", "--repeats", "2"]
        out = tmp_path / f"out{len(flag)}"
        done = CliRunner().invoke(main, [*command, "--no-refine", "--quiet", "--out", str(out), *flag])
        assert done.exit_code == 0, done.output
        saved[flag] = hs.load(out / "difficulty.parquet")
        assert ("divided by the temperature" in " ".join(done.output.split())) is not bool(flag)
    assert saved[()].run.calibration["temperature"] > 1.2
    assert saved[("--no-calibrate",)].run.calibration is None


@pytest.mark.parametrize("saved", [[], {}, "x", {"temperature": 1.0}, dict.fromkeys(Calibration._fields, "1")])
def test_a_damaged_calibration_is_refused(saved):
    with pytest.raises(ValueError, match="calibration"):
        read_calibration(saved)
