"""Trust in the ledger: one sentence that the summary, the report and the stored result share, and what it stops."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.datasets import load_iris

import hardsight as hs
from hardsight.attribution.label_noise.confident import ledger_unreliability
from hardsight.cli.summary import print_summary
from hardsight.difficulty.actions import describe_trust
from hardsight.reporting.report.page import render


def flipped():
    X, y = load_iris(return_X_y=True)
    rows = np.random.default_rng(0).choice(150, 12, replace=False)
    y = y.copy()
    y[rows] = (y[rows] + 1) % 3
    return X, y


def measured():
    return hs.measure(*flipped(), learner="ridge", folds=3, repeats=2)


@pytest.fixture(scope="module")
def reliable():
    return measured()


def summary_of(d):
    file = io.StringIO()
    print_summary(d, hardest=3, seconds=1, console=Console(file=file, width=400))
    return file.getvalue()


def test_full_trust_is_not_mentioned(reliable):
    d = reliable
    assert ledger_unreliability(*(torch.tensor(part) for part in (d.p_wrong, d.consensus, d.labels))) == 0
    assert d.ledger_trust == 1
    assert "ledger_trust" not in d.settings
    assert "Trust in" not in summary_of(d) + render(d)
    assert (d.recommended_action == "relabel").sum() > 5


@pytest.mark.parametrize(("unreliability", "advised"), [(0.6, False), (0.1, True)])
def test_little_trust_is_said_everywhere_and_stops_relabelling(unreliability, advised, reliable, monkeypatch, tmp_path):
    monkeypatch.setattr("hardsight.estimation.assemble.ledger_unreliability", lambda *ledger: unreliability)
    d = measured()
    d.save(tmp_path / "d.parquet")
    d = hs.load(tmp_path / "d.parquet")
    assert d.ledger_trust == pytest.approx(1 - unreliability)
    sentence = describe_trust(1 - unreliability)
    assert d.settings["notices"].count(sentence) == 1
    for text in (summary_of(d), render(d)):
        assert sentence[:60] in text
        assert f"Trust in P(label wrong) is {1 - unreliability:.0%}: labels that look wrong may be right." in text
    # The probabilities are what they were.
    np.testing.assert_array_equal(d.p_wrong, reliable.p_wrong)
    assert (len(d.suggestions()) > 0) == advised
    if advised:
        assert "more may be spoilt" in d.forecast(d.suggestions()).describe()


def test_without_a_doubted_label_there_is_nothing_to_trust(monkeypatch):
    monkeypatch.setattr("hardsight.estimation.assemble.ledger_unreliability", lambda *ledger: 0.9)
    X, y = load_iris(return_X_y=True)
    rows = y < 2
    d = hs.measure(X[rows], y[rows], learner="ridge", folds=3, repeats=2)
    assert not (d.p_wrong > 0.5).any()
    assert d.ledger_trust == 1
