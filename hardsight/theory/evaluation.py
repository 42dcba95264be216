"""Train networks with weights and evaluate them on test samples."""

from typing import Any

import numpy as np

from hardsight.data import Samples
from hardsight.learners import Network
from hardsight.resampling.plan import Plan, Round


def train_and_predict(
    x: np.ndarray, y: np.ndarray, test_x: np.ndarray, seed: int, weights: np.ndarray | None = None, **recipe: Any
) -> np.ndarray:
    """Return log-probabilities of test samples, ``(test sample, class)``, by one network trained on all of ``x``.

    Args:
        y: their labels, as codes; every class must occur.
        seed: of the network and of the order of its batches; use the same one to compare weights.
        weights: of the training samples; None: all equal.
    """
    n, n_test = len(x), len(test_x)
    # Test samples need some label; no model is trained on it.
    labels = np.concatenate([y, np.full(n_test, y[0])])
    all_weights = None if weights is None else np.concatenate([weights, np.full(n_test, weights.mean())])
    samples = Samples.of(np.concatenate([x, test_x]), labels, weights=all_weights)
    fold = np.concatenate([np.full(n, -1), np.zeros(n_test)]).astype(np.int32)
    plan = Plan([Round(fold, 1)], np.arange(n + n_test), 1, seed)
    (predictions,) = Network(**recipe).fit_predict(samples, plan, lambda _: None)
    log_prob: np.ndarray = predictions.values.numpy()[np.argsort(predictions.rows.numpy())]
    return log_prob


def balanced_accuracy(log_prob: np.ndarray, y: np.ndarray) -> float:
    """Return the mean over the classes of the share of their samples that are predicted correctly."""
    correct = log_prob.argmax(1) == y
    return float(np.mean([correct[y == c].mean() for c in np.unique(y)]))
