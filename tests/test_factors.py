"""The ledger: adds up, is fair to balanced classes, and finds planted flips with calibrated probabilities."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hardsight import decompose
from hardsight.factors import HARD, ledger, true_label


def account(log_probs, label):
    """Parts and ledger of an ensemble ``(view, sample, class)``."""
    views, samples, _ = log_probs.shape
    parts = decompose.log_loss(log_probs.mean(0), label, torch.full((samples,), views))
    return parts, ledger(parts, log_probs.mean(0).log_softmax(1), label)


def ensemble(seed, samples=40, classes=3, views=4, scale=2.0):
    rng = np.random.default_rng(seed)
    label = np.concatenate(
        [np.arange(classes), rng.choice(classes, samples - classes, p=rng.dirichlet(np.ones(classes)))]
    )
    logits = rng.normal(size=(1, samples, classes)) * scale + rng.normal(size=(views, samples, classes))
    logits[:, np.arange(samples), label] += 2
    return torch.tensor(logits).log_softmax(2), torch.tensor(label)


def mixture(seed, n=6000, share=0.2):
    """Two classes that overlap, the exact posterior, labels of which some are flipped, and which."""
    rng = np.random.default_rng(seed)
    true = rng.integers(2, size=n)
    x = rng.normal(3.0 * true - 1.5)
    clean = 1 / (1 + np.exp(-3.0 * x))
    flipped = rng.random(n) < np.where(true == 0, share, share / 2)
    return clean, np.where(flipped, 1 - true, true), flipped


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(2, 5), st.sampled_from([0.1, 2, 100]))
def test_lines_add_up(seed, classes, scale):
    log_probs, label = ensemble(seed, classes=classes, scale=scale)
    parts, book = account(log_probs, label)
    torch.testing.assert_close(book.lines.sum(1), parts.error, rtol=1e-9, atol=1e-9)
    assert book.lines.isfinite().all()
    assert torch.equal(book.lines[:, 3], parts.variance)
    assert ((book.p_wrong >= -1e-12) & (book.p_wrong <= 1 + 1e-12)).all()
    torch.testing.assert_close(book.truth.transition.sum(1), torch.ones(classes, dtype=torch.float64))
    torch.testing.assert_close(book.truth.prior.sum(), torch.tensor(1.0, dtype=torch.float64))
    hard = parts.error > HARD
    assert torch.equal(book.cause[hard], book.lines[hard].argmax(1))
    assert (book.cause[~hard] == -1).all()


def test_lines_against_their_definitions():
    log_probs, label = ensemble(7)
    parts, book = account(log_probs, label)
    mean = log_probs.mean(0).exp().numpy()
    consensus = mean / mean.sum(1, keepdims=True)
    prior = np.bincount(label, minlength=3) / len(label)
    balanced = consensus / prior
    balanced /= balanced.sum(1, keepdims=True)
    posterior = true_label(torch.tensor(np.log(balanced)), label).posterior.numpy()
    at = np.arange(len(label)), label.numpy()
    plug_in = parts.error.numpy() + np.log(consensus[at])
    noise = (posterior * (np.log(balanced) - np.log(balanced[at])[:, None])).sum(1)
    imbalance = np.log(balanced[at]) - np.log(consensus[at])
    margin = -(posterior * np.log(balanced)).sum(1) - (parts.variance.numpy() - plug_in)
    np.testing.assert_allclose(book.lines[:, 0], noise, rtol=0, atol=1e-9)
    np.testing.assert_allclose(book.lines[:, 1], imbalance, rtol=0, atol=1e-9)
    np.testing.assert_allclose(book.lines[:, 2], margin, rtol=0, atol=1e-9)
    np.testing.assert_allclose(book.p_wrong, 1 - posterior[at], rtol=0, atol=1e-9)


def test_imbalance_by_hand():
    # Three samples of class 0, one of class 1, all answered half and half: dividing out (3/4, 1/4) gives (1/4, 3/4).
    half = torch.full((2, 4, 2), 0.5, dtype=torch.float64).log()
    _, book = account(half, torch.tensor([0, 0, 0, 1]))
    np.testing.assert_allclose(book.lines[:, 1], np.log([0.5, 0.5, 0.5, 1.5]), atol=1e-12)


def test_equal_classes_have_no_imbalance():
    log_probs, _ = ensemble(1, samples=30)
    _, book = account(log_probs, torch.arange(30) % 3)
    assert book.lines[:, 1].abs().max() < 1e-12


def test_rare_classes_pay_for_imbalance_and_frequent_ones_gain():
    label = torch.tensor([0] * 90 + [1] * 10)
    rng = np.random.default_rng(0)
    log_probs = torch.tensor(rng.normal(size=(3, 100, 2))).log_softmax(2)
    _, book = account(log_probs, label)
    assert (book.lines[:90, 1] < 0).all()
    assert (book.lines[90:, 1] > 0).all()


@given(st.integers(0, 2**32))
def test_posterior_is_normalised_and_by_bayes(seed):
    log_probs, label = ensemble(seed)
    balanced = log_probs.mean(0).log_softmax(1)
    truth = true_label(balanced, label)
    torch.testing.assert_close(truth.posterior.sum(1), torch.ones(len(label), dtype=torch.float64))
    joint = truth.prior.numpy() * np.exp(truth.sharpness * balanced.numpy()) * truth.transition.numpy().T[label]
    np.testing.assert_allclose(truth.posterior, joint / joint.sum(1, keepdims=True), rtol=0, atol=1e-9)
    assert truth.sharpness >= 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_flips_are_found_with_calibrated_probabilities(seed):
    clean, given, flipped = mixture(seed)
    q = torch.tensor(np.stack([1 - clean, clean], 1)).log()
    truth = true_label(q, torch.tensor(given))
    np.testing.assert_allclose(truth.transition, [[0.8, 0.2], [0.1, 0.9]], atol=0.025)
    np.testing.assert_allclose(truth.prior, [0.5, 0.5], atol=0.025)
    assert truth.sharpness == pytest.approx(1, abs=0.2)
    wrong = 1 - truth.posterior.numpy()[np.arange(len(given)), given]
    assert calibration_error(wrong, flipped) < 0.03


def test_softness_that_members_learned_from_flips_is_taken_out():
    clean, given, flipped = mixture(3)
    logit = 0.5 * np.log(clean / (1 - clean))
    soft = 1 / (1 + np.exp(-logit))
    truth = true_label(torch.tensor(np.stack([1 - soft, soft], 1)).log(), torch.tensor(given))
    assert truth.sharpness == pytest.approx(2, rel=0.2)
    np.testing.assert_allclose(truth.transition, [[0.8, 0.2], [0.1, 0.9]], atol=0.025)
    assert calibration_error(1 - truth.posterior.numpy()[np.arange(len(given)), given], flipped) < 0.03


def calibration_error(p, happened):
    """Mean gap between stated and observed frequency over ten equally wide bins, weighted by size."""
    bins = np.minimum((10 * p).astype(int), 9)
    return sum(abs(p[bins == b].mean() - happened[bins == b].mean()) * (bins == b).mean() for b in set(bins))


def test_the_order_of_samples_does_not_matter():
    log_probs, label = ensemble(5)
    _, book = account(log_probs, label)
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(0))
    _, other = account(log_probs[:, order], label[order])
    torch.testing.assert_close(other.lines, book.lines[order], rtol=0, atol=1e-4)
    torch.testing.assert_close(other.p_wrong, book.p_wrong[order], rtol=0, atol=1e-4)


def test_the_order_of_classes_does_not_matter():
    log_probs, label = ensemble(6, classes=4)
    _, book = account(log_probs, label)
    new_code = torch.tensor([2, 0, 3, 1])
    permuted = torch.empty_like(log_probs)
    permuted[:, :, new_code] = log_probs
    _, other = account(permuted, new_code[label])
    torch.testing.assert_close(other.lines, book.lines, rtol=0, atol=1e-4)
    torch.testing.assert_close(other.p_wrong, book.p_wrong, rtol=0, atol=1e-4)
    torch.testing.assert_close(other.truth.transition[new_code][:, new_code], book.truth.transition, rtol=0, atol=1e-4)


def test_a_class_that_no_label_names_keeps_the_account_finite():
    log_probs, label = ensemble(8, classes=3)
    parts, book = account(log_probs, label.clamp(max=1))
    assert book.lines.isfinite().all()
    assert book.p_wrong.isfinite().all()
    torch.testing.assert_close(book.lines.sum(1), parts.error, rtol=1e-9, atol=1e-9)


def test_a_few_samples_of_a_class_teach_no_noise_rate():
    answers = np.log([[0.99, 0.01]] * 50 + [[0.05, 0.95], [0.1, 0.9]])
    label = torch.tensor([0] * 50 + [1, 1])
    truth = true_label(torch.tensor(answers), label)
    assert (truth.transition.diagonal() > 0.9).all()
    assert (truth.posterior[torch.arange(52), label] > 0.9).all()


def test_small_classes_are_held_to_the_common_noise_rate():
    # Four samples look like class 1 and two of them are labelled 0: counted alone that were a rate of one half.
    answers = np.log([[0.999, 0.001]] * 100 + [[0.001, 0.999]] * 4)
    label = torch.tensor([0] * 100 + [0, 0, 1, 1])
    transition = true_label(torch.tensor(answers), label).transition
    assert 0.02 < transition[1, 0] < 0.25
