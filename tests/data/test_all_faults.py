"""All faults of data in memory are reported at once, each in a line."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hardsight import Samples
from hardsight.errors import MultipleInputError

N = 8
GOOD = pd.DataFrame({"a": np.arange(N) ** 2.0, "b": list("xyzxyzxy")})
FAULTS = {
    "y": (["c"] * N, "all 8 labels 'label' are 'c'"),
    "ids": ([1, 1, *range(2, N)], "ids must be unique"),
    "groups": (["g"] * N, "all samples are in one group"),
    "weights": ([-1.0] * N, "weights must be finite and 0 or more"),
    "task": ("guess", "task must be one of"),
    "embedding": (np.ones((3, 2)), "embedding must have one row per sample"),
}


def faults_of(X, **arguments):
    with pytest.raises(MultipleInputError) as caught:
        Samples.of(X, **arguments)
    return caught.value.messages


@pytest.mark.parametrize("X", [GOOD, GOOD[["a"]].to_numpy(), [f"text {row}" for row in range(N)], torch.rand(N, 3, 4, 4)])
def test_every_argument_has_its_line(X):
    messages = faults_of(X, **{name: value for name, (value, _) in FAULTS.items()})
    assert len(messages) == len(FAULTS)
    for _, message in FAULTS.values():
        assert sum(message in line for line in messages) == 1


@pytest.mark.parametrize("first", FAULTS)
@pytest.mark.parametrize("second", FAULTS)
def test_any_two_faults_are_told_together(first, second):
    if first < second:
        arguments = {"y": list("uvuvuvuv")} | {name: FAULTS[name][0] for name in (first, second)}
        assert len(faults_of(GOOD, **arguments)) == 2


def test_faults_of_columns_stand_beside_those_of_labels():
    frame = GOOD.assign(c=[np.inf, *range(N - 1)], d=[{1: 2}] * N)
    messages = faults_of(frame, y=["c"] * N, weights=["w"] * N)
    assert [line[:12] for line in messages] == ["weights must", "all 8 labels", "column 'c' i", "column 'd' h"]


def test_every_contradicting_index_is_told_once():
    moved = GOOD["b"].iloc[::-1]
    messages = faults_of(GOOD[["a"]], y=moved, groups=moved, ids=[1, 1, *range(2, N)])
    assert [line.split(" have")[0] for line in messages[:2]] == ["X and y", "X and groups"]
    assert len(messages) == 3


def test_names_of_columns_without_columns():
    messages = faults_of(np.ones((N, 2)), y="a", ids="b", text="c")
    assert [line.split("=")[0] for line in messages] == ["text", "y", "ids"]


def test_words_for_embeddings_are_checked_with_the_rest():
    for X, word in (
        ([f"text {row}" for row in range(N)], "tfid"),
        ([Image.new("L", (4, 4), row) for row in range(N)], "pixel"),
    ):
        messages = faults_of(X, y=["c"] * N, embedding=word)
        assert len(messages) == 2
        assert f"Got {word!r}" in messages[1]


def test_a_row_without_a_label_is_no_second_fault():
    y = [None, *list("uvuvuvu")]
    messages = faults_of([f"text {row}" for row in range(N)], y=y, embedding=np.ones((N, 2)), ids=[1] * N, groups=["g"] * N)
    assert [line[:6] for line in messages] == ["ids mu", "all sa"]
