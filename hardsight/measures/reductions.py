"""Reductions of a sample's views to one number, without keeping the views.

An :class:`Accumulator` holds running columns: it starts them, adds a view, and merges the columns of an earlier and a later
stretch of views. ``merge`` is associative (up to rounding) and an empty stretch changes nothing, so that a record may be
split anywhere. A :class:`Reduction` reads one number per sample from an accumulator's columns.

Columns are tensors with one row per sample, ``(row,)`` or ``(row, value)``; every accumulator counts its views in ``count``.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from hardsight.measures.running import State, add_mean, add_moments, expand, merge_mean, merge_moments


class Accumulator(NamedTuple):
    """Running columns over the views of a sample.

    Attributes:
        name: prefix of the columns' names in a saved record.
        start: ``(rows, a batch of values)`` → columns of so many samples without views, of the values' shape and dtype.
        add: ``(columns, values)`` → columns after one more view; one row of each per sample.
        merge: ``(earlier, later)`` → columns of both stretches of views.
        ordered: whether the order of the views matters.
    """

    name: str
    start: Callable[[int, Tensor], State]
    add: Callable[[State, Tensor], State]
    merge: Callable[[State, State], State]
    ordered: bool = False


class Reduction(NamedTuple):
    """A number that is read from an accumulator's columns; unknown if a sample has fewer than ``least`` views."""

    accumulator: Accumulator
    read: Callable[[State], Tensor]
    least: int = 1


def _columns(rows: int, values: Tensor, *names: str, dtype: torch.dtype = torch.float64) -> State:
    """Return columns of zeros, and the count of views."""
    count = {"count": torch.zeros(rows, dtype=torch.int64)}
    return count | {name: torch.zeros(rows, *values.shape[1:], dtype=dtype) for name in names}


def _add_total(state: State, values: Float[Tensor, " row *value"]) -> State:
    return {"count": state["count"] + 1, "total": state["total"] + values}


def _merge_total(earlier: State, later: State) -> State:
    return {name: earlier[name] + later[name] for name in earlier}


def _add_last(state: State, values: Float[Tensor, " row *value"]) -> State:
    return {"count": state["count"] + 1, "last": values}


def _merge_last(earlier: State, later: State) -> State:
    has_later = expand(later["count"] > 0, later["last"])
    return {"count": earlier["count"] + later["count"], "last": torch.where(has_later, later["last"], earlier["last"])}


def _start_runs(rows: int, values: Tensor) -> State:
    flags = _columns(rows, values, "first", "last", dtype=torch.bool)
    return flags | _columns(rows, values, "lost", "right_run", "wrong_run", dtype=torch.int64)


def _add_runs(state: State, values: Float[Tensor, " row *value"]) -> State:
    right = values > 0
    new = expand(state["count"] == 0, values)
    return {
        "count": state["count"] + 1,
        "first": torch.where(new, right, state["first"]),
        "last": right,
        "lost": state["lost"] + (state["last"] & ~right),
        "right_run": torch.where(right, state["right_run"] + 1, 0),
        "wrong_run": torch.where(right, 0, state["wrong_run"] + 1),
    }


def _merge_runs(earlier: State, later: State) -> State:
    def merge_run(name: str) -> Tensor:
        unbroken = later[name] == expand(later["count"], later[name])
        return later[name] + torch.where(unbroken, earlier[name], 0)

    has_earlier, has_later = (expand(part["count"] > 0, part["first"]) for part in (earlier, later))
    return {
        "count": earlier["count"] + later["count"],
        "first": torch.where(has_earlier, earlier["first"], later["first"]),
        "last": torch.where(has_later, later["last"], earlier["last"]),
        "lost": earlier["lost"] + later["lost"] + (has_later & earlier["last"] & ~later["first"]),
        "right_run": merge_run("right_run"),
        "wrong_run": merge_run("wrong_run"),
    }


MEANS = Accumulator("mean", lambda rows, like: _columns(rows, like, "mean"), add_mean, merge_mean)
"""Running mean."""
MOMENTS = Accumulator("moments", lambda rows, like: _columns(rows, like, "mean", "spread"), add_moments, merge_moments)
"""Running mean and summed squared deviation."""
TOTALS = Accumulator("total", lambda rows, like: _columns(rows, like, "total"), _add_total, _merge_total)
"""Running sum."""
LATEST = Accumulator(
    "last", lambda rows, like: _columns(rows, like, "last", dtype=like.dtype), _add_last, _merge_last, ordered=True
)
"""The last value alone."""
RUNS = Accumulator("runs", _start_runs, _add_runs, _merge_runs, ordered=True)
"""Of a 0/1 value: falls from 1 to 0, and for how many views it has been 1, or 0, by now."""


def _forgetting_events(state: State) -> Float64[Tensor, " row *value"]:
    count = expand(state["count"], state["lost"])
    return torch.where(state["wrong_run"] == count, count, state["lost"]).double()


def _views_until_right(state: State) -> Float64[Tensor, " row *value"]:
    return (expand(state["count"], state["right_run"]) - state["right_run"]).double()


def _minus_views_until_wrong(state: State) -> Float64[Tensor, " row *value"]:
    return (state["wrong_run"] - expand(state["count"], state["wrong_run"])).double()


def _variance(state: State) -> Float64[Tensor, " row *value"]:
    return state["spread"] / expand(state["count"], state["spread"])


MEAN = Reduction(MEANS, lambda state: state["mean"])
VARIANCE = Reduction(MOMENTS, _variance, least=2)
"""Population variance over views; unknown with one view."""
DEVIATION = Reduction(MOMENTS, lambda state: _variance(state).sqrt(), least=2)
"""Population standard deviation over views; unknown with one view."""
TOTAL = Reduction(TOTALS, lambda state: state["total"])
LAST = Reduction(LATEST, lambda state: state["last"])
FORGETTING_EVENTS = Reduction(RUNS, _forgetting_events)
"""Falls from 1 to 0; as many as views if it was never 1."""
VIEWS_UNTIL_RIGHT = Reduction(RUNS, _views_until_right)
"""Views before the value stays 1; all of them if it ends at 0."""
MINUS_VIEWS_UNTIL_WRONG = Reduction(RUNS, _minus_views_until_wrong)
"""Minus the views before the value stays 0; minus all of them if it ends at 1."""
