"""Weights in a Hugging Face ``Trainer``, for every model whose loss has a part for each sample.

What is weighted is the model's own loss, whatever it is: with class weights, label smoothing or several heads, of
encoder-decoders, adapters and packed sequences, or that of ``compute_loss_func``. Terms that belong to no sample, such
as the router loss of a mixture of experts, are added as they are. A loss that has no part for each sample is refused in
the first step. The loss is normalized over the whole effective batch, which is all micro-batches of an optimizer step
on all ranks:

- one label per sample: sum(w l) / samples, as the Trainer itself does with weights of one; l is the model's own loss of
  the sample;
- sequences of tokens, ``sequence="tokens"``: the sum over sequences of w times the summed loss of their tokens, divided
  by the number of tokens that count; with weights of one it is the Trainer's own loss, and long sequences count for
  more;
- ``sequence="mean"``: the sum of w times the mean loss of the sequence's tokens, divided by the number of sequences:
  all sequences count alike.

With the reduction "weighted mean" and fixed weights, samples, tokens and sequences are counted by their weights:
sum(w l) / sum(w). Samples with which a loader pads an epoch on several ranks do not count.

:mod:`hardsight.weights.training.tokens` says what a scheme reads of a sequence. Labels of -100 do not count.
"""

import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from hardsight.errors import HardsightWarning, InputError, first_line
from hardsight.validation import check_choice
from hardsight.weights.training.datasets import ID, collate
from hardsight.weights.training.distributed import world_size
from hardsight.weights.training.effective_batch import EffectiveBatch, gather_effective_batch
from hardsight.weights.training.hf_batch import SHIFTED, LabelSmoother, count_labels, read_layout
from hardsight.weights.training.id_check import check_positions
from hardsight.weights.training.own_loss import BatchLayout, LossRecorder, SampleLosses, split_by_sample
from hardsight.weights.training.reduction import clamp_positive
from hardsight.weights.training.scheme_inputs import read_scheme_inputs
from hardsight.weights.training.tokens import predicts_next_token
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
_COMPILED = (
    "The weighted loss needs the loss of each sample, which a compiled model does not show: the model trains uncompiled. "
    "Leave out torch_compile."
)
_NO_LABELS = (
    "the batch has no labels: add a column label to the dataset, or use a collator that makes labels, such as "
    "DataCollatorForLanguageModeling(tokenizer, mlm=False)"
)
_NO_LOSS = (
    "the model returned no loss: let its forward take labels and return the loss first or under 'loss', or pass "
    "compute_loss_func=…"
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
    label_smoother: Any

    def __init__(self, *args: Any, weighting: Any, sequence: str = "tokens", **more: Any) -> None:
        """Create a trainer with weights.

        Args:
            args: as in the Trainer.
            weighting: a weighting whose ids are those of the training samples.
            sequence: "tokens" or "mean", see :mod:`hardsight.weights.training.hf_trainer`; only for sequences of
                tokens.
            more: as in the Trainer.

        Raises:
            InputError: there is no weighting, or it has a reduction that cannot be accumulated.
        """
        check_weighting(weighting)
        check_choice("sequence", sequence, get_args(SequenceReduction))
        if weighting.reduction == "none":
            raise InputError("a Trainer needs one number: leave out reduction='none'")
        super().__init__(*args, **more)
        steps = self.args.gradient_accumulation_steps
        if weighting.scheme is not None and weighting.reduction == "weighted mean" and steps > 1:
            raise InputError(
                f"a weighted mean over {steps} micro-batches needs all weights first, but {weighting.scheme.name!r} "
                "finds them in each: pass gradient_accumulation_steps=1, or hs.Weighting(…, reduction='mean')"
            )
        if self.label_smoother is not None:
            self.label_smoother = LabelSmoother(self.args.label_smoothing_factor)
        self.weighting = weighting.to(self.args.device)
        self.sequence = sequence
        # With a loss function, the Trainer does not divide by the number of micro-batches, which is done here.
        self._own_loss_function, self.compute_loss_func = self.compute_loss_func, _reject_own_loss
        self._shift = predicts_next_token(self.accelerator.unwrap_model(self.model))
        self._batch = EffectiveBatch(torch.ones(1, dtype=torch.int64), None, 1)
        self._local_size = 1
        self._warned_of_compilation = False
        self.add_callback(_WeightingCallback(weighting))

    def get_train_dataloader(self) -> Any:
        """Return the training loader, whose batches keep the ids.

        Raises:
            InputError: ids are positions in a data set of another size than the weights have.
        """
        if self.weighting.fixed_weights is not None:
            check_positions(self.weighting.id_index, self.train_dataset)
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
        # compute_loss refuses a batch without ids.
        if all(ID in batch for batch in batches):
            ids = [batch[ID] for batch in batches]
            sizes = [self._count_labels(batch) for batch in batches]
            self._batch = gather_effective_batch(self.weighting, ids, sizes, self.args.device)
            self._local_size = sum(int(size.sum()) for size in sizes)
        return batches, items

    def _count_labels(self, batch: Any) -> Tensor:
        layout = read_layout(batch, len(batch[ID]), self.label_names)
        return count_labels(layout, shift=self._shift and SHIFTED not in batch)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None, **more: Any
    ) -> Any:
        """Return the weighted loss of a micro-batch in training.

        The parts of all micro-batches add up to the loss of the step.

        Raises:
            InputError: the batch has no ids or labels, the model's own loss has no loss per sample, or
                :class:`hardsight.Weighting` cannot use it.
        """
        inputs = dict(inputs)
        ids = inputs.pop(ID, None)
        if not model.training:
            return self._own_loss(model, inputs, return_outputs, num_items_in_batch, **more)
        if ids is None:
            raise InputError(_NO_IDS)
        self._check_labels(inputs)
        layout = read_layout(inputs, len(ids), self.label_names)
        sizes = count_labels(layout, shift=self._shift and SHIFTED not in inputs)
        eager = torch.compiler.set_stance("force_eager") if self._is_compiled(model) else nullcontext()
        with eager, LossRecorder(layout, num_items_in_batch) as recorder:
            own_loss, outputs = self._own_loss(model, inputs, True, num_items_in_batch, **more)
        own = split_by_sample(own_loss, recorder)
        self._observe_shift(layout, recorder)
        loss = self._weigh(own, recorder, ids, int(sizes.sum()), num_items_in_batch)
        return (loss, outputs) if return_outputs else loss

    def _is_compiled(self, model: Any) -> bool:
        """Whether torch.compile would hide the loss functions of a model; it warns if so."""
        parts = (model, self.accelerator.unwrap_model(model, keep_torch_compile=True))
        compiled = any(hasattr(part, "_orig_mod") or part._compiled_call_impl is not None for part in parts)
        if compiled and not self._warned_of_compilation:
            self._warned_of_compilation = True
            if not hasattr(torch.compiler, "set_stance"):
                raise InputError("weights of a compiled model need torch 2.6 or newer: leave out torch_compile")
            warnings.warn(_COMPILED, HardsightWarning, stacklevel=2)
        return compiled

    def _check_labels(self, inputs: Any) -> None:
        names = (*self.label_names, SHIFTED)
        if self.label_names and not self.can_return_loss and not any(inputs.get(name) is not None for name in names):
            raise InputError(_NO_LABELS)

    def _own_loss(self, model: Any, inputs: Any, return_outputs: bool, items: Any, **more: Any) -> Any:
        """Return the loss of the Trainer itself."""
        self.compute_loss_func = self._own_loss_function
        try:
            return super().compute_loss(model, inputs, return_outputs, items, **more)
        except ValueError as error:
            if "did not return a loss" not in str(error):
                raise
            raise InputError(_NO_LOSS) from error
        finally:
            self.compute_loss_func = _reject_own_loss

    def _observe_shift(self, layout: BatchLayout, recorder: LossRecorder) -> None:
        """See from the number of labels in its loss whether a model predicts the next token: not all models say it.

        The labels of the following steps are then counted accordingly, before their passes.
        """
        count = len(recorder.calls[0].samples)
        if len(recorder.calls) == 1 and count != int(count_labels(layout, shift=self._shift).sum()):
            self._shift ^= count == int(count_labels(layout, shift=not self._shift).sum())

    @property
    def _accumulates(self) -> bool:
        return bool(self.current_gradient_accumulation_steps > 1)

    def _weigh(self, own: SampleLosses, recorder: LossRecorder, ids: Tensor, size: int, items: Any) -> Tensor:
        """Return the weighted loss of a micro-batch.

        Args:
            own: the Trainer's own loss.
            recorder: how it was computed.
            ids: ids of the samples, ``(sample,)``.
            size: number of labels of the micro-batch that count.
            items: number of items in the effective batch, which the Trainer gave to the model.
        """
        # The Trainer itself multiplies by the number of processes, if the model may have divided by all their items.
        takes_items = self.model_accepts_loss_kwargs or self._own_loss_function is not None
        averages = bool(self.args.average_tokens_across_devices)
        factor = world_size() if averages and takes_items and items is not None else 1
        divisor = size if not recorder.uses_items else self._batch.total if averages else self._local_size
        total = own.shares.sum()
        counts = own.shares * torch.where(total != 0, size / total, 0)
        losses = own.parts * torch.where(counts != 0, divisor / factor / counts, 0)
        scheme_inputs = read_scheme_inputs(self.weighting.scheme, recorder.calls, len(ids))
        loss = self._reduce(losses, counts, ids, scheme_inputs, is_tokens=bool((counts.detach() > 1.5).any()))
        if own.rest is None:
            return loss
        # Terms of the model that belong to no sample count as in the Trainer.
        rest = own.rest if recorder.uses_items else own.rest / self.current_gradient_accumulation_steps / factor
        return loss + rest

    def _reduce(self, losses: Tensor, counts: Tensor, ids: Tensor, inputs: dict[str, Tensor], *, is_tokens: bool) -> Tensor:
        """Return a micro-batch's part of the weighted loss of the effective batch.

        Args:
            losses: mean loss of the elements of each sample, ``(sample,)``.
            counts: number of its elements, ``(sample,)``.
            ids: ids of the samples, ``(sample,)``.
            inputs: other inputs of the scheme.
            is_tokens: whether samples have several elements.
        """
        sizes, weights = self._batch.sizes, self._batch.weights
        reduction = self.weighting.reduction
        if self.sequence == "mean":
            sizes, counts = torch.ones_like(sizes), (counts != 0).to(counts)
        if reduction == "weighted mean" and weights is not None:
            total = torch.dot(weights, sizes.to(weights.dtype))
        elif reduction == "mean":
            total = sizes.sum().float()
        elif is_tokens and self.sequence == "tokens":
            raise InputError(
                "sequence='tokens' needs the reduction 'mean', or 'weighted mean' with fixed weights. Got "
                f"{reduction!r}: pass hs.Weighting(…, reduction='mean'), or sequence='mean'"
            )
        else:
            # Without accumulation the weighting itself knows which samples of its batch count.
            items = len(sizes) if self._accumulates else None
            reduced: Tensor = self.weighting(losses, ids, items=items, **inputs)
            return reduced
        weighted = self._weight_losses(losses, ids, **inputs) * counts
        return weighted.sum() / clamp_positive(total) * world_size()

    def _weight_losses(self, loss: Tensor, ids: Tensor, **inputs: Tensor) -> Tensor:
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
