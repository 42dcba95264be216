"""A result whose ledger is written down, for tests of what is shown of it."""

import numpy as np

from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.run_info import RunInfo
from hardsight.estimation.predictions import measure_predictions

LINES = np.array([
    [3.0, 0, 0, 0], [1.0, 0, 0.5, 0], [0, 2.0, 0, 0.5], [0, 0, 1.0, 0], [0, 0, 0.1, 1.0], [0, -0.1, 0.2, 0],
])  # fmt: skip


def by_hand(copies: int = 1, classes: tuple = ("cat", "dog"), lines: np.ndarray = LINES) -> Difficulty:
    """Six samples, or so many times six: two hard by noise, one by each other cause, and an easy one."""
    labels = np.tile([0, 0, 1, 1, 1, 0], copies)
    lines = np.tile(lines, (copies, 1))
    error, n = lines.sum(1), 6 * copies
    others = np.full((len(classes), len(classes)), 0.0)
    others[:2, :2] = [[0.7, 0.3], [0.2, 0.8]]
    np.fill_diagonal(others[2:, 2:], 1.0)
    return Difficulty(
        error=error, error_se=np.full(n, 0.1), bias=error - lines[:, 3], variance=lines[:, 3], n_views=np.full(n, 4),
        labels=labels, predicted=1 - labels, ids=np.arange(n), classes=classes,
        consensus=np.log(np.full((n, len(classes)), 1 / len(classes))), ledger=lines,
        p_wrong=np.tile([0.9, 0.4, 0.2, 0.6, 0.1, 0.0], copies), suggested=np.tile([1, 0, 1, 0, 1, 0], copies),
        p_suggested=np.tile([0.9, 0.6, 0.8, 0.6, 0.9, 1.0], copies),
        cause=np.tile(["noise", "noise", "imbalance", "margin", "uncertainty", "none"], copies),
        run=RunInfo.from_json({
            "loss": "log", "learner": "by hand", "recipe": "none", "reason": "a test", "splits": "2 folds", "seed": 0,
            "members": 4, "notices": [], "label_name": "animal", "transition": others.tolist(),
            "class_shares": [0.6, 0.4, *[0.0] * (len(classes) - 2)],
        }),
    )  # fmt: skip


def regression_with_an_outlier() -> Difficulty:
    """400 samples with noise of deviation 0.2; sample 5 is 4 off."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    y = truth + 0.2 * rng.normal(size=400)
    y[5] += 4
    return measure_predictions(truth + 0.05 * rng.normal(size=(6, 400)), y)


def regression_with_a_wrong_unit() -> Difficulty:
    """200 integers from 100 to 150, predicted with a deviation of 3; that of sample 5 is ten times too large."""
    rng = np.random.default_rng(0)
    truth = np.round(rng.uniform(100, 150, 200))
    return measure_predictions(truth + 3 * rng.normal(size=(4, 200)), np.where(np.arange(200) == 5, 10 * truth, truth))
