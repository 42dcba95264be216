"""Rotation of wide data: samples span no more directions than there are samples, however many features they have."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64
from threadpoolctl import threadpool_limits

# The axes after the rotation: at least so many, and more than the samples can span. Adam scales the gradient of each axis
# by itself; along few axes it follows the gradient badly, and in the directions of the largest variance it fits noise.
_MIN_AXES, _AXES_PER_SAMPLE = 256, 1.25
# Features per axis from which rotating pays.
_MIN_RATIO = 2
# The eigenvectors of more samples would take longer than the training.
_MAX_SAMPLES = 5_000
# Standardised values are clipped here, as those of narrow data are.
_MAX_DEVIATION = 5.0
_BLOCK_BYTES = 64 << 20


class Rotated(NamedTuple):
    """Samples in other axes."""

    inputs: Float32[np.ndarray, "sample axis"]
    # Root mean square of the inputs, by which initial weights are divided.
    scale: float


def count_axes(n_samples: int) -> int:
    """Return the number of axes that so many samples are rotated to."""
    return max(_MIN_AXES, math.ceil(_AXES_PER_SAMPLE * n_samples))


def is_wide(n_samples: int, n_features: int) -> bool:
    """Return whether there are so many more features than samples that rotating pays."""
    return n_features > _MIN_RATIO * count_axes(n_samples) and 1 < n_samples <= _MAX_SAMPLES


def rotate(matrix: np.ndarray, *, adaptive: bool = True) -> Rotated:
    r"""Rotate the standardised samples into fewer axes; nothing is lost.

    With $Z = U S V^T$ the standardised features, $U S Q^T$ is the same cloud of samples, seen in the axes of a random
    orthonormal $Q$: distances and angles are kept. A layer of a network that reads $Z$ sees no more than these coordinates,
    whatever its weights. Labels are not used. $U S$ comes from the eigenvectors of $Z Z^T$, which has one row per sample.

    Args:
        matrix: ``(sample, feature)``; NaN is missing and takes the mean of the feature.
        adaptive: whether the optimizer moves every weight equally far, as Adam does. Then distances are multiplied by the
            root of the number of features per axis, so that a step changes the outputs of a layer as much as before.
    """
    samples = len(matrix)
    axes = count_axes(samples)
    # More threads would round in another order, and nearly equal eigenvalues would give other eigenvectors.
    with threadpool_limits(1):
        gram = _gram(matrix)
        values, vectors = np.linalg.eigh(gram)
        values = np.maximum(values, 0)
        basis = np.linalg.qr(np.random.default_rng(0).normal(size=(axes, samples)))[0]
        coordinates = (vectors * np.sqrt(values)) @ basis.T
    features_per_axis = float(np.trace(gram)) / (samples * axes)
    stretch = math.sqrt(max(features_per_axis, 1.0)) if adaptive else 1.0
    scale = stretch * math.sqrt(features_per_axis) or 1.0
    return Rotated((coordinates * stretch).astype(np.float32), scale)


def _gram(matrix: np.ndarray) -> Float64[np.ndarray, "sample sample"]:
    """Return $Z Z^T$ of the standardised features, block by block: a copy in float64 may not fit into memory."""
    samples, features = matrix.shape
    gram, size = np.zeros((samples, samples)), max(1, _BLOCK_BYTES // (8 * samples))
    for start in range(0, features, size):
        block = matrix[:, start : start + size].astype(np.float64)
        known = ~np.isnan(block)
        mean = np.where(known, block, 0).sum(0) / np.maximum(known.sum(0), 1)
        centred = np.where(known, block - mean, 0)
        sd = np.sqrt(np.square(centred).sum(0) / np.maximum(known.sum(0), 1))
        z = (centred / np.where(sd > 1e-7 * np.abs(mean), sd, np.inf)).clip(-_MAX_DEVIATION, _MAX_DEVIATION)
        gram += z @ z.T
    return gram
