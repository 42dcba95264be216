"""Splits: no leak, no tear, every sample judged, classes dealt evenly; and the refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardsight.errors import InputError
from hardsight.resampling.splitters import (
    KFold,
    LeaveOneOut,
    Plan,
    Round,
    Splits,
    Subsets,
    check,
    check_class_sizes,
    split_seed,
    units_of,
)


@st.composite
def labelled_units(draw):
    """Class codes, some of them rare, and units of one to several samples."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, classes = draw(st.integers(6, 60)), draw(st.integers(1, 4))
    labels = rng.choice(classes, n, p=rng.dirichlet(np.ones(classes)))
    labels = np.unique(labels, return_inverse=True)[1]
    units = units_of(n, rng.integers(draw(st.integers(5, 80)), size=n))
    return labels.astype(np.int64), units


def singles(n):
    return np.arange(n)


def naive_units(n, *partitions):
    """Merge sets until none overlap."""
    unit = list(range(n))
    for codes in partitions:
        for i in range(n):
            for j in range(n):
                if codes[i] == codes[j]:
                    old, new = unit[i], unit[j]
                    unit = [new if u == old else u for u in unit]
    return unit


@given(st.integers(1, 12), st.integers(0, 3), st.integers(1, 8), st.integers(0, 2**32))
def test_units_against_naive_union(n, partitions, values, seed):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(values, size=n) for _ in range(partitions)]
    units = units_of(n, None, *codes, None)
    expected = naive_units(n, *codes)
    assert units.shape == (n,)
    assert set(units.tolist()) == set(range(len(set(expected))))
    np.testing.assert_array_equal(units[:, None] == units, np.equal.outer(expected, expected))


@given(labelled_units(), st.integers(2, 5), st.integers(2, 4), st.booleans(), st.integers(0, 2**32))
def test_folds_judge_every_sample_once_and_tear_no_unit(drawn, folds, repeats, stratify, seed):
    labels, units = drawn
    rounds = KFold(folds, repeats).rounds(labels if stratify else None, units, split_seed(seed))
    assert len(rounds) == repeats
    for r in rounds:
        assert r.members == folds
        assert r.fold.shape == labels.shape
        assert r.fold.min() >= 0
        assert r.fold.max() < folds
        for unit in range(units.max() + 1):
            assert len(set(r.fold[units == unit])) == 1
    plan = Plan(rounds, units, repeats, seed)
    judged = np.zeros(len(units), dtype=int)
    for member in plan.members():
        assert not set(member.train) & set(member.held_out)
        assert len(member.train) + len(member.held_out) == len(units)
        assert not set(units[member.train]) & set(units[member.held_out])
        judged[member.held_out] += 1
    assert (judged == repeats).all()
    np.testing.assert_array_equal(check(rounds, None, units, None, once=False), judged)


@given(st.lists(st.integers(0, 3), min_size=4, max_size=60), st.integers(2, 6), st.integers(0, 2**32))
def test_folds_of_single_samples_share_every_class_evenly(labels, folds, seed):
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    for r in KFold(folds, 2).rounds(labels, singles(len(labels)), split_seed(seed)):
        counts = np.stack([np.bincount(labels[r.fold == k], minlength=labels.max() + 1) for k in range(folds)])
        assert np.ptp(counts, axis=0).max() <= 1
        # Remainders of several classes do not pile up on one fold.
        assert np.ptp(counts.sum(1)) <= 1


def test_folds_with_groups_stay_balanced():
    rng = np.random.default_rng(0)
    units = np.concatenate([np.repeat(np.arange(40), 5), np.arange(40, 140)])
    labels = np.concatenate([np.repeat(rng.integers(0, 2, 40), 5), rng.integers(0, 2, 100)])
    for r in KFold(5, 3).rounds(labels, units, split_seed(0)):
        counts = np.stack([np.bincount(labels[r.fold == k], minlength=2) for k in range(5)])
        assert np.ptp(counts, axis=0).max() <= 3
        assert np.ptp(counts.sum(1)) <= 5


def test_groups_of_mixed_classes_are_dealt_evenly():
    # Twenty groups hold four samples of one class and one of the other.
    units = np.repeat(np.arange(20), 5)
    labels = np.concatenate([[k % 2] * 4 + [1 - k % 2] for k in range(20)])
    for r in KFold(5, 3).rounds(labels, units, split_seed(0)):
        counts = np.stack([np.bincount(labels[r.fold == k], minlength=2) for k in range(5)])
        assert (counts.sum(1) == 20).all()
        assert np.ptp(counts, axis=0).max() <= 3


def folds_of(splits, seed, n=40):
    labels = np.arange(n) % 3
    return [r.fold for r in splits.rounds(labels, singles(n), split_seed(seed))]


@pytest.mark.parametrize("splits", [KFold(4, 3), Subsets(4, 0.6)])
def test_rounds_differ_and_seeds_fix_them(splits):
    first = folds_of(splits, 0)
    for other in first[1:]:
        assert (other != first[0]).any()
    np.testing.assert_array_equal(first, folds_of(splits, 0))
    assert any((a != b).any() for a, b in zip(first, folds_of(splits, 1), strict=True))


def test_samples_do_not_meet_in_the_same_folds_always():
    together = np.zeros((40, 40))
    for fold in folds_of(KFold(4, 200), 0):
        together += fold[:, None] == fold
    apart = together[~np.eye(40, dtype=bool)] / 200
    assert apart.max() < 0.5
    assert apart.mean() == pytest.approx(9 / 39, rel=1e-12)


@given(labelled_units(), st.floats(0.05, 0.95), st.integers(0, 2**32))
def test_subsets_train_the_ratio_of_every_class(drawn, ratio, seed):
    labels, units = drawn
    whole = np.arange(len(labels))
    for r in Subsets(3, ratio).rounds(labels, whole, split_seed(seed)):
        assert r.members == 1
        assert set(r.fold) <= {-1, 0}
        for c in range(labels.max() + 1):
            size, trained = (labels == c).sum(), ((labels == c) & (r.fold == -1)).sum()
            assert trained >= 1
            assert abs(trained - ratio * size) <= 0.5 or trained == 1
    for r in Subsets(3, ratio).rounds(None, units, split_seed(seed)):
        units_in = len(set(units[r.fold == -1]))
        assert abs(units_in - ratio * (units.max() + 1)) <= 0.5 or units_in == 1
        assert not set(units[r.fold == -1]) & set(units[r.fold == 0])


def test_leave_one_out_leaves_one_unit_out():
    units = np.array([0, 1, 1, 2])
    first, second = LeaveOneOut(2).rounds(None, units, split_seed(0))
    plan = Plan([first, second], units, 2, 0)
    assert [m.held_out.tolist() for m in plan.members()] == [[0], [1, 2], [3]] * 2
    assert [m.train.tolist() for m in plan.members()][:2] == [[1, 2, 3], [0, 3]]
    assert plan.count == 6


def test_members_have_seeds_of_their_own():
    rounds = KFold(5, 20).rounds(None, singles(20), split_seed(3))
    seeds = [m.seed for m in Plan(rounds, singles(20), 20, 3).members()]
    assert len(set(seeds)) == 100
    again = [m.seed for m in Plan(rounds, singles(20), 20, 3).members()]
    assert seeds == again
    assert not set(seeds) & {m.seed for m in Plan(rounds, singles(20), 20, 4).members()}
    # Nor do they come from the stream that draws the splits.
    assert not set(seeds) & {int(s.generate_state(1)[0]) for s in split_seed(3).spawn(100)}


@pytest.mark.parametrize(
    "splits, said",
    [
        (KFold(4, 3), "4 folds × 3 repeats"),
        (Subsets(9, 0.25), "9 random subsets of 25%"),
        (LeaveOneOut(), "leave one out"),
        (LeaveOneOut(3), "leave one out × 3 repeats"),
    ],
)
def test_splits_say_what_they_are(splits, said):
    assert splits.describe() == said
    assert isinstance(splits, Splits)


# Refusals


def refused(match, work):
    with pytest.raises(InputError, match=match) as caught:
        work()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "match, work",
    [
        ("folds must be 2 or more.*Got 1", lambda: KFold(1, 5)),
        ("repeats must be 2 or more.*Got 1", lambda: KFold(5, 1)),
        ("ratio must lie between 0 and 1.*Got 1", lambda: Subsets(5, 1.0)),
        ("ratio must lie between 0 and 1.*Got 0", lambda: Subsets(5, 0.0)),
        ("members must be 2 or more. Got 1", lambda: Subsets(1)),
        ("repeats must be 1 or more. Got 0", lambda: LeaveOneOut(0)),
    ],
)
def test_numbers_out_of_range(match, work):
    refused(match, work)


def checked(folds, labels, units, *, once=False, members=2, classes=("cat", "dog")):
    rounds = [Round(np.array(fold, dtype=np.int32), members) for fold in folds]
    return check(rounds, None if labels is None else np.array(labels), np.array(units), classes, once=once)


def test_sound_splits_pass():
    judged = checked([[0, 0, 1, 1], [0, 1, -1, 0], [-1, 0, 1, 1]], [0, 1, 0, 1], [0, 1, 2, 3])
    assert judged.tolist() == [2, 3, 2, 3]


def test_torn_units_are_refused():
    refused(r"tear apart samples.*unit 1", lambda: checked([[0, 1, 0, 1]] * 2, [0, 1, 0, 1], [0, 1, 1, 2]))


def test_fold_numbers_out_of_range_are_refused():
    refused("must lie in -1 … 1. Got 0 … 2", lambda: checked([[0, 1, 2, 0]], None, [0, 1, 2, 3]))
    refused("must lie in -1 … 1. Got -2 … 1", lambda: checked([[0, 1, -2, 0]], None, [0, 1, 2, 3]))


def test_vanishing_classes_are_refused():
    refused("class 'dog' would vanish", lambda: checked([[0, 1, 1, 1]], [0, 1, 0, 1], [0, 1, 2, 3]))
    refused("class 'cat' would vanish", lambda: checked([[0, -1, 0, -1]], [0, 1, 0, 1], [0, 1, 2, 3]))


def test_unjudged_samples_are_refused():
    refused("1 of 4 samples are judged fewer than 1 times", lambda: checked([[0, 1, -1, 1]], None, range(4), once=True))
    refused("4 of 4 samples are judged fewer than 2 times", lambda: checked([[0, 1, 0, 1]], None, range(4)))
    assert checked([[0, 1, 0, 1]], None, range(4), once=True).tolist() == [1] * 4


def sizes(labels, units, splits):
    check_class_sizes(np.array(labels), np.array(units), ("cat", "dog"), splits)


def test_class_sizes():
    sizes([0] * 3 + [1] * 3, range(6), KFold(3, 2))
    sizes([0] * 3 + [1] * 2, range(5), Subsets(9))
    refused("class 'dog' has 1 sample: a model", lambda: sizes([0, 0, 0, 1], range(4), LeaveOneOut()))
    refused(
        r"class 'dog' has 3 samples that stay together in 1 group.*: a model",
        lambda: sizes([0, 0, 1, 1, 1], [0, 1, 2, 2, 2], KFold(2, 2)),
    )
    refused(
        "folds=5 is larger than the smallest class, 'dog' with 3 samples: use folds=3 or fewer",
        lambda: sizes([0] * 9 + [1] * 3, range(12), KFold(5, 2)),
    )
    refused(
        r"'dog' with 4 samples that stay together in 2 groups.*: use folds=2",
        lambda: sizes([0] * 9 + [1] * 4, [*range(9), 9, 9, 10, 10], KFold(5, 2)),
    )
