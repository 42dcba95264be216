"""Fixtures of the tests of pages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from support.review_browser import chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all pages."""
    with chromium() as browser:
        yield browser
