"""P(strange): weighs signals by what they show, is calm on ordinary data, and finds strange samples of several kinds."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import roc_auc_score

import hardsight as hs
from hardsight.attribution.neighbours import find_neighbours
from hardsight.attribution.oddity import Oddity, measure_oddity
from hardsight.attribution.strangeness import p_strange, relative_to_class, strange_share, strangeness


def probability(oddity, predicted=None, more=()):
    return p_strange(strangeness(oddity, predicted, more))


def oddity_of(x):
    blocks = np.arange(len(x))
    return measure_oddity(x, blocks, find_neighbours(x, None, blocks, np.random.default_rng(0)), np.random.default_rng(1))


def same_signals(values, in_reference=None):
    reference = np.ones(len(values), dtype=bool) if in_reference is None else in_reference
    return Oddity(values, values, values, values, values, reference)


def test_one_signal_by_hand():
    values = np.random.default_rng(0).normal(size=1001)
    values[5] = 9.0
    median, quartile = np.quantile(values, [0.5, 0.75])
    # A single signal is standardised twice; the second time its logarithm of exponentials is the signal itself.
    deviations = (values - median) / (quartile - median) * 0.6744897501960817
    expected = 1 / (1 + np.exp(-2 * (deviations - 4.5)))
    result = probability(None, more=[values])
    np.testing.assert_allclose(result, expected, rtol=1e-9)
    assert result[5] > 0.99
    assert np.delete(result, 5).max() < 0.5
    np.testing.assert_allclose(strange_share(deviations), 1 / (1 + np.exp(-2 * (deviations - 2))))
    assert strangeness(None) is None


def test_a_signal_that_shows_nothing_counts_little():
    rng = np.random.default_rng(0)
    strange = np.arange(1000) < 60
    useful = rng.normal(size=1000) + 4 * strange
    nothing = [rng.normal(size=1000) for _ in range(4)]
    alone = roc_auc_score(strange, useful)
    together = roc_auc_score(strange, probability(None, more=[useful, *nothing]))
    largest = roc_auc_score(strange, np.max([useful, *nothing], 0))
    assert alone - together < 0.5 * (alone - largest)


def test_a_fifth_of_strange_samples_does_not_hide_itself():
    rng = np.random.default_rng(0)
    values = rng.normal(size=1000) + 8 * (np.arange(1000) < 200)
    assert (probability(None, more=[values])[:200] > 0.5).mean() > 0.5


def test_far_is_measured_against_the_predicted_class():
    rng = np.random.default_rng(0)
    predicted = np.repeat([0, 1], 500)
    distance = rng.normal(0, 0.1, 1000) + predicted
    distance[0] = 1.0
    result = probability(same_signals(distance), predicted)
    assert result[0] > 0.99
    assert result[500:].max() < 0.5
    assert relative_to_class(np.full(4, np.nan), np.zeros(4, dtype=int)).tolist() == [0.0] * 4


def test_samples_outside_the_reference_are_standardised_apart():
    rng = np.random.default_rng(0)
    inside = np.arange(2000) % 2 == 0
    distance = rng.normal(size=2000) + 5 * ~inside
    assert (probability(same_signals(distance)) > 0.5).mean() == 0
    result = probability(same_signals(distance, inside))
    np.testing.assert_allclose(np.sort(result[inside]).mean(), np.sort(result[~inside]).mean(), atol=0.01)


@pytest.mark.parametrize("values", [np.zeros(20), np.full(20, np.nan), np.r_[np.zeros(19), 1.0]])
def test_degenerate_signals(values):
    result = probability(same_signals(values))
    assert np.isfinite(result).all()
    assert result[:19].max() < 0.01


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer, load_digits])
def test_ordinary_data_are_hardly_flagged(load):
    assert (probability(oddity_of(load().data)) > 0.5).mean() <= 0.02


@pytest.mark.parametrize("seed", range(3))
def test_ordinary_samples_beside_nearly_equal_ones_are_not_strange(seed):
    """A twentieth of the samples are nearly equal to each other, as contracts that have just begun; others are near them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1000, 4))
    x[:50] = [0.3, -0.2, 0.1, 0.4] + 0.001 * rng.normal(size=(50, 4))
    x[50:100] = x[0] + 0.4 * rng.normal(size=(50, 4))
    flagged = probability(oddity_of(x)) > 0.5
    assert flagged[:100].sum() == 0
    assert flagged.mean() <= 0.005


def one_feature(x, rng):
    column = rng.integers(x.shape[1], size=len(x))
    x[np.arange(len(x)), column] += rng.choice([-7, 7], len(x)) * x.std(0)[column]
    return x


def shuffled(x, rng):
    return rng.permuted(x, axis=0)


def noisy(x, rng):
    return x + rng.normal(size=x.shape) * x.std(0)


@pytest.mark.parametrize("change", [one_feature, shuffled, noisy])
@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_strange_samples_rank_high(load, change):
    rng = np.random.default_rng(0)
    x = load().data.copy()
    strange = np.zeros(len(x), dtype=bool)
    strange[rng.permutation(len(x))[: len(x) // 16]] = True
    x[strange] = change(x, rng)[strange] if change is shuffled else change(x[strange], rng)
    assert roc_auc_score(strange, probability(oddity_of(x))) > 0.9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("samples", "shares"), [(120, [0.5] * 4), (600, [0.5] * 6), (400, [0.5] * 12), (500, [0.05, 0.1, 0.5, 0.5, 0.3])]
)
def test_ordinary_samples_of_few_categories_are_not_strange(samples, shares, seed):
    rng = np.random.default_rng(seed)
    X = rng.binomial(1, shares, (samples, len(shares)))
    y = (X[:, 2] + (rng.random(samples) < 0.1)) % 2
    d = hs.measure(X, y, learner="ridge", repeats=2)
    assert (d.p_strange > 0.5).mean() <= 0.02
