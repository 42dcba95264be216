"""Parquet files, read from local files only and after their declared sizes are checked."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hardsight.errors import InputError, first_line
from hardsight.io import limits

# Bytes per value of each physical type.
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12, "BYTE_ARRAY": 16}
_TEXT = "BYTE_ARRAY"


def read(path: str | Path, kind: str = "parquet file", fix: str = "write it again") -> pa.Table:
    """Read the table in a file.

    Args:
        path: path of the file.
        kind: name of the format in messages.
        fix: advice that ends messages.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file cannot be read, or would take more than :func:`hardsight.io.limits.check_decoded_size` admits.
    """
    path = Path(path)
    try:
        size = limits.check_regular_file(path)
        # With a Python file object, arrow's threads would hold Python's bytes, and end the process if they release them
        # after the interpreter has shut down. A path given as bytes need not be UTF-8.
        with pa.OSFile(os.fsencode(path)) as file:
            parquet_file = pq.ParquetFile(file)
            limits.check_column_count(path, parquet_file.metadata.num_columns)
            needed, text_columns = _declared_size(parquet_file.metadata)
            limits.check_decoded_size(path, needed, size)
            if text_columns:
                file.seek(0)
                encoded = pq.ParquetFile(file, read_dictionary=text_columns).read()
                table = _decode_text(encoded, parquet_file.schema_arrow, path, size)
            else:
                table = parquet_file.read()
            # Finds texts that are not UTF-8 here rather than wherever they are used.
            table.validate(full=True)
            return table
    except (InputError, FileNotFoundError):
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"{path} is not a readable {kind} ({first_line(error)}): {fix}") from None


def _declared_size(metadata: pq.FileMetaData) -> tuple[int, list[str]]:
    """Return the bytes that the values take, and the text columns that could take far more: one long text in every row.

    The metadata of single columns is not read: pyarrow ends the process if it is damaged.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [metadata.schema.column(number) for number in range(metadata.num_columns)]
    row_width = sum(_WIDTHS.get(column.physical_type, max(column.length, 1)) for column in columns)
    needed = sum(max(group.total_byte_size, group.num_rows * row_width) for group in groups)
    worst = sum(group.num_rows * group.total_byte_size for group in groups)
    texts = [column.path for column in columns if column.physical_type == _TEXT]
    return needed, texts if worst > limits.ALWAYS_ALLOWED else []


def _decode_text(table: pa.Table, schema: pa.Schema, path: Path, size: int) -> pa.Table:
    """Decode dictionary columns into the plain types of the schema, if they fit into memory."""
    encoded = [
        (number, field)
        for number, field in enumerate(schema)
        if pa.types.is_dictionary(table.schema.field(number).type) and not pa.types.is_dictionary(field.type)
    ]
    needed = sum(_decoded_bytes(chunk) for number, _ in encoded for chunk in table.column(number).chunks)
    limits.check_decoded_size(path, needed, size)
    for number, field in encoded:
        table = table.set_column(number, field, table.column(number).cast(field.type))
    return table


def _decoded_bytes(codes: pa.DictionaryArray) -> int:
    lengths = pc.fill_null(pc.binary_length(codes.dictionary).take(codes.indices), 0)
    return int(pc.sum(lengths, min_count=0).as_py() or 0)
