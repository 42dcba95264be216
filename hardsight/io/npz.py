"""Archives of numpy arrays (.npz), read without pickle and only after their declared sizes are checked."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from hardsight.errors import InputError, first_line
from hardsight.io import limits

# The methods that numpy itself writes. Others (LZMA) let an archive declare how much memory its decoder takes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SUFFIX = ".npy"
_MAX_CODE_POINT, _SURROGATES = 0x10FFFF, (0xD800, 0xDFFF)
_MAX_AXES_SHOWN = 8
# The declared and the actual type of what zipfile opens.
ByteStream = IO[bytes] | BufferedIOBase


class PickledError(InputError):
    """An array of Python objects, which could run code when they are read."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"{source} holds pickled objects, which can run code when they are read: save it as numbers or as text "
            "(astype(str))"
        )


class Archive:
    """The arrays of an open archive."""

    def __init__(self, file: zipfile.ZipFile, path: Path, size: int) -> None:
        self._file, self._path, self._size, self._needed = file, path, size, 0
        self.names = [info.filename.removesuffix(_SUFFIX) for info in file.infolist()]
        if len(set(self.names)) < len(self.names):
            raise InputError(f"{path} holds several arrays of one name: write it again with numpy.savez")

    def read(self, name: str) -> np.ndarray:
        """Read one array, after checking its size together with all that were read before.

        Raises:
            KeyError: there is no array of this name.
            InputError: the array holds Python objects, has another size than it declares, or exceeds what
                :func:`hardsight.io.limits.check_decoded_size` admits.
        """
        info = self._check(name)[0]
        with self._file.open(info) as file:
            array: np.ndarray = npy.read_array(file, allow_pickle=False)
        return check_text(array, self._source(name))

    @contextmanager
    def open(self, name: str) -> Iterator[tuple[ByteStream, tuple[int, ...], np.dtype[Any]]]:
        """Open an array that is stored in C order: yield a file at its first number, its shape and its dtype.

        Raises:
            KeyError: there is no array of this name.
            InputError: see :meth:`read`.
        """
        info, shape, dtype = self._check(name)
        with self._file.open(info) as file:
            if _read_header(file, name).fortran:
                raise InputError(f"{self._source(name)} is in Fortran order: write it with numpy.savez")
            yield file, shape, dtype

    def _source(self, name: str) -> str:
        return f"{self._path}: array {name!r}"

    def _check(self, name: str) -> tuple[zipfile.ZipInfo, tuple[int, ...], np.dtype[Any]]:
        info, source = self._file.getinfo(f"{name}{_SUFFIX}"), self._source(name)
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise InputError(f"{source} is compressed in an unknown way, or encrypted: write it with numpy.savez")
        with self._file.open(info) as file:
            header = _read_header(file, source)
        needed, size = math.prod(header.shape) * header.dtype.itemsize, info.file_size - header.start
        if needed != size:
            raise InputError(
                f"{source} declares the shape {_format_shape(header.shape)} of {header.dtype}, {needed:,} bytes, and holds "
                f"{size:,}: write it again with numpy.savez"
            )
        self._needed += needed
        limits.check_decoded_size(source, self._needed, self._size)
        return info, header.shape, header.dtype


def check_text(array: np.ndarray, source: str) -> np.ndarray:
    """Return the array if its text is valid Unicode: numpy reads any bytes as text, and fails where it is used.

    Raises:
        InputError: a text is damaged.
    """
    if array.dtype.kind == "U" and array.dtype.itemsize and array.size:
        codes = np.ascontiguousarray(array).reshape(-1).view(f"{array.dtype.str[0]}u4")
        surrogates = (codes >= _SURROGATES[0]) & (codes <= _SURROGATES[1])
        if codes.max() > _MAX_CODE_POINT or surrogates.any():
            raise InputError(f"{source} holds texts that are damaged: write it again")
    return array


@contextmanager
def open_npz(path: str | Path, kind: str = ".npz archive") -> Iterator[Archive]:
    """Open an archive for reading; any error of its reader becomes an InputError.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file cannot be read.
    """
    path = Path(path)
    try:
        size = limits.check_regular_file(path)
        with path.open("rb") as file, zipfile.ZipFile(file) as zip_file:
            yield Archive(zip_file, path, size)
    except (InputError, FileNotFoundError):
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{path} is not a readable {kind} ({first_line(error)}): write it again") from None


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int


def _read_header(file: ByteStream, source: str) -> _Header:
    version = npy.read_magic(file)
    # Later versions hold dtypes with named fields, which no learner reads.
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise InputError(f"{source} has the unknown format {version}: save it as numbers or as text (astype(str))")
    shape, fortran, dtype = readers[version](file)
    if dtype.hasobject:
        raise PickledError(source)
    if dtype.kind == "V":
        raise InputError(f"{source} holds records or raw bytes: save it as numbers or as text (astype(str))")
    if any(side < 0 for side in shape):
        raise InputError(f"{source} declares the shape {_format_shape(shape)}: write it again with numpy.savez")
    return _Header(shape, dtype, fortran, file.tell())


def _format_shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape[:_MAX_AXES_SHOWN]))}{', …' if len(shape) > _MAX_AXES_SHOWN else ''})"
