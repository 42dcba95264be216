"""Two processes of a Trainer or of Lightning are one process with the batches of both, also if epochs are padded."""

import pytest
import torch
from support.distributed_trainers import LIGHTNING, RANKS, TRAINERS, run_rank, train_by_lightning, train_by_trainer
from support.ranks import find_free_port

pytestmark = [
    pytest.mark.usefixtures("example_schemes"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


def spawn(folder, library):
    """Run both processes, and return their results."""
    torch.multiprocessing.spawn(run_rank, (folder, find_free_port(), library), nprocs=RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


@pytest.fixture(scope="module")
def trainers(tmp_path_factory):
    return spawn(tmp_path_factory.mktemp("trainers"), "trainer")


@pytest.fixture(scope="module")
def lightnings(tmp_path_factory):
    return spawn(tmp_path_factory.mktemp("lightning"), "lightning")


def assert_alike(results, expected, *, losses=True):
    """Compare parameters, the state of each sample, and the losses of all steps."""
    torch.testing.assert_close(results["model"], expected["model"], rtol=1e-4, atol=1e-6)
    if losses:
        torch.testing.assert_close(results["losses"], expected["losses"], rtol=1e-3, atol=1e-4)
    state, expected_state = results["weighting"], expected["weighting"]
    assert state.keys() == expected_state.keys()
    for name in state:
        if isinstance(state[name], torch.Tensor):
            torch.testing.assert_close(state[name], expected_state[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", TRAINERS)
def test_two_processes_of_a_trainer_are_one(trainers, case, tmp_path):
    expected = train_by_trainer(case, tmp_path, 1)
    for results in trainers:
        # The first process alone keeps a log.
        assert_alike(results[case], expected, losses=results is trainers[0])


@pytest.mark.slow
@pytest.mark.parametrize("case", LIGHTNING)
def test_two_processes_of_lightning_are_one(lightnings, case, tmp_path):
    expected = train_by_lightning(case, tmp_path, 1)
    for results in lightnings:
        assert_alike(results[case], expected)
