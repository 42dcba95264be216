"""The ledger: adds up, follows its definitions, is fair to balanced classes; atypical samples go to uncertainty."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.label_models import log_likelihoods, random_ensemble

from hardsight.attribution.label_noise import Evidence, LabelModel, LabelPosterior
from hardsight.attribution.ledger import HARD_ERROR, atypicality, disagreement_index, ledger
from hardsight.attribution.names import CAUSES, NO_CAUSE, STRANGE
from hardsight.attribution.neighbours import Neighbours
from hardsight.attribution.strangeness import strange_share, strangeness
from hardsight.measures import bias_variance as decompose


def ensemble_ledger(log_probs, label, neighbours=None, left_out=1.0):
    """Parts and ledger of an ensemble ``(view, sample, class)``."""
    views, samples, _ = log_probs.shape
    parts = decompose.log_loss(log_probs.mean(0), label, torch.full((samples,), views))
    return parts, ledger(parts, log_probs.mean(0).log_softmax(1), label, neighbours, left_out=left_out)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(2, 5), st.sampled_from([0.1, 2, 100]))
def test_terms_add_up(seed, classes, scale):
    log_probs, label = random_ensemble(seed, classes=classes, scale=scale)
    parts, result = ensemble_ledger(log_probs, label)
    torch.testing.assert_close(result.terms.sum(1), parts.error, rtol=1e-9, atol=1e-9)
    assert result.terms.isfinite().all()
    assert ((result.p_wrong >= -1e-12) & (result.p_wrong <= 1 + 1e-12)).all()
    torch.testing.assert_close(result.label_model.transition.sum(1), torch.ones(classes, dtype=torch.float64))
    torch.testing.assert_close(result.label_model.prior.sum(), torch.tensor(1.0, dtype=torch.float64))
    wrong = result.p_wrong > 0.5
    strange = torch.from_numpy(result.p_strange > 0.5) & ~wrong
    hard = (parts.error > HARD_ERROR) & ~wrong & ~strange
    assert (result.cause[wrong] == 0).all()
    assert (result.cause[strange] == CAUSES.index(STRANGE)).all()
    assert torch.equal(result.cause[hard], result.terms[hard, 1:].argmax(1) + 1)
    assert (result.cause[~hard & ~wrong & ~strange] == CAUSES.index(NO_CAUSE)).all()
    assert (result.terms[:, 0] >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("with_neighbours", [True, False])
def test_terms_against_their_definitions(with_neighbours):
    log_probs, label = random_ensemble(7)
    neighbours = random_neighbours(7, label.numpy()) if with_neighbours else None
    parts, result = ensemble_ledger(log_probs, label, neighbours)
    mean = log_probs.mean(0).exp().numpy()
    consensus = mean / mean.sum(1, keepdims=True)
    prior = np.bincount(label, minlength=3) / len(label)
    balanced = consensus / prior
    balanced /= balanced.sum(1, keepdims=True)
    posterior = np.zeros_like(balanced)
    for weight, model in result.label_model.mixture():
        expected_probability = np.log(balanced) if not model.noise_aware else log_likelihoods(model, np.log(balanced), prior)
        q = model.prior.numpy() * np.exp(model.evidence_weights[0].item() * expected_probability)
        if neighbours is not None:
            counts = np.array([[(row == c).sum() for c in range(3)] for row in neighbours.labels])
            shares = (counts + 2 * prior) / prior
            log_shares = np.log(shares / shares.sum(1, keepdims=True))
            q = q * np.exp(model.evidence_weights[1].item() * log_likelihoods(model, log_shares, prior))
        joint = q * model.transition.numpy().T[label]
        posterior += weight * joint / joint.sum(1, keepdims=True)
    at_label = (np.arange(len(label)), label.numpy())
    gain = np.log(balanced) - np.log(balanced[at_label])[:, None]
    saved = np.log(balanced[at_label]) - np.log(consensus[at_label])
    if_wrong = (1 - posterior[at_label]) * np.maximum(saved, 0)
    noise = (posterior * np.maximum(gain, 0)).sum(1) + if_wrong
    imbalance = saved - if_wrong
    error, variance = -log_probs.mean(0).numpy()[at_label], parts.variance.numpy()
    # What models pay that learned from noisy labels, and what is uncertain for want of samples of the class.
    rest = error - variance - noise - imbalance
    right = sum(weight * model.transition.numpy().diagonal() for weight, model in result.label_model.mixture())
    unsure = -(posterior * np.log(right)).sum(1)
    assert unsure.min() > 0
    noise = noise + np.where(rest > 0, rest * unsure / (np.maximum(rest, 0) + unsure), 0)
    lack = np.maximum(1 - 1 / (posterior / (3 * prior)).sum(1), 0) * variance
    assert 0.1 < (lack > 0).mean() < 1
    entropy = -(consensus * np.log(consensus)).sum(1)
    index = np.log(variance / (entropy + 0.05))
    if neighbours is not None:
        t, predicted = np.log(neighbours.distance), consensus.argmax(1)
        typical = []
        for c in range(3):
            of_class = t[predicted == c]
            median = lower_median(of_class) if len(of_class) else lower_median(t)
            typical.append((len(of_class) * median + 10 * lower_median(t)) / (len(of_class) + 10))
        index = index + 2 * (t - np.array(typical)[predicted])
    # A single signal is its own combination.
    median, quartile = np.quantile(index, [0.5, 0.75])
    deviations = (index - median) / (quartile - median) * 0.6744897501960817
    share = 1 / (1 + np.exp(-2 * (deviations - 2)))
    np.testing.assert_allclose(result.p_strange, 1 / (1 + np.exp(-2 * (deviations - 4.5))), rtol=0, atol=1e-9)
    rest = error - variance - noise - imbalance
    expected = np.stack([noise, imbalance + lack, (1 - share) * rest, variance + share * rest - lack], 1)
    np.testing.assert_allclose(result.terms, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.p_wrong, 1 - posterior[at_label], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(result.suggested, posterior.argmax(1))
    np.testing.assert_allclose(result.p_suggested, posterior.max(1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("left_out", [1.0, 0.6, 0.5, 0.2, 0.1])
def test_lack_of_data_moves_from_margin_to_uncertainty(left_out):
    log_probs, label = random_ensemble(7, samples=81)
    # Classes of one size: no class lacks more data than another.
    label = torch.arange(len(label)) % 3
    parts, without = ensemble_ledger(log_probs, label)
    _, result = ensemble_ledger(log_probs, label, left_out=left_out)
    torch.testing.assert_close(result.terms[:, :2], without.terms[:, :2])
    torch.testing.assert_close(result.terms.sum(1), parts.error)
    rest = without.terms[:, 2:].sum(1) - parts.variance
    typical_share = without.terms[:, 2] / rest
    unseen = max(1 / left_out - 2, 0) * parts.variance
    for i in range(len(label)):
        both = [rest[i].item(), unseen[i].item()]
        moved = 1 / (1 / both[0] + 1 / both[1]) if min(both) > 0 else 0.0
        expected = typical_share[i].item() * moved
        assert (result.terms[i, 3] - without.terms[i, 3]).item() == pytest.approx(expected, abs=1e-9)


def test_uncertainty_is_the_variance_between_independent_data_sets():
    # The log-odds of a sample are the mean of 200 numbers. Models leave out a fifth of one data set each; the reference
    # draws a new data set for every model.
    rng = np.random.default_rng(0)
    label = torch.zeros(300, dtype=torch.int64)
    data = rng.normal(1.5, 6, size=(300, 200))
    shuffled = rng.permuted(np.broadcast_to(data, (40, 300, 200)), axis=2)
    of_one_set = two_classes(-shuffled[..., :160].mean(2))
    of_independent_sets = two_classes(-rng.normal(1.5, 6, size=(40, 300, 200)).mean(2))
    parts, without = ensemble_ledger(of_one_set, label)
    _, result = ensemble_ledger(of_one_set, label, left_out=0.2)
    expected, _ = ensemble_ledger(of_independent_sets, label)
    ordinary = without.terms[:, 3] < 0.05
    assert ordinary.sum() > 30
    assert parts.variance[ordinary].mean() < 0.3 * expected.variance[ordinary].mean()
    estimate = (parts.variance + result.terms[:, 3] - without.terms[:, 3])[ordinary].mean().item()
    # Between them by the part that the rest cannot cover.
    assert 0.6 * expected.variance[ordinary].mean() < estimate < 1.1 * expected.variance[ordinary].mean()


def two_classes(log_odds):
    """Log-probabilities ``(view, sample, 2)`` from the log-odds of the first class ``(view, sample)``."""
    return torch.from_numpy(np.stack([log_odds, np.zeros_like(log_odds)], -1)).log_softmax(-1)


def lower_median(values):
    return np.sort(values)[(len(values) - 1) // 2]


def random_neighbours(seed, label):
    """Neighbours that mostly agree with the labels, and distances."""
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random((len(label), 10)) < 0.8, label[:, None], rng.integers(3, size=(len(label), 10)))
    return Neighbours(codes.astype(np.int32), rng.gamma(4.0, size=len(label)), np.full((len(label), 10), -1))


def share_of(variance, entropy, distance):
    index = disagreement_index(variance, entropy, distance)
    return torch.from_numpy(strange_share(strangeness(None, more=[index.numpy()])))


def test_distant_samples_of_high_variance_are_atypical():
    variance, entropy = torch.full((100,), 0.1, dtype=torch.float64), torch.full((100,), 0.2, dtype=torch.float64)
    variance += torch.linspace(-0.02, 0.02, 100, dtype=torch.float64)
    distance = np.ones(100)
    predicted = torch.zeros(100, dtype=torch.int64)
    variance[3], distance[5], distance[7] = 1.0, 3.0, np.nan
    share = share_of(variance, entropy, atypicality(distance, predicted))
    assert share[3] > 0.9
    assert share[5] > 0.9
    assert np.quantile(np.delete(share.numpy(), [3, 5]), 0.9) < 0.5
    assert share_of(variance, entropy, None)[5] < 0.5


def test_far_is_measured_against_the_predicted_class():
    # Class 1 is spread three times as widely: its samples are not atypical, but a sample of class 0 that far out is.
    rng = np.random.default_rng(0)
    predicted = torch.tensor([0] * 500 + [1] * 500)
    distance = np.exp(rng.normal(0, 0.1, 1000)) * np.where(predicted == 1, 3.0, 1.0)
    distance[0] = 3.0
    same = torch.ones(1000, dtype=torch.float64)
    share = share_of(same, same, atypicality(distance, predicted))
    assert share[0] > 0.99
    assert share[500:].mean() < 0.1


def test_equal_samples_are_not_atypical():
    same = torch.ones(10, dtype=torch.float64)
    distance = atypicality(np.ones(10), torch.zeros(10, dtype=torch.int64))
    assert share_of(same, same, distance).max() < 0.02


def test_imbalance_by_hand():
    # Three samples of class 0, one of class 1, all answered half and half: dividing out (3/4, 1/4) gives (1/4, 3/4).
    half = torch.full((2, 4, 2), 0.5, dtype=torch.float64).log()
    _, result = ensemble_ledger(half, torch.tensor([0, 0, 0, 1]))
    np.testing.assert_allclose(result.terms[:3, 1], np.log(0.5), atol=1e-12)
    np.testing.assert_allclose(result.terms[3, 1], (1 - result.p_wrong[3]) * np.log(1.5), atol=1e-12)


def test_a_wrong_label_of_a_rare_class_is_noise():
    # Twenty samples of class 1 that look like it, and one that certainly looks like class 0.
    sure = np.log([[0.99, 0.01]] * 180 + [[0.02, 0.98]] * 20 + [[0.999, 0.001]])
    _, result = ensemble_ledger(torch.tensor(np.stack([sure, sure])), torch.tensor([0] * 180 + [1] * 21))
    assert result.p_wrong[-1] > 0.5
    assert result.terms[-1, 0] > 0.5 * result.terms[-1].sum()
    assert result.terms[-1, 1] < 0.5 * np.log(0.5 / (21 / 201))


def noisy_models(noise, seed=0):
    """Ledger of models that learned labels of which a share is wrong, of two classes that features tell apart."""
    rng = np.random.default_rng(seed)
    true = np.arange(400) % 2
    wrong = rng.random(400) < noise
    log_odds = np.log((1 - noise) / noise) * (2 * true - 1) + rng.normal(0, 0.1, size=(4, 400))
    log_probs, label = two_classes(-log_odds), torch.from_numpy(np.where(wrong, 1 - true, true))
    consensus = log_probs.mean(0).log_softmax(1)
    half = torch.full((2,), 0.5, dtype=torch.float64)
    transition = torch.tensor([[1 - noise, noise], [noise, 1 - noise]], dtype=torch.float64)
    model = LabelModel(transition, half, torch.tensor([8.0], dtype=torch.float64), (0.0, 0.0), noise_aware=True)
    posterior = LabelPosterior(Evidence(consensus, label, half, None), model)
    parts = decompose.log_loss(log_probs.mean(0), label, torch.full((400,), 4))
    return parts, ledger(parts, consensus, label, label_posterior=posterior), torch.from_numpy(~wrong)


def test_wrong_labels_of_others_are_noise():
    parts, result, right = noisy_models(0.2)
    # All of their loss is there because models learned that a fifth of the labels of either class are wrong: log 0.8.
    assert parts.error[right].mean() == pytest.approx(-np.log(0.8), abs=0.05)
    assert 0.4 < (result.terms[right, 0] / parts.error[right]).mean() < 0.6
    # The cost of a wrong label is its own, and the same on top.
    own = np.log(0.8 / 0.2)
    assert own < result.terms[~right, 0].mean() < own - np.log(0.8)
    _, result, right = noisy_models(0.001)
    assert result.terms[right, 0].max() < 0.01


def test_without_evidence_of_the_labels_there_is_no_noise():
    rng = np.random.default_rng(0)
    log_probs = torch.tensor(rng.normal(size=(4, 200, 3))).log_softmax(2)
    _, result = ensemble_ledger(log_probs, torch.from_numpy(rng.integers(3, size=200)))
    assert not result.label_model.informative
    assert result.terms[:, 0].abs().max() == 0


def test_the_variance_of_a_small_class_is_imbalance_as_far_as_balanced_classes_would_save_it():
    # Half of 320 samples are of class 0, three eighths of class 1 and an eighth of class 2, which predictions leave no
    # doubt about.
    label = torch.tensor([0] * 160 + [1] * 120 + [2] * 40)
    rng = np.random.default_rng(0)
    log_probs = torch.tensor(12 * np.eye(3)[label] + rng.normal(size=(5, 320, 3))).log_softmax(2)
    parts, result = ensemble_ledger(log_probs, label, left_out=0.2)
    consensus = log_probs.mean(0).log_softmax(1)
    balanced = (consensus - torch.tensor([1 / 2, 3 / 8, 1 / 8]).double().log()).log_softmax(1)
    saved_by_prior = (balanced - consensus).gather(1, label[:, None]).squeeze(1)
    other = result.terms[:, 1] - (saved_by_prior - result.p_wrong * saved_by_prior.clamp(min=0))
    torch.testing.assert_close(other[:280], torch.zeros(280, dtype=torch.float64), atol=1e-9, rtol=0)
    # 40 samples instead of 320 / 3: five eighths of what lack of data explains, the variance and more.
    ordinary = result.p_strange[280:] < 0.01
    uncertain = other[280:] + result.terms[280:, 3]
    assert (other[280:] / uncertain)[ordinary].median() == pytest.approx(5 / 8, abs=0.03)
    assert (other[280:] > 0.6 * parts.variance[280:]).all()
    torch.testing.assert_close(result.terms.sum(1), parts.error)


def test_equal_classes_have_no_imbalance():
    log_probs, _ = random_ensemble(1, samples=30)
    _, result = ensemble_ledger(log_probs, torch.arange(30) % 3)
    assert result.terms[:, 1].abs().max() < 1e-12


def test_rare_classes_pay_for_imbalance_and_frequent_ones_gain():
    label = torch.tensor([0] * 90 + [1] * 10)
    rng = np.random.default_rng(0)
    log_probs = torch.tensor(rng.normal(size=(3, 100, 2))).log_softmax(2)
    _, result = ensemble_ledger(log_probs, label)
    assert (result.terms[:90, 1] < 0).all()
    assert (result.terms[90:, 1] > 0).all()


@pytest.mark.slow
def test_the_order_of_samples_does_not_matter():
    log_probs, label = random_ensemble(5)
    _, result = ensemble_ledger(log_probs, label)
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(0))
    _, other = ensemble_ledger(log_probs[:, order], label[order])
    torch.testing.assert_close(other.terms, result.terms[order], rtol=0, atol=1e-4)
    torch.testing.assert_close(other.p_wrong, result.p_wrong[order], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_order_of_classes_does_not_matter():
    log_probs, label = random_ensemble(6, classes=4)
    _, result = ensemble_ledger(log_probs, label)
    new_code = torch.tensor([2, 0, 3, 1])
    permuted = torch.empty_like(log_probs)
    permuted[:, :, new_code] = log_probs
    _, other = ensemble_ledger(permuted, new_code[label])
    torch.testing.assert_close(other.terms, result.terms, rtol=0, atol=1e-4)
    torch.testing.assert_close(other.p_wrong, result.p_wrong, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        other.label_model.transition[new_code][:, new_code], result.label_model.transition, rtol=0, atol=1e-4
    )


def test_a_class_without_labels_keeps_the_ledger_finite():
    log_probs, label = random_ensemble(8, classes=3)
    parts, result = ensemble_ledger(log_probs, label.clamp(max=1))
    assert result.terms.isfinite().all()
    assert result.p_wrong.isfinite().all()
    torch.testing.assert_close(result.terms.sum(1), parts.error, rtol=1e-9, atol=1e-9)
