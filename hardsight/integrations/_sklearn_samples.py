"""The training data of ``fit`` as samples to measure: every row as it came, integer weights as copies."""

import sys
from dataclasses import replace
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from hardsight.data import Samples
from hardsight.data.conversion import to_pandas
from hardsight.data.feature_columns.clean import clean_columns
from hardsight.errors import InputError
from hardsight.resampling.plan import block_codes

# Integer weights become copies if all copies together are at most this multiple of the number of samples.
_MAX_COPIES = 10


class MeasurableRows(NamedTuple):
    """Samples to measure, and the rows of the data that they are copies of.

    Attributes:
        samples: samples in an order that does not depend on the order of the rows. The id of a row's first copy is the
            row; equal samples, and those of a group, are one of ``groups``; ``classes`` are the codes of the classes
            present, None for targets.
        rows: rows that are among the samples, ``(row,)`` int64, ascending.
        max_folds: the most folds that the classes, or the different samples, allow.
    """

    samples: Samples
    rows: np.ndarray
    max_folds: int


def select_classification_rows(
    X: Any, codes: np.ndarray, weights: np.ndarray | None, groups: np.ndarray | None = None
) -> MeasurableRows | None:
    """Select the rows that can be measured; None if they have fewer than two classes.

    A row of weight 0 is left out; a row of weight 3 counts as three rows, if all weights are integers and not too
    large. Rows of a class with fewer than two different samples, or groups, are left out: a model that has not seen the
    class cannot judge it.

    Args:
        X: features, ``(row, …)``.
        codes: class codes, ``(row,)``.
        weights: 0 or more, ``(row,)``; None: all equal.
        groups: codes of rows that stay together, ``(row,)``; None: only equal rows do.

    Raises:
        InputError: the features cannot be read.
    """
    rows = np.arange(len(codes)) if weights is None else np.flatnonzero(weights)
    if len(np.unique(codes[rows])) < 2:
        return None
    samples = _read_samples(X, codes, rows)
    equal = _group_equal_rows(samples)
    blocks = _merge_groups(equal, None if groups is None else groups[samples.ids])
    sizes = np.bincount(np.unique(np.stack([samples.labels, blocks]), axis=1)[0])
    if (sizes > 1).sum() < 2:
        return None
    # In the order of the rows, the folds would depend on it.
    order = np.lexsort((samples.labels, equal))
    order = order[sizes[samples.labels[order]] > 1]
    present, labels = np.unique(samples.labels[order], return_inverse=True)
    classes = tuple(np.asarray(samples.classes)[present].tolist())
    selected = replace(samples.take(order), labels=labels.astype(np.int64), classes=classes, groups=blocks[order])
    return MeasurableRows(_expand_copies(selected, weights), np.sort(selected.ids), int(sizes[present].min()))


def select_regression_rows(
    X: Any, targets: np.ndarray, weights: np.ndarray | None, groups: np.ndarray | None = None
) -> MeasurableRows | None:
    """Select the rows with targets that can be measured; None if no two samples are different.

    Args:
        X: features, ``(row, …)``.
        targets: ``(row,)`` float64.
        weights: as in :func:`select_classification_rows`.
        groups: as in :func:`select_classification_rows`.

    Raises:
        InputError: the features cannot be read.
    """
    rows = np.arange(len(targets)) if weights is None else np.flatnonzero(weights)
    if len(rows) < 2:
        return None
    samples = _read_samples(X, targets, rows, "regression")
    equal = _group_equal_rows(samples)
    blocks = _merge_groups(equal, None if groups is None else groups[samples.ids])
    n_different = len(np.unique(blocks))
    if n_different < 2:
        return None
    order = np.lexsort((samples.labels, equal))
    selected = replace(samples.take(order), groups=blocks[order])
    return MeasurableRows(_expand_copies(selected, weights), rows, n_different)


def _read_samples(X: Any, targets: np.ndarray, rows: np.ndarray, task: str = "classification") -> Samples:
    """Read the rows as samples whose features reach an estimator as they came."""
    if sparse.issparse(X):
        return Samples.of(sparse.csr_array(X)[rows], targets[rows], ids=rows, task=task, unlabelled="refuse")
    X = to_pandas(X)
    if isinstance(X, pd.DataFrame):
        frame = X.iloc[rows]
        samples = _read_frame(frame, targets[rows], rows, task)
        # The whole frame, because the reader leaves out constant columns and a ColumnTransformer may name them.
        return replace(samples, features=frame, kind="table", original=frame, embedding=samples.matrix)
    return Samples.of(np.asarray(X)[rows], targets[rows], ids=rows, task=task, unlabelled="refuse")


def _read_frame(frame: pd.DataFrame, targets: np.ndarray, rows: np.ndarray, task: str) -> Samples:
    """Read the columns that can be read: a pipeline may transform the other columns, or leave them out."""
    try:
        return Samples.of(frame, targets, ids=rows, task=task, unlabelled="refuse")
    except InputError:
        readable = frame.loc[:, [_is_readable(frame.iloc[:, [column]]) for column in range(frame.shape[1])]]
        if readable.shape[1] == frame.shape[1]:
            raise
        if not readable.shape[1]:
            raise InputError(
                "no column of X holds numbers or categories that differ between samples, by which neighbours are "
                "found: add one, such as the days since a date"
            ) from None
        return Samples.of(readable, targets, ids=rows, task=task, unlabelled="refuse")


def _is_readable(column: pd.DataFrame) -> bool:
    try:
        clean_columns(column)
    except InputError:
        return False
    return True


def _group_equal_rows(samples: Samples) -> np.ndarray:
    """Number the groups of samples with equal features, whatever the order of the samples. ``(sample,)``"""
    X = samples.features
    digests: Any
    if isinstance(X, pd.DataFrame) and not all(map(pd.api.types.is_numeric_dtype, X.dtypes)):
        hashes = pd.util.hash_pandas_object(X.apply(_make_hashable), index=False)
        digests = [_digest(row.tobytes()) for row in hashes.to_numpy()]
    elif samples.kind in ("table", "array") and not (samples.sparse and samples.embedding is not None):
        X = X.toarray() if samples.sparse else X
        # -0.0 and 0.0 are the same number but not the same bytes.
        numbers = X.to_numpy(np.float64, na_value=np.nan) if isinstance(X, pd.DataFrame) else X.astype(np.float64)
        digests = [_digest(row.tobytes()) for row in numbers.reshape(len(samples), -1) + 0.0]
    else:
        digests = samples.fingerprints()
    return np.unique(np.array(digests, dtype="V16"), return_inverse=True)[1].reshape(-1)


def _merge_groups(equal: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Number the rows that stay together, whatever their order: equal rows, and rows of a group. ``(sample,)``"""
    if groups is None:
        return equal
    blocks = block_codes(len(equal), equal, groups)
    smallest = np.full(blocks.max() + 1, len(equal))
    np.minimum.at(smallest, blocks, equal)
    merged: np.ndarray = smallest[blocks]
    return merged


def _make_hashable(column: pd.Series) -> pd.Series:
    """Replace values that have no hash, such as lists, by a text of their contents."""
    if column.dtype != object:
        return column
    try:
        for value in column:
            hash(value)
    except TypeError:
        # By default numpy leaves out the middle of long arrays.
        with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
            return column.map(repr)
    return column


def _digest(row: bytes) -> bytes:
    return blake2b(row, digest_size=16).digest()


def _expand_copies(samples: Samples, weights: np.ndarray | None) -> Samples:
    """Repeat each sample as often as its weight says; keep weights that are not numbers of copies as weights."""
    if weights is None:
        return samples
    copies = weights[samples.ids]
    if (copies != np.round(copies)).any() or copies.sum() > _MAX_COPIES * len(copies):
        return replace(samples, weights=copies / copies.mean())
    positions = np.repeat(np.arange(len(copies)), copies.astype(np.int64))
    is_first = np.diff(positions, prepend=-1) > 0
    ids = samples.ids[positions]
    ids[~is_first] = len(weights) + np.arange(int((~is_first).sum()))
    return replace(samples.take(positions), ids=ids)
