"""Inputs of the linear analysis: the user's features, or an embedding of the samples, standardised."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from hardsight.errors import InputError
from hardsight.validation import check_int

LIMIT = 3000
# Features are clipped at this many standard deviations, like those of the default network.
_CLIP = 5.0
# Limits within which the max-margin problem takes seconds: weights of a linear model, and samples times other classes.
_MAX_WEIGHTS, _MAX_PAIRS = 2048, 100_000


class Features(NamedTuple):
    """Some samples as rows of numbers.

    Attributes:
        x: inputs of linear models: standardised, possibly projected, with a last column of ones in place of an
            intercept. ``(row, feature)``
        standardised: the features before any projection, without the ones. ``(row, feature)``
        codes: class codes 0, 1, … of the classes present, ``(row,)``.
        rows: positions among all samples, ascending. ``(row,)``
        description: how they were made, as text.
    """

    x: Float64[np.ndarray, "row feature"]
    standardised: Float64[np.ndarray, "row raw"]
    codes: Int64[np.ndarray, " row"]
    rows: Int64[np.ndarray, " row"]
    description: str


def prepare_features(
    matrix: ArrayLike,
    labels: ArrayLike,
    *,
    what: str = "the features",
    limit: int = LIMIT,
    components: int | None = None,
    seed: int = 0,
) -> Features:
    """Standardise features, and subsample if there are very many samples.

    Missing values are replaced by the mean, and values beyond five standard deviations are clipped. The subsample is
    drawn at random within each class, in proportion, with at least one sample per class.

    Args:
        matrix: the features, or an embedding of the samples such as the input of a network's last layer,
            ``(sample, feature)``.
        labels: of any kind, ``(sample,)``.
        what: what the matrix is, as text.
        limit: the largest number of samples; fewer if samples times (classes minus one) would exceed 100,000.
        components: number of principal components to project on. None: no projection, unless features times classes
            exceed 2,048; the description says so.

    Raises:
        InputError: a matrix or labels of another shape, infinite features, a number below 1, or a single class.
    """
    values, labels_array = np.asarray(matrix, dtype=np.float64), np.asarray(labels)
    if values.ndim != 2 or not values.size:
        raise InputError(f"the features must be a matrix (sample, feature). Got shape {values.shape}")
    if labels_array.shape != (len(values),):
        raise InputError(f"there must be one label per sample, shape ({len(values)},). Got {labels_array.shape}")
    if np.isinf(values).any():
        row = int(np.isinf(values).any(1).argmax())
        raise InputError(f"row {row} of the features is infinite: fix it, or leave it out")
    check_int("limit", limit, 2)
    codes = np.unique(labels_array, return_inverse=True)[1].astype(np.int64)
    classes = int(codes.max()) + 1
    if classes < 2:
        raise InputError("all labels are the same: a margin needs two classes")
    rows = _stratified_rows(codes, max(min(limit, _MAX_PAIRS // (classes - 1)), classes), seed)
    x = _standardise(values[rows])
    description = [f"{what}, {x.shape[1]} columns, standardised"]
    if len(rows) < len(values):
        description.append(f"{len(rows):,} of {len(values):,} samples, drawn by class")
    max_components = max(1, _MAX_WEIGHTS // (1 if classes == 2 else classes) - 1)
    count = check_int("components", components, 1) if components is not None else max_components
    projected = x
    if min(x.shape) > count:
        projected, explained = _principal_components(x, count)
        description.append(f"the first {count} principal components, {explained:.1%} of the variance")
    ones = np.ones((len(rows), 1))
    return Features(np.concatenate([projected, ones], axis=1), x, codes[rows], rows, "; ".join(description))


def _stratified_rows(codes: Int64[np.ndarray, " sample"], limit: int, seed: int) -> Int64[np.ndarray, " row"]:
    n = len(codes)
    if n <= limit:
        return np.arange(n)
    shuffled = np.random.default_rng(seed).permutation(n)
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    sizes = np.bincount(codes)
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    share = place / np.repeat(sizes, sizes)
    rows: np.ndarray = np.sort(order[np.argsort(share, kind="stable")[:limit]])
    return rows


def _standardise(x: Float64[np.ndarray, "row feature"]) -> Float64[np.ndarray, "row feature"]:
    observed = ~np.isnan(x)
    count = np.maximum(observed.sum(0), 1)
    mean = np.where(observed, x, 0.0).sum(0) / count
    deviation_from_mean = np.where(observed, x - mean, 0.0)
    deviation = np.sqrt(np.square(deviation_from_mean).sum(0) / count)
    # Rounding can give a constant column a small deviation.
    varies = deviation > 1e-7 * np.abs(mean)
    result: np.ndarray = np.clip(
        np.where(varies, deviation_from_mean / np.where(varies, deviation, 1.0), 0.0), -_CLIP, _CLIP
    )
    return result


def _principal_components(
    x: Float64[np.ndarray, "row feature"], count: int
) -> tuple[Float64[np.ndarray, "row part"], float]:
    centred = x - x.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    explained = np.square(values[:count]).sum() / np.square(values).sum()
    return left[:, :count] * values[:count], float(explained)
