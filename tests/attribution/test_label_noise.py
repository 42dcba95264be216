"""How labels arise: planted flips are found with calibrated probabilities, and structure only where it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from support.label_models import log_likelihoods, random_ensemble

import hardsight as hs
from hardsight.attribution.label_noise import (
    DEFAULT_CONFIG,
    Evidence,
    LabelPosterior,
    fit_label_model,
    selection,
    true_label_probabilities,
)
from hardsight.attribution.label_noise.em import LabelModelFitter
from hardsight.attribution.label_noise.pair_flips import fit_pair_flips


def fit(q, label, neighbours=None):
    """Fit the model and the posterior of probabilities ``(sample, class)``, under equal class shares."""
    q, label = torch.as_tensor(q), torch.as_tensor(label)
    prior = torch.full((q.shape[1],), 1 / q.shape[1], dtype=torch.float64)
    evidence = Evidence(q.log(), label, prior, neighbours)
    model = fit_label_model(evidence)
    return model, true_label_probabilities(model, evidence, torch.arange(len(label))).numpy()


def wrong_of(probability, label):
    return 1 - probability[np.arange(len(label)), label]


def mixture(seed, n=6000, shares=(0.3, 0.05)):
    """Two classes that overlap, the exact posterior, labels of which a share of each class is flipped, and which."""
    rng = np.random.default_rng(seed)
    true = rng.integers(2, size=n)
    x = rng.normal(3.0 * true - 1.5)
    clean = 1 / (1 + np.exp(-3.0 * x))
    flipped = rng.random(n) < np.array(shares)[true]
    return clean, np.where(flipped, 1 - true, true), flipped


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_posterior_is_normalised_and_by_bayes(seed):
    log_probs, label = random_ensemble(seed)
    balanced = log_probs.mean(0).softmax(1)
    model, probability = fit(balanced, label)
    np.testing.assert_allclose(probability.sum(1), 1)
    by_hand = np.zeros_like(probability)
    for weight, each in model.mixture():
        like = log_likelihoods(each, balanced.log().numpy(), np.full(balanced.shape[1], 1 / balanced.shape[1]))
        if not each.noise_aware:
            like = balanced.log().numpy()
        joint = each.prior.numpy() * np.exp(each.evidence_weights.item() * like) * each.transition.numpy().T[label]
        by_hand += weight * joint / joint.sum(1, keepdims=True)
        assert each.evidence_weights.item() >= 1
    np.testing.assert_allclose(probability, by_hand, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_flips_are_found_with_calibrated_probabilities(seed):
    clean, label, flipped = mixture(seed)
    model, probability = fit(np.stack([1 - clean, clean], 1), label)
    np.testing.assert_allclose(model.transition, [[0.7, 0.3], [0.05, 0.95]], atol=0.025)
    np.testing.assert_allclose(model.class_shares, [0.5, 0.5], atol=0.025)
    assert model.evidence_weights.item() == pytest.approx(1, abs=0.2)
    assert calibration_error(wrong_of(probability, label), flipped) < 0.03


@pytest.mark.slow
def test_softness_that_members_learned_from_flips_is_taken_out():
    clean, label, flipped = mixture(3, shares=(0.2, 0.2))
    soft = 1 / (1 + np.sqrt((1 - clean) / clean))
    model, probability = fit(np.stack([1 - soft, soft], 1), label)
    assert model.evidence_weights.item() == pytest.approx(2, rel=0.2)
    np.testing.assert_allclose(model.transition, [[0.8, 0.2], [0.2, 0.8]], atol=0.025)
    assert calibration_error(wrong_of(probability, label), flipped) < 0.03


def test_evidence_weights_maximise_the_posterior_if_classes_are_far_apart():
    # Confident and right except for a rare class: the likelihood hardly falls with ever larger weights.
    rng = np.random.default_rng(0)
    true = np.repeat([0, 1, 2], [150, 140, 10])
    q = np.full((300, 3), 0.01)
    q[np.arange(300), np.where(true == 2, rng.integers(2, size=300), true)] = 0.98
    label = np.where(rng.random(300) < 0.2, (true + rng.integers(1, 3, 300)) % 3, true)
    near = np.stack([rng.choice(label[true == c], 10) for c in true])
    shares = torch.bincount(torch.from_numpy(label), minlength=3).double() / 300
    evidence = Evidence(torch.from_numpy(q).log(), torch.from_numpy(label), shares, torch.from_numpy(near))
    fitter = LabelModelFitter(evidence.label_evidence(torch.arange(300)), evidence.label, shares)
    model = fitter.fit_path([(np.inf, np.inf)], noise_aware=False)[0]

    def surprise(evidence_weights):
        return (
            -float(fitter.log_likelihood(model._replace(evidence_weights=evidence_weights)).sum())
            + float((evidence_weights - 1).square().sum()) / 2
        )

    least = surprise(model.evidence_weights)
    assert least < surprise(torch.tensor([6.0, 6.0], dtype=torch.float64))
    for k in range(2):
        for step in (-0.05, 0.05):
            moved = model.evidence_weights.clone()
            moved[k] += step
            assert moved[k] < 0 or moved.sum() < 1 or surprise(moved) > least


def calibration_error(p, happened):
    """Mean gap between stated and observed frequency over ten equally wide bins, weighted by size."""
    bins = np.minimum((10 * p).astype(int), 9)
    return sum(abs(p[bins == b].mean() - happened[bins == b].mean()) * (bins == b).mean() for b in set(bins))


def many_classes(rate, where, seed=0, n=3000, classes=6):
    """Sure predictions of the true class, and labels that are wrong at a rate, going ``where(true, rng)``."""
    rng = np.random.default_rng(seed)
    true = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), true] += 5
    q = torch.tensor(logits).softmax(1)
    flipped = rng.random(n) < rate
    return q, np.where(flipped, where(true, rng), true), flipped


@pytest.mark.slow
def test_even_noise_is_estimated_as_even():
    q, label, flipped = many_classes(0.3, lambda true, rng: (true + rng.integers(1, 6, len(true))) % 6)
    model, probability = fit(q, label)
    off = model.transition[~torch.eye(6, dtype=torch.bool)]
    torch.testing.assert_close(off, torch.full((30,), 0.06, dtype=torch.float64), rtol=0, atol=0.03)
    assert model.transition.diagonal().mean() == pytest.approx(0.7, abs=0.03)
    assert calibration_error(wrong_of(probability, label), flipped) < 0.02


@pytest.mark.slow
def test_structured_noise_is_found():
    q, label, flipped = many_classes(0.3, lambda true, rng: (true + 1) % 6)
    model, probability = fit(q, label)
    assert model.targets.tolist() == [1, 2, 3, 4, 5, 0]
    np.testing.assert_allclose(model.transition[torch.arange(6), (torch.arange(6) + 1) % 6], 0.3, atol=0.05)
    assert calibration_error(wrong_of(probability, label), flipped) < 0.02


@pytest.mark.slow
def test_labels_that_go_to_two_classes_have_no_single_target():
    q, label, flipped = many_classes(0.4, lambda true, rng: (true + rng.integers(1, 3, len(true))) % 6)
    model, probability = fit(q, label)
    assert model.targets is None
    assert model.pseudo_counts[1] != float("inf")
    at = torch.arange(6)
    for step in (1, 2):
        np.testing.assert_allclose(model.transition[at, (at + step) % 6], 0.2, atol=0.05)
    assert calibration_error(wrong_of(probability, label), flipped) < 0.02


@pytest.mark.slow
def test_targets_of_many_classes_are_found():
    q, label, flipped = many_classes(0.4, lambda true, rng: (true + 7) % 20, classes=20)
    model, probability = fit(q, label)
    assert model.targets.tolist() == [(c + 7) % 20 for c in range(20)]
    assert calibration_error(wrong_of(probability, label), flipped) < 0.02


def memorised_flips(seed, sizes, softness=1.0, rate=0.4):
    """Flips to the next class, and what models of such labels say: the labels' chances where a sample is, times noise.

    Returns:
        Log-probabilities under balanced labels, labels, true classes, and the shares of the labels.
    """
    rng = np.random.default_rng(seed)
    sizes = np.asarray(sizes)
    classes = len(sizes)
    true = np.repeat(np.arange(classes), sizes)
    label = np.where(rng.random(len(true)) < rate, (true + 1) % classes, true)
    centres = np.full((classes, classes), 0.02)
    at = np.arange(classes)
    centres[at, at], centres[at, (at + 1) % classes] = 1 - rate, rate
    logits = np.log(centres[true]) + softness * rng.normal(size=(len(true), classes))
    return (
        torch.tensor(logits).log_softmax(1),
        label,
        true,
        torch.tensor(np.bincount(label, minlength=classes) / len(true)),
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_flips_among_rare_classes_are_found_by_searching_for_their_targets(seed):
    # Most of the labels of the small classes are wrong ones of a large neighbour, so that a class can take another's name.
    log_q, label, true, shares = memorised_flips(seed, [11, 24, 168, 16, 35, 5, 249, 77, 7, 114, 52])
    evidence = Evidence(log_q, torch.from_numpy(label), shares, None)
    model = fit_label_model(evidence)
    # Class 5, of five samples, is too small to have a target.
    assert [model.targets.tolist()[c] for c in range(11) if c != 5] == [c for c in (*range(1, 11), 0) if c != 6]
    assert (model.transition.diagonal() > 0.5).all()
    p_wrong = LabelPosterior(evidence, model).p_wrong.numpy()
    assert average_precision_score(label != true, p_wrong) > 0.98
    assert calibration_error(p_wrong, label != true) < 0.04


@pytest.mark.slow
def test_a_search_gains_likelihood():
    log_q, label, _, shares = memorised_flips(1, [11, 24, 168, 16, 35, 5, 249, 77, 7, 114, 52])
    evidence = Evidence(log_q, torch.from_numpy(label), shares, None)
    fitter = LabelModelFitter(evidence.label_evidence(torch.arange(len(label))), evidence.label, evidence.prior)
    free = fitter.fit_path([(float("inf"), 3.0)], noise_aware=True)
    searched = fit_pair_flips(fitter, free, free[0], noise_aware=True)
    fitter.config = replace(DEFAULT_CONFIG, max_search_classes=0)
    unsearched = fit_pair_flips(fitter, free, free[0], noise_aware=True)
    gain = fitter.log_likelihood(searched).mean() - fitter.log_likelihood(unsearched).mean()
    assert gain > 0.01


@pytest.mark.slow
def test_without_wrong_labels_no_targets_are_searched(monkeypatch):
    monkeypatch.setattr(selection, "fit_pair_flips", None)
    rng = np.random.default_rng(0)
    true = rng.integers(5, size=2000)
    logits = 2 * rng.normal(size=(2000, 5))
    logits[np.arange(2000), true] += 2
    q = torch.tensor(logits).softmax(1)
    # Classes overlap, and labels are drawn by what is exactly so.
    label = np.array([rng.choice(5, p=row) for row in q.numpy()])
    assert (q.argmax(1).numpy() != label).mean() > 0.2
    _, probability = fit(q, label)
    assert wrong_of(probability, label).mean() < 0.05


@pytest.mark.slow
def test_softness_does_not_explain_errors_of_the_most_confident_predictions():
    # Every sample of a class looks like 60 % the one and 40 % the next, which softness would explain, too.
    log_q, label, true, shares = memorised_flips(3, [238, 109, 211, 97, 110, 234], softness=0.7)
    evidence = Evidence(log_q, torch.from_numpy(label), shares, None)
    model = fit_label_model(evidence)
    assert 1 - float(model.class_shares @ model.transition.diagonal()) == pytest.approx(0.4, abs=0.06)
    assert average_precision_score(label != true, LabelPosterior(evidence, model).p_wrong.numpy()) > 0.9


@pytest.mark.slow
def test_pair_flips_that_members_learned_are_undone():
    # Models trained on noisy labels predict them: 60 % the class, 40 % the next one, and either may come out first.
    rng = np.random.default_rng(1)
    true = rng.integers(5, size=3000)
    flipped = rng.random(3000) < 0.4
    label = np.where(flipped, (true + 1) % 5, true)
    logits = np.full((3000, 5), np.log(0.02))
    logits[np.arange(3000), true], logits[np.arange(3000), (true + 1) % 5] = np.log(0.6), np.log(0.4)
    logits += 0.7 * rng.normal(size=logits.shape)
    q = torch.tensor(logits).softmax(1)
    model, probability = fit(q, label)
    assert model.noise_aware
    assert (q.argmax(1).numpy() == true).mean() < 0.7
    assert (probability.argmax(1) == true).mean() > 0.95
    assert calibration_error(wrong_of(probability, label), flipped) < 0.02


@pytest.mark.slow
def test_neighbours_are_weighted_as_second_evidence():
    # The consensus knows nothing of half of the samples, the neighbours nothing of the other half.
    rng = np.random.default_rng(0)
    true = rng.integers(3, size=4000)
    first = rng.random(4000) < 0.5
    logits = rng.normal(size=(4000, 3))
    logits[np.arange(4000), true] += np.where(first, 4, 0)
    flipped = rng.random(4000) < 0.2
    label = np.where(flipped, (true + rng.integers(1, 3, 4000)) % 3, true)
    near = rng.integers(3, size=(4000, 10))
    agree = ~first[:, None] & (rng.random((4000, 10)) < 0.8)
    near = torch.from_numpy(np.where(agree, true[:, None], near).astype(np.int32))
    q = torch.tensor(logits).softmax(1)
    alone, both = fit(q, label), fit(q, label, near)
    assert (both[0].evidence_weights > 0.3).all()
    assert (both[1].argmax(1) == true).mean() > (alone[1].argmax(1) == true).mean() + 0.05
    assert calibration_error(wrong_of(both[1], label), flipped) < 0.04


def wrong_by_witnesses(seed):
    """Labels of three classes, a fifth of them wrong, an uninformative consensus, and an informative witness."""
    rng = np.random.default_rng(seed)
    true = rng.integers(3, size=600)
    flipped = rng.random(600) < 0.2
    label = np.where(flipped, (true + rng.integers(1, 3, 600)) % 3, true)
    consensus, witness = torch.tensor(rng.normal(size=(2, 600, 3)))
    witness[torch.arange(600), torch.from_numpy(true)] += 4
    near = torch.tensor(rng.integers(3, size=(600, 10)))
    prior = torch.tensor(np.bincount(label, minlength=3) / 600)
    return consensus.log_softmax(1), witness.log_softmax(1), torch.from_numpy(label), near, prior, flipped


def test_witnesses_are_evidence_by_bayes():
    consensus, witness, label, near, prior, flipped = wrong_by_witnesses(0)
    evidence = Evidence(consensus, label, prior, near, witnesses=(witness,))
    model = fit_label_model(evidence)
    probability = true_label_probabilities(model, evidence, torch.arange(600)).numpy()
    consensus, witness, near = evidence.label_evidence(torch.arange(600))
    by_hand = np.zeros_like(probability)
    for weight, each in model.mixture():
        scores = np.zeros((600, 3))
        for k, log_w in enumerate((consensus.T.numpy(), witness.T.numpy(), near.T.numpy())):
            at_face_value = not each.noise_aware and k < 2
            like = log_w if at_face_value else log_likelihoods(each, log_w, prior.numpy())
            scores += float(each.evidence_weights[k]) * like
        joint = each.prior.numpy() * np.exp(scores) * each.transition.numpy().T[label]
        by_hand += weight * joint / joint.sum(1, keepdims=True)
    np.testing.assert_allclose(probability, by_hand, rtol=0, atol=1e-9)
    assert average_precision_score(flipped, LabelPosterior(evidence, model).p_wrong) > 0.9


@pytest.mark.parametrize("noise_aware", [True, False])
def test_a_witness_that_repeats_the_consensus_shares_its_weight(noise_aware):
    _, consensus, label, _, prior, _ = wrong_by_witnesses(1)
    rows = torch.arange(600)
    alone, repeated = (Evidence(consensus, label, prior, None, witnesses=each) for each in ((), (consensus, consensus)))
    one, three = (
        # The sum of three weights has three times the variance of each in its prior.
        LabelModelFitter(
            each.label_evidence(rows),
            label,
            prior,
            replace(DEFAULT_CONFIG, weight_precision=each.counts.models),
            each.counts,
        ).fit_path([(float("inf"), 3.0)], noise_aware=noise_aware)[0]
        for each in (alone, repeated)
    )
    torch.testing.assert_close(three.evidence_weights, one.evidence_weights.expand(3) / 3, rtol=0, atol=1e-2)
    p_wrong = [LabelPosterior(each, model).p_wrong for each, model in ((alone, one), (repeated, three))]
    torch.testing.assert_close(*p_wrong, rtol=0, atol=1e-2)


def test_shares_of_neighbours_by_hand():
    prior = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    near = torch.tensor([[0] * 6 + [1] * 3 + [-1], [-1] * 10], dtype=torch.int32)
    evidence = Evidence(prior.log().expand(2, 3), torch.tensor([0, 1]), prior, near)
    consensus, shares = evidence.label_evidence(torch.arange(2))
    # Of (6 + 1, 3 + .5, 0 + .5) over the prior: 14, 14 and 2.
    torch.testing.assert_close(shares[:, 0].exp(), torch.tensor([14, 14, 2], dtype=torch.float64) / 30)
    torch.testing.assert_close(shares[:, 1].exp(), torch.full((3,), 1 / 3, dtype=torch.float64))
    torch.testing.assert_close(consensus.exp(), torch.full((3, 2), 1 / 3, dtype=torch.float64))


@pytest.mark.slow
def test_likelihood_is_largest_at_what_is_found():
    clean, label, _ = mixture(5, n=800)
    q = np.stack([1 - clean, clean], 1)
    model, _ = fit(q, label)

    def likelihood(power, transition, prior):
        p = prior * q**power
        p /= p.sum(1, keepdims=True)
        return np.log((p @ transition)[np.arange(len(label)), label]).mean()

    rate = model.wrong_share
    prior, power = model.prior.numpy(), model.evidence_weights.item()
    best = likelihood(power, model.transition.numpy(), prior)
    for other in (power * 0.8, power * 1.25):
        assert likelihood(max(other, 1.0), model.transition.numpy(), prior) <= best + 1e-4
    for other in (rate - 0.05, rate + 0.05):
        assert likelihood(power, (1 - other) * np.eye(2) + other * (1 - np.eye(2)), prior) < best + 1e-4


def test_a_few_samples_of_a_class_teach_no_noise_rate():
    label = np.array([0] * 50 + [1, 1])
    model, probability = fit([[0.99, 0.01]] * 50 + [[0.05, 0.95], [0.1, 0.9]], label)
    assert (model.transition.diagonal() > 0.9).all()
    assert (wrong_of(probability, label) < 0.1).all()


def test_small_classes_are_shrunk_to_the_common_noise_rate():
    # Four samples look like class 1 and two of them are labelled 0: counted alone that were a rate of one half.
    label = np.array([0] * 100 + [0, 0, 1, 1])
    model, _ = fit([[0.999, 0.001]] * 100 + [[0.001, 0.999]] * 4, label)
    assert model.transition[1, 0] < 0.25


@pytest.mark.slow
def test_uninformative_evidence_doubts_no_label():
    doubted = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(200, 5)), rng.integers(0, 4, 200)
        d = hs.measure(x, y, learner="ridge", folds=4, repeats=3, refine=False)
        doubted.append(d.p_wrong.max() > 0)
        has_notice = any("no label counts as wrong" in notice for notice in d.settings["notices"])
        assert has_notice is not bool(doubted[-1])
        np.testing.assert_allclose(d.factors.sum(axis=1), d.error, atol=1e-9)
        if has_notice:
            assert (d.factors["noise"] == 0).all()
    # Two pieces of evidence, each informative by chance in one of forty cases.
    assert sum(doubted) <= 2


@pytest.mark.slow
def test_informative_neighbours_count_where_the_models_are_uninformative():
    rng = np.random.default_rng(4)
    x = rng.uniform(-1, 1, size=(400, 2))
    true = (x[:, 0] * x[:, 1] > 0).astype(int)
    wrong = rng.random(400) < 0.1
    d = hs.measure(x, true ^ wrong, learner="ridge", folds=4, repeats=3)
    assert d.p_wrong[wrong].mean() > d.p_wrong[~wrong].mean() + 0.3


@pytest.mark.slow
def test_what_labels_cannot_tell_apart_is_averaged():
    # Twins: each looks like the other half of the time, or is mislabelled as it half of the time.
    rng = np.random.default_rng(3)
    true = rng.integers(3, size=300)
    q = np.full((300, 3), 0.02)
    q[true == 0] = 0.96, 0.02, 0.02
    q[true > 0] = 0.02, 0.55, 0.43
    label = np.array([rng.choice(3, p=each / each.sum()) for each in q])
    model, probability = fit(q, label)
    alone = Evidence(torch.from_numpy(q).log(), torch.from_numpy(label), torch.full((3,), 1 / 3).double(), None)
    each = [(weight, true_label_probabilities(m, alone, torch.arange(300)).numpy()) for weight, m in model.mixture()]
    assert len(each) > 1
    assert sum(weight for weight, _ in each) == pytest.approx(1)
    assert max(weight for weight, _ in each) == each[0][0]
    np.testing.assert_allclose(probability, sum(weight * p for weight, p in each), atol=1e-12)
    np.testing.assert_allclose(model.mean_transition().sum(1), 1)
    assert float(model.mean_shares().sum()) == pytest.approx(1)
    np.testing.assert_allclose(LabelPosterior(alone, model).p_wrong, 1 - probability[np.arange(300), label], atol=1e-12)


def test_a_model_far_less_likely_is_no_alternative():
    clean, label, _ = mixture(0)
    q = torch.from_numpy(np.stack([1 - clean, clean], 1))
    evidence = Evidence(q.log(), torch.from_numpy(label), torch.full((2,), 0.5).double(), None)
    fitter = LabelModelFitter(evidence.label_evidence(torch.arange(len(label))), evidence.label, evidence.prior)
    likely = fitter.fit_path(DEFAULT_CONFIG.shrinkage_levels[-1:], noise_aware=False)[0]
    some = torch.full((len(label),), -0.5).double() + 0.01 * torch.arange(len(label)).double().cos()
    other = likely._replace(prior=torch.tensor([0.4, 0.6]).double())
    noisy = likely._replace(transition=torch.tensor([[0.5, 0.5], [0.5, 0.5]]).double())
    candidate = selection._Candidate
    best, close, distant = candidate(likely, some), candidate(other, some + 1.0), candidate(other, some - 1.0)
    candidates = [best, close, distant, candidate(noisy, some)]
    alternatives = selection._with_alternatives(best, candidates, DEFAULT_CONFIG).alternatives
    assert [(weight, model is other) for weight, model in alternatives] == [(DEFAULT_CONFIG.alternative_weight, True)]


@pytest.mark.parametrize("seed", range(3))
def test_overlapping_classes_are_not_taken_for_pair_flips(seed):
    rng, classes, n = np.random.default_rng(seed), 6, 800
    y = rng.integers(classes, size=n)
    x = np.stack([0.5 * y + rng.normal(size=n), 0.5 * (y % 2) + rng.normal(size=n)], 1)
    label = np.where(rng.random(n) < 0.08, (y + rng.integers(1, classes, n)) % classes, y)
    model = LogisticRegression(max_iter=500)
    consensus = cross_val_predict(model, np.hstack([x, x**2]), label, cv=5, method="predict_log_proba")
    prior = torch.from_numpy(np.bincount(label) / n)
    assert fit_label_model(Evidence(torch.from_numpy(consensus), torch.from_numpy(label), prior, None)).targets is None
