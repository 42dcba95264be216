"""What a claim is: a proposition of the theory, with the numbers that were measured for it and whether they bear it out."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

Kind = Literal["exact", "bound", "statistical"]
"""An identity, to tolerance; an inequality, on every draw; or a direction, in the mean over many seeds."""
Mark = Literal["line", "point", "bar"]


class Interval(NamedTuple):
    """95 % of what a mean may be."""

    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """One line, cloud of points or row of bars of a figure; bars stand at names."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float]
    mark: Mark = "line"


@dataclass(frozen=True)
class Figure:
    """One picture, as plain data.

    Attributes:
        x: what the horizontal axis shows.
        y: what the vertical axis shows.
        series: what is drawn, in the order of the legend.
        log: axes that are logarithmic: "", "x", "y" or "xy".
        rule: height of a line to compare with.
        note: what the eye should look for, a sentence.
    """

    x: str
    y: str
    series: tuple[Series, ...]
    log: str = ""
    rule: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """What one test of a proposition gives.

    Attributes:
        holds: whether the expectation of the proposition is met.
        measured: numbers by what they are; the first decides.
        figure: the picture of it.
        interval: of the first number, where it is a mean over seeds.
    """

    holds: bool
    measured: Mapping[str, float]
    figure: Figure
    interval: Interval | None = None


@dataclass(frozen=True)
class Claim:
    """A proposition and what was found of it.

    Attributes:
        name: of the proposition.
        family: which part of the theory it belongs to.
        statement: what it says.
        source: who says so.
        kind: "exact", "bound" or "statistical".
        expected: what must be measured for it to hold.
        measured: numbers by what they are; the first decides.
        interval: of the first number, 95 %; None where it is no mean over seeds.
        seeds: independent draws or seeds that were looked at.
        holds: whether the expectation is met, also where it says that a naive reading fails.
        limits: where the proposition ends, and what was not tested.
        seconds: CPU time of the test.
        figure: the picture of it.
    """

    name: str
    family: str
    statement: str
    source: str
    kind: Kind
    expected: str
    measured: dict[str, float]
    interval: Interval | None
    seeds: int
    holds: bool
    limits: str
    seconds: float
    figure: Figure = field(repr=False)

    def described(self) -> dict[str, Any]:
        """Everything but the figure, as JSON types; numbers that are not finite are null."""
        told = {name: getattr(self, name) for name in _TOLD}
        measured = {name: value if np.isfinite(value) else None for name, value in self.measured.items()}
        return told | {"measured": measured, "interval": None if self.interval is None else list(self.interval)}


_TOLD = ("name", "family", "statement", "source", "kind", "expected", "seeds", "holds", "limits", "seconds")


class Trial(NamedTuple):
    """What a test draws from.

    Attributes:
        seed: of all that is drawn.
        runs: how many independent draws or seeds it shall look at.
    """

    seed: int
    runs: int

    @property
    def rngs(self) -> Iterator[np.random.Generator]:
        """A generator for each run, unrelated to the others."""
        return map(np.random.default_rng, np.random.SeedSequence(self.seed).spawn(self.runs))

    @property
    def rng(self) -> np.random.Generator:
        """The generator of the first run."""
        return next(self.rngs)

    @property
    def seeds(self) -> list[int]:
        """A seed for each run, for functions that take a number."""
        return [int(each.generate_state(1)[0]) for each in np.random.SeedSequence(self.seed).spawn(self.runs)]


Test = Callable[[Trial], Finding]


@dataclass(frozen=True)
class Proposition:
    """A row of ``CLAIMS``: what is said, and the test of it.

    Attributes:
        test: gives the numbers.
        name: what it is called.
        statement: what it says.
        source: who says so, and whether that was read, remembered or derived.
        kind: "exact", "bound" or "statistical".
        expected: what must be measured for it to hold.
        limits: where it ends.
        runs: independent draws or seeds, in the fast set; 0: it belongs to the full set alone.
        full_runs: the same in the full set.
        family: which part of the theory it belongs to; the table fills it in.
    """

    test: Test
    name: str
    statement: str
    source: str
    kind: Kind
    expected: str
    limits: str
    runs: int
    full_runs: int
    family: str = ""

    def check(self, seed: int = 0, *, full: bool = False) -> Claim:
        """Test it."""
        runs = self.full_runs if full else self.runs
        start = time.process_time()
        found = self.test(Trial(seed, runs))
        seconds = time.process_time() - start
        return Claim(
            self.name,
            self.family,
            self.statement,
            self.source,
            self.kind,
            self.expected,
            {name: float(value) for name, value in found.measured.items()},
            found.interval,
            runs,
            bool(found.holds),
            self.limits,
            round(seconds, 3),
            found.figure,
        )


def proposition(
    name: str,
    *,
    statement: str,
    source: str,
    kind: Kind,
    expected: str,
    limits: str,
    runs: int,
    full_runs: int | None = None,
) -> Callable[[Test], Proposition]:
    """Make a proposition of its test; see :class:`Proposition`. ``full_runs`` are ``runs`` where they are not given."""

    def made(test: Test) -> Proposition:
        more = runs if full_runs is None else full_runs
        return Proposition(test, name, statement, source, kind, expected, limits, runs, more)

    return made
