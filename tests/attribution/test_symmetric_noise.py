"""The label model with one flip rate, against sums over the grid and simulated flips."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from hardsight.attribution.label_noise.model import Evidence, LabelPosterior
from hardsight.attribution.label_noise.symmetric import fit_symmetric_model


def posterior_of(log_odds: np.ndarray, label: np.ndarray) -> LabelPosterior:
    """Posterior for log-odds of class 1."""
    consensus = torch.tensor(np.stack([-np.logaddexp(0, log_odds), -np.logaddexp(0, -log_odds)], 1))
    evidence = Evidence(consensus, torch.tensor(label), torch.tensor([0.5, 0.5], dtype=torch.float64), None)
    return LabelPosterior(evidence, fit_symmetric_model(evidence))


def simulate(rate: float, n: int = 4000, scale: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds of class 1 (true ones, divided by a scale), given labels, and which of these are flipped."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(0, 3, n)
    true = (rng.random(n) < expit(log_odds)).astype(np.int64)
    flipped = rng.random(n) < rate
    return log_odds / scale, np.where(flipped, 1 - true, true), flipped


def test_p_wrong_is_the_mean_over_flip_rates_and_scales() -> None:
    log_odds, label, _ = simulate(0.1, 60)
    log_odds_of_label = np.where(label == 1, log_odds, -log_odds)
    rates, scales = np.arange(33) * 0.015, np.exp(np.linspace(np.log(0.2), np.log(60), 70))
    total, mass = np.zeros(60), 0.0
    for rate in rates:
        for scale in scales:
            right = expit(scale * log_odds_of_label)
            p_label = (1 - rate) * right + rate * (1 - right)
            weight = np.prod(p_label) * np.exp(-0.5 * (np.log(scale) / 2) ** 2)
            total += weight * rate * (1 - right) / p_label
            mass += weight
    np.testing.assert_allclose(posterior_of(log_odds, label).p_wrong, total / mass, atol=5e-3)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_flips_are_counted_and_probabilities_calibrated(rate, scale) -> None:
    log_odds, label, flipped = simulate(rate, scale=scale)
    p_wrong = posterior_of(log_odds, label).p_wrong.numpy()
    assert p_wrong.mean() == pytest.approx(flipped.mean(), abs=0.03)
    bins = np.array_split(np.argsort(p_wrong), 10)
    assert np.mean([abs(p_wrong[rows].mean() - flipped[rows].mean()) for rows in bins]) < 0.03


def test_labels_change_places_with_their_classes() -> None:
    log_odds, label, _ = simulate(0.2, 500)
    swapped = posterior_of(-log_odds, 1 - label).p_wrong
    torch.testing.assert_close(swapped, posterior_of(log_odds, label).p_wrong)


def test_no_label_is_doubted_without_evidence() -> None:
    rng = np.random.default_rng(0)
    p_wrong = posterior_of(rng.normal(0, 1, 400), rng.integers(0, 2, 400)).p_wrong
    assert float(p_wrong.max()) == 0
