"""Nearest images by tangent distance: small shifts and changes of scale do not count (Simard, LeCun and Denker 1993)."""

import numpy as np
from scipy.ndimage import gaussian_filter

from hardsight.copies.neighbours import Nearest, find_nearest
from hardsight.data.samples import row_slices

# Standard deviation of the Gaussian that smooths the images first, in pixels: the linear approximation is for smooth ones.
_BLUR = 1.0
# Neighbours by Euclidean distance that are compared by tangent distance, per neighbour that is asked for.
_CANDIDATES = 2


def smooth(images: np.ndarray) -> np.ndarray:
    """Return smoothed grey images, ``(sample, height, width)`` float32.

    Args:
        images: ``(sample, height, width[, channel])`` float32.
    """
    grey = images if images.ndim == 3 else images.mean(axis=3)
    smoothed: np.ndarray = gaussian_filter(grey, (0, _BLUR, _BLUR), mode="nearest")
    return smoothed


def find_nearest_images(points: np.ndarray, count: int, shape: tuple[int, int]) -> Nearest:
    """Find the nearest neighbours of every image by tangent distance.

    That is the distance of the neighbour from the plane through the image along which it moves and changes its height and
    width, to first order.

    Args:
        points: smoothed grey images, ``(sample, pixel)`` float32, distinct.
        count: neighbours.
        shape: height and width.
    """
    candidates = find_nearest(points, min(_CANDIDATES * count, len(points) - 1)).rows[:, 1:]
    rows = np.empty((len(points), 1 + count), dtype=candidates.dtype)
    distance = np.zeros((len(points), 1 + count), dtype=np.float32)
    rows[:, 0] = np.arange(len(points))
    for block in row_slices(len(points), 4 * points.shape[1] * (candidates.shape[1] + 8)):
        difference = points[candidates[block]] - points[block][:, None]
        along = difference @ _tangents(points[block], shape)
        squares = np.square(difference).sum(axis=2) - np.square(along).sum(axis=2)
        nearest = np.argsort(squares, axis=1, kind="stable")[:, :count]
        rows[block, 1:] = np.take_along_axis(candidates[block], nearest, axis=1)
        distance[block, 1:] = np.sqrt(np.take_along_axis(squares, nearest, axis=1).clip(min=0))
    return Nearest(rows, distance)


def _tangents(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return orthonormal directions in which each image moves and changes its height and width, ``(sample, pixel, 4)``."""
    down, right = np.gradient(points.reshape(-1, *shape), axis=(1, 2))
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape)
    directions = np.stack([down, right, down * y[:, None], right * x], axis=3)
    basis: np.ndarray = np.linalg.qr(directions.reshape(len(points), -1, 4)).Q
    return basis
