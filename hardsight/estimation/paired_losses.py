"""Comparison of two models by the losses of the same samples.

The mean of gains g_i exceeds its standard error if and only if (Σ g_i)² > Σ g_i²: if the loss of one sample falls by much
and the others' hardly change, the sign of these others decides, however small. So the mean has to exceed its standard error
without the sample (or group) that gains the most; with it, it then does, too.
"""

import numpy as np


def is_significant(gain: np.ndarray, blocks: np.ndarray) -> bool:
    """Return whether the mean gain exceeds its standard error, without the block that gains the most."""
    rest = blocks != np.bincount(blocks, gain).argmax()
    mean, error = mean_and_error(gain[rest], blocks[rest])
    return mean > error


def mean_and_error(difference: np.ndarray, blocks: np.ndarray) -> tuple[float, float]:
    """Return the mean over samples and its standard error over blocks, whose samples may be alike.

    The error is infinite for fewer than two blocks.
    """
    codes = np.unique(blocks, return_inverse=True)[1].reshape(-1)
    count = int(codes.max(initial=-1)) + 1
    if count < 2:
        return 0.0, float("inf")
    mean = float(difference.mean())
    deviation = np.bincount(codes, difference - mean)
    return mean, float(np.sqrt(count / (count - 1) * (deviation**2).sum()) / len(difference))
