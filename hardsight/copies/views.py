"""Features as points between which Euclidean distance is sensible."""

from functools import partial
from typing import NamedTuple

import numpy as np

from hardsight.copies.chance import column_codes
from hardsight.copies.near import Search
from hardsight.copies.neighbours import find_nearest
from hardsight.copies.registration import find_nearest_images, find_nearest_to_moved, guess_side, reduce_images
from hardsight.data import Samples

# Columns share a unit if none has a standard deviation above this factor times the median one, and most are not below
# its inverse.
_SAME_UNIT = 10.0
_MOST = 0.75
# With fewer columns of one unit, brightness and contrast of a row mean nothing.
_MIN_SHARED = 16
# Numbers that hold the letters of a text.
_LETTER_DIMENSIONS = 256


class View(NamedTuple):
    """One way to compare samples."""

    rows: np.ndarray  # the samples that can be compared so, int64
    points: np.ndarray  # (row, feature) float32
    even: bool  # see hardsight.copies.near.join_near_copies
    search: Search = find_nearest  # finds the nearest neighbours of points
    control: Search | None = None  # see hardsight.copies.near.join_near_copies
    values: np.ndarray | None = None  # (row, column), see hardsight.copies.near.join_near_copies


def make_views(samples: Samples) -> list[View]:
    """Return the ways to compare samples.

    Columns of different units are standardised, and the columns of a category weigh as much as two standard deviations.
    Columns that share a unit, such as pixels and embeddings, stay as they are. They are also compared after each row is
    standardised, so that brightness and contrast do not matter. Texts are compared by their numbers and their letters in
    equal parts, and images, also those whose pixels are columns, after registration, so that small shifts, rotations
    and crops do not matter.
    """
    matrix = samples.matrix
    if matrix.shape[1] == 0 or len(matrix) < 2:
        return []
    everyone = np.arange(len(matrix))
    if samples.kind == "text":
        return [_compare_texts(samples)]
    if samples.embedding is not None and samples.kind != "table":
        known = np.flatnonzero(matrix.any(axis=1))
        return [View(known, matrix[known], even=True)]
    points, even = _scale(matrix, images=samples.kind == "image", table=samples.kind == "table")
    columns = column_codes(samples) if samples.kind == "table" else None
    views = [View(everyone, points, even=even, values=None if columns is None else np.stack(columns, axis=1))]
    images = samples.numbers if samples.kind == "image" else None
    if even and points.shape[1] >= _MIN_SHARED:
        views.append(_standardise_rows(points))
        side = guess_side(points) if images is None else None
        images = matrix.reshape(-1, side, side) if side else images
    if images is not None:
        views.append(_register(images))
    return views


def _register(images: np.ndarray) -> View:
    """Compare images after registration; ``(sample, height, width[, channel])``."""
    small = reduce_images(images)
    search, control = (partial(find, shape=small.shape[1:]) for find in (find_nearest_images, find_nearest_to_moved))
    return _standardise_rows(small.reshape(len(small), -1))._replace(search=search, control=control)


def _compare_texts(samples: Samples) -> View:
    """Compare texts by their numbers, which say what they are about, and by three letters at a time, which say how.

    Rare words are in no vocabulary, and few dimensions tell short texts apart badly. The letters' tf-idf is reduced by a
    random projection, which keeps all distances (Achlioptas 2003).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.random_projection import SparseRandomProjection

    # A text without any known word is zero, and says nothing.
    known = np.flatnonzero(samples.matrix.any(axis=1))
    if not len(known):
        return View(known, samples.matrix[known], even=True)
    numbers = samples.matrix[known]
    length = np.sqrt(np.einsum("ij,ij->", numbers, numbers, dtype=np.float64) / len(known))
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), sublinear_tf=True, dtype=np.float32)
    counts = letters.fit_transform(samples.features[known])
    if counts.shape[1] > _LETTER_DIMENSIONS:
        counts = SparseRandomProjection(_LETTER_DIMENSIONS, random_state=0).fit_transform(counts)
    points = np.concatenate([numbers / length, counts.toarray()], axis=1)
    return View(known, points.astype(np.float32, copy=False), even=True)


def _standardise_rows(points: np.ndarray) -> View:
    """Compare samples whatever their brightness and contrast; those without contrast cannot be compared."""
    centred = points - points.mean(axis=1, keepdims=True)
    contrast = centred.std(axis=1)
    rows = np.flatnonzero(contrast > 1e-6 * np.abs(points).max(initial=1e-30))
    return View(rows, centred[rows] / contrast[rows, None], even=True)


def _scale(matrix: np.ndarray, *, images: bool, table: bool) -> tuple[np.ndarray, bool]:
    """Return the points of numbers, and whether all columns share a unit."""
    known = ~np.isnan(matrix)
    mean = np.where(known, matrix, 0).sum(axis=0, dtype=np.float64) / np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, matrix - mean.astype(np.float32), np.float32(0))
    if images:
        return centred, True
    low, high = np.nanmin(matrix, axis=0), np.nanmax(matrix, axis=0)
    sd = np.sqrt(np.einsum("ij,ij->j", centred, centred, dtype=np.float64) / len(matrix))
    constant = ~(sd > 1e-7 * np.abs(mean))
    flags = ((matrix == low) | (matrix == high) | ~known).all(axis=0) & ~constant
    varied = sd[~constant & ~flags]
    if not table and len(varied) >= _MIN_SHARED and _share_unit(varied):
        return centred, True
    scale = np.where(flags, (high - low) / 2, sd)
    return (centred / np.where(constant, np.inf, scale)).astype(np.float32), False


def _share_unit(sd: np.ndarray) -> bool:
    ratio = sd / np.median(sd)
    return bool(ratio.max() < _SAME_UNIT and np.mean(ratio > 1 / _SAME_UNIT) >= _MOST)
