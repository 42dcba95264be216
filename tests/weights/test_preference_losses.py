"""Losses for flipped preferences, against sums over the flips."""

import numpy as np
import pytest
import torch

import hardsight as hs

MARGIN = torch.linspace(-6, 6, 25, dtype=torch.float64)


def dpo(margin: torch.Tensor) -> torch.Tensor:
    return -torch.log(1 / (1 + torch.exp(-margin)))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.45])
def test_the_robust_loss_is_unbiased_over_flips(rate) -> None:
    over_flips = (1 - rate) * hs.robust_dpo_loss(MARGIN, rate) + rate * hs.robust_dpo_loss(-MARGIN, rate)
    torch.testing.assert_close(over_flips, dpo(MARGIN))


def test_the_conservative_loss_is_the_mean_over_the_true_preference() -> None:
    p = torch.linspace(0, 1, 25, dtype=torch.float64)
    rng = np.random.default_rng(0)
    flips = torch.from_numpy(rng.random((100_000, 25))) < p
    mean = torch.where(flips, dpo(-MARGIN), dpo(MARGIN)).mean(0)
    torch.testing.assert_close(hs.conservative_dpo_loss(MARGIN, p), mean, atol=0.05, rtol=0)


def test_without_flips_both_are_dpo_and_large_margins_stay_finite() -> None:
    for loss in (hs.conservative_dpo_loss, hs.robust_dpo_loss):
        torch.testing.assert_close(loss(MARGIN, 0), dpo(MARGIN))
        assert bool(loss(torch.tensor([1e4, -1e4]), 0.2).isfinite().all())


def test_the_conservative_loss_is_least_where_the_model_is_as_sure_as_the_preference() -> None:
    margin = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(hs.conservative_dpo_loss(margin, 0.2).sum(), margin)
    assert gradient.item() == pytest.approx(torch.sigmoid(margin).item() - 0.8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hs.conservative_dpo_loss(MARGIN, 1.5), r"p_flipped must be 0 or more and at most 1\. Got 1.5"),
        (lambda: hs.conservative_dpo_loss(MARGIN, [0.1, float("nan")]), "one number or one per pair"),
        (lambda: hs.conservative_dpo_loss(MARGIN[:1], [float("nan")]), "Got nan"),
        (lambda: hs.robust_dpo_loss(MARGIN, 0.5), r"flip_rate must be 0 or more and below 0\.5"),
    ],
)
def test_faults_are_named(call, message) -> None:
    with pytest.raises(hs.InputError, match=message):
        call()
