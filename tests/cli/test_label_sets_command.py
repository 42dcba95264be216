"""``hardsight measure`` and ``apply`` of tables whose samples have several labels."""

import json

import numpy as np
import pandas as pd
import pytest
from support.command_line import run

import hardsight as hs


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 2)).round(3), columns=["p", "q"])
    frame["cat"], frame["dog"] = (frame["p"] > 0).astype(int), np.where(frame["q"] > 0, "yes", "no")
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path


def test_columns_are_measured_and_written_back(table, tmp_path):
    out = tmp_path / "out"
    result = run(
        "measure", table, "--labels", "cat, dog", "--learner", "logistic", "--folds", 2, "--repeats", 2, "--out", out
    )
    assert result.exit_code == 0, result.output
    assert "80 labels of 40 samples" in result.output
    assert len(hs.Difficulty.load(out)) == 80
    for options, rows in (([], 80), (["--per-sample"], 40)):
        assert run("weigh", out, *options).exit_code == 0
        assert len(pd.read_csv(out / "weights.csv")) == rows
    result = run("apply", out, table, "--labels", "cat,dog", "--suggestions", "-o", tmp_path / "new.csv")
    assert result.exit_code == 0, result.output
    assert list(pd.read_csv(tmp_path / "new.csv").columns) == ["p", "q", "cat", "dog"]


def test_json_counts_samples_and_parts(table, tmp_path):
    quick = ["--learner", "logistic", "--folds", 2, "--repeats", 2, "--json", "--quiet", "--out", tmp_path / "out"]
    several = json.loads(run("measure", table, "--labels", "cat,dog", *quick).output)
    assert (several["samples"], several["parts"]) == (40, {"kind": "label", "number": 80})
    assert {row["label"]: row["parts"] for row in several["ledger"]["classes"]} == {"cat": 40, "dog": 40}
    assert sum(row["parts"] for row in several["ledger"]["causes"]) == 80
    one = json.loads(run("measure", table, "--label", "cat", *quick).output)
    assert (one["samples"], one["parts"]) == (40, None)
    assert sum(row["samples"] for row in one["ledger"]["classes"]) == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labels", "cat,nosuch"], "no column 'nosuch'"),
        (["--labels", "cat,p"], "'p'"),
        (["--label", "dog", "--label-separator", ";"], "leave it out"),
        (["--labels", "cat,dog", "--label", "dog"], "leave out label (--label)"),
        (["--labels", "cat,dog", "--drop", "cat"], "cat"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(table, tmp_path, options, message):
    result = run("measure", table, *options, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
