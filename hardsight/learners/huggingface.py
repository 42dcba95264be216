"""Hugging Face models, trained anew by a ``Trainer`` for every member of the ensemble."""

import copy
import gc
import inspect
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from hardsight.data import Samples
from hardsight.data.from_hf_rows import DatasetRows
from hardsight.errors import InputError, LearnerError, first_line
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.learners.network.seeds import derive_seed, preserve_random_state
from hardsight.learners.sklearn import leveled
from hardsight.resampling.plan import Member, Plan
from hardsight.weights.training import Weighting, indexed
from hardsight.weights.training.tokens import predicts_next_token, sequence_losses

Sequence = Literal["mean", "sum"]
_RECIPE = (
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "optim",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "max_grad_norm",
    "label_smoothing_factor",
)


class HuggingFace:
    r"""A Hugging Face model, built by ``model_init`` and trained by a ``Trainer`` for every member of the ensemble.

    :func:`hardsight.measure` is given the dataset as the Trainer needs it: texts are tokens already, labels of classes are
    codes in a column ``label`` or ``labels``. Its rows reach the Trainer as they are. Then

    - a column with one label a sample gives a classification (or, with ``task="regression"``, numbers to predict from a
      model with one output), with all that a measurement of classes gives;
    - without such a column, or with labels of tokens, each sample's loss is the cross-entropy of its tokens
      (``task="loss"``): there is an error and how sure it is, and no bias, variance or ledger.

    Every member has a seed of its own for the model's initial weights, for dropout and for the order of its samples. The
    global random numbers of Python, numpy and torch are afterwards where they were. Nothing is written, logged or reported:
    saving, evaluating and logging in ``args`` are switched off for members.

    Members whose samples have weights are trained by ``WeightedTrainer``: by the weighted mean of the cross-entropy of the
    classes or tokens, or of the squared error, with weights of mean 1 over the training part. Another loss cannot be
    weighted: that of label smoothing, or of a ``trainer`` with a ``compute_loss`` of its own.

    Args:
        model_init: returns a new model, as that of the Trainer; with pretrained weights or without.
        args: ``transformers.TrainingArguments``. What is trained is as they say, but for seeds.
        collator: makes batches, the Trainer's ``data_collator``; for causal language models usually
            ``DataCollatorForLanguageModeling(tokenizer, mlm=False)``.
        processing_class: the tokenizer; without ``collator`` it pads the batches.
        sequence: of the tokens of a sequence that count (labels other than -100), the "mean" loss, or the "sum", in nats.
        trainer: a subclass of ``Trainer``, made with ``model``, ``args``, ``train_dataset``, ``data_collator``,
            ``processing_class`` and ``preprocess_logits_for_metrics``.

    Raises:
        InputError: transformers or accelerate is not installed, or an argument is of a wrong kind.
    """

    def __init__(
        self,
        model_init: Callable[..., Any],
        args: Any,
        *,
        collator: Callable[..., Any] | None = None,
        processing_class: Any = None,
        sequence: str = "mean",
        trainer: Any = None,
    ) -> None:
        transformers = _transformers()
        if isinstance(model_init, torch.nn.Module) or not callable(model_init):
            raise InputError("model_init must make new models, not be one: pass a function that returns the model")
        if not isinstance(args, transformers.TrainingArguments):
            raise InputError(f"args must be transformers.TrainingArguments. Got {type(args).__name__}")
        if sequence not in get_args(Sequence):
            raise InputError(f"sequence must be 'mean' or 'sum', of the losses of its tokens. Got {sequence!r}")
        if trainer is not None and not (isinstance(trainer, type) and issubclass(trainer, transformers.Trainer)):
            raise InputError(f"trainer must be a subclass of transformers.Trainer. Got {trainer!r}")
        self.model_init, self.args, self.collator, self.processing_class = model_init, args, collator, processing_class
        self.sequence, self.trainer = sequence, trainer
        self.name = f"Hugging Face {getattr(model_init, '__name__', 'model')}"

    @property
    def capabilities(self) -> Capabilities:
        """What it can do. It takes weights unless its loss is one that cannot be weighted."""
        default: Any = _transformers().Trainer
        trainer: Any = self.trainer or default
        custom_loss = trainer.compute_loss is not default.compute_loss
        # In-sample predictions are a forward pass of every sample for every member.
        return Capabilities(
            takes_weights=not custom_loss and not self.args.label_smoothing_factor,
            divisible=True,
            predicts_in_sample=True,
            reads_items=True,
            loss_name="per-token log" if self.sequence == "mean" else "sequence log",
        )

    def describe(self) -> str:
        """The recipe in a line."""
        told = ", ".join(f"{name}={_brief(getattr(self.args, name))}" for name in _RECIPE if hasattr(self.args, name))
        own = "" if self.trainer is None else f" by {self.trainer.__name__}"
        return f"{self.name}{own}: {told}; sequences by the {self.sequence} of their tokens"

    def n_models(self, plan: Plan) -> int:
        """One a member."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, tick: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        items = samples.features
        if not isinstance(items, DatasetRows):
            raise InputError(f"{self.name} reads a Hugging Face dataset: give hs.measure the dataset itself")
        before: weakref.ref[Any] | None = None
        for member in plan.members():
            # The numbers are restored before a view is given: whoever reads it may draw some meanwhile.
            with preserve_random_state(), TemporaryDirectory(prefix="hardsight-") as folder:
                work = partial(self._carried_out, items, samples, plan, member, folder, before)
                found, before = _attempt(work, self.name, f"member {member.fold} of round {member.round}")
            yield from found
            if torch.cuda.is_available():
                # Trainers refer to themselves, and memory of a GPU is no reason for Python to look for such.
                gc.collect()
            tick(1)

    def _carried_out(
        self,
        items: DatasetRows,
        samples: Samples,
        plan: Plan,
        member: Member,
        folder: str,
        before: weakref.ref[Any] | None,
    ) -> tuple[list[Predictions], weakref.ref[Any]]:
        """What one member says, and its model, which none after it may be."""
        model = self._built(derive_seed(member.seed, "weights"))
        if before is not None and before() is model:
            raise InputError(
                "model_init returns the same model again, which has seen the samples that it would judge: build or load a "
                "new one in it"
            )
        trainer = self._trainer_of(model, items, samples, member, folder)
        trainer.train()
        parts = [(member.held_out, False), *([(member.train, True)] if plan.in_sample else [])]
        found = [
            Predictions(torch.from_numpy(at), self._judged(trainer, items, samples, at), member.round, seen)
            for at, seen in parts
        ]
        return found, weakref.ref(model)

    def _trainer_of(self, model: Any, items: DatasetRows, samples: Samples, member: Member, folder: str) -> Any:
        transformers = _transformers()
        kind, dataset, more = self.trainer or transformers.Trainer, items.dataset.select(member.train), {}
        if samples.weights is not None:
            where = f"member {member.fold} of round {member.round}"
            more["weighting"] = Weighting(leveled(samples.weights[member.train], where))
            kind, dataset = _weighted(kind), indexed(dataset)
        trainer = kind(
            model=model,
            args=self._arguments(member.seed, folder),
            train_dataset=dataset,
            data_collator=self.collator,
            processing_class=self.processing_class,
            preprocess_logits_for_metrics=_Losses(predicts_next_token(model)) if samples.loss_only else _first,
            **more,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        return trainer

    def _built(self, seed: int) -> Any:
        _transformers().set_seed(seed)
        needed = [p for p in inspect.signature(self.model_init).parameters.values() if p.default is p.empty]
        # What the Trainer gives such functions is the trial of a search for hyperparameters.
        trial = any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in needed)
        return self.model_init(None) if trial else self.model_init()

    def _arguments(self, seed: int, folder: str) -> Any:
        """The user's arguments with a member's seeds, writing and telling nothing."""
        if self.args.world_size > 1:
            raise InputError("hs.measure runs in one process: start it without torchrun or accelerate launch")
        args = copy.deepcopy(self.args)
        changes = {
            "seed": derive_seed(seed, "masks"),
            "data_seed": derive_seed(seed, "order"),
            "output_dir": folder,
            "report_to": [],
            "save_strategy": "no",
            "eval_strategy": "no",
            "eval_on_start": False,
            "logging_strategy": "no",
            "load_best_model_at_end": False,
            "push_to_hub": False,
            "disable_tqdm": True,
            "prediction_loss_only": False,
            "include_for_metrics": [],
            "batch_eval_metrics": False,
        }
        if not torch.cuda.is_available():
            # It would warn that there is nothing to pin memory for.
            changes["dataloader_pin_memory"] = False
        for name, value in changes.items():
            setattr(args, name, value)
        return args

    def _judged(
        self, trainer: Any, items: DatasetRows, samples: Samples, at: np.ndarray
    ) -> Float64[Tensor, " row *class"]:
        """Log-probabilities, targets or losses of some samples."""
        # Both would leave samples out or mix them up; they are about training.
        trainer.args.dataloader_drop_last = False
        trainer.args.train_sampling_strategy, trainer.args.group_by_length = "random", False
        found = torch.from_numpy(np.asarray(trainer.predict(items.dataset.select(at)).predictions)).double()
        if samples.loss_only:
            return self._losses(found, samples.ids[at])
        if found.ndim != 2 or len(found) != len(at):
            raise InputError(
                f"the model gives outputs of shape {tuple(found.shape)} for {len(at)} samples with one label each, where "
                "(row, class) is needed: pass task='loss' for a language model"
            )
        if items.outputs is None:
            if found.shape[1] != 1:
                raise InputError(
                    f"the model gives {found.shape[1]} outputs for one number to predict: make it num_labels=1"
                )
            return found[:, 0]
        if found.shape[1] <= items.outputs.max():
            raise InputError(
                f"the model has {found.shape[1]} classes, and labels go up to {items.outputs.max()}: make it "
                f"num_labels={items.outputs.max() + 1}"
            )
        return found[:, torch.from_numpy(items.outputs)].log_softmax(1)

    def _losses(self, found: Tensor, ids: np.ndarray) -> Float64[Tensor, " row"]:
        total, count = found.unbind(1)
        empty = count == 0
        if bool(empty.any()):
            name = ids[int(empty.nonzero()[0, 0])].item()
            raise InputError(f"sample {name!r} has no token to predict: leave such samples out, or give longer ones")
        return total if self.sequence == "sum" else total / count


class _Losses:
    """Sum and number of the losses of each sequence, made at once, so that nobody holds the logits of all tokens.

    Args:
        shift: see :func:`sequence_losses`.
    """

    def __init__(self, shift: bool) -> None:
        self.shift = shift

    def __call__(self, logits: Any, labels: Any) -> Tensor:
        if labels is None:
            raise InputError(
                "the collator gives no labels: for a causal language model pass "
                "collator=DataCollatorForLanguageModeling(tokenizer, mlm=False)"
            )
        total, count = sequence_losses(_first(logits, labels), labels, shift=self.shift)
        return torch.stack([total.double(), count.double()], 1)


def _first(logits: Any, labels: Any) -> Tensor:
    """The logits alone, where a model also gives hidden states and the like."""
    first: Tensor = logits[0] if isinstance(logits, tuple | list) else logits
    return first


def _attempt(work: Callable[[], Any], name: str, where: str) -> Any:
    try:
        return work()
    except InputError:
        raise
    except Exception as fault:  # anything may go wrong in a model or a collator
        raise LearnerError(f"{name} failed on {where}: {type(fault).__name__}: {first_line(fault)}") from fault


def _weighted(kind: Any) -> Any:
    from hardsight.weights.training.hf_trainer import WeightedTrainer

    return type(f"Weighted{kind.__name__}", (WeightedTrainer, kind), {})


def _brief(value: Any) -> str:
    return str(getattr(value, "value", value))


def _transformers() -> Any:
    try:
        import accelerate  # noqa: F401 - what the Trainer cannot do without
        import transformers
    except ImportError as fault:
        raise InputError(f"{fault.name} is not installed: pip install 'hardsight[huggingface]'") from fault
    return transformers
