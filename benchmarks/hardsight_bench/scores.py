"""Scores of predictions and of weights in the study of weights."""

import numpy as np

from hardsight.weights.describe import effective_sample_size

METRICS = ("balanced_accuracy", "accuracy", "log_loss", "worst_class")


def score_predictions(log_prob: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Score predictions.

    Args:
        log_prob: ``(sample, class)``.
        y: true labels ``(sample,)``; every class occurs.

    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    >>> score_predictions(np.log(probabilities), np.array([0, 0, 0, 1]))["worst_class"]
    0.0
    """
    correct = log_prob.argmax(1) == y
    recalls = np.bincount(y, weights=correct) / np.bincount(y)
    return {
        "balanced_accuracy": float(recalls.mean()),
        "accuracy": float(correct.mean()),
        "log_loss": float(-log_prob[np.arange(len(y)), y].mean()),
        "worst_class": float(recalls.min()),
    }


def difference_standard_error(log_prob: np.ndarray, other: np.ndarray, y: np.ndarray) -> float:
    """Return the standard error of the difference of two models' balanced accuracies, over test samples."""
    difference = (log_prob.argmax(1) == y).astype(float) - (other.argmax(1) == y)
    sizes = np.bincount(y)
    mean = np.bincount(y, weights=difference) / sizes
    square = np.bincount(y, weights=difference**2) / sizes
    return float(np.sqrt(((square - mean**2) / sizes).sum()) / len(sizes))


def effective_share(weights: np.ndarray | str | None) -> float:
    """Return the effective sample size as a share of the samples."""
    if weights is None or isinstance(weights, str):
        return float("nan")
    return effective_sample_size(weights) / len(weights)
