"""The samples that lie nearest to a sample, exactly, for as many samples as there is time for."""

import numpy as np

from hardsight.attribution.neighbours import MAX_REFERENCE, fit_scaler
from hardsight.data.samples import Samples
from hardsight.errors import InputError

NEAREST = 8
# Products and distances that a page may cost: some seconds of one core.
_PRODUCTS = 2e10
_DISTANCES = 4e8
_BLOCK_VALUES = 2**24


# Of float32 values that are held a second time.
_MOST_VALUES = 2**28


def nearest_search(samples: Samples | None) -> "NearestSearch | None":
    """A search among the samples; None where there is none: no samples, no numbers, or more than memory is for."""
    if samples is None or not samples.numeric:
        return None
    try:
        return NearestSearch(samples) if samples.matrix.size <= _MOST_VALUES else None
    except InputError:
        # Categories that fit into no memory as 0/1 columns.
        return None


class NearestSearch:
    """A search among all samples, by the numbers that learners read, standardised as the ledger has them.

    Args:
        samples: with a matrix (:attr:`hardsight.Samples.numeric`).
    """

    def __init__(self, samples: Samples) -> None:
        given = samples.matrix
        step = max(1, len(given) // MAX_REFERENCE)
        scaled = fit_scaler(np.asarray(given[::step], dtype=np.float64))
        self._rows = np.concatenate([scaled(given[start : start + 8192]) for start in range(0, len(given), 8192)])
        self._squares = np.square(self._rows).sum(1)

    def affordable(self) -> int:
        """Of how many samples the neighbours can be found in some seconds."""
        n = len(self._rows)
        return int(min(n, _PRODUCTS / max(self._rows.size, 1), _DISTANCES / n))

    def of(self, at: np.ndarray) -> np.ndarray:
        """Positions of the nearest other samples, nearest first, ``(row, 8)`` int32; -1 where there are fewer.

        Args:
            at: positions of the samples asked about, ``(row,)``.
        """
        n = len(self._rows)
        wanted = min(NEAREST, n - 1)
        found = np.full((len(at), NEAREST), -1, dtype=np.int32)
        step = max(1, _BLOCK_VALUES // n)
        for start in range(0, len(at) if wanted else 0, step):
            rows = at[start : start + step]
            far = self._squares[None] - 2 * self._rows[rows] @ self._rows.T
            far[np.arange(len(rows)), rows] = np.inf
            near = np.argpartition(far, wanted - 1, axis=1)[:, :wanted]
            # Ties in the order given, so that the same samples give the same page.
            near.sort(axis=1)
            order = np.argsort(np.take_along_axis(far, near, 1), axis=1, kind="stable")
            found[start : start + step, :wanted] = np.take_along_axis(near, order, 1)
        return found
