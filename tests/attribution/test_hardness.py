"""The hardness score: by hand, and from a result."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

import hardsight as hs
from hardsight.attribution.hardness import hardness
from hardsight.measures.held_out import HeldOut


def test_by_hand():
    error, variance, p_wrong = np.array([1.0, 2.0]), np.array([0.999, 0.0]), np.array([0.25, 0.5])
    share = np.array([2.0, 0.5])
    bare = [1.25, 2.5 + np.log(2) + np.log(0.001) / 4]
    np.testing.assert_allclose(hardness(error, variance, p_wrong, share, None, None), bare)
    whole = hardness(error, variance, p_wrong, share, np.array([1.0, -2.0]), np.array([0.999, 0.049]))
    np.testing.assert_allclose(whole, np.add(bare, [0.1, -0.2 + np.log(0.05) / 4]))


def test_higher_is_harder_in_every_part():
    base = {"error": 1.0, "variance": 0.1, "p_wrong": 0.1, "class_share": 0.5, "atypicality": 0.1, "in_sample_loss": 0.1}
    of = {name: np.full(1, value) for name, value in base.items()}
    for name in base:
        change = 0.8 if name == "class_share" else 1.25
        assert hardness(**(of | {name: of[name] * change}))[0] > hardness(**of)[0], name


def test_results_have_the_score(tmp_path):
    x, y = load_wine(return_X_y=True)
    d = hs.measure(x, y, folds=3, repeats=2, learner="network")
    assert list(d.table).index("hardness") == list(d.table).index("noise") - 1 - ("adjusted" in d.table)
    d.save(tmp_path / "d.parquet")
    np.testing.assert_array_equal(hs.load(tmp_path / "d.parquet").hardness, d.hardness)
    np.testing.assert_array_equal(d.select(d.error > 0.1).hardness, d.hardness[d.error > 0.1])
    assert hs.measure(x, y, folds=3, repeats=2, learner="ridge", loss="brier").hardness is None
    share = np.bincount(d.labels)[d.labels] * 3 / len(d)
    without = hardness(d.error, d.variance, d.p_wrong, share, None, None)
    given = hs.measure_predictions(np.stack([d.consensus, d.consensus]), y)
    assert given.hardness == pytest.approx(
        hardness(given.error, given.variance, given.p_wrong, share, None, None), abs=1e-12
    )
    assert np.corrcoef(without, d.hardness)[0, 1] > 0.9


def test_the_in_sample_loss_is_the_mean_of_all_views():
    record = HeldOut(torch.tensor([0, 1]), 2, "log")
    assert record.in_sample_loss is None
    half = torch.full((1, 2), 0.5, dtype=torch.float64).log()
    quarter = torch.tensor([[0.25, 0.75]], dtype=torch.float64).log()
    for repeat, view in enumerate((half, quarter, half)):
        record.add_in_sample(torch.tensor([0]), view, repeat)
    assert record.in_sample_loss is None
    record.add_in_sample(torch.tensor([1]), half, 0)
    np.testing.assert_allclose(record.in_sample_loss, [np.log(16) / 3, np.log(2)])
    assert HeldOut(torch.tensor([0, 1]), 2).in_sample_loss is None
