"""Folders that hold one table in several files of one type, as Spark, Dask and others write them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa

from hardsight.data.cells import convert_columns, convert_role
from hardsight.data.folder_layout import split_kind
from hardsight.data.formats import delimited
from hardsight.data.formats.registry import SUPPORTED, reader_of
from hardsight.data.formats.table import NO_ROLES, CheckNames, Table
from hardsight.data.read_options import ReadOptions
from hardsight.errors import InputError
from hardsight.io import limits
from hardsight.io.compression import SUFFIXES as COMPRESSED
from hardsight.validation import join_names

# Folders of one value of a column are called COLUMN=VALUE; this is how Hive writes a missing value.
_MISSING = "__HIVE_DEFAULT_PARTITION__"
_MAX_DEPTH = 10
_MAX_SHOWN = 5
# The number of a part in the name of its file, such as train-00000-of-00002.
_NUMBERING = re.compile(r"([-_]?\d+)?([-_]of)?[-_]?\d+$")
# Text files in a folder are samples.
_NOT_PARTS = (".txt",)


def find_parts(folder: Path) -> list[Path]:
    """Return the files of a table in a folder, sorted by their paths; none if it holds anything else."""
    parts = list(_walk(folder, 0))
    return sorted(path for path in parts if path is not None) if None not in parts else []


def _walk(folder: Path, depth: int) -> Iterator[Path | None]:
    """Yield the files of a table, and None for what is neither such a file nor a folder COLUMN=VALUE."""
    for path in folder.iterdir():
        if path.name.startswith((".", "_")) or path.suffix == ".crc":
            continue
        if path.is_dir():
            if "=" in path.name and depth < _MAX_DEPTH and (limits.follow_links() or not path.is_symlink()):
                yield from _walk(path, depth + 1)
            else:
                yield None
        else:
            yield path if _is_part(path) else None


def _is_part(path: Path) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in COMPRESSED else (suffixes or [""])[-1]
    return kind in SUPPORTED and kind not in _NOT_PARTS


def read(folder: Path, options: ReadOptions, check_names: CheckNames) -> Table:
    """Read the files of a folder as one table, with a column for every COLUMN=VALUE in the names of its folders.

    Raises:
        InputError: files of several types, splits of which none is chosen, or files whose columns differ; names the file.
    """
    parts = _choose_parts(folder, options.split)
    keys = [_partition(part.relative_to(folder)) for part in parts]
    if any(key.keys() != keys[0].keys() for key in keys):
        raise InputError(f"{folder} has files in folders that name different columns: write the table again")

    def check_all(names: list[str], hint: str, roles: Mapping[str, str] = NO_ROLES) -> None:
        check_names([*names, *keys[0]], hint, roles)

    texts = all(reader_of(part) is delimited.read for part in parts)
    frame, counts, notices = (_read_cells if texts else _read_frames)(parts, options, check_all)
    if len(parts) > 1:
        notices.insert(0, f"{len(parts)} files are read as parts of one table.")
    for name in keys[0]:
        values = np.repeat(np.array([key[name] for key in keys], dtype=object), counts)
        role = next((role for role, column in options.columns.items() if column == name), "feature")
        frame[name] = convert_role(pa.chunked_array([pa.array(values, pa.string())]), role, name, options.task, notices)
    return Table(frame, notices)


def _choose_parts(folder: Path, splits: Sequence[str]) -> list[Path]:
    """Return the parts of a table, of some splits if the files are named by splits."""
    parts = find_parts(folder)
    kinds = {part: split_kind(_NUMBERING.sub("", part.name.split(".")[0])) for part in parts}
    if splits:
        kept_splits = {split_kind(name) for name in splits} - {None}
        parts = [part for part in parts if kinds[part] in kept_splits]
        if not parts:
            raise InputError(f"{folder} has no file of the split {join_names(splits)}: its files are {_join_files(kinds)}")
    elif len(set(kinds.values())) > 1 and any(kinds.values()):
        raise InputError(
            f"{folder} holds splits ({_join_files(kinds)}): choose one (split='train', --split train), or pass one file"
        )
    if len({reader_of(part) for part in parts}) > 1:
        raise InputError(f"{folder} holds tables of several types ({_join_files(parts)}): pass one file")
    return parts


def _join_files(parts: Iterable[Path]) -> str:
    return join_names((part.name for part in parts), _MAX_SHOWN)


def _partition(path: Path) -> dict[str, str]:
    """Return the columns and values that the folders of a path name; a missing value is "".

    >>> _partition(Path("year=2020/kind=a%20b/part-0.parquet"))
    {'year': '2020', 'kind': 'a b'}
    """
    pairs = (unquote(folder).partition("=") for folder in path.parts[:-1])
    return {name: "" if value == _MISSING else value for name, _, value in pairs}


def _read_cells(
    parts: list[Path], options: ReadOptions, check_names: CheckNames
) -> tuple[pd.DataFrame, list[int], list[str]]:
    """Read text files: every column is converted as a whole, so that its type does not depend on the file."""
    tables = [delimited.read_cells(part, options, check_names) for part in parts]
    names = tables[0].names
    _check_same_columns(parts, [table.names for table in tables])
    in_order = [[table.columns[table.names.index(name)] for name in names] for table in tables]
    columns = [
        pa.chunked_array([chunk for column in pieces if column is not None for chunk in column.chunks], pa.string())
        for pieces in zip(*in_order, strict=True)
    ]
    counts = [0 if table.columns[0] is None else len(table.columns[0]) for table in tables]
    frame, notices = convert_columns(names, list(columns), options)
    return frame, counts, [*dict.fromkeys(notice for table in tables for notice in table.notices), *notices]


def _read_frames(
    parts: list[Path], options: ReadOptions, check_names: CheckNames
) -> tuple[pd.DataFrame, list[int], list[str]]:
    tables = [reader(part, options, check_names) for part in parts if (reader := reader_of(part)) is not None]
    _check_same_columns(parts, [list(map(str, table.frame.columns)) for table in tables])
    frame = pd.concat([table.frame for table in tables])
    if not frame.index.is_unique:
        frame = frame.reset_index(drop=True)
    notices = dict.fromkeys(notice for table in tables for notice in table.notices)
    return frame, [len(table.frame) for table in tables], list(notices)


def _check_same_columns(parts: list[Path], names: list[list[str]]) -> None:
    for part, others in zip(parts, names, strict=True):
        if set(others) != set(names[0]) or len(others) != len(names[0]):
            difference = join_names(sorted(set(others) ^ set(names[0])), _MAX_SHOWN)
            raise InputError(
                f"{part} and {parts[0]} have different columns ({difference}): pass one file, or give all of them the same "
                "columns"
            )
