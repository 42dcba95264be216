"""95 % intervals of means over seeds."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from hardsight.theory.claim import Interval


def of_mean(values: Sequence[float] | np.ndarray) -> Interval:
    """Student's interval of the mean of independent values; endless where there is only one.

    >>> [round(end, 3) for end in of_mean([1.0, 2.0, 3.0])]
    [-0.484, 4.484]
    """
    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        return Interval(-np.inf, np.inf)
    half = float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
    return Interval(float(found.mean()) - half, float(found.mean()) + half)


def of_share(hits: int, tries: int) -> Interval:
    """Wilson's interval of a rate; never leaves 0 … 1.

    >>> [round(end, 3) for end in of_share(47, 47)]
    [0.924, 1.0]
    """
    z2 = 3.8414588
    share = hits / tries
    middle = (share + z2 / (2 * tries)) / (1 + z2 / tries)
    half = np.sqrt(z2 * (share * (1 - share) + z2 / (4 * tries)) / tries) / (1 + z2 / tries)
    return Interval(float(middle - half), min(float(middle + half), 1.0))
