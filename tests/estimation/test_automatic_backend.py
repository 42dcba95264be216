"""The default backend divides long work of one thread among processes, and changes no byte."""

from multiprocessing import current_process

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB

import hardsight as hs
from hardsight.errors import InputError
from hardsight.estimation.backends import Automatic, Processes, Serial, automatic
from hardsight.estimation.job import plan_job
from hardsight.estimation.request import Execution, Request
from hardsight.estimation.runner import Runner
from hardsight.learners import ForestOOB, Network, SklearnModel
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold

X, Y = load_wine(return_X_y=True)
SAMPLES = hs.Samples.of(X, Y)
BAYES = SklearnModel(GaussianNB())
FOREST = ForestOOB(RandomForestClassifier(n_estimators=30))
NETWORK = Network(epochs=2)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def divided(monkeypatch):
    """The numbers of models that processes were given, with processes that train here."""
    numbers = []

    def run(self, learner, samples, parts, on_progress):
        numbers.append([learner.n_models(part) for part in parts])
        yield from Serial().run(learner, samples, parts, on_progress)

    monkeypatch.setattr(Processes, "run", run)
    return numbers


def make_clock(seconds):
    """Return a clock that shows so many seconds more at every look."""
    times = iter(range(1_000_000))
    return lambda: seconds * next(times)


def run(learner, backend, repeats=6):
    blocks = block_codes(len(Y), None)
    if learner is FOREST:
        plan = Plan([], blocks, repeats, 0)
    else:
        plan = Plan(KFold(5, repeats).split(Y, blocks, split_seed(0)), blocks, repeats, 0)
    models = []
    result = Runner(learner, SAMPLES, backend).run(plan, on_progress=models.append)
    return result.held_out, sum(models)


def same(one, other):
    for name, values in one.state().items():
        assert torch.equal(values, other.state()[name]), name


@pytest.mark.parametrize("learner", [BAYES, FOREST], ids=["by model", "by repeat"])
def test_long_work_is_divided_and_changes_no_byte(two_threads, divided, learner):
    expected, n_models = run(learner, Serial())
    held_out, n_reported = run(learner, Automatic(make_clock(10)))
    same(expected, held_out)
    assert n_reported == n_models
    trained_here = 30 if learner is FOREST else 1
    assert sum(divided[0]) == n_models - trained_here


@pytest.mark.slow
def test_in_real_processes(two_threads, monkeypatch):
    monkeypatch.setattr(automatic, "LONG_SECONDS", 0.0)
    same(run(BAYES, Serial())[0], run(BAYES, Automatic())[0])


def test_a_part_of_a_single_repeat(two_threads, divided):
    same(run(FOREST, Serial(), repeats=1)[0], run(FOREST, Automatic(make_clock(10)), repeats=1)[0])
    same(run(FOREST, Serial(), repeats=3)[0], run(FOREST, Automatic(make_clock(10)), repeats=3)[0])


# Of 30 models, 29 are left: .6 s for each is 17 s.
@pytest.mark.parametrize(("seconds", "is_divided"), [(0.6, False), (0.7, True)])
def test_short_work_stays_in_this_process(two_threads, divided, seconds, is_divided):
    same(run(BAYES, Serial())[0], run(BAYES, Automatic(make_clock(seconds)))[0])
    assert bool(divided) == is_divided


def test_one_thread_networks_and_daemons_stay_in_this_process(two_threads, divided, monkeypatch):
    run(NETWORK, Automatic(make_clock(100)))
    torch.set_num_threads(1)
    run(BAYES, Automatic(make_clock(100)))
    torch.set_num_threads(2)
    monkeypatch.setitem(current_process()._config, "daemon", True)
    run(BAYES, Automatic(make_clock(100)))
    monkeypatch.undo()
    assert not divided


def test_short_memory_means_fewer_processes(two_threads, divided, monkeypatch):
    monkeypatch.setattr(automatic, "free_memory", lambda: 2**30)
    run(BAYES, Automatic(make_clock(100)))
    assert not divided


def test_work_that_cannot_be_given_away_is_done_here(two_threads, monkeypatch):
    def refuse(self, learner, samples, parts, on_progress):
        raise InputError("no space")
        yield

    monkeypatch.setattr(Processes, "run", refuse)
    same(run(BAYES, Serial())[0], run(BAYES, Automatic(make_clock(100)))[0])


def test_only_named_learners_are_divided_unasked():
    def backend(learner, **execution):
        request = Request(learner=learner, execution=Execution(**execution)).checked()
        return plan_job(SAMPLES, request).make_runner().backend

    assert backend("lightgbm") == backend("auto") == Automatic()
    assert backend(GaussianNB()) == Serial()
    assert backend("forest", jobs=1) == backend("forest", backend="serial") == Serial()
    assert backend("forest", jobs=2) == Processes(2)
    assert np.isfinite(hs.measure(X, Y, learner="forest", repeats=2, refine=False).error).all()
