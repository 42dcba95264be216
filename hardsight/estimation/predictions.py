"""``hs.measure_predictions``: difficulty from held-out predictions that the user already has."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hardsight.attribution.label_noise.independent_witness import IndependentWitness
from hardsight.attribution.ledger import fit_label_posterior
from hardsight.data.alignment import check_indexes
from hardsight.data.conversion import to_numpy
from hardsight.data.label_matrix import holds_several
from hardsight.data.labels import encode_labels
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.run_info import RunInfo
from hardsight.errors import InputError
from hardsight.estimation.assemble import LabelInfo, assemble, has_ledger, read_features
from hardsight.estimation.class_predictions import as_frames, named_classes, read_class_predictions, stack_frames
from hardsight.estimation.held_out_arrays import (
    SEED,
    as_array,
    describe_views,
    in_halves,
    name_rows,
    read_feature_matrix,
    read_mask,
    share_predicted,
)
from hardsight.estimation.job import choose_loss
from hardsight.estimation.label_set_predictions import measure_label_set_predictions
from hardsight.estimation.witnesses import NO_LEDGER, WitnessedSamples, read_witnesses, use_witnesses
from hardsight.learners.base import as_tensor
from hardsight.learners.threads import limit_threads
from hardsight.measures.held_out import HeldOut
from hardsight.measures.losses import Loss
from hardsight.validation import check_int

_SHAPE = "(view, sample, class), or (view, sample) in regression"
_TWO_CLASSES = "with the probability p of the second of two classes, np.stack([1 - p, p], axis=-1)"


def measure_predictions(
    predictions: Any,
    y: Any,
    *,
    outputs: str = "auto",
    held_out: Any = None,
    folds: int | None = None,
    loss: str | None = None,
    ids: Any = None,
    classes: Any = None,
    features: Any = None,
    witness: Any = None,
    label: str = "label",
    samples: Any = None,
    parts: Any = None,
    kind: str = "part",
) -> Difficulty:
    """Compute difficulty from held-out predictions that you already have.

    Args:
        predictions: ``(view, sample, class)`` probabilities, log-probabilities or logits; ``(view, sample)`` predicted
            targets for regression. Also a list of frames, one per view, whose columns may be named by the classes. For
            several labels per sample, ``(view, sample, label)``: the same of having each label.
        y: ``(sample,)`` labels, or targets in regression. Several labels per sample: zeros and ones ``(sample, label)``,
            NaN where a label was not asked for, or lists of labels. Rows of the result are then samples' labels, as in
            :func:`measure`.
        outputs: what the predictions of classes are: "probabilities", "log-probabilities", "logits", or "auto", which tells
            them apart by their values. Rows with a probability of zero are smoothed, with a notice; see
            :func:`hardsight.estimation.class_predictions.read_class_predictions`.
        held_out: ``(view, sample)`` bool, True if the view's model had not seen the sample; None: everywhere. Predictions
            with False are never read.
        folds: number of folds of the cross-validation in which a view was predicted, at least 2. Uncertainty then includes
            what models share for want of data (:mod:`hardsight.attribution.ledger`). None: as far as ``held_out`` shows how
            much of the data each model left out.
        loss: as in :func:`measure`.
        ids: ``(sample,)``, unique; positions by default.
        classes: the labels that the columns of predictions stand for, in their order; by default the columns' names
            in frames, else those in ``y``, sorted.
        features: ``(sample, feature)`` numbers, NaN where missing. The ledger then uses the nearest neighbours of each
            sample, and ``p_strange`` all features, as in :func:`measure`; None: they use the predictions alone.
        witness: what something that never saw these labels says of the samples, as in :func:`measure`.
        label: the name of the label.
        samples: the sample of each row, ``(row,)``, if rows are labelled parts of samples, such as boxes of an image;
            everything said here of samples then holds for parts, and ``ids`` are left out.
        parts: the name of each part in its sample, ``(row,)``; numbers from 0 by default.
        kind: what a part is called, in the singular.

    Raises:
        InputError: shapes or indexes that do not match, predictions that are not finite or could be several things, a
            sample without a held-out view.

    >>> p = [[[0.9, 0.1], [0.5, 0.5]], [[0.7, 0.3], [0.5, 0.5]]]
    >>> measure_predictions(p, ["a", "b"]).error.round(3).tolist()
    [0.231, 0.693]
    """
    frames = as_frames(predictions)
    check_indexes(y=y, ids=ids, features=features, **{f"predictions[{view}]": frame for view, frame in enumerate(frames)})
    if folds is not None:
        check_int("folds", folds, 2)
    if holds_several(y):
        if samples is not None or parts is not None:
            raise InputError("samples and parts are for rows with one label, and y holds several per sample: leave them out")
        return measure_label_set_predictions(
            stack_frames(frames) if frames else predictions,
            y,
            frames=frames,
            outputs=outputs,
            held_out=held_out,
            folds=folds,
            loss=choose_loss(loss, regression=False),
            ids=ids,
            names=classes,
            features=features,
            witness=witness,
            label=label,
        )
    views = _as_views(stack_frames(frames) if frames else predictions, y)
    n_samples = views.shape[1]
    names, labelled_parts = name_rows(n_samples, ids, samples, parts, kind)
    task = "classification" if views.ndim == 3 else "regression"
    if task == "regression" and outputs != "auto":
        raise InputError(f"outputs={outputs!r} is for predictions of classes, and these are numbers: leave it out")
    if task == "regression" and loss is None:
        _refuse_classes(views, y, names, label)
    labels, class_names, notices = encode_labels(y, ids=names, task=task, name=label, merge_spellings=None)
    if classes is None and frames and class_names is not None:
        classes = named_classes(frames[0], class_names)
    if classes is not None and class_names is not None:
        labels, class_names = _recode(labels, class_names, classes)
    rows = _held_out_rows(held_out, views, names)
    if class_names is not None:
        if views.shape[2] != len(class_names):
            raise InputError(
                f"predictions have {views.shape[2]} classes, and y has {len(class_names)}: name the classes of the columns "
                "with classes=…"
            )
        views, more = read_class_predictions(views, rows, names, outputs)
        notices = [*notices, *more]
    measured_loss = choose_loss(loss, regression=class_names is None)
    moments = HeldOut.from_views(
        torch.from_numpy(labels),
        None if class_names is None else len(class_names),
        in_halves(views, rows),
        part_of=None if labelled_parts is None else torch.from_numpy(labelled_parts.codes),
    )
    run = describe_views(measured_loss, len(views), label, None if labelled_parts is None else kind, notices)
    index = y.index if isinstance(y, pd.Series) else None
    witnesses = read_witnesses(witness, WitnessedSamples(names, class_names, row_names=index))
    info = LabelInfo()
    if features is not None:
        blocks = None if labelled_parts is None else labelled_parts.codes
        info = read_given_features(features, labels if class_names is not None else None, n_samples, blocks)
    with limit_threads(views[0].numel()):
        if witnesses:
            info, run = _add_witnesses(info, run, moments, measured_loss, witnesses)
        return assemble(
            moments,
            run,
            names,
            class_names,
            loss=measured_loss,
            labels=info,
            labelled_parts=labelled_parts,
            left_out=share_predicted(folds, rows, n_samples),
        )


def _add_witnesses(
    info: LabelInfo, run: RunInfo, held_out: HeldOut, loss: Loss, witnesses: list[IndependentWitness]
) -> tuple[LabelInfo, RunInfo]:
    """Return what is inferred of the labels with the evidence of witnesses, and the record of the run with a notice."""
    if not has_ledger(held_out, loss):
        return info, replace(run, notices=(*run.notices, NO_LEDGER))
    posterior = fit_label_posterior(held_out.consensus, held_out.labels, info.neighbours, features=info.features)
    witnessed = use_witnesses(posterior, held_out, witnesses, info.neighbours)
    info = info._replace(prior=posterior.evidence.prior, posterior=witnessed.posterior)
    return info, replace(run, notices=(*run.notices, witnessed.notice), witnesses=witnessed.records)


def _as_views(predictions: Any, y: Any) -> Tensor:
    """Return the predictions as a tensor ``(view, sample, class)`` or ``(view, sample)``.

    Raises:
        InputError: another shape, with what makes it one of these where that can be told from the number of labels.
    """
    array = as_array("predictions", predictions, _SHAPE, np.float64)
    n_labels = len(y) if hasattr(y, "__len__") and not isinstance(y, str) else None
    if array.ndim in (1, 2) and len(array) == n_labels and array.shape[1:] != (n_labels,):
        single = "predictions[None]" if array.ndim == 1 else "predictions[None] for classes, predictions.T for numbers"
        raise InputError(f"predictions must have shape {_SHAPE}. Got {array.shape}: put the axis of views first ({single})")
    if array.ndim not in (2, 3):
        raise InputError(f"predictions must have shape {_SHAPE}. Got {array.shape}")
    if array.ndim == 3 and array.shape[2] == 1:
        raise InputError(
            f"predictions must have one column per class. Got shape {array.shape}: {_TWO_CLASSES}, or predictions[..., 0] "
            "for numbers to predict"
        )
    return as_tensor(array)


def _refuse_classes(views: Tensor, y: Any, ids: np.ndarray, label: str) -> None:
    """Refuse classes whose predictions have no axis of classes; they would be measured as numbers.

    Raises:
        InputError: labels that are text, or integers that the predictions repeat, or two integers and predictions within
            [0, 1].
    """
    labels, classes, _ = encode_labels(y, ids=ids, task="auto", name=label)
    if classes is None or len(labels) != views.shape[1]:
        return
    are_numbers = all(type(name) is int for name in classes)
    repeated = are_numbers and bool(np.isin(views.numpy(), classes).all())
    binary = len(classes) == 2 and bool(((views >= 0) & (views <= 1)).all())
    if not are_numbers or repeated or binary:
        hint = ", or loss='squared' if y are numbers to predict" if are_numbers else ""
        raise InputError(
            f"y holds {len(classes)} classes, and predictions of shape {tuple(views.shape)} have no column per class: pass "
            f"(view, sample, class); {_TWO_CLASSES}{hint}"
        )


def read_given_features(features: Any, labels: np.ndarray | None, n: int, blocks: np.ndarray | None) -> LabelInfo:
    """Return the neighbours of rows, and how unlike the others they are; ``labels``: None without classes.

    Args:
        features: ``(row, feature)``.
        n: number of rows.
        blocks: rows of one block are not neighbours of each other, ``(row,)`` int64; None: equal rows are one block.

    Raises:
        InputError: features of another shape.
    """
    matrix = read_feature_matrix(features, n)
    if blocks is None:
        blocks = np.unique(matrix, axis=0, return_inverse=True)[1].reshape(-1)
    return read_features(matrix, labels, blocks, SEED)


def _held_out_rows(held_out: Any, views: Tensor, names: np.ndarray) -> list[Tensor]:
    """Return the rows that each view predicts.

    Raises:
        InputError: a mask of another shape, a sample without a view, or a prediction that is not finite.
    """
    mask = read_mask(held_out, (len(views), views.shape[1]), names)
    rows = [torch.from_numpy(np.flatnonzero(view)) for view in mask]
    limit = " in float32" if views.ndim == 2 else ""
    for index, each in enumerate(rows):
        part = views[index, each]
        # The logarithm of a probability of zero is read later.
        invalid = part.isnan() | part.isposinf()
        if views.ndim == 2:
            invalid |= part.abs() > torch.finfo(torch.float32).max
        if invalid.any():
            first = int(each[invalid.nonzero()[0, 0]])
            raise InputError(
                f"predictions must be finite{limit}. Got another number in view {index}, sample {names[first].item()!r}: "
                "leave it out with held_out=…, or predict it again"
            )
    return rows


def _recode(labels: np.ndarray, present: tuple[Any, ...], classes: Any) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Return the labels as codes into the user's classes, and these classes."""
    if isinstance(classes, str | bytes) or not isinstance(classes, Iterable):
        raise InputError(f"classes must be a list of labels, one per column of predictions. Got {classes!r}")
    names = tuple(name.item() if isinstance(name, np.generic) else name for name in to_numpy(classes))
    unknown = [name for name in present if name not in names]
    if unknown or len(set(names)) != len(names):
        raise InputError(f"classes must name every label once. Got {names!r}, and y holds {unknown or 'them all'!r}")
    return np.array([names.index(name) for name in present])[labels], names
