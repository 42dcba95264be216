"""Ids travel with the samples: kinds of items, loaders, workers, subsets, collators."""

from collections import UserDict, namedtuple

import datasets
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import hardsight as hs
from hardsight.errors import InputError
from hardsight.weights.training.datasets import ID

Pair = namedtuple("Pair", "x y")


class Items(Dataset):
    """A data set whose item i holds i, in some type of item."""

    def __init__(self, make, n=11):
        self.make, self.n = make, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError
        return self.make(i)


def make_single(i):
    return torch.tensor(float(i))


def make_pair(i):
    return np.float32(i), i % 3


def make_named(i):
    return Pair(float(i), i % 3)


def make_list(i):
    return [float(i), i % 3]


def make_dict(i):
    return {"x": float(i), "y": i % 3}


def x_and_ids(batch):
    if isinstance(batch, dict):
        return batch["x"], batch[ID]
    return batch[0], batch[-1]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("make", [make_single, make_pair, make_named, make_list, make_dict])
def test_ids_travel_through_shuffling_loaders(make, workers):
    if workers and make is not make_named:
        workers = 0
    loader = DataLoader(hs.indexed(Items(make)), 4, shuffle=True, num_workers=workers)
    seen = []
    for batch in loader:
        x, ids = x_and_ids(batch)
        assert ids.dtype == torch.int64
        assert x.tolist() == ids.tolist()
        seen += ids.tolist()
    assert sorted(seen) == list(range(11))


def test_named_tuples_stay_named():
    (batch,) = DataLoader(hs.indexed(Items(make_named)), 11)
    assert batch.x.tolist() == batch.hs_id.tolist()
    assert batch._fields == ("x", "y", "hs_id")


def test_own_ids_and_subsets():
    ids = np.array([2**60 + i for i in range(11)])[::-1]
    whole = hs.indexed(Items(make_pair), ids=ids)
    assert whole[3] == (3.0, 0, 2**60 + 7)
    assert whole[-1] == (10.0, 1, 2**60)
    assert [item[-1] for item in Subset(whole, [5, 1])] == [2**60 + 5, 2**60 + 9]
    assert [item[-1] for item in hs.indexed(Subset(Items(make_pair), [5, 1]))] == [0, 1]
    (batch,) = DataLoader(whole, 11)
    assert batch[-1].tolist() == ids.tolist()


def test_hugging_face_data_sets():
    data = datasets.Dataset.from_dict({"x": [float(i) for i in range(11)], "y": list(range(11))}).with_format("torch")
    for batch in DataLoader(hs.indexed(data), 4, shuffle=True, collate_fn=hs.collate()):
        assert batch["x"].tolist() == batch["hs_id"].tolist()


def test_collators_that_drop_what_they_do_not_know():
    def pad(items):
        assert all(item.keys() == {"x", "y"} for item in items)
        return UserDict(x=torch.tensor([item["x"] for item in items]))

    for batch in DataLoader(hs.indexed(Items(make_dict)), 4, shuffle=True, collate_fn=hs.collate(pad)):
        assert batch["hs_id"].dtype == torch.int64
        assert batch["x"].tolist() == batch["hs_id"].tolist()


@pytest.mark.parametrize("make", [make_pair, make_list, make_named])
def test_collators_of_tuples(make):
    whole = hs.indexed(Items(make))
    x, y, ids = hs.collate()([whole[4], whole[2]])
    assert (x.tolist(), y.tolist(), ids.tolist()) == ([4, 2], [1, 2], [4, 2])
    only, ids = hs.collate(lambda items: torch.tensor([item[0] for item in items]))([whole[4]])
    assert (only.tolist(), ids.tolist()) == ([4], [4])


class Stream(IterableDataset):
    def __iter__(self):
        yield 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hs.indexed(Stream()), "Stream has no positions to number: let it yield the id of each sample"),
        (lambda: hs.indexed(iter([1])), "has no positions to number"),
        (lambda: hs.indexed([1, 2], ids=[1]), "1 ids and 2 samples"),
        (lambda: hs.indexed([1, 2], ids=[1, 1]), "two samples have the id 1"),
        (lambda: hs.indexed([1, 2], ids=["a", "b"]), "ids must be integers"),
        (lambda: hs.indexed(hs.indexed([{"x": 1}]))[0], "index a data set only once"),
        (lambda: hs.collate()([{"x": 1}]), "wrap the data set in hs.indexed; .* remove_unused_columns=False"),
        (lambda: hs.collate()([torch.ones(1)]), "the items are Tensor, without ids"),
    ],
)
def test_what_has_no_ids_is_refused_with_the_fix(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_tensor_data_sets_feed_a_weighting():
    data = hs.indexed(TensorDataset(torch.arange(11.0)))
    weighting = hs.Weighting(torch.arange(11.0), reduction="none")
    for x, ids in DataLoader(data, 3, shuffle=True):
        torch.testing.assert_close(weighting(torch.ones(len(x)), ids), x)
