"""Networks trained with weights and judged on samples of their own."""

from typing import Any

import numpy as np

from hardsight.data import Samples
from hardsight.learners import Network
from hardsight.resampling.plan import Plan, Round


def predictions(
    x: np.ndarray, y: np.ndarray, test_x: np.ndarray, seed: int, weights: np.ndarray | None = None, **recipe: Any
) -> np.ndarray:
    """Log-probabilities for test samples, ``(test sample, class)``, by one network trained on all of ``x``.

    Args:
        x: training features.
        y: their labels, codes; every class must be there.
        test_x: what is judged.
        seed: of the network and of the order of its batches; the same for all weights that are compared.
        weights: of the training samples; None: all alike.
        recipe: arguments of :class:`hardsight.Network`.
    """
    n, tests = len(x), len(test_x)
    # Test samples carry some label, which no model is trained on.
    labels = np.concatenate([y, np.full(tests, y[0])])
    both = None if weights is None else np.concatenate([weights, np.full(tests, weights.mean())])
    samples = Samples.of(np.concatenate([x, test_x]), labels, weights=both)
    fold = np.concatenate([np.full(n, -1), np.zeros(tests)]).astype(np.int32)
    plan = Plan([Round(fold, 1)], np.arange(n + tests), 1, seed)
    (view,) = Network(**recipe).fit_predict(samples, plan, lambda _: None)
    found: np.ndarray = view.values.numpy()[np.argsort(view.rows.numpy())]
    return found


def balanced_accuracy(log_prob: np.ndarray, y: np.ndarray) -> float:
    """Mean over the classes of the share of their samples that are predicted right."""
    right = log_prob.argmax(1) == y
    return float(np.mean([right[y == c].mean() for c in np.unique(y)]))
