"""The review page in a real browser, for the tests of the page and of its server."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright


def find_chromium() -> str:
    """The path of the system's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "pages are tested in a real browser: apt-get install chromium"
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium without a window."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


class Reader:
    """A person at the page: opens it, presses keys, and reads what stands there."""

    def __init__(self, browser: Browser, **settings: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **settings)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path: Path | str) -> "Reader":
        self.page.goto(path.as_uri() if isinstance(path, Path) else path)
        self.page.wait_for_selector("html[data-complete]", state="attached")
        return self

    def press(self, *keys: str) -> "Reader":
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    @property
    def chosen(self) -> str:
        """Id of the chosen sample, as the list has it."""
        return self.page.locator('#list [aria-selected="true"] .id').inner_text()

    @property
    def shown(self) -> int:
        return int(self.text("#count").split(" of ")[0].replace(",", ""))

    def exported(self) -> bytes:
        with self.page.expect_download() as loading:
            self.page.click("#export")
        return Path(loading.value.path()).read_bytes()

    def close(self) -> None:
        self.context.close()
