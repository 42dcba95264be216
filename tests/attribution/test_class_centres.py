"""Class centres: distances without a sample's own part, by definition; their evidence helps where a class is rare."""

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import average_precision_score

import hardsight as hs
from hardsight.attribution.label_noise import (
    Evidence,
    LabelPosterior,
    SampleFeatures,
    add_class_centres,
    class_centres,
    class_prior,
    fit_label_model,
)
from hardsight.attribution.label_noise.class_centres import centre_distances
from hardsight.resampling.spacing import evenly_spaced


def clusters(seed=0, n=60, d=5, classes=4, *, pairs=False):
    """Features of clusters in blocks of one sample, or of two; labels."""
    rng = np.random.default_rng(seed)
    label = rng.integers(classes, size=n)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=(classes, d))[label]
    return SampleFeatures(x, np.arange(n) // 2 if pairs else np.arange(n)), label


def by_definition(features, label, classes=4):
    """Compute every centre and covariance anew without the sample, in float64."""
    x = (features.matrix - features.matrix.mean(0)) / features.matrix.std(0)
    n = len(x)
    total = np.stack([x[label == c].sum(0) for c in range(classes)])
    residual = x - (total / (np.bincount(label, minlength=classes) + 1)[:, None])[label]
    shrunk, shrinkage = ledoit_wolf(residual)
    centred = residual - residual.mean(0)
    mean_square = np.trace(np.linalg.inv(shrunk) @ centred.T @ centred) / n
    distance = np.empty((n, classes))
    for i in range(n):
        others = features.blocks != features.blocks[i]
        inverse = np.linalg.inv(shrunk - (1 - shrinkage) / n * np.outer(centred[i], centred[i]))
        for c in range(classes):
            rows = others & (label == c)
            difference = x[i] - x[rows].sum(0) / (rows.sum() + 1)
            error = mean_square * rows.sum() / (rows.sum() + 1) ** 2
            distance[i, c] = np.sqrt(max(difference @ inverse @ difference - error, 1e-6 * mean_square))
    return distance


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("d", [3, 12])
def test_distances_are_those_without_the_sample(d, pairs):
    features, label = clusters(d=d, pairs=pairs)
    np.testing.assert_allclose(centre_distances(features, label, 4), by_definition(features, label), rtol=1e-4)


def weak_evidence(n=300, classes=4, d=6):
    """Clusters with one rare class, 40 % wrong labels, and a consensus that says little; features, and what is wrong."""
    rng = np.random.default_rng(0)
    true = rng.choice(classes, size=n, p=np.array([0.1, *np.full(classes - 1, 0.9 / (classes - 1))]))
    x = rng.normal(size=(n, d)) + 2.5 * rng.normal(size=(classes, d))[true]
    wrong = rng.random(n) < 0.4
    label = np.where(wrong, (true + rng.integers(1, classes, n)) % classes, true)
    scores = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[true]
    evidence = Evidence(torch.from_numpy(scores).log_softmax(1), torch.from_numpy(label), class_prior(label, classes), None)
    return evidence, SampleFeatures(x, np.arange(n)), wrong


@pytest.fixture(scope="module")
def fitted():
    """Evidence, features, what is wrong, and the label model without centres."""
    evidence, features, wrong = weak_evidence()
    return evidence, features, wrong, fit_label_model(evidence)


def p_wrong(evidence, model, features):
    return LabelPosterior(*add_class_centres(evidence, model, features)).p_wrong.numpy()


@pytest.mark.slow
def test_centres_find_wrong_labels_that_models_miss(fitted):
    evidence, features, wrong, model = fitted
    without, added = (average_precision_score(wrong, p_wrong(evidence, model, each)) for each in (None, features))
    assert added > without + 0.05, (without, added)


@pytest.mark.slow
def test_features_that_say_nothing_of_the_class_hardly_count(fitted):
    evidence, features, _, model = fitted
    noise = features._replace(matrix=np.random.default_rng(1).normal(size=features.matrix.shape))
    assert float(add_class_centres(evidence, model, noise)[1].evidence_weights[-1]) < 0.3
    np.testing.assert_allclose(p_wrong(evidence, model, noise), p_wrong(evidence, model, None), atol=0.1)


@pytest.mark.slow
def test_order_and_units_do_not_matter(fitted):
    evidence, features, _, model = fitted
    expected = p_wrong(evidence, model, features)
    scaled = features._replace(matrix=features.matrix * np.array([1e3, 1, 1e-3, 1, 1, -2]) + 7)
    np.testing.assert_allclose(p_wrong(evidence, model, scaled), expected, atol=1e-3)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(expected)))
    moved = evidence._replace(consensus=evidence.consensus[order], label=evidence.label[order])
    moved_features = SampleFeatures(features.matrix[order], order.numpy())
    np.testing.assert_allclose(p_wrong(moved, model, moved_features), expected[order], atol=1e-3)
    classes = torch.tensor([2, 0, 3, 1])
    renamed = evidence._replace(
        consensus=evidence.consensus[:, classes], label=classes.argsort()[evidence.label], prior=evidence.prior[classes]
    )
    np.testing.assert_allclose(p_wrong(renamed, fit_label_model(renamed), features), expected, atol=1e-3)


def test_centres_do_not_serve_two_classes_or_too_many_features():
    evidence, features, _ = weak_evidence(n=60, classes=2)
    model = fit_label_model(evidence)
    assert add_class_centres(evidence, model, features) == (evidence, model)
    evidence, features, _ = weak_evidence(n=60, d=60)
    model = fit_label_model(evidence)
    assert add_class_centres(evidence, model, features) == (evidence, model)


def test_large_data_are_compared_with_a_reference(monkeypatch):
    features, label = clusters(n=90, pairs=True)
    monkeypatch.setattr(class_centres, "_MAX_REFERENCE", 30)
    distance = centre_distances(features, label, 4)
    rows = evenly_spaced(90, 30)  # the reference
    alone = centre_distances(features._replace(matrix=features.matrix[rows], blocks=features.blocks[rows]), label[rows], 4)
    np.testing.assert_allclose(distance[rows], alone, rtol=1e-6)
    assert np.isfinite(distance).all()


@pytest.mark.parametrize(("classes", "n_evidence"), [(3, 3), (2, 2)])
def test_runs_and_predictions_as_given_use_centres(classes, n_evidence):
    evidence, features, _ = weak_evidence(n=120, classes=classes)
    label, x = evidence.label.numpy(), features.matrix
    views = torch.stack([evidence.consensus, evidence.consensus - 0.1 * evidence.consensus.square()]).softmax(2).numpy()
    # Weights of the consensus, the neighbours and the centres.
    assert len(hs.measure_predictions(views, label, features=x).run.evidence_weights) == n_evidence
    assert len(hs.measure(x, label, learner="logistic", repeats=2, refine=False).run.evidence_weights) == n_evidence
