"""Fixtures of all tests."""

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from support import example_schemes as schemes

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from support.review_browser import Reader


# Not for the session: Playwright keeps an event loop running, which other code in this process must not meet.
@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """One Chromium for all pages of a module."""
    # The core tests (`make test-python`, `make test-oldest`) run without Playwright.
    from support.review_browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def reader(browser: "Browser") -> "Iterator[Reader]":
    """A person at a page in which nothing may go wrong."""
    from support.review_browser import Reader

    reader = Reader(browser)
    yield reader
    assert reader.faults == []
    reader.close()


@pytest.fixture(scope="module")
def example_schemes() -> Iterator[None]:
    """The schemes of ``support.example_schemes`` are in the catalogue."""
    schemes.register()
    yield
    schemes.unregister()


@pytest.fixture(scope="module")
def frozen_objects() -> Iterator[None]:
    """Every training of a Trainer starts with a garbage collection, which skips all objects that exist by now."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
