"""Tables in other formats: JSON, compressed text and files of Arrow."""

import bz2
import io
import json
import lzma
import zipfile
import zlib
from functools import cache
from pathlib import Path
from random import Random

import pyarrow as pa
from support.workbooks import write_workbook

from fuzz.mutations import PLAIN, json_edited, reencoded
from fuzz.target import Target
from fuzz.targets.tables import _CSV, _frames, roles, table_edited, used
from hardsight import read

_ROWS = [{"a": at, "b": "xyz"[at % 3], "t": f"some words {at}", "y": "pq"[at % 2], "id": f"i{at}"} for at in range(8)]


def _lines(rows: list) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def _json_seeds() -> list[bytes]:
    columns = {name: [row[name] for row in _ROWS] for name in _ROWS[0]}
    nested = [{**row, "b": [row["a"], {"c": None}]} for row in _ROWS]
    return [_lines(_ROWS), json.dumps(_ROWS).encode(), json.dumps(columns).encode(), _lines(nested)]


def _json_changed(rng: Random, data: bytes) -> bytes:
    """Values of the document, or of one line, changed."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = json.dumps(json_edited(rng, json.loads(lines[at]))).encode()
    return b"\n".join(lines)


def _enter_json(data: bytes, folder: Path) -> None:
    path = folder / f"table.{('json', 'jsonl')[zlib.crc32(data) % 2]}"
    path.write_bytes(data)
    used(read(path, **roles(data, "abtyid")))


def _zipped(content: bytes, name: str = "a.csv", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def _zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@cache
def _packed_seeds() -> list[bytes]:
    bomb = b"a,y\n" + b"1,0\n" * (80 << 20)
    return [
        *(_zipped(content) for content in _CSV[:3]), _zipped(_lines(_ROWS), "a.jsonl"), bz2.compress(_CSV[0]),
        lzma.compress(_CSV[0]), _zstd(_CSV[0]), _zipped(_CSV[0], method=zipfile.ZIP_LZMA), _zipped(bomb), _zstd(bomb),
    ]  # fmt: skip


def _enter_packed(data: bytes, folder: Path) -> None:
    marks = {b"PK": "zip", b"BZ": "csv.bz2", b"\xfd7": "csv.xz", b"\x28\xb5": "csv.zst"}
    path = folder / f"table.{marks.get(data[:2], 'zip')}"
    path.write_bytes(data)
    used(read(path, **roles(data, "abtyid")))


def _arrow_bytes(table: pa.Table, compression: str | None) -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return file.getvalue()


def _arrow_edited(rng: Random, data: bytes) -> bytes:
    """The table changed, and written again."""
    table = table_edited(rng, pa.ipc.open_file(io.BytesIO(data)).read_all(), b"pandas")
    return _arrow_bytes(table, rng.choice(("zstd", "lz4", None)))


def _enter_arrow(data: bytes, folder: Path) -> None:
    path = folder / "table.feather"
    path.write_bytes(data)
    used(read(path, **roles(data, "abtyid")))


def _workbook_seeds() -> list[bytes]:
    rows = [list(_ROWS[0]), *(list(row.values()) for row in _ROWS)]
    books = []
    for sheets in ({"one": rows}, {"one": rows[:3], "two": rows}):
        file = io.BytesIO()
        write_workbook(file, sheets)
        books.append(file.getvalue())
    return books


def _workbook_edited(rng: Random, data: bytes) -> bytes:
    """One part of the workbook changed as bytes, and all zipped again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(parts))
    parts[name] = rng.choice(PLAIN)(rng, parts[name])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in parts.items():
            archive.writestr(each, content)
    return file.getvalue()


def _enter_workbook(data: bytes, folder: Path) -> None:
    path = folder / "table.xlsx"
    path.write_bytes(data)
    used(read(path, **roles(data, "abtyid")))


TARGETS = [
    Target("json", "JSON, as one document or by lines", _json_seeds, (_json_changed, reencoded), _enter_json),
    Target("packed", "zip, bz2, xz, zst", _packed_seeds, (), _enter_packed),
    Target("arrow", "feather and other Arrow files", lambda: [_arrow_bytes(t, c) for t in _frames() for c in ("zstd", None)],
           (_arrow_edited,), _enter_arrow, 0.3),
    Target("workbook", "workbooks of Excel", _workbook_seeds, (_workbook_edited,), _enter_workbook, 0.2),
]  # fmt: skip
