"""Text files of any compression and encoding, read as UTF-8."""

import codecs
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TextIO

import pyarrow as pa

from hardsight.errors import InputError
from hardsight.io import limits
from hardsight.io.compression import CHUNK, compression_of, decompress

# Byte order marks. That of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig",
}  # fmt: skip
_UTF_8 = ("utf-8", "utf-8-sig", "ascii")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_WESTERN = "cp1252"
_ENCODING = "(encoding, --encoding)"


class _Counts(NamedTuple):
    """What a pass over the bytes of a text counts."""

    bytes: int
    lines: int  # an upper bound
    nulls: int
    has_quotes: bool
    valid: bool  # whether it is UTF-8


@dataclass(frozen=True)
class TextFile:
    """A text file, decompressed and decoded."""

    place: Path
    content: pa.Buffer | None = None  # UTF-8; None: the file itself is plain UTF-8
    lines: int = 0  # an upper bound of the number of lines
    has_quotes: bool = True
    encoding: str = "utf-8"  # that of the file itself
    notices: tuple[str, ...] = ()

    def open(self) -> pa.NativeFile:
        """Open the UTF-8 bytes. They may begin with a byte order mark."""
        # With a file object of Python's, arrow's threads would hold bytes of Python's when the interpreter shuts down.
        return pa.OSFile(os.fsencode(self.place)) if self.content is None else pa.BufferReader(self.content)

    def open_text(self) -> TextIO:
        """Open the text; its lines end in a line feed, a carriage return or both, which are kept."""
        file = self.place.open("rb") if self.content is None else io.BytesIO(self.content)
        return io.TextIOWrapper(file, encoding="utf-8-sig", newline="")

    def head(self) -> str:
        """Return the beginning of the text, up to a megabyte, without an incomplete last line."""
        with self.open() as file:
            content = bytes(file.read(CHUNK))
        cut = max(content.rfind(b"\n"), content.rfind(b"\r")) + 1 if len(content) == CHUNK else 0
        return content[: cut or None].decode("utf-8-sig", "ignore")

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in pieces."""
        with self.open() as file:
            while chunk := bytes(file.read(CHUNK)):
                yield chunk


def blank_lines(file: TextFile, lines: int) -> TextFile:
    """Return the file with nothing in its first lines; the others keep their numbers."""
    with file.open() as stream:
        content = bytes(stream.read())
    ends = [end.end() for end, _ in zip(_LINE_END.finditer(content), range(lines), strict=False)]
    return replace(file, content=pa.py_buffer(b"\n" * lines + content[ends[-1] if ends else 0 :]))


def open_text_file(place: Path, encoding: str | None = None) -> TextFile:
    """Decompress and decode a text file.

    Without an encoding, a byte order mark decides; else it is UTF-8, or Windows-1252 if it cannot be that. Windows-1252
    gives every byte a letter of its own, so that different values stay different in any other encoding of single bytes.

    Raises:
        InputError: the file cannot be read or is not text in the encoding.
    """
    if encoding is not None:
        check_encoding(encoding)
    file = TextFile(place, _collect(decompress(place)) if compression_of(place) else None)
    encoding_name = encoding or _guess_encoding(file)
    notices: tuple[str, ...] = ()
    if codecs.lookup(encoding_name).name in _UTF_8:
        counts = _count(file.chunks())
        if counts.valid:
            return replace(file, lines=counts.lines, has_quotes=counts.has_quotes)
        _check_damage(file, counts, encoding)
        encoding_name = _WESTERN
        notices = (f"The file is not UTF-8 and was read as Windows-1252; another encoding can be stated {_ENCODING}.",)
    try:
        file = replace(file, content=_collect(_transcode(file.chunks(), encoding_name)))
    except UnicodeError:
        problem = f"cannot be read as {encoding}" if encoding else "is neither UTF-8 nor Windows-1252"
        raise InputError(f"{place} {problem}: state its encoding {_ENCODING}") from None
    counts = _count(file.chunks())
    return replace(file, lines=counts.lines, has_quotes=counts.has_quotes, encoding=encoding_name, notices=notices)


def check_encoding(encoding: str) -> None:
    """Check the name of an encoding of text.

    Raises:
        InputError: Python knows no such encoding.
    """
    try:
        # Codecs that are not encodings of text, such as zlib, fail here too.
        "a".encode(encoding)
    except (LookupError, ValueError, TypeError):
        raise InputError(f"encoding must be a name such as utf-8, utf-16 or cp1252. Got {encoding!r}") from None


def _guess_encoding(file: TextFile) -> str:
    """Return the encoding that a byte order mark states, or UTF-8.

    Raises:
        InputError: UTF-16 without a byte order mark, which is valid UTF-8 with a zero byte beside every letter.
    """
    with file.open() as stream:
        head = bytes(stream.read(CHUNK))
    mark = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if mark is None and 3 * head.count(b"\0") > len(head) > 0:
        order = "utf-16-be" if head.startswith(b"\0") else "utf-16-le"
        raise InputError(
            f"{file.place} looks like UTF-16 without a byte order mark: pass encoding={order!r} (--encoding {order})"
        )
    return mark or "utf-8"


def _count(chunks: Iterable[bytes]) -> _Counts:
    decoder = codecs.getincrementaldecoder("utf-8")()
    total = lines = nulls = 0
    has_quotes, valid = False, True
    for chunk in chunks:
        total += len(chunk)
        lines += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
        nulls += chunk.count(b"\0")
        has_quotes = has_quotes or b'"' in chunk
        valid = valid and _is_valid(decoder, chunk)
    return _Counts(total, lines + 1, nulls, has_quotes, valid and _is_valid(decoder, b"", final=True))


def _is_valid(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> bool:
    try:
        if not chunk.isascii() or decoder.getstate()[0] or final:
            decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _check_damage(file: TextFile, counts: _Counts, encoding: str | None) -> None:
    """Refuse what is not a text, or text that is UTF-8 but for a few bytes, or that was said to be UTF-8."""
    if counts.nulls:
        raise InputError(f"{file.place} is not a text file (it holds zero bytes): pass a table as text, such as .csv")
    with file.open_text() as text:
        text.reconfigure(errors="surrogateescape")  # type: ignore[attr-defined]
        valid = invalid = first = 0
        for number, line in enumerate(text, 1):
            if line.isascii():
                continue
            damaged = sum("\udc80" <= letter <= "\udcff" for letter in line)
            first = first or (number if damaged else 0)
            invalid += damaged
            valid += sum(letter > "\x7f" for letter in line) - damaged
    if encoding is not None or valid > invalid:
        raise InputError(
            f"{file.place} is not UTF-8 throughout ({invalid} bytes are damaged, the first in line {first}): correct them, "
            f"or state the encoding {_ENCODING}, such as cp1252"
        )


def _transcode(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    for chunk in chunks:
        yield decoder.decode(chunk).encode()
    yield decoder.decode(b"", True).encode()


def _collect(chunks: Iterable[bytes]) -> pa.Buffer:
    """Return pieces as one buffer that arrow owns."""
    stream = pa.BufferOutputStream()
    for chunk in chunks:
        stream.write(chunk)
    return stream.getvalue()


def check_memory(file: TextFile, columns: int, cell_bytes: int) -> None:
    """Check what a table of texts would take: rows that end early are filled up, a value for every column.

    Raises:
        InputError: see :func:`hardsight.io.limits.check_decoded_size`.
    """
    limits.check_column_count(file.place, columns)
    limits.check_decoded_size(file.place, file.lines * columns * cell_bytes, limits.check_regular_file(file.place))
