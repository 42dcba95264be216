"""Ids that travel with the samples of any map-style data set, through loaders, workers, subsets and collators."""

from collections import namedtuple
from collections.abc import Callable, Mapping, MutableMapping
from functools import cache
from operator import index
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, default_collate

from hardsight.data.from_datasets import is_hugging_face
from hardsight.errors import InputError
from hardsight.validation import join_names
from hardsight.weights.training.id_index import IdIndex, as_ids
from hardsight.weights.training.subset_rows import find_subset_rows, is_reordered

ID = "hs_id"
"""The key of a sample's id in items and batches that are dictionaries."""


class IndexedDataset(Dataset):
    """A data set whose items carry their ids.

    Attributes:
        dataset: the data set itself.
        ids: ids of its samples, ``(sample,)`` int64; None if they are 0, 1, … in order, because nothing else is known.
    """

    def __init__(self, dataset: Any, ids: Any = None) -> None:
        if isinstance(dataset, IterableDataset) or not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise InputError(
                f"{type(dataset).__name__} has no positions to number: let it yield the id of each sample, "
                f"(x, y, id) or {{…, {ID!r}: id}}, or use a data set with __getitem__ and __len__"
            )
        if isinstance(dataset, Mapping):
            raise InputError(f"dataset holds {len(dataset)} data sets by name ({join_names(dataset)}): pass one of them")
        if isinstance(dataset, pd.DataFrame | pd.Series):
            raise InputError(
                f"dataset is a {type(dataset).__name__}, whose items are found by its index and not by their position: pass "
                + ("dataset.tolist()" if isinstance(dataset, pd.Series) else "dataset.to_dict('records')")
            )
        if has_ids(dataset):
            raise InputError(
                "the items of this data set carry ids already: index a data set only once, the whole or its parts"
            )
        self.dataset = dataset
        self.ids: torch.Tensor | None = _number_rows(dataset) if ids is None else as_ids(ids).cpu()
        if self.ids is not None:
            if len(self.ids) != len(dataset):
                raise InputError(f"there are {len(self.ids)} ids and {len(dataset)} samples: pass one id per sample")
            IdIndex(ids=self.ids)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: Any) -> Any:
        try:
            number = index(position)
        except TypeError:
            raise InputError(
                f"the samples of hs.indexed are read one by one, by an integer. Got {type(position).__name__}: give "
                "DataLoader the sampler of batches as batch_sampler=, or select a Subset"
            ) from None
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
        ids: integers, ``(sample,)``. By default the row of each sample in the whole data set: 0, 1, … or, for a ``Subset``
            or a selection of a Hugging Face data set, the rows that it has of the whole.

    Raises:
        InputError: the data set is iterable, or has ids already; the ids are not distinct integers or not one per sample;
            the data set is the whole in another order, so that the ids could be those of either; or, when an item is
            read, the item is a dictionary that has this key already.

    >>> indexed([("a", 0), ("b", 1)])[1]
    ('b', 1, 1)
    """
    return IndexedDataset(dataset, ids)


def has_ids(dataset: Any) -> bool:
    """Return whether items of a data set carry ids, as far as the data set tells."""
    if isinstance(dataset, Subset):
        return has_ids(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        return any(map(has_ids, dataset.datasets))
    return isinstance(dataset, IndexedDataset) or (is_hugging_face(dataset) and ID in (dataset.column_names or ()))


def find_ids(dataset: Any) -> torch.Tensor:
    """Return the ids that the items of a data set carry. ``(sample,)`` int64

    Raises:
        InputError: the data set does not tell, or the ids are not integers.
    """
    if isinstance(dataset, IndexedDataset):
        return torch.arange(len(dataset)) if dataset.ids is None else dataset.ids
    if isinstance(dataset, Subset):
        return find_ids(dataset.dataset)[torch.as_tensor(np.asarray(dataset.indices, dtype=np.int64))]
    if isinstance(dataset, ConcatDataset):
        return torch.cat([find_ids(part) for part in dataset.datasets])
    if has_ids(dataset):
        return torch.cat([as_ids(np.atleast_1d(ids)) for ids in dataset.with_format(None)[ID]])
    advice = "the data set of the loader, loader.dataset" if isinstance(dataset, DataLoader) else "hs.indexed(dataset)"
    raise InputError(f"{type(dataset).__name__} does not tell the ids of its items: pass {advice}")


def _number_rows(dataset: Any) -> torch.Tensor | None:
    """Return the rows of a subset in its whole, ``(sample,)``; None for a data set that is no subset."""
    _, rows, size = find_subset_rows(dataset)
    if len(rows) == size and np.array_equal(rows, np.arange(size)):
        return None
    if is_reordered(rows):
        raise InputError(
            f"this data set has rows 0 to {len(rows) - 1} of another one in another order: pass ids= to say whose order the "
            "weights have, hs.indexed(dataset, ids=range(len(dataset))) for its own"
        )
    if len(np.unique(rows)) < len(rows):
        raise InputError(
            "this data set has some rows of another one twice: pass hs.indexed(dataset, ids=range(len(dataset))) to count "
            "each copy as a sample of its own"
        )
    return torch.from_numpy(rows)


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
                    f"the items have no {ID!r}: pass hs.indexed(dataset) as the training set; a plain Trainer of "
                    "transformers drops the key unless remove_unused_columns=False"
                )
            batch = self.base([{key: value for key, value in item.items() if key != ID} for item in items])
            # A packed row has a list of ids, one for each of its sequences.
            ids = torch.cat([as_ids(np.atleast_1d(item[ID])) for item in items])
        elif isinstance(items[0], (tuple, list)):
            batch = self.base([item[:-1] for item in items])
            ids = as_ids([item[-1] for item in items])
        else:
            raise InputError(f"the items are {type(items[0]).__name__}, without ids: pass hs.indexed(dataset) to the loader")
        if isinstance(batch, MutableMapping):
            batch[ID] = ids
            return batch
        return (*batch, ids) if isinstance(batch, (tuple, list)) else (batch, ids)


def collate(base: Callable[[list[Any]], Any] = default_collate) -> IdCollator:
    """Return a collator that keeps the ids of :func:`hardsight.indexed` items, whatever ``base`` does with unknown keys.

    Args:
        base: collator for items without ids, such as a tokenizer's padding.

    Returns:
        A collator whose batches have the ids as int64 ``(sample,)``, under "hs_id" or last. It raises InputError if the
        items have none.

    >>> collate()([{"x": 1.5, "hs_id": 7}, {"x": 2.5, "hs_id": 3}])["hs_id"]
    tensor([7, 3])
    """
    return IdCollator(base)
