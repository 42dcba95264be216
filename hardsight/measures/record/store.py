"""Store of a record: ids, labels and running columns."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.measures.measure import Column, Measure, Stream
from hardsight.measures.record.batch import Batch
from hardsight.measures.record.columns import STREAMS, Views
from hardsight.measures.record.id_index import IdIndex, Kind, format_id


class Store:
    """Ids, labels and running columns of a record.

    Attributes:
        index: rows by id.
        labels: class codes by row; there may be more rows than ids.
        classes: number of classes; None before the first batch.
        widths: values per sample of the features and input gradients seen so far.
        views: the views of each stream.
    """

    def __init__(self, measures: Iterable[Measure]) -> None:
        columns = [column for measure in measures for column in measure.score.columns]
        self.index = IdIndex()
        self.labels = torch.zeros(0, dtype=torch.int64)
        self.classes: int | None = None
        self.widths: dict[str, int] = {}
        self.views = {stream: Views(_columns_of(columns, stream)) for stream in STREAMS}

    def __len__(self) -> int:
        return len(self.index)

    def add(self, stream: Stream, number: int, batch: Batch, rows: np.ndarray, kind: Kind) -> None:
        """Add a checked batch of distinct samples whose rows are known, or -1."""
        positions = torch.from_numpy(self.index.insert(batch.ids, rows, kind))
        self.classes = batch.view.logits.shape[1]
        self.widths |= batch.widths()
        self.set_labels(positions, batch.view.labels)
        self.views[stream].add(number, positions, batch.view)

    def set_labels(self, rows: Tensor, labels: Tensor) -> None:
        """Set the labels of rows, allocating them if necessary."""
        missing = int(rows.max()) + 1 - len(self.labels)
        if missing > 0:
            more = torch.zeros(max(missing, len(self.labels)), dtype=torch.int64)
            self.labels = torch.cat([self.labels, more])
        self.labels[rows] = labels

    def check_labels(self, ids: np.ndarray, rows: np.ndarray, labels: Tensor) -> None:
        """Check that samples have the labels that they had before.

        Raises:
            InputError: a label has changed.
        """
        if not len(self.labels):
            return
        new, old = labels.numpy(), self.labels.numpy()[rows]
        changed = np.flatnonzero((rows >= 0) & (old != new))
        if len(changed):
            first = changed[0]
            raise InputError(
                f"id {format_id(ids, first)} has the label {new[first]} and had {old[first]} before: an id must always name "
                "the same sample; start a new Record for other labels"
            )

    def check_shapes(self, batch: Batch) -> None:
        """Check that a batch has the classes and widths of earlier ones.

        Raises:
            InputError: it has not.
        """
        classes = batch.view.logits.shape[1]
        if self.classes not in (None, classes):
            raise InputError(f"logits have {classes} classes, so far they had {self.classes}: give all classes every time")
        for name, width in batch.widths().items():
            if self.widths.get(name, width) != width:
                raise InputError(f"{name} have {width} values per sample, so far they had {self.widths[name]}")


def _columns_of(columns: list[Column], stream: Stream) -> list[Column]:
    any_stream = stream != "second split"
    return [column for column in columns if column.stream == stream or (column.stream is None and any_stream)]
