"""The batch as a scheme reads it: checked inputs in float32, from all ranks, each sample once."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hardsight.errors import InputError
from hardsight.weights import INPUTS
from hardsight.weights.inputs import cross_entropy, to_tensor
from hardsight.weights.training.distributed import RankSlices, exchange_sizes, first_occurrences, world_size
from hardsight.weights.training.id_index import IdIndex, as_ids
from hardsight.weights.training.tokens import has_token_logits, to_sequence_inputs

RepeatedIds = Literal["refuse", "skip", "count"]
"""What to do with an id that comes again: raise an error, skip it, or count it as another sample."""
_HALF_TYPES = (torch.float16, torch.bfloat16)
_NO_CHANGE = nullcontext()


@dataclass
class Batch:
    """The global batch: the samples of all ranks that count, in rank order.

    Attributes:
        inputs: inputs by name, one row per sample; they carry the gradient of this rank's rows.
        rows: row of each sample in the tables of the scheme's state, ``(sample,)``; None if no ids are known.
        count: number of samples.
        n_rows: number of rows that all ranks passed in.
        selected: positions of the samples among these rows, ``(sample,)``; None if all rows count.
        slices: which rows belong to which rank; None with one rank.
        per_call: inputs without one row per sample.
    """

    inputs: dict[str, Tensor]
    rows: Tensor | None
    count: int
    n_rows: int
    selected: Tensor | None = None
    slices: RankSlices | None = None
    per_call: dict[str, Any] = field(default_factory=dict)

    @property
    def world_size(self) -> int:
        """The number of ranks that the batch comes from."""
        return 1 if self.slices is None else len(self.slices.sizes)

    def select(self, mask: Tensor) -> None:
        """Remove the samples outside the mask. ``(sample,)``"""
        positions = mask.nonzero().squeeze(1)
        self.inputs = {name: value[positions] for name, value in self.inputs.items()}
        self.rows = None if self.rows is None else self.rows[positions]
        self.selected = positions if self.selected is None else self.selected[positions]
        self.count = len(positions)

    def local_rows(self, values: Tensor) -> Tensor:
        """Return the values of the rows that this rank passed in; 0 for rows that do not count. ``(row,)``"""
        if self.selected is not None:
            values = values.new_zeros(self.n_rows).index_put((self.selected,), values)
        return values if self.slices is None else values[self.slices.local]


def fast_path_batch(loss: Any, ids: Any, id_index: IdIndex, repeated: RepeatedIds) -> Batch | None:
    """Build the batch of a scheme that reads only losses, without the general checks; None if these are needed.

    The result is that of :func:`build_batch`. It takes one process, float32 losses and int64 ids as tensors in main
    memory, and no mixed precision.

    Raises:
        InputError: an id is unknown or repeated.
    """
    if not (isinstance(loss, Tensor) and isinstance(ids, Tensor) and loss.is_cpu and ids.is_cpu):
        return None
    if loss.dtype is not torch.float32 or ids.dtype is not torch.int64 or loss.dim() != 1 or loss.shape != ids.shape:
        return None
    if repeated == "skip" or torch.is_autocast_enabled("cpu") or world_size() > 1:
        return None
    count = loss.shape[0]
    return Batch({"loss": loss}, id_index.find_rows(ids, repeated == "refuse"), count, count)


def build_batch(
    values: Mapping[str, Any], ids: Any, id_index: IdIndex, names: tuple[str, ...], repeated: RepeatedIds
) -> Batch:
    """Build the batch that a scheme reads.

    Args:
        values: what the loop passed in for this rank's rows, by name.
        ids: ids of this rank's rows, or None.
        id_index: the ids of the training samples.
        names: inputs that the scheme needs with one row per sample; ``p`` may be missing.
        repeated: what to do with repeated ids; unless all count, an id that several ranks bring counts once.

    Raises:
        InputError: an input is unknown, missing or without one row per sample; an id is missing, unknown or repeated;
            or another rank failed.
    """
    distinct = repeated == "refuse"
    if world_size() == 1:
        batch, batch_ids = _local_batch(values, ids, id_index, names, distinct)
        all_ids = batch_ids if repeated == "skip" else None
    else:
        error: Exception | None = None
        batch, batch_ids = Batch({}, None, 0, 0), None
        try:
            batch, batch_ids = _local_batch(values, ids, id_index, names, distinct)
        except Exception as reason:  # noqa: BLE001 - raised again once the other ranks know.
            error = reason
        slices = exchange_sizes(batch.count, _find_device(values), error)
        batch = _gather_batch(batch, slices)
        all_ids = None if batch_ids is None or repeated == "count" else slices.gather(batch_ids)
    if all_ids is not None and not bool((first := first_occurrences(all_ids)).all()):
        batch.select(first)
    return batch


def loss_from_logits(values: Mapping[str, Any]) -> Tensor:
    """Compute the cross-entropy of each sample from its logits and label. ``(sample,)``

    Raises:
        InputError: logits or labels are missing.
    """
    if values.get("logits") is None or values.get("labels") is None:
        raise InputError("there is neither a loss nor logits and labels: pass the loss of each sample, reduction='none'")
    return cross_entropy(as_rows("logits", values["logits"]), as_rows("labels", values["labels"]))


def unweighted_losses(values: Mapping[str, Any], is_loss: bool) -> Tensor:
    """Return the plain loss of each sample, for evaluation. ``(sample,)``

    It is the loss that was passed in; else the cross-entropy of logits and labels, averaged over the tokens of a
    sequence; for schemes that are losses of several labels per sample, the sum of their binary cross-entropies.

    Raises:
        InputError: there is neither a loss nor logits and labels.
    """
    if has_token_logits(values):
        sequence_means: Tensor = to_sequence_inputs(values, None)["loss"]
        return sequence_means
    if values["loss"] is not None:
        return as_rows("loss", values["loss"])
    labels = values["labels"]
    if is_loss and labels is not None and (matrix := as_rows("labels", labels)).dim() > 1:
        logits = as_rows("logits", values["logits"])
        return binary_cross_entropy_with_logits(logits, matrix.to(logits), reduction="none").sum(1)
    return loss_from_logits(values)


def full_precision(values: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Return a context without automatic mixed precision on the device of the values."""
    device = "cpu"
    for value in values.values():
        if isinstance(value, Tensor):
            device = "cpu" if value.is_cpu else value.device.type
            break
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else _NO_CHANGE


def _local_batch(
    values: Mapping[str, Any], ids: Any, id_index: IdIndex, names: tuple[str, ...], distinct: bool
) -> tuple[Batch, Tensor | None]:
    """Build the batch of this rank, and return its ids."""
    inputs = _read_inputs(values, names)
    first, *others = inputs.values()
    # shape[0], because Tensor.__len__ takes longer than everything else here.
    count = first.shape[0]
    if others and any(value.shape[0] != count for value in others):
        name = next(name for name, value in inputs.items() if value.shape[0] != count)
        raise InputError(
            f"{name} has {len(inputs[name])} rows and {next(iter(inputs))} has {count}: pass one row per sample of the batch"
        )
    if ids is None and not id_index.count:
        return Batch(inputs, None, count, count), None
    batch_ids = as_ids(ids)
    if not (batch_ids.is_cpu and first.is_cpu):
        batch_ids = batch_ids.to(first.device)
    if batch_ids.shape[0] != count:
        raise InputError(f"there are {len(batch_ids)} ids and {count} samples in the batch: pass one id per sample")
    return Batch(inputs, id_index.find_rows(batch_ids, distinct), count, count), batch_ids


def _read_inputs(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Tensor]:
    if not values.keys() <= INPUTS.keys():
        name = next(name for name in values if name not in INPUTS)
        close = get_close_matches(name, INPUTS, 1)
        raise InputError(f"no scheme reads {name!r}: " + (f"do you mean {close[0]!r}?" if close else "leave it out"))
    inputs = {}
    for name in names:
        value = values.get(name)
        if value is not None:
            inputs[name] = as_rows(name, value)
        elif name == "loss":
            inputs[name] = loss_from_logits(values)
        elif name != "p":
            raise InputError(f"the scheme reads {name}, which is missing: pass {name}=…, {INPUTS[name]}")
    return inputs


def as_rows(name: str, value: Any) -> Tensor:
    """Convert an input of the batch to a tensor; half precision becomes float32. ``(sample, ...)``

    Raises:
        InputError: the input has no rows, or is not an array of numbers.
    """
    tensor: Tensor = to_tensor(name, value)
    if tensor.dim() == 0 or (name == "loss" and tensor.dim() != 1):
        advice = ": pass the loss of each sample, reduction='none'" if name == "loss" else ""
        raise InputError(f"{name} must have one row per sample. Got the shape {tuple(tensor.shape)}{advice}")
    return tensor.float() if tensor.dtype in _HALF_TYPES else tensor


def _find_device(values: Mapping[str, Any]) -> torch.device:
    for value in values.values():
        if isinstance(value, Tensor):
            return value.device
    return torch.device("cpu")


def _gather_batch(local: Batch, slices: RankSlices) -> Batch:
    inputs = {name: slices.gather(value) for name, value in local.inputs.items()}
    rows = None if local.rows is None else slices.gather(local.rows)
    total = sum(slices.sizes)
    return Batch(inputs, rows, total, total, slices=slices)
