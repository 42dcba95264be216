"""Reading of files and folders: tables, arrays, and folders of images or texts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hardsight.data.embeddings import find_embedding
from hardsight.data.formats import parts, registry
from hardsight.data.formats.table import Reader
from hardsight.data.from_array_files import read_archive, read_array
from hardsight.data.from_folders import read_folder
from hardsight.data.from_tables import read_table
from hardsight.data.labelling.files import find_span_project
from hardsight.data.labelling.spans import SpanProject
from hardsight.data.read_options import ReadOptions
from hardsight.data.samples import Samples
from hardsight.data.tokens.conll import is_conll, read_conll
from hardsight.errors import Faults, InputError, first_line
from hardsight.io import limits
from hardsight.io.atomic import as_path
from hardsight.io.content_types import check_content

# Files that would run code when they are read.
_PICKLES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".rds", ".rda", ".rdata"}


def read(
    path: str | Path,
    *,
    label: str | None = None,
    id: str | None = None,  # noqa: A002 - the name that the command uses
    group: str | None = None,
    weights: str | None = None,
    text: str | None = None,
    drop: Sequence[str] = (),
    task: str = "auto",
    embedding: Any = "auto",
    unlabelled: str = "drop",
    merge_spellings: bool = False,
    separator: str | None = None,
    header: bool = True,
    encoding: str | None = None,
    sheet: str | None = None,
    split: str | Sequence[str] = (),
    skip_broken: bool = False,
    tag_column: str | int | None = None,
    labels: Sequence[str] = (),
    label_separator: str | None = None,
) -> Samples:
    """Read samples from a file or folder.

    Args:
        path: one of

            - a table, one row per sample: ``.csv``, ``.tsv``, ``.tab``, ``.txt``, ``.data``, ``.dat``, also compressed
              (``.gz``, ``.bz2``, ``.xz``, ``.zip``, ``.zst``); ``.jsonl``, ``.json``; ``.parquet``, ``.feather``,
              ``.arrow``; ``.xlsx``, ``.xls``, ``.ods`` (extra ``excel``); or a folder of such files that are parts
              of one table;
            - ``.npz``: features in the array ``X`` (or the only array without another role), labels in ``label`` ("y");
            - ``.npy``, or a sparse matrix in ``.npz`` (:func:`scipy.sparse.save_npz`): features; ``label``, ``id``,
              ``group`` and ``weights`` are then *paths* of files with one value per row: ``.npy``, ``.csv`` or ``.txt`` (one
              extra line at the top is a header), looked up under that path, then beside ``path``;
            - a CoNLL file (``.conll``, ``.conllu``, ``.iob``, ``.bio``, ``.ner``), one token per line: its rows are
              the tokens, see :class:`hardsight.Tokens`;
            - a folder with one subfolder per class, of images or of ``.txt`` files; ids are the files' paths in it.
        label: the label's column or array; required for tables.
        id: the column or array of ids, unique.
        group: the column or array of groups that no split divides.
        weights: the column or array of how much each sample counts in training.
        text: the column of a table to read as text.
        drop: columns or arrays that are not features.
        task: "classification", "regression" or "auto".
        embedding: how texts and images become numbers, see :meth:`hardsight.Samples.of`.
        unlabelled: what to do with rows whose label is missing: "drop", "predict" or "refuse", see
            :meth:`hardsight.Samples.of`.
        merge_spellings: whether classes, and groups, that differ only in case, blanks or the encoding of letters are one.
        separator: the mark between the cells of a text file, or "tab" or "whitespace". None: it is recognised.
        header: whether the first row of a text file holds the names of its columns; without it, they are "1", "2", ….
        encoding: of a text file, such as "cp1252". None: UTF-8, UTF-16 with a byte order mark, or else Windows-1252.
        sheet: of a workbook: the name of the sheet to read. None: the first.
        split: of a folder that holds splits: which to read, such as "train"; or several.
        skip_broken: leave out files of a folder that cannot be read.
        tag_column: of a CoNLL file: the column of the tags, a number from 1, or from the end, -1; of CoNLL-U also "upos",
            "xpos", …. None: the last; of CoNLL-U "upos". A ``.txt`` or ``.tsv`` file with it is read as CoNLL.
        labels: columns of zeros and ones, one per label, of samples with several labels; in place of ``label``.
        label_separator: what stands between the labels of a column that holds several, such as ";" in "dog;cat".

    Raises:
        InputError: no such path, a file that cannot be read, a name that is not in it, or data that cannot be used.
    """
    return read_file(
        as_path(path),
        ReadOptions(
            label=label,
            id=id,
            group=group,
            weights=weights,
            text=text,
            drop=drop,
            task=task,
            embedding=embedding,
            unlabelled=unlabelled,
            merge_spellings=merge_spellings,
            separator=separator,
            header=header,
            encoding=encoding,
            sheet=sheet,
            split=split,
            skip_broken=skip_broken,
            tag_column=None if tag_column is None else str(tag_column),
            labels=labels,
            label_separator=label_separator,
        ),
    )


def read_file(place: Path, options: ReadOptions, faults: Faults | None = None) -> Samples:
    """Read samples from a file or folder, see :func:`read`.

    Args:
        faults: of other arguments; they are raised together with those of the options, before the data is read.

    Raises:
        InputError: as for :func:`read`.
    """
    faults = Faults() if faults is None else faults
    with faults.collect():
        options.check()
    with faults.collect():
        options = replace(options, embedding=find_embedding(options.embedding, place.parent))
    n_faults = len(faults.messages)
    with faults.collect():
        check_place(place, options)
    if len(faults.messages) > n_faults:
        faults.raise_all()
    if is_conll(place, options.tag_column):
        return _read_tokens(place, options, faults)
    tasks: SpanProject | None = None
    n_faults = len(faults.messages)
    with faults.collect():
        tasks = find_span_project(place, options.label, options.encoding)
    if tasks is not None or len(faults.messages) > n_faults:
        faults.raise_all()
    if tasks is not None:
        return _read_spans(place, tasks, options)
    reader: Reader | None = None
    with faults.collect():
        reader = find_reader(place)
    if reader is not None:
        return read_table(place, reader, options, faults)
    faults.raise_all()
    if place.is_dir():
        return read_folder(
            place,
            label=options.label,
            task=options.task,
            embedding=options.embedding,
            merge_spellings=options.merge_spellings,
            split=options.split,
            skip_broken=options.skip_broken,
        )
    return read_array(place, options) if place.suffix.lower() == ".npy" else read_archive(place, options)


def _read_tokens(place: Path, options: ReadOptions, faults: Faults) -> Samples:
    """Return the tokens of a CoNLL file as samples."""
    with faults.collect():
        others = {"drop": options.drop, "labels": options.labels, "label_separator": options.label_separator}
        if columns := sorted({*options.columns, *(name for name, value in others.items() if value)}):
            raise InputError(
                f"{place} is a CoNLL file, whose columns have no names: leave out {', '.join(columns)}, and give the number "
                "of the column of tags (tag_column, --tag-column)"
            )
    faults.raise_all()
    tokens = read_conll(place, options.tag_column, options.encoding).to_tokens()
    return tokens.samples(options.embedding)


def _read_spans(place: Path, tasks: SpanProject, options: ReadOptions) -> Samples:
    """Return the words of the texts of a labelling tool as samples."""
    others = {"drop": options.drop, "labels": options.labels, "label_separator": options.label_separator}
    columns = {*options.columns, *(name for name, value in others.items() if value)} - {"label"}
    if columns:
        raise InputError(f"{place} holds spans of texts, whose words are measured: leave out {', '.join(sorted(columns))}")
    return tasks.tokens().samples(options.embedding)


def find_reader(place: Path) -> Reader | None:
    """Return the reader of a table; None for arrays and for folders of images or texts.

    Raises:
        InputError: a file of an unknown type.
    """
    if place.is_dir():
        return parts.read if parts.find_parts(place) else None
    if place.suffix.lower() in (".npz", ".npy"):
        return None
    reader = registry.reader_of(place)
    if reader is None:
        raise InputError(_unknown_type(place))
    return reader


def check_place(place: Path, options: ReadOptions) -> None:
    """Check that there is such a file or folder, and that the options go with it.

    Raises:
        InputError: there is none, it cannot be read or is empty, or an option is for something else.
    """
    try:
        place.stat()
    except FileNotFoundError:
        raise InputError(f"no file or folder at {place}: check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{str(place)!r} cannot be read ({first_line(error)}): check the path") from None
    if place.is_dir():
        if (options.drop or options.columns.keys() - {"label"}) and not parts.find_parts(place):
            raise InputError(f"{place} is a folder and has no columns: leave out id, group, weights, text and drop")
        if (options.labels or options.label_separator is not None) and not parts.find_parts(place):
            raise InputError(
                f"{place} is a folder with one subfolder per class: leave out labels and label_separator, or pass a table"
            )
        return
    if options.split or options.skip_broken:
        raise InputError(f"{place} is a file: split and skip_broken are for folders, leave them out")
    if limits.check_regular_file(place) == 0:
        raise InputError(f"{place} is empty: pass a file with data")
    check_content(place, registry.TEXT_SUFFIXES)


def _unknown_type(place: Path) -> str:
    if place.suffix.lower() in _PICKLES:
        return (
            f"{place} is not read, as such a file can run code: read it in Python and pass the DataFrame to hs.measure, or "
            "write it as .csv or .parquet"
        )
    types = ", ".join((*registry.SUPPORTED, ".npz", ".npy", ".conll", ".conllu"))
    return (
        f"{place} is of an unknown type: pass {types}, {registry.COMPRESSED_HINT}, or a folder with one subfolder per "
        "class. In Python, hs.measure takes a DataFrame"
    )
