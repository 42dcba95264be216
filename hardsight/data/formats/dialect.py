"""How a text file is split into cells: the separator, and what quotation marks mean."""

import csv
import re
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from typing import NamedTuple

from hardsight.errors import InputError
from hardsight.io.text_files import TextFile

WHITESPACE = "whitespace"
# Separators with their names, and how many lines are looked at to choose one.
SEPARATOR_NAMES = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars", WHITESPACE: "blanks"}
_MARKS = tuple(SEPARATOR_NAMES)[:-1]
_LINES = 50
_STATED = {"tab": "\t", "\\t": "\t", "space": WHITESPACE, " ": WHITESPACE, WHITESPACE: WHITESPACE}
_BEFORE, _AFTER = r"(?<![^,;\t|\r\n])", r"(?=[,;\t|\r\n]|$)"
# Quoted cells: those that end in their line, and any, which may hold separators and line ends.
_IN_LINE = re.compile(rf'{_BEFORE}"[^"\r\n]*(?:""[^"\r\n]*)*"{_AFTER}')
_QUOTED = re.compile(rf'{_BEFORE}"(?:[^"]|"")*(?:"|$)')
_LINE_END = re.compile(r"\r\n|\r|\n")
_WORD = re.compile(r'"((?:[^"]|"")*)"|(\S+)')
# A longer cell is taken for many rows that a quotation mark has merged.
_MAX_CELL = 1 << 24


class Quotes(Enum):
    """What quotation marks mean."""

    NONE = "text"  # they are part of the text
    AROUND_CELLS = "around cells"  # they enclose cells, and are doubled inside
    AFTER_BLANKS = "after blanks"  # the same, and blanks around the marks are left out


class Dialect(NamedTuple):
    """How lines are split into cells."""

    separator: str  # one or more characters, or WHITESPACE
    quotes: Quotes


def stated_separator(name: str) -> str:
    """Return the separator that a user stated.

    Raises:
        InputError: it cannot separate cells.
    """
    separator = _STATED.get(name, name)
    if separator != WHITESPACE and (not separator or any(letter.isalnum() or letter in '"\r\n' for letter in separator)):
        raise InputError(
            f"separator must be a mark such as ',' or ';', or the word tab or whitespace (--separator). Got {name!r}"
        )
    return separator


def guess_separator(head: str, usual: str | None) -> str:
    """Return the separator that splits the first lines into equally many cells, as many as possible.

    Args:
        head: the beginning of the file.
        usual: the separator of files with this name, which wins a tie; None: there is none, and it may be blanks.
    """
    for quoted in (_IN_LINE, _QUOTED):
        lines = _first_lines(quoted.sub('""', head))
        marks = [mark for mark in _MARKS if mark in lines[0]]
        # The header of a table with row names has one cell less.
        for missing in (0, 1):
            regular = [mark for mark in marks if _is_regular([line.count(mark) for line in lines], missing)]
            if regular:
                return max(regular, key=lambda mark: (lines[0].count(mark), mark == usual))
    words = [len(line.split()) for line in lines]
    if usual is None and max(words) > 1 and (_is_regular(words, 0) or _is_regular(words, 1) or not marks):
        return WHITESPACE
    return next((mark for mark in (usual, *_MARKS) if mark and mark in lines[0]), usual or ",")


def _first_lines(text: str) -> list[str]:
    lines = (line for line in split_lines(text) if line.strip(" "))
    return list(islice(lines, _LINES)) or [""]


def split_lines(text: str) -> Iterator[str]:
    """Yield the lines without their ends; a form feed or another separator of Unicode ends no line."""
    start = 0
    for end in _LINE_END.finditer(text):
        yield text[start : end.start()]
        start = end.end()
    yield text[start:]


def _is_regular(counts: list[int], missing: int) -> bool:
    header, *rows = counts
    return all(count == header + missing for count in rows) and (missing == 0 or bool(rows))


def find_dialect(file: TextFile, separator: str, prefer_text: bool) -> tuple[Dialect, list[str]]:
    """Return how a file is split into cells, and notices.

    Quotation marks enclose cells if all that begin a cell do so within their line. Otherwise the reading decides that
    gives every row as many cells as the header: marks as part of the text, or cells that hold line ends. No
    reading is chosen that merges rows in silence.

    Args:
        prefer_text: whether marks are part of the text where both readings are regular.

    Raises:
        InputError: no reading is regular; names the line.
    """
    if separator == WHITESPACE:
        return Dialect(separator, Quotes.AROUND_CELLS), []
    if not file.has_quotes:
        return Dialect(separator, Quotes.NONE), []
    for quotes in (Quotes.AROUND_CELLS, Quotes.AFTER_BLANKS):
        if _ends_in_line(file, separator, quotes):
            return Dialect(separator, quotes), []
    as_text = _count_cells(file, Dialect(separator, Quotes.NONE))
    enclosing = _count_cells(file, Dialect(separator, Quotes.AROUND_CELLS))
    if enclosing.fault is None and enclosing.regular and not (as_text.regular and prefer_text):
        notice = "Quotation marks are read as enclosing cells; some cells hold line ends."
        return Dialect(separator, Quotes.AROUND_CELLS), [notice] if as_text.regular else []
    if as_text.regular:
        notice = "Quotation marks are read as part of the text, as some of them do not enclose a whole cell."
        return Dialect(separator, Quotes.NONE), [notice]
    if enclosing.fault is None and enclosing.short_only:
        return Dialect(separator, Quotes.AROUND_CELLS), []
    raise InputError(
        f"{file.place}: the quotation marks cannot be read ({enclosing.fault or enclosing.irregular}): enclose the whole "
        "cell in marks and double the marks inside it, or remove them"
    )


def _ends_in_line(file: TextFile, separator: str, quotes: Quotes) -> bool:
    """Return whether every quotation mark that begins a cell encloses that cell, within one line."""
    mark = re.escape(separator)
    inside, end = r'[^"\r\n]*(?:""[^"\r\n]*)*"', rf"(?={mark}|[\r\n]|\Z)"
    if quotes is Quotes.AFTER_BLANKS:
        cell = re.compile(rf'(?:(?<={mark})|(?<=[\r\n])) *"{inside} *{end}'.encode())
    else:
        # Patterns that begin with the mark itself are found faster.
        cell = re.compile(rf'"(?:(?<={mark}")|(?<=[\r\n]")){inside}{end}'.encode())
    start = re.compile(rf'(?:(?<={mark})|(?<=[\r\n])) *"'.encode())
    for lines in _whole_lines(file):
        if b'"' in lines:
            # Every line follows a line end.
            rest = cell.sub(b"", b"\n" + lines)
            if b'"' in rest and start.search(rest):
                return False
    return True


def _whole_lines(file: TextFile) -> Iterator[bytes]:
    """Yield the bytes in pieces that end where a line ends."""
    pending: list[bytes] = []
    for number, chunk in enumerate(file.chunks()):
        text = chunk.removeprefix(b"\xef\xbb\xbf") if not number else chunk
        cut = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if cut:
            yield b"".join([*pending, text[:cut]])
            pending = []
        pending.append(text[cut:])
    yield b"".join(pending)


class _CellCounts(NamedTuple):
    """How many cells rows have, under one reading."""

    regular: bool  # as many in every row
    short_only: bool  # no row has more than the header
    irregular: str  # the first row that has another number
    fault: str | None = None  # why the text cannot be read so


def _count_cells(file: TextFile, dialect: Dialect) -> _CellCounts:
    width = 0
    regular = short_only = True
    irregular = ""
    try:
        for line, cells in split_rows(file, dialect, strict=True):
            width = width or len(cells)
            if len(cells) != width:
                irregular = irregular or f"line {line} has {len(cells)} cells, the header {width}"
                regular, short_only = False, short_only and len(cells) < width
    except QuoteError as error:
        return _CellCounts(False, False, irregular, str(error))
    return _CellCounts(regular, short_only, irregular)


class QuoteError(Exception):
    """Quotation marks that enclose no cell."""


def split_rows(
    file: TextFile, dialect: Dialect, strict: bool = False, keep_blank: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line where each row begins, and its cells; blank lines are left out unless they are kept.

    Raises:
        QuoteError: with ``strict``, a quotation mark that encloses no cell, or a cell of more than 16 million letters.
    """
    rows: Iterator[tuple[int, list[str]]]
    with file.open_text() as text:
        if dialect.separator == WHITESPACE:
            rows = ((number, _split_words(line)) for number, line in enumerate(text, 1))
        elif dialect.quotes is Quotes.NONE:
            rows = ((number, line.rstrip("\r\n").split(dialect.separator)) for number, line in enumerate(text, 1))
        else:
            rows = _split_quoted(text, dialect, strict)
        yield from (row for row in rows if keep_blank or len(row[1]) > 1 or "".join(row[1]).strip(" "))


def _split_words(line: str) -> list[str]:
    return [quoted.replace('""', '"') or word for quoted, word in _WORD.findall(line)]


def _split_quoted(text: Iterator[str], dialect: Dialect, strict: bool) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_MAX_CELL)
    blanks = dialect.quotes is Quotes.AFTER_BLANKS
    reader = csv.reader(text, delimiter=dialect.separator, skipinitialspace=blanks, strict=strict)
    start = 1
    try:
        for cells in reader:
            yield start, [cell.rstrip(" ") for cell in cells] if blanks else cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise QuoteError(f"line {start}: {error}") from None
