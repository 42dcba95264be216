"""A primal-dual interior-point method for the convex quadratic programs that are the duals of max-margin problems.

    minimise  ||sum_k a_k z_k||² / 2 - gain · sum_k a_k
    over      a >= 0,  A'a = b,  and, with a cap, sum of a sample's a_k <= cap

Newton's method on the relaxed optimality conditions, with a predictor and a corrector step (Mehrotra 1992, *On the
implementation of a primal-dual interior point method*). A step costs one matrix of second moments of the points and its
Cholesky factor. Every iterate is feasible, so each one bounds the optimum from both sides.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from hardsight.explanation.optimization.hull import MarginPoints

_MAX_STEPS = 100
_STEP_TO_BOUNDARY = 0.99

Alpha = Float64[np.ndarray, "sample other"]
PerSample = Float64[np.ndarray, " sample"]


class QuadraticProgram(NamedTuple):
    """A quadratic program."""

    points: MarginPoints  # z
    equality_matrix: Float64[np.ndarray, "sample other equality"]  # A, (sample, other, equality)
    equality_target: Float64[np.ndarray, " equality"]  # b, (equality,)
    gain: float  # objective coefficient of the sum of a
    cap: float | None  # upper bound of the sum of a sample's a; None if there is none


class Iterate(NamedTuple):
    """A primal-dual iterate."""

    alpha: Alpha  # a > 0, (sample, other)
    reduced_costs: Alpha  # dual variables of a >= 0, > 0. (sample, other)
    equality_dual: Float64[np.ndarray, " equality"]  # dual variables of the equalities, (equality,)
    cap_slack: PerSample  # slack of each sample's cap, (sample,); ones without a cap
    cap_dual: PerSample  # dual variables of the caps, (sample,); zeros without a cap

    def step_by(self, direction: "Iterate", length: float) -> "Iterate":
        """Return the iterate after a step of this length."""
        return Iterate(*(value + length * step for value, step in zip(self, direction, strict=True)))


def interior_point_iterates(program: QuadraticProgram, start: Alpha) -> Iterator[Iterate]:
    """Yield better and better iterates, until rounding stops them.

    Args:
        start: positive coefficients below the cap that satisfy the equalities. Without a cap, the first equality must
            be that of the sum of all coefficients.
    """
    iterate = _initial_iterate(program, start)
    for _ in range(_MAX_STEPS):
        yield iterate
        try:
            newton = _newton_solver(program, iterate)
        except (LinAlgError, ValueError):
            return
        gap = _mean_complementarity(program, iterate)
        predictor = newton(-iterate.alpha * iterate.reduced_costs, -iterate.cap_slack * iterate.cap_dual)
        length = _max_step(iterate, predictor)
        predicted_gap = _mean_complementarity(program, iterate.step_by(predictor, length))
        target = gap * (predicted_gap / gap) ** 3
        step = newton(
            target - iterate.alpha * iterate.reduced_costs - predictor.alpha * predictor.reduced_costs,
            np.where(iterate.cap_dual > 0, target, 0.0)
            - iterate.cap_slack * iterate.cap_dual
            - predictor.cap_slack * predictor.cap_dual,
        )
        length = min(1.0, _STEP_TO_BOUNDARY * _max_step(iterate, step))
        iterate = iterate.step_by(step, length)
        if length < 1e-10 or not np.isfinite(iterate.alpha).all():
            return


def _initial_iterate(program: QuadraticProgram, start: Alpha) -> Iterate:
    gradient = program.points.margins(program.points.sum(start)) - program.gain
    offset = np.abs(gradient).mean() + 1e-3 * (program.gain + np.abs(gradient).max())
    equality_dual = np.zeros_like(program.equality_target)
    if program.cap is None:
        equality_dual[0] = offset - gradient.min()
        return Iterate(start, gradient + equality_dual[0], equality_dual, np.ones(len(start)), np.zeros(len(start)))
    cap_dual = np.maximum(0.0, -gradient.min(1)) + offset
    return Iterate(start, gradient + cap_dual[:, None], equality_dual, program.cap - start.sum(1), cap_dual)


def _mean_complementarity(program: QuadraticProgram, iterate: Iterate) -> float:
    """Return the mean of the complementarity products, which are zero at the optimum."""
    products = (iterate.alpha * iterate.reduced_costs).sum() + (iterate.cap_slack * iterate.cap_dual).sum()
    return float(products / (iterate.alpha.size + (0 if program.cap is None else len(iterate.cap_slack))))


def _max_step(iterate: Iterate, step: Iterate) -> float:
    """Return the longest step, at most 1, that keeps all positive variables positive."""
    longest = 1.0
    for name in ("alpha", "reduced_costs", "cap_slack", "cap_dual"):
        old, change = getattr(iterate, name), getattr(step, name)
        falling = change < 0
        if falling.any():
            longest = min(longest, float((-old[falling] / change[falling]).min()))
    return longest


NewtonSolver = Callable[[Alpha, PerSample], Iterate]


def _newton_solver(program: QuadraticProgram, iterate: Iterate) -> NewtonSolver:
    """Return the Newton step as a function of the target changes of the complementarity products."""
    points, equality_matrix = program.points, program.equality_matrix
    solve = _block_solver(points, iterate)
    columns = (
        np.stack([solve(column) for column in np.moveaxis(equality_matrix, -1, 0)], -1)
        if equality_matrix.size
        else equality_matrix
    )
    schur = np.einsum("srq,srp->qp", equality_matrix, columns)
    dual_residual = (
        points.margins(points.sum(iterate.alpha))
        - program.gain
        + equality_matrix @ iterate.equality_dual
        + iterate.cap_dual[:, None]
        - iterate.reduced_costs
    )
    equality_residual = np.einsum("srq,sr->q", equality_matrix, iterate.alpha) - program.equality_target
    cap_residual = (
        np.zeros(len(iterate.cap_slack)) if program.cap is None else iterate.alpha.sum(1) + iterate.cap_slack - program.cap
    )

    def step(alpha_products: Alpha, cap_products: PerSample) -> Iterate:
        rhs = (
            alpha_products / iterate.alpha
            - dual_residual
            - ((cap_products + iterate.cap_dual * cap_residual) / iterate.cap_slack)[:, None]
        )
        unconstrained = solve(rhs)
        equality_dual = (
            np.linalg.solve(schur, np.einsum("srq,sr->q", equality_matrix, unconstrained) + equality_residual)
            if equality_matrix.size
            else iterate.equality_dual * 0
        )
        alpha = unconstrained - columns @ equality_dual
        reduced_costs = (alpha_products - iterate.reduced_costs * alpha) / iterate.alpha
        if program.cap is None:
            return Iterate(
                alpha, reduced_costs, equality_dual, np.zeros_like(iterate.cap_slack), np.zeros_like(iterate.cap_dual)
            )
        cap_slack = -cap_residual - alpha.sum(1)
        return Iterate(
            alpha, reduced_costs, equality_dual, cap_slack, (cap_products - iterate.cap_dual * cap_slack) / iterate.cap_slack
        )

    return step


def _block_solver(points: MarginPoints, iterate: Iterate) -> Callable[[Alpha], Alpha]:
    """Return the solver of the Newton system without equalities: Z Z' plus the blocks of the bounds and the caps."""
    inverse = iterate.alpha / iterate.reduced_costs
    curvature = iterate.cap_dual / iterate.cap_slack
    shrink = 1 / (1 + curvature * inverse.sum(1))
    others_mask = 1 - np.eye(inverse.shape[1])
    shape = points.code.shape[1], points.x.shape[1]
    moment = points.second_moment(inverse, curvature)
    moment[np.diag_indices_from(moment)] += 1.0
    cholesky = cho_factor(moment, lower=True, overwrite_a=True, check_finite=True)
    own_factor = inverse * shrink[:, None] * (1 + curvature[:, None] * (inverse @ others_mask))
    other_factor = inverse * (shrink * curvature)[:, None]

    def apply_block_inverse(rhs: Alpha) -> Alpha:
        """Apply the inverse of the diagonal and the caps' part, without differences of large numbers."""
        result: np.ndarray = own_factor * rhs - other_factor * ((inverse * rhs) @ others_mask)
        return result

    def solve_once(rhs: Alpha) -> Alpha:
        weights = cho_solve(cholesky, points.sum(apply_block_inverse(rhs)).ravel(), check_finite=False)
        return apply_block_inverse(rhs - points.margins(weights.reshape(shape)))

    def solve(rhs: Alpha) -> Alpha:
        # Large terms nearly cancel where alpha is far from zero; iterative refinement recovers the lost digits.
        solution = solve_once(rhs)
        for _ in range(2):
            product = points.margins(points.sum(solution)) + solution / inverse + (curvature * solution.sum(1))[:, None]
            solution = solution + solve_once(rhs - product)
        return solution

    return solve
