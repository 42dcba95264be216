"""Sparse matrices that scipy.sparse.save_npz wrote, checked before native code uses their indices."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hardsight.errors import InputError
from hardsight.io.npz import Archive

if TYPE_CHECKING:
    from scipy import sparse


def is_sparse(names: Iterable[str]) -> bool:
    """Return whether an archive with arrays of these names holds a sparse matrix."""
    return {"format", "shape", "data"} <= set(names)


def read(archive: Archive, place: Path) -> "sparse.csr_array":
    """Read a matrix in one of the formats csr, csc and coo.

    Raises:
        InputError: another format, or indices outside the matrix.
    """
    from scipy import sparse

    compressed = {"csr": sparse.csr_array, "csc": sparse.csc_array}
    name = archive.read("format").item()
    kind = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
    data, shape = archive.read("data"), tuple(int(length) for length in archive.read("shape").ravel())
    try:
        if kind in compressed:
            matrix = compressed[kind]((data, archive.read("indices"), archive.read("indptr")), shape=shape)
            matrix.check_format(full_check=True)
        elif kind == "coo":
            matrix = sparse.coo_array((data, (archive.read("row"), archive.read("col"))), shape=shape)
        else:
            raise InputError(f"{place} holds a sparse matrix in the format {kind!r}: save matrix.tocsr()")
        return matrix.tocsr()
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{place} is not a readable sparse matrix ({error}): write it again") from None
