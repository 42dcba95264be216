"""Reading of files: csv, parquet, numpy arrays and archives, and folders with one subfolder per class."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.csv import SEPARATORS, match_suffix, read_csv, read_lines
from hardsight.data.from_folders import read_folder
from hardsight.data.read_options import ReadOptions
from hardsight.data.samples import Samples
from hardsight.errors import InputError, first_line
from hardsight.io import limits, npz, parquet
from hardsight.io.atomic import printable_name
from hardsight.validation import describe_rows, join_names

SUPPORTED = (*SEPARATORS, ".parquet", ".npz", ".npy", "a folder with one subfolder per class")


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
    split: str | Sequence[str] = (),
    skip_broken: bool = False,
) -> Samples:
    """Read samples from a file or folder.

    Args:
        path: one of

            - ``.csv``, ``.tsv`` (also ``.gz``) in UTF-8 with a header, ``.parquet``: one row per sample;
            - ``.npz``: features in the array ``X`` (or the only array without another role), labels in ``label`` ("y");
            - ``.npy``: features; ``label``, ``id``, ``group`` and ``weights`` are then *paths* of files with one value per
              row: ``.npy``, ``.csv`` or ``.txt`` (one extra line at the top is a header), looked up as given, then beside
              ``path``;
            - a folder with one subfolder per class, of images or of ``.txt`` files; ids are the files' paths in it.
        label: the label's column or array; required for tables.
        id: the column or array of ids, unique.
        group: the column or array of groups that no split divides.
        weights: the column or array of how much each sample counts in training.
        text: the column of a table to read as text.
        drop: columns or arrays that are not features.
        task: "classification", "regression" or "auto".
        embedding: how texts and images become numbers, see :meth:`hardsight.Samples.of`.
        split: of a folder that holds splits: which to read, such as "train"; or several.
        skip_broken: leave out files of a folder that cannot be read.

    Raises:
        InputError: no such path, a file that cannot be read, a name that is not in it, or data that cannot be used.
    """
    return read_file(
        Path(path),
        ReadOptions(
            label=label,
            id=id,
            group=group,
            weights=weights,
            text=text,
            drop=drop,
            task=task,
            embedding=embedding,
            split=split,
            skip_broken=skip_broken,
        ),
    )


def read_file(place: Path, options: ReadOptions) -> Samples:
    """Read samples from a file or folder, see :func:`read`.

    Raises:
        InputError: as for :func:`read`.
    """
    options.check()
    if _is_folder(place):
        if options.drop or options.columns.keys() - {"label"}:
            raise InputError(f"{place} is a folder and has no columns: leave out id, group, weights, text and drop")
        split, skip = options.split, options.skip_broken
        return read_folder(place, label=options.label, split=split, skip_broken=skip, **options.sample_options)
    if options.split or options.skip_broken:
        raise InputError(f"{place} is a file: split and skip_broken are for folders, leave them out")
    if limits.check_regular_file(place) == 0:
        raise InputError(f"{place} is empty: pass a file with data")
    suffix = match_suffix(place, (*SEPARATORS, ".parquet", ".npz", ".npy"))
    if suffix is None:
        raise InputError(f"{place} is of an unknown type: pass one of {', '.join(SUPPORTED)}")
    if suffix == ".npy":
        return _read_array(place, options)
    if suffix == ".npz":
        return _read_archive(place, options)
    return _read_table(place, suffix, options)


def _is_folder(place: Path) -> bool:
    """Return whether a path is a folder; refuse one that does not exist or cannot be read."""
    try:
        place.stat()
    except FileNotFoundError:
        raise InputError(f"no file or folder at {place}: check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{str(place)!r} cannot be read ({first_line(error)}): check the path") from None
    return place.is_dir()


def _read_table(place: Path, suffix: str, options: ReadOptions) -> Samples:
    if suffix == ".parquet":
        frame, notices = _read_parquet(place)
    else:
        frame, notices = read_csv(place, SEPARATORS[suffix], options.id)
    unknown = [name for name in options.drop if name not in frame]
    if unknown:
        raise InputError(f"there is no column {unknown[0]!r} to drop: the columns are {join_names(frame)}")
    frame = frame.drop(columns=list(options.drop))
    if options.label is None:
        raise InputError(f"the label is missing: name its column (label, --label). The columns are {join_names(frame)}")
    if not len(frame):
        raise InputError(f"{place} has a header but no rows: pass a file with data")
    samples = Samples.of(
        frame,
        options.label,
        ids=options.id,
        groups=options.group,
        weights=options.weights,
        text=options.text,
        **options.sample_options,
    )
    return replace(samples, notices=(*notices, *samples.notices))


def _read_parquet(place: Path) -> tuple[pd.DataFrame, list[str]]:
    table = parquet.read(place)
    repeated = pd.Index(table.column_names).duplicated()
    if repeated.any():
        name = table.column_names[int(np.argmax(repeated))]
        raise InputError(f"{place}: column name {name!r} appears twice: give every column its own name")
    try:
        return table.to_pandas(), []
    except Exception as error:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{place} is not a readable parquet file ({first_line(error)}): write it again") from None


def _refuse_text(place: Path, options: ReadOptions) -> None:
    if options.text is not None:
        raise InputError(f"text={options.text!r} names a column, and {place} has none: leave it out")


def _read_archive(place: Path, options: ReadOptions) -> Samples:
    """Read an .npz archive: arrays by name."""
    _refuse_text(place, options)
    label = options.label or "y"
    roles = {"label": label, "id": options.id, "group": options.group, "weights": options.weights}
    with npz.open_npz(place) as archive:
        arrays = archive.names
        for role, name in (*roles.items(), *(("drop", name) for name in options.drop)):
            if name is not None and name not in arrays:
                use = "to drop" if role == "drop" else f"to use as {role}"
                raise InputError(f"{place} has no array {name!r} {use}: its arrays are {join_names(arrays)}")
        others = [name for name in arrays if name not in (*roles.values(), *options.drop)]
        features = ["X"] if "X" in others else others
        if len(features) != 1:
            raise InputError(
                f"{place} must hold the features in one array, X. Got {join_names(features) or 'none'} beside the label "
                f"{label!r}: rename or drop arrays"
            )
        X, y, ids, groups, weights = (
            None if name is None else archive.read(name) for name in (features[0], *roles.values())
        )
    return Samples.of(X, y, ids=ids, groups=groups, weights=weights, label=label, **options.sample_options)


def _read_array(place: Path, options: ReadOptions) -> Samples:
    """Read an .npy file whose labels, ids, groups and weights are in files of their own."""
    _refuse_text(place, options)
    if options.drop:
        raise InputError(f"{place} is a single array, with nothing to drop: leave out --drop")
    X = _read_npy(place)
    if options.label is None:
        raise InputError(
            f"{place} has no labels: pass the path of a .npy, .csv or .txt file with one label per row (--label)"
        )
    n = len(np.atleast_1d(X))
    y, ids, groups, weights = (
        None if name is None else _read_values(place, name, n, role)
        for name, role in zip(
            (options.label, options.id, options.group, options.weights), ("label", "id", "group", "weights"), strict=True
        )
    )
    label = printable_name(Path(options.label).stem)
    return Samples.of(X, y, ids=ids, groups=groups, weights=weights, label=label, **options.sample_options)


def _read_npy(place: Path) -> np.ndarray:
    try:
        with place.open("rb") as file:
            magic = file.read(6)
        if magic != b"\x93NUMPY":
            raise InputError(f"{place} is not a readable .npy file: write it again with numpy.save")
        # Mapped, not read: the file may be larger than the memory.
        array: np.ndarray = np.load(place, allow_pickle=False, mmap_mode="r")
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes its reader raise anything
        if "Python objects" in str(error) or "Object arrays" in str(error):
            raise npz.PickledError(str(place)) from None
        raise InputError(f"{place} is not a readable .npy file ({first_line(error)}): write it again") from None
    return npz.check_text(array, str(place))


def _read_values(array_place: Path, name: str, n: int, role: str) -> np.ndarray:
    """Read one value per row from a file of its own."""
    candidates = (Path(name), array_place.parent / name)
    place = next((place for place in candidates if _is_file(place)), None)
    if place is None:
        raise InputError(f"no file at {name} for {role}: pass a .npy, .csv or .txt file with one value per row")
    suffix = place.suffix.lower()
    if suffix == ".npy":
        return _read_npy(place)
    if suffix not in (".csv", ".txt"):
        raise InputError(f"{place} is of an unknown type for {role}: pass .npy, .csv or .txt with one value per row")
    rows = read_lines(place)
    wide = np.array([len(row) > 1 for row in rows], dtype=bool)
    if wide.any():
        raise InputError(
            f"{place} must hold one value per row for {role}. Got several ({describe_rows(wide)}): keep one column"
        )
    values = [row[0].strip() for row in rows]
    if len(values) == n + 1:
        # One extra line is a header.
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
