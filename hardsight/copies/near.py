"""Near copies: samples that are far closer to each other than the data's own spacing.

A set of samples is *isolated* if they are each other's nearest neighbours. Its ratio is its radius over the distance to
the nearest sample outside. In data without copies, spread evenly in ``d`` dimensions about any one sample, a share of about
``t^d`` of the samples is in isolated sets with a ratio below ``t``: that of a pair is below ``t`` if no sample lies in
the shell between, whose volume is all but ``t^d`` of the ball. Copies exceed that, and a gap separates them from all
others. The dimension is that of the data near each sample, from the distances to two neighbours (Levina and Bickel
2004).

Two kinds of neighbours are no copies although they are isolated. A pair of outliers is far from all others, but not near by
the spacing of the data as a whole: a ratio is never taken over more than that. Rows of a table that agree in all but one or
two columns share a cell of categories, and in what is left two of them are near by chance, as on a line.

The largest threshold is taken below which (1) at most a twentieth of the isolated sets is expected by chance, (2) there is
a gap above the threshold, and (3) hardly any larger sets are isolated, as they are in data that consist of small clusters.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hardsight.copies.neighbours import Nearest, find_nearest

Search = Callable[[np.ndarray, int], Nearest]

# A set holds at most so many copies. Larger isolated sets are clusters of the data.
MAX_SET = 8
_NEIGHBOURS = 2 * MAX_SET
# Fewer distinct samples have no spacing.
_MIN_SAMPLES = 40
# Thresholds of the ratio that are tried, falling, and the largest of them for samples that are not spread evenly.
_THRESHOLDS = np.geomspace(0.7, 0.002, 60)
_MAX_UNEVEN = 0.25
# Share of the samples below a threshold that may be expected there by chance.
_CHANCE = 0.05
# Factors above a threshold, and how many more samples may be found up to there, relative to those below it.
_GAPS = ((1.5, 0.25), (3.0, 0.5))
# Share of the samples below a threshold that may be in larger isolated sets.
_LARGE = 0.02
# Copies in a table differ in so many columns, or agree in columns that have so many different values per sample that
# agreement is no chance.
_MIN_DIFFERENT, _RARE_VALUES = 3, 0.6
# A threshold need not be much above the smallest one that finds nearly as many samples.
_AS_MANY, _MARGIN = 0.98, 2.0


class IsolatedSets(NamedTuple):
    """The isolated set of the smallest ratio about each sample."""

    ratio: np.ndarray  # (sample, size) float64, of sets of 2, 3, … samples; inf if there is none
    key: np.ndarray  # (sample, size) uint64, equal for samples of one set
    dimension: float  # of the data near each sample


def join_near_copies(
    points: np.ndarray,
    *,
    even: bool,
    search: Search = find_nearest,
    control: Search | None = None,
    values: np.ndarray | None = None,
) -> np.ndarray:
    """Return codes of the sets of near copies, ``(sample,)`` int64: equal for samples of one set.

    Args:
        points: ``(sample, feature)`` float32 in units that make Euclidean distance sensible.
        even: whether samples are spread evenly, as images and embeddings are, and not in cells of categories: then no gap
            is needed where chance explains the samples above a threshold.
        search: finds a number of nearest neighbours of points.
        control: finds those of some points after they are changed so much that they are no copies. If these often have a
            neighbour as near as a copy, there are no copies.
        values: ``(sample, column)`` of the table that the points stand for, whose rows can be equal if it holds texts; None:
            the points themselves.
    """
    values = points if values is None else values
    _, first, codes = np.unique(values, axis=0, return_index=True, return_inverse=True)
    distinct = points[first]
    codes = codes.reshape(-1)
    if len(distinct) < _MIN_SAMPLES:
        return codes
    nearest = search(distinct, _NEIGHBOURS)
    sets = _find_isolated(nearest)
    if not even:
        sets = _without_chance_agreement(sets, values[first], nearest)
    threshold = _choose_threshold(sets, even=even)
    if threshold and control is not None:
        by_chance = _share_beside_gap(control(distinct, _NEIGHBOURS), threshold)
        if by_chance > _CHANCE * _share_beside_gap(nearest, threshold):
            return codes
    joined = np.arange(len(distinct))
    # The largest set below the threshold counts: it holds the smaller ones.
    for column in range(MAX_SET - 1):
        below = np.flatnonzero(sets.ratio[:, column] < threshold)
        _, first, position = np.unique(sets.key[below, column], return_index=True, return_inverse=True)
        joined[below] = below[first[position.reshape(-1)]]
    return joined[codes]


def _find_isolated(nearest: Nearest) -> IsolatedSets:
    n = len(nearest.rows)
    # The sum of random numbers identifies a set, whatever the order of its members.
    marks = np.random.default_rng(0).integers(0, 2**63, n, dtype=np.uint64)
    keys = np.cumsum(marks[nearest.rows], axis=1, dtype=np.uint64)
    # A pair of outliers is no pair of copies for being far from all others.
    spacing = np.median(nearest.distance[:, MAX_SET])
    ratio = np.full((n, _NEIGHBOURS - 1), np.inf)
    for size in range(2, _NEIGHBOURS + 1):
        _, position, count = np.unique(keys[:, size - 1], return_inverse=True, return_counts=True)
        position = position.reshape(-1)
        radius, outside = np.full(len(count), np.inf), np.full(len(count), np.inf)
        np.minimum.at(radius, position, nearest.distance[:, size - 1])
        np.minimum.at(outside, position, nearest.distance[:, size])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio[:, size - 2] = np.where(count == size, radius / np.minimum(outside, spacing), np.inf)[position]
    return IsolatedSets(ratio, keys[:, 1:_NEIGHBOURS], _dimension(nearest.distance))


def _without_chance_agreement(sets: IsolatedSets, values: np.ndarray, nearest: Nearest) -> IsolatedSets:
    """Return the sets without those whose samples agree in all but a few columns, by values that many samples share.

    Such samples share a cell of categories, and in the few columns that are left, two of them are near by chance.
    """
    ordered = np.sort(values, axis=0)
    count = 1 + (ordered[1:] != ordered[:-1]).sum(axis=0)
    rare = count >= _RARE_VALUES * len(values)
    least = min(_MIN_DIFFERENT, int((count > 1).sum()))
    row, column = np.nonzero(sets.ratio < _MAX_UNEVEN)
    farthest = nearest.rows[row, column + 1]
    few = ((values[row] != values[farthest]) | rare).sum(axis=1) < least
    key = sets.key[row, column]
    ratio = sets.ratio.copy()
    dropped = np.isin(key, key[few])
    ratio[row[dropped], column[dropped]] = np.inf
    return sets._replace(ratio=ratio)


def _share_beside_gap(nearest: Nearest, threshold: float) -> float:
    """Return the share of samples with a few neighbours whose distance is below a threshold times that of the next."""
    distance = nearest.distance[:, : MAX_SET + 1]
    return float((distance[:, 1:-1] < threshold * distance[:, 2:]).any(axis=1).mean())


def _dimension(distance: np.ndarray) -> float:
    """Return the dimension in which a ball of twice the samples has the radius that is observed.

    In small data the ball should be small, but the nearest neighbours can be copies, which make the dimension too low. So it
    is the larger of that up to the tenth neighbour and that beyond the largest set.
    """
    dimensions = []
    for inner in (5, MAX_SET):
        with np.errstate(divide="ignore", invalid="ignore"):
            growth = np.log(distance[:, 2 * inner] / distance[:, inner])
        mean = growth[np.isfinite(growth)].mean()
        dimensions.append(float(np.log(2) / mean) if mean > 0 else np.inf)
    return max(dimensions)


def _choose_threshold(sets: IsolatedSets, *, even: bool) -> float:
    """Return the ratio below which isolated sets are copies; 0 if there are none."""
    n, small = len(sets.ratio), np.sort(sets.ratio[:, : MAX_SET - 1].min(axis=1))
    large = np.sort(sets.ratio[:, MAX_SET - 1 :].min(axis=1))

    def below(ratio: float) -> int:
        return int(np.searchsorted(small, ratio))

    def by_chance(ratio: float) -> float:
        return float(n * min(1.0, ratio**sets.dimension))

    def fits(threshold: float) -> bool:
        found, chance = below(threshold), by_chance(threshold)
        if chance > _CHANCE * found or np.searchsorted(large, threshold) > _LARGE * found:
            return False
        more = ((below(factor * threshold) - found, by_chance(factor * threshold) - chance) for factor, _ in _GAPS)
        excess = [above - (expected if even else 0) for above, expected in more]
        return all(value <= share * found for value, (_, share) in zip(excess, _GAPS, strict=True))

    thresholds = _THRESHOLDS[(_THRESHOLDS <= _MAX_UNEVEN) | even]
    largest = next((threshold for threshold in thresholds if below(threshold) and fits(threshold)), 0.0)
    if not largest:
        return 0.0
    enough = _AS_MANY * below(largest)
    smallest = min(threshold for threshold in _THRESHOLDS if below(threshold) >= enough)
    return float(min(largest, _MARGIN * smallest))
