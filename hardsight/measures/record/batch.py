"""A batch as given → a view: checked, detached, on the CPU, in double precision."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.measures.record.id_index import format_id
from hardsight.measures.statistics import View

_PARTS = ("features", "input_gradients", "rate")
_ENOUGH = 2


class Batch(NamedTuple):
    """A checked batch."""

    names: np.ndarray
    view: View

    @classmethod
    def of(cls, names: np.ndarray, logits: Any, labels: Any, features: Any, input_gradients: Any, rate: Any) -> "Batch":
        """Check what a loop gave.

        Raises:
            InputError: a wrong shape or type, or a number that is not finite; names the id.
        """
        z = _own(_tensor("logits", logits, len(names)).double(), logits)
        if z.ndim != 2 or z.shape[1] < 2:
            raise InputError(
                f"logits must have the shape (batch, class) with 2 classes or more, got {tuple(z.shape)}: of a single logit "
                "z make torch.stack([torch.zeros_like(z), z], 1)"
            )
        _finite("logits", z, names)
        y = _labels(labels, names, z.shape[1])
        view = View(
            z,
            y,
            _matrix("features", features, names),
            _matrix("input_gradients", input_gradients, names),
            _rate(rate, names),
        )
        return cls(names, view)

    def take(self, at: np.ndarray) -> "Batch":
        """The samples at some positions."""
        rows = torch.from_numpy(at)
        view = self.view
        parts = {part: None if getattr(view, part) is None else getattr(view, part)[rows] for part in _PARTS}
        return Batch(self.names[at], View(view.logits[rows], view.labels[rows], **parts))

    def widths(self) -> dict[str, int]:
        """Values a sample of the features and input gradients that were given."""
        given = {part: getattr(self.view, part) for part in ("features", "input_gradients")}
        return {part: values.shape[1] for part, values in given.items() if values is not None}

    def like_probabilities(self, before: int) -> int | None:
        """How many rows look like probabilities, with ``before`` that did; None once a row does not.

        Rows of zeros and a one tell nothing, and one row may be an accident.

        Raises:
            InputError: all rows so far do.
        """
        z = self.view.logits
        alike = (z >= 0).all(1) & ((z.sum(1) - 1).abs() < 1e-3)
        if not alike.all():
            return None
        found = before + int((z < 1).all(1).sum())
        if found >= _ENOUGH:
            raise InputError(
                f"logits look like probabilities (nothing below zero, rows sum to one, from id {format_id(self.names, 0)} on): "
                "give what comes before the softmax, or probabilities.log(); if these are logits, logits - 1 means the same"
            )
        return found


def _tensor(name: str, value: Any, rows: int) -> Tensor:
    try:
        found = value.detach().cpu() if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a tensor or an array of numbers, got {type(value).__name__}") from None
    if found.is_complex() or found.dtype == torch.bool:
        raise InputError(f"{name} must be real numbers, got {str(found.dtype).removeprefix('torch.')}")
    if found.ndim < 1 or len(found) != rows:
        raise InputError(
            f"{name} must have one row a sample, {rows} as there are ids, got the shape {tuple(found.shape)}"
        )
    return found


def _own(values: Tensor, given: Any) -> Tensor:
    """A copy where the memory is still the caller's, who may write to it before it is read."""
    return values.clone() if not isinstance(given, Tensor) or values.data_ptr() == given.data_ptr() else values


def _finite(name: str, values: Tensor, names: np.ndarray) -> None:
    if torch.isfinite(values.sum()):
        return
    bad = ~torch.isfinite(values).flatten(1).all(1)
    if bad.any():
        at = int(bad.int().argmax())
        raise InputError(
            f"{name} of id {format_id(names, at)} are not finite: look for a diverged training or half-precision overflow"
        )


def _labels(labels: Any, names: np.ndarray, classes: int) -> Tensor:
    found = _tensor("labels", labels, len(names))
    if found.ndim != 1 or found.is_floating_point():
        kind = str(found.dtype).removeprefix("torch.")
        raise InputError(
            f"labels must be class codes from 0, whole numbers of the shape (batch,), got {kind} of the shape "
            f"{tuple(found.shape)}: one-hot rows become codes by labels.argmax(1)"
        )
    codes = _own(found.long(), labels)
    strange = (codes < 0) | (codes >= classes)
    if strange.any():
        at = int(strange.int().argmax())
        raise InputError(
            f"label {codes[at]} of id {format_id(names, at)} is none of the {classes} classes of the logits: give codes from 0"
        )
    return codes


def _matrix(name: str, values: Any, names: np.ndarray) -> Tensor | None:
    if values is None:
        return None
    found = _tensor(name, values, len(names))
    if found.ndim < 2:
        raise InputError(f"{name} must have the shape (batch, …), got {tuple(found.shape)}")
    # Types that other libraries cannot read: half precision, bfloat16, integers.
    found = found if found.dtype in (torch.float32, torch.float64) else found.float()
    _finite(name, found, names)
    return _own(found.flatten(1), values)


def _rate(rate: Any, names: np.ndarray) -> Tensor | None:
    if rate is None:
        return None
    found = torch.as_tensor(rate, dtype=torch.float64).detach().cpu()
    if found.ndim > 1 or (found.ndim == 1 and len(found) != len(names)):
        raise InputError(f"rate must be a number, or one a sample, got the shape {tuple(found.shape)}")
    found = found.expand(len(names))
    if not (torch.isfinite(found) & (found >= 0)).all():
        raise InputError("rate must be finite and not negative: give the learning rate of the step")
    return found
