"""Labels as codes or targets, ids and groups."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from support.errors import rejects

from hardsight import Samples

X = np.arange(12.0).reshape(6, 2)
Y = ["b", "a", "b", "a", "b", "a"]


# Labels


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["b", "ä", "b"], ("b", "ä")),
        (np.array([3, -1, 3]), (-1, 3)),
        ([2.0, 1.0, 2.0], (1, 2)),
        ([True, False, True], (False, True)),
        (np.array([b"x", b"y", b"x"]), ("x", "y")),
        ([1, "a", 1], (1, "a")),
        (pd.Series([1.5, 0.5, 1.5], dtype="category"), (0.5, 1.5)),
        (pd.Series(["u", "v", "u"], dtype="string"), ("u", "v")),
        (pd.Series([7, 8, 7], dtype="Int64"), (7, 8)),
        (torch.tensor([[1], [0], [1]]), (0, 1)),
        (pd.DataFrame({"y": [1, 0, 1]}), (0, 1)),
    ],
)
def test_classes_are_sorted_python_values(y, classes):
    samples = Samples.of(X[:3], y)
    assert samples.classes == classes
    assert [type(c) for c in samples.classes] == [type(c) for c in classes]
    assert json.loads(json.dumps(samples.classes)) == list(classes)


def test_numbers_with_a_fraction_are_targets():
    samples = Samples.of(X, [0.5, 1, 2, 3, 4, 5])
    assert samples.regression
    assert samples.labels.dtype == np.float64
    doubtful = Samples.of(X, [0.5, 1, 0.5, 1, 1, 1])
    assert doubtful.regression
    assert "task='classification'" in " ".join(doubtful.notices)
    assert Samples.of(X, [0.5, 1, 0.5, 1, 1, 1], task="classification").classes == (0.5, 1.0)
    assert Samples.of(X, ["1", "2.5", "3", "4", "5", "6"], task="regression").labels.tolist() == [1, 2.5, 3, 4, 5, 6]


def test_whole_numbers_are_classes_unless_there_are_too_many():
    rng = np.random.default_rng(0)
    amounts = Samples.of(rng.normal(size=(400, 2)), rng.integers(20, 350, 400))
    assert amounts.regression
    assert "taken as numbers to predict (regression). To change that, pass task='classification'" in amounts.notices[0]
    assert not Samples.of(rng.normal(size=(400, 2)), np.repeat(np.arange(40), 10)).regression
    sparse_codes = Samples.of(rng.normal(size=(9000, 1)), np.tile(np.arange(1000, 1060, 2), 300))
    assert len(sparse_codes.classes) == 30
    assert "pass task='regression'" in sparse_codes.notices[0]
    assert Samples.of(X, [1, 2, 3, 4, 5, 6]).classes == (1, 2, 3, 4, 5, 6)
    assert Samples.of(X, [1, 2, 3, 4, 5, 6], task="regression").regression


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (["a", None, "b", np.nan, "", "a"], "auto", r"missing in 3 of 6 samples \(rows 1, 3, 4\): label them or leave"),
        ([1.0, np.nan, 2, 1, 2, 1], "auto", r"missing in 1 of 6 samples \(row 1\)"),
        (["a"] * 6, "auto", "all 6 labels 'label' are 'a': at least two classes"),
        ([1.5] * 6, "regression", "all 6 labels 'label' are 1.5: there is nothing to predict"),
        ([1, 2, np.inf, 1, 2, 2], "auto", r"infinite in 1 of 6 samples \(row 2\)"),
        ([1.5, 2, 1e155, 4, 5, -1e39], "auto", r"finite in float32, .* Got 1e\+155 \(rows 2, 5\): fix it, or pass all"),
        (["1", "2", "1e155", "4", "5", "6"], "regression", r"finite in float32, .* Got 1e\+155 \(row 2\): fix it"),
        (["a", "b"], "auto", "6 samples, 2 labels"),
        (np.arange(12).reshape(6, 2), "auto", r"one value per sample, shape \(sample,\). Got shape \(6, 2\)"),
        (np.eye(6), "auto", r"Got one-hot rows of 6: pass y.argmax\(1\)"),
        (torch.eye(6), "auto", r"Got one-hot rows of 6: pass y.argmax\(1\)"),
        (pd.get_dummies(pd.Series(Y)), "auto", r"Got a frame of 2 \('a', 'b'\): make its one-hot rows one column, .idxmax"),
        (pd.DataFrame(np.ones((6, 4))), "auto", "no label of 'labels' tells samples apart"),
        (pd.period_range("2020", periods=6), "auto", r"holds dates or times: turn them into text \(y.astype\(str\)\)"),
        (
            np.array([b"\xe4", b"\xf6"] * 3),
            "auto",
            r"bytes that are not UTF-8. Got b'\\xe4' \(rows 0, 1, 2, …\): decode them",
        ),
        ([[1, 2]] * 6, "auto", r"Got shape \(6, 2\)"),
        (["1", "2", "x", "4", "5", "6"], "regression", r"must be numbers for regression. Got 'x' \(row 2\)"),
        (pd.date_range("2020", periods=6), "auto", "holds dates or times"),
        ([1j] * 6, "auto", "type complex"),
        (np.array([1j, 2] * 3), "auto", "complex numbers"),
        ([("a",)] * 6, "auto", "type tuple"),
        (Y, "guess", "task must be one of auto, classification, regression. Got 'guess'"),
        (None, "auto", "y is missing: pass one label per sample"),
        ("label", "auto", r"y='label' names a column, but X \(ndarray\) has none"),
        ({0, 1}, "auto", "must be a sequence with one value per sample. Got set"),
        (7, "auto", "must be a sequence with one value per sample. Got int 7"),
    ],
)
def test_labels_that_cannot_be_used(y, task, message):
    rejects(message, Samples.of, X, y, task=task, unlabelled="refuse")


def test_missing_labels_name_the_ids():
    rejects(
        r"\(rows 0, 1, 2, …; ids 'f', 'e', 'd', …\)",
        Samples.of,
        X,
        [None] * 4 + ["a", "b"],
        ids=list("fedcba"),
        unlabelled="refuse",
    )


# Ids and groups


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([5, 3, 1, 0, 2, 4], [5, 3, 1, 0, 2, 4]),
        (list("äbcdef"), list("äbcdef")),
        (np.arange(6.0), [0, 1, 2, 3, 4, 5]),
        ([1, "1a", 2, 3, 4, 5], ["1", "1a", "2", "3", "4", "5"]),
        (np.array([b"a", b"b", b"c", b"d", b"e", b"f"]), list("abcdef")),
        (torch.arange(6), [0, 1, 2, 3, 4, 5]),
        (np.arange(6, dtype=np.uint64) + 2**63, [str(2**63 + at) for at in range(6)]),
    ],
)
def test_ids(ids, expected):
    samples = Samples.of(X, Y, ids=ids)
    assert samples.ids.tolist() == expected
    assert samples.ids.dtype == np.int64 or samples.ids.dtype.kind == "U"


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 2, 3, 2, 3, 4], "ids must be unique, but 2 appears in rows 1 and 3 .2 ids"),
        ([1, None, 3, 2, 5, 4], r"ids are missing in 1 of 6 samples \(row 1\)"),
        ([1, np.nan, 3, 2, 5, 4], r"ids are missing in 1 of 6 samples \(row 1\)"),
        (["a", "", "c", "d", "e", "f"], r"ids are missing in 1 of 6 samples \(row 1\)"),
        ([1, 2, 3], "6 samples, 3 ids"),
        ([0.5, 1, 2, 3, 4, 5], r"integers or text. Got 0.5 \(row 0\)"),
        (["a", 0.5, 2, 3, 4, 5], "integers or text. Got float 0.5 in row 1"),
        ([True, False] * 3, "Got True and False"),
    ],
)
def test_ids_that_cannot_be_used(ids, message):
    rejects(message, Samples.of, X, Y, ids=ids)


def test_groups():
    assert Samples.of(X, Y, groups=[("u", 1), ("u", 2)] * 3).groups.tolist() == [0, 1] * 3
    assert Samples.of(X, Y, groups=["b", 1, "a", "b", 1, "a"]).groups.tolist() == [2, 0, 1, 2, 0, 1]
    assert Samples.of(X, Y, groups=np.array([9.5, 2, 2, 2, 2, 9.5])).groups.tolist() == [1, 0, 0, 0, 0, 1]
    rejects(
        r"groups are missing in 2 of 6 samples \(rows 1, 4\)", Samples.of, X, Y, groups=["b", None, "a", "b", np.nan, "a"]
    )
    rejects("6 samples, 2 groups", Samples.of, X, Y, groups=["b", "a"])
    rejects("must be numbers, text or tuples of these. Got dict", Samples.of, X, Y, groups=[{}] * 6)
    rejects("all samples are in one group", Samples.of, X, Y, groups=[1] * 6)


def test_weights():
    for given in ([1, 0, 3, 2, 0, 6], np.array([1, 0, 3, 2, 0, 6.0]), pd.Series([1, 0, 3, 2, 0, 6]), [0.5, 0, 1.5, 1, 0, 3]):
        samples = Samples.of(X, Y, weights=given)
        np.testing.assert_allclose(samples.weights, [0.5, 0, 1.5, 1, 0, 3])
        np.testing.assert_allclose(samples.take(np.array([5, 0])).weights, [3, 0.5])
    assert Samples.of(X, Y).weights is None
    np.testing.assert_allclose(Samples.of(X, Y, weights=[1.7e308] * 6).weights, 1)
    frame = pd.DataFrame({"a": X[:, 0], "w": [1.0, 0, 3, 2, 0, 6]})
    samples = Samples.of(frame, Y, weights="w")
    np.testing.assert_allclose(samples.weights, [0.5, 0, 1.5, 1, 0, 3])
    assert list(samples.features) == ["a"]
    rejects("there is no column 'v' to use as weights", Samples.of, frame, Y, weights="v")
    rejects("column 'w' cannot be both groups and weights", Samples.of, frame, Y, weights="w", groups="w")
    rejects("weights='w' names a column, but X .* has none", Samples.of, X, Y, weights="w")
    rejects(r"weights are missing in 1 of 6 samples \(row 2\)", Samples.of, X, Y, weights=[1, 1, np.nan, 1, 1, 1])
    rejects(r"weights must be finite and 0 or more. Got -1 \(row 3\): fix", Samples.of, X, Y, weights=[1, 1, 1, -1, 1, 1])
    rejects(r"finite and 0 or more. Got inf \(row 0\)", Samples.of, X, Y, weights=[np.inf, 1, 1, 1, 1, 1])
    rejects("weights are all 0", Samples.of, X, Y, weights=[0] * 6)
    rejects("6 samples, 2 weights", Samples.of, X, Y, weights=[1, 2])
    rejects("weights must be numbers, 0 or more. Got str 'a' in row 0", Samples.of, X, Y, weights=list("abcdef"))
    rejects("weights must be numbers, 0 or more. Got bool True", Samples.of, X, Y, weights=[True] * 6)
    rejects(r"shape \(sample,\)", Samples.of, X, Y, weights=np.ones((6, 2)))


def test_only_whole_numbers_in_an_array_may_be_ids():
    ids = np.arange(12).reshape(6, 2)
    for X in (ids, ids.astype(np.uint8), ids.tolist()):
        assert Samples.of(X, Y).integers
        assert Samples.of(X, Y).features.dtype.kind == "f"
    for X in (ids + 0.5, ids > 3, pd.DataFrame(ids), np.zeros((6, 8, 8), np.uint8)):
        assert not Samples.of(X, Y).integers
