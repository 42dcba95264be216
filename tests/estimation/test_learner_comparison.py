"""Kinds of models are compared before the run, and those that are not chosen are witnesses."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import hardsight as hs
from hardsight.estimation import learner_comparison, training_length
from hardsight.estimation.learner_comparison import MAX_SECONDS, seconds_per_model
from hardsight.learners import SklearnModel
from hardsight.learners.tempered import Tempered, fit_temperature


def steps(n, seed):
    """A table whose label is a staircase of one column, which trees learn and small networks do not."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 40, n)
    frame = pd.DataFrame({"rate": x, "other": rng.normal(size=n), "kind": rng.choice(["a", "b"], n)})
    frame["grade"] = np.array(list("ABCD"))[(x.astype(int) * 7) % 4]
    return frame


def test_temperature_of_known_overconfidence():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(scale=2, size=(20_000, 3)))
    label = torch.from_numpy(np.array([rng.choice(3, p=row) for row in logits.softmax(1).numpy()]))
    assert fit_temperature((2.5 * logits).log_softmax(1), label) == pytest.approx(2.5, rel=0.05)
    assert fit_temperature((0.5 * logits).log_softmax(1), label) == pytest.approx(0.5, rel=0.05)


def test_a_temperature_divides_log_probabilities():
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 3
    options = {"folds": 3, "repeats": 2, "refine": False, "estimate": hs.Estimate(calibrate=False)}
    plain = hs.measure(X, y, learner=LogisticRegression(), **options)
    cold = hs.measure(X, y, learner=Tempered(SklearnModel(LogisticRegression()), 0.5), **options)
    # The dual mean of tempered predictions is the tempered dual mean.
    expected = torch.from_numpy(2 * plain.consensus).log_softmax(1)
    np.testing.assert_allclose(cold.consensus, expected, atol=1e-12)
    assert "temperature 0.5" in cold.run.recipe


@pytest.mark.slow
def test_trees_are_taken_where_they_predict_better():
    d = hs.measure(steps(500, 0), "grade", repeats=2, refine=False)
    assert d.run.learner == "lightgbm"
    assert "lightgbm (100 rounds)" in d.run.reason
    assert "lowers the held-out log-loss of networks by" in d.run.reason
    assert "temperature" in d.run.recipe
    again = hs.measure(steps(500, 0), "grade", repeats=2, refine=False)
    assert (d.p_wrong == again.p_wrong).all()
    network = hs.measure(steps(500, 0), "grade", learner="network", repeats=2, refine=False)
    assert d.error.mean() < network.error.mean() - 0.1


@pytest.mark.slow
def test_without_lightgbm_boosting_is_that_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(learner_comparison, "find_spec", lambda name: None)
    d = hs.measure(steps(300, 0), "grade", repeats=2, refine=False)
    assert d.run.learner == "boosting"
    assert "HistGradientBoostingClassifier(" in d.run.recipe


@pytest.mark.slow
def test_other_kinds_of_models_are_witnesses():
    rng = np.random.default_rng(100)
    frame = steps(500, 1)
    wrong = rng.random(500) < 0.1
    frame.loc[wrong, "grade"] = [{"A": "C", "B": "D", "C": "A", "D": "B"}[each] for each in frame.loc[wrong, "grade"]]
    d = hs.measure(frame, "grade", repeats=2)
    # Consensus, three other kinds of models, neighbours, class centres.
    assert len(d.run.evidence_weights) == 6
    assert d.p_wrong[wrong].mean() > d.p_wrong[~wrong].mean() + 0.5


@pytest.mark.parametrize(
    "options",
    [
        {"estimate": hs.Estimate(pilot=False), "folds": 2, "repeats": 2},
        {"budget": "20 models", "folds": 2},
        {"learner": "network", "folds": 2, "repeats": 2},
    ],
)
def test_nothing_is_compared_where_the_learner_is_not_open(options):
    d = hs.measure(steps(60, 2), "grade", refine=False, **options)
    assert "log-loss (" not in d.run.reason
    assert "lowers the held-out" not in d.run.reason


@pytest.mark.slow
def test_beyond_the_pilot_other_kinds_are_trained_on_all_samples(monkeypatch):
    monkeypatch.setattr(training_length, "MAX_SAMPLES", 150)
    sizes = []
    predict_once = learner_comparison.predict_once

    def counted(runner, plan, on_progress):
        log_prob = predict_once(runner, plan, on_progress)
        sizes.append((runner.learner.name, len(log_prob)))
        return log_prob

    monkeypatch.setattr(learner_comparison, "predict_once", counted)
    frame = steps(300, 3)
    d = hs.measure(frame, "grade", repeats=2, refine=False)
    compared, on_all = sizes[:4], sizes[4:]
    assert {size for _, size in compared} == {150}
    assert {size for _, size in on_all} == {300}
    # Consensus, three other kinds of models, neighbours, class centres.
    assert len(on_all) == 3
    assert len(d.run.evidence_weights) == 6
    sizes.clear()
    monkeypatch.setattr(learner_comparison, "MAX_SECONDS", 0.0)
    without = hs.measure(frame, "grade", repeats=2, refine=False)
    assert len(sizes) == 4
    assert len(without.run.evidence_weights) == 3
    np.testing.assert_array_equal(without.error, d.error)


@pytest.mark.slow
def test_networks_of_the_search_are_not_trained_again(monkeypatch):
    members = []
    fit_predict = hs.Network.fit_predict

    def counted(self, samples, plan, on_progress):
        members.append(plan.n_models)
        return fit_predict(self, samples, plan, on_progress)

    monkeypatch.setattr(hs.Network, "fit_predict", counted)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 3))
    d = hs.measure(pd.DataFrame(x).assign(kind=x[:, 0] + x[:, 1] ** 2 > 1), "kind", folds=3, repeats=2, refine=False)
    assert d.run.learner == "network"
    assert "lightgbm (100 rounds)" in d.run.reason
    assert sum(members) == d.run.training_length["models"] + d.run.n_models


@pytest.mark.slow
def test_trees_keep_their_own_probabilities_if_asked():
    raw = hs.measure(steps(300, 0), "grade", repeats=2, refine=False, estimate=hs.Estimate(calibrate=False))
    assert "temperature" not in raw.run.recipe
    assert raw.run.calibration is None
    d = hs.measure(steps(300, 0), "grade", repeats=2, refine=False)
    assert d.run.calibration["temperature"] == pytest.approx(d.run.calibration["fitted"])


def test_the_time_of_witnesses_grows_with_the_size():
    def seconds(kind, rows, columns=10, classes=2):
        matrix = np.broadcast_to(0.0, (rows, columns))
        return seconds_per_model(kind, SimpleNamespace(matrix=matrix, classes=range(classes)))

    for kind in ("network", "boosting", "forest", "logistic"):
        assert seconds(kind, 10_000) < MAX_SECONDS < seconds(kind, 100_000, 400, 20), kind
        assert seconds(kind, 20_000) >= 2 * seconds(kind, 10_000)
