"""The state of a weighting goes wherever a model's does: files, checkpoints of other libraries, processes, copies."""

import copy
import pickle

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_model, save_model
from torch.distributed import checkpoint
from torch.nn.parallel import DataParallel
from transformers import PretrainedConfig, PreTrainedModel

import hardsight as hs
from hardsight.errors import InputError

IDS = [30, 10, 2**40, 20, 7]


class Model(torch.nn.Module):
    def __init__(self, scheme="elr", **more):
        super().__init__()
        self.net, self.weighting = torch.nn.Linear(3, 2), hs.Weighting(scheme, ids=IDS, classes=2, **more)


class Config(PretrainedConfig):
    model_type = "tiny"


class Pretrained(PreTrainedModel):
    config_class = Config

    def __init__(self, config):
        super().__init__(config)
        self.net = torch.nn.Linear(3, 2)
        self.weighting = hs.Weighting("elr", ids=IDS, classes=2)
        self.fixed = hs.Weighting([1.0, 2.0, 3.0], ids=[5, 3, 4], reduction="none")
        self.post_init()


def train_a_step(model, seed=0):
    """Take a step that changes the state, and return the loss."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 2, generator=generator, requires_grad=True)
    model.weighting.set_epoch(2.25)
    return model.weighting(logits=logits, labels=torch.tensor([0, 1]), ids=torch.tensor([10, 2**40]))


def trained():
    model = Model()
    train_a_step(model)
    return model


def by_safetensors(model, folder):
    save_model(model, folder / "model.safetensors")
    load_model(other := Model(), folder / "model.safetensors")
    return other


def by_accelerate(model, folder):
    accelerator = Accelerator(cpu=True)
    accelerator.prepare(model)
    accelerator.save_state(folder)
    fresh = Accelerator(cpu=True)
    other = fresh.prepare(Model())
    fresh.load_state(folder)
    return other


def by_registering(model, folder):
    accelerator = Accelerator(cpu=True)
    accelerator.register_for_checkpointing(model.weighting)
    accelerator.save_state(folder)
    fresh, other = Accelerator(cpu=True), Model()
    fresh.register_for_checkpointing(other.weighting)
    fresh.load_state(folder)
    return other


def by_torch(model, folder):
    torch.save(model.state_dict(), folder / "model.pt")
    (other := Model()).load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    return other


def by_distributed_checkpoint(model, folder):
    checkpoint.save({"model": model.state_dict()}, checkpoint_id=folder)
    state = {"model": (other := Model()).state_dict()}
    checkpoint.load(state, checkpoint_id=folder)
    other.load_state_dict(state["model"])
    return other


def by_a_wrapped_parent(model, folder):
    (other := DataParallel(Model())).load_state_dict(DataParallel(model).state_dict())
    return other.module


def by_pickle(model, folder):
    return pickle.loads(pickle.dumps(model))


def by_deepcopy(model, folder):
    return copy.deepcopy(model)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "travel",
    [
        by_safetensors,
        by_accelerate,
        by_registering,
        by_torch,
        by_distributed_checkpoint,
        by_a_wrapped_parent,
        by_pickle,
        by_deepcopy,
    ],
)
def test_the_next_step_is_the_same(travel, tmp_path):
    model = trained()
    arrived = travel(model, tmp_path)
    assert arrived.weighting.epoch == 2.25
    assert not torch.equal(train_a_step(Model(), 1), train_a_step(copy.deepcopy(model), 1))
    assert torch.equal(train_a_step(arrived, 1), train_a_step(model, 1))
    state, expected = arrived.weighting.state_dict(), model.weighting.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in state)


@pytest.mark.filterwarnings("ignore")
def test_pretrained_models_keep_it(tmp_path):
    model = Pretrained(Config())
    train_a_step(model)
    model.save_pretrained(tmp_path)
    arrived = Pretrained.from_pretrained(tmp_path).train()
    assert torch.equal(train_a_step(arrived, 1), train_a_step(model, 1))
    assert arrived.fixed(torch.ones(3), torch.tensor([3, 4, 5])).tolist() == [2, 3, 1]


def test_weightings_under_the_meta_device_have_values():
    with torch.device("meta"):
        weighting = hs.Weighting([1.0, 2.0, 3.0], ids=[5, 3, 4], reduction="none")
    assert weighting(torch.ones(3), torch.tensor([3, 4, 5])).tolist() == [2, 3, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_that_changes_its_type_leaves_the_tables_alone(dtype):
    model = trained()
    before = copy.deepcopy(model.weighting.state_dict())
    model.to(dtype)
    after = model.weighting.state_dict()
    assert all(before[name].dtype == after[name].dtype and torch.equal(before[name], after[name]) for name in before)


def test_a_checkpoint_without_a_weighting_loads_where_that_is_allowed():
    state = {name: value for name, value in Model().state_dict().items() if not name.startswith("weighting")}
    model = trained()
    before = copy.deepcopy(model.weighting.state_dict())
    model.load_state_dict(state, strict=False)
    assert all(torch.equal(before[name], value) for name, value in model.weighting.state_dict().items())
    with pytest.raises(RuntimeError, match="weighting"):
        model.load_state_dict(state)


@pytest.mark.parametrize("state", [{"epoch": 1.0}, torch.zeros(3), torch.zeros(900, dtype=torch.uint8), None])
def test_another_state_is_refused(state):
    weighting = hs.Weighting("elr", ids=IDS, classes=2)
    damaged = weighting.state_dict()["_extra_state"][:-1] if state is None else state
    with pytest.raises(InputError, match="not the state of a weighting"):
        weighting.load_state_dict({**weighting.state_dict(), "_extra_state": damaged})


@pytest.mark.parametrize("strict", [True, False])
def test_the_state_of_another_scheme_is_refused_in_a_model_too(strict):
    with pytest.raises(InputError, match=r"saved by a weighting of 'elr'.*; this one is of 'gce'"):
        Model("gce").load_state_dict(trained().state_dict(), strict=strict)


def test_replicas_of_data_parallel_are_refused():
    replica = hs.Weighting([1.0, 2.0])._replicate_for_data_parallel()
    for use in (replica, replica.weights):
        with pytest.raises(InputError, match=r"nn\.DataParallel gives every device a weighting of its own"):
            use(torch.ones(2), torch.tensor([0, 1]))
