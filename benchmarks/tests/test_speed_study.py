"""The study of speed: that all ways do the same work, and that its figures are what they say."""

import json
import time
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hardsight_bench import speed
from hardsight_bench import tables as words
from hardsight_bench.baselines import Task, refit_classifiers, train_in_loop
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from torch import nn

from hardsight.cli import main
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold

X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)


def task(epochs=2):
    units = block_codes(len(Y))
    plan = Plan(KFold(3, 2).split(Y, units, split_seed(0)), units, 2, 0)
    return Task(X, Y, plan, epochs=epochs, batch=16)


def test_refits_are_those_of_a_naive_loop():
    work = task()
    found = refit_classifiers(work, lambda seed: LogisticRegression())
    total = np.zeros(150)
    for fold, _ in work.plan.rounds:
        for k in range(3):
            model = LogisticRegression().fit(X[fold != k], Y[fold != k])
            own = model.predict_log_proba(X[fold == k])
            total[fold == k] -= own[np.arange(len(own)), Y[fold == k]]
    np.testing.assert_allclose(found, total / 2, rtol=1e-4)


@pytest.mark.parametrize("feed", ["DataLoader", "tensors"])
def test_loops_learn_and_visit_every_training_sample(feed):
    seen = []

    class Spy(nn.Linear):
        def forward(self, x):
            if self.training and torch.is_grad_enabled():
                seen.append(len(x))
            return super().forward(x)

    work = task()
    before = refit_classifiers(work, lambda seed: LogisticRegression(C=1e-9)).mean()
    errors = train_in_loop(work, lambda: nn.Sequential(Spy(4, 16), nn.ReLU(), nn.Linear(16, 3)), feed)
    assert sum(seen) == work.visits == 6 * 100 * 2
    assert errors.shape == (150,)
    assert errors.mean() < before


def test_figures_follow_from_the_times(monkeypatch):
    clock = iter([0.0, 10.0, 20.0, 24.0, 30.0, 31.0, 40.0, 42.0, 50.0, 51.0])
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: next(clock), sleep=lambda seconds: None))
    errors = np.array([0.1, 0.2, 0.4])
    ways = {"slow": lambda: errors, "quick": lambda: errors[::-1]}
    slow, quick = speed.time_case(speed.Case("t", "w", ways, visits=300.0, flops=2e9, reference=lambda: errors), runs=2)
    # The first time of each counts for none.
    assert (slow.seconds, quick.seconds) == (3.0, 1.0)
    assert (slow.ratio, quick.ratio) == (1.0, 3.0)
    assert quick.visits_per_second == 300.0
    assert quick.gflops == 600.0
    assert quick.log_loss == pytest.approx(0.7 / 3)
    assert (slow.spearman, quick.spearman) == (pytest.approx(1.0), pytest.approx(-1.0))
    table = words.speed_section(speed.Case("Title", "What.", ways, 1, 1, lambda: errors), [quick], peak=1200.0)
    assert "## Title\n\nWhat.\n" in table
    assert "| quick | 1.000 | 3.0 | 300 | 600.0 | 50.0% | 0.2333 | -1.0000 |" in table


def test_operations_of_a_visit():
    x = np.zeros((8, 4), np.float32)
    # Forward; back to the weights; nothing asks for the gradient by the inputs.
    assert speed._flops(lambda: nn.Linear(4, 3), x) == 2 * (2 * 4 * 3)


def test_the_peak_is_of_this_machine():
    found = speed.measure_peak(runs=1, side=256)
    start = time.perf_counter()
    torch.ones(256, 256) @ torch.ones(256, 256)
    assert 0 < found < 1e5 * max(time.perf_counter() - start, 1)


def test_growth_doubles_one_size_at_a_time(monkeypatch):
    asked = []

    def views(learner, samples, plan):
        asked.append((len(samples), plan.n_models, len(samples.classes), samples.matrix.shape[1], learner.hidden[0]))
        return []

    monkeypatch.setattr(speed, "_fit_predict", views)
    found = list(speed.measure_growth(1))
    assert [each.what for each in found] == ["samples", "members", "classes", "features", "hidden units"]
    assert all(after == 2 * before for each in found for before, after in pairwise(each.values))
    base = asked[0]
    for index, (each, three) in enumerate(zip(found, zip(*[iter(asked)] * 3, strict=True), strict=True)):
        for value, sizes in zip(each.values, three, strict=True):
            assert sizes == (*base[:index], value, *base[index + 1 :])
    table = words.growth_section([speed.Growth("samples", [1000, 2000], [1.0, 2.5])])
    assert "| samples | 1,000 → 2,000 | 1.00 → 2.50 | 2.50 |" in table


@pytest.mark.parametrize("name", speed.CASES)
def test_all_ways_of_every_case_can_be_called(name):
    case = speed.CASES[name]()
    assert len(case.ways) >= 3
    assert (case.visits > 0) == (case.flops > 0) == (name != "logistic")


@pytest.mark.slow
def test_the_command(monkeypatch):
    errors = np.arange(5.0)
    case = speed.Case("Title", "What.", {"one": lambda: errors, "two": lambda: errors}, 10.0, 1.0, lambda: errors)
    monkeypatch.setattr(speed, "CASES", {"perceptrons": lambda: case})
    monkeypatch.setattr(speed, "measure_growth", lambda runs: [speed.Growth("samples", [1, 2], [1.0, 2.0])])
    shown = CliRunner().invoke(main, ["bench", "speed", "--runs", "1"])
    assert shown.exit_code == 0
    assert "## Title" in shown.output
    assert "| samples | 1 → 2 |" in shown.output
    fields = json.loads(CliRunner().invoke(main, ["bench", "speed", "--runs", "1", "--json"]).output)
    assert [row["way"] for row in fields["perceptrons"]] == ["one", "two"]
    assert fields["growth"] == [{"what": "samples", "values": [1, 2], "seconds": [1.0, 2.0]}]
    assert fields["peak_gflops"] > 0
    wrong = CliRunner().invoke(main, ["bench", "speed", "--case", "warp"])
    assert wrong.exit_code == 2
    assert "unknown case 'warp': choose from perceptrons, growth" in wrong.output
