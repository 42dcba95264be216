"""Leaks between splits: rows of both sides, labels that differ, columns by name."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.model_selection import train_test_split

import hardsight as hs
from hardsight.cli import main

RNG = np.random.default_rng(0)


def table(n=60):
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "key": [f"k{i}" for i in range(n)],
            "a": rng.normal(size=n).round(4),
            "b": rng.integers(0, 1000, n),
            "c": rng.choice(["red", "blue"], n),
            "y": np.array(["cat", "dog"])[np.arange(n) % 2],
        }
    )


def split():
    """A training and a test set; three test rows are copies, the second with another label."""
    whole = table()
    train, test = whole[:40], pd.concat([whole[40:], whole.iloc[[3, 8, 30]]], ignore_index=True)
    test["key"] = [f"t{i}" for i in range(len(test))]
    test.loc[21, "y"] = "dog"
    return train, test


PAIRS = [("k8", "t21"), ("k3", "t20"), ("k30", "t22")]


def pairs(leaks):
    return list(zip(leaks["train_id"], leaks["test_id"], strict=True))


def test_frames_samples_and_files_say_the_same(tmp_path):
    train, test = split()
    train.to_csv(tmp_path / "train.csv", index=False)
    test[test.columns[::-1]].to_parquet(tmp_path / "test.parquet")
    options = {"label": "y", "id": "key"}
    samples = [hs.Samples.of(frame, "y", ids="key") for frame in (train, test)]
    for first, second in (
        (train, test),
        (train, test[["y", "c", "b", "a", "key"]]),
        (tmp_path / "train.csv", str(tmp_path / "test.parquet")),
        (samples[0], tmp_path / "test.parquet"),
        samples,
    ):
        leaks = hs.leaks(first, second, **options)
        assert pairs(leaks) == PAIRS
        assert leaks["labels_differ"].tolist() == [True, False, False]
        assert leaks["exact"].all()
        assert leaks["train_label"].tolist() == ["cat", "dog", "cat"]
        assert leaks["test_label"].tolist() == ["dog", "dog", "cat"]


def test_arrays_with_labels_and_without():
    x = RNG.normal(size=(50, 3))
    parts = [np.r_[x[:40], x[:1]], np.r_[x[40:], x[[5, 0]]]]
    leaks = hs.leaks(*parts, np.arange(41) % 3, ["0"] * 12)
    assert pairs(leaks) == [(5, 10), (40, 11), (0, 11)]
    assert leaks["labels_differ"].tolist() == [True, True, False]
    assert list(hs.leaks(*parts)) == ["train_id", "test_id", "exact"]
    assert not len(hs.leaks(*train_test_split(x, np.arange(50) % 2, random_state=0)))


def test_a_test_set_may_lack_labels_or_a_class(tmp_path):
    train, test = split()
    assert pairs(hs.leaks(train, test.drop(columns="y"), label="y", id="key")) == sorted(
        PAIRS, key=lambda pair: int(pair[0][1:])
    )
    test.drop(columns="y").to_csv(tmp_path / "t.csv", index=False)
    leaks = hs.leaks(train, tmp_path / "t.csv", label="y", id="key")
    assert len(leaks) == 3
    assert "test_label" not in leaks
    assert len(hs.leaks(train, test[test["y"] == "dog"].reset_index(drop=True), label="y", id="key")) == 2


@pytest.mark.parametrize("stray", ["train", "test"])
def test_a_stray_text_makes_no_column_of_numbers_another(stray, tmp_path):
    train, test = split()
    frame = train if stray == "train" else test
    frame["b"] = frame["b"].astype(str)
    frame.loc[0, "b"] = "unclear"
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    assert pairs(hs.leaks(tmp_path / "train.csv", tmp_path / "test.csv", label="y", id="key")) == PAIRS


def test_arrays_in_files_have_the_labels_beside_them(tmp_path, monkeypatch):
    x, y = RNG.normal(size=(30, 2)), np.arange(30) % 2
    for name, rows in (("train", np.arange(25)), ("test", np.r_[4, 25:30])):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "x.npy", x[rows])
        np.save(tmp_path / name / "y.npy", y[rows] + (name == "test"))
    leaks = hs.leaks(tmp_path / "train" / "x.npy", tmp_path / "test" / "x.npy", label="y.npy")
    assert pairs(leaks) == [(4, 0)]
    assert leaks["labels_differ"].all()
    # A path of the training labels says nothing of the test set.
    monkeypatch.chdir(tmp_path)
    train = hs.read("train/x.npy", label="train/y.npy")
    assert "test_label" not in hs.leaks(train, "test/x.npy", label="train/y.npy")


def test_columns_are_matched_by_name():
    train, test = split()
    with pytest.raises(hs.InputError, match=r"lacks 'b', 'c', which the training set has: .*--drop"):
        hs.leaks(train, test.drop(columns=["b", "c"]), label="y", id="key")
    assert len(hs.leaks(train, test.drop(columns=["c"]), label="y", id="key", drop=["c"])) == 3
    # A column that is constant in the test set only is compared all the same.
    constant = test.assign(c="red")
    same = [pair for pair in PAIRS if train.set_index("key").loc[pair[0], "c"] == "red"]
    assert pairs(hs.leaks(train, constant, label="y", id="key")) == same
    with pytest.warns(hs.errors.HardsightWarning, match="not compared: 'score'"):
        assert len(hs.leaks(train, test.assign(score=RNG.normal(size=len(test))), label="y", id="key")) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hs.leaks(train, test.assign(fold=1), label="y", id="key", group="fold")


def test_what_cannot_be_compared_is_refused():
    train, test = split()
    with pytest.raises(hs.InputError, match="no option 'lable'"):
        hs.leaks(train, test, lable="y")
    with pytest.raises(hs.InputError, match=r"one label per sample, \(40,\)\. Got \(3,\)"):
        hs.leaks(train, test, [0, 1, 0])
    with pytest.raises(hs.InputError, match="no column 'z'"):
        hs.leaks(train, test, "z")
    with pytest.raises(hs.InputError, match="one kind"):
        hs.leaks(train, ["a text", "another"], label="y")


def test_the_command_lists_them(tmp_path):
    train, test = split()
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    command = ["measure", str(tmp_path / "train.csv"), "--label", "y", "--id", "key", "--learner", "ridge", "--folds", "2"]
    command += ["--repeats", "2", "--out", str(tmp_path / "out"), "--quiet", "--json", "--no-refine"]
    answer = CliRunner().invoke(main, [*command, "--against", str(tmp_path / "test.csv")])
    assert answer.exit_code == 0, answer.output
    summary = json.loads(answer.output.splitlines()[-1])
    (notice,) = (text for text in summary["settings"]["notices"] if "test.csv" in text)
    assert notice.startswith("Of 23 samples of test.csv, 3 are copies of samples here, 3 exactly; 1 with another label")
    assert notice[:60] in (tmp_path / "out" / "report.html").read_text()
    assert pairs(pd.read_csv(summary["files"]["leaks"])) == PAIRS
    # Without a test set, no list of an earlier one stays.
    assert CliRunner().invoke(main, command).exit_code == 0
    assert not (tmp_path / "out" / "leaks.csv").exists()
    test.drop(columns="b").to_csv(tmp_path / "test.csv", index=False)
    answer = CliRunner().invoke(main, [*command, "--against", str(tmp_path / "test.csv")])
    assert answer.exit_code == 1
    assert "the test set lacks 'b'" in answer.output
