"""P(strange) of a run: with classes and with numbers, with any loss, and as a cause where the error is small."""

import numpy as np
import pytest

import hardsight as hs

STRANGE = 7


def data(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(120) % 3
    x = rng.normal(size=(120, 6)) + 4 * np.eye(3, 6)[labels]
    x[STRANGE, 5] = 30
    return x, labels


@pytest.mark.parametrize("options", [{}, {"loss": "brier"}, {"task": "regression"}], ids=["classes", "brier", "numbers"])
def test_a_strange_sample_is_found(options):
    x, y = data()
    d = hs.measure(x, y + 0.5 if options.get("task") else y, learner="ridge", repeats=2, **options)
    assert d.p_strange.argmax() == STRANGE
    assert d.p_strange[STRANGE] > 0.9
    assert (d.p_strange > 0.5).sum() <= 3
    assert d.table["p_strange"].iloc[STRANGE] == d.p_strange[STRANGE]


def test_it_is_the_cause_whatever_the_error():
    x, y = data()
    d = hs.measure(x, y, learner="ridge", repeats=2)
    assert d.cause[STRANGE] == "strange"
    assert d.error[STRANGE] < np.log(2)
    assert d.recommended_action[STRANGE] == "look at it"
    np.testing.assert_allclose(d.factors.sum(axis=1), d.error, atol=1e-9)


def test_a_run_without_a_ledger_has_none():
    x, y = data()
    assert hs.measure(x, y, learner="ridge", repeats=2, estimate=hs.Estimate(ledger=False)).p_strange is None


@pytest.mark.parametrize("classes", [True, False])
def test_predictions_with_features(classes):
    x, y = data()
    rng = np.random.default_rng(1)
    views = rng.normal(size=(4, 120, 3) if classes else (4, 120)) / 10
    target = y if classes else rng.normal(size=120)
    d = hs.measure_predictions(views, target, features=x, outputs="logits" if classes else "auto")
    assert d.p_strange.argmax() == STRANGE
    assert (hs.measure_predictions(views, target, outputs="logits" if classes else "auto").p_strange is None) != classes
