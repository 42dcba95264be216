"""Held-out predictions that a user has, of samples with several labels: each row of the result is one of their labels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from hardsight.attribution.label_noise import class_prior
from hardsight.attribution.label_noise.independent_witness import IndependentWitness
from hardsight.data import Samples
from hardsight.data.columns import check_ids
from hardsight.data.from_label_sets import KIND, split_labels
from hardsight.data.label_matrix import NOT_ASKED, LabelMatrix, leave_out_constant, read_label_matrix
from hardsight.data.unlabelled import describe_unlabelled
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.run_info import RefinedInfo
from hardsight.errors import InputError
from hardsight.estimation.assemble import LabelInfo, TrueLabels, has_ledger
from hardsight.estimation.class_predictions import Outputs, read_class_predictions
from hardsight.estimation.held_out_arrays import (
    SEED,
    as_array,
    describe_views,
    in_halves,
    read_feature_matrix,
    read_mask,
    share_predicted,
)
from hardsight.estimation.label_set_witnesses import read_label_set_witnesses
from hardsight.estimation.label_sets import assemble_labels, read_features_of_whole
from hardsight.estimation.reweighted_rounds import infer_labels
from hardsight.estimation.true_labels import add_witnesses_to, describe_posterior
from hardsight.estimation.witnesses import NO_LEDGER, WitnessedSamples
from hardsight.learners.base import as_tensor
from hardsight.learners.threads import limit_threads
from hardsight.measures.held_out import HeldOut
from hardsight.measures.losses import Loss
from hardsight.validation import check_choice, join_names

_SHAPE = "(view, sample, label)"


def measure_label_set_predictions(
    predictions: Any,
    y: Any,
    *,
    frames: Sequence[pd.DataFrame],
    outputs: str,
    held_out: Any,
    folds: int | None,
    loss: Loss,
    ids: Any,
    names: Any,
    features: Any,
    witness: Any,
    label: str,
) -> Difficulty:
    """Compute difficulty from predictions of whether samples have each label; see :func:`measure_predictions`.

    Args:
        predictions: ``(view, sample, label)``: the probability of having the label, or its logarithm, or log-odds.
        y: which labels samples have, in any form of :func:`hardsight.data.label_matrix.holds_several`.
        frames: the frames that the predictions were, one per view; empty if they were no frames.
        names: the label that each column of predictions stands for; None: those of the frames, or of ``y`` in their order.

    Raises:
        InputError: as :func:`measure_predictions`.
    """
    views = as_array("predictions", predictions, _SHAPE, np.float64)
    matrix = read_label_matrix(y, label)
    if views.ndim != 3 or views.shape[1] != len(matrix.values):
        hint = ": put the axis of views first (predictions[None])" if views.shape == matrix.values.shape else ""
        raise InputError(
            f"predictions must have shape {_SHAPE}, with {len(matrix.values):,} samples. Got {views.shape}{hint}"
        )
    ids = np.arange(len(matrix.values)) if ids is None else check_ids(ids, len(matrix.values))
    names_before = matrix.names
    views = views[:, :, _find_columns(matrix, frames, names, views.shape[2])]
    matrix = leave_out_constant(matrix, label)
    views = views[:, :, np.isin(names_before, matrix.names)]
    has_labels = (matrix.values != NOT_ASKED).any(1)
    samples = _make_samples(matrix, ids, features, label)
    layout = samples.layout
    mask = read_mask(held_out, (len(views), len(ids)), ids)[:, has_labels]
    rows = [torch.from_numpy(np.flatnonzero(view[layout.row])) for view in mask]
    log_prob, notices = _read_pairs(
        as_tensor(views[:, has_labels][:, layout.row, layout.column]), rows, samples.ids, outputs
    )
    part_of = torch.from_numpy(layout.row)
    moments = HeldOut.from_views(torch.from_numpy(samples.labels), 2, in_halves(log_prob, rows), part_of=part_of)
    run = describe_views(loss, len(views), label, KIND, [*samples.notices, *notices])
    index = y.index[has_labels] if isinstance(y, pd.Series | pd.DataFrame) else None
    witnessed = WitnessedSamples(
        layout.whole.ids, samples.classes, np.flatnonzero(has_labels), len(has_labels), row_names=index
    )
    witnesses = read_label_set_witnesses(witness, samples, witnessed)
    with limit_threads(log_prob[0].numel()):
        labels = _infer(moments, samples, loss, witnesses)
        run = replace(run, notices=(*run.notices, *labels.notices), witnesses=labels.witnesses)
        left_out = share_predicted(folds, rows, len(samples))
        return assemble_labels(moments, samples, run, labels.info, loss=loss, left_out=left_out)


def _find_columns(matrix: LabelMatrix, frames: Sequence[pd.DataFrame], names: Any, n_columns: int) -> list[int]:
    """Return the column of predictions that each label has.

    Raises:
        InputError: labels without a column, or columns that nothing names.
    """
    labels = [str(name) for name in matrix.names.tolist()]
    columns = None if names is None else [str(name) for name in names]
    if columns is None and frames and set(labels) <= {str(name) for name in frames[0].columns}:
        columns = [str(name) for name in frames[0].columns]
    if columns is None:
        if n_columns != len(labels):
            raise InputError(
                f"predictions have {n_columns} columns, and y has the {len(labels)} labels {join_names(labels, 5)}: "
                "name the labels of the columns with classes=…"
            )
        return list(range(n_columns))
    if len(columns) != n_columns or len(set(columns)) < n_columns:
        raise InputError(
            f"classes must name each of the {n_columns} columns of predictions once. Got {join_names(columns, 5)}"
        )
    missing = [name for name in labels if name not in columns]
    if missing:
        raise InputError(f"predictions have no column for {join_names(missing, 5)}: add one per label of y")
    return [columns.index(name) for name in labels]


def _make_samples(matrix: LabelMatrix, ids: np.ndarray, features: Any, label: str) -> Samples:
    """Return the parts of the samples that have a label, with the features that were passed, if any."""
    n = len(matrix.values)
    values: Any = np.arange(n)
    if features is not None:
        values = read_feature_matrix(features, n)
    whole = Samples(
        features=values,
        labels=np.zeros(n, dtype=np.int64),
        classes=None,
        ids=ids,
        kind="ids" if features is None else "array",
        label_name=label,
    )
    labelled = np.flatnonzero((matrix.values != NOT_ASKED).any(1))
    notices = [*matrix.notices]
    if len(labelled) < n:
        notices.append(describe_unlabelled(label, n - len(labelled), n, None))
        whole, matrix = whole.take(labelled), matrix.take(labelled)
    return split_labels(whole, matrix.values, matrix.names, notices)


def _read_pairs(views: Tensor, rows: Sequence[Tensor], ids: np.ndarray, outputs: str) -> tuple[Tensor, list[str]]:
    """Return log-probabilities of not having and of having each label, ``(view, part, 2)``, and notices.

    Args:
        views: what is predicted of each part, ``(view, part)``.
        rows: the parts that each view predicts.

    Raises:
        InputError: predictions that are not what ``outputs`` says, or not finite.
    """
    check_choice("outputs", outputs, get_args(Outputs))
    values = torch.cat([view[of_view] for view, of_view in zip(views, rows, strict=True)])
    lost = values.isnan() | values.isposinf() | (values.isneginf() & (outputs != "log-probabilities"))
    if bool(lost.any()):
        first = ids[torch.cat(list(rows))[lost][0]].item()
        raise InputError(f"predictions must be finite. Got another number for {first!r}: leave it out with held_out=…")
    notices = []
    within_unit = bool(((values >= 0) & (values <= 1)).all())
    if outputs == "auto":
        outputs = "probabilities" if within_unit else "logits"
        if within_unit:
            notices.append(
                "The predictions are within 0 and 1: they are read as probabilities of having each label "
                "(outputs='logits' reads them as log-odds)."
            )
        elif bool((values <= 0).all()):
            notices.append(
                "No prediction is above 0: they are read as log-odds of having each label "
                "(outputs='log-probabilities' reads them as logarithms of probabilities)."
            )
    if outputs == "logits":
        return torch.stack([logsigmoid(-views), logsigmoid(views)], -1), notices
    if outputs == "log-probabilities":
        if bool((values > 0).any()):
            raise InputError("log-probabilities must be 0 or less: if they are log-odds, pass outputs='logits'")
        views = views.exp()
    elif not within_unit:
        raise InputError("probabilities must be within 0 and 1: if they are log-odds, pass outputs='logits'")
    read = read_class_predictions(torch.stack([1 - views, views], -1), rows, ids, "probabilities")
    return read.views, [*notices, *read.notices]


def _infer(held_out: HeldOut, samples: Samples, loss: Loss, witnesses: list[IndependentWitness]) -> TrueLabels:
    """Return what the predictions tell of the true labels."""
    none = RefinedInfo(rounds=0, members=0, why="predictions as given")
    numeric = samples.layout.whole.numeric
    assert samples.groups is not None
    info = read_features_of_whole(samples, samples.groups, SEED) if numeric else LabelInfo()
    if not has_ledger(held_out, loss):
        return TrueLabels(info, none, [NO_LEDGER] if witnesses else [])
    neighbours = None if info.neighbours is None else torch.from_numpy(info.neighbours.labels)
    posterior = infer_labels(held_out, samples, neighbours)
    info = info._replace(prior=class_prior(samples.labels, 2, None))
    labels = describe_posterior(samples, info, posterior, none)
    return add_witnesses_to(labels, held_out, witnesses) if witnesses else labels
