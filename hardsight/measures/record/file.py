"""What was saved of a record, checked before it is believed: a file may be damaged, or made to do harm."""

from typing import Any

import torch
from torch import Tensor

from hardsight.errors import InputError
from hardsight.measures.record.columns import Group
from hardsight.measures.reductions import State
from hardsight.measures.statistics import View

# Far more than models have: what a damaged file says must not fill the memory.
_MOST_CLASSES, _MOST_VALUES = 1 << 20, 1 << 24
_WIDTHS = ("features", "input_gradients")


class Saved:
    """The state of a record.

    Args:
        about: what the record says of itself, from JSON.
        state: its arrays by name.

    Raises:
        InputError: either is no record's.
    """

    def __init__(self, about: dict[str, Any], state: dict[str, Any]) -> None:
        self._about, self._state = about, state
        self.classes = _count("classes", about["classes"], 2, _MOST_CLASSES)
        self.widths = {name: _count(name, width, 0, _MOST_VALUES) or 0 for name, width in about["widths"].items()}
        if about["kind"] not in ("int", "str", None) or not set(self.widths) <= set(_WIDTHS):
            raise _odd("kind or widths")
        self.kind = about["kind"]
        self.labels = self._column("labels", None, torch.empty(0, dtype=torch.int64)).clone()
        self.rows = len(self.labels)
        if self.rows and (
            self.classes is None or not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.classes
        ):
            raise _odd("labels")

    @property
    def ids(self) -> Any:
        """As many as there are labels, each once."""
        ids = (
            self._about["ids"]
            if self.kind == "str"
            else self._column("ids", self.rows, torch.empty(0, dtype=torch.int64))
        )
        if not isinstance(ids, list | Tensor) or len(ids) != self.rows:
            raise _odd("ids")
        if len(set(ids if isinstance(ids, list) else ids.tolist())) != self.rows:
            raise _odd("ids, which stand there twice,")
        return ids

    def numbers(self, stream: str) -> set[int]:
        """Numbers of the views of a stream."""
        given = self._about["views"][stream]
        if not isinstance(given, list) or not all(type(number) is int and abs(number) < 2**63 for number in given):
            raise _odd("views")
        return set(given)

    def seen(self, stream: str) -> State:
        """First and last view of every sample; nothing where the stream has none."""
        whole = torch.empty(0, dtype=torch.int64)
        return self._like(f"{stream}/seen", {"first": whole, "last": whole}, empty=self.rows == 0)

    def columns(self, stream: str, group: Group) -> State:
        """What is held of a group of statistics; nothing where no view had what it needs."""
        prefix = f"{stream}/{group.name}"
        if self._about["columns"][prefix] != [statistic.name for statistic in group.statistics]:
            raise InputError("the record was written by another version of hardsight: record anew")
        if not any(name.startswith(f"{prefix}/") for name in self._state):
            return {}
        if self.classes is None or any(need in _WIDTHS and need not in self.widths for need in group.needs):
            raise _odd(prefix)
        values = [statistic.of(self._view()) for statistic in group.statistics]
        value = values[0] if group.vector else torch.stack(values, 1)
        return self._like(prefix, group.fold.start(1, value))

    def _view(self) -> View:
        """A view of one sample, of the shapes that this record's views had."""
        inputs = {name: torch.zeros(1, width) for name, width in self.widths.items()}
        logits = torch.zeros(1, self.classes or 2, dtype=torch.float64)
        return View(logits, torch.zeros(1, dtype=torch.int64), **inputs, rate=torch.zeros(1, dtype=torch.float64))

    def _like(self, prefix: str, wanted: State, empty: bool = False) -> State:
        held = {name.removeprefix(f"{prefix}/"): name for name in self._state if name.startswith(f"{prefix}/")}
        if empty and not held:
            return {}
        if set(held) != set(wanted):
            raise _odd(prefix)
        return {name: self._column(held[name], self.rows, column).clone() for name, column in wanted.items()}

    def _column(self, name: str, rows: int | None, like: Tensor) -> Tensor:
        found = self._state[name]
        alike = isinstance(found, Tensor) and found.ndim == like.ndim and found.shape[1:] == like.shape[1:]
        # Features are held in the type that they came in.
        typed = alike and (found.dtype == like.dtype or (found.is_floating_point() and like.is_floating_point()))
        if not typed or (rows is not None and len(found) != rows):
            raise _odd(name)
        column: Tensor = found
        return column


def _count(name: str, value: Any, least: int, most: int) -> int | None:
    if value is None and name == "classes":
        return None
    if type(value) is not int or not least <= value <= most:
        raise _odd(name)
    return value


def _odd(what: str) -> InputError:
    return InputError(f"this is no state of a record ({what[:100]} is missing or odd): give one that a record wrote")
