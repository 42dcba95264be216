"""Hugging Face models, trained by a ``Trainer`` for every member of the ensemble."""

import copy
import gc
import inspect
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Float64
from torch import Tensor

from hardsight.data import Samples
from hardsight.data.from_hf_rows import DatasetRows
from hardsight.errors import InputError, LearnerError, first_line
from hardsight.learners.adapters import FrozenBase, check_adapters
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.learners.network.seeds import derive_seed, preserve_random_state
from hardsight.learners.sequence_losses import SequenceLosses, first_output
from hardsight.learners.sklearn import mean_one
from hardsight.measures.probabilities import warn_of_probabilities
from hardsight.resampling.plan import Member, Plan
from hardsight.weights.training import Weighting, indexed

Sequence = Literal["mean", "sum"]
_BASE_SEED = 0
# Samples that the frozen base predicts a second time, by what its lower layers returned.
_CHECKED_SAMPLES = 16
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

    :func:`hardsight.measure` gets the dataset as the Trainer needs it: texts are tokens already, labels of classes are codes
    in a column ``label`` or ``labels``. Its rows are passed to the Trainer as they are. Then

    - a column with one label per sample gives a classification (or, with ``task="regression"``, numbers to predict from a
      model with one output), with everything that a measurement of classes gives;
    - without such a column, or with labels of tokens, each sample's loss is the cross-entropy of its tokens
      (``task="loss"``): there is an error with its standard error, but no bias, variance or ledger.

    Every member has its own seed for the model's initial weights, for dropout and for the order of its samples. The global
    random numbers of Python, numpy and torch are restored afterwards. Nothing is written, logged or reported: saving,
    evaluating and logging in ``args`` are switched off for members.

    Members whose samples have weights are trained by ``WeightedTrainer``: by the weighted mean of the cross-entropy of the
    classes or tokens, or of the squared error, with weights of mean 1 over the training part. Other losses cannot be
    weighted: label smoothing, or a ``trainer`` with a ``compute_loss`` of its own.

    With ``adapters="lora"`` no member trains the whole model. All members share one frozen base, the pretrained weights,
    which never saw a label. A member trains low-rank adapters in the top layers, and what stands above the layers: pooling
    and the classifier. The layers below the adapters run once per sample, without dropout; what they return is kept in
    memory, or in temporary files where it is large. Adapters need a learning rate of about ten times that of all weights.

    Args:
        model_init: returns a new model, as the Trainer's ``model_init``; with pretrained weights or without.
        args: ``transformers.TrainingArguments``. They are used as given, except for the seeds.
        collator: makes batches, the Trainer's ``data_collator``; for causal language models usually
            ``DataCollatorForLanguageModeling(tokenizer, mlm=False)``. It may pack the sequences of a batch into rows, in
            their order, as ``DataCollatorWithFlattening`` does.
        processing_class: the tokenizer; without ``collator`` it pads the batches.
        sequence: over the tokens of a sequence that count (labels other than -100), the "mean" loss, or the "sum", in nats.
        trainer: a subclass of ``Trainer``, created with ``model``, ``args``, ``train_dataset``, ``data_collator``,
            ``processing_class`` and ``preprocess_logits_for_metrics``.
        adapters: "lora" (needs peft) trains adapters; None trains all weights.
        adapter_layers: the number of layers with adapters, counted from the top. The fewer, the faster.
        adapter_rank: the rank of each adapter.

    Raises:
        InputError: transformers, accelerate or peft is not installed, or an argument is of a wrong kind.
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
        adapters: str | None = None,
        adapter_layers: int = 2,
        adapter_rank: int = 8,
    ) -> None:
        transformers = _transformers()
        if isinstance(model_init, torch.nn.Module) or not callable(model_init):
            raise InputError("model_init must be a function that returns a new model, not a model")
        if not isinstance(args, transformers.TrainingArguments):
            raise InputError(f"args must be transformers.TrainingArguments. Got {type(args).__name__}")
        if sequence not in get_args(Sequence):
            raise InputError(f"sequence must be 'mean' or 'sum', of the losses of its tokens. Got {sequence!r}")
        if trainer is not None and not (isinstance(trainer, type) and issubclass(trainer, transformers.Trainer)):
            raise InputError(f"trainer must be a subclass of transformers.Trainer. Got {trainer!r}")
        self.model_init, self.args, self.collator, self.processing_class = model_init, args, collator, processing_class
        self.sequence, self.trainer = sequence, trainer
        self.adapters = check_adapters(adapters, adapter_layers, adapter_rank)
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
            expensive=True,
            predicts_in_sample=True,
            reads_items=True,
            loss_name="per-token log" if self.sequence == "mean" else "sequence log",
        )

    def describe(self) -> str:
        """Return the recipe in one line."""
        settings = ", ".join(f"{name}={_format(getattr(self.args, name))}" for name in _RECIPE if hasattr(self.args, name))
        trainer = "" if self.trainer is None else f" by {self.trainer.__name__}"
        adapters = "" if self.adapters is None else f"; {self.adapters.describe()}"
        return f"{self.name}{trainer}: {settings}; sequences by the {self.sequence} of their tokens{adapters}"

    def n_models(self, plan: Plan) -> int:
        """Return the number of members."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        if not isinstance(samples.features, DatasetRows):
            raise InputError(f"{self.name} reads a Hugging Face dataset: give hs.measure the dataset itself")
        previous: weakref.ref[Any] | None = None
        for member in plan.members():
            # The random state is restored before predictions are yielded: the caller may draw numbers meanwhile.
            with preserve_random_state(), TemporaryDirectory(prefix="hardsight-") as folder:
                base = None if self.adapters is None else self._freeze_base(samples, plan, folder)
                work = partial(self._fit_member, samples, plan, member, folder, previous, base)
                predictions, previous = _wrap_errors(work, self.name, f"member {member.fold} of round {member.round}")
            yield from predictions
            if torch.cuda.is_available():
                # Trainers refer to themselves, and GPU memory does not trigger Python's garbage collection.
                gc.collect()
            on_progress(1)

    def _fit_member(
        self,
        samples: Samples,
        plan: Plan,
        member: Member,
        folder: str,
        previous: weakref.ref[Any] | None,
        base: FrozenBase | None,
    ) -> tuple[list[Predictions], weakref.ref[Any]]:
        """Train one member; return its predictions and its model, which the next member must not get again."""
        model = self._build_model(derive_seed(member.seed, "weights"))
        if previous is not None and previous() is model:
            raise InputError(
                "model_init returns the same model again, which was trained on the samples that it would predict: build or "
                "load a new one in it"
            )
        if base is not None:
            base.prepare(model)
        trainer = self._build_trainer(model, samples, member, folder)
        trainer.train()
        parts = [(member.held_out, False), *([(member.train, True)] if plan.in_sample else [])]
        predictions = [
            Predictions(torch.from_numpy(rows), self._predict(trainer, samples, rows), member.round, in_sample)
            for rows, in_sample in parts
        ]
        return predictions, weakref.ref(model)

    def _freeze_base(self, samples: Samples, plan: Plan, folder: str) -> FrozenBase:
        """Return the base of all members, whose lower layers have run on all samples; once for each plan and process."""
        key = ("frozen base", self.name)
        if plan.cache.get(key, (None, None))[0] is not samples.features:
            plan.cache[key] = samples.features, _wrap_errors(partial(self._run_base, samples, folder), self.name, "the base")
        base: FrozenBase = plan.cache[key][1]
        return base

    def _run_base(self, samples: Samples, folder: str) -> FrozenBase:
        assert self.adapters is not None
        # The same in all processes and after a restart.
        model = self._build_model(_BASE_SEED)
        base = FrozenBase(model, self.adapters, len(samples))
        everything = Member(0, 1, _BASE_SEED, np.zeros(len(samples), dtype=np.int64))
        trainer = self._build_trainer(model, replace(samples, weights=None), everything, folder)
        rows = everything.train
        predicted = base.observe(model, lambda: self._predict(trainer, samples, rows))
        few = rows[:_CHECKED_SAMPLES]
        # A collator may mask tokens of sequences at random.
        if not samples.loss_only and not torch.allclose(self._predict(trainer, samples, few), predicted[few], atol=1e-3):
            raise InputError(
                f"the layers of {type(model).__name__} cannot be run one without the other: set adapter_layers to the "
                "number of all layers, or leave adapters out"
            )
        return base

    def _build_trainer(self, model: Any, samples: Samples, member: Member, folder: str) -> Any:
        transformers = _transformers()
        trainer_class = self.trainer or transformers.Trainer
        dataset, more = samples.features.dataset.select(member.train), {}
        if samples.weights is not None:
            weights = mean_one(samples.weights[member.train], f"member {member.fold} of round {member.round}")
            more["weighting"] = Weighting(weights)
            trainer_class, dataset = _weighted_trainer(trainer_class), indexed(dataset, range(len(dataset)))
        trainer = trainer_class(
            model=model,
            args=self._member_arguments(member.seed, folder),
            train_dataset=dataset,
            data_collator=self.collator,
            processing_class=self.processing_class,
            preprocess_logits_for_metrics=SequenceLosses(model) if samples.loss_only else first_output,
            **more,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        return trainer

    def _build_model(self, seed: int) -> Any:
        _transformers().set_seed(seed)
        required = [p for p in inspect.signature(self.model_init).parameters.values() if p.default is p.empty]
        # The Trainer passes such functions the trial of a hyperparameter search.
        takes_trial = any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in required)
        return self.model_init(None) if takes_trial else self.model_init()

    def _member_arguments(self, seed: int, folder: str) -> Any:
        """Return the user's arguments with a member's seeds, without any writing or reporting."""
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
            # Without a GPU, pinning memory would only warn.
            changes["dataloader_pin_memory"] = False
        for name, value in changes.items():
            setattr(args, name, value)
        return args

    def _predict(self, trainer: Any, samples: Samples, rows: np.ndarray) -> Float64[Tensor, " row *class"]:
        """Return log-probabilities, targets or losses of some samples."""
        # Both are settings of training; in prediction they would drop or reorder samples.
        trainer.args.dataloader_drop_last = False
        trainer.args.train_sampling_strategy, trainer.args.group_by_length = "random", False
        # Batches of samples of like length have little padding.
        by_length = np.argsort(_token_counts(samples.features.dataset.select(rows)), kind="stable")
        dataset = samples.features.dataset.select(rows[by_length])
        if isinstance(trainer.preprocess_logits_for_metrics, SequenceLosses):
            trainer.preprocess_logits_for_metrics.start(len(rows), trainer.args.eval_batch_size)
        outputs = torch.from_numpy(np.asarray(trainer.predict(dataset).predictions)).double()
        if len(outputs) == len(rows):
            outputs = outputs[np.argsort(by_length)]
        if samples.loss_only:
            return self._losses(outputs, samples.ids[rows])
        if outputs.ndim != 2 or len(outputs) != len(rows):
            raise InputError(
                f"the model must return outputs (row, class) for samples with one label each. Got shape "
                f"{tuple(outputs.shape)} for {len(rows)} samples: pass task='loss' for a language model"
            )
        return _check_outputs(outputs, samples.features.outputs)

    def _losses(self, outputs: Tensor, ids: np.ndarray) -> Float64[Tensor, " row"]:
        total, count = outputs.unbind(1)
        empty = count == 0
        if bool(empty.any()):
            name = ids[int(empty.nonzero()[0, 0])].item()
            raise InputError(f"sample {name!r} has no token to predict: leave such samples out, or give longer ones")
        return total if self.sequence == "sum" else total / count


def _token_counts(dataset: Any) -> np.ndarray:
    """Return the number of tokens of each row of a dataset, ``(row,)``; zeros if its columns do not tell."""
    if "input_ids" not in dataset.column_names:
        return np.zeros(len(dataset), dtype=np.int64)
    tokens = dataset.select_columns(["input_ids"]).with_format("arrow")[:]["input_ids"]
    if not (
        pa.types.is_list(tokens.type) or pa.types.is_large_list(tokens.type) or pa.types.is_fixed_size_list(tokens.type)
    ):
        return np.zeros(len(dataset), dtype=np.int64)
    counts: np.ndarray = pc.fill_null(pc.list_value_length(tokens), 0).to_numpy().astype(np.int64)
    return counts


def _check_outputs(outputs: Tensor, codes: np.ndarray | None) -> Float64[Tensor, " row *class"]:
    """Return predicted targets, or log-probabilities of the classes with these label codes; None: regression."""
    if codes is None:
        if outputs.shape[1] != 1:
            raise InputError(f"the model gives {outputs.shape[1]} outputs for one number to predict: make it num_labels=1")
        return outputs[:, 0]
    if outputs.shape[1] <= codes.max():
        raise InputError(
            f"the model has {outputs.shape[1]} classes, and labels go up to {codes.max()}: make it "
            f"num_labels={codes.max() + 1}"
        )
    warn_of_probabilities(outputs, "the model")
    return outputs[:, torch.from_numpy(codes)].log_softmax(1)


def _wrap_errors(work: Callable[[], Any], name: str, where: str) -> Any:
    try:
        return work()
    except InputError:
        raise
    except Exception as error:  # a model or a collator may raise anything
        raise LearnerError(f"{name} failed on {where}: {type(error).__name__}: {first_line(error)}") from error


def _weighted_trainer(trainer: Any) -> Any:
    from hardsight.weights.training.hf_trainer import WeightedTrainer

    return type(f"Weighted{trainer.__name__}", (WeightedTrainer, trainer), {})


def _format(value: Any) -> str:
    return str(getattr(value, "value", value))


def _transformers() -> Any:
    try:
        import accelerate  # noqa: F401 - the Trainer requires it
        import transformers
    except ImportError as error:
        raise InputError(f"{error.name} is not installed: pip install 'hardsight[huggingface]'") from error
    return transformers
