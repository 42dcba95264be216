"""The row of a table that holds the names of its columns, where titles stand above it."""

import csv
import re
from collections.abc import Iterable, Sequence

# A column without a name has its number.
UNNAMED = "Unnamed: "
_MAX_SHOWN = 5
_MARKS = (";", "\t", ",", "|")


def find_header(rows: Iterable[Sequence[str]], names: Sequence[str]) -> int | None:
    """Return the number of the first row that holds all of some names; None if that is the first row, or if there is none.

    The rows above must be titles: with fewer cells that are not blank than the header. No cell of a header is a number.

    Args:
        rows: the cells of the first rows.
        names: names of columns.

    >>> find_header([["Sales"], [], ["day", "sum"], ["Monday", "3"]], ["sum"])
    2
    """
    most = 0
    for number, row in enumerate(rows):
        cells = [cell.strip() for cell in row if cell.strip()]
        if len(cells) > most and set(names) <= set(cells) and not any(map(_is_number, cells)):
            return number or None
        most = max(most, len(cells))
    return None


def find_header_line(lines: Sequence[str], separator: str | None, names: Sequence[str]) -> int | None:
    """Return the number of the line that is the header, see :func:`find_header`.

    Args:
        lines: the first lines of a text file.
        separator: one character; None: it is one of the usual marks.
        names: names of columns.
    """
    for mark in _MARKS if separator is None else (separator,):
        number = find_header((_split(line, mark) for line in lines), names)
        if number is not None:
            return number
    return None


def unique_header_names(header: Sequence[str], notices: list[str]) -> list[str]:
    """Return names as pandas gives them: "Unnamed: 3" for an empty cell, and a number after a name that was there before."""
    names: list[str] = []
    used: set[str] = set()
    counts: dict[str, int] = {}
    renamed = []
    reserved = {cell.strip() for cell in header}
    for index, cell in enumerate(header):
        name = cell.strip() or f"{UNNAMED}{index}"
        if name in used:
            number = counts.get(name, 1)
            while f"{name}.{number}" in reserved:
                number += 1
            counts[name] = number
            renamed.append(f"{name!r} → '{name}.{number}'")
            name = f"{name}.{number}"
            reserved.add(name)
        names.append(name)
        used.add(name)
    if renamed:
        more = ", …" if len(renamed) > _MAX_SHOWN else ""
        notices.append(f"Columns of the same name were renamed: {', '.join(renamed[:_MAX_SHOWN])}{more}.")
    return names


def _split(line: str, mark: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=mark), [])
    except csv.Error:  # a cell of more than 131,072 letters is no name
        return []


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[+-]?[\d.,]+(e[+-]?\d+)?", cell, re.IGNORECASE) is not None
