"""The measured table with decisions applied: labels corrected, dropped rows left out, everything else as it was."""

import csv
import gzip
from codecs import BOM_UTF8
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hardsight.data.formats.delimited import read_cells
from hardsight.data.formats.dialect import Dialect, Quotes
from hardsight.data.read_options import ReadOptions
from hardsight.difficulty.decisions import DROP, RELABEL, CuratedLabels
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io import parquet
from hardsight.io.atomic import atomic_write
from hardsight.io.csv_cells import same_cell

_KINDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


class RewrittenTable(NamedTuple):
    """What was written."""

    rows: int
    relabelled: int
    dropped: int


class _Rewrite(NamedTuple):
    """A table, what was measured of it, what was decided, and the columns of labels and ids."""

    source: Path
    target: Path
    difficulty: Difficulty
    curated: CuratedLabels
    label: str
    id: str | None


def apply_to_table(
    data: str | Path,
    target: str | Path,
    difficulty: Difficulty,
    decisions: Any,
    *,
    label: str,
    id: str | None = None,  # noqa: A002 - the name that the command has
) -> RewrittenTable:
    """Write a table again with the decisions about its rows.

    A new label is spelled as in the rows that have it already. No cell is escaped: what was read is what is written. Text
    keeps its byte order mark and its line endings. Blank lines are left out, and a cell is quoted only if it must be.

    Args:
        data: the table that was measured: .csv, .tsv (also .gz) or .parquet.
        target: path of the new table, another file of the same kind.
        decisions: path of a csv, or a DataFrame, see :mod:`hardsight.difficulty.decisions`.
        id: column of ids, if one was named when measuring.

    Raises:
        InputError: another table than was measured (names the row), decisions that do not match, a kind of data without
            columns, or a target that cannot be written.
    """
    source, target = Path(data), Path(target)
    kind = _table_kind(source)
    if (kind == ".parquet") != (_table_kind(target) == ".parquet"):
        raise InputError(f"{target} must be of the kind of {source}: choose a name that ends in {kind}")
    if not source.is_file():
        raise InputError(f"no file at {source}: check the path")
    if target.exists() and target.samefile(source):
        raise InputError(f"{target} is the table that was measured: choose another name, so that it can be measured again")
    curated = difficulty.apply(decisions)
    rewrite = _rewrite_parquet if kind == ".parquet" else _rewrite_text
    rewrite(_Rewrite(source, target, difficulty, curated, label, id))
    relabelled, dropped = int((curated.actions == RELABEL).sum()), int((curated.actions == DROP).sum())
    return RewrittenTable(len(difficulty) - dropped, relabelled, dropped)


def _table_kind(path: Path) -> str:
    kind = next((suffix for suffix in _KINDS if path.name.lower().endswith(suffix)), None)
    if kind is None:
        raise InputError(
            f"{path} must be a table (.csv, .tsv, .csv.gz, .tsv.gz or .parquet): apply decisions to other data in Python, "
            "d.apply(decisions)"
        )
    return kind


def _rewrite_text(job: _Rewrite) -> None:
    cells = read_cells(job.source, ReadOptions())
    header = cells.names
    rows = list(map(list, zip(*(column.to_pylist() for column in cells.columns if column is not None), strict=True)))
    column = _column_index(header, job.label, job.source)
    id_column = None if job.id is None else _column_index(header, job.id, job.source)
    ids = None if id_column is None else [row[id_column] for row in rows]
    labels = _new_labels(job, ids, [row[column] for row in rows])
    for row, label in zip(rows, labels, strict=True):
        row[column] = label
    mark, line_end = _text_format(job.source)
    kept = [row for row, keep in zip(rows, job.curated.keep, strict=True) if keep]
    text = _format_cells([cells.header, *kept], cells.dialect, line_end)
    content = mark + text.encode()
    with atomic_write(job.target) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if _is_compressed(job.target) else content)


def _format_cells(rows: list[list[str]], dialect: Dialect, line_end: str) -> str:
    """Return rows as text; quotation marks that were part of the text are written as they were.

    Raises:
        InputError: a new label that cannot be written without quotation marks.
    """
    text = StringIO(newline="")
    marks_are_text = dialect.quotes is Quotes.NONE and any('"' in cell for row in rows for cell in row)
    writer = csv.writer(
        text,
        delimiter=dialect.separator,
        lineterminator=line_end,
        quoting=csv.QUOTE_NONE if marks_are_text else csv.QUOTE_MINIMAL,
        quotechar=None if marks_are_text else '"',
    )
    try:
        writer.writerows(rows)
    except csv.Error:
        raise InputError("a new label holds a separator, and its cells are not quoted: choose another label") from None
    return text.getvalue()


def _is_compressed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _text_format(path: Path) -> tuple[bytes, str]:
    """Return the byte order mark of a text, if any, and the end of its first line."""
    with gzip.open(path) if _is_compressed(path) else path.open("rb") as file:
        mark = BOM_UTF8 if file.read(len(BOM_UTF8)) == BOM_UTF8 else b""
        first = file.readline()
    # A file without a line feed has lines of old Macintoshes, or one line.
    return mark, "\r\n" if first.endswith(b"\r\n") else "\n"


def _rewrite_parquet(job: _Rewrite) -> None:
    table = parquet.read(job.source)
    index = _column_index(table.column_names, job.label, job.source)
    ids = None if job.id is None else table.column(_column_index(table.column_names, job.id, job.source)).to_pylist()
    labels = _new_labels(job, ids, table.column(index).to_pylist())
    field = table.schema.field(index)
    try:
        column = pa.array(labels, type=field.type)
    except (pa.ArrowException, OverflowError) as fault:
        raise InputError(
            f"a new label does not fit column {job.label!r} of type {field.type}: choose another label"
        ) from fault
    rewritten = table.set_column(index, field, column).filter(pa.array(job.curated.keep))
    with atomic_write(job.target) as temporary, temporary.open("wb") as file:
        pq.write_table(rewritten, file)


def _new_labels(job: _Rewrite, ids: list[Any] | None, labels: list[Any]) -> list[Any]:
    """Return the labels of all rows after relabelling, each class spelled as the table spells it first."""
    d, curated = job.difficulty, job.curated
    measured = [str(name) for name in d.label_names(d.labels)]
    _check_same_rows(job, None if ids is None else list(map(str, ids)), list(map(str, labels)), measured)
    spelling = {} if d.regression else dict(zip(reversed(measured), reversed(labels), strict=True))
    new = list(labels)
    for row in np.flatnonzero(curated.actions == RELABEL):
        label = curated.labels[row]
        new[row] = label.item() if d.regression else spelling.get(str(label), str(label))
    return new


def _column_index(names: list[str], name: str, source: Path) -> int:
    if names.count(name) != 1:
        raise InputError(f"{source} must have one column {name!r}. The columns are {', '.join(map(repr, names[:10]))}")
    return names.index(name)


def _check_same_rows(job: _Rewrite, ids: list[str] | None, labels: list[str], measured: list[str]) -> None:
    """Raise unless the rows are the samples that were measured, in their order."""
    d, source = job.difficulty, job.source
    if len(labels) != len(d):
        raise InputError(f"{source} has {len(labels):,} rows, but {len(d):,} samples were measured: give the same table")
    measured_ids = [str(each) for each in d.ids]
    if ids is None:
        if measured_ids != [str(row) for row in range(len(d))]:
            raise InputError("the samples were measured with ids of their own: name their column (id, --id)")
        ids = measured_ids
    for name, given, expected in (("id", ids, measured_ids), ("label", labels, measured)):
        for row in range(len(d)):
            if not same_cell(given[row], expected[row]):
                raise InputError(
                    f"row {row} of {source} has the {name} {given[row]!r}, but {expected[row]!r} was measured there: give "
                    "the same table"
                )
