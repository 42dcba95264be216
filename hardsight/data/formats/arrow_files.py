"""Files of Apache Arrow: feather, and the formats of its inter-process communication."""

import os
from pathlib import Path

import pyarrow as pa
from pyarrow import ipc

from hardsight.data.formats.parquet_files import from_arrow
from hardsight.data.formats.table import CheckNames, Table
from hardsight.data.read_options import ReadOptions
from hardsight.errors import InputError, first_line
from hardsight.io import limits

SUFFIXES = (".feather", ".arrow", ".arrows", ".ipc")
_FILE, _OLD_FEATHER = b"ARROW1", b"FEA1"


def read(place: Path, options: ReadOptions, check_names: CheckNames) -> Table:
    """Read a file of Arrow's, batch by batch. Its types are those of the file.

    Raises:
        InputError: the file cannot be read, or would take more than :func:`hardsight.io.limits.check_decoded_size` admits.
    """
    size = limits.check_regular_file(place)
    try:
        with pa.OSFile(os.fsencode(place)) as file:
            magic = bytes(file.read(len(_FILE)))
            file.seek(0)
            if magic.startswith(_OLD_FEATHER):
                raise InputError(f"{place} is in version 1 of feather: write it again with DataFrame.to_feather")
            table = _read_batches(file, place, size, is_stream=magic != _FILE)
            # Finds damaged values here rather than wherever they are used.
            table.validate(full=True)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{place} is not a readable Arrow file ({first_line(error)}): write it again") from None
    return from_arrow(place, table, options, check_names, "Arrow file")


def _read_batches(file: pa.NativeFile, place: Path, size: int, is_stream: bool) -> pa.Table:
    reader = ipc.open_stream(file) if is_stream else ipc.open_file(file)
    limits.check_column_count(place, len(reader.schema))
    batches: list[pa.RecordBatch] = []
    total = 0
    for batch in reader if is_stream else map(reader.get_batch, range(reader.num_record_batches)):
        # What a damaged batch says of its size cannot be trusted.
        batch.validate(full=True)
        total += batch.nbytes
        limits.check_decoded_size(place, total, size)
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)
