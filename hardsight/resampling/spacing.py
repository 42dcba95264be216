"""Positions of some samples in place of all: evenly spaced, so that they depend on nothing but the number of samples."""

import numpy as np
from jaxtyping import Int64


def evenly_spaced(n: int, most: int) -> Int64[np.ndarray, " row"]:
    """Return all positions of ``n`` samples, or ``most`` that are evenly spaced from the first to the last.

    >>> evenly_spaced(3, 5).tolist(), evenly_spaced(10, 4).tolist()
    ([0, 1, 2], [0, 3, 6, 9])
    """
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)
