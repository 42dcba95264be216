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
        result = run("weigh", out, *options)
        assert result.exit_code == 0, result.output
        assert f"\n{rows} weights, worth" in result.output
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


def test_a_witness_says_which_labels_samples_have(table, tmp_path):
    frame = pd.read_csv(table)
    sets = [[name for name, on in (("cat", 1), ("dog", "yes")) if row[name] == on] for _, row in frame.iterrows()]
    frame.drop(columns=["cat", "dog"]).assign(tags=[";".join(each) for each in sets]).to_csv(
        tmp_path / "tags.csv", index=False
    )
    says = pd.DataFrame({"cat": frame["p"] > 0.1, "dog": frame["q"] > 0.1}).astype(int)
    says.to_csv(tmp_path / "columns.csv", index=False)
    texts = [";".join(name for name in says if row[name]) for _, row in says.iterrows()]
    pd.DataFrame({"tags": texts}).to_csv(tmp_path / "texts.csv", index=False)
    quick = ["--learner", "logistic", "--folds", 2, "--repeats", 2, "--quiet", "--no-refine", "--out", tmp_path / "out"]
    for witness, file, options in (
        ("columns.csv", table, ["--labels", "cat,dog"]),
        ("texts.csv", tmp_path / "tags.csv", ["--label", "tags", "--label-separator", ";"]),
    ):
        result = run("measure", file, *options, "--witness", tmp_path / witness, *quick)
        assert result.exit_code == 0, result.output
        [record] = hs.Difficulty.load(tmp_path / "out").run.witnesses
        assert record["n_answers"] == (80 if witness == "columns.csv" else 2 * sum(map(bool, texts)))


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
