"""Fixtures of all tests."""

import gc
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from support import example_schemes as schemes
from support.review_browser import chromium


# Not for the session: Playwright keeps an event loop running, which other code in this process must not meet.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all pages of a module."""
    with chromium() as browser:
        yield browser


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
