"""``hardsight measure`` and ``apply`` of tables whose samples have several labels."""

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
    result = run("apply", out, table, "--labels", "cat,dog", "--suggestions", "-o", tmp_path / "new.csv")
    assert result.exit_code == 0, result.output
    assert list(pd.read_csv(tmp_path / "new.csv").columns) == ["p", "q", "cat", "dog"]


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
