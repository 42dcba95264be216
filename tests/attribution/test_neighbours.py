"""Nearest neighbours against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardsight.attribution.neighbours import MAX_REFERENCE, N_NEIGHBOURS, find_neighbours


def by_loops(x, labels, blocks):
    """By loops: standardise, clip, and sort all distances to samples of other blocks."""
    z = np.empty_like(x)
    for j in range(x.shape[1]):
        known = x[~np.isnan(x[:, j]), j]
        mean, sd = known.mean(), known.std()
        z[:, j] = [0.0 if np.isnan(v) or sd == 0 else np.clip((v - mean) / sd, -5, 5) for v in x[:, j]]
    result, distance = [], []
    for i in range(len(x)):
        ordered = sorted((float(np.linalg.norm(z[i] - z[j])), labels[j]) for j in range(len(x)) if blocks[j] != blocks[i])
        result.append([label for _, label in ordered[:N_NEIGHBOURS]] + [-1] * (N_NEIGHBOURS - len(ordered)))
        distance.append(np.mean([d for d, _ in ordered[:N_NEIGHBOURS]]) if ordered else np.nan)
    return np.array(result), np.array(distance)


@pytest.mark.slow
@given(st.integers(0, 2**32), st.integers(3, 40), st.booleans(), st.booleans())
def test_as_by_loops(seed, n, missing, grouped):
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(n, 4)) * [1, 10, 0.1, 0], rng.integers(3, size=n)
    if missing:
        x[rng.random(x.shape) < 0.1] = np.nan
        x[0] = rng.normal(size=4)
    blocks = rng.integers(n // 3 + 1, size=n) if grouped else np.arange(n)
    result = find_neighbours(x, labels, blocks, np.random.default_rng(0))
    near, distance = by_loops(x, labels, blocks)
    np.testing.assert_allclose(result.distance, distance, rtol=1e-4, atol=1e-3)
    # Single precision may swap neighbours that are equally far.
    assert (np.sort(result.labels, 1) == np.sort(near, 1)).mean() > 0.95


def test_a_reference_stands_in_for_many():
    rng = np.random.default_rng(0)
    n = MAX_REFERENCE + 1000
    x, labels = rng.normal(size=(n, 3)), rng.integers(2, size=n)
    result = find_neighbours(x, labels, np.arange(n), np.random.default_rng(1))
    assert result.labels.shape == (n, N_NEIGHBOURS)
    assert (result.labels >= 0).all()
    again = find_neighbours(x, labels, np.arange(n), np.random.default_rng(1))
    np.testing.assert_array_equal(result.distance, again.distance)
    assert result.distance.min() > 0


@pytest.mark.parametrize("copies", [2, 15])
def test_copies_are_not_neighbours_of_each_other(copies):
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(30, 3)), copies, axis=0)
    blocks = np.repeat(np.arange(30), copies)
    assert (find_neighbours(x, blocks, blocks, rng).labels != blocks[:, None]).all()


def test_a_block_of_all_samples_has_no_neighbours():
    result = find_neighbours(np.eye(4), np.arange(4), np.zeros(4, dtype=int), np.random.default_rng(0))
    assert (result.labels == -1).all()
    assert np.isnan(result.distance).all()
