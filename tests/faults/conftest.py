"""Fixtures of the tests of faults."""

from pathlib import Path

import pytest
from sklearn.datasets import load_iris


@pytest.fixture(scope="package")
def iris_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A csv file of iris, with the label ``kind``."""
    path = tmp_path_factory.mktemp("data") / "iris.csv"
    load_iris(as_frame=True).frame.rename(columns={"target": "kind"}).to_csv(path, index=False)
    return path
