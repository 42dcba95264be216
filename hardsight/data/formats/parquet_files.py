"""Parquet files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from hardsight.data.formats.table import CheckNames, Table
from hardsight.data.frames import columns_from_index
from hardsight.data.read_options import ReadOptions
from hardsight.errors import InputError, first_line
from hardsight.io import parquet

SUFFIXES = (".parquet", ".pq")


def read(place: Path, options: ReadOptions, check_names: CheckNames) -> Table:
    """Read a parquet file. Its types are those of the file.

    Raises:
        InputError: the file cannot be read, or two columns have one name.
    """
    return from_arrow(place, parquet.read(place), options, check_names, "parquet file")


def from_arrow(place: Path, table: pa.Table, options: ReadOptions, check_names: CheckNames, kind: str) -> Table:
    """Convert a table of arrow's, with the index that pandas stored, if any.

    Raises:
        InputError: two columns have one name, or the table is damaged.
    """
    repeated = pd.Index(table.column_names).duplicated()
    if repeated.any():
        name = table.column_names[int(np.argmax(repeated))]
        raise InputError(f"{place}: column name {name!r} appears twice: give every column its own name")
    try:
        frame = table.to_pandas()
    except Exception as error:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{place} is not a readable {kind} ({first_line(error)}): write it again") from None
    frame = columns_from_index(frame, (*options.columns.values(), *options.labels))
    check_names([str(name) for name in frame.columns], "")
    return Table(frame, [])
