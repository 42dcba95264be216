"""Predictions of classes that a user has, as log-probabilities: told apart by their values, or named by the user."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hardsight.data.conversion import to_pandas
from hardsight.errors import InputError
from hardsight.learners.sklearn import laplace
from hardsight.measures.probabilities import are_log_probabilities, are_probabilities
from hardsight.validation import check_choice, join_names

Outputs = Literal["auto", "probabilities", "log-probabilities", "logits"]

_NAME_THEM = "if they are logits, pass outputs='logits'"
# How stated outputs are tested, what they must do, and what to do otherwise.
_STATED: dict[str, tuple[Callable[[Tensor], Tensor], str, str]] = {
    "probabilities": (are_probabilities, "be within 0 and 1 and sum to one in every row", "divide each row by its sum"),
    "log-probabilities": (are_log_probabilities, "be 0 or less, with exponentials that sum to one", _NAME_THEM),
}


class ClassPredictions(NamedTuple):
    """Predictions whose softmax are the probabilities."""

    views: Tensor  # (view, sample, class) float64
    notices: list[str]  # what a user should know of how they were read


class _HeldOutPredictions(NamedTuple):
    """Predictions, and the rows of each view that count. The other rows are never read."""

    views: Tensor  # (view, sample, class)
    rows: Sequence[Tensor]  # of each view, (row,) int64
    ids: np.ndarray  # (sample,)

    def all(self, test: Callable[[Tensor], Tensor]) -> bool:
        """Return whether a test of rows holds everywhere."""
        return all(bool(test(view[rows]).all()) for view, rows in zip(self.views, self.rows, strict=True))

    def mostly(self, test: Callable[[Tensor], Tensor]) -> bool:
        """Return whether a test of rows holds for more than half of the rows of a view."""
        return any(
            len(rows) > 1 and 2 * int(test(view[rows]).sum()) > len(rows)
            for view, rows in zip(self.views, self.rows, strict=True)
        )

    def first(self, test: Callable[[Tensor], Tensor]) -> str:
        """Describe the first row for which a test of rows fails: where it is, and its values."""
        for index, (view, rows) in enumerate(zip(self.views, self.rows, strict=True)):
            failed = (~test(view[rows])).nonzero()
            if len(failed):
                row = int(rows[failed[0, 0]])
                values = ", ".join(f"{value:.3g}" for value in view[row, :4].tolist())
                more = ", …" if view.shape[1] > 4 else ""
                return f"[{values}{more}] in view {index}, sample {self.ids[row].item()!r}"
        raise AssertionError("the test holds for every row")


def as_frames(predictions: Any) -> list[pd.DataFrame]:
    """Return predictions that are frames, one per view; nothing if they are something else."""
    if not isinstance(predictions, list | tuple):
        return []
    frames = [to_pandas(view) for view in predictions]
    return frames if all(isinstance(frame, pd.DataFrame) for frame in frames) else []


def stack_frames(frames: Sequence[pd.DataFrame]) -> np.ndarray:
    """Return frames as one array ``(view, sample, column)``, with the columns of all in the order of the first.

    Raises:
        InputError: frames with other columns, or of another length.
    """
    names = list(frames[0].columns)
    for view, frame in enumerate(frames):
        if len(frame) != len(frames[0]) or len(frame.columns) != len(names) or set(frame.columns) != set(names):
            raise InputError(
                "predictions must be frames of one length with the same columns. Got "
                f"{frames[0].shape} of {join_names(names[:5])} in view 0 and {frame.shape} of "
                f"{join_names(frame.columns[:5])} in view {view}: give every view the columns of all classes"
            )
    return np.stack([frame[names].to_numpy() for frame in frames])


def named_classes(frame: pd.DataFrame, labels: Sequence[Any]) -> list[Any] | None:
    """Return the names of the columns if they name all labels, so that they tell which class a column is; else None."""
    names = [name.item() if isinstance(name, np.generic) else name for name in frame.columns]
    return names if set(labels) <= set(names) else None


def read_class_predictions(
    views: Tensor, rows: Sequence[Tensor], ids: np.ndarray, outputs: str = "auto"
) -> ClassPredictions:
    """Convert predictions to numbers whose softmax are the probabilities.

    Rows within [0, 1] that all sum to one are probabilities. Everything else is normalised by a softmax, which leaves
    log-probabilities as they are. A probability of zero would make a loss infinite: a row with one is smoothed by
    Laplace's rule of succession (:func:`hardsight.learners.sklearn.laplace`), with as many observations as samples.

    Args:
        views: ``(view, sample, class)``.
        rows: the rows that each view predicts, ``(row,)`` int64.
        ids: ids of the samples, ``(sample,)``, for messages.
        outputs: what the predictions are, of :data:`Outputs`.

    Raises:
        InputError: predictions that are not what ``outputs`` says, or that could be several things.
    """
    check_choice("outputs", outputs, get_args(Outputs))
    held_out = _HeldOutPredictions(views, rows, ids)
    notices: list[str] = []
    if outputs == "auto":
        outputs = _recognise(held_out, notices)
    else:
        _check_stated(held_out, outputs)
    if outputs == "logits":
        _check_finite(held_out)
        return ClassPredictions(views, notices)
    if outputs == "probabilities":
        views = views.clamp(min=0).log()
    return ClassPredictions(_smooth_zeros(views, rows, notices), notices)


def _recognise(held_out: _HeldOutPredictions, notices: list[str]) -> str:
    """Return what predictions are by their values.

    Raises:
        InputError: values that could be several things, or a mixture.
    """
    if held_out.all(are_probabilities):
        notices.append(
            "The predictions are within 0 and 1 and sum to one in every row: they are read as probabilities "
            "(outputs='logits' reads them as logits)."
        )
        return "probabilities"
    if held_out.all(are_log_probabilities):
        return "log-probabilities"
    if held_out.all(lambda part: are_probabilities(part / 100)):
        raise InputError(f"predictions sum to 100 in every row: divide percentages by 100; {_NAME_THEM}")
    if held_out.all(lambda part: are_log_probabilities(-part)):
        raise InputError(f"predictions are negative logarithms of probabilities: pass -predictions; {_NAME_THEM}")
    if held_out.mostly(are_probabilities):
        raise InputError(
            "most rows of predictions look like probabilities, but not all. Got "
            f"{held_out.first(are_probabilities)}: give probabilities in every row; {_NAME_THEM}"
        )
    if held_out.all(_within_unit) and not held_out.all(lambda part: (part == 0).all(-1)):
        raise InputError(
            f"predictions are within 0 and 1, but do not sum to one. Got {held_out.first(are_probabilities)}: divide "
            f"scores of one class against the rest by their sum (p / p.sum(-1, keepdims=True)); {_NAME_THEM}"
        )
    return "logits"


def _within_unit(rows: Tensor) -> Tensor:
    return ((rows >= 0) & (rows <= 1)).all(-1)


def _check_stated(held_out: _HeldOutPredictions, outputs: str) -> None:
    if outputs not in _STATED:
        return
    test, requirement, fix = _STATED[outputs]
    if not held_out.all(test):
        raise InputError(f"{outputs} must {requirement}. Got {held_out.first(test)}: {fix}")


def _check_finite(held_out: _HeldOutPredictions) -> None:
    def finite(rows: Tensor) -> Tensor:
        return rows.isfinite().all(-1)

    if not held_out.all(finite):
        raise InputError(
            f"predictions must be finite. Got {held_out.first(finite)}: give finite logits, or leave these predictions out "
            "with held_out=…"
        )


def _smooth_zeros(views: Tensor, rows: Sequence[Tensor], notices: list[str]) -> Tensor:
    """Return log-probabilities that are finite in the rows that count."""
    zeros = sum(int(view[part].isneginf().sum()) for view, part in zip(views, rows, strict=True))
    if not zeros:
        return views
    n_samples, n_classes = views.shape[1:]
    smoothed = views.clone()
    for view, part in zip(smoothed, rows, strict=True):
        view[part] = torch.from_numpy(laplace(view[part].numpy(), n_samples))
    notices.append(
        f"{zeros} predicted probabilities are zero: their rows are smoothed as (n p + 1) / (n + {n_classes}), with "
        f"n = {n_samples} samples. Pass smoothed probabilities to change that."
    )
    return smoothed
