"""Selections against full sorts."""

import itertools

import numpy as np
import pytest
import torch

import hardsight as hs
from hardsight.weights.selection import draw_without_replacement, nearest_percentile, quantile, select_top


@pytest.mark.parametrize("seed", range(5))
def test_the_top_of_many_tied_scores_is_that_of_a_stable_sort(seed):
    scores = torch.randint(5, (40,), generator=torch.Generator().manual_seed(seed)).float()
    for k in range(44):
        expected = torch.zeros(40)
        expected[np.argsort(-scores.numpy(), kind="stable")[:k].copy()] = 1
        assert torch.equal(select_top(scores, k), expected)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_quantiles_are_those_of_numpy(count):
    values = torch.randn(count, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    for share in (0.0, 0.05, 0.5, 0.77, 1.0):
        assert quantile(values, share).item() == pytest.approx(np.quantile(values.numpy(), share), rel=1e-12)
        nearest = torch.quantile(values, share, interpolation="nearest")
        assert nearest_percentile(values, share) == nearest


def test_draws_without_replacement_have_the_chances_of_successive_draws():
    p, count = np.array([0.1, 0.4, 0.2, 0.3]), 2
    expected = np.zeros(4)
    for first, second in itertools.permutations(range(4), count):
        expected[[first, second]] += p[first] * p[second] / (1 - p[first])
    generator = torch.Generator().manual_seed(0)
    drawn = sum(draw_without_replacement(torch.tensor(p), count, generator).numpy() for _ in range(20_000)) / 20_000
    np.testing.assert_allclose(drawn, expected, atol=0.015)
    never = torch.tensor([0.0, 1.0, 1.0])
    assert draw_without_replacement(never, 2, generator).tolist() == [0, 1, 1]


@pytest.mark.slow
def test_more_losses_than_float32_can_count():
    count = 2**24 + 7
    values = torch.arange(count, dtype=torch.float64)
    assert quantile(values, 0.25) == pytest.approx((count - 1) / 4, rel=1e-12)
    assert nearest_percentile(values, 1.0) == count - 1
    assert select_top(values, 3)[-3:].tolist() == [1, 1, 1]
    drawn = draw_without_replacement(torch.ones(count), count // 2, torch.Generator().manual_seed(0))
    assert int(drawn.sum(dtype=torch.float64)) == count // 2


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parameters"), [("kl-dro", {}), ("llm-quadratic", {}), ("cvar", {"alpha": 0.3})])
def test_the_weights_of_millions_of_losses_sum_to_one(name, parameters):
    loss = torch.rand(2**24 + 7, generator=torch.Generator().manual_seed(0))
    weights = hs.SCHEMES[name]({"loss": loss}, parameters)
    assert weights.sum(dtype=torch.float64).item() == pytest.approx(1, rel=1e-5)


@pytest.mark.slow
def test_the_mean_of_millions_of_losses_is_exact():
    loss = torch.rand(2**24 + 7, generator=torch.Generator().manual_seed(0))
    exact = loss.double().mean().item()
    assert hs.Weighting("uniform")(loss).item() == pytest.approx(exact, rel=1e-6)
    parts = sum(hs.Weighting("uniform")(part, items=len(loss)).item() for part in loss.split(2**23))
    assert parts == pytest.approx(exact, rel=1e-6)
