"""Samples with several labels: matrices, lists and delimited texts become parts; faults are named in one line."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import hardsight as hs
from hardsight.data import Samples
from hardsight.errors import InputError

X = np.arange(10.0).reshape(5, 2)
Y = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0], [0, 0, 0]])


def as_matrix(samples):
    """Return the labels as ``(sample, label)``, NaN where there is no part."""
    frame = pd.DataFrame({"sample": samples.parts.sample, "name": samples.parts.name, "label": samples.labels})
    return frame.pivot(index="sample", columns="name", values="label")


@pytest.mark.parametrize(
    "y",
    [Y, Y.astype(bool), Y.tolist(), Y.astype(float), sparse.csr_array(Y), pd.DataFrame(Y, columns=[0, 1, 2])],
    ids=["integers", "booleans", "lists", "floats", "sparse", "frame"],
)
def test_a_matrix_becomes_one_part_per_sample_and_label(y):
    samples = Samples.of(X, y)
    assert len(samples) == 15
    assert (as_matrix(samples).to_numpy() == Y).all()
    assert samples.classes == ("no", "yes")
    assert samples.ids[:4].tolist() == ["0/0", "0/1", "0/2", "1/0"]


def test_features_are_stored_once_and_groups_are_samples():
    samples = Samples.of(X, Y)
    assert samples.whole.features is X or (samples.whole.features == X).all()
    assert samples.features.tolist() == np.repeat(np.arange(5), 3).tolist()
    assert (samples.groups == samples.features).all()


def test_lists_sets_and_separated_texts_are_the_same_labels():
    lists = [["a", "c"], ["c"], ["a", "b"], ["b"], []]
    texts = pd.Series(["a; c", "c", "b;a", "b;", None])
    for labels, options in ((lists, {}), ([set(each) for each in lists], {}), (texts, {"label_separator": ";"})):
        matrix = as_matrix(Samples.of(X, labels, **options))
        assert matrix.columns.tolist() == ["a", "b", "c"]
        assert (matrix.to_numpy() == Y).all()


def test_a_column_of_a_frame_holds_lists_or_texts():
    frame = pd.DataFrame(X, columns=["p", "q"]).assign(tags=[["a", "c"], ["c"], ["a", "b"], ["b"], []])
    samples = Samples.of(frame, "tags")
    assert samples.label_name == "tags"
    assert list(samples.whole.features) == ["p", "q"]
    assert (as_matrix(samples).to_numpy() == Y).all()


def test_columns_of_zeros_and_ones_are_named():
    frame = pd.DataFrame(X, columns=["p", "q"]).assign(a=Y[:, 0], b=["no", "no", "yes", "yes", "no"])
    samples = Samples.of(frame, labels=["a", "b"])
    assert (as_matrix(samples).to_numpy() == Y[:, :2]).all()
    assert list(samples.whole.features) == ["p", "q"]


def test_labels_that_were_not_asked_for_have_no_part():
    y = Y.astype(float)
    y[1, 0], y[4] = np.nan, np.nan
    samples = Samples.of(X, y)
    assert len(samples) == 11
    assert set(samples.parts.sample.tolist()) == {0, 1, 2, 3}
    assert "1/0" not in samples.ids
    [notice] = samples.notices
    assert notice.startswith("1 sample has no label 'labels': left out. To have the models predict them")


def test_columns_of_labels_are_no_features():
    frame = pd.DataFrame(X, columns=["p", "q"]).assign(a=Y[:, 0], b=Y[:, 1])
    samples = Samples.of(frame, frame[["a", "b"]])
    assert list(samples.whole.features) == ["p", "q"]
    assert "'a', 'b'" in samples.notices[0]


def test_a_frame_of_labels_is_matched_as_other_labels_are():
    y = pd.DataFrame(Y, columns=list("abc"), index=[4, 3, 2, 1, 0])
    with pytest.raises(InputError, match="index"):
        Samples.of(pd.DataFrame(X), y)


def test_constant_labels_are_left_out():
    y = np.column_stack([Y, np.ones(5, int), np.zeros(5, int)])
    samples = Samples.of(X, y)
    assert samples.parts.names.tolist() == [0, 1, 2]
    assert samples.notices == ("Labels that all samples have, or none, are left out: 3, 4.",)


def test_a_column_may_hold_rows_of_zeros_and_ones():
    expected = Samples.of(X, Y)
    for column in (Y.tolist(), list(Y), [[float(value) for value in row] for row in Y]):
        samples = Samples.of(X, pd.Series(column))
        assert samples.parts.names.tolist() == [0, 1, 2]
        np.testing.assert_array_equal(samples.labels, expected.labels)
    frame = pd.DataFrame(X, columns=["p", "q"]).assign(tags=Y.tolist())
    np.testing.assert_array_equal(Samples.of(frame, "tags").labels, expected.labels)
    with_gap = pd.Series([None, *Y[1:].tolist()])
    assert len(Samples.of(X, with_gap)) == 12


def test_as_many_integers_for_every_sample_are_no_labels():
    points = [[12, 150], [3, 9], [12, 7], [40, 9], [3, 150]]
    for y in (points, np.array(points), pd.Series(points), [tuple(each) for each in points]):
        with pytest.raises(InputError, match=r"one value per sample|text or numbers"):
            Samples.of(X, y)
    # Of different lengths, or texts, they are labels.
    assert Samples.of(X, pd.Series([[12], [3, 9], [12, 3], [9], []])).parts.names.tolist() == [3, 9, 12]
    assert len(Samples.of(X, pd.Series([["a", "b"], ["b", "c"], ["a", "c"], ["a", "b"], ["b", "c"]]))) == 15


@pytest.mark.parametrize("write", [str, json.dumps])
def test_labels_that_are_written_as_lists_are_named(write):
    texts = [write(each) for each in (["a", "b"], ["b"], [], ["a", "c"], ["a", "b"])]
    [notice] = [each for each in Samples.of(X, texts).notices if "written lists" in each]
    assert "ast.literal_eval" in notice
    with pytest.raises(InputError, match=r"are written as lists, such as .*: make them lists"):
        Samples.of(X, texts, label_separator=",")
    intervals = ["[0, 1]", "[1, 2]", "[2, 3]", "[0, 1]", "[1, 2]"]
    assert not any("written lists" in each for each in Samples.of(X, intervals).notices)


def test_other_codes_of_labels_say_what_several_labels_are():
    for y in (np.where(Y == 1, 1, -1), Y * 0.7 + 0.1, np.where(Y == 1, "yes", "no")):
        with pytest.raises(InputError, match=r"several labels per sample: zeros and ones, NaN for unknown"):
            Samples.of(X, y)


@pytest.mark.parametrize(
    ("texts", "separator", "mark"),
    [
        (["a|b", "b|c", "a;d", "d"], ";", None),
        (["a|b", "b|c", "a|c;d", "a|d"], ";", "|"),
        (["a;b,c", "b;c", "c;a", "b;a"], ",", ";"),
        (["a;b", "b;c", "a"], ";", None),
    ],
)
def test_a_separator_that_leaves_joined_labels_has_a_notice(texts, separator, mark):
    samples = Samples.of(np.arange(len(texts))[:, None] * 1.0, texts, label_separator=separator)
    notices = [notice for notice in samples.notices if "in place of" in notice]
    assert [f"label_separator={mark!r}" in notice for notice in notices] == ([] if mark is None else [True])


def test_doubtful_lists_have_a_notice():
    samples = Samples.of(X, [["a", "a"], ["A"], ["b"], [], None])
    text = " ".join(samples.notices)
    assert "'a' (2), 'A' (1)" in text
    assert "twice count once (row 0)" in text
    merged = Samples.of(X, [["a", "a"], ["A"], ["b"], [], ["b"]], merge_spellings=True)
    assert merged.parts.names.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (np.where(Y == 1, 2, Y), {}, "one value per sample|0 or 1"),
        (Y + (np.arange(15).reshape(5, 3) == 2), {}, "must be 0 or 1.*Got 2 in 2 .row 0."),
        ([[], [], [], [], []], {}, "empty in every sample|one value"),
        (np.column_stack([np.ones(5, int), np.zeros(5, int)]), {}, "one-hot|tells samples apart"),
        (["a,b", "a", "b", "a", "c"], {"label_separator": ";"}, "holds 'a,b': pass label_separator=','"),
        (["ab", "a", "b", "a", "c"], {"label_separator": ";"}, "holds 'ab': leave it out"),
        ([1, 2, 3, 4, 5], {"label_separator": ";"}, "must be text"),
        (["a;b"] * 5, {"label_separator": ""}, "label_separator must be"),
        ([["a"], [1, 2], ["b"], [], ["a"]], {}, "all text or all integers"),
        (Y[:4], {}, "5 samples, 4 rows"),
        (np.eye(5, dtype=int), {}, "one-hot"),
    ],
)
def test_faults_are_named_in_one_line(y, options, message):
    with pytest.raises(InputError) as raised:
        Samples.of(X, y, **options)
    assert re.search(message, str(raised.value)), str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a", "nosuch"], "no column 'nosuch'"), (["a"], "two columns"), (["a", "p"], "0 or 1"), (["a", "a"], "once")],
)
def test_named_columns_that_do_not_fit(labels, message):
    frame = pd.DataFrame(X, columns=["p", "q"]).assign(a=Y[:, 0], b=Y[:, 1])
    with pytest.raises(InputError, match=message):
        Samples.of(frame, labels=labels)


def test_lists_of_a_class_label_hold_its_names():
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features(
        {"text": datasets.Value("string"), "tags": datasets.Sequence(datasets.ClassLabel(names=["dog", "cat"]))}
    )
    columns = {"text": ["a b", "c d", "e f", "g h"], "tags": [[0], [0, 1], [], [1]]}
    samples = Samples.of(datasets.Dataset.from_dict(columns, features=kinds), "tags")
    assert sorted(samples.ids[samples.labels == 1]) == ["0/dog", "1/cat", "1/dog", "3/cat"]


def test_messages_name_each_fault_once(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,p,q,tags\n1,0,1,a;b\n2,1,0,b\n3,2,1,a\n")
    for options, message in (
        ({"labels": ["p", "p"]}, "labels must name every column once. Got 'p' twice (labels, --labels)"),
        ({"label": "tags", "label_separator": "|"}, "which holds 'a;b': pass label_separator=';' (--label-separator)"),
        ({"labels": ["p", "q"]}, "labels must be 0 or 1, or missing"),
    ):
        with pytest.raises(InputError) as raised:
            hs.read(path, **options)
        assert message in str(raised.value)


@pytest.mark.parametrize(
    ("label", "mark"),
    [
        (["a", "b", "a;b", "b; a", "a", "b"], ";"),
        (["a, b", "b", "a, c", "a, b, c", "c", "b"], ","),
        (["Paris, France", "Lyon, France", "Rome, Italy", "x", "y", "x"], None),
        (["[0, 1)", "[1, 2)", "[2, 3)", "[0, 1)", "[1, 2)", "[2, 3)"], None),
        (["a", "b", "a;b", "a", "b", "a"], None),
        (["a;b", "a", "b;c", "a;b", "a", "b;c"], ";"),
        (["a|b", "b|c", "a", "a|b", "b|c", "a"], "|"),
        (["x; y", "y; z", "z; x", "x; y", "y; z", "z; x"], ";"),
        (["Albany, NY", "Buffalo, NY", "Boston, MA", "Albany, NY", "Buffalo, NY", "Boston, MA"], None),
        (["Smith, John", "Smith, Anna", "Doe, Jane", "Smith, John", "Smith, Anna", "Doe, Jane"], None),
    ],
)
def test_classes_that_look_like_several_labels_are_a_notice(label, mark):
    notices = [each for each in Samples.of(np.arange(6.0)[:, None], label).notices if "several labels" in each]
    assert len(notices) == (mark is not None)
    assert all(f"label_separator={mark!r} (--label-separator)" in each for each in notices)


def test_columns_of_another_task_are_pointed_out(tmp_path):
    for content, hint in (
        ("chosen,rejected\na,b\n", "hardsight preferences"),
        ("-DOCSTART- -X- O\na b c\n", "--tag-column"),
    ):
        (tmp_path / "a.txt").write_text(content)
        with pytest.raises(InputError, match=hint):
            hs.read(tmp_path / "a.txt")
