"""The automatic scheme: weights of clean, balanced data where the truth is known, and none that differ for nothing."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_wine

import hardsight as hs
from hardsight.attribution.label_noise.confident import beats_chance, ledger_unreliability, unexplained_disagreement
from hardsight.errors import InputError
from hardsight.weights.schemes.automatic import auto, balance_power, decide


def believing(labels, classes=3, p=0.98):
    """Log-probabilities of members that are sure of the labels."""
    other = np.log((1 - p) / (classes - 1))
    return torch.full((len(labels), classes), other, dtype=torch.float64).scatter(1, labels[:, None], np.log(p))


def test_clean_balanced_data_weigh_exactly_alike():
    labels = torch.arange(3).repeat(20)
    weights = auto(torch.full((60,), 1e-4, dtype=torch.float64), believing(labels), labels)
    assert (weights == 1).all()


def test_known_truth_gives_the_weights_of_clean_balanced_data():
    labels = torch.tensor([0] * 30 + [1] * 10 + [2] * 5)
    wrong = torch.zeros(45, dtype=torch.float64)
    wrong[[0, 1, 2, 3, 30, 40]] = 1
    weights = auto(wrong, believing(labels), labels)
    right = 1 - wrong.numpy()
    by_hand = right / np.array([26, 9, 4])[labels]
    np.testing.assert_allclose(weights, by_hand / by_hand.mean())


def test_noise_makes_boundaries_count_more():
    labels = torch.arange(2).repeat(10)
    p = torch.where(torch.arange(20) < 4, 0.6, 0.9).double()
    logits = torch.zeros(20, 2, dtype=torch.float64)
    logits[torch.arange(20), labels], logits[torch.arange(20), 1 - labels] = p.log(), (1 - p).log()
    wrong = torch.full((20,), 0.25, dtype=torch.float64)
    weights = auto(wrong, logits, labels)
    # Differences of .2 and .8: 1 + 4 · .25 · (1 - .2) against 1 + 4 · .25 · (1 - .8).
    torch.testing.assert_close(weights[0] / weights[-1], torch.tensor(1.8 / 1.2, dtype=torch.float64))
    assert (auto(wrong * 0, logits, labels) == 1).all()


@pytest.mark.slow
@given(st.integers(0, 2**32), st.integers(4, 40))
def test_mean_one_and_no_order(seed, n):
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(3, size=n))
    wrong, logits = torch.from_numpy(rng.random(n)), torch.from_numpy(rng.normal(size=(n, 3))).log_softmax(1)
    weights = auto(wrong, logits, labels)
    assert weights.mean().item() == pytest.approx(1)
    assert (weights >= 0).all()
    order = torch.from_numpy(rng.permutation(n))
    torch.testing.assert_close(auto(wrong[order], logits[order], labels[order]), weights[order])


def test_labels_that_sure_members_miss_are_noise_of_another_kind():
    # 100 samples of a class, a fifth of which is labelled otherwise: the members are as sure of these as of all.
    labels = torch.tensor([0] * 80 + [1] * 20 + [1] * 100)
    logits = believing(torch.tensor([0] * 100 + [1] * 100), 2)
    nothing = torch.zeros(200, dtype=torch.float64)
    assert unexplained_disagreement(nothing, logits, labels) == pytest.approx(0.1)
    assert ledger_unreliability(nothing, logits, labels) == pytest.approx(0.375)
    explained = torch.zeros(200, dtype=torch.float64)
    explained[80:100] = 1
    assert unexplained_disagreement(explained, logits, labels) == 0
    # One standard error of 200 predictions, 20 of which disagree: sqrt(.1 * .9 / 199).
    unreliability = (0.1 - np.sqrt(0.09 / 199) - 0.07) / 0.08
    assert ledger_unreliability(nothing, logits, labels, deviations=1) == pytest.approx(unreliability)
    doubted = (labels == 1) & (logits.argmax(1) == 0)
    believed = torch.where(doubted, (0.02 / 0.98) ** (unreliability / 3), 1.0)
    share = torch.tensor([80.0, 100 + 20 * (0.02 / 0.98) ** (unreliability / 3)])[labels]
    by_hand = believed / share ** (1 - 0.75 * unreliability)
    torch.testing.assert_close(auto(nothing, logits, labels), (by_hand / by_hand.mean()).double())


def test_few_predictions_that_disagree_by_chance_are_no_noise():
    # Clean data: of 40 predictions four err, more than .07, but by less than the standard error of .048.
    labels = torch.arange(2).repeat(20)
    predicted = labels.clone()
    predicted[:4] = 1 - predicted[:4]
    nothing, logits = torch.zeros(40, dtype=torch.float64), believing(predicted, 2)
    assert ledger_unreliability(nothing, logits, labels) > 0
    assert (auto(nothing, logits, labels) == 1).all()
    # Eight are too many.
    predicted[:8] = 1 - labels[:8]
    assert (auto(nothing, believing(predicted, 2), labels)[:8] < 1).all()
    one = torch.zeros(1, dtype=torch.float64)
    assert unexplained_disagreement(one, logits[:1], labels[:1]) == 1
    assert unexplained_disagreement(one, logits[:1], labels[:1], deviations=1) == 0


def test_labels_that_are_certain_count_in_full_and_are_not_unexplained():
    labels = torch.tensor([0] * 80 + [1] * 20 + [1] * 100).repeat(5)
    logits = believing(torch.tensor([0] * 100 + [1] * 100).repeat(5), 2)
    nothing, row = torch.zeros(1000, dtype=torch.float64), torch.arange(200).repeat(5)
    certain = row // 10 == 8
    # Half of 100 that members miss were found right: of the other 950 fifty are missed.
    assert unexplained_disagreement(nothing, logits, labels, certain) == pytest.approx(10 / 190)
    assert ledger_unreliability(nothing, logits, labels, certain) == 0
    logits[certain | (labels == 1) & (row >= 110)] = torch.tensor([0.6, 0.4], dtype=torch.float64).log()
    assert ledger_unreliability(nothing, logits, labels, certain) > 0
    weights = auto(nothing, logits, labels, certain=certain)
    before = auto(nothing, logits, labels)
    assert (weights[certain] > before[certain]).all()
    # As much as those of its class that all members believe.
    believed = (labels == 1) & (logits.argmax(1) == 1)
    torch.testing.assert_close(weights[certain], weights[believed][:1].expand(50))
    # Doubt that was there before somebody looked is gone.
    torch.testing.assert_close(auto(certain.double() * 0.9, logits, labels, certain=certain), weights)


def test_where_noise_is_found_what_it_leaves_is_compared_with_it():
    labels = torch.tensor([0] * 95 + [1] * 5 + [1] * 100)
    logits = believing(torch.tensor([0] * 100 + [1] * 100), 2)
    # Five labels that P(wrong) does not doubt are missed: too few to be told from those of clean data.
    wrong = torch.zeros(200, dtype=torch.float64)
    assert ledger_unreliability(wrong, logits, labels) == 0
    # Forty doubted samples of which members are not sure make the mean P(wrong) .1; five of 160 sure ones stay unexplained.
    logits[:20] = logits[180:] = torch.tensor([0.5, 0.5], dtype=torch.float64).log()
    wrong[:20] = wrong[180:] = 0.5
    missed = 5 / 160
    assert unexplained_disagreement(wrong, logits, labels) == pytest.approx(missed)
    assert ledger_unreliability(wrong, logits, labels) == pytest.approx((missed / 0.1 - 0.2) / 0.2)
    assert ledger_unreliability(wrong * 0.99, logits, labels) == 0


def test_two_classes_are_balanced_by_less_where_labels_are_open():
    p = torch.tensor([0.5] * 10 + [0.0] * 30, dtype=torch.float64)
    assert balance_power(p, 3, 0.0) == 1
    assert balance_power(p, 2, 0.0) == pytest.approx(1 - 0.5 * 10 / 40)
    assert balance_power(p, 2, 0.5) == pytest.approx(0.75 * (1 - 0.5 * 10 / 40))
    assert balance_power((p > 0).double(), 2, 0.0) == 1
    assert (balance_power(0 * p, 3, 1.0), balance_power(0 * p, 2, 1.0)) == (0.5, 0.25)


@pytest.fixture(scope="module")
def noisy():
    x, y = load_wine(return_X_y=True)
    rng = np.random.default_rng(0)
    flipped = rng.random(len(y)) < 0.25
    given = np.where(flipped, (y + rng.integers(1, 3, len(y))) % 3, y)
    return hs.measure(x, given, folds=3, repeats=4, estimate=hs.Estimate(pilot=False), refine=False), flipped


@pytest.mark.slow
def test_flips_are_weighted_down_and_the_words_have_the_numbers(noisy):
    d, flipped = noisy
    weights, text = decide(d)
    np.testing.assert_allclose(hs.weigh(d), weights, rtol=1e-12)
    assert weights[flipped].mean() < 0.3 < 0.9 < weights[~flipped].mean()
    doubted = d.p_wrong > 0.5
    assert f"{d.p_wrong.sum():,.0f} of 178 labels ({d.p_wrong.mean():.1%})" in text
    assert (
        f"more likely wrong than right ({doubted.sum()}) carry {weights[doubted].sum() / weights.sum():.1%} of the weight"
        in text
    )
    assert f"worth {weights.sum() ** 2 / np.square(weights).sum():,.0f} samples" in text
    assert hs.weigh(d, clip=1.2).max() <= 1.2 * (1 + 1e-9)


def test_labels_that_are_doubted_little_are_not_counted_as_none(noisy):
    d, _ = noisy
    _, text = decide(dataclasses.replace(d, p_wrong=np.full(len(d), 0.1)))
    assert "No label is more likely wrong than right." in text
    assert "carry" not in text


def test_a_result_of_one_sample_is_weighed_without_a_warning(noisy, recwarn):
    alone = noisy[0].select([noisy[0].ids[0]])
    assert hs.weigh(alone).tolist() == [1.0]
    assert decide(alone).weights.tolist() == [1.0]
    assert not recwarn.list


def test_one_class_is_not_balanced_against_itself(noisy):
    d, _ = noisy
    _, text = decide(d.select(d.labels == 0))
    assert f"All labels are {d.classes[0]!r}, so there are no classes to balance." in text


def test_without_a_ledger_it_says_what_is_missing():
    d = hs.measure(*load_diabetes(return_X_y=True), learner="ridge", folds=3, repeats=2)
    with pytest.raises(InputError, match=r"needs P\(label wrong\), which only classes have: .* 1 - d.p_outlier"):
        hs.weigh(d)
    with pytest.raises(InputError, match="name another scheme"):
        decide(d)


def effective_share(weights):
    return float(weights.sum() ** 2 / weights.square().sum() / len(weights))


@pytest.mark.slow
@given(st.integers(0, 2**32), st.integers(2, 300), st.integers(2, 40), st.floats(0, 60), st.floats(-3, 3))
def test_the_effective_sample_size_is_a_tenth_of_the_samples_at_least(seed, n, classes, sharpness, doubt):
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.choice(classes, n, p=rng.dirichlet(np.full(classes, 0.1))))
    wrong = torch.from_numpy(rng.random(n) ** np.exp(doubt))
    weights = auto(wrong, torch.from_numpy(sharpness * rng.normal(size=(n, classes))).log_softmax(1), labels)
    assert torch.isfinite(weights).all()
    assert effective_share(weights) >= 0.1 - 1e-9


def test_balance_is_reduced_as_far_as_the_effective_sample_size_takes():
    # Balanced in full, 1,000 and 4 samples are worth 2² / (1 / 1000 + 1 / 4) = 16 of 1,004.
    labels = (torch.arange(1004) >= 1000).long()
    weights = auto(torch.full((1004,), 1e-4, dtype=torch.float64), believing(labels, 2), labels)
    assert effective_share(weights) == pytest.approx(0.1)
    gain = float(weights[-1] / weights[0])
    assert (1000 + 4 * gain) ** 2 / (1000 + 4 * gain**2) == pytest.approx(100.4, rel=1e-3)
    labels = (torch.arange(1004) >= 600).long()
    weights = auto(torch.full((1004,), 1e-4, dtype=torch.float64), believing(labels, 2), labels)
    assert float(weights[-1] / weights[0]) == pytest.approx(600 / 404)


def test_models_no_better_than_chance_are_not_believed():
    # Sure predictions that have nothing to do with the labels.
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.permutation(np.arange(200) % 2))
    logits = believing(torch.from_numpy(rng.integers(2, size=200)), 2)
    nothing = torch.zeros(200, dtype=torch.float64)
    assert not beats_chance(logits, labels)
    assert ledger_unreliability(nothing, logits, labels, deviations=1) == 1
    assert (auto(nothing, logits, labels) == 1).all()
    # Of 200 predictions 120 right are 2.8 standard errors above chance, 110 are 1.4.
    for right, better in ((120, True), (110, False)):
        predicted = torch.where(torch.arange(200) < right, labels, 1 - labels)
        predictions = believing(predicted, 2)
        assert beats_chance(predictions, labels) is better
        assert bool((auto(nothing, predictions, labels)[right:] < 1).all()) is better


@pytest.mark.slow
def test_labels_that_are_all_noise_are_not_called_right():
    rng = np.random.default_rng(0)
    d = hs.measure(rng.normal(size=(300, 5)), rng.permutation(np.arange(300) % 2), learner="logistic")
    weights, text = decide(d)
    assert (weights == 1).all()
    assert "no better than chance, so nothing shows that a label is wrong" in text
    assert "noise of another kind" not in text
