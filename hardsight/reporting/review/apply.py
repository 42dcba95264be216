"""The measured table with decisions applied: labels corrected, dropped rows left out, everything else as it was."""

import csv
import gzip
from codecs import BOM_UTF8
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hardsight.data.cells import convert_role
from hardsight.data.decimal_comma import find_decimal_comma, rewrite_number
from hardsight.data.formats.delimited import Cells, read_cells
from hardsight.data.formats.dialect import Quotes
from hardsight.data.from_label_sets import KIND
from hardsight.data.labels import missing_labels
from hardsight.data.read_options import ReadOptions
from hardsight.data.spellings import normalize_spelling, unique_spellings
from hardsight.difficulty.decisions import DROP, RELABEL, CuratedLabels
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import count_samples
from hardsight.errors import InputError
from hardsight.io import parquet
from hardsight.io.atomic import atomic_write
from hardsight.io.compression import compression_of
from hardsight.io.csv_cells import same_cell
from hardsight.reporting.review.label_cells import change_columns, change_lists

# How a text file is read unless more is stated.
_AS_GUESSED = ReadOptions()
TABLE_KINDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


class RewrittenTable(NamedTuple):
    """What was written."""

    rows: int
    unlabelled: int  # rows without a label, which stay as they are
    relabelled: int
    dropped: int  # by decision
    redundant: int  # rows left out because a copy stays


class _Rewrite(NamedTuple):
    """A table, what was measured of it, what was decided, and the columns of labels and ids."""

    source: Path
    target: Path
    difficulty: Difficulty
    curated: CuratedLabels
    label: str | None
    id: str | None
    options: ReadOptions

    @property
    def columns(self) -> list[str]:
        """The columns of labels."""
        return [*self.options.labels] or [str(self.label)]


class _Rows(NamedTuple):
    """All rows of the table, with those that were measured."""

    columns: dict[str, list[Any]]  # labels after relabelling, by column
    keep: np.ndarray  # (row,) bool


def apply_to_table(
    data: str | Path,
    target: str | Path,
    difficulty: Difficulty,
    decisions: Any,
    *,
    label: str | None = None,
    id: str | None = None,  # noqa: A002 - the name that the command has
    options: ReadOptions = _AS_GUESSED,
    drop_copies: bool = False,
) -> RewrittenTable:
    """Write a table again with the decisions about its rows.

    A new label is spelled as in the rows that have it already, and rows without a label stay. No cell is escaped: what was
    read is what is written. Text keeps its encoding, its byte order mark and its line endings. Blank lines and titles
    above the header are left out, and a cell is quoted only if it must be.

    Args:
        data: the table that was measured: .csv, .tsv (also .gz) or .parquet.
        target: path of the new table, another file of the same kind.
        decisions: path of a csv, or a DataFrame, see :mod:`hardsight.difficulty.decisions`; None: no decisions.
        label: column of labels; None with ``options.labels``, the columns of samples with several labels.
        id: column of ids, if one was named when measuring.
        options: the separator, the header and the encoding of a text file, and how several labels are written, as they were
            stated when measuring.
        drop_copies: keep one row of each set of copies, as in :meth:`hardsight.Difficulty.apply`.

    Raises:
        InputError: another table than was measured (names the row), decisions that do not match, a kind of data without
            columns, or a target that cannot be written.
    """
    source, target = Path(data), Path(target)
    kind = table_kind(source)
    if (kind == ".parquet") != (table_kind(target) == ".parquet"):
        raise InputError(f"{target} must be of the kind of {source}: choose a name that ends in {kind}")
    if not source.is_file():
        raise InputError(f"no file at {source}: check the path")
    if target.exists() and target.samefile(source):
        raise InputError(f"{target} is the table that was measured: choose another name, so that it can be measured again")
    _check_columns(difficulty, label, options)
    curated = difficulty.apply(decisions, drop_copies=drop_copies)
    rewrite = _rewrite_parquet if kind == ".parquet" else _rewrite_text
    rows = rewrite(_Rewrite(source, target, difficulty, curated, label, id, options))
    # A row whose label changed may still be left out as a copy.
    relabelled, dropped = int(((curated.actions == RELABEL) & curated.keep).sum()), int((curated.actions == DROP).sum())
    unlabelled, redundant = len(rows.keep) - count_samples(difficulty), int(curated.redundant.sum())
    return RewrittenTable(int(rows.keep.sum()), unlabelled, relabelled, dropped, redundant)


def _check_columns(d: Difficulty, label: str | None, options: ReadOptions) -> None:
    """Refuse columns that are not those of the result: one label per sample, or several."""
    if d.sample is None and (label is None or options.labels or options.label_separator is not None):
        raise InputError("this result has one label per sample: name its column (label, --label), and no other labels")
    if d.sample is not None and d.run.part_name != KIND:
        raise InputError(
            f"the {d.run.part_name}s of a sample are not the rows of a table: apply decisions in Python, d.apply"
        )
    if d.sample is not None and bool(label) == bool(options.labels):
        raise InputError(
            "this result has several labels per sample: name their columns (--labels), or their column and what stands "
            "between them (--label, --label-separator), as for measure"
        )


def table_kind(path: Path) -> str:
    """Return the ending of a table that can be written again.

    Raises:
        InputError: it is no such table.
    """
    kind = next((suffix for suffix in TABLE_KINDS if path.name.lower().endswith(suffix)), None)
    if kind is None:
        raise InputError(
            f"{path} must be a table (.csv, .tsv, .csv.gz, .tsv.gz or .parquet): apply decisions to other data in Python, "
            "d.apply(decisions)"
        )
    return kind


def _rewrite_text(job: _Rewrite) -> _Rows:
    cells = read_cells(job.source, replace(job.options, label=job.label, id=job.id))
    if len(cells.dialect.separator) > 1:
        raise InputError(
            f"{job.source} has no single mark between its cells: save it as .csv, or apply the decisions in Python, "
            "d.apply(decisions)"
        )
    header = cells.names
    rows = list(map(list, zip(*(column.to_pylist() for column in cells.columns if column is not None), strict=True)))
    columns = {name: _column_index(header, name, job.source) for name in job.columns}
    id_column = None if job.id is None else _column_index(header, job.id, job.source)
    ids = None if id_column is None else [row[id_column] for row in rows]
    labels = {name: [row[column] for row in rows] for name, column in columns.items()}
    if job.difficulty.sample is not None:
        applied = _apply_label_sets(job, ids, labels)
    else:
        [(name, values)] = labels.items()
        task = "regression" if job.difficulty.regression else "classification"
        texts = pa.chunked_array([values], pa.string())
        has_comma = job.difficulty.regression and find_decimal_comma([each for each in cells.columns if each is not None])
        numbers = rewrite_number(texts) if has_comma else None
        texts = texts if numbers is None else numbers
        missing = missing_labels(convert_role(texts, "label", name, task, []).to_numpy(object))
        applied = _apply(job, ids, texts.to_pylist(), missing)
        if numbers is not None:
            applied.columns[name] = [
                old if new == number else new.replace(".", ",")
                for old, number, new in zip(values, texts.to_pylist(), applied.columns[name], strict=True)
            ]
    for name, changed in applied.columns.items():
        for row, label in zip(rows, changed, strict=True):
            row[columns[name]] = label
    mark, line_end = _text_format(job.source)
    kept = [row for row, keep in zip(rows, applied.keep, strict=True) if keep]
    content = mark + _encode([cells.header, *kept] if cells.header else kept, cells, line_end)
    with atomic_write(job.target) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if compression_of(job.target) else content)
    return applied


def _encode(rows: list[list[str]], cells: Cells, line_end: str) -> bytes:
    """Return rows as the bytes of a text; quotation marks that were part of the text are written as they were.

    Raises:
        InputError: a new label that cannot be written without quotation marks, or in the encoding of the file.
    """
    text = StringIO(newline="")
    dialect = cells.dialect
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
    try:
        return text.getvalue().encode(cells.encoding)
    except UnicodeEncodeError as error:
        letter = text.getvalue()[error.start]
        raise InputError(
            f"a new label holds {letter!r}, which {cells.encoding} cannot write: choose another label, or save the table as "
            "UTF-8 and measure it again"
        ) from None


def _text_format(path: Path) -> tuple[bytes, str]:
    """Return the byte order mark of a text, if any, and the end of its first line."""
    with gzip.open(path) if compression_of(path) else path.open("rb") as file:
        mark = BOM_UTF8 if file.read(len(BOM_UTF8)) == BOM_UTF8 else b""
        # UTF-16 and UTF-32 write zero bytes between the two.
        first = file.readline().replace(b"\0", b"")
    # A file without a line feed has lines of old Macintoshes, or one line.
    return mark, "\r\n" if first.endswith(b"\r\n") else "\n"


def _rewrite_parquet(job: _Rewrite) -> _Rows:
    table = parquet.read(job.source)
    columns = {name: _column_index(table.column_names, name, job.source) for name in job.columns}
    ids = None if job.id is None else table.column(_column_index(table.column_names, job.id, job.source)).to_pylist()
    labels = {name: table.column(index).to_pylist() for name, index in columns.items()}
    if job.difficulty.sample is not None:
        applied = _apply_label_sets(job, ids, labels)
    else:
        [values] = labels.values()
        applied = _apply(job, ids, values, missing_labels(np.array(values, dtype=object)))
    for name, changed in applied.columns.items():
        field = table.schema.field(columns[name])
        try:
            table = table.set_column(columns[name], field, pa.array(changed, type=field.type))
        except (pa.ArrowException, OverflowError) as fault:
            raise InputError(
                f"a new label does not fit column {name!r} of type {field.type}: choose another label"
            ) from fault
    rewritten = table.filter(pa.array(applied.keep))
    with atomic_write(job.target) as temporary, temporary.open("wb") as file:
        pq.write_table(rewritten, file)
    return applied


def _apply(job: _Rewrite, ids: list[Any] | None, labels: list[Any], missing: np.ndarray) -> _Rows:
    """Relabel and drop rows. Each class is spelled as it was measured, or else as the table spells it first.

    Args:
        missing: which rows have no label and so were not measured, ``(row,)`` bool.
    """
    d, curated = job.difficulty, job.curated
    measured = [str(name) for name in d.label_names(d.labels)]
    rows = np.flatnonzero(~missing)
    present = [labels[row] for row in rows]
    _check_same_rows(job, None if ids is None else [str(ids[row]) for row in rows], list(map(str, present)), measured, rows)
    spelling = {} if d.regression else dict(zip(reversed(measured), reversed(present), strict=True))
    spelling |= {label: label for label in present if label in spelling}
    new = list(labels)
    for sample in np.flatnonzero(curated.actions == RELABEL):
        label = curated.labels[sample]
        row = rows[sample]
        new[row] = _write_target(label.item(), labels[row]) if d.regression else spelling.get(str(label), str(label))
    keep = np.ones(len(labels), dtype=bool)
    keep[rows] = curated.keep
    return _Rows({str(job.label): new}, keep)


def _write_target(value: float, cell: Any) -> Any:
    """Return a new target as the cell that it replaces was read: a text, or a number."""
    return f"{value:.15g}" if isinstance(cell, str) else value


def _apply_label_sets(job: _Rewrite, ids: list[Any] | None, columns: dict[str, list[Any]]) -> _Rows:
    """Change the labels of samples that have several, and drop the rows of samples without any that stays."""
    d, curated = job.difficulty, job.curated
    assert d.sample is not None
    n = len(next(iter(columns.values())))
    names = [str(row) for row in range(n)] if ids is None else [str(each) for each in ids]
    samples = [str(each) for each in d.sample.tolist()]
    missing = sorted(set(samples) - set(names))
    if missing:
        raise InputError(
            f"{job.source} has no row {missing[0]!r}, which was measured: give the same table, and name its column of ids "
            "(id, --id) if it has one"
        )
    if job.options.labels:
        changed = change_columns(d, curated, names, columns)
    else:
        [(name, cells)] = columns.items()
        changed = {name: change_lists(d, curated, names, cells, name, job.options.label_separator)}
    kept = {sample for sample, keep in zip(samples, curated.keep.tolist(), strict=True) if keep}
    dropped = set(samples) - kept
    keep = np.array([name not in dropped for name in names], dtype=bool)
    return _Rows(changed, keep)


def _column_index(names: list[str], name: str, source: Path) -> int:
    if names.count(name) != 1:
        raise InputError(f"{source} must have one column {name!r}. The columns are {', '.join(map(repr, names[:10]))}")
    return names.index(name)


def _check_same_rows(job: _Rewrite, ids: list[str] | None, labels: list[str], measured: list[str], rows: np.ndarray) -> None:
    """Raise unless the rows that have a label are the samples that were measured, in their order."""
    d, source = job.difficulty, job.source
    if len(rows) != len(d):
        raise InputError(
            f"{source} has {len(rows):,} rows with a label, but {len(d):,} samples were measured: give the same table"
        )
    measured_ids = [str(each) for each in d.ids]
    if ids is None:
        ids = list(map(str, rows))
        if measured_ids != ids:
            raise InputError("the samples were measured with ids of their own: name their column (id, --id)")
    merged = unique_spellings(measured)
    for sample, row in enumerate(rows):
        same_label = same_cell(labels[sample], measured[sample]) or (
            merged.get(normalize_spelling(labels[sample])) == measured[sample]
        )
        for name, value, expected, same in (
            ("id", ids[sample], measured_ids[sample], same_cell(ids[sample], measured_ids[sample])),
            ("label", labels[sample], measured[sample], same_label),
        ):
            if not same:
                raise InputError(
                    f"row {row} of {source} has the {name} {value!r}, but {expected!r} was measured there: give the same "
                    "table"
                )
