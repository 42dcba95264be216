"""Held-out arrays that a user computed, predictions or losses per view: read, and divided into halves."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hardsight.data.alignment import check_indexes
from hardsight.data.columns import check_ids
from hardsight.data.conversion import to_numpy
from hardsight.data.finite import check_finite
from hardsight.data.labelled_parts import Parts
from hardsight.difficulty.run_info import RunInfo
from hardsight.errors import Faults, InputError, first_line
from hardsight.measures.losses import Loss

SEED = 0


def as_array(name: str, values: Any, shape: str, kind: type) -> np.ndarray:
    """Return numbers or truth values as an array of one type.

    Raises:
        InputError: other values, or rows of different lengths.
    """
    try:
        array = np.asarray(to_numpy(values))
        if array.dtype.kind in "biufO":
            return np.asarray(array, dtype=kind, order="C")
        problem = f"the type {array.dtype}"
    except (TypeError, ValueError) as error:
        problem = first_line(error)
    raise InputError(f"{name} must be numbers of shape {shape}. Got {problem}")


def name_rows(n: int, ids: Any, samples: Any, parts: Any, kind: str) -> tuple[np.ndarray, Parts | None]:
    """Return an id of every row, ``(row,)``, and which sample each belongs to if rows are parts of samples.

    Args:
        n: number of rows.
        ids: of the rows, unique; None: their positions, or the ids of ``parts``.
        samples: the sample of each row; None: every row is a sample.
        parts: name of each row in its sample; None: numbers from 0.
        kind: what a part is called.

    Raises:
        InputError: samples and names whose indexes differ. Ids, samples or names that are missing, repeated or of another
            number, or ids besides samples; all faults at once.
    """
    if samples is None:
        if parts is not None:
            raise InputError("parts name the parts of samples: pass samples=…, the sample of each part, too")
        return np.arange(n) if ids is None else check_ids(ids, n), None
    check_indexes(samples=samples, parts=parts)
    faults = Faults()
    if ids is not None:
        faults.messages.append(f"the id of each {kind} is made of its sample and its name: leave out ids, or pass parts=ids")
    for name, values in (("samples", samples), ("parts", parts)):
        length = len(values) if hasattr(values, "__len__") and not isinstance(values, str) else 0
        if values is not None and length != n:
            faults.messages.append(f"{name} must be a sequence with one value per {kind}: got {length:,} for {n:,}")
    faults.raise_all()
    labelled = Parts.of(samples, parts, kind=kind)
    return labelled.ids, labelled


def in_halves(views: Tensor, rows: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Yield ``(rows, values, half)``, as :meth:`hardsight.measures.held_out.HeldOut.from_views` takes them.

    The views of every row alternate between two halves, so that both have some, whatever the order of the views.

    Args:
        views: ``(view, row, …)``.
        rows: the rows that each view holds, ``(row,)`` int64.
    """
    n_views = torch.zeros(views.shape[1], dtype=torch.int64)
    for view, of_view in zip(views, rows, strict=True):
        half = n_views[of_view] % 2
        n_views[of_view] += 1
        for number in (0, 1):
            chosen = of_view[half == number]
            if len(chosen):
                yield chosen, view[chosen], number


def describe_views(loss: Loss, n_views: int, label: str, part_name: str | None, notices: Sequence[str]) -> RunInfo:
    """Return the record of a run whose predictions the user computed, one model per view."""
    return RunInfo(
        loss=loss,
        learner="predictions as given",
        reason="as given",
        splits="as given",
        n_models=n_views,
        seed=SEED,
        label_name=label,
        part_name=part_name,
        notices=tuple(notices),
    )


def share_predicted(folds: int | None, rows: Sequence[Tensor], n: int) -> float:
    """Return the share of the data that each model left out: that of a fold, or of the rows that a view predicts.

    Args:
        folds: number of folds, if the user says it.
        rows: the rows that each view predicts, of ``n``.
    """
    return sum(map(len, rows)) / (n * len(rows)) if folds is None else 1 / folds


def read_feature_matrix(features: Any, n: int) -> np.ndarray:
    """Return the features of samples, ``(sample, feature)`` float64.

    Raises:
        InputError: features of another shape or number.
    """
    matrix = as_array("features", features, "(sample, feature)", np.float64)
    if matrix.ndim != 2 or len(matrix) != n:
        raise InputError(f"features must have shape ({n}, feature), one row per sample. Got {matrix.shape}")
    check_finite("features", matrix, allow_missing=True)
    return matrix


def read_mask(held_out: Any, shape: tuple[int, int], names: np.ndarray) -> np.ndarray:
    """Return which samples each view holds out, ``(view, sample)`` bool; all if that is not said.

    Args:
        held_out: what the user passed; None: all.
        shape: numbers of views and samples.
        names: ids of the samples, ``(sample,)``, for messages.

    Raises:
        InputError: a mask of another shape, or a sample without a view.
    """
    mask = np.ones(shape, dtype=bool) if held_out is None else as_array("held_out", held_out, "(view, sample)", bool)
    if mask.shape != shape:
        raise InputError(f"held_out must have shape {shape}, (view, sample). Got {mask.shape}")
    missing = np.flatnonzero(~mask.any(axis=0))
    if len(missing):
        raise InputError(
            f"held_out must be True at least once per sample. {len(missing)} samples have no held-out view, the first is "
            f"{names[missing[0]].item()!r}: leave them out"
        )
    return mask
