"""Text files whose lines are rows of cells: csv, tsv and their relatives. Every cell is read as text."""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from hardsight.data.cells import convert_columns
from hardsight.data.formats.dialect import (
    SEPARATOR_NAMES,
    WHITESPACE,
    Dialect,
    QuoteError,
    Quotes,
    find_dialect,
    guess_separator,
    split_lines,
    split_rows,
    stated_separator,
)
from hardsight.data.formats.header import UNNAMED, find_header_line, unique_header_names
from hardsight.data.formats.table import CheckNames, Table, accept_names
from hardsight.data.read_options import ReadOptions
from hardsight.errors import InputError
from hardsight.io.compression import decompressed_name
from hardsight.io.text_files import TextFile, blank_lines, check_memory, open_text_file
from hardsight.validation import describe_rows, join_examples

# The usual separator of each type of file; None: there is none.
SEPARATORS: dict[str, str | None] = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": None, ".data": None, ".dat": None}
# The column of row names that R writes without a name.
ROW_NAMES = "row names"
_CELL_BYTES = 8
# Arrow reads no row that is longer than a block.
_BLOCK = 16 << 20
# How many rows are converted, and how many are looked at, at once.
_ROWS, _FIRST = 10_000, 50
_MAX_LINES = 10
_MAX_SHOWN = 5


def read(place: Path, options: ReadOptions, check_names: CheckNames) -> Table:
    """Read a table, with every column converted by its role, see :mod:`hardsight.data.cells`.

    Raises:
        InputError: see :func:`read_cells`.
    """
    cells = read_cells(place, options, check_names)
    used = replace(options, drop=(*options.drop, *_unused_columns(cells, options)))
    frame, notices = convert_columns(cells.names, cells.columns, used)
    return Table(frame, [*cells.notices, *notices])


def _unused_columns(cells: "Cells", options: ReadOptions) -> list[str]:
    """Return the row names without a role, and an empty last column that is there because lines end in a separator."""
    unused = [ROW_NAMES] if ROW_NAMES in cells.names and ROW_NAMES not in cells.header else []
    last = cells.names[-1]
    if len(cells.names) > 1 and last.startswith(UNNAMED) and last not in cells.header:
        has_values = pc.any(pc.not_equal(cells.columns[-1], "")).as_py()
        unused += [] if has_values else [last]
    return [name for name in unused if name not in options.columns.values()]


def read_values(place: Path, encoding: str | None, role: str, notices: list[str]) -> list[str]:
    """Return the lines of a .txt file, or the cells of a .csv file of one column, without blanks around them.

    Raises:
        InputError: a file that cannot be read, or with several cells in a row.
    """
    file = open_text_file(place, encoding)
    notices.extend(file.notices)
    if place.suffix.lower() != ".csv":
        with file.open_text() as text:
            return [line.strip() for line in text]
    dialect, more = find_dialect(file, ",", prefer_text=False)
    notices.extend(more)
    try:
        rows = [cells for _, cells in split_rows(file, dialect, keep_blank=True)]
    except QuoteError as error:
        raise _unreadable(place, error) from None
    wide = np.array([len(row) > 1 for row in rows], dtype=bool)
    if wide.any():
        raise InputError(
            f"{place} must hold one value per row for {role}. Got several ({describe_rows(wide)}): keep one column"
        )
    return [row[0].strip() if row else "" for row in rows]


def _unreadable(place: Path, error: Exception) -> InputError:
    return InputError(f"{place} cannot be read as a table ({error}): fix the file")


class Cells(NamedTuple):
    """A table of texts."""

    names: list[str]  # one per column, unique
    columns: list[pa.ChunkedArray | None]  # strings without nulls, as long as one another
    notices: list[str]
    header: list[str]  # the cells of the header as they are in the file; [] if there is none
    dialect: Dialect
    encoding: str


def read_cells(place: Path, options: ReadOptions, check_names: CheckNames = accept_names) -> Cells:
    """Read the cells of a table.

    Args:
        place: the file, compressed if its name says so.
        options: the separator, the encoding and whether there is a header; what is not stated is guessed.
        check_names: called with the names of the columns, and a hint for its messages, before the rows are read.

    Raises:
        InputError: a file that is not such a table, or that would take too much memory as one; rows with more cells than the
            header, which are listed.
    """
    file = open_text_file(place, options.encoding)
    file, skipped = _skip_titles(file, options)
    usual = SEPARATORS.get(Path(decompressed_name(place)).suffix.lower(), ",")
    separator = guess_separator(file.head(), usual) if options.separator is None else stated_separator(options.separator)
    dialect, notices = find_dialect(file, separator, prefer_text=separator == "\t")
    notices += skipped
    if options.separator is None and separator != usual:
        notices.insert(0, f"Columns are separated by {SEPARATOR_NAMES[separator]}.")
    first = _first_rows(file, dialect)
    layout = _Layout.of(first, options.header, notices)
    check_memory(file, len(layout.names), _CELL_BYTES)
    check_names(layout.names, _header_hint(first, options.header))
    columns = _read_fast(file, dialect, layout)
    if columns is None:
        columns = _read_rows(file, dialect, layout, notices)
    columns = _leave_out_headers(columns, layout, notices)
    return Cells(layout.names, columns, [*file.notices, *notices], layout.header, dialect, file.encoding)


def _skip_titles(file: TextFile, options: ReadOptions) -> tuple[TextFile, list[str]]:
    """Leave out what stands above the header if the named columns tell where it is; also return a notice."""
    mark = None if options.separator is None else stated_separator(options.separator)
    if not options.header or not options.columns or (mark is not None and len(mark) > 1):
        return file, []
    lines = list(islice(split_lines(file.head()), _FIRST))
    number = find_header_line(lines, mark, list(options.columns.values()))
    if number is None:
        return file, []
    return blank_lines(file, number), [f"The header is in line {number + 1}; everything above it was skipped."]


def _leave_out_headers(
    columns: list[pa.ChunkedArray | None], layout: "_Layout", notices: list[str]
) -> list[pa.ChunkedArray | None]:
    """Leave out rows that repeat the header, as in files that were joined."""
    if len(layout.header) != len(columns) or len(columns) < 2:
        return columns
    repeated: pa.ChunkedArray | None = None
    for column, cell in zip(columns, layout.header, strict=True):
        same = pc.equal(column, cell)
        repeated = same if repeated is None else pc.and_(repeated, same)
        if not pc.any(repeated).as_py():
            return columns
    rows = np.asarray(repeated)
    notices.append(f"Rows that repeat the header were left out ({describe_rows(rows)}).")
    return [column.filter(pa.array(~rows)) for column in columns if column is not None]


def _first_rows(file: TextFile, dialect: Dialect) -> list[list[str]]:
    try:
        rows = [cells for _, cells in islice(split_rows(file, dialect), _FIRST)]
    except QuoteError as error:
        raise _unreadable(file.place, error) from None
    if not rows:
        raise InputError(f"{file.place} is empty: pass a file with data")
    return rows


@dataclass
class _Layout:
    """The columns of a table."""

    names: list[str]
    header: list[str]  # the cells of the header; [] if there is none

    @classmethod
    def of(cls, rows: list[list[str]], has_header: bool, notices: list[str]) -> "_Layout":
        """Return the layout of a table with these first rows."""
        if not has_header:
            return cls([str(number + 1) for number in range(max(map(len, rows)))], [])
        header, *others = rows
        names = unique_header_names(header, notices)
        widths = {len(row) for row in others}
        # Row names are all different. Otherwise a cell may hold the separator, such as a decimal comma.
        if widths == {len(header) + 1} and len({row[0] for row in others}) == len(others):
            if not any(row[-1].strip() for row in others):
                return cls([*names, f"{UNNAMED}{len(names)}"], header)
            notices.append(
                f"The header has one name less than the rows have cells: the first cell of every row is its name, "
                f"{ROW_NAMES!r}, and no feature."
            )
            return cls([ROW_NAMES, *names], header)
        return cls(names, header)


def _header_hint(rows: list[list[str]], has_header: bool) -> str:
    """Return advice if there is one column, or if the first row looks like data.

    That is: fractions, repeated cells, or values of the rows below.
    """
    if not has_header:
        return ""
    header, *others = rows
    if len(header) == 1:
        return "No separator was found: state it (separator, --separator)"
    below = [{row[index] for row in others if index < len(row)} for index in range(len(header))]
    values = sum(cell in column for cell, column in zip(header, below, strict=True))
    filled = [cell for cell in header if cell.strip()]
    looks_like_data = (
        any(_is_fraction(cell) for cell in header) or len(set(filled)) < len(filled) or 2 * values >= len(header)
    )
    if not looks_like_data:
        return ""
    shown = join_examples(header, _MAX_SHOWN)
    return f"The first row looks like data ({shown}): if there is no header, pass header=False (--no-header)"


def _is_fraction(cell: str) -> bool:
    try:
        return not float(cell).is_integer()
    except (ValueError, OverflowError):
        return False


def _read_fast(file: TextFile, dialect: Dialect, layout: _Layout) -> list[pa.ChunkedArray | None] | None:
    """Read a table with arrow; None if a row has another number of cells, or is split as arrow cannot."""
    if len(dialect.separator) > 1 or not dialect.separator.isascii() or dialect.quotes is Quotes.AFTER_BLANKS:
        return None
    # Columns are called by their numbers: their names may be repeated.
    numbers = [str(index) for index in range(len(layout.names))]
    header_fits = len(layout.header) == len(numbers)
    invalid = []

    def accept(row: arrow_csv.InvalidRow) -> str:
        # The header comes first, and may be shorter than the rows.
        invalid.append(row.number)
        return "skip" if layout.header and not header_fits and len(invalid) == 1 else "error"

    enclosing = dialect.quotes is Quotes.AROUND_CELLS
    try:
        with file.open() as stream:
            table = arrow_csv.read_csv(
                stream,
                read_options=arrow_csv.ReadOptions(use_threads=False, column_names=numbers, block_size=_BLOCK),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=dialect.separator, quote_char='"' if enclosing else False, double_quote=enclosing,
                    newlines_in_values=enclosing, invalid_row_handler=accept,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    check_utf8=False, column_types=dict.fromkeys(numbers, pa.string()), strings_can_be_null=False
                ),
            )  # fmt: skip
    except pa.ArrowInvalid:
        return None
    columns: list[pa.ChunkedArray | None] = list((table.slice(1) if header_fits else table).itercolumns())
    return columns


def _read_rows(file: TextFile, dialect: Dialect, layout: _Layout, notices: list[str]) -> list[pa.ChunkedArray | None]:
    """Read a table row by row. Rows that are too short are filled with empty cells, with a notice.

    Raises:
        InputError: rows with more cells than the header, which are listed.
    """
    width = len(layout.names)
    short: list[int] = []
    long: list[int] = []
    blocks: list[list[pa.Array]] = []
    try:
        rows = split_rows(file, dialect)
        if layout.header:
            next(rows)
        fitted = (_fit(cells, line, width, short, long) for line, cells in rows)
        while block := list(islice(fitted, _ROWS)):
            blocks.append([pa.array(column, pa.string()) for column in zip(*block, strict=True)])
    except QuoteError as error:
        raise _unreadable(file.place, error) from None
    if long:
        raise InputError(
            f"{file.place} has rows with more cells than the header, which has {width} ({_join_lines(long)}): fix the "
            "header or the rows, or state the separator (separator, --separator)"
        )
    if short and dialect.separator == WHITESPACE:
        raise InputError(
            f"{file.place} has rows with fewer cells than the header, which has {width} ({_join_lines(short)}), and blanks "
            "between cells do not tell which are missing: write NA there, or save the table as csv"
        )
    if short:
        notices.append(f"Rows with fewer cells than the header were filled with missing values ({_join_lines(short)}).")
    return [pa.chunked_array([block[index] for block in blocks], pa.string()) for index in range(width)]


def _fit(cells: list[str], line: int, width: int, short: list[int], long: list[int]) -> list[str]:
    if len(cells) < width:
        short.append(line)
        return cells + [""] * (width - len(cells))
    if len(cells) > width and any(cell.strip() for cell in cells[width:]):
        long.append(line)
    return cells[:width]


def _join_lines(lines: list[int]) -> str:
    more = f", … {len(lines):,} in all" if len(lines) > _MAX_LINES else ""
    return f"line{'s' * (len(lines) > 1)} {', '.join(map(str, lines[:_MAX_LINES]))}{more}"
