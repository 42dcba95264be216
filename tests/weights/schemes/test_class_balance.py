"""Schemes by class sizes, curricula, boosting, iCost: golden vectors, other libraries, brute force, declared priorities."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from icost import iCost
from sklearn.datasets import make_classification
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.class_weight import compute_sample_weight
from torch.nn.functional import cross_entropy

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights import StateShape
from hardsight.weights.schemes import curriculum
from hardsight.weights.schemes.class_balance import ldam_margins
from hardsight.weights.schemes.hard_mining import dihcl_chances

W = hs.weights
LONG_TAIL = torch.tensor([500, 299, 179, 107, 64, 38, 23, 13, 8, 5])
LOSS = torch.tensor([0.05, 0.3, 1, 2.302585, 4])


def logits_of(loss, classes=10):
    """Log-probabilities: row i has label i and spreads the rest evenly, as the golden vectors do."""
    p = torch.exp(-loss)
    rest = ((1 - p) / (classes - 1))[:, None].expand(-1, classes).clone()
    rest[torch.arange(len(loss)), torch.arange(len(loss))] = p
    return rest.log()


def labels_of(sizes):
    return torch.repeat_interleave(torch.arange(len(sizes)), sizes)


sizes_of_classes = st.lists(st.integers(1, 400), min_size=2, max_size=6).map(torch.tensor)


# --- class sizes


def test_class_balanced_and_margins_are_the_golden_vectors():
    weights = W.class_balanced(torch.arange(10), LONG_TAIL)
    golden = [0.040353, 0.0668097, 0.110933, 0.184915, 0.308491, 0.51889, 0.856654, 1.51486, 2.46103, 3.93706]
    np.testing.assert_allclose(weights, golden, rtol=1e-5)
    margins = [0.158114, 0.179802, 0.204409, 0.23247, 0.264343, 0.301139, 0.341413, 0.393756, 0.44457, 0.5]
    np.testing.assert_allclose(ldam_margins(LONG_TAIL), margins, rtol=1e-5)


def test_ldam_is_the_golden_loss_and_cross_entropy_written_out():
    z, labels = logits_of(LOSS), torch.arange(5)
    loss = W.ldam_loss(z, labels, LONG_TAIL)
    np.testing.assert_allclose(loss.mean(), 14.5655, rtol=1e-5)
    margins = 0.5 * (5 / LONG_TAIL) ** 0.25
    by_hand = []
    for i, y in enumerate(labels):
        top = math.exp(30 * (z[i, y] - margins[y]))
        by_hand.append(-math.log(top / (top + sum(math.exp(30 * z[i, c]) for c in range(10) if c != y))))
    np.testing.assert_allclose(loss, by_hand, rtol=1e-5)


@pytest.mark.slow
@given(sizes_of_classes)
def test_balanced_is_scikit_learns_and_means_are_one(sizes):
    labels = labels_of(sizes)
    np.testing.assert_allclose(
        W.balanced(labels, sizes.double()), compute_sample_weight("balanced", labels.numpy()), rtol=1e-12
    )
    for scheme in (W.balanced, W.balanced_sqrt):
        np.testing.assert_allclose(scheme(labels, sizes.double()).mean(), 1, rtol=1e-12)
    np.testing.assert_allclose(W.class_balanced(torch.arange(len(sizes)), sizes.double()).mean(), 1, rtol=1e-12)


@given(sizes_of_classes)
def test_effective_numbers_lie_between_uniform_and_balanced(sizes):
    each = torch.arange(len(sizes))
    n = sizes.double()
    np.testing.assert_allclose(W.class_balanced(each, n, beta=0), np.ones(len(n)))
    np.testing.assert_allclose(W.class_balanced(each, n, beta=1 - 1e-10), (1 / n) / (1 / n).mean(), rtol=1e-6)
    direct = (1 - 0.9) / (1 - 0.9**n)
    np.testing.assert_allclose(W.class_balanced(each, n, beta=0.9), direct / direct.mean(), rtol=1e-9)
    root = n**-0.5
    np.testing.assert_allclose(W.balanced_sqrt(each, n) / W.balanced_sqrt(each, n)[0], root / root[0], rtol=1e-12)


def test_classes_without_samples_count_for_nothing():
    labels = torch.tensor([0, 0, 2])
    for scheme in (W.balanced, W.balanced_sqrt, W.class_balanced):
        np.testing.assert_allclose(
            scheme(labels, torch.tensor([2, 0, 1])), scheme(labels.clamp(max=1), torch.tensor([2, 1]))
        )
    z = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    W.logit_adjusted_loss(z, labels, torch.tensor([2, 0, 1])).sum().backward()
    assert z.grad.isfinite().all()
    assert (z.grad[:, 1].abs() < 1e-6).all()


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_logit_adjustment_is_minimised_by_the_balanced_posterior(tau):
    sizes = torch.tensor([50, 30, 20], dtype=torch.float64)
    posterior = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    z = (posterior.log() - tau * (sizes / 100).log()).requires_grad_()
    loss = W.logit_adjusted_loss(z.expand(3, 3), torch.arange(3), sizes, tau=tau)
    (gradient,) = torch.autograd.grad((posterior * loss).sum(), z)
    np.testing.assert_allclose(gradient, 0, atol=1e-12)
    assert (
        torch.autograd.grad((posterior.flip(0) * W.logit_adjusted_loss(z.expand(3, 3), torch.arange(3), sizes)).sum(), z)[0]
        .abs()
        .max()
        > 0.1
    )


def test_deferred_weights_come_late_and_divide_by_their_sum():
    labels, sizes = torch.arange(5), LONG_TAIL
    for epoch, late in ((0, False), (159.9, False), (160, True), (199, True)):
        weights = W.drw(labels, sizes, epoch, 200)
        expected = W.class_balanced(labels, sizes) if late else torch.ones(5)
        torch.testing.assert_close(weights, expected)
        z = logits_of(LOSS)
        s = 30 * (z - torch.eye(10)[labels] * ldam_margins(sizes))
        per_class = W.class_balanced(torch.arange(10), sizes) if late else None
        torch.testing.assert_close(
            W.ldam_drw(z, labels, sizes, epoch, 200).mean(), cross_entropy(s, labels, weight=per_class)
        )


def test_bad_sizes_and_labels_are_named():
    with pytest.raises(InputError, match=r"from 0 to 1, because sizes has 2 entries\. Got 2"):
        W.balanced(torch.tensor([0, 2]), torch.tensor([1, 1]))
    with pytest.raises(InputError, match="sizes is 0 for class 1"):
        W.class_balanced(torch.tensor([0, 1]), torch.tensor([1, 0]))
    with pytest.raises(InputError, match="sizes must be 0 or more"):
        W.balanced(torch.tensor([0]), torch.tensor([1, -1]))
    with pytest.raises(InputError, match="beta must be 0 or more and below 1"):
        W.class_balanced(torch.tensor([0]), torch.tensor([1]), beta=1)
    with pytest.raises(InputError, match="epochs must be above 0"):
        W.drw(torch.tensor([0]), torch.tensor([1]), 0, 0)
    with pytest.raises(InputError, match="each of the 3 classes of the logits"):
        W.logit_adjusted_loss(torch.zeros(1, 3), torch.tensor([0]), torch.tensor([1, 1]))
    with pytest.raises(InputError, match=r"logits must be finite"):
        W.ldam_loss(torch.tensor([[math.nan, 0]]), torch.tensor([0]), torch.tensor([1, 1]))


# --- pacing and curricula


@pytest.mark.slow
@pytest.mark.parametrize("name", curriculum.PACINGS)
@given(start=st.floats(0.01, 1), steps=st.lists(st.floats(0, 1), min_size=2, max_size=10))
def test_pacing_runs_from_start_to_all_and_never_back(name, start, steps):
    grows = curriculum.PACINGS[name]
    assert grows(0.0, start) == pytest.approx(start, abs=1e-4)
    assert grows(1.0, start) == pytest.approx(1, abs=1e-9)
    shares = [grows(step, start) for step in sorted(steps)]
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(shares))
    assert all(start - 1e-9 <= share <= 1 + 1e-9 for share in shares)


def test_pacing_functions_are_what_their_names_say():
    assert curriculum.pace_geometric(0.5, 0.25) == pytest.approx(2 ** (math.log2(0.25) * 0.5))
    assert curriculum.pace_root(0.3, 0.2, power=3) ** 3 == pytest.approx(0.2**3 + (1 - 0.2**3) * 0.3)
    assert curriculum.pace_root(0.3, 0.2, power=3) != pytest.approx((0.2**3 + (1 - 0.2**3) * 0.3) ** 0.5)
    assert curriculum.pace_one_step(0.99, 0.2) == 0.2
    assert curriculum.pace_exponential(0.5, 0) == pytest.approx((math.e**5 - 1) / (math.e**10 - 1))
    assert curriculum.pace_logarithmic(0.5, 0.2) == pytest.approx(0.2 + 0.8 * (1 + 0.1 * math.log(0.5 + math.exp(-10))))
    assert (
        curriculum.pace_logarithmic(0.5, 0.2)
        > curriculum.pace_root(0.5, 0.2)
        > curriculum.pace_linear(0.5, 0.2)
        > curriculum.pace_exponential(0.5, 0.2)
    )


def test_a_curriculum_takes_the_easiest_and_all_ties():
    loss = torch.tensor([0.5, 0.1, 0.5, 0.9, 0.2])
    assert W.curriculum(loss, 0, 10, start=0.2).tolist() == [0, 1, 0, 0, 0]
    assert W.curriculum(loss, 0, 10, start=0.0).tolist() == [0, 1, 0, 0, 0]
    assert W.curriculum(loss, 0, 10, start=0.41).tolist() == [1, 1, 1, 0, 1]
    assert W.curriculum(loss, 5, 10, start=0.2, until=0.5).tolist() == [1] * 5
    assert W.curriculum(loss, 5, 10, start=0.2, pacing="one-step").sum() == 1
    # .55 of 20 is 11 samples, not 12 by rounding.
    assert W.curriculum(torch.arange(20.0), 5, 10, start=0.1).sum() == 11
    assert [int(W.baby_step(loss, epoch, 10, buckets=5).sum()) for epoch in (0, 2, 4, 6, 8, 10)] == [1, 2, 4, 4, 5, 5]


def test_bad_curricula_are_named():
    with pytest.raises(InputError, match="pacing must be one of linear"):
        W.curriculum(LOSS, 0, 10, start=0.2, pacing="liner")
    with pytest.raises(InputError, match="start must be above 0"):
        W.curriculum(LOSS, 0, 10, start=0.0, pacing="geometric")
    with pytest.raises(InputError, match="until must be above 0"):
        W.curriculum(LOSS, 0, 10, start=0.2, until=0)
    with pytest.raises(InputError, match="buckets must be 1 or more"):
        W.baby_step(LOSS, 0, 10, buckets=0)


# --- dynamic instance hardness


@pytest.mark.parametrize("chances", ["proportional", "exponential"])
@pytest.mark.parametrize("hardness", ["loss", "change"])
def test_instance_hardness_is_its_recursion_written_out(hardness, chances):
    rng = np.random.default_rng(0)
    n, discount = 6, 0.95
    r, last, rates, seen_at = np.ones(n), np.zeros(n), [], [None] * n
    state = hs.SCHEMES["dihcl"].init_state(StateShape(n), {})
    for step in range(8):
        rows, rate = rng.choice(n, 3, replace=False), 0.5 / (step + 1)
        loss = rng.exponential(size=3)
        rates.append(rate)
        chance = np.exp(2 * r / r.mean()) / np.exp(2 * r / r.mean()).sum()
        for i, value in zip(rows, loss, strict=True):
            first, since, seen_at[i] = seen_at[i] is None, seen_at[i], step
            a = value / rate if hardness == "loss" else 0 if first else abs(value - last[i]) / sum(rates[since:])
            last[i] = value
            if chances == "exponential":
                a = a / (chance[i] + 1e-8)
            if hardness == "loss" or not first:
                r[i] = discount * a + (1 - discount) * r[i]
        result = W.dihcl(
            state, torch.tensor(loss), torch.tensor(rows), rate, hardness=hardness, chances=chances, tau=2, discount=discount
        )
        h = r if chances == "proportional" else np.exp(2 * r / r.mean()) / np.exp(2 * r / r.mean()).sum()
        np.testing.assert_allclose(dihcl_chances(state, chances=chances, tau=2), h, rtol=1e-9)
        np.testing.assert_allclose(result, h[rows], rtol=1e-9)


def test_flips_count_turns_of_the_prediction():
    state = hs.SCHEMES["dihcl-flips"].init_state(StateShape(2), {})
    right = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    rows, labels = torch.arange(2), torch.tensor([0, 0])
    for turn in range(4):
        z = right.clone()
        z[1] = right[1].flip(0) if turn % 2 else right[1]
        chances = W.dihcl_flips(state, z, labels, rows, 1.0, discount=0.5)
    # Three looks of 0 or of one turn over two rates: r <- r / 2 + a / 2.
    np.testing.assert_allclose(chances, [1 / 8, 1 / 8 + (1 / 4 + 1 / 8 + 1 / 16)])


# --- minimax curriculum


def value_of(subset, loss, features, diversity):
    """The objective, pair by pair."""
    distance = torch.cdist(features, features)
    mean = distance[~torch.eye(len(loss), dtype=torch.bool)].mean()
    alike = torch.exp(-(distance**2) / (2 * mean**2))
    return float(loss[subset].sum() + diversity * alike[subset].amax(0).sum()) if subset else 0.0


@pytest.mark.slow
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.3, 3.0]))
def test_the_minimax_subset_is_greedy_and_near_the_best(seed, diversity):
    generator = torch.Generator().manual_seed(seed)
    loss = torch.rand(8, generator=generator, dtype=torch.float64)
    features = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    greedy: list[int] = []
    for size in range(1, 4):
        result = W.mcl(loss, features, share=size / 8, diversity=diversity).nonzero()[:, 0].tolist()
        free = [i for i in range(8) if i not in greedy]
        greedy.append(max(free, key=lambda i: value_of([*greedy, i], loss, features, diversity)))
        assert result == sorted(greedy)
    best = max(value_of(list(a), loss, features, diversity) for a in itertools.combinations(range(8), 3))
    assert value_of(greedy, loss, features, diversity) >= (1 - 1 / math.e) * best
    if diversity == 0:
        assert set(result) == set(loss.topk(3).indices.tolist())


def test_diversity_spreads_the_subset():
    features = torch.tensor([[0.0], [0.01], [0.02], [5.0]])
    loss = torch.tensor([1.0, 0.9, 0.8, 0.1])
    assert W.mcl(loss, features, share=0.5, diversity=0).tolist() == [1, 1, 0, 0]
    assert W.mcl(loss, features, share=0.5, diversity=5).tolist() == [1, 0, 0, 1]
    assert W.mcl(loss, features[:1].expand(4, 1), share=1, diversity=5).tolist() == [1, 1, 1, 1]


# --- AdaBoost


@pytest.mark.parametrize("classes", [2, 4])
def test_boosting_weights_are_scikit_learns(classes):
    X, y = make_classification(300, 8, n_informative=6, n_classes=classes, flip_y=0.2, random_state=0)
    booster = AdaBoostClassifier(
        DecisionTreeClassifier(max_depth=2, random_state=0), n_estimators=4, learning_rate=0.7, random_state=0
    )
    seen = []
    boosted = booster._boost
    booster._boost = lambda at, X, y, weight, state: seen.append(weight.copy()) or boosted(at, X, y, weight, state)
    booster.fit(X, y)
    state = hs.SCHEMES["adaboost"].init_state(StateShape(len(y)), {})
    rows = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    for tree, following in zip(booster.estimators_, seen[1:], strict=False):
        logits = torch.tensor(np.eye(classes)[tree.predict(X)])
        weights = W.adaboost(state, logits[rows], torch.tensor(y)[rows], rows, learning_rate=0.7)
        np.testing.assert_allclose(weights, (following / following.mean())[rows], rtol=1e-9)


def test_boosting_says_when_it_ends():
    state = hs.SCHEMES["adaboost"].init_state(StateShape(4), {})
    labels, rows, right = torch.tensor([0, 1, 0, 1]), torch.arange(4), torch.eye(2)[[0, 1, 0, 1]]
    assert W.adaboost(state, right, labels, rows).tolist() == [1, 1, 1, 1]
    with pytest.raises(InputError, match="better than chance"):
        W.adaboost(state, right.flip(1), labels, rows)
    with pytest.raises(InputError, match="all 4 samples"):
        W.adaboost(state, right[:3], labels[:3], rows[:3])


# --- iCost


@pytest.fixture(scope="module")
def rare():
    return make_classification(240, 5, n_informative=3, weights=[0.8], class_sep=0.6, flip_y=0.05, random_state=3)


def test_icost_is_the_package(rare):
    X, y = rare
    labels, sizes = torch.tensor(y), torch.bincount(torch.tensor(y))
    rows = NearestNeighbors(n_neighbors=6).fit(X).kneighbors(X, return_distance=False)[:, 1:]
    theirs = iCost(LogisticRegression(), method="neighbor").compute_sample_weight(X, y)
    np.testing.assert_allclose(W.icost_neighbours(labels, sizes, labels[rows]), theirs, rtol=1e-6)
    theirs = iCost(LogisticRegression(), method="tree", random_state=7).compute_sample_weight(X, y)
    ours = W.icost_gini(labels, sizes, W.leaf_purity(X, y, seed=7))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert len(np.unique(theirs)) > 3


def test_icost_kinds_cost_what_is_published():
    labels, sizes = torch.tensor([1, 1, 1, 1, 0, 1]), torch.tensor([30, 10])
    foreign = [0, 2, 3, 5, 5, 2.5]
    neighbours = torch.tensor([[0] * round(f) + [1] * (5 - round(f)) for f in foreign[:5]] + [[0, 0, 1, 1, 1]])
    weights = W.icost_neighbours(labels, sizes, neighbours)
    np.testing.assert_allclose(weights, [0.9, 1.5, 2.1, 0.3, 1, 1.5], rtol=1e-6)
    half = W.icost_neighbours(labels[:1], sizes, torch.tensor([[0, 1]]))
    np.testing.assert_allclose(half, [2.1], rtol=1e-6)
    purity = torch.tensor([0.9, 0.5, 0.8, 0.2, 0.9, 0.3])
    weights = W.icost_gini(labels, sizes, purity)
    np.testing.assert_allclose(weights, [0.9, 2.1, 0.9, 0.3, 1, 3 * (0.5 + 0.2 * 0.84)], rtol=1e-6)


def test_icost_refuses_several_classes():
    with pytest.raises(InputError, match="one class against the rest"):
        W.icost_gini(torch.tensor([0, 2]), torch.tensor([1, 1, 1]), torch.tensor([0.5, 0.5]))
    with pytest.raises(InputError, match="one class against the rest"):
        W.leaf_purity(np.zeros((3, 1)), np.arange(3))
    with pytest.raises(InputError, match="neighbours must have one column or more"):
        W.icost_neighbours(torch.tensor([0, 1]), torch.tensor([1, 1]), torch.zeros(2, 0, dtype=torch.int64))


# --- what is declared


def test_the_long_tail_is_the_published_one():
    assert [int(500 * 0.01 ** (c / 9)) for c in range(10)] == LONG_TAIL.tolist()


def test_hard_schemes_weigh_the_hard_more():
    loss = torch.linspace(0, 3, 12)
    rows = torch.arange(12)
    state = hs.SCHEMES["dihcl"].init_state(StateShape(12), {})
    assert (W.dihcl(state, loss, rows, 0.1).diff() > 0).all()
    state = hs.SCHEMES["adaboost"].init_state(StateShape(12), {})
    logits = torch.where(loss[:, None] < 2, torch.tensor([[1.0, 0]]), torch.tensor([[0.0, 1]]))
    weights = W.adaboost(state, logits, torch.zeros(12, dtype=torch.int64), rows)
    assert weights[loss >= 2].min() > weights[loss < 2].max()
    taken = W.mcl(loss, torch.zeros(12, 1), share=0.5, diversity=1).bool()
    assert loss[taken].min() > loss[~taken].max()


def test_curricula_begin_with_the_easy_and_end_with_all():
    loss = torch.linspace(0, 3, 12)
    for name, parameters in (("curriculum", {"start": 0.2}), ("baby-step", {"buckets": 4})):
        result = [hs.SCHEMES[name]({"loss": loss, "epoch": e, "epochs": 10}, parameters) for e in (0, 5, 10)]
        assert all((weights.diff() <= 0).all() for weights in result)
        assert 0 < result[0].sum() < result[1].sum() < result[2].sum() == 12


def test_icost_weighs_minority_samples_of_medium_difficulty_most():
    sizes = torch.tensor([30, 10])
    neighbours = (torch.arange(5) >= torch.arange(6)[:, None]).long()
    by_neighbours = W.icost_neighbours(torch.ones(6, dtype=torch.int64), sizes, neighbours)
    by_purity = W.icost_gini(torch.ones(21, dtype=torch.int64), sizes, torch.linspace(1, 0, 21))
    for weights in (by_neighbours, by_purity):
        assert weights[0] < weights.max() > weights[-1]
        assert weights.argmax() not in (0, len(weights) - 1)


@pytest.mark.parametrize("name", ["balanced", "balanced-sqrt", "class-balanced", "ldam-loss", "logit-adjusted-loss"])
def test_rare_classes_weigh_more_and_losses_are_not_read(name):
    scheme = hs.SCHEMES[name]
    inputs = {"labels": torch.arange(10), "sizes": LONG_TAIL, "logits": torch.zeros(10, 10)}
    weights = scheme(inputs, {})
    assert (weights.diff() > 0).all()
    assert scheme.priority == "none"
    assert "loss" not in scheme.reads


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["balanced", "balanced-sqrt", "class-balanced", "drw"])
def test_weights_by_class_sizes_have_the_type_of_the_sizes(name, dtype):
    inputs = {"labels": torch.arange(5), "sizes": LONG_TAIL.to(dtype), "epoch": 3, "epochs": 4}
    assert hs.SCHEMES[name](inputs, {}).dtype == dtype


@pytest.mark.slow
def test_weights_of_a_difficulty():
    X, y = make_classification(120, 5, weights=[0.75], random_state=0)
    d = hs.measure(X, y, learner="ridge", folds=3, repeats=2)
    np.testing.assert_allclose(hs.weigh(d, "balanced"), compute_sample_weight("balanced", y), rtol=1e-5)
    np.testing.assert_allclose(hs.weigh(d, "uniform"), 1)
    easy = np.exp(np.exp(-d.error) / 0.5)
    np.testing.assert_allclose(hs.weigh(d, "easy-first", temperature=0.5), easy / easy.mean(), rtol=1e-9)
    weights = hs.weigh(d, "curriculum", start=0.25, epoch=0, epochs=10)
    easiest = np.argsort(d.error, kind="stable")[:30]
    assert set(np.flatnonzero(weights)) >= set(easiest)
    purity = W.leaf_purity(X, y)
    assert hs.weigh(d, "icost-gini", purity=purity).mean() == pytest.approx(1)
