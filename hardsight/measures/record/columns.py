"""Running columns, one row a sample, that grow as samples come."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from hardsight.measures.measure import Column, Stream
from hardsight.measures.reductions import Accumulator, State
from hardsight.measures.statistics import Statistic, View

STREAMS: tuple[Stream, ...] = ("training", "held-out", "second split")
_FEWEST = 1024
_ROUND = 4096
_NEVER = np.iinfo(np.int64)


class Group:
    """Statistics that share a fold and what they need, so that they are held side by side and updated at once.

    A vector (features, probabilities) is a group of its own.
    """

    def __init__(self, fold: Accumulator, statistics: tuple[Statistic, ...]) -> None:
        self.fold, self.statistics = fold, statistics
        self.needs, self.vector = statistics[0].needs, statistics[0].vector
        self.name = ":".join((fold.name, *((statistics[0].name,) if self.vector else self.needs)))
        self.state: State = {}

    def add(self, rows: Int64[Tensor, " row"], view: View) -> None:
        """Take in a view of the samples at these rows, each once."""
        values = [statistic.of(view) for statistic in self.statistics]
        value = values[0] if self.vector else torch.stack(values, 1)
        self.reach(int(rows.max()) + 1, value)
        held = {name: column.index_select(0, rows) for name, column in self.state.items()}
        self.put(rows, self.fold.add(held, value))

    def put(self, rows: Int64[Tensor, " row"], state: State) -> None:
        """Replace what is held of the samples at these rows."""
        for name, column in state.items():
            self.state[name].index_copy_(0, rows, column.to(self.state[name].dtype))

    def reach(self, rows: int, like: Tensor) -> None:
        """Make room for so many samples."""
        held = len(self.state["count"]) if self.state else 0
        if rows > held:
            more = self.fold.start(max(rows - held, held, _FEWEST), like)
            self.state = {name: torch.cat([self.state[name], new]) if held else new for name, new in more.items()}

    def at(self, rows: Int64[Tensor, " row"]) -> State:
        """What is held of the samples at these rows; rows not reached yet hold no view."""
        self.reach(int(rows.max()) + 1 if len(rows) else 0, self.like)
        return {name: column.index_select(0, rows) for name, column in self.state.items()}

    def of(self, statistic: Statistic, rows: Int64[Tensor, " row"]) -> State:
        """The columns of one statistic, as its reduction reads them."""
        held = self.at(rows)
        if self.vector:
            return held
        column = self.statistics.index(statistic)
        return {name: values if name == "count" else values[:, column] for name, values in held.items()}

    @property
    def like(self) -> Tensor:
        """An empty batch of the values that it holds."""
        return next(values for name, values in self.state.items() if name != "count")[:0]


class Views:
    """What has been seen in one stream: which views of which samples, and their columns.

    Batches of a view are gathered until they are worth a round of updates: small ones cost little more than large ones.
    """

    def __init__(self, columns: Iterable[Column]) -> None:
        self.numbers: set[int] = set()
        self.seen: State = {}
        self.groups = [Group(fold, statistics) for fold, statistics in _grouped(columns)]
        self._waiting: list[tuple[Int64[Tensor, " row"], View]] = []
        self._view: int | None = None

    def __bool__(self) -> bool:
        return bool(self.numbers)

    def reach(self, rows: int) -> None:
        """Make room for so many samples."""
        held = len(self.seen["last"]) if self.seen else 0
        if rows > held:
            more = max(rows - held, held, _FEWEST)
            new = {"first": torch.full((more,), _NEVER.max), "last": torch.full((more,), _NEVER.min)}
            self.seen = {name: torch.cat([self.seen[name], part]) if held else part for name, part in new.items()}

    def first(self, rows: np.ndarray) -> np.ndarray:
        """First view of the samples at these rows; the largest integer where there is none. -1 is no row."""
        return self._number("first", rows, _NEVER.max)

    def last(self, rows: np.ndarray) -> np.ndarray:
        """Last view of the samples at these rows; the smallest integer where there is none. -1 is no row."""
        return self._number("last", rows, _NEVER.min)

    def _number(self, name: str, rows: np.ndarray, never: int) -> np.ndarray:
        if not self.seen:
            return np.full(len(rows), never)
        held = self.seen[name].numpy()
        known = (rows >= 0) & (rows < len(held))
        if known.all():
            found: np.ndarray = held[rows]
            return found
        return np.where(known, held[np.where(known, rows, 0)], never)

    def add(self, number: int, rows: Int64[Tensor, " row"], view: View) -> None:
        """Take in a view of the samples at these rows, each once; its tensors are this object's own from now on."""
        self.reach(int(rows.max()) + 1)
        self.numbers.add(number)
        first = self.seen["first"].index_select(0, rows).clamp(max=number)
        self.seen["first"].index_copy_(0, rows, first)
        self.seen["last"].index_fill_(0, rows, number)
        if self._waiting and (number != self._view or view.given != self._waiting[0][1].given):
            self.flush()
        self._view = number
        self._waiting.append((rows, view))
        if sum(len(each) for each, _ in self._waiting) >= _ROUND:
            self.flush()

    def flush(self) -> None:
        """Bring the columns up to date."""
        if not self._waiting:
            return
        rows = torch.cat([rows for rows, _ in self._waiting])
        view = View.joined([view for _, view in self._waiting])
        self._waiting = []
        for group in self.groups:
            if set(group.needs) <= view.given:
                group.add(rows, view)

    def merge(self, other: "Views", rows: Int64[Tensor, " row"], theirs: Int64[Tensor, " row"]) -> None:
        """Take in what ``other`` holds at the rows ``theirs`` of samples that stand here at ``rows``."""
        if not len(rows):
            return
        self.flush()
        other.flush()
        self.reach(int(rows.max()) + 1)
        later = self.seen["first"][rows] > other.seen["first"][theirs]
        self.numbers |= other.numbers
        self.seen["first"][rows] = torch.minimum(self.seen["first"][rows], other.seen["first"][theirs])
        self.seen["last"][rows] = torch.maximum(self.seen["last"][rows], other.seen["last"][theirs])
        for mine, given in zip(self.groups, other.groups, strict=True):
            if given.state:
                mine.reach(int(rows.max()) + 1, given.like)
                here, there = mine.at(rows), given.at(theirs)
                mine.put(rows, mine.fold.merge(_chosen(later, there, here), _chosen(later, here, there)))

    def group(self, column: Column) -> Group:
        """The group that holds a column, up to date."""
        self.flush()
        return next(g for g in self.groups if g.fold.name == column.fold.name and column.statistic in g.statistics)

    @property
    def ordered(self) -> bool:
        """Whether anything held depends on the order of the views."""
        self.flush()
        return any(group.fold.ordered and group.state for group in self.groups)


def _chosen(mask: Bool[Tensor, " row"], yes: State, no: State) -> State:
    return {name: torch.where(mask.view(-1, *(1,) * (no[name].ndim - 1)), yes[name], no[name]) for name in no}


def _grouped(columns: Iterable[Column]) -> Iterator[tuple[Accumulator, tuple[Statistic, ...]]]:
    found: dict[tuple[str, ...], tuple[Accumulator, dict[str, Statistic]]] = {}
    for statistic, fold, _ in columns:
        key = (fold.name, statistic.name, "vector") if statistic.vector else (fold.name, *statistic.needs)
        found.setdefault(key, (fold, {}))[1][statistic.name] = statistic
    for fold, statistics in found.values():
        yield fold, tuple(statistics.values())
