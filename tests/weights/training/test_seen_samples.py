"""Each sample counts once in a pass through an epoch: padding does not, restarts and repeats do."""

import warnings

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, DistributedSampler

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights.training import state
from hardsight.weights.training.state import SeenSamples

RANKS = 2


@pytest.fixture(autouse=True)
def ranks(monkeypatch):
    monkeypatch.setattr(state, "world_size", lambda: RANKS)


def by_distributed_sampler(samples, batch, seed):
    order = []
    for rank in range(RANKS):
        sampler = DistributedSampler(samples, RANKS, rank, seed=seed)
        order.append([samples[position] for position in sampler])
    return [order[0][at : at + batch] + order[1][at : at + batch] for at in range(0, len(order[0]), batch)]


def by_accelerate(samples, batch, seed):
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed)).tolist()
    shards = [
        BatchSamplerShard(BatchSampler([samples[i] for i in order], batch, drop_last=False), RANKS, rank)
        for rank in range(RANKS)
    ]
    return [one + other for one, other in zip(*map(list, shards), strict=True)]


def go_through(seen, steps, epoch):
    """Return the samples that count, in the order of the steps."""
    counted = []
    for step in steps:
        rows = torch.tensor(list(dict.fromkeys(step)))
        counted += rows[seen.find_counted(rows, epoch, padding_only=True)].tolist()
    return counted


def reload(seen):
    loaded = SeenSamples(len(seen.last_step))
    loaded.load_state_dict(seen.state_dict())
    return loaded


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("divide", [by_distributed_sampler, by_accelerate])
@pytest.mark.parametrize(("n", "batch"), [(32, 4), (31, 4), (25, 4), (9, 2)])
def test_each_sample_counts_once_straight_resumed_and_begun_again(divide, n, batch, epoch):
    samples = list(range(n))
    before = SeenSamples(n)
    if epoch:
        assert sorted(go_through(before, divide(samples, batch, 7), 0)) == samples
    steps = divide(samples, batch, 1)
    assert sum(len(step) for step in steps) >= n
    assert sorted(go_through(reload(before), steps, epoch)) == samples
    for stop in range(1, len(steps)):
        seen = reload(before)
        first = go_through(seen, steps[:stop], epoch)
        assert sorted(first + go_through(reload(seen), steps[stop:], epoch)) == samples
        # One sample that is left, and samples of the first step, in another order: this could as well be the last step.
        for seed in range(1, 6 if n > 9 else 2):
            assert sorted(go_through(reload(seen), divide(samples, batch, seed), epoch)) == samples
        again = reload(seen)
        again.restart()
        assert sorted(go_through(again, divide(samples, batch, 2), epoch)) == samples


@pytest.mark.parametrize("divide", [by_distributed_sampler, by_accelerate])
def test_on_some_of_the_samples_padding_is_known_from_the_second_epoch_on(divide):
    samples = list(range(0, 62, 2))
    seen = SeenSamples(62)
    first = go_through(seen, divide(samples, 4, 0), 0)
    # In the first epoch nothing tells that no other samples will come; few that come again are padding all the same.
    assert set(first) == set(samples)
    assert len(first) == len(samples) or divide is by_accelerate
    for epoch in (1, 2):
        assert sorted(go_through(seen, divide(samples, 4, epoch), epoch)) == samples


@pytest.mark.parametrize("seed", range(5))
def test_draws_that_repeat_samples_count_each_time(seed):
    draws = torch.randint(100, (2, 64), generator=torch.Generator().manual_seed(seed))
    seen = SeenSamples(100)
    for epoch, drawn in enumerate(draws):
        steps = [step.tolist() for step in drawn.split(8)]
        total = sum(len(set(step)) for step in steps)
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            left_out = total - len(go_through(seen, steps, epoch))
        # In the first epoch one sample could be padding, until the epoch goes on.
        assert left_out == len(given)
        assert left_out <= (epoch == 0)
        assert total - len(set(drawn.tolist())) > 5


def test_a_sample_left_out_as_padding_of_an_epoch_that_goes_on_is_told():
    seen = SeenSamples(40)
    go_through(seen, [[0, 1, 2, 3], [4, 5, 6, 7]], 0)
    assert go_through(seen, [[8, 9, 10, 2]], 0) == [8, 9, 10]
    with pytest.warns(hs.HardsightWarning, match=r"epoch 0 goes on: .* pass repeated='count'"):
        assert go_through(seen, [[11, 12, 13, 14]], 0) == [11, 12, 13, 14]
    assert go_through(seen, [[8, 15]], 0) == [8, 15]


def test_ranks_that_go_through_the_same_samples_are_told():
    seen = SeenSamples(8)
    go_through(seen, [[0, 1], [2, 3]], 0)
    with pytest.raises(InputError, match="every sample of this batch came before in epoch 0"):
        go_through(seen, [[2, 1]], 0)


def test_an_epoch_that_begins_again_in_the_same_process_counts():
    seen = SeenSamples(8)
    go_through(seen, [[0, 1], [2, 3]], 0)
    seen.allow_restart()
    assert go_through(seen, [[0, 1], [2, 3], [4, 5], [6, 7]], 0) == list(range(8))


def test_set_epoch_says_that_an_epoch_may_begin_again():
    weighting = hs.Weighting(torch.ones(4), repeated="skip", reduction="none")

    def count(ids):
        return int(weighting(torch.ones(len(ids)), torch.tensor(ids)).sum())

    weighting.set_epoch(1)
    assert [count([0, 1]), count([1, 2])] == [2, 1]
    with pytest.raises(InputError, match="came before in epoch 1"):
        count([0, 1])
    weighting.set_epoch(1.5)
    with pytest.raises(InputError, match="came before in epoch 1"):
        count([0, 1])
    weighting.set_epoch(1)
    assert [count([0, 1]), count([1, 2])] == [2, 1]
    weighting.set_epoch(1, restart=True)
    assert [count([1, 3]), count([3, 2])] == [2, 1]


def test_a_preview_is_what_comes_and_records_nothing():
    for steps in ([[0, 1], [2, 3], [0, 4]], [[5, 0, 1]], [[0, 1], [2, 3], [4, 5], [6, 7]]):
        seen = SeenSamples(8)
        go_through(seen, [[0, 1], [2, 3], [4, 5]] if len(steps) == 1 else [], 0)
        seen.allow_restart()
        before = {name: value.clone() for name, value in seen.state_dict().items()}
        each = [torch.tensor(step) for step in steps]
        preview = seen.preview(each, 0, padding_only=True)
        assert all(torch.equal(before[name], value) for name, value in seen.state_dict().items())
        for rows, expected in zip(each, preview, strict=True):
            assert torch.equal(seen.find_counted(rows, 0, padding_only=True), expected)


def test_a_second_training_that_numbers_its_epochs_from_0_counts():
    seen = SeenSamples(4)
    for _ in range(2):
        for epoch in range(2):
            assert go_through(seen, [[0, 1], [2, 3]], epoch) == [0, 1, 2, 3]
