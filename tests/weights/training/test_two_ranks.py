"""Training on two ranks is training on one: draws, whoever divides them; tables of a spawned process."""

import pytest
import torch
from support.rank_scenarios import ACCELERATE, BATCH, RANKS, SAMPLES, WEIGHTS, run_rank
from support.ranks import find_free_port

import hardsight as hs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    weighting = hs.Weighting("elr", num_samples=4, classes=2)
    torch.multiprocessing.spawn(run_rank, (str(folder), find_free_port(), weighting), nprocs=RANKS)
    assert not weighting.scheme_state.target.any()
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


@pytest.fixture(scope="module")
def epochs():
    sampler = hs.WeightedSampler(WEIGHTS, seed=1)
    return [list(sampler) for _ in range(2)]


def test_a_sampler_built_before_the_process_group_takes_its_ranks_part(ranks, epochs):
    for rank in range(RANKS):
        length, drawn = ranks[rank]["early"]
        assert length == SAMPLES // RANKS
        assert drawn == [epoch[rank::RANKS] for epoch in epochs]
        assert ranks[rank]["whole"] == epochs[0]


@pytest.mark.parametrize("name", ACCELERATE)
def test_accelerate_divides_the_draws_once(ranks, epochs, name):
    for number, epoch in enumerate(epochs):
        size = BATCH // RANKS if name == "split batches" else BATCH
        batches = [epoch[start : start + size] for start in range(0, SAMPLES, size)]
        for rank in range(RANKS):
            length, drawn = ranks[rank]["accelerate", name]
            assert length == len(batches) // RANKS
            assert drawn[number] == batches[rank::RANKS]


def test_lightning_divides_the_draws_once(ranks, epochs):
    for rank in range(RANKS):
        seen = [number for batch in ranks[rank]["lightning"] for number in batch]
        assert seen == epochs[0][rank::RANKS] + epochs[1][rank::RANKS]


def test_another_sampler_around_it_divides_the_draws_once(ranks, epochs):
    for rank in range(RANKS):
        assert ranks[rank]["wrapped"] == epochs[0][rank::RANKS]


def test_dividing_twice_on_request_is_refused(ranks):
    for rank in range(RANKS):
        assert "divided among the ranks twice, by this sampler and by BatchSamplerShard" in ranks[rank]["twice"]


def test_ranks_that_draw_nothing_themselves_correct_the_draws(ranks):
    sampler = hs.WeightedSampler(WEIGHTS, 11, replacement=False)
    list(sampler)
    sampler.update(WEIGHTS.flip(0))
    drawn = list(sampler)
    expected = sampler.correction(drawn)
    of_ranks = [torch.cat(ranks[rank]["dispatched corrections"]) for rank in range(RANKS)]
    # Batches of 4, 4 and 3: the first rank has draws 0 to 3 and 8, 9; the other one 4 to 7, 10, and 0 as padding.
    torch.testing.assert_close(of_ranks[0], expected[[0, 1, 2, 3, 8, 9]])
    torch.testing.assert_close(of_ranks[1], expected[[4, 5, 6, 7, 10, 0]])


def test_a_pass_that_accelerate_divides_goes_on_after_a_stop(ranks):
    for rank in range(RANKS):
        resumed, rest = ranks[rank]["resumed"]
        assert resumed == rest
        assert len(rest) == SAMPLES // BATCH // RANKS - 1


def test_spawned_processes_do_not_share_their_tables(ranks):
    for rank in range(RANKS):
        changed = ranks[rank]["table"].any(1)
        assert changed.tolist() == [row == rank for row in range(4)]


def test_an_epoch_that_begins_again_counts_all_its_samples(ranks):
    for rank in range(RANKS):
        assert ranks[rank]["begun again"] == {(epoch, order): [BATCH] * 3 for epoch in (0, 1) for order in (0, 5)}


def test_views_of_a_sample_on_several_ranks_are_told(ranks):
    for repeated in (None, "refuse"):
        results = [ranks[rank]["views"][repeated] for rank in range(RANKS)]
        assert [counted for counted, _ in results] == [8, 0]
        for _, (warning,) in results:
            assert "8 of the 16 samples of this step have ids that other ranks have too" in warning
            assert "repeated='count'" in warning
    assert [ranks[rank]["views"]["skip"] for rank in range(RANKS)] == [(8, []), (0, [])]
    assert [ranks[rank]["views"]["count"] for rank in range(RANKS)] == [(8, [])] * 2


def test_validation_without_gradient_is_not_training(ranks):
    for rank in range(RANKS):
        assert ranks[rank]["validation"] == (2.0, [4, 4])


def test_batches_that_accelerate_skips_are_of_the_epoch_that_it_is_in(ranks):
    for rank in range(RANKS):
        rest, straight = ranks[rank]["skipped"]
        assert rest == straight[1:]
