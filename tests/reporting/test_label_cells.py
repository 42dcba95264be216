"""Tables of samples with several labels are written back in the shape that came."""

import numpy as np
import pandas as pd
import pytest

import hardsight as hs
from hardsight.data.read_options import ReadOptions
from hardsight.reporting.review.apply import apply_to_table

IDS = [f"k{i}" for i in range(40)]


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(40, 2)).round(3), columns=["p", "q"])
    Y = np.column_stack([X["p"] > 0, X["q"] > 0]).astype(int)
    d = hs.measure(X, pd.DataFrame(Y, columns=["cat", "dog"]), ids=IDS, learner="logistic", folds=2, repeats=2, refine=False)
    return X.assign(key=IDS), Y, d


def decide(Y, *entries):
    """Return decisions that turn entries over, and drop those whose action is drop."""
    rows = [(f"k{row}/{name}", action, ("yes", "no")[Y[row, int(name == "dog")]] if action == "relabel" else "")
            for row, name, action in entries]  # fmt: skip
    return pd.DataFrame(rows, columns=["id", "action", "label"])


def test_separated_texts_lose_and_gain_labels(labelled, tmp_path):
    frame, Y, d = labelled
    cells = [", ".join(np.array(["dog", "cat"])[row[::-1] == 1]) for row in Y]
    frame.assign(tags=cells).to_csv(tmp_path / "in.csv", index=False)
    options = ReadOptions(label_separator=",")
    counts = apply_to_table(
        tmp_path / "in.csv", tmp_path / "out.csv", d, decide(Y, (0, "cat", "relabel"), (3, "dog", "relabel")),
        label="tags", id="key", options=options,
    )  # fmt: skip
    after = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)["tags"].tolist()
    assert counts.relabelled == 2
    assert [row for row in range(40) if after[row] != cells[row]] == [0, 3]
    for row, name, column in ((0, "cat", 0), (3, "dog", 1)):
        assert (name in after[row]) == (Y[row, column] == 0)


def test_merged_spellings_are_the_measured_label(labelled, tmp_path):
    frame, Y, d = labelled
    cells = [",".join(np.array(["CAT " if row % 3 == 0 else "cat", "dog"])[Y[row] == 1]) for row in range(40)]
    frame.assign(tags=cells).to_csv(tmp_path / "in.csv", index=False)
    rows = np.flatnonzero((Y[:, 0] == 1) & (np.arange(40) % 3 == 0))
    apply_to_table(
        tmp_path / "in.csv", tmp_path / "out.csv", d, decide(Y, (rows[0], "cat", "relabel"), (rows[1], "dog", "relabel")),
        label="tags", id="key", options=ReadOptions(label_separator=","),
    )  # fmt: skip
    after = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)["tags"].tolist()
    assert "cat" not in after[rows[0]].lower()
    assert after[rows[1]] == ("CAT" if Y[rows[1], 1] else "CAT,dog")
    assert [row for row in range(40) if after[row] != cells[row]] == rows[:2].tolist()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_keep_their_spelling_and_dropped_entries_become_missing(labelled, tmp_path, suffix):
    frame, Y, d = labelled
    table = frame.assign(cat=Y[:, 0].astype(float), dog=np.where(Y[:, 1] == 1, "Yes", "No"))
    source, target = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    table.to_csv(source, index=False) if suffix == "csv" else table.to_parquet(source)
    decisions = decide(Y, (1, "dog", "relabel"), (2, "cat", "drop"), (5, "cat", "drop"), (5, "dog", "drop"))
    counts = apply_to_table(source, target, d, decisions, id="key", options=ReadOptions(labels=("cat", "dog")))
    after = pd.read_csv(target) if suffix == "csv" else pd.read_parquet(target)
    assert counts.rows == len(after) == 39
    assert "k5" not in set(after["key"])
    assert after["dog"][1] == ("No" if Y[1, 1] else "Yes")
    assert np.isnan(after["cat"][2])
    assert after["cat"].drop(2).tolist() == table["cat"].drop([2, 5]).tolist()


def test_lists_in_parquet_stay_lists(labelled, tmp_path):
    frame, Y, d = labelled
    table = frame.assign(tags=[[name for name, flag in zip(("cat", "dog"), row, strict=True) if flag] for row in Y])
    table.to_parquet(tmp_path / "in.parquet")
    decisions = decide(Y, (0, "cat", "relabel"))
    apply_to_table(tmp_path / "in.parquet", tmp_path / "out.parquet", d, decisions, label="tags", id="key")
    after = pd.read_parquet(tmp_path / "out.parquet")["tags"]
    assert ("cat" in after[0]) == (Y[0, 0] == 0)
    assert all(list(after[row]) == table["tags"][row] for row in range(1, 40))


@pytest.mark.parametrize(
    ("change", "options", "label", "message"),
    [
        ({"cat": 1}, ReadOptions(labels=("cat", "dog")), None, "other labels in 'cat'"),
        ({}, ReadOptions(labels=("dog",)), None, "labels that were measured are not named, 'cat': name all columns"),
        ({"key": [f"x{i}" for i in range(40)]}, ReadOptions(labels=("cat", "dog")), None, "has no row"),
        ({}, ReadOptions(), None, "several labels per sample"),
        ({}, ReadOptions(labels=("cat",)), "dog", "several labels per sample"),
        ({"tags": "cat,dog"}, ReadOptions(label_separator=","), "tags", "other labels in 'tags'"),
    ],
)
def test_other_tables_are_refused(labelled, tmp_path, change, options, label, message):
    frame, Y, d = labelled
    frame.assign(**({"cat": Y[:, 0], "dog": Y[:, 1]} | change)).to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(hs.InputError, match=message):
        apply_to_table(tmp_path / "in.csv", tmp_path / "out.csv", d, None, label=label, id="key", options=options)


def test_a_single_label_of_a_text_cannot_be_dropped(labelled, tmp_path):
    frame, Y, d = labelled
    cells = [",".join(np.array(["cat", "dog"])[row == 1]) for row in Y]
    frame.assign(tags=cells).to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(hs.InputError, match="cannot be dropped"):
        apply_to_table(
            tmp_path / "in.csv", tmp_path / "out.csv", d, decide(Y, (0, "cat", "drop")),
            label="tags", id="key", options=ReadOptions(label_separator=","),
        )  # fmt: skip


def test_rows_of_zeros_and_ones_are_written_back(labelled, tmp_path):
    frame, Y, _ = labelled
    table = frame.assign(tags=Y.tolist())
    table.to_parquet(tmp_path / "in.parquet")
    options = {"learner": "logistic", "folds": 2, "repeats": 2, "refine": False}
    d = hs.measure(hs.read(tmp_path / "in.parquet", label="tags", id="key"), **options)
    decisions = pd.DataFrame({"id": ["k0/0", "k3/1"], "action": "relabel"})
    decisions["label"] = ["yes" if value == 0 else "no" for value in (Y[0, 0], Y[3, 1])]
    apply_to_table(tmp_path / "in.parquet", tmp_path / "out.parquet", d, decisions, label="tags", id="key")
    after = np.stack(pd.read_parquet(tmp_path / "out.parquet")["tags"].to_list())
    assert np.argwhere(after != Y).tolist() == [[0, 0], [3, 1]]
    table.assign(tags=(1 - Y).tolist()).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(hs.InputError, match=r"row 'k0' has other labels in 'tags'"):
        apply_to_table(tmp_path / "other.parquet", tmp_path / "out.parquet", d, decisions, label="tags", id="key")
