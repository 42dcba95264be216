"""Datasets whose items change when they are read again: told, and read alike every time."""

import random

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from support.errors import rejects
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

import hardsight as hs
from hardsight import Samples
from hardsight.data.from_hf_rows import rows_to_samples
from hardsight.data.item_reading import changed_item, fixed_random_state

N = 20
X = torch.rand(N, 3, 4, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(N) % 2


class Items(Dataset):
    """Items that a function changes."""

    def __init__(self, change=lambda x, y: (x, y)):
        self.change = change

    def __len__(self):
        return N

    def __getitem__(self, index):
        return self.change(X[index], int(Y[index]))


def flip(x, y):
    return (x.flip(-1) if torch.rand(()) < 0.5 else x), y


RANDOM = {
    "torch": lambda x, y: (x + torch.rand(()), y),
    "numpy": lambda x, y: (x + np.random.rand(), y),
    "python": lambda x, y: (x + random.random(), y),
    "flip": flip,
    "list": lambda x, y: ((x + torch.rand(())).flatten().tolist(), y),
    "picture": lambda x, y: (Image.fromarray(np.random.randint(0, 255, (4, 4), dtype=np.uint8)), y),
    "label": lambda x, y: (x, y + (torch.rand(()) < 0.5).item()),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_items_are_told_and_read_alike_whatever_the_state(name):
    torch.manual_seed(1)
    first = Samples.of(Items(RANDOM[name]))
    assert "of the dataset changes when it is read again" in first.notices[0]
    assert "hs.Network(…, augment=…)" in first.notices[0]
    torch.manual_seed(2)
    random.random()
    second = Samples.of(Items(RANDOM[name]))
    np.testing.assert_array_equal(first.features, second.features)
    np.testing.assert_array_equal(first.labels, second.labels)


@pytest.mark.parametrize(
    "dataset",
    [
        Items(),
        TensorDataset(X, Y),
        Subset(Items(), range(5)),
        Items(lambda x, y: (x[0].flatten().numpy(), y)),
        Items(lambda x, y: (x + torch.rand(x.shape, generator=torch.Generator().manual_seed(y)), y)),
    ],
)
def test_items_that_stay_are_read_in_silence(dataset):
    assert "read again" not in " ".join(Samples.of(dataset).notices)


def test_reading_leaves_the_state_of_the_caller_alone():
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    expected = torch.rand(3), np.random.rand(3), random.random()
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    Samples.of(Items(RANDOM["torch"]))
    with pytest.raises(KeyError), fixed_random_state():
        raise KeyError
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.rand(3), expected[1])
    assert random.random() == expected[2]


def test_items_of_any_kind_are_compared():
    same = [{"a": np.array([1.0, np.nan]), "b": ["x", 2]}, (torch.ones(2), "t"), [1, [2, 3]], object(), None]
    assert changed_item(same.__getitem__, len(same), same) is None
    for one, other in (("a", "b"), ({"a": 1}, {"a": 2}), ([1], [1, 2]), (torch.ones(2), torch.zeros(2))):
        assert changed_item(lambda _, other=other: other, 1, [one]) == 0


def test_transforms_of_hugging_face_datasets():
    rows = datasets.Dataset.from_dict({"x": np.arange(12.0).reshape(6, 2).tolist(), "label": [0, 1] * 3})
    rows.set_transform(lambda batch: {**batch, "x": [torch.rand(2).tolist() for _ in batch["x"]]})
    samples = Samples.of(rows, "label")
    assert samples.features.tolist() == np.arange(12.0).reshape(6, 2).tolist()
    assert "The dataset's transform (set_transform) is not applied" in samples.notices[0]
    assert "its transform (set_transform) is random" in rows_to_samples(rows, "label").notices[0]
    rows.set_transform(lambda batch: batch)
    assert "random" not in " ".join(rows_to_samples(rows, "label").notices)
    assert Samples.of(rows.with_format("torch"), "label").notices == ()


def test_a_loader_is_refused_with_what_to_pass():
    loader = DataLoader(Items(), batch_size=4, shuffle=True)
    rejects(r"X is a loader \(DataLoader\): pass its dataset, X.dataset", Samples.of, loader)
    assert len(Samples.of(loader.dataset)) == N


def test_pages_of_a_result_take_samples_alone(tmp_path):
    d = hs.measure(np.arange(40.0).reshape(20, 2), [0, 1] * 10, learner="ridge", folds=2, repeats=2)
    for page in (d.review, d.report):
        for samples in ([1, 2], np.ones((20, 2)), "data.csv", []):
            rejects(r"samples must be hs.Samples. Got \w+: make them with", page, tmp_path / "p.html", samples=samples)


def test_a_loaded_result_weights_without_a_warning(tmp_path, recwarn):
    d = hs.measure(np.arange(40.0).reshape(20, 2), [0, 1] * 10, learner="ridge", folds=2, repeats=2)
    d.save(tmp_path / "d.parquet")
    loaded = hs.load(tmp_path / "d.parquet")
    hs.Weighting(loaded)
    hs.Weighting(hs.weigh(loaded), ids=loaded.ids)
    assert not [warning for warning in recwarn if "not writable" in str(warning.message)]
