r"""Split-half reliability: how well the ranking by mean held-out loss would be reproduced.

Half of the repeats are averaged against the other half. Their rank correlation $r$ tells how well a ranking from *half* as
many models reproduces itself, and the Spearman–Brown formula extrapolates it to the full number: $2r/(1+r)$. Its square root
predicts the rank agreement with the ranking of infinitely many models.
"""

import numpy as np
from jaxtyping import Float64
from scipy.stats import spearmanr


def spearman_brown(half: float) -> float:
    """Return the reliability of the whole from the correlation of its halves.

    >>> round(spearman_brown(0.8), 3)
    0.889

    Spearman 1910; Brown 1910.
    """
    return 2 * half / (1 + half) if half > 0 else 0.0


def ranking_reliability(first: Float64[np.ndarray, " sample"], second: Float64[np.ndarray, " sample"]) -> float:
    """Return the reliability of the ranking by the mean of two halves; NaN if fewer than three samples are in both.

    Args:
        first: mean loss in one half of the repeats, NaN for samples without a view there.
        second: mean loss in the other half.
    """
    both = np.isfinite(first) & np.isfinite(second)
    if int(both.sum()) < 3:
        return float("nan")
    one, other = first[both], second[both]
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return spearman_brown(float(spearmanr(one, other).statistic))
