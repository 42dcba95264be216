"""``Weighting``: the loss of each sample in, one weighted loss out, in any training loop."""

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor

from hardsight.errors import HardsightWarning, InputError
from hardsight.measures.probabilities import check_logits
from hardsight.validation import check_choice, check_int
from hardsight.weights import SCHEMES, Scheme, StateShape
from hardsight.weights.inputs import check_finite, to_class_sizes
from hardsight.weights.model_outputs import standardize_outputs
from hardsight.weights.training.accumulation import (
    averages_in_accelerate,
    check_averaged,
    check_batch_size,
    check_items,
    check_separable,
)
from hardsight.weights.training.batch import (
    Batch,
    RepeatedIds,
    build_batch,
    fast_path_batch,
    find_device,
    full_precision,
    read_inputs,
    unweighted_losses,
)
from hardsight.weights.training.call_inputs import check_call_inputs
from hardsight.weights.training.distributed import world_size
from hardsight.weights.training.id_check import check_ids
from hardsight.weights.training.id_index import IdIndex
from hardsight.weights.training.input_plan import InputPlan
from hardsight.weights.training.portable import PortableModule
from hardsight.weights.training.reduction import LoopReduction, reduce_losses, reduce_part, weighted_sum
from hardsight.weights.training.scheme_call import NonFinite, call_scheme
from hardsight.weights.training.sources import count_samples, resolve_source, sort_by_id
from hardsight.weights.training.state import SchemeState, SeenSamples
from hardsight.weights.training.tokens import average_token_loss, has_token_logits, to_sequence_inputs

# A replica has a part of the batch, and what it remembers is lost.
# One row may look like probabilities by accident.
_MIN_LOGITS = 2
_IN_DATA_PARALLEL = (
    "nn.DataParallel gives every device a weighting of its own: call the weighting on the outputs of the parallel model, or "
    "use DistributedDataParallel"
)


class BatchTotals(NamedTuple):
    """Totals of an effective batch.

    Attributes:
        n_samples: number of samples.
        weight: sum of their weights.
    """

    n_samples: int
    weight: Tensor


class Weighting(PortableModule):
    """A weighted loss for any training loop: ``loss = weighting(losses, ids)``.

    Everything that it remembers is in its ``state_dict``, by sample id, so that resumed training goes on bit for bit,
    also in the middle of an epoch. On several ranks a scheme sees the batch of all ranks, and the gradients that
    ``DistributedDataParallel`` averages are those of the global reduction. After ``eval()``, and under
    ``torch.no_grad()``, it gives the plain mean of the losses and remembers nothing.

    Attributes:
        reduction: how weighted losses become one number.
        stated_reduction: the reduction that was asked for; None for the published one.
        through: whether the gradient flows through the weights.
        repeated: what happens to repeated ids.
        on_nonfinite: what happens to a batch with losses or logits that are not finite.
        id_index: the ids of the training samples.
        classes: number of classes; None if unknown.
        plan: where the inputs of the scheme come from.
        scheme_state: what the scheme remembers, in buffers.
        seen: which samples came in which epoch.
        micro_batches: number of micro-batches of an effective batch whose losses the loop averages. Callbacks set it.
        description: the scheme and the sizes of its state, in words.
    """

    fixed_weights: Tensor | None
    sizes: Tensor | None
    micro_batches = 1
    _logits_checked = False

    def __init__(
        self,
        source: Any,
        num_samples: int | None = None,
        ids: Any = None,
        classes: int = 0,
        sizes: Any = None,
        groups: int = 0,
        epochs: float | None = None,
        *,
        scheme: str | None = None,
        reduction: str | None = None,
        through: bool | None = None,
        repeated: str | None = None,
        on_nonfinite: str = "skip",
        seed: int = 0,
        **parameters: Any,
    ) -> None:
        """Create a weighting by a scheme, by fixed weights, or by a measured difficulty.

        Args:
            source: name of a scheme in ``hardsight.SCHEMES``; an array of weights ``(sample,)``; or a ``Difficulty``,
                whose weights are ``hs.weigh(source, scheme, **parameters)``.
            num_samples: number of training samples, whose ids are then 0, 1, … Schemes with a state per sample need
                this or ``ids``.
            ids: ids of all training samples, any distinct integers; with an array of weights, in its order.
            classes: number of classes; by default the length of ``sizes``.
            sizes: number of training samples of each class, ``(class,)`` or by class code, for schemes that read it.
            groups: number of groups, for schemes that read groups.
            epochs: number of epochs in all, for schemes that read it.
            scheme: with a difficulty, the scheme that makes weights of it; "auto" by default.
            reduction: "mean", sum(w l) / n; "weighted mean", sum(w l) / sum(w); "sum", sum(w l); each over the batch of
                all ranks; "none", w l of each sample. By default as published; "mean" for fixed weights.
            through: whether the gradient flows through the weights; by default as published.
            repeated: what to do with an id that comes again. "refuse": raise an error if it comes twice in a batch of
                one rank; count it once if several ranks bring it in one step. "skip": count only its first appearance
                in an epoch, which undoes the padding of distributed samplers. "count": count every appearance, as
                samplers that draw with replacement need. None: "refuse"; on several ranks, once an epoch was set,
                the samples with which a distributed sampler fills up the last step of an epoch are skipped.
            on_nonfinite: what to do with a batch that has infinite losses or logits, or NaN. "skip": return a loss that is
                not finite, and remember nothing, so that a ``GradScaler`` skips the step as it does for a plain mean.
                "raise": raise an error that names the sample. Samples of fixed weight 0 may have any loss.
            seed: seed of schemes that draw random numbers.
            parameters: the scheme's own parameters.

        Raises:
            InputError: a scheme, parameter or choice is unknown, a parameter is missing, the ids are not distinct
                integers, or the scheme gives neither a weight nor a loss for each sample.
        """
        super().__init__()
        with _off_meta_device():
            resolved = resolve_source(source, ids, scheme, parameters)
            self.id_index = IdIndex(count_samples(resolved, num_samples), resolved.ids)
            self.register_buffer("fixed_weights", sort_by_id(resolved, self.id_index))
            self.register_buffer("sizes", None if sizes is None else to_class_sizes(sizes, classes))
            classes = classes or (0 if self.sizes is None else len(self.sizes))
            shape = StateShape(self.id_index.count, classes, groups)
            self.scheme_state = SchemeState(resolved.scheme, shape, parameters)
            self.seen = SeenSamples(self.id_index.count)
        self._scheme_name = None if resolved.scheme is None else resolved.scheme.name
        self.scheme_parameters = parameters if resolved.scheme is not None else {}
        self.plan = InputPlan.from_scheme(resolved.scheme)
        self.classes = classes or None
        published = "mean" if resolved.scheme is None else resolved.scheme.reduction
        self.stated_reduction: LoopReduction | None = _check_choice("reduction", reduction, LoopReduction)
        self.reduction: LoopReduction = self.stated_reduction or published
        self.repeated: RepeatedIds | None = _check_choice("repeated", repeated, RepeatedIds)
        self.on_nonfinite: NonFinite = _check_choice("on_nonfinite", on_nonfinite, NonFinite)
        self.through = through if through is not None else resolved.scheme is not None and resolved.scheme.through
        self.epochs = epochs
        self.epoch: float | None = None
        self.description = _describe(resolved.scheme, shape)
        self._generator = torch.Generator().manual_seed(check_int("seed", seed, 0))
        self._totals: BatchTotals | None = None
        check_repeats(self.repeated, self.schemes)

    @property
    def scheme(self) -> Scheme | None:
        """The row of ``SCHEMES``; None for fixed weights."""
        return None if self._scheme_name is None else SCHEMES[self._scheme_name]

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """The schemes whose weights are multiplied; none for fixed weights."""
        return () if self.scheme is None else (self.scheme,)

    @property
    def skips_seen(self) -> bool:
        """Whether samples that came in an earlier step of the epoch are skipped."""
        return self.repeated == "skip" or (self.repeated is None and self.epoch is not None and world_size() > 1)

    def set_epoch(self, epoch: float, *, restart: bool = False) -> None:
        """Set the number of epochs done, from 0; a fraction within an epoch.

        Args:
            epoch: the number.
            restart: whether the loop begins this epoch again, so that no sample has come in it yet. A loop that goes through
                the samples again after a stop is also recognised by them, unless ``repeated="skip"``.
        """
        number = float(epoch)
        if restart:
            self.seen.restart()
        elif self.epoch is not None and int(number) == int(self.epoch) and number <= self.epoch:
            self.seen.allow_restart()
        self.epoch = number

    def forward(
        self,
        loss: Tensor | None = None,
        ids: Any = None,
        *,
        logits: Tensor | None = None,
        labels: Tensor | None = None,
        items: Any = None,
        **inputs: Any,
    ) -> Tensor:
        """Return the weighted loss of a batch, a float32 number for ``backward()``. All ranks must call this alike.

        Args:
            loss: loss of each sample with its gradient, ``(sample,)``; by default the cross-entropy of logits and
                labels. Schemes that are losses themselves do not read it.
            ids: ids of the samples, integers ``(sample,)``.
            logits: logits of the model, ``(sample, class)``, or ``(sample,)`` for two classes, for schemes that read them;
                for sequences of tokens ``(sample, token, word)``, see :mod:`hardsight.weights.training.tokens`.
            labels: class codes, ``(sample,)``, or one-hot rows ``(sample, class)``, for schemes that read them; for tokens
                ``(sample, token)``, -100 for tokens that do not count. Schemes that read the probability p of the label
                compute it from logits and labels if both are given, and from the loss otherwise.
            items: number of samples in the whole effective batch, of all micro-batches and ranks, under gradient
                accumulation: the losses of the micro-batches then add up to the mean over it. For schemes that weigh each
                sample by itself; see :meth:`weights` for the others.
            inputs: other inputs of the scheme (``hardsight.weights.INPUTS``), with one row per sample if they are per
                sample. ``classes``, ``sizes``, ``epoch`` and ``epochs`` given here count in place of the weighting's own.

        Raises:
            InputError: an id is missing, unknown or repeated, an input is missing, not read or out of its domain, another
                rank failed, or the losses of micro-batches would not add up.
        """
        if "_is_replica" in self.__dict__:
            raise InputError(_IN_DATA_PARALLEL)
        trains = self.training and torch.is_grad_enabled()
        averaged = items is None and (self.micro_batches > 1 or averages_in_accelerate())
        partial = averaged or items is not None
        if trains and not (inputs or partial) and self.reduction in ("mean", "sum") and self.on_nonfinite == "skip":
            fast = self._fast_path_batch(loss, ids, logits, labels)
            if fast is not None:
                share = self._weigh(fast, self.through)
                return weighted_sum(fast.inputs["loss"], share if self.reduction == "sum" else share / max(fast.count, 1))
        values = {"loss": loss, "logits": logits, "labels": labels, **inputs}
        if not trains:
            return unweighted_losses(values, self.plan.several_labels).float().mean()
        check_call_inputs(self.schemes, inputs)
        if items is not None:
            items = check_items(items, self.reduction, self.plan.is_loss)
        weights: Tensor | None = None
        with full_precision(values):
            if self.plan.is_loss:
                losses, batch = self._scheme_losses(values, ids, items, partial)
            else:
                batch = self._build_batch(values, ids, items)
                losses, weights = batch.inputs["loss"], self._weigh(batch, self.through, partial)
            # After the scheme, which knows better why micro-batches do not add up.
            if averaged:
                check_averaged(self.reduction, self.plan.is_loss)
            if weights is not None:
                self._check_losses(losses, weights)
            return reduce_losses(self.reduction, losses, weights, batch, items)

    def weights(
        self,
        loss: Tensor | None = None,
        ids: Any = None,
        *,
        logits: Tensor | None = None,
        labels: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        """Return the weights of an effective batch, for :meth:`apply_weights`; the scheme's state goes one step on.

        For gradient accumulation with schemes that compare the samples of a batch, and with "weighted mean": pass the
        losses of all micro-batches at once, without gradient. The arguments are those of :meth:`forward`.

        Returns:
            ``(sample,)`` without gradient; 0 for samples that another rank has too; 1 after ``eval()``.

        Raises:
            InputError: as in :meth:`forward`, or the scheme is a loss.
        """
        if "_is_replica" in self.__dict__:
            raise InputError(_IN_DATA_PARALLEL)
        if self.plan.is_loss:
            raise InputError(f"scheme {self._scheme_name!r} is a loss and has no weights: call weighting(…, items=…)")
        values = {"loss": loss, "logits": logits, "labels": labels, **inputs}
        check_call_inputs(self.schemes, inputs)
        if not self.training:
            weights = torch.ones_like(unweighted_losses(values, self.plan.several_labels), dtype=torch.float32)
            self._totals = BatchTotals(len(weights), weights.sum())
            return weights
        with full_precision(values):
            batch = self._build_batch(values, ids)
            weights = self._weigh(batch, False).detach()
            self._check_losses(batch.inputs["loss"], weights)
            self._totals = BatchTotals(batch.count, weights.sum())
            return batch.local_rows(weights)

    def apply_weights(self, loss: Tensor, weights: Tensor) -> Tensor:
        """Return a micro-batch's part of the weighted loss of the effective batch that :meth:`weights` saw last.

        The parts of all micro-batches add up to the loss of the batch; on several ranks their average over ranks does.
        Ranks may have different numbers of micro-batches.

        Args:
            loss: losses of the micro-batch with their gradient, ``(sample,)``.
            weights: weights of its samples, ``(sample,)``.

        Raises:
            InputError: :meth:`weights` was not called, or the gradient is to flow through the weights.
        """
        if self._totals is None:
            raise InputError("there are no weights to apply: call weighting.weights(losses, ids) of the whole batch first")
        if self.through:
            raise InputError(
                "weights computed in advance carry no gradient: pass through=False, or call weighting(loss, ids, "
                "items=…) on each micro-batch"
            )
        if loss.shape != weights.shape:
            raise InputError(
                f"loss has the shape {tuple(loss.shape)} and weights {tuple(weights.shape)}: pass one weight per sample"
            )
        if not self.training:
            return torch.dot(loss.float(), weights) / max(self._totals.n_samples, 1)
        return reduce_part(self.reduction, loss, weights, self._totals.n_samples, self._totals.weight)

    def compares_samples(self, *, logits: bool = True) -> bool | None:
        """Return whether the weight of a sample depends on the rest of its batch; None if the scheme does not state it.

        Such weights are right only for the whole effective batch. Under gradient accumulation a call refuses them if it has
        ``items=``, ``micro_batches`` is above 1, or accelerate accumulates; so it does "weighted mean".

        Args:
            logits: whether calls give logits, or ``classes=`` is known; "superloss" then needs no mean loss of the batch.
        """
        scheme = self.scheme
        if scheme is None:
            return False
        return scheme.compares({**self.scheme_parameters, "logits": True if logits else None, "classes": self.classes})

    def _scheme_losses(self, values: dict[str, Any], ids: Any, items: Any, partial: bool) -> tuple[Tensor, Batch]:
        """Return the losses of a scheme that is a loss, and their batch."""
        if not has_token_logits(values):
            batch = self._build_batch(values, ids, items)
            return self._weigh(batch, True, partial), batch
        assert self.scheme is not None
        losses = average_token_loss(
            values, self.scheme, lambda tokens: self._call_scheme(Batch(tokens, None, 0, 0), True, partial)
        )
        per_call = {name: values[name] for name in self.plan.per_call if name in values}
        batch = self._build_batch({**per_call, "loss": losses, "logits": None, "labels": None}, ids, items, ("loss",))
        return batch.inputs["loss"], batch

    def _fast_path_batch(self, loss: Any, ids: Any, logits: Any, labels: Any) -> Batch | None:
        """Return the batch of a usual step; None if it needs the general checks."""
        plan = self.plan
        if not plan.losses_only or (plan.optional and not (logits is None and labels is None)):
            return None
        if plan.reads_p and logits is not None and not self._logits_checked:
            return None
        outputs = (logits, labels) if plan.reads_p and logits is not None and labels is not None else None
        return fast_path_batch(loss, ids, outputs, self.id_index, self.repeated or "refuse")

    def _build_batch(
        self, values: dict[str, Any], ids: Any, items: Any = None, names: tuple[str, ...] | None = None
    ) -> Batch:
        def read() -> dict[str, Tensor]:
            standard: dict[str, Any] = values
            if has_token_logits(values):
                standard = to_sequence_inputs(values, self.schemes)
            elif self.plan.reads_outputs(values):
                standard = standardize_outputs(values, several_labels=self.plan.several_labels)
                self._check_logits(standard.get("logits"))
            return read_inputs(standard, names or self.plan.select_names(standard))

        batch = build_batch(read, find_device(values), ids, self.id_index, self.repeated or "refuse")
        self._warn_of_shared_samples(batch)
        if self.skips_seen and batch.rows is not None:
            self.seen.skip(batch, self.epoch, padding_only=self.repeated is None)
        elif self.repeated == "skip":
            raise InputError("repeated='skip' needs the ids of all samples: pass num_samples= or ids=")
        check_batch_size(items, batch.count)
        batch.per_call = {name: values[name] for name in self.plan.per_call if values.get(name) is not None}
        return batch

    def _check_logits(self, logits: Any) -> None:
        """Refuse probabilities in place of logits, in the first batch only: the test waits for the device."""
        if self._logits_checked or logits is None or self.plan.several_labels or len(logits) < _MIN_LOGITS:
            return
        check_logits("logits", logits.detach())
        self._logits_checked = True

    def _warn_of_shared_samples(self, batch: Batch) -> None:
        """Warn if ranks share more samples of a step than the padding of a DistributedSampler."""
        n_left_out = batch.n_rows - batch.count
        if self.repeated != "skip" and n_left_out >= world_size() > 1:
            warnings.warn(
                f"{n_left_out} of the {batch.n_rows} samples of this step have ids that other ranks have too, and each id "
                "counts once: give each rank its own samples, or pass repeated='count' for several views of a sample",
                HardsightWarning,
                stacklevel=4,
            )

    def _weigh(self, batch: Batch, differentiable: bool, partial: bool = False) -> Tensor:
        """Return the weights or losses of a batch, ``(sample,)``.

        Args:
            batch: the batch.
            differentiable: whether the gradient flows through them.
            partial: whether the batch is only a part of the effective batch, and the rest is weighed apart from it.
        """
        # Looked up once, because a buffer is no plain attribute of a module.
        fixed = self.fixed_weights
        if fixed is not None:
            assert batch.rows is not None
            weights, dtype = fixed.index_select(0, batch.rows), batch.inputs["loss"].dtype
            return weights if weights.dtype is dtype else weights.to(dtype)
        if not batch.count:
            return _empty_weights(batch)
        weights = self._call_scheme(batch, differentiable, partial)
        loss = batch.inputs.get("loss")
        if loss is not None and weights.dtype is not loss.dtype:
            weights = weights.to(loss.dtype)
        return weights.detach() if weights.requires_grad and not differentiable else weights

    def _call_scheme(self, batch: Batch, differentiable: bool, partial: bool) -> Tensor:
        scheme, parameters, others = self.scheme, self.scheme_parameters, self._other_inputs(batch)
        assert scheme is not None
        if partial:
            check_separable(scheme, {**batch.inputs, **others}, parameters)
        return call_scheme(
            scheme,
            parameters,
            None if scheme.init is None else self.scheme_state,
            batch.inputs,
            others,
            differentiable=differentiable,
            on_nonfinite=self.on_nonfinite,
        )

    def _check_losses(self, losses: Tensor, weights: Tensor) -> None:
        if self.on_nonfinite == "raise":
            check_finite("loss", losses.detach().where(weights != 0, 0))

    def _other_inputs(self, batch: Batch) -> dict[str, Any]:
        """Return the inputs without one row per sample: what the weighting knows itself, and those of the call."""
        if not self.plan.reads_training:
            return batch.per_call
        if self.scheme is not None and "epoch" in self.scheme.reads and self.epoch is None and "epoch" not in batch.per_call:
            raise InputError(f"scheme {self._scheme_name!r} reads the epoch: call weighting.set_epoch(epoch) in each epoch")
        return {
            "classes": self.classes,
            "sizes": self.sizes,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "generator": self._generator,
            "rows": batch.rows,
            **batch.per_call,
        }

    def check(self, dataset: Any) -> str:
        """Return one line on how the ids of a training set fit this weighting, before training.

        Args:
            dataset: the training set as the loader reads it, such as ``hs.indexed(…)`` or a ``Subset`` of it.

        Raises:
            InputError: the items carry no ids, ids are unknown or shared by several samples, or ids are positions in a data
                set of another size than the weighting knows; in one line.
        """
        return check_ids(self.id_index, dataset, counts_repeats=self.repeated == "count")

    def __mul__(self, other: Any) -> "Weighting":
        """Return the weighting by the products of weights; see :mod:`hardsight.weights.training.product`.

        Args:
            other: another weighting, an array of fixed weights ``(sample,)``, or a ``Difficulty``.
        """
        from hardsight.weights.training.product import multiply

        return multiply(self, other)

    # The product has one reduction and one set of ids, so the order of its factors makes no difference.
    __rmul__ = __mul__
    # numpy would multiply its numbers one by one.
    __array_ufunc__ = None

    def extra_repr(self) -> str:
        """Return the scheme and its shape."""
        return f"{self.description}, reduction={self.reduction!r}"


def check_weighting(weighting: Any) -> Weighting:
    """Return the argument if it is a weighting.

    Raises:
        InputError: it is not.
    """
    if not isinstance(weighting, Weighting):
        raise InputError(f"weighting must be a hs.Weighting. Got {type(weighting).__name__}: hs.Weighting('superloss', …)")
    return weighting


def check_repeats(repeated: RepeatedIds | None, schemes: Sequence[Scheme]) -> None:
    """Check that schemes allow samples that count every time they come.

    Raises:
        InputError: one keeps a state for each sample.
    """
    for scheme in schemes if repeated == "count" else ():
        if "rows" in scheme.reads:
            raise InputError(f"scheme {scheme.name!r} keeps a state for each sample: draw without replacement")


def _off_meta_device() -> AbstractContextManager[Any]:
    """Return a context for tensors with values, also where modules are created without any.

    The ``from_pretrained`` of Transformers creates a model on the meta device, and then fills in what the checkpoint holds.
    """
    return torch.device("cpu") if torch.get_default_device().type == "meta" else nullcontext()


def _check_choice(name: str, value: Any, choices: Any) -> Any:
    return None if value is None else check_choice(name, value, get_args(choices))


def _describe(scheme: Scheme | None, shape: StateShape) -> str:
    name = "fixed weights" if scheme is None else f"{scheme.name!r}"
    return f"{name}: {shape.samples} samples, {shape.classes} classes, {shape.groups} groups"


def _empty_weights(batch: Batch) -> Tensor:
    # With a gradient of zero, for loops that call backward() on every batch.
    return next(value for value in batch.inputs.values() if value.is_floating_point()).flatten()[:0]
