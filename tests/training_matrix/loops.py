"""Training in each loop of the matrix, as its documentation recommends it, up to the parameters after the last step."""

import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import hardsight as hs
from training_matrix.cells import Cell
from training_matrix.reference import (
    BATCH,
    CLASSES,
    EPOCHS,
    FEATURES,
    FIXED,
    RATE,
    SAMPLES,
    START,
    STEPS_PER_EPOCH,
    STOP,
    TEMPERATURE,
    X,
    Y,
)

SCHEME = "matrix-remembered"
# Set by the processes that train.
precision = torch.float32
_SEED = 3
TOTAL = EPOCHS * STEPS_PER_EPOCH


def make_sampler() -> hs.WeightedSampler:
    return hs.WeightedSampler(FIXED, seed=_SEED)


def make_loop_sampler(cell: Cell) -> Any:
    """Return a sampler for a loop that does not distribute the samples by itself."""
    if cell.weights == "sampler":
        return make_sampler()
    return DistributedSampler(range(SAMPLES), shuffle=False) if cell.ranks > 1 else None


def make_weighting(cell: Cell) -> hs.Weighting | None:
    if cell.weights == "sampler":
        return None
    if cell.weights == "fixed":
        return hs.Weighting(FIXED)
    if cell.weights == "per-sample":
        return hs.Weighting(SCHEME, num_samples=SAMPLES)
    return hs.Weighting("kl-dro", lam=TEMPERATURE)


def make_model() -> nn.Linear:
    model = nn.Linear(FEATURES, CLASSES, bias=False, dtype=precision)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(START))
    return model


def make_dataset() -> Any:
    return hs.indexed(TensorDataset(torch.from_numpy(X).to(precision), torch.from_numpy(Y)))


def micro_batch_size(cell: Cell) -> int:
    return BATCH // cell.ranks // cell.accumulation


def steps_of(cell: Cell) -> list[tuple[int, int]]:
    """Return the first and last step of each run: one run, or two with a restart in between."""
    return [(0, TOTAL)] if cell.restart == "straight" else [(0, STOP), (STOP, TOTAL)]


def train_plain(cell: Cell, folder: Path) -> torch.Tensor:
    """Train in a loop of one's own, with DistributedDataParallel on several ranks."""
    checkpoint: dict[str, Any] | None = None
    for first, last in steps_of(cell):
        model, weighting = make_model(), make_weighting(cell)
        trained: nn.Module = DistributedDataParallel(model) if cell.ranks > 1 else model
        optimizer = torch.optim.SGD(model.parameters(), RATE)
        sampler = make_loop_sampler(cell)
        loader = DataLoader(make_dataset(), micro_batch_size(cell), sampler=sampler)
        if checkpoint is not None:
            model.load_state_dict(checkpoint["model"])
            if weighting is not None:
                weighting.load_state_dict(checkpoint["weighting"])
        for epoch in range(first // STEPS_PER_EPOCH, EPOCHS):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
            if weighting is not None:
                weighting.set_epoch(epoch)
            for number, batches in enumerate(_groups(loader, cell.accumulation), epoch * STEPS_PER_EPOCH):
                if first <= number < last:
                    _plain_step(cell, trained, optimizer, weighting, batches)
        state = None if weighting is None else weighting.state_dict()
        torch.save({"model": model.state_dict(), "weighting": state}, folder / f"{_rank()}.pt")
        checkpoint = torch.load(folder / f"{_rank()}.pt")
    return model.weight.detach()


def _plain_step(cell: Cell, model: nn.Module, optimizer: Any, weighting: hs.Weighting | None, batches: list[Any]) -> None:
    optimizer.zero_grad()
    compares = weighting is not None and cell.weights == "batch-normalised" and cell.accumulation > 1
    parts = _weigh_effective_batch(model, weighting, batches) if compares else None
    for number, (x, y, ids) in enumerate(batches, 1):
        with model.no_sync() if number < len(batches) and cell.ranks > 1 else nullcontext():
            losses = cross_entropy(model(x), y, reduction="none")
            if weighting is None:
                loss = losses.mean() / cell.accumulation
            elif parts is not None:
                loss = weighting.apply_weights(losses, parts[number - 1])
            else:
                loss = weighting(losses, ids, items=BATCH if cell.accumulation > 1 else None)
            loss.backward()
    optimizer.step()


def _weigh_effective_batch(model: Any, weighting: hs.Weighting, batches: list[Any]) -> tuple[torch.Tensor, ...]:
    """Return the weights of each micro-batch, for a scheme that compares the samples of the effective batch."""
    with torch.no_grad():
        losses = torch.cat([cross_entropy(model(x), y, reduction="none") for x, y, _ in batches])
    return weighting.weights(losses, torch.cat([ids for *_, ids in batches])).split([len(ids) for *_, ids in batches])


def train_accelerate(cell: Cell, folder: Path) -> torch.Tensor:
    """Train in a loop of accelerate."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    for first, last in steps_of(cell):
        AcceleratorState._reset_state()
        GradientState._reset_state()
        # With weights computed in advance the loop accumulates by itself.
        steps = 1 if cell.weights == "batch-normalised" else cell.accumulation
        accelerator = Accelerator(cpu=True, gradient_accumulation_steps=steps)
        weighting, sampler = make_weighting(cell), make_sampler() if cell.weights == "sampler" else None
        loader = DataLoader(make_dataset(), micro_batch_size(cell), sampler=sampler)
        model = make_model()
        optimizer = torch.optim.SGD(model.parameters(), RATE)
        model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
        if weighting is not None:
            accelerator.register_for_checkpointing(weighting)
        if first:
            accelerator.load_state(folder / "accelerate")
        for epoch in range(first // STEPS_PER_EPOCH, EPOCHS):
            loader.set_epoch(epoch)
            if weighting is not None:
                weighting.set_epoch(epoch)
            start = max(first - epoch * STEPS_PER_EPOCH, 0)
            stop = min(last - epoch * STEPS_PER_EPOCH, STEPS_PER_EPOCH)
            batches = accelerator.skip_first_batches(loader, start * cell.accumulation) if start else loader
            batches = itertools.islice(batches, max(stop - start, 0) * cell.accumulation)
            if cell.weights == "batch-normalised":
                for group in _groups(batches, cell.accumulation):
                    _accelerate_group(accelerator, model, optimizer, weighting, group)
                continue
            for x, y, ids in batches:
                with accelerator.accumulate(model):
                    losses = cross_entropy(model(x), y, reduction="none")
                    accelerator.backward(losses.mean() if weighting is None else weighting(losses, ids))
                    optimizer.step()
                    optimizer.zero_grad()
        if last < TOTAL:
            accelerator.save_state(folder / "accelerate")
    return accelerator.unwrap_model(model).weight.detach()


def _accelerate_group(accelerator: Any, model: Any, optimizer: Any, weighting: hs.Weighting, group: list[Any]) -> None:
    """Do one step with a scheme that compares the samples of the effective batch: all weights first."""
    weights = _weigh_effective_batch(model, weighting, group)
    for number, (x, y, _) in enumerate(group):
        with accelerator.no_sync(model) if number < len(group) - 1 else nullcontext():
            part = weighting.apply_weights(cross_entropy(model(x), y, reduction="none"), weights[number])
            accelerator.backward(part)
    optimizer.step()
    optimizer.zero_grad()


def train_lightning(cell: Cell, folder: Path) -> torch.Tensor:
    """Train by Lightning, with WeightingCallback."""
    import pytorch_lightning
    from pytorch_lightning.callbacks import ModelCheckpoint

    from hardsight.integrations.lightning import WeightingCallback

    for first, last in steps_of(cell):
        weighting = make_weighting(cell)

        class Model(pytorch_lightning.LightningModule):
            def __init__(self, weighting: Any) -> None:
                super().__init__()
                self.net, self._weighting = make_model(), [weighting]

            def training_step(self, batch: Any, _: int) -> torch.Tensor:
                x, y, ids = batch
                losses = cross_entropy(self.net(x), y, reduction="none")
                return losses.mean() if self._weighting[0] is None else self._weighting[0](losses, ids)

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), RATE)

        callbacks = [ModelCheckpoint(folder, "lightning", every_n_train_steps=STOP)]
        if weighting is not None:
            callbacks.append(WeightingCallback(weighting))
        trainer = pytorch_lightning.Trainer(
            max_epochs=EPOCHS,
            max_steps=last,
            accumulate_grad_batches=cell.accumulation,
            callbacks=callbacks,
            default_root_dir=folder,
            accelerator="cpu",
            devices=cell.ranks,
            strategy="ddp" if cell.ranks > 1 else "auto",
            # Lightning's own sampler would shuffle the samples, and distribute the draws of ours once more.
            use_distributed_sampler=False,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module = Model(weighting)
        loader = ResumableLoader(make_dataset(), micro_batch_size(cell), sampler=make_loop_sampler(cell))
        trainer.fit(module, loader, ckpt_path=folder / "lightning.ckpt" if first else None, weights_only=False)
    return module.net.weight.detach()


class ResumableLoader(DataLoader):
    """A loader that goes on where a checkpoint was made; Lightning saves and restores it."""

    _done = 0
    _skip = 0

    def __iter__(self) -> Iterator[Any]:
        skip, self._skip = self._skip, 0
        for self._done, batch in enumerate(super().__iter__(), 1):
            if self._done > skip:
                yield batch

    def state_dict(self) -> dict[str, Any]:
        return {"done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._skip = state["done"] % len(self)


class Classifier(nn.Module):
    """The model with the loss in its output, as a Trainer expects it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = make_model()

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        logits = self.net(x)
        return {"logits": logits} if labels is None else {"loss": cross_entropy(logits, labels), "logits": logits}


def train_trainer(cell: Cell, folder: Path) -> torch.Tensor:
    """Train by WeightedTrainer; with a sampler by the plain Trainer."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from hardsight.integrations.huggingface import WeightedTrainer

    class Stop(TrainerCallback):
        def __init__(self, last: int) -> None:
            self.last = last

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            control.should_training_stop = state.global_step >= self.last

    class SetEpoch(TrainerCallback):
        """On several ranks accelerate does not set the epoch of a sampler when training resumes within an epoch."""

        def __init__(self, sampler: hs.WeightedSampler) -> None:
            self.sampler = sampler

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.sampler.set_epoch(int(state.epoch))

    class SampledTrainer(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            sampler = make_sampler()
            self.add_callback(SetEpoch(sampler))
            return sampler

    for first, last in steps_of(cell):
        weighting = make_weighting(cell)
        rows = [{"x": torch.from_numpy(x).to(precision), "labels": int(y)} for x, y in zip(X, Y, strict=True)]
        args = TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=micro_batch_size(cell),
            gradient_accumulation_steps=cell.accumulation,
            train_sampling_strategy="sequential",
            optim="sgd",
            learning_rate=RATE,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            save_strategy="steps",
            save_steps=STOP,
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
        )
        more = {"args": args, "callbacks": [Stop(last)]}
        model = Classifier()
        trainer = (
            SampledTrainer(model, train_dataset=rows, **more)
            if weighting is None
            else WeightedTrainer(model, train_dataset=hs.indexed(rows), weighting=weighting, **more)
        )
        trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{STOP}") if first else None)
    return model.net.weight.detach()


class CrossEntropy:
    """A criterion that is no module: skorch would wrap a module for several ranks, which fails without parameters."""

    reduction = "mean"

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy(logits, labels, reduction=self.reduction)


class Accumulating:
    """A mixin for skorch's nets that steps after several batches, as skorch's documentation shows it."""

    accumulation = 1

    def get_loss(self, *args: Any, **kwargs: Any) -> Any:
        return super().get_loss(*args, **kwargs) / self.accumulation

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        step = self.train_step_single(batch, **fit_params)
        if len(self.history[-1, "batches"]) % self.accumulation == 0:
            self.optimizer_.step()
            self.optimizer_.zero_grad()
        return step


def train_skorch(cell: Cell, folder: Path) -> torch.Tensor:
    """Train by skorch, which restarts between epochs only; on several ranks with its mixin for accelerate."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState
    from skorch import NeuralNetClassifier
    from skorch.hf import AccelerateMixin

    bases: tuple[type, ...] = (NeuralNetClassifier,)
    arguments: dict[str, Any] = {}
    if cell.ranks > 1:
        AcceleratorState._reset_state()
        GradientState._reset_state()
        bases, arguments = (AccelerateMixin, *bases), {"accelerator": Accelerator(cpu=True), "unwrap_after_train": False}
    if cell.weights == "sampler":
        arguments["iterator_train__sampler"] = make_sampler()
    else:
        arguments["weighting"] = {"fixed": FIXED, "per-sample": SCHEME, "batch-normalised": "kl-dro"}[cell.weights]
    if cell.weights == "batch-normalised":
        arguments["weighting_parameters"] = {"lam": TEMPERATURE}
    bases = (hs.skorch.WeightedNet, *bases)
    if cell.accumulation > 1:
        # Divides the weighted loss.
        bases = (Accumulating, *bases)
    net = type("Net", bases, {"accumulation": cell.accumulation})(
        make_model,
        criterion=CrossEntropy if cell.ranks > 1 else nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=RATE,
        batch_size=micro_batch_size(cell),
        max_epochs=EPOCHS if cell.restart == "straight" else 1,
        train_split=None,
        verbose=0,
        **arguments,
    )
    features = torch.from_numpy(X).to(precision).numpy()
    net.fit(features, Y)
    if cell.restart == "resumed":
        net.partial_fit(features, Y)
    module = net.module_
    return (module.module if isinstance(module, DistributedDataParallel) else module).weight.detach()


TRAIN = {
    "plain loop": train_plain,
    "accelerate": train_accelerate,
    "Lightning": train_lightning,
    "Trainer": train_trainer,
    "skorch": train_skorch,
}


def _groups(batches: Any, size: int) -> Iterator[list[Any]]:
    iterator = iter(batches)
    while group := list(itertools.islice(iterator, size)):
        yield group


def _rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0
