"""Opens a built site in headless Chromium: nothing is asked of other hosts, pages fit the screen, formulas and search work.

``python -m website.browser site`` prints the counts and exits with status 1 where something is wrong.
"""

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

# One of each kind, the widest among them.
PAGES = (
    "",
    "docs/start/engineer.html",
    "docs/tutorial.html",
    "docs/gallery.html",
    "docs/gallery/label_errors.html",
    "docs/how-it-works.html",
    "docs/weights.html",
    "docs/commands/measure.html",
    "docs/reference/index.html",
    "docs/reference/difficulty.html",
    "docs/reference/schemes.html",
    "benchmarks/LOG.html",
    "benchmarks/weights.html",
    "CHANGELOG.html",
)
_SCREENS = ((1280, "light"), (1280, "dark"), (400, "light"), (400, "dark"))
_WIDER = "document.documentElement.scrollWidth - window.innerWidth"
_FONT = "document.fonts.ready.then(() => document.fonts.check(\"16px 'STIX Two Math'\"))"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


class Visit:
    """A reader of the site, and what the browser said and asked for meanwhile."""

    def __init__(self, browser: Browser, base: str, width: int, scheme: Any) -> None:
        self.base, self.requests = base, 0
        self.faults: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("response", lambda answer: self._fault(answer.status >= 400, f"{answer.url}: {answer.status}"))
        self.page.on("console", lambda message: self._fault(message.type in {"error", "warning"}, message.text))
        self.page.on("pageerror", lambda fault: self._fault(True, str(fault)))

    def open(self, path: str) -> None:
        """Look at one page."""
        self.page.goto(self.base + path)
        # The first page leads to the start of the documentation.
        self.page.wait_for_selector("article")
        wider = self.page.evaluate(_WIDER)
        self._fault(wider > 0, f"{path or 'the first page'} is {wider} pixels wider than the screen")
        if self.page.locator("article math").count():
            self._fault(not self.page.evaluate(_FONT), f"{path}: formulas lack their font")

    def search(self, words: str, expected: str) -> None:
        """Look for words, which must lead to an address."""
        self.page.fill("input[name=q]", words)
        self.page.press("input[name=q]", "Enter")
        found = self.page.locator(f'ul.search a[href*="{expected}"]')
        found.first.wait_for(state="attached", timeout=20_000)

    def _asked(self, url: str) -> None:
        self.requests += 1
        self._fault(not url.startswith((self.base, "data:", "blob:")), f"asks for {url}")

    def _fault(self, is_one: bool, what: str) -> None:
        if is_one:
            self.faults.append(what)


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The site at an address of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def main(site: Path) -> int:
    """Visit, print, and say how it went as an exit status."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "the site is tested in a real browser: apt-get install chromium"
    faults, requests = [], 0
    with served(site) as base, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for width, scheme in _SCREENS:
            visit = Visit(browser, base, width, scheme)
            for path in PAGES:
                visit.open(path)
            if (width, scheme) == _SCREENS[0]:
                visit.open("docs/index.html")
                visit.search("superloss", "reference/schemes.html")
            faults += [f"{width} px, {scheme}: {fault}" for fault in visit.faults]
            requests += visit.requests
        browser.close()
    for fault in faults:
        print(fault, file=sys.stderr)
    print(
        f"{site} in Chromium: {len(PAGES)} pages on {len(_SCREENS)} screens and a search, {requests} requests; "
        f"{len(faults)} faults"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
