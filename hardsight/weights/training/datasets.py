"""Ids that travel with the samples of any map-style data set, through loaders, workers, subsets and collators."""

from collections import namedtuple
from collections.abc import Callable, Mapping, MutableMapping
from functools import cache
from operator import index
from typing import Any

import torch
from torch.utils.data import Dataset, IterableDataset, default_collate

from hardsight.errors import InputError
from hardsight.weights.training.id_index import IdIndex, as_ids

ID = "hs_id"
"""The key of a sample's id in items and batches that are dictionaries."""


class IndexedDataset(Dataset):
    """A data set whose items bring their ids.

    Attributes:
        dataset: the data set itself.
        ids: of its samples, ``(sample,)`` int64; None where they are 0, 1, … in their order.
    """

    def __init__(self, dataset: Any, ids: Any = None) -> None:
        if isinstance(dataset, IterableDataset) or not (
            hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
        ):
            raise InputError(
                f"{type(dataset).__name__} has no positions to number: let it yield each sample's own id, (x, y, id), "
                "or use a data set with __getitem__ and __len__"
            )
        self.dataset = dataset
        self.ids: torch.Tensor | None = None
        if ids is not None:
            self.ids = as_ids(ids).cpu()
            if len(self.ids) != len(dataset):
                raise InputError(f"there are {len(self.ids)} ids and {len(dataset)} samples: one each")
            IdIndex(ids=self.ids)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: Any) -> Any:
        at = index(position)
        if at < 0:
            at += len(self)
        return append_id(self.dataset[at], self._id(at))

    def __getitems__(self, positions: list[Any]) -> list[Any]:
        """Several items at once, as the data set gives them at once where it can."""
        at = [index(position) for position in positions]
        many = getattr(self.dataset, "__getitems__", None)
        items = many(at) if many else [self.dataset[position] for position in at]
        return [append_id(item, self._id(position)) for item, position in zip(items, at, strict=True)]

    def _id(self, position: int) -> int:
        return position if self.ids is None else int(self.ids[position])


def indexed(dataset: Any, ids: Any = None) -> IndexedDataset:
    """The data set with each sample's id in its items: last in a tuple, under "hs_id" in a dictionary.

    An item that is neither becomes ``(item, id)``. A ``Subset`` of the result keeps the ids of the whole.

    Args:
        dataset: map-style: of tuples, tensors or dictionaries, such as those of Hugging Face.
        ids: whole numbers, ``(sample,)``; 0, 1, … where not given.

    Raises:
        InputError: an iterable data set, ids that are not distinct whole numbers or not one each, or, when an item is read,
            a dictionary with that key.

    >>> indexed([("a", 0), ("b", 1)])[1]
    ('b', 1, 1)
    """
    return IndexedDataset(dataset, ids)


def append_id(item: Any, number: int) -> Any:
    """The item, and its id where its kind has room for it."""
    if isinstance(item, Mapping):
        if ID in item:
            raise InputError(f"the items have a key {ID!r} already: index a data set once")
        return {**item, ID: number}
    if isinstance(item, tuple):
        return _extend_namedtuple(type(item))(*item, number) if hasattr(item, "_fields") else (*item, number)
    return [*item, number] if isinstance(item, list) else (item, number)


@cache
def _extend_namedtuple(kind: Any) -> Any:
    wider = namedtuple(kind.__name__, (*kind._fields, ID))  # type: ignore[misc]

    def reduced(self: Any) -> Any:
        # The kind is made here, so that other processes find it by the one that it was made of.
        return _rebuild, (kind, tuple(self))

    return type(kind.__name__, (wider,), {"__slots__": (), "__reduce__": reduced})


def _rebuild(kind: Any, values: tuple[Any, ...]) -> Any:
    return _extend_namedtuple(kind)(*values)


class IdCollator:
    """Makes a batch by another collator, which sees no ids, and adds them."""

    def __init__(self, base: Callable[[list[Any]], Any]) -> None:
        self.base = base

    def __call__(self, items: list[Any]) -> Any:
        """The batch of another collator, with the ids: last in a tuple or list, under "hs_id" in a dictionary."""
        if isinstance(items[0], Mapping):
            if ID not in items[0]:
                raise InputError(
                    f"the items have no {ID!r}: wrap the data set in hs.indexed; a Hugging Face Trainer drops the key "
                    "unless remove_unused_columns=False"
                )
            batch = self.base([{key: value for key, value in item.items() if key != ID} for item in items])
            ids = torch.tensor([item[ID] for item in items], dtype=torch.int64)
        elif isinstance(items[0], (tuple, list)):
            batch = self.base([item[:-1] for item in items])
            ids = as_ids([item[-1] for item in items])
        else:
            raise InputError(f"the items are {type(items[0]).__name__}, without ids: wrap the data set in hs.indexed")
        if isinstance(batch, MutableMapping):
            batch[ID] = ids
            return batch
        return (*batch, ids) if isinstance(batch, (tuple, list)) else (batch, ids)


def collate(base: Callable[[list[Any]], Any] = default_collate) -> IdCollator:
    """A collator that keeps the ids of :func:`indexed` items, whatever ``base`` does with what it does not know.

    Args:
        base: what makes a batch of items without ids, such as a tokenizer's padding.

    Returns:
        A collator; its batches have the ids as int64 ``(sample,)``, under "hs_id" or last. It raises InputError where items
        have none.

    >>> collate()([{"x": 1.5, "hs_id": 7}, {"x": 2.5, "hs_id": 3}])["hs_id"]
    tensor([7, 3])
    """
    return IdCollator(base)
