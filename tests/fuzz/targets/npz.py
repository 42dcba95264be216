"""Archives of arrays, taken apart and put together again with something odd in them."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from random import Random

import numpy as np

from fuzz.mutations import json_edited

_TYPES = (
    "<f8", "<f4", "<f2", ">i4", "<i8", "<u8", "|u1", "|b1", "<U4", "|S3", "|O", "|V8", "<M8[D]", "<m8[s]", "<c16", "<f16",
    "x", "", "2f4", "<U999999999", [["a", "<f8"]], [["a", "|O"]], [("a", "<f8", (2,))], None, 7,
)  # fmt: skip
_SHAPES = (
    "()", "(0,)", "(4,)", "(4, 3)", "(4, 3, 3)", "(4, 0)", "(-1,)", "(-4, -3)", "(2**40,)", "(1099511627776,)",
    "(99999999999999999999,)", "(33554432, 8)", "(4.0,)", "('4',)", "(True, 3)", "[4]", "4", "None", "(1,)*40",
    f"({'1,' * 40})",
    f"({'1,' * 70})", "((4,),)", "(4", "__import__('os').getpid()", "(" * 300 + ")" * 300, "{}" * 50,
)  # fmt: skip
_NAMES = ("X", "y", "id", "w", "", "../X", "/etc/X", "X.npy", "a\nb", "X\0", "ä", "X" * 500, "header", "about")


def _header(rng: Random, array: np.ndarray) -> bytes:
    """The head of an .npy file that may declare anything."""
    descr = rng.choice(_TYPES) if rng.random() < 0.5 else array.dtype.str
    shape = rng.choice(_SHAPES) if rng.random() < 0.5 else repr(array.shape)
    order = rng.choice(("False", "False", "True", "None", "1"))
    text = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if rng.random() < 0.1:
        text = rng.choice(("", "{", "{}", "[]", "1+1", "{'descr': '<f8'}", "9" * 9000, "(" * 5000, text * 2, f"{text}#\0"))
    version = rng.choice(((1, 0), (1, 0), (1, 0), (2, 0), (3, 0), (9, 9)))
    body = text.encode("utf-8", "replace") + b" " * rng.choice((0, 10)) + b"\n"
    size = rng.choice((len(body), len(body), len(body), 0, 65535, len(body) + 1000)) & 0xFFFFFFFF
    length = struct.pack("<H", size & 0xFFFF) if version == (1, 0) else struct.pack("<I", size)
    return b"\x93NUMPY" + bytes(version) + length + body


def odd_array(rng: Random, array: np.ndarray | None = None) -> bytes:
    """An .npy file whose head and numbers may not fit."""
    if array is None:
        array = rng.choice(
            (np.eye(4), np.arange(4), np.array(list("pqpq")), np.zeros((4, 3, 3), np.uint8), np.full(4, np.nan))
        )
    numbers = array.tobytes()
    way = rng.randrange(5)
    if way == 0:
        numbers = numbers[: rng.randrange(len(numbers) + 1)]
    elif way == 1:
        numbers += b"\0" * rng.choice((1, 8, 5000))
    return _header(rng, array) + numbers


def sound_array(array: np.ndarray) -> bytes:
    """An .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def _members(data: bytes) -> dict[str, bytes] | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > 1 << 22:
                return None
            return {info.filename: archive.read(info) for info in archive.infolist()}
    except Exception:  # noqa: BLE001
        return None


def _zipped(rng: Random, members: list[tuple[str, bytes]]) -> bytes:
    import warnings

    file = io.BytesIO()
    methods = (0, 0, 0, 8, 8, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=rng.choice(methods) if rng.random() < 0.3 else 0)
        if rng.random() < 0.05:
            archive.comment = b"PK\x05\x06" * 9
    made = bytearray(file.getvalue())
    if rng.random() < 0.15:
        # What the directory says of an entry: method, flags, sizes, where it begins.
        at = made.rfind(b"PK\x01\x02")
        spot = at + rng.choice((8, 10, 20, 24, 42))
        made[spot : spot + 4] = struct.pack("<I", rng.choice((0, 1, 8, 14, 99, 2**31, 2**32 - 1, 1000)))
    return bytes(made)


def archive(**arrays: np.ndarray) -> bytes:
    """An .npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def header_edited(rng: Random, data: bytes) -> bytes:
    """An archive with one array that declares what it is not, or is another, or twice there, or under another name."""
    members = _members(data)
    if not members:
        return data
    name = rng.choice(list(members))
    pairs = dict(members)
    way = rng.randrange(7)
    try:
        array = np.lib.format.read_array(io.BytesIO(members[name]), allow_pickle=False)
    except Exception:  # noqa: BLE001
        array = np.eye(4)
    if way <= 1:
        pairs[name] = odd_array(rng, array)
    elif way == 2:
        pairs[name] = sound_array(_changed(rng, array))
    elif way == 3:
        del pairs[name]
    elif way == 4:
        return _zipped(rng, [*pairs.items(), (name, members[name])])
    elif way == 5:
        pairs[f"{rng.choice(_NAMES)}{rng.choice(('.npy', '.npy', ''))}"] = pairs.pop(name)
    elif rng.random() < 0.02:
        pairs[name] = sound_array(np.zeros((rng.choice((1 << 24, 1 << 26)),)))
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for each, content in pairs.items():
                archive.writestr(each, content)
        return file.getvalue()
    return _zipped(rng, list(pairs.items()))


def _changed(rng: Random, array: np.ndarray) -> np.ndarray:
    """Another array in place of one, by its type, shape or values."""
    ways: tuple[Callable[[], np.ndarray], ...] = (
        lambda: array[:-1] if array.ndim else array,
        lambda: np.concatenate([array, array]) if array.ndim else array,
        lambda: array.reshape(-1),
        lambda: array[..., None],
        lambda: np.asfortranarray(array[None] if array.ndim < 2 else array),
        lambda: array.astype(object),
        lambda: array.astype(str),
        lambda: np.zeros(array.shape, np.float16),
        lambda: np.zeros(array.shape, np.complex128),
        lambda: np.zeros(array.shape, "M8[D]"),
        lambda: np.full(array.shape, np.nan),
        lambda: np.full(array.shape, -np.inf),
        lambda: np.full(array.shape, -(2**63)),
        lambda: np.full(array.shape, 2**62),
        lambda: np.zeros(array.shape, bool),
        lambda: np.zeros(array.shape, [("a", "<f8")]),
        lambda: np.empty(0),
        lambda: array.astype(array.dtype.newbyteorder()),
    )
    try:
        return rng.choice(ways)()
    except (TypeError, ValueError, OverflowError):
        return array


def member_edited(name: str) -> Callable[[Random, bytes], bytes]:
    """A mutation of the JSON that an archive holds as bytes under a name."""

    def edited(rng: Random, data: bytes) -> bytes:
        members = _members(data)
        if not members or f"{name}.npy" not in members:
            return data
        try:
            fields = json.loads(bytes(np.lib.format.read_array(io.BytesIO(members[f"{name}.npy"]), allow_pickle=False)))
            text = json.dumps(json_edited(rng, fields))
        except Exception:  # noqa: BLE001
            return data
        if rng.random() < 0.05:
            text = rng.choice(("", "{", "[" * 5000, "null", "[]", text[:-3]))
        members[f"{name}.npy"] = sound_array(np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8))
        return _zipped(rng, list(members.items()))

    return edited
