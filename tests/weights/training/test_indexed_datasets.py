"""Ids travel with the samples: kinds of items, loaders, workers, subsets, collators."""

import re
from collections import UserDict, namedtuple

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset, random_split

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
    assert [item[-1] for item in hs.indexed(Subset(Items(make_pair), [5, 1]))] == [5, 1]
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


FRAME = pd.DataFrame({"x": [1, 2]}, index=[1, 0])


class Stream(IterableDataset):
    def __iter__(self):
        yield 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hs.indexed(Stream()), "Stream has no positions to number: let it yield the id of each sample"),
        (lambda: hs.indexed(iter([1])), "has no positions to number"),
        (lambda: hs.indexed(FRAME), r"a DataFrame, whose items are found by its index .* pass dataset.to_dict\('records'\)"),
        (lambda: hs.indexed(FRAME["x"]), r"a Series, whose items are found by its index .* pass dataset.tolist\(\)"),
        (lambda: hs.indexed([1, 2])[:1], "one by one, by an integer. Got slice: give DataLoader the sampler of batches"),
        (lambda: hs.indexed([1, 2])[[0, 1]], "Got list: .* as batch_sampler=, or select a Subset"),
        (lambda: hs.indexed([1, 2])[torch.tensor([True, False])], "Got Tensor: .* select a Subset"),
        (lambda: hs.indexed([1, 2], ids=[1]), "1 ids and 2 samples"),
        (lambda: hs.indexed([1, 2], ids=[1, 1]), "two samples have the id 1"),
        (lambda: hs.indexed([1, 2], ids=["a", "b"]), "ids must be integers"),
        (lambda: hs.indexed(hs.indexed([{"x": 1}]))[0], "index a data set only once"),
        (
            lambda: hs.collate()([{"x": 1}]),
            r"pass hs\.indexed\(dataset\) as the training set; .* remove_unused_columns=False",
        ),
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


def make_hugging_face():
    return datasets.Dataset.from_dict({"x": [float(i) for i in range(11)]}).with_format("torch")


def take_odd_rows(data):
    return data.filter(lambda item: int(item["x"]) % 2 == 1)


def split_by_hugging_face(data):
    return data.train_test_split(0.4, seed=1)["train"]


@pytest.mark.parametrize(
    "take",
    [
        lambda: Subset(Items(make_dict), [5, 1, 10]),
        lambda: Subset(Items(make_dict), torch.tensor([5, 1])),
        lambda: Subset(Items(make_dict), range(3, 9)),
        lambda: Subset(Items(make_dict), range(4)),
        lambda: Subset(Subset(Items(make_dict), [5, 1, 9, 3]), [2, 0]),
        lambda: random_split(Items(make_dict), [6, 5], generator=torch.Generator().manual_seed(1))[0],
        lambda: ConcatDataset([Subset(whole := Items(make_dict), [5, 1]), Subset(whole, [2])]),
        lambda: make_hugging_face().select([5, 1, 3]),
        lambda: make_hugging_face().select(range(4, 9)),
        lambda: make_hugging_face().select(range(4, 9)).select([3, 0]),
        lambda: make_hugging_face().skip(3),
        lambda: make_hugging_face().shard(2, 1),
        lambda: make_hugging_face().shuffle(seed=0).select(range(5)),
        lambda: take_odd_rows(make_hugging_face()),
        lambda: split_by_hugging_face(make_hugging_face()),
        lambda: Subset(make_hugging_face().select([5, 1, 3]), [2, 1]),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_subsets_have_the_rows_of_the_whole_as_ids(take):
    # Item i holds i.
    weighting = hs.Weighting(torch.arange(11.0), reduction="none")
    data = hs.indexed(take())
    for batch in DataLoader(data, 4, collate_fn=hs.collate()):
        torch.testing.assert_close(weighting(torch.ones(len(batch["x"])), batch[ID]), batch["x"].float())
    assert f"{len(data)} samples have {len(data)} ids, all known" in weighting.check(data)


def test_joined_data_sets_are_numbered_on():
    parts = [Items(make_dict, 3), Subset(Items(make_dict, 11), [7, 2]), Items(make_dict, 4)]
    data = hs.indexed(ConcatDataset(parts))
    assert [item[ID] for item in (data[i] for i in range(len(data)))] == [0, 1, 2, 3 + 7, 3 + 2, 14, 15, 16, 17]
    assert hs.indexed(ConcatDataset([Items(make_dict, 3), Items(make_dict, 4)])).ids is None
    both = datasets.concatenate_datasets([make_hugging_face(), make_hugging_face()])
    assert hs.indexed(both).ids is None


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda: Subset(Items(make_pair, 3), [2, 0, 1]), r"rows 0 to 2 of another one in another order: pass ids="),
        (lambda: random_split(Items(make_pair), [11])[0], "in another order"),
        (lambda: make_hugging_face().shuffle(seed=0), "in another order"),
        (lambda: make_hugging_face().sort("x", reverse=True), "in another order"),
        (
            lambda: Subset(Items(make_pair), [2, 2, 1]),
            r"some rows of another one twice: pass hs\.indexed\(dataset, ids=range",
        ),
        (lambda: ConcatDataset([one := Items(make_pair), one]), "twice"),
        (
            lambda: datasets.concatenate_datasets([make_hugging_face().select(range(2, 4)), make_hugging_face().skip(3)]),
            "does not tell which rows",
        ),
        (lambda: Subset(hs.indexed(Items(make_pair)), [1]), "index a data set only once"),
        (lambda: ConcatDataset([Items(make_pair), hs.indexed(Items(make_pair))]), "index a data set only once"),
        (lambda: make_hugging_face().add_column(ID, list(range(11))), "index a data set only once"),
        (lambda: datasets.DatasetDict(train=make_hugging_face()), r"holds 1 data sets by name \('train'\)"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_could_be_numbered_in_two_ways_is_refused(take, message):
    with pytest.raises(InputError, match=message):
        hs.indexed(take())


def test_own_ids_settle_what_could_be_numbered_in_two_ways():
    shuffled = Subset(Items(make_pair, 3), [2, 0, 1])
    assert [item[-1] for item in hs.indexed(shuffled, ids=range(3))] == [0, 1, 2]
    assert [item[-1] for item in hs.indexed(shuffled, ids=shuffled.indices)] == [2, 0, 1]


def test_weights_in_the_order_of_a_subset_do_not_fit_the_whole():
    data = hs.indexed(Subset(Items(make_pair), [5, 1]))
    (batch,) = DataLoader(data, 2)
    with pytest.raises(InputError, match=r"id 5 is unknown: the ids are 0 to 1; .* own order, pass ids=range"):
        hs.Weighting([1.0, 2.0])(torch.ones(2), batch[-1])


@pytest.mark.parametrize(
    ("make", "fits"),
    [
        (
            lambda: (hs.Weighting(torch.ones(11)), hs.indexed(Items(make_pair))),
            "^11 samples have 11 ids, all known to the weighting$",
        ),
        (
            lambda: (hs.Weighting(torch.ones(11)), Subset(hs.indexed(Items(make_pair)), [1, 4])),
            "2 samples have 2 ids, all known to the weighting; 9 of the 11 ids that .* knows are not in the data set",
        ),
        (lambda: (hs.Weighting("focal"), Items(make_pair)), "knows no ids, and reads none"),
        (
            lambda: (hs.Weighting(torch.ones(11)), make_hugging_face().add_column(ID, list(range(11))).select([3, 1])),
            "2 samples have 2 ids",
        ),
        (
            lambda: (
                hs.Weighting(torch.ones(11), repeated="count"),
                ConcatDataset([hs.indexed(Items(make_pair)), hs.indexed(Items(make_pair))]),
            ),
            "22 samples have 11 ids",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_check_says_what_fits(make, fits):
    weighting, data = make()
    assert re.search(fits, weighting.check(data))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: (hs.Weighting(torch.ones(11)), hs.indexed(Items(make_pair, 6))),
            "has 6 samples, numbered by position, and the weighting knows 11",
        ),
        (lambda: (hs.Weighting(torch.ones(6)), hs.indexed(Items(make_pair))), "the weighting knows 6"),
        (
            lambda: (hs.Weighting(torch.ones(3)), hs.indexed(Subset(Items(make_pair), [1, 9, 4]))),
            "2 of the 3 samples have an unknown id, such as 9: the ids of the weighting are 0 to 2",
        ),
        (lambda: (hs.Weighting([1.0, 2.0], ids=[7, 8]), hs.indexed(Items(make_pair, 2))), "the 2 of the weights"),
        (
            lambda: (
                hs.Weighting(torch.ones(22)),
                ConcatDataset([hs.indexed(Items(make_pair)), hs.indexed(Items(make_pair))]),
            ),
            r"22 samples share an id with another, such as id 0: index the joined data set",
        ),
        (lambda: (hs.Weighting(torch.ones(11)), Items(make_pair)), r"does not tell the ids .* pass hs\.indexed\(dataset\)"),
        (
            lambda: (hs.Weighting(torch.ones(11)), DataLoader(hs.indexed(Items(make_pair)))),
            r"DataLoader does not tell the ids .* pass the data set of the loader, loader\.dataset",
        ),
        (
            lambda: (hs.Weighting(torch.ones(2)), make_hugging_face().select(range(2)).add_column(ID, ["a", "b"])),
            "ids must be integers",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_check_says_in_one_line_what_does_not_fit(make, says):
    weighting, data = make()
    with pytest.raises(InputError, match=says) as error:
        weighting.check(data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["a", "b"], "ids must be integers"),
        ([1.5, 2.5], "ids must be integers"),
        ([None, 1], "ids must be integers"),
        (np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"), "ids must be integers"),
        (np.array([1, 2**63], dtype=np.uint64), r"ids must be below 2\*\*63. Got 9223372036854775808"),
        ([[1], [2, 3]], "one-dimensional. Got lists of different lengths"),
    ],
)
def test_ids_that_are_no_integers_are_refused_everywhere(ids, says):
    items = [{"x": 0.0, ID: number} for number in ids]
    for use in (
        lambda: hs.Weighting([1.0, 2.0], ids=ids),
        lambda: hs.Weighting("elr", ids=ids, classes=2),
        lambda: hs.indexed([0, 1], ids=ids),
        lambda: hs.WeightedSampler([1.0, 2.0], ids=ids),
        lambda: hs.WeightedSampler([1.0, 2.0]).correction(ids),
        lambda: hs.Weighting([1.0, 2.0])(torch.ones(2), ids),
        lambda: hs.Weighting([1.0, 2.0], repeated="count").weights(torch.ones(2), ids),
    ):
        with pytest.raises(InputError, match=says):
            use()
    if not isinstance(ids[0], list):
        with pytest.raises(InputError, match=r"ids must be (integers|below)"):
            hs.collate()(items)


def read_from_files(folder, n_files):
    """Return a data set of 30 rows that was saved in files, with chunks of 4 rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "DEFAULT_MAX_BATCH_SIZE", 4)
        whole = datasets.Dataset.from_dict({"x": list(range(30))})
        whole.save_to_disk(folder, num_shards=n_files)
    return datasets.load_from_disk(folder)


@pytest.mark.parametrize("rows", [range(30), range(8, 12), range(9, 11), range(3, 30), range(6)])
def test_rows_that_follow_one_another_in_a_file_keep_their_numbers(tmp_path, rows):
    whole = read_from_files(tmp_path / "data", 1)
    assert whole.data.column(0).num_chunks > 5
    part = whole.rename_column("x", "y").select(rows)
    assert [item[ID] for item in hs.indexed(part)] == [item["y"] for item in part] == list(rows)
    again = hs.indexed(part.skip(1))
    assert [item[ID] for item in again] == list(rows[1:])


@pytest.mark.parametrize("rows", [range(20, 30), range(12, 16), range(5, 30)])
def test_slices_of_joined_files_and_tables_are_refused(tmp_path, rows):
    whole = read_from_files(tmp_path / "data", 2)
    assert [item[ID] for item in hs.indexed(whole)] == list(range(30))
    with pytest.raises(hs.InputError, match="does not tell which rows"):
        hs.indexed(whole.select(rows))


def test_a_slice_of_tables_joined_in_memory_is_refused():
    whole = datasets.concatenate_datasets([make_hugging_face(), make_hugging_face().add_column("y", list(range(11)))])
    assert [item[ID] for item in hs.indexed(whole)] == list(range(22))
    with pytest.raises(hs.InputError, match="does not tell which rows"):
        hs.indexed(whole.select(range(13, 16)))
