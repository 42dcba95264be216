"""Splitters: no leak, no block separated, every sample held out, classes balanced; and refused arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.errors import rejects

from hardsight.resampling.plan import Plan, Round, block_codes, check_class_sizes, check_rounds, small_classes, split_seed
from hardsight.resampling.splitters import KFold, LeaveOneOut, Splitter, Subsets


@st.composite
def labels_and_blocks(draw):
    """Class codes, some of them rare, and blocks of one to several samples."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, classes = draw(st.integers(6, 60)), draw(st.integers(1, 4))
    labels = rng.choice(classes, n, p=rng.dirichlet(np.ones(classes)))
    labels = np.unique(labels, return_inverse=True)[1]
    blocks = block_codes(n, rng.integers(draw(st.integers(5, 80)), size=n))
    return labels.astype(np.int64), blocks


def singles(n):
    return np.arange(n)


def naive_blocks(n, *partitions):
    """Merge sets until none overlap."""
    block = list(range(n))
    for codes in partitions:
        for i in range(n):
            for j in range(n):
                if codes[i] == codes[j]:
                    old, new = block[i], block[j]
                    block = [new if u == old else u for u in block]
    return block


@given(st.integers(1, 12), st.integers(0, 3), st.integers(1, 8), st.integers(0, 2**32))
def test_blocks_against_naive_union(n, partitions, values, seed):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(values, size=n) for _ in range(partitions)]
    blocks = block_codes(n, None, *codes, None)
    expected = naive_blocks(n, *codes)
    assert blocks.shape == (n,)
    assert set(blocks.tolist()) == set(range(len(set(expected))))
    np.testing.assert_array_equal(blocks[:, None] == blocks, np.equal.outer(expected, expected))


@pytest.mark.slow
@given(labels_and_blocks(), st.integers(2, 5), st.integers(2, 4), st.booleans(), st.integers(0, 2**32))
def test_folds_judge_every_sample_once_and_tear_no_block(drawn, folds, repeats, stratify, seed):
    labels, blocks = drawn
    rounds = KFold(folds, repeats).split(labels if stratify else None, blocks, split_seed(seed))
    assert len(rounds) == repeats
    for r in rounds:
        assert r.n_models == folds
        assert r.fold.shape == labels.shape
        assert r.fold.min() >= 0
        assert r.fold.max() < folds
        for block in range(blocks.max() + 1):
            assert len(set(r.fold[blocks == block])) == 1
    plan = Plan(rounds, blocks, repeats, seed)
    judged = np.zeros(len(blocks), dtype=int)
    for member in plan.members():
        assert not set(member.train) & set(member.held_out)
        assert len(member.train) + len(member.held_out) == len(blocks)
        assert not set(blocks[member.train]) & set(blocks[member.held_out])
        judged[member.held_out] += 1
    assert (judged == repeats).all()
    np.testing.assert_array_equal(check_rounds(rounds, None, blocks, None, least=2), judged)


@given(st.lists(st.integers(0, 3), min_size=4, max_size=60), st.integers(2, 6), st.integers(0, 2**32))
def test_folds_of_single_samples_share_every_class_evenly(labels, folds, seed):
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    for r in KFold(folds, 2).split(labels, singles(len(labels)), split_seed(seed)):
        counts = np.stack([np.bincount(labels[r.fold == k], minlength=labels.max() + 1) for k in range(folds)])
        assert np.ptp(counts, axis=0).max() <= 1
        # Remainders of several classes do not pile up on one fold.
        assert np.ptp(counts.sum(1)) <= 1


def test_folds_with_groups_stay_balanced():
    rng = np.random.default_rng(0)
    blocks = np.concatenate([np.repeat(np.arange(40), 5), np.arange(40, 140)])
    labels = np.concatenate([np.repeat(rng.integers(0, 2, 40), 5), rng.integers(0, 2, 100)])
    for r in KFold(5, 3).split(labels, blocks, split_seed(0)):
        counts = np.stack([np.bincount(labels[r.fold == k], minlength=2) for k in range(5)])
        assert np.ptp(counts, axis=0).max() <= 3
        assert np.ptp(counts.sum(1)) <= 5


def test_groups_of_mixed_classes_are_dealt_evenly():
    # Twenty groups hold four samples of one class and one of the other.
    blocks = np.repeat(np.arange(20), 5)
    labels = np.concatenate([[k % 2] * 4 + [1 - k % 2] for k in range(20)])
    for r in KFold(5, 3).split(labels, blocks, split_seed(0)):
        counts = np.stack([np.bincount(labels[r.fold == k], minlength=2) for k in range(5)])
        assert (counts.sum(1) == 20).all()
        assert np.ptp(counts, axis=0).max() <= 3


def folds_of(splits, seed, n=40):
    labels = np.arange(n) % 3
    return [r.fold for r in splits.split(labels, singles(n), split_seed(seed))]


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


@pytest.mark.slow
@given(labels_and_blocks(), st.floats(0.05, 0.95), st.integers(0, 2**32))
def test_subsets_train_the_ratio_of_every_class(drawn, ratio, seed):
    labels, blocks = drawn
    whole = np.arange(len(labels))
    for r in Subsets(3, ratio).split(labels, whole, split_seed(seed)):
        assert r.n_models == 1
        assert set(r.fold) <= {-1, 0}
        for c in range(labels.max() + 1):
            size, trained = (labels == c).sum(), ((labels == c) & (r.fold == -1)).sum()
            # Of a class of which the ratio rounds to all, a sample is held out now and then.
            in_turn = max(round(ratio * size), 1) == size
            assert trained >= (size > 1)
            assert abs(trained - ratio * size) <= 0.5 or trained == 1 or (in_turn and trained == size - 1)
    for r in Subsets(3, ratio).split(None, blocks, split_seed(seed)):
        blocks_in = len(set(blocks[r.fold == -1]))
        n_blocks = blocks.max() + 1
        in_turn = max(round(ratio * n_blocks), 1) == n_blocks
        assert abs(blocks_in - ratio * n_blocks) <= 0.5 or blocks_in == 1 or (in_turn and blocks_in == n_blocks - 1)
        assert not set(blocks[r.fold == -1]) & set(blocks[r.fold == 0])


@pytest.mark.parametrize("size, ratio", [(1, 0.7), (1, 0.9), (2, 0.9), (4, 0.9), (7, 0.95)])
def test_subsets_hold_every_sample_of_a_rare_class_out_equally_often(size, ratio):
    labels = np.repeat([0, 1, 2], [size, 30, 30])
    members = 80
    rounds = Subsets(members, ratio).split(labels, singles(len(labels)), split_seed(5))
    held_out = np.stack([r.fold[:size] == 0 for r in rounds])
    assert held_out.sum(1).max() == 1
    expected = members * (1 - ratio)
    assert (abs(held_out.sum(0) - expected) <= 1).all()
    # Each model holds out what it would without the rare class, up to the random numbers.
    assert all((r.fold[size:] == 0).sum() == 2 * round(30 * (1 - ratio)) for r in rounds)


def test_leave_one_out_leaves_one_block_out():
    blocks = np.array([0, 1, 1, 2])
    first, second = LeaveOneOut(2).split(None, blocks, split_seed(0))
    plan = Plan([first, second], blocks, 2, 0)
    assert [m.held_out.tolist() for m in plan.members()] == [[0], [1, 2], [3]] * 2
    assert [m.train.tolist() for m in plan.members()][:2] == [[1, 2, 3], [0, 3]]
    assert plan.n_models == 6


def test_members_have_seeds_of_their_own():
    rounds = KFold(5, 20).split(None, singles(20), split_seed(3))
    seeds = [m.seed for m in Plan(rounds, singles(20), 20, 3).members()]
    assert len(set(seeds)) == 100
    again = [m.seed for m in Plan(rounds, singles(20), 20, 3).members()]
    assert seeds == again
    assert not set(seeds) & {m.seed for m in Plan(rounds, singles(20), 20, 4).members()}
    # Nor do they come from the stream that draws the splits.
    assert not set(seeds) & {int(s.generate_state(1)[0]) for s in split_seed(3).spawn(100)}


@pytest.mark.parametrize(
    "splits, message",
    [
        (KFold(4, 3), "4 folds × 3 repeats"),
        (Subsets(9, 0.25), "9 random subsets of 25%"),
        (LeaveOneOut(), "leave one out"),
        (LeaveOneOut(3), "leave one out × 3 repeats"),
    ],
)
def test_splits_say_what_they_are(splits, message):
    assert splits.describe() == message
    assert isinstance(splits, Splitter)


# Refusals


@pytest.mark.parametrize(
    "match, work",
    [
        ("folds must be 2 or more.*Got 1", lambda: KFold(1, 5)),
        ("repeats must be 2 or more.*Got 1", lambda: KFold(5, 1)),
        ("ratio must be above 0 and below 1. Got 1", lambda: Subsets(5, 1.0)),
        ("ratio must be above 0 and below 1. Got 0", lambda: Subsets(5, 0.0)),
        ("members must be 2 or more. Got 1", lambda: Subsets(1)),
        ("repeats must be 1 or more. Got 0", lambda: LeaveOneOut(0)),
    ],
)
def test_numbers_out_of_range(match, work):
    rejects(match, work)


def checked(folds, labels, blocks, *, least=2, members=2, classes=("cat", "dog")):
    rounds = [Round(np.array(fold, dtype=np.int32), members) for fold in folds]
    return check_rounds(rounds, None if labels is None else np.array(labels), np.array(blocks), classes, least=least)


def test_sound_splits_pass():
    judged = checked([[0, 0, 1, 1], [0, 1, -1, 0], [-1, 0, 1, 1]], [0, 1, 0, 1], [0, 1, 2, 3])
    assert judged.tolist() == [2, 3, 2, 3]


def test_torn_blocks_are_refused():
    rejects(r"separate samples.*block 1", lambda: checked([[0, 1, 0, 1]] * 2, [0, 1, 0, 1], [0, 1, 1, 2]))


def test_fold_numbers_out_of_range_are_refused():
    rejects("must be -1 to 1. Got 0 to 2", lambda: checked([[0, 1, 2, 0]], None, [0, 1, 2, 3]))
    rejects("must be -1 to 1. Got -2 to 1", lambda: checked([[0, 1, -2, 0]], None, [0, 1, 2, 3]))


def test_training_parts_of_a_single_class_are_refused():
    rejects("trained on a single class", lambda: checked([[0, 1, 1, 1]], [0, 1, 0, 1], [0, 1, 2, 3]))
    rejects("trained on a single class", lambda: checked([[0, -1, 0, -1]], [0, 1, 0, 1], [0, 1, 2, 3]))
    # One class of three is missing, and two remain.
    checked([[0, 0, 0, 1, 1, 1]] * 2, [0, 1, 2, 0, 1, 1], range(6), classes=("cat", "dog", "fox"))


def test_classes_that_a_model_never_saw_are_small():
    labels, blocks = np.array([0, 0, 0, 1, 1, 2, 2, 3]), np.array([0, 1, 2, 3, 4, 5, 5, 6])
    # Class 1 is held out as a whole, class 2 is one block, class 3 one sample.
    fold = np.array([0, 1, 0, 1, 1, 0, 0, 1], dtype=np.int32)
    assert small_classes([Round(fold, 2)], labels, blocks, 5).tolist() == [False, True, True, True, False]
    assert small_classes([], labels, blocks, 4).tolist() == [False, False, True, True]


def test_unjudged_samples_are_refused():
    rejects("1 of 4 samples have fewer than 1 held-out", lambda: checked([[0, 1, -1, 1]], None, range(4), least=1))
    rejects("4 of 4 samples have fewer than 2 held-out", lambda: checked([[0, 1, 0, 1]], None, range(4)))
    assert checked([[0, 1, 0, 1]], None, range(4), least=1).tolist() == [1] * 4


def sizes(labels, blocks, classes=("cat", "dog")):
    check_class_sizes(np.array(labels), np.array(blocks), classes)


def test_two_classes_must_have_two_blocks():
    sizes([0] * 3 + [1] * 3, range(6))
    sizes([0] * 3 + [1] * 2, range(5))
    sizes([0, 0, 1, 1, 2], range(5), ("cat", "dog", "fox"))
    rejects("at least two classes must have 2 samples or more.*only 'cat' has", lambda: sizes([0, 0, 0, 1], range(4)))
    rejects("all 3 samples have different labels", lambda: sizes(range(3), range(3), (5, 6, 7)))
    rejects(
        r"2 samples \(or groups that must stay together\).*only 'cat' has.*duplicates='apart'",
        lambda: sizes([0, 0, 1, 1, 1], [0, 1, 2, 2, 2]),
    )
    rejects("none of 2 has", lambda: sizes([0, 0, 1, 1], [0, 0, 1, 1]))
