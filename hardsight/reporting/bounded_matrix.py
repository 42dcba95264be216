"""The numbers that learners read, where a page can afford to hold them."""

import numpy as np

from hardsight.data.samples import Samples
from hardsight.errors import InputError


def bounded_matrix(samples: Samples, most: int) -> np.ndarray | None:
    """Return :attr:`hardsight.Samples.matrix`; None if there is none, or if it has more than ``most`` values.

    Images and arrays are counted before they are converted.
    """
    if not samples.numeric:
        return None
    if samples.embedding is None and samples.kind in ("image", "array") and np.prod(samples.features.shape) > most:
        return None
    try:
        matrix = samples.matrix
    except InputError:
        # Categories whose 0/1 columns do not fit into memory.
        return None
    return matrix if matrix.size <= most else None
