"""Two processes of a Trainer or of Lightning are one process with the batches of both, also where epochs are padded."""

import socket

import pytest
import torch
from support import example_schemes
from support.distributed_trainers import LIGHTNING, RANKS, TRAINERS, by_lightning, by_trainer, run

pytestmark = [
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


def spawned(folder, way):
    """What both processes found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(run, (folder, port, way), nprocs=RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


@pytest.fixture(scope="module")
def trainers(tmp_path_factory):
    return spawned(tmp_path_factory.mktemp("trainers"), "trainer")


@pytest.fixture(scope="module")
def lightnings(tmp_path_factory):
    return spawned(tmp_path_factory.mktemp("lightning"), "lightning")


@pytest.fixture(scope="module", autouse=True)
def schemes():
    example_schemes.offered()
    yield
    example_schemes.withdrawn()


def alike(found, expected, *, losses=True):
    """Parameters, the state of each sample, and losses of all steps."""
    torch.testing.assert_close(found["model"], expected["model"], rtol=1e-4, atol=1e-6)
    if losses:
        torch.testing.assert_close(found["losses"], expected["losses"], rtol=1e-3, atol=1e-4)
    mine, theirs = found["weighting"], expected["weighting"]
    assert mine.keys() == theirs.keys()
    for name in mine:
        if isinstance(mine[name], torch.Tensor):
            torch.testing.assert_close(mine[name], theirs[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("what", TRAINERS)
def test_two_processes_of_a_trainer_are_one(trainers, what, tmp_path):
    expected = by_trainer(what, tmp_path, 1)
    for found in trainers:
        # The first process alone keeps a log.
        alike(found[what], expected, losses=found is trainers[0])


@pytest.mark.parametrize("what", LIGHTNING)
def test_two_processes_of_lightning_are_one(lightnings, what, tmp_path):
    expected = by_lightning(what, tmp_path, 1)
    for found in lightnings:
        alike(found[what], expected)
