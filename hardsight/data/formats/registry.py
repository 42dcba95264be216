"""Which reader reads which type of table. A new format is a module of this package and a line here."""

from pathlib import Path

from hardsight.data.formats import arrow_files, delimited, json_records, parquet_files, workbooks
from hardsight.data.formats.table import Reader
from hardsight.io.compression import SUFFIXES as COMPRESSED
from hardsight.io.compression import compression_of, decompressed_name

# Text formats may be compressed; binary formats compress themselves.
_TEXT: dict[str, Reader] = {
    **dict.fromkeys(delimited.SEPARATORS, delimited.read),
    **dict.fromkeys(json_records.SUFFIXES, json_records.read),
}
_BINARY: dict[str, Reader] = {
    **dict.fromkeys(parquet_files.SUFFIXES, parquet_files.read),
    **dict.fromkeys(arrow_files.SUFFIXES, arrow_files.read),
    **dict.fromkeys(workbooks.SUFFIXES, workbooks.read),
}

SUPPORTED = (*_TEXT, *_BINARY)
TEXT_SUFFIXES = tuple(_TEXT)
COMPRESSED_HINT = f"text also compressed ({', '.join(COMPRESSED)})"


def reader_of(place: Path) -> Reader | None:
    """Return the reader of a file by its name, in upper or lower case; None if no reader has such names.

    Raises:
        InputError: a .zip that cannot be read or holds several files.
    """
    suffix = Path(decompressed_name(place)).suffix.lower()
    if compression_of(place) is not None:
        return _TEXT.get(suffix)
    return _TEXT.get(suffix) or _BINARY.get(suffix)
