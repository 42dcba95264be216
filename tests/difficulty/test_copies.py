from dataclasses import replace

import numpy as np
import pandas as pd
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


def test_of_each_set_the_sample_whose_label_is_likeliest_right_stays():
    p_wrong = np.array([0.4, 0.3, 0.1, 0.3, 0.9, 0.2, 0.1, 0.9])
    d = with_sets([0, 1, 2, 1, -1, 0, 2, 1], p_wrong=p_wrong)
    curated = d.apply(drop_copies=True)
    assert curated.keep.tolist() == [False, True, True, False, True, True, False, False]
    np.testing.assert_array_equal(curated.redundant, ~curated.keep)
    assert len(curated.table) == 4
    assert not d.apply().redundant.any()
    assert random_result(5).apply(drop_copies=True).keep.all()


def test_decisions_come_before_copies():
    d = with_sets([0, 0, 0, 1, 1], p_wrong=np.array([0.1, 0.5, 0.2, 0.1, 0.9]))
    decisions = pd.DataFrame({"id": [0, 1, 3], "action": ["drop", "keep", "drop"], "label": ["", "", ""]})
    curated = d.apply(decisions, drop_copies=True)
    assert curated.keep.tolist() == [False, True, False, False, True]
    assert curated.redundant.tolist() == [False, False, True, False, False]


def test_a_suggestion_that_was_taken_is_as_sure_as_its_probability():
    d = with_sets(
        [0, 0],
        labels=np.array([0, 1]),
        p_wrong=np.array([0.1, 0.7]),
        suggested=np.array([0, 2]),
        p_suggested=np.array([0.9, 0.7]),
    )
    decisions = pd.DataFrame({"id": [1], "action": ["relabel"], "label": ["cat"]})
    assert d.apply(decisions, drop_copies=True).keep.tolist() == [True, False]
    other = pd.DataFrame({"id": [1], "action": ["relabel"], "label": ["ant"]})
    assert d.apply(other, drop_copies=True).keep.tolist() == [False, True]


def test_parts_of_a_sample_stay_or_go_together():
    sample, part = np.repeat(["x", "y"], 2), np.array(["cat", "dog"] * 2)
    d = with_sets([0, 1, 0, 1], p_wrong=np.array([0.0, 0.8, 0.5, 0.1]), sample=sample, part=part)
    assert d.apply(drop_copies=True).keep.tolist() == [False, False, True, True]
