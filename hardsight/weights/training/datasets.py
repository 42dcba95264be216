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
    """A data set whose items carry their ids.

    Attributes:
        dataset: the data set itself.
        ids: ids of its samples, ``(sample,)`` int64; None if they are 0, 1, … in order.
    """

    def __init__(self, dataset: Any, ids: Any = None) -> None:
        if isinstance(dataset, IterableDataset) or not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise InputError(
                f"{type(dataset).__name__} has no positions to number: let it yield the id of each sample, (x, y, id), "
                "or use a data set with __getitem__ and __len__"
            )
        self.dataset = dataset
        self.ids: torch.Tensor | None = None
        if ids is not None:
            self.ids = as_ids(ids).cpu()
            if len(self.ids) != len(dataset):
                raise InputError(f"there are {len(self.ids)} ids and {len(dataset)} samples: pass one id per sample")
            IdIndex(ids=self.ids)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: Any) -> Any:
        number = index(position)
        if number < 0:
            number += len(self)
        return append_id(self.dataset[number], self._find_id(number))

    def __getitems__(self, positions: list[Any]) -> list[Any]:
        """Return several items at once, read at once if the data set can do so."""
        numbers = [index(position) for position in positions]
        get_many = getattr(self.dataset, "__getitems__", None)
        items = get_many(numbers) if get_many else [self.dataset[number] for number in numbers]
        return [append_id(item, self._find_id(number)) for item, number in zip(items, numbers, strict=True)]

    def _find_id(self, position: int) -> int:
        return position if self.ids is None else int(self.ids[position])


def indexed(dataset: Any, ids: Any = None) -> IndexedDataset:
    """Return the data set with each sample's id in its items: last in a tuple, under "hs_id" in a dictionary.

    An item that is neither becomes ``(item, id)``. A ``Subset`` of the result keeps the ids of the whole.

    Args:
        dataset: map-style data set of tuples, tensors or dictionaries, such as those of Hugging Face.
        ids: integers, ``(sample,)``; 0, 1, … by default.

    Raises:
        InputError: the data set is iterable, the ids are not distinct integers or not one per sample, or, when an item
            is read, the item is a dictionary that has this key already.

    >>> indexed([("a", 0), ("b", 1)])[1]
    ('b', 1, 1)
    """
    return IndexedDataset(dataset, ids)


def append_id(item: Any, number: int) -> Any:
    """Return the item with its id, in the form that suits the type of the item."""
    if isinstance(item, Mapping):
        if ID in item:
            raise InputError(f"the items have a key {ID!r} already: index a data set only once")
        return {**item, ID: number}
    if isinstance(item, tuple):
        return _extend_namedtuple(type(item))(*item, number) if hasattr(item, "_fields") else (*item, number)
    return [*item, number] if isinstance(item, list) else (item, number)


@cache
def _extend_namedtuple(kind: Any) -> Any:
    extended = namedtuple(kind.__name__, (*kind._fields, ID))  # type: ignore[misc]

    def reduce(self: Any) -> Any:
        # Other processes cannot import a type that is created here, so they create it again from the original type.
        return _rebuild, (kind, tuple(self))

    return type(kind.__name__, (extended,), {"__slots__": (), "__reduce__": reduce})


def _rebuild(kind: Any, values: tuple[Any, ...]) -> Any:
    return _extend_namedtuple(kind)(*values)


class IdCollator:
    """A collator that lets another one make the batch without ids, and then adds them."""

    def __init__(self, base: Callable[[list[Any]], Any]) -> None:
        self.base = base

    def __call__(self, items: list[Any]) -> Any:
        """Return the other collator's batch with the ids: last in a tuple or list, under "hs_id" in a dictionary."""
        if isinstance(items[0], Mapping):
            if ID not in items[0]:
                raise InputError(
                    f"the items have no {ID!r}: wrap the data set in hs.indexed; a Hugging Face Trainer drops the key "
                    "unless remove_unused_columns=False"
                )
            batch = self.base([{key: value for key, value in item.items() if key != ID} for item in items])
            # A packed row has a list of ids, one for each of its sequences.
            ids = torch.cat([torch.as_tensor(item[ID], dtype=torch.int64).reshape(-1) for item in items])
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
    """Return a collator that keeps the ids of :func:`indexed` items, whatever ``base`` does with unknown keys.

    Args:
        base: collator for items without ids, such as a tokenizer's padding.

    Returns:
        A collator whose batches have the ids as int64 ``(sample,)``, under "hs_id" or last. It raises InputError if the
        items have none.

    >>> collate()([{"x": 1.5, "hs_id": 7}, {"x": 2.5, "hs_id": 3}])["hs_id"]
    tensor([7, 3])
    """
    return IdCollator(base)
