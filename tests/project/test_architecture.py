"""docs/architecture.md and its picture agree with the code."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from sklearn.datasets import load_iris

from hardsight.cli import main

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import architecture  # noqa: E402 - from the folder of scripts


def test_the_page_and_the_picture_are_up_to_date():
    for path, text in architecture.files().items():
        assert path.read_text(encoding="utf-8") == text, "run: python scripts/architecture.py"


@pytest.mark.slow
def test_one_run_takes_the_steps_in_order(tmp_path):
    """A real run calls the function of each step, first calls in the order of the page."""
    iris = load_iris(as_frame=True).frame
    iris.to_csv(tmp_path / "iris.csv", index=False)
    expected = {path: None for _, path in architecture.STEPS}
    order = []

    def trace(frame, event, _):
        if event == "call":
            path = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"
            if path in expected and path not in order:
                order.append(path)

    sys.setprofile(trace)
    try:
        command = ["measure", str(tmp_path / "iris.csv"), "--label", "target", "--out", str(tmp_path / "out"), "--quiet"]
        result = CliRunner().invoke(main, command, catch_exceptions=False)
    finally:
        sys.setprofile(None)
    assert result.exit_code == 0
    assert order == [path for _, path in architecture.STEPS]
