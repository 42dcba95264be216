r"""Gradient flow, $\dot\theta = -\nabla L(\theta)$, followed over many decades of time.

What weights change, and what training forgets of them, shows on a logarithmic scale of time. Plain gradient descent would
take as many steps as there are units of time; here a step may be as long as its error allows. Runge–Kutta–Chebyshev methods
are explicit, of order two, and stable for steps that grow with the square of the number of gradients spent on them, which
suits problems whose Hessian is symmetric (Sommeijer, Shampine & Verwer 1998, *RKC: an explicit solver for parabolic PDEs*).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

_DAMPING = 2 / 13
_TOLERANCE = 5e-4
_STAGES = 250
_SAFETY = 1.2
_POWER_ITERATIONS = 4

Points = Float64[Tensor, "run *weight"]


class FlowField(NamedTuple):
    """What flows.

    Attributes:
        down: the negative gradient at some points.
        curved: the Hessian at some points, times some vectors.
    """

    down: Callable[[Points], Points]
    curved: Callable[[Points, Points], Points]


def integrate(field: FlowField, start: Points, times: Sequence[float], budget: int) -> Iterator[Points]:
    """The points at some times, rising from above 0; all runs take the same steps.

    Ends before the last time where more than ``budget`` gradients would have to be found.
    """
    state = _State(field, start)
    for time in times:
        while state.time < time:
            if state.gradients > budget:
                return
            state.step(time)
        yield state.points


class _State:
    """Where the runs are."""

    def __init__(self, field: FlowField, start: Points) -> None:
        self.field, self.points, self.time, self.gradients = field, start, 0.0, 1
        self.down = field.down(start)
        generator = torch.Generator().manual_seed(0)
        self._leading = torch.randn(start.shape, generator=generator, dtype=start.dtype)
        self._length: float | None = None

    def step(self, until: float) -> None:
        """One step, not beyond a time; none where its error is too large, and the next will be shorter."""
        radius = self._radius()
        longest = (_STAGES**2 - 1) / (1.54 * radius)
        length = min(self._length or 0.1 / radius, longest, until - self.time)
        stages = max(2, 1 + math.floor(math.sqrt(1 + 1.54 * length * radius)))
        found = self._chebyshev(length, stages)
        down = self.field.down(found)
        self.gradients += stages
        miss = 0.8 * (self.points - found) + 0.4 * length * (self.down + down)
        error = float((_norms(miss) / (_TOLERANCE * _norms(found)).clamp(min=1e-300)).max())
        factor = min(5.0, max(0.2, 0.8 * max(error, 1e-12) ** (-1 / 3))) if math.isfinite(error) else 0.2
        if error <= 1:
            last = length == until - self.time
            self.time = until if last else self.time + length
            self.points, self.down = found, down
            # A step cut short by the time wanted says nothing against longer ones.
            self._length = max(length * factor, self._length or 0.0) if last else length * factor
        else:
            self._length = length * factor

    def _radius(self) -> float:
        """The Hessians' largest eigenvalue, by power iteration from where the last one ended."""
        for _ in range(_POWER_ITERATIONS):
            norms = _norms(self._leading).clamp(min=1e-300)
            self._leading = self.field.curved(
                self.points, self._leading / norms.view(-1, *[1] * (self.points.ndim - 1))
            )
        self.gradients += _POWER_ITERATIONS
        return max(_SAFETY * float(_norms(self._leading).max()), 1e-30)

    def _chebyshev(self, length: float, stages: int) -> Points:
        first, others = _coefficients(stages)
        before, now = self.points, self.points + first * length * self.down
        for own, mu, nu, slope, start in others:
            down = self.field.down(now)
            made = own * self.points + mu * now + nu * before + length * (slope * down + start * self.down)
            before, now = now, made
        return now


def _norms(points: Points) -> Float64[Tensor, " run"]:
    found: Tensor = torch.linalg.vector_norm(points.flatten(1), dim=1)
    return found


@cache
def _coefficients(stages: int) -> tuple[float, list[tuple[float, float, float, float, float]]]:
    """Of the first stage, and of the others: start, last, last but one, last gradient, first gradient."""
    w0 = 1 + _DAMPING / stages**2
    t, t1, t2 = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for _ in range(2, stages + 1):
        t.append(2 * w0 * t[-1] - t[-2])
        t1.append(2 * t[-2] + 2 * w0 * t1[-1] - t1[-2])
        t2.append(4 * t1[-2] + 2 * w0 * t2[-1] - t2[-2])
    w1 = t1[stages] / t2[stages]
    b = [t2[j] / t1[j] ** 2 if j >= 2 else t2[2] / t1[2] ** 2 for j in range(stages + 1)]
    rows = []
    for j in range(2, stages + 1):
        mu, nu, slope = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], 2 * b[j] * w1 / b[j - 1]
        rows.append((1 - mu - nu, mu, nu, slope, -(1 - b[j - 1] * t[j - 1]) * slope))
    return b[1] * w1, rows
