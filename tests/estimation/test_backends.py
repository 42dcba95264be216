"""Where a run is carried out changes no byte of it, whatever happens to the workers on the way."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from torch import nn

import hardsight as hs
from hardsight import Samples
from hardsight.cli import main
from hardsight.errors import HardsightWarning, InputError, LearnerError
from hardsight.estimation import backends
from hardsight.estimation.backends import base as core
from hardsight.estimation.backends import worker
from hardsight.estimation.runner import Runner, StopRule
from hardsight.learners import InSampleLosses, NeighboursLeaveOneOut, Predictions, capabilities_of
from hardsight.resampling.plan import Plan, Round, block_codes, split_seed
from hardsight.resampling.splitters import KFold, LeaveOneOut

# What stands here is no module that a worker could import.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

X, Y = load_wine(return_X_y=True)
FLOWERS, KINDS = load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def ray():
    """A Ray of two CPUs, started as a user would start one, once."""
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
                 object_store_memory=2**27)  # fmt: skip
        yield ray
        ray.shutdown()
        del os.environ["RAY_USAGE_STATS_ENABLED"]


@pytest.fixture(params=["processes", "ray"])
def where(request):
    """Each backend with workers, with two of them."""
    if request.param == "ray":
        request.getfixturevalue("ray")
    return {"backend": request.param, "jobs": 2}


def same(one, other):
    for name in ("error", "bias", "variance", "error_se", "n_views", "consensus", "predicted", "adjusted"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert (mine is None and theirs is None) or mine.tobytes() == theirs.tobytes(), name
    assert one.settings == other.settings


class Mortal(ClassifierMixin, BaseEstimator):
    """Bayes, but the process that fits it first is killed, as the kernel kills one that takes too much memory."""

    def __init__(self, tomb, always=False):
        self.tomb, self.always = tomb, always

    def fit(self, X, y):
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.tomb, os.O_CREAT | (0 if self.always else os.O_EXCL)))
            os.kill(os.getpid(), signal.SIGKILL)
        self.model_ = GaussianNB().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def predict_proba(self, X):
        return self.model_.predict_proba(X)


class Odd:
    """A learner that is no estimator: says what went on where, and fails as it is told to."""

    name = "odd"

    def __init__(self, fault=None, at=1):
        self.fault, self.at = fault, at

    def n_models(self, plan):
        return plan.n_models

    def describe(self):
        return "odd"

    def fit_predict(self, samples, plan, tick):
        for member in plan.members():
            if member.round == self.at and member.fold == 2 and self.fault is not None:
                raise self.fault()
            rows = torch.from_numpy(member.held_out)
            warnings.warn(f"fold {member.fold}", HardsightWarning, stacklevel=2)
            tick(1)
            yield Predictions(rows, torch.zeros(len(rows), len(samples.classes), dtype=torch.float64), member.round)


class UnreachableError(Exception):
    """Cannot be unpickled: pickle would call it with one argument."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


# --- the same bytes ----------------------------------------------------------------------------

LEARNERS = {
    "network": (lambda: hs.Network(epochs=3), {"repeats": 3}),
    "own module, a closure": (lambda: hs.Network(lambda: nn.Sequential(nn.Linear(13, 9), nn.ReLU(), nn.Linear(9, 3)),
                                                 standardize=True, epochs=2), {"repeats": 2}),
    "estimator": (lambda: LogisticRegression(max_iter=3), {"repeats": 3}),
    "forest": (lambda: hs.ForestOOB(RandomForestClassifier(20)), {"repeats": 3}),
    "ridge": (hs.Ridge, {"repeats": 3}),
    "estimator, one out": (GaussianNB, {"splits": "loo", "loss": "zero-one"}),
    "neighbours, one out": (NeighboursLeaveOneOut, {"splits": "loo"}),
    "not divisible": (Odd, {"repeats": 3}),
    "with in-sample losses": (lambda: hs.SklearnModel(GaussianNB()), {"repeats": 3, "estimate": hs.Estimate(adjusted=True)}),
    "ridge with in-sample losses": (hs.Ridge, {"repeats": 3, "estimate": hs.Estimate(adjusted=True), "loss": "brier"}),
    "numbers with in-sample losses": (
        hs.Ridge, {"repeats": 3, "estimate": hs.Estimate(adjusted=True), "task": "regression"},
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", LEARNERS)
def test_workers_change_no_byte(where, name):
    make, how = LEARNERS[name]
    same(hs.measure(X, Y, learner=make(), **how), hs.measure(X, Y, learner=make(), **how, execution=hs.Execution(**where)))


@pytest.mark.slow
@pytest.mark.parametrize("curve", [nn.Tanh, nn.GELU])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_curved_activations_agree_to_float32(where, curve):
    # What torch computes by exponentials can differ in its last digit from one process to another.
    learner = hs.Network(lambda: nn.Sequential(nn.Linear(13, 9), curve(), nn.Linear(9, 3)), standardize=True, epochs=2)
    here, there = (
        hs.measure(X, Y, learner=learner, repeats=2, seed=2, execution=hs.Execution(**how)) for how in ({}, where)
    )
    np.testing.assert_allclose(here.consensus, there.consensus, rtol=0, atol=1e-6)
    np.testing.assert_allclose(here.error, there.error, rtol=1e-6)
    np.testing.assert_allclose(here.p_wrong, there.p_wrong, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["estimator", "ridge", "forest", "with in-sample losses"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nor_does_the_size_of_the_tasks(name, monkeypatch):
    make, how = LEARNERS[name]
    here = hs.measure(X, Y, learner=make(), **how)
    for size in (1, 5_000):
        monkeypatch.setattr(core, "TASK_BYTES", size)
        same(here, hs.measure(X, Y, learner=make(), **how, execution=hs.Execution(jobs=2)))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["log", "brier"])
def test_in_sample_losses_are_the_same_with_a_record_of_all_predictions(where, loss):
    samples = Samples.of(X, Y)
    units = block_codes(len(X))
    plan = Plan(KFold(5, 3).split(samples.labels, units, split_seed(0)), units, 3, 0, in_sample=True)
    learner, workers = hs.SklearnModel(GaussianNB()), backends.choose_backend(**where)
    here, there = hs.Record(members=True), hs.Record(members=True)
    runners = [
        Runner(learner, samples, *more)
        for more in ((), (backends.Serial(), False, here), (workers,), (workers, False, there))
    ]
    runs = [runner.run(plan, StopRule(loss=loss)).held_out for runner in runners]
    for name, value in runs[0].state().items():
        assert all(torch.equal(value, other.state()[name]) for other in runs), name
    assert all(half.count.sum() > 0 for half in runs[0].in_sample_halves)
    pd.testing.assert_frame_equal(here.table, there.table)


@pytest.mark.slow
def test_tables_and_numbers_to_predict_travel_too(where):
    frame, target = load_diabetes(return_X_y=True, as_frame=True)
    frame = frame.assign(kind=pd.Categorical(np.where(frame["sex"] > 0, "a", "b")))
    how = {"learner": "ridge", "repeats": 2}
    same(hs.measure(frame, target, **how), hs.measure(frame, target, **how, execution=hs.Execution(**where)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hardsight.errors.HardsightWarning")
def test_a_stopped_run_goes_on_somewhere_else(tmp_path, where):
    how = {"learner": GaussianNB(), "repeats": 12}
    checkpoint = tmp_path / "p.npz"
    with pytest.raises(LearnerError, match="no more"):
        hs.measure(
            X,
            Y,
            learner=Odd(lambda: LearnerError("no more"), at=7),
            repeats=12,
            execution=hs.Execution(checkpoint=checkpoint, **where),
        )
    assert checkpoint.exists()
    checkpoint.unlink()
    short = hs.measure(X, Y, **how, budget=1e-9, execution=hs.Execution(checkpoint=checkpoint, **where))
    assert short.settings["members"] == 25
    same(hs.measure(X, Y, **how, execution=hs.Execution(checkpoint=checkpoint, resume=True)), hs.measure(X, Y, **how))


# --- workers that die --------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_worker_changes_no_byte(where, tmp_path):
    tomb = str(tmp_path / "tomb")
    killed = hs.measure(X, Y, learner=Mortal(tomb), repeats=4, execution=hs.Execution(**where))
    assert Path(tomb).exists()
    same(hs.measure(X, Y, learner=Mortal(tomb), repeats=4), killed)


@pytest.mark.slow
def test_workers_that_always_die_are_one_error(where, tmp_path, monkeypatch):
    monkeypatch.setattr(core, "MAX_RETRIES", 0)
    with pytest.raises(LearnerError, match=r"^a worker died 1 times over the same task, killed or out of memory .*resume"):
        hs.measure(X, Y, learner=Mortal(str(tmp_path / "tomb"), always=True), repeats=2, execution=hs.Execution(**where))


@pytest.mark.slow
@pytest.mark.parametrize("extra", [["--jobs", "2"], ["--backend", "ray", "--jobs", "2"]], ids=["processes", "ray"])
def test_ctrl_c_ends_all_processes_with_one_line(tmp_path, extra):
    """The real command; Ctrl-C in a terminal reaches every process of the group."""
    np.savez(tmp_path / "wine.npz", X=X, y=Y)
    command = [sys.executable, "-m", "hardsight.cli", "measure", str(tmp_path / "wine.npz"), "--quiet"]
    command += ["--repeats", "600", "--out", str(tmp_path / "out"), *extra]
    mark = f"{os.getpid()}-{extra[1]}-{time.time_ns()}"
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"HARDSIGHT_MARK": mark},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "progress.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(marked(mark)) > 1
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    # See test_cli.test_a_real_interrupt_from_outside.
    assert process.returncode in (130, -signal.SIGINT), err
    assert (out, err) == ("", "Interrupted: results are unchanged. --resume continues with the models trained so far.\n")
    deadline = time.monotonic() + 10
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not marked(mark)


def marked(mark):
    """Processes that descend from the one that was given the mark."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in environ.read_bytes():
                found.append(environ.parent.name)
    return found


# --- what learners say -------------------------------------------------------------------------


@pytest.mark.slow
def test_faults_arrive_as_they_are(where):
    with pytest.raises(LearnerError, match=r"^no more$") as one:
        hs.measure(X, Y, learner=Odd(lambda: LearnerError("no more")), repeats=2, execution=hs.Execution(**where))
    assert one.value.__cause__ is None
    assert not getattr(one.value, "__notes__", [])
    with pytest.raises(LearnerError, match=r"^LogisticRegression failed on member 0 of round 0: "):
        hs.measure(X, Y, learner=LogisticRegression(C=-1.0), repeats=2, execution=hs.Execution(**where))
    with pytest.raises(ZeroDivisionError, match=r"^a bug\n") as bug:
        hs.measure(X, Y, learner=Odd(lambda: ZeroDivisionError("a bug")), repeats=2, execution=hs.Execution(**where))
    assert "in fit_predict" in bug.value.__notes__[0]
    with pytest.raises(RuntimeError, match=r"^UnreachableError: far away\n"):
        hs.measure(X, Y, learner=Odd(lambda: UnreachableError("far", "away")), repeats=2, execution=hs.Execution(**where))


@pytest.mark.slow
def test_the_first_fault_of_the_plan_is_told_whichever_comes_first(where):
    class Early(Odd):
        def fit_predict(self, samples, plan, tick):
            if plan.repeat_indices.start == 0:
                time.sleep(0.5)
                raise LearnerError("round 0")
            raise LearnerError("round 1")

    with pytest.raises(LearnerError, match="round 0"):
        hs.measure(X, Y, learner=Early(), repeats=2, execution=hs.Execution(**where))


@pytest.mark.slow
def test_warnings_arrive_once_and_in_order(where):
    with pytest.warns(HardsightWarning) as caught:
        d = hs.measure(X, Y, learner=Odd(), repeats=12, execution=hs.Execution(**where))
    assert [str(w.message) for w in caught] == [f"fold {k}" for k in range(5)]
    assert d.settings["notices"] == [f"HardsightWarning: fold {k}" for k in range(5)]
    with pytest.warns(UserWarning, match="failed to converge"):
        hs.measure(X, Y, learner=LogisticRegression(max_iter=2), repeats=2, execution=hs.Execution(**where))


def test_what_cannot_be_sent_is_named(where):
    locked = LogisticRegression()
    locked.lock = threading.Lock()
    learner = hs.SklearnModel(locked)
    with pytest.raises(InputError, match=r"cannot be sent to other processes \(cannot pickle '_thread.lock' object\): keep"):
        hs.measure(X, Y, learner=learner, repeats=2, execution=hs.Execution(**where))


class Unreadable:
    def __reduce__(self):
        return eval, ("1 / 0",)


def test_what_cannot_be_read_over_there_is_named(where):
    learner = Odd()
    learner.extra = Unreadable()
    with pytest.raises(InputError, match=r"cannot be read by another process \(division by zero\): make it importable"):
        hs.measure(X, Y, learner=learner, repeats=2, execution=hs.Execution(**where))


# --- Ray ---------------------------------------------------------------------------------------


def test_ray_is_left_as_it_was_found(ray):
    hs.measure(X, Y, learner="ridge", repeats=2, execution=hs.Execution(backend="ray"))
    assert ray.is_initialized()
    hs.measure(X, Y, learner="ridge", repeats=2, execution=hs.Execution(backend="ray", address="auto"))
    with pytest.raises(
        InputError, match=r"Ray is already connected: leave out address='ray://far:1', or call ray.shutdown\(\)"
    ):
        hs.measure(X, Y, learner="ridge", repeats=2, execution=hs.Execution(backend="ray", address="ray://far:1"))


def test_a_task_that_wants_gpus_is_refused_where_there_are_none(ray):
    with pytest.raises(InputError, match=r"gpus must be 0 or less per task, what the cluster has. Got 0.5"):
        hs.measure(X, Y, learner="ridge", repeats=2, execution=hs.Execution(backend=backends.Ray(gpus=0.5)))


@pytest.mark.slow
def test_the_command_joins_a_cluster_and_starts_one_without_a_word(ray, tmp_path):
    """The same bytes from this process, from a cluster that runs, and from a Ray that is started and stopped."""
    np.savez(tmp_path / "wine.npz", X=X, y=Y)
    measure = ["measure", str(tmp_path / "wine.npz"), "--quiet", "--json", "--learner", "ridge", "--out"]
    here = ray.get_runtime_context().gcs_address
    ways = {"joined": ["--address", here], "own": ["--jobs", "1"]}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "hardsight.cli", *measure, str(tmp_path / name), "--backend", "ray", *extra],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name, extra in ways.items()
    ]  # fmt: skip
    assert CliRunner().invoke(main, [*measure, str(tmp_path / "serial")]).exit_code == 0
    for process in running:
        out, err = process.communicate(timeout=600)
        assert (process.returncode, err) == (0, "")
        assert out.count("\n") == 1
    files = {(tmp_path / name / "difficulty.parquet").read_bytes() for name in ("serial", *ways)}
    assert len(files) == 1


@pytest.mark.slow
def test_an_address_where_nothing_is(tmp_path):
    code = "import hardsight as hs\nhs.measure([[0.0], [1.0]] * 20, ['a', 'b'] * 20, learner='ridge', duplicates='apart', "
    code += "execution=hs.Execution(backend='ray', address='127.0.0.1:1'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "InputError: Ray at address='127.0.0.1:1' cannot be reached (" in done.stderr.splitlines()[-1]


def test_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"^ray is not installed: pip install 'hardsight\[ray\]'$"):
        hs.measure(X, Y, learner="ridge", execution=hs.Execution(backend="ray"))


# --- arguments ---------------------------------------------------------------------------------


def test_backends_by_name():
    assert (
        backends.choose_backend()
        == backends.choose_backend("serial", 1)
        == backends.choose_backend(jobs=1)
        == backends.Serial()
    )
    assert backends.choose_backend(jobs=3) == backends.choose_backend("processes", 3) == backends.Processes(3)
    assert backends.choose_backend("processes") == backends.Processes(None)
    assert backends.choose_backend(backends.Processes(5)) == backends.Processes(5)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"backend": "serial", "jobs": 2}, "backend='serial' trains in this process alone: leave out jobs=2"),
        ({"address": "auto"}, "address='auto' is for Ray: pass backend='ray'"),
        ({"backend": "processes", "address": "auto"}, "address='auto' is for Ray"),
        (
            {"backend": "dask"},
            "backend must be 'serial', 'processes' or 'ray', or one of hardsight.estimation.backends. Got 'dask'",
        ),
        ({"backend": backends.Serial}, "backend must be"),
        ({"backend": backends.Processes(2), "jobs": 2}, r"backend=Processes\(jobs=2\) already sets the number of jobs"),
        ({"jobs": 0}, "jobs must be 1 or more. Got 0"),
    ],
)
def test_arguments_that_do_not_go_together(given, message):
    with pytest.raises(InputError, match=message):
        hs.measure(X, Y, learner="ridge", execution=hs.Execution(**given))


def test_any_backend_will_do():
    class Backwards:
        """Trains the last turn first."""

        def run(self, learner, samples, parts, on_progress):
            every = [list(learner.fit_predict(samples, part, on_progress)) for part in reversed(parts)]
            yield from reversed(every)

    how = {"learner": GaussianNB(), "repeats": 12}
    same(hs.measure(X, Y, **how), hs.measure(X, Y, **how, execution=hs.Execution(backend=Backwards())))


# --- tasks -------------------------------------------------------------------------------------


def plan_of(sizes):
    return Plan([Round(np.arange(12, dtype=np.int32) % k, k) for k in sizes], np.arange(12), len(sizes), 3)


def who(members):
    return [(m.round, m.fold, m.seed) for m in members]


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=12),
    st.integers(1, 40),
    st.sampled_from([0, 1, core.TASK_BYTES // 5, core.TASK_BYTES // 2 + 1, core.TASK_BYTES, 10 * core.TASK_BYTES]),
    st.booleans(),
    st.data(),
)
def test_tasks_share_out_a_part(sizes, jobs, largest, members, data):
    plan = plan_of(sizes)
    start = data.draw(st.integers(0, len(sizes) - 1))
    part = plan.select(range(start, data.draw(st.integers(start + 1, len(sizes)))))
    tasks = core.divide(part, jobs, largest, by_model=members)
    assert who(m for task in tasks for m in task.members()) == who(part.members())
    counts = [len(list(task.members())) for task in tasks]
    assert counts == [task.n_models for task in tasks]
    each = counts if members else [len(task.repeat_indices) for task in tasks]
    assert max(each) - min(each) <= 1
    assert max(each) <= core.MODELS_PER_TASK
    assert max(each) == 1 or max(each) * largest <= core.TASK_BYTES
    assert len(tasks) >= min(jobs, sum(each))
    if not members:
        assert all(task.model_range is None for task in tasks)


def test_a_part_of_some_models_is_divided_into_these():
    part = plan_of([5, 5, 5]).select(range(1, 3), range(1, 9))
    tasks = core.divide(part, 3, 1, by_model=True)
    assert who(m for task in tasks for m in task.members()) == who(part.members())
    assert [len(list(task.members())) for task in tasks] == [2, 3, 3]


def bytes_of(views):
    return sum(view.rows.nbytes + view.values.nbytes for view in views)


@pytest.mark.parametrize("in_sample", [False, True])
@pytest.mark.parametrize("losses", [False, True])
@pytest.mark.parametrize(
    "make", [GaussianNB, hs.Ridge, lambda: RandomForestClassifier(20)], ids=["members", "turns", "itself"]
)
def test_the_bytes_of_the_largest_views(make, losses, in_sample):
    """Against the views themselves, of folds that are unequal and do not judge all samples."""
    samples, learner = Samples.of(X, Y), make()
    if isinstance(learner, RandomForestClassifier):
        learner, rounds = hs.ForestOOB(learner), []
    else:
        learner = learner if isinstance(learner, hs.Ridge) else hs.SklearnModel(learner)
        drawn = np.random.default_rng(0).choice([-1, 0, 1, 2], len(X), p=[0.2, 0.5, 0.2, 0.1]).astype(np.int32)
        rounds = [Round(drawn, 3), Round((np.arange(len(X)) % 4).astype(np.int32), 4)]
    in_sample = in_sample and bool(rounds)
    plan = Plan(rounds, np.arange(len(X)), 2, 0, in_sample=in_sample)
    used = InSampleLosses(learner, "log") if losses else learner
    members = capabilities_of(learner).divisible
    tasks = [plan.select(range(1), range(k, k + 1)) for k in range(3)] if members else [plan.select(range(1))]
    found = max(bytes_of(used.fit_predict(samples, task, lambda _: None)) for task in tasks)
    assert core.max_bytes(plan.select(range(1)), 3, 1 if losses else 3, by_model=members) == found
    both = core.max_bytes(plan.select(range(2)), 3, 1 if losses else 3, by_model=members)
    second = core.max_bytes(plan.select(range(1, 2)), 3, 1 if losses else 3, by_model=members)
    assert both == max(found, second)


@pytest.mark.parametrize("losses", [False, True])
def test_workers_are_given_as_many_members_as_there_is_room_for(monkeypatch, losses):
    samples = Samples.of(X, Y)
    units = block_codes(len(X))
    plan = Plan(KFold(5, 4).split(samples.labels, units, split_seed(0)), units, 4, 0, in_sample=True)
    # 36 rows of a fold at most, the others in-sample.
    largest = 8 * (36 * 4 + 142 * (2 if losses else 4))
    learner = hs.SklearnModel(GaussianNB())
    learner = InSampleLosses(learner, "log") if losses else learner
    windows, sizes = [], []

    def run_in_order(pool, plans, on_finished, queued):
        windows.append(queued)
        sizes.append([plan.n_models for plan in plans])
        yield from ()

    monkeypatch.setattr(core, "run_in_order", run_in_order)
    for room in (10**9, 7 * largest, 7 * largest - 1, largest, largest - 1, largest // 3, 1):
        monkeypatch.setattr(core, "TASK_BYTES", room)
        for views in core.run_in_pool(Pool(1, None), learner, samples, [plan], lambda _: None):
            list(views)
    assert sizes == [[20], [6, 7, 7], [5] * 4, [1] * 20, [1] * 20, [1] * 20, [1] * 20]
    assert windows == [4, 4, 4, 4, 3, 1, 1]


class Pool:
    """Tasks that end in an order drawn at random, now and then with a death."""

    worker_errors = (ArithmeticError,)

    def __init__(self, jobs, draw):
        self.jobs, self.draw, self.handles, self.deaths, self.most, self.stopped = jobs, draw, 0, {}, 0, None

    def submit(self, turns, only):
        self.handles += 1
        return self.handles, turns.start

    def wait_any(self, handles):
        self.most = max(self.most, len(handles))
        return self.draw(st.lists(st.sampled_from(handles), min_size=1, unique=True))

    def result(self, handle):
        at = handle[1]
        if self.deaths.get(at, 0) < core.MAX_RETRIES and self.draw(st.booleans()):
            self.deaths[at] = self.deaths.get(at, 0) + 1
            raise ArithmeticError
        return str(at).encode()

    def stop(self, handles):
        self.stopped = handles


@given(st.integers(1, 12), st.integers(1, 4), st.data())
def test_results_stand_in_the_order_of_the_plan(count, jobs, data):
    plans = [plan_of([2] * count).select(range(turn, turn + 1)) for turn in range(count)]
    pool, finished = Pool(jobs, data.draw), []
    assert list(core.run_in_order(pool, plans, finished.append)) == [str(turn).encode() for turn in range(count)]
    assert sorted(plan.repeat_indices.start for plan in finished) == list(range(count))
    assert pool.most <= jobs
    assert pool.handles == count + sum(pool.deaths.values())
    assert pool.stopped is None


@given(st.data())
def test_what_is_under_way_is_stopped_when_nobody_asks_for_more(data):
    plans = [plan_of([2] * 9).select(range(turn, turn + 1)) for turn in range(9)]
    pool = Pool(3, data.draw)
    results = core.run_in_order(pool, plans, lambda _: None)
    next(results)
    results.close()
    assert pool.stopped is None or 1 <= len(pool.stopped) <= 3
    assert pool.handles <= 3 + 1 + sum(pool.deaths.values()) + 3 * core.TASKS_AHEAD


def test_a_task_that_always_dies_is_tried_a_few_times():
    class Deadly(Pool):
        def result(self, handle):
            raise ArithmeticError("out of memory")

    pool = Deadly(1, lambda _: [1])
    pool.wait_any = lambda handles: handles
    plans = [plan_of([2]).select(range(1))]
    with pytest.raises(LearnerError, match=r"a worker died 4 times over the same task.*\(out of memory\)"):
        list(core.run_in_order(pool, plans, lambda _: None))
    assert pool.handles == 1 + core.MAX_RETRIES


def test_a_slow_task_does_not_let_results_pile_up():
    class Slow(Pool):
        waited = 0

        def wait_any(self, handles):
            others = [handle for handle in handles if handle[1] != 0]
            return others[:1] or handles

    pool = Slow(2, lambda _: False)
    plans = [plan_of([2] * 50).select(range(turn, turn + 1)) for turn in range(50)]
    results = core.run_in_order(pool, plans, lambda _: None)
    next(results)
    assert pool.handles == 2 * core.TASKS_AHEAD


@pytest.mark.parametrize("tasks_ahead", [1, 2])
def test_fewer_results_wait_where_each_is_large(tasks_ahead):
    pool = Pool(2, lambda _: False)
    pool.wait_any = lambda handles: [handle for handle in handles if handle[1] != 0][:1] or handles
    plans = [plan_of([2] * 50).select(range(turn, turn + 1)) for turn in range(50)]
    results = core.run_in_order(pool, plans, lambda _: None, tasks_ahead)
    next(results)
    assert pool.handles == 2 * tasks_ahead
    assert len(list(results)) == 49


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hardsight.errors.HardsightWarning")
def test_progress_is_told_task_by_task(where):
    samples = Samples.of(X, Y)
    units = block_codes(len(X))
    plan = Plan(KFold(5, 10).split(samples.labels, units, split_seed(0)), units, 10, 0)
    calls = []
    Runner(Odd(), samples, backends.choose_backend(**where)).run(plan, on_progress=calls.append)
    assert sum(calls) == 50
    # Two parts of five turns, which two workers share as two and three.
    assert sorted(calls[1:]) == [10, 10, 15, 15]


def test_a_member_of_a_slice_is_the_member_of_the_whole():
    samples = Samples.of(FLOWERS, KINDS)
    units = block_codes(len(KINDS))
    plan = Plan(LeaveOneOut().split(samples.labels, units, split_seed(0)), units, 1, 0)
    network = hs.Network(epochs=1)
    some = list(network.fit_predict(samples, plan.select(range(1), range(10, 23)), lambda _: None))
    one = [next(network.fit_predict(samples, plan.select(range(1), range(k, k + 1)), lambda _: None)) for k in (10, 22)]
    assert len(some) == 13
    assert torch.equal(some[0].values, one[0].values)
    assert torch.equal(some[12].values, one[1].values)


# --- packing -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::hardsight.errors.HardsightWarning")
def test_views_are_let_go_as_they_are_read():
    samples, plan = (
        Samples.of(X, Y),
        Plan([Round((np.arange(len(X)) % 4).astype(np.int32), 4)] * 2, np.arange(len(X)), 2, 0),
    )
    fault = partial(LearnerError, "no more")
    result = worker.work("key", lambda: (Odd(fault), samples, plan), range(2), None)
    assert len(result) == 4 + 2 + 1
    views = worker.unpack(result)
    for left in (5, 4, 3, 2, 1, 0):
        view = next(views)
        assert len(result) == left
        # They can be written to, as those of this process can.
        view.values[:] = 1.0
    with pytest.raises(LearnerError, match="no more"):
        next(views)


def test_jobs_come_back_from_disk_as_they_were(tmp_path):
    frame = pd.DataFrame({"a": np.arange(500.0), "b": pd.Categorical(list("xy") * 250), "c": list("pqrst") * 100})
    plan = plan_of([3, 4])
    samples = Samples.of(frame, np.arange(500) % 2)
    worker.write_job(tmp_path / "job", (hs.Ridge(), samples, plan))
    learner, found, again = worker.read_job(str(tmp_path / "job"))
    assert learner.describe() == hs.Ridge().describe()
    pd.testing.assert_frame_equal(found.features, samples.features)
    np.testing.assert_array_equal(found.labels, samples.labels)
    assert who(again.members()) == who(plan.members())
    # Learners may change what they are given, as they may here, and change it for nobody else.
    found.labels[:] = 0
    assert worker.read_job(str(tmp_path / "job"))[1].labels.sum() == 250


@pytest.mark.slow
def test_empty_arrays_are_packed_too(tmp_path):
    learner = Odd()
    learner.extra = np.arange(3.0), np.empty((0, 3)), np.empty(0)
    worker.write_job(tmp_path / "job", (learner, Samples.of(X, Y), plan_of([2])))
    three, none, nothing = worker.read_job(str(tmp_path / "job"))[0].extra
    assert three.tolist() == [0, 1, 2]
    assert (none.shape, nothing.shape) == ((0, 3), (0,))


def test_processes_share_the_gpus(monkeypatch):
    selected = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", selected.append)
    for number in (1, 2, 3):
        monkeypatch.setattr(worker, "current_process", lambda number=number: SimpleNamespace(_identity=(number,)))
        worker._select_gpu()
    assert selected == [0, 1, 0]


def test_learners_may_start_processes_of_their_own_in_a_worker():
    X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    y = np.arange(40) % 2

    def train(ids, weights, seed):
        from torch.utils.data import DataLoader, TensorDataset

        (batch,) = DataLoader(TensorDataset(X[ids]), batch_size=len(ids), num_workers=1)
        return batch[0].mean(0)

    loop = hs.Loop(train, lambda mean, ids: X[ids, :2] - mean[:2])
    one, two = (hs.measure(None, y, learner=loop, folds=2, repeats=2, execution=hs.Execution(jobs=jobs)) for jobs in (1, 2))
    assert (one.error == two.error).all()
