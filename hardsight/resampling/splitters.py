"""Cross-validation splitters: repeated stratified K-fold, random subsets and leave-one-out."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from hardsight.resampling.plan import Round
from hardsight.validation import check_int, check_range

# Upper bound on repeats and models: the random streams of more would exhaust memory.
_MAX_COUNT = 1_000_000


@runtime_checkable
class Splitter(Protocol):
    """A way to split samples. :class:`KFold`, :class:`Subsets` and :class:`LeaveOneOut` are built in."""

    def describe(self) -> str:
        """Describe the splits for tables and reports."""
        ...

    def split(self, labels: np.ndarray | None, blocks: np.ndarray, seed: np.random.SeedSequence) -> list[Round]:
        """Draw all rounds.

        Args:
            labels: class codes to stratify by, ``(sample,)``; None for regression.
            blocks: codes of the samples that must stay together (:func:`hardsight.resampling.plan.block_codes`).
            seed: the random stream.
        """
        ...


@dataclass(frozen=True)
class KFold:
    """Repeated stratified K-fold: each repeat predicts every sample once, by a model trained on the other folds.

    Args:
        folds: number of folds, and of models per repeat.
        repeats: number of times that the samples are split into folds anew.
    """

    folds: int = 5
    repeats: int = 10

    def __post_init__(self) -> None:
        check_int("folds", self.folds, 2, ", so that samples are left to train on")
        check_int("repeats", self.repeats, 2, ": one prediction has no variance and no error bar", _MAX_COUNT)

    def describe(self) -> str:
        """Describe the splits."""
        return f"{self.folds} folds × {self.repeats} repeats"

    def split(self, labels: np.ndarray | None, blocks: np.ndarray, seed: np.random.SeedSequence) -> list[Round]:
        """Draw one round per repeat."""
        strata = np.zeros(len(blocks), dtype=np.int64) if labels is None else labels
        return [
            Round(_assign_folds(strata, blocks, self.folds, np.random.default_rng(stream)), self.folds)
            for stream in seed.spawn(self.repeats)
        ]


@dataclass(frozen=True)
class Subsets:
    """Random training subsets, one per model, as for C-scores and memorization.

    Args:
        members: number of models.
        ratio: share of the samples of each class that a model is trained on.

    Jiang et al. 2021, *Characterizing structural regularities of labeled data*; Feldman & Zhang 2020.
    """

    members: int = 100
    ratio: float = 0.7

    def __post_init__(self) -> None:
        check_range("ratio", self.ratio, 0, 1, strict=(True, True))
        check_int("members", self.members, 2, most=_MAX_COUNT)

    def describe(self) -> str:
        """Describe the splits."""
        return f"{self.members} random subsets of {self.ratio:.0%}"

    def split(self, labels: np.ndarray | None, blocks: np.ndarray, seed: np.random.SeedSequence) -> list[Round]:
        """Draw one round per model."""
        first = np.unique(blocks, return_index=True)[1]
        strata = np.zeros(len(first), dtype=np.int64) if labels is None else labels[first]
        assignments = [self._draw(strata, blocks, np.random.default_rng(s)) for s in seed.spawn(self.members)]
        self._hold_out_rare(assignments, strata, blocks, seed)
        return [Round(assignment, 1) for assignment in assignments]

    def _n_train(self, strata: np.ndarray) -> np.ndarray:
        """Return how many blocks of each class a model is trained on: at least one, whatever the ratio."""
        n_train: np.ndarray = np.maximum(np.round(self.ratio * np.bincount(strata)), 1)
        return n_train

    def _hold_out_rare(
        self, assignments: list[np.ndarray], strata: np.ndarray, blocks: np.ndarray, seed: np.random.SeedSequence
    ) -> None:
        """Hold out the blocks of classes of which ``ratio`` rounds to all: one at a time, in turn, in as many models.

        Args:
            assignments: assignment of each model, changed in place.
            strata: class of each block.
        """
        sizes = np.bincount(strata)
        for stratum in np.flatnonzero((self._n_train(strata) >= sizes) & (sizes > 0)):
            rng = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 0, int(stratum))))
            members = rng.permutation(np.flatnonzero(strata == stratum))
            turns = np.floor(np.arange(self.members + 1) * len(members) * (1 - self.ratio) + rng.random()).astype(np.int64)
            for assignment, turn, next_turn in zip(assignments, turns, turns[1:], strict=False):
                if next_turn > turn:
                    assignment[blocks == members[turn % len(members)]] = 0

    def _draw(self, strata: np.ndarray, blocks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        order = np.lexsort((rng.random(len(strata)), strata))
        start = np.searchsorted(strata[order], strata[order])
        rank = np.arange(len(order)) - start
        n_train = self._n_train(strata)[strata[order]]
        held_out = np.empty(len(order), dtype=bool)
        held_out[order] = rank >= n_train
        return np.where(held_out[blocks], 0, -1).astype(np.int32)


@dataclass(frozen=True)
class LeaveOneOut:
    """Every sample (or group of samples that stay together) is predicted by a model trained on all others.

    Args:
        repeats: models per sample; more than one helps only learners that draw random numbers.
    """

    repeats: int = 1

    def __post_init__(self) -> None:
        check_int("repeats", self.repeats, 1, most=_MAX_COUNT)

    def describe(self) -> str:
        """Describe the splits."""
        return "leave one out" if self.repeats == 1 else f"leave one out × {self.repeats} repeats"

    def split(self, labels: np.ndarray | None, blocks: np.ndarray, seed: np.random.SeedSequence) -> list[Round]:
        """Return one round per repeat; the assignment is always the same."""
        return [Round(blocks.astype(np.int32), int(blocks.max()) + 1)] * self.repeats


def _assign_folds(strata: np.ndarray, blocks: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of every sample: blocks stay whole, and each stratum is spread as evenly as they allow."""
    fold = np.empty(len(blocks), dtype=np.int32)
    filled = np.zeros((folds, int(strata.max()) + 1))
    size = np.bincount(blocks)
    order = np.argsort(blocks, kind="stable")
    starts = np.concatenate([[0], np.cumsum(size)])
    large = np.flatnonzero(size > 1)
    per_stratum = np.maximum(np.bincount(strata), 1)
    for block in large[np.lexsort((rng.random(len(large)), -size[large]))]:
        rows = order[starts[block] : starts[block + 1]]
        inside, counts = np.unique(strata[rows], return_counts=True)
        crowding = (filled[:, inside] / per_stratum[inside]) @ counts
        k = np.lexsort((rng.random(folds), filled.sum(1), crowding))[0]
        fold[rows] = k
        filled[k, inside] += counts
    single = np.flatnonzero(size[blocks] == 1)
    single = single[np.lexsort((rng.random(len(single)), strata[single]))]
    present, first = np.unique(strata[single], return_index=True)
    for stratum, rows in zip(present, np.split(single, first[1:]), strict=False):
        target = _level_counts(filled[:, stratum], len(rows), filled.sum(1), rng)
        fold[rows] = np.repeat(np.arange(folds), target)
        filled[:, stratum] += target
    return fold


def _level_counts(filled: np.ndarray, extra: int, total: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distribute ``extra`` items over folds so that the fullest and the emptiest differ least.

    Args:
        filled: items of the stratum already in each fold, ``(fold,)``.
        extra: number of items to distribute.
        total: items of all strata in each fold, ``(fold,)``.
        rng: breaks ties.
    """
    low, high = int(filled.min()), int(filled.max()) + extra + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if np.maximum(middle - filled, 0).sum() <= extra else (low, middle)
    take = np.maximum(low - filled, 0)
    open_folds = np.flatnonzero(filled <= low)
    left = extra - int(take.sum())
    # The remainder goes to the folds with the fewest samples so far, at random among equals.
    first = open_folds[np.lexsort((rng.random(len(open_folds)), (total + take)[open_folds]))][:left]
    take[first] += 1
    counts: np.ndarray = take.astype(np.int64)
    return counts
