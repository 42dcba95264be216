"""Claims of the theory: their definitions, their tests, and the results."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

Kind = Literal["exact", "bound", "statistical"]
"""An identity up to a tolerance; an inequality on every draw; or a direction of the mean over many seeds."""
Mark = Literal["line", "point", "bar"]


class Interval(NamedTuple):
    """A 95 % confidence interval of a mean."""

    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """One line, point cloud or row of bars of a figure; bars have names on the x axis."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float]
    mark: Mark = "line"


@dataclass(frozen=True)
class Figure:
    """One figure, as plain data.

    Attributes:
        x: title of the horizontal axis.
        y: title of the vertical axis.
        series: what is drawn, in the order of the legend.
        log: logarithmic axes: "", "x", "y" or "xy".
        rule: height of a reference line.
        note: what to look for, one sentence.
    """

    x: str
    y: str
    series: tuple[Series, ...]
    log: str = ""
    rule: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """The outcome of one test of a claim."""

    holds: bool  # whether the expectation of the claim is met
    measured: Mapping[str, float]  # numbers by description; the first one decides
    figure: Figure  # the figure of the claim
    interval: Interval | None = None  # interval of the first number, if it is a mean over seeds


@dataclass(frozen=True)
class Claim:
    """A tested claim.

    Attributes:
        name: of the claim.
        family: the part of the theory it belongs to.
        statement: what it states.
        source: where it comes from.
        kind: "exact", "bound" or "statistical".
        expected: what must be measured for it to hold.
        measured: numbers by description; the first one decides.
        interval: 95 % interval of the first number; None if it is not a mean over seeds.
        seeds: number of independent draws or seeds.
        holds: whether the expectation is met, also if it is that a naive reading fails.
        limits: scope of the claim, and what was not tested.
        seconds: CPU time of the test.
        figure: the figure of the claim.
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

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the figure, as JSON types; numbers that are not finite are null."""
        fields = {name: getattr(self, name) for name in _PLAIN_FIELDS}
        measured = {name: value if np.isfinite(value) else None for name, value in self.measured.items()}
        return fields | {"measured": measured, "interval": None if self.interval is None else list(self.interval)}


_PLAIN_FIELDS = ("name", "family", "statement", "source", "kind", "expected", "seeds", "holds", "limits", "seconds")


class Trial(NamedTuple):
    """The random input of a test."""

    seed: int
    runs: int

    @property
    def rngs(self) -> Iterator[np.random.Generator]:
        """Return one independent generator per run."""
        return map(np.random.default_rng, np.random.SeedSequence(self.seed).spawn(self.runs))

    @property
    def rng(self) -> np.random.Generator:
        """Return the generator of the first run."""
        return next(self.rngs)

    @property
    def seeds(self) -> list[int]:
        """Return one seed per run, for functions that take a number."""
        return [int(each.generate_state(1)[0]) for each in np.random.SeedSequence(self.seed).spawn(self.runs)]


Test = Callable[[Trial], Finding]


@dataclass(frozen=True)
class ClaimDefinition:
    """An entry of ``CLAIMS``: the statement, and its test.

    Attributes:
        test: computes the numbers.
        name: of the claim.
        statement: what it states.
        source: where it comes from, and whether that was read, remembered or derived.
        kind: "exact", "bound" or "statistical".
        expected: what must be measured for it to hold.
        limits: scope of the claim.
        runs: independent draws or seeds in the fast set; 0: the claim belongs to the full set only.
        full_runs: independent draws or seeds in the full set.
        family: the part of the theory it belongs to; set by the catalogue.
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
        """Test the claim."""
        runs = self.full_runs if full else self.runs
        start = time.process_time()
        finding = self.test(Trial(seed, runs))
        seconds = time.process_time() - start
        return Claim(
            self.name,
            self.family,
            self.statement,
            self.source,
            self.kind,
            self.expected,
            {name: float(value) for name, value in finding.measured.items()},
            finding.interval,
            runs,
            bool(finding.holds),
            self.limits,
            round(seconds, 3),
            finding.figure,
        )


def define_claim(
    name: str,
    *,
    statement: str,
    source: str,
    kind: Kind,
    expected: str,
    limits: str,
    runs: int,
    full_runs: int | None = None,
) -> Callable[[Test], ClaimDefinition]:
    """Turn a test into the definition of a claim; see :class:`ClaimDefinition`. ``full_runs`` defaults to ``runs``."""

    def decorate(test: Test) -> ClaimDefinition:
        all_runs = runs if full_runs is None else full_runs
        return ClaimDefinition(test, name, statement, source, kind, expected, limits, runs, all_runs)

    return decorate


exact_claim = partial(define_claim, kind="exact")
bound_claim = partial(define_claim, kind="bound")
statistical_claim = partial(define_claim, kind="statistical")
