"""The test of the tests: a fault that is planted in the library makes a claim fail."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hardsight.attribution import label_noise as truth
from hardsight.attribution import ledger as factors
from hardsight.explanation.optimization import max_margin as dual
from hardsight.learners.linear import ridge as closed_form
from hardsight.measures import MEASURES, combined, held_out
from hardsight.measures import bias_variance as decompose
from hardsight.theory import CLAIMS
from hardsight.theory.claims import imbalance
from hardsight.weights import SCHEMES
from hardsight.weights import describe as words
from hardsight.weights.schemes import sampling


def counted_once_more(patch):
    add = held_out.RunningMoments.add

    def faulty(self, rows, values):
        add(self, rows, values * 1.001)

    patch.setattr(held_out.RunningMoments, "add", faulty)


def votes_for_the_least_likely(patch):
    values = held_out.prediction_values

    def faulty(predictions, labels, classes):
        found = values(predictions, labels, classes)
        if "vote" in found:
            found["vote"] = torch.nn.functional.one_hot(predictions.argmin(1), classes).double()
        return found

    patch.setattr(held_out, "prediction_values", faulty)


def judged_by_models_that_saw_it(patch):
    def faulty(system, drawn):
        fit = np.linalg.solve(system.gram, system.moment)
        return system.z @ fit

    patch.setattr(closed_form, "predict_held_out", faulty)


def no_correction_for_views(patch):
    patch.setattr(
        decompose,
        "_with_finite_correction",
        lambda error, plug_in, count: decompose.Decomposition(error, error - plug_in, plug_in),
    )


def variance_counted_twice(patch):
    split = decompose._with_finite_correction
    patch.setattr(decompose, "_with_finite_correction", lambda error, plug_in, count: split(error, 2 * plug_in, count))


def variance_always_costs(patch):
    zero_one = decompose.zero_one

    def faulty(vote, label, count):
        error, bias, variance = zero_one(vote, label, count)
        return decompose.Decomposition(error, bias, variance.abs())

    patch.setattr(decompose, "zero_one", faulty)


def prior_multiplied(patch):
    ledger = factors.ledger

    def faulty(parts, consensus, label, neighbours=None, *, prior=None, label_posterior=None):
        return ledger(
            parts, consensus, label, neighbours, prior=None if prior is None else 1 / prior, label_posterior=label_posterior
        )

    patch.setattr(imbalance, "ledger", faulty)


def transition_turned_round(patch):
    posterior = truth.true_label_probabilities
    patch.setattr(
        truth,
        "true_label_probabilities",
        lambda model, evidence, rows: posterior(model._replace(transition=model.transition.T), evidence, rows),
    )


def memorization_turned_round(patch):
    difference = combined.difference
    measure = MEASURES["memorization"]
    faulty = replace(measure, score=measure.score._replace(finish=lambda labels, a, b: -difference(labels, a, b)))
    patch.setitem(MEASURES, "memorization", faulty)


def scheme(name, change):
    def plant(patch):
        row = SCHEMES[name]
        patch.setitem(SCHEMES, name, replace(row, function=change(row.function)))

    return plant


def easy_for_hard(_):
    return SCHEMES["easy-first"].function


def half_way(_):
    return SCHEMES["balanced-sqrt"].function


def squared(function):
    def faulty(loss, *, lam: float):
        return function(loss, lam=lam) ** 2

    return faulty


def zero_weights_kept(_):
    def faulty(loss, *, rate: float):
        return torch.ones_like(loss)

    return faulty


def half_corrected(patch):
    correction = sampling.correction
    patch.setattr(sampling, "correction", lambda chances: correction(chances, power=0.5))


def size_by_largest(patch):
    patch.setattr(words, "effective_sample_size", lambda weights: float(weights.sum() / weights.max()))


def coefficients(change):
    def plant(patch):
        solve = dual.solve_max_margin

        def faulty(x, y, **how):
            found = solve(x, y, **how)
            p = change(found.coefficients)
            return found._replace(coefficients=p / p.sum())

        patch.setattr(dual, "solve_max_margin", faulty)

    return plant


def margin_too_large(patch):
    solve = dual.solve_max_margin

    def faulty(x, y, **how):
        found = solve(x, y, **how)
        return found._replace(margin=found.margin * 1.01)

    patch.setattr(dual, "solve_max_margin", faulty)


def direction_between_the_means(patch):
    solve = dual.solve_max_margin

    def faulty(x, y, **how):
        mean = (np.asarray(y)[:, None] * np.asarray(x)).mean(0)
        return solve(x, y, **how)._replace(direction=mean / np.linalg.norm(mean))

    patch.setattr(dual, "solve_max_margin", faulty)


ALIKE = coefficients(lambda p: (p > 1e-6).astype(float))
SMEARED = coefficients(lambda p: p + 0.01)

FAULTS = {
    "error": [
        (counted_once_more, ["log-loss-parts", "brier-parts", "squared-parts", "label-distribution"]),
        (votes_for_the_least_likely, ["zero-one-two-classes", "violations-are-errors"]),
        (judged_by_models_that_saw_it, ["held-out-knows-no-target"]),
    ],
    "decomposition": [
        (no_correction_for_views, ["squared-parts", "few-views"]),
        (variance_counted_twice, ["log-loss-parts", "brier-parts", "variance-forms", "consensus-loss"]),
        (variance_always_costs, ["zero-one-two-classes", "zero-one-many-classes"]),
        (prior_multiplied, ["imbalance-line"]),
        (transition_turned_round, ["posterior-is-bayes"]),
        (memorization_turned_round, ["c-score-is-error"]),
    ],
    "weights": [
        (scheme("hard-first", easy_for_hard), ["priorities"]),
        (scheme("balanced", half_way), ["balanced-weights-divide-prior"]),
        (scheme("spl-linear", squared), ["self-paced-minimises"]),
        (scheme("spl-share", zero_weights_kept), ["dynamic-weights-escape"]),
        (half_corrected, ["importance-is-unbiased", "first-term-honest"]),
        (size_by_largest, ["effective-size-is-chi2"]),
    ],
    "dual": [
        (ALIKE, ["dual-closed-form", "dual-is-that-of-svms", "dual-weights-go-straight"]),
        (SMEARED, ["dual-closed-form", "dual-is-that-of-svms", "dual-weights-go-straight"]),
        (margin_too_large, ["dual-closed-form"]),
        (direction_between_the_means, ["dual-closed-form", "dual-is-that-of-svms", "flow-bound"]),
    ],
}


def holds(name: str) -> bool:
    """Whether it holds on a few draws."""
    row = CLAIMS[name]
    return replace(row, runs=min(row.runs, 6)).check().holds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "caught_by"),
    [pytest.param(*row, id=f"{part}-{k}") for part, rows in FAULTS.items() for k, row in enumerate(rows)],
)
def test_a_planted_fault_makes_a_claim_fail(plant, caught_by, monkeypatch):
    plant(monkeypatch)
    assert [name for name in caught_by if holds(name)] == []


@pytest.mark.slow
def test_without_a_fault_all_of_them_hold():
    names = {name for rows in FAULTS.values() for _, caught_by in rows for name in caught_by}
    assert [name for name in sorted(names) if not holds(name)] == []
