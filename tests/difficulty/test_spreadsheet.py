"""The ranked list for spreadsheets: read back by pandas, ranked as sorted by hand, and safe whatever ids and labels are."""

import csv
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
from support.errors import rejects
from support.example_results import by_hand, regression_with_an_outlier
from support.random_results import random_result

from hardsight.difficulty import spreadsheet
from hardsight.io.csv_cells import parse_csv


def written(d, tmp_path):
    path = tmp_path / "difficulty.csv"
    d.to_csv(path)
    return path


def test_ranked_by_p_wrong_then_error(tmp_path):
    d = by_hand(copies=2)
    table = pd.read_csv(written(d, tmp_path), index_col="id")
    assert list(table) == ["label", "suggested", "p_wrong", "cause", "todo", "error", "error_se", "predicted", "reason"]
    assert table.index.tolist() == [0, 6, 3, 9, 1, 7, 2, 8, 4, 10, 5, 11]
    equal = replace(d, p_wrong=np.full(12, 0.5))
    assert pd.read_csv(written(equal, tmp_path))["id"].tolist() == equal.hardest(12).index.tolist()
    assert table["reason"].tolist() == d.reasons(table.index).str.replace("\u00a0", " ").tolist()
    del table["reason"]
    pd.testing.assert_frame_equal(table, d.table.loc[table.index, list(table)], check_dtype=False, rtol=1e-5)


def test_regression_and_losses_have_what_they_know(tmp_path):
    d = regression_with_an_outlier()
    table = pd.read_csv(written(d, tmp_path))
    assert list(table) == ["id", "label", "suggested", "error", "error_se", "predicted", "p_outlier", "reason"]
    assert table["id"][0] == 5
    assert table["p_outlier"].is_monotonic_decreasing
    losses = replace(by_hand(), run=replace(by_hand().run, task="loss"))
    assert list(pd.read_csv(written(losses, tmp_path)))[:3] == ["id", "error", "error_se"]


def test_targets_keep_all_their_digits(tmp_path):
    d = regression_with_an_outlier()
    large = replace(d, labels=d.labels.round(2) + 14_272_320, suggested=d.suggested.round(2) + 1_427_232)
    table = pd.read_csv(written(large, tmp_path), index_col="id").loc[large.ids]
    np.testing.assert_allclose(table["label"], large.labels, rtol=0, atol=1e-7)
    np.testing.assert_allclose(table["suggested"], large.suggested, rtol=0, atol=1e-7)


def test_unknown_numbers_are_empty_cells(tmp_path):
    d = replace(by_hand(), error_se=np.full(6, np.nan))
    assert pd.read_csv(written(d, tmp_path))["error_se"].isna().all()
    assert "nan" not in written(d, tmp_path).read_text()


HOSTILE = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "a;=1", "＝1", 'say "hi", you', "line\nbreak", "'=x"]


def test_no_cell_is_a_formula_and_every_text_comes_back(tmp_path):
    """As everywhere: an apostrophe in front, which our own reader takes off."""
    ids = np.array([*HOSTILE, "plain", "größe"])
    d = replace(by_hand(copies=2, classes=("=cmd|' /C calc'!A0", "@dog")), ids=ids)
    path = written(d, tmp_path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "@", "\t", "\r", "＝"))
        assert not cell.startswith("-") or cell[1:].replace(".", "", 1).isdigit()
    read = parse_csv(path.read_text(encoding="utf-8-sig"), "x", ["id", "label"], 2, "fix")
    order = d.ranking_by_doubt
    assert [cells[0] for cells in read] == ids[order].tolist()
    assert [cells[1] for cells in read] == d.label_names(d.labels)[order].tolist()


def test_other_letters_are_marked_for_spreadsheets(tmp_path):
    assert not written(by_hand(), tmp_path).read_bytes().startswith(b"\xef\xbb\xbf")
    for d in (by_hand(classes=("größe", "dog")), replace(by_hand(), ids=np.array([f"ü{i}" for i in range(6)]))):
        assert written(d, tmp_path).read_bytes().startswith(b"\xef\xbb\xbf")
        assert pd.read_csv(written(d, tmp_path)).columns[0] == "id"


def test_blocks_join_to_the_same_file(tmp_path, monkeypatch):
    d = random_result(200, factors=True)
    whole = written(d, tmp_path).read_bytes()
    for block in (1, 7, 200):
        monkeypatch.setattr(spreadsheet, "_BLOCK", block)
        assert written(d, tmp_path).read_bytes() == whole


def test_no_samples_leave_the_header(tmp_path):
    d = by_hand().select(np.zeros(6, dtype=bool))
    assert written(d, tmp_path).read_text().splitlines() == [
        "id,label,suggested,p_wrong,cause,todo,error,error_se,predicted,reason"
    ]


def test_paths_that_cannot_be(tmp_path):
    d = by_hand()
    rejects("path must end in .csv", lambda: d.to_csv(tmp_path / "d.xlsx"))
    rejects("path must be a str", lambda: d.to_csv(None))
    rejects("cannot write", lambda: d.to_csv(tmp_path / "none" / "d.csv"))


def test_memory_is_that_of_a_block(tmp_path, monkeypatch):
    d = random_result(5000, factors=True)

    def peak(block):
        monkeypatch.setattr(spreadsheet, "_BLOCK", block)
        tracemalloc.start()
        d.to_csv(tmp_path / "d.csv")
        bytes_used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return bytes_used

    assert peak(100) < peak(5000) / 2
