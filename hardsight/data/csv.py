"""Reading of csv and tsv tables, also compressed, checked before they are parsed."""

import csv
import gzip
import re
import shlex
import warnings
import zlib
from collections.abc import Iterable
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from packaging.version import Version

from hardsight.errors import InputError, first_line
from hardsight.io import limits

SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}

_CHUNK = 1 << 20
# Separators of columns with their names, and how many rows are looked at to choose one.
_SEPARATOR_NAMES = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}
_ROWS = 50
# Cells in quotes, which may hold separators and line ends.
_QUOTED = re.compile(r'(?<![^,;\t|\r\n])"(?:[^"]|"")*(?:"|$)')
_LINE_END = re.compile(r"\r\n|\r|\n")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# The parser of earlier versions takes all memory, or never ends, for some small texts with carriage returns and quotes.
_SAFE_PANDAS = Version("3.1")
_CELL_BYTES = 8


class _Header(NamedTuple):
    names: list[str]
    separator: str


def read_csv(place: Path, separator: str, id_column: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of a csv or tsv file, and notices; semicolons, tabs and bars in place of commas are recognised.

    Args:
        place: the file, compressed if its name ends in .gz.
        separator: the usual separator of files with this name.

    Raises:
        InputError: a file that is not such a table, or that would take too much memory as one.
    """
    header = _read_header(place, separator)
    names = pd.Series(header.names)
    repeated = names[names.duplicated() & (names != "")]
    if len(repeated):
        raise InputError(f"{place}: column name {repeated.iloc[0]!r} appears twice: give every column its own name")
    # Ids are names: 007 must not become 7.
    as_text = {id_column: str} if id_column in header.names else None
    frame = _parse(place, header.separator, dtype=as_text)
    if as_text is not None and id_column is not None:
        ids = frame[id_column]
        if ids.notna().all() and ids.str.fullmatch(r"0|-?[1-9]\d{0,17}").all():
            frame[id_column] = ids.astype(np.int64)
    if header.separator == separator:
        return frame, []
    return frame, [f"Columns are separated by {_SEPARATOR_NAMES[header.separator]}."]


def read_cells(place: Path, separator: str) -> tuple[list[str], list[list[str]], str]:
    """Return the header, the rows and the separator of a table, with every cell as it is in the file.

    Args:
        place: the file, compressed if its name ends in .gz.
        separator: the usual separator of files with this name.

    Raises:
        InputError: a file that is not such a table, or that would take too much memory as one.
    """
    header = _read_header(place, separator)
    frame = _parse(place, header.separator, dtype=str, keep_default_na=False).fillna("")
    return header.names, frame.to_numpy(dtype=object).tolist(), header.separator


def match_suffix(place: Path, suffixes: Iterable[str]) -> str | None:
    """Return the first of the suffixes that a file's name ends in, in upper or lower case; None if there is none."""
    name = place.name.lower()
    return next((suffix for suffix in suffixes if name.endswith(suffix)), None)


def read_lines(place: Path) -> list[list[str]]:
    """Return the rows of a small .csv or .txt file as they are in the file; a row of a .txt file is one cell.

    Raises:
        InputError: a file that cannot be read, or that is not csv in UTF-8.
    """
    try:
        limits.check_regular_file(place)
        lines = place.read_text(encoding="utf-8-sig").splitlines()
        if place.suffix.lower() != ".csv":
            return [[line] for line in lines]
        return [row or [""] for row in csv.reader(lines)]
    except UnicodeDecodeError:
        raise InputError(f"{place} is not UTF-8: save it as UTF-8") from None
    except (OSError, csv.Error) as error:
        raise InputError(f"{place} cannot be read ({first_line(error)}): fix the file") from None


def is_compressed(place: Path) -> bool:
    """Return whether a file's name says that it is compressed."""
    return place.name.lower().endswith(".gz")


def _open(place: Path) -> BufferedIOBase:
    return gzip.open(place) if is_compressed(place) else place.open("rb")


def _read_header(place: Path, usual: str) -> _Header:
    """Check a file's size and return the names of its columns and their separator."""
    rows, size = _scan(place)
    separator = _guess_separator(place, usual)
    names = list(_parse(place, separator, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0])
    limits.check_column_count(place, len(names))
    # Rows that end early are filled up: a few bytes each would become a value for every column.
    limits.check_decoded_size(place, rows * len(names) * _CELL_BYTES, size)
    return _Header(names, separator)


def _guess_separator(place: Path, usual: str) -> str:
    """Return the separator that splits header and first rows into equally many cells, as many as possible.

    The usual separator wins a tie.
    """
    with _open(place) as file:
        chunk = file.read(_CHUNK)
    text = _QUOTED.sub('""', chunk.decode("utf-8-sig", "replace"))
    lines = [line for line in _LINE_END.split(text) if line.strip(" ")]
    if len(chunk) == _CHUNK and len(lines) > 1:
        # The last line is incomplete.
        lines.pop()
    header, *rows = lines[:_ROWS] or [""]
    regular = [
        mark for mark in _SEPARATOR_NAMES if mark in header and all(row.count(mark) == header.count(mark) for row in rows)
    ]
    if regular:
        return max(regular, key=lambda mark: (header.count(mark), mark == usual))
    return next((mark for mark in (usual, *_SEPARATOR_NAMES) if mark in header), usual)


def _scan(place: Path) -> tuple[int, int]:
    """Return an upper bound of the number of lines, and the size on disk in bytes.

    Raises:
        InputError: the file decompresses to more than is allowed, or this version of pandas cannot read the text safely.
    """
    size = limits.check_regular_file(place)
    compressed = is_compressed(place)
    line_ends = total = 0
    pending = b""
    try:
        with _open(place) as file:
            while chunk := file.read(_CHUNK):
                if not total and chunk.startswith(_UTF_16):
                    raise InputError(f"{place} is UTF-16, not UTF-8: save it as UTF-8, {_recode_hint(place, 'utf-16')}")
                total += len(chunk)
                # A carriage return at the end of a chunk belongs to the next one: a line feed may follow.
                text, pending = pending + chunk, b"\r" if chunk.endswith(b"\r") else b""
                text = text.removesuffix(b"\r")
                bare_returns = text.count(b"\r") - text.count(b"\r\n")
                line_ends += text.count(b"\n") + bare_returns
                if bare_returns:
                    _check_pandas(place)
                if compressed:
                    limits.check_decoded_size(place, total, size)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{place} cannot be read as a table ({first_line(error)}): fix the file") from None
    if pending:
        _check_pandas(place)
    return line_ends + 1, size


def _check_pandas(place: Path) -> None:
    if Version(pd.__version__) < _SAFE_PANDAS:
        raise InputError(
            f"{place} holds carriage returns without line feeds, which pandas {pd.__version__} cannot read safely: "
            f"pip install 'pandas>={_SAFE_PANDAS}', or write line feeds in their place"
        )


def _recode_hint(place: Path, encoding: str) -> str:
    name, target = shlex.quote(place.name), shlex.quote(f"utf8-{place.name}")
    recode = f"iconv -f {encoding} -t utf-8"
    if is_compressed(place):
        return f"for example with gunzip -c {name} | {recode} | gzip > {target}"
    return f"for example with {recode} {name} > {target}"


def _parse(place: Path, separator: str, **options: Any) -> pd.DataFrame:
    compression: Any = "gzip" if is_compressed(place) else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame: pd.DataFrame = pd.read_csv(
                place, sep=separator, compression=compression, index_col=False, low_memory=False, **options
            )
            return frame
    except UnicodeDecodeError as error:
        raise InputError(
            f"{place} is not UTF-8 (byte {error.object[error.start]:#04x}): save it as UTF-8, "
            f"{_recode_hint(place, 'latin1')}"
        ) from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{place} is empty: pass a file with data") from None
    except pd.errors.ParserWarning:
        raise InputError(f"{place} has rows with more fields than its header: fix the header or the rows") from None
    except (ValueError, OSError, EOFError, zlib.error, csv.Error) as error:
        raise InputError(f"{place} cannot be read as a table ({first_line(error)}): fix the file") from None
