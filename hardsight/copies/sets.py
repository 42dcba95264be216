"""Sets of copies: samples with equal features."""

from typing import NamedTuple

import numpy as np

from hardsight.data import Samples


class CopySets(NamedTuple):
    """Which samples are copies of each other."""

    # Set of each sample, numbered in the order of their first samples; -1 for samples without a copy. (sample,) int64
    codes: np.ndarray
    exact: np.ndarray  # whether another sample has exactly the same features, (sample,) bool


def find_copy_sets(samples: Samples) -> CopySets:
    """Return the sets of copies among the samples."""
    equal = np.unique(samples.fingerprints(), return_inverse=True)[1].reshape(-1)
    codes = number_sets(equal)
    return CopySets(codes, codes >= 0)


def number_sets(codes: np.ndarray) -> np.ndarray:
    """Number the codes that stand more than once in the order of their first samples; all others become -1.

    Args:
        codes: ``(sample,)`` int64, 0 or more.

    >>> number_sets(np.array([7, 5, 9, 5, 7])).tolist()
    [0, 1, -1, 1, 0]
    """
    size = np.bincount(codes)
    repeated = np.flatnonzero(size[codes] > 1)
    numbered = np.full(len(codes), -1, dtype=np.int64)
    _, first, position = np.unique(codes[repeated], return_index=True, return_inverse=True)
    numbered[repeated] = np.argsort(np.argsort(first))[position.reshape(-1)]
    return numbered
