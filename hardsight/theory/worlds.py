"""Worlds in which the truth is known: posteriors, Bayes errors, max-margin duals, transition matrices, class sizes.

Everything is drawn from a generator that is given; arrays are float64, labels are codes from 0 or, in :class:`Separable`,
-1 and 1.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri

Rng = np.random.Generator


class Mixture(NamedTuple):
    """Gaussian classes with one common, round covariance.

    Attributes:
        means: of the classes, ``(class, feature)``.
        shares: of the classes, ``(class,)``, sum one.
        spread: standard deviation of every feature in a class.
    """

    means: np.ndarray
    shares: np.ndarray
    spread: float = 1.0

    def draw(self, n: int, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        """Samples ``(sample, feature)`` and their true labels ``(sample,)``."""
        y = rng.choice(len(self.shares), n, p=self.shares)
        return self.means[y] + self.spread * rng.normal(size=(n, self.means.shape[1])), y

    def log_posterior(self, x: np.ndarray, shares: np.ndarray | None = None) -> np.ndarray:
        """Log P(class | x), ``(sample, class)``; under other class shares where these are given."""
        squares = np.square(x[:, None, :] - self.means).sum(2)
        told = np.log(self.shares if shares is None else shares) - squares / (2 * self.spread**2)
        found: np.ndarray = told - logsumexp(told, axis=1, keepdims=True)
        return found

    @property
    def bayes_error(self) -> float:
        """Error rate of the best classifier, in closed form; of two classes.

        >>> round(Mixture(np.array([[-1.0], [1.0]]), np.array([0.5, 0.5])).bayes_error, 4)
        0.1587
        """
        first, second = self.shares
        apart = float(np.linalg.norm(self.means[1] - self.means[0])) / self.spread
        shift = np.log(first / second) / apart
        return float(first * ndtr(-apart / 2 - shift) + second * ndtr(-apart / 2 + shift))


class Separable(NamedTuple):
    """Two classes, apart by a hyperplane through the origin, of which the max-margin solution is known by construction.

    Attributes:
        x: samples, ``(sample, feature)``.
        y: labels, -1 or 1; ``(sample,)``.
        coefficients: the normalised dual, ``(sample,)``, sum one.
        direction: unit vector of the largest margin, ``(feature,)``.
        margin: the smallest ``y x · direction``, the largest that any unit vector reaches.
    """

    x: np.ndarray
    y: np.ndarray
    coefficients: np.ndarray
    direction: np.ndarray
    margin: float

    @property
    def signed(self) -> np.ndarray:
        """Rows ``y x``, the samples turned to one side: ``(sample, feature)``."""
        found: np.ndarray = self.y[:, None] * self.x
        return found


def planted(n: int, features: int, supports: int, margin: float, rng: Rng, width: float = 2.0) -> Separable:
    """A separable set with a planted dual.

    Support vectors are ``margin`` u + v_i with v_i orthogonal to u and sum of p_i v_i zero, so that sum of p_i z_i is
    ``margin`` u: the optimality conditions of the max-margin problem. The p_i v_i are the corners of a regular simplex,
    turned at random. All other samples lie farther out along u.

    Args:
        n: samples.
        features: at least two.
        supports: support vectors, from 2 to ``features``, so that the dual is the only one.
        margin: of the set.
        rng: draws all.
        width: how far apart the support vectors lie.
    """
    turn = np.linalg.qr(rng.normal(size=(features, features)))[0]
    direction, beside = turn[0], turn[1:]
    p = rng.uniform(0.5, 1.5, supports)
    p /= p.sum()
    corners = np.linalg.svd(np.eye(supports) - 1 / supports)[0][:, : supports - 1] @ beside[: supports - 1]
    across = rng.normal(size=(n, features - 1)) @ beside
    across[:supports] = width * corners / (supports * p)[:, None]
    along = margin * (1.5 + rng.exponential(1.0, n))
    along[:supports] = margin
    z = np.outer(along, direction) + across
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    coefficients = np.concatenate([p, np.zeros(n - supports)])
    return Separable(y[:, None] * z, y, coefficients, direction, margin)


def apart(n: int, features: int, distance: float, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Two round Gaussian classes ``2 distance`` apart along the first feature, drawn until they lie a little apart there.

    Returns:
        ``x`` and ``y`` in {-1, 1}.
    """
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    x = rng.normal(size=(n, features))
    x[:, 0] += y * distance
    while (close := y * x[:, 0] < 0.1).any():
        x[close, 0] = rng.normal(size=int(close.sum())) + y[close] * distance
    return x, y


def normal_grid(points: int) -> np.ndarray:
    """So many equally likely values of a standard normal variable, ``(point,)``: the middles of its quantiles."""
    found: np.ndarray = ndtri((np.arange(points) + 0.5) / points)
    return found


def uniform_flips(classes: int, rate: float) -> np.ndarray:
    """P(given | true), rows true: a share ``rate`` of the labels becomes any other class.

    >>> uniform_flips(3, 0.2)
    array([[0.8, 0.1, 0.1],
           [0.1, 0.8, 0.1],
           [0.1, 0.1, 0.8]])
    """
    same = np.eye(classes)
    found: np.ndarray = (1 - rate) * same + rate * (1 - same) / (classes - 1)
    return found


def pair_flips(classes: int, rate: float) -> np.ndarray:
    """P(given | true), rows true: a share ``rate`` of the labels becomes the next class."""
    same = np.eye(classes)
    found: np.ndarray = (1 - rate) * same + rate * np.roll(same, 1, axis=1)
    return found


def relabelled(true: np.ndarray, transition: np.ndarray, rng: Rng) -> np.ndarray:
    """Labels as given, drawn from the rows of ``transition`` that belong to the true ones. ``(sample,)``"""
    steps = transition[true].cumsum(1)
    # Rounding may leave the last step a little below one.
    found: np.ndarray = (rng.random(len(true))[:, None] > steps[:, :-1]).sum(1)
    return found


def tail_sizes(classes: int, largest: int, factor: float, least: int = 6) -> np.ndarray:
    """Sizes of the classes of a long tail, from ``largest`` down to ``largest / factor``, evenly on a logarithmic scale.

    >>> tail_sizes(3, 100, 25).tolist()
    [100, 20, 6]
    """
    shares = factor ** -(np.arange(classes) / max(classes - 1, 1))
    found: np.ndarray = np.maximum(np.round(largest * shares).astype(np.int64), least)
    return found


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 images of digits, 8 × 8 pixels from 0 to 1, and their labels; they come with scikit-learn."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x / 16, y


def long_tailed(y: np.ndarray, factor: float, rng: Rng, largest: int = 170) -> np.ndarray:
    """Positions of the samples that are left of a set whose classes shall have :func:`tail_sizes`, the tail drawn."""
    order = rng.permutation(int(y.max()) + 1)
    sizes = tail_sizes(len(order), largest, factor)
    kept = [
        rng.choice(np.flatnonzero(y == c), min(size, int((y == c).sum())), replace=False)
        for c, size in zip(order, sizes, strict=True)
    ]
    return np.sort(np.concatenate(kept))
