"""Minimise many smooth convex functions at once, each to its own convergence, by preconditioned L-BFGS."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

# Values ``(function,)`` and gradients ``(function, unknown)`` of the functions numbered in the second argument, each at
# its row of the first.
Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
# An approximate inverse Hessian of each function numbered in the second argument, times its row of the first.
Precondition = Callable[[Tensor, Tensor], Tensor]

_HISTORY = 10
# Sufficient decrease (Armijo).
_DECREASE = 1e-4
# Differences of values below this share of a value count as rounding.
_ROUNDING = 1e-10


class Minimum(NamedTuple):
    """The result of :func:`minimize`."""

    points: Float64[Tensor, "function unknown"]
    max_gradient: Float64[Tensor, " function"]  # largest absolute entry of each function's gradient there, (function,)
    evaluations: int  # of the objective, each for all functions that had not converged by then


@torch.no_grad()
def minimize(
    objective: Objective,
    start: Float64[Tensor, "function unknown"],
    precondition: Precondition,
    tolerance: Float64[Tensor, " function"],
    max_evaluations: int,
) -> Minimum:
    """Minimise every function until no entry of its gradient exceeds its tolerance.

    One evaluation is one call for all functions that have not converged. A function whose step was too long tries a shorter
    step while the others go on. Functions share nothing else, so that which of them are minimised together changes rounding
    only. A step is taken once the value decreases or, if rounding hides that, once the gradient along it is flat enough.

    Args:
        objective: values and gradients.
        precondition: near the inverse Hessian at the minimum, up to a factor; symmetric, and positive definite on gradients.
        max_evaluations: after these the points are returned as they are.

    Nocedal 1980, *Updating quasi-Newton matrices with limited storage*; the test of flatness: Hager & Zhang 2005, *A new
    conjugate gradient method with guaranteed descent and an efficient line search*.
    """
    active = torch.arange(len(start))
    points, max_gradients = start.clone(), torch.full_like(tolerance, torch.inf)
    current, history = start, _History(precondition)
    value, gradient = objective(current, active)
    direction, length = history.direction(gradient, active), torch.ones_like(value)[:, None]
    evaluations = 1
    while True:
        max_gradient = gradient.abs().amax(1)
        points[active], max_gradients[active] = current, max_gradient
        left = (max_gradient > tolerance[active]).nonzero().squeeze(1)
        if not len(left) or evaluations >= max_evaluations:
            return Minimum(points, max_gradients, evaluations)
        if len(left) < len(active):
            active, current, value, gradient, direction, length = (
                t[left] for t in (active, current, value, gradient, direction, length)
            )
            history.select(left)
        candidate = current + length * direction
        new_value, new_gradient = objective(candidate, active)
        evaluations += 1
        before, after = _dot(gradient, direction), _dot(new_gradient, direction)
        decreases = new_value <= value + _DECREASE * length[:, 0] * before
        flattens = (after <= -0.5 * before) & (new_value <= value + _ROUNDING * value.abs())
        accepted = (decreases | flattens)[:, None]
        history.add(
            torch.where(accepted, candidate - current, 0.0), torch.where(accepted, new_gradient - gradient, 0.0), active
        )
        current, gradient = torch.where(accepted, candidate, current), torch.where(accepted, new_gradient, gradient)
        value = torch.where(accepted[:, 0], new_value, value)
        # To where the gradient along the step would be zero if it were linear.
        shorter = (before / (before - after)).nan_to_num(0.1).clamp(0.1, 0.5)[:, None]
        length = torch.where(accepted, 1.0, length * shorter)
        direction = torch.where(accepted, history.direction(gradient, active), direction)


def _dot(a: Tensor, b: Tensor) -> Float64[Tensor, " function"]:
    return (a * b).sum(1)


class _History:
    """The latest steps and the changes of the gradient along them; a rejected step is a pair of zeros."""

    def __init__(self, precondition: Precondition) -> None:
        self.precondition = precondition
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []
        self.scale: Tensor | None = None

    def add(self, step: Tensor, change: Tensor, active: Int64[Tensor, " function"]) -> None:
        curvature = _dot(step, change)
        accepted = curvature > 0
        scale = curvature / _dot(change, self.precondition(change, active))
        self.scale = torch.where(accepted, scale, 1.0 if self.scale is None else self.scale)
        self.pairs = [*self.pairs, (step, change, torch.where(accepted, 1 / curvature, 0.0))][-_HISTORY:]

    def select(self, rows: Int64[Tensor, " function"]) -> None:
        self.pairs = [(step[rows], change[rows], weight[rows]) for step, change, weight in self.pairs]
        self.scale = None if self.scale is None else self.scale[rows]

    def direction(self, gradient: Tensor, active: Int64[Tensor, " function"]) -> Float64[Tensor, "function unknown"]:
        """Return the descent direction: minus the approximate inverse Hessian times the gradient (two-loop recursion)."""
        direction, coefficients = -gradient, list[Tensor]()
        for step, change, weight in reversed(self.pairs):
            coefficients.append((weight * _dot(step, direction))[:, None])
            direction = direction - coefficients[-1] * change
        direction = self.precondition(direction, active)
        if self.scale is not None:
            direction = direction * self.scale[:, None]
        for step, change, weight in self.pairs:
            direction = direction + step * (coefficients.pop() - (weight * _dot(change, direction))[:, None])
        return direction
