"""Compressed files, opened as what they hold, with limits on what they may decompress to."""

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa

from hardsight.errors import InputError, first_line
from hardsight.io import limits
from hardsight.validation import join_names

SUFFIXES = (".gz", ".bz2", ".xz", ".zip", ".zst")
CHUNK = 1 << 20
# What a damaged or hostile file makes the decoders raise.
_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError)
# An .xz file declares how much memory its decoder takes; the strongest preset of xz takes 65 MiB.
_MAX_DECODER_BYTES = 256 << 20
# Others let an archive declare how much memory their decoder takes.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_ByteStream = IO[bytes] | BufferedIOBase


def compression_of(place: Path) -> str | None:
    """Return the suffix that says how a file is compressed, or None."""
    suffix = place.suffix.lower()
    return suffix if suffix in SUFFIXES else None


def decompressed_name(place: Path) -> str:
    """Return the name of a file without compression: that of the only member of a .zip, or the name without its suffix.

    Raises:
        InputError: a .zip with another number of members, or one that cannot be read.
    """
    suffix = compression_of(place)
    if suffix is None:
        return place.name
    if suffix != ".zip":
        return place.name[: -len(suffix)]
    with reading_errors(place), zipfile.ZipFile(place) as archive:
        inner = PurePosixPath(_only_member(archive, place).filename).name
    # a.csv.zip may hold a member without a suffix.
    return inner if "." in inner else place.name[: -len(suffix)]


def decompress(place: Path) -> Iterator[bytes]:
    """Yield the content of a file in pieces, decompressed if its name says so.

    Raises:
        InputError: it cannot be decompressed, or holds more than :func:`hardsight.io.limits.check_decoded_size` admits.
    """
    size = limits.check_regular_file(place)
    compressed = compression_of(place) is not None
    total = 0
    with reading_errors(place), _open(place) as file:
        for chunk in _pieces(file) if place.suffix.lower() != ".xz" else _decode_xz(file):
            total += len(chunk)
            if compressed:
                limits.check_decoded_size(place, total, size)
            yield chunk


def compress(content: bytes, target: Path) -> bytes:
    """Return the content of a file, compressed if the name of the target says so.

    Raises:
        InputError: the target is a .zip.
    """
    suffix = compression_of(target)
    if suffix == ".zip":
        raise InputError(f"a .zip is read, but not written: choose a name that ends in .gz, .bz2, .xz or .zst. Got {target}")
    if suffix == ".zst":
        buffer: bytes = pa.compress(content, codec="zstd", asbytes=True)
        return buffer
    if suffix == ".gz":
        return gzip.compress(content, mtime=0)
    return bz2.compress(content) if suffix == ".bz2" else lzma.compress(content) if suffix == ".xz" else content


@contextmanager
def reading_errors(place: Path) -> Iterator[None]:
    """Turn the errors of decoders into one line.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        yield
    except InputError:
        raise
    except (*_ERRORS, pa.ArrowException) as error:
        raise InputError(f"{place} cannot be read ({first_line(error)}): write the file again") from None


def _pieces(file: Any) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


@contextmanager
def _open(place: Path) -> Iterator[Any]:
    suffix = compression_of(place)
    with place.open("rb") as file:
        if suffix == ".zip":
            with zipfile.ZipFile(file) as archive, archive.open(_only_member(archive, place)) as member:
                yield member
        elif suffix == ".zst":
            with pa.CompressedInputStream(file, "zstd") as stream:
                yield stream
        elif suffix in (".gz", ".bz2"):
            with gzip.open(file) if suffix == ".gz" else bz2.open(file) as stream:
                yield stream
        else:
            yield file


def _decode_xz(file: _ByteStream) -> Iterator[bytes]:
    """Yield the content of an .xz file, which may be several compressed streams in a row."""
    decoder: lzma.LZMADecompressor | None = None
    data = b""
    while data := data or file.read(CHUNK):
        decoder = decoder or lzma.LZMADecompressor(lzma.FORMAT_AUTO, _MAX_DECODER_BYTES)
        yield decoder.decompress(data, CHUNK)
        while not decoder.eof and not decoder.needs_input:
            yield decoder.decompress(b"", CHUNK)
        # Streams are padded with zeros.
        data = decoder.unused_data.lstrip(b"\0") if decoder.eof else b""
        decoder = None if decoder.eof else decoder
    if decoder is not None:
        raise EOFError("the compressed data ends too early")


def _only_member(archive: zipfile.ZipFile, place: Path) -> zipfile.ZipInfo:
    """Return the only file of an archive, apart from what operating systems add."""
    members = [
        info
        for info in archive.infolist()
        if not info.is_dir()
        and not info.filename.startswith("__MACOSX/")
        and not PurePosixPath(info.filename).name.startswith(".")
    ]
    if len(members) != 1:
        names = f" ({join_names(info.filename for info in members[:5])}, …)" if members else ""
        raise InputError(f"{place} must hold one file. Got {len(members)}{names}: unpack it and pass a file or folder")
    if members[0].compress_type not in _ZIP_METHODS or members[0].flag_bits & 1:
        raise InputError(f"{place} is compressed in an unusual way, or encrypted: unpack it and pass the file")
    return members[0]
