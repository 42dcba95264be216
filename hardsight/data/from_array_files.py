"""Arrays in files: .npz archives, and .npy files with labels in files of their own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hardsight.data.cells import convert_role
from hardsight.data.formats.delimited import read_values
from hardsight.data.npy_files import read_npy
from hardsight.data.read_options import ReadOptions
from hardsight.data.samples import Samples
from hardsight.errors import Faults, InputError
from hardsight.io import npz, sparse_npz
from hardsight.io.atomic import printable_name
from hardsight.validation import join_names


def _refuse_text(place: Path, options: ReadOptions) -> None:
    if options.text is not None:
        raise InputError(f"text={options.text!r} names a column, and {place} has none: leave it out")


def read_archive(place: Path, options: ReadOptions) -> Samples:
    """Read an .npz archive: arrays by name, or a sparse matrix of scipy's whose labels are in a file of their own."""
    _refuse_text(place, options)
    label = options.label or "y"
    roles = {"label": label, "id": options.id, "group": options.group, "weights": options.weights}
    with npz.open_npz(place) as archive:
        arrays = archive.names
        if sparse_npz.is_sparse(arrays):
            return _with_files(sparse_npz.read(archive, place), place, options)
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


def read_array(place: Path, options: ReadOptions) -> Samples:
    """Read an .npy file whose labels, ids, groups and weights are in files of their own."""
    return _with_files(read_npy(place), place, options)


def _with_files(X: Any, place: Path, options: ReadOptions) -> Samples:
    """Make samples of an array whose labels, ids, groups and weights are in files of their own.

    Raises:
        InputError: faults of the options and of all these files, in one message.
    """
    faults = Faults()
    with faults.collect():
        _refuse_text(place, options)
    if options.drop:
        faults.messages.append(f"{place} is a single array, with nothing to drop: leave out --drop")
    if options.label is None:
        faults.messages.append(
            f"{place} has no labels: pass the path of a .npy, .csv or .txt file with one label per row (--label)"
        )
    n = X.shape[0] if X.ndim else 1
    values: dict[str, np.ndarray] = {}
    notices: list[str] = []
    for role, name in options.columns.items():
        with faults.collect():
            if role != "text":
                values[role] = _read_values(place, name, n, role, options, notices)
    faults.raise_all()
    label = printable_name(Path(str(options.label)).stem)
    samples = Samples.of(
        X,
        values["label"],
        ids=values.get("id"),
        groups=values.get("group"),
        weights=values.get("weights"),
        label=label,
        **options.sample_options,
    )
    return replace(samples, notices=(*notices, *samples.notices))


def _read_values(array_place: Path, name: str, n: int, role: str, options: ReadOptions, notices: list[str]) -> np.ndarray:
    """Read one value per row from a file of its own."""
    candidates = (Path(name), array_place.parent / name)
    place = next((place for place in candidates if _is_file(place)), None)
    if place is None:
        raise InputError(f"no file at {name} for {role}: pass a .npy, .csv or .txt file with one value per row")
    suffix = place.suffix.lower()
    if suffix == ".npy":
        return read_npy(place)
    if suffix not in (".csv", ".txt"):
        raise InputError(f"{place} is of an unknown type for {role}: pass .npy, .csv or .txt with one value per row")
    values = read_values(place, options.encoding, role, notices)
    if len(values) == n + 1:
        # One extra line is a header.
        values = values[1:]
    texts = pa.chunked_array([pa.array(values, pa.string())])
    series = convert_role(texts, role, place.name, options.task, notices)
    return np.asarray(series, dtype=object if series.dtype == "str" else None)


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except (OSError, ValueError):
        # A name that no file can have.
        return False
