"""Cells of csv files that people open in spreadsheets; every csv that hardsight writes goes through this module.

Cells that a spreadsheet would run as a formula get an apostrophe in front, which is removed when they are read.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from hardsight.errors import InputError, first_line
from hardsight.io import limits

# Characters that spreadsheets take for the start of a formula, including the wide forms of East Asian keyboards. A cell may
# also start after a character that another program, or another country's settings, takes for the end of the cell before.
_FORMULA_START = "'*[=+\\-@\t\r\n＝＋－＠]"
_CELL_START = "(?:^|(?<=[,;\t\r\n]))"
_FORMULA = re.compile(f"{_CELL_START}(?={_FORMULA_START})")
_ESCAPED = re.compile(f"{_CELL_START}'(?={_FORMULA_START})")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
# A longer cell is neither an id nor a label.
_MAX_CELL = 1 << 20
_SEPARATORS = (",", ";", "\t")
_MAX_NAMES = 10


def escape_formula(text: str) -> str:
    """Return the text as a csv cell that no spreadsheet takes for a formula; numbers stay as they are.

    >>> escape_formula("=1+1"), escape_formula("-2.5"), escape_formula("cat"), escape_formula("'=x"), escape_formula("a;=x")
    ("'=1+1", '-2.5', 'cat', "''=x", "a;'=x")
    """
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub("'", text)


def unescape_formula(cell: str) -> str:
    """Return the text that :func:`escape_formula` turned into the cell.

    >>> [unescape_formula(escape_formula(text)) for text in ("=1", "'=1", "''", "-2", "a;'=1")]
    ['=1', "'=1", "''", '-2', "a;'=1"]
    """
    return _ESCAPED.sub("", cell)


class _Lines(list[str]):
    """Lines from a csv writer, which quotes both kinds of line break only if it ends the lines itself."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n"))


def format_csv(names: Sequence[str], rows: Iterable[Sequence[Any]], end: str = "\n") -> str:
    r"""Format rows as csv; numbers are written in full, everything else as text.

    >>> format_csv(["id", "weight"], [("=a", 0.5)])
    "id,weight\n'=a,0.5\n"
    """
    return format_rows([names], end) + format_rows(rows, end)


def format_rows(rows: Iterable[Sequence[Any]], end: str = "\n") -> str:
    r"""Format rows as csv without a header, a block of a large table for example.

    >>> format_rows([("=a", 0.5), ("b", None)])
    "'=a,0.5\nb,None\n"
    """
    lines = _Lines()
    csv.writer(lines, lineterminator="\r\n").writerows([escape_formula(str(value)) for value in row] for row in rows)
    return end.join([*lines, ""])


def same_cell(cell: str, name: str) -> bool:
    """Return whether a cell equals a name, or is what a spreadsheet makes of that name.

    >>> same_cell("1", "1.0"), same_cell("TRUE ", "True"), same_cell("cat", "Cat!")
    (True, True, False)
    """
    cell = cell.strip()
    if cell == name.strip() or cell.lower() == name.lower():
        return True
    try:
        return float(cell) == float(name)
    except ValueError:
        return False


def read_csv_text(path: str | Path, fix: str) -> str:
    """Read the text of a csv file.

    Args:
        fix: advice that ends the message if there is no such file.

    Raises:
        InputError: there is no such file, it cannot be read, or it is not UTF-8.
    """
    try:
        limits.check_regular_file(path)
        return Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no file at {path}: {fix}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: save it as UTF-8 csv") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read ({first_line(error)}): check the path") from None


def parse_csv(text: str, source: str, columns: Sequence[str], required: int, fix: str) -> list[list[str]]:
    """Parse some columns of a csv text, with the escapes of formulas removed.

    Args:
        text: csv with a header. If a spreadsheet has saved it again, semicolons or tabs may separate the cells.
        columns: names of columns in lower case; a column that is missing is read as empty.
        required: how many of the first ``columns`` must be there.
        fix: advice that ends messages.

    Returns:
        One list of cells per row, in the order of ``columns``; empty rows are left out.

    Raises:
        InputError: the text is not csv, a column is missing or duplicated, or a row has another length.
    """
    lines = _split_rows(text, source, fix)
    header = [name.strip().lower() for name in lines[0][1]]
    for name in columns[:required]:
        if header.count(name) != 1:
            names = ", ".join(map(repr, header[:_MAX_NAMES])) or "none"
            raise InputError(f"{source} must have one column {name!r}. The columns are {names}: {fix}")
    for number, row in lines[1:]:
        if len(row) != len(header):
            raise InputError(f"{source}: line {number} has {len(row)} cells, the header {len(header)}: correct the row")
    positions = [header.index(name) if name in header else None for name in columns]
    return [["" if position is None else unescape_formula(row[position]) for position in positions] for _, row in lines[1:]]


def _split_rows(text: str, source: str, fix: str) -> list[tuple[int, list[str]]]:
    """Split a csv text into ``(line number, cells)``, the header first; there is at least one row."""
    first = re.split("[\r\n]", text, maxsplit=1)[0]
    separator = next((mark for mark in _SEPARATORS if mark in first), ",")
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(row)]
    except csv.Error as error:
        raise InputError(f"{source} is not a readable csv (line {reader.line_num}: {first_line(error)}): {fix}") from None
    if not rows:
        raise InputError(f"{source} is empty: {fix}")
    return rows
