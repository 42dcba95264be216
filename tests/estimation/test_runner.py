"""Ending early, reliability, and runs that are stopped and go on."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, load_wine

import hardsight as hs
from hardsight import Samples
from hardsight.errors import InputError, LearnerError
from hardsight.estimation.checkpoint import Checkpoint
from hardsight.estimation.runner import Runner, StopRule
from hardsight.learners import Predictions
from hardsight.measures import reliability
from hardsight.measures.held_out import HeldOut
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold

X, Y = load_wine(return_X_y=True)


class Noisy:
    """Answers a fixed difficulty by sample plus noise of its own for every member."""

    name = "noisy"

    def __init__(self, noise=1.0, die_at=None, warn=False):
        self.noise, self.die_at, self.warn, self.parts = noise, die_at, warn, []

    def n_models(self, plan):
        return plan.n_models

    def describe(self):
        return f"noise {self.noise}"

    def fit_predict(self, samples, plan, tick):
        self.parts.append(plan.repeat_indices)
        for member in plan.members():
            if member.round == self.die_at:
                raise KeyboardInterrupt
            if self.warn:
                warnings.warn(f"round {min(member.round, 7)}", UserWarning, stacklevel=2)
            rows = member.held_out
            own = np.sin(np.asarray(samples.ids[rows], dtype=np.float64) * 1.7) * 2
            noise = np.random.default_rng(member.seed).normal(size=len(rows)) * self.noise
            logit = torch.from_numpy(own + noise)
            yield Predictions(torch.from_numpy(rows), torch.stack([-logit, logit], dim=1), member.round)
            tick(1)


def planned(repeats=20, n=300, seed=0):
    samples = Samples.of(np.arange(n, dtype=np.float64)[:, None], [0, 1] * (n // 2))
    units = block_codes(n)
    return samples, Plan(KFold(5, repeats).split(samples.labels, units, split_seed(seed)), units, repeats, seed)


def silent(_):
    return None


# --- reliability -------------------------------------------------------------------------------


def test_spearman_brown_is_the_correlation_of_wholes():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200_000)
    quarters = truth[:, None] + rng.normal(size=(200_000, 4))
    half = np.corrcoef(quarters[:, 0], quarters[:, 1])[0, 1]
    whole = np.corrcoef(quarters[:, :2].mean(1), quarters[:, 2:].mean(1))[0, 1]
    assert reliability.spearman_brown(half) == pytest.approx(whole, abs=0.005)
    assert reliability.spearman_brown(-0.2) == 0


@given(st.floats(0.01, 0.99))
def test_more_models_are_more_reliable(half):
    assert half < reliability.spearman_brown(half) < 1


def test_ranking_leaves_out_what_one_half_has_not_seen():
    first = np.array([1.0, 2.0, np.nan, 4.0, 0.0])
    second = np.array([1.0, 3.0, 9.0, 2.0, np.nan])
    half = spearmanr([1, 2, 4], [1, 3, 2]).statistic
    assert reliability.ranking_reliability(first, second) == pytest.approx(2 * half / (1 + half))
    assert np.isnan(reliability.ranking_reliability(first[:2], second[:2]))
    assert np.isnan(reliability.ranking_reliability(np.ones(5), np.nan_to_num(second)))


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [4, 10])
def test_the_reported_reliability_is_the_true_one(repeats):
    """Against the correlation of two independent runs, and against many members in place of the truth."""
    samples, _ = planned(n=3000)

    def run(seed, repeats):
        plan = planned(repeats, n=3000, seed=seed)[1]
        return Runner(Noisy(1.0), samples).run(plan).held_out

    one, other, gold = run(1, repeats), run(2, repeats), run(3, 200)
    error = [r.decompose("log").error.numpy() for r in (one, other, gold)]
    reliability = one.reliability("log")
    assert reliability == pytest.approx(spearmanr(error[0], error[1]).statistic, abs=0.02)
    assert reliability**0.5 == pytest.approx(spearmanr(error[0], error[2]).statistic, abs=0.02)


# --- ending early ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_ends_when_the_ranking_is_reliable():
    samples, plan = planned(50)
    learner = Noisy(1.0)
    done = Runner(learner, samples).run(plan, StopRule(reliability=0.97))
    assert done.stop_reason == "reliability 0.97 reached"
    assert 5 <= done.repeats < 50
    assert done.held_out.reliability("log") >= 0.97
    shorter = Plan(plan.rounds[: done.repeats - 5], plan.blocks, done.repeats - 5, 0)
    before = Runner(Noisy(1.0), samples).run(shorter)
    assert done.repeats == 5 or before.held_out.reliability("log") < 0.97
    assert Runner(Noisy(50.0), samples).run(plan, StopRule(reliability=0.999)).stop_reason == "all repeats done"


def test_a_budget_is_kept_as_far_as_parts_allow():
    samples, plan = planned(50)
    ticks = itertools.count(0, 10)
    done = Runner(Noisy(), samples, clock=lambda: float(next(ticks))).run(plan, StopRule(seconds=100))
    assert done.stop_reason == "budget spent"
    assert done.repeats < 50
    # A part of five turns takes 10 of the clock's seconds and looking at it 20 more: a fourth would end after 110.
    assert done.repeats == 15
    tiny = Runner(Noisy(), samples).run(plan, StopRule(seconds=1e-9))
    assert tiny.repeats == 5
    assert int(tiny.held_out.count.min()) == 5


def test_a_budget_too_small_to_judge_everything_is_an_error():
    n = 300
    samples = Samples.of(np.arange(n, dtype=np.float64)[:, None], [0, 1] * (n // 2))
    rounds = hs.Subsets(100, 0.97).split(samples.labels, block_codes(n), split_seed(0))
    with pytest.raises(InputError, match=r"the budget ends with \d+ samples that have fewer than 2 held-out predictions"):
        Runner(Noisy(), samples).run(Plan(rounds, block_codes(n), 100, 0), StopRule(seconds=1e-9))


@pytest.mark.slow
def test_measure_reports_how_it_ended():
    d = hs.measure(X, Y, learner="ridge", reliability=0.9)
    assert d.settings["reliability"] >= 0.9
    assert d.settings["splits"].startswith("5 folds × 50 repeats, ended after ")
    assert d.settings["splits"].endswith("reliability 0.9 reached")
    assert d.settings["members"] == 5 * d.n_views[0]
    whole = hs.measure(X, Y, learner="ridge", repeats=int(d.n_views[0]))
    np.testing.assert_array_equal(d.error, whole.error)
    assert hs.measure(X, Y, learner="forest", budget="1s").settings["members"] < 5000


def test_more_members_than_one_part_change_nothing():
    """A run ends with the same numbers whether its plan is carried out in one part or in many."""
    samples, plan = planned(12)
    parts, one = Noisy(), Noisy()
    many = Runner(parts, samples).run(plan).held_out
    views = (view[:3] for view in one.fit_predict(samples, plan, silent))
    whole = HeldOut.from_views(torch.from_numpy(samples.labels), 2, views)
    assert len(parts.parts) > len(one.parts) == 1
    assert torch.equal(many.decompose("log").error, whole.decompose("log").error)


@pytest.mark.parametrize(
    "more, message",
    [
        ({"reliability": 1.0}, "reliability must be a number between 0 and 1"),
        (
            {"budget": "soon"},
            "budget must be a time such as 90s, 10min or 2h, or a number of models such as '20 models'. Got 'soon'",
        ),
        ({"budget": 0}, "budget must be more than 0"),
    ],
)
def test_arguments_that_cannot_be_meant(more, message):
    with pytest.raises(InputError, match=message):
        hs.measure(X, Y, learner="ridge", **more)


def test_resuming_needs_a_checkpoint():
    with pytest.raises(InputError, match="resume needs the checkpoint"):
        hs.Execution(resume=True)


def test_progress_of_a_resumed_run_counts_what_was_done(tmp_path):
    samples, plan = planned(15)
    checkpoint = Checkpoint(tmp_path / "p.npz", {"a": "1"})
    with pytest.raises(KeyboardInterrupt):
        Runner(Noisy(die_at=7), samples).run(plan, checkpoint=checkpoint)
    progress = []
    Runner(Noisy(), samples, resume=True).run(plan, on_progress=progress.append, checkpoint=checkpoint)
    assert progress[0] == 25
    assert sum(progress) == 75


# --- going on ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("die_at", [0, 3, 5, 12])
def test_a_resumed_run_holds_the_same_bytes(tmp_path, die_at):
    samples, plan = planned(15)
    checkpoint = Checkpoint(tmp_path / "p.npz", {"a": "1"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(KeyboardInterrupt):
            Runner(Noisy(die_at=die_at, warn=True), samples).run(plan, checkpoint=checkpoint)
        again = Noisy(warn=True)
        resumed = Runner(again, samples, resume=True).run(plan, checkpoint=checkpoint)
        straight = Runner(Noisy(warn=True), samples).run(plan)
    assert again.parts[0].start == 5 * (die_at // 5)
    for name, value in straight.held_out.state().items():
        assert torch.equal(value, resumed.held_out.state()[name]), name
    assert resumed.notices == straight.notices
    assert len(straight.notices) == 8


def test_a_run_that_was_done_is_not_done_again(tmp_path):
    samples, plan = planned(10)
    checkpoint = Checkpoint(tmp_path / "p.npz", {"a": "1"})
    first = Runner(Noisy(), samples).run(plan, StopRule(reliability=0.5), checkpoint=checkpoint)
    learner = Noisy()
    second = Runner(learner, samples, resume=True).run(plan, StopRule(reliability=0.5), checkpoint=checkpoint)
    assert learner.parts == []
    assert (second.repeats, second.stop_reason) == (first.repeats, first.stop_reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more, differs",
    [
        ({"X": X + 1e-3}, "the data changed"),
        ({"y": (Y + 1) % 3}, "the labels changed"),
        ({"ids": np.arange(178) + 1}, "the ids changed"),
        ({"groups": np.arange(178) // 2}, "the groups or duplicates, the splits|the groups or duplicates changed"),
        ({"weights": np.arange(178)}, "the weights changed"),
        ({"learner": hs.Ridge(2.0)}, "the learner changed"),
        ({"repeats": 4}, "the splits changed"),
        ({"seed": 1}, "the seed changed"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_run_is_not_continued(tmp_path, more, differs):
    run = {"X": X, "y": Y, "learner": hs.Ridge(), "repeats": 3}
    path = tmp_path / "p.npz"
    hs.measure(**run, execution=hs.Execution(checkpoint=path))
    with pytest.raises(InputError, match=differs):
        hs.measure(**(run | more), execution=hs.Execution(checkpoint=path, resume=True))
    hs.measure(**run, execution=hs.Execution(checkpoint=path, resume=True))


def test_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "p.npz"
    run = {"learner": "ridge", "repeats": 2}
    hs.measure(X, Y, **run, execution=hs.Execution(checkpoint=path))
    whole = path.read_bytes()
    for damaged in (b"", b"no zip", whole[: len(whole) // 2], whole[:-30], whole.replace(b"NUMPY", b"NUMPX", 3)):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="cannot be read as an unfinished run"):
            hs.measure(X, Y, **run, execution=hs.Execution(checkpoint=path, resume=True))
    np.savez(path, header=np.frombuffer(json.dumps({"schema": 1}).encode(), dtype=np.uint8))
    with pytest.raises(InputError, match="cannot be read as an unfinished run"):
        hs.measure(X, Y, **run, execution=hs.Execution(checkpoint=path, resume=True))


def test_a_checkpoint_that_cannot_be_written_is_said_at_once(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        hs.measure(X, Y, learner="ridge", execution=hs.Execution(checkpoint=tmp_path / "nowhere" / "p.npz"))


def test_a_failing_model_leaves_the_checkpoint_of_the_parts_before(tmp_path):
    class Failing(Noisy):
        def fit_predict(self, samples, plan, tick):
            for view in super().fit_predict(samples, plan, tick):
                bad = view.repeat == 6
                yield view._replace(values=view.values * torch.nan) if bad else view

    samples, plan = planned(10)
    checkpoint = Checkpoint(tmp_path / "p.npz", {})
    with pytest.raises(LearnerError, match="predicts nan"):
        Runner(Failing(), samples).run(plan, checkpoint=checkpoint)
    record = HeldOut(torch.from_numpy(samples.labels), 2)
    assert checkpoint.restore(record) == (5, [], None)
    assert int(record.count.min()) == 5


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_ends_with_the_same_bytes(tmp_path):
    """The real command under SIGKILL, several times over, against a run that nobody stopped."""
    images, labels = load_digits(n_class=3, return_X_y=True)
    np.savez(tmp_path / "digits.npz", X=images[:300], y=labels[:300])
    command = [sys.executable, "-m", "hardsight.cli", "measure", str(tmp_path / "digits.npz"), "--repeats", "8"]
    command += ["--learner", "network", "--no-pilot", "--quiet", "--json"]
    subprocess.run([*command, "--out", str(tmp_path / "straight")], check=True, stdout=subprocess.DEVNULL)
    out = tmp_path / "stopped"
    progress = out / "progress.npz"
    last = None
    for kill in range(2):
        more = ["--resume"] if kill else []
        process = subprocess.Popen([*command, *more, "--out", str(out)], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            now = progress.stat().st_mtime_ns if progress.exists() else None
            if now is not None and now != last:
                last = now
                break
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (out / "difficulty.parquet").exists()
    subprocess.run([*command, "--resume", "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    assert (out / "difficulty.parquet").read_bytes() == (tmp_path / "straight" / "difficulty.parquet").read_bytes()
    assert not progress.exists()
