"""Exact search for the nearest samples of a sample, for as many samples as there is time for."""

import numpy as np

from hardsight.attribution.neighbours import MAX_REFERENCE, fit_scaler
from hardsight.data.samples import Samples
from hardsight.reporting.bounded_matrix import bounded_matrix

NEAREST = 8
# Products and distances that a page may take: some seconds of one core.
_MAX_PRODUCTS = 2e10
_MAX_DISTANCES = 4e8
_BLOCK_VALUES = 2**24
# float32 values that may be held a second time.
_MAX_VALUES = 2**28


def nearest_search(samples: Samples | None) -> "NearestSearch | None":
    """Return a search among the samples; None if there are no samples or no numbers, or if they need too much memory."""
    matrix = None if samples is None else bounded_matrix(samples, _MAX_VALUES)
    return None if matrix is None else NearestSearch(matrix)


class NearestSearch:
    """A search among all samples, by the numbers that learners read, standardised as for the ledger.

    Args:
        matrix: :attr:`hardsight.Samples.matrix`.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        step = max(1, len(matrix) // MAX_REFERENCE)
        scale = fit_scaler(np.asarray(matrix[::step], dtype=np.float64))
        self._rows = np.concatenate([scale(matrix[start : start + 8192]) for start in range(0, len(matrix), 8192)])
        self._squares = np.square(self._rows).sum(1)

    def affordable(self) -> int:
        """Return for how many samples the neighbours can be found in some seconds."""
        n = len(self._rows)
        return int(min(n, _MAX_PRODUCTS / max(self._rows.size, 1), _MAX_DISTANCES / n))

    def find(self, index: np.ndarray) -> np.ndarray:
        """Return positions of the nearest other samples, nearest first, ``(row, 8)`` int32; -1 if there are fewer."""
        n = len(self._rows)
        count = min(NEAREST, n - 1)
        neighbours = np.full((len(index), NEAREST), -1, dtype=np.int32)
        if not count:
            return neighbours
        step = max(1, _BLOCK_VALUES // n)
        for start in range(0, len(index), step):
            rows = index[start : start + step]
            distance = self._squares[None] - 2 * self._rows[rows] @ self._rows.T
            distance[np.arange(len(rows)), rows] = np.inf
            nearest = np.argpartition(distance, count - 1, axis=1)[:, :count]
            # Ties keep the order given, so that the same samples give the same page.
            nearest.sort(axis=1)
            order = np.argsort(np.take_along_axis(distance, nearest, 1), axis=1, kind="stable")
            neighbours[start : start + step, :count] = np.take_along_axis(nearest, order, 1)
        return neighbours
