"""Labels of rare classes, judged by ranks: against the distributions that they are drawn from, and a direct computation."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from hardsight.attribution.label_noise import (
    Evidence,
    LabelPosterior,
    class_prior,
    fit_label_model,
    true_label_probabilities,
)
from hardsight.attribution.label_noise.rare import _fit_ranks, _ranks, bound_p_wrong, cannot_be_judged


def test_ranks_count_the_scores_outside():
    score, inside = (
        torch.tensor([3.0, 1.0, 2.0, 2.0, 5.0], dtype=torch.float64),
        torch.tensor([False, False, True, False, True]),
    )
    # Of 3, 1 and 2, two are at least 2 and none is at least 5.
    torch.testing.assert_close(_ranks(score, inside), torch.tensor([2.5 / 4, 0.5 / 4], dtype=torch.float64))


def test_the_mixture_is_recovered():
    rng = np.random.default_rng(0)
    right = rng.random(4000) < 0.4
    u = np.where(right, rng.beta(0.3, 10, 4000), rng.random(4000)).clip(1e-9, 1 - 1e-9)
    density = 0.4 * beta.pdf(u, 0.3, 10)
    exact = 0.6 / (density + 0.6)
    np.testing.assert_allclose(_fit_ranks(torch.from_numpy(u)), exact, atol=0.04)


def predictions(seed, sizes, hits):
    """Return log-probabilities, labels and the rows of the last class, which is never predicted.

    The first ``hits`` of its samples get more probability of it than others.
    """
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(sizes)), sizes)
    logits = rng.normal(size=(len(label), len(sizes)))
    logits[np.arange(len(label)), label] += 4
    last = np.flatnonzero(label == len(sizes) - 1)
    logits[last, -1] -= 4
    logits[last, rng.integers(len(sizes) - 1, size=len(last))] += 4
    logits[:, -1] -= 8
    logits[last[:hits], -1] += 5
    return torch.from_numpy(logits).log_softmax(1), torch.from_numpy(label), last


def test_right_labels_that_are_never_predicted_are_told_by_rank():
    consensus, label, last = predictions(0, [200, 200, 200, 30], hits=15)
    assert not (consensus.argmax(1) == 3).any()
    bound = bound_p_wrong(consensus, label)
    assert (bound[:600] == 1).all()
    assert bound[last[:15]].mean() < 0.1
    assert bound[last[15:]].mean() > 0.8
    evidence = Evidence(consensus, label, class_prior(label.numpy(), 4), None)
    model = fit_label_model(evidence)
    plain = LabelPosterior(evidence, model).p_wrong
    bounded = LabelPosterior(evidence._replace(max_p_wrong=bound), model).p_wrong
    torch.testing.assert_close(bounded, torch.minimum(plain, bound))
    assert not cannot_be_judged(bounded, label, bound).any()


def test_bounded_probabilities_sum_to_one_and_keep_the_ratios_of_other_classes():
    consensus, label, last = predictions(1, [200, 200, 200, 30], hits=15)
    evidence = Evidence(consensus, label, class_prior(label.numpy(), 4), None)
    model = fit_label_model(evidence)
    plain, bounded = (
        true_label_probabilities(model, each, torch.from_numpy(last))
        for each in (evidence, evidence._replace(max_p_wrong=bound_p_wrong(consensus, label)))
    )
    torch.testing.assert_close(bounded.sum(1), torch.ones(30, dtype=torch.float64))
    torch.testing.assert_close(bounded[:, :2] / bounded[:, 2:3], plain[:, :2] / plain[:, 2:3])


def test_labels_without_information_cannot_be_judged():
    consensus, label, last = predictions(0, [200, 200, 200, 30], hits=0)
    bound = bound_p_wrong(consensus, label)
    assert bound is not None
    assert cannot_be_judged(bound, label, bound)[last].all()
    assert not cannot_be_judged(bound, label, bound)[: last[0]].any()


@given(st.lists(st.integers(1, 60), min_size=2, max_size=8), st.integers(0, 1000))
def test_bounds_are_probabilities_and_only_of_classes_of_less_than_half_the_average_size(sizes, seed):
    consensus, label, _ = predictions(seed, sizes, hits=sizes[-1] // 2)
    bound = bound_p_wrong(consensus, label)
    small = np.array(sizes)[label] < np.mean(sizes) / 2
    if bound is None:
        return
    assert ((bound > 0) & (bound <= 1)).all()
    assert (bound[torch.from_numpy(~small)] == 1).all()
    assert bound_p_wrong(consensus, label, torch.from_numpy(small)) is None
