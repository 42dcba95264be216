"""The record of a training loop: running columns by id, from which every measure is read."""

import json
from collections.abc import Iterable
from operator import index as whole_index
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.io import npz as archives
from hardsight.io.atomic import atomic_write
from hardsight.measures import MEASURES, Measure, unknown_measure
from hardsight.measures.measure import Column, Stream
from hardsight.measures.record.batch import Batch
from hardsight.measures.record.columns import STREAMS, Group, Views
from hardsight.measures.record.file import Saved
from hardsight.measures.record.id_index import IdIndex, format_id, parse_ids

SCHEMA = 1
_GIVE = {
    "features": "features=h, what the last linear layer reads, (batch, feature)",
    "input_gradients": "input_gradients=g, the gradient of the given label's logit in the inputs, (batch, …); "
    "hardsight.measures.input_gradients computes it",
    "rate": "rate=, the learning rate of the step",
}
_FLAG: dict[Stream, str] = {"training": "", "held-out": ", held_out=True", "second split": ", second_split=True"}


class Record:
    """Every classic measure of a sample's difficulty, from one line in your own loop.

    Samples are known by their ids and never by where they stand in a batch: the loader may shuffle, a view may come in any
    number of batches of any size, and records of several workers merge. Nothing but running columns is kept: memory does
    not grow with the views.

    Args:
        measures: names out of :data:`hardsight.MEASURES`, or rows of your own; None for all that the given inputs allow.
        repeated: what happens to a sample that comes a second time in the same view: ``"error"``, or ``"skip"`` it, as
            samplers need that pad a view to equal shares (torch's DistributedSampler).
        members: views are the members of an ensemble and not the epochs of one training: what depends on their order is
            left out, and records of different members merge in any order.

    Memory is about 150 bytes a sample and kind of view (training, held-out), plus ``8 classes`` bytes for ``agreement``
    and as many for the measures of the mean prediction (``bald``, ``normalized-margin``, ``confidence-weighted-entropy``),
    plus the features as given, plus ``16 inputs`` bytes for ``vog``. Name the measures that you want where that is too much.

    >>> record = Record(["forgetting", "aum"])
    >>> for epoch, logits in enumerate(([[2.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 3.0]])):
    ...     record.add(view=epoch, ids=["p", "q"], logits=torch.tensor(logits), labels=torch.tensor([0, 1]))
    >>> record.table
        forgetting  aum
    id
    p          1.0  0.0
    q          0.0 -2.0

    Raises:
        InputError: an unknown measure.
    """

    def __init__(
        self, measures: Iterable[str | Measure] | None = None, repeated: str = "error", members: bool = False
    ) -> None:
        if repeated not in ("error", "skip"):
            raise InputError(f'repeated must be "error" or "skip", got {repeated!r}')
        self.measures = _named(
            [m for m in MEASURES.values() if not (members and m.ordered)] if measures is None else measures
        )
        if members and self.ordered:
            raise InputError(
                f"members of an ensemble have no order, which {', '.join(self.ordered)} would need: leave them out"
            )
        self.repeated = repeated
        self.classes: int | None = None
        self._index = IdIndex()
        self._labels = torch.zeros(0, dtype=torch.int64)
        self._views = {stream: Views(self._columns(stream)) for stream in STREAMS}
        self._widths: dict[str, int] = {}
        self._like_probabilities: int | None = 0

    def _columns(self, stream: Stream) -> list[Column]:
        shared = stream != "second split"
        columns = (column for measure in self.measures.values() for column in measure.score.columns)
        return [c for c in columns if c.stream == stream or (c.stream is None and shared)]

    def __len__(self) -> int:
        return len(self._index)

    @property
    def ordered(self) -> list[str]:
        """Measures kept that depend on the order of the views."""
        return [name for name, measure in self.measures.items() if measure.ordered]

    @property
    def ids(self) -> np.ndarray:
        """All ids, ascending. int64 or str."""
        return self._sorted_ids(self._index.order())

    @property
    def labels(self) -> pd.Series:
        """Label code by id, ascending."""
        order = self._index.order()
        return pd.Series(self._labels.numpy()[order], index=self._by(order), name="label")

    def add(
        self,
        *,
        view: Any,
        ids: Any,
        logits: Any,
        labels: Any,
        held_out: bool = False,
        features: Any = None,
        input_gradients: Any = None,
        rate: Any = None,
        second_split: bool = False,
    ) -> None:
        """Take in one batch of one view, all or nothing. Tensors are detached and moved to the CPU.

        Args:
            view: number of the model state: the epoch, or the member of an ensemble. Of every sample, views come in
                ascending order; gaps are fine.
            ids: one a sample, whole numbers or strings, each once a view. ``(batch,)``
            logits: before the softmax, or log-probabilities. ``(batch, class)``, of any float type.
            labels: class codes from 0. ``(batch,)``
            held_out: the model was not trained on these samples.
            features: what the last linear layer reads. ``(batch, feature)``
            input_gradients: gradient of the given label's logit in the inputs. ``(batch, …)``
            rate: learning rate of the step; a number, or one a sample.
            second_split: training goes on with other samples by now (Maini et al. 2022).

        Raises:
            InputError: anything that cannot be recorded as given; names the id, and the mend.
        """
        names, kind = parse_ids(ids)
        self._index.alike(kind)
        stream = _stream(held_out, second_split)
        number = _number(view)
        batch = Batch.of(names, logits, labels, features, input_gradients, rate)
        if not len(names):
            return
        self._fits(batch)
        rows = self._index.rows(names)
        keep = self._fresh(stream, number, names, rows)
        if keep is not None:
            names, rows, batch = names[keep], rows[keep], batch.take(keep)
            if not len(names):
                return
        self._same_labels(names, rows, batch.view.labels)
        at = torch.from_numpy(self._index.insert(names, rows, kind))
        self.classes = batch.view.logits.shape[1]
        self._widths |= batch.widths()
        self._label(at, batch.view.labels)
        self._views[stream].add(number, at, batch.view)

    def _fits(self, batch: Batch) -> None:
        classes = batch.view.logits.shape[1]
        if self.classes not in (None, classes):
            raise InputError(
                f"logits have {classes} classes, so far they had {self.classes}: give all classes every time"
            )
        for part, width in batch.widths().items():
            if self._widths.get(part, width) != width:
                raise InputError(f"{part} have {width} values a sample, so far they had {self._widths[part]}")
        if self._like_probabilities is not None:
            self._like_probabilities = batch.like_probabilities(self._like_probabilities)

    def _fresh(self, stream: Stream, number: int, names: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
        """Positions that are new to this view, None for all of them."""
        last = self._views[stream].last(rows)
        again = last == number
        again |= _repeated(names)
        early = np.flatnonzero(last > number)
        if len(early):
            raise InputError(
                f"id {format_id(names, early[0])} comes in view {number} after its view {last[early[0]]}: add the views of a "
                "sample in ascending order, and begin a new Record for another training"
            )
        if not again.any():
            return None
        if self.repeated == "error":
            raise InputError(
                f"id {format_id(names, again.argmax())} comes twice in view {number}: give every sample once a view, count the "
                'view up, or pass hs.Record(repeated="skip") where a sampler pads its batches'
            )
        return np.flatnonzero(~again)

    def _same_labels(self, names: np.ndarray, rows: np.ndarray, labels: Tensor) -> None:
        if not len(self._labels):
            return
        given, held = labels.numpy(), self._labels.numpy()[rows]
        other = np.flatnonzero((rows >= 0) & (held != given))
        if len(other):
            at = other[0]
            raise InputError(
                f"id {format_id(names, at)} has the label {given[at]} and had {held[at]} before: an id must name one sample for "
                "good; begin a new Record for other labels"
            )

    def _label(self, rows: Tensor, labels: Tensor) -> None:
        missing = int(rows.max()) + 1 - len(self._labels)
        if missing > 0:
            more = torch.zeros(max(missing, len(self._labels)), dtype=torch.int64)
            self._labels = torch.cat([self._labels, more])
        self._labels[rows] = labels

    def merge(self, other: "Record") -> None:
        """Take in what another record holds: other samples, other views, or both. All or nothing.

        Raises:
            InputError: the records keep other measures, have other kinds of ids or other labels; or views of a sample are
                interleaved where their order matters, or may be the same.
        """
        self._mergeable(other)
        names = other._index.ids
        if not len(names):
            return
        rows = self._index.rows(names)
        labels = other._labels[: len(names)]
        self._same_labels(names, rows, labels)
        kept = {stream: self._placed(stream, other, names, rows) for stream in STREAMS}
        at = torch.from_numpy(self._index.insert(names, rows, other._index.kind or "int"))
        self.classes, self._widths = other.classes, self._widths | other._widths
        self._label(at, labels)
        for stream, theirs in kept.items():
            self._views[stream].merge(other._views[stream], at[theirs], theirs)

    def _mergeable(self, other: "Record") -> None:
        if list(self.measures) != list(other.measures):
            raise InputError(
                "records of different measures cannot be merged: make them with the same hs.Record(measures=…)"
            )
        if None not in (self.classes, other.classes) and self.classes != other.classes:
            raise InputError(f"records of {self.classes} and of {other.classes} classes cannot be merged")
        for part in self._widths.keys() & other._widths.keys():
            if self._widths[part] != other._widths[part]:
                raise InputError(
                    f"records with {part} of {self._widths[part]} and {other._widths[part]} values cannot be merged"
                )
        if other._index.kind is not None:
            self._index.alike(other._index.kind)

    def _placed(self, stream: Stream, other: "Record", names: np.ndarray, rows: np.ndarray) -> Tensor:
        """Rows of ``other`` whose views of this stream are to be taken in."""
        mine, theirs = self._views[stream], other._views[stream]
        if not theirs:
            return torch.zeros(0, dtype=torch.int64)
        everyone = np.arange(len(names))
        first, last = theirs.first(everyone), theirs.last(everyone)
        given = first <= last
        until = mine.last(rows)
        since = mine.first(rows)
        crossing = given & (first <= until) & (since <= last)
        if self.repeated == "skip":
            padded = crossing & (first == last) & (first == until)
            given, crossing = given & ~padded, crossing & ~padded
        if crossing.any() and (mine.ordered or theirs.ordered or mine.numbers & theirs.numbers):
            at = int(crossing.argmax())
            raise InputError(
                f"views {since[at]} to {until[at]} of id {format_id(names, at)} here and {first[at]} to {last[at]} there "
                "are interleaved, or the same: merge the records of workers after every view (a new Record each), so that "
                "stretches follow one another"
            )
        return torch.from_numpy(np.flatnonzero(given))

    def measure(self, name: str, held_out: bool | None = None) -> pd.Series:
        """One measure of every sample. Higher is harder.

        Args:
            name: a row of :data:`hardsight.MEASURES`.
            held_out: from held-out views (True) or from those of training (False), where the measure allows both. By
                default those of training, or the held-out ones where there are no others.

        Returns:
            float64 by id, ascending; NaN where a sample lacks the views that the measure needs.

        Raises:
            InputError: an unknown measure, one that this record does not keep, or one whose inputs were not given.
        """
        measure = self._known(name)
        groups = [self._source(measure, column, held_out) for column in measure.score.columns]
        order = self._index.order()
        rows = torch.from_numpy(order)
        states = [g.of(c.statistic, rows) for g, c in zip(groups, measure.score.columns, strict=True)]
        known = torch.stack([state["count"] >= measure.score.least for state in states]).all(0)
        if not known.any():
            raise InputError(
                f"no sample has what {name} needs, {measure.score.least} or more views of it ({measure.views}): add them "
                "with record.add"
            )
        values = torch.full((len(order),), torch.nan, dtype=torch.float64)
        labels = self._labels.index_select(0, rows)[known]
        values[known] = measure.score.finish(labels, *({n: c[known] for n, c in s.items()} for s in states))
        return pd.Series(values.numpy(), index=self._by(order), name=name)

    def _known(self, name: str) -> Measure:
        if name in self.measures:
            return self.measures[name]
        if name in MEASURES:
            raise InputError(f"this record does not keep what {name} needs: make it with hs.Record([…, {name!r}])")
        raise InputError(unknown_measure(name, self.measures))

    def _source(self, measure: Measure, column: Column, held_out: bool | None) -> Group:
        """The columns that a measure is to be read from."""
        if column.stream is not None:
            streams: tuple[Stream, ...] = (column.stream,)
            if held_out is not None and measure.views != ("held-out" if held_out else "training"):
                raise InputError(f"{measure.name} is read from {measure.views} views: leave held_out away")
        else:
            streams = {None: ("training", "held-out"), True: ("held-out",), False: ("training",)}[held_out]
        for stream in streams:
            group = self._views[stream].group(column)
            if group.state:
                return group
        raise InputError(self._lacking(measure, column, streams))

    def _lacking(self, measure: Measure, column: Column, streams: tuple[Stream, ...]) -> str:
        needs = column.statistic.needs
        if needs and any(self._views[stream] for stream in streams):
            given = "; ".join(_GIVE[need] for need in needs)
            return f"{measure.name} needs {' and '.join(needs)}, which no view had: give record.add(…, {given})"
        flag = _FLAG[streams[0]]
        kinds = " or ".join(streams)
        return f"{measure.name} needs {kinds} views, of which there are none: give record.add(view=…, ids=…, …{flag})"

    @property
    def table(self) -> pd.DataFrame:
        """All measures that can be computed, a column each, by id, ascending. See :meth:`measure`."""
        columns = {}
        for name in self.measures:
            try:
                columns[name] = self.measure(name)
            except InputError:
                # What was not given cannot be shown.
                continue
        return pd.DataFrame(columns, index=self._by(self._index.order()))

    def _sorted_ids(self, order: np.ndarray) -> np.ndarray:
        ids: np.ndarray = self._index.ids[order]
        return ids.astype(str) if self._index.kind == "str" else ids

    def _by(self, order: np.ndarray) -> pd.Index:
        ids: pd.Index = pd.Index(self._sorted_ids(order), name="id")
        return ids

    def __repr__(self) -> str:
        seen = ", ".join(f"{len(views.numbers)} {stream} views" for stream, views in self._views.items() if views)
        return f"Record: {len(self):,} samples, {seen or 'no views'}"

    def state_dict(self) -> dict[str, Any]:
        """Everything that was taken in: tensors, and one string of JSON. :meth:`load_state_dict` takes it back."""
        views = {stream: sorted(views.numbers) for stream, views in self._views.items()}
        columns = {
            f"{stream}/{group.name}": [s.name for s in group.statistics]
            for stream, held in self._views.items()
            for group in held.groups
        }
        about = {
            "schema": SCHEMA,
            "measures": list(self.measures),
            "repeated": self.repeated,
            "classes": self.classes,
            "widths": self._widths,
            "kind": self._index.kind,
            "ids": self._index.ids.tolist() if self._index.kind == "str" else None,
            "views": views,
            "columns": columns,
        }
        n = len(self)
        state: dict[str, Any] = {"about": json.dumps(about, ensure_ascii=False), "labels": self._labels[:n].clone()}
        if self._index.kind == "int":
            state["ids"] = torch.from_numpy(self._index.ids.copy())
        for stream, held in self._views.items():
            held.flush()
            held.reach(n)
            parts = {"seen": held.seen} | {group.name: group.state for group in held.groups}
            for part, columns_ in parts.items():
                state |= {f"{stream}/{part}/{name}": values[:n].clone() for name, values in columns_.items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the place of what :meth:`state_dict` gave of a record of the same measures.

        Raises:
            InputError: a state of other measures, of another version of hardsight, or damaged.
        """
        try:
            about = json.loads(state["about"])
            if about["schema"] > SCHEMA:
                raise InputError(f"the record was written by a newer hardsight (schema {about['schema']}): upgrade it")
            if list(self.measures) != about["measures"]:
                raise InputError(
                    f"the record holds other measures: make this one with hs.Record({about['measures']}), or use "
                    "hs.Record.load"
                )
            fresh = type(self)(self.measures.values(), about["repeated"])
            fresh._restore(Saved(about, state))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as fault:
            if isinstance(fault, InputError):
                raise
            raise InputError(f"this is no state of a record ({fault!r:.100} is missing or odd)") from None
        self.__dict__ = fresh.__dict__

    def _restore(self, saved: Saved) -> None:
        if saved.kind is not None:
            self._index = IdIndex(*parse_ids(saved.ids)[::-1])
        self._labels, self.classes, self._widths = saved.labels, saved.classes, saved.widths
        for stream, held in self._views.items():
            held.numbers, held.seen = saved.numbers(stream), saved.seen(stream)
            for group in held.groups:
                group.state = saved.columns(stream, group)

    def __getstate__(self) -> dict[str, Any]:
        return self.state_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        fresh = type(self)(json.loads(state["about"])["measures"])
        fresh.load_state_dict(state)
        self.__dict__ = fresh.__dict__

    def save(self, path: str | Path) -> None:
        """Write everything to one ``.npz`` file without pickled objects, all or nothing.

        Raises:
            InputError: the path cannot be written.
        """
        state = self.state_dict()
        about = np.frombuffer(state.pop("about").encode(), dtype=np.uint8)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, about=about, **{name: values.numpy() for name, values in state.items()})

    @classmethod
    def load(cls, path: str | Path, measures: Iterable[str | Measure] | None = None) -> "Record":
        """Read what :meth:`save` wrote, to go on or to measure.

        Args:
            path: of the file.
            measures: as given to the record that was saved, where some of them are rows of your own.

        Raises:
            InputError: no such file, or not one written by :meth:`save`.
        """
        try:
            with archives.open_npz(path, "record") as held:
                state: dict[str, Any] = {n: torch.from_numpy(held.read(n)) for n in held.names if n != "about"}
                state["about"] = bytes(held.read("about")).decode()
                stored = json.loads(state["about"])["measures"]
                if not (isinstance(stored, list) and stored and all(isinstance(name, str) for name in stored)):
                    raise InputError(f"{path} names no measures: give a file that record.save wrote")
        except FileNotFoundError:
            raise InputError(f"no file at {path}: give one that record.save wrote") from None
        record = cls(stored if measures is None else measures)
        record.load_state_dict(state)
        return record


def _repeated(names: np.ndarray) -> np.ndarray:
    """Where an id stands that stood before."""
    first = np.unique(names, return_index=True)[1]
    again = np.ones(len(names), dtype=bool)
    again[first] = False
    return again


def _stream(held_out: bool, second_split: bool) -> Stream:
    if held_out and second_split:
        raise InputError("held_out and second_split exclude each other: the first half was trained on before")
    return "held-out" if held_out else "second split" if second_split else "training"


def _number(view: Any) -> int:
    try:
        return whole_index(view)
    except TypeError:
        raise InputError(f"view must be a whole number, such as the epoch, got {view!r}") from None


def _named(measures: Iterable[str | Measure]) -> dict[str, Measure]:
    if isinstance(measures, str):
        measures = [measures]
    found: dict[str, Measure] = {}
    for given in measures:
        if isinstance(given, Measure):
            found[given.name] = given
        elif given in MEASURES:
            found[given] = MEASURES[given]
        else:
            raise InputError(unknown_measure(str(given)))
    if not found:
        raise InputError("measures is empty: name some, or leave it away for all")
    return found
