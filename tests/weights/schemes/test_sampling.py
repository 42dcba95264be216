"""Schemes that draw samples: chances, what undoes them, and unbiasedness by enumerating every draw."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tensors import assert_close, seeded_generator

from hardsight.errors import InputError
from hardsight.weights.schemes import hard_mining, sampling

DOUBLE = torch.float64
LOSS = torch.tensor([0.05, 0.3, 1, 2.302585, 4], dtype=DOUBLE)
SCORES = torch.tensor([0.1, 0.2, 0.4, 0.8, 1.5], dtype=DOUBLE)


def test_corrections_are_the_reference_codes_numbers():
    at = [0, 2, 4]
    weights = sampling.correction(SCORES)[at]
    assert_close(weights, [6.0, 1.5, 0.4])
    assert_close(sampling.biased_correction(weights, SCORES[at], power=1.0), weights)
    assert_close(sampling.biased_correction(weights, SCORES[at], power=0.5), [2.61895, 1.30948, 0.67621])
    largest_one = sampling.correction(SCORES, power=0.4, largest_one=True)
    assert_close(largest_one, ((3 / 5 / SCORES) ** 0.4) / (3 / 5 / 0.1) ** 0.4)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8))
def test_corrected_draws_have_the_mean_of_all_samples(chances):
    chances = torch.tensor(chances, dtype=DOUBLE)
    values = torch.linspace(-1, 2, len(chances), dtype=DOUBLE)
    drawn = chances / chances.sum()
    assert_close((drawn * sampling.correction(chances) * values).sum(), values.mean(), atol=1e-9)


def test_importance_sampling_goes_by_the_gradient_of_the_logits():
    logits = torch.randn(8, 4, dtype=DOUBLE, generator=seeded_generator()).requires_grad_()
    labels = torch.arange(8) % 4
    (gradient,) = torch.autograd.grad(
        torch.nn.functional.cross_entropy(logits, labels, reduction="sum"), logits, retain_graph=True
    )
    assert_close(sampling.importance_sampling(logits, labels).detach(), gradient.norm(dim=1), rtol=1e-10)
    certain = sampling.importance_sampling(torch.tensor([[30.0, 0], [300, 0]]), torch.tensor([0, 0]))
    assert_close(certain, [torch.finfo(torch.float32).eps] * 2)
    near = sampling.importance_sampling(torch.tensor([[10.0, 0]]), torch.tensor([0]))
    assert_close(near, math.sqrt(2) * math.exp(-10) / (1 + math.exp(-10)))
    assert sampling.correction(certain).isfinite().all()


def test_prioritized_replay_is_a_power_of_the_loss():
    assert_close(sampling.per(LOSS), LOSS**0.6, rtol=1e-6)
    assert_close(sampling.per(LOSS, alpha=0), np.ones(5))
    assert (sampling.per(LOSS * 0) > 0).all()


@pytest.mark.parametrize("prune", [0.5, 0.25])
def test_infobatch_is_unbiased_by_enumeration_of_every_coin(monkeypatch, prune):
    # Three of the five losses are below the mean.
    expected = np.zeros(5)
    for tosses in itertools.product((False, True), repeat=5):
        drawn = torch.tensor([0.99 if kept else 0.0 for kept in tosses], dtype=DOUBLE)
        monkeypatch.setattr(torch, "rand", lambda *_, drawn=drawn, **__: drawn)
        chance = math.prod(1 - prune if kept else prune for kept in tosses)
        expected += chance * sampling.infobatch(LOSS, 0, 10, seeded_generator(), prune=prune).numpy()
    np.testing.assert_allclose(expected, 1)


def test_infobatch_keeps_the_weights_of_the_reference_code_which_is_biased_for_few_samples():
    drawn = torch.stack([sampling.infobatch(LOSS, 0, 10, seeded_generator(seed)) for seed in range(2000)])
    assert set(drawn[:, :3].unique().tolist()) == {0.0, 2.0}
    assert (drawn[:, 3:] == 1).all()
    assert_close(drawn.mean(0), np.ones(5), atol=0.08)
    few = torch.stack([sampling.infobatch(LOSS, 0, 10, seeded_generator(seed), prune=0.2) for seed in range(500)])
    assert_close(few.mean(0), np.ones(5), atol=0.08)
    # The code keeps int(0.5 * 3) = 1 of the three: two thirds of the mean that it should have.
    by_count = np.mean([np.eye(3)[kept] * 2 for kept in range(3)], axis=0)
    np.testing.assert_allclose(by_count, 2 / 3)


def test_infobatch_drops_none_at_the_end_nor_where_all_are_equal():
    assert (sampling.infobatch(LOSS, 8.76, 10, seeded_generator()) == 1).all()
    assert (sampling.infobatch(LOSS, 8.75, 10, seeded_generator()) != 1).any()
    for value in (0.1, 0.3, 0.7):
        for count in (3, 7, 1000):
            assert (sampling.infobatch(torch.full((count,), value), 0, 10, seeded_generator()) == 1).all()


def test_draws_come_from_the_seed_alone():
    first, again = (sampling.infobatch(LOSS, 0, 10, seeded_generator(3)) for _ in range(2))
    assert first.tolist() == again.tolist()


def test_online_batch_selection_presses_less_and_less():
    loss = torch.tensor([1.0, 5, 3, 0], dtype=DOUBLE)
    ranks = np.array([3, 1, 2, 4])
    for epoch, pressure in ((0, 100), (5, 10), (10, 1)):
        found = hard_mining.online_batch_selection(loss, epoch, 10)
        expected = (1 / np.exp(np.log(pressure) / 4)) ** ranks
        assert_close(found / found.sum(), expected / expected.sum(), rtol=1e-9)
    steady = hard_mining.online_batch_selection(loss, 10, 10, end=100)
    assert_close(steady / steady.max(), hard_mining.online_batch_selection(loss, 0, 10) / steady.max())


def test_self_paced_quotas_are_those_of_bins_by_hand():
    hardness = torch.tensor([0.0, 0.1, 0.19, 0.25, 0.5, 0.95, 1.0], dtype=DOUBLE)
    at, quotas = sampling.self_paced_quotas(hardness, 10, 0.3, 5)
    assert at.tolist() == [0, 0, 0, 1, 2, 4, 4]
    weights = 1 / (np.array([0.29 / 3, 0.25, 0.5, 0, 0.975]) + 0.3)
    weights[3] = 0
    assert quotas.tolist() == [int(q) + 1 for q in 10 * weights / weights.sum()]
    _, even = sampling.self_paced_quotas(hardness, 10, 1e15, 5)
    assert even.tolist() == [3, 3, 3, 1, 3]


def test_the_self_paced_ensemble_balances_classes_and_starts_with_easy_samples():
    p = torch.rand(300, dtype=DOUBLE, generator=seeded_generator())
    labels = (torch.arange(300) >= 20).long() + (torch.arange(300) >= 90).long()
    for epoch in (0, 4, 9):
        chances = sampling.self_paced_ensemble(p, labels, epoch, 10)
        assert (chances > 0).all()
        assert_close([chances[labels == c].sum() for c in range(3)], [20, 20, 20])
    large = labels == 2
    first = sampling.self_paced_ensemble(p, labels, 0, 10)[large]
    last = sampling.self_paced_ensemble(p, labels, 9, 10)[large]
    assert np.corrcoef(first, p[large])[0, 1] > 0.7
    # At the end every bin of hardness has the same share.
    bins = ((1 - p[large] - (1 - p[large]).min()) / (p[large].max() - p[large].min()) * 5).long().clamp(max=4)
    assert_close(torch.zeros(5, dtype=DOUBLE).index_add(0, bins, last), [4] * 5)
    assert (sampling.self_paced_ensemble(p * 0 + 0.5, labels, 0, 10)[large] == 20 / 210).all()


def test_the_instance_hardness_threshold_keeps_what_imbalanced_learn_keeps():
    from imblearn.under_sampling import InstanceHardnessThreshold
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [20, 61, 119])
    X = rng.normal(size=(200, 4)) + y[:, None] * 0.7
    theirs = InstanceHardnessThreshold(
        estimator=LogisticRegression(), cv=5, random_state=np.random.RandomState(1), sampling_strategy="not minority"
    )
    theirs.fit_resample(X, y)
    state = np.random.RandomState(1)
    estimator = LogisticRegression(random_state=state.randint(np.iinfo(np.int32).max))
    folds = StratifiedKFold(5, shuffle=True, random_state=state)
    q = cross_val_predict(estimator, X, y, cv=folds, method="predict_proba")[np.arange(200), y]
    ours = sampling.instance_hardness_threshold(torch.tensor(-np.log(q)), torch.tensor(y))
    assert sorted(theirs.sample_indices_) == ours.nonzero().flatten().tolist()
    assert [int(ours[y == c].sum()) for c in range(3)] == [20, 20, 20]


def test_what_is_out_of_the_domain_is_refused():
    for match, call in (
        ("chances must be above 0", lambda: sampling.correction(torch.tensor([1.0, 0]))),
        ("chances must be finite", lambda: sampling.correction(torch.tensor([1.0, math.nan]))),
        ("power must be 0 or more", lambda: sampling.correction(SCORES, power=-1)),
        ("prune must be 0 or more and below 1", lambda: sampling.infobatch(LOSS, 0, 1, seeded_generator(), prune=1)),
        ("alpha must be 0 or more", lambda: sampling.per(LOSS, alpha=-1)),
        ("start must be 1 or more", lambda: hard_mining.online_batch_selection(LOSS, 0, 1, start=0.5)),
        ("epoch must be 0 or more and 10 or less", lambda: hard_mining.online_batch_selection(LOSS, 11, 10)),
        ("labels must be codes", lambda: sampling.instance_hardness_threshold(LOSS, torch.tensor([0, 1, -1, 0, 1]))),
        ("epochs must be above 1", lambda: sampling.self_paced_ensemble(LOSS / 9, LOSS.long(), 0, 1)),
    ):
        with pytest.raises(InputError, match=match):
            call()
