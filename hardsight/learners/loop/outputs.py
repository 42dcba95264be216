"""What a user's function returns for some samples, as log-probabilities, numbers or losses."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from hardsight.data.conversion import to_numpy
from hardsight.errors import InputError, LearnerError
from hardsight.learners.sklearn import laplace
from hardsight.measures.probabilities import EXACT, are_log_probabilities, are_probabilities, look_like_probabilities

Outputs = Literal["auto", "logits", "log-probabilities", "probabilities"]
OUTPUTS = get_args(Outputs)
_ROUNDING = 1e-6


def read_array(returned: Any, n_rows: int, name: str) -> Float64[Tensor, " row *output"]:
    """Return what a function returned as one array of numbers; a list of batches is joined.

    Args:
        n_rows: number of samples asked for.
        name: what messages call the function.

    Raises:
        InputError: it is not numbers.
        LearnerError: not one row per sample, or a number that is not finite; -inf is.
    """
    try:
        # numpy reads None as NaN.
        joined = np.asarray({} if returned is None else _join_batches(returned, n_rows))
        if np.iscomplexobj(joined):
            raise TypeError
        # A copy: torch reads no arrays with negative strides, and warns of those that cannot be written.
        array = np.array(joined, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"{name} must return an array or tensor of numbers, one row per id. Got {_describe_type(returned)}"
        ) from None
    if array.ndim == 0 or len(array) != n_rows:
        raise InputError(
            f"{name} must return one row per id, in the order of the ids. It returned shape {array.shape} for {n_rows} ids"
        )
    invalid = np.isnan(array) | np.isposinf(array)
    if invalid.any():
        rows = invalid.reshape(n_rows, -1).any(1)
        raise LearnerError(
            f"{name} returned {array[invalid][0]:g} in {rows.sum()} of {n_rows} rows: the training may have diverged"
        )
    return torch.from_numpy(array)


def _describe_type(returned: Any) -> str:
    kind = type(returned).__name__
    if isinstance(returned, np.ndarray) and returned.dtype.kind in "USO":
        return f"{kind} of {'text' if isinstance(next(iter(returned.flat), None), str) else 'objects'}"
    return kind


def _join_batches(returned: Any, n_rows: int) -> Any:
    if not isinstance(returned, list | tuple):
        return to_numpy(returned)
    parts = [np.asarray(to_numpy(part)) for part in returned]
    sizes = [len(part) for part in parts if part.ndim]
    are_batches = len(sizes) == len(parts) and sum(sizes) == n_rows and (len(parts) != n_rows or parts[0].ndim > 1)
    return np.concatenate(parts) if are_batches else parts


class ClassOutputs:
    """Converts what a function returns to log-probabilities of the classes.

    Args:
        classes: of the samples, sorted.
        order: classes in the order of the function's columns; None: sorted, or by their number if there are more columns.
        kind: what the numbers are.
        name: what messages call the function.

    Raises:
        InputError: the order is not that of these classes.
    """

    def __init__(self, classes: Sequence[Any], order: Sequence[Any] | None, kind: str, name: str) -> None:
        self.classes, self.kind, self.name = tuple(classes), kind, name
        self.columns = None if order is None else _find_columns(self.classes, list(order))
        self.n_columns = len(classes) if order is None else len(order)

    @property
    def order_is_known(self) -> bool:
        """Whether the order of the columns was passed."""
        return self.columns is not None

    @property
    def classes_are_numbers(self) -> bool:
        """Whether the sorted order of the classes is the likely one."""
        return all(isinstance(label, int | float) for label in self.classes)

    def check_single_column(self, array: Float64[Tensor, " row *output"]) -> None:
        """Check that one column of two classes, of unknown kind, does not look like log-probabilities.

        Raises:
            InputError: no number is above 0.
        """
        if self.kind == "auto" and len(self.classes) == 2 and array[0].numel() == 1 and not bool((array > 0).any()):
            raise InputError(
                f"{self.name} returned one column and no number above 0, such as {_format_row(array.reshape(-1, 1))}, which "
                "may be logits or log-probabilities of the second class: say which, hs.Loop(…, outputs='logits') or "
                "outputs='log-probabilities'"
            )

    def log_probabilities(self, array: Float64[Tensor, " row *output"], trained_on: int) -> Float64[Tensor, "row class"]:
        """Return logits or log-probabilities, one column per class; zero probabilities are smoothed by Laplace's rule.

        Args:
            array: of :func:`read_array`.
            trained_on: number of training samples.

        Raises:
            InputError: another number of columns, or numbers that are not what they should be.
        """
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        single = array.ndim == 1 and len(self.classes) == 2
        kind = self._kind_of(array[:, None] if single else array, single=single)
        if kind == "probabilities":
            array = array.clamp(0, 1)  # rounded sums
        columns = self._both_classes(array, kind) if single else self._select(array)
        values = columns.log() if kind == "probabilities" else columns
        if values.isneginf().any() or kind == "probabilities" or look_like_probabilities(values):
            # Where all known classes have probability zero, the rule gives each the same.
            unknown = values.isneginf().all(1, keepdim=True)
            values = torch.from_numpy(laplace(values.where(~unknown, 0.0).log_softmax(1).numpy(), trained_on))
        return values

    def _kind_of(self, array: Tensor, *, single: bool) -> str:
        self._check_shape(array, single=single)
        if self.kind == "auto":
            return self._recognise(array, single=single)
        if self.kind == "probabilities":
            valid = _are_within_0_and_1(array) if single else bool(are_probabilities(array).all())
        elif self.kind == "log-probabilities":
            valid = bool((array <= 0).all()) if single else bool(are_log_probabilities(array).all())
        else:
            valid = True
        if not valid:
            raise InputError(
                f"{self.name} must return {self.kind} (outputs={self.kind!r}), and its rows are something else, such as "
                f"{_format_row(array)}: say what they are, outputs={' or '.join(map(repr, OUTPUTS[1:]))}"
            )
        return self.kind

    def _check_shape(self, array: Tensor, *, single: bool) -> None:
        expected = self.n_columns
        if array.ndim == 2 and (array.shape[1] == expected or single or self._are_numbered(array.shape[1])):
            return
        hint = ""
        if array.ndim == 1:
            hint = ": scores of the classes, not the likeliest class"
            hint += "; for numbers as targets, pass task='regression'" if self.classes_are_numbers else ""
        elif self.columns is None and array.ndim == 2 and array.shape[1] > expected:
            hint = ": if some of its classes have no sample, name all in the order of the columns, hs.Loop(…, classes=…)"
        raise InputError(
            f"{self.name} must return {expected} columns, one per class. It returned shape {tuple(array.shape)}{hint}"
        )

    def _are_numbered(self, n_columns: int) -> bool:
        """Return whether classes are numbers of columns, some of which have no sample."""
        numbers = all(type(label) is int for label in self.classes)
        return self.columns is None and numbers and self.classes[0] >= 0 and len(self.classes) < n_columns > self.classes[-1]

    def _recognise(self, array: Tensor, *, single: bool) -> str:
        """Return whether numbers are probabilities; logits and log-probabilities are treated alike.

        Raises:
            InputError: they could be either.
        """
        if not single and bool(are_probabilities(array, EXACT).all()):
            return "probabilities"
        if not _are_within_0_and_1(array):
            return "logits"
        raise InputError(
            f"{self.name} returned numbers between 0 and 1 alone, which may be probabilities or logits, such as "
            f"{_format_row(array)}: say which, hs.Loop(…, outputs='probabilities') or outputs='logits'"
        )

    def _both_classes(self, second: Float64[Tensor, " row"], kind: str) -> Float64[Tensor, "row 2"]:
        """Return a column for each of two classes from the one of the second."""
        if kind == "probabilities":
            both = torch.stack([1 - second, second], 1)
        elif kind == "log-probabilities":
            both = torch.stack([(-second.expm1()).log(), second], 1)
        else:
            both = torch.stack([torch.zeros_like(second), second], 1)
        return both if self.columns is None else both[:, self.columns]

    def _select(self, array: Float64[Tensor, "row column"]) -> Float64[Tensor, "row class"]:
        if self.columns is not None:
            return array[:, self.columns]
        return array if array.shape[1] == len(self.classes) else array[:, torch.tensor(self.classes)]


def _are_within_0_and_1(array: Tensor) -> bool:
    """Return whether numbers lie between 0 and 1, as far as sums of probabilities are rounded."""
    return bool(((array >= -_ROUNDING) & (array <= 1 + _ROUNDING)).all())


def _find_columns(classes: tuple[Any, ...], order: list[Any]) -> Tensor:
    """Return which column belongs to each class, ``(class,)``.

    Raises:
        InputError: a class is missing or named twice.
    """
    names = [value.item() if isinstance(value, np.generic) else value for value in order]
    missing = [label for label in classes if label not in names]
    if missing or len(set(names)) != len(names):
        reason = f"{missing[0]!r} is missing" if missing else "one is named twice"
        raise InputError(
            f"classes of hs.Loop must name every class once, in the order of the columns of predict: {reason}. The classes "
            f"of the labels are {', '.join(map(repr, classes[:12]))}{', …' if len(classes) > 12 else ''}"
        )
    return torch.tensor([names.index(label) for label in classes])


def read_values(array: Float64[Tensor, " row *output"], name: str, what: str) -> Float64[Tensor, " row"]:
    """Return one number per sample.

    Args:
        what: the number, for the message.

    Raises:
        InputError: there are several.
        LearnerError: one is not finite.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(f"{name} must return one number per id, {what}. It returned shape {tuple(array.shape)}")
    if not array.isfinite().all():
        raise LearnerError(f"{name} returned {array[~array.isfinite()][0].item():g}: the training may have diverged")
    return array


def _format_row(array: Tensor) -> str:
    numbers = [f"{value:.3g}" for value in array[0, :5].tolist()]
    return f"({', '.join(numbers)}{', …' if array.shape[1] > 5 else ''})"
