"""Arrays and texts as one block of bytes, which a page holds as text and a script reads without parsing."""

import zlib
from base64 import b64encode
from collections.abc import Iterable

import numpy as np

from hardsight.reporting.formatting import replace_surrogates

# Typed arrays in JavaScript must begin at a multiple of their element size.
_ALIGNMENT = 8
_TYPES = ("f4", "f8", "u1", "u2", "u4", "i4")


class PackedArrays:
    """Named arrays, one after the other.

    Attributes:
        directory: ``{name: (type, offset in bytes, length)}``; the type is one of f4, f8, u1, u2, u4, i4, little-endian.
    """

    def __init__(self) -> None:
        self.directory: dict[str, tuple[str, int, int]] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, name: str, values: np.ndarray) -> None:
        """Append an array, ``(value,)``, of one of the known types.

        Raises:
            ValueError: it has another type.
        """
        kind = values.dtype.str[1:]
        if kind not in _TYPES:
            raise ValueError(kind)
        content = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
        self.directory[name] = (kind, self._size, len(values))
        padding = b"\0" * (-len(content) % _ALIGNMENT)
        self._parts += [content, padding]
        self._size += len(content) + len(padding)

    def add_files(self, name: str, files: Iterable[bytes]) -> None:
        """Append pieces of bytes. ``NAME`` holds them one after the other; piece i begins at ``NAME.at`` i."""
        pieces = list(files)
        ends = np.cumsum([0, *map(len, pieces)])
        if ends[-1] >= 2**32:
            raise ValueError(name)
        self.add(f"{name}.at", ends.astype(np.uint32))
        self.add(name, np.frombuffer(b"".join(pieces), dtype=np.uint8))

    def add_texts(self, name: str, texts: Iterable[str]) -> None:
        """Append texts in UTF-8, as :meth:`add_files` does. Half a surrogate pair becomes a mark."""
        self.add_files(name, (replace_surrogates(text).encode() for text in texts))

    def text(self) -> str:
        """Return everything, deflated, in base64."""
        return b64encode(zlib.compress(b"".join(self._parts), 6)).decode("ascii")


def compact_codes(values: np.ndarray, n_codes: int) -> np.ndarray:
    """Return codes in as few bytes as hold them, ``(value,)`` u1, u2 or i4."""
    kind = np.uint8 if n_codes <= 2**8 else np.uint16 if n_codes <= 2**16 else np.int32
    return values.astype(kind)


def compact_numbers(values: np.ndarray) -> np.ndarray:
    """Return numbers as f4 if that loses no displayed digit, otherwise as f8; ``(value,)``."""
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    exact = np.isclose(small, values, rtol=1e-6, atol=0, equal_nan=True).all()
    magnitudes = np.abs(values[np.isfinite(values)])
    integers = len(magnitudes) > 0 and (magnitudes == np.floor(magnitudes)).all()
    large_integers = integers and magnitudes.max() >= 2**24
    return values.astype(np.float64) if large_integers or not exact else small
