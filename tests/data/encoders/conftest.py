"""Fixtures of encoders."""

import pytest


@pytest.fixture
def cache(tmp_path_factory, monkeypatch):
    """A folder of one test for the vectors that encoders keep."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("HARDSIGHT_CACHE", str(folder))
    return folder
