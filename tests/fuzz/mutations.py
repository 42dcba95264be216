"""Ways to change an input that know nothing of how it is built, or only that it is text or JSON."""

import json
import struct
from random import Random
from typing import Any

_NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
TOKENS = (
    b"", b"\0", b"\r", b"\n", b"\r\n", b"\n\n", b"\r\r\"", b'"', b'""', b'"\r"', b"'", b",", b";", b"\t", b"|", b"\\",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\x1b[2J",
    b"\x85", b"\x0b",
    b"nan", b"NaN", b"inf", b"-inf", b"1e999", b"-0.0", b"NA", b"null", b"None", b"true", b"0x10", b"1_000", b"1,5",
    b"9" * 400, b"1e-400", b"-9223372036854775809", b"18446744073709551616", b"007", b"2020-01-01", b"00:00", b"1+2j",
    b"=1+1", b"=cmd|' /C calc'!A0", b"@SUM(1)", b"+1", b"-1", b"\xef\xbc\x9d1", b"<script>alert(1)</script>", b"{{7*7}}",
    b"../../etc/passwd", b"/etc/passwd", b"%2e%2e%2f", b"%00", b"__import__('os').system('x')", b"$(id)", b"`id`", b"%s%n",
    "ä".encode(), "日本".encode(), "é".encode("latin1"), "ｆ".encode(), "🦊".encode(), "\u0130".encode(),
)  # fmt: skip


def flipped(rng: Random, data: bytes) -> bytes:
    """One to eight bits turned over."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def replaced(rng: Random, data: bytes) -> bytes:
    """A byte replaced by any other."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def numbered(rng: Random, data: bytes) -> bytes:
    """Some bytes replaced by a number at an edge, as a field of a header would hold it."""
    form = rng.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    value = rng.choice(_NUMBERS) & ((1 << 8 * struct.calcsize(form)) - 1)
    at = rng.randrange(len(data) + 1)
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def cut(rng: Random, data: bytes) -> bytes:
    """The beginning, or the end, alone."""
    at = rng.randrange(len(data) + 1)
    return data[:at] if rng.random() < 0.7 else data[at:]


def shortened(rng: Random, data: bytes) -> bytes:
    """Without a piece."""
    start, length = _piece(rng, data)
    return data[:start] + data[start + length :]


def doubled(rng: Random, data: bytes) -> bytes:
    """With a piece twice, or many times."""
    start, length = _piece(rng, data)
    times = rng.choice((1, 1, 1, 2, 10, 1000))
    return data[:start] + data[start : start + length] * times + data[start:]


def moved(rng: Random, data: bytes) -> bytes:
    """With a piece at another place."""
    start, length = _piece(rng, data)
    piece, rest = data[start : start + length], data[:start] + data[start + length :]
    at = rng.randrange(len(rest) + 1)
    return rest[:at] + piece + rest[at:]


def inserted(rng: Random, data: bytes) -> bytes:
    """With a token that means something to some reader."""
    at = rng.randrange(len(data) + 1)
    over = rng.choice((0, 0, 1, 3))
    return data[:at] + rng.choice(TOKENS) + data[at + over :]


PLAIN = (flipped, replaced, numbered, cut, shortened, doubled, moved, inserted)


def _piece(rng: Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data) - start, rng.choice((1, 2, 4, 8, 16, 64, 256)))


def cells(rng: Random, data: bytes) -> bytes:
    """A table of text with one cell, row or column changed."""
    mark = rng.choice((b",", b",", b",", b";", b"\t"))
    rows = [line.split(mark) for line in data.split(b"\n")]
    row = rng.randrange(len(rows))
    column = rng.randrange(len(rows[row]))
    way = rng.randrange(10)
    if way < 4:
        rows[row][column] = rng.choice(TOKENS)
    elif way == 4:
        rows[row].insert(column, rng.choice(TOKENS))
    elif way == 5:
        del rows[row][column]
    elif way == 6:
        for each in rows:
            each.append(each[column] if column < len(each) else b"")
    elif way == 7:
        value = rng.choice(TOKENS)
        for each in rows[1:]:
            each[min(column, len(each) - 1)] = value
    elif way == 8:
        rows[row][column] = b'"' + rows[row][column] + rng.choice((b'"', b"", b'"\r', b'\n"', b'""'))
    else:
        rows[row][column] = rows[row][column] * rng.choice((10, 1000, 20000))
    return b"\n".join(mark.join(each) for each in rows)


def reencoded(rng: Random, data: bytes) -> bytes:
    """The same text with other line ends, another encoding, another separator, or a mark before it."""
    text = data.decode("utf-8", "replace")
    way = rng.randrange(9)
    if way == 0:
        return data.replace(b"\n", b"\r")
    if way == 1:
        return data.replace(b"\n", b"\r\n")
    if way == 2:
        return text.encode("utf-16")
    if way == 3:
        return text.encode("latin1", "replace")
    if way == 4:
        return b"\xef\xbb\xbf" * rng.randint(1, 2) + data
    if way == 5:
        return data.replace(b",", rng.choice((b";", b"\t", b"|", b", ")))
    if way == 6:
        return data.upper()
    if way == 7:
        return data.replace(b"\n", rng.choice((b"\n\n", b"\n\r", b"\r\r\n", b" \n", b"\xe2\x80\xa8", b"\x0c")))
    return b'"' + data.replace(b"\n", b'"\n"').replace(b",", b'","')


def other(rng: Random, value: Any) -> Any:
    """A JSON value in place of another."""
    strange: tuple[Any, ...] = (
        None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 1e308, float("nan"), float("inf"), 0.5, "",
        "x", "\0",
        "a\nb", "\ud800", "<script>", "9" * 50, [], {}, [None], [[]], {"x": {}}, [1, "a", None], "x" * 3000,
    )  # fmt: skip
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.3:
        return value + rng.choice((-1, 1, 0.5, 1e6))
    if isinstance(value, list) and rng.random() < 0.4:
        return rng.choice((value[1:], value * 2, [*value, *value[:1]], value[::-1]))
    return rng.choice(strange)


def json_edited(rng: Random, value: Any) -> Any:
    """A JSON value with one value in it changed, taken out, or put in beside the others."""
    places: list[tuple[Any, Any]] = []

    def walk(container: Any) -> None:
        items = (
            container.items() if isinstance(container, dict) else enumerate(container) if isinstance(container, list) else ()
        )
        for key, inner in list(items)[:50]:
            places.append((container, key))
            walk(inner)

    value = json.loads(json.dumps(value))
    walk(value)
    if not places:
        return other(rng, value)
    # Values that hold others are few among all, and matter most.
    container, key = rng.choice(places[:1] + places[:: max(1, len(places) // 60)])
    way = rng.random()
    if way < 0.15:
        del container[key]
    elif way < 0.25 and isinstance(container, dict):
        container[rng.choice(("x", "", "schema", "kind", "\0"))] = other(rng, None)
    else:
        container[key] = other(rng, container[key])
    return value
