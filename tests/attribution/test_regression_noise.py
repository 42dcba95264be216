"""Noise and outliers of regression, against worlds in which both are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from hardsight.attribution.regression_noise import _running_median, fit_noise


def world(share, seed, n=2000, kind="normal", sd=0.5):
    """Predictions, targets and which of them were exchanged with another sample's."""
    rng = np.random.default_rng(seed)
    prediction = 3 * rng.normal(size=n)
    draw = {"normal": rng.normal, "t3": lambda size: rng.standard_t(3, size=size) / 3**0.5}[kind]
    target = prediction + sd * draw(size=n)
    bad = rng.random(n) < share
    return prediction, np.where(bad, rng.permutation(target), target), bad


def calibration_error(p, truth):
    place = np.minimum((p * 10).astype(int), 9)
    return sum(abs((p - truth)[place == k].sum()) for k in range(10)) / len(p)


@pytest.mark.parametrize("kind", ["normal", "t3"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.4])
def test_outliers_are_counted_and_found(kind, share):
    prediction, target, bad = world(share, 0, kind=kind)
    result = fit_noise(target, prediction)
    assert calibration_error(result.p_outlier, bad) < 0.05
    assert abs(result.p_outlier.mean() - bad.mean()) < 0.04
    if share:
        # Some targets were exchanged for nearly equal ones.
        assert roc_auc_score(bad, result.p_outlier) > 0.88
        assert bad[result.p_outlier > 0.9].mean() > 0.93


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_the_noise_is_that_of_the_world(share):
    variances = [fit_noise(*world(share, seed)[1::-1]).variance for seed in range(3)]
    np.testing.assert_allclose([v.mean() for v in variances], 0.25, rtol=0.15)
    np.testing.assert_allclose([np.median(v) for v in variances], 0.25, rtol=0.15)


def test_noise_may_grow_with_the_prediction():
    rng = np.random.default_rng(0)
    prediction = rng.uniform(0, 1, 4000)
    sd = 0.2 + prediction
    target = prediction + sd * rng.normal(size=4000)
    result = fit_noise(target, prediction)
    inner = (prediction > 0.15) & (prediction < 0.85)
    np.testing.assert_allclose(result.variance[inner], sd[inner] ** 2, rtol=0.3)
    # What is typical at one end is an outlier at the other.
    assert result.p_outlier.sum() < 40
    target[np.argmin(prediction)] += 1.8
    assert fit_noise(target, prediction).p_outlier[np.argmin(prediction)] > 0.8


def test_the_posterior_is_that_of_the_mixture_in_a_normal_world():
    """Against the formula with the world's own parameters."""
    rng = np.random.default_rng(1)
    bad = rng.random(20_000) < 0.1
    residual = rng.normal(size=20_000) + bad * 8 * rng.normal(size=20_000)
    prediction = rng.normal(size=20_000)
    result = fit_noise(prediction + residual, prediction).p_outlier
    as_outlier = 0.1 * norm.pdf(residual, scale=65**0.5)
    truth = as_outlier / (as_outlier + 0.9 * norm.pdf(residual))
    assert np.abs(result - truth).mean() < 0.01


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_a_gross_error_in_few_samples(spread):
    rng = np.random.default_rng(0)
    prediction = rng.normal(size=60)
    target = prediction + rng.normal(size=60)
    target[7] += 12 * spread
    result = fit_noise(target, prediction)
    assert result.p_outlier.argmax() == 7
    assert result.p_outlier[7] > 0.99
    assert np.delete(result.p_outlier, 7).sum() < 3
    assert result.variance.mean() < 2.5


@pytest.mark.slow
@settings(max_examples=10)
@given(st.integers(1, 120), st.integers(0, 9), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_units_and_order_do_not_matter(n, seed, unit, origin):
    rng = np.random.default_rng(seed)
    prediction = rng.normal(size=n)
    target = prediction + rng.standard_t(2, size=n)
    result = fit_noise(target, prediction)
    turn = rng.permutation(n)
    other = fit_noise(origin + unit * target[turn], origin + unit * prediction[turn])
    assert ((result.p_outlier >= 0) & (result.p_outlier <= 1)).all()
    assert (result.variance > 0).all()
    np.testing.assert_allclose(other.p_outlier, result.p_outlier[turn], atol=0.01)
    np.testing.assert_allclose(other.variance, unit**2 * result.variance[turn], rtol=0.05)


def test_running_median_by_brute_force():
    rng = np.random.default_rng(0)
    values, along = rng.random(150), rng.random(150)
    ordered = values[along.argsort()]
    window = round(150**0.8)
    expected = np.empty(150)
    for place, i in enumerate(along.argsort()):
        first = min(max(place - (window - 1) / 2, 0), 150 - window)
        low, high = int(np.floor(first)), int(np.ceil(first))
        medians = [np.median(ordered[k : k + window]) for k in (low, high)]
        expected[i] = medians[0] + (first - low) * (medians[1] - medians[0])
    np.testing.assert_allclose(_running_median(values, along), expected)


def test_samples_of_equal_prediction_share_their_noise():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 4, 400).astype(float)
    result = fit_noise(prediction + rng.normal(size=400), prediction)
    for value in range(4):
        assert len(np.unique(result.variance[prediction == value])) == 1


def test_perfect_and_nearly_perfect_predictions():
    exact = np.arange(20) / 7
    for result in fit_noise(exact, exact):
        assert (result == 0).all()
    target = exact.copy()
    target[3] += 1
    result = fit_noise(target, exact)
    assert np.isfinite(result.variance).all()
    assert result.p_outlier.argmax() == 3
    assert result.p_outlier[3] > 0.9
    assert len(fit_noise(np.empty(0), np.empty(0)).variance) == 0


@pytest.mark.parametrize("factor", [10, 100, 1000, 1e6])
def test_one_target_far_beyond_the_noise_is_an_outlier(factor):
    rng = np.random.default_rng(0)
    prediction = rng.uniform(100, 150, 200)
    target = prediction + 3 * rng.normal(size=200)
    clean = fit_noise(target, prediction)
    target[5] *= factor
    noise = fit_noise(target, prediction)
    assert noise.p_outlier[5] > 0.99
    if factor <= 100:
        np.testing.assert_allclose(noise.variance, clean.variance, rtol=0.5)
