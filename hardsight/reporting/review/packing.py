"""Arrays and texts as one block of bytes that a page holds as text and a script reads without parsing."""

import zlib
from base64 import b64encode
from collections.abc import Iterable

import numpy as np

from hardsight.reporting.formatting import replace_surrogates

# Typed arrays of a script must begin at a multiple of their size.
_ALIGNED = 8
_KINDS = ("f4", "f8", "u1", "u2", "u4", "i4")


class PackedArrays:
    """Named arrays one behind the other.

    Attributes:
        directory: ``{name: (kind, offset in bytes, length)}``, kind one of f4, f8, u1, u2, u4, i4; all little-endian.
    """

    def __init__(self) -> None:
        self.directory: dict[str, tuple[str, int, int]] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, name: str, values: np.ndarray) -> None:
        """Append an array, ``(value,)``, of one of the known kinds."""
        kind = values.dtype.str[1:]
        if kind not in _KINDS:
            raise ValueError(kind)
        content = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
        self.directory[name] = (kind, self._size, len(values))
        padding = b"\0" * (-len(content) % _ALIGNED)
        self._parts += [content, padding]
        self._size += len(content) + len(padding)

    def add_files(self, name: str, files: Iterable[bytes]) -> None:
        """Append pieces of bytes, which ``NAME`` holds one behind the other; piece i begins at ``NAME.at`` i."""
        pieces = list(files)
        ends = np.cumsum([0, *map(len, pieces)])
        if ends[-1] >= 2**32:
            raise ValueError(name)
        self.add(f"{name}.at", ends.astype(np.uint32))
        self.add(name, np.frombuffer(b"".join(pieces), dtype=np.uint8))

    def add_texts(self, name: str, texts: Iterable[str]) -> None:
        """Append texts in UTF-8, as :meth:`add_files` does; half a surrogate pair, which has none, becomes a mark."""
        self.add_files(name, (replace_surrogates(text).encode() for text in texts))

    def text(self) -> str:
        """Everything, deflated, in base64."""
        return b64encode(zlib.compress(b"".join(self._parts), 6)).decode("ascii")


def compact_codes(values: np.ndarray, kinds: int) -> np.ndarray:
    """Class codes in as few bytes as hold them, ``(value,)`` u1, u2 or i4."""
    kind = np.uint8 if kinds <= 2**8 else np.uint16 if kinds <= 2**16 else np.int32
    return values.astype(kind)


def compact_numbers(values: np.ndarray) -> np.ndarray:
    """Numbers as f4 where that loses no digit that is shown, else as f8; ``(value,)``."""
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    exact = np.isclose(small, values, rtol=1e-6, atol=0, equal_nan=True).all()
    integers = np.abs(values[np.isfinite(values)])
    whole = bool(len(integers)) and bool((integers == np.floor(integers)).all()) and integers.max() >= 2**24
    return values.astype(np.float64) if whole or not exact else small
