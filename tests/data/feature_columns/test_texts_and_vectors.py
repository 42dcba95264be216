"""Texts, tags and vectors in one column, beside numbers and alone."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from support.errors import rejects

from hardsight import Samples
from hardsight.data.feature_columns.clean import clean_columns

RNG = np.random.default_rng(0)
N = 60
LABELS = np.array(["a", "b", "b"] * (N // 3))
NUMBERS = RNG.normal(size=N)
WORDS = ["lamp", "chair", "table", "desk", "sofa", "shelf", "stool", "bench", "red", "blue", "old", "new", "large", "small"]
TITLES = [" ".join(RNG.choice(WORDS, 3)) for _ in range(N)]
SENTENCES = [" ".join([*RNG.choice(WORDS, 7), str(at)]) for at in range(N)]
SURNAMES = [f"{''.join(RNG.choice(list('aeioukmnrst'), 7))}, {RNG.choice(['Mr', 'Mrs', 'Miss'])}." for _ in range(N)]


@pytest.mark.parametrize("texts", [TITLES, SENTENCES, SURNAMES, [*SENTENCES[:-2], None, ""]])
def test_texts_beside_numbers_are_read_as_text(texts):
    samples = Samples.of(pd.DataFrame({"t": texts, "n": NUMBERS}), LABELS)
    assert samples.kind == "table"
    assert samples.notices == ("Read as text: 't'.",)
    assert 2 < samples.matrix.shape[1] <= 33
    np.testing.assert_array_equal(samples.matrix[:, -1], NUMBERS.astype(np.float32))


def test_a_text_column_that_is_left_alone_is_the_sample():
    samples = Samples.of(pd.DataFrame({"id": range(N), "same": 1, "t": SENTENCES}), LABELS)
    assert (samples.kind, samples.features.tolist()) == ("text", SENTENCES)
    assert samples.notices[0].startswith(
        "Left out of the features: 'id' (numbers the rows), 'same' (the same in every row)."
    )
    assert samples.notices[1] == "Read as text: 't'."


@pytest.mark.parametrize(
    ("cells", "detail"),
    [
        ([f"row-{at:03d}" for at in range(N)], "a different text in every row"),
        ([f"x{at * 7919 % 1009:04x}" for at in range(N)], "a different text in every row"),
        ([f"k{at % 40}" for at in range(N)], "40 different texts in 60 rows"),
    ],
)
def test_nearly_unique_texts_that_share_no_words_are_left_out(cells, detail):
    table, notes = clean_columns(pd.DataFrame({"code": cells, "n": NUMBERS}))
    assert list(table) == ["n"]
    assert [(note.topic, note.detail) for note in notes] == [("left out", detail)]


def test_texts_tell_what_categories_cannot():
    y = RNG.integers(0, 2, 200)
    titles = [f"{RNG.choice(WORDS)} {RNG.choice(WORDS)} {('dull', 'fine')[label]} {at}" for at, label in enumerate(y)]
    matrix = Samples.of(pd.DataFrame({"t": titles, "n": RNG.normal(size=200)}), y).matrix
    centred = matrix - matrix.mean(axis=0)
    fit = centred @ np.linalg.lstsq(centred, y - y.mean(), rcond=None)[0]
    assert np.corrcoef(fit, y)[0, 1] > 0.9


X, WINE = load_wine(return_X_y=True)


@pytest.mark.parametrize(
    "cells",
    [
        list(X),
        [list(row) for row in X],
        [tuple(row) for row in X],
        [json.dumps(list(row)) for row in X],
        [np.array2string(row, threshold=20) for row in X],
        [str(list(map(float, row))) for row in X],
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_vectors(cells, alone):
    frame = pd.DataFrame({"embedding": pd.Series(cells, dtype=object)})
    samples = Samples.of(frame if alone else frame.assign(n=X[:, 0] > 13), WINE)
    np.testing.assert_allclose(samples.matrix[:, :13], X, rtol=1e-6 if isinstance(cells[0], str) else 1e-7)
    assert samples.matrix.shape[1] == (13 if alone else 14)


def test_vectors_from_parquet(tmp_path):
    path = tmp_path / "embedded.parquet"
    pd.DataFrame({"e": list(X.astype(np.float32)), "grid": [row[:12].reshape(3, 4).tolist() for row in X]}).to_parquet(path)
    frame = pd.read_parquet(path)
    assert Samples.of(frame[["e"]], WINE).features.shape == (178, 13)
    assert Samples.of(frame[["grid"]], WINE).features.shape == (178, 3, 4)


def test_vectors_that_cannot_be_used():
    def frame(cells):
        return pd.DataFrame({"e": pd.Series(cells * 15, dtype=object), "n": NUMBERS[:30]})

    for cells, message in (
        ([[1.0, 2.0], [1.0]], r"column 'e' holds vectors of 2 and 1 numbers \(rows 1, 3, 5, …\): bring all to one length"),
        ([[1.0, np.inf], [1.0, 2.0]], "column 'e' holds vectors with infinite numbers"),
        ([[1.0, {"a": 1}], [1.0, 2.0]], "column 'e' holds lists of values that are not numbers"),
        (["[0.1 0.2 ... 0.3]", "[0.4 0.5 ... 0.7]"], "whose middle was cut when they were written"),
    ):
        rejects(message, Samples.of, frame(cells), LABELS[:30])


def test_missing_vectors_and_tags():
    frame = pd.DataFrame({"e": [[1.0, 2.0], None, [3.0, 4.0]] * 20, "n": NUMBERS})
    assert np.isnan(Samples.of(frame, LABELS).matrix[1, [0, 2]]).all()
    tags = pd.DataFrame({"tags": [["red", "big one"], ["blue"], []] * 20, "n": NUMBERS})
    table, notes = clean_columns(tags)
    assert table["tags"].tolist()[:3] == ["red big_one", "blue", ""]
    assert notes[0].detail == "lists of tags"


@pytest.mark.parametrize("form", ["tensor([{}, {}])", "array([{}, {}], dtype=float32)", "[np.float64({}), np.float64({})]"])
def test_vectors_as_numpy_and_torch_print_them(form):
    rows = np.random.default_rng(0).normal(size=(30, 2)).round(3)
    frame = pd.DataFrame({"e": [form.format(*row) for row in rows], "b": np.arange(30) % 7})
    samples = Samples.of(frame, ["x", "y"] * 15)
    np.testing.assert_allclose(samples.features[["e[0]", "e[1]"]].to_numpy(), rows)


@pytest.mark.parametrize("form", ["matrix([{}])", "[np.sin({})]", "tensor([[{}]])"])
def test_other_texts_with_brackets_are_no_vectors(form):
    frame = pd.DataFrame({"e": [form.format(row) for row in range(30)], "b": np.arange(30) % 7})
    assert "vectors" not in " ".join(Samples.of(frame, ["x", "y"] * 15).notices)


@pytest.mark.parametrize("spelling", ["{:.5f}, {:.5f}", "({:.5f}, {:.5f})", "{:.5f};{:.5f}", "{:.5f} {:.5f}"])
def test_coordinates_in_one_column_are_vectors(spelling):
    places = RNG.uniform(-90, 90, (N, 2)).round(5)
    table, _ = clean_columns(pd.DataFrame({"at": [spelling.format(*place) for place in places]}))
    assert list(table) == ["at[0]", "at[1]"]
    np.testing.assert_array_equal(table.to_numpy(), places)


@pytest.mark.parametrize("cells", [["(1, 2)", "(1, 2, 3)", "(4, 5)"], ["1-2", "2-3", "3-4"], ["1.2.3", "1.2.4", "2.0.0"]])
def test_what_is_no_vector_stays_a_category(cells):
    assert clean_columns(pd.DataFrame({"x": cells * 10}))[0]["x"].dtype == "category"
