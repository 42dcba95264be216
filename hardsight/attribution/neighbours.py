"""What lies near a sample: labels of its nearest neighbours and how far they are, to tell how usual a sample is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

N_NEIGHBOURS = 10
# More would make the search the longest part of a run; the distances hardly change.
MAX_REFERENCE = 5_000
# As networks read them: a feature that is nearly always the same cannot decide alone where it is not.
_CUT = 5.0
_BLOCK = 8_192


class Neighbours(NamedTuple):
    """The nearest neighbours of every sample, among a reference of up to 5,000 samples.

    Attributes:
        labels: class codes of the neighbours, ``(sample, 10)`` int32, nearest first; -1 where there are fewer.
        distance: mean distance to them, ``(sample,)`` float64, in standard deviations of the features; NaN where there
            is none.
    """

    labels: np.ndarray
    distance: np.ndarray


def find_neighbours(matrix: np.ndarray, labels: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> Neighbours:
    """The nearest neighbours of every sample, of other units than its own.

    Features are standardised by mean and standard deviation, missing values take the mean, and values are cut at five
    deviations. Time grows with samples × features; nothing of the size samples × samples is built.

    Args:
        matrix: ``(sample, feature)``, numbers; NaN is missing.
        labels: class codes, ``(sample,)``.
        units: codes of what belongs together (duplicates, groups), ``(sample,)``.
        rng: draws the reference.
    """
    from sklearn.neighbors import NearestNeighbors

    n = len(matrix)
    chosen = np.arange(n) if n <= MAX_REFERENCE else np.sort(rng.choice(n, MAX_REFERENCE, replace=False))
    reference = np.asarray(matrix[chosen], dtype=np.float64)
    scaled = fit_scaler(reference)
    # As many more as a unit has members, within reason, so that enough are left when those are taken out.
    most = int(np.unique(units[chosen], return_counts=True)[1].max())
    wanted = min(N_NEIGHBOURS + min(most, N_NEIGHBOURS), len(chosen))
    search = NearestNeighbors(n_neighbors=wanted, algorithm="brute", n_jobs=1).fit(scaled(reference))
    found, distance = np.full((n, N_NEIGHBOURS), -1, dtype=np.int32), np.full(n, np.nan)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        far, at = search.kneighbors(scaled(np.asarray(matrix[rows], dtype=np.float64)))
        other = units[chosen[at]] != units[rows][:, None]
        kept = other & (other.cumsum(1) <= N_NEIGHBOURS)
        which, where = np.nonzero(kept)
        place = kept.cumsum(1)[which, where] - 1
        found[start + which, place] = labels[chosen[at[which, where]]]
        enough = kept.any(1)
        distance[rows[enough]] = (far * kept).sum(1)[enough] / kept.sum(1)[enough]
    return Neighbours(found, distance)


def fit_scaler(reference: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that standardises rows by mean and standard deviation of a reference, ``(row, feature)`` -> float32.

    Missing values take the mean, and values are cut at five deviations; a feature that does not vary is zero.

    Args:
        reference: ``(sample, feature)`` float64; NaN is missing.
    """
    known = ~np.isnan(reference)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, reference, 0).sum(0) / count
    sd = np.sqrt(np.square(np.where(known, reference - mean, 0)).sum(0) / count)
    width = np.where(sd > 1e-7 * np.abs(mean), sd, np.inf)

    def scaled(rows: np.ndarray) -> np.ndarray:
        z: np.ndarray = np.nan_to_num((rows - mean) / width).clip(-_CUT, _CUT).astype(np.float32)
        return z

    return scaled
