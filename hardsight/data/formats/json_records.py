"""JSON: one object per line (.jsonl, .ndjson), or one document (.json) with a list of objects, with columns, or of a
labelling tool.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from hardsight.data.formats.table import CheckNames, Table
from hardsight.data.labelling.project import LabellingProject
from hardsight.data.labelling.recognition import find_tool
from hardsight.data.read_options import ReadOptions
from hardsight.errors import InputError, first_line
from hardsight.io.compression import decompressed_name
from hardsight.io.text_files import TextFile, check_memory, open_text_file

SUFFIXES = (".jsonl", ".ndjson", ".json")
_CELL_BYTES = 8
_MAX_SHOWN = 40


def read(place: Path, options: ReadOptions, check_names: CheckNames) -> Table:
    """Read a JSON file. Its types are those of the file: "01" is text, and null, or a name that is not there, is missing.

    Objects in objects become columns such as "address.city". A file of a labelling tool has one row per task.

    Raises:
        InputError: the file is not JSON of one of these forms; names the line.
    """
    file, document, _ = read_document(place, options.encoding)
    tool = find_tool(document)
    if tool is not None:
        return _make_table(file, tool.parse(document, options.label), check_names)
    content = document if isinstance(document, list) else _records(document)
    if isinstance(content, list):
        _check_records(place, content)
        content = _flatten_records(place, content)
        names = list(dict.fromkeys(name for record in content for name in record))
        check_memory(file, len(names), _CELL_BYTES)
    frame = _make_frame(place, content)
    check_names([str(name) for name in frame.columns], "")
    return Table(frame, list(file.notices))


class Document(NamedTuple):
    """The content of a file.

    Attributes:
        file: the text.
        content: one document, or a list of those in the lines.
        lines: whether there is one document per line.
    """

    file: TextFile
    content: Any
    lines: bool


def read_document(place: Path, encoding: str | None = None) -> Document:
    """Parse a JSON file.

    Raises:
        InputError: it is not JSON; names the line.
    """
    file = open_text_file(place, encoding)
    document = None
    if PurePosixPath(decompressed_name(place)).suffix.lower() == ".json":
        document = _parse_document(file)
    records = _parse_lines(file) if document is None else []
    if len(records) == 1 and isinstance(records[0], list) and any(isinstance(part, dict) for part in records[0]):
        # A document in a file that is named as one of lines.
        document = records[0]
    return Document(file, records, True) if document is None else Document(file, document, False)


def _make_table(file: TextFile, project: LabellingProject, check_names: CheckNames) -> Table:
    check_memory(file, len(project.data.columns), _CELL_BYTES)
    frame, notices, roles = project.table()
    check_names([str(name) for name in frame.columns], "", roles)
    return Table(frame, [*file.notices, *notices], roles)


def _parse_document(file: TextFile) -> Any:
    """Return the document in a file, or None if it holds several, one per line."""
    with file.open_text() as text:
        content = text.read()
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return None
        raise _not_json(file.place, error) from None
    except (ValueError, RecursionError) as error:
        raise _not_json(file.place, error) from None


def _parse_lines(file: TextFile) -> list[Any]:
    records = []
    with file.open_text() as text:
        for number, line in enumerate(text, 1):
            if line.strip():
                try:
                    records.append(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise _not_json(file.place, error, f"line {number}: ") from None
    return records


def _not_json(place: Path, error: Exception, part: str = "") -> InputError:
    return InputError(f"{place} is not JSON ({part}{first_line(error)}): fix the file")


def _records(document: Any) -> Any:
    """Return the records or columns in a document, as pandas and others write them.

    A list of objects; an object with one list per column, or one object of rows per column; or one whose "data" is such a
    list, or a list of rows beside "columns".
    """
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        names = document.get("columns")
        if not isinstance(names, list):
            return document["data"]
        rows = [row for row in document["data"] if isinstance(row, list) and len(row) == len(names)]
        return [dict(zip(map(str, names), row, strict=True)) for row in rows] if len(rows) == len(document["data"]) else []
    return document


def _check_records(place: Path, records: list[Any]) -> None:
    if not records:
        raise InputError(f"{place} holds no rows: pass a file with data")
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise InputError(
                f"{place} must hold one object per sample. Got {str(record)[:_MAX_SHOWN]!r} as number {number}: write it as "
                '{"column": value}'
            )


def _flatten_records(place: Path, records: list[Any]) -> list[Any]:
    """Return records in which {"a": {"b": 1}} is {"a.b": 1}.

    Raises:
        InputError: two values of one record have the same name then, or objects are nested too deeply.
    """
    if not any(isinstance(value, dict) for record in records for value in record.values()):
        return records
    try:
        return [_flatten(record) for record in records]
    except KeyError as error:
        raise InputError(f"{place} has two values {error.args[0]!r} in one object: rename one of them") from None
    except RecursionError:
        raise InputError(f"{place} holds objects that are nested too deeply: flatten it") from None


def _flatten(record: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        inner = _flatten(value) if isinstance(value, dict) else {}
        for key, part in {f"{name}.{key}": part for key, part in inner.items()}.items() if inner else ((name, value),):
            if key in flat:
                raise KeyError(key)
            # An empty object says as much as null.
            flat[key] = None if isinstance(part, dict) else part
    return flat


def _make_frame(place: Path, content: Any) -> pd.DataFrame:
    kinds = set(map(type, content.values())) if isinstance(content, dict) else {dict}
    if not isinstance(content, dict | list) or kinds not in ({list}, {dict}):
        raise InputError(f'{place} must hold a list of objects, such as [{{"column": value}}], or one list per column')
    try:
        return pd.DataFrame(content).reset_index(drop=True)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{place} cannot be read as a table ({first_line(error)}): fix the file") from None
