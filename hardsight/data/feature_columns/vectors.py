"""Columns whose cells hold several values: vectors of numbers, such as embeddings, and lists of tags."""

import re
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.conversion import object_array
from hardsight.data.feature_columns.column import ColumnNote, Reading, TextColumn
from hardsight.errors import InputError
from hardsight.validation import describe_rows, format_option

_VECTOR_TEXT = re.compile(r"\[[-+.,\d\seEnNaA]*\d[-+.,\d\seEnNaA]*\]")
# str([…]) of numpy's numbers writes np.float64(0.5).
_NUMPY_NUMBER = re.compile(r"\bnp\.(?:float|u?int)\d+\(([^()]*)\)")
# A cell of a tensor, and the repr of an array.
_ARRAY = re.compile(r"(?:array|tensor)\((\[[^\[\]]*\])[^\[\]]*\)")
_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_BETWEEN = r"(?:\s*[,;]\s*|\s+)"
# Two or more numbers, such as coordinates: in parentheses, or each with a decimal point.
_PARENTHESES = re.compile(rf"\(\s*{_NUMBER}(?:{_BETWEEN}{_NUMBER})+\s*\)")
_BARE = re.compile(rf"[-+]?\d+\.\d+(?:{_BETWEEN}[-+]?\d+\.\d+)+")
_NESTED = (list, tuple, np.ndarray)


def is_nested(value: Any) -> bool:
    """Return whether a cell holds several values."""
    return isinstance(value, _NESTED)


def read_vectors(values: np.ndarray, present: np.ndarray, name: str) -> Reading:
    """Read cells of lists or arrays: of numbers as one column per element, of text as tags.

    Args:
        values: cells of the rows that have one, ``(present,)``.
        present: which rows have a cell, ``(row,)``.

    Raises:
        InputError: vectors of different lengths, or elements that are neither numbers nor text.
    """
    if all(isinstance(element, str) for value in values for element in value):
        return _read_tags(values, present, name)
    try:
        rows = [np.asarray(value, dtype=np.float64).reshape(-1) for value in values]
    except (TypeError, ValueError):
        raise InputError(
            f"column {name!r} holds lists of values that are not numbers of one shape: turn them into columns of numbers or "
            f"text, or drop it ({format_option('drop', name)})"
        ) from None
    width = len(rows[0])
    other = np.array([len(row) != width for row in rows], dtype=bool)
    if other.any() or not width:
        lengths = f"{width} and {len(rows[int(np.argmax(other))])}" if other.any() else "0"
        at = np.zeros(len(present), dtype=bool)
        at[np.flatnonzero(present)[other]] = True
        where = f" ({describe_rows(at)})" if other.any() else ""
        raise InputError(
            f"column {name!r} holds vectors of {lengths} numbers{where}: bring all to one length, or drop it "
            f"({format_option('drop', name)})"
        )
    matrix = np.full((len(present), width), np.nan)
    matrix[present] = np.stack(rows)
    if np.isinf(matrix).any() or (np.abs(matrix) > np.finfo(np.float32).max).any():
        raise InputError(
            f"column {name!r} holds vectors with infinite numbers: fix the values or drop it ({format_option('drop', name)})"
        )
    frame = pd.DataFrame(matrix, columns=[f"{name}[{position}]" for position in range(width)])
    return Reading(frame, [ColumnNote("vectors", name, f"{width} numbers each")])


def read_vector_text(column: TextColumn) -> Reading | None:
    """Read a column of strings such as "[0.5, 1.2]" or "tensor([0.5, 1.2])", as pandas writes vectors to csv.

    Coordinates such as "48.1, 11.6" are vectors, too.

    Returns:
        The numbers; None if they are something else.

    Raises:
        InputError: vectors of different lengths, or cut short by "...".
    """
    texts = list(map(_plain_vector, column.known_texts))
    if not texts:
        return None
    if all(_PARENTHESES.fullmatch(text) or _BARE.fullmatch(text) for text in texts):
        lengths = {len(_split(text)) for text in texts}
        return _read_vector_cells(column) if len(lengths) == 1 else None
    if not all(text.startswith("[") and text.endswith("]") for text in texts):
        return None
    if any("..." in text for text in texts):
        raise InputError(
            f"column {column.name!r} holds vectors whose middle was cut when they were written ('...'): write the table as "
            f"parquet, or drop the column ({format_option('drop', column.name)})"
        )
    if not all(_VECTOR_TEXT.fullmatch(text) for text in texts):
        return None
    return _read_vector_cells(column)


def _read_vector_cells(column: TextColumn) -> Reading:
    vectors = object_array(
        [_parse_vector(text) if known else None for text, known in zip(column.texts, column.known, strict=True)]
    )
    cells = column.spread(vectors, None)
    present = np.array([cell is not None for cell in cells], dtype=bool)
    return read_vectors(cells[present], present, column.name)


def _plain_vector(text: str) -> str:
    """Return a vector without the names of types around it and its numbers.

    >>> _plain_vector("tensor([0.5, 1.0])"), _plain_vector("[np.float64(0.5), np.float64(1.0)]")
    ('[0.5, 1.0]', '[0.5, 1.0]')
    """
    array = _ARRAY.fullmatch(text)
    return _NUMPY_NUMBER.sub(r"\1", text if array is None else array[1])


def _split(text: str) -> list[str]:
    return re.sub(r"[\[\](),;]", " ", text).split()


def _parse_vector(text: str) -> np.ndarray | None:
    try:
        return np.array([float(number) for number in _split(_plain_vector(text))])
    except ValueError:
        return None


def _read_tags(values: np.ndarray, present: np.ndarray, name: str) -> Reading:
    """Join lists of text to one text per row, whose words are the tags."""
    texts = np.full(len(present), "", dtype=object)
    # A tag of several words stays one.
    texts[present] = [" ".join(re.sub(r"\W+", "_", tag) for tag in value) for value in values]
    return Reading(pd.Series(texts, dtype=object), [ColumnNote("text", name, "lists of tags")])
