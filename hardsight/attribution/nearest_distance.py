"""How far the nearest other sample is, relative to what is usual."""

import numpy as np
from jaxtyping import Float64, Int64

from hardsight.attribution.neighbours import MAX_REFERENCE, fit_scaler
from hardsight.resampling.spacing import evenly_spaced

# Samples whose distances say what is usual.
_N_USUAL = 1_000


def relative_distance(matrix: np.ndarray, rows: Int64[np.ndarray, " row"]) -> Float64[np.ndarray, " row"]:
    """Return the distance to the nearest other sample over the median of such distances, ``(row,)``; NaN if that is zero.

    Up to 5,000 samples, evenly spread over the order given, are searched. Features are standardised, missing values replaced
    by the mean, and values clipped at five deviations, as for :func:`hardsight.attribution.neighbours.find_neighbours`.

    Args:
        matrix: ``(sample, feature)``, numbers; NaN is missing.
        rows: positions of the samples asked about.
    """
    from sklearn.neighbors import NearestNeighbors

    reference = evenly_spaced(len(matrix), MAX_REFERENCE)
    if len(reference) < 2:
        return np.full(len(rows), np.nan)
    scale = fit_scaler(np.asarray(matrix[reference], dtype=np.float64))

    def coordinates(index: np.ndarray) -> np.ndarray:
        return scale(np.asarray(matrix[index], dtype=np.float64))

    search = NearestNeighbors(n_neighbors=2, algorithm="brute", n_jobs=1).fit(coordinates(reference))

    def nearest(index: np.ndarray) -> np.ndarray:
        distance, position = search.kneighbors(coordinates(index))
        # The sample itself may stand second among its copies.
        second = reference[position[:, 0]] == index
        result: np.ndarray = np.where(second, distance[:, 1], distance[:, 0])
        return result

    usual = float(np.median(nearest(reference[evenly_spaced(len(reference), _N_USUAL)])))
    return nearest(rows) / usual if usual > 0 else np.full(len(rows), np.nan)
