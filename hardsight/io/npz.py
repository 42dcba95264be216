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

# What numpy itself writes. Others (LZMA) let an archive say how much memory its decoder takes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENDING = ".npy"
_LAST_LETTER, _HALVES = 0x10FFFF, (0xD800, 0xDFFF)
# The first is what zipfile says that it opens, the second what it opens.
Bytes = IO[bytes] | BufferedIOBase


class PickledError(InputError):
    """An array of Python objects, which could run code when they are read."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"{place} holds pickled objects, which can run code when they are read: save it as numbers or as text "
            "(astype(str))"
        )


class Archive:
    """The arrays of an open archive.

    Attributes:
        names: of the arrays.
    """

    def __init__(self, held: zipfile.ZipFile, place: Path, size: int) -> None:
        self._held, self._place, self._size, self._needed = held, place, size, 0
        self.names = [info.filename.removesuffix(_ENDING) for info in held.infolist()]
        if len(set(self.names)) < len(self.names):
            raise InputError(f"{place} holds several arrays of one name: write it again with numpy.savez")

    def read(self, name: str) -> np.ndarray:
        """One array, whose size is checked together with all that were read before.

        Raises:
            KeyError: there is none of this name.
            InputError: Python objects, another size than declared, or more than :func:`hardsight.io.limits.check_decoded_size` admits.
        """
        info = self._checked(name)[0]
        with self._held.open(info) as file:
            array: np.ndarray = npy.read_array(file, allow_pickle=False)
        return check_text(array, f"{self._place}: array {name!r}")

    @contextmanager
    def open(self, name: str) -> Iterator[tuple[Bytes, tuple[int, ...], np.dtype[Any]]]:
        """An array as it lies there, in the order of C: an open file at its first number, its shape and its type.

        Raises:
            KeyError: there is none of this name.
            InputError: see :meth:`read`.
        """
        info, shape, dtype = self._checked(name)
        with self._held.open(info) as file:
            if _header(file, name).fortran:
                raise InputError(f"{self._place}: array {name!r} is in the order of Fortran: write it with numpy.savez")
            yield file, shape, dtype

    def _checked(self, name: str) -> tuple[zipfile.ZipInfo, tuple[int, ...], np.dtype[Any]]:
        info = self._held.getinfo(f"{name}{_ENDING}")
        called = f"{self._place}: array {name!r}"
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise InputError(f"{called} is compressed in an unknown way, or encrypted: write it with numpy.savez")
        with self._held.open(info) as file:
            shape, dtype, _, start = _header(file, called)
        needed = math.prod(shape) * dtype.itemsize
        if needed != info.file_size - start:
            raise InputError(
                f"{called} declares the shape {_brief(shape)} of {dtype}, {needed:,} bytes, and holds "
                f"{info.file_size - start:,}: write it again with numpy.savez"
            )
        self._needed += needed
        limits.check_decoded_size(called, self._needed, self._size)
        return info, shape, dtype


def check_text(array: np.ndarray, called: str) -> np.ndarray:
    """The array, if its texts are made of letters: numpy reads any bytes as some, and fails where they are used.

    Raises:
        InputError: a text is damaged.
    """
    if array.dtype.kind == "U" and array.dtype.itemsize and array.size:
        letters = np.ascontiguousarray(array).reshape(-1).view(f"{array.dtype.str[0]}u4")
        halves = (letters >= _HALVES[0]) & (letters <= _HALVES[1])
        if letters.max() > _LAST_LETTER or halves.any():
            raise InputError(f"{called} holds texts that are damaged: write it again")
    return array


@contextmanager
def open_npz(path: str | Path, kind: str = ".npz archive") -> Iterator[Archive]:
    """An archive to read from; whatever its reader says of a damaged one becomes an InputError.

    Args:
        path: of the file.
        kind: what messages call it.

    Raises:
        FileNotFoundError: there is none.
        InputError: it cannot be read.
    """
    place = Path(path)
    try:
        size = limits.check_regular_file(place)
        with place.open("rb") as file, zipfile.ZipFile(file) as held:
            yield Archive(held, place, size)
    except (InputError, FileNotFoundError):
        raise
    except Exception as fault:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{place} is not a readable {kind} ({first_line(fault)}): write it again") from None


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int


def _header(file: Bytes, called: str) -> _Header:
    version = npy.read_magic(file)
    # Later versions hold types whose fields have names, and no learner reads those.
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise InputError(f"{called} is of the unknown format {version}: save it as numbers or as text (astype(str))")
    shape, fortran, dtype = readers[version](file)
    if dtype.hasobject:
        raise PickledError(called)
    if dtype.kind == "V":
        raise InputError(f"{called} holds records or raw bytes: save it as numbers or as text (astype(str))")
    if any(side < 0 for side in shape):
        raise InputError(f"{called} declares the shape {_brief(shape)}: write it again with numpy.savez")
    return _Header(shape, dtype, fortran, file.tell())


def _brief(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape[:8]))}{', …' if len(shape) > 8 else ''})"
