"""The second estimate on worlds with a known truth, and the check that must refuse it where it is of no use."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from hardsight.measures.control_variate import (
    MIN_SAMPLES,
    HalfEstimate,
    correlation_gain,
    estimate_with_control_variate,
    fit_curve,
    local_mean,
    shrink,
)


class World:
    """Log errors with noise by view, and in-sample losses that follow them up to a scatter."""

    def __init__(self, n=2000, *, views=2, noise=0.8, scatter=0.3, seed=0):
        self.rng = np.random.default_rng(seed)
        self.truth = self.rng.gamma(2.0, size=n) * 2 - 5
        self.fitted = 0.7 * self.truth - 2 + scatter * self.rng.normal(size=n)
        self.views, self.noise, self.n = views, noise, n

    def half(self, fitted=None):
        mean = self.truth + self.noise / self.views**0.5 * self.rng.normal(size=self.n)
        seen = self.fitted if fitted is None else fitted
        return HalfEstimate(np.exp(mean), np.full(self.n, self.views), np.exp(seen + 0.05 * self.rng.normal(size=self.n)))

    def raw(self, *halves):
        return np.mean([h.error for h in halves], axis=0)


def rho(a, b):
    return spearmanr(a, b).statistic


@pytest.mark.parametrize("views", [1, 4])
@pytest.mark.parametrize("noise", [0.4, 1.5])
def test_adjusted_errors_are_nearer_to_the_truth(views, noise):
    world = World(views=views, noise=noise)
    halves = world.half(), world.half()
    found = estimate_with_control_variate(*halves)
    raw = world.raw(*halves)
    assert rho(found.error, world.truth) > rho(raw, world.truth)
    gap = [np.mean((np.log(e) - world.truth) ** 2) for e in (found.error, raw)]
    assert gap[0] < (0.97 if noise == 0.4 else 0.6) * gap[1]
    assert found.gain > 2 * found.gain_se > 0


def test_the_estimate_is_about_as_good_as_the_best_linear_one():
    """With normal scatter the posterior mean has a closed form once noise and scatter are known."""
    world = World(5000, noise=1.0, scatter=0.4)
    halves = world.half(), world.half()
    found = np.log(estimate_with_control_variate(*halves).error)
    y, f = np.log(world.raw(*halves)), np.poly1d(np.polyfit(world.fitted, world.truth, 3))(world.fitted)
    noise, scatter = 1.0 / 4, np.var(world.truth - f)
    best = (y * scatter + f * noise) / (scatter + noise)
    assert np.mean((found - world.truth) ** 2) < 1.1 * np.mean((best - world.truth) ** 2)


@pytest.mark.parametrize("seed", range(5))
def test_noise_in_sample_is_refused(seed):
    world = World(800, seed=seed)
    halves = [world.half(world.rng.normal(size=800)) for _ in range(2)]
    found = estimate_with_control_variate(*halves)
    assert found.error is None
    assert "no clear gain" in found.reason


@pytest.mark.slow
def test_the_check_is_seldom_passed_by_chance():
    passed = 0
    for seed in range(30):
        world = World(200, seed=seed)
        passed += (
            estimate_with_control_variate(*(world.half(world.rng.normal(size=200)) for _ in range(2))).error is not None
        )
    assert passed <= 3


def test_memorised_zeros_are_refused():
    world = World(300)
    halves = [world.half()._replace(in_sample_loss=np.zeros(300)) for _ in range(2)]
    assert estimate_with_control_variate(*halves).reason == (
        "the in-sample losses hardly differ: the models have memorised their training samples"
    )


def test_some_memorised_zeros_do_no_harm():
    world = World(1000)
    some = world.rng.random(1000) < 0.3
    halves = [h._replace(in_sample_loss=np.where(some, 0.0, h.in_sample_loss)) for h in (world.half(), world.half())]
    found = estimate_with_control_variate(*halves)
    assert found.error is not None
    assert np.isfinite(found.error).all()
    assert rho(found.error, world.truth) > rho(world.raw(*halves), world.truth)


def test_memorised_hard_samples_keep_their_error():
    """Samples of large error and small in-sample loss are not drawn down to the easy ones that share that loss."""
    world = World(2000, noise=0.6)
    wrong = world.rng.random(2000) < 0.05
    world.truth = np.where(wrong, 2.0, world.truth)
    halves = world.half(), world.half()
    found, raw = estimate_with_control_variate(*halves).error, world.raw(*halves)
    assert rho(found, world.truth) > rho(raw, world.truth)
    assert np.mean(np.log(found[wrong])) > 2.0 - 0.15
    # One weight for all, from the mean of the squares, is what the heavy tails are for.
    y = np.log(raw)
    f = np.poly1d(np.polyfit(world.fitted, y, 5))(world.fitted)
    square = np.mean((y - f) ** 2)
    plain = f + (y - f) * (square - 0.09) / square
    hard = world.truth >= np.quantile(world.truth, 0.9)
    assert rho(found, world.truth) > rho(plain, world.truth)
    assert roc_auc_score(hard, found) >= roc_auc_score(hard, plain)


def test_samples_unseen_in_one_half_and_few_samples_are_refused():
    world = World(MIN_SAMPLES)
    first, second = world.half(), world.half()
    gone = second._replace(n_views=np.where(np.arange(world.n) == 3, 0, second.n_views))
    assert "both halves" in estimate_with_control_variate(first, gone).reason
    unseen = second._replace(in_sample_loss=np.where(np.arange(world.n) == 3, np.nan, second.in_sample_loss))
    assert "both halves" in estimate_with_control_variate(unseen, first).reason
    short = [HalfEstimate(*(values[1:] for values in half)) for half in (first, second)]
    assert "too few" in estimate_with_control_variate(*short).reason


def test_halves_may_change_places():
    world = World(500)
    first, second = world.half(), world.half()
    one, other = estimate_with_control_variate(first, second), estimate_with_control_variate(second, first)
    np.testing.assert_allclose(one.error, other.error, rtol=1e-12)
    assert one.gain == pytest.approx(other.gain)


def test_views_weigh_the_halves():
    """Three repeats: one half holds two views of each sample and the other one."""
    world = World(3000, noise=1.0)
    one = world.half()._replace(n_views=np.full(3000, 2))
    world.views = 1
    found = estimate_with_control_variate(one, world.half())
    equal = estimate_with_control_variate(one._replace(n_views=np.full(3000, 1)), world.half())
    assert rho(found.error, world.truth) > rho(equal.error, world.truth) - 0.002
    assert found.error is not None


@pytest.mark.slow
@given(st.integers(0, 2**32), st.integers(50, 400))
@settings(max_examples=12, deadline=None)
def test_units_of_the_loss_only_scale_the_estimate(seed, n):
    world = World(n, seed=seed)
    halves = world.half(), world.half()
    one = estimate_with_control_variate(*halves)
    other = estimate_with_control_variate(
        *(h._replace(error=h.error * 7, in_sample_loss=h.in_sample_loss * 3) for h in halves)
    )
    assert one.gain == pytest.approx(other.gain, abs=1e-6)
    if one.error is not None and other.error is not None:
        np.testing.assert_allclose(other.error, one.error * 7, rtol=1e-6)


def test_noise_of_a_neighbourhood_leaves_out_the_sample_itself():
    rng = np.random.default_rng(0)
    curve, unit = rng.normal(size=90), rng.random(90)
    found = local_mean(curve, unit)
    order = np.argsort(curve)
    for place, i in enumerate(order):
        start = min(max(place - 10, 0), 70)
        others = [j for j in order[start : start + 20] if j != i]
        assert found[i] == pytest.approx(np.mean(unit[others]))


def test_the_curve_at_a_sample_is_fitted_without_it():
    rng = np.random.default_rng(0)
    predictor = rng.normal(size=100)
    target = np.sin(predictor) + 0.01 * rng.normal(size=100)
    found = fit_curve(predictor, target)
    assert np.abs(found - np.sin(predictor))[np.abs(predictor) < 1.5].max() < 0.1
    for i in (0, 31, 99):
        moved = fit_curve(predictor, target + 50.0 * (np.arange(100) == i))
        assert moved[i] == pytest.approx(found[i], abs=1e-9)
        assert np.abs(moved - found).max() > 0.1


@pytest.mark.slow
def test_the_posterior_of_one_normal_is_plain_shrinkage():
    rng = np.random.default_rng(0)
    gap = rng.normal(scale=2.0, size=20_000) + rng.normal(size=20_000)
    found = shrink(gap, np.ones(20_000))
    np.testing.assert_allclose(found[np.abs(gap) < 4], 0.8 * gap[np.abs(gap) < 4], atol=0.1)
    assert np.mean((found - 0.8 * gap) ** 2) < 1e-3
    assert np.abs(shrink(gap, np.full(20_000, 1e4))).max() < 0.05
    np.testing.assert_allclose(shrink(gap, np.full(20_000, 1e-12)), gap, rtol=1e-3, atol=1e-4)


def test_the_gain_is_the_difference_of_correlations_and_its_error_that_of_repetitions():
    rng = np.random.default_rng(0)
    gains, errors = [], []
    for _ in range(150):
        truth = rng.normal(size=400)
        adjusted, raw, judge = (truth + s * rng.normal(size=400) for s in (0.5, 0.7, 0.7))
        gain, error = correlation_gain([(adjusted, raw, judge)])
        assert gain == pytest.approx(rho(adjusted, judge) - rho(raw, judge))
        gains.append(gain)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(gains), rel=0.2)
