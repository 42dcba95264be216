"""Kinds of models are compared before the run, and those that are not chosen are witnesses."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import hardsight as hs
from hardsight.estimation import learner_comparison
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
    # Consensus, three other kinds of models, neighbours.
    assert len(d.run.evidence_weights) == 5
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
