"""The plan of a run: which model trains on which samples and predicts which held-out samples.

A :class:`Round` is one array that says which model of the round holds each sample out. :func:`check_rounds` enforces the
invariant of the library before any model is trained: *no model predicts a sample after training on it, on its group or
on an exact duplicate of it*.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hardsight.errors import InputError


class Round(NamedTuple):
    """Models that share one assignment: model ``k`` trains where ``fold != k`` and predicts where ``fold == k``.

    Attributes:
        fold: ``(sample,)`` int32; -1 marks samples that no model of the round predicts.
        n_models: number of models.
    """

    fold: np.ndarray
    n_models: int


@dataclass(frozen=True, eq=False)
class Member:
    """One model of the ensemble: its training samples, its held-out samples and the seed of all its random numbers."""

    round: int
    fold: int
    seed: int
    assignment: np.ndarray = field(repr=False)

    @property
    def train(self) -> np.ndarray:
        """Row numbers of the training samples, ascending, int64."""
        return np.flatnonzero(self.assignment != self.fold)

    @property
    def held_out(self) -> np.ndarray:
        """Row numbers of the held-out samples, ascending, int64."""
        return np.flatnonzero(self.assignment == self.fold)


@dataclass(frozen=True, eq=False)
class Plan:
    """The train/held-out assignment of all models of a run, with their seeds.

    A plan is run a few repeats at a time. A repeat is one round, or one prediction of every sample by a learner that
    splits by itself. The result of a repeat depends only on the whole plan and the repeat's own index, so it does not
    matter which repeats share a call.

    Attributes:
        rounds: the checked rounds; empty for learners that split by themselves.
        blocks: codes of the samples that must stay together, ``(sample,)``.
        repeats: number of repeats in the whole plan.
        seed: one integer that fixes every random number.
        repeat_range: the repeats to run now; None for all.
        model_range: the models to train now, counted through the models of those repeats; None for all.
        in_sample: whether models also predict the samples they were trained on.
        cache: intermediate results of learners, shared by all parts of the plan; copies in other processes start empty.
    """

    rounds: list[Round]
    blocks: np.ndarray
    repeats: int
    seed: int
    repeat_range: range | None = None
    model_range: range | None = None
    in_sample: bool = False
    cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "cache": {}}

    def member_seed(self, index: int, fold: int) -> int:
        """Return a seed for one model, unrelated to the stream that draws the splits."""
        state = np.random.SeedSequence(self.seed, spawn_key=(1, index, fold)).generate_state(1)
        return int(state[0])

    def select(self, repeat_range: range, model_range: range | None = None) -> "Plan":
        """Return the same plan, restricted to some repeats, or to some of their models."""
        return replace(self, repeat_range=repeat_range, model_range=model_range)

    @property
    def repeat_indices(self) -> range:
        """The repeats to run now, ascending."""
        return range(self.repeats) if self.repeat_range is None else self.repeat_range

    @property
    def n_models(self) -> int:
        """Number of models to train now."""
        if self.model_range is not None:
            return len(self.model_range)
        return sum(self.rounds[index].n_models for index in self.repeat_indices)

    def members(self) -> Iterator[Member]:
        """Iterate over the models to train now, round by round."""
        before = 0
        for index in self.repeat_indices:
            fold, n_models = self.rounds[index]
            first, last = 0, n_models
            if self.model_range is not None:
                first, last = self.model_range.start - before, self.model_range.stop - before
            for k in range(max(first, 0), min(last, n_models)):
                yield Member(index, k, self.member_seed(index, k), fold)
            before += n_models


def split_seed(seed: int) -> np.random.SeedSequence:
    """Return the random stream that draws the splits for one user seed."""
    return np.random.SeedSequence(seed, spawn_key=(0,))


def block_codes(n_samples: int, *partitions: np.ndarray | None) -> np.ndarray:
    """Return codes of the samples that must stay together, ``(sample,)`` int64: the join of several partitions.

    Args:
        n_samples: number of samples.
        partitions: ``(sample,)`` codes each; samples with equal codes stay together. None is ignored.

    >>> block_codes(4, np.array([0, 0, 1, 2]), np.array([5, 6, 6, 7])).tolist()
    [0, 0, 0, 1]
    """
    links = [np.empty((2, 0), dtype=np.int64)]
    for codes in (p for p in partitions if p is not None):
        order = np.argsort(codes, kind="stable")
        same = codes[order][1:] == codes[order][:-1]
        links.append(np.stack([order[:-1][same], order[1:][same]]))
    tail, head = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(len(tail), dtype=np.int8), (tail, head)), shape=(n_samples, n_samples))
    blocks: np.ndarray = connected_components(graph, directed=False)[1].astype(np.int64)
    return blocks


def check_rounds(
    rounds: list[Round], labels: np.ndarray | None, blocks: np.ndarray, classes: tuple[object, ...] | None, *, least: int
) -> np.ndarray:
    """Refuse splits that leak or predict a sample too seldom; return its number of predictions otherwise, ``(sample,)``.

    Args:
        labels: class codes ``(sample,)``; None for regression.
        blocks: codes of the samples that must stay together, ``(sample,)``.
        least: held-out predictions that every sample needs.

    Raises:
        InputError: a block is on both sides of a split, a training part has a single class, or a sample is predicted too
            seldom.
    """
    count = np.zeros(len(blocks), dtype=np.int64)
    first = np.unique(blocks, return_index=True)[1]
    for fold, n_models in rounds:
        torn = fold[first][blocks] != fold
        if torn.any():
            raise InputError(
                f"the splits separate samples that must stay together (block {int(blocks[torn][0])}): "
                "assign one fold to each block"
            )
        if fold.min() < -1 or fold.max() >= n_models:
            raise InputError(f"fold numbers must be -1 to {n_models - 1}. Got {fold.min()} to {fold.max()}")
        count += fold >= 0
        if labels is not None and classes is not None:
            _check_training_classes(fold, n_models, labels, classes)
    seldom = int((count < least).sum())
    if seldom:
        raise InputError(
            f"{seldom:,} of {len(blocks):,} samples have fewer than {least} held-out predictions: train more models, "
            "or train each on a smaller share of the samples"
        )
    return count


def _check_training_classes(fold: np.ndarray, n_models: int, labels: np.ndarray, classes: tuple[object, ...]) -> None:
    n_missing = np.bincount(_missing_cells(fold, labels, len(classes)) // len(classes), minlength=n_models)
    if (np.count_nonzero(np.bincount(labels)) - n_missing < 2).any():
        raise InputError(
            "a model would be trained on a single class, because all samples of the others are held out together: merge "
            "small classes, leave them out, or add samples (or groups) of them"
        )


def _missing_cells(fold: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the pairs of a model and a class of which it holds out all samples, as ``model · n_classes + class``."""
    inside = fold >= 0
    cell, held_out = np.unique(fold[inside].astype(np.int64) * n_classes + labels[inside], return_counts=True)
    missing: np.ndarray = cell[held_out == np.bincount(labels, minlength=n_classes)[cell % n_classes]]
    return missing


def small_classes(rounds: list[Round], labels: np.ndarray, blocks: np.ndarray, n_classes: int) -> np.ndarray:
    """Return which classes are too small for their labels to be judged, ``(class,)`` bool.

    These are classes of a single block, and those of which some model holds out all samples: models that never saw a class
    cannot tell whether a sample belongs to it.

    Args:
        rounds: the rounds of the run; empty for learners that split by themselves.
        labels: class codes, ``(sample,)``.
        blocks: codes of the samples that must stay together, ``(sample,)``.
    """
    small: np.ndarray = _blocks_per_class(labels, blocks, n_classes) == 1
    for fold, _ in rounds:
        small[_missing_cells(fold, labels, n_classes) % n_classes] = True
    return small


def _blocks_per_class(labels: np.ndarray, blocks: np.ndarray, n_classes: int) -> np.ndarray:
    pairs = np.unique(np.stack([labels, blocks]), axis=1)
    return np.bincount(pairs[0], minlength=n_classes)


def check_class_sizes(labels: np.ndarray, blocks: np.ndarray, classes: tuple[object, ...]) -> None:
    """Refuse labels of which fewer than two classes can be split, before anything is drawn.

    Args:
        labels: class codes, ``(sample,)``.
        blocks: codes of the samples that must stay together, ``(sample,)``.

    Raises:
        InputError: fewer than two classes have two samples (or groups) or more.
    """
    per_class = _blocks_per_class(labels, blocks, len(classes))
    divisible = np.flatnonzero(per_class > 1)
    if len(divisible) > 1:
        return
    if len(classes) == len(labels):
        raise InputError(
            f"all {len(labels):,} samples have different labels, so that no class can be held out: name the column of the "
            "labels, not of ids, or pass task='regression' (--task regression) if they are numbers to predict"
        )
    unit = "samples" if len(np.unique(blocks)) == len(blocks) else "samples (or groups that must stay together)"
    note = "" if unit == "samples" else ". Rows with equal features stay together, unless duplicates='apart'"
    got = f"only {classes[divisible[0]]!r} has" if len(divisible) else f"none of {len(classes)} has"
    raise InputError(
        f"at least two classes must have 2 {unit} or more, so that one can be held out, but {got}: add samples, or merge "
        f"small classes{note}"
    )
