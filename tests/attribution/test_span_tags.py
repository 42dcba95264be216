"""The label model of tags that spell spans, against a direct maximisation and simulated errors."""

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp

from hardsight.attribution.label_noise.model import Evidence, LabelPosterior
from hardsight.attribution.label_noise.span_tags import back_off, fit_span_tag_model

OUTSIDE = 2
# Shares of the true tags: two of spans, then O.
SHARES = np.array([0.1, 0.05, 0.85])


def simulate(
    n: int, rates: tuple[float, float], sharpness: float = 1.0, seed: int = 0
) -> tuple[Evidence, np.ndarray, np.ndarray]:
    """Evidence whose consensus is a power of the true probabilities, the given labels, and which of these are wrong."""
    rng = np.random.default_rng(seed)
    log_p = np.log(SHARES) + rng.normal(0, 2, (n, 3))
    log_p -= logsumexp(log_p, axis=1, keepdims=True)
    true = (np.exp(log_p).cumsum(1) < rng.random((n, 1))).sum(1)
    wrong = rng.random(n) < np.where(true == OUTSIDE, *rates)
    label = np.where(wrong, (true + rng.integers(1, 3, n)) % 3, true)
    log_w = sharpness * log_p
    consensus = torch.tensor(log_w - logsumexp(log_w, axis=1, keepdims=True))
    prior = torch.tensor(np.bincount(label, minlength=3) / n)
    return Evidence(consensus, torch.tensor(label), prior, None), label, wrong


def negative_log_posterior(parameters: np.ndarray, evidence: Evidence, label: np.ndarray) -> float:
    """Loss of the power, the logarithms of the factors and the logits of the two rates, with their priors."""
    power, factors = parameters[0], parameters[1:4]
    outside, inside = 1 / (1 + np.exp(-parameters[4:]))
    balanced = (evidence.consensus - evidence.prior.log()).log_softmax(1).numpy()
    log_q = power * balanced + factors
    log_q -= logsumexp(log_q, axis=1, keepdims=True)
    transition = np.array([np.full(3, rate / 2) for rate in (inside, inside, outside)])
    np.fill_diagonal(transition, [1 - inside, 1 - inside, 1 - outside])
    likelihood = np.log((np.exp(log_q) * transition[:, label].T).sum(1)).sum()
    deviation = factors - np.log(np.bincount(label) / len(label))
    prior = -0.5 * (power - 1) ** 2 - 0.5 * np.sum((deviation - deviation.mean()) ** 2)
    prior += sum(200 * (0.05 * np.log(rate) + 0.95 * np.log(1 - rate)) for rate in (outside, inside))
    return -float(likelihood + prior)


def test_the_model_is_the_most_probable_one() -> None:
    evidence, label, _ = simulate(1500, (0.02, 0.15))
    model = fit_span_tag_model(evidence, OUTSIDE)
    start = np.concatenate([[1.0], np.log(np.bincount(label) / len(label)), [-3.0, -3.0]])
    best = minimize(negative_log_posterior, start, args=(evidence, label), method="BFGS")
    power, rates = best.x[0], 1 / (1 + np.exp(-best.x[4:]))
    wrong = 1 - model.dense_transition().diagonal().numpy()
    assert abs(float(model.evidence_weights[0]) - power) < 0.02
    np.testing.assert_allclose(wrong, [rates[1], rates[1], rates[0]], atol=2e-3)


def test_p_wrong_is_calibrated_if_predictions_are_too_sure() -> None:
    evidence, _, wrong = simulate(4000, (0.01, 0.12), sharpness=1.6)
    model = fit_span_tag_model(evidence, OUTSIDE)
    p_wrong = LabelPosterior(evidence, model).p_wrong.numpy()
    assert float(model.evidence_weights[0]) < 0.75
    assert abs(p_wrong.mean() - wrong.mean()) < 0.01
    bins = np.array_split(np.argsort(p_wrong), 10)
    assert np.mean([abs(p_wrong[rows].mean() - wrong[rows].mean()) for rows in bins]) < 0.02


def test_no_tag_is_doubted_without_evidence() -> None:
    evidence, label, _ = simulate(600, (0.1, 0.1))
    shuffled = evidence._replace(label=torch.tensor(np.random.default_rng(1).permutation(label)))
    assert float(LabelPosterior(shuffled, fit_span_tag_model(shuffled, OUTSIDE)).p_wrong.max()) == 0


def test_a_tag_that_models_never_saw_is_judged_as_a_part_of_any_span() -> None:
    consensus = torch.tensor([[0.8, 0.1, 0.0, 0.1], [0.02, 0.08, 0.0, 0.9], [0.3, 0.3, 0.0, 0.4]]).clamp(min=1e-12).log()
    label = torch.tensor([2, 1, 0])
    parts = back_off(consensus, label, label == 2, outside=3).exp()
    torch.testing.assert_close(parts[0], torch.tensor([0.3, 0.3, 0.3, 0.1]))
    torch.testing.assert_close(parts[1:], consensus[1:].exp())
    whole = back_off(consensus, label, label == 2, outside=None).exp()
    torch.testing.assert_close(whole[0], torch.tensor([1 / 3, 1 / 3, 1 / 3, 0.0]))
