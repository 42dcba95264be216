from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import hardsight as hs
from hardsight.copies.across import find_copies_across


def pairs(first, second):
    found = find_copies_across(first, second)
    return list(zip(found.first.tolist(), found.second.tolist(), found.exact.tolist(), strict=True))


def test_every_pair_of_equal_rows_is_found():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    first = hs.Samples.of(np.r_[x[:30], x[:1]], np.arange(31) % 2)
    second = hs.Samples.of(np.r_[x[30:], x[[5, 0, 0]]], np.arange(13) % 2)
    assert pairs(first, second) == [(0, 11, True), (0, 12, True), (5, 10, True), (30, 11, True), (30, 12, True)]


def test_categories_of_the_two_tables_are_matched_by_name():
    def table(colours, sizes):
        frame = pd.DataFrame({"colour": colours + ["red"] * 10, "size": sizes + np.arange(100, 110).tolist()})
        return hs.Samples.of(frame.assign(y=["p", "q"] * 7), "y")

    first = table(["red", "blue", "red", "green"], [1, 2, 3, 4])
    second = table(["yellow", "green", "red", "red"], [9, 4, 1.5, 3])
    second = replace(
        second, features=second.features.assign(size=second.features["size"] + 50 * (second.features["size"] > 99))
    )
    assert pairs(first, second) == [(2, 3, True), (3, 1, True)]


def test_texts_and_images():
    words = ["a cold day", "a hot day", "rain again", "sun again"]
    first, second = hs.Samples.of(words, [0, 1, 0, 1]), hs.Samples.of(["snow here", *words[2:], "fog here"], [0, 1, 0, 1])
    assert pairs(first, second) == [(2, 1, True), (3, 2, True)]
    images = np.random.default_rng(0).integers(0, 256, (8, 5, 5), dtype=np.uint8)
    assert pairs(hs.Samples.of(images[:5], [0, 1, 0, 1, 0]), hs.Samples.of(images[4:], [0, 1, 0, 1])) == [(4, 0, True)]


def test_other_features_are_refused():
    y = [0, 1, 0, 1]
    arrays = hs.Samples.of(np.eye(4), y)
    with pytest.raises(hs.InputError, match=r"one shape\. Got \(4,\) and \(3,\)"):
        find_copies_across(arrays, hs.Samples.of(np.eye(4)[:, :3], y))
    with pytest.raises(hs.InputError, match=r"one kind\. Got array and text"):
        find_copies_across(arrays, hs.Samples.of(["a b", "b c", "c d", "d a"], y))
    a, b = (hs.Samples.of(pd.DataFrame({"u": [1.5, 2, 3, 4], name: [2.5, 7, 1, 8], "y": y}), "y") for name in "vw")
    with pytest.raises(hs.InputError, match="They differ in 'v', 'w'"):
        find_copies_across(a, b)
