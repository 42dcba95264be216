"""Studies for the claims about images: labelled images, a network, and the expected results."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardsight.difficulty.result import Difficulty
from hardsight.estimation.measure import measure
from hardsight.estimation.request import Estimate
from hardsight.learners import Network
from hardsight.measures.record import Record
from hardsight.theory.scenarios import load_digit_images

FOLDS = 5


@dataclass(frozen=True)
class ImageStudy:
    """Images, and how they are measured."""

    name: str  # of the images, as used in claims
    # Returns the images, (sample, feature) or bytes (sample, height, width, channel), and their labels as codes.
    images: Callable[[], tuple[np.ndarray, np.ndarray]]
    network: Network  # the recipe
    setting: str  # description of the network
    repeats: int  # number of times that all samples are split into folds; views if the parts of the error matter
    views: int  # the same, for claims about the parts of the error
    rates: tuple[float, ...]  # shares of labels that are flipped
    factors: tuple[float, ...]  # ratios of the largest class to the smallest, one per run in turn
    largest: int  # samples of the largest class of a long tail
    auc: float  # lower limit of the mean AUROC of the error for flipped labels
    margin: float  # lower limit of the rank correlation of error and negative mean margin
    variance: float  # lower limit of the rank correlation of error and variance
    runs: int | None = None  # of every test; None: the test's own number, which gives an interval

    def counts(self, runs: int, full_runs: int) -> dict[str, int]:
        """Return the runs of a test in the fast set and in the full one."""
        return {"runs": self.runs or runs, "full_runs": self.runs or full_runs}

    @property
    def note(self) -> str:
        """Return the caveat for studies with a single run."""
        return "" if self.runs != 1 else " One run, as in the original: there is no interval, and the mean alone decides."


DIGITS = ImageStudy(
    "scikit-learn's digits",
    load_digit_images,
    Network(hidden=(64,)),
    "perceptrons of 64, five folds",
    repeats=3,
    views=6,
    rates=(0.1, 0.2, 0.4),
    factors=(10, 50),
    largest=170,
    auc=0.99,
    margin=0.95,
    variance=0.9,
)


def measure_images(
    x: np.ndarray, y: np.ndarray, seed: int, *names: str, network: Network, repeats: int
) -> tuple[Difficulty, dict[str, np.ndarray]]:
    """Measure difficulty with networks in five folds, and measures of the same models by name."""
    record = Record(names, members=True) if names else None
    recipe: dict[str, Any] = {"learner": network, "folds": FOLDS, "repeats": repeats, "record": record, "seed": seed}
    d = measure(x, y, estimate=Estimate(adjusted="rho" in names), refine=False, **recipe)
    return d, {} if record is None else {name: record.measure(name).to_numpy() for name in names}
