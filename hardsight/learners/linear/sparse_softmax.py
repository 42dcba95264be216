"""Multinomial logistic regression on wide sparse matrices by AdaGrad: the default for tokens."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags

_BATCH = 128
# Intercepts have a gradient in every batch, and need far smaller steps than the weights of rare features.
_INTERCEPT_STEP = 0.025
_START = 1e-3


class SparseSoftmax(ClassifierMixin, BaseEstimator):
    """Multinomial logistic regression, trained by AdaGrad over a few passes; it reads sparse matrices.

    AdaGrad divides the step of each weight by the root of its summed squared gradients, so that rare features learn as fast
    as frequent ones (Duchi, Hazan & Singer 2011, *Adaptive subgradient methods for online learning and stochastic
    optimization*). A batch touches the weights of its own features alone. Few passes are the regularization; on tagged
    corpora the held-out loss is no larger than that of the converged optimum with the best penalty, in a tenth of the time.

    Args:
        passes: number of passes over the training samples.
        step: length of the steps.
        random_state: seed of the order of the samples.
    """

    def __init__(self, passes: int = 4, step: float = 0.5, random_state: int | None = 0) -> None:
        self.passes, self.step, self.random_state = passes, step, random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "SparseSoftmax":
        """Train on ``(sample, feature)`` and ``(sample,)``."""
        rows = sparse.csr_array(X, dtype=np.float32)
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        n, classes = rows.shape[0], len(self.classes_)
        weight = np.ones(n, np.float32) if sample_weight is None else np.asarray(sample_weight, dtype=np.float32)
        share = np.bincount(codes, weights=weight, minlength=classes) / max(float(weight.sum()), 1e-9)
        self.coef_ = np.zeros((rows.shape[1], classes), dtype=np.float32)
        self.intercept_ = np.log(share + 1 / max(n, 1)).astype(np.float32)
        squares = np.full_like(self.coef_, _START)
        rng = np.random.default_rng(self.random_state)
        for _ in range(self.passes):
            order = rng.permutation(n)
            for start in range(0, n, _BATCH):
                chosen = order[start : start + _BATCH]
                batch = rows[chosen]
                residual = self._probabilities(batch)
                residual[np.arange(len(chosen)), codes[chosen]] -= 1
                residual *= weight[chosen, None]
                used = np.unique(batch.indices)
                gradient = batch[:, used].T @ residual
                squares[used] += gradient**2
                self.coef_[used] -= self.step * gradient / np.sqrt(squares[used])
                self.intercept_ -= _INTERCEPT_STEP * residual.mean(0)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, ``(sample, class)`` float64."""
        probabilities = self._probabilities(sparse.csr_array(X, dtype=np.float32)).astype(np.float64)
        total: np.ndarray = probabilities / probabilities.sum(1, keepdims=True)
        return total

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest class, ``(sample,)``."""
        predicted: np.ndarray = self.classes_[self.predict_proba(X).argmax(1)]
        return predicted

    def _probabilities(self, rows: "sparse.csr_array") -> np.ndarray:
        scores = rows @ self.coef_ + self.intercept_
        exponentials = np.exp(scores - scores.max(1, keepdims=True))
        shares: np.ndarray = exponentials / exponentials.sum(1, keepdims=True)
        return shares
