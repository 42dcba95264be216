"""State of a record: tensors and a string of JSON. It is checked before use: a file may be damaged or hostile."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write
from hardsight.io.npz import open_npz
from hardsight.measures.record.columns import Group
from hardsight.measures.record.id_index import IdIndex, parse_ids
from hardsight.measures.record.store import Store
from hardsight.measures.running import State
from hardsight.measures.statistics import View

SCHEMA = 1
# Far more than models have: a damaged file must not fill the memory.
_MAX_CLASSES, _MAX_VALUES = 1 << 20, 1 << 24
_WIDTHS = ("features", "input_gradients")


def dump_state(store: Store, measures: list[str], repeated: str) -> dict[str, Any]:
    """Return everything in a record: tensors by name, and ``about``, a string of JSON."""
    index = store.index
    about = {
        "schema": SCHEMA,
        "measures": measures,
        "repeated": repeated,
        "classes": store.classes,
        "widths": store.widths,
        "kind": index.kind,
        "ids": index.ids.tolist() if index.kind == "str" else None,
        "views": {stream: sorted(views.numbers) for stream, views in store.views.items()},
        "columns": {
            f"{stream}/{group.name}": [statistic.name for statistic in group.statistics]
            for stream, views in store.views.items()
            for group in views.groups
        },
    }
    n = len(store)
    state: dict[str, Any] = {"about": json.dumps(about, ensure_ascii=False), "labels": store.labels[:n].clone()}
    if index.kind == "int":
        state["ids"] = torch.from_numpy(index.ids.copy())
    for stream, views in store.views.items():
        views.flush()
        views.reserve(n)
        parts = {"seen": views.seen} | {group.name: group.state for group in views.groups}
        for part, columns in parts.items():
            state |= {f"{stream}/{part}/{name}": values[:n].clone() for name, values in columns.items()}
    return state


def write_state(state: dict[str, Any], path: str | Path) -> None:
    """Write a state to an ``.npz`` file without pickled objects, all or nothing."""
    about = np.frombuffer(state.pop("about").encode(), dtype=np.uint8)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, about=about, **{name: values.numpy() for name, values in state.items()})


def read_state(path: str | Path) -> tuple[dict[str, Any], list[str]]:
    """Read a state from a file, and the names of its measures.

    Raises:
        InputError: there is no such file, or :func:`write_state` did not write it.
    """
    try:
        with open_npz(path, "record") as archive:
            state: dict[str, Any] = {n: torch.from_numpy(archive.read(n)) for n in archive.names if n != "about"}
            state["about"] = bytes(archive.read("about")).decode()
            measures = json.loads(state["about"])["measures"]
            if not (isinstance(measures, list) and measures and all(isinstance(name, str) for name in measures)):
                raise InputError(f"{path} names no measures: give a file that record.save wrote")
    except FileNotFoundError:
        raise InputError(f"no file at {path}: give one that record.save wrote") from None
    return state, measures


@contextmanager
def damage_as_input_error() -> Iterator[None]:
    """Turn the errors that a damaged state causes into an InputError."""
    try:
        yield
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"this is not a state of a record ({error!r:.100} is missing or invalid)") from None


class SavedState:
    """A saved state, checked piece by piece.

    Args:
        state: result of :func:`dump_state`.
        measures: names of the measures that it must hold.

    Raises:
        InputError: it is not the state of a record of these measures.
    """

    def __init__(self, state: dict[str, Any], measures: list[str]) -> None:
        self._about, self._state = json.loads(state["about"]), state
        if self._about["schema"] > SCHEMA:
            raise InputError(
                f"the record was written by a newer hardsight (schema {self._about['schema']}): upgrade hardsight"
            )
        if measures != self._about["measures"]:
            raise InputError(
                f"the record holds other measures: make this one with hs.Record({self._about['measures']}), or use "
                "hs.Record.load"
            )
        self.repeated = self._about["repeated"]

    def restore(self, store: Store) -> None:
        """Fill an empty store.

        Raises:
            InputError: the state is damaged.
        """
        self._check_header()
        if self._kind is not None:
            ids, kind = parse_ids(self._ids())
            store.index = IdIndex(kind, ids)
        store.labels, store.classes, store.widths = self._labels, self._classes, self._widths
        for stream, views in store.views.items():
            views.numbers, views.seen = self._view_numbers(stream), self._seen(stream)
            for group in views.groups:
                group.state = self._columns(stream, group)

    def _check_header(self) -> None:
        about = self._about
        self._classes = _check_count("classes", about["classes"], 2, _MAX_CLASSES)
        self._widths = {name: _check_count(name, width, 0, _MAX_VALUES) or 0 for name, width in about["widths"].items()}
        if about["kind"] not in ("int", "str", None) or not set(self._widths) <= set(_WIDTHS):
            raise _damaged("kind or widths")
        self._kind = about["kind"]
        self._labels = self._column("labels", None, torch.empty(0, dtype=torch.int64)).clone()
        self._rows = len(self._labels)
        if self._rows and (
            self._classes is None or not 0 <= int(self._labels.min()) <= int(self._labels.max()) < self._classes
        ):
            raise _damaged("labels")

    def _ids(self) -> Any:
        """Return the ids: as many as labels, each once."""
        if self._kind == "str":
            ids = self._about["ids"]
        else:
            ids = self._column("ids", self._rows, torch.empty(0, dtype=torch.int64))
        if not isinstance(ids, list | Tensor) or len(ids) != self._rows:
            raise _damaged("ids")
        if len(set(ids if isinstance(ids, list) else ids.tolist())) != self._rows:
            raise _damaged("ids, which are not distinct,")
        return ids

    def _view_numbers(self, stream: str) -> set[int]:
        numbers = self._about["views"][stream]
        if not isinstance(numbers, list) or not all(type(n) is int and abs(n) < 2**63 for n in numbers):
            raise _damaged("views")
        return set(numbers)

    def _seen(self, stream: str) -> State:
        """Return the first and last view of every sample; empty if the stream has none."""
        like = torch.empty(0, dtype=torch.int64)
        return self._columns_like(f"{stream}/seen", {"first": like, "last": like}, may_be_missing=self._rows == 0)

    def _columns(self, stream: str, group: Group) -> State:
        """Return the columns of a group of statistics; empty if no view had the inputs that it needs."""
        prefix = f"{stream}/{group.name}"
        if self._about["columns"][prefix] != [statistic.name for statistic in group.statistics]:
            raise InputError("the record was written by another version of hardsight: record again")
        if not any(name.startswith(f"{prefix}/") for name in self._state):
            return {}
        if self._classes is None or any(need in _WIDTHS and need not in self._widths for need in group.needs):
            raise _damaged(prefix)
        return self._columns_like(prefix, group.accumulator.start(1, group.compute(self._example_view())))

    def _example_view(self) -> View:
        """Return a view of one sample, of the shapes that this record's views had."""
        inputs = {name: torch.zeros(1, width) for name, width in self._widths.items()}
        logits = torch.zeros(1, self._classes or 2, dtype=torch.float64)
        labels, number = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.float64)
        return View(logits, labels, **inputs, rate=number, loss_gradients=number)

    def _columns_like(self, prefix: str, example: State, may_be_missing: bool = False) -> State:
        names = {name.removeprefix(f"{prefix}/"): name for name in self._state if name.startswith(f"{prefix}/")}
        if may_be_missing and not names:
            return {}
        if set(names) != set(example):
            raise _damaged(prefix)
        return {name: self._column(names[name], self._rows, like).clone() for name, like in example.items()}

    def _column(self, name: str, rows: int | None, like: Tensor) -> Tensor:
        column = self._state[name]
        same_shape = isinstance(column, Tensor) and column.ndim == like.ndim and column.shape[1:] == like.shape[1:]
        # Features keep the floating-point type that they came in.
        same_type = same_shape and (column.dtype == like.dtype or (column.is_floating_point() and like.is_floating_point()))
        if not same_type or (rows is not None and len(column) != rows):
            raise _damaged(name)
        checked: Tensor = column
        return checked


def _check_count(name: str, value: Any, least: int, most: int) -> int | None:
    if value is None and name == "classes":
        return None
    if type(value) is not int or not least <= value <= most:
        raise _damaged(name)
    return value


def _damaged(part: str) -> InputError:
    return InputError(f"this is not a state of a record ({part[:100]} is missing or invalid): give one that a record wrote")
