"""Many smooth convex functions made least at once, each to its own convergence, by preconditioned L-BFGS."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

# Values ``(function,)`` and gradients ``(function, unknown)`` of the functions numbered in the second argument, each at
# its row of the first.
Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
# A cheap stand-in for the inverse Hessian of each function numbered in the second argument, times its row of the first.
Precondition = Callable[[Tensor, Tensor], Tensor]

_PAIRS = 10
_DECREASE = 1e-4
# Differences of values below this share of a value are taken for rounding.
_ROUNDING = 1e-10


class Minima(NamedTuple):
    """What was found.

    Attributes:
        points: ``(function, unknown)``.
        slope: the largest absolute entry of each function's gradient there, ``(function,)``.
        evaluations: of the objective, each for all functions that were not done by then.
    """

    points: Float64[Tensor, "function unknown"]
    slope: Float64[Tensor, " function"]
    evaluations: int


@torch.no_grad()
def minimise(
    objective: Objective,
    start: Float64[Tensor, "function unknown"],
    precondition: Precondition,
    tolerance: Float64[Tensor, " function"],
    most: int,
) -> Minima:
    """The least point of every function, to where no entry of its gradient exceeds its tolerance.

    An evaluation is one call for all functions that are not done; one whose step went too far tries a shorter step while
    the others go on. Functions share nothing else, so that their company changes rounding only. A step is taken once the
    value falls, or, where rounding hides that, once the gradient along it has become flat enough.

    Args:
        objective: values and gradients.
        start: where to begin.
        precondition: near the inverse Hessian at the minimum, up to a factor; symmetric, and positive definite on gradients.
        tolerance: on the largest absolute entry of a gradient.
        most: evaluations, after which the points are returned as they are.

    Nocedal 1980, *Updating quasi-Newton matrices with limited storage*; the test of flatness: Hager & Zhang 2005, *A new
    conjugate gradient method with guaranteed descent and an efficient line search*.
    """
    live = torch.arange(len(start))
    points, slopes = start.clone(), torch.full_like(tolerance, torch.inf)
    here, pairs = start, _Pairs(precondition)
    value, slope = objective(here, live)
    ahead, length = pairs.direction(slope, live), torch.ones_like(value)[:, None]
    evaluations = 1
    while True:
        height = slope.abs().amax(1)
        points[live], slopes[live] = here, height
        left = (height > tolerance[live]).nonzero().squeeze(1)
        if not len(left) or evaluations >= most:
            return Minima(points, slopes, evaluations)
        if len(left) < len(live):
            live, here, value, slope, ahead, length = (t[left] for t in (live, here, value, slope, ahead, length))
            pairs.keep(left)
        there = here + length * ahead
        new_value, new_slope = objective(there, live)
        evaluations += 1
        before, after = _dot(slope, ahead), _dot(new_slope, ahead)
        falls = new_value <= value + _DECREASE * length[:, 0] * before
        flattens = (after <= -0.5 * before) & (new_value <= value + _ROUNDING * value.abs())
        taken = (falls | flattens)[:, None]
        pairs.add(torch.where(taken, there - here, 0.0), torch.where(taken, new_slope - slope, 0.0), live)
        here, slope = torch.where(taken, there, here), torch.where(taken, new_slope, slope)
        value = torch.where(taken[:, 0], new_value, value)
        # To where the gradient along the step would be zero if it were linear.
        shorter = (before / (before - after)).nan_to_num(0.1).clamp(0.1, 0.5)[:, None]
        length = torch.where(taken, 1.0, length * shorter)
        ahead = torch.where(taken, pairs.direction(slope, live), ahead)


def _dot(a: Tensor, b: Tensor) -> Float64[Tensor, " function"]:
    return (a * b).sum(1)


class _Pairs:
    """The latest steps, and how the gradient changed along them; a step not taken is a pair of zeros."""

    def __init__(self, precondition: Precondition) -> None:
        self.precondition = precondition
        self.held: list[tuple[Tensor, Tensor, Tensor]] = []
        self.scale: Tensor | None = None

    def add(self, step: Tensor, change: Tensor, live: Int64[Tensor, " function"]) -> None:
        bend = _dot(step, change)
        taken = bend > 0
        scale = bend / _dot(change, self.precondition(change, live))
        self.scale = torch.where(taken, scale, 1.0 if self.scale is None else self.scale)
        self.held = [*self.held, (step, change, torch.where(taken, 1 / bend, 0.0))][-_PAIRS:]

    def keep(self, at: Int64[Tensor, " function"]) -> None:
        self.held = [(step[at], change[at], weight[at]) for step, change, weight in self.held]
        self.scale = None if self.scale is None else self.scale[at]

    def direction(self, slope: Tensor, live: Int64[Tensor, " function"]) -> Float64[Tensor, "function unknown"]:
        """Downhill: minus the slope times the inverse Hessian that the pairs tell of."""
        ahead, shares = -slope, list[Tensor]()
        for step, change, weight in reversed(self.held):
            shares.append((weight * _dot(step, ahead))[:, None])
            ahead = ahead - shares[-1] * change
        ahead = self.precondition(ahead, live)
        if self.scale is not None:
            ahead = ahead * self.scale[:, None]
        for step, change, weight in self.held:
            ahead = ahead + step * (shares.pop() - (weight * _dot(change, ahead))[:, None])
        return ahead
