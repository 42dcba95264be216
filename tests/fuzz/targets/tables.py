"""Tables that are measured: csv and tsv, plain and compressed, and parquet; and decisions and weights by id."""

import gzip
import io
import json
import zlib
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fuzz.mutations import cells, json_edited, reencoded
from fuzz.target import Target
from fuzz.targets.results import result
from hardsight import read
from hardsight.weights.file import read_weights

_CSV = [
    b"a,b,t,y,id\n1,x,some words here,p,i1\n2.5,z,other words,q,i2\n,x,more of them,p,i3\n4,w,the last one,q,i4\n",
    b"a,y\n1,0\n2,1\n3,0\n4,1\n5,0\n6,1\n",
    b'a,b,y\n1,"x, y",p\n2,"say ""no""",q\n3,"two\nlines",p\n',
    b"a;b;y;id\n1;2;p;1\n3;4;q;2\n5;6;p;3\n",
    b"a\tb\ty\n1\t2\tp\n3\t4\tq\n",
    b"\xef\xbb\xbfa,y\r\n1,p\r\n2,q\r\n",
    "größe,y,id\n1.5,ä,001\n2.5,ö,002\n3.5,ä,003\n".encode(),
    b"a,b,y\n1,2020-01-01,1.5\n2,2020-01-02,2.5\n3,2020-01-03,3.5\n",
]
_ROLES: list[dict[str, Any]] = [
    {"label": "y"}, {"label": "y"}, {"label": "y", "id": "id"}, {"label": "y", "group": "b"}, {"label": "y", "weights": "a"},
    {"label": "y", "text": "t"}, {"label": "y", "drop": ["b"]}, {"label": "a"}, {"label": "y", "task": "regression"}, {},
]  # fmt: skip


def used(samples: Any) -> None:
    """What a run asks samples for first."""
    assert len(samples) == len(samples.ids) == len(samples.labels)
    samples.fingerprints()
    assert len(samples.matrix) == len(samples)


def roles(data: bytes, names: str) -> dict[str, Any]:
    """Which column is what; decided by the input, so that the same input always meets the same."""
    number = zlib.crc32(data)
    known = [each for each in _ROLES if all(value in names for value in each.values() if isinstance(value, str))]
    return (_ROLES if number % 5 == 0 else known)[number % len(_ROLES if number % 5 == 0 else known)]


def _enter_text(data: bytes, folder: Path) -> None:
    number = zlib.crc32(data) >> 8
    kind = ("csv", "csv", "csv", "tsv", "csv.gz")[number % 5]
    if data.startswith(b"\x1f\x8b"):
        kind = "tsv.gz" if number % 2 else "csv.gz"
    elif kind == "csv.gz":
        data = gzip.compress(data, 1)
    path = folder / f"table.{kind}"
    path.write_bytes(data)
    used(read(path, **roles(data, data[:200].split(b"\n")[0].decode("latin1"))))


def _wide(rng: Random, data: bytes) -> bytes:
    """A header of many columns, and many rows that end early: pandas would fill them up."""
    columns = rng.choice((3, 10, 30, 100)) if rng.random() < 0.98 else rng.choice((1000, 10000))
    rows = rng.choice((3, 30, 300)) if rng.random() < 0.9 else 20000
    return b"," * columns + b"y\n" + rng.choice((b"1\n", b"\n", b"1,2\n", b"\r")) * rows


def _returned(rng: Random, data: bytes) -> bytes:
    """Carriage returns and quotes thrown in."""
    marks = (b"\r", b'"', b'\r"', b'"\r', b"\n", b",")
    for _ in range(rng.randint(1, 30)):
        at = rng.randrange(len(data) + 1)
        data = data[:at] + rng.choice(marks) + data[at:]
    return data


def _packed(rng: Random, data: bytes) -> bytes:
    """Compressed, damaged afterwards or of many times its size."""
    if rng.random() < 0.01:
        return (
            gzip.compress(b"a,y\n" + b"1,0\n" * (80 << 20), 9) if rng.random() < 0.05 else gzip.compress(b"\0" * (4 << 20))
        )
    packed = bytearray(gzip.compress(data, rng.choice((1, 9))))
    if rng.random() < 0.7:
        packed[rng.randrange(len(packed))] ^= 1 << rng.randrange(8)
    return bytes(packed) * rng.choice((1, 1, 2))


# Parquet


@cache
def _frames() -> list[pa.Table]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=12), "b": list("xyz") * 4, "t": [f"some words {i}" for i in range(12)],
            "y": ["p", "q"] * 6, "id": [f"i{i}" for i in range(12)],
        }
    )  # fmt: skip
    named = frame.assign(b=frame["b"].astype("category"), when=pd.date_range("2020", periods=12)).set_index("id")
    plain = pa.table({"a": pa.array(range(12)), "y": pa.array([0.5 * i for i in range(12)])})
    return [pa.Table.from_pandas(frame), pa.Table.from_pandas(named), plain]


def _bytes(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def strange_column(rng: Random, n: int) -> pa.Array:
    """A column of a type that no result and hardly a table of features has."""
    made = (
        lambda: pa.array([[i, None] for i in range(n)]),
        lambda: pa.array([{"x": i, "z": [str(i)]} for i in range(n)]),
        lambda: pa.array([[("k", i)] for i in range(n)], pa.map_(pa.string(), pa.int64())),
        lambda: pa.array([str(i % 3) for i in range(n)]).dictionary_encode(),
        lambda: pa.array([None] * n),
        lambda: pa.array([bytes([i % 256]) * 3 for i in range(n)]),
        lambda: pa.array([b"\xff\xfe"] * n).view(pa.binary()).cast(pa.binary()),
        lambda: pa.array(range(n)).cast(pa.decimal128(38, 9)),
        lambda: pa.array(range(n)).cast(pa.timestamp("ns", "Europe/Berlin")),
        lambda: pa.array([2**62] * n).cast(pa.timestamp("us")),
        lambda: pa.array(range(n)).cast(pa.duration("s")),
        lambda: pa.array(range(n), pa.int32()).cast(pa.date32()),
        lambda: pa.array(np.arange(n, dtype=np.float16)),
        lambda: pa.array([float("nan"), float("inf"), -0.0, 1e300][i % 4] for i in range(n)),
        lambda: pa.array([i % 2 == 0 for i in range(n)]),
        lambda: pa.array([2**64 - 1 - i for i in range(n)], pa.uint64()),
        lambda: pa.array(["", "\0", "a\nb", "=1", "x" * 5000][i % 5] for i in range(n)),
        lambda: pa.array([i if i % 3 else None for i in range(n)]),
        lambda: pa.array([str(i) for i in range(n)], pa.large_string()),
        lambda: pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(3 * n)), 3),
        lambda: pa.array(np.zeros(n)),
    )
    return rng.choice(made)()


def table_edited(rng: Random, table: pa.Table, about: bytes) -> pa.Table:
    """A table with a column or what stands beside its columns changed."""
    n = len(table)
    way = rng.randrange(9)
    at = rng.randrange(max(1, table.num_columns))
    name = table.column_names[at] if table.num_columns else "x"
    if way <= 2 and table.num_columns:
        return table.set_column(at, name, strange_column(rng, n))
    if way == 3 and table.num_columns:
        values = table.column(at).to_pylist()
        spot = rng.randrange(max(1, n))
        odd = rng.choice((None, values[0] if values else None, float("nan"), float("inf"), -1, 10**6))
        try:
            changed = pa.array([*values[:spot], odd, *values[spot + 1 :]][:n], table.column(at).type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return table
        return table.set_column(at, name, changed)
    if way == 4 and table.num_columns > 1:
        return table.remove_column(at)
    if way == 5:
        other = rng.choice((name, "", "x", "\0", "ä", "=1", "y", "id", "noise", "__index_level_0__"))
        return table.append_column(other, strange_column(rng, n))
    if way == 6:
        return table.slice(0, rng.choice((0, 1, 2, max(0, n - 1))))
    if way == 7:
        return pa.concat_tables([table] * rng.choice((2, 3)))
    metadata = dict(table.schema.metadata or {})
    result = metadata.get(about)
    if result is None:
        return table
    edited = json_edited(rng, json.loads(result)) if rng.random() < 0.9 else rng.choice((b"", b"{", b"[" * 5000, b"\xff"))
    metadata[about] = edited if isinstance(edited, bytes) else json.dumps(edited).encode()
    return table.replace_schema_metadata(metadata)


def parquet_edited(about: bytes) -> Any:
    """A mutation that reads a file of parquet, changes the table, and writes it again."""

    def edited(rng: Random, data: bytes) -> bytes:
        try:
            table = pq.read_table(io.BytesIO(data))
            # A damaged file may have any number of rows, and no columns.
            if len(table) > 10_000:
                return data
            for _ in range(rng.choice((1, 1, 2))):
                table = table_edited(rng, table, about)
            options = {"compression": rng.choice(("zstd", "snappy", "none", "gzip")), "store_schema": rng.random() < 0.7}
            return _bytes(table, **options)
        except (pa.ArrowException, OSError, TypeError, ValueError, KeyError, OverflowError, UnicodeError, RecursionError):
            return data

    return edited


def _bomb(rng: Random, data: bytes) -> bytes:
    """A few kilobytes that stand for gigabytes: one value, or one long text, of millions of rows."""
    if rng.random() > 0.02:
        return data
    return rng.choice(_bombs())


@cache
def _bombs() -> list[bytes]:
    rows = 40_000_000
    codes = pa.array(np.zeros(500_000, dtype=np.int8))
    long = pa.DictionaryArray.from_arrays(codes, pa.array(["z" * 20_000]))
    return [
        _bytes(pa.table({"y": pa.array(np.zeros(rows))}), compression="zstd"),
        _bytes(pa.table({"a": long, "y": codes}), compression="zstd", store_schema=False),
        _bytes(pa.table({f"c{i}": [0] for i in range(300)})),
    ]


def _enter_parquet(data: bytes, folder: Path) -> None:
    path = folder / "table.parquet"
    path.write_bytes(data)
    used(read(path, **roles(data, "abtyid")))


# Decisions and weights


def _decisions() -> list[bytes]:
    ids = result("classes").ids[:6]
    return [
        "\r\n".join(["id,action,label", f"{ids[0]},keep,", f"{ids[1]},relabel,'=white", f"{ids[2]},drop,"]).encode(),
        "\n".join(["\ufeffLabel;note;Action;ID", f"7;x;relabel;{ids[3]}", f";;unsure;{ids[4]}"]).encode(),
        b"id,action\n",
        b"id,action,label\n4,relabel,-2.5\n5,drop,\n",
    ]


def _enter_decisions(data: bytes, folder: Path) -> None:
    (folder / "decisions.csv").write_bytes(data)
    assert len(result("classes" if zlib.crc32(data) % 4 else "numbers").apply(folder / "decisions.csv").ids)


def _weights() -> list[bytes]:
    ids = result("classes").ids[:5].tolist()
    table = pd.DataFrame({"id": ids, "weight": [0.5, 1.5, 1.0, 0.0, 2.0]})
    return [
        table.to_csv(index=False).encode(),
        table.to_csv(index=False, sep=";").encode(),
        _bytes(pa.Table.from_pandas(table)),
    ]


def _enter_weights(data: bytes, folder: Path) -> None:
    path = folder / ("weights.parquet" if data[:4] == b"PAR1" else "weights.csv")
    path.write_bytes(data)
    assert np.isfinite(read_weights(path, result("classes").ids[:5])).all()


_TEXT = (cells, cells, reencoded, _returned)
TARGETS = [
    Target("csv", "csv, tsv, .gz", lambda: [*_CSV, gzip.compress(_CSV[0])], (*_TEXT, _wide, _packed), _enter_text, 0.35),
    Target("parquet", "parquet tables", lambda: [_bytes(t) for t in _frames()], (parquet_edited(b"pandas"), _bomb),
         _enter_parquet),
    Target("decisions", "csv of decisions", _decisions, _TEXT, _enter_decisions),
    Target("weights", "csv and parquet of weights", _weights, (*_TEXT, parquet_edited(b"pandas")), _enter_weights),
]  # fmt: skip
