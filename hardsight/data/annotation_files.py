"""Files of several annotators: the annotations, and the features of the items; tables, or files of labelling tools."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hardsight.data.annotations import Annotations
from hardsight.data.columns import check_column_name
from hardsight.data.from_files import check_place, find_reader, read_file
from hardsight.data.from_tables import read_frame
from hardsight.data.labelling.files import find_project, project_file
from hardsight.data.npy_files import read_npy
from hardsight.data.read_options import ReadOptions
from hardsight.errors import InputError


def read_annotations(
    place: Path, *, item: str | None, annotator: str | None, label: str | None, merge_spellings: bool, options: ReadOptions
) -> Annotations:
    """Read annotations from a table, or from a file of a labelling tool.

    Args:
        item: the column of the items; with the next two, see :meth:`Annotations.of`. Files of labelling tools need only the
            label, and that only if the tasks have several.
        annotator: the column of the annotators; None: every column but that of the items is an annotator.
        label: the column of the labels; None: likewise.
        merge_spellings: see :meth:`Annotations.of`.
        options: how the file is written.

    Raises:
        InputError: a file or data that cannot be used.
    """
    project = find_project(place, label)
    if project is not None:
        if item is not None or annotator is not None:
            raise InputError(f"{place} is a {project.tool} file, whose columns are known: leave out item and annotator")
        read = Annotations.of(
            project.annotations, item="item", annotator="annotator", label="label", merge_spellings=merge_spellings
        )
        return replace(read, notices=(*project.notices, *read.notices))
    if item is None:
        raise InputError("item is missing: name the column of the items (item, --item)")
    options = replace(options, label=label, id=item, group=annotator)
    frame = read_plain_table(place, options)
    frame = frame.drop(columns=[check_column_name(frame.columns, name, "drop") for name in options.drop])
    return Annotations.of(frame, item=item, annotator=annotator, label=label, merge_spellings=merge_spellings)


def read_item_features(place: Path, item: str | None, options: ReadOptions) -> tuple[Any, str | None]:
    """Read the features of items from a table, or from an ``.npy`` file whose rows are items 0, 1, 2, ….

    Args:
        item: the column of the items. A file of a labelling tool has its own, and the texts or images of its tasks are the
            features.

    Returns:
        The features, and the column of the items among them; None for an array.

    Raises:
        InputError: a file that cannot be used, or a table without the column.
    """
    check_place(place, options)
    if place.suffix.lower() == ".npy":
        return read_npy(place), None
    if item is None:
        if find_project(place, options.label) is not None:
            # Samples of the tasks hold their ids.
            return read_file(project_file(place), options), None
        raise InputError(f"name the column of the items in {place} (--id)")
    frame = read_plain_table(place, replace(options, id=item))
    check_column_name(frame.columns, item, "ids")
    return frame.drop(columns=[check_column_name(frame.columns, name, "drop") for name in options.drop]), item


def read_plain_table(place: Path, options: ReadOptions) -> pd.DataFrame:
    """Read all columns of a table.

    Raises:
        InputError: a file that is not a table, or cannot be used.
    """
    check_place(place, options)
    reader = find_reader(place)
    if reader is None:
        raise InputError(f"{place} must be a table, such as .csv or .parquet: pass one")
    return read_frame(place, reader, options)
