r"""Integrate gradient flow, $\dot\theta = -\nabla L(\theta)$, over many decades of time.

What weights change, and what training forgets of it, shows on a logarithmic scale of time. Plain gradient descent would take
as many steps as there are units of time; here a step may be as long as its error allows. Runge–Kutta–Chebyshev methods are
explicit, of order two, and stable for steps that grow with the square of the number of gradients spent on them, which suits
problems with a symmetric Hessian (Sommeijer, Shampine & Verwer 1998, *RKC: an explicit solver for parabolic PDEs*).
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

Parameters = Float64[Tensor, "run *weight"]


class FlowField(NamedTuple):
    """The functions that define the flow."""

    negative_gradient: Callable[[Parameters], Parameters]
    hessian_product: Callable[[Parameters, Parameters], Parameters]


def integrate(field: FlowField, start: Parameters, times: Sequence[float], budget: int) -> Iterator[Parameters]:
    """Yield the parameters at increasing times above 0; all runs take the same steps.

    Ends before the last time if more than ``budget`` gradients would be needed.
    """
    integrator = _Integrator(field, start)
    for time in times:
        while integrator.time < time:
            if integrator.gradients > budget:
                return
            integrator.step(time)
        yield integrator.parameters


class _Integrator:
    """The current parameters, time, and step size of all runs."""

    def __init__(self, field: FlowField, start: Parameters) -> None:
        self.field, self.parameters, self.time, self.gradients = field, start, 0.0, 1
        self.negative_gradient = field.negative_gradient(start)
        generator = torch.Generator().manual_seed(0)
        self._leading = torch.randn(start.shape, generator=generator, dtype=start.dtype)
        self._length: float | None = None

    def step(self, until: float) -> None:
        """Take one step, not beyond ``until``; if its error is too large, take none and shorten the next one."""
        radius = self._radius()
        longest = (_STAGES**2 - 1) / (1.54 * radius)
        length = min(self._length or 0.1 / radius, longest, until - self.time)
        stages = max(2, 1 + math.floor(math.sqrt(1 + 1.54 * length * radius)))
        candidate = self._chebyshev(length, stages)
        negative_gradient = self.field.negative_gradient(candidate)
        self.gradients += stages
        local_error = 0.8 * (self.parameters - candidate) + 0.4 * length * (self.negative_gradient + negative_gradient)
        error = float((_norms(local_error) / (_TOLERANCE * _norms(candidate)).clamp(min=1e-300)).max())
        factor = min(5.0, max(0.2, 0.8 * max(error, 1e-12) ** (-1 / 3))) if math.isfinite(error) else 0.2
        if error <= 1:
            reaches_end = length == until - self.time
            self.time = until if reaches_end else self.time + length
            self.parameters, self.negative_gradient = candidate, negative_gradient
            # A step shortened to reach ``until`` is no evidence against longer ones.
            self._length = max(length * factor, self._length or 0.0) if reaches_end else length * factor
        else:
            self._length = length * factor

    def _radius(self) -> float:
        """Return the largest eigenvalue of the Hessians, by power iteration from the end of the last one."""
        for _ in range(_POWER_ITERATIONS):
            norms = _norms(self._leading).clamp(min=1e-300)
            self._leading = self.field.hessian_product(
                self.parameters, self._leading / norms.view(-1, *[1] * (self.parameters.ndim - 1))
            )
        self.gradients += _POWER_ITERATIONS
        return max(_SAFETY * float(_norms(self._leading).max()), 1e-30)

    def _chebyshev(self, length: float, stages: int) -> Parameters:
        first, others = _coefficients(stages)
        previous, current = self.parameters, self.parameters + first * length * self.negative_gradient
        for start_weight, mu, nu, slope, start_slope in others:
            negative_gradient = self.field.negative_gradient(current)
            following = (
                start_weight * self.parameters
                + mu * current
                + nu * previous
                + length * (slope * negative_gradient + start_slope * self.negative_gradient)
            )
            previous, current = current, following
        return current


def _norms(parameters: Parameters) -> Float64[Tensor, " run"]:
    norms: Tensor = torch.linalg.vector_norm(parameters.flatten(1), dim=1)
    return norms


@cache
def _coefficients(stages: int) -> tuple[float, list[tuple[float, float, float, float, float]]]:
    """Return the coefficient of the first stage, and those of the others.

    Each row: weights of the start, of the last stage and of the last but one, then of the last and of the first gradient.
    """
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
