"""Weighted draws: their chances, that the correction is unbiased, ranks, resuming."""

import copy
import pickle
from contextlib import nullcontext
from itertools import permutations, product

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from torch.utils.data import DataLoader

import hardsight as hs
from hardsight.errors import InputError

pytestmark = pytest.mark.usefixtures("example_schemes")

CHANCES = torch.tensor([1.0, 4, 2, 3])
VALUES = torch.tensor([10.0, -1, 2, 5], dtype=torch.float64)


def test_draws_with_replacement_have_their_chances():
    drawn = torch.tensor(list(hs.WeightedSampler(CHANCES, num_samples=40_000)))
    share = torch.bincount(drawn, minlength=4) / 40_000
    # Four standard errors of a share.
    torch.testing.assert_close(share, CHANCES / 10, rtol=0, atol=4 * 0.5 / 200)


@pytest.mark.slow
def test_draws_without_replacement_are_those_of_one_after_the_other():
    sampler = hs.WeightedSampler(CHANCES, num_samples=2, replacement=False)
    count = np.zeros(4)
    for epoch in range(6000):
        sampler.set_epoch(epoch)
        pair = list(sampler)
        assert len(set(pair)) == 2
        count[pair] += 1
    p = CHANCES.numpy() / 10
    among = [sum(p[a] * p[b] / (1 - p[a]) for a, b in permutations(range(4), 2) if i in (a, b)) for i in range(4)]
    np.testing.assert_allclose(count / 6000, among, atol=4 * 0.5 / np.sqrt(6000))


def test_the_correction_with_replacement_is_unbiased_over_all_draws():
    sampler = hs.WeightedSampler(CHANCES, num_samples=3)
    w = sampler.correction(torch.arange(4)).double()
    p = CHANCES.double() / 10
    mean = sum(p[list(d)].prod() * (w[list(d)] * VALUES[list(d)]).mean() for d in product(range(4), repeat=3))
    torch.testing.assert_close(mean, VALUES.mean())
    torch.testing.assert_close(w, 1 / (4 * p))


@pytest.mark.slow
@pytest.mark.parametrize("draws", [1, 2, 3])
def test_the_correction_without_replacement_is_unbiased(draws):
    sampler = hs.WeightedSampler(CHANCES, num_samples=draws, replacement=False, seed=1)
    means = []
    for epoch in range(4000):
        sampler.set_epoch(epoch)
        drawn = torch.tensor(list(sampler))
        means.append(float((sampler.correction(drawn) * VALUES[drawn]).mean()))
    error = np.std(means) / np.sqrt(len(means))
    assert abs(np.mean(means) - float(VALUES.mean())) < 4 * error
    uncorrected = float((CHANCES / 10 * VALUES).sum())
    assert abs(uncorrected - float(VALUES.mean())) > 6 * error


def test_the_correction_of_all_samples_is_one():
    sampler = hs.WeightedSampler(CHANCES, replacement=False)
    assert sorted(sampler) == [0, 1, 2, 3]
    assert sampler.correction([2, 0]).tolist() == [1, 1]
    assert hs.WeightedSampler(torch.ones(4)).correction([2, 0]).tolist() == [1, 1]


def test_a_power_corrects_in_part_and_ids_are_the_samples_own():
    whole = hs.WeightedSampler(CHANCES)
    torch.testing.assert_close(whole.correction([0, 3], power=0.5), whole.correction([0, 3]).sqrt())
    assert whole.correction([0, 3], power=0.0).tolist() == [1, 1]
    own = hs.WeightedSampler(CHANCES, ids=[30, 20, 2**60, 10])
    torch.testing.assert_close(own.correction(torch.tensor([2**60, 30])), whole.correction([2, 0]))


def test_epochs_differ_and_follow_from_the_seed_alone():
    before = torch.get_rng_state()
    one, other = (hs.WeightedSampler(CHANCES, num_samples=30, seed=7) for _ in range(2))
    passes = [list(one) for _ in range(3)]
    assert len({tuple(p) for p in passes}) == 3
    for epoch in (2, 0, 1):
        other.set_epoch(epoch)
        assert list(other) == passes[epoch]
        other.set_epoch(epoch)
        assert list(other) == passes[epoch]
    assert passes[0] != list(hs.WeightedSampler(CHANCES, num_samples=30, seed=8))
    assert torch.equal(before, torch.get_rng_state())


def test_it_takes_the_arguments_of_torchs_own_sampler():
    generator = torch.Generator().manual_seed(5)
    sampler = hs.WeightedSampler(CHANCES, 1000, True, generator)
    assert len(sampler) == len(list(sampler)) == 1000
    again = hs.WeightedSampler(CHANCES, 1000, generator=torch.Generator().manual_seed(5))
    again.set_epoch(0)
    sampler.set_epoch(0)
    assert list(again) == list(sampler)
    # The generator went on, so that a second sampler of it draws otherwise.
    assert list(hs.WeightedSampler(CHANCES, 1000, generator=generator)) != list(hs.WeightedSampler(CHANCES, 1000))
    assert sorted(hs.WeightedSampler(CHANCES, num_samples=4, replacement=False)) == [0, 1, 2, 3]
    assert len(set(hs.WeightedSampler(CHANCES, 3, False))) == 3


def test_an_older_iterator_does_not_move_a_newer_one():
    sampler, straight = (hs.WeightedSampler(CHANCES, 10) for _ in range(2))
    epochs = [list(straight) for _ in range(2)]
    older = iter(sampler)
    next(older)
    newer = iter(sampler)
    assert [next(newer), *older][:1] + list(newer) == epochs[0]
    assert list(sampler) == epochs[1]


def test_it_travels_by_pickle_and_deepcopy():
    sampler = hs.WeightedSampler(CHANCES, 10, seed=3)
    copies = [pickle.loads(pickle.dumps(sampler)), copy.deepcopy(sampler)]
    assert [list(each) for each in copies] == [list(sampler)] * 2


def test_a_pass_broken_off_begins_anew():
    sampler = hs.WeightedSampler(CHANCES, num_samples=30)
    first = [i for i, _ in zip(sampler, range(5), strict=False)]
    assert list(sampler)[:5] == first


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("stop", [0, 1, 4, 5])
def test_resumed_draws_go_on(replacement, stop):
    def make():
        chances = torch.arange(1.0, 11)
        return DataLoader(torch.arange(10), 2, sampler=hs.WeightedSampler(chances, replacement=replacement, seed=3))

    straight = make()
    first, second = [b.tolist() for b in straight], [b.tolist() for b in straight]
    correction = straight.sampler.correction([3, 4])
    half = make()
    for _ in zip(range(stop), half, strict=False):
        pass
    state = half.sampler.state_dict(taken=2 * stop)
    resumed = make()
    resumed.sampler.load_state_dict(state)
    resumed.sampler.set_epoch(0)
    assert [b.tolist() for b in resumed] == first[stop:]
    assert [b.tolist() for b in resumed] == second
    assert torch.equal(resumed.sampler.correction([3, 4]), correction)


def test_workers_ask_in_advance_and_the_loop_says_what_it_took():
    sampler = hs.WeightedSampler(torch.arange(1.0, 41), seed=3)
    loader = DataLoader(torch.arange(40), 2, sampler=sampler, num_workers=1)
    taken = [batch.tolist() for batch, _ in zip(loader, range(3), strict=False)]
    assert sampler.state_dict()["position"] > 6
    resumed = hs.WeightedSampler(torch.arange(1.0, 41), seed=3)
    resumed.load_state_dict(sampler.state_dict(taken=6))
    whole = list(hs.WeightedSampler(torch.arange(1.0, 41), seed=3))
    assert [i for batch in taken for i in batch] + list(resumed) == whole


@pytest.mark.parametrize("replacement", [True, False])
def test_ranks_have_disjoint_parts_of_one_draw(replacement):
    chances = torch.arange(1.0, 12)
    parts = [
        hs.WeightedSampler(chances, num_samples=8, replacement=replacement, rank=rank, num_replicas=3) for rank in range(3)
    ]
    whole = hs.WeightedSampler(chances, num_samples=9 if replacement else 6, replacement=replacement)
    with nullcontext() if replacement else pytest.warns(hs.HardsightWarning, match="8 draws .* 3 ranks: 6 are drawn"):
        drawn = [list(part) for part in parts]
    assert {len(d) for d in drawn} == {len(parts[0])}
    assert [i for step in zip(*drawn, strict=True) for i in step] == list(whole)
    torch.testing.assert_close(parts[1].correction([4, 9]), whole.correction([4, 9]))


def test_a_scheme_updates_the_chances_from_the_next_epoch_on():
    sampler = hs.WeightedSampler("t-chances", dataset_size=4, num_samples=6)
    assert sampler.chances.tolist() == [0.25] * 4
    passing = iter(sampler)
    next(passing)
    sampler.update(loss=torch.tensor([0.0, 0.1, 0.2, 0.3]))
    assert sampler.chances.tolist() == [0.25] * 4
    state = sampler.state_dict()
    list(passing)
    following = list(sampler)
    torch.testing.assert_close(sampler.chances.float(), torch.tensor([0.1, 0.2, 0.3, 0.4]))
    resumed = hs.WeightedSampler("t-chances", dataset_size=4, num_samples=6)
    resumed.load_state_dict(state)
    assert len(list(resumed)) == 5
    assert list(resumed) == following


def test_other_chances_can_be_given():
    sampler = hs.WeightedSampler(CHANCES)
    list(sampler)
    sampler.update([0, 0, 1, 0])
    assert list(sampler) == [2] * 4


def test_schemes_read_the_epoch_to_come():
    sampler = hs.WeightedSampler("t-paced", dataset_size=3, epochs=2)
    sampler.update(loss=torch.tensor([0.05, 0.3, 0.9]))
    assert set(sampler) == {0}
    sampler.update(loss=torch.tensor([0.05, 0.3, 0.9]))
    list(sampler)
    torch.testing.assert_close(sampler.chances.float(), torch.tensor([0.5, 0.5, 0.0]))


def test_a_difficulty_gives_chances():
    X, y = load_wine(return_X_y=True)
    d = hs.measure(X, y, learner="ridge", folds=3, repeats=2)
    sampler = hs.WeightedSampler(d, scheme="spl-linear", lam=2.0)
    expected = hs.weigh(d, "spl-linear", lam=2.0) / len(y)
    np.testing.assert_allclose(sampler.chances.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda: hs.WeightedSampler([1.0, -1.0]), "Sample 1 has -1"),
        (lambda: hs.WeightedSampler([0.0, 0.0]), "0 samples have a chance above 0"),
        (lambda: hs.WeightedSampler([1.0, 0.0], replacement=False), "1 samples have a chance above 0, for 2 draws"),
        (lambda: hs.WeightedSampler([1.0, 1.0], num_samples=0), "num_samples must be 1 or more"),
        (lambda: hs.WeightedSampler([1.0] * 3, num_samples=2, replacement=False, rank=0, num_replicas=3), "3 or more"),
        (lambda: hs.WeightedSampler([1.0], rank=2, num_replicas=2), "rank must be below num_replicas"),
        (lambda: hs.WeightedSampler([1.0], replacement=None), "replacement must be True or False. Got None"),
        (lambda: hs.WeightedSampler([1.0], generator=7), "generator must be a torch.Generator. Got int"),
        (lambda: hs.WeightedSampler([1.0], seed=1, generator=torch.Generator()), "pass only one of them"),
        (lambda: hs.WeightedSampler([1.0, 1.0], dataset_size=3), "dataset_size is 3, but there are 2 weights"),
        (lambda: hs.WeightedSampler("t-chances", ids=[4, 5], dataset_size=3), "dataset_size is 3, but there are 2 ids"),
        (lambda: hs.WeightedSampler("t-chances", num_samples=3), "size of the data set is unknown"),
        (lambda: hs.WeightedSampler("t-chances"), "pass dataset_size= or ids="),
        (lambda: hs.WeightedSampler("t-running", dataset_size=3), "use hs.Weighting"),
        (lambda: hs.WeightedSampler("t-margin", dataset_size=3), "use hs.Weighting"),
        (lambda: hs.WeightedSampler([1.0]).update(loss=torch.ones(1)), "has no scheme"),
        (
            lambda: hs.WeightedSampler([1.0]).update([1.0, 2.0]),
            r"chances must have the shape \(1,\), one per sample. Got \(2,\)",
        ),
        (
            lambda: hs.WeightedSampler("t-chances", dataset_size=3).update(loss=torch.ones(2)),
            "loss must have one row per sample.* Got 2 rows; the data set has 3",
        ),
        (lambda: hs.WeightedSampler("t-chances", dataset_size=3).update(), "needs loss: pass loss="),
        (lambda: hs.WeightedSampler([1.0, 0.0]).correction([0, 1]), "id 1 has no chance"),
        (lambda: hs.WeightedSampler([1.0, 1.0]).correction([2]), "id 2 is unknown"),
        (lambda: hs.WeightedSampler([1.0]).load_state_dict(hs.WeightedSampler([1.0] * 2).state_dict()), "2 samples"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_mend(do, says):
    with pytest.raises(InputError, match=says):
        do()


def test_draws_without_replacement_come_in_no_order():
    sampler = hs.WeightedSampler([1e6, 1.0, 1.0, 1.0], replacement=False)
    first = [next(iter(list(sampler))) for _ in range(200)]
    assert 20 < first.count(0) < 90


def test_the_last_sample_is_never_drawn_without_a_chance():
    sampler = hs.WeightedSampler([0.0, 1.0, 0.0], num_samples=1000)
    assert set(sampler) == {1}
