"""A map of all samples: their numbers, projected onto a plane by PCA, and by UMAP if that is installed."""

from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from hardsight.attribution.neighbours import fit_scaler
from hardsight.data.samples import Samples
from hardsight.reporting.bounded_matrix import bounded_matrix
from hardsight.reporting.packing import PackedArrays
from hardsight.resampling.spacing import evenly_spaced

# float32 values of the matrix, and of the rows that PCA is fitted to: some seconds of one core.
_MAX_VALUES = 2**28
_MAX_FITTED_VALUES = 2**24
_MIN_FITTED_ROWS = 1_000
# UMAP takes about a minute for so many.
_MAX_UMAP_SAMPLES = 20_000
# UMAP reads this many principal components: distances in the others are mostly noise.
_UMAP_INPUTS = 50
# Features up to which principal components are computed exactly; beyond, by random projections from a fixed seed
# (Halko et al. 2011, arXiv 0909.4061).
_MAX_EXACT = 500
# The map reaches beyond these quantiles by half their distance. What is farther is drawn at the edge: a single far sample
# would otherwise crowd all others together.
_QUANTILES = 0.01, 0.99
_MARGIN = 0.5
_LARGEST = 2**16 - 1
_BLOCK = 8_192


class Projection(NamedTuple):
    """Positions of all samples on a plane."""

    name: str  # "PCA" or "UMAP"
    across: np.ndarray  # from left to right, (sample,) uint16
    up: np.ndarray  # from bottom to top, (sample,) uint16


# The report and the review page show the same samples.
_CACHE: WeakKeyDictionary[Samples, tuple[Projection, ...]] = WeakKeyDictionary()


def project(samples: Samples | None) -> tuple[Projection, ...]:
    """Return projections of the numbers that learners read, PCA first; the same samples have the same positions.

    Features are standardised as for the nearest neighbours of the ledger. PCA is fitted to evenly spaced samples where there
    are very many; UMAP is left out above 20,000 samples (Pearson 1901, *On lines and planes of closest fit*; McInnes et al.
    2018, *UMAP*, arXiv 1802.03426).

    Returns:
        Nothing if there are no samples, or fewer than three, or all are equal; or if they have fewer than two numbers, or
        too many.
    """
    if samples is None:
        return ()
    if samples not in _CACHE:
        _CACHE[samples] = _project(samples)
    return _CACHE[samples]


def _project(samples: Samples) -> tuple[Projection, ...]:
    matrix = bounded_matrix(samples, _MAX_VALUES)
    if matrix is None or len(matrix) < 3 or matrix.shape[1] < 2:
        return ()
    components = principal_components(matrix, _UMAP_INPUTS)
    if not np.ptp(components[:, 0]) > 0:
        return ()
    projections = [_scaled("PCA", components[:, :2])]
    if len(matrix) <= _MAX_UMAP_SAMPLES and _has_umap():
        projections.append(_scaled("UMAP", _umap(components)))
    return tuple(projections)


def pack_projections(
    projections: tuple[Projection, ...], packed: PackedArrays, rows: np.ndarray | slice = slice(None)
) -> None:
    """Add the positions of samples to the data of a page.

    Args:
        rows: positions of the samples that the page shows.
    """
    for name, across, up in projections:
        packed.add(f"{name.lower()}_across", across[rows])
        packed.add(f"{name.lower()}_up", up[rows])


def principal_components(matrix: np.ndarray, most: int) -> np.ndarray:
    """Return the first principal components of the standardised features, ``(sample, component)`` float32.

    Args:
        matrix: ``(sample, feature)``, numbers; NaN is missing.
        most: largest number of components.
    """
    n, width = matrix.shape
    subsample = evenly_spaced(n, max(_MIN_FITTED_ROWS, _MAX_FITTED_VALUES // width))
    rows = np.asarray(matrix[subsample], dtype=np.float64)
    standardise = fit_scaler(rows)
    z = standardise(rows)
    mean = z.mean(0)
    axes = _principal_axes(z - mean, min(most, *z.shape))
    blocks = (matrix[start : start + _BLOCK] for start in range(0, n, _BLOCK))
    return np.concatenate([(standardise(block) - mean) @ axes.T for block in blocks])


def _principal_axes(centred: np.ndarray, count: int) -> np.ndarray:
    """Return the directions of largest variance, ``(component, feature)``; of each, the largest weight is positive."""
    if centred.shape[1] <= _MAX_EXACT:
        axes = np.linalg.eigh(centred.T @ centred)[1].T[::-1][:count]
    else:
        from sklearn.utils.extmath import randomized_svd

        axes = randomized_svd(centred, count, random_state=0)[2]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    return np.asarray(np.where(largest < 0, -axes, axes), dtype=np.float32)


def _has_umap() -> bool:
    try:
        version("umap-learn")
    except PackageNotFoundError:
        return False
    return True


def _umap(components: np.ndarray) -> np.ndarray:
    from umap import UMAP

    neighbours = min(15, len(components) - 1)
    start = components[:, :2] / max(float(components[:, :2].std()), 1e-9)
    # Its own start, an eigenvector problem, fails on very few samples.
    layout = UMAP(n_neighbors=neighbours, init=start, random_state=0, n_jobs=1).fit_transform(components)
    return np.asarray(layout, dtype=np.float32)


def _scaled(name: str, positions: np.ndarray) -> Projection:
    """Return positions as integers from 0 to 65,535 on either axis."""
    low, high = np.quantile(positions, _QUANTILES, axis=0)
    margin = _MARGIN * (high - low)
    low, high = np.maximum(low - margin, positions.min(0)), np.minimum(high + margin, positions.max(0))
    shares = ((positions - low) / np.where(high > low, high - low, 1.0)).clip(0, 1)
    across, up = np.rint(shares * _LARGEST).astype(np.uint16).T
    return Projection(name, across, up)
