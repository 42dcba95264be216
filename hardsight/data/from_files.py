"""Data that is in files: csv, parquet, numpy archives, and folders with one subfolder a class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data import csv as delimited
from hardsight.data import from_folders as folders
from hardsight.data.samples import Samples
from hardsight.errors import InputError, first_line
from hardsight.io import limits, parquet
from hardsight.io import npz as archives
from hardsight.io.atomic import printable_name
from hardsight.validation import describe_rows, format_option, join_names

KNOWN = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".npz", ".npy", "a folder with one subfolder a class")


def read(
    path: str | Path,
    *,
    label: str | None = None,
    id: str | None = None,  # noqa: A002 - the name that the command has
    group: str | None = None,
    weights: str | None = None,
    text: str | None = None,
    drop: Sequence[str] = (),
    task: str = "auto",
    embedding: Any = "auto",
) -> Samples:
    """Samples from a file or folder.

    Args:
        path: one of

            - ``.csv``, ``.tsv`` (also ``.gz``) in UTF-8 with a header, ``.parquet``: one row a sample;
            - ``.npz``: features in the array ``X`` (or the only array without another role), labels in ``label`` ("y");
            - ``.npy``: features; ``label``, ``id``, ``group`` and ``weights`` are then *paths* of files with one value a
              row: ``.npy``, ``.csv`` or ``.txt`` (one line more is a header), sought here, then beside ``path``;
            - a folder with one subfolder a class, of images or of ``.txt`` files; ids are the files' paths in it.
        label: the label's column or array; required for tables.
        id: the column or array of ids, unique.
        group: the column or array of groups that no split divides.
        weights: the column or array of how much each sample counts in training.
        text: the column of a table to read as text.
        drop: columns or arrays that are not features.
        task: "classification", "regression" or "auto".
        embedding: how texts and images become numbers, see :meth:`Samples.of`.

    Raises:
        InputError: no such path, a file that cannot be read, a name it does not hold, or data that cannot be used.
    """
    place = Path(path)
    if isinstance(drop, str):
        drop = (drop,)
    for role, name in (("label", label), ("id", id), ("group", group), ("weights", weights), ("text", text)):
        if name is not None and name in drop:
            raise InputError(
                f"{name!r} cannot be both {role} and dropped: leave it out of one of them ({format_option('drop', name)})"
            )
    try:
        place.stat()
    except (OSError, ValueError) as fault:
        if isinstance(fault, FileNotFoundError):
            raise InputError(f"no file or folder at {place}: check the path") from None
        raise InputError(f"{str(place)!r} cannot be read ({first_line(fault)}): check the path") from None
    roles: dict[str, Any] = {"task": task, "embedding": embedding}
    if place.is_dir():
        if drop or any(name is not None for name in (id, group, weights, text)):
            raise InputError(f"{place} is a folder and has no columns: leave out id, group, weights, text and drop")
        return folders.read_folder(place, label=label, **roles)
    if limits.check_regular_file(place) == 0:
        raise InputError(f"{place} is empty: give a file with data")
    suffix = _suffix(place)
    if suffix in (".npy", ".npz") and text is not None:
        raise InputError(f"text={text!r} names a column, and {place} has none: leave it out")
    if suffix == ".npy":
        if drop:
            raise InputError(f"{place} is a single array, with nothing to drop: leave out --drop")
        return _array(place, label, id, group, weights, roles)
    if suffix == ".npz":
        return _archive(place, label, id, group, weights, drop, roles)
    frame, notices = (
        _parquet(place) if suffix == ".parquet" else delimited.read_csv(place, delimited.SEPARATORS[suffix], id)
    )
    unknown = [name for name in drop if name not in frame]
    if unknown:
        raise InputError(f"there is no column {unknown[0]!r} to drop: the columns are {join_names(frame)}")
    frame = frame.drop(columns=list(drop))
    if label is None:
        raise InputError(f"the label is missing: name its column (label, --label). The columns are {join_names(frame)}")
    if not len(frame):
        raise InputError(f"{place} has a header but no rows: give a file with data")
    return _with(Samples.of(frame, label, ids=id, groups=group, weights=weights, text=text, **roles), notices)


def _suffix(place: Path) -> str:
    suffix = delimited.match_suffix(place, (*delimited.SEPARATORS, ".parquet", ".npz", ".npy"))
    if suffix is None:
        raise InputError(f"{place} is of an unknown type: give one of {', '.join(KNOWN)}")
    return suffix


def _with(samples: Samples, notices: list[str]) -> Samples:
    from dataclasses import replace

    return replace(samples, notices=(*notices, *samples.notices)) if notices else samples


def _parquet(place: Path) -> tuple[pd.DataFrame, list[str]]:
    table = parquet.read(place)
    twice = pd.Index(table.column_names).duplicated()
    if twice.any():
        name = table.column_names[int(np.argmax(twice))]
        raise InputError(f"{place}: column name {name!r} stands twice: give every column its own name")
    try:
        frame: pd.DataFrame = table.to_pandas()
    except Exception as fault:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{place} is not a readable parquet file ({first_line(fault)}): write it again") from None
    return frame, []


def _archive(
    place: Path,
    label: str | None,
    id_: str | None,
    group: str | None,
    weights: str | None,
    drop: Sequence[str],
    roles: dict[str, Any],
) -> Samples:
    """An .npz archive: arrays by name."""
    with archives.open_npz(place) as archive:
        held = archive.names
        label = label or "y"
        named = {"label": label, "id": id_, "group": group, "weights": weights}
        for role, name in (*named.items(), *(("drop", name) for name in drop)):
            if name is not None and name not in held:
                raise InputError(f"{place} has no array {name!r} to use as {role}: its arrays are {join_names(held)}")
        others = [name for name in held if name not in (*named.values(), *drop)]
        if "X" in others:
            others = ["X"]
        if len(others) != 1:
            raise InputError(
                f"{place} must hold the features in one array, X. Got {join_names(others) or 'none'} beside the label "
                f"{label!r}: rename or drop arrays"
            )
        X, y, ids, groups, counts = (
            None if name is None else archive.read(name) for name in (others[0], *named.values())
        )
    return Samples.of(X, y, ids=ids, groups=groups, weights=counts, label=label, **roles)


def _array(
    place: Path, label: str | None, id_: str | None, group: str | None, weights: str | None, roles: dict[str, Any]
) -> Samples:
    """An .npy file with labels, ids, groups and weights in files of their own."""
    X = _npy(place)
    if label is None:
        raise InputError(f"{place} has no labels: give the path of a .npy, .csv or .txt file with one a row (--label)")
    y, ids, groups, counts = (
        None if name is None else _values(place, name, len(np.atleast_1d(X)), role)
        for name, role in ((label, "label"), (id_, "id"), (group, "group"), (weights, "weights"))
    )
    return Samples.of(X, y, ids=ids, groups=groups, weights=counts, label=printable_name(Path(label).stem), **roles)


def _npy(place: Path) -> np.ndarray:
    try:
        with place.open("rb") as file:
            if file.read(6) != b"\x93NUMPY":
                raise InputError(f"{place} is not a readable .npy file: write it again with numpy.save")
        # Mapped, not read: the file may be larger than the memory.
        array: np.ndarray = np.load(place, allow_pickle=False, mmap_mode="r")
    except InputError:
        raise
    except Exception as fault:  # noqa: BLE001 - a damaged file makes its reader raise anything
        if "Python objects" in str(fault) or "Object arrays" in str(fault):
            raise archives.PickledError(str(place)) from None
        raise InputError(f"{place} is not a readable .npy file ({first_line(fault)}): write it again") from None
    return archives.check_text(array, str(place))


def _values(beside: Path, name: str, n: int, role: str) -> np.ndarray:
    """One value a row from a file of their own."""
    place = next((place for place in (Path(name), beside.parent / name) if _is_file(place)), None)
    if place is None:
        raise InputError(f"no file at {name} for {role}: give a .npy, .csv or .txt file with one value a row")
    if place.suffix.lower() == ".npy":
        return _npy(place)
    if place.suffix.lower() not in (".csv", ".txt"):
        raise InputError(f"{place} is of an unknown type for {role}: give .npy, .csv or .txt with one value a row")
    rows = delimited.read_lines(place)
    wide = np.array([len(row) > 1 for row in rows], dtype=bool)
    if wide.any():
        raise InputError(
            f"{place} must hold one value a row for {role}. Got several ({describe_rows(wide)}): keep one column"
        )
    values = [row[0].strip() for row in rows]
    if len(values) == n + 1:
        values = values[1:]
    array = np.array(values, dtype=object)
    array[array == ""] = None
    numbers = pd.to_numeric(pd.Series(array, dtype=object), errors="coerce")
    return array if numbers.isna().any() or role == "id" else numbers.to_numpy()


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except (OSError, ValueError):
        # A name that no file can have.
        return False
