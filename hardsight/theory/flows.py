"""Training of linear models as gradient flow: on the log of the loss, on the loss itself, and to the minimum.

Samples are given as rows ``z = y x``, so that ``z @ theta`` are margins; everything starts at zero. Flows are gradient
descent with an infinitesimal step. Time is on a logarithmic scale where a loss flattens out, so that t = 1e12 is as
cheap as t = 1e2.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import minimize
from scipy.special import expit, rel_entr, softmax

Array = np.ndarray


class Loss(NamedTuple):
    """A loss of the margin: value, slope and curvature, each a function of an array."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    curvature: Callable[[Array], Array]


EXPONENTIAL = Loss(lambda m: np.exp(-m), lambda m: -np.exp(-m), lambda m: np.exp(-m))
LOGISTIC = Loss(lambda m: np.logaddexp(0, -m), lambda m: -expit(-m), lambda m: expit(-m) * expit(m))


def polynomial_loss(power: float) -> Loss:
    """Return 1/(1 + m)^power on the correct side of the boundary, continued linearly on the wrong side.

    Such tails are used by Wang et al. 2022, *Is importance weighting incompatible with interpolating classifiers?*
    """

    def value(m: Array) -> Array:
        positive = np.maximum(m, 0)
        result: Array = (1 + positive) ** -power + power * np.maximum(-m, 0)
        return result

    def slope(m: Array) -> Array:
        result: Array = -power * (1 + np.maximum(m, 0)) ** (-power - 1)
        return result

    def curvature(m: Array) -> Array:
        return np.where(m > 0, power * (power + 1) * (1 + np.maximum(m, 0)) ** (-power - 2), 0.0)

    return Loss(value, slope, curvature)


def kl_divergence(p: Array, w: Array) -> float:
    """Return KL(p || w) of two sets of weights, each normalised to sum one; in nats."""
    return float(rel_entr(p / p.sum(), w / w.sum()).sum())


def normalised_flow(z: Array, w: Array, times: Array) -> Array:
    """Return the gradient flow of log sum w e^(-margin) at the given times, ``(time, feature)``.

    It is the flow of the exponential loss, in a time that runs faster by the loss: ds = L dt.
    """
    positive = w > 0
    rows, log_w = z[positive], np.log(w[positive])

    def step(_: float, theta: Array) -> Array:
        solution: Array = softmax(log_w - rows @ theta) @ rows
        return solution

    def jacobian(_: float, theta: Array) -> Array:
        q = softmax(log_w - rows @ theta)
        mean = q @ rows
        solution: Array = np.outer(mean, mean) - (q[:, None] * rows).T @ rows
        return solution

    end = float(times[-1])
    start = np.zeros(z.shape[1])
    solution = solve_ivp(step, (0, end), start, "LSODA", times, rtol=1e-10, atol=1e-12, jac=jacobian)
    path: Array = solution.y.T
    return path


def gradient_flow(z: Array, w: Array, times: Array, loss: Loss = LOGISTIC, decay: float = 0.0) -> Array:
    """Return the gradient flow of mean w loss(margin) + decay/2 ||theta||² at the given times, ``(time, feature)``.

    The weights are scaled to mean one.
    """
    n, weights = len(z), w / w.mean()
    first_time = 1e-3

    def step(log_time: float, theta: Array) -> Array:
        solution: Array = -np.exp(log_time) * ((weights * loss.slope(z @ theta)) @ z / n + decay * theta)
        return solution

    def jacobian(log_time: float, theta: Array) -> Array:
        h = (weights * loss.curvature(z @ theta))[:, None] * z
        solution: Array = -np.exp(log_time) * (z.T @ h / n + decay * np.eye(z.shape[1]))
        return solution

    start = -first_time * (weights * loss.slope(np.zeros(n))) @ z / n
    span = (np.log(first_time), float(np.log(times[-1])))
    solution = solve_ivp(step, span, start, "LSODA", np.log(times), rtol=1e-8, atol=1e-10, jac=jacobian)
    path: Array = solution.y.T
    return path


def minimise_loss(z: Array, w: Array, decay: float, loss: Loss = LOGISTIC) -> Array:
    """Minimise sum w loss(margin) + decay/2 ||theta||² by damped Newton steps, ``(feature,)``."""
    theta = np.zeros(z.shape[1])

    def value(point: Array) -> float:
        return float(w @ loss.value(z @ point) + decay / 2 * point @ point)

    for _ in range(500):
        m = z @ theta
        slope = (w * loss.slope(m)) @ z + decay * theta
        h = (w * loss.curvature(m))[:, None] * z
        step = np.linalg.solve(z.T @ h + (decay + 1e-12) * np.eye(len(theta)), slope)
        current, size = value(theta), 1.0
        while value(theta - size * step) > current - 1e-4 * size * (slope @ step) and size > 1e-9:
            size /= 2
        theta = theta - size * step
        # A vanishing step length means that rounding limits the progress.
        if size <= 1e-8 or np.abs(step).max() <= 1e-11 * (1 + np.abs(theta).max()):
            break
    return theta


def polynomial_tail_limit(z: Array, w: Array, power: float) -> Array:
    """Return the unit direction that training with a loss tail m^-power tends to: it minimises sum w margin^-power.

    ``z`` must be separable; the search starts from a separating direction found with the logistic loss.
    """
    start = gradient_flow(z, np.ones(len(z)), np.array([1e6]))[-1]

    def objective(theta: Array) -> tuple[float, Array]:
        m = z @ theta
        if (m <= 0).any():
            return np.inf, np.zeros_like(theta)
        tail = w * m**-power
        total = tail.sum()
        # The scale-free logarithm has the same minimiser.
        norm2 = theta @ theta
        slope = -power * (tail / m) @ z / total + power * theta / norm2
        return float(np.log(total) + power / 2 * np.log(norm2)), slope

    solution = minimize(objective, start / np.linalg.norm(start), jac=True, method="BFGS", options={"gtol": 1e-10})
    direction: Array = solution.x / np.linalg.norm(solution.x)
    return direction


def normalised_margins(z: Array, thetas: Array) -> Array:
    """Return the smallest margin of each row of ``thetas`` divided by its norm, ``(time,)``."""
    margins: Array = (thetas @ z.T).min(1) / np.linalg.norm(thetas, axis=1)
    return margins


def angles_to(thetas: Array, direction: Array) -> Array:
    """Return the angle of each row of ``thetas`` to a direction, in degrees; precise for small angles.

    Args:
        thetas: ``(time, feature)``.
        direction: ``(feature,)``, or one per row, ``(time, feature)``.
    """
    unit = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    along = (thetas * unit).sum(1)
    across = np.linalg.norm(thetas - along[:, None] * unit, axis=1)
    degrees: Array = np.degrees(np.arctan2(across, along))
    return degrees


def time_to_reach(times: Array, values: Array, goal: float) -> float:
    """Return the first time from which on values reach the goal, interpolated in log time; inf if there is none."""
    below = np.flatnonzero(values < goal)
    last = int(below[-1]) if len(below) else -1
    if last == len(values) - 1:
        return float("inf")
    if last < 0:
        return float(times[0])
    share = (goal - values[last]) / (values[last + 1] - values[last])
    return float(np.exp((1 - share) * np.log(times[last]) + share * np.log(times[last + 1])))
