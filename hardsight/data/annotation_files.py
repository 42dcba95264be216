"""Files of several annotators: the annotations, and the features of the items."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hardsight.data.annotations import Annotations
from hardsight.data.columns import check_column_name
from hardsight.data.from_files import check_place, find_reader
from hardsight.data.from_tables import read_frame
from hardsight.data.npy_files import read_npy
from hardsight.data.read_options import ReadOptions
from hardsight.errors import InputError


def read_annotations(
    place: Path, *, item: str | None, annotator: str | None, label: str | None, merge_spellings: bool, options: ReadOptions
) -> Annotations:
    """Read annotations from a table.

    Args:
        item: the column of the items; with the next two, see :meth:`Annotations.of`.
        annotator: the column of the annotators; None: every column but that of the items is an annotator.
        label: the column of the labels; None: likewise.
        merge_spellings: see :meth:`Annotations.of`.
        options: how the file is written.

    Raises:
        InputError: a file or data that cannot be used.
    """
    options = replace(options, label=label, id=item, group=annotator)
    frame = _read_table(place, options)
    frame = frame.drop(columns=[check_column_name(frame.columns, name, "drop") for name in options.drop])
    return Annotations.of(frame, item=item, annotator=annotator, label=label, merge_spellings=merge_spellings)


def read_item_features(place: Path, item: str | None, options: ReadOptions) -> tuple[Any, str | None]:
    """Read the features of items from a table, or from an ``.npy`` file whose rows are items 0, 1, 2, ….

    Args:
        item: the column of the items.

    Returns:
        The features, and the column of the items among them; None for an array.

    Raises:
        InputError: a file that cannot be used, or a table without the column.
    """
    check_place(place, options)
    if place.suffix.lower() == ".npy":
        return read_npy(place), None
    if item is None:
        raise InputError(f"name the column of the items in {place} (--id)")
    frame = _read_table(place, replace(options, id=item))
    check_column_name(frame.columns, item, "ids")
    return frame.drop(columns=[check_column_name(frame.columns, name, "drop") for name in options.drop]), item


def _read_table(place: Path, options: ReadOptions) -> pd.DataFrame:
    check_place(place, options)
    reader = find_reader(place)
    if reader is None:
        raise InputError(f"{place} must be a table, such as .csv or .parquet: pass one")
    return read_frame(place, reader, options)
