"""Columns that are no features: row numbers, ids, and columns that tell the label."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from hardsight import Samples
from hardsight.data.feature_columns.clean import clean_columns
from hardsight.data.feature_columns.column import ColumnNote, describe_notes
from hardsight.data.feature_columns.label_copies import note_label_copies

RNG = np.random.default_rng(0)
N = 120
NUMBERS = RNG.normal(size=N)
LABELS = RNG.permutation(np.repeat([0, 1, 2], N // 3))


def topics(column, name="x"):
    _, notes = clean_columns(pd.DataFrame({name: column, "n": NUMBERS[: len(column)]}))
    return [(note.topic, note.detail) for note in notes if note.name == name]


ROWS = np.sort(RNG.choice(N * 5 // 4, N, replace=False))


@pytest.mark.parametrize(
    "name", ["Unnamed: 0", "", "id", "customer_id", "patientID", "rownames", "index", "X.id", "row_names"]
)
@pytest.mark.parametrize(
    ("numbers", "detail"),
    [
        (np.arange(N), "numbers the rows"),
        (np.arange(N) + 1000, "numbers the rows"),
        (ROWS, "numbers the rows, with gaps"),
        (ROWS.astype(float), "numbers the rows, with gaps"),
        (RNG.permutation(ROWS), "numbers the rows, with gaps"),
        (RNG.permutation(N) * 7_919_117 % 999_999_937, "an id"),
    ],
)
def test_ids_by_value_and_name_are_left_out(name, numbers, detail):
    assert topics(numbers, name) == [("left out", detail)]


def test_row_numbers_of_another_name_are_told():
    assert topics(np.arange(N)) == [("doubtful", "numbers the rows")]
    assert topics(ROWS) == [("doubtful", "numbers the rows, with gaps")]
    assert topics(RNG.permutation(N)) == [("doubtful", "a different integer in every row")]
    assert topics(1900 + np.arange(N)) == [("doubtful", "numbers the rows")]


@pytest.mark.parametrize(
    "numbers",
    [RNG.integers(0, 1000, N), RNG.integers(0, 10**9, N), NUMBERS, np.repeat(np.arange(N // 2), 2), np.arange(N) / 7],
)
def test_amounts_stay_without_a_word(numbers):
    assert topics(numbers) == []
    assert topics(np.repeat(np.arange(N // 2), 2), "id") == []


def notes_of(column, labels=LABELS, n_classes=3):
    return [(note.topic, note.detail) for note in note_label_copies(pd.DataFrame({"x": column}), labels, n_classes)]


NAMES = np.array(["red", "green", "blue"])


def test_the_label_by_another_name():
    for copy in (NAMES[LABELS], 10 - 3 * LABELS, LABELS.astype(float), pd.Categorical(NAMES[LABELS])):
        assert notes_of(copy) == [("left out", "the label by another name")]
    assert notes_of(LABELS == 0, (LABELS == 0).astype(int), 2) == [("left out", "the label by another name")]
    samples = Samples.of(pd.DataFrame({"target_name": NAMES[LABELS], "n": NUMBERS}), LABELS)
    assert list(samples.features) == ["n"]
    assert "Left out of the features: 'target_name' (the label by another name)." in samples.notices[0]


def test_columns_that_tell_the_label():
    finer = LABELS * 4 + RNG.integers(0, 4, N)
    assert notes_of(np.array([f"kind {code}" for code in finer])) == [("doubtful", "tells the label in every row")]
    nearly = np.where(np.arange(N) == 5, (LABELS + 1) % 3, LABELS)
    assert notes_of(NAMES[nearly]) == [("doubtful", "tells the label in 99.2% of the rows")]
    assert notes_of(LABELS * 10 + RNG.uniform(0, 9, N)) == [("doubtful", "tells the label in every row")]


def test_good_features_are_no_copies():
    weak = np.where(RNG.random(N) < 0.85, LABELS, RNG.integers(0, 3, N))
    assert notes_of(NAMES[weak]) == []
    assert notes_of(np.array([f"k{at}" for at in range(N)])) == []
    assert notes_of(NUMBERS) == []
    assert notes_of(LABELS[:15], LABELS[:15]) == []
    rare = (np.arange(N) < 2).astype(int)
    assert notes_of(np.zeros(N), rare, 2) == []
    X, y = load_iris(return_X_y=True, as_frame=True)
    assert note_label_copies(X, y.to_numpy(), 3) == []


def test_the_target_in_another_unit():
    y = RNG.normal(size=N)
    assert notes_of(32 + 1.8 * y, y, None) == [("left out", "the label in another unit")]
    assert notes_of(np.exp(y), y, None) == [("doubtful", "ranks the rows exactly as the label does")]
    assert notes_of(y + 0.01 * NUMBERS, y, None) == []
    samples = Samples.of(pd.DataFrame({"fahrenheit": 32 + 1.8 * y, "n": NUMBERS}), y)
    assert list(samples.features) == ["n"]


def test_the_only_feature_stays():
    samples = Samples.of(pd.DataFrame({"x": NAMES[LABELS]}), LABELS)
    assert list(samples.features) == ["x"]
    assert "Used as features, but check: 'x' (the label by another name)." in samples.notices[0]


def test_one_column_is_named_once():
    notes = [ColumnNote("doubtful", "x", "numbers the rows"), ColumnNote("doubtful", "x", "tells the label in every row")]
    assert "check: 'x' (numbers the rows; tells the label in every row)." in describe_notes(notes)[0]


@pytest.mark.parametrize(
    ("days", "is_named"),
    [(np.arange(40), True), (np.arange(40) * 3.5, True), (np.arange(40)[::-1], False), (np.arange(40) // 2, False)],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_times_that_number_the_rows_are_named(days, is_named, as_text):
    times = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(days, "D"))
    frame = pd.DataFrame({"t": times.astype(str) if as_text else times, "a": np.arange(40) % 7})
    notices = " ".join(Samples.of(frame, ["x", "y"] * 20).notices)
    assert ("Used as features, but check: 't' (later in every row)." in notices) is is_named
