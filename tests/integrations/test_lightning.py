"""Weights in Lightning: what a step is, what the weighting is told, and what a checkpoint keeps."""

import sys
from types import ModuleType

import numpy as np
import pytest
import pytorch_lightning
import torch
from support import example_schemes
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import hardsight as hs
from hardsight.integrations import lightning
from hardsight.integrations.lightning import WeightingCallback

N = 12
pytestmark = [
    # What Lightning says of torch's own trees.
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


@pytest.fixture(scope="module", autouse=True)
def schemes():
    example_schemes.offered()
    yield
    example_schemes.withdrawn()


class Plain(pytorch_lightning.LightningModule):
    def __init__(self, weighting, own=False):
        super().__init__()
        self.net = torch.nn.Linear(3, 2)
        torch.nn.init.zeros_(self.net.weight)
        torch.nn.init.zeros_(self.net.bias)
        self.told = []
        # A list hides the weighting from the module, whose own it would be as an attribute.
        self.weighting = weighting if own else [weighting]

    def training_step(self, batch, _):
        x, y, ids = batch
        weighting = self.weighting if isinstance(self.weighting, torch.nn.Module) else self.weighting[0]
        self.told.append(weighting.epoch)
        logits = self.net(x)
        return weighting(cross_entropy(logits, y, reduction="none"), ids, logits=logits, labels=y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.5)


def data():
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(N, 3, generator=generator), torch.arange(N) % 2)


def fitted(module, folder, epochs, *callbacks, batch=4, resume=None, validate=None, **more):
    trainer = pytorch_lightning.Trainer(
        max_epochs=epochs,
        callbacks=list(callbacks),
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **more,
    )
    loader = DataLoader(hs.indexed(data()), batch_size=batch)
    trainer.fit(module, loader, validate, ckpt_path=resume, **({} if resume is None else {"weights_only": True}))
    return trainer


def weights_of(module):
    return torch.cat([p.detach().flatten() for p in module.net.parameters()])


@pytest.mark.parametrize(("batch", "accumulate"), [(N, 1), (4, 3)])
def test_a_step_is_that_of_the_weighted_mean(tmp_path, batch, accumulate):
    weights = np.linspace(0, 3, N)
    weighting = hs.Weighting(weights)
    module = Plain(weighting)
    fitted(module, tmp_path, 1, WeightingCallback(weighting), batch=batch, accumulate_grad_batches=accumulate)
    x, y = data().tensors
    by_hand = torch.nn.Linear(3, 2)
    torch.nn.init.zeros_(by_hand.weight)
    torch.nn.init.zeros_(by_hand.bias)
    loss = (torch.from_numpy(weights).float() * cross_entropy(by_hand(x), y, reduction="none")).mean()
    loss.backward()
    expected = torch.cat([(p - 0.1 * p.grad).detach().flatten() for p in by_hand.parameters()])
    torch.testing.assert_close(weights_of(module), expected)


def test_it_is_told_the_epoch_and_how_many_there_are(tmp_path):
    weighting = hs.Weighting("t-paced")
    module = Plain(weighting)
    fitted(module, tmp_path, 2, WeightingCallback(weighting))
    assert module.told == pytest.approx([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3])
    assert weighting.epochs == 2.0
    known = hs.Weighting("t-paced", epochs=7)
    fitted(Plain(known), tmp_path, 1, WeightingCallback(known))
    assert known.epochs == 7


class Judged(Plain):
    """Judges by the weighting that it trains with."""

    def __init__(self, weighting, own=False):
        super().__init__(weighting, own)
        self.judged = []

    def validation_step(self, batch, at):
        found = self.training_step(batch, at)
        x, y, _ = batch
        self.judged.append(found.item() - cross_entropy(self.net(x), y).item())
        return found

    test_step = predict_step = validation_step


@pytest.mark.filterwarnings("ignore:The '(val|test|predict)_dataloader' does not have many workers")
@pytest.mark.parametrize("own", [False, True])
def test_what_is_not_trained_on_is_neither_weighted_nor_remembered(tmp_path, own):
    plain, judged = (hs.Weighting("t-running", num_samples=N, epochs=2) for _ in range(2))
    fitted(Plain(plain, own), tmp_path, 2, WeightingCallback(plain))
    module, loader = Judged(judged, own), DataLoader(hs.indexed(data()), batch_size=4)
    trainer = fitted(module, tmp_path, 2, WeightingCallback(judged), validate=loader, val_check_interval=2)
    trainer.test(module, loader, verbose=False)
    trainer.predict(module, loader)
    assert len(module.judged) == 2 + 2 * 3 + 3 + 3
    assert module.judged == pytest.approx([0] * 14, abs=1e-6)
    assert judged.training
    assert torch.equal(judged.scheme_state.mean, plain.scheme_state.mean)
    assert torch.equal(judged.scheme_state.level, plain.scheme_state.level)


@pytest.mark.parametrize("own", [False, True])
def test_what_was_interrupted_goes_on_bit_for_bit(tmp_path, own):
    def started(epochs, resume=None):
        weighting = hs.Weighting("t-running", num_samples=N, epochs=4)
        module = Plain(weighting, own)
        return fitted(module, tmp_path, epochs, WeightingCallback(weighting), resume=resume), module, weighting

    _, whole, expected = started(4)
    trainer, _, _ = started(2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    _, module, weighting = started(4, tmp_path / "half.ckpt")
    assert len(module.told) == 6
    assert torch.equal(weights_of(module), weights_of(whole))
    assert torch.equal(weighting.scheme_state.mean, expected.scheme_state.mean)
    assert torch.equal(weighting.scheme_state.level, expected.scheme_state.level)


def test_only_a_weighting_can_be_told():
    with pytest.raises(hs.InputError, match=r"weighting must be a hs\.Weighting\. Got str"):
        WeightingCallback("superloss")


def test_lightning_goes_by_two_names(monkeypatch):
    other = ModuleType("lightning.pytorch")
    other.Callback = type("Callback", (), {})
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "lightning.pytorch", other)
    assert lightning._import_callback() is other.Callback
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    with pytest.raises(hs.InputError, match=r"pip install 'hardsight\[lightning\]'"):
        lightning._import_callback()
