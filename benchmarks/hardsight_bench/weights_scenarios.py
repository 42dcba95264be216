"""Worlds for the study of weights: real data whose training part is unbalanced and mislabelled in known ways.

The conventions, which differ from paper to paper:

- Half of a set is for training, the other half (at most ``TEST`` samples) for the test, both class by class; the test is
  clean and has the classes in the proportions of the set.
- Imbalance is made first. It *multiplies* what the set has by nature: the classes, in an order that is drawn for each
  seed, so that the tail is not always the same, keep a share of their samples that falls from 1 to 1/factor evenly on the
  logarithmic scale ("exp"; Cao et al. 2019), or is 1 for one half and 1/factor for the other ("step"). Of what is left at
  most ``most`` samples are taken, class by class in proportion. Every class keeps ``LEAST`` samples, which in small sets
  with many classes makes the factor smaller than its name says.
- Then noise, as a share of the samples that are left. A label that is changed is wrong afterwards: "uniform" draws any
  *other* class, "pair" takes the next one (Han et al. 2018), "instance" the one that a held-out linear model mistakes the
  sample for, where every class loses the same share, its likeliest mistakes first of all. Every class keeps ``RIGHT``
  samples with the right label, so that there is something to learn it from.
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
_LOADED = 20_000


class Scenario(NamedTuple):
    """A training set that is not what it should be, and a test set that is.

    Attributes:
        x: training features, ``(sample, feature)`` float32.
        y: labels as given, codes ``(sample,)``; may be wrong.
        true: labels before.
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


def _of_each_class(found: Dataset, share: float, rng: np.random.Generator) -> np.ndarray:
    """Labels that go where a sample is mistaken for, the same share of every class."""
    # A model of unbalanced data would mistake the whole tail for the head.
    p = confusion_probabilities(found, rng, class_weight="balanced")
    chance = p.sum(1) + 0.01
    rows = []
    for c in np.unique(found.y):
        at = np.flatnonzero(found.y == c)
        rows.append(rng.choice(at, round(share * len(at)), replace=False, p=chance[at] / chance[at].sum()))
    drawn = rng.permutation(np.concatenate(rows))
    return relabel(found, drawn, draw_classes(p[drawn], rng)).y


Relabel = Callable[[Dataset, np.random.Generator], np.ndarray]
NOISES: dict[str, Relabel] = {
    "none": lambda found, _: found.y.copy(),
    "uniform-20": lambda found, rng: uniform(found, 0.2, rng).y,
    "uniform-40": lambda found, rng: uniform(found, 0.4, rng).y,
    "pair-40": lambda found, rng: pair(found, 0.4, rng).y,
    "instance-35": lambda found, rng: _of_each_class(found, 0.35, rng),
}
"""Kinds of mislabelling, with their share in percent."""


def _exponential(classes: int, factor: float) -> np.ndarray:
    found: np.ndarray = factor ** -(np.arange(classes) / max(classes - 1, 1))
    return found


def _step(classes: int, factor: float) -> np.ndarray:
    return np.where(np.arange(classes) < (classes + 1) // 2, 1.0, 1 / factor)


IMBALANCES: dict[str, Callable[[int], np.ndarray]] = {
    "none": np.ones,
    "exp-10": lambda classes: _exponential(classes, 10),
    "exp-50": lambda classes: _exponential(classes, 50),
    "step-10": lambda classes: _step(classes, 10),
    "step-50": lambda classes: _step(classes, 50),
}
"""Shares that the classes keep, the head first: ``(class,)``, by kind and factor."""


@dataclass(frozen=True, order=True)
class Cell:
    """One world: a data set, a kind of noise, a kind of imbalance, and what is drawn."""

    set: str
    noise: str
    imbalance: str
    seed: int

    def stream(self, *of: str) -> np.random.SeedSequence:
        """Random numbers that depend on the set, the seed, and on what is named; unrelated to all others."""
        # CRC-32, because the hash of a string is another one in every process.
        return np.random.SeedSequence(self.seed, spawn_key=tuple(zlib.crc32(each.encode()) for each in (self.set, *of)))

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.set}-{self.noise}-{self.imbalance}-{self.seed}.parquet"


def list_cells(
    sets: Sequence[str], noises: Sequence[str], imbalances: Sequence[str], seeds: Sequence[int]
) -> list[Cell]:
    """The grid.

    Raises:
        InputError: an unknown kind.
    """
    for what, named, known in (("noise", noises, NOISES), ("imbalance", imbalances, IMBALANCES)):
        for name in named:
            if name not in known:
                raise InputError(f"no kind of {what} is called {name!r}: choose among {', '.join(known)}")
    return [Cell(*each) for each in product(sets, noises, imbalances, seeds)]


def make_scenario(cell: Cell, folder: Path | None = None, most: int = MOST) -> Scenario:
    """Make a cell's world; the same split, test and tail for all cells of a set and seed.

    Args:
        cell: of the grid.
        folder: where data sets other than scikit-learn's lie.
        most: training samples, at most.

    Raises:
        InputError: no such set or kind, the set is not in the folder, or has too few samples of a class.
    """
    found = _loaded(cell.set, folder, cell.seed)
    split, tail = (np.random.default_rng(each) for each in cell.stream("split").spawn(2))
    train, test = _halves(found.y, split)
    classes = int(found.y.max()) + 1
    if np.bincount(found.y[train], minlength=classes).min() < LEAST:
        raise InputError(f"half of {cell.set} has fewer than {LEAST} samples of some class: choose another data set")
    shares = np.empty(classes)
    shares[tail.permutation(classes)] = IMBALANCES[cell.imbalance](classes)
    # The training part is in random order, so the first samples of a class are any.
    kept = train[_first(found.y[train], _sizes(np.bincount(found.y[train]), shares, most))]
    clean = Dataset(found.x[kept], found.y[kept], found.shape)
    y = NOISES[cell.noise](clean, np.random.default_rng(cell.stream("noise", cell.imbalance, cell.noise)))
    return Scenario(clean.x, _some_right(y, clean.y), clean.y, found.x[test], found.y[test], found.shape)


@lru_cache(maxsize=2)
def _loaded(name: str, folder: Path | None, seed: int) -> Dataset:
    return load_dataset(name, folder, _LOADED, seed)


def _halves(y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions for training, in random order, and for the test, the same share of every class in each."""
    places = [rng.permutation(np.flatnonzero(y == c)) for c in np.unique(y)]
    share = min(1.0, TEST / (len(y) / 2))
    train = np.concatenate([at[: (len(at) + 1) // 2] for at in places])
    test = np.concatenate([at[(len(at) + 1) // 2 :][: max(1, round(share * (len(at) // 2)))] for at in places])
    return rng.permutation(train), np.sort(test)


def _sizes(there: np.ndarray, shares: np.ndarray, most: int) -> np.ndarray:
    """Samples that each class keeps, ``(class,)``."""
    wanted = there * shares
    found: np.ndarray = np.round(wanted * min(1.0, most / wanted.sum())).astype(np.int64)
    clipped: np.ndarray = np.clip(found, LEAST, there)
    return clipped


def _first(y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Positions of the first so many samples of each class, in their order."""
    return np.sort(np.concatenate([np.flatnonzero(y == c)[:size] for c, size in enumerate(sizes)]))


def _some_right(y: np.ndarray, true: np.ndarray) -> np.ndarray:
    found = y.copy()
    for c in np.unique(true):
        wrong = np.flatnonzero((true == c) & (y != c))
        right = int(((true == c) & (y == c)).sum())
        found[wrong[: max(RIGHT - right, 0)]] = c
    return found
