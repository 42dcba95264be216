"""Tables as text: csv and tsv, also compressed, looked over before they are parsed."""

import csv
import gzip
import re
import shlex
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from packaging.version import Version

from hardsight.errors import InputError, first_line
from hardsight.io import limits

SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}

_PIECE = 1 << 20
# What may stand between columns, and how many rows tell it.
_CALLED = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}
_ROWS = 50
# Cells in quotes, which may hold separators and line ends.
_QUOTED = re.compile(r'(?<![^,;\t|\r\n])"(?:[^"]|"")*(?:"|$)')
_LINE_END = re.compile(r"\r\n|\r|\n")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# Before, its parser takes all memory, or never ends, for some small texts with carriage returns and quotes.
_SAFE_PANDAS = Version("3.1")
_CELL_BYTES = 8


def read_csv(place: Path, separator: str, id_column: str | None) -> tuple[pd.DataFrame, list[str]]:
    """A csv or tsv file; semicolons, tabs and bars in place of commas are seen.

    Args:
        place: the file, compressed where its name ends in .gz.
        separator: what stands between columns, by the file's name.
        id_column: name of the column of ids, if any.

    Returns:
        The rows, and what to say of how they were read.

    Raises:
        InputError: a file that is no such table, or that would take too much memory as one.
    """
    names, separator, called = _header(place, separator)
    notices = [] if called is None else [f"Columns are separated by {called}."]
    twice = pd.Series(names)[pd.Series(names).duplicated() & (pd.Series(names) != "")]
    if len(twice):
        raise InputError(f"{place}: column name {twice.iloc[0]!r} stands twice: give every column its own name")
    # Ids are names: 007 must not become 7.
    as_text = {id_column: str} if id_column in names else None
    frame = _parsed(place, separator, dtype=as_text)
    if as_text is not None and id_column is not None:
        ids = frame[id_column]
        if ids.notna().all() and ids.str.fullmatch(r"0|-?[1-9]\d{0,17}").all():
            frame[id_column] = ids.astype(np.int64)
    return frame, notices


def read_cells(place: Path, separator: str) -> tuple[list[str], list[list[str]], str]:
    """The header, the rows and what separates their cells, every cell as it stands there.

    Args:
        place: the file, compressed where its name ends in .gz.
        separator: what stands between columns, by the file's name.

    Raises:
        InputError: a file that is no such table, or that would take too much memory as one.
    """
    names, separator, _ = _header(place, separator)
    frame = _parsed(place, separator, dtype=str, keep_default_na=False).fillna("")
    return names, frame.to_numpy(dtype=object).tolist(), separator


def match_suffix(place: Path, known: Iterable[str]) -> str | None:
    """The first of some endings that a file's name has, in any case; None: it has none."""
    name = place.name.lower()
    return next((suffix for suffix in known if name.endswith(suffix)), None)


def read_lines(place: Path) -> list[list[str]]:
    """The rows of a small .csv or .txt file as they stand there; a row of a .txt file is a cell.

    Raises:
        InputError: a file that cannot be read, or is no csv in UTF-8.
    """
    try:
        limits.check_regular_file(place)
        texts = place.read_text(encoding="utf-8-sig").splitlines()
        if place.suffix.lower() != ".csv":
            return [[text] for text in texts]
        return [row or [""] for row in csv.reader(texts)]
    except UnicodeDecodeError:
        raise InputError(f"{place} is not UTF-8: save it as UTF-8") from None
    except (OSError, csv.Error) as fault:
        raise InputError(f"{place} cannot be read ({first_line(fault)}): mend the file") from None


def _header(place: Path, separator: str) -> tuple[list[str], str, str | None]:
    """Names of the columns, what stands between them, and what that is called where the file's name says otherwise."""
    rows, size = _looked_over(place)
    found = _separator(place, separator)
    names = list(_parsed(place, found, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0])
    said = None if found == separator else _CALLED[found]
    limits.check_column_count(place, len(names))
    # Rows that end early are filled up: a few bytes each would become a value for every column.
    limits.check_decoded_size(place, rows * len(names) * _CELL_BYTES, size)
    return names, found, said


def _separator(place: Path, usual: str) -> str:
    """What splits the header and the first rows into equally many cells, the most there can be; at a tie the usual."""
    with gzip.open(place) if is_compressed(place) else place.open("rb") as file:
        piece = file.read(_PIECE)
    text = _QUOTED.sub('""', piece.decode("utf-8-sig", "replace"))
    lines = [line for line in _LINE_END.split(text) if line.strip(" ")]
    if len(piece) == _PIECE and len(lines) > 1:
        # The last one is cut.
        lines.pop()
    header, *rows = lines[:_ROWS] or [""]
    even = [mark for mark in _CALLED if mark in header and all(row.count(mark) == header.count(mark) for row in rows)]
    if even:
        return max(even, key=lambda mark: (header.count(mark), mark == usual))
    return next((mark for mark in (usual, *_CALLED) if mark in header), usual)


def _looked_over(place: Path) -> tuple[int, int]:
    """How many lines there are at most, and bytes on the disk.

    Raises:
        InputError: more is unpacked than may be, or this pandas cannot be trusted with the text.
    """
    size = limits.check_regular_file(place)
    zipped = is_compressed(place)
    ends = total = 0
    before = b""
    try:
        with gzip.open(place) if zipped else place.open("rb") as file:
            while piece := file.read(_PIECE):
                if not total and piece.startswith(_UTF_16):
                    raise InputError(f"{place} is UTF-16, not UTF-8: save it as UTF-8, {_recoding(place, 'utf-16')}")
                total += len(piece)
                # A carriage return at a piece's end is looked at with the next piece.
                text, before = before + piece, b"\r" if piece.endswith(b"\r") else b""
                text = text.removesuffix(b"\r")
                bare = text.count(b"\r") - text.count(b"\r\n")
                ends += text.count(b"\n") + bare
                if bare:
                    _trusted(place)
                if zipped:
                    limits.check_decoded_size(place, total, size)
    except (OSError, EOFError, zlib.error) as fault:
        raise InputError(f"{place} cannot be read as a table ({first_line(fault)}): mend the file") from None
    if before:
        _trusted(place)
    return ends + 1, size


def _trusted(place: Path) -> None:
    if Version(pd.__version__) < _SAFE_PANDAS:
        raise InputError(
            f"{place} holds carriage returns that end no line, which pandas {pd.__version__} cannot read safely: "
            f"pip install 'pandas>={_SAFE_PANDAS}', or write line feeds in their place"
        )


def is_compressed(place: Path) -> bool:
    """Whether a file's name says that it is compressed."""
    return place.name.lower().endswith(".gz")


def _recoding(place: Path, code: str) -> str:
    name, goal = shlex.quote(place.name), shlex.quote(f"utf8-{place.name}")
    recode = f"iconv -f {code} -t utf-8"
    if is_compressed(place):
        return f"for example with gunzip -c {name} | {recode} | gzip > {goal}"
    return f"for example with {recode} {name} > {goal}"


def _parsed(place: Path, separator: str, **options: Any) -> pd.DataFrame:
    compression: Any = "gzip" if is_compressed(place) else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            parsed: pd.DataFrame = pd.read_csv(
                place, sep=separator, compression=compression, index_col=False, low_memory=False, **options
            )
            return parsed
    except UnicodeDecodeError as fault:
        raise InputError(
            f"{place} is not UTF-8 (byte {fault.object[fault.start]:#04x}): save it as UTF-8, {_recoding(place, 'latin1')}"
        ) from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{place} is empty: give a file with data") from None
    except pd.errors.ParserWarning:
        raise InputError(f"{place} has rows with more fields than its header: mend the header or the rows") from None
    except (ValueError, OSError, EOFError, zlib.error, csv.Error) as fault:
        raise InputError(f"{place} cannot be read as a table ({first_line(fault)}): mend the file") from None
