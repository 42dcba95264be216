"""Folders with a subfolder a class: images, texts, and whatever else a file system can hold."""

import io
import os
import struct
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from random import Random

import numpy as np
from PIL import Image

from fuzz.mutations import TOKENS
from fuzz.target import Target
from fuzz.targets.tables import used
from hardsight import read

OUTSIDE = "a secret that lies outside"


def _image(kind: str, mode: str = "RGB", size: tuple[int, int] = (12, 9), **options: object) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 4), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(file, kind, **options)
    return file.getvalue()


@cache
def _images() -> list[bytes]:
    frames = [Image.new("L", (6, 6), grey) for grey in (0, 100, 200)]
    moving = io.BytesIO()
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save(deep, "PNG")
    return [
        _image("PNG"), _image("PNG", "P"), _image("PNG", "LA"), _image("PNG", "1"), deep.getvalue(), _image("JPEG",
        exif=exif),
        _image("JPEG", "CMYK"), _image("JPEG", "L", progressive=True), moving.getvalue(), _image("WEBP"), _image("BMP"),
        _image("BMP", "P"), _image("TIFF"), _image("TIFF", "L", compression="tiff_lzw"), _image("TIFF", compression="jpeg"),
        _image("PPM"), _image("PPM", "L"), b"P2\n3 2\n255\n1 2 3 4 5 6\n", b"P1\n2 2\n1 0 0 1\n",
    ]  # fmt: skip


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(rng: Random, data: bytes) -> bytes:
    """A PNG whose header or chunks say something odd, with a right checksum."""
    if not data.startswith(b"\x89PNG") or len(data) < 40:
        data = _images()[0]
    if rng.random() < 0.5:
        sides = (0, 1, 9, 12, 10_000, 60_000, 2**31 - 1, 2**32 - 1)
        rest = bytes((rng.choice((1, 2, 4, 8, 16, 3)), rng.choice((0, 2, 3, 4, 6, 1)), 0, 0, rng.choice((0, 1))))
        head = struct.pack(">II", rng.choice(sides), rng.choice(sides)) + rest
        return data[:8] + _chunk(b"IHDR", head) + data[33:]
    packed = zlib.compress(b"x" * rng.choice((10, 1000, 1 << 20)))
    chunk = rng.choice(
        (
            _chunk(b"zTXt", b"k\0\0" + packed), _chunk(b"iTXt", b"k\0\1\0\0\0" + packed), _chunk(b"iCCP", b"k\0\0" + packed),
            _chunk(b"tEXt", b"k" * 70000), _chunk(b"PLTE", b"\0" * rng.choice((0, 3, 5, 768, 900))), _chunk(b"tRNS", b"\0"),
            _chunk(b"acTL", struct.pack(">II", 2**31, 0)), _chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff"), _chunk(b"IEND", b""),
        )
    )  # fmt: skip
    return data[:33] + chunk * rng.choice((1, 2)) + data[33:]


def _netpbm(rng: Random, data: bytes) -> bytes:
    """A netpbm image with any head."""
    numbers = ("0", "1", "3", "255", "65535", "65536", "-1", "99999", "2000000000", "9" * 30, "#", "x", "")
    return (
        f"P{rng.randint(0, 8)}\n{rng.choice(numbers)} {rng.choice(numbers)}\n{rng.choice(numbers)}\n".encode() + data[:300]
    )


def _enter_image(data: bytes, folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
    (folder / "a" / "1.png").write_bytes(_images()[0])
    endings = ("png", "jpg", "gif", "tif", "webp", "bmp", "ppm", "PGM")
    (folder / "b" / f"2.{endings[zlib.crc32(data) % len(endings)]}").write_bytes(data)
    used(read(folder, embedding="pixels"))


# Any folder: entries stand one after another, their name, kind and content marked off by bytes that no name holds.

_NEXT, _PART = b"\x1e", b"\x1f"


def _entries(*entries: tuple[str, str, bytes]) -> bytes:
    return _NEXT.join(_PART.join((name.encode(), kind.encode(), content)) for name, kind, content in entries)


def _trees() -> list[bytes]:
    return [
        _entries(
            ("ham/1.txt", "f", b"see you at lunch"), ("ham/2.txt", "f", b"lunch at noon"), ("spam/3.txt", "f", b"win money")
        ),
        _entries(("ham/1.txt", "f", b"some words"), ("spam/2.txt", "l", b"../../outside.txt"), ("spam/3.txt", "f", b"more")),
        _entries(("a/1.txt", "f", b"some words"), ("b", "l", b".."), ("c/2.txt", "l", b"../a/1.txt"), ("d/x.txt", "p", b"")),
        _entries(("train/a/1.txt", "f", b"x y"), ("test/b/2.txt", "f", b"z w"), (".git/c.txt", "f", b"x")),
    ]


def _entry(rng: Random, data: bytes) -> bytes:
    """Another entry, or one with another name, kind or content."""
    entries = [entry.split(_PART) for entry in data.split(_NEXT)]
    names = (
        b"ham/9.txt", b"../up.txt", b"ham/../x.txt", b"spam/" + b"n" * 300, b"a\nb/1.txt", b"\xff\xfe/1.txt",
        b"ham/\xe4.txt",
        b"ham/1.txt/2.txt", b" /1.txt", b"-rf/1.txt", "ä日/1.txt".encode(), b"\x1b[2J/1.txt", b"__MACOSX/1.txt",
        b"ham", b"1.png",
        b"=1+1/1.txt", b"ham/1.jpg", b"deep/" * 30 + b"1.txt", b"CON/1.txt",
    )  # fmt: skip
    contents = (
        *TOKENS,
        b"x" * 50000,
        b"words and words",
        b"/etc/passwd",
        b"../../outside.txt",
        b".",
        b"..",
        b"/dev/zero",
        b"/proc/self/mem",
    )
    new = [rng.choice(names), rng.choice((b"f", b"f", b"l", b"p", b"d", b"u")), rng.choice(contents)]
    at = rng.randrange(len(entries))
    if rng.random() < 0.5 or len(entries[at]) != 3:
        entries.insert(at, new)
    else:
        part = rng.randrange(3)
        entries[at][part] = new[part]
    return _NEXT.join(_PART.join(entry) for entry in entries)


def _built(data: bytes, folder: Path) -> None:
    """The folder that the entries tell; names that would lie outside are left out."""
    for entry in data.split(_NEXT)[:40]:
        name, kind, content = ([*entry.split(_PART, 2), b"f", b""])[:3] if _PART in entry else (entry, b"f", b"words")
        parts = [part for part in PurePosixPath(os.fsdecode(name)).parts if part not in ("/", "..", ".")]
        place = folder.joinpath(*parts)
        # Whoever writes to a pipe waits for a reader.
        if not parts or os.path.lexists(place):
            continue
        with suppress(OSError, ValueError, RecursionError):
            place.parent.mkdir(parents=True, exist_ok=True)
            if kind == b"l":
                place.symlink_to(os.fsdecode(content))
            elif kind == b"p":
                os.mkfifo(place)
            elif kind == b"d":
                place.mkdir()
            elif kind == b"u":
                place.write_bytes(content)
                place.chmod(0)
            else:
                place.write_bytes(content)


def _enter_folder(data: bytes, folder: Path) -> None:
    (folder / "outside.txt").write_text(OUTSIDE)
    (folder / "in").mkdir()
    _built(data, folder / "in")
    samples = read(folder / "in")
    if samples.kind == "text":
        assert OUTSIDE not in samples.features.tolist()
    used(samples)


TARGETS = [
    Target("images", "a folder of images", _images, (_png, _netpbm), _enter_image, 0.7),
    Target("folders", "names, links, pipes, texts", _trees, (_entry, _entry), _enter_folder, 0.3),
]
