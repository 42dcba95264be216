"""The pilot that chooses how long the default network is trained."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_wine

import hardsight as hs
from hardsight import Samples
from hardsight.cli import main
from hardsight.errors import InputError, LearnerError
from hardsight.estimation import job as jobs
from hardsight.estimation import paired_losses
from hardsight.estimation import training_length as search
from hardsight.estimation.backends import Serial
from hardsight.estimation.runner import Runner, RunResult
from hardsight.learners import InSampleLosses
from hardsight.learners.network.network import Network, format_length
from hardsight.resampling.plan import Plan, block_codes

X, Y = load_wine(return_X_y=True)
# A third of them is wrong, so that the length that is chosen is not the default.
NOISY = np.where(np.arange(len(Y)) % 3 == 0, (Y + 1) % 3, Y)


def checkers(n=600, side=3, seed=0):
    """Squares of a board in two colours: a boundary that takes a network long to learn, and has no noise."""
    x = np.random.default_rng(seed).random((n, 2)) * side
    return x, (np.floor(x).sum(1) % 2).astype(np.int64)


def chance(n=300, seed=0):
    """Labels that have nothing to do with the features: whatever is learned is wrong."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 20)), np.arange(n) % 2


def tried(x, y, *, groups=None, loss="log", seed=0, **more):
    samples = Samples.of(x, y, groups=groups, **more)
    units = block_codes(len(samples), samples.groups)
    return search.search_length(Runner(Network(), samples), Network(), units, seed, loss, lambda _: None)


class Scripted:
    """Stands in for the training: losses by length as they are given, and the plans that were to be carried out."""

    def __init__(self, monkeypatch, losses):
        self.losses, self.plans, self.samples = losses, [], []
        script, run = self, Runner.run

        def scripted(runner, plan, *stop, **more):
            return run(runner, plan, *stop, **more) if stop else script(runner, plan)

        # The runs of the search have no rule to stop them.
        monkeypatch.setattr(Runner, "run", scripted)

    def __call__(self, runner, plan):
        samples = runner.samples
        self.plans.append(plan)
        self.samples.append(samples)
        loss = np.broadcast_to(self.losses[round(runner.learner.length, 2)], len(samples))
        moments = type("Moments", (), {"mean": type("Mean", (), {"numpy": lambda _: loss.copy()})()})()
        moments_by_loss = dict.fromkeys(("log", "brier", "squared"), moments)
        record = type("Record", (), {"moments": moments_by_loss, "classes": None})()
        return RunResult(record, 1, "", [])


# --- which length ------------------------------------------------------------------------------


def test_long_where_the_boundary_takes_long():
    found = tried(*checkers())
    assert found.length == 9
    assert [trial.length for trial in found.trials] == [1, 3, 9]
    assert found.trials[0].loss > 1.5 * found.trials[2].loss
    assert found.models == 15


def test_short_where_there_is_nothing_to_learn():
    found = tried(*chance())
    assert found.length == pytest.approx(1 / 3)
    assert [trial.length for trial in found.trials] == pytest.approx([1 / 3, 1, 3])
    assert found.trials[0].loss < found.trials[1].loss < found.trials[2].loss


def test_numbers_and_their_loss():
    x, y = checkers(400)
    found = tried(x, y + 0.01 * x[:, 0], task="regression", loss="squared")
    assert found.loss == "squared"
    assert found.length > 1
    assert found.trials[-1].loss < 0.2


@pytest.mark.parametrize(
    "losses, lengths, length",
    [
        ({1: 1.0, 3: 0.9, 9: 0.8}, [1, 3, 9], 9),
        ({1: 1.0, 3: 0.9, 9: 0.9}, [1, 3, 9], 3),
        ({1: 1.0, 3: 0.9, 9: 1.2}, [1, 3, 9], 3),
        ({1: 1.0, 3: 1.0, 0.33: 1.1}, [1 / 3, 1, 3], 1),
        ({1: 1.0, 3: 1.0, 0.33: 1.0}, [1 / 3, 1, 3], 1 / 3),
        ({1: 1.0, 3: 1.1, 0.33: 0.9}, [1 / 3, 1, 3], 1 / 3),
    ],
)
def test_the_shortest_that_is_as_good(monkeypatch, losses, lengths, length):
    Scripted(monkeypatch, losses)
    found = tried(X, Y)
    assert [trial.length for trial in found.trials] == pytest.approx(lengths)
    assert found.length == pytest.approx(length)
    assert found.models == 15
    best = min(losses.values())
    assert [t.gap for t in found.trials] == pytest.approx([t.loss - best for t in found.trials])


def test_a_network_that_would_take_very_long_is_not_made_longer(monkeypatch):
    # 5 folds of 178: 400 steps a member.
    for most, lengths in ((1199, [1 / 3, 1]), (1200, [1, 3]), (3599, [1, 3]), (3600, [1, 3, 9])):
        Scripted(monkeypatch, {0.33: 1.5, 1: 1.0, 3: 0.9, 9: 0.8})
        monkeypatch.setattr(search, "MAX_STEPS", most)
        assert [trial.length for trial in tried(X, Y).trials] == pytest.approx(lengths)


# --- what one standard error is ----------------------------------------------------------------


@given(arrays(np.float64, st.integers(3, 40), elements=st.floats(-3, 3)))
def test_the_standard_error_is_that_of_a_mean(gain):
    gap, error = paired_losses.mean_and_error(gain, np.arange(len(gain)))
    assert gap == pytest.approx(gain.mean())
    assert error == pytest.approx(gain.std(ddof=1) / np.sqrt(len(gain)))


def test_samples_of_one_group_count_as_one():
    means = np.random.default_rng(0).normal(size=30)
    once = paired_losses.mean_and_error(means, np.arange(30))
    assert paired_losses.mean_and_error(np.repeat(means, 7), np.repeat(np.arange(30), 7)) == pytest.approx(once)
    assert paired_losses.mean_and_error(np.repeat(means, 7), np.arange(210))[1] < 0.5 * once[1]


@given(arrays(np.float64, st.integers(4, 30), elements=st.floats(-1, 1)), st.floats(0, 1e6), st.integers(0, 29))
def test_one_sample_cannot_decide(gain, more, at):
    units = np.arange(len(gain))
    if not paired_losses.is_significant(gain, units):
        # The one that gains the most gains still more.
        gain[gain.argmax()] += more
        assert not paired_losses.is_significant(gain, units)
    else:
        assert gain.mean() >= gain.std(ddof=1) / np.sqrt(len(gain)) - 1e-9


def test_one_sample_that_gains_everything_does_not_pay():
    gain = np.full(1000, 1e-6)
    gain[3] = 100.0
    assert gain.mean() > gain.std(ddof=1) / np.sqrt(1000)
    gain[4:500] -= 2e-6
    assert not paired_losses.is_significant(gain, np.arange(1000))
    assert not paired_losses.is_significant(np.where(gain > 1, 100.0, 0.0), np.arange(1000))
    group = np.r_[np.zeros(500), np.ones(10), np.full(490, -1e-3)]
    units = np.r_[np.arange(500), np.full(10, 500), np.arange(501, 991)]
    assert not paired_losses.is_significant(group, units)


# --- on which samples --------------------------------------------------------------------------


def test_some_samples_of_many(monkeypatch):
    monkeypatch.setattr(search, "MAX_SAMPLES", 200)
    rng = np.random.default_rng(0)
    y = rng.choice(4, 3000, p=[0.6, 0.3, 0.09, 0.01])
    groups = rng.integers(0, 1000, 3000)
    samples = Samples.of(rng.normal(size=(3000, 2)), y, groups=groups)
    units = block_codes(3000, samples.groups)
    at = search.subsample(samples, units, np.random.default_rng(1), search.MAX_SAMPLES)
    assert 180 <= len(at) <= 230
    assert (np.diff(at) > 0).all()
    outside = np.setdiff1d(np.arange(3000), at)
    assert not set(units[at]) & set(units[outside])
    for c in range(4):
        assert len(set(units[at][y[at] == c])) >= 5
    shares = np.bincount(y[at], minlength=4) / len(at)
    assert shares[:2] == pytest.approx([0.6, 0.3], abs=0.1)
    other = search.subsample(samples, units, np.random.default_rng(2), search.MAX_SAMPLES)
    assert not np.array_equal(at, other)


def test_small_classes_are_kept_whole(monkeypatch):
    monkeypatch.setattr(search, "MAX_SAMPLES", 100)
    y = np.r_[np.zeros(2000), [1, 1, 1], np.full(40, 2)].astype(np.int64)
    samples = Samples.of(np.arange(2043.0)[:, None], y)
    at = search.subsample(samples, np.arange(2043), np.random.default_rng(0), search.MAX_SAMPLES)
    counts = np.bincount(y[at])
    assert len(at) == 100
    assert counts[1] == 3
    assert 5 <= counts[2] <= 10
    script = Scripted(monkeypatch, {1: 1.0, 3: 1.0, 0.33: 1.0})
    assert (
        search.search_length(Runner(Network(), samples), Network(), np.arange(2043), 0, "log", lambda _: None).samples == 100
    )
    # A rare class does not reduce the folds.
    assert {plan.rounds[0].n_models for plan in script.plans} == {5}


def test_numbers_are_drawn_without_classes(monkeypatch):
    monkeypatch.setattr(search, "MAX_SAMPLES", 50)
    samples = Samples.of(X, np.linspace(0, 1, len(X)), task="regression")
    at = search.subsample(samples, np.arange(len(X)) // 3, np.random.default_rng(0), search.MAX_SAMPLES)
    assert 48 <= len(at) <= 50
    assert all(np.isin(3 * (i // 3), at) for i in at)


def test_groups_stay_whole_and_weights_come_along(monkeypatch):
    script = Scripted(monkeypatch, {1: 1.0, 3: 1.0, 0.33: 1.0})
    monkeypatch.setattr(search, "MAX_SAMPLES", 100)
    groups = np.arange(len(X)) // 2
    found = tried(X, Y, groups=groups, ids=np.arange(1, 179), weights=np.arange(1, 179))
    assert found.samples == len(script.samples[0]) <= 100
    for samples, plan in zip(script.samples, script.plans, strict=True):
        fold = plan.rounds[0].fold
        assert len(plan.rounds) == 1
        assert len({(int(g), int(f)) for g, f in zip(samples.groups, fold, strict=True)}) == len(set(samples.groups))
        np.testing.assert_allclose(samples.weights / samples.ids, samples.weights[-1] / samples.ids[-1])


def test_every_length_sees_the_same_splits_and_none_of_the_run(monkeypatch):
    script = Scripted(monkeypatch, {1: 1.0, 3: 1.0, 0.33: 1.0})
    plans = []
    run = Runner.run

    def of_ridge(runner, plan, *stop, **more):
        if stop:
            plans.append(plan)
            runner = replace(runner, learner=hs.Ridge())
        return run(runner, plan, *stop, **more)

    monkeypatch.setattr(Runner, "run", of_ridge)
    hs.measure(X, Y, repeats=2, seed=5)
    (one,) = {tuple((m.seed, m.fold, tuple(m.train)) for m in plan.members()) for plan in script.plans}
    seeds = {seed for seed, *_ in one}
    parts = {train for *_, train in one}
    assert not seeds & {m.seed for m in plans[0].members()}
    assert not parts & {tuple(m.train) for m in plans[0].members()}
    hs.measure(X, Y, repeats=2, seed=6)
    assert not seeds & {m.seed for m in script.plans[-1].members()}


# --- in a run ----------------------------------------------------------------------------------


def same(one, other):
    for name in ("error", "bias", "variance", "error_se", "n_views", "consensus", "p_wrong"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name


@pytest.mark.slow
def test_a_run_is_that_of_the_length_chosen():
    d = hs.measure(X, NOISY, repeats=2)
    found = d.settings["pilot"]
    assert found["length"] != 1
    assert d.settings["members"] == 10
    assert found["models"] == 5 * len(found["trials"]) == 15
    assert f"{format_length(found['length'])} the default, chosen by the held-out loss of 15 models" in d.settings["reason"]
    same(d, hs.measure(X, NOISY, repeats=2, learner=hs.Network(length=found["length"])))
    again = hs.measure(X, NOISY, repeats=2)
    same(d, again)
    assert json.dumps(d.settings) == json.dumps(again.settings)


@pytest.mark.slow
def test_without_a_pilot_all_is_as_it_was():
    without = hs.measure(X, Y, repeats=2, estimate=hs.Estimate(pilot=False))
    named = hs.measure(X, Y, repeats=2, learner="network")
    same(without, named)
    assert "pilot" not in without.settings
    differing = {key for key, value in named.settings.items() if without.settings[key] != value}
    assert differing == {"reason"}
    asked = hs.measure(X, Y, repeats=2, learner="network", estimate=hs.Estimate(pilot=True))
    assert asked.settings["pilot"] == hs.measure(X, Y, repeats=2).settings["pilot"]


@pytest.mark.parametrize(
    "more", [{"budget": "4 models"}, {"splits": "loo"}, {"learner": "ridge"}, {"learner": hs.Network()}]
)
def test_no_pilot_unless_there_is_room_for_it(monkeypatch, more):
    monkeypatch.setattr(jobs, "search_length", lambda *_, **__: pytest.fail("a pilot"))
    monkeypatch.setattr(
        jobs, "choose", lambda learner, samples: (hs.Network(epochs=1) if learner == "auto" else hs.Ridge(), "")
    )
    with pytest.raises(InputError, match="pilot needs a learner with an open training length"):
        hs.measure(X, Y, **more, estimate=hs.Estimate(pilot=True))
    if "splits" in more:
        monkeypatch.setattr(jobs, "choose", lambda learner, samples: (hs.Ridge(), ""))
    assert "pilot" not in hs.measure(X, Y, **({"repeats": None} | more)).settings


@pytest.mark.parametrize("learner", ["ridge", hs.Network(epochs=3), hs.Network(length=2), "forest"])
def test_only_an_open_length_can_be_chosen(learner):
    with pytest.raises(InputError, match=r"pilot needs a learner with an open training length.* leave out pilot=True"):
        hs.measure(X, Y, learner=learner, estimate=hs.Estimate(pilot=True))


@pytest.mark.slow
def test_subsets_have_a_pilot():
    d = hs.measure(X, Y, splits=hs.Subsets(30, 0.6), loss="zero-one")
    assert d.settings["pilot"]["loss"] == "log"
    assert d.settings["members"] == 30


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_the_same_bytes(tmp_path):
    how = {"repeats": 7, "loss": "brier"}
    short = hs.measure(X, NOISY, **how, budget=1e-9, execution=hs.Execution(checkpoint=tmp_path / "p.npz"))
    assert short.settings["members"] == 25
    resumed = hs.measure(X, NOISY, **how, execution=hs.Execution(checkpoint=tmp_path / "p.npz", resume=True))
    straight = hs.measure(X, NOISY, **how)
    assert resumed.error.tobytes() == straight.error.tobytes()
    assert resumed.settings == straight.settings
    with pytest.raises(InputError, match="the learner changed"):
        hs.measure(
            X,
            NOISY,
            **how,
            execution=hs.Execution(checkpoint=tmp_path / "p.npz", resume=True),
            estimate=hs.Estimate(pilot=False),
        )


@pytest.mark.slow
def test_the_pilot_is_trained_where_the_run_is():
    class Elsewhere:
        def __init__(self):
            self.lengths = []

        def run(self, learner, samples, parts, on_progress):
            network = learner.learner if isinstance(learner, InSampleLosses) else learner
            self.lengths.append(round(network.length, 2))
            yield from Serial().run(learner, samples, parts, on_progress)

    where = Elsewhere()
    d = hs.measure(X, NOISY, repeats=2, execution=hs.Execution(backend=where))
    assert d.settings["refined"]["rounds"] == 1
    assert where.lengths == [1, 3, 0.33, 0.33, 0.33]
    same(d, hs.measure(X, NOISY, repeats=2))


def test_the_time_of_the_pilot_counts(monkeypatch):
    limits = []

    def slow(network, *_, **__):
        time.sleep(0.3)
        return search.LengthSearch(1.0, [], "log", 0, 0)

    def stopped(runner, plan, stop, *_):
        limits.append(stop.seconds)
        raise LearnerError("enough")

    monkeypatch.setattr(jobs, "search_length", slow)
    monkeypatch.setattr(Runner, "run", stopped)
    for pilots in (None, False):
        with pytest.raises(LearnerError, match="enough"):
            hs.measure(X, Y, budget="60s", estimate=hs.Estimate(pilot=pilots))
    assert limits[0] <= 59.7 < limits[1] <= 60


@pytest.mark.slow
def test_what_fails_in_a_pilot_is_told_or_raised(monkeypatch):
    run = Runner.run

    def failing(runner, plan, *stop, **more):
        if stop:
            return run(runner, plan, *stop, **more)
        raise LearnerError("network predicts nan for sample 3")

    monkeypatch.setattr(Runner, "run", failing)
    d = hs.measure(X, Y, repeats=2)
    assert (
        "default training length, because the search for a better one failed: network predicts nan" in d.settings["reason"]
    )
    assert d.settings["pilot"]["length"] == 1
    same(d, hs.measure(X, Y, repeats=2, estimate=hs.Estimate(pilot=False)))
    with pytest.raises(LearnerError, match="predicts nan"):
        hs.measure(X, Y, repeats=2, estimate=hs.Estimate(pilot=True))


@pytest.mark.slow
def test_the_command(tmp_path):
    np.savez(tmp_path / "wine.npz", X=X, y=Y)

    def command(*more):
        out = ["--out", str(tmp_path / "out"), "--repeats", "2"]
        return CliRunner().invoke(main, ["measure", str(tmp_path / "wine.npz"), *out, *more])

    result = command()
    assert result.exit_code == 0, result.output
    assert "the default, chosen by the held-out loss of 15 models" in " ".join(result.output.split())
    assert "choosing the training length" in result.output
    assert "pilot" not in json.loads(command("--no-pilot", "--json", "--quiet").stdout)["settings"]
    refused = command("--pilot", "--learner", "ridge", "--quiet")
    assert refused.exit_code == 1
    assert "pilot needs a learner" in refused.output


# --- length ------------------------------------------------------------------------------------


def test_length_is_a_factor_on_the_steps():
    assert [Network(length=k).steps(800) for k in (1 / 3, 1, 2.5)] == [134, 400, 1000]
    assert Network(length=2).steps(64_000) == 40_000
    assert Network(hidden=(5,)).with_length(3).describe().count("perceptron 5, ") == 1
    assert "3 × the default number of passes" in Network().with_length(3.0).describe()
    assert "1/3 × the default number of passes" in Network().with_length(1 / 3).describe()
    assert "batch 64, the default number of passes" in Network().describe()
    base = Network()
    assert base.with_length(9).length == 9
    assert base.length == 1


def test_a_longer_network_takes_more_steps():
    samples = Samples.of(X, Y)
    plan = Plan(hs.KFold(2, 2).split(Y, block_codes(len(X)), np.random.SeedSequence(0)), block_codes(len(X)), 2, 0)

    def predictions(network):
        return [view.values.numpy() for view in network.fit_predict(samples, plan, lambda _: None)]

    # 89 samples in batches of 64: 288 passes are 400 steps.
    for one, other in zip(predictions(Network(length=0.1)), predictions(Network(epochs=29)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "more, message",
    [
        ({"length": 0}, "length must be above 0"),
        ({"length": float("inf")}, "length must be above 0"),
        ({"length": float("nan")}, "length must be above 0"),
        ({"length": 3, "epochs": 20}, "leave out length"),
    ],
)
def test_lengths_that_cannot_be(more, message):
    with pytest.raises(InputError, match=message):
        Network(**more)
