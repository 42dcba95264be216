"""Files of what a witness says: a table with a column per class or one of labels, or an array."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.from_files import find_reader
from hardsight.data.from_tables import read_frame
from hardsight.data.npy_files import read_npy
from hardsight.data.read_options import ReadOptions
from hardsight.errors import Faults, InputError
from hardsight.io import limits, npz
from hardsight.io.atomic import printable_name
from hardsight.validation import join_names


class IndexedArray(NamedTuple):
    """An array with one row per id. Its columns have no names: they are in the order of the classes."""

    values: np.ndarray  # (row, class)
    ids: pd.Index  # (row,)


# Columns that are ids without being named so.
_ID_NAMES = ("id", "ids")


def read_witnesses(places: Sequence[Path], id_name: str | None, separator: str | None = None) -> dict[str, Any] | None:
    """Read what witnesses say, by the names of their files; None if there are none.

    Args:
        separator: what stands between the labels of a text that holds several; None: labels are single.

    Raises:
        InputError: files that cannot be read; all of them are reported at once.
    """
    faults, witnesses = Faults(), dict[str, Any]()
    for place in places:
        name = printable_name(place.name if place.stem in witnesses else place.stem)
        with faults.collect():
            witnesses[name] = _split_texts(read_witness(place, id_name), separator)
    faults.raise_all()
    return witnesses or None


def _split_texts(values: Any, separator: str | None) -> Any:
    """Return a single column of texts that hold several labels as lists; an empty cell is no answer."""
    if separator is None or not isinstance(values, pd.DataFrame) or values.shape[1] != 1:
        return values
    column = values.iloc[:, 0]
    lists = [cell.split(separator) if isinstance(cell, str) and cell.strip() else None for cell in column]
    return pd.Series(lists, index=column.index, dtype=object)


def read_witness(place: Path, id_name: str | None = None) -> Any:
    """Read what a witness says of samples.

    Args:
        place: a table, with the probabilities of one class per column or one column of labels, or an ``.npy`` or ``.npz``
            file with one array.
        id_name: the column or array of ids in the data; None: it was not named. A column of this name, or else "id" or
            "ids", says which sample a row is about; without one, rows are in the order of the data.

    Returns:
        A frame, indexed by the ids if there are any, or an array.

    Raises:
        InputError: a file that cannot be read.
    """
    if not place.exists():
        raise InputError(f"no file at {place}: check the path of the witness (--witness)")
    if not place.is_dir() and limits.check_regular_file(place) == 0:
        raise InputError(f"{place} is empty: pass a file with what the witness says")
    if place.suffix.lower() == ".npy":
        return _indexed(read_npy(place))
    if place.suffix.lower() == ".npz":
        return _read_archive(place, id_name)
    reader = find_reader(place)
    if reader is None:
        raise InputError(f"{place} is a folder without tables: pass a table, .npy or .npz as witness")
    frame = read_frame(place, reader, ReadOptions())
    name = next((name for name in (id_name, *_ID_NAMES) if name in frame.columns), None)
    others = [column for column in frame.columns if column != name]
    if name is not None or len(others) == 1:
        # Ids and labels keep their spelling only in columns that are named as such.
        label = others[0] if len(others) == 1 else None
        frame = read_frame(place, reader, ReadOptions(id=name, label=label, task="classification"))
    return frame if name is None else frame.set_index(name)


def _read_archive(place: Path, id_name: str | None) -> Any:
    with npz.open_npz(place) as archive:
        names = [name for name in (id_name, *_ID_NAMES) if name in archive.names]
        others = [name for name in archive.names if name not in names]
        if len(others) != 1:
            raise InputError(
                f"{place} must hold what the witness says in one array. Got {join_names(others) or 'none'}: leave out "
                "the others"
            )
        values = archive.read(others[0])
        return _indexed(values, archive.read(names[0]) if names else None)


def _indexed(values: np.ndarray, ids: np.ndarray | None = None) -> Any:
    """Return labels as a Series and probabilities with their ids; by default the numbers of their rows."""
    index = pd.RangeIndex(len(values) if values.ndim else 0) if ids is None else pd.Index(ids)
    if values.ndim == 0 or len(index) != len(values):
        raise InputError(f"a witness must have one row per id. Got an array of shape {values.shape} for {len(index)} ids")
    return pd.Series(values, index=index) if values.ndim == 1 else IndexedArray(values, index)
