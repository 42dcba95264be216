"""Sparse matrices: kept as they are for estimators that read them, and reduced to fewer numbers for all others."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from hardsight.errors import InputError

if TYPE_CHECKING:
    from scipy import sparse

# Up to this many values (40 MB of float32), the numbers that stand for a matrix are its own, with all their zeros.
_MAX_DENSE_VALUES = 10_000_000
_DIMENSIONS = 128
_MAX_SHOWN = 20


def is_sparse(value: Any) -> bool:
    """Return whether a value is a sparse matrix or array of scipy. Imports nothing."""
    return any(kind.__module__.startswith("scipy.sparse") for kind in type(value).__mro__)


def count_rows(features: Any) -> int:
    """Return the number of samples; a sparse matrix has no length."""
    return int(features.shape[0]) if is_sparse(features) else len(features)


def is_sparse_tensor(value: Any) -> bool:
    """Return whether a value is a sparse torch tensor. Imports nothing."""
    return hasattr(value, "to_sparse_coo") and str(value.layout) != "torch.strided"


def to_csr(X: Any) -> "sparse.csr_array":
    """Convert a sparse matrix, array or tensor to the one form that equal matrices have.

    Zeros are not stored, indices are sorted and unique, and are 32-bit integers if they fit: trees predict only from these.

    Returns:
        ``(sample, feature)`` float32, or float64 if ``X`` is.

    Raises:
        InputError: more or fewer than two axes, no column, or values that are no finite numbers in float32.
    """
    from scipy import sparse

    matrix = _tensor_to_scipy(X) if is_sparse_tensor(X) else X
    if matrix.ndim != 2:
        raise InputError(f"a sparse X must have the shape (sample, feature). Got {tuple(matrix.shape)}: pass a dense array")
    if matrix.dtype.kind not in "biuf":
        raise InputError(f"X must hold numbers. Got a sparse matrix of {matrix.dtype}: convert it to numbers")
    if not matrix.shape[1]:
        raise InputError(f"X must have at least one feature. Got shape {matrix.shape}")
    csr = sparse.csr_array(matrix, copy=True)
    csr.sum_duplicates()
    csr = csr.astype(np.result_type(csr.dtype, np.float32))
    csr.eliminate_zeros()
    if max(csr.nnz, *csr.shape) < 2**31:
        csr.indices, csr.indptr = csr.indices.astype(np.int32), csr.indptr.astype(np.int32)
    with np.errstate(invalid="ignore"):
        invalid = ~(np.abs(csr.data) <= np.finfo(np.float32).max)
    if invalid.any():
        at = int(np.argmax(invalid))
        row = int(np.searchsorted(csr.indptr, at, side="right")) - 1
        raise InputError(
            f"a sparse X must be finite in float32. Got {csr.data[at].item()} at {[row, int(csr.indices[at])]} (and "
            f"{invalid.sum() - 1} more): fill the values"
        )
    return csr


def _tensor_to_scipy(tensor: Any) -> Any:
    import torch
    from scipy import sparse

    if tensor.dim() - tensor.dense_dim() != 2 or tensor.dense_dim():
        raise InputError(
            f"a sparse X must have the shape (sample, feature). Got {tuple(tensor.shape)}: pass a dense one "
            "(tensor.to_dense())"
        )
    coordinates = tensor.detach().cpu().to_sparse_coo().coalesce()
    values = coordinates.values()
    # numpy has no bfloat16.
    values = values.float() if values.dtype == torch.bfloat16 else values
    return sparse.coo_array((values.numpy(), tuple(coordinates.indices().numpy())), shape=tuple(tensor.shape))


def embed_sparse(X: "sparse.csr_array") -> tuple[np.ndarray | None, list[str]]:
    """Return numbers for learners that read no sparse matrix, ``(sample, feature)`` float32, and notices.

    None stands for the matrix itself, which is small enough to be dense. Otherwise its truncated singular value
    decomposition (Halko et al. 2011) is returned: rows times the leading right singular vectors.
    """
    if X.shape[0] * X.shape[1] <= _MAX_DENSE_VALUES or X.shape[1] <= _DIMENSIONS:
        return None, []
    from sklearn.utils.extmath import randomized_svd

    left, values, _ = randomized_svd(X, min(_DIMENSIONS, *X.shape), random_state=0)
    numbers = np.ascontiguousarray(left * values, dtype=np.float32)
    notice = (
        f"The sparse matrix of {X.shape[1]:,} columns became {numbers.shape[1]} numbers per sample (truncated SVD), fitted "
        "once on all samples, without labels; an estimator of your own gets the matrix itself."
    )
    return numbers, [notice]


def row_bytes(X: "sparse.csr_array") -> Iterator[bytes]:
    """Yield the stored columns and values of each row of a matrix made by :func:`to_csr`; equal for equal rows."""
    for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        yield X.indices[start:end].tobytes() + X.data[start:end].tobytes()


def describe_row(X: "sparse.csr_array", row: int) -> str:
    """Return the largest values of a row with their columns, largest first.

    >>> from scipy import sparse
    >>> describe_row(sparse.csr_array([[0, 2.5, 0, -7]]), 0)
    '[3] -7, [1] 2.5'
    """
    start, end = X.indptr[row], X.indptr[row + 1]
    columns, values = X.indices[start:end], X.data[start:end]
    if not len(values):
        return "all values are 0"
    order = np.argsort(-np.abs(values), kind="stable")
    shown = [f"[{columns[at]}] {values[at]:.4g}" for at in order[:_MAX_SHOWN]]
    rest = len(values) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
