"""``Weighting``: the loss of each sample in, one weighted loss out, in any training loop."""

from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from hardsight.errors import InputError
from hardsight.validation import check_int
from hardsight.weights import SCHEMES, Scheme, StateShape
from hardsight.weights.scheme import OF_SAMPLES, Reduction
from hardsight.weights.training.batch import (
    Batch,
    RepeatedIds,
    as_rows,
    build_batch,
    cross_entropy,
    fast_path_batch,
    full_precision,
)
from hardsight.weights.training.distributed import world_size
from hardsight.weights.training.id_index import IdIndex
from hardsight.weights.training.reduction import LoopReduction, reduce_losses, reduce_part
from hardsight.weights.training.sources import resolve_source
from hardsight.weights.training.state import SchemeState
from hardsight.weights.training.tokens import average_token_loss, has_token_logits, to_sequence_inputs

_TRAINING_INPUTS = frozenset({"sizes", "epoch", "epochs", "generator", "rows"})


class Weighting(nn.Module):
    """Weights the losses of a batch: ``loss = weighting(losses, ids)``.

    Everything that it remembers goes into its ``state_dict``, by sample id, so that training which is resumed from one
    goes on bit for bit, also in the midst of an epoch. On several ranks a scheme sees the batch of all of them, and the
    gradients that ``DistributedDataParallel`` averages are those of the global reduction. Put into evaluation by
    ``eval()``, it gives the plain mean of the losses and remembers nothing.

    Attributes:
        reduction: how weighted losses become one number.
        through: whether the gradient flows through the weights.
        known: the ids of the training samples.
        memory: what the scheme remembers, its buffers.
    """

    fixed: Tensor | None
    sizes: Tensor | None
    seen: Tensor | None

    def __init__(
        self,
        what: Any,
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
        seed: int = 0,
        **parameters: Any,
    ) -> None:
        """Weights by a scheme, fixed ones, or those that a difficulty suggests.

        Args:
            what: name of a scheme in ``hardsight.SCHEMES``; an array of weights ``(sample,)``; or a ``Difficulty``, whose
                weights are ``hs.weigh(what, scheme, **parameters)``.
            num_samples: of the training set, whose ids are then 0, 1, … Schemes that remember something of each sample need
                this or ``ids``.
            ids: of all training samples, any distinct whole numbers; with an array of weights, in its order.
            classes: how many; found from ``sizes`` where these are given.
            sizes: samples of each class in the training set, ``(class,)``, for schemes that read them.
            groups: how many, for schemes that read groups.
            epochs: in all, for schemes that read how many.
            scheme: with a difficulty, what makes weights of it; "auto" where not given.
            reduction: "mean", sum(w l) / n; "weighted mean", sum(w l) / sum(w); "sum", sum(w l); each over the batch of all
                ranks; "none", w l of each sample. As published where not given; "mean" for fixed weights.
            through: whether the gradient flows through the weights; as published where not given.
            repeated: what an id means that comes again. "refuse": an error where it comes twice in a batch of one rank,
                counted once where several ranks bring it in one step. "skip": only its first appearance in an epoch
                counts, which undoes the padding of distributed samplers. "count": every appearance counts, as samplers
                that draw with replacement need. None: "refuse", and on several ranks, once an epoch was set, samples
                that came in an earlier step of the epoch are skipped.
            seed: of schemes that draw.
            parameters: the scheme's own.

        Raises:
            InputError: an unknown scheme, parameter or choice, a missing parameter, ids that are not distinct whole numbers,
                or a scheme that is no weight or loss of each sample.
        """
        super().__init__()
        told = resolve_source(what, ids, scheme, parameters)
        self._scheme = None if told.scheme is None else told.scheme.name
        self._is_loss = told.scheme is not None and told.scheme.kind == "loss"
        self.given = parameters if told.scheme is not None else {}
        self.known = IdIndex(_count_samples(told.weights, num_samples, told.ids), told.ids)
        self.register_buffer("fixed", None if told.weights is None else _sort_by_id(told.weights, told.ids, self.known))
        self.register_buffer("sizes", None if sizes is None else torch.as_tensor(sizes))
        classes = classes or (0 if self.sizes is None else len(self.sizes))
        self.memory = SchemeState(self.scheme, StateShape(self.known.count, classes, groups), parameters)
        blank = torch.full((self.known.count,), -1, dtype=torch.int32) if self.known.count else None
        self.register_buffer("seen", blank)
        self.reduction: LoopReduction = _check_choice("reduction", reduction, LoopReduction) or _published_reduction(
            self.scheme
        )
        self.repeated: RepeatedIds | None = _check_choice("repeated", repeated, RepeatedIds)
        self.through = through if through is not None else self.scheme is not None and self.scheme.through
        self.epochs = epochs
        self.epoch: float | None = None
        self._made_for = _describe(self.scheme, self.known.count, classes, groups)
        self._generator = torch.Generator().manual_seed(check_int("seed", seed, 0))
        self._of_batch: tuple[int, Tensor] | None = None
        self._wanted, self._passed_on, self._of_training = _wanted(self.scheme)
        # Nothing else of a batch: then a step is short.
        self._reads_losses = not self._is_loss and not self._passed_on and set(self._wanted) <= {"loss", "p"}
        if self.repeated == "count" and self.scheme is not None and "rows" in self.scheme.reads:
            raise InputError(f"scheme {self.scheme.name!r} remembers each sample: draw without replacement")

    @property
    def scheme(self) -> Scheme | None:
        """The row of ``SCHEMES``; None where the weights are fixed."""
        return None if self._scheme is None else SCHEMES[self._scheme]

    @property
    def skips(self) -> bool:
        """Whether samples that came in an earlier step of the epoch do not count again."""
        return self.repeated == "skip" or (self.repeated is None and self.epoch is not None and world_size() > 1)

    def set_epoch(self, epoch: float) -> None:
        """Say how many epochs are done, from 0; a fraction within an epoch."""
        self.epoch = float(epoch)

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
        """The weighted loss of a batch, a number in float32 to call ``backward()`` on. All ranks must call it alike.

        Args:
            loss: of each sample, with its gradient, ``(sample,)``; may be left out where logits and labels are given, and is
                then their cross-entropy; schemes that are losses themselves do not read it.
            ids: of the samples, whole numbers ``(sample,)``.
            logits: of the model, ``(sample, class)``, for schemes that read them; of sequences of tokens ``(sample, token,
                word)``, see :mod:`hardsight.weights.training.tokens`.
            labels: class codes, ``(sample,)``, likewise; of tokens ``(sample, token)``, -100 where one does not count.
            items: samples in the whole effective batch, of all micro-batches and ranks, where gradients are accumulated: the
                losses of the micro-batches then add up to the mean over it.
            inputs: whatever else the scheme reads (``hardsight.weights.INPUTS``), a row a sample where it is of samples.

        Raises:
            InputError: an id that is absent, unknown or comes twice, something that the scheme reads is missing or out of
                its domain, or on another rank something of the kind.
        """
        if self._reads_losses and self.training and self.reduction == "mean" and items is None and not inputs:
            batch = fast_path_batch(loss, ids, self.known, self.repeated or "refuse")
            if batch is not None:
                return torch.dot(batch.inputs["loss"], self._weights(batch, self.through) / max(batch.count, 1))
        given = {"loss": loss, "logits": logits, "labels": labels, **inputs}
        if not self.training:
            return self._plain(given).float().mean()
        with full_precision(given):
            scheme = self.scheme
            if self._is_loss and scheme is not None:
                losses, batch = self._losses(scheme, given, ids)
                return reduce_losses(self.reduction, losses, None, batch, items)
            batch = self._batch(given, ids)
            weights = self._weights(batch, self.through)
            return reduce_losses(self.reduction, batch.inputs["loss"], weights, batch, items)

    def weights(
        self,
        loss: Tensor | None = None,
        ids: Any = None,
        *,
        logits: Tensor | None = None,
        labels: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        """The weights of an effective batch, for :meth:`apply_weights`; what the scheme remembers goes one step on.

        For schemes that compare the samples of a batch, and for "weighted mean", where gradients are accumulated: the losses
        of all micro-batches are given here at once, without gradient; the arguments are those of :meth:`forward`.

        Returns:
            ``(sample,)`` without gradient; 0 for samples that another rank has too.

        Raises:
            InputError: as in :meth:`forward`, or the scheme is a loss.
        """
        if self._is_loss:
            raise InputError(f"scheme {self._scheme!r} is a loss, it has no weights: call weighting(…, items=…)")
        given = {"loss": loss, "logits": logits, "labels": labels, **inputs}
        with full_precision(given):
            batch = self._batch(given, ids)
            weights = self._weights(batch, False).detach()
            self._of_batch = batch.count, weights.sum()
            return batch.own(weights)

    def apply_weights(self, loss: Tensor, weights: Tensor) -> Tensor:
        """A micro-batch's part of the weighted loss of the effective batch that :meth:`weights` saw last.

        The parts of all micro-batches add up to the loss of the batch; on several ranks their average over ranks does. Ranks
        may have different numbers of micro-batches.

        Args:
            loss: of the samples of the micro-batch, with their gradient, ``(sample,)``.
            weights: theirs, ``(sample,)``.

        Raises:
            InputError: :meth:`weights` was not called, or the gradient is to flow through the weights.
        """
        if self._of_batch is None:
            raise InputError(
                "there are no weights to apply: call weighting.weights(losses, ids) of the whole batch first"
            )
        if self.through:
            raise InputError(
                "the gradient is to flow through these weights, and they were made without: pass through=False, or call "
                "weighting(loss, ids, items=…) on each micro-batch"
            )
        if loss.shape != weights.shape:
            raise InputError(f"loss has the shape {tuple(loss.shape)}, weights {tuple(weights.shape)}: one a sample")
        return reduce_part(self.reduction, loss, weights, *self._of_batch)

    def _plain(self, given: dict[str, Any]) -> Tensor:
        if has_token_logits(given):
            of_rows: Tensor = to_sequence_inputs(given, None)["loss"]
            return of_rows
        if given["loss"] is not None:
            return as_rows("loss", given["loss"])
        labels = given["labels"]
        if self._is_loss and labels is not None and (several := as_rows("labels", labels)).dim() > 1:
            logits = as_rows("logits", given["logits"])
            return binary_cross_entropy_with_logits(logits, several.to(logits), reduction="none").sum(1)
        return cross_entropy(given)

    def _losses(self, scheme: Scheme, given: dict[str, Any], ids: Any) -> tuple[Tensor, Batch]:
        if not has_token_logits(given):
            batch = self._batch(given, ids)
            return self._told(batch, True) if batch.count else _empty_weights(batch), batch
        losses = average_token_loss(given, scheme, lambda tokens: self._told(Batch(tokens, None, 0, 0), True))
        batch = self._batch({**given, "loss": losses, "logits": None, "labels": None}, ids, ("loss",))
        return batch.inputs["loss"], batch

    def _batch(self, given: dict[str, Any], ids: Any, wanted: tuple[str, ...] | None = None) -> Batch:
        if has_token_logits(given):
            given = to_sequence_inputs(given, self.scheme)
        batch = build_batch(given, ids, self.known, wanted or self._wanted, self.repeated or "refuse")
        if self.skips:
            self._skip_seen(batch)
        if self._passed_on:
            batch.others = {name: given[name] for name in self._passed_on if name in given}
        return batch

    def _skip_seen(self, batch: Batch) -> None:
        if batch.rows is None or self.seen is None:
            if self.repeated == "skip":
                raise InputError("repeated='skip' needs to know all samples: pass num_samples= or ids=")
            return
        if self.epoch is None:
            raise InputError("repeated='skip' needs to know the epoch: call weighting.set_epoch(epoch)")
        new = self.seen[batch.rows] != int(self.epoch)
        if batch.count and not bool(new.any()):
            raise InputError(
                f"every sample of this batch came before in epoch {int(self.epoch)}: call weighting.set_epoch(epoch) in "
                "each epoch, give each rank its own samples (DistributedSampler), or pass repeated='count'"
            )
        batch.keep(new)
        self.seen[batch.rows] = int(self.epoch)

    def _weights(self, batch: Batch, through: bool) -> Tensor:
        if self.fixed is not None:
            assert batch.rows is not None
            return self.fixed.index_select(0, batch.rows)
        if not batch.count:
            return _empty_weights(batch)
        told = self._told(batch, through)
        return told.detach() if told.requires_grad and not through else told

    def _told(self, batch: Batch, live: bool) -> Tensor:
        scheme = self.scheme
        assert scheme is not None
        inputs = batch.inputs if live else {name: value.detach() for name, value in batch.inputs.items()}
        if scheme.start is None:
            stateless: Tensor = scheme.of_checked(inputs | self._of_all(batch), self.given, None)
            return stateless
        # The tables of a state are float32.
        inputs = {name: _to_float32(value) for name, value in inputs.items()}
        told: Tensor = scheme.of_checked(inputs | self._of_all(batch), self.given, self.memory.state)
        self.memory.settle()
        return told

    def _of_all(self, batch: Batch) -> dict[str, Any]:
        if not self._of_training:
            return batch.others
        if self.scheme is not None and "epoch" in self.scheme.reads and self.epoch is None:
            raise InputError(
                f"scheme {self.scheme.name!r} reads the epoch: call weighting.set_epoch(epoch) in each epoch"
            )
        return {
            **batch.others,
            "sizes": self.sizes,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "generator": self._generator,
            "rows": batch.rows,
        }

    def get_extra_state(self) -> dict[str, Any]:
        """What is no tensor of samples: what it was made for, the epoch, where random numbers stand."""
        return {"made_for": self._made_for, "epoch": self.epoch, "random": self._generator.get_state()}

    def set_extra_state(self, state: Any) -> None:
        """Take up what :meth:`get_extra_state` gave."""
        self.epoch = state["epoch"]
        self._generator.set_state(state["random"].cpu())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(f"{prefix}_extra_state")
        if saved is not None and saved["made_for"] != self._made_for:
            raise InputError(
                f"this state was saved by a weighting of {saved['made_for']}; this one is of {self._made_for}"
            )
        listed = state_dict.get(f"{prefix}known.known")
        if saved is not None and not _equal_ids(listed, self.known.known):
            raise InputError("this state was saved for other ids: make the weighting with the ids of that training set")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # A model that goes to half precision would take weights and tables of this module with it.
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        """What it was made for."""
        return f"{self._made_for}, reduction={self.reduction!r}"


def _count_samples(weights: Tensor | None, num_samples: int | None, ids: Any) -> int | None:
    if weights is None:
        return num_samples
    given = len(weights) if ids is None else len(ids)
    if given != len(weights) or num_samples not in (None, len(weights)):
        raise InputError(
            f"there are {len(weights)} weights and {given if ids is not None else num_samples} samples: one each"
        )
    return len(weights)


def _sort_by_id(weights: Tensor, ids: Any, known: IdIndex) -> Tensor:
    if ids is None:
        return weights
    ordered = torch.empty_like(weights)
    ordered[known.rows(torch.as_tensor(ids).long())] = weights
    return ordered


def _published_reduction(scheme: Scheme | None) -> Reduction:
    return "mean" if scheme is None else scheme.reduction


def _check_choice(name: str, value: Any, choices: Any) -> Any:
    if value is not None and value not in get_args(choices):
        raise InputError(f"{name} must be one of {', '.join(map(repr, get_args(choices)))}. Got {value!r}")
    return value


def _describe(scheme: Scheme | None, samples: int, classes: int, groups: int) -> str:
    name = "fixed weights" if scheme is None else f"{scheme.name!r}"
    return f"{name}: {samples} samples, {classes} classes, {groups} groups"


def _wanted(scheme: Scheme | None) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """What is needed with a row a sample, what else a batch may bring, and whether anything is known here of all."""
    if scheme is None:
        return ("loss",), (), False
    own, known = OF_SAMPLES.intersection(scheme.reads), _TRAINING_INPUTS.intersection(scheme.reads)
    others = tuple(set(scheme.reads) - own - known)
    return tuple(sorted(own if scheme.kind == "loss" and "p" not in own else own | {"loss"})), others, bool(known)


def _equal_ids(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one.cpu(), other.cpu())


def _empty_weights(batch: Batch) -> Tensor:
    # With a gradient, of zero, for loops that call backward() on every batch.
    return next(value for value in batch.inputs.values() if value.is_floating_point()).flatten()[:0]


def _to_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.float64 else value
