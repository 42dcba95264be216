"""Wide data in fewer axes: distances are kept, narrow data are left alone, and models predict as well as without."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import zscore

import hardsight as hs
from hardsight import Samples
from hardsight.learners.network import network as network_module
from hardsight.learners.network.network import build_perceptron
from hardsight.learners.network.rotation import count_axes, is_wide, rotate

RNG = np.random.default_rng(0)
Y = np.arange(60) % 2
X = RNG.normal(size=(60, 1500)) + 0.5 * Y[:, None] * (np.arange(1500) < 100)


def test_distances_are_those_of_standardised_features():
    rotated = rotate(X, adaptive=False)
    assert rotated.inputs.shape == (60, 256)
    assert rotated.inputs.dtype == np.float32
    np.testing.assert_allclose(pdist(rotated.inputs), pdist(zscore(X).clip(-5, 5)), rtol=1e-5)


def test_adam_gets_the_same_cloud_stretched_by_one_factor():
    plain, stretched = rotate(X, adaptive=False), rotate(X)
    factor = np.sqrt(1500 / 256)
    np.testing.assert_allclose(stretched.inputs, factor * plain.inputs, rtol=1e-4, atol=1e-4)
    for each in (plain, stretched):
        assert np.sqrt(np.square(each.inputs).mean()) == pytest.approx(each.scale, rel=1e-3)


def test_missing_values_take_the_mean_and_constant_features_vanish():
    x = X.copy()
    x[3, 7] = x[9, 7] = np.nan
    filled = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    filled[:, 8] = 0
    x[:, 8] = 1e9
    z = filled - filled.mean(0)
    sd = np.nanstd(x, axis=0)
    z = (z / np.where(np.arange(1500) == 8, 1, sd)).clip(-5, 5)
    np.testing.assert_allclose(pdist(rotate(x, adaptive=False).inputs), pdist(z), rtol=1e-5)
    assert np.isfinite(rotate(np.ones((20, 900))).inputs).all()


def test_equal_samples_stay_equal():
    x = X.copy()
    x[1] = x[0]
    inputs = rotate(x).inputs
    np.testing.assert_allclose(inputs[0], inputs[1], atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "wide"),
    [
        ((72, 7129), True),
        ((60, 513), True),
        ((60, 512), False),
        ((1000, 2000), False),
        ((1000, 2501), True),
        ((6000, 99999), False),
    ],
)
def test_only_wide_data_are_rotated(shape, wide):
    assert is_wide(*shape) == wide
    assert count_axes(shape[0]) >= shape[0]


def prepared_width(learner, x=X):
    seen = []

    def look(width, *arguments):
        seen.append(width)
        return build_perceptron(width, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_module, "build_perceptron", look)
        hs.measure(x, Y, learner=learner, folds=2, repeats=2, estimate=hs.Estimate(ledger=False))
    return set(seen)


def test_networks_of_the_user_read_all_features():
    assert prepared_width(hs.Network(hidden=(4,), epochs=1)) == {256}
    assert prepared_width(hs.Network(hidden=(4,), epochs=1, standardize=False)) == {1500}
    assert prepared_width(hs.Network(hidden=(4,), epochs=1), X[:, :500]) == {500}
    own = hs.Network(lambda: torch.nn.Linear(1500, 2), epochs=1, standardize=True)
    assert not own.rotates(Samples.of(X, Y))


def test_the_reason_says_so():
    options = {"learner": hs.Network(hidden=(4,), epochs=1), "folds": 2, "repeats": 2, "estimate": hs.Estimate(ledger=False)}
    d = hs.measure(X, Y, **options)
    assert d.run.reason == "as given; 1,500 features are rotated to 256 axes, which loses nothing"
    narrow = hs.measure(X[:, :50], Y, **options)
    assert narrow.run.reason == "as given"


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_predictions_are_as_good_as_without(optimizer, monkeypatch):
    learner = hs.Network(epochs=30, optimizer=optimizer)
    options = {"learner": learner, "folds": 3, "repeats": 2, "estimate": hs.Estimate(ledger=False)}
    strong = X + 0.3 * Y[:, None] * (np.arange(1500) < 100)
    rotated = hs.measure(strong, Y, **options)
    monkeypatch.setattr(network_module, "is_wide", lambda *shape: False)
    plain = hs.measure(strong, Y, **options)
    accuracy = [(d.predicted == d.labels).mean() for d in (rotated, plain)]
    assert accuracy[1] > 0.85
    assert accuracy[0] > accuracy[1] - 0.05
    assert rotated.error.mean() < plain.error.mean() + 0.1
    assert np.corrcoef(rotated.error, plain.error)[0, 1] > 0.6


def test_targets_are_predicted():
    target = X[:, :100].mean(1) * 10 + 0.01 * RNG.normal(size=60)
    d = hs.measure(X, target, learner=hs.Network(epochs=20), folds=3, repeats=2)
    assert d.error.mean() < np.var(target)


@pytest.mark.slow
def test_other_processes_rotate_alike():
    options = {"learner": hs.Network(hidden=(8,), epochs=2), "folds": 2, "repeats": 4}
    serial = hs.measure(X, Y, **options)
    parallel = hs.measure(X, Y, **options, execution=hs.Execution(jobs=2))
    np.testing.assert_array_equal(serial.error, parallel.error)
