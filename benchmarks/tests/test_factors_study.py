"""The study of factors: worlds as stated, figures by hand, and a small run through the command."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hardsight_bench import datasets as sets
from hardsight_bench import factors

import hardsight as hs
from hardsight.cli import main


@pytest.fixture(scope="module")
def digits():
    return sets.load_dataset("digits", most=800)


@pytest.mark.parametrize("strange", ["shift", "rotate"])
def test_a_world_is_as_stated(digits, strange):
    truth = factors.make_scenario(digits, strange, np.random.default_rng(0))
    n, counts = len(truth.y), pd.Series(truth.reason).value_counts()
    for factor in ("noise", "margin", "uncertainty"):
        assert counts[factor] == round(0.06 * n)
        assert (truth.hard[factor] == (truth.reason == factor)).all()
    rare = np.unique(truth.y[truth.hard["imbalance"]])
    assert len(rare) == 3
    per_class = np.bincount(truth.y[truth.reason != "noise"], minlength=10)
    assert per_class[rare].max() <= 12
    assert np.delete(per_class, rare).min() >= 60
    # Rare and rightly labelled, whatever else they are; a wrong label of a rare class is none of them.
    assert (truth.hard["imbalance"] == np.isin(truth.y, rare) & (truth.reason != "noise")).all()
    again = factors.make_scenario(digits, strange, np.random.default_rng(0))
    np.testing.assert_array_equal(again.x, truth.x)


def test_confusion_by_hand():
    cause = np.array(["noise", "none", "margin", "margin", "none", "strange", "too few to tell"])
    reason = np.array(["noise", "noise", "margin", "none", "none", "uncertainty", "imbalance"])
    counts, f1 = factors.confusion(cause, reason)
    assert counts.tolist() == [
        [1, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 1, 0]
    ]  # fmt: skip
    # F1 of noise 2/3, of margin 2/3, of none 1/2, of uncertainty 1 (as strange), and 0 of imbalance.
    assert f1 == pytest.approx((2 / 3 + 2 / 3 + 1 / 2 + 1) / 5)


@pytest.mark.slow
def test_the_right_line_stands_out(digits):
    truth = factors.make_scenario(digits, "shift", np.random.default_rng(1))
    rows = pd.DataFrame(
        factors.separation(hs.measure(truth.x, truth.y, repeats=4, estimate=hs.Estimate(adjusted=False)), truth)
    )
    matrix = rows.pivot(index="line", columns="factor", values="auroc")
    for factor, least in (("noise", 0.95), ("imbalance", 0.95), ("margin", 0.85), ("uncertainty", 0.9)):
        assert matrix[factor][factor] > least
        assert matrix[factor].drop("p_wrong").idxmax() == factor


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(factors, "NOISES", (("uniform", 0.2),))
    monkeypatch.setattr(factors, "ATYPICAL_IMAGES", ("shift", "zoom", "rotate"))
    result = CliRunner().invoke(
        main, ["bench", "factors", "--seeds", "1", "--most", "300", "--out", str(tmp_path), "--quiet"]
    )
    assert result.exit_code == 0, result.output
    for heading in ("Lines against factors", "What the cause says", "Is P(label wrong) calibrated?"):
        assert heading in result.output
    rows = pd.read_parquet(tmp_path / "factors-separation.parquet")
    assert len(rows) == 3 * 5 * 4
    assert rows["auroc"].between(0, 1).all()
    assert len(pd.read_parquet(tmp_path / "factors-calibration.parquet")) == 1
