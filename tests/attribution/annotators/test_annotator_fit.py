"""The model of annotators against exhaustive sums, Dawid and Skene's EM, and cleanlab."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from cleanlab.multiannotator import get_label_quality_multiannotator
from scipy.special import betaln, gammaln, logsumexp, softmax
from sklearn.metrics import average_precision_score
from support.crowds import confused_matrices, dawid_skene, simulate

from hardsight.attribution.annotators import Incidence, fit_annotators


def incidence_of(crowd):
    return Incidence.of(crowd.item, crowd.annotator, crowd.label, len(crowd.truth), crowd.matrices.shape[1])


def log_evidence_of(model, item, annotator, label, n_classes):
    """Log-probability of the annotations and each true-label configuration, by summing over everything hidden."""
    skill, disputes = model.skill, model.disputes
    prior = np.broadcast_to(model.item_prior.log_probability(), (item.max() + 1, n_classes))
    n_items, n = item.max() + 1, len(item)
    joint = {}
    for truth in product(range(n_classes), repeat=n_items):
        terms = []
        for disputed in product((0, 1), repeat=n_items):
            for random in product((0, 1), repeat=n):
                if any(r and not disputed[i] for r, i in zip(random, item, strict=True)):
                    continue
                term = sum(prior[i, truth[i]] for i in range(n_items))
                term += sum(np.log(disputes.share if d else 1 - disputes.share) for d in disputed)
                counts = np.zeros((annotator.max() + 1, n_classes, n_classes))
                for i, a, y, r in zip(item, annotator, label, random, strict=True):
                    if r:
                        term += np.log(disputes.random / n_classes)
                        continue
                    term += np.log(1 - disputes.random) if disputed[i] else 0.0
                    counts[a, truth[i], y] += 1
                terms.append(term + log_probability_of_counts(counts, skill))
        joint[truth] = logsumexp(terms)
    return joint


def log_probability_of_counts(counts, skill):
    """Beta-binomial for right labels and Dirichlet-multinomial for the destinations of wrong ones, term by term."""
    total = 0.0
    for matrix in counts:
        for true, row in enumerate(matrix):
            strength = skill.accuracy_strength
            a, b = strength * skill.accuracy[true], strength * (1 - skill.accuracy[true])
            total += betaln(a + row[true], b + row.sum() - row[true]) - betaln(a, b)
            alpha = np.delete(skill.confusion_strength * skill.confusion[true], true)
            wrong = np.delete(row, true)
            total += gammaln(alpha.sum()) - gammaln(alpha.sum() + wrong.sum())
            total += (gammaln(alpha + wrong) - gammaln(alpha)).sum()
    return total


@pytest.mark.parametrize("n_classes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_bound_lies_just_below_the_exact_evidence_and_the_posterior_is_close(n_classes):
    item = np.array([0, 0, 0, 1, 1, 2, 2])
    annotator = np.array([0, 1, 2, 0, 1, 1, 2])
    label = np.array([0, 0, 1, 1, 1, n_classes - 1, 0])
    model = fit_annotators(Incidence.of(item, annotator, label, 3, n_classes))
    joint = log_evidence_of(model, item, annotator, label, n_classes)
    exact = logsumexp(list(joint.values()))
    # The last step, of the prior of the items, came after the last bound.
    densities = model.item_prior.log_density() + model.skill.log_density() + model.disputes.log_density()
    assert exact - 0.5 < model.bounds[-1] - densities <= exact + 1e-3
    for i, c in product(range(3), range(n_classes)):
        p = np.exp(logsumexp([value for truth, value in joint.items() if truth[i] == c]) - exact)
        assert model.posterior[i, c] == pytest.approx(p, abs=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_never_falls(seed):
    rng = np.random.default_rng(seed)
    n_classes = int(rng.integers(2, 6))
    crowd = simulate(rng, rng.dirichlet(np.ones(n_classes), (9, n_classes)), 150, 3)
    log_predicted = np.log(rng.dirichlet(np.ones(n_classes), 150)) if seed % 2 else None
    bounds = fit_annotators(incidence_of(crowd), log_predicted).bounds
    assert (np.diff(bounds) > -1e-7 * abs(bounds[0])).all()


def test_annotators_of_thousands_of_labels_get_the_matrices_of_dawid_and_skene():
    rng = np.random.default_rng(3)
    crowd = simulate(rng, confused_matrices(rng, 4, 3, 0.75), 4000, 4)
    posterior, matrices = dawid_skene(crowd)
    model = fit_annotators(incidence_of(crowd))
    for annotator in range(4):
        assert np.abs(model.matrix_of(annotator) - matrices[annotator]).max() < 0.03
        assert np.abs(model.matrix_of(annotator) - crowd.matrices[annotator]).max() < 0.06
    assert np.abs(model.posterior - posterior).mean() < 0.01


def test_few_labels_are_judged_by_what_is_usual():
    rng = np.random.default_rng(5)
    crowd = simulate(rng, confused_matrices(rng, 40, 3, 0.8), 300, 3)
    # One more annotator, whose only label contradicts three others.
    item = np.append(crowd.item, 0)
    annotator = np.append(crowd.annotator, 40)
    label = np.append(crowd.label, (crowd.truth[0] + 1) % 3)
    model = fit_annotators(Incidence.of(item, annotator, label, 300, 3))
    accuracy = np.diag(model.matrix_of(40)).mean()
    assert abs(accuracy - model.skill.accuracy.mean()) < 0.1


def test_the_posterior_does_not_depend_on_the_order_of_annotations():
    rng = np.random.default_rng(1)
    crowd = simulate(rng, confused_matrices(rng, 6, 3, 0.7), 80, 3)
    order = rng.permutation(len(crowd.item))
    shuffled = Incidence.of(crowd.item[order], crowd.annotator[order], crowd.label[order], 80, 3)
    np.testing.assert_allclose(fit_annotators(incidence_of(crowd)).posterior, fit_annotators(shuffled).posterior, atol=1e-6)


def test_models_count_for_as_much_as_they_know():
    rng = np.random.default_rng(2)
    crowd = simulate(rng, confused_matrices(rng, 10, 4, 0.6), 500, 2)
    alone = fit_annotators(incidence_of(crowd)).posterior
    good = softmax(3 * np.eye(4)[crowd.truth] + rng.normal(size=(500, 4)), axis=1)
    useless = softmax(3 * np.eye(4)[rng.integers(0, 4, 500)] + rng.normal(size=(500, 4)), axis=1)
    helped = fit_annotators(incidence_of(crowd), np.log(good))
    ignored = fit_annotators(incidence_of(crowd), np.log(useless))
    assert ignored.item_prior.exponent < 0.25 < 0.7 < helped.item_prior.exponent

    def accuracy(posterior):
        return (posterior.argmax(1) == crowd.truth).mean()

    assert accuracy(helped.posterior) > accuracy(alone) + 0.1
    assert accuracy(ignored.posterior) > accuracy(alone) - 0.03


def test_a_rare_class_does_not_become_the_class_of_all_disputed_items():
    rng = np.random.default_rng(4)
    n = 600
    truth = rng.choice(3, n, p=[0.49, 0.02, 0.49])
    clarity = np.where(rng.random(n) < 0.2, 0.5, 0.95)
    item, annotator = np.repeat(np.arange(n), 6), np.tile(np.arange(6), n)
    right = rng.random(len(item)) < clarity[item]
    label = np.where(right, truth[item], rng.integers(0, 3, len(item)))
    model = fit_annotators(Incidence.of(item, annotator, label, n, 3))
    consensus = model.posterior.argmax(1)
    assert (consensus == truth).mean() > 0.96
    assert (consensus == 1).mean() < 0.06
    assert model.p_disputed[clarity < 0.9].mean() > 0.4 > 0.15 > model.p_disputed[clarity > 0.9].mean()


def test_wrong_labels_are_found_better_than_by_cleanlab_from_the_same_predictions():
    rng = np.random.default_rng(8)
    matrices = confused_matrices(rng, 12, 4, 0.85)
    matrices[:2] = 0.25
    matrices[2:4] = confused_matrices(rng, 2, 4, 0.4)
    crowd = simulate(rng, matrices, 700, 2)
    # As a model that learned from noisy labels predicts: right on average, but soft.
    predicted = softmax(1.2 * np.eye(4)[crowd.truth] + 0.8 * rng.normal(size=(700, 4)), axis=1)
    model = fit_annotators(incidence_of(crowd), np.log(predicted))
    wrong = crowd.label != crowd.truth[crowd.item]
    p_wrong = 1 - model.posterior[crowd.item, crowd.label]
    wide = np.full((700, 12), np.nan)
    wide[crowd.item, crowd.annotator] = crowd.label
    theirs = get_label_quality_multiannotator(pd.DataFrame(wide), predicted, verbose=False)
    quality = theirs["detailed_label_quality"].to_numpy()[crowd.item, crowd.annotator]
    assert average_precision_score(wrong, p_wrong) > average_precision_score(wrong, 1 - quality) + 0.01
    bins = np.minimum((p_wrong * 10).astype(int), 9)
    error = sum(abs(p_wrong[bins == b].sum() - wrong[bins == b].sum()) for b in range(10)) / len(wrong)
    assert error < 0.05
