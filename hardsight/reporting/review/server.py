"""The review page from a local server, for data that a single file could not hold.

The server listens on 127.0.0.1. It answers only requests that name that address and know the secret in the page's address.
It sends no header that would let another site read its answers, and it knows no paths: requests name samples by their
number. The only file that it writes is ``decisions.csv`` in the folder of the result.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
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
from hardsight.reporting.report.examples import align_samples
from hardsight.reporting.review.nearest import nearest_search
from hardsight.reporting.review.page import render
from hardsight.reporting.review.sample_view import SampleView

HOST = "127.0.0.1"
# Largest accepted file of decisions: far more than a million of them take.
_MAX_BYTES = 256 * 2**20
_MAX_DIGITS = 20
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
}


class _ReviewServer:
    """The answers to all requests."""

    def __init__(self, d: Difficulty, samples: Samples | None, folder: Path) -> None:
        self.d, self.file = d, folder / FILE_NAME
        aligned = None if samples is None else align_samples(d, samples)
        self.page = render(d, aligned, "report.html" if (folder / "report.html").is_file() else None, served=True)
        self.report = folder / "report.html"
        self.view = None if aligned is None else SampleView(aligned)
        self.nearest = nearest_search(aligned)
        self.write_lock = asyncio.Lock()
        self.result = folder / "difficulty.parquet"
        self.result_state = _file_state(self.result)
        if self.file.is_file() and not self.file.is_symlink():
            # The first decision made here would overwrite decisions about another result.
            match_decisions(self.file, d)

    def row(self, request: Request) -> int:
        text: str = request.path_params["row"]
        # Python refuses to read numbers of thousands of digits.
        if not (text.isascii() and text.isdecimal() and len(text) < _MAX_DIGITS and int(text) < len(self.d)):
            raise HTTPException(404)
        return int(text)

    def review_page(self, request: Request) -> Response:
        return HTMLResponse(self.page)

    def report_page(self, request: Request) -> Response:
        return HTMLResponse(_read_regular(self.report))

    def sample(self, request: Request) -> Response:
        return JSONResponse(_or_404(self.view).describe(self.row(request)))

    def image(self, request: Request) -> Response:
        view, row = _or_404(self.view), self.row(request)
        if view.samples.kind != "image":
            raise HTTPException(404)
        return Response(view.image(row), media_type="image/png")

    def neighbours(self, request: Request) -> Response:
        search, row = _or_404(self.nearest), self.row(request)
        return JSONResponse(search.find(np.array([row]))[0].tolist())

    def search(self, request: Request) -> Response:
        rows = _or_404(self.view).search(request.query_params.get("text", ""))
        return Response(rows.astype("<u4").tobytes(), media_type="application/octet-stream")

    def read_decisions(self, request: Request) -> Response:
        return Response(_read_regular(self.file) if self.file.exists() else "", media_type="text/csv")

    async def write_decisions(self, request: Request) -> Response:
        # Another site's page may not send this type without asking first, and it gets no permission.
        if request.headers.get("content-type", "").partition(";")[0].strip() != "text/csv":
            raise HTTPException(415)
        if request.headers.get("origin") not in (None, f"http://{request.headers['host']}"):
            raise HTTPException(403)
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > _MAX_BYTES:
                raise HTTPException(413)
        async with self.write_lock:
            try:
                await run_in_threadpool(self.save, bytes(content))
            except InputError as fault:
                return PlainTextResponse(str(fault), 422)
        return Response(status_code=204)

    def save(self, content: bytes) -> None:
        """Write decisions, all or nothing, if they match the result and it is still the one in the folder."""
        if _file_state(self.result) != self.result_state:
            raise InputError(f"{self.result} was written again since this server read it: start the server again")
        try:
            frame = parse_decisions(content.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise InputError("the decisions must be UTF-8") from None
        match_decisions(frame, self.d)
        with atomic_write(self.file) as temporary:
            temporary.write_bytes(content)


def create_app(d: Difficulty, samples: Samples | None, folder: Path, secret: str) -> Starlette:
    """Return the server as an ASGI application.

    Args:
        samples: the measured samples; None to show ids and numbers alone.
        folder: of the result; decisions are kept there.
        secret: the first part of every path.
    """
    server = _ReviewServer(d, samples, folder)
    routes = [
        Route("/", server.review_page),
        # The report links to a file of this name.
        Route("/review.html", server.review_page),
        Route("/report.html", server.report_page),
        Route("/samples/{row}", server.sample),
        Route("/images/{row}", server.image),
        Route("/nearest/{row}", server.neighbours),
        Route("/search", server.search),
        Route(f"/{FILE_NAME}", server.read_decisions, methods=["GET"]),
        Route(f"/{FILE_NAME}", server.write_decisions, methods=["PUT"]),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)
    return Starlette(routes=[Mount(f"/{secret}", routes=routes)], middleware=[Middleware(_Headers), hosts])


def serve(
    d: Difficulty, samples: Samples | None, folder: Path, port: int, on_ready: Callable[[str], None] = lambda url: None
) -> None:
    """Serve the review page until it is interrupted.

    Args:
        samples: the measured samples, matched by id; None to show ids and numbers alone.
        folder: of the result; decisions are kept there.
        port: port to listen on; 0 for any that is free.
        on_ready: called with the page's address once it can be opened.

    Raises:
        InputError: the port is taken, ``samples`` lack an id or have other labels, or the folder's ``decisions.csv`` is
            about another result.
    """
    secret = secrets.token_urlsafe(16)
    app = create_app(d, samples, folder, secret)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as fault:
            raise InputError(
                f"cannot listen on port {port} ({fault.strerror}): choose another, or 0 for any that is free"
            ) from None
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        listening.listen()
        on_ready(f"http://{HOST}:{listening.getsockname()[1]}/{secret}/")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


class _Headers:
    """Middleware that adds the headers that keep other sites out."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _file_state(path: Path) -> tuple[int, int] | None:
    """Return what changes when another file replaces this one; None if there is no file."""
    with suppress(OSError):
        status = path.stat()
        return status.st_ino, status.st_mtime_ns
    return None


def _read_regular(path: Path) -> bytes:
    """Return the content of a regular file of the folder. A link could lead out of it."""
    if path.is_symlink() or not path.is_file():
        raise HTTPException(404)
    return path.read_bytes()


def _or_404(part: Any) -> Any:
    if part is None:
        raise HTTPException(404)
    return part
