"""Rounding to float32: what tells samples apart must survive it."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from hardsight import Samples
from hardsight.data.encoding import round_columns

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 400)


@pytest.mark.parametrize(
    "column",
    [
        20180130 + 10 * RNG.integers(0, 9, 400) + Y,
        1_700_000_000 + RNG.uniform(0, 60, 400),
        1e8 + RNG.normal(size=400),
        np.where(np.arange(400) < 5, -999, 1_700_000_000 + RNG.uniform(0, 60, 400)),
        np.where(np.arange(400) < 5, np.nan, 1e12 + RNG.normal(size=400)),
        -1e15 + np.arange(400),
        2**60 + np.arange(400),
    ],
)
def test_large_offsets(column):
    exact = column.astype(np.float64)
    for samples in (Samples.of(pd.DataFrame({"x": column, "n": Y / 7}), Y), Samples.of(np.stack([exact, Y / 7], axis=1), Y)):
        rounded = samples.matrix[:, 0].astype(np.float64)
        usual = np.abs(exact) > 1e6
        differences = (rounded - rounded[-1])[usual] - (exact - exact[-1])[usual]
        assert np.abs(differences).max() <= 1e-5 * np.ptp(exact[usual])
        np.testing.assert_array_equal(np.isnan(rounded), np.isnan(exact))


@pytest.mark.parametrize(
    "X",
    [
        load_breast_cancer().data,
        RNG.normal(size=(50, 3)),
        RNG.integers(0, 10**6, (50, 3)),
        np.array([[1e30, 5.0], [2.0, np.nan]]),
        np.zeros((4, 2)),
        np.full((4, 2), 1e9),
    ],
)
def test_ordinary_numbers_are_rounded_as_they_are(X):
    np.testing.assert_array_equal(round_columns(X), X.astype(np.float32))


def test_rare_differences_survive():
    column = np.full(5000, 1e9)
    column[[7, 4001]] += 1
    rounded = round_columns(column[:, None])[:, 0]
    np.testing.assert_array_equal(rounded - rounded[0], column - 1e9)
    np.testing.assert_array_equal(
        round_columns(np.array([[np.nan], [np.nan], [2.5]])), np.float32([[np.nan], [np.nan], [2.5]])
    )
