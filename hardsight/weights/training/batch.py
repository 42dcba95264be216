"""The batch as a scheme reads it: checked inputs in float32, from all ranks, each sample once."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hardsight.errors import InputError
from hardsight.weights import INPUTS
from hardsight.weights.inputs import to_full_precision, to_tensor
from hardsight.weights.model_outputs import cross_entropy, label_probability, standardize_outputs
from hardsight.weights.training.distributed import RankSlices, exchange_sizes, first_occurrences, world_size
from hardsight.weights.training.id_index import IdIndex, as_ids
from hardsight.weights.training.tokens import has_token_logits, to_sequence_inputs

RepeatedIds = Literal["refuse", "skip", "count"]
"""What to do with an id that comes again: raise an error, skip it, or count it as another sample."""
_NO_CHANGE = nullcontext()
_ONE_NUMBER = ("loss", "p", "held_out", "p_wrong", "peer")


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


def fast_path_batch(
    loss: Any, ids: Any, outputs: tuple[Any, Any] | None, id_index: IdIndex, repeated: RepeatedIds
) -> Batch | None:
    """Build the batch of a scheme that reads only losses or p, without the general checks; None if these are needed.

    The result is that of :func:`build_batch`. It takes one process, float32 losses and int64 ids as tensors in main
    memory, and no mixed precision.

    Args:
        loss: losses of the batch.
        ids: ids of its samples.
        outputs: logits and labels, of which p is to be computed; None if it is exp(-loss) or not read.
        id_index: the ids of the training samples.
        repeated: what to do with repeated ids.

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
    inputs = {"loss": loss}
    if outputs is not None:
        logits, labels = outputs
        if not _has_class_scores(logits, labels, count):
            return None
        inputs["p"] = label_probability(logits, labels)
    return Batch(inputs, id_index.find_rows(ids, repeated == "refuse"), count, count)


def _has_class_scores(logits: Any, labels: Any, count: int) -> bool:
    """Whether these are float32 logits ``(sample, class)`` and int64 class codes in main memory."""
    if not (isinstance(logits, Tensor) and isinstance(labels, Tensor) and logits.is_cpu and labels.is_cpu):
        return False
    if logits.dtype is not torch.float32 or labels.dtype is not torch.int64:
        return False
    return logits.dim() == 2 and logits.shape[1] > 1 and labels.shape == (count,) and logits.shape[0] == count


def build_batch(
    read: Callable[[], dict[str, Tensor]], device: torch.device, ids: Any, id_index: IdIndex, repeated: RepeatedIds
) -> Batch:
    """Build the batch that a scheme reads.

    Args:
        read: returns the inputs that the scheme reads of this rank's rows, :func:`read_inputs`.
        device: device of the inputs.
        ids: ids of this rank's rows, or None.
        id_index: the ids of the training samples.
        repeated: what to do with repeated ids; unless all count, an id that several ranks bring counts once.

    Raises:
        InputError: an input is unknown, missing or without one row per sample; an id is missing, unknown or repeated;
            or another rank failed.
    """
    distinct = repeated == "refuse"
    if world_size() == 1:
        batch, batch_ids = _local_batch(read(), ids, id_index, distinct)
        all_ids = batch_ids if repeated == "skip" else None
    else:
        error: Exception | None = None
        batch, batch_ids = Batch({}, None, 0, 0), None
        try:
            batch, batch_ids = _local_batch(read(), ids, id_index, distinct)
        except Exception as reason:  # noqa: BLE001 - raised again once the other ranks know.
            error = reason
        slices = exchange_sizes(batch.count, device, error)
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


def unweighted_losses(values: Mapping[str, Any], several_labels: bool) -> Tensor:
    """Return the plain loss of each sample, for evaluation. ``(sample,)``

    It is the loss that was passed in; else the cross-entropy of logits and labels, averaged over the tokens of a
    sequence; for schemes that are losses of several labels per sample, the sum of their binary cross-entropies.

    Raises:
        InputError: there is neither a loss nor logits and labels.
    """
    if has_token_logits(values):
        sequence_means: Tensor = to_sequence_inputs(values, ())["loss"]
        return sequence_means
    if values["loss"] is not None:
        return as_rows("loss", values["loss"])
    outputs = standardize_outputs(values, several_labels=several_labels)
    if several_labels and outputs["labels"] is not None:
        logits, labels = as_rows("logits", outputs["logits"]), as_rows("labels", outputs["labels"])
        return binary_cross_entropy_with_logits(logits, labels.to(logits), reduction="none").sum(1)
    return loss_from_logits(outputs)


def full_precision(values: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Return a context without automatic mixed precision on the device of the values."""
    device = "cpu"
    for value in values.values():
        if isinstance(value, Tensor):
            device = "cpu" if value.is_cpu else value.device.type
            break
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else _NO_CHANGE


def _local_batch(inputs: dict[str, Tensor], ids: Any, id_index: IdIndex, distinct: bool) -> tuple[Batch, Tensor | None]:
    """Build the batch of this rank, and return its ids."""
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


def read_inputs(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return inputs with one row per sample, as tensors; ``p`` is left out where it follows from the loss alone.

    Args:
        values: what the loop passed in for this rank's rows, by name, with standardized logits and labels.
        names: inputs that the scheme reads with one row per sample.

    Raises:
        InputError: an input is missing or has no rows.
    """
    inputs = {}
    for name in names:
        value = values.get(name)
        if value is not None:
            inputs[name] = as_rows(name, value)
        elif name == "loss":
            inputs[name] = loss_from_logits(values)
        elif name != "p":
            instead = "; or pass the weights in place of the scheme, hs.weigh(d)" if name == "p_wrong" else ""
            raise InputError(f"the scheme reads {name}, which is missing: pass {name}=…, {INPUTS[name]}{instead}")
        elif all(values.get(given) is not None for given in ("loss", "logits", "labels")):
            # The loss may have class weights or smoothed labels, and then exp(-loss) is not p.
            inputs[name] = label_probability(as_rows("logits", values["logits"]), as_rows("labels", values["labels"]))
    return inputs


def as_rows(name: str, value: Any) -> Tensor:
    """Convert an input of the batch to a tensor; half precision becomes float32. ``(sample, ...)``

    Raises:
        InputError: the input has no rows, or is not an array of numbers.
    """
    tensor: Tensor = to_tensor(name, value)
    is_number = name in _ONE_NUMBER
    if is_number and tensor.dim() == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if tensor.dim() == 0 or (is_number and tensor.dim() != 1):
        advice = _advise_on_loss(tensor) if name == "loss" else ": pass one number per sample" if is_number else ""
        raise InputError(f"{name} must have one row per sample. Got the shape {tuple(tensor.shape)}{advice}")
    return to_full_precision(tensor)


def _advise_on_loss(loss: Tensor) -> str:
    if loss.dim() == 0:
        return ": pass the loss of each sample, reduction='none'"
    return ": pass loss.flatten() for a weight per pixel or token, or loss.flatten(1).mean(1) for one per sample"


def find_device(values: Mapping[str, Any]) -> torch.device:
    """Return the device of the first tensor among the inputs."""
    for value in values.values():
        if isinstance(value, Tensor):
            return value.device
    return torch.device("cpu")


def _gather_batch(local: Batch, slices: RankSlices) -> Batch:
    inputs = {name: slices.gather(value) for name, value in local.inputs.items()}
    rows = None if local.rows is None else slices.gather(local.rows)
    total = sum(slices.sizes)
    return Batch(inputs, rows, total, total, slices=slices)
