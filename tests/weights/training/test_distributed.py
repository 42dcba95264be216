"""Two processes under DistributedDataParallel are one process with the batches of both."""

import pytest
import torch
from support.distributed_loop import (
    BATCHES,
    CASES,
    FIXED,
    MICRO_BATCHES,
    RANKS,
    accumulate_step,
    make_case,
    padded_batches,
    run_rank,
    train,
)

import hardsight as hs
from hardsight.weights.training.distributed import first_occurrences

pytestmark = pytest.mark.usefixtures("example_schemes")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(run_rank, (str(folder),), nprocs=RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


def merge_steps(steps):
    """Merge the batches of all ranks, each sample once per epoch."""
    seen, batches = set(), []
    for step in steps:
        positions = [i for share in step for i in torch.as_tensor(share).tolist()]
        batches.append(torch.tensor([i for i in dict.fromkeys(positions) if i not in seen]))
        seen |= set(positions)
    return batches


def close(first, second):
    assert first.keys() == second.keys()
    for key in first:
        if isinstance(first[key], dict):
            close(first[key], second[key])
        elif isinstance(first[key], torch.Tensor):
            torch.testing.assert_close(first[key], second[key], rtol=1e-4, atol=1e-6)
        else:
            assert first[key] == second[key]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["padded", "by hand"])
@pytest.mark.parametrize("case", CASES)
def test_two_processes_are_one(results, case, kind):
    model, weighting = make_case(case)
    steps = {"padded": padded_batches, "by hand": lambda epoch: BATCHES}[kind]
    expected = train(model, weighting, lambda epoch: merge_steps(steps(epoch)))
    assert (
        sum(len(batch) for batch in merge_steps(padded_batches(0))) == 51 < sum(len(s) for b in padded_batches(0) for s in b)
    )
    for rank in range(RANKS):
        close(results[rank][case, kind], expected)


@pytest.mark.parametrize("case", MICRO_BATCHES)
def test_micro_batches_of_two_processes_are_one_batch(results, case):
    model, weighting = make_case(case)
    whole = [torch.cat([positions for shares in MICRO_BATCHES[case] for positions in shares])]
    expected = accumulate_step(model, weighting, whole, 12 if case in ("stateless", "fixed") else None)
    for rank in range(RANKS):
        torch.testing.assert_close(results[rank][case, "accumulated"]["gradients"], expected["gradients"])
    rank_losses = [results[rank][case, "accumulated"]["loss"] for rank in range(RANKS)]
    torch.testing.assert_close(sum(rank_losses) / RANKS, expected["loss"])


def test_if_one_rank_fails_all_do(results):
    assert results[0]["errors"][0] == "rank 1 refused its batch: see the error of that rank"
    assert results[1]["errors"][0].startswith("id 99 is unknown")


def test_ranks_that_go_through_the_same_samples_get_an_error(results):
    for rank in range(RANKS):
        assert len(results[rank]["errors"]) == 2
        assert "every sample of this batch came before in epoch 0" in results[rank]["errors"][1]


def test_ranks_share_one_draw(results):
    for number, replacement in enumerate((True, False)):
        first = hs.WeightedSampler(FIXED, num_samples=22 if replacement else 20, seed=4, replacement=replacement)
        expected = list(first)
        assert [results[rank]["sampler"][number] for rank in range(RANKS)] == [expected[0::2], expected[1::2]]


def test_the_first_of_each():
    ids = torch.tensor([2**60, 3, 2**60 + 1, 3, 2**60, 5])
    assert first_occurrences(ids).tolist() == [True, True, True, False, False, True]
