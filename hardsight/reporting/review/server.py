"""The review page from a server on this machine alone, for data that no single file could hold.

It listens on 127.0.0.1, answers only who names that address and knows the secret in the page's, sends no header that would
let another site read it, and knows no paths: requests name samples by their number, and the one file that it writes is
``decisions.csv`` in the folder of the result.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from hardsight.data.samples import Samples
from hardsight.difficulty.decisions import FILE_NAME, match_decisions, parse_decisions
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write
from hardsight.reporting.review.nearest import nearest_search
from hardsight.reporting.review.page import align_samples, render
from hardsight.reporting.review.sample_view import SampleView

HOST = "127.0.0.1"
# Of decisions that are handed over: far more than a million of them take.
_MOST_BYTES = 256 * 2**20
_DIGITS = 20
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
}


class _Served:
    """What the requests ask for."""

    def __init__(self, d: Difficulty, samples: Samples | None, folder: Path) -> None:
        self.d, self.file = d, folder / FILE_NAME
        aligned = None if samples is None else align_samples(d, samples)
        self.page = render(d, aligned, "report.html" if (folder / "report.html").is_file() else None, served=True)
        self.report = folder / "report.html"
        self.shown = None if aligned is None else SampleView(aligned)
        self.nearest = nearest_search(aligned)
        self.writing = asyncio.Lock()
        self.result = folder / "difficulty.parquet"
        self.measured = _state(self.result)
        if self.file.is_file() and not self.file.is_symlink():
            # Decisions of another result would be written over by the first one made here.
            self.fit(self.file)

    def row(self, request: Request) -> int:
        text: str = request.path_params["row"]
        # Python refuses to read numbers of thousands of digits.
        if not (text.isascii() and text.isdecimal() and len(text) < _DIGITS and int(text) < len(self.d)):
            raise HTTPException(404)
        return int(text)

    def start(self, request: Request) -> Response:
        return HTMLResponse(self.page)

    def summary(self, request: Request) -> Response:
        return HTMLResponse(_own_file(self.report))

    def sample(self, request: Request) -> Response:
        return JSONResponse(_there(self.shown).of(self.row(request)))

    def image(self, request: Request) -> Response:
        shown, at = _there(self.shown), self.row(request)
        if shown.samples.kind != "image":
            raise HTTPException(404)
        return Response(shown.image(at), media_type="image/png")

    def neighbours(self, request: Request) -> Response:
        search, at = _there(self.nearest), self.row(request)
        return JSONResponse(search.of(np.array([at]))[0].tolist())

    def search(self, request: Request) -> Response:
        found = _there(self.shown).matching(request.query_params.get("text", ""))
        return Response(found.astype("<u4").tobytes(), media_type="application/octet-stream")

    def decisions(self, request: Request) -> Response:
        return Response(_own_file(self.file) if self.file.exists() else "", media_type="text/csv")

    async def decide(self, request: Request) -> Response:
        # Another site's page can send no such type without asking first, and it is not allowed to.
        if request.headers.get("content-type", "").partition(";")[0].strip() != "text/csv":
            raise HTTPException(415)
        if request.headers.get("origin") not in (None, f"http://{request.headers['host']}"):
            raise HTTPException(403)
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > _MOST_BYTES:
                raise HTTPException(413)
        async with self.writing:
            try:
                await run_in_threadpool(self.keep, bytes(content))
            except InputError as fault:
                return PlainTextResponse(str(fault), 422)
        return Response(status_code=204)

    def fit(self, decisions: Path | pd.DataFrame) -> None:
        match_decisions(decisions, self.d)

    def keep(self, content: bytes) -> None:
        """Write decisions, all or nothing, if they fit the result and it is still the one in the folder."""
        if _state(self.result) != self.measured:
            raise InputError(f"{self.result} was written again since this server read it: start the server again")
        try:
            frame = parse_decisions(content.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise InputError("the decisions are not UTF-8") from None
        self.fit(frame)
        with atomic_write(self.file) as temporary:
            temporary.write_bytes(content)


def create_app(d: Difficulty, samples: Samples | None, folder: Path, secret: str) -> Starlette:
    """The server's answers.

    Args:
        d: the result.
        samples: the measured samples; None: ids and numbers alone are shown.
        folder: of the result; decisions are kept there.
        secret: the first part of every path.
    """
    served = _Served(d, samples, folder)
    routes = [
        Route("/", served.start),
        # The report leads back to a file of this name.
        Route("/review.html", served.start),
        Route("/report.html", served.summary),
        Route("/samples/{row}", served.sample),
        Route("/images/{row}", served.image),
        Route("/nearest/{row}", served.neighbours),
        Route("/search", served.search),
        Route(f"/{FILE_NAME}", served.decisions, methods=["GET"]),
        Route(f"/{FILE_NAME}", served.decide, methods=["PUT"]),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)
    return Starlette(routes=[Mount(f"/{secret}", routes=routes)], middleware=[Middleware(_Headers), hosts])


def serve(
    d: Difficulty, samples: Samples | None, folder: Path, port: int, told: Callable[[str], None] = lambda url: None
) -> None:
    """Serve the review page until it is interrupted.

    Args:
        d: the result.
        samples: the measured samples, found by id; None: ids and numbers alone are shown.
        folder: of the result; decisions are kept there.
        port: to listen on; 0: any that is free.
        told: is given the page's address once it can be opened.

    Raises:
        InputError: the port is taken, ``samples`` lack an id or have other labels, or the folder's ``decisions.csv`` is of
            another result.
    """
    secret = secrets.token_urlsafe(16)
    app = create_app(d, samples, folder, secret)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as fault:
            raise InputError(
                f"port {port} cannot be listened on ({fault.strerror}): choose another, or 0 for any that is free"
            ) from None
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        listening.listen()
        told(f"http://{HOST}:{listening.getsockname()[1]}/{secret}/")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


class _Headers:
    """Adds the headers that keep other sites out to every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        await self.app(scope, receive, sent)


def _state(path: Path) -> tuple[int, int] | None:
    """What changes when another file takes this one's place; None: there is none."""
    with suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _own_file(path: Path) -> bytes:
    """A file of the folder itself: a link could lead out of it."""
    if path.is_symlink() or not path.is_file():
        raise HTTPException(404)
    return path.read_bytes()


def _there(part: Any) -> Any:
    if part is None:
        raise HTTPException(404)
    return part
