r"""The max-margin problem and its dual: the direction to which training tends, and its support vectors.

Separable samples: the unit direction $u$ of the largest margin $\gamma^* = \max_{\|\theta\| \le 1} \min_k z_k \cdot
\theta$, and the point of least norm in the convex hull of the points z, $\gamma^* u = \sum_k p^*_k z_k$. Every
distribution p over the points bounds the margin from above, $\gamma^* \le \|\sum_k p_k z_k\|$, and every direction
bounds it from below, so each answer carries its own certificate. Other samples: the soft margin of a stated strength.
"""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import ArrayLike

from hardsight.errors import HardsightWarning, InputError
from hardsight.explanation.optimization.hull import MarginPoints
from hardsight.explanation.optimization.qp import Iterate, QuadraticProgram, interior_point_iterates

# Relative to the largest norm of a point: the smallest margin beyond rounding error, and the smallest worth finding.
_MIN_MARGIN, _SEARCHED_MARGIN = 1e-12, 1e-7
_MIN_NORM = 1e-8
_SUPPORT_SHARE = 1e-3
_WARNING_FACTOR = 10
_MAX_WEIGHTS = 4096


class Dual(NamedTuple):
    r"""The max-margin direction and the dual coefficients.

    If the dual has many optima, these coefficients lie in the middle of them (near their analytic centre), so that
    equal samples have equal coefficients.

    Attributes:
        coefficients: p*, >= 0 with sum 1, ``(sample,)``; with several classes, the sum over the other classes of a sample.
        direction: unit vector: ``(feature,)`` for two classes (towards the second), else ``(class, feature)``
            (Frobenius norm); zeros if even a soft margin has none, as when every point has its opposite.
        intercept: the intercept for this direction, ``()`` or ``(class,)``; zeros without ``bias``.
        margin: the smallest margin over all samples in this direction; the largest possible if ``separable``, negative
            or zero otherwise.
        separable: whether some direction classifies every sample correctly: one was found, or none has a margin of more
            than 1e-7 times the largest norm of a point.
        surrogate: None if separable; otherwise the C of the soft margin that the direction and the coefficients belong
            to, as in $\|\theta\|^2/2 + C \sum_i \xi_i$ on the given features.
        gap: relative optimality gap: of the margin, or of the soft margin's objective.
    """

    coefficients: Float64[np.ndarray, " sample"]
    direction: Float64[np.ndarray, "*class feature"]
    intercept: Float64[np.ndarray, "*class"]
    margin: float
    separable: bool
    surrogate: float | None
    gap: float

    @property
    def is_support(self) -> Bool[np.ndarray, " sample"]:
        """Return which samples are support vectors: coefficients above a thousandth of an even share."""
        mask: np.ndarray = self.coefficients > _SUPPORT_SHARE / len(self.coefficients)
        return mask

    def angle(self, weights: Float64[np.ndarray, "*class feature"]) -> float:
        """Return the angle between the weights and the direction in degrees; NaN if either is zero."""
        if not weights.any() or not self.direction.any():
            return float("nan")
        cosine = (weights * self.direction).sum() / np.linalg.norm(weights)
        # The arc cosine loses all digits near zero degrees.
        sine = np.linalg.norm(weights / np.linalg.norm(weights) - cosine * self.direction)
        return float(np.degrees(np.arctan2(sine, cosine)))


def solve_max_margin(
    x: ArrayLike, y: ArrayLike | Sequence, *, bias: bool = False, strength: float = 1.0, tolerance: float = 1e-7
) -> Dual:
    r"""Solve the hard-margin problem if the samples are separable, else a soft-margin one.

    Args:
        x: features, ``(sample, feature)``.
        y: labels, ``(sample,)``. With two values the larger is the positive class; with more, every sample is compared
            with each other class, $(w_y - w_j) \cdot x$ (Crammer & Singer 2001).
        bias: fit intercepts, which do not count in the norm.
        strength: C of the soft margin, in units of one over the mean squared norm of a sample (about the mean of all
            samples with ``bias``), so that it does not depend on the scale of the features.
        tolerance: the relative gap to reach. Rounding can prevent it, especially with nearly dependent features; a
            :class:`HardsightWarning` is issued if the gap is more than ten times as large.

    Raises:
        InputError: features that are not a finite matrix, labels of another number, fewer than two classes, a
            parameter out of range, or a problem too large: more than 4,096 weights.

    >>> dual = solve_max_margin([[2.0, 0.0], [-1.0, 0.0]], [1, 0])
    >>> dual.separable, f"{dual.margin:.6f}", dual.coefficients.round(6).tolist()
    (True, '1.000000', [0.0, 1.0])
    """
    matrix, codes, classes = _check_arguments(x, y, strength, tolerance)
    centre = matrix.mean(0) if bias else np.zeros(matrix.shape[1])
    centred = matrix - centre
    # Projecting on the span of the samples loses nothing, and with few samples it is small.
    basis = np.linalg.qr(centred.T)[0].T if matrix.shape[1] > len(matrix) else None
    projected = centred if basis is None else centred @ basis.T
    squared = float(np.square(projected).sum(1).mean())
    scale = math.sqrt(squared) or 1.0
    points = MarginPoints.from_codes(projected / scale, codes, classes)
    if points.code.shape[1] * projected.shape[1] > _MAX_WEIGHTS:
        raise InputError(
            f"{projected.shape[1]} features × {points.code.shape[1]} classes are more than {_MAX_WEIGHTS:,} weights: "
            "project the features to fewer first (PCA)"
        )
    dual = _solve_hard(points, bias, tolerance)
    if not dual.separable:
        dual = _solve_soft(points, bias, strength, tolerance)
    if dual.gap > _WARNING_FACTOR * tolerance:
        message = f"the max-margin problem is solved to a relative gap of {dual.gap:.1e}, not {tolerance:.1e}"
        warnings.warn(message, HardsightWarning, stacklevel=2)
    direction = dual.direction if basis is None else dual.direction @ basis
    intercept = dual.intercept * scale - direction @ centre
    return dual._replace(
        direction=direction[0] if points.binary else direction,
        intercept=intercept[0] if points.binary else intercept,
        margin=dual.margin * scale,
        surrogate=None if dual.surrogate is None else dual.surrogate / scale**2,
    )


def _check_arguments(
    x: ArrayLike, y: ArrayLike | Sequence, strength: float, tolerance: float
) -> tuple[Float64[np.ndarray, "sample feature"], Int64[np.ndarray, " sample"], int]:
    matrix, labels = np.asarray(x, dtype=np.float64), np.asarray(y)
    if matrix.ndim != 2 or not matrix.size:
        raise InputError(f"x must be a matrix (sample, feature). Got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise InputError(
            f"x must be finite. Row {int(np.isfinite(matrix).all(1).argmin())} is not: fill it, or leave it out"
        )
    if labels.shape != (len(matrix),):
        raise InputError(f"y must have one label per sample, shape ({len(matrix)},). Got {labels.shape}")
    for name, value in (("strength", strength), ("tolerance", tolerance)):
        if not 0 < value < np.inf:
            raise InputError(f"{name} must be positive. Got {value}")
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError("y has one class only: a margin needs two")
    return matrix, codes.astype(np.int64), len(classes)


def _balanced_alpha(points: MarginPoints) -> Float64[np.ndarray, "sample other"]:
    """Return coefficients with sum 1, equal for every pair of classes: the intercept constraints then hold."""
    own = points.code > 0
    if points.binary:
        alpha: np.ndarray = np.where(own, 0.5 / own.sum(), 0.5 / (~own).sum())
        return alpha
    classes = own.shape[1]
    per_class = 1.0 / (classes * (classes - 1) * own.sum(0))
    return np.repeat((own @ per_class)[:, None], classes - 1, axis=1)


def _solve_hard(points: MarginPoints, bias: bool, tolerance: float) -> Dual:
    intercept_constraints = points.intercept_constraints() if bias else np.zeros((*points.other_classes.shape, 0))
    equality_matrix = np.concatenate([np.ones((*points.other_classes.shape, 1)), intercept_constraints], axis=-1)
    program = QuadraticProgram(points, equality_matrix, np.eye(1, equality_matrix.shape[-1])[0], gain=0.0, cap=None)
    radius = float(np.sqrt(np.square(points.x).sum(1).max() * (1 if points.binary else 2)))
    best: Dual | None = None
    for iterate in interior_point_iterates(program, _balanced_alpha(points)):
        dual, upper_bound = _hard_dual(points, iterate, _MIN_MARGIN * radius)
        if best is None or (dual.separable, -dual.gap) > (best.separable, -best.gap):
            best = dual
        if (dual.gap <= tolerance) if dual.separable else (upper_bound <= _SEARCHED_MARGIN * radius):
            break
    assert best is not None
    return best


def _hard_dual(points: MarginPoints, iterate: Iterate, min_margin: float) -> tuple[Dual, float]:
    """Return the dual of an iterate of the hard-margin problem, and the upper bound of the margin."""
    normalised = iterate.alpha / iterate.alpha.sum()
    weights = points.sum(normalised)
    upper_bound = float(np.linalg.norm(weights))
    direction = weights / (upper_bound or 1.0)
    intercept = _intercept(points, iterate.equality_dual[1:]) / (upper_bound or 1.0)
    margin = float((points.margins(direction) + points.margins_from_scores(intercept[None])).min())
    gap = (upper_bound - margin) / (upper_bound or 1.0)
    return Dual(normalised.sum(1), direction, intercept, margin, margin > min_margin, None, gap), upper_bound


def _solve_soft(points: MarginPoints, bias: bool, cap: float, tolerance: float) -> Dual:
    equality_matrix = points.intercept_constraints() if bias else np.zeros((*points.other_classes.shape, 0))
    program = QuadraticProgram(points, equality_matrix, np.zeros(equality_matrix.shape[-1]), gain=1.0, cap=cap)
    start = _balanced_alpha(points)
    best: Dual | None = None
    for iterate in interior_point_iterates(program, start * (0.5 * cap / start.sum(1).max())):
        dual = _soft_dual(points, iterate, cap)
        if best is None or dual.gap < best.gap:
            best = dual
        if best.gap <= tolerance:
            break
    assert best is not None
    return best


def _soft_dual(points: MarginPoints, iterate: Iterate, cap: float) -> Dual:
    """Return the dual of an iterate of the soft-margin problem."""
    weights, intercept = points.sum(iterate.alpha), _intercept(points, iterate.equality_dual)
    margins = (points.margins(weights) + points.margins_from_scores(intercept[None])).min(1)
    norm = float(np.linalg.norm(weights))
    # A smaller norm has no direction beyond rounding error.
    inverse_norm = 1 / norm if norm > _MIN_NORM else 0.0
    slack_cost = cap * float(np.maximum(0.0, 1 - margins).sum())
    gap = norm * norm + slack_cost - float(iterate.alpha.sum())
    objective = norm * norm / 2 + slack_cost
    coefficients = iterate.alpha.sum(1) / iterate.alpha.sum()
    return Dual(
        coefficients,
        weights * inverse_norm,
        intercept * inverse_norm,
        float(margins.min()) * inverse_norm,
        False,
        cap,
        gap / objective,
    )


def _intercept(points: MarginPoints, equality_dual: Float64[np.ndarray, " equality"]) -> Float64[np.ndarray, " output"]:
    """Return the intercepts from the dual variables of their constraints; the last class has none and is at zero."""
    intercept: np.ndarray = np.zeros(points.code.shape[1])
    intercept[: len(equality_dual)] = equality_dual
    return intercept if points.binary else intercept - intercept.mean()
