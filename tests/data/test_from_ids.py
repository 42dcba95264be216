"""Samples known by their ids alone."""

from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from hardsight import InputError, Samples
from hardsight.data.from_ids import ids_to_samples

Y = np.array([0, 1, 0, 1, 1, 0])
NAMES = ["a", "b", "c", "d", "e", "f"]


class Photos(Dataset):
    """Items that cannot be stacked, and that are counted when they are read."""

    def __init__(self, targets=None):
        self.reads = 0
        if targets is not None:
            self.targets = targets

    def __len__(self):
        return 30

    def __getitem__(self, row):
        self.reads += 1
        return torch.zeros(3, 5 + row, 5), torch.tensor(row % 3)


class Stream(IterableDataset):
    def __iter__(self):
        yield 0, 0


def test_labels_alone():
    samples = ids_to_samples(None, Y)
    assert (samples.kind, samples.ids.tolist(), samples.labels.tolist()) == ("ids", [0, 1, 2, 3, 4, 5], Y.tolist())
    assert "known by their ids alone" in samples.notices[-1]
    assert len(np.unique(samples.fingerprints())) == 6


@pytest.mark.parametrize(
    ("X", "ids"),
    [
        (NAMES, NAMES),
        (np.array(NAMES), NAMES),
        (np.array(NAMES, dtype=object), NAMES),
        (pd.Series(NAMES), NAMES),
        (pd.Index(NAMES), NAMES),
        ([Path("x") / name for name in NAMES], [f"x/{name}" for name in NAMES]),
        (range(3, 9), [3, 4, 5, 6, 7, 8]),
        (torch.arange(6), [0, 1, 2, 3, 4, 5]),
        (np.arange(6, dtype=np.uint8), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_one_value_per_sample_is_its_id(X, ids):
    samples = ids_to_samples(X, Y)
    assert (samples.kind, samples.ids.tolist()) == ("ids", ids)


def test_texts_are_features_beside_ids():
    assert ids_to_samples([f"text {name} of words" for name in NAMES], Y, ids=NAMES).kind == "text"


def test_numbers_are_features():
    assert ids_to_samples(np.eye(6), Y).kind == "array"
    assert ids_to_samples(pd.DataFrame(np.eye(6)).assign(label=Y), "label").kind == "table"
    with_embedding = ids_to_samples(None, Y, embedding=np.eye(6))
    assert (with_embedding.numeric, with_embedding.notices) == (True, ())


def test_the_index_of_the_labels_names_samples():
    assert ids_to_samples(None, pd.Series(Y, index=NAMES)).ids.tolist() == NAMES


def test_integers_of_an_index_are_told_from_row_numbers():
    shuffled = pd.Series(Y, index=[3, 5, 1, 0, 2, 4])
    frame = pd.DataFrame({"path": NAMES, "label": Y}, index=shuffled.index)
    features = pd.DataFrame(np.eye(6), index=shuffled.index)
    for X, y in ((None, shuffled), (frame, "label"), (features, Y)):
        samples = ids_to_samples(X, y)
        assert samples.ids.tolist() == [3, 5, 1, 0, 2, 4]
        assert sum("(3, 5, 1, …), not row numbers" in text and "ids=range(6)" in text for text in samples.notices) == 1
        by_row = ids_to_samples(X, y, ids=range(6))
        assert by_row.ids.tolist() == list(range(6))
        assert not any("row number" in text for text in by_row.notices)
    for X, y in ((None, pd.Series(Y)), (None, pd.Series(Y, index=NAMES)), (pd.Series(NAMES, shuffled.index), shuffled)):
        assert not any("row number" in text for text in ids_to_samples(X, y).notices)


def test_a_frame_without_features():
    frame = pd.DataFrame({"path": NAMES, "label": Y, "patient": [1, 1, 2, 2, 3, 3], "count": np.arange(6) + 1})
    samples = ids_to_samples(frame, "label", ids="path", groups="patient", weights="count")
    assert (samples.kind, samples.ids.tolist(), samples.label_name) == ("ids", NAMES, "label")
    assert samples.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert samples.weights[-1] == 6 * samples.weights[0]


def test_columns_that_say_nothing_are_no_features():
    frame = pd.DataFrame({"path": [f"photos/{i}.jpg" for i in range(60)], "label": np.arange(60) % 2})
    frame.index = [f"key {i}" for i in range(60)]
    samples = ids_to_samples(frame, "label")
    assert (samples.kind, samples.ids.tolist()) == ("ids", frame.index.tolist())
    width = np.arange(60.0) % 7
    assert ids_to_samples(frame.assign(width=width), "label").kind == "table"
    with pytest.raises(InputError, match="infinite"):
        ids_to_samples(frame.assign(width=np.where(width, width, np.inf)), "label")


def test_samples_of_several_shapes_are_left_to_the_learner():
    ragged = [np.zeros((3, 5 + row)) for row in range(6)]
    assert ids_to_samples(ragged, Y).kind == "ids"
    assert ids_to_samples([torch.tensor(sample) for sample in ragged], Y, ids=NAMES).ids.tolist() == NAMES
    with pytest.raises(InputError, match="X has 6, y 5"):
        ids_to_samples(ragged, Y[:5])
    assert ids_to_samples([sample[:, :5] for sample in ragged], Y).kind == "image"


def test_of_a_dataset_only_labels_are_read():
    photos = Photos()
    assert ids_to_samples(photos).labels.tolist() == [row % 3 for row in range(30)]
    stored = Photos(targets=[row % 3 for row in range(30)])
    assert ids_to_samples(stored).labels.tolist() == [row % 3 for row in range(30)]
    assert stored.reads == 8
    # Targets that a transform changes are not the labels of the items.
    assert ids_to_samples(Photos(targets=[5] * 30)).labels.tolist() == [row % 3 for row in range(30)]
    beside = Photos()
    assert ids_to_samples(beside, np.arange(30) % 2).labels.tolist() == [0, 1] * 15
    assert beside.reads == 0


def test_a_hugging_face_dataset_keeps_its_codes():
    features = datasets.Features({"label": datasets.ClassLabel(names=["z", "a"]), "key": datasets.Value("string")})
    dataset = datasets.Dataset.from_dict({"label": [0, 1, 1, 0, -1, 1], "key": NAMES}, features=features)
    samples = ids_to_samples(dataset, ids="key")
    # Columns of a model are in the order of the codes, not of the sorted names.
    assert (samples.classes, samples.labels.tolist()) == ((0, 1), [0, 1, 1, 0, 1])
    assert samples.ids.tolist() == ["a", "b", "c", "d", "f"]
    assert ids_to_samples(dataset).ids.tolist() == [0, 1, 2, 3, 5]


def test_labels_that_are_missing_keep_the_ids_of_the_rest():
    samples = ids_to_samples(None, [0, None, 1, 0, None, 1])
    assert samples.ids.tolist() == [0, 2, 3, 5]
    predicted = ids_to_samples(NAMES, [0, None, 1, 0, None, 1], unlabelled="predict")
    assert predicted.unlabelled.ids.tolist() == ["b", "e"]


def test_nothing_to_predict():
    samples = ids_to_samples(NAMES, task="loss")
    assert samples.loss_only
    assert samples.classes is None
    assert np.isnan(samples.labels).all()
    assert ids_to_samples(Photos(), task="loss").ids.tolist() == list(range(30))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": None}, "y is missing"),
        ({"X": NAMES}, "y is missing"),
        ({"X": None, "y": "label"}, "y='label' names a column, but X is missing"),
        ({"X": NAMES, "y": Y[:5]}, "ids must have one value per sample: 5 samples, 6 ids"),
        ({"X": ["a"] * 6, "y": Y}, "ids must be unique"),
        ({"X": None, "task": "loss"}, "the ids are missing"),
        ({"X": NAMES, "y": Y, "task": "loss"}, "y must be left out"),
        ({"X": None, "y": Y, "embedding": "pixels"}, "embedding='pixels' needs X"),
        ({"X": DataLoader(TensorDataset(torch.zeros(4)))}, "pass its dataset, X.dataset"),
        ({"X": TensorDataset(torch.zeros(4))}, r"items of X must be \(features, label\) tuples"),
        ({"X": Stream()}, "has no length"),
        ({"X": Photos(), "y": Y}, "X has 30, y 6"),
        ({"X": Photos(), "groups": "patient"}, "groups='patient' names a column"),
    ],
)
def test_what_is_missing_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        ids_to_samples(**arguments)


def test_samples_of_none_are_ids():
    assert Samples.of(None, Y, ids=NAMES).kind == "ids"
    with pytest.raises(InputError, match="X is missing"):
        _ = Samples.of(None, Y).matrix
