r"""How well a ranking by mean held-out loss would be found again: split-half reliability.

Half the turns are averaged against the other half; their rank correlation $r$ tells how well a ranking from *half* as many
models repeats itself, and Spearman and Brown's formula carries it to the full number: $2r/(1+r)$. Its square root predicts
the rank agreement with what infinitely many models would say.
"""

import numpy as np
import torch
from jaxtyping import Float64
from scipy.stats import spearmanr
from torch import Tensor


def spearman_brown(half: float) -> float:
    """Reliability of a whole from the correlation of its halves.

    >>> round(spearman_brown(0.8), 3)
    0.889

    Spearman 1910; Brown 1910.
    """
    return 2 * half / (1 + half) if half > 0 else 0.0


def ranking_reliability(first: Float64[Tensor, " sample"], second: Float64[Tensor, " sample"]) -> float:
    """Reliability of the ranking by the mean of two halves, from the samples that both have judged; NaN below three.

    Args:
        first: mean loss in one half of the turns, NaN where it holds no view.
        second: in the other half.
    """
    both = torch.isfinite(first) & torch.isfinite(second)
    if int(both.sum()) < 3:
        return float("nan")
    one, other = first[both].numpy(), second[both].numpy()
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return spearman_brown(float(spearmanr(one, other).statistic))
