"""The ranked list of a result as csv, for people who sort and filter it in a spreadsheet."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hardsight.data.labelled_parts import texts_of_parts
from hardsight.errors import InputError
from hardsight.io.atomic import as_path, atomic_write
from hardsight.io.csv_cells import format_csv, format_rows

if TYPE_CHECKING:
    from hardsight.difficulty.result import Difficulty

# In the order of use; a result has those that it knows.
COLUMNS = (
    "sample",
    "part",
    "text",
    "label",
    "suggested",
    "p_wrong",
    "cause",
    "todo",
    "error",
    "error_se",
    "predicted",
    "p_outlier",
)
# Rows that get a sentence: about a second of work.
REASONS = 20_000
# Rows that are formatted at a time, so that a large result takes little memory beside itself.
_BLOCK = 2**14
_DIGITS = 6
_TARGETS, _TARGET_DIGITS = ("label", "suggested"), 15


def write_ranked_csv(d: "Difficulty", path: str | Path, write_reasons: Callable[[np.ndarray], list[str]]) -> None:
    """Write one row per sample, the likeliest wrong first; see :meth:`hardsight.Difficulty.to_csv`.

    Args:
        write_reasons: returns the sentences of the samples in some rows.

    Raises:
        InputError: the path has another ending, or cannot be written.
    """
    if as_path(path).suffix.lower() != ".csv":
        raise InputError(f"path must end in .csv. Got {str(path)!r}: rename it, or call d.save for a parquet file")
    reasons = [text.replace("\u00a0", " ") for text in write_reasons(d.ranking_by_doubt[:REASONS])]
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        if not _is_ascii(d, reasons):
            # Without this mark, some spreadsheets read other letters than were written.
            file.write("\ufeff")
        file.writelines(_format_blocks(d, reasons))


def _format_blocks(d: "Difficulty", reasons: list[str]) -> Iterator[str]:
    table = d.table
    words = texts_of_parts(d.samples)
    if words is not None:
        table["text"] = words
    table = table[[name for name in COLUMNS if name in table]]
    yield format_csv(("id", *table, "reason"), ())
    order = d.ranking_by_doubt
    for start in range(0, len(order), _BLOCK):
        block = table.iloc[order[start : start + _BLOCK]]
        columns = [
            block.index.tolist(),
            *([_format_cell(value, _digits(str(name))) for value in block[name].tolist()] for name in block),
        ]
        sentences = reasons[start : start + _BLOCK]
        columns.append([*sentences, *[""] * (len(block) - len(sentences))])
        yield format_rows(zip(*columns, strict=True))


def _digits(column: str) -> int:
    """Targets keep their digits: an account or a price that is rounded is another one."""
    return _TARGET_DIGITS if column in _TARGETS else _DIGITS


def _format_cell(value: Any, digits: int = _DIGITS) -> str:
    """Return a number with few digits, an unknown one as an empty cell, and anything else as text.

    >>> _format_cell(0.123456789), _format_cell(float("nan")), _format_cell("cat"), _format_cell(1e-9)
    ('0.123457', '', 'cat', '1e-09')
    """
    if not isinstance(value, float):
        return str(value)
    return "" if np.isnan(value) else f"{value:.{digits}g}"


def _is_ascii(d: "Difficulty", reasons: list[str]) -> bool:
    words = texts_of_parts(d.samples)
    texts = chain(
        d.ids.tolist() if d.ids.dtype.kind in "UO" else (), () if words is None else words, d.classes or (), reasons
    )
    return all(str(text).isascii() for text in texts)
