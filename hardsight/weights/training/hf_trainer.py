"""Weights in a Hugging Face ``Trainer``, for classifiers of texts and causal language models.

Normalisation, over the whole effective batch, that is all micro-batches of an optimiser's step on all ranks:

- one label a sample: sum(w l) / samples, as the Trainer itself does with weights of one; l is the cross-entropy, or for a
  model with one output the squared error;
- sequences of tokens, ``sequence="tokens"``: sum over sequences of w times the summed loss of their tokens, / tokens that
  count; with weights of one that is the Trainer's own loss, and long sequences count for more;
- ``sequence="mean"``: sum of w times the mean loss of the sequence's tokens, / sequences: all sequences count alike.

With the reduction "weighted mean" and fixed weights, samples, tokens and sequences are counted by their weights:
sum(w l) / sum(w). Samples with which a loader pads an epoch on several ranks do not count.

What a scheme reads of a sequence is told in :mod:`hardsight.weights.training.tokens`. Labels of -100 do not count.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from hardsight.errors import InputError, first_line
from hardsight.weights.training.datasets import ID, collate
from hardsight.weights.training.distributed import world_size
from hardsight.weights.training.effective_batch import EffectiveBatch, gather_effective_batch
from hardsight.weights.training.reduction import clamp_positive
from hardsight.weights.training.tokens import IGNORED, align, predicts_next_token
from hardsight.weights.training.weighting import Weighting

try:
    import accelerate  # noqa: F401 - what the Trainer cannot do without
    from transformers import Trainer, TrainerCallback
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, get_last_checkpoint
except ImportError as fault:
    raise InputError(f"{fault.name} is not installed: pip install 'hardsight[huggingface]'") from fault

SequenceReduction = Literal["tokens", "mean"]
_STATE_FILE = "weighting.pt"
_NO_IDS = (
    f"the batch has no ids ({ID!r}): give train_dataset=hs.indexed(dataset), or a column of that name with whole numbers; a "
    "get_train_dataloader of your own keeps them with hs.collate(collator)"
)


class WeightedTrainer(Trainer):
    """A ``Trainer`` that weighs its samples; two lines of a script change.

    ::

        weighting = hs.Weighting(d)  # or a scheme: hs.Weighting("superloss", num_samples=len(dataset))
        trainer = WeightedTrainer(model, args, train_dataset=hs.indexed(dataset), weighting=weighting)

    While the model trains, its loss is that of the weighting; while it is evaluated, its own. The ids of ``hs.indexed``
    reach the loss and never the model; ``remove_unused_columns`` and collators leave them alone. The weighting is told the
    epoch, and is saved with checkpoints and loaded with them. With a Trainer of another package it goes together as
    ``class Mine(WeightedTrainer, SFTTrainer)``.
    """

    data_collator: Any
    compute_loss_func: Any

    def __init__(self, *args: Any, weighting: Any, sequence: str = "tokens", **more: Any) -> None:
        """A trainer as ever, with weights.

        Args:
            args: as those of the Trainer.
            weighting: whose ids are those of the training samples.
            sequence: "tokens" or "mean", see :mod:`hardsight.weights.training.hf_trainer`; only for sequences of tokens.
            more: as those of the Trainer.

        Raises:
            InputError: no weighting, another loss beside it, or a reduction that does not go with accumulated gradients.
        """
        if not isinstance(weighting, Weighting):
            raise InputError(
                f"weighting must be a hs.Weighting. Got {type(weighting).__name__}: hs.Weighting('superloss', …)"
            )
        if sequence not in get_args(SequenceReduction):
            raise InputError(f"sequence must be 'tokens' or 'mean'. Got {sequence!r}")
        if more.get("compute_loss_func") is not None:
            raise InputError("the weighting is the loss: leave out compute_loss_func")
        if weighting.reduction == "none":
            raise InputError("a Trainer needs one number: leave out reduction='none'")
        super().__init__(*args, **more)
        steps = self.args.gradient_accumulation_steps
        if weighting.scheme is not None and weighting.reduction == "weighted mean" and steps > 1:
            raise InputError(
                f"a weighted mean over {steps} micro-batches needs all weights first, and {weighting.scheme.name!r} finds "
                "them by the pass: pass gradient_accumulation_steps=1, or hs.Weighting(…, reduction='mean')"
            )
        if self.args.label_smoothing_factor:
            raise InputError("the weighting reads the loss as it is: leave out label_smoothing_factor")
        self.weighting = weighting.to(self.args.device)
        self.sequence = sequence
        # That a loss function is there tells the Trainer not to divide by the micro-batches, which is done here.
        self.compute_loss_func = _reject_own_loss
        self._shifts = predicts_next_token(self.accelerator.unwrap_model(self.model))
        self._batch = EffectiveBatch(torch.ones(1, dtype=torch.int64), None)
        self.add_callback(_WeightingCallback(weighting))

    def get_train_dataloader(self) -> Any:
        """The training loader, whose batches keep the ids."""
        plain = self.data_collator
        self.data_collator = collate(plain)
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = plain

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if ID not in self._signature_columns:
            self._signature_columns.append(ID)

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: Any) -> Any:
        """The micro-batches of a step; finds which of their samples will count, on all ranks.

        Raises:
            InputError: a batch without ids, an unknown id, or on another rank something of the kind.
        """
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.weighting.set_epoch(self.state.epoch or 0.0)
        tokens = [self._tokens_of(batch) for batch in batches]
        ids = [batch.get(ID, ()) for batch in batches]
        # A batch that lacks ids is refused where it is weighted.
        if all(map(len, ids)) and [*map(len, ids)] == [*map(len, tokens)]:
            self._batch = gather_effective_batch(self.weighting, ids, tokens, self.args.device)
        return batches, items

    def _tokens_of(self, batch: Any) -> Tensor:
        """How many labels of each sample count, ``(sample,)``."""
        labels = batch.get("labels")
        if labels is None:
            return torch.zeros(len(batch.get(ID, ())), dtype=torch.int64)
        counted: Tensor = self._answers(labels) != IGNORED
        return counted.flatten(1).sum(1) if counted.ndim > 1 else counted.long()

    def _answers(self, labels: Tensor) -> Tensor:
        return labels[:, 1:] if self._shifts and labels.ndim > 1 else labels

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None, **more: Any
    ) -> Any:
        """The weighted loss of a micro-batch in training; the parts of all micro-batches add up to that of the step.

        Raises:
            InputError: a batch without ids or labels, or what :class:`hardsight.Weighting` refuses.
        """
        inputs = dict(inputs)
        ids = inputs.pop(ID, None)
        if not model.training:
            return self._unweighted(model, inputs, return_outputs, num_items_in_batch, **more)
        if ids is None:
            raise InputError(_NO_IDS)
        labels = inputs.pop("labels", None)
        if labels is None:
            raise InputError(
                "the batch has no labels: give the dataset a column label, or a collator that makes labels, such as "
                "DataCollatorForLanguageModeling(tokenizer, mlm=False)"
            )
        outputs = model(**inputs)
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        loss = self._of_samples(logits, labels, ids) if logits.ndim == 2 else self._of_tokens(logits, labels, ids)
        return (loss, outputs) if return_outputs else loss

    def _unweighted(self, model: Any, inputs: Any, return_outputs: bool, items: Any, **more: Any) -> Any:
        self.compute_loss_func = None
        try:
            return super().compute_loss(model, inputs, return_outputs, items, **more)
        finally:
            self.compute_loss_func = _reject_own_loss

    @property
    def _accumulates(self) -> bool:
        return bool(self.current_gradient_accumulation_steps > 1)

    @property
    def _items(self) -> int | None:
        """Samples of the effective batch; None where it is the batch at hand, of which the weighting knows more itself."""
        return len(self._batch.sizes) if self._accumulates else None

    def _of_samples(self, logits: Tensor, labels: Tensor, ids: Tensor) -> Tensor:
        if labels.is_floating_point() and logits.shape == (len(labels), 1):
            loss = (logits[:, 0].float() - labels.float()).square()
            return self._reduced(loss, self._each(ids, loss))
        if labels.shape != logits.shape[:1] or labels.is_floating_point():
            raise InputError(
                f"labels must be class codes, one a sample. Got {labels.dtype} of the shape {tuple(labels.shape)} for "
                f"logits of the shape {tuple(logits.shape)}"
            )
        loss = functional.cross_entropy(logits.float(), labels, reduction="none")
        return self._reduced(loss, self._each(ids, loss), logits=logits.float(), labels=labels)

    def _of_tokens(self, logits: Tensor, labels: Tensor, ids: Tensor) -> Tensor:
        logits, labels = align(logits, labels, shift=self._shifts)
        count = (labels != IGNORED).sum(1)
        ids, inputs = self._each(ids, count), {"logits": logits, "labels": labels}
        if self.sequence == "mean":
            return self._reduced(None, ids, **inputs)
        tokens, weights = self._batch
        if self.weighting.reduction == "weighted mean" and weights is not None:
            return self._part(self._weighted(None, ids, **inputs) * count, torch.dot(weights, tokens.to(weights.dtype)))
        if self.weighting.reduction != "mean":
            raise InputError(
                f"weights of whole sequences by tokens go with the mean over tokens, not with {self.weighting.reduction!r}: "
                "pass hs.Weighting(…, reduction='mean'), or sequence='mean'"
            )
        return self._part(self._weighted(None, ids, **inputs) * count, tokens.sum().float())

    def _reduced(self, loss: Tensor | None, ids: Tensor, **inputs: Tensor) -> Tensor:
        """A micro-batch's part of the loss of the effective batch, all samples alike."""
        weights = self._batch.weights
        if self._accumulates and self.weighting.reduction == "weighted mean" and weights is not None:
            return self._part(self._weighted(loss, ids, **inputs), weights.sum())
        found: Tensor = self.weighting(loss, ids, items=self._items, **inputs)
        return found

    def _weighted(self, loss: Tensor | None, ids: Tensor, **inputs: Tensor) -> Tensor:
        """The w l of each sample of this rank, 0 where it does not count, ``(sample,)``."""
        how = self.weighting.reduction
        self.weighting.reduction = "none"
        try:
            found: Tensor = self.weighting(loss, ids, **inputs)
        finally:
            self.weighting.reduction = how
        return found

    def _part(self, weighted: Tensor, total: Tensor) -> Tensor:
        """The sum over a total, such that both losses and gradients of ranks average to those of all."""
        return weighted.sum() / clamp_positive(total) * world_size()

    def _each(self, ids: Tensor, loss: Tensor) -> Tensor:
        if len(ids) != len(loss):
            raise InputError(
                f"the batch has {len(ids)} ids and {len(loss)} rows: weights are for whole samples, use a collator that "
                "does not pack several into a row"
            )
        return ids

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **more: Any) -> Any:
        """Train; with a checkpoint, the weighting goes on where it stood, too."""
        if resume_from_checkpoint:
            found = resume_from_checkpoint
            folder = get_last_checkpoint(self.args.output_dir) if found is True else found
            if folder is not None:
                self.weighting.load_state_dict(_load_state(Path(folder) / _STATE_FILE))
        return super().train(resume_from_checkpoint, *args, **more)


class _WeightingCallback(TrainerCallback):
    """Tells a weighting how many epochs there are, and keeps it in checkpoints."""

    def __init__(self, weighting: Weighting) -> None:
        self.weighting = weighting

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if self.weighting.epochs is None:
            self.weighting.epochs = float(state.num_train_epochs)
        self.weighting.train()

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            torch.save(self.weighting.state_dict(), folder / _STATE_FILE)


def _load_state(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(
            f"{path.parent} was saved without a weighting ({path.name}): resume from a checkpoint of a weighted Trainer"
        ) from None
    except Exception as fault:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{path} cannot be read ({first_line(fault)}): resume from another checkpoint") from None


def _reject_own_loss(*_: Any, **__: Any) -> Tensor:
    raise InputError("the Trainer's own compute_loss was called: let yours call super().compute_loss")
