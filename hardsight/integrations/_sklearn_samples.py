"""What scikit-learn gives to ``fit`` as samples that can be measured: every row as it came, whole weights as copies."""

import sys
from dataclasses import replace
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from hardsight.data import Samples
from hardsight.data.frames import clean_columns
from hardsight.errors import InputError

# Copies of all samples together, as a multiple of their number, up to which whole weights are written out as copies.
_MAX_COPIES = 10
# Numbers in a sparse matrix up to which neighbours are looked for among its own columns: 40 MB of float32.
_MAX_DENSE_VALUES = 10_000_000
_N_COMPONENTS = 50


class MeasurableRows(NamedTuple):
    """Samples to be measured, and the rows of the data that they are copies of.

    Attributes:
        samples: in an order that does not depend on that of the rows. The id of a row's first copy is the row; equal samples
            are a group; ``classes`` are the codes of the classes that are there, None of numbers.
        rows: ``(row,)`` int64, ascending: the rows that are among the samples.
        folds: the most folds that the classes, or different samples, admit.
    """

    samples: Samples
    rows: np.ndarray
    folds: int


def select_classification_rows(X: Any, codes: np.ndarray, weights: np.ndarray | None) -> MeasurableRows | None:
    """The rows that can be measured; None where there are not two classes of them.

    A row of weight 0 is none; a row of weight 3 is three, as long as all weights are whole and not too large. Rows of a
    class that holds fewer than two different samples are left out: a model that has not seen the class cannot judge it.

    Args:
        X: features, ``(row, …)``.
        codes: class codes, ``(row,)``.
        weights: 0 or more, ``(row,)``; None: all alike.

    Raises:
        InputError: features that cannot be read.
    """
    rows = np.arange(len(codes)) if weights is None else np.flatnonzero(weights)
    if len(np.unique(codes[rows])) < 2:
        return None
    found = _read_samples(X, codes, rows)
    alike = _group_equal_rows(found)
    sizes = np.bincount(np.unique(np.stack([found.labels, alike]), axis=1)[0])
    if (sizes > 1).sum() < 2:
        return None
    # Samples in the order of their rows would make the folds depend on it.
    order = np.lexsort((found.labels, alike))
    at = order[sizes[found.labels[order]] > 1]
    present, labels = np.unique(found.labels[at], return_inverse=True)
    classes = tuple(np.asarray(found.classes)[present].tolist())
    kept = replace(found.take(at), labels=labels.astype(np.int64), classes=classes, groups=alike[at])
    return MeasurableRows(_expand_copies(kept, weights), np.sort(kept.ids), int(sizes[present].min()))


def select_regression_rows(X: Any, targets: np.ndarray, weights: np.ndarray | None) -> MeasurableRows | None:
    """As :func:`select_classification_rows`, of numbers to predict; None where no two samples differ.

    Args:
        X: features, ``(row, …)``.
        targets: ``(row,)`` float64.
        weights: 0 or more, ``(row,)``; None: all alike.

    Raises:
        InputError: features that cannot be read.
    """
    rows = np.arange(len(targets)) if weights is None else np.flatnonzero(weights)
    if len(rows) < 2:
        return None
    found = _read_samples(X, targets, rows, "regression")
    alike = _group_equal_rows(found)
    different = len(np.unique(alike))
    if different < 2:
        return None
    order = np.lexsort((found.labels, alike))
    return MeasurableRows(_expand_copies(replace(found.take(order), groups=alike[order]), weights), rows, different)


def _read_samples(X: Any, told: np.ndarray, rows: np.ndarray, task: str = "classification") -> Samples:
    """The rows as samples whose features reach an estimator as they came."""
    if sparse.issparse(X):
        return _read_sparse(X, told[rows], rows, task)
    if isinstance(X, pd.DataFrame):
        frame = X.iloc[rows]
        found = _read_frame(frame, told[rows], rows, task)
        # Columns that say nothing are left out of what is read, and a ColumnTransformer may name them.
        return replace(found, features=frame, kind="table", embedding=found.matrix)
    return Samples.of(np.asarray(X)[rows], told[rows], ids=rows, task=task)


def _read_frame(frame: pd.DataFrame, told: np.ndarray, rows: np.ndarray, task: str) -> Samples:
    """As far as it can be read: a pipeline may make something of the other columns, or leave them out."""
    try:
        return Samples.of(frame, told, ids=rows, task=task)
    except InputError:
        readable = frame.loc[:, [_is_readable(frame.iloc[:, [at]]) for at in range(frame.shape[1])]]
        if readable.shape[1] == frame.shape[1]:
            raise
        if not readable.shape[1]:
            raise InputError(
                "no column of X holds numbers or categories that differ between samples, which tell who neighbours are: add "
                "one, such as the days since a date"
            ) from None
        return Samples.of(readable, told, ids=rows, task=task)


def _is_readable(column: pd.DataFrame) -> bool:
    try:
        clean_columns(column)
    except InputError:
        return False
    return True


def _read_sparse(whole: Any, told: np.ndarray, rows: np.ndarray, task: str) -> Samples:
    X = sparse.csr_array(whole)[rows]
    if max(X.nnz, *X.shape) < 2**31:
        # Trees predict from narrow indices only, though they learn from wide ones.
        X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    dense = X.shape[1] <= _N_COMPONENTS or X.shape[0] * X.shape[1] <= _MAX_DENSE_VALUES
    numbers = X.toarray() if dense else TruncatedSVD(_N_COMPONENTS, random_state=0).fit_transform(X)
    numbers = numbers.astype(np.float32)
    if task == "regression":
        return Samples(X, told, None, rows, "table", embedding=numbers)
    classes, labels = np.unique(told, return_inverse=True)
    return Samples(X, labels, tuple(classes.tolist()), rows, "table", embedding=numbers)


def _group_equal_rows(samples: Samples) -> np.ndarray:
    """A number a sample, equal for equal features, which follows from these alone, not from the order of the samples."""
    X = samples.features
    digests: Any
    if isinstance(X, sparse.csr_array):
        X.sum_duplicates()
        pairs = zip(X.indptr[:-1], X.indptr[1:], strict=True)
        digests = [_digest(X.indices[a:b].tobytes() + X.data[a:b].tobytes()) for a, b in pairs]
    elif isinstance(X, pd.DataFrame) and not all(map(pd.api.types.is_numeric_dtype, X.dtypes)):
        hashed = pd.util.hash_pandas_object(X.apply(_make_hashable), index=False)
        digests = [_digest(row.tobytes()) for row in hashed.to_numpy()]
    elif samples.kind in ("table", "array"):
        # -0.0 and 0.0 are the same number but not the same bytes.
        numbers = X.to_numpy(np.float64, na_value=np.nan) if isinstance(X, pd.DataFrame) else X.astype(np.float64)
        digests = [_digest(row.tobytes()) for row in numbers.reshape(len(samples), -1) + 0.0]
    else:
        digests = samples.fingerprints()
    return np.unique(np.array(digests, dtype="V16"), return_inverse=True)[1].reshape(-1)


def _make_hashable(column: pd.Series) -> pd.Series:
    """Lists and the like, which have no hash, by what is in them."""
    if column.dtype != object:
        return column
    try:
        for value in column:
            hash(value)
    except TypeError:
        # numpy would leave out what is in the midst of long arrays.
        with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
            return column.map(repr)
    return column


def _digest(row: bytes) -> bytes:
    return blake2b(row, digest_size=16).digest()


def _expand_copies(samples: Samples, weights: np.ndarray | None) -> Samples:
    """As many copies of each as its weight says, or the samples with their weights where that is no number of copies."""
    if weights is None:
        return samples
    own = weights[samples.ids]
    if (own != np.round(own)).any() or own.sum() > _MAX_COPIES * len(own):
        return replace(samples, weights=own / own.mean())
    at = np.repeat(np.arange(len(own)), own.astype(np.int64))
    first = np.diff(at, prepend=-1) > 0
    ids = samples.ids[at]
    ids[~first] = len(weights) + np.arange(int((~first).sum()))
    return replace(samples.take(at), ids=ids)
