"""Nearest images after registration: small moves, rotations, changes of scale, blur and contrast do not count.

Image ``b`` is compared with every image that image ``a`` becomes by a filter of 3 × 3 pixels, which moves it by a pixel at
most, blurs or sharpens it, and by small changes of height, width and angle, to first order. Their distance is the share of
``b`` that the closest of them leaves unexplained, or the other way around: the one that was changed is explained by its
original, and not always the reverse. Candidates are found by tangent distance (Simard, LeCun and Denker 1993).
"""

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from hardsight.copies import neighbours
from hardsight.copies.neighbours import Nearest, find_nearest
from hardsight.data.samples import row_slices
from hardsight.resampling.spacing import evenly_spaced

# Larger images are reduced to so many pixels per side at most, so that small moves stay below a pixel.
_MAX_SIDE = 32
# Standard deviations of Gaussians, in pixels. What interpolation does to single pixels does not count, and tangents are
# linear approximations, for smooth images.
_BLUR, _TANGENT_BLUR = 0.5, 1.0
# Neighbours by tangent distance that are compared, per neighbour that is asked for.
_CANDIDATES = 2
# Images that are moved by so many pixels down and to the right are no copies of any other.
_AWAY, _MOST_MOVED = 3, 2_000
# Principal components in which candidates are found.
_COMPONENTS = 32
# Smaller images are not told from other arrays. Correlations of neighbouring pixels, relative to others, and how many
# images tell them.
_MIN_SIDE, _FAR_MORE, _ROWS_TO_GUESS = 8, 2.0, 1_000
# Directions of a smaller share of the variance along all are noise.
_MIN_VARIANCE = 1e-6


def guess_side(points: np.ndarray) -> int | None:
    """Return the side of square grey images of which each row holds the pixels, line by line; None if there are no images.

    Neighbouring pixels of images depend on each other in both directions, far more than pixels do in general, and than the
    last pixel of a line and the first of the next: those are neighbours in a series, too.

    Args:
        points: ``(sample, pixel)`` float32, in units that the pixels share.
    """
    side = math.isqrt(points.shape[1])
    if side * side != points.shape[1] or side < _MIN_SIDE:
        return None
    step = -(-len(points) // _ROWS_TO_GUESS)
    centred = points[::step] - points[::step].mean(axis=0)
    norm = np.sqrt(np.square(centred).sum(axis=0))
    correlation = np.abs(centred.T @ centred) / np.maximum(np.outer(norm, norm), np.finfo(np.float32).tiny)
    pixel = np.arange(side * side).reshape(side, side)
    right, down, across = (
        correlation[first, second].mean()
        for first, second in ((pixel[:, :-1], pixel[:, 1:]), (pixel[:-1], pixel[1:]), (pixel[:-1, -1], pixel[1:, 0]))
    )
    others = (correlation.sum() - correlation.trace()) / (correlation.size - len(correlation))
    return side if min(right, down) > _FAR_MORE * max(across, others) else None


def reduce_images(images: np.ndarray) -> np.ndarray:
    """Return small, slightly smoothed grey images, ``(sample, height, width)`` float32.

    Args:
        images: ``(sample, height, width[, channel])`` float32.
    """
    grey = images if images.ndim == 3 else images.mean(axis=3)
    for axis in (1, 2):
        grey = _reduce(grey, axis)
    smoothed: np.ndarray = gaussian_filter(grey, (0, _BLUR, _BLUR), mode="nearest")
    return smoothed


def _reduce(images: np.ndarray, axis: int) -> np.ndarray:
    """Return the images with the means of neighbouring pixels along an axis."""
    side = images.shape[axis]
    if side <= _MAX_SIDE:
        return images
    starts = np.arange(_MAX_SIDE) * side // _MAX_SIDE
    size = np.diff(starts, append=side).reshape(-1, *[1] * (2 - axis))
    reduced: np.ndarray = (np.add.reduceat(images, starts, axis=axis) / size).astype(np.float32)
    return reduced


def find_nearest_images(points: np.ndarray, count: int, shape: tuple[int, int]) -> Nearest:
    """Find the nearest neighbours of every image after registration.

    Args:
        points: distinct images as :func:`reduce_images` returns them, each with mean 0 and variance 1, ``(sample, pixel)``
            float32.
        count: neighbours.
        shape: height and width.
    """
    smooth, axes, components = _principal_components(points, shape)
    candidates = min(_CANDIDATES * count, len(points) - 1)
    if len(points) > neighbours.MAX_EXACT:
        nearest = find_nearest(components, candidates).rows[:, 1:].astype(np.int64)
    else:
        nearest = _nearest_by_tangents(smooth, np.arange(len(points)), components, axes, candidates)
    row, other = np.repeat(np.arange(len(points)), candidates), nearest.reshape(-1)
    # Each image is compared with those that it is a candidate of, too.
    pairs = np.unique(np.minimum(row, other) * len(points) + np.maximum(row, other))
    first, second = pairs // len(points), pairs % len(points)
    squares = _compare(points, first, points, second, shape)
    return _nearest(np.r_[first, second], np.r_[second, first], np.r_[squares, squares], count)


def find_nearest_to_moved(points: np.ndarray, count: int, shape: tuple[int, int]) -> Nearest:
    """Find the neighbours that some images would have after they are moved by more than registration makes up for.

    If images often have near neighbours elsewhere, too, their positions vary by nature, and images that agree up to a move
    are no copies.

    Args:
        points, count, shape: of :func:`find_nearest_images`.

    Returns:
        The neighbours of 2,000 images at most. Their first columns hold the images themselves, unmoved.
    """
    rows = evenly_spaced(len(points), _MOST_MOVED)
    images = np.pad(points[rows].reshape(-1, *shape), ((0, 0), (_AWAY, 0), (_AWAY, 0)), mode="edge")[:, :-_AWAY, :-_AWAY]
    moved = images.reshape(len(rows), -1)
    moved = moved - moved.mean(axis=1, keepdims=True)
    moved /= np.maximum(moved.std(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    _, axes, components = _principal_components(points, shape)
    candidates = min(_CANDIDATES * count, len(points) - 1)
    other = _nearest_by_tangents(_smooth(moved, shape), rows, components, axes, candidates).reshape(-1)
    index = np.repeat(np.arange(len(rows)), candidates)
    nearest = _nearest(index, other, _compare(moved, index, points, other, shape), count)
    return Nearest(np.concatenate([rows[:, None], nearest.rows[:, 1:]], axis=1), nearest.distance)


def _nearest(row: np.ndarray, other: np.ndarray, squares: np.ndarray, count: int) -> Nearest:
    """Return the nearest others of each row from the squared distances of pairs, ``(pair,)``."""
    order = np.lexsort([other, squares, row])
    own = np.arange(row.max() + 1)[:, None]
    nearest = order[np.searchsorted(row[order], own) + np.arange(count)]
    distance = np.sqrt(squares[nearest])
    return Nearest(np.concatenate([own, other[nearest]], axis=1), np.concatenate([0.0 * own, distance], axis=1))


def _compare(
    images: np.ndarray, first: np.ndarray, others: np.ndarray, second: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return the squared distances of pairs of images, ``(pair,)``.

    Args:
        first, second: rows of ``images`` and of ``others``, ``(pair,)``.
    """
    there = _unexplained(images, first, others, second, shape)
    squares: np.ndarray = np.minimum(there, _unexplained(others, second, images, first, shape))
    return squares


def _unexplained(
    images: np.ndarray, source: np.ndarray, others: np.ndarray, target: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return the share of each target's variance that changes of its source leave unexplained, ``(pair,)`` float64.

    Args:
        source, target: rows of ``images`` and of ``others``, ``(pair,)``.
    """
    order = np.argsort(source, kind="stable")
    rows, start = np.unique(source[order], return_index=True)
    ends = np.append(start[1:], len(order))
    share = np.empty(len(order))
    for block in row_slices(len(rows), 16 * images.shape[1]):
        directions = _directions(images[rows[block]], shape)
        for basis, begin, end in zip(directions, start[block], ends[block], strict=True):
            pairs = order[begin:end]
            along = others[target[pairs]] @ basis
            share[pairs] = 1 - np.square(along).sum(axis=1) / images.shape[1]
    return share.clip(min=0)


def _directions(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return orthonormal directions in which small changes take each image, ``(sample, pixel, 12)``; some may be zero."""
    height, width = shape
    images = points.reshape(-1, height, width)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    moved = [padded[:, down : down + height, right : right + width] for down in range(3) for right in range(3)]
    directions = np.stack([*moved, *_scalings(images)], axis=3).reshape(len(points), height * width, -1)
    directions -= directions.mean(axis=1, keepdims=True)
    variance, vectors = np.linalg.eigh(np.matmul(directions.transpose(0, 2, 1), directions, dtype=np.float64))
    known = variance > _MIN_VARIANCE * variance.sum(axis=1, keepdims=True)
    scale = np.where(known, 1 / np.sqrt(np.where(known, variance, 1)), 0)
    basis: np.ndarray = directions @ (vectors * scale[:, None, :]).astype(np.float32)
    return basis


def _scalings(images: np.ndarray) -> list[np.ndarray]:
    """Return how each image changes with its height, width and angle."""
    down, right = np.gradient(images, axis=(1, 2))
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in images.shape[1:])
    return [down * y[:, None], right * x, down * x * images.shape[2] - right * y[:, None] * images.shape[1]]


def _principal_components(points: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return smoothed images, ``(sample, height, width)``, their principal axes, ``(pixel, axis)``, and scores on these."""
    smooth = _smooth(points, shape)
    flat = smooth.reshape(len(points), -1)
    axes: np.ndarray = np.linalg.eigh(flat.T @ flat)[1][:, -_COMPONENTS:]
    return smooth, axes, flat @ axes


def _smooth(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    smoothed: np.ndarray = gaussian_filter(points.reshape(-1, *shape), (0, _TANGENT_BLUR, _TANGENT_BLUR), mode="nearest")
    return smoothed


def _nearest_by_tangents(
    images: np.ndarray, rows: np.ndarray, points: np.ndarray, axes: np.ndarray, count: int
) -> np.ndarray:
    """Return the nearest points by their distance from the plane of each image's small moves, ``(image, count)``.

    Args:
        images: ``(image, height, width)``.
        rows: of the points that are no neighbours of these images, ``(image,)``.
        points: in principal components, ``(point, component)``.
        axes: the components, ``(pixel, component)``.
    """
    length = np.square(points).sum(axis=1)
    nearest = np.empty((len(images), count), dtype=np.int64)
    for block in row_slices(len(images), 8 * len(points)):
        moves = [*np.gradient(images[block], axis=(1, 2)), *_scalings(images[block])]
        tangents = np.stack([move.reshape(len(move), -1) @ axes for move in moves], axis=2)
        own = images[block].reshape(len(tangents), -1) @ axes
        squares = length - 2 * own @ points.T
        for direction in np.moveaxis(np.linalg.qr(tangents).Q, 2, 0):
            squares -= np.square(direction @ points.T - (direction * own).sum(axis=1, keepdims=True))
        squares[np.arange(len(own)), rows[block]] = np.inf
        nearest[block] = np.argpartition(squares, count - 1, axis=1)[:, :count]
    return nearest
