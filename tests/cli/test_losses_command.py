"""`hardsight losses`: its files and its messages."""

import json

import numpy as np
import pandas as pd
import pytest
from support.command_line import error_line, run

import hardsight as hs


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        (view, f"{i}.jpg", k, rng.gamma(2)) for view in range(4) for i in range(8) for k in range(2) if view % 2 != i % 2
    ]
    frame = pd.DataFrame(rows, columns=["view", "sample", "part", "loss"])
    frame.to_csv(tmp_path / "losses.csv", index=False)
    frame.rename(columns={"sample": "image", "loss": "giou", "view": "model"}).to_csv(tmp_path / "other.csv", index=False)
    return frame


@pytest.mark.slow
def test_the_command_writes_the_result_of_the_function(table, tmp_path):
    result = run("losses", tmp_path / "losses.csv", "--kind", "box", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    d, expected = hs.load(tmp_path / "out"), hs.measure_losses(table, kind="box")
    pd.testing.assert_frame_equal(d.by_sample(), expected.by_sample())
    assert d.settings["part_name"] == "box"
    assert (tmp_path / "out" / "review.html").exists()
    columns = ("--sample", "image", "--loss", "giou", "--view", "model")
    result = run("losses", tmp_path / "other.csv", *columns, "--out", tmp_path / "other", "--json", "--no-csv", "--quiet")
    assert json.loads(result.output)
    np.testing.assert_array_equal(hs.load(tmp_path / "other").error, d.error)


def test_faults_are_one_line(table, tmp_path):
    other = ("losses", tmp_path / "other.csv", "--out", tmp_path / "out")
    assert "'giou'" in error_line(*other, "--loss", "giou", "--view", "giou", "--sample", "image")
    assert "--sample if losses are of parts" in error_line(*other, "--loss", "giou", "--view", "model")
    table.assign(view=0).to_csv(tmp_path / "twice.csv", index=False)
    assert "one loss per sample. Repeated: '1.jpg/0'" in error_line(
        "losses", tmp_path / "twice.csv", "--out", tmp_path / "out"
    )
