"""Batches as given, turned into views: checked, detached, on the CPU, in double precision."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.measures.probabilities import EXACT, are_probabilities
from hardsight.measures.record.id_index import format_id
from hardsight.measures.statistics import OPTIONAL_INPUTS, View

# One row may look like probabilities by accident.
_MIN_PROBABILITY_ROWS = 2


class Batch(NamedTuple):
    """A checked batch."""

    ids: np.ndarray
    view: View

    @classmethod
    def of(cls, ids: np.ndarray, logits: Any, labels: Any, optional: Mapping[str, Any]) -> "Batch":
        """Check the arguments of ``Record.add``.

        Args:
            optional: the inputs of :data:`OPTIONAL_INPUTS` by name; None if they were not given.

        Raises:
            InputError: a shape or a type is wrong, or a number is not finite; names the id.
        """
        z = _own_memory(_to_tensor("logits", logits, len(ids)).double(), logits)
        if z.ndim != 2 or z.shape[1] < 2:
            raise InputError(
                f"logits must have the shape (batch, class) with 2 classes or more. Got {tuple(z.shape)}: turn a single "
                "logit z into torch.stack([torch.zeros_like(z), z], 1)"
            )
        _check_finite("logits", z, ids)
        gradients = _to_matrix("loss_gradients", optional["loss_gradients"], ids)
        view = View(
            z,
            _check_labels(labels, ids, z.shape[1]),
            _to_matrix("features", optional["features"], ids),
            _to_matrix("input_gradients", optional["input_gradients"], ids),
            _check_rate(optional["rate"], ids),
            None if gradients is None else gradients.double().norm(dim=1),
        )
        return cls(ids, view)

    def take(self, positions: np.ndarray) -> "Batch":
        """Return the samples at some positions."""
        rows = torch.from_numpy(positions)
        view = self.view
        optional = {name: None if getattr(view, name) is None else getattr(view, name)[rows] for name in OPTIONAL_INPUTS}
        return Batch(self.ids[positions], View(view.logits[rows], view.labels[rows], **optional))

    def widths(self) -> dict[str, int]:
        """Return the number of values per sample of the features and input gradients, if they are given."""
        values = {name: getattr(self.view, name) for name in ("features", "input_gradients")}
        return {name: value.shape[1] for name, value in values.items() if value is not None}

    def count_probability_rows(self, before: int) -> int | None:
        """Count the rows that look like probabilities, with ``before`` earlier ones; None once a row does not.

        One-hot rows do not count, as they could be either; one row may be an accident.

        Raises:
            InputError: all rows so far look like probabilities.
        """
        z = self.view.logits
        if not are_probabilities(z, EXACT).all():
            return None
        count = before + int((z < 1).all(1).sum())
        if count >= _MIN_PROBABILITY_ROWS:
            raise InputError(
                f"logits look like probabilities (none below zero, rows sum to one, from id {format_id(self.ids, 0)} on): "
                "give what comes before the softmax, or probabilities.log(); if these are logits, logits - 1 means the same"
            )
        return count


def _to_tensor(name: str, value: Any, rows: int) -> Tensor:
    try:
        tensor = value.detach().cpu() if isinstance(value, Tensor) else torch.from_numpy(_writable(np.asarray(value)))
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a tensor or an array of numbers. Got {type(value).__name__}") from None
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise InputError(f"{name} must be real numbers. Got {str(tensor.dtype).removeprefix('torch.')}")
    if tensor.ndim < 1 or len(tensor) != rows:
        raise InputError(
            f"{name} must have one row per sample, {rows} as there are ids. Got the shape {tuple(tensor.shape)}"
        )
    return tensor


def _writable(array: np.ndarray) -> np.ndarray:
    """Return the array, or a copy if it is read-only, as the values of a Series are: torch warns of such."""
    return array if array.flags.writeable else array.copy()


def _own_memory(values: Tensor, original: Any) -> Tensor:
    """Copy the values if their memory may still be the caller's, who could write to it before it is read."""
    if not isinstance(original, Tensor) or values.data_ptr() == original.data_ptr():
        return values.clone()
    return values


def _check_finite(name: str, values: Tensor, ids: np.ndarray) -> None:
    if torch.isfinite(values.sum()):
        return
    bad = ~torch.isfinite(values).flatten(1).all(1)
    if bad.any():
        first = int(bad.int().argmax())
        raise InputError(
            f"{name} of id {format_id(ids, first)} are not finite: look for a diverged training or half-precision overflow"
        )


def _check_labels(labels: Any, ids: np.ndarray, n_classes: int) -> Tensor:
    tensor = _to_tensor("labels", labels, len(ids))
    if tensor.ndim != 1 or tensor.is_floating_point():
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise InputError(
            f"labels must be class codes from 0, integers of the shape (batch,). Got {dtype} of the shape "
            f"{tuple(tensor.shape)}: one-hot rows become codes by labels.argmax(1)"
        )
    codes = _own_memory(tensor.long(), labels)
    bad = (codes < 0) | (codes >= n_classes)
    if bad.any():
        first = int(bad.int().argmax())
        raise InputError(
            f"label {codes[first]} of id {format_id(ids, first)} is none of the {n_classes} classes of the logits: give "
            "codes from 0"
        )
    return codes


def _to_matrix(name: str, values: Any, ids: np.ndarray) -> Tensor | None:
    if values is None:
        return None
    tensor = _to_tensor(name, values, len(ids))
    if tensor.ndim < 2:
        raise InputError(f"{name} must have the shape (batch, …). Got {tuple(tensor.shape)}")
    # Other libraries cannot read half precision, bfloat16 or integers.
    tensor = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
    _check_finite(name, tensor, ids)
    return _own_memory(tensor.flatten(1), values)


def _check_rate(rate: Any, ids: np.ndarray) -> Tensor | None:
    if rate is None:
        return None
    tensor = torch.as_tensor(rate, dtype=torch.float64).detach().cpu()
    if tensor.ndim > 1 or (tensor.ndim == 1 and len(tensor) != len(ids)):
        raise InputError(f"rate must be a number, or one per sample. Got the shape {tuple(tensor.shape)}")
    tensor = tensor.expand(len(ids))
    if not (torch.isfinite(tensor) & (tensor >= 0)).all():
        raise InputError("rate must be finite and not negative: give the learning rate of the step")
    return tensor
