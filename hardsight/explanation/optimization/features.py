"""What the linear analysis runs on: the user's own features, or an embedding of the samples, brought to one scale."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from hardsight.errors import InputError
from hardsight.validation import check_int

LIMIT = 3000
# Features beyond this many deviations are cut, as the default network's are.
_FAR = 5.0
# Weights of a linear model, and samples times rivals, up to which its max-margin problem takes seconds.
_WEIGHTS, _PAIRS = 2048, 100_000


class Features(NamedTuple):
    """Some samples as rows of numbers.

    Attributes:
        x: what linear models read: standardised, perhaps projected, and a last column of ones in place of an intercept.
            ``(row, feature)``
        standardised: the features before any projection, without the ones. ``(row, feature)``
        codes: class codes 0, 1, … of the classes that are there, ``(row,)``.
        rows: positions among all samples, rising. ``(row,)``
        description: what was done, in words.
    """

    x: Float64[np.ndarray, "row feature"]
    standardised: Float64[np.ndarray, "row given"]
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
    """Bring features to one scale, and take a part of the samples where there are very many.

    Missing values take the mean; values beyond five deviations are cut; the part is drawn at random within each class, in
    proportion, with at least one of each.

    Args:
        matrix: the features, or an embedding of the samples such as what a network's last layer reads,
            ``(sample, feature)``.
        labels: of any kind, ``(sample,)``.
        what: what the matrix is, in words.
        limit: the most samples to take; fewer where samples times classes less one would be more than 100,000.
        components: principal components to project on. None: no projection, unless features times classes are more than
            2,048; the description says so.
        seed: draws the part.

    Raises:
        InputError: a matrix or labels of another shape, infinite features, a number below 1, or a single class.
    """
    given, names = np.asarray(matrix, dtype=np.float64), np.asarray(labels)
    if given.ndim != 2 or not given.size:
        raise InputError(f"the features must be a matrix (sample, feature). Got shape {given.shape}")
    if names.shape != (len(given),):
        raise InputError(f"there must be one label a sample, shape ({len(given)},). Got {names.shape}")
    if np.isinf(given).any():
        at = int(np.isinf(given).any(1).argmax())
        raise InputError(f"row {at} of the features is infinite: mend it, or leave it out")
    check_int("limit", limit, 2)
    codes = np.unique(names, return_inverse=True)[1].astype(np.int64)
    classes = int(codes.max()) + 1
    if classes < 2:
        raise InputError("all labels are the same: a margin needs two classes")
    rows = _part(codes, max(min(limit, _PAIRS // (classes - 1)), classes), seed)
    x = _standardised(given[rows])
    said = [f"{what}, {x.shape[1]} columns, standardised"]
    if len(rows) < len(given):
        said.append(f"{len(rows):,} of {len(given):,} samples, drawn by class")
    most = max(1, _WEIGHTS // (1 if classes == 2 else classes) - 1)
    wanted = check_int("components", components, 1) if components is not None else most
    projected = x
    if min(x.shape) > wanted:
        projected, kept = _principal(x, wanted)
        said.append(f"the first {wanted} principal components, {kept:.1%} of the variance")
    ones = np.ones((len(rows), 1))
    return Features(np.concatenate([projected, ones], axis=1), x, codes[rows], rows, "; ".join(said))


def _part(codes: Int64[np.ndarray, " sample"], limit: int, seed: int) -> Int64[np.ndarray, " row"]:
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


def _standardised(x: Float64[np.ndarray, "row feature"]) -> Float64[np.ndarray, "row feature"]:
    known = ~np.isnan(x)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, x, 0.0).sum(0) / count
    off = np.where(known, x - mean, 0.0)
    deviation = np.sqrt(np.square(off).sum(0) / count)
    # Rounding leaves a constant column a deviation of its own.
    varies = deviation > 1e-7 * np.abs(mean)
    found: np.ndarray = np.clip(np.where(varies, off / np.where(varies, deviation, 1.0), 0.0), -_FAR, _FAR)
    return found


def _principal(x: Float64[np.ndarray, "row feature"], count: int) -> tuple[Float64[np.ndarray, "row part"], float]:
    centred = x - x.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    kept = np.square(values[:count]).sum() / np.square(values).sum()
    return left[:, :count] * values[:count], float(kept)
