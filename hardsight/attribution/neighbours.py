"""Nearest neighbours of every sample: their labels, and how far they are."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

N_NEIGHBOURS = 10
# More would make the search the longest part of a run, and the distances hardly change.
MAX_REFERENCE = 5_000
# Standardised values are clipped here, as for networks: a nearly constant feature cannot decide alone where it deviates.
_MAX_DEVIATION = 5.0
_BLOCK = 8_192


class Neighbours(NamedTuple):
    """The nearest neighbours of every sample, among a reference of up to 5,000 samples."""

    labels: np.ndarray  # class codes of the neighbours, (sample, 10) int32, nearest first; -1 if there are fewer
    # Mean distance to them, (sample,) float64, in standard deviations of the features; NaN if there are none.
    distance: np.ndarray
    rows: np.ndarray  # positions of the neighbours among the samples, (sample, 10) int64; -1 if there are fewer


def count_neighbours(neighbours: Neighbours, labels: np.ndarray) -> np.ndarray:
    """Return how many neighbours of each sample have a label, ``(sample,)`` int64.

    Args:
        labels: the class code asked about, ``(sample,)``.
    """
    counts: np.ndarray = (neighbours.labels == labels[:, None]).sum(1)
    return counts


def find_neighbours(
    matrix: np.ndarray, labels: np.ndarray | None, blocks: np.ndarray, rng: np.random.Generator
) -> Neighbours:
    """Find the nearest neighbours of every sample in other blocks than its own.

    Features are standardised by mean and standard deviation, missing values are replaced by the mean, and values are clipped
    at five deviations. Time grows with samples × features; nothing of the size samples × samples is built.

    Args:
        matrix: ``(sample, feature)``, numbers; NaN is missing.
        labels: class codes, ``(sample,)``; None if there are no classes, and then the neighbours' labels are -1.
        blocks: block codes, ``(sample,)``; the samples of a block (duplicates, groups) belong together.
        rng: draws the reference.
    """
    reference = draw_reference(len(matrix), MAX_REFERENCE, rng)
    scale = fit_scaler(np.asarray(matrix[reference], dtype=np.float64))
    distance, rows = search_other_blocks(matrix, scale, reference, blocks)
    known = rows >= 0 if labels is not None else np.zeros(rows.shape, dtype=bool)
    neighbour_labels = np.where(known, 0 if labels is None else labels[rows], -1).astype(np.int32)
    return Neighbours(neighbour_labels, distance, rows)


def draw_reference(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return the positions of the samples that the others are compared with: all, or ``most`` drawn at random, in order."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def search_other_blocks(
    matrix: np.ndarray, transform: Callable[[np.ndarray], np.ndarray], reference: np.ndarray, blocks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Search the reference for the nearest neighbours of every sample in other blocks than its own.

    Args:
        matrix: ``(sample, feature)``, numbers; NaN is missing.
        transform: maps rows ``(row, feature)`` float64 to the coordinates in which distances are Euclidean.
        reference: positions of the samples among which neighbours are searched.
        blocks: block codes, ``(sample,)``.

    Returns:
        The mean distance to the neighbours, ``(sample,)``, NaN if there are none; and their positions, nearest first,
        ``(sample, 10)`` int64, -1 if there are fewer.
    """
    from sklearn.neighbors import NearestNeighbors

    n = len(matrix)
    # Extra neighbours, as many as the largest block has within reason, replace those of the same block.
    largest_block = int(np.unique(blocks[reference], return_counts=True)[1].max())
    n_searched = min(N_NEIGHBOURS + min(largest_block, N_NEIGHBOURS), len(reference))
    coordinates = transform(np.asarray(matrix[reference], dtype=np.float64))
    search = NearestNeighbors(n_neighbors=n_searched, algorithm="brute", n_jobs=1).fit(coordinates)
    neighbour_rows, mean_distance = np.full((n, N_NEIGHBOURS), -1), np.full(n, np.nan)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        distance, nearest = search.kneighbors(transform(np.asarray(matrix[rows], dtype=np.float64)))
        other = blocks[reference[nearest]] != blocks[rows][:, None]
        selected = other & (other.cumsum(1) <= N_NEIGHBOURS)
        row, column = np.nonzero(selected)
        rank = selected.cumsum(1)[row, column] - 1
        neighbour_rows[start + row, rank] = reference[nearest[row, column]]
        any_selected = selected.any(1)
        mean_distance[rows[any_selected]] = (distance * selected).sum(1)[any_selected] / selected.sum(1)[any_selected]
    return mean_distance, neighbour_rows


def mean_and_scale(reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each feature, ``(feature,)``; the latter is infinite if it is constant.

    Args:
        reference: ``(sample, feature)`` float64; NaN is missing.
    """
    known = ~np.isnan(reference)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, reference, 0).sum(0) / count
    sd = np.sqrt(np.square(np.where(known, reference - mean, 0)).sum(0) / count)
    scale = np.where(sd > 1e-7 * np.abs(mean), sd, np.inf)
    return mean, scale


def fit_scaler(reference: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that standardises rows by the reference, ``(row, feature)`` → float32.

    Missing values are replaced by the mean and values are clipped at five deviations; a constant feature becomes zero.

    Args:
        reference: ``(sample, feature)`` float64; NaN is missing.
    """
    mean, scale = mean_and_scale(reference)

    def standardise(rows: np.ndarray) -> np.ndarray:
        z: np.ndarray = np.nan_to_num((rows - mean) / scale).clip(-_MAX_DEVIATION, _MAX_DEVIATION).astype(np.float32)
        return z

    return standardise
