"""Who judges whom: rounds of members, each trained on one part of the samples and judging the rest.

A :class:`Round` is one array that says which member of the round holds a sample out. The invariant that everything
stands on, *no sample is judged by a model that saw it, its group or its exact duplicate*, is checked before any model is
fitted, by :func:`check`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hardsight.errors import InputError
from hardsight.validation import check_int

# More repeats or members are nobody's wish, and their streams of random numbers alone would fill the memory.
MOST = 1_000_000


class Round(NamedTuple):
    """Members that share one assignment: member ``k`` trains where ``fold != k`` and judges where ``fold == k``.

    ``fold`` is ``(sample,)`` int32; -1 marks samples that no member of the round judges.
    """

    fold: np.ndarray
    members: int


@runtime_checkable
class Splits(Protocol):
    """A way to split; :class:`KFold`, :class:`Subsets` and :class:`LeaveOneOut` are the ones that come along."""

    def describe(self) -> str:
        """In words, for tables and reports."""
        ...

    def rounds(self, labels: np.ndarray | None, units: np.ndarray, seed: np.random.SeedSequence) -> list[Round]:
        """All rounds. ``labels``: class codes to stratify by, None for regression; ``units``: :func:`units_of`."""
        ...


def units_of(samples: int, *partitions: np.ndarray | None) -> np.ndarray:
    """Codes of the sets of samples that must stay together, ``(sample,)`` int64: the join of several partitions.

    >>> units_of(4, np.array([0, 0, 1, 2]), np.array([5, 6, 6, 7])).tolist()
    [0, 0, 0, 1]
    """
    links = [np.empty((2, 0), dtype=np.int64)]
    for codes in (p for p in partitions if p is not None):
        order = np.argsort(codes, kind="stable")
        same = codes[order][1:] == codes[order][:-1]
        links.append(np.stack([order[:-1][same], order[1:][same]]))
    tail, head = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(len(tail), dtype=np.int8), (tail, head)), shape=(samples, samples))
    units: np.ndarray = connected_components(graph, directed=False)[1].astype(np.int64)
    return units


@dataclass(frozen=True)
class KFold:
    """Repeated stratified K-fold: every sample is judged once a repeat, by a model trained on the other folds.

    Args:
        folds: parts of a repeat, and models trained for it.
        repeats: how often the samples are dealt anew.
    """

    folds: int = 5
    repeats: int = 10

    def __post_init__(self) -> None:
        check_int("folds", self.folds, 2, ", so that a part is left to train on")
        check_int("repeats", self.repeats, 2, ": a single judgement has no variance and no error bars", MOST)

    def describe(self) -> str:
        """In words."""
        return f"{self.folds} folds × {self.repeats} repeats"

    def rounds(self, labels: np.ndarray | None, units: np.ndarray, seed: np.random.SeedSequence) -> list[Round]:
        """One round a repeat."""
        strata = np.zeros(len(units), dtype=np.int64) if labels is None else labels
        return [
            Round(_deal(strata, units, self.folds, np.random.default_rng(stream)), self.folds)
            for stream in seed.spawn(self.repeats)
        ]


@dataclass(frozen=True)
class Subsets:
    """Random training subsets, one a member, as for C-scores and memorization.

    Args:
        members: models to train.
        ratio: share of the samples that a member trains on, by class.

    Jiang et al. 2021, *Characterizing structural regularities of labeled data*; Feldman & Zhang 2020.
    """

    members: int = 100
    ratio: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise InputError(f"ratio must lie between 0 and 1, the share to train on. Got {self.ratio}")
        check_int("members", self.members, 2, most=MOST)

    def describe(self) -> str:
        """In words."""
        return f"{self.members} random subsets of {self.ratio:.0%}"

    def rounds(self, labels: np.ndarray | None, units: np.ndarray, seed: np.random.SeedSequence) -> list[Round]:
        """One round a member."""
        first = np.unique(units, return_index=True)[1]
        strata = np.zeros(len(first), dtype=np.int64) if labels is None else labels[first]
        return [Round(self._draw(strata, units, np.random.default_rng(s)), 1) for s in seed.spawn(self.members)]

    def _draw(self, strata: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        order = np.lexsort((rng.random(len(strata)), strata))
        start = np.searchsorted(strata[order], strata[order])
        rank = np.arange(len(order)) - start
        # At least one unit of every class stays in training, whatever the ratio.
        kept = np.maximum(np.round(self.ratio * np.bincount(strata)), 1)[strata[order]]
        held_out = np.empty(len(order), dtype=bool)
        held_out[order] = rank >= kept
        return np.where(held_out[units], 0, -1).astype(np.int32)


@dataclass(frozen=True)
class LeaveOneOut:
    """Every sample (or group of samples that stay together) is judged by a model trained on all others.

    Args:
        repeats: members a sample; more than one tells something only for learners that draw random numbers.
    """

    repeats: int = 1

    def __post_init__(self) -> None:
        check_int("repeats", self.repeats, 1, most=MOST)

    def describe(self) -> str:
        """In words."""
        return "leave one out" if self.repeats == 1 else f"leave one out × {self.repeats} repeats"

    def rounds(self, labels: np.ndarray | None, units: np.ndarray, seed: np.random.SeedSequence) -> list[Round]:
        """One round a repeat; the assignment is always the same."""
        return [Round(units.astype(np.int32), int(units.max()) + 1)] * self.repeats


def _deal(strata: np.ndarray, units: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of every sample: units whole, every stratum spread as evenly as the units allow."""
    fold = np.empty(len(units), dtype=np.int32)
    held = np.zeros((folds, int(strata.max()) + 1))
    size = np.bincount(units)
    order = np.argsort(units, kind="stable")
    starts = np.concatenate([[0], np.cumsum(size)])
    several = np.flatnonzero(size > 1)
    per_stratum = np.maximum(np.bincount(strata), 1)
    for unit in several[np.lexsort((rng.random(len(several)), -size[several]))]:
        rows = order[starts[unit] : starts[unit + 1]]
        inside, counts = np.unique(strata[rows], return_counts=True)
        crowding = (held[:, inside] / per_stratum[inside]) @ counts
        k = np.lexsort((rng.random(folds), held.sum(1), crowding))[0]
        fold[rows] = k
        held[k, inside] += counts
    single = np.flatnonzero(size[units] == 1)
    single = single[np.lexsort((rng.random(len(single)), strata[single]))]
    for stratum, rows in zip(*_runs(strata[single], single), strict=True):
        target = _level(held[:, stratum], len(rows), held.sum(1), rng)
        fold[rows] = np.repeat(np.arange(folds), target)
        held[:, stratum] += target
    return fold


def _runs(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    found, start = np.unique(keys, return_index=True)
    return found, np.split(values, start)[1:]


def _level(filled: np.ndarray, extra: int, total: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How many of ``extra`` items each fold takes so that the fullest and the emptiest differ least."""
    low, high = int(filled.min()), int(filled.max()) + extra + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if np.maximum(middle - filled, 0).sum() <= extra else (low, middle)
    take = np.maximum(low - filled, 0)
    open_folds = np.flatnonzero(filled <= low)
    left = extra - int(take.sum())
    # What does not divide goes to the folds that are smallest so far, at random among equals.
    first = open_folds[np.lexsort((rng.random(len(open_folds)), (total + take)[open_folds]))][:left]
    take[first] += 1
    whole: np.ndarray = take.astype(np.int64)
    return whole


def check(
    rounds: list[Round], labels: np.ndarray | None, units: np.ndarray, classes: tuple[object, ...] | None, *, once: bool
) -> np.ndarray:
    """Refuse splits that would leak or leave samples unjudged; return how often each sample is judged, ``(sample,)``.

    Args:
        rounds: what was drawn.
        labels: class codes, or None for regression.
        units: codes of the sets that must stay together.
        classes: names for the codes.
        once: whether a single judgement a sample is enough.

    Raises:
        InputError: a unit stands on both sides of a member's split, a class is missing from a member's training part,
            or a sample is judged too seldom.
    """
    judged = np.zeros(len(units), dtype=np.int64)
    for fold, members in rounds:
        first = np.unique(units, return_index=True)[1]
        if not np.array_equal(fold[first][units], fold):
            torn = int(units[np.flatnonzero(fold[first][units] != fold)[0]])
            raise InputError(
                f"the splits tear apart samples that belong together (unit {torn}): give every unit one fold"
            )
        if fold.min() < -1 or fold.max() >= members:
            raise InputError(f"fold numbers must lie in -1 … {members - 1}. Got {fold.min()} … {fold.max()}")
        judged += fold >= 0
        if labels is not None and classes is not None:
            _check_classes(fold, members, labels, classes)
    need = 1 if once else 2
    seldom = int((judged < need).sum())
    if seldom:
        raise InputError(
            f"{seldom:,} of {len(units):,} samples are judged fewer than {need} times: train more members, "
            "or a smaller share of the samples each"
        )
    return judged


def _check_classes(fold: np.ndarray, members: int, labels: np.ndarray, classes: tuple[object, ...]) -> None:
    total = np.bincount(labels, minlength=len(classes))
    inside = fold >= 0
    cell = fold[inside].astype(np.int64) * len(classes) + labels[inside]
    found, held_out = np.unique(cell, return_counts=True)
    gone = held_out == total[found % len(classes)]
    if gone.any():
        name = classes[found[gone][0] % len(classes)]
        raise InputError(
            f"class {name!r} would vanish from a model's training part, because all its samples are held out together: "
            "merge it with another class, leave it out, or give it more samples (or groups)"
        )


def _units_by_class(labels: np.ndarray, units: np.ndarray, classes: int) -> np.ndarray:
    pairs = np.unique(np.stack([labels, units]), axis=1)
    return np.bincount(pairs[0], minlength=classes)


def most_folds(labels: np.ndarray, units: np.ndarray, classes: tuple[object, ...] | None) -> int:
    """Into how many folds the samples can be dealt: the units of the smallest class, or all of them; never below 2."""
    apart = int(units.max()) + 1 if classes is None else int(_units_by_class(labels, units, len(classes)).min())
    return max(2, apart)


def check_class_sizes(
    labels: np.ndarray, units: np.ndarray, classes: tuple[object, ...], splits: Splits | None
) -> None:
    """Refuse classes too small to be split, before anything is drawn. ``splits``: None where the learner splits itself.

    Raises:
        InputError: a class with one sample (or one group), or with fewer than ``folds``.
    """
    apart = _units_by_class(labels, units, len(classes))
    smallest = int(apart.argmin())
    name, count = classes[smallest], int(apart[smallest])
    samples = int((labels == smallest).sum())
    what = f"{samples} sample{'s' * (samples != 1)}" + (
        f" that stay together in {count} group{'s' * (count != 1)} (rows with equal features do, "
        "unless duplicates='apart')"
        if samples != count
        else ""
    )
    if count < 2:
        raise InputError(
            f"class {name!r} has {what}: a model that has not seen it cannot judge it. Give it more samples, "
            "merge it with another class, or leave it out"
        )
    if isinstance(splits, KFold) and count < splits.folds:
        raise InputError(
            f"folds={splits.folds} is larger than the smallest class, {name!r} with {what}: use folds={count} or fewer, "
            "merge the class with another, or leave it out"
        )


@dataclass(frozen=True, eq=False)
class Member:
    """One model to be trained: which samples it sees, which it judges, and the seed of all it draws."""

    round: int
    fold: int
    seed: int
    assignment: np.ndarray = field(repr=False)

    @property
    def train(self) -> np.ndarray:
        """Positions it is trained on, ascending, int64."""
        return np.flatnonzero(self.assignment != self.fold)

    @property
    def held_out(self) -> np.ndarray:
        """Positions it judges, ascending, int64."""
        return np.flatnonzero(self.assignment == self.fold)


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything a learner needs to know of who judges whom.

    A plan is carried out a few turns at a time: a turn is one round, or one view of a learner that splits by itself. What
    a turn does depends on the whole plan and its own number alone, so that it does not matter which turns share a call.

    Attributes:
        rounds: the checked rounds; empty for learners that split by themselves.
        units: codes of samples that must stay together, ``(sample,)``.
        repeats: turns of the whole plan.
        seed: one integer that fixes every random number.
        turns: those to carry out now; None for all.
        only: of the members of those turns, counted through, those to train now; None for all.
        in_sample: whether members are to judge the samples they were trained on, too.
        kept: what learners keep for all parts of the plan, which share it; not for copies in other processes.
    """

    rounds: list[Round]
    units: np.ndarray
    repeats: int
    seed: int
    turns: range | None = None
    only: range | None = None
    in_sample: bool = False
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": {}}

    def member_seed(self, index: int, fold: int) -> int:
        """A seed of its own for each member, unrelated to the stream that drew the splits."""
        state = np.random.SeedSequence(self.seed, spawn_key=(1, index, fold)).generate_state(1)
        return int(state[0])

    def part(self, turns: range, only: range | None = None) -> "Plan":
        """The same plan, of which only some turns, or some members of theirs, are to be carried out now."""
        return replace(self, turns=turns, only=only)

    @property
    def now(self) -> range:
        """The turns to carry out, ascending."""
        return range(self.repeats) if self.turns is None else self.turns

    @property
    def count(self) -> int:
        """How many models will be trained now."""
        return sum(self.rounds[turn].members for turn in self.now) if self.only is None else len(self.only)

    def members(self) -> Iterator[Member]:
        """The members to train now, round by round."""
        before = 0
        for index in self.now:
            fold, members = self.rounds[index]
            first, last = (0, members) if self.only is None else (self.only.start - before, self.only.stop - before)
            for k in range(max(first, 0), min(last, members)):
                yield Member(index, k, self.member_seed(index, k), fold)
            before += members


def split_seed(seed: int) -> np.random.SeedSequence:
    """The stream that draws splits, for one user seed."""
    return np.random.SeedSequence(seed, spawn_key=(0,))
