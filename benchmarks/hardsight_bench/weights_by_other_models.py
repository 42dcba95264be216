"""Automatic weights whose P(label wrong) comes from other models than the row's learner.

They show what better models would bring. ``auto-default`` measures by default settings, whatever the learner is.
``auto-informed`` is a bound that no method reaches from the given labels: its models learned from the right labels of all
other samples, and it knows how often each class was mislabelled as each other.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from hardsight import weigh
from hardsight.difficulty.result import Difficulty
from hardsight.errors import HardsightWarning
from hardsight.estimation.measure import measure
from hardsight.weights.schemes.automatic import auto
from hardsight_bench.weights_scenarios import Scenario, count_folds

BY_DEFAULT = "auto-default"


def by_default(world: Scenario, seed: int) -> np.ndarray:
    """Return the automatic weights of ``hs.measure`` by default settings, ``(sample,)``."""
    return np.asarray(weigh(measure_labels(world.x, world.y, seed)))


def by_right_labels(world: Scenario, seed: int) -> np.ndarray:
    """Return the automatic weights if P(label wrong) is that of models of the right labels, ``(sample,)``.

    The posterior of class c is proportional to p(c|x) T(c → y), with p of models that were trained on right labels and never
    saw the sample, and T the shares of the labels that samples of each class have.
    """
    difficulty = measure_labels(world.x, world.true, seed)
    assert difficulty.consensus is not None
    of_true = np.exp(difficulty.consensus)
    rates = np.zeros((of_true.shape[1], of_true.shape[1]))
    np.add.at(rates, (world.true, world.y), 1)
    rates /= rates.sum(1, keepdims=True)
    of_given = np.maximum(of_true @ rates, np.finfo(float).tiny)
    rows = np.arange(len(world.y))
    right = of_true[rows, world.y] * rates[world.y, world.y] / of_given[rows, world.y]
    logits, labels = torch.from_numpy(np.log(of_given)), torch.from_numpy(world.y)
    return auto(torch.from_numpy(1 - right).clamp(0, 1), logits, labels).numpy()


def measure_labels(x: np.ndarray, labels: np.ndarray, seed: int, **options: Any) -> Difficulty:
    """Measure without warnings, in fewer folds where a class has few labels.

    Args:
        options: of ``hs.measure``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HardsightWarning)
        return measure(x, labels, folds=count_folds(labels), seed=seed, **options)


OTHER_MODELS: Mapping[str, Callable[[Scenario, int], np.ndarray]] = {
    BY_DEFAULT: by_default,
    "auto-informed": by_right_labels,
}
"""Rows by name: ``(scenario, seed)`` to weights. They are run if they are named."""
