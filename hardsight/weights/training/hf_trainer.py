"""Weights in a Hugging Face ``Trainer``, for classifiers of texts and causal language models.

The loss is normalised over the whole effective batch, which is all micro-batches of an optimizer step on all ranks:

- one label per sample: sum(w l) / samples, as the Trainer itself does with weights of one; l is the cross-entropy, or
  for a model with one output the squared error;
- sequences of tokens, ``sequence="tokens"``: the sum over sequences of w times the summed loss of their tokens, divided
  by the number of tokens that count; with weights of one it is the Trainer's own loss, and long sequences count for
  more;
- ``sequence="mean"``: the sum of w times the mean loss of the sequence's tokens, divided by the number of sequences:
  all sequences count alike.

With the reduction "weighted mean" and fixed weights, samples, tokens and sequences are counted by their weights:
sum(w l) / sum(w). Samples with which a loader pads an epoch on several ranks do not count.

:mod:`hardsight.weights.training.tokens` says what a scheme reads of a sequence. Labels of -100 do not count.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from hardsight.errors import InputError, first_line
from hardsight.validation import check_choice
from hardsight.weights.training.datasets import ID, collate
from hardsight.weights.training.distributed import world_size
from hardsight.weights.training.effective_batch import EffectiveBatch, gather_effective_batch
from hardsight.weights.training.reduction import clamp_positive
from hardsight.weights.training.tokens import IGNORED, align, predicts_next_token
from hardsight.weights.training.weighting import Weighting, check_weighting

try:
    import accelerate  # noqa: F401 - the Trainer cannot do without it
    from transformers import Trainer, TrainerCallback
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, get_last_checkpoint
except ImportError as error:
    raise InputError(f"{error.name} is not installed: pip install 'hardsight[huggingface]'") from error

SequenceReduction = Literal["tokens", "mean"]
_STATE_FILE = "weighting.pt"
_NO_IDS = (
    f"the batch has no ids ({ID!r}): pass train_dataset=hs.indexed(dataset), or add a column of that name with "
    "integers; if you override get_train_dataloader, keep the ids by hs.collate(collator)"
)


class WeightedTrainer(Trainer):
    """A ``Trainer`` that weights its samples; two lines of a script change.

    ::

        weighting = hs.Weighting(d)  # or a scheme: hs.Weighting("superloss", num_samples=len(dataset))
        trainer = WeightedTrainer(model, args, train_dataset=hs.indexed(dataset), weighting=weighting)

    In training the loss is that of the weighting, in evaluation that of the model. The ids of ``hs.indexed`` reach the
    loss and never the model; ``remove_unused_columns`` and collators keep them. The trainer sets the epoch of the
    weighting, saves it with checkpoints and loads it with them. To combine it with a Trainer of another package, write
    ``class Mine(WeightedTrainer, SFTTrainer)``.
    """

    data_collator: Any
    compute_loss_func: Any

    def __init__(self, *args: Any, weighting: Any, sequence: str = "tokens", **more: Any) -> None:
        """Create a trainer with weights.

        Args:
            args: as in the Trainer.
            weighting: a weighting whose ids are those of the training samples.
            sequence: "tokens" or "mean", see :mod:`hardsight.weights.training.hf_trainer`; only for sequences of
                tokens.
            more: as in the Trainer.

        Raises:
            InputError: there is no weighting, another loss beside it, or a reduction that cannot be accumulated.
        """
        check_weighting(weighting)
        check_choice("sequence", sequence, get_args(SequenceReduction))
        if more.get("compute_loss_func") is not None:
            raise InputError("the weighting is the loss: leave out compute_loss_func")
        if weighting.reduction == "none":
            raise InputError("a Trainer needs one number: leave out reduction='none'")
        super().__init__(*args, **more)
        steps = self.args.gradient_accumulation_steps
        if weighting.scheme is not None and weighting.reduction == "weighted mean" and steps > 1:
            raise InputError(
                f"a weighted mean over {steps} micro-batches needs all weights first, but {weighting.scheme.name!r} "
                "computes them in the pass: pass gradient_accumulation_steps=1, or hs.Weighting(…, reduction='mean')"
            )
        if self.args.label_smoothing_factor:
            raise InputError("the weighting reads the unsmoothed loss: leave out label_smoothing_factor")
        self.weighting = weighting.to(self.args.device)
        self.sequence = sequence
        # With a loss function, the Trainer does not divide by the number of micro-batches, which is done here.
        self.compute_loss_func = _reject_own_loss
        self._shift = predicts_next_token(self.accelerator.unwrap_model(self.model))
        self._batch = EffectiveBatch(torch.ones(1, dtype=torch.int64), None)
        self.add_callback(_WeightingCallback(weighting))

    def get_train_dataloader(self) -> Any:
        """Return the training loader, whose batches keep the ids."""
        collator = self.data_collator
        self.data_collator = collate(collator)
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = collator

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if ID not in self._signature_columns:
            self._signature_columns.append(ID)

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: Any) -> Any:
        """Return the micro-batches of a step, and find which of their samples will count, on all ranks.

        Raises:
            InputError: an id is unknown, or another rank failed.
        """
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.weighting.set_epoch(self.state.epoch or 0.0)
        tokens = [self._count_tokens(batch) for batch in batches]
        ids = [batch.get(ID, ()) for batch in batches]
        # compute_loss refuses a batch without ids.
        if all(map(len, ids)) and [*map(len, ids)] == [*map(len, tokens)]:
            self._batch = gather_effective_batch(self.weighting, ids, tokens, self.args.device)
        return batches, items

    def _count_tokens(self, batch: Any) -> Tensor:
        """Count the labels of each sample that count. ``(sample,)``"""
        labels = batch.get("labels")
        if labels is None:
            return torch.zeros(len(batch.get(ID, ())), dtype=torch.int64)
        targets = labels[:, 1:] if self._shift and labels.ndim > 1 else labels
        mask: Tensor = targets != IGNORED
        return mask.flatten(1).sum(1) if mask.ndim > 1 else mask.long()

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None, **more: Any
    ) -> Any:
        """Return the weighted loss of a micro-batch in training.

        The parts of all micro-batches add up to the loss of the step.

        Raises:
            InputError: the batch has no ids or labels, or :class:`hardsight.Weighting` cannot use it.
        """
        inputs = dict(inputs)
        ids = inputs.pop(ID, None)
        if not model.training:
            return self._unweighted_loss(model, inputs, return_outputs, num_items_in_batch, **more)
        if ids is None:
            raise InputError(_NO_IDS)
        labels = inputs.pop("labels", None)
        if labels is None:
            raise InputError(
                "the batch has no labels: add a column label to the dataset, or use a collator that makes labels, such "
                "as DataCollatorForLanguageModeling(tokenizer, mlm=False)"
            )
        outputs = model(**inputs)
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        loss = self._sample_loss(logits, labels, ids) if logits.ndim == 2 else self._token_loss(logits, labels, ids)
        return (loss, outputs) if return_outputs else loss

    def _unweighted_loss(self, model: Any, inputs: Any, return_outputs: bool, items: Any, **more: Any) -> Any:
        self.compute_loss_func = None
        try:
            return super().compute_loss(model, inputs, return_outputs, items, **more)
        finally:
            self.compute_loss_func = _reject_own_loss

    @property
    def _accumulates(self) -> bool:
        return bool(self.current_gradient_accumulation_steps > 1)

    def _sample_loss(self, logits: Tensor, labels: Tensor, ids: Tensor) -> Tensor:
        if labels.is_floating_point() and logits.shape == (len(labels), 1):
            loss = (logits[:, 0].float() - labels.float()).square()
            return self._reduce(loss, _check_rows(ids, loss))
        if labels.shape != logits.shape[:1] or labels.is_floating_point():
            raise InputError(
                f"labels must be class codes, one per sample. Got {labels.dtype} of the shape {tuple(labels.shape)} "
                f"for logits of the shape {tuple(logits.shape)}"
            )
        loss = functional.cross_entropy(logits.float(), labels, reduction="none")
        return self._reduce(loss, _check_rows(ids, loss), logits=logits.float(), labels=labels)

    def _token_loss(self, logits: Tensor, labels: Tensor, ids: Tensor) -> Tensor:
        logits, labels = align(logits, labels, shift=self._shift)
        counts = (labels != IGNORED).sum(1)
        ids, inputs = _check_rows(ids, counts), {"logits": logits, "labels": labels}
        if self.sequence == "mean":
            return self._reduce(None, ids, **inputs)
        tokens, weights = self._batch
        if self.weighting.reduction == "weighted mean" and weights is not None:
            total = torch.dot(weights, tokens.to(weights.dtype))
        elif self.weighting.reduction == "mean":
            total = tokens.sum().float()
        else:
            raise InputError(
                "sequence='tokens' needs the reduction 'mean', or 'weighted mean' with fixed weights. Got "
                f"{self.weighting.reduction!r}: pass hs.Weighting(…, reduction='mean'), or sequence='mean'"
            )
        return _divide(self._weight_losses(None, ids, **inputs) * counts, total)

    def _reduce(self, loss: Tensor | None, ids: Tensor, **inputs: Tensor) -> Tensor:
        """Return a micro-batch's part of the loss of the effective batch, with all samples alike."""
        sizes, weights = self._batch
        if self._accumulates and self.weighting.reduction == "weighted mean" and weights is not None:
            return _divide(self._weight_losses(loss, ids, **inputs), weights.sum())
        # Without accumulation the weighting itself knows which samples of its batch count.
        total: Tensor = self.weighting(loss, ids, items=len(sizes) if self._accumulates else None, **inputs)
        return total

    def _weight_losses(self, loss: Tensor | None, ids: Tensor, **inputs: Tensor) -> Tensor:
        """Return w l of each sample of this rank, 0 for samples that do not count. ``(sample,)``"""
        reduction = self.weighting.reduction
        self.weighting.reduction = "none"
        try:
            losses: Tensor = self.weighting(loss, ids, **inputs)
        finally:
            self.weighting.reduction = reduction
        return losses

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **more: Any) -> Any:
        """Train; the weighting, too, goes on from a checkpoint."""
        if resume_from_checkpoint:
            folder = resume_from_checkpoint
            if folder is True:
                folder = get_last_checkpoint(self.args.output_dir)
            if folder is not None:
                self.weighting.load_state_dict(_load_state(Path(folder) / _STATE_FILE))
        return super().train(resume_from_checkpoint, *args, **more)


class _WeightingCallback(TrainerCallback):
    """Sets the number of epochs of a weighting, and saves it with checkpoints."""

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


def _divide(weighted: Tensor, total: Tensor) -> Tensor:
    """Divide the sum by a total, such that losses and gradients of ranks average to those of all ranks."""
    return weighted.sum() / clamp_positive(total) * world_size()


def _check_rows(ids: Tensor, rows: Tensor) -> Tensor:
    if len(ids) != len(rows):
        raise InputError(
            f"the batch has {len(ids)} ids and {len(rows)} rows, but weights are for whole samples: use a collator "
            "that does not pack several samples into a row"
        )
    return ids


def _load_state(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(
            f"{path.parent} was saved without a weighting ({path.name}): resume from a checkpoint of a WeightedTrainer"
        ) from None
    except Exception as reason:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{path} cannot be read ({first_line(reason)}): resume from another checkpoint") from None


def _reject_own_loss(*_: Any, **__: Any) -> Tensor:
    raise InputError("the Trainer's own compute_loss was called: let your compute_loss call super().compute_loss")
