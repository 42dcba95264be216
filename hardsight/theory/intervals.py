"""95 % confidence intervals of means over seeds, and of rates."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from hardsight.theory.claim import Interval


def mean_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Return Student's interval of the mean of independent values; infinite for a single value.

    >>> [round(end, 3) for end in mean_interval([1.0, 2.0, 3.0])]
    [-0.484, 4.484]
    """
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2:
        return Interval(-np.inf, np.inf)
    half_width = float(t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample)))
    return Interval(float(sample.mean()) - half_width, float(sample.mean()) + half_width)


def share_interval(hits: int, trials: int) -> Interval:
    """Return Wilson's interval of a rate; it lies within 0 … 1.

    >>> [round(end, 3) for end in share_interval(47, 47)]
    [0.924, 1.0]
    """
    z2 = 3.8414588
    share = hits / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half_width = np.sqrt(z2 * (share * (1 - share) + z2 / (4 * trials)) / trials) / (1 + z2 / trials)
    return Interval(float(centre - half_width), min(float(centre + half_width), 1.0))
