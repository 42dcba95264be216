"""Nearest neighbours of many samples: exact for few, by random trees for many."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# Up to so many samples, the search is exact.
MAX_EXACT = 20_000
_TREES = 10
_LEAF = 256
_BLOCK_ROWS = 1 << 16
_SEED = 0


class Nearest(NamedTuple):
    """The nearest samples of each, itself first, at the distance 0; ``(sample, 1 + neighbour)``."""

    rows: np.ndarray  # int32 or int64
    distance: np.ndarray  # float32 or float64


def find_nearest(points: np.ndarray, count: int) -> Nearest:
    """Find the nearest neighbours of every point, in Euclidean distance.

    Beyond 20,000 points the search is approximate: ten random trees divide the points into leaves of 256 at most, and
    neighbours within leaves are kept. Points that are far closer than all others nearly always share a leaf. Memory grows
    with points × neighbours. The random numbers are fixed.

    Args:
        points: ``(sample, feature)`` float32.
        count: neighbours, fewer than there are points.
    """
    if len(points) <= MAX_EXACT:
        return _search_exactly(points, count)
    rng = np.random.default_rng(_SEED)
    rows = np.full((len(points), count), -1, dtype=np.int32)
    distance = np.full((len(points), count), np.inf, dtype=np.float32)
    for _ in range(_TREES):
        for leaf in _split(points, rng):
            _search_leaf(points, leaf, rows, distance)
    own = np.arange(len(points), dtype=np.int32)[:, None]
    return Nearest(np.concatenate([own, rows], axis=1), np.concatenate([np.zeros_like(distance[:, :1]), distance], axis=1))


def _search_exactly(points: np.ndarray, count: int) -> Nearest:
    from sklearn.neighbors import NearestNeighbors

    distance, rows = NearestNeighbors(n_neighbors=count, n_jobs=1).fit(points).kneighbors()
    own = np.arange(len(points))[:, None]
    return Nearest(np.concatenate([own, rows], axis=1), np.concatenate([np.zeros((len(points), 1)), distance], axis=1))


def _split(points: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the leaves of a random tree: parts are halved at the median of their projection on a random direction."""
    parts = [np.arange(len(points), dtype=np.int32)]
    while parts:
        rows = parts.pop()
        if len(rows) <= _LEAF:
            yield rows
            continue
        # The direction between two of the points follows the shape of the part.
        first, second = points[rng.choice(rows, 2, replace=False)]
        direction = first - second
        blocks = (rows[start : start + _BLOCK_ROWS] for start in range(0, len(rows), _BLOCK_ROWS))
        projection = np.concatenate([points[block] @ direction for block in blocks])
        half = len(rows) // 2
        order = np.argpartition(projection, half)
        parts += [rows[order[:half]], rows[order[half:]]]


def _search_leaf(points: np.ndarray, leaf: np.ndarray, rows: np.ndarray, distance: np.ndarray) -> None:
    """Merge the neighbours within a leaf into those found so far."""
    inside = points[leaf] - points[leaf].mean(axis=0)
    length = np.square(inside).sum(axis=1)
    squares = length[:, None] + length - 2 * (inside @ inside.T)
    np.fill_diagonal(squares, np.inf)
    count = min(rows.shape[1], len(leaf) - 1)
    nearest = np.argpartition(squares, count - 1, axis=1)[:, :count]
    # Computed anew: the difference of large squares loses small distances.
    exact = np.sqrt(np.square(inside[nearest] - inside[:, None]).sum(axis=2))
    candidates = np.concatenate([rows[leaf], leaf[nearest]], axis=1)
    lengths = np.concatenate([distance[leaf], exact], axis=1)
    lengths[_repeats(candidates)] = np.inf
    best = np.argsort(lengths, axis=1, kind="stable")[:, : rows.shape[1]]
    rows[leaf] = np.take_along_axis(candidates, best, axis=1)
    distance[leaf] = np.take_along_axis(lengths, best, axis=1)


def _repeats(rows: np.ndarray) -> np.ndarray:
    """Return where a row repeats a value to its left, ``(row, column)`` bool."""
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    repeated = np.zeros(rows.shape, dtype=bool)
    same = np.concatenate([np.zeros((len(rows), 1), dtype=bool), ordered[:, 1:] == ordered[:, :-1]], axis=1)
    np.put_along_axis(repeated, order, same, axis=1)
    return repeated
