import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

import hardsight as hs
from hardsight.copies.chance import equal_by_chance
from hardsight.copies.sets import find_exact_copies


def by_chance(features, y):
    samples = hs.Samples.of(features, y)
    return equal_by_chance(samples, int(find_exact_copies(samples).exact.sum()))


def votes(n, rng):
    """Return votes that depend on the party and on each other, and the party."""
    party = rng.integers(0, 2, n)
    wing = rng.normal(size=n) + 2.5 * party
    return pd.DataFrame({f"v{i}": np.where(wing + 0.3 * rng.normal(size=n) > i / 4, "yes", "no") for i in range(10)}), party


def test_tables_of_few_categories_have_equal_rows_by_chance():
    rng = np.random.default_rng(0)
    ship = {"class": rng.integers(1, 4, 900), "adult": rng.random(900) < 0.9, "sex": rng.choice(["m", "f"], 900)}
    assert by_chance(pd.DataFrame(ship), rng.integers(0, 2, 900))
    assert by_chance(*votes(400, rng))
    assert by_chance(rng.integers(0, 4, (600, 4)), rng.normal(size=600))


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_copied_rows_are_not_equal_by_chance(share):
    rng = np.random.default_rng(0)
    digits = datasets.load_digits()
    x, y = datasets.load_breast_cancer(return_X_y=True)
    for features, labels in ((digits.data, digits.target), (x, y), (x, x[:, 0])):
        rows = np.concatenate([np.arange(len(labels)), rng.choice(len(labels), int(share * len(labels)), replace=False)])
        assert not by_chance(features[rows], labels[rows])


def test_other_data_are_never_equal_by_chance():
    assert not by_chance(np.ones((50, 3)), np.arange(50) % 2)
    assert not by_chance(["a b", "c d"] * 25, np.arange(50) % 2)
