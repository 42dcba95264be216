"""Label models of many classes: kept classes and sparse transitions against matrices written out."""

import numpy as np
import pytest
import torch
from support.label_models import log_likelihoods

from hardsight.attribution.label_noise import (
    DEFAULT_CONFIG,
    Evidence,
    LabelModel,
    LabelPosterior,
    fit_label_model,
    true_label_probabilities,
)
from hardsight.attribution.label_noise.em import LabelModelFitter
from hardsight.attribution.label_noise.sparse import Pairs, SparseEvidence, SparseTransition
from hardsight.attribution.label_noise.sparse_em import SparseLabelModelFitter


def random_transition(rng, classes):
    """A transition matrix with an even spread and some pairs."""
    key = np.sort(rng.choice(classes * classes, 3 * classes, replace=False))
    key = torch.from_numpy(key[key // classes != key % classes])
    pairs = Pairs.of(key, classes)
    even = torch.tensor(rng.uniform(0, 0.3 / classes, classes))
    value = torch.tensor(rng.uniform(0, 0.05, len(key)))
    unlisted = SparseTransition(torch.zeros(classes).double(), even, pairs, value)
    return unlisted._replace(right=1 - unlisted.dense().sum(1))


def many_classes(classes, samples, rate=0.1, seed=0):
    """Evidence of labels, a share of them wrong, and which."""
    rng = np.random.default_rng(seed)
    true = rng.integers(classes, size=samples)
    flipped = rng.random(samples) < rate
    label = np.where(flipped, (true + rng.integers(1, classes, samples)) % classes, true)
    logits = rng.normal(size=(samples, classes))
    logits[np.arange(samples), true] += np.log(classes) + 3
    near = np.where(rng.random((samples, 10)) < 0.5, true[:, None], rng.integers(classes, size=(samples, 10)))
    prior = torch.bincount(torch.from_numpy(label), minlength=classes).clamp(min=1).double() / samples
    return Evidence(torch.tensor(logits).log_softmax(1), torch.from_numpy(label), prior, torch.from_numpy(near)), flipped


@pytest.mark.parametrize("seed", range(3))
def test_scores_and_posterior_are_exact_if_all_classes_are_kept(seed):
    rng = np.random.default_rng(seed)
    evidence, _ = many_classes(40, 30, seed=seed)
    dense = evidence.label_evidence(torch.arange(30))
    kept = SparseEvidence.of(dense, evidence.label, evidence.prior, torch.ones(2).double(), 40)
    transition = random_transition(rng, 40)
    prior = torch.tensor(rng.dirichlet(np.ones(40)))
    model = LabelModel(transition.dense(), prior, torch.tensor([0.7, 1.4], dtype=torch.float64), (3.0, 3.0), True)
    scores = kept.scores(transition, evidence.prior, prior, 0)
    by_hand = np.stack([log_likelihoods(model, log_w.T.numpy(), evidence.prior.numpy()) for log_w in dense])
    of_class = kept.classes.T
    for k in range(2):
        np.testing.assert_allclose(scores[k].T, by_hand[k][np.arange(30)[:, None], of_class], atol=1e-9)
    joint = (
        prior.numpy() * np.exp(np.einsum("k,krc->rc", [0.7, 1.4], by_hand)) * transition.dense().numpy().T[evidence.label]
    )
    log_q = kept.log_q(scores, model.evidence_weights, prior) + kept.of_label(transition, prior).log()
    probability = kept.by_class(log_q.softmax(0), prior)
    np.testing.assert_allclose(probability, joint / joint.sum(1, keepdims=True), atol=1e-9)


def test_few_kept_classes_are_nearly_enough_for_a_fitted_model():
    evidence, _ = many_classes(60, 600)
    rows = torch.arange(600)
    model = SparseLabelModelFitter.of(evidence, rows, DEFAULT_CONFIG).fit_path([(10.0, 3.0)], noise_aware=True)[0]
    sparse = true_label_probabilities(model, evidence, rows)
    dense = true_label_probabilities(model._replace(transition=model.dense_transition()), evidence, rows)
    torch.testing.assert_close(sparse.sum(1), torch.ones(600).double())
    torch.testing.assert_close(sparse, dense, rtol=0, atol=0.01)


@pytest.mark.parametrize("level", [(10.0, 3.0), (float("inf"), float("inf"))])
@pytest.mark.parametrize("noise_aware", [True, False])
def test_fits_agree_with_those_of_full_matrices(level, noise_aware):
    evidence, _ = many_classes(40, 600)
    rows = torch.arange(600)
    dense = LabelModelFitter(evidence.label_evidence(rows), evidence.label, evidence.prior)
    sparse = SparseLabelModelFitter.of(evidence, rows, DEFAULT_CONFIG)
    models = [fitter.fit_path([level], noise_aware=noise_aware)[0] for fitter in (dense, sparse)]
    p_wrong = [LabelPosterior(evidence, model).p_wrong for model in models]
    torch.testing.assert_close(*p_wrong, rtol=0, atol=0.02)
    torch.testing.assert_close(models[1].prior.sum(), torch.tensor(1.0).double())
    torch.testing.assert_close(models[1].dense_transition().sum(1), torch.ones(40).double())


@pytest.mark.slow
def test_wrong_labels_among_many_classes_are_found():
    evidence, flipped = many_classes(300, 3000)
    model = fit_label_model(evidence)
    p_wrong = LabelPosterior(evidence, model).p_wrong.numpy()
    assert isinstance(model.transition, SparseTransition)
    assert p_wrong[flipped].mean() > 0.95
    assert p_wrong[~flipped].mean() < 0.02
