"""Weights in Lightning: a step by hand, the epoch of the weighting, and its state in checkpoints."""

import sys
from types import ModuleType

import numpy as np
import pytest
import pytorch_lightning
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import hardsight as hs
from hardsight.integrations import lightning
from hardsight.integrations.lightning import WeightingCallback

N = 12
pytestmark = [
    pytest.mark.usefixtures("example_schemes"),
    # Lightning's warning about torch's own trees.
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


class Plain(pytorch_lightning.LightningModule):
    def __init__(self, weighting, as_attribute=False):
        super().__init__()
        self.net = torch.nn.Linear(3, 2)
        torch.nn.init.zeros_(self.net.weight)
        torch.nn.init.zeros_(self.net.bias)
        self.epochs = []
        # A list hides the weighting from the module, of which it would be a part as an attribute.
        self.weighting = weighting if as_attribute else [weighting]

    def training_step(self, batch, _):
        x, y, ids = batch
        weighting = self.weighting if isinstance(self.weighting, torch.nn.Module) else self.weighting[0]
        self.epochs.append(weighting.epoch)
        logits = self.net(x)
        return weighting(cross_entropy(logits, y, reduction="none"), ids, logits=logits, labels=y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.5)


def data():
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(N, 3, generator=generator), torch.arange(N) % 2)


def fit(module, folder, epochs, *callbacks, batch=4, resume=None, validate=None, **more):
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
    fit(module, tmp_path, 1, WeightingCallback(weighting), batch=batch, accumulate_grad_batches=accumulate)
    x, y = data().tensors
    by_hand = torch.nn.Linear(3, 2)
    torch.nn.init.zeros_(by_hand.weight)
    torch.nn.init.zeros_(by_hand.bias)
    loss = (torch.from_numpy(weights).float() * cross_entropy(by_hand(x), y, reduction="none")).mean()
    loss.backward()
    expected = torch.cat([(p - 0.1 * p.grad).detach().flatten() for p in by_hand.parameters()])
    torch.testing.assert_close(weights_of(module), expected)


def test_it_sets_the_epoch_and_the_number_of_epochs(tmp_path):
    weighting = hs.Weighting("t-paced")
    module = Plain(weighting)
    fit(module, tmp_path, 2, WeightingCallback(weighting))
    assert module.epochs == pytest.approx([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3])
    assert weighting.epochs == 2.0
    preset = hs.Weighting("t-paced", epochs=7)
    fit(Plain(preset), tmp_path, 1, WeightingCallback(preset))
    assert preset.epochs == 7


class Validated(Plain):
    """A module that validates by the weighting that it trains with."""

    def __init__(self, weighting, as_attribute=False):
        super().__init__(weighting, as_attribute)
        self.gaps = []

    def validation_step(self, batch, at):
        loss = self.training_step(batch, at)
        x, y, _ = batch
        self.gaps.append(loss.item() - cross_entropy(self.net(x), y).item())
        return loss

    test_step = predict_step = validation_step


@pytest.mark.filterwarnings("ignore:The '(val|test|predict)_dataloader' does not have many workers")
@pytest.mark.parametrize("as_attribute", [False, True])
def test_validation_is_neither_weighted_nor_remembered(tmp_path, as_attribute):
    plain, validated = (hs.Weighting("t-running", num_samples=N, epochs=2) for _ in range(2))
    fit(Plain(plain, as_attribute), tmp_path, 2, WeightingCallback(plain))
    module, loader = Validated(validated, as_attribute), DataLoader(hs.indexed(data()), batch_size=4)
    trainer = fit(module, tmp_path, 2, WeightingCallback(validated), validate=loader, val_check_interval=2)
    trainer.test(module, loader, verbose=False)
    trainer.predict(module, loader)
    assert len(module.gaps) == 2 + 2 * 3 + 3 + 3
    assert module.gaps == pytest.approx([0] * 14, abs=1e-6)
    assert validated.training
    assert torch.equal(validated.scheme_state.mean, plain.scheme_state.mean)
    assert torch.equal(validated.scheme_state.level, plain.scheme_state.level)


@pytest.mark.parametrize("as_attribute", [False, True])
def test_resumed_training_goes_on_bit_for_bit(tmp_path, as_attribute):
    def start(epochs, resume=None):
        weighting = hs.Weighting("t-running", num_samples=N, epochs=4)
        module = Plain(weighting, as_attribute)
        return fit(module, tmp_path, epochs, WeightingCallback(weighting), resume=resume), module, weighting

    _, straight, expected = start(4)
    trainer, _, _ = start(2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    _, module, weighting = start(4, tmp_path / "half.ckpt")
    assert len(module.epochs) == 6
    assert torch.equal(weights_of(module), weights_of(straight))
    assert torch.equal(weighting.scheme_state.mean, expected.scheme_state.mean)
    assert torch.equal(weighting.scheme_state.level, expected.scheme_state.level)


def test_weights_of_another_data_set_are_refused(tmp_path):
    weighting = hs.Weighting(np.ones(N + 1))
    with pytest.raises(hs.InputError, match="has 12 samples, numbered by position, and the weighting knows 13"):
        fit(Plain(weighting), tmp_path, 1, WeightingCallback(weighting))


def test_only_a_weighting_is_accepted():
    with pytest.raises(hs.InputError, match=r"weighting must be a hs\.Weighting\. Got str"):
        WeightingCallback("superloss")


def test_both_names_of_lightning_are_found(monkeypatch):
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
