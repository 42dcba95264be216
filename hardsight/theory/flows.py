"""Training of linear models as flows: on the log of the loss, on the loss itself, and to the minimum.

Samples are given as rows ``z = y x``, so that ``z @ theta`` are margins; everything starts at zero. Flows are gradient
descent with an endlessly small step. Time is taken on a logarithmic scale where a loss flattens out, so that t = 1e12 is as
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
    """A loss of the margin: value, slope and curvature, each of an array."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    curve: Callable[[Array], Array]


EXPONENTIAL = Loss(lambda m: np.exp(-m), lambda m: -np.exp(-m), lambda m: np.exp(-m))
LOGISTIC = Loss(lambda m: np.logaddexp(0, -m), lambda m: -expit(-m), lambda m: expit(-m) * expit(m))


def polynomial(power: float) -> Loss:
    """1/(1 + m)^power on the right side of the boundary, continued in a straight line on the wrong one.

    Wang et al. 2022, *Is importance weighting incompatible with interpolating classifiers?* use such tails.
    """

    def value(m: Array) -> Array:
        right = np.maximum(m, 0)
        found: Array = (1 + right) ** -power + power * np.maximum(-m, 0)
        return found

    def slope(m: Array) -> Array:
        found: Array = -power * (1 + np.maximum(m, 0)) ** (-power - 1)
        return found

    def curve(m: Array) -> Array:
        return np.where(m > 0, power * (power + 1) * (1 + np.maximum(m, 0)) ** (-power - 2), 0.0)

    return Loss(value, slope, curve)


def divergence(p: Array, w: Array) -> float:
    """KL(p || w) of two sets of weights, each made to sum one; nats."""
    return float(rel_entr(p / p.sum(), w / w.sum()).sum())


def normalised(z: Array, w: Array, times: Array) -> Array:
    """The gradient flow of log sum w e^(-margin) at some times, ``(time, feature)``.

    It is the flow of the exponential loss itself, in a time that runs ahead of its own by the loss: ds = L dt.
    """
    held = w > 0
    own, log_w = z[held], np.log(w[held])

    def step(_: float, theta: Array) -> Array:
        found: Array = softmax(log_w - own @ theta) @ own
        return found

    def bend(_: float, theta: Array) -> Array:
        q = softmax(log_w - own @ theta)
        mean = q @ own
        found: Array = np.outer(mean, mean) - (q[:, None] * own).T @ own
        return found

    end = float(times[-1])
    start = np.zeros(z.shape[1])
    found = solve_ivp(step, (0, end), start, "LSODA", times, rtol=1e-10, atol=1e-12, jac=bend)
    turned: Array = found.y.T
    return turned


def descent(z: Array, w: Array, times: Array, loss: Loss = LOGISTIC, decay: float = 0.0) -> Array:
    """The gradient flow of mean w loss(margin) + decay/2 ||theta||² at some times, ``(time, feature)``; w gets mean one."""
    n, weights = len(z), w / w.mean()
    first = 1e-3

    def step(clock: float, theta: Array) -> Array:
        found: Array = -np.exp(clock) * ((weights * loss.slope(z @ theta)) @ z / n + decay * theta)
        return found

    def bend(clock: float, theta: Array) -> Array:
        h = (weights * loss.curve(z @ theta))[:, None] * z
        found: Array = -np.exp(clock) * (z.T @ h / n + decay * np.eye(z.shape[1]))
        return found

    start = -first * (weights * loss.slope(np.zeros(n))) @ z / n
    span = (np.log(first), float(np.log(times[-1])))
    found = solve_ivp(step, span, start, "LSODA", np.log(times), rtol=1e-8, atol=1e-10, jac=bend)
    turned: Array = found.y.T
    return turned


def minimiser(z: Array, w: Array, decay: float, loss: Loss = LOGISTIC) -> Array:
    """What makes sum w loss(margin) + decay/2 ||theta||² least, ``(feature,)``; by damped Newton steps."""
    theta = np.zeros(z.shape[1])

    def value(at: Array) -> float:
        return float(w @ loss.value(z @ at) + decay / 2 * at @ at)

    for _ in range(500):
        m = z @ theta
        slope = (w * loss.slope(m)) @ z + decay * theta
        h = (w * loss.curve(m))[:, None] * z
        step = np.linalg.solve(z.T @ h + (decay + 1e-12) * np.eye(len(theta)), slope)
        before, size = value(theta), 1.0
        while value(theta - size * step) > before - 1e-4 * size * (slope @ step) and size > 1e-9:
            size /= 2
        theta = theta - size * step
        # A step that is cut away to nothing is one that rounding has lost.
        if size <= 1e-8 or np.abs(step).max() <= 1e-11 * (1 + np.abs(theta).max()):
            break
    return theta


def limit_of_tails(z: Array, w: Array, power: float) -> Array:
    """Unit direction that training by a loss with tail m^-power tends to: it makes sum w margin^-power least.

    ``z`` must be separable; the search starts at a separating direction found by the logistic loss.
    """
    start = descent(z, np.ones(len(z)), np.array([1e6]))[-1]

    def objective(theta: Array) -> tuple[float, Array]:
        m = z @ theta
        if (m <= 0).any():
            return np.inf, np.zeros_like(theta)
        tail = w * m**-power
        total = tail.sum()
        # The log, with the norm taken out, is the same problem at any scale.
        norm2 = theta @ theta
        slope = -power * (tail / m) @ z / total + power * theta / norm2
        return float(np.log(total) + power / 2 * np.log(norm2)), slope

    found = minimize(objective, start / np.linalg.norm(start), jac=True, method="BFGS", options={"gtol": 1e-10})
    direction: Array = found.x / np.linalg.norm(found.x)
    return direction


def margins(z: Array, thetas: Array) -> Array:
    """Smallest margin of each row of ``thetas``, over its norm: ``(time,)``."""
    found: Array = (thetas @ z.T).min(1) / np.linalg.norm(thetas, axis=1)
    return found


def angles(thetas: Array, direction: Array) -> Array:
    """Degrees between each row of ``thetas`` and a direction, or a direction each, precise also where they are small.

    Args:
        thetas: ``(time, feature)``.
        direction: ``(feature,)`` or ``(time, feature)``.
    """
    unit = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    along = (thetas * unit).sum(1)
    across = np.linalg.norm(thetas - along[:, None] * unit, axis=1)
    found: Array = np.degrees(np.arctan2(across, along))
    return found


def reached(times: Array, values: Array, goal: float) -> float:
    """The first of the times from which on values are at the goal or above, on a logarithmic scale; inf where never."""
    below = np.flatnonzero(values < goal)
    last = int(below[-1]) if len(below) else -1
    if last == len(values) - 1:
        return float("inf")
    if last < 0:
        return float(times[0])
    share = (goal - values[last]) / (values[last + 1] - values[last])
    return float(np.exp((1 - share) * np.log(times[last]) + share * np.log(times[last + 1])))
