"""Merging of records: other samples, other views, or both."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.measures.measure import Stream
from hardsight.measures.record.columns import STREAMS
from hardsight.measures.record.id_index import format_id
from hardsight.measures.record.store import Store


def merge_stores(store: Store, other: Store, *, skip_repeated: bool) -> None:
    """Add the samples and views of another record of the same measures, all or nothing.

    Args:
        skip_repeated: skip samples that come in the same single view in both.

    Raises:
        InputError: the records differ in kinds of ids, classes, widths or labels; or views of a sample are interleaved where
            their order matters, or may be the same.
    """
    _check_alike(store, other)
    samples = _Samples.of(store, other)
    if not len(samples.ids):
        return
    labels = other.labels[: len(samples.ids)]
    store.check_labels(samples.ids, samples.rows, labels)
    other_rows = {stream: _rows_to_merge(store, other, stream, samples, skip_repeated) for stream in STREAMS}
    rows = torch.from_numpy(store.index.insert(samples.ids, samples.rows, other.index.kind or "int"))
    store.classes = other.classes
    store.widths |= other.widths
    store.set_labels(rows, labels)
    for stream, selected in other_rows.items():
        store.views[stream].merge(other.views[stream], rows[selected], selected)


class _Samples(NamedTuple):
    """The samples of the other record: their ids, and their rows here, -1 for new ones."""

    ids: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, store: Store, other: Store) -> "_Samples":
        return cls(other.index.ids, store.index.rows(other.index.ids))


def _check_alike(store: Store, other: Store) -> None:
    if None not in (store.classes, other.classes) and store.classes != other.classes:
        raise InputError(f"records of {store.classes} and of {other.classes} classes cannot be merged")
    for name in store.widths.keys() & other.widths.keys():
        if store.widths[name] != other.widths[name]:
            raise InputError(f"records with {name} of {store.widths[name]} and {other.widths[name]} values cannot be merged")
    if other.index.kind is not None:
        store.index.check_kind(other.index.kind)


def _rows_to_merge(store: Store, other: Store, stream: Stream, samples: _Samples, skip_repeated: bool) -> Tensor:
    """Return the rows of ``other`` whose views of a stream are to be added."""
    mine, theirs = store.views[stream], other.views[stream]
    if not theirs:
        return torch.zeros(0, dtype=torch.int64)
    other_rows = np.arange(len(samples.ids))
    first, last = theirs.first(other_rows), theirs.last(other_rows)
    my_first, my_last = mine.first(samples.rows), mine.last(samples.rows)
    selected = first <= last
    overlapping = selected & (first <= my_last) & (my_first <= last)
    if skip_repeated:
        repeated = overlapping & (first == last) & (first == my_last)
        selected, overlapping = selected & ~repeated, overlapping & ~repeated
    if overlapping.any() and (mine.ordered or theirs.ordered or mine.numbers & theirs.numbers):
        row = int(overlapping.argmax())
        raise InputError(
            f"views {my_first[row]} to {my_last[row]} of id {format_id(samples.ids, row)} here and {first[row]} to "
            f"{last[row]} there are interleaved, or the same: merge the records of workers after every view (a new Record "
            "each), so that their views follow one another"
        )
    return torch.from_numpy(np.flatnonzero(selected))
