r"""The max-margin problem and its dual: the direction to which training tends, and the samples that hold it there.

Separable samples: the unit direction $u$ of the largest margin $\gamma^* = \max_{\|\theta\| \le 1} \min_k z_k \cdot
\theta$, and the point of least norm in the convex hull of the points z, $\gamma^* u = \sum_k p^*_k z_k$. Every distribution
p over the points bounds the margin from above, $\gamma^* \le \|\sum_k p_k z_k\|$, and every direction from below, so that
each answer carries its own certificate. Others: the soft margin of a stated strength.
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

# Of the largest norm of a point: the least margin that is no rounding error, and the least that is looked for.
_POSITIVE, _NOTHING = 1e-12, 1e-7
_NO_DIRECTION = 1e-8
_HOLDING = 1e-3
_SHORT_OF_IT = 10
_WIDEST = 4096


class Dual(NamedTuple):
    r"""The max-margin direction and the dual coefficients.

    Where the dual has many optima, these coefficients lie in the middle of them (near their analytic centre), so that
    samples that are alike have equal ones.

    Attributes:
        coefficients: p*, >= 0 with sum 1, ``(sample,)``; of several classes the sum over the rivals of a sample.
        direction: of norm 1: ``(feature,)`` for two classes (towards the second), else ``(class, feature)`` (Frobenius
            norm); zeros where even a soft margin has none, as when every point has its opposite.
        intercept: that goes with the direction, ``()`` or ``(class,)``; zeros without ``bias``.
        margin: the smallest margin over all samples in this direction; the largest possible where ``separable``, negative
            or zero otherwise.
        separable: whether some direction has every sample on its side: one was found, or none has a margin of more than
            1e-7 times the largest norm of a point.
        surrogate: None where separable; otherwise the C of the soft margin that the direction and the coefficients belong
            to, as in $\|\theta\|^2/2 + C \sum_i \xi_i$ on the features given.
        gap: how much better the optimum might be, as a share: of the margin, or of the soft margin's objective.
    """

    coefficients: Float64[np.ndarray, " sample"]
    direction: Float64[np.ndarray, "*class feature"]
    intercept: Float64[np.ndarray, "*class"]
    margin: float
    separable: bool
    surrogate: float | None
    gap: float

    @property
    def holding(self) -> Bool[np.ndarray, " sample"]:
        """Which samples hold the direction: coefficients above a thousandth of an even share; below it are rounding's."""
        held: np.ndarray = self.coefficients > _HOLDING / len(self.coefficients)
        return held

    def angle(self, weights: Float64[np.ndarray, "*class feature"]) -> float:
        """Degrees between some weights and the direction; NaN where either is zero."""
        if not weights.any() or not self.direction.any():
            return float("nan")
        cosine = (weights * self.direction).sum() / np.linalg.norm(weights)
        # Near zero degrees the arc cosine has no digits left.
        sine = np.linalg.norm(weights / np.linalg.norm(weights) - cosine * self.direction)
        return float(np.degrees(np.arctan2(sine, cosine)))


def solve_max_margin(
    x: ArrayLike, y: ArrayLike | Sequence, *, bias: bool = False, strength: float = 1.0, tolerance: float = 1e-7
) -> Dual:
    r"""Solve the hard-margin problem where the samples are separable, a soft-margin one where they are not.

    Args:
        x: features, ``(sample, feature)``.
        y: labels, ``(sample,)``. With two values the larger is the positive class; with more, every sample is set against
            each of its rivals, $(w_y - w_j) \cdot x$ (Crammer & Singer 2001).
        bias: leave intercepts free, without a part in the norm.
        strength: C of the soft margin in units of one over the mean squared norm of a sample (about the mean of all
            samples with ``bias``), so that it means the same whatever the scale of the features.
        tolerance: the relative gap to reach. Rounding can stop short of it, most of all with features that all but depend
            on each other; a :class:`HardsightWarning` says where the gap is more than ten times as large.

    Raises:
        InputError: features that are no finite matrix, other than one label a sample, fewer than two classes, a
            parameter out of range, or a problem too large: more than 4,096 weights.

    >>> found = solve_max_margin([[2.0, 0.0], [-1.0, 0.0]], [1, 0])
    >>> found.separable, f"{found.margin:.6f}", found.coefficients.round(6).tolist()
    (True, '1.000000', [0.0, 1.0])
    """
    matrix, codes, classes = _checked(x, y, strength, tolerance)
    centre = matrix.mean(0) if bias else np.zeros(matrix.shape[1])
    centred = matrix - centre
    # Within the span of the samples nothing is lost, and with few samples it is small.
    basis = np.linalg.qr(centred.T)[0].T if matrix.shape[1] > len(matrix) else None
    within = centred if basis is None else centred @ basis.T
    squared = float(np.square(within).sum(1).mean())
    scale = math.sqrt(squared) or 1.0
    points = MarginPoints.of(within / scale, codes, classes)
    if points.code.shape[1] * within.shape[1] > _WIDEST:
        raise InputError(
            f"{within.shape[1]} features × {points.code.shape[1]} classes are more than {_WIDEST:,} weights: project the "
            "features to fewer first (PCA)"
        )
    found = _hard(points, bias, tolerance)
    if not found.separable:
        found = _soft(points, bias, strength, tolerance)
    if found.gap > _SHORT_OF_IT * tolerance:
        said = f"the max-margin problem is solved to a relative gap of {found.gap:.1e}, not {tolerance:.1e}"
        warnings.warn(said, HardsightWarning, stacklevel=2)
    direction = found.direction if basis is None else found.direction @ basis
    intercept = found.intercept * scale - direction @ centre
    return found._replace(
        direction=direction[0] if points.binary else direction,
        intercept=intercept[0] if points.binary else intercept,
        margin=found.margin * scale,
        surrogate=None if found.surrogate is None else found.surrogate / scale**2,
    )


def _checked(
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
        raise InputError(f"y must have one label a sample, shape ({len(matrix)},). Got {labels.shape}")
    for name, value in (("strength", strength), ("tolerance", tolerance)):
        if not 0 < value < np.inf:
            raise InputError(f"{name} must be positive. Got {value}")
    names, codes = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise InputError("y has one class only: a margin needs two")
    return matrix, codes.astype(np.int64), len(names)


def _balanced(points: MarginPoints) -> Float64[np.ndarray, "sample rival"]:
    """Amounts with sum 1 that are the same between any class and any other: the sums of intercepts are then zero."""
    own = points.code > 0
    if points.binary:
        even: np.ndarray = np.where(own, 0.5 / own.sum(), 0.5 / (~own).sum())
        return even
    classes = own.shape[1]
    of_class = 1.0 / (classes * (classes - 1) * own.sum(0))
    return np.repeat((own @ of_class)[:, None], classes - 1, axis=1)


def _hard(points: MarginPoints, bias: bool, tolerance: float) -> Dual:
    balance = points.balance() if bias else np.zeros((*points.rivals.shape, 0))
    equal = np.concatenate([np.ones((*points.rivals.shape, 1)), balance], axis=-1)
    programme = QuadraticProgram(points, equal, np.eye(1, equal.shape[-1])[0], gain=0.0, cap=None)
    radius = float(np.sqrt(np.square(points.x).sum(1).max() * (1 if points.binary else 2)))
    best: Dual | None = None
    for at in interior_point_iterates(programme, _balanced(points)):
        found, most = _bounded(points, at, _POSITIVE * radius)
        if best is None or (found.separable, -found.gap) > (best.separable, -best.gap):
            best = found
        if (found.gap <= tolerance) if found.separable else (most <= _NOTHING * radius):
            break
    assert best is not None
    return best


def _bounded(points: MarginPoints, at: Iterate, positive: float) -> tuple[Dual, float]:
    """An iterate of the hard-margin problem as an answer, and what bounds the margin from above."""
    share = at.amounts / at.amounts.sum()
    weights = points.sum(share)
    most = float(np.linalg.norm(weights))
    direction = weights / (most or 1.0)
    intercept = _intercept(points, at.prices[1:]) / (most or 1.0)
    margin = float((points.along(direction) + points.gathered(intercept[None])).min())
    gap = (most - margin) / (most or 1.0)
    return Dual(share.sum(1), direction, intercept, margin, margin > positive, None, gap), most


def _soft(points: MarginPoints, bias: bool, cap: float, tolerance: float) -> Dual:
    equal = points.balance() if bias else np.zeros((*points.rivals.shape, 0))
    programme = QuadraticProgram(points, equal, np.zeros(equal.shape[-1]), gain=1.0, cap=cap)
    start = _balanced(points)
    best: Dual | None = None
    for at in interior_point_iterates(programme, start * (0.5 * cap / start.sum(1).max())):
        found = _penalised(points, at, cap)
        if best is None or found.gap < best.gap:
            best = found
        if best.gap <= tolerance:
            break
    assert best is not None
    return best


def _penalised(points: MarginPoints, at: Iterate, cap: float) -> Dual:
    """An iterate of the soft-margin problem as an answer."""
    weights, intercept = points.sum(at.amounts), _intercept(points, at.prices)
    margins = (points.along(weights) + points.gathered(intercept[None])).min(1)
    norm = float(np.linalg.norm(weights))
    # Below this nothing but rounding points anywhere.
    unit = 1 / norm if norm > _NO_DIRECTION else 0.0
    short = cap * float(np.maximum(0.0, 1 - margins).sum())
    gap = norm * norm + short - float(at.amounts.sum())
    whole = norm * norm / 2 + short
    coefficients = at.amounts.sum(1) / at.amounts.sum()
    return Dual(coefficients, weights * unit, intercept * unit, float(margins.min()) * unit, False, cap, gap / whole)


def _intercept(points: MarginPoints, prices: Float64[np.ndarray, " equality"]) -> Float64[np.ndarray, " output"]:
    """What the multipliers of the balances say; the last class, which has none, is at zero."""
    out: np.ndarray = np.zeros(points.code.shape[1])
    out[: len(prices)] = prices
    return out if points.binary else out - out.mean()
