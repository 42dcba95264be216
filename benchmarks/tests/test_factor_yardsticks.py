"""The yardsticks of the ledger: interventions as stated, densities against scipy, and a small run through the command."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hardsight_bench import datasets as sets
from hardsight_bench import factor_yardsticks as study
from scipy.stats import multivariate_normal

import hardsight as hs
from hardsight.cli import main


@pytest.fixture(scope="module")
def digits():
    return sets.load_dataset("digits", most=300)


@pytest.mark.parametrize("name", study.INTERVENTIONS)
def test_an_intervention_changes_one_thing(digits, name):
    after = study.intervene(digits, name, np.random.default_rng(0))
    same_x = (after.x[after.rows] == digits.x[after.before]).all(1)
    same_y = after.y[after.rows] == digits.y[after.before]
    assert same_x.all() == (name not in ("blends of classes", "noisy features"))
    assert same_y.all() == (name != "more wrong labels")
    if name in ("half of the data", "rarer classes"):
        assert len(after.y) < len(digits.y)
        sizes = np.bincount(after.y) / np.bincount(digits.y)
        if name == "half of the data":
            np.testing.assert_allclose(sizes, 0.5, atol=0.04)
        else:
            concerned = np.unique(after.y[after.rows])
            assert len(concerned) == 3
            assert (np.delete(sizes, concerned) == 1).all()
            assert sizes[concerned].max() < 0.25
    else:
        assert len(after.rows) == pytest.approx(60, abs=3)
        assert not (same_x & same_y).any()
        untouched = np.delete(np.arange(len(digits.y)), after.rows)
        np.testing.assert_array_equal(after.x[untouched], digits.x[untouched])


@pytest.mark.parametrize(("name", "centres", "deviations"), [
    ("twonorm", np.array([[-1.0], [1.0]]) * 2 / np.sqrt(20) * np.ones((2, 20)), [1, 1]),
    ("three normals", 1.5 * np.eye(3, 5), [1, 1.5, 2]),
])  # fmt: skip
def test_posteriors_are_those_of_the_densities(name, centres, deviations):
    data = study.GENERATORS[name](400, np.random.default_rng(0))
    density = np.stack([multivariate_normal(c, s**2).pdf(data.x) for c, s in zip(centres, deviations, strict=True)], 1)
    np.testing.assert_allclose(data.posterior, density / density.sum(1, keepdims=True), atol=1e-9)
    # Labels are drawn from the posterior: as many of each class as it expects, and right as often as it says.
    np.testing.assert_allclose(data.posterior.mean(0), np.bincount(data.y) / 400, atol=0.06)
    assert data.posterior[np.arange(400), data.y].mean() == pytest.approx((data.posterior**2).sum(1).mean(), abs=0.05)


def test_divergence_is_the_members_mean():
    rng = np.random.default_rng(0)
    posterior, members = rng.dirichlet([1, 1, 1], 20), rng.dirichlet([2, 2, 2], (5, 20))
    difficulty = hs.measure_predictions(members, np.arange(20) % 3)
    expected = (posterior * (np.log(posterior) - np.log(members))).sum(2).mean(0)
    np.testing.assert_allclose(study.divergence(posterior, difficulty), expected, atol=1e-9)


@pytest.mark.slow
def test_the_command(tmp_path):
    options = ["--yardsticks", "--seeds", "1", "--most", "150", "--repeats", "2", "--out", str(tmp_path), "--quiet"]
    result = CliRunner().invoke(main, ["bench", "factors", *options])
    assert result.exit_code == 0, result.output
    for heading in ("Which line moves?", "Is margin ambiguity", "Does each line tell"):
        assert heading in result.output
    moved = pd.read_parquet(tmp_path / "factors-interventions.parquet")
    assert len(moved) == 5 * 5
    assert len(pd.read_parquet(tmp_path / "factors-planted.parquet")) == 3 * 6
    refused = CliRunner().invoke(main, ["bench", "factors", "--repeats", "2"])
    assert refused.exit_code == 2
    assert "--yardsticks" in refused.output
