r"""How unlike the others the features of a sample are: five measurements, none of which needs a model or a label.

- ``distance``: mean distance to the ten nearest neighbours, in standard deviations of the features;
- ``relative_distance``: that distance relative to the neighbours' own, as in the local outlier factor (Breunig et al. 2000,
  *LOF: identifying density-based local outliers*), or to the lower quartile of all samples if the neighbours' is smaller:
  beside samples that are nearly equal to each other, any other would be far off;
- ``decorrelated_distance``: the distance after decorrelation, by which a sample that breaks the correlations is far off;
- ``rank_distance``: the same after each feature is replaced by its normal scores, so that long tails do not dominate;
- ``largest_residual``: the largest deviation of one feature from what all others predict, in conditional standard
  deviations.

For Gaussian features with covariance $S$ and $P = S^{-1}$, feature $j$ of sample $i$ given all others has the residual
$r_{ij} = (P z_i)_j / \sqrt{P_{jj}}$ in conditional standard deviations (Lauritzen 1996, *Graphical models*, section 5.1).
$S$ is shrunk towards a multiple of the identity (Ledoit and Wolf 2004, *A well-conditioned estimator for large-dimensional
covariance matrices*), so more features than samples are no obstacle.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from hardsight.attribution.neighbours import MAX_REFERENCE, Neighbours, draw_reference, mean_and_scale, search_other_blocks

# Values of the reference, so that its covariance takes bounded time and memory however many features there are.
MAX_REFERENCE_VALUES, _MIN_REFERENCE = 10_000_000, 500
# Deviations beyond this grow with the logarithm only: they remain the largest, and cannot hide all else.
_LINEAR_UP_TO = 5.0
# Least variance in any direction, as a share of the mean one: without it, exactly dependent features would divide by zero.
_MIN_VARIANCE = 1e-4
# A sample that determines a direction of the covariance alone would otherwise be divided by zero.
MAX_LEVERAGE = 0.95
_SMALLEST = 1e-9
# Neighbours that are closer to each other than this share of all samples count as no closer.
_DENSE_QUANTILE = 0.25
BLOCK_VALUES = 4_000_000

Transform = Callable[[np.ndarray], np.ndarray]


class Oddity(NamedTuple):
    """The logarithms of the measurements, ``(sample,)`` float64 each; NaN if unknown. Larger is odder.

    Attributes:
        in_reference: whether the sample is one of those that the others are compared with, ``(sample,)`` bool. Covariances
            are estimated on these, so others are farther away from them by nature.
    """

    distance: np.ndarray
    relative_distance: np.ndarray
    decorrelated_distance: np.ndarray
    rank_distance: np.ndarray
    largest_residual: np.ndarray
    in_reference: np.ndarray

    @property
    def measurements(self) -> tuple[np.ndarray, ...]:
        """All but ``in_reference``."""
        return self[:-1]


def measure_oddity(matrix: np.ndarray, blocks: np.ndarray, neighbours: Neighbours, rng: np.random.Generator) -> Oddity:
    """Measure how unlike the others the features of every sample are.

    Time grows with samples × features × reference, and memory with the reference.

    Args:
        matrix: ``(sample, feature)``, numbers; NaN is missing.
        blocks: block codes, ``(sample,)``; samples of one block (duplicates, groups) are not compared with each other.
        neighbours: of :func:`hardsight.attribution.neighbours.find_neighbours`, for the same samples.
        rng: draws the reference.
    """
    most = max(_MIN_REFERENCE, min(MAX_REFERENCE, MAX_REFERENCE_VALUES // max(matrix.shape[1], 1)))
    reference = draw_reference(len(matrix), most, rng)
    in_reference = np.zeros(len(matrix), dtype=bool)
    in_reference[reference] = True
    values = np.asarray(matrix[reference], dtype=np.float64)
    standardise = _fit_standardise(values)
    correlations = Correlations.fit(standardise(values))
    residual = np.empty(len(matrix))
    block = max(BLOCK_VALUES // max(matrix.shape[1], 1), 1)
    for start in range(0, len(matrix), block):
        rows = np.s_[start : start + block]
        part = np.asarray(matrix[rows], dtype=np.float64)
        size = np.abs(correlations.residuals(standardise(part), in_reference[rows]))
        residual[rows] = np.where(np.isnan(part), 0, size).max(1, initial=0)
    scores = _fit_normal_scores(values)
    rank_correlations = Correlations.fit(scores(values))
    decorrelated, _ = search_other_blocks(matrix, lambda x: correlations.decorrelate(standardise(x)), reference, blocks)
    by_rank, _ = search_other_blocks(matrix, lambda x: rank_correlations.decorrelate(scores(x)), reference, blocks)
    own = neighbours.distance
    distances = own[~np.isnan(own)]
    least = np.quantile(distances, _DENSE_QUANTILE) if len(distances) else 0.0
    relative = log_size(own) - log_size(np.maximum(_mean_over(own, neighbours.rows), least))
    return Oddity(log_size(own), relative, log_size(decorrelated), log_size(by_rank), log_size(residual), in_reference)


def log_size(values: np.ndarray) -> np.ndarray:
    """Return the logarithms of sizes, of which none counts as zero."""
    logarithm: np.ndarray = np.log(np.maximum(values, _SMALLEST))
    return logarithm


def _mean_over(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the mean of the values at each sample's rows, ``(sample,)``; NaN without any. Row -1 stands for none."""
    known = rows >= 0
    count = known.sum(1)
    total = np.where(known, values[rows], 0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _fit_standardise(reference: np.ndarray) -> Transform:
    """Return a function that standardises rows by the reference; missing values and constant features become zero.

    Deviations beyond five standard deviations grow with their logarithm.
    """
    mean, scale = mean_and_scale(reference)

    def standardise(rows: np.ndarray) -> np.ndarray:
        z: np.ndarray = np.nan_to_num((rows - mean) / scale)
        beyond = np.abs(z) > _LINEAR_UP_TO
        size = np.abs(z[beyond])
        z[beyond] = np.sign(z[beyond]) * (_LINEAR_UP_TO + np.log(size / _LINEAR_UP_TO))
        return z

    return standardise


def _fit_normal_scores(reference: np.ndarray) -> Transform:
    """Return a function that replaces values by the normal quantiles of their ranks in the reference.

    Equal values get the mean rank; missing values get 0. A feature's scores are standardised.
    """
    ordered = np.sort(reference, axis=0)  # missing values come last
    count = (~np.isnan(reference)).sum(0)

    def normal_scores(rows: np.ndarray) -> np.ndarray:
        scores = np.zeros(rows.shape)
        for j in range(rows.shape[1]):
            known = ordered[: count[j], j]
            if not len(known):
                continue
            below, up_to = (np.searchsorted(known, rows[:, j], side) for side in ("left", "right"))
            rank = (below + up_to) / 2
            scores[:, j] = ndtri(np.clip(rank / count[j], 0.5 / count[j], 1 - 0.5 / count[j]))
        scores[np.isnan(rows)] = 0
        return scores

    return _then_standardise(normal_scores, reference)


def _then_standardise(transform: Transform, reference: np.ndarray) -> Transform:
    standardise = _fit_standardise(transform(reference))
    return lambda rows: standardise(transform(rows))


class Correlations(NamedTuple):
    r"""A shrunk covariance $S = \alpha I + V (\Lambda - \alpha I) V^\top$, of any number of features.

    Attributes:
        mean: ``(feature,)``.
        directions: $V$, eigenvectors of the sample covariance, ``(feature, direction)``.
        variances: $\Lambda$, variances along them after shrinkage, ``(direction,)``.
        other_variance: $\alpha$, variance in all other directions.
        share: weight of one sample in $S$, for taking it out again.
    """

    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    other_variance: float
    share: float

    @classmethod
    def fit(cls, z: np.ndarray) -> "Correlations":
        """Estimate the covariance of standardised features, ``(sample, feature)`` without missing values."""
        from sklearn.covariance import ledoit_wolf_shrinkage

        n, d = z.shape
        mean = z.mean(0)
        centred = z - mean
        total = float(np.square(centred).sum()) / n
        if total == 0:
            return cls(mean, np.zeros((d, 0)), np.zeros(0), 1.0, 0.0)
        shrinkage = float(ledoit_wolf_shrinkage(centred, assume_centered=True))
        # The smaller of both matrices of products has all eigenvalues that are not zero.
        if d <= n:
            eigenvalues, directions = np.linalg.eigh(centred.T @ centred / n)
        else:
            eigenvalues, left = np.linalg.eigh(centred @ centred.T / n)
            nonzero = eigenvalues > 1e-10 * eigenvalues[-1]
            eigenvalues = eigenvalues[nonzero]
            directions = centred.T @ left[:, nonzero] / np.sqrt(n * eigenvalues)
        other_variance = max(shrinkage, _MIN_VARIANCE) * total / d
        variances = (1 - shrinkage) * np.maximum(eigenvalues, 0) + other_variance
        return cls(mean, directions, variances, other_variance, (1 - shrinkage) / n)

    def decorrelate(self, z: np.ndarray) -> np.ndarray:
        r"""Return $S^{-1/2}$ times the rows, ``(row, feature)`` float32."""
        return self._multiply(z, 0.5).astype(np.float32)

    def residuals(self, z: np.ndarray, in_sample: np.ndarray) -> np.ndarray:
        """Return the deviation of every feature from what the others predict, in conditional standard deviations.

        Args:
            z: ``(row, feature)``.
            in_sample: whether the covariance was estimated with the row, ``(row,)``. Such rows are compared with the
                covariance of all others instead, by the formula of Sherman and Morrison.
        """
        precise = self._multiply(z, 1.0)
        of_directions = np.square(self.directions)
        precision = of_directions @ (1 / self.variances) + np.maximum(1 - of_directions.sum(1), 0) / self.other_variance
        leverage = self.share * (precise * (z - self.mean)).sum(1)
        remaining = 1 - np.where(in_sample, np.clip(leverage, 0, MAX_LEVERAGE), 0)
        result: np.ndarray = precise / np.sqrt(precision) / remaining[:, None]
        return result

    def _multiply(self, z: np.ndarray, power: float) -> np.ndarray:
        """Return $S^{-power}$ times the rows."""
        centred = z - self.mean
        along = centred @ self.directions
        product: np.ndarray = (along / self.variances**power) @ self.directions.T
        if len(self.variances) < z.shape[1]:
            product += (centred - along @ self.directions.T) / self.other_variance**power
        return product
