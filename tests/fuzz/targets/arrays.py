"""Arrays that are measured: archives, single arrays, and values in files of their own."""

import io
import zlib
from pathlib import Path
from random import Random

import numpy as np

from fuzz.mutations import cells, reencoded
from fuzz.target import Target
from fuzz.targets import npz as zips
from fuzz.targets.tables import used
from hardsight import read

_RNG = np.random.default_rng(0)
_X = _RNG.normal(size=(6, 3))
_Y = np.array(["p", "q"] * 3)


def _archives() -> list[bytes]:
    images = _RNG.integers(0, 255, (6, 8, 8), dtype=np.uint8)
    texts = np.array(["some words here", "and others", "a third text", "fourth one", "the fifth", "last words"])
    return [
        zips.archive(X=_X, y=_Y, id=np.arange(6), w=np.ones(6)),
        zips.archive(X=images, y=np.arange(6) % 2),
        zips.archive(X=_X, y=_X[:, 0]),
        zips.archive(X=texts, y=_Y),
    ]


def _made(rng: Random, data: bytes) -> bytes:
    """An archive of odd arrays alone."""
    names = rng.sample(("X", "y", "id", "w", "z"), rng.randint(1, 3))
    return zips._zipped(rng, [(f"{name}.npy", zips.odd_array(rng)) for name in names])


def _enter_archive(data: bytes, folder: Path) -> None:
    (folder / "a.npz").write_bytes(data)
    roles = ({}, {}, {"id": "id"}, {"weights": "w"}, {"group": "id"}, {"label": "X"}, {"task": "regression"})
    used(read(folder / "a.npz", **roles[zlib.crc32(data) % len(roles)]))


def _odd(rng: Random, data: bytes) -> bytes:
    try:
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception:  # noqa: BLE001
        array = _X
    return zips.odd_array(rng, array) if rng.random() < 0.6 else zips.sound_array(zips._changed(rng, array))


def _enter_array(data: bytes, folder: Path) -> None:
    (folder / "X.npy").write_bytes(data)
    np.save(folder / "y.npy", _Y)
    first = zlib.crc32(data) % 4
    if first == 0:
        np.save(folder / "X.npy", _X)
        (folder / "y.npy").write_bytes(data)
    samples = read(folder / "X.npy", label="y.npy", **({"id": "y.npy"} if first == 1 else {}))
    used(samples)


def _values() -> list[bytes]:
    return [
        b"p\nq\np\nq\np\nq\n",
        b"label\n1\n2\n3\n4\n5\n6\n",
        b'"a,b"\nc\n"a,b"\nc\nc\nc\n',
        "\ufeffä\nö\nä\nö\nä\nä".encode(),
    ]


def _enter_values(data: bytes, folder: Path) -> None:
    np.save(folder / "X.npy", _X)
    number = zlib.crc32(data)
    name = ("v.csv", "v.txt", "v.CSV")[number % 3]
    (folder / name).write_bytes(data)
    role = ("label", "label", "id", "group", "weights")[number // 3 % 5]
    np.save(folder / "y.npy", _Y)
    used(read(folder / "X.npy", **({"label": "y.npy"} | {role: name})))


TARGETS = [
    Target("npz", "archives of arrays", _archives, (zips.header_edited, zips.header_edited, _made), _enter_archive, 0.3),
    Target("npy", "arrays, labels in .npy", lambda: [zips.sound_array(a) for a in (_X, _Y, np.arange(6), np.zeros((6,
    8, 8), np.uint8))],
         (_odd,), _enter_array, 0.3),
    Target("values", "labels and ids in .csv, .txt", _values, (cells, reencoded), _enter_values),
]  # fmt: skip
