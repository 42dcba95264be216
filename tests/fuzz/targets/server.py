"""Requests to `hardsight serve`, given to the application itself, as a connection would deliver them."""

import asyncio
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzz.mutations import TOKENS
from fuzz.target import Target
from fuzz.targets.results import result
from hardsight import Samples
from hardsight.errors import InputError
from hardsight.reporting.review.server import create_app

_SECRET = "s3cret"
_OUTSIDE = b"a secret that lies outside"
_HEADS = "\r\nhost: 127.0.0.1:8377"


def _request(method: str, path: str, head: str = _HEADS, body: bytes = b"") -> bytes:
    return f"{method} {path}{head}\r\n\r\n".encode() + body


def _requests() -> list[bytes]:
    first = result("classes").ids[0]
    csv = f"id,action,label\r\n{first},relabel,'=white\r\n".encode()
    typed = f"{_HEADS}\r\ncontent-type: text/csv\r\norigin: http://127.0.0.1:8377"
    paths = ("", "review.html", "report.html", "samples/3", "images/3", "nearest/3", "search?text=words", "decisions.csv")
    return [
        *(_request("GET", f"/{_SECRET}/{path}") for path in paths),
        _request("PUT", f"/{_SECRET}/decisions.csv", typed, csv),
        _request("GET", f"/{_SECRET}/../../outside.txt"),
        _request("GET", f"/{_SECRET}/%2e%2e/outside.txt"),
        _request("GET", "/", "\r\nhost: evil.example"),
    ]


def _path(rng: Random, data: bytes) -> bytes:
    """Another path or query."""
    line, _, rest = data.partition(b"\r\n")
    method, _, path = line.partition(b" ")
    parts = path.split(b"/")
    odd = (
        b"..", b".", b"", b"%2e%2e", b"..%2f..%2foutside.txt", b"%00", b"-1", b"99999999999", b"9" * 5000,
        b"%d9%a3", b"0x3", b"3.0",
        b"%ff", b"outside.txt", b"link.txt", b"../outside.txt", b"decisions.csv", b"difficulty.parquet",
        b"?text=" + b"%" * 99,
        b"search?text=" + b"a" * 20000, b"search?text=%ff%fe", b"search?text=%ed%a0%80", b"search?" + b"a&" * 5000, *TOKENS,
    )  # fmt: skip
    at = rng.randrange(len(parts))
    if rng.random() < 0.5:
        parts[at] = rng.choice(odd)
    else:
        parts.insert(at, rng.choice(odd))
    return method + b" " + b"/".join(parts) + b"\r\n" + rest


def _head(rng: Random, data: bytes) -> bytes:
    """Another header or method."""
    heads = (
        b"host: evil.example", b"host: 127.0.0.1", b"host: 127.0.0.1.evil.example", b"host:", b"origin: http://evil.example",
        b"origin: null", b"content-type: text/csv; charset=utf-16", b"content-type: multipart/form-data; boundary=x",
        b"content-length: -1", b"content-length: 99999999999", b"range: bytes=0-", b"cookie: " + b"x" * 9000, b"x: \xff\0",
        b"accept-encoding: gzip", b"if-none-match: *", b"transfer-encoding: chunked", b"upgrade: websocket",
    )  # fmt: skip
    if rng.random() < 0.2:
        rest = data.partition(b" ")[2]
        return (
            rng.choice((b"GET", b"HEAD", b"PUT", b"POST", b"DELETE", b"OPTIONS", b"TRACE", b"", b"\0", b"GET" * 99))
            + b" "
            + rest
        )
    top, mark, body = data.partition(b"\r\n\r\n")
    lines = top.split(b"\r\n")
    if len(lines) > 1 and rng.random() < 0.4:
        del lines[rng.randrange(1, len(lines))]
    lines.insert(rng.randint(1, len(lines)), rng.choice(heads))
    return b"\r\n".join(lines) + mark + body


def _body(rng: Random, data: bytes) -> bytes:
    """Another body of decisions."""
    from fuzz.mutations import cells, reencoded

    top, mark, body = data.partition(b"\r\n\r\n")
    if not body:
        return _requests()[8]
    return top + mark + rng.choice((cells, reencoded))(rng, body)


@cache
def _served() -> tuple[Any, Path, asyncio.AbstractEventLoop]:
    top = Path(tempfile.mkdtemp(prefix="served-"))
    (top / "outside.txt").write_bytes(_OUTSIDE)
    folder = top / "out"
    folder.mkdir()
    (folder / "report.html").write_text("<html>report</html>")
    (folder / "link.txt").symlink_to(top / "outside.txt")
    d = result("classes")
    rng = np.random.default_rng(0)
    words = np.array([["red", "green", "ä\0"][i % 3] for i in range(len(d))], dtype=object)
    table = {"a": rng.normal(size=len(d)), "word": words, "y": d.label_names(d.labels)}
    import pandas as pd

    samples = Samples.of(pd.DataFrame(table), "y", ids=d.ids)
    return create_app(d, samples, folder, _SECRET), folder, asyncio.new_event_loop()


def _enter(data: bytes, _: Path) -> None:
    app, folder, loop = _served()
    top, _, body = data.partition(b"\r\n\r\n")
    line, *heads = top.split(b"\r\n")
    method, _, target = line.partition(b" ")
    raw, _, query = target.partition(b"?")
    from urllib.parse import unquote

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method.decode("latin1"),
        "scheme": "http",
        "path": unquote(raw.decode("latin1")), "raw_path": raw, "query_string": query, "root_path": "",
        "headers": [(k.strip().lower(), v.strip()) for k, _, v in (head.partition(b":") for head in heads)],
        "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 8377),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    loop.run_until_complete(asyncio.wait_for(app(scope, receive, send), 20))
    status = sent[0]["status"]
    content = b"".join(message.get("body", b"") for message in sent)
    assert _OUTSIDE not in content
    assert {place.name for place in folder.iterdir()} <= {"report.html", "link.txt", "decisions.csv"}
    assert [place.name for place in folder.parent.iterdir() if place.name not in ("out", "outside.txt")] == []
    assert (folder.parent / "outside.txt").read_bytes() == _OUTSIDE
    assert status < 500, status
    if status >= 400:
        raise InputError(f"line {status}: {content[:200]!r}")


TARGETS = [Target("server", "requests to serve", _requests, (_path, _path, _head, _body), _enter, 0.3)]
