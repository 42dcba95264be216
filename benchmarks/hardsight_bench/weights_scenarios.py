"""Scenarios of the study of weights: real data whose training set is made imbalanced and mislabelled in known ways.

The conventions, which differ from paper to paper:

- Half of a set is for training, the other half (at most ``TEST`` samples) for testing, both stratified by class; the
test
  set is clean and has the class proportions of the set.
- Imbalance is made first. It *multiplies* the natural imbalance of the set: the classes, in an order that is drawn for
each
  seed, so that the tail varies, keep a share of their samples that falls from 1 to 1/factor evenly on a
  logarithmic scale ("exp"; Cao et al. 2019), or is 1 for one half and 1/factor for the other ("step"). Of the rest, at
  most ``most`` samples are taken, proportionally by class. Every class keeps at least ``LEAST`` samples, which in small
  sets with many classes makes the factor smaller than its name says.
- Then noise, as a share of the remaining samples. A changed label is always wrong: "uniform" draws any
  *other* class, "pair" takes the next one (Han et al. 2018), "instance" the class that a held-out linear model confuses
  the sample with; there every class loses the same share, most likely confusions first. Every class keeps ``RIGHT``
  samples with the right label, so that it can be learned.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hardsight.errors import InputError
from hardsight_bench.corruptions import confusion_probabilities, draw_classes, pair, relabel, uniform
from hardsight_bench.datasets import Dataset, load_dataset

LEAST, RIGHT, TEST, MOST = 5, 3, 5000, 1500
FOLDS = 5
_LOADED = 20_000


class Scenario(NamedTuple):
    """A training set with known faults, and a clean test set.

    Attributes:
        x: training features, ``(sample, feature)`` float32.
        y: given labels, codes ``(sample,)``; may be wrong.
        true: true labels.
        test_x: ``(test sample, feature)`` float32.
        test_y: their labels, all right.
        shape: height and width of images, or None.
    """

    x: np.ndarray
    y: np.ndarray
    true: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    shape: tuple[int, int] | None


def _instance_flips(data: Dataset, share: float, rng: np.random.Generator) -> np.ndarray:
    """Flip labels to the class that a sample is confused with, the same share of every class."""
    # A model of imbalanced data would confuse the whole tail with the head.
    p = confusion_probabilities(data, rng, class_weight="balanced")
    chance = p.sum(1) + 0.01
    rows = []
    for c in np.unique(data.y):
        at = np.flatnonzero(data.y == c)
        rows.append(rng.choice(at, round(share * len(at)), replace=False, p=chance[at] / chance[at].sum()))
    drawn = rng.permutation(np.concatenate(rows))
    return relabel(data, drawn, draw_classes(p[drawn], rng)).y


Relabel = Callable[[Dataset, np.random.Generator], np.ndarray]
NOISES: dict[str, Relabel] = {
    "none": lambda data, _: data.y.copy(),
    "uniform-20": lambda data, rng: uniform(data, 0.2, rng).y,
    "uniform-40": lambda data, rng: uniform(data, 0.4, rng).y,
    "pair-40": lambda data, rng: pair(data, 0.4, rng).y,
    "instance-35": lambda data, rng: _instance_flips(data, 0.35, rng),
}
"""Kinds of label noise, with their share in percent."""


def _exponential_shares(classes: int, factor: float) -> np.ndarray:
    found: np.ndarray = factor ** -(np.arange(classes) / max(classes - 1, 1))
    return found


def _step_shares(classes: int, factor: float) -> np.ndarray:
    return np.where(np.arange(classes) < (classes + 1) // 2, 1.0, 1 / factor)


IMBALANCES: dict[str, Callable[[int], np.ndarray]] = {
    "none": np.ones,
    "exp-10": lambda classes: _exponential_shares(classes, 10),
    "exp-50": lambda classes: _exponential_shares(classes, 50),
    "step-10": lambda classes: _step_shares(classes, 10),
    "step-50": lambda classes: _step_shares(classes, 50),
}
"""Shares of samples that the classes keep, head first: ``(class,)``, by kind and factor."""


@dataclass(frozen=True, order=True)
class Cell:
    """One scenario: a data set, a kind of noise, a kind of imbalance, and a seed."""

    set: str
    noise: str
    imbalance: str
    seed: int

    def stream(self, *of: str) -> np.random.SeedSequence:
        """Return random numbers that depend only on the set, the seed, and the given names."""
        # CRC-32, because the hash of a string differs between processes.
        return np.random.SeedSequence(self.seed, spawn_key=tuple(zlib.crc32(each.encode()) for each in (self.set, *of)))

    @property
    def file(self) -> str:
        """Return the name of the cell's file."""
        return f"{self.set}-{self.noise}-{self.imbalance}-{self.seed}.parquet"


def list_cells(sets: Sequence[str], noises: Sequence[str], imbalances: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """Return the grid.

    Raises:
        InputError: an unknown kind.
    """
    for parameter, names, kinds in (("noise", noises, NOISES), ("imbalance", imbalances, IMBALANCES)):
        for name in names:
            if name not in kinds:
                raise InputError(f"unknown kind of {parameter} {name!r}: choose from {', '.join(kinds)}")
    return [Cell(*each) for each in product(sets, noises, imbalances, seeds)]


def make_scenario(cell: Cell, folder: Path | None = None, most: int = MOST) -> Scenario:
    """Make the scenario of a cell; split, test set and tail are the same for all cells of a set and seed.

    Args:
        cell: of the grid.
        folder: folder of data sets that do not come with scikit-learn.
        most: maximum number of training samples.

    Raises:
        InputError: unknown set or kind, the set is not in the folder, or a class has too few samples.
    """
    dataset = _loaded(cell.set, folder, cell.seed)
    split, tail = (np.random.default_rng(each) for each in cell.stream("split").spawn(2))
    train, test = _split_halves(dataset.y, split)
    classes = int(dataset.y.max()) + 1
    if np.bincount(dataset.y[train], minlength=classes).min() < LEAST:
        raise InputError(f"half of {cell.set} has fewer than {LEAST} samples of some class: choose another data set")
    shares = np.empty(classes)
    shares[tail.permutation(classes)] = IMBALANCES[cell.imbalance](classes)
    # The training part is in random order, so the first samples of a class are a random subset.
    rows = train[_first_of_each_class(dataset.y[train], _class_sizes(np.bincount(dataset.y[train]), shares, most))]
    clean = Dataset(dataset.x[rows], dataset.y[rows], dataset.shape)
    y = NOISES[cell.noise](clean, np.random.default_rng(cell.stream("noise", cell.imbalance, cell.noise)))
    return Scenario(clean.x, _keep_some_right(y, clean.y), clean.y, dataset.x[test], dataset.y[test], dataset.shape)


def count_folds(labels: np.ndarray) -> int:
    """Return the number of folds to measure in: a class with few labels limits it."""
    return min(FOLDS, int(np.unique(labels, return_counts=True)[1].min()))


@lru_cache(maxsize=2)
def _loaded(name: str, folder: Path | None, seed: int) -> Dataset:
    return load_dataset(name, folder, _LOADED, seed)


def _split_halves(y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return positions for training, in random order, and for testing, with the same share of every class in each."""
    places = [rng.permutation(np.flatnonzero(y == c)) for c in np.unique(y)]
    share = min(1.0, TEST / (len(y) / 2))
    train = np.concatenate([at[: (len(at) + 1) // 2] for at in places])
    test = np.concatenate([at[(len(at) + 1) // 2 :][: max(1, round(share * (len(at) // 2)))] for at in places])
    return rng.permutation(train), np.sort(test)


def _class_sizes(counts: np.ndarray, shares: np.ndarray, most: int) -> np.ndarray:
    """Return the number of samples that each class keeps, ``(class,)``."""
    target = counts * shares
    sizes: np.ndarray = np.round(target * min(1.0, most / target.sum())).astype(np.int64)
    clipped: np.ndarray = np.clip(sizes, LEAST, counts)
    return clipped


def _first_of_each_class(y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the positions of the first samples of each class, in their order."""
    return np.sort(np.concatenate([np.flatnonzero(y == c)[:size] for c, size in enumerate(sizes)]))


def _keep_some_right(y: np.ndarray, true: np.ndarray) -> np.ndarray:
    labels = y.copy()
    for c in np.unique(true):
        wrong = np.flatnonzero((true == c) & (y != c))
        n_right = int(((true == c) & (y == c)).sum())
        labels[wrong[: max(RIGHT - n_right, 0)]] = c
    return labels
