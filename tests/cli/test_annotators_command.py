"""`hardsight annotators`: its files and its messages."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from support.command_line import error_line, run
from support.crowds import confused_matrices, simulate

COLUMNS = ("--item", "bottle", "--annotator", "who", "--label", "kind")


@pytest.fixture
def files(tmp_path):
    X, y = load_wine(return_X_y=True)
    rng = np.random.default_rng(0)
    crowd = simulate(rng, confused_matrices(rng, 6, 3, 0.7), len(y), 2)
    label = (crowd.label + y[crowd.item] - crowd.truth[crowd.item]) % 3
    long = pd.DataFrame({"bottle": crowd.item, "who": [f"w{a}" for a in crowd.annotator], "kind": label})
    long.to_csv(tmp_path / "long.csv", index=False)
    long.pivot(index="bottle", columns="who", values="kind").reset_index().to_csv(tmp_path / "wide.csv", index=False)
    pd.DataFrame(X).add_prefix("f").assign(bottle=np.arange(len(y))).to_csv(tmp_path / "features.csv", index=False)
    np.save(tmp_path / "features.npy", X)
    return tmp_path


def read(folder, name):
    return pd.read_csv(folder / f"{name}.csv")


def test_long_and_wide_tables_give_the_same_files(files):
    result = run("annotators", files / "long.csv", *COLUMNS, "--out", files / "long")
    assert result.exit_code == 0, result.output
    assert "356 labels of 178 items by 6 annotators" in result.output
    assert "Label again" in result.output
    assert str(files / "long" / "annotations.csv") in result.output.replace("\n", "")
    run("annotators", files / "wide.csv", "--item", "bottle", "--out", files / "wide")
    names = ["consensus", "p_wrong", "annotations", "agreement"]
    long, wide = read(files / "long", "consensus").set_index("item"), read(files / "wide", "consensus").set_index("item")
    pd.testing.assert_frame_equal(long.sort_index()[names], wide.sort_index()[names], rtol=1e-3)
    annotations = read(files / "long", "annotations")
    assert list(annotations) == ["item", "annotator", "label", "p_wrong", "suggested", "weight"]
    assert len(annotations) == 356
    assert set(read(files / "long", "annotators")["annotator"]) == {f"w{a}" for a in range(6)}


@pytest.mark.slow
@pytest.mark.parametrize("features", ["features.csv", "features.npy"])
def test_with_features_the_result_of_measure_is_written_too(files, features):
    out = files / "out"
    arguments = ("--features", files / features, "--learner", "ridge", "--repeats", "2", "--folds", "3", "--quiet")
    result = run("annotators", files / "long.csv", *COLUMNS, *arguments, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.output)
    assert printed["annotations"] == 356
    assert len(printed["ask_again"]) == 5
    for file in ("difficulty.parquet", "report.html", "review.html", "consensus.csv"):
        assert (out / file).exists()
    truth = load_wine().target
    consensus = read(out, "consensus").set_index("item")["consensus"]
    assert (consensus.sort_index() == truth).mean() > 0.9


def test_what_goes_wrong_is_one_line(files):
    long = files / "long.csv"
    assert "there is no column 'bottl'" in error_line("annotators", long, "--item", "bottl", *COLUMNS[2:])
    assert "label is missing" in error_line("annotators", long, *COLUMNS[:4])
    assert "no file or folder" in error_line("annotators", files / "none.csv", *COLUMNS)
    assert "need --features" in error_line("annotators", long, *COLUMNS, "--learner", "ridge")
    features = ("--features", files / "features.csv")
    assert "there is no column 'key'" in error_line("annotators", long, *COLUMNS, *features, "--id", "key")
    assert "must be a table" in error_line("annotators", files / "features.npy", *COLUMNS)
    assert "item is missing: name the column of the items" in error_line("annotators", long)
    assert not (files / "hardsight-results").exists()
