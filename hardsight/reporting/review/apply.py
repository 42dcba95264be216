"""The table that was measured, with decisions carried out: labels put right, dropped rows left out, all else as it was."""

import csv
import gzip
from codecs import BOM_UTF8
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hardsight.data.csv import SEPARATORS, is_compressed, match_suffix, read_cells
from hardsight.difficulty.decisions import DROP, RELABEL, CuratedLabels
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io import parquet
from hardsight.io.atomic import atomic_write
from hardsight.io.csv_cells import same_cell


class RewrittenTable(NamedTuple):
    """What was written.

    Attributes:
        rows: how many stayed.
        relabelled: how many of them have another label.
        dropped: how many were left out.
    """

    rows: int
    relabelled: int
    dropped: int


def apply_to_table(
    data: str | Path,
    target: str | Path,
    difficulty: Difficulty,
    decisions: Any,
    *,
    label: str,
    id: str | None = None,  # noqa: A002 - the name that the command has
) -> RewrittenTable:
    """Write a table again with what was decided about its rows.

    A new label is spelled as in the rows that have it already. No cell is escaped: what was read is what is written. Text
    begins with a byte order mark and ends its lines as the table does; blank lines are left out, and a cell is quoted only
    where it must be.

    Args:
        data: the table that was measured: .csv, .tsv (also .gz) or .parquet.
        target: where to, of the same kind; another file than ``data``.
        difficulty: what was measured.
        decisions: path of a csv, or a DataFrame, see :mod:`hardsight.difficulty.decisions`.
        label: column of the labels.
        id: column of ids, if they were named in measuring.

    Raises:
        InputError: another table than was measured (the row is named), decisions that do not fit, a kind of data without
            columns, or a place that cannot be written.
    """
    place, goal = Path(data), Path(target)
    kind, wanted = _kind(place), _kind(goal)
    if (kind == ".parquet") != (wanted == ".parquet"):
        raise InputError(f"{goal} is not of the kind of {place}: choose a name that ends in {kind}")
    if not place.is_file():
        raise InputError(f"no file at {place}: check the path")
    if goal.exists() and goal.samefile(place):
        raise InputError(
            f"{goal} is the table that was measured: choose another name, so that it can be measured again"
        )
    carried = difficulty.apply(decisions)
    rewrite = _rewrite_parquet if kind == ".parquet" else _rewrite_text
    rewrite(place, goal, difficulty, carried, label, id)
    relabelled, dropped = int((carried.actions == RELABEL).sum()), int((carried.actions == DROP).sum())
    return RewrittenTable(len(difficulty) - dropped, relabelled, dropped)


def _kind(place: Path) -> str:
    kind = match_suffix(place, (*SEPARATORS, ".parquet"))
    if kind is None:
        raise InputError(
            f"{place} is no table (.csv, .tsv, .csv.gz, .tsv.gz or .parquet): carry decisions out in Python, "
            "d.apply(decisions)"
        )
    return kind


def _rewrite_text(place: Path, goal: Path, d: Difficulty, carried: CuratedLabels, label: str, id_: str | None) -> None:
    header, rows, separator = read_cells(place, SEPARATORS[_kind(place)])
    at = _column(header, label, place)
    named = None if id_ is None else _column(header, id_, place)
    ids = None if named is None else [row[named] for row in rows]
    for row, spelled in zip(rows, _labels(d, carried, ids, [row[at] for row in rows], place), strict=True):
        row[at] = spelled
    mark, end = _manner(place)
    made = StringIO(newline="")
    writer = csv.writer(made, delimiter=separator, lineterminator=end)
    writer.writerow(header)
    writer.writerows(row for row, keep in zip(rows, carried.keep, strict=True) if keep)
    text = mark + made.getvalue().encode()
    with atomic_write(goal) as temporary:
        temporary.write_bytes(gzip.compress(text, mtime=0) if is_compressed(goal) else text)


def _manner(place: Path) -> tuple[bytes, str]:
    """The byte order mark that a text begins with, if any, and what ends its first line."""
    with gzip.open(place) if is_compressed(place) else place.open("rb") as file:
        mark = BOM_UTF8 if file.read(len(BOM_UTF8)) == BOM_UTF8 else b""
        first = file.readline()
    # Without a line feed, a file has lines of old Macintoshes, or one line.
    return mark, "\r\n" if first.endswith(b"\r\n") else "\n"


def _rewrite_parquet(
    place: Path, goal: Path, d: Difficulty, carried: CuratedLabels, label: str, id_: str | None
) -> None:
    table = parquet.read(place)
    at = _column(table.column_names, label, place)
    ids = None if id_ is None else table.column(_column(table.column_names, id_, place)).to_pylist()
    values = _labels(d, carried, ids, table.column(at).to_pylist(), place)
    field = table.schema.field(at)
    try:
        column = pa.array(values, type=field.type)
    except (pa.ArrowException, OverflowError) as fault:
        raise InputError(
            f"a new label does not fit column {label!r} of type {field.type}: relabel otherwise"
        ) from fault
    kept = table.set_column(at, field, column).filter(pa.array(carried.keep))
    with atomic_write(goal) as temporary, temporary.open("wb") as file:
        pq.write_table(kept, file)


def _labels(d: Difficulty, carried: CuratedLabels, ids: list[Any] | None, found: list[Any], place: Path) -> list[Any]:
    """The labels of all rows after relabelling, each class spelled as the table spells it first."""
    given = [str(name) for name in d.label_names(d.labels)]
    _same(d, None if ids is None else [str(each) for each in ids], [str(value) for value in found], given, place)
    spelled = {} if d.regression else dict(zip(reversed(given), reversed(found), strict=True))
    new = list(found)
    for i in np.flatnonzero(carried.actions == RELABEL):
        label = carried.labels[i]
        new[i] = label.item() if d.regression else spelled.get(str(label), str(label))
    return new


def _column(names: list[str], name: str, place: Path) -> int:
    if names.count(name) != 1:
        raise InputError(f"{place} must have one column {name!r}. The columns are {', '.join(map(repr, names[:10]))}")
    return names.index(name)


def _same(d: Difficulty, ids: list[str] | None, labels: list[str], given: list[str], place: Path) -> None:
    """Raise unless the rows are the samples that were measured, in their order."""
    if len(labels) != len(d):
        raise InputError(f"{place} has {len(labels):,} rows, and {len(d):,} samples were measured: give the same table")
    measured = [str(each) for each in d.ids]
    if ids is None and measured != [str(i) for i in range(len(d))]:
        raise InputError("the samples were measured by ids of their own: name their column (id, --id)")
    for i in range(len(d)):
        if ids is not None and not same_cell(ids[i], measured[i]):
            raise InputError(
                f"row {i} of {place} has the id {ids[i]!r}, and {measured[i]!r} was measured there: give the same table"
            )
        if not same_cell(labels[i], given[i]):
            raise InputError(
                f"row {i} of {place} has the label {labels[i]!r}, and {given[i]!r} was measured there: give the same table"
            )
