"""The views of a sample → one number, without keeping the views.

A :class:`Accumulator` holds running columns: it starts them, takes in a view, and merges the columns of an earlier and a later
stretch of views. ``merge`` is associative (up to rounding) and an empty stretch changes nothing, so that a record may be
cut anywhere. A :class:`Reduction` reads one number a sample from a fold's columns.

Columns are tensors with one row a sample, ``(row,)`` or ``(row, value)``; every fold counts its views in ``count``.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

State = dict[str, Tensor]


class Accumulator(NamedTuple):
    """Running columns over the views of a sample.

    Attributes:
        start: ``(rows, a batch of values)`` → columns of so many samples that have no view, of the values' shape and type.
        add: ``(columns, values)`` → columns after one more view; one row of each a sample.
        merge: ``(earlier, later)`` → columns of both stretches of views.
        ordered: whether the order of the views matters.
    """

    name: str
    start: Callable[[int, Tensor], State]
    add: Callable[[State, Tensor], State]
    merge: Callable[[State, State], State]
    ordered: bool = False


class Reduction(NamedTuple):
    """What is read from a fold's columns; unknown where a sample has fewer than ``least`` views."""

    fold: Accumulator
    read: Callable[[State], Tensor]
    least: int = 1


def _columns(rows: int, values: Tensor, *names: str, dtype: torch.dtype = torch.float64) -> State:
    return {name: torch.zeros(rows, *values.shape[1:], dtype=dtype) for name in names}


def _counted(rows: int) -> State:
    return {"count": torch.zeros(rows, dtype=torch.int64)}


def _beside(column: Shaped[Tensor, " row"], values: Tensor) -> Tensor:
    return column.view(-1, *(1 for _ in values.shape[1:]))


def _add_mean(held: State, values: Float[Tensor, " row *value"]) -> State:
    count = held["count"] + 1
    return {"count": count, "mean": held["mean"] + (values - held["mean"]) / _beside(count, values)}


def _merge_mean(earlier: State, later: State) -> State:
    count = earlier["count"] + later["count"]
    share = _beside(later["count"].double() / count.clamp(min=1), later["mean"])
    return {"count": count, "mean": earlier["mean"] + (later["mean"] - earlier["mean"]) * share}


def _add_moments(held: State, values: Float[Tensor, " row *value"]) -> State:
    after = _add_mean(held, values)
    return after | {"spread": held["spread"] + (values - held["mean"]) * (values - after["mean"])}


def _merge_moments(earlier: State, later: State) -> State:
    merged = _merge_mean(earlier, later)
    gap = later["mean"] - earlier["mean"]
    harmonic = (earlier["count"] * later["count"]).double() / merged["count"].clamp(min=1)
    return merged | {"spread": earlier["spread"] + later["spread"] + gap.square() * _beside(harmonic, gap)}


def _add_total(held: State, values: Float[Tensor, " row *value"]) -> State:
    return {"count": held["count"] + 1, "total": held["total"] + values}


def _merge_total(earlier: State, later: State) -> State:
    return {name: earlier[name] + later[name] for name in earlier}


def _add_last(held: State, values: Float[Tensor, " row *value"]) -> State:
    return {"count": held["count"] + 1, "last": values}


def _merge_last(earlier: State, later: State) -> State:
    given = _beside(later["count"] > 0, later["last"])
    return {"count": earlier["count"] + later["count"], "last": torch.where(given, later["last"], earlier["last"])}


def _start_runs(rows: int, values: Tensor) -> State:
    flags = _columns(rows, values, "first", "last", dtype=torch.bool)
    return _counted(rows) | flags | _columns(rows, values, "lost", "right_run", "wrong_run", dtype=torch.int64)


def _add_runs(held: State, values: Float[Tensor, " row *value"]) -> State:
    right = values > 0
    new = _beside(held["count"] == 0, values)
    return {
        "count": held["count"] + 1,
        "first": torch.where(new, right, held["first"]),
        "last": right,
        "lost": held["lost"] + (held["last"] & ~right),
        "right_run": torch.where(right, held["right_run"] + 1, 0),
        "wrong_run": torch.where(right, 0, held["wrong_run"] + 1),
    }


def _merge_runs(earlier: State, later: State) -> State:
    def grown(name: str) -> Tensor:
        unbroken = later[name] == _beside(later["count"], later[name])
        return later[name] + torch.where(unbroken, earlier[name], 0)

    before, after = (_beside(part["count"] > 0, part["first"]) for part in (earlier, later))
    return {
        "count": earlier["count"] + later["count"],
        "first": torch.where(before, earlier["first"], later["first"]),
        "last": torch.where(after, later["last"], earlier["last"]),
        "lost": earlier["lost"] + later["lost"] + (after & earlier["last"] & ~later["first"]),
        "right_run": grown("right_run"),
        "wrong_run": grown("wrong_run"),
    }


MEANS = Accumulator("mean", lambda rows, like: _counted(rows) | _columns(rows, like, "mean"), _add_mean, _merge_mean)
"""Running mean."""
MOMENTS = Accumulator(
    "moments", lambda rows, like: _counted(rows) | _columns(rows, like, "mean", "spread"), _add_moments, _merge_moments
)
"""Running mean and summed squared deviation (Welford 1962; Chan et al. 1979 for merging)."""
TOTALS = Accumulator(
    "total", lambda rows, like: _counted(rows) | _columns(rows, like, "total"), _add_total, _merge_total
)
"""Running sum."""
LATEST = Accumulator(
    "last",
    lambda rows, like: _counted(rows) | _columns(rows, like, "last", dtype=like.dtype),
    _add_last,
    _merge_last,
    ordered=True,
)
"""The last value alone."""
RUNS = Accumulator("runs", _start_runs, _add_runs, _merge_runs, ordered=True)
"""Of a 0/1 value: falls from 1 to 0, and how long it has been 1, or 0, by now."""


def _forgotten(held: State) -> Float64[Tensor, " row *value"]:
    count = _beside(held["count"], held["lost"])
    return torch.where(held["wrong_run"] == count, count, held["lost"]).double()


def _settled(held: State) -> Float64[Tensor, " row *value"]:
    return (_beside(held["count"], held["right_run"]) - held["right_run"]).double()


def _kept(held: State) -> Float64[Tensor, " row *value"]:
    return (held["wrong_run"] - _beside(held["count"], held["wrong_run"])).double()


def _variance(held: State) -> Float64[Tensor, " row *value"]:
    return held["spread"] / _beside(held["count"], held["spread"])


MEAN = Reduction(MEANS, lambda held: held["mean"])
VARIANCE = Reduction(MOMENTS, _variance, least=2)
"""Population variance over views; one view tells nothing."""
DEVIATION = Reduction(MOMENTS, lambda held: _variance(held).sqrt(), least=2)
"""Population standard deviation over views; one view tells nothing."""
TOTAL = Reduction(TOTALS, lambda held: held["total"])
LAST = Reduction(LATEST, lambda held: held["last"])
FORGOTTEN = Reduction(RUNS, _forgotten)
"""Falls from 1 to 0; as many as views where it was never 1."""
SETTLED = Reduction(RUNS, _settled)
"""Views before the value is 1 for good; all of them where it ends at 0."""
KEPT = Reduction(RUNS, _kept)
"""Minus the views before the value is 0 for good; minus all of them where it ends at 1."""
