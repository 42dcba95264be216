"""Two processes under DistributedDataParallel are one process with the batches of both."""

import pytest
import torch
from support import example_schemes
from support.distributed_loop import (
    BY_HAND,
    FIXED,
    MICRO,
    RANKS,
    WHATS,
    accumulated,
    begin,
    padded_batches,
    run,
    trained,
)

import hardsight as hs
from hardsight.weights.training.distributed import first_occurrences


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(run, (str(folder),), nprocs=RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


@pytest.fixture(scope="module", autouse=True)
def schemes():
    example_schemes.offered()
    yield
    example_schemes.withdrawn()


def alone(steps):
    """The batches of all ranks as one, each sample once an epoch."""
    seen, batches = set(), []
    for step in steps:
        at = [i for share in step for i in torch.as_tensor(share).tolist()]
        batches.append(torch.tensor([i for i in dict.fromkeys(at) if i not in seen]))
        seen |= set(at)
    return batches


def close(one, other):
    assert one.keys() == other.keys()
    for key in one:
        if isinstance(one[key], dict):
            close(one[key], other[key])
        elif isinstance(one[key], torch.Tensor):
            torch.testing.assert_close(one[key], other[key], rtol=1e-4, atol=1e-6)
        else:
            assert one[key] == other[key]


@pytest.mark.parametrize("kind", ["padded", "by hand"])
@pytest.mark.parametrize("what", WHATS)
def test_two_processes_are_one(found, what, kind):
    model, weighting = begin(what)
    steps = {"padded": padded_batches, "by hand": lambda epoch: BY_HAND}[kind]
    expected = trained(model, weighting, lambda epoch: alone(steps(epoch)))
    assert (
        sum(len(batch) for batch in alone(padded_batches(0))) == 51 < sum(len(s) for b in padded_batches(0) for s in b)
    )
    for rank in range(RANKS):
        close(found[rank][what, kind], expected)


@pytest.mark.parametrize("what", MICRO)
def test_micro_batches_of_two_processes_are_one_batch(found, what):
    model, weighting = begin(what)
    whole = [torch.cat([at for shares in MICRO[what] for at in shares])]
    expected = accumulated(model, weighting, whole, 12 if what in ("stateless", "fixed") else None)
    for rank in range(RANKS):
        torch.testing.assert_close(found[rank][what, "accumulated"]["gradients"], expected["gradients"])
    of_ranks = [found[rank][what, "accumulated"]["loss"] for rank in range(RANKS)]
    torch.testing.assert_close(sum(of_ranks) / RANKS, expected["loss"])


def test_where_one_rank_refuses_all_do(found):
    assert found[0]["refusals"][0] == "rank 1 refused its batch: see the error of that rank"
    assert found[1]["refusals"][0].startswith("id 99 is unknown")


def test_ranks_that_go_through_the_same_samples_are_told(found):
    for rank in range(RANKS):
        assert len(found[rank]["refusals"]) == 2
        assert "every sample of this batch came before in epoch 0" in found[rank]["refusals"][1]


def test_ranks_share_one_draw(found):
    for number, replacement in enumerate((True, False)):
        one = hs.WeightedSampler(FIXED, draws=22 if replacement else 20, seed=4, replacement=replacement)
        expected = list(one)
        assert [found[rank]["sampler"][number] for rank in range(RANKS)] == [expected[0::2], expected[1::2]]


def test_the_first_of_each():
    ids = torch.tensor([2**60, 3, 2**60 + 1, 3, 2**60, 5])
    assert first_occurrences(ids).tolist() == [True, True, True, False, False, True]
