"""Sets of copies: samples with equal or nearly equal features."""

from typing import NamedTuple

import numpy as np

from hardsight.copies.near import join_near_copies
from hardsight.copies.views import View, make_views
from hardsight.data import Samples
from hardsight.resampling.plan import block_codes


class CopySets(NamedTuple):
    """Which samples are copies of each other."""

    # Set of each sample, numbered in the order of their first samples; -1 for samples without a copy. (sample,) int64
    codes: np.ndarray
    exact: np.ndarray  # whether another sample has exactly the same features, (sample,) bool


def find_exact_copies(samples: Samples) -> CopySets:
    """Return the sets of samples with exactly the same features."""
    equal = np.unique(samples.fingerprints(), return_inverse=True)[1].reshape(-1)
    codes = number_sets(equal)
    return CopySets(codes, codes >= 0)


def add_near_copies(samples: Samples, exact: CopySets) -> CopySets:
    """Return the sets of exact and near copies among the samples (:mod:`hardsight.copies.near`).

    Args:
        exact: of :func:`find_exact_copies`.
    """
    views = make_views(samples) if samples.numeric else []
    codes = block_codes(len(samples), things(exact.codes), *(_join(view, len(samples)) for view in views))
    return CopySets(number_sets(codes), exact.exact)


def things(codes: np.ndarray) -> np.ndarray:
    """Return one code per thing, ``(sample,)``: that of its set, or one of its own for a sample without a copy.

    >>> things(np.array([0, 1, -1, 1, 0])).tolist()
    [0, 1, 7, 1, 0]
    """
    return np.where(codes < 0, np.arange(len(codes)) + len(codes), codes)


def _join(view: View, n: int) -> np.ndarray:
    """Return the near copies of one view, as codes of all samples."""
    codes = np.arange(n)
    codes[view.rows] = n + join_near_copies(
        view.points, even=view.even, search=view.search, control=view.control, values=view.values
    )
    return codes


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
