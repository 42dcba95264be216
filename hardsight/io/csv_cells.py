"""Cells of csv files that people open in spreadsheets: every csv that is written here goes through this one place.

Cells that a spreadsheet would run as a formula stand behind an apostrophe, which is taken off again when they are read.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from hardsight.errors import InputError, first_line
from hardsight.io import limits

# What spreadsheets take for the beginning of a formula, the wide forms of East Asian keyboards included. A cell may also
# begin behind a mark that another program, or another country's settings, take for the end of the cell before.
_MARKED = "'*[=+\\-@\t\r\n＝＋－＠]"
_BEGINS = "(?:^|(?<=[,;\t\r\n]))"
_FORMULA = re.compile(f"{_BEGINS}(?={_MARKED})")
_ESCAPED = re.compile(f"{_BEGINS}'(?={_MARKED})")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
# A cell longer than this is no id and no label.
_LONGEST = 1 << 20
_SEPARATORS = (",", ";", "\t")


def escape_formula(text: str) -> str:
    """The text as a csv cell that no spreadsheet takes for a formula; numbers stay as they are.

    >>> escape_formula("=1+1"), escaped("-2.5"), escaped("cat"), escaped("'=x"), escaped("a;=x")
    ("'=1+1", '-2.5', 'cat', "''=x", "a;'=x")
    """
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub("'", text)


def unescape_formula(cell: str) -> str:
    """The text that :func:`escape_formula` made the cell of.

    >>> [unescape_formula(escape_formula(text)) for text in ("=1", "'=1", "''", "-2", "a;'=1")]
    ['=1', "'=1", "''", '-2', "a;'=1"]
    """
    return _ESCAPED.sub("", cell)


class _Lines(list[str]):
    """Takes the rows of a csv writer, which quotes line breaks of one kind only if it writes them itself."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n"))


def format_csv(names: Sequence[str], rows: Iterable[Sequence[Any]], end: str = "\n") -> str:
    r"""Rows as csv; numbers in full, everything else as text.

    >>> format_csv(["id", "weight"], [("=a", 0.5)])
    "id,weight\n'=a,0.5\n"
    """
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow([escape_formula(name) for name in names])
    writer.writerows([escape_formula(str(value)) for value in row] for row in rows)
    return end.join([*lines, ""])


def same_cell(cell: str, name: str) -> bool:
    """Whether a cell was read as that name, or is what a spreadsheet makes of it.

    >>> same_cell("1", "1.0"), alike("TRUE ", "True"), alike("cat", "Cat!")
    (True, True, False)
    """
    cell = cell.strip()
    if cell == name.strip() or cell.lower() == name.lower():
        return True
    try:
        return float(cell) == float(name)
    except ValueError:
        return False


def read_csv_text(path: str | Path, mend: str) -> str:
    """What a csv file holds, as text.

    Raises:
        InputError: no such file, one that cannot be read, or another encoding than UTF-8.
    """
    try:
        limits.check_regular_file(path)
        return Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no file at {path}: {mend}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: save it as UTF-8 csv") from None
    except (OSError, ValueError) as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(f"{path} cannot be read ({first_line(fault)}): check the path") from None


def parse_csv(text: str, source: str, wanted: Sequence[str], needed: int, mend: str) -> list[list[str]]:
    """Some columns of a csv text, as they were before they were escaped.

    Args:
        text: with a header; where a spreadsheet has saved it again, semicolons or tabs may stand in place of commas.
        source: what messages call it.
        wanted: names of columns in small letters; a column that is not there is empty.
        needed: so many of the first must be there.
        mend: what messages advise.

    Returns:
        A list of cells a row, in the order of ``wanted``; rows of nothing are left out.

    Raises:
        InputError: no csv, a column that is missing or stands twice, or a row of another length.
    """
    first = re.split("[\r\n]", text, maxsplit=1)[0]
    separator = next((mark for mark in _SEPARATORS if mark in first), ",")
    csv.field_size_limit(_LONGEST)
    lines = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [(lines.line_num, row) for row in lines if any(row)]
    except csv.Error as fault:
        raise InputError(f"{source} is no readable csv (line {lines.line_num}: {first_line(fault)}): {mend}") from None
    if not rows:
        raise InputError(f"{source} is empty: {mend}")
    header = [name.strip().lower() for name in rows[0][1]]
    for name in wanted[:needed]:
        if header.count(name) != 1:
            listed = ", ".join(map(repr, header[:10])) or "none"
            raise InputError(f"{source} must have one column {name!r}. The columns are {listed}: {mend}")
    places = [header.index(name) if name in header else None for name in wanted]
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise InputError(f"{source}: line {line} has {len(row)} cells, the header {len(header)}: mend the row")
    return [[unescape_formula(row[place]) if place is not None else "" for place in places] for _, row in rows[1:]]
