"""Running columns with one row per sample, which grow as samples come."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from hardsight.measures.measure import Column, Stream
from hardsight.measures.reductions import Accumulator
from hardsight.measures.running import State
from hardsight.measures.statistics import Statistic, View

STREAMS: tuple[Stream, ...] = ("training", "held-out", "second split")
# Rows that are allocated at least.
_MIN_ROWS = 1024
# Rows that are collected before the columns are updated: many small batches cost little more than one large one.
_FLUSH_ROWS = 4096
_NEVER = np.iinfo(np.int64)


class Group:
    """Statistics with the same accumulator and inputs, stored side by side and updated at once.

    A vector (features, probabilities) is a group of its own.
    """

    def __init__(self, accumulator: Accumulator, statistics: tuple[Statistic, ...]) -> None:
        self.accumulator, self.statistics = accumulator, statistics
        self.needs, self.vector = statistics[0].needs, statistics[0].vector
        self.name = ":".join((accumulator.name, *((statistics[0].name,) if self.vector else self.needs)))
        self.state: State = {}

    def compute(self, view: View) -> Tensor:
        """Return the statistics of a view, ``(row, value)``."""
        values = [statistic.compute(view) for statistic in self.statistics]
        return values[0] if self.vector else torch.stack(values, 1)

    def add(self, rows: Int64[Tensor, " row"], view: View) -> None:
        """Add a view of the samples at these rows, each once."""
        values = self.compute(view)
        self.reserve(int(rows.max()) + 1, values)
        state = {name: column.index_select(0, rows) for name, column in self.state.items()}
        self.write(rows, self.accumulator.add(state, values))

    def write(self, rows: Int64[Tensor, " row"], state: State) -> None:
        """Replace the columns of the samples at these rows."""
        for name, column in state.items():
            self.state[name].index_copy_(0, rows, column.to(self.state[name].dtype))

    def reserve(self, rows: int, like: Tensor) -> None:
        """Allocate rows for so many samples.

        Args:
            rows: number of samples.
            like: a batch of values, for their shape and dtype.
        """
        allocated = len(self.state["count"]) if self.state else 0
        if rows > allocated:
            more = self.accumulator.start(max(rows - allocated, allocated, _MIN_ROWS), like)
            self.state = {name: torch.cat([self.state[name], new]) if allocated else new for name, new in more.items()}

    def read(self, rows: Int64[Tensor, " row"]) -> State:
        """Return the columns of the samples at these rows; rows that are not allocated yet have no view."""
        self.reserve(int(rows.max()) + 1 if len(rows) else 0, self.like)
        return {name: column.index_select(0, rows) for name, column in self.state.items()}

    def read_statistic(self, statistic: Statistic, rows: Int64[Tensor, " row"]) -> State:
        """Return the columns of one statistic, as its reduction reads them."""
        state = self.read(rows)
        if self.vector:
            return state
        number = self.statistics.index(statistic)
        return {name: values if name == "count" else values[:, number] for name, values in state.items()}

    @property
    def like(self) -> Tensor:
        """An empty batch of its values."""
        return next(values for name, values in self.state.items() if name != "count")[:0]


class Views:
    """The views of one stream: which views of which samples were seen, and their columns.

    Batches of a view are collected until they are worth an update.
    """

    def __init__(self, columns: Iterable[Column]) -> None:
        self.numbers: set[int] = set()
        self.seen: State = {}
        self.groups = [Group(accumulator, statistics) for accumulator, statistics in _group(columns)]
        self._pending: list[tuple[Int64[Tensor, " row"], View]] = []
        self._pending_number: int | None = None

    def __bool__(self) -> bool:
        return bool(self.numbers)

    def reserve(self, rows: int) -> None:
        """Allocate rows for so many samples."""
        allocated = len(self.seen["last"]) if self.seen else 0
        if rows > allocated:
            more = max(rows - allocated, allocated, _MIN_ROWS)
            new = {"first": torch.full((more,), _NEVER.max), "last": torch.full((more,), _NEVER.min)}
            self.seen = {name: torch.cat([self.seen[name], part]) if allocated else part for name, part in new.items()}

    def first(self, rows: np.ndarray) -> np.ndarray:
        """Return the first view of the samples at these rows; the largest integer if there is none. -1 is no row."""
        return self._view_number("first", rows, _NEVER.max)

    def last(self, rows: np.ndarray) -> np.ndarray:
        """Return the last view of the samples at these rows; the smallest integer if there is none. -1 is no row."""
        return self._view_number("last", rows, _NEVER.min)

    def _view_number(self, name: str, rows: np.ndarray, never: int) -> np.ndarray:
        if not self.seen:
            return np.full(len(rows), never)
        column = self.seen[name].numpy()
        known = (rows >= 0) & (rows < len(column))
        if known.all():
            numbers: np.ndarray = column[rows]
            return numbers
        return np.where(known, column[np.where(known, rows, 0)], never)

    def add(self, number: int, rows: Int64[Tensor, " row"], view: View) -> None:
        """Add a view of the samples at these rows, each once; the caller must not change its tensors afterwards."""
        self.reserve(int(rows.max()) + 1)
        self.numbers.add(number)
        first = self.seen["first"].index_select(0, rows).clamp(max=number)
        self.seen["first"].index_copy_(0, rows, first)
        self.seen["last"].index_fill_(0, rows, number)
        if self._pending and (number != self._pending_number or view.optional_inputs != self._pending[0][1].optional_inputs):
            self.flush()
        self._pending_number = number
        self._pending.append((rows, view))
        if sum(len(pending_rows) for pending_rows, _ in self._pending) >= _FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Bring the columns up to date."""
        if not self._pending:
            return
        rows = torch.cat([rows for rows, _ in self._pending])
        view = View.concatenate([view for _, view in self._pending])
        self._pending = []
        for group in self.groups:
            if set(group.needs) <= view.optional_inputs:
                group.add(rows, view)

    def merge(self, other: "Views", rows: Int64[Tensor, " row"], other_rows: Int64[Tensor, " row"]) -> None:
        """Add the views of ``other`` at ``other_rows``, of samples that are here at ``rows``."""
        if not len(rows):
            return
        self.flush()
        other.flush()
        self.reserve(int(rows.max()) + 1)
        later = self.seen["first"][rows] > other.seen["first"][other_rows]
        self.numbers |= other.numbers
        self.seen["first"][rows] = torch.minimum(self.seen["first"][rows], other.seen["first"][other_rows])
        self.seen["last"][rows] = torch.maximum(self.seen["last"][rows], other.seen["last"][other_rows])
        for group, other_group in zip(self.groups, other.groups, strict=True):
            if other_group.state:
                group.reserve(int(rows.max()) + 1, other_group.like)
                mine, theirs = group.read(rows), other_group.read(other_rows)
                merged = group.accumulator.merge(_where(later, theirs, mine), _where(later, mine, theirs))
                group.write(rows, merged)

    def group(self, column: Column) -> Group:
        """Return the group that holds a column, up to date."""
        self.flush()
        return next(
            group
            for group in self.groups
            if group.accumulator.name == column.accumulator.name and column.statistic in group.statistics
        )

    @property
    def ordered(self) -> bool:
        """Whether any column depends on the order of the views."""
        self.flush()
        return any(group.accumulator.ordered and group.state for group in self.groups)


def _where(mask: Bool[Tensor, " row"], yes: State, no: State) -> State:
    return {name: torch.where(mask.view(-1, *(1,) * (no[name].ndim - 1)), yes[name], no[name]) for name in no}


def _group(columns: Iterable[Column]) -> Iterator[tuple[Accumulator, tuple[Statistic, ...]]]:
    groups: dict[tuple[str, ...], tuple[Accumulator, dict[str, Statistic]]] = {}
    for statistic, accumulator, _ in columns:
        vector_key, key = (accumulator.name, statistic.name, "vector"), (accumulator.name, *statistic.needs)
        groups.setdefault(vector_key if statistic.vector else key, (accumulator, {}))[1][statistic.name] = statistic
    for accumulator, statistics in groups.values():
        yield accumulator, tuple(statistics.values())
