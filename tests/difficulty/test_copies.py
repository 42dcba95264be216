from dataclasses import replace

import numpy as np
import pytest
from support.random_results import random_result

import hardsight as hs


def with_sets(codes, **fields):
    d = random_result(len(codes))
    return replace(d, copy_set=np.array(codes), **fields)


def test_contradictory_sets_come_first_then_large_ones():
    labels = np.array([0, 1, 1, 1, 2, 0, 2, 1])
    d = with_sets([0, 1, 2, 1, -1, 0, 2, 1], labels=labels, ids=np.array(list("abcdefgh")))
    table = d.copies()
    assert table.index.tolist() == [2, 1, 0]
    assert table["size"].tolist() == [2, 3, 2]
    assert table["contradictory"].tolist() == [True, False, False]
    assert table["ids"].tolist() == [["c", "g"], ["b", "d", "h"], ["a", "f"]]
    assert table["labels"][2] == ["bee", "cat"]


def test_a_selection_lists_the_sets_that_are_left():
    d = with_sets([0, 1, 2, 1, -1, 0, 2, 1])
    assert d.select([0, 1, 3, 4, 6]).copies()["ids"].tolist() == [[1, 3]]
    assert list(random_result(5).copies()) == list(d.copies())
    assert not len(random_result(5).copies())


def test_sets_are_saved_and_checked(tmp_path):
    d = with_sets([-1, 3, -1, 3])
    d.save(tmp_path / "d.parquet")
    assert hs.Difficulty.load(tmp_path / "d.parquet").copy_set.tolist() == [-1, 3, -1, 3]
    assert d.table["copy_set"].tolist() == [-1, 3, -1, 3]
    assert "copy_set" not in random_result(5).table
    replace(d, copy_set=np.array([-2, 3, -1, 3])).save(tmp_path / "d.parquet")
    with pytest.raises(hs.InputError, match="copy_set"):
        hs.Difficulty.load(tmp_path / "d.parquet")
