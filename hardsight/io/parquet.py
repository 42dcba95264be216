"""Parquet files, read only after the sizes that they declare are checked, from this machine's files alone."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hardsight.errors import InputError, first_line
from hardsight.io import limits

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12, "BYTE_ARRAY": 16}
_TEXT = "BYTE_ARRAY"


def read(path: str | Path, kind: str = "parquet file", fix: str = "write it again") -> pa.Table:
    """The table that a file holds.

    Args:
        path: of the file.
        kind: what messages call it.
        fix: what messages advise.

    Raises:
        FileNotFoundError: there is none.
        InputError: it cannot be read, or would take more than :func:`hardsight.io.limits.check_decoded_size` admits.
    """
    place = Path(path)
    try:
        size = limits.check_regular_file(place)
        # Through a file of Python's, arrow's threads would hold bytes of Python's, and end the process where they let go of
        # them after it has. As bytes, a name need not be UTF-8.
        with pa.OSFile(os.fsencode(place)) as file:
            held = pq.ParquetFile(file)
            limits.check_column_count(place, held.metadata.num_columns)
            needed, risky = _declared(held.metadata)
            limits.check_decoded_size(place, needed, size)
            if risky:
                file.seek(0)
                coded = pq.ParquetFile(file, read_dictionary=risky).read()
                table = _decoded(coded, held.schema_arrow, place, size)
            else:
                table = held.read()
            # Texts may be no UTF-8, which would be found wherever they are used.
            table.validate(full=True)
            return table
    except (InputError, FileNotFoundError):
        raise
    except Exception as fault:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{place} is not a readable {kind} ({first_line(fault)}): {fix}") from None


def _declared(metadata: pq.FileMetaData) -> tuple[int, list[str]]:
    """Bytes that the values take, and columns of text that could take far more: one long text, named by every row.

    What is said of single columns is not asked for: pyarrow ends the process where that is damaged.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [metadata.schema.column(number) for number in range(metadata.num_columns)]
    row = sum(_WIDTHS.get(column.physical_type, max(column.length, 1)) for column in columns)
    needed = sum(max(group.total_byte_size, group.num_rows * row) for group in groups)
    worst = sum(group.num_rows * group.total_byte_size for group in groups)
    texts = [column.path for column in columns if column.physical_type == _TEXT]
    return needed, texts if worst > limits.ALWAYS_ALLOWED else []


def _decoded(table: pa.Table, schema: pa.Schema, place: Path, size: int) -> pa.Table:
    """Codes into texts as the texts that the schema wants, if those fit."""
    coded = [
        (at, field)
        for at, field in enumerate(schema)
        if pa.types.is_dictionary(table.schema.field(at).type) and not pa.types.is_dictionary(field.type)
    ]
    limits.check_decoded_size(place, sum(_spelled(chunk) for at, _ in coded for chunk in table.column(at).chunks), size)
    for at, field in coded:
        table = table.set_column(at, field, table.column(at).cast(field.type))
    return table


def _spelled(codes: pa.DictionaryArray) -> int:
    lengths = pc.fill_null(pc.binary_length(codes.dictionary).take(codes.indices), 0)
    return int(pc.sum(lengths, min_count=0).as_py() or 0)
