"""Error = bias + variance: worked by hand, by naive loops, by exhaustive enumeration, and as identities."""

import math
from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hardsight.measures import bias_variance as decompose
from hardsight.measures.held_out import HeldOut


@st.composite
def ensembles(draw, most=6):
    """Log-probabilities ``(view, sample, class)`` and labels."""
    views, samples, classes = draw(st.integers(2, most)), draw(st.integers(1, 4)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = torch.tensor(rng.normal(scale=draw(st.sampled_from([0.01, 1, 30])), size=(views, samples, classes)))
    return logits.log_softmax(2), torch.tensor(rng.integers(classes, size=samples))


def count(n, views):
    return torch.full((n,), views)


def naive_consensus(log_probs):
    """Normalised geometric mean of the members' distributions for one sample, by a loop over classes."""
    raw = [math.exp(math.fsum(p) / len(p)) for p in zip(*log_probs, strict=True)]
    return [p / math.fsum(raw) for p in raw]


def test_log_loss_by_hand():
    mean = torch.tensor([[0.5 * math.log(0.5 * 0.8), 0.5 * math.log(0.5 * 0.2)]], dtype=torch.float64)
    error, bias, variance = decompose.log_loss(mean, torch.tensor([0]), count(1, 2))
    torch.testing.assert_close(error, torch.tensor([-math.log(math.sqrt(0.4))], dtype=torch.float64))
    # The roots of .4 and .1 are in the ratio 2:1, so the consensus is (2/3, 1/3); twice the plug-in at two views.
    plug_in = math.log(2 / 3) - math.log(math.sqrt(0.4))
    torch.testing.assert_close(variance, torch.tensor([2 * plug_in], dtype=torch.float64))
    torch.testing.assert_close(bias, error - 2 * plug_in)


@given(ensembles())
def test_log_loss_against_the_naive_divergence(ensemble):
    log_probs, label = ensemble
    views, samples, _ = log_probs.shape
    parts = decompose.log_loss(log_probs.mean(0), label, count(samples, views))
    for i in range(samples):
        members = log_probs[:, i].tolist()
        p = naive_consensus(members)
        divergence = [sum(pc * (math.log(pc) - mc) for pc, mc in zip(p, m, strict=True) if pc > 0) for m in members]
        plug_in = math.fsum(divergence) / views
        error = -math.fsum(m[label[i]] for m in members) / views
        assert parts.error[i].item() == pytest.approx(error, rel=1e-12, abs=1e-12)
        assert parts.variance[i].item() == pytest.approx(plug_in * views / (views - 1), rel=1e-9, abs=1e-12)
        if p[label[i]] > 0:
            own = -math.log(p[label[i]])
            assert parts.error[i].item() - parts.variance[i].item() * (views - 1) / views == pytest.approx(
                own, rel=1e-9, abs=1e-11
            )
    torch.testing.assert_close(parts.error, parts.bias + parts.variance, rtol=1e-12, atol=1e-12)
    assert (parts.variance >= 0).all()


@given(ensembles())
def test_log_loss_variance_needs_no_label(ensemble):
    log_probs, label = ensemble
    mean, views = log_probs.mean(0), count(len(label), len(log_probs))
    first = decompose.log_loss(mean, label, views).variance
    other = decompose.log_loss(mean, (label + 1) % mean.shape[1], views).variance
    assert torch.equal(first, other)


def test_members_that_agree_have_no_variance_not_even_a_negative_one():
    logits = np.random.default_rng(0).normal(scale=3, size=(2000, 5))
    label = torch.zeros(2000, dtype=torch.int64)
    variance = decompose.log_loss(torch.tensor(logits).log_softmax(1), label, count(2000, 2)).variance
    assert variance.min() >= 0
    assert variance.max() < 1e-14


def test_log_loss_of_impossible_looking_answers():
    log_probs = torch.tensor([[[0.0, -1e4]], [[-1e4, 0.0]]], dtype=torch.float64)
    error, bias, variance = decompose.log_loss(log_probs.mean(0), torch.tensor([1]), count(1, 2))
    assert error.item() == 5000
    assert variance.item() == pytest.approx(2 * (5000 - math.log(2)), rel=1e-15)
    assert bias.item() == pytest.approx(2 * math.log(2) - 5000, rel=1e-12)


def test_log_loss_variance_is_nearly_unbiased_at_two_views():
    logits = np.random.default_rng(0).normal([1.0, 0, 0, -1], 0.1, size=(20_000, 30, 4))
    log_probs, label = torch.tensor(logits).log_softmax(2), torch.zeros(20_000, dtype=torch.int64)
    many = decompose.log_loss(log_probs.mean(1), label, count(20_000, 30)).variance.mean().item()
    two = decompose.log_loss(log_probs[:, :2].mean(1), label, count(20_000, 2)).variance.mean().item()
    # The standard error of the ratio is .006.
    assert two == pytest.approx(many, rel=0.02)


@given(ensembles())
def test_brier_against_naive_means(ensemble):
    log_probs, label = ensemble
    p = log_probs.exp().numpy()
    views, samples, classes = p.shape
    mean, target = p.mean(0), np.eye(classes)[label.numpy()]
    spread = np.array([sum(np.sum((p[m, i] - mean[i]) ** 2) for m in range(views)) for i in range(samples)])
    parts = decompose.brier(torch.tensor(mean), torch.tensor(spread), label, count(samples, views))
    error = [np.mean([np.sum((p[m, i] - target[i]) ** 2) for m in range(views)]) for i in range(samples)]
    np.testing.assert_allclose(parts.error, error, rtol=0, atol=1e-12)
    np.testing.assert_allclose(parts.variance, spread / (views - 1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(parts.bias + parts.variance, parts.error, rtol=0, atol=1e-12)


@pytest.mark.parametrize("views", [2, 3, 4])
def test_brier_and_squared_parts_are_unbiased_over_every_possible_ensemble(views):
    population = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]])
    drawn = population[list(product(range(3), repeat=views))]
    n, label = len(drawn), 2
    mean = drawn.mean(1)
    spread = ((drawn - mean[:, None]) ** 2).sum((1, 2))
    parts = decompose.brier(torch.tensor(mean), torch.tensor(spread), torch.full((n,), label), count(n, views))
    centre = population.mean(0)
    variance = ((population - centre) ** 2).sum(1).mean()
    bias = ((centre - np.eye(3)[label]) ** 2).sum()
    assert parts.variance.mean().item() == pytest.approx(variance, abs=1e-12)
    assert parts.bias.mean().item() == pytest.approx(bias, abs=1e-12)
    assert parts.error.mean().item() == pytest.approx(bias + variance, abs=1e-12)

    one = drawn[:, :, 0]
    spread = ((one - one.mean(1, keepdims=True)) ** 2).sum(1)
    target = torch.full((n,), 2.0, dtype=torch.float64)
    parts = decompose.squared(torch.tensor(one.mean(1)), torch.tensor(spread), target, count(n, views))
    assert parts.variance.mean().item() == pytest.approx(population[:, 0].var(), abs=1e-12)
    assert parts.bias.mean().item() == pytest.approx((centre[0] - 2) ** 2, abs=1e-12)


def test_squared_by_hand():
    # Predictions 1 and 3 of a target 5: losses 16 and 4, mean 2; spread 2, so variance 2 and bias 9 - 1 (corrected).
    one = {"mean": 2.0, "spread": 2.0, "target": 5.0}
    parts = decompose.squared(*(torch.tensor([v], dtype=torch.float64) for v in one.values()), count(1, 2))
    assert [p.item() for p in parts] == [10.0, 8.0, 2.0]


def domingos(answers, label):
    """Bias and effect of variance of Domingos 2000 without noise, straight from the definitions."""
    main = min(set(answers), key=lambda c: (-answers.count(c), c))
    apart = [a for a in answers if a != main]
    variance = len(apart) / len(answers)
    if main == label:
        return 0.0, variance
    return 1.0, -variance * (apart.count(label) / len(apart) if apart else 0.0)


@pytest.mark.slow
@given(st.data())
def test_zero_one_against_domingos(data):
    classes = data.draw(st.integers(2, 4))
    answers = data.draw(st.lists(st.integers(0, classes - 1), min_size=2, max_size=9))
    label = data.draw(st.integers(0, classes - 1))
    record = HeldOut(torch.tensor([label]), classes)
    for answer in answers:
        logits = torch.zeros(1, classes, dtype=torch.float64)
        logits[0, answer] = 2.0
        record.add(torch.tensor([0]), logits)
    error, bias, variance = record.decompose("zero-one")
    assert error.item() == pytest.approx(np.mean([a != label for a in answers]), abs=1e-12)
    expected = domingos(answers, label)
    assert bias.item() == expected[0]
    assert variance.item() == pytest.approx(expected[1], abs=1e-12)


@pytest.mark.parametrize("votes", [(0, 1, 2), (0, 0, 1, 1), (0, 0, 1, 1, 2, 2)])
def test_zero_one_ties_do_not_depend_on_the_order_of_views(votes):
    # The running mean of 1/3 depends on the order in its last bit.
    for order in set(permutations(votes)):
        record = HeldOut(torch.tensor([0]), 3)
        for answer in order:
            record.add(torch.tensor([0]), torch.eye(3, dtype=torch.float64)[[answer]])
        assert record.majority.item() == 0
        assert record.decompose("zero-one").bias.item() == 0


def test_a_single_view_has_no_parts():
    record = HeldOut(torch.tensor([0, 1]), 2)
    record.add(torch.arange(2), torch.tensor([[2.0, 0.0], [1.0, 0.0]], dtype=torch.float64))
    for loss in ("log", "brier", "zero-one"):
        parts = record.decompose(loss)
        assert parts.error.isfinite().all()
        assert parts.bias.isnan().all()
        assert parts.variance.isnan().all()
        assert record.standard_error(loss).isnan().all()
    numbers = HeldOut(torch.tensor([1.0, 2.0], dtype=torch.float64), None)
    numbers.add(torch.arange(2), torch.tensor([3.0, 2.0], dtype=torch.float64))
    parts = numbers.decompose("squared")
    assert parts.error.tolist() == [4.0, 0.0]
    assert parts.bias.isnan().all()
    assert parts.variance.isnan().all()
