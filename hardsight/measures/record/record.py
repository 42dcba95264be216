"""The record of a training loop: running columns by id, from which every measure is computed."""

import json
from collections.abc import Iterable
from operator import index as to_index
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hardsight.data.alignment import check_indexes
from hardsight.errors import InputError
from hardsight.measures.catalogue import MEASURES, unknown_measure
from hardsight.measures.measure import Column, Measure, Stream
from hardsight.measures.record.batch import Batch
from hardsight.measures.record.columns import Group
from hardsight.measures.record.id_index import format_id, parse_ids
from hardsight.measures.record.merging import merge_stores
from hardsight.measures.record.state import SavedState, damage_as_input_error, dump_state, read_state, write_state
from hardsight.measures.record.store import Store

_HOW_TO_GIVE = {
    "features": "features=h, the inputs of the last linear layer, (batch, feature)",
    "input_gradients": "input_gradients=g, the gradient of the given label's logit in the inputs, (batch, …); "
    "hardsight.measures.input_gradients computes it",
    "rate": "rate=, the learning rate of the step",
    "loss_gradients": "loss_gradients=g, the gradient of the loss in the inputs, (batch, …); "
    "hardsight.measures.input_gradients(…, of='loss') computes it",
}
_FLAG: dict[Stream, str] = {"training": "", "held-out": ", held_out=True", "second split": ", second_split=True"}


class Record:
    """All classic measures of a sample's difficulty, from one line in your own loop.

    Samples are identified by their ids and never by their position in a batch: the loader may shuffle, a view may come in
    any number of batches of any size, and records of several workers can be merged. Only running columns are kept: memory
    does not grow with the views.

    Args:
        measures: names from :data:`hardsight.MEASURES`, or rows of your own; None for all that the given inputs allow.
        repeated: what to do with a sample that comes a second time in the same view: raise an ``"error"``, or ``"skip"`` it,
            as needed with samplers that pad a view to equal shares (torch's DistributedSampler).
        members: views are the models of an ensemble and not the epochs of one training: measures that depend on their order
            are left out, and records of different models can be merged in any order.

    Memory is about 150 bytes per sample and kind of view (training, held-out), plus ``8 classes`` bytes for ``agreement``
    and as many for the measures of the mean prediction (``bald``, ``normalized-margin``, ``confidence-weighted-entropy``),
    plus the features as given and ``8 classes`` bytes for ``memory-perturbation``, plus ``16 inputs`` bytes for ``vog``.
    If that is too much, name the measures that you want.

    >>> record = Record(["forgetting", "aum"])
    >>> for epoch, logits in enumerate(([[2.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 3.0]])):
    ...     record.add(view=epoch, ids=["p", "q"], logits=torch.tensor(logits), labels=torch.tensor([0, 1]))
    >>> record.table
        forgetting  aum
    id
    p          1.0  0.0
    q          0.0 -2.0

    Raises:
        InputError: a measure is unknown.
    """

    def __init__(
        self, measures: Iterable[str | Measure] | None = None, repeated: str = "error", members: bool = False
    ) -> None:
        if repeated not in ("error", "skip"):
            raise InputError(f'repeated must be "error" or "skip". Got {repeated!r}')
        if measures is None:
            measures = [measure for measure in MEASURES.values() if not (members and measure.ordered)]
        self.measures = _resolve(measures)
        if members and self.ordered:
            raise InputError(
                f"models of an ensemble have no order, which {', '.join(self.ordered)} would need: leave them out"
            )
        self.repeated = repeated
        self._store = Store(self.measures.values())
        # Rows so far that look like probabilities; None once a row did not.
        self._probability_rows: int | None = 0

    def __len__(self) -> int:
        return len(self._store)

    def __repr__(self) -> str:
        streams = self._store.views.items()
        counts = ", ".join(f"{len(views.numbers)} {stream} views" for stream, views in streams if views)
        return f"Record: {len(self):,} samples, {counts or 'no views'}"

    @property
    def classes(self) -> int | None:
        """Number of classes; None before the first batch."""
        return self._store.classes

    @property
    def ordered(self) -> list[str]:
        """Names of the record's measures that depend on the order of the views."""
        return [name for name, measure in self.measures.items() if measure.ordered]

    @property
    def ids(self) -> np.ndarray:
        """All ids, ascending. int64 or str."""
        return self._ids_in(self._store.index.order())

    @property
    def labels(self) -> pd.Series:
        """Label code by id, ascending."""
        order = self._store.index.order()
        return pd.Series(self._store.labels.numpy()[order], index=self._index_in(order), name="label")

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
        loss_gradients: Any = None,
        second_split: bool = False,
    ) -> None:
        """Add one batch of one view, all or nothing. Tensors are detached and moved to the CPU.

        Args:
            view: number of the model state: the epoch, or the model of an ensemble. The views of every sample must come in
                ascending order; gaps are fine.
            ids: one per sample, integers or strings, each once per view. ``(batch,)``
            logits: before the softmax, or log-probabilities. ``(batch, class)``, of any float type.
            labels: class codes from 0. ``(batch,)``
            held_out: the model was not trained on these samples.
            features: inputs of the last linear layer. ``(batch, feature)``
            input_gradients: gradient of the given label's logit in the inputs. ``(batch, …)``
            rate: learning rate of the step; a number, or one per sample.
            loss_gradients: gradient of each sample's loss in its inputs. ``(batch, …)``; only its norm is kept.
            second_split: training goes on with other samples now (Maini et al. 2022).

        Raises:
            InputError: the batch cannot be recorded as given; names the id and the fix.
        """
        check_indexes(ids=ids, logits=logits, labels=labels, features=features)
        store = self._store
        names, kind = parse_ids(ids)
        store.index.check_kind(kind)
        stream = _stream(held_out, second_split)
        number = _view_number(view)
        optional = {"features": features, "input_gradients": input_gradients, "rate": rate, "loss_gradients": loss_gradients}
        batch = Batch.of(names, logits, labels, optional)
        if not len(names):
            return
        store.check_shapes(batch)
        if self._probability_rows is not None:
            self._probability_rows = batch.count_probability_rows(self._probability_rows)
        rows = store.index.rows(names)
        new = self._new_positions(stream, number, names, rows)
        if new is not None:
            rows, batch = rows[new], batch.take(new)
            if not len(rows):
                return
        store.check_labels(batch.ids, rows, batch.view.labels)
        store.add(stream, number, batch, rows, kind)

    def _new_positions(self, stream: Stream, number: int, ids: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
        """Return the positions of samples that are new to this view, None for all of them."""
        last = self._store.views[stream].last(rows)
        early = np.flatnonzero(last > number)
        if len(early):
            raise InputError(
                f"id {format_id(ids, early[0])} comes in view {number} after its view {last[early[0]]}: add the views of a "
                "sample in ascending order, and start a new Record for another training"
            )
        repeated = (last == number) | _is_repeated(ids)
        if not repeated.any():
            return None
        if self.repeated == "error":
            raise InputError(
                f"id {format_id(ids, repeated.argmax())} comes twice in view {number}: give every sample once per view, "
                'increase view, or pass hs.Record(repeated="skip") if a sampler pads its batches'
            )
        return np.flatnonzero(~repeated)

    def measure(self, name: str, held_out: bool | None = None) -> pd.Series:
        """Return one measure of every sample. Higher is harder.

        Args:
            name: a row of :data:`hardsight.MEASURES`.
            held_out: from held-out views (True) or from training views (False), if the measure allows both. Default:
                training views, or held-out ones if there are no others.

        Returns:
            float64 by id, ascending; NaN if a sample lacks the views that the measure needs.

        Raises:
            InputError: the measure is unknown, is not kept by this record, or its inputs were not given.
        """
        measure = self._find_measure(name)
        columns, least = measure.score.columns, measure.score.least
        groups = [self._find_group(measure, column, held_out) for column in columns]
        order = self._store.index.order()
        rows = torch.from_numpy(order)
        states = [group.read_statistic(column.statistic, rows) for group, column in zip(groups, columns, strict=True)]
        known = torch.stack([state["count"] >= least for state in states]).all(0)
        if not known.any():
            raise InputError(
                f"no sample has what {name} needs, {least} or more views of it ({measure.views}): add them with record.add"
            )
        values = torch.full((len(order),), torch.nan, dtype=torch.float64)
        labels = self._store.labels.index_select(0, rows)[known]
        values[known] = measure.score.finish(labels, *({n: c[known] for n, c in state.items()} for state in states))
        return pd.Series(values.numpy(), index=self._index_in(order), name=name)

    @property
    def table(self) -> pd.DataFrame:
        """All measures that can be computed, one column each, by id, ascending. See :meth:`measure`."""
        columns = {}
        for name in self.measures:
            try:
                columns[name] = self.measure(name)
            except InputError:
                # Its inputs were not given.
                continue
        return pd.DataFrame(columns, index=self._index_in(self._store.index.order()))

    def _find_measure(self, name: str) -> Measure:
        if name in self.measures:
            return self.measures[name]
        if name in MEASURES:
            raise InputError(f"this record does not keep what {name} needs: make it with hs.Record([…, {name!r}])")
        raise InputError(unknown_measure(name, self.measures))

    def _find_group(self, measure: Measure, column: Column, held_out: bool | None) -> Group:
        """Return the columns from which a measure is read."""
        if column.stream is not None:
            streams: tuple[Stream, ...] = (column.stream,)
            if held_out is not None and measure.views != ("held-out" if held_out else "training"):
                raise InputError(f"{measure.name} is read from {measure.views} views: leave held_out out")
        else:
            streams = {None: ("training", "held-out"), True: ("held-out",), False: ("training",)}[held_out]
        for stream in streams:
            group = self._store.views[stream].group(column)
            if group.state:
                return group
        raise InputError(self._missing_message(measure, column, streams))

    def _missing_message(self, measure: Measure, column: Column, streams: tuple[Stream, ...]) -> str:
        needs = column.statistic.needs
        if needs and any(self._store.views[stream] for stream in streams):
            how = "; ".join(_HOW_TO_GIVE[need] for need in needs)
            return f"{measure.name} needs {' and '.join(needs)}, which no view had: give record.add(…, {how})"
        flag = _FLAG[streams[0]]
        kinds = " or ".join(streams)
        return f"{measure.name} needs {kinds} views, of which there are none: give record.add(view=…, ids=…, …{flag})"

    def _ids_in(self, order: np.ndarray) -> np.ndarray:
        index = self._store.index
        ids: np.ndarray = index.ids[order]
        return ids.astype(str) if index.kind == "str" else ids

    def _index_in(self, order: np.ndarray) -> pd.Index:
        index: pd.Index = pd.Index(self._ids_in(order), name="id")
        return index

    def merge(self, other: "Record") -> None:
        """Add the content of another record: other samples, other views, or both. All or nothing.

        Raises:
            InputError: the records have other measures, other kinds of ids or other labels; or views of a sample are
                interleaved where their order matters, or may be the same.
        """
        if list(self.measures) != list(other.measures):
            raise InputError("records of different measures cannot be merged: make them with the same hs.Record(measures=…)")
        merge_stores(self._store, other._store, skip_repeated=self.repeated == "skip")

    def state_dict(self) -> dict[str, Any]:
        """Return everything recorded: tensors, and one string of JSON. :meth:`load_state_dict` takes it back."""
        return dump_state(self._store, list(self.measures), self.repeated)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace the content by what :meth:`state_dict` of a record of the same measures returned.

        Raises:
            InputError: the state has other measures, is of another version of hardsight, or is damaged.
        """
        with damage_as_input_error():
            saved = SavedState(state, list(self.measures))
            fresh = type(self)(self.measures.values(), saved.repeated)
            saved.restore(fresh._store)
        self.__dict__ = fresh.__dict__

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
        write_state(self.state_dict(), path)

    @classmethod
    def load(cls, path: str | Path, measures: Iterable[str | Measure] | None = None) -> "Record":
        """Read a file that :meth:`save` wrote, to continue or to measure.

        Args:
            path: path of the file.
            measures: as given to the saved record, if some of them are rows of your own.

        Raises:
            InputError: there is no such file, or :meth:`save` did not write it.
        """
        state, names = read_state(path)
        record = cls(names if measures is None else measures)
        record.load_state_dict(state)
        return record


def _is_repeated(ids: np.ndarray) -> np.ndarray:
    """Return the mask of ids that occur earlier in the batch."""
    first = np.unique(ids, return_index=True)[1]
    repeated = np.ones(len(ids), dtype=bool)
    repeated[first] = False
    return repeated


def _stream(held_out: bool, second_split: bool) -> Stream:
    if held_out and second_split:
        raise InputError("held_out and second_split exclude each other: the first half was trained on before")
    return "held-out" if held_out else "second split" if second_split else "training"


def _view_number(view: Any) -> int:
    try:
        return to_index(view)
    except TypeError:
        raise InputError(f"view must be an integer, such as the epoch. Got {view!r}") from None


def _resolve(measures: Iterable[str | Measure]) -> dict[str, Measure]:
    if isinstance(measures, str):
        measures = [measures]
    by_name: dict[str, Measure] = {}
    for measure in measures:
        if isinstance(measure, Measure):
            by_name[measure.name] = measure
        elif measure in MEASURES:
            by_name[measure] = MEASURES[measure]
        else:
            raise InputError(unknown_measure(str(measure)))
    if not by_name:
        raise InputError("measures is empty: name some, or leave it out for all")
    return by_name
