"""Definition of a measure: which columns of which views it reads, and the number that it computes from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor

from hardsight.measures.reductions import Accumulator, Reduction
from hardsight.measures.running import State
from hardsight.measures.statistics import Statistic

Stream = Literal["training", "held-out", "second split"]
"""Views by models that were trained on the sample; by models that were not; while training goes on without it."""


class Column(NamedTuple):
    """A statistic of each view, accumulated. ``stream`` is None if views of training and held-out views both serve."""

    statistic: Statistic
    accumulator: Accumulator
    stream: Stream | None = None


class Score(NamedTuple):
    """The computation of a measure's number.

    Attributes:
        columns: the columns that it reads.
        finish: maps ``(labels (sample,), *columns)`` to numbers ``(sample,)``.
        least: number of views below which the number is unknown.
    """

    columns: tuple[Column, ...]
    finish: Callable[..., Tensor]
    least: int = 1


def pair(statistic: Statistic, reduction: Reduction, stream: Stream | None = None) -> Score:
    """Build the most common score: a statistic of each view, reduced over the views of a sample."""

    def finish(labels: Tensor, state: State) -> Tensor:
        return reduction.read(state)

    return Score((Column(statistic, reduction.accumulator, stream),), finish, reduction.least)


@dataclass(frozen=True)
class Measure:
    """A row of ``MEASURES``. Higher is harder.

    Attributes:
        name: name of the measure.
        what: a phrase that says what a high value means.
        formula: in plain text; p, z: probabilities and logits, y: the given label, t: views, h: features.
        source: authors, year, title.
        cost: what has to be trained or given.
        score: how it is computed.
        note: where it departs from its source, or its own conventions.
    """

    name: str
    what: str
    formula: str
    source: str
    cost: str
    score: Score
    note: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """Arguments of ``Record.add`` beyond logits and labels: ``features``, ``rate`` and so on."""
        return tuple(dict.fromkeys(need for column in self.score.columns for need in column.statistic.needs))

    @property
    def views(self) -> str:
        """The views that it reads: training or held-out, training, held-out, training and held-out, second split."""
        streams = dict.fromkeys(column.stream for column in self.score.columns)
        return "training or held-out" if None in streams else " and ".join(str(stream) for stream in streams)

    @property
    def ordered(self) -> bool:
        """Whether it depends on the order of the views."""
        return any(column.accumulator.ordered for column in self.score.columns)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the functions, as JSON types."""
        fields = ("name", "what", "formula", "source", "cost", "note", "views")
        return {field: getattr(self, field) for field in fields} | {"needs": list(self.needs)}
