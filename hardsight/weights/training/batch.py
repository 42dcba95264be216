"""A batch as a scheme reads it: what was given, checked, in float32, of all ranks, each sample once."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights import INPUTS
from hardsight.weights.scheme import array
from hardsight.weights.scheme import cross_entropy as of_logits
from hardsight.weights.training.distributed import RankSlices, exchange_sizes, first_occurrences, world_size
from hardsight.weights.training.id_index import IdIndex, as_ids

RepeatedIds = Literal["refuse", "skip", "count"]
"""What an id means that comes again: an error on one rank, nothing, or one sample more."""
_HALF_TYPES = (torch.float16, torch.bfloat16)
_NO_CHANGE = nullcontext()


@dataclass
class Batch:
    """The global batch: samples of all ranks that count, in the order of ranks.

    Attributes:
        inputs: by name, a row a sample; they carry the gradient of this rank's rows.
        rows: of the samples in the tables of a state, ``(sample,)``; None where there are none.
        count: of the samples.
        given: rows that all ranks gave.
        kept: positions of the samples among these, ``(sample,)``; None where all are kept.
        shares: how many rows are whose; None with one rank.
        others: inputs that have no row a sample.
    """

    inputs: dict[str, Tensor]
    rows: Tensor | None
    count: int
    given: int
    kept: Tensor | None = None
    shares: RankSlices | None = None
    others: dict[str, Any] = field(default_factory=dict)

    @property
    def ranks(self) -> int:
        """How many processes gave it."""
        return 1 if self.shares is None else len(self.shares.sizes)

    def keep(self, these: Tensor) -> None:
        """Leave out all other samples; ``these`` is a mask. ``(sample,)``"""
        at = these.nonzero().squeeze(1)
        self.inputs = {name: value[at] for name, value in self.inputs.items()}
        self.rows = None if self.rows is None else self.rows[at]
        self.kept = at if self.kept is None else self.kept[at]
        self.count = len(at)

    def own(self, values: Tensor) -> Tensor:
        """Of values of the samples, those of the rows that this rank gave; 0 where a row was left out. ``(row,)``"""
        if self.kept is not None:
            values = values.new_zeros(self.given).index_put((self.kept,), values)
        return values if self.shares is None else values[self.shares.own]


def fast_path_batch(loss: Any, ids: Any, known: IdIndex, repeated: RepeatedIds) -> Batch | None:
    """The same as :func:`build_batch` of nothing but losses, in few steps, where all is as it mostly is; None elsewhere.

    That is: one process, float32 losses and int64 ids, tensors in main memory, and no mixed precision.

    Raises:
        InputError: an id is unknown or comes twice.
    """
    if not (isinstance(loss, Tensor) and isinstance(ids, Tensor) and loss.is_cpu and ids.is_cpu):
        return None
    if loss.dtype is not torch.float32 or ids.dtype is not torch.int64 or loss.dim() != 1 or loss.shape != ids.shape:
        return None
    if repeated == "skip" or torch.is_autocast_enabled("cpu") or world_size() > 1:
        return None
    count = loss.shape[0]
    return Batch({"loss": loss}, known.rows(ids, repeated == "refuse"), count, count)


def build_batch(
    given: Mapping[str, Any], ids: Any, known: IdIndex, wanted: tuple[str, ...], repeated: RepeatedIds
) -> Batch:
    """The batch that a scheme reads.

    Args:
        given: what the loop has, by name, of this rank's rows.
        ids: of this rank's rows, or None.
        known: the ids of the training samples.
        wanted: names of what is needed, a row a sample; ``p`` may be missing.
        repeated: what an id means that comes again; unless each counts, those on several ranks are counted once.

    Raises:
        InputError: something is unknown, has not a row for each sample, or is missing; an id is absent, unknown or comes
            twice; or another rank refused its batch.
    """
    distinct = repeated == "refuse"
    if world_size() == 1:
        batch, found = _local_batch(given, ids, known, wanted, distinct)
        together = found if repeated == "skip" else None
    else:
        fault: Exception | None = None
        batch, found = Batch({}, None, 0, 0), None
        try:
            batch, found = _local_batch(given, ids, known, wanted, distinct)
        except Exception as error:  # noqa: BLE001 - raised again once the other ranks know.
            fault = error
        shares = exchange_sizes(batch.count, _find_device(given), fault)
        batch = _gather_batch(batch, shares)
        together = None if found is None or repeated == "count" else shares.whole(found)
    if together is not None and not bool((first := first_occurrences(together)).all()):
        batch.keep(first)
    return batch


def cross_entropy(given: Mapping[str, Any]) -> Tensor:
    """Cross-entropy of each sample from its logits and label. ``(sample,)``

    Raises:
        InputError: they are missing.
    """
    if given.get("logits") is None or given.get("labels") is None:
        raise InputError(
            "there is neither a loss nor logits and labels: pass the loss of each sample, reduction='none'"
        )
    return of_logits(as_rows("logits", given["logits"]), as_rows("labels", given["labels"]))


def full_precision(given: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Without the short numbers of automatic mixed precision."""
    kind = "cpu"
    for value in given.values():
        if isinstance(value, Tensor):
            kind = "cpu" if value.is_cpu else value.device.type
            break
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else _NO_CHANGE


def _local_batch(
    given: Mapping[str, Any], ids: Any, known: IdIndex, wanted: tuple[str, ...], distinct: bool
) -> tuple[Batch, Tensor | None]:
    inputs = _read_inputs(given, wanted)
    first, *others = inputs.values()
    # Tensor.__len__ takes longer than everything else here.
    count = first.shape[0]
    if others and any(value.shape[0] != count for value in others):
        name = next(name for name, value in inputs.items() if value.shape[0] != count)
        raise InputError(
            f"{name} has {len(inputs[name])} rows, {next(iter(inputs))} has {count}: one a sample of the batch"
        )
    if ids is None and not known.count:
        return Batch(inputs, None, count, count), None
    found = as_ids(ids)
    if not (found.is_cpu and first.is_cpu):
        found = found.to(first.device)
    if found.shape[0] != count:
        raise InputError(f"there are {len(found)} ids and {count} samples in the batch: one each")
    return Batch(inputs, known.rows(found, distinct), count, count), found


def _read_inputs(given: Mapping[str, Any], wanted: tuple[str, ...]) -> dict[str, Tensor]:
    if not given.keys() <= INPUTS.keys():
        name = next(name for name in given if name not in INPUTS)
        near = get_close_matches(name, INPUTS, 1)
        raise InputError(f"nothing reads {name!r}: " + (f"do you mean {near[0]!r}?" if near else "leave it out"))
    inputs = {}
    for name in wanted:
        value = given.get(name)
        if value is not None:
            inputs[name] = as_rows(name, value)
        elif name == "loss":
            inputs[name] = cross_entropy(given)
        elif name != "p":
            raise InputError(f"the scheme reads {name}, which is not there: pass {name}=…, {INPUTS[name]}")
    return inputs


def as_rows(name: str, value: Any) -> Tensor:
    """The input of a batch as a tensor, short numbers as float32, ``(sample, ...)``.

    Raises:
        InputError: it has no rows, or is no array of numbers.
    """
    tensor: Tensor = array(name, value)
    if tensor.dim() == 0 or (name == "loss" and tensor.dim() != 1):
        mend = ": give the loss of each sample, reduction='none'" if name == "loss" else ""
        raise InputError(f"{name} must have a row a sample. Got the shape {tuple(tensor.shape)}{mend}")
    return tensor.float() if tensor.dtype in _HALF_TYPES else tensor


def _find_device(given: Mapping[str, Any]) -> torch.device:
    for value in given.values():
        if isinstance(value, Tensor):
            return value.device
    return torch.device("cpu")


def _gather_batch(mine: Batch, shares: RankSlices) -> Batch:
    inputs = {name: shares.whole(value) for name, value in mine.inputs.items()}
    rows = None if mine.rows is None else shares.whole(mine.rows)
    total = sum(shares.sizes)
    return Batch(inputs, rows, total, total, shares=shares)
