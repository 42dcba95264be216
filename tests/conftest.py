"""Fixtures of all tests."""

from collections.abc import Iterator

import pytest
from support import example_schemes as schemes


@pytest.fixture(scope="module")
def example_schemes() -> Iterator[None]:
    """The schemes of ``support.example_schemes`` are in the catalogue."""
    schemes.register()
    yield
    schemes.unregister()
