"""Synthetic scenarios with known truth: posteriors, Bayes errors, max-margin duals, transition matrices, class sizes.

All draws come from the given generator. Arrays are float64; labels are codes from 0 or, in :class:`SeparableData`,
-1 and 1.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri

Rng = np.random.Generator


class GaussianMixture(NamedTuple):
    """Gaussian classes with one common isotropic covariance."""

    means: np.ndarray  # of the classes, (class, feature)
    shares: np.ndarray  # of the classes, (class,), with sum one
    spread: float = 1.0  # standard deviation of every feature within a class

    def draw(self, n: int, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        """Draw samples ``(sample, feature)`` and their true labels ``(sample,)``."""
        y = rng.choice(len(self.shares), n, p=self.shares)
        return self.means[y] + self.spread * rng.normal(size=(n, self.means.shape[1])), y

    def log_posterior(self, x: np.ndarray, shares: np.ndarray | None = None) -> np.ndarray:
        """Return log P(class | x), ``(sample, class)``; with other class shares if these are given."""
        squares = np.square(x[:, None, :] - self.means).sum(2)
        log_joint = np.log(self.shares if shares is None else shares) - squares / (2 * self.spread**2)
        posterior: np.ndarray = log_joint - logsumexp(log_joint, axis=1, keepdims=True)
        return posterior

    @property
    def bayes_error(self) -> float:
        """Return the error rate of the best classifier of two classes, in closed form.

        >>> round(GaussianMixture(np.array([[-1.0], [1.0]]), np.array([0.5, 0.5])).bayes_error, 4)
        0.1587
        """
        first, second = self.shares
        distance = float(np.linalg.norm(self.means[1] - self.means[0])) / self.spread
        shift = np.log(first / second) / distance
        return float(first * ndtr(-distance / 2 - shift) + second * ndtr(-distance / 2 + shift))


class SeparableData(NamedTuple):
    """Two classes separated by a hyperplane through the origin, with a max-margin solution known by construction."""

    x: np.ndarray  # samples, (sample, feature)
    y: np.ndarray  # labels, -1 or 1; (sample,)
    coefficients: np.ndarray  # the normalised dual, (sample,), with sum one
    direction: np.ndarray  # unit vector of the largest margin, (feature,)
    margin: float  # the smallest y x · direction, the largest that any unit vector reaches

    @property
    def signed(self) -> np.ndarray:
        """Return the rows ``y x``, the samples turned to one side: ``(sample, feature)``."""
        rows: np.ndarray = self.y[:, None] * self.x
        return rows


def draw_planted_dual(n: int, features: int, supports: int, margin: float, rng: Rng, width: float = 2.0) -> SeparableData:
    """Draw a separable set with a known dual.

    Support vectors are ``margin`` u + v_i with v_i orthogonal to u and sum of p_i v_i zero, so that sum of p_i z_i is
    ``margin`` u: the optimality conditions of the max-margin problem. The p_i v_i are the corners of a regular simplex,
    randomly rotated. All other samples lie farther out along u.

    Args:
        features: at least two.
        supports: number of support vectors, from 2 to ``features``, so that the dual is unique.
        margin: of the set.
        width: distance scale of the support vectors.
    """
    rotation = np.linalg.qr(rng.normal(size=(features, features)))[0]
    direction, orthogonal = rotation[0], rotation[1:]
    p = rng.uniform(0.5, 1.5, supports)
    p /= p.sum()
    corners = np.linalg.svd(np.eye(supports) - 1 / supports)[0][:, : supports - 1] @ orthogonal[: supports - 1]
    across = rng.normal(size=(n, features - 1)) @ orthogonal
    across[:supports] = width * corners / (supports * p)[:, None]
    along = margin * (1.5 + rng.exponential(1.0, n))
    along[:supports] = margin
    z = np.outer(along, direction) + across
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    coefficients = np.concatenate([p, np.zeros(n - supports)])
    return SeparableData(y[:, None] * z, y, coefficients, direction, margin)


def draw_separable_classes(n: int, features: int, distance: float, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw two isotropic Gaussian classes, -1 and 1, ``2 distance`` apart along the first feature, with a gap there."""
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    x = rng.normal(size=(n, features))
    x[:, 0] += y * distance
    while (close := y * x[:, 0] < 0.1).any():
        x[close, 0] = rng.normal(size=int(close.sum())) + y[close] * distance
    return x, y


def normal_quantiles(points: int) -> np.ndarray:
    """Return equally likely values of a standard normal variable, ``(point,)``: the midpoints of its quantiles."""
    quantiles: np.ndarray = ndtri((np.arange(points) + 0.5) / points)
    return quantiles


def uniform_transition(classes: int, rate: float) -> np.ndarray:
    """Return P(given | true), rows true: a share ``rate`` of the labels becomes any other class.

    >>> uniform_transition(3, 0.2)
    array([[0.8, 0.1, 0.1],
           [0.1, 0.8, 0.1],
           [0.1, 0.1, 0.8]])
    """
    same = np.eye(classes)
    transition: np.ndarray = (1 - rate) * same + rate * (1 - same) / (classes - 1)
    return transition


def pair_transition(classes: int, rate: float) -> np.ndarray:
    """Return P(given | true), rows true: a share ``rate`` of the labels becomes the next class."""
    same = np.eye(classes)
    transition: np.ndarray = (1 - rate) * same + rate * np.roll(same, 1, axis=1)
    return transition


def flip_labels(true: np.ndarray, transition: np.ndarray, rng: Rng) -> np.ndarray:
    """Draw the given labels from the rows of ``transition`` of the true labels. ``(sample,)``"""
    cumulative = transition[true].cumsum(1)
    # The last cumulative probability may be slightly below one because of rounding.
    labels: np.ndarray = (rng.random(len(true))[:, None] > cumulative[:, :-1]).sum(1)
    return labels


def long_tail_sizes(classes: int, largest: int, factor: float, least: int = 6) -> np.ndarray:
    """Return the class sizes of a long tail, from ``largest`` to ``largest / factor``, evenly spaced on a log scale.

    >>> long_tail_sizes(3, 100, 25).tolist()
    [100, 20, 6]
    """
    shares = factor ** -(np.arange(classes) / max(classes - 1, 1))
    sizes: np.ndarray = np.maximum(np.round(largest * shares).astype(np.int64), least)
    return sizes


def load_digit_images() -> tuple[np.ndarray, np.ndarray]:
    """Load 1,797 images of digits, 8 × 8 pixels from 0 to 1, and their labels; they come with scikit-learn."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x / 16, y


def subsample_long_tail(y: np.ndarray, factor: float, rng: Rng, largest: int = 170) -> np.ndarray:
    """Return the positions of samples to keep so that classes have :func:`long_tail_sizes`, in random order."""
    order = rng.permutation(int(y.max()) + 1)
    sizes = long_tail_sizes(len(order), largest, factor)
    kept = [
        rng.choice(np.flatnonzero(y == c), min(size, int((y == c).sum())), replace=False)
        for c, size in zip(order, sizes, strict=True)
    ]
    return np.sort(np.concatenate(kept))
