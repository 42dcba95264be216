"""Oddity: each measurement against its definition by brute force, on features of all kinds."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf

from hardsight.attribution import oddity as module
from hardsight.attribution.neighbours import find_neighbours
from hardsight.attribution.oddity import Correlations, measure_oddity


def measure(x, blocks=None):
    blocks = np.arange(len(x)) if blocks is None else blocks
    neighbours = find_neighbours(x, None, blocks, np.random.default_rng(0))
    return measure_oddity(x, blocks, neighbours, np.random.default_rng(1))


def correlated(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d))


@pytest.mark.parametrize("d", [6, 90])
def test_residuals_are_those_of_regressions_on_all_other_features(d):
    """Also with more features than samples: both eigendecompositions give the precision of the same matrix."""
    z = correlated(60, d)
    z = (z - z.mean(0)) / z.std(0)
    fit = Correlations.fit(z)
    expected_covariance, shrinkage = ledoit_wolf(z)
    assert fit.other_variance == pytest.approx(max(shrinkage, 1e-4))
    residuals = fit.residuals(z, np.zeros(60, dtype=bool))
    for j in (0, d - 1):
        others = np.delete(np.arange(d), j)
        slope = np.linalg.solve(expected_covariance[np.ix_(others, others)], expected_covariance[others, j])
        variance = expected_covariance[j, j] - slope @ expected_covariance[others, j]
        np.testing.assert_allclose(residuals[:, j], (z[:, j] - z[:, others] @ slope) / np.sqrt(variance), atol=0.02)
    # Distances after decorrelation are those of Mahalanobis.
    white = fit.decorrelate(z)
    np.testing.assert_allclose(
        cdist(white[:5], white), cdist(z[:5], z, "mahalanobis", VI=np.linalg.inv(expected_covariance)), rtol=0.02, atol=1e-3
    )


def test_a_sample_does_not_explain_itself():
    """Rows of the reference get the residuals that the covariance of the others would give them, up to their mean."""
    z = correlated(40, 5)
    z -= z.mean(0)
    fit = Correlations.fit(z)
    covariance = (fit.directions * (fit.variances - fit.other_variance)) @ fit.directions.T + fit.other_variance * np.eye(5)
    without = np.linalg.inv(covariance - fit.share * np.outer(z[7], z[7])) @ z[7]
    with_itself = np.sqrt(np.diag(np.linalg.inv(covariance)))
    np.testing.assert_allclose(fit.residuals(z, np.ones(40, dtype=bool))[7], without / with_itself, rtol=1e-9)


def test_each_measurement_finds_what_it_is_for():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(400, 1))
    x = common + 0.3 * rng.normal(size=(400, 12))
    x[200:] *= 20  # a cluster of another density
    x[:200] += 100
    x[3, 5] += 8  # one feature
    x[5] = 100 + 1.5 * (-1.0) ** np.arange(12)  # usual values that break the correlation
    result = measure(x)
    assert result.largest_residual[:200].argmax() == 3
    assert set(np.argsort(-result.decorrelated_distance[:200])[:2]) == {3, 5}
    assert 5 in np.argsort(-result.rank_distance[:200])[:2]
    assert set(np.argsort(-result.relative_distance)[:2]) == {3, 5}
    assert result.distance.argmax() >= 200


def test_relative_distance_against_brute_force():
    x = np.random.default_rng(3).normal(size=(50, 3))
    x = (x - x.mean(0)) / x.std(0)
    distance = cdist(x, x)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, :10]
    mean = np.take_along_axis(distance, nearest, 1).mean(1)
    result = measure(x)
    np.testing.assert_allclose(result.distance, np.log(mean), atol=1e-5)
    of_neighbours = np.maximum(mean[nearest].mean(1), np.quantile(mean, 0.25))
    np.testing.assert_allclose(result.relative_distance, np.log(mean / of_neighbours), atol=1e-5)


def test_ranks_ignore_the_scale_of_features():
    x = correlated(200, 4)
    np.testing.assert_allclose(measure(np.exp(x / 3)).rank_distance, measure(x).rank_distance, atol=1e-4)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((30, 3)),
        np.eye(5)[np.arange(30) % 5],
        np.where(np.random.default_rng(0).random((30, 4)) < 0.3, np.nan, np.random.default_rng(1).normal(size=(30, 4))),
        np.full((12, 2), np.nan),
        np.random.default_rng(0).normal(size=(12, 40)),
        np.c_[np.arange(30.0), np.arange(30.0), 1e12 * (np.arange(30) == 4)],
    ],
    ids=["constant", "one-hot", "missing", "all missing", "wide", "dependent and huge"],
)
def test_any_numbers_can_be_measured(x):
    result = measure(x)
    assert all(np.isfinite(values).all() for values in result.measurements)


def test_a_missing_value_is_not_odd():
    x = correlated(100, 4)
    x[:, 3] = 5 * x[:, 0]
    whole = measure(x)
    x[8, 3] = np.nan
    assert measure(x).largest_residual[8] < np.quantile(whole.largest_residual, 0.9) + 1


def test_samples_outside_the_reference(monkeypatch):
    """Of many samples some are compared with a part of them, in blocks; what stands out remains the same."""
    monkeypatch.setattr(module, "MAX_REFERENCE_VALUES", 3000)
    monkeypatch.setattr(module, "_MIN_REFERENCE", 300)
    monkeypatch.setattr(module, "BLOCK_VALUES", 500)
    x = correlated(900, 10)
    x[::150, 2] += 12
    result = measure(x)
    assert result.in_reference.sum() == 300
    assert set(np.argsort(-result.largest_residual)[:6]) == set(range(0, 900, 150))
