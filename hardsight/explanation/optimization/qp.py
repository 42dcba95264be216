"""A primal-dual interior-point method for the convex quadratic programmes that are the duals of max-margin problems.

    minimise  ||sum_k a_k z_k||² / 2 - gain · sum_k a_k
    over      a >= 0,  A'a = b,  and, where there is a cap, sum of a sample's a_k <= cap

Newton's method on the conditions of optimality, relaxed and tightened step by step (Mehrotra 1992, *On the implementation of
a primal-dual interior point method*); the cost of a step is that of one matrix of second moments of the points and its
Cholesky factor. Every iterate is feasible, so each one bounds the optimum from both sides.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from hardsight.explanation.optimization.hull import MarginPoints

_STEPS = 100
_SHORT_OF_THE_WALL = 0.99

Amounts = Float64[np.ndarray, "sample rival"]
Each = Float64[np.ndarray, " sample"]


class QuadraticProgram(NamedTuple):
    """What is to be solved.

    Attributes:
        points: z.
        equal: A, ``(sample, rival, equality)``.
        to: b, ``(equality,)``.
        gain: what a unit of any amount is worth.
        cap: of the amounts of a sample; None: there is none.
    """

    points: MarginPoints
    equal: Float64[np.ndarray, "sample rival equality"]
    to: Float64[np.ndarray, " equality"]
    gain: float
    cap: float | None


class Iterate(NamedTuple):
    """A point on the way.

    Attributes:
        amounts: a > 0, ``(sample, rival)``.
        reduced: their reduced costs, > 0.
        prices: multipliers of the equalities, ``(equality,)``.
        room: what is left under each sample's cap, ``(sample,)``; ones where there is none.
        rent: multiplier of the cap, ``(sample,)``; zeros where there is none.
    """

    amounts: Amounts
    reduced: Amounts
    prices: Float64[np.ndarray, " equality"]
    room: Each
    rent: Each

    def moved(self, by: "Iterate", length: float) -> "Iterate":
        """A step on."""
        return Iterate(*(old + length * step for old, step in zip(self, by, strict=True)))


def interior_point_iterates(programme: QuadraticProgram, start: Amounts) -> Iterator[Iterate]:
    """Better and better points, until rounding stops them.

    Args:
        programme: what is to be solved.
        start: amounts that are positive, and below the cap, and meet the equalities; the first equality, where there is
            one and no cap, must be that of all amounts' sum.
    """
    now = _begin(programme, start)
    for _ in range(_STEPS):
        yield now
        try:
            newton = _newton(programme, now)
        except (LinAlgError, ValueError):
            return
        relaxed = _gap(programme, now)
        aimed = newton(-now.amounts * now.reduced, -now.room * now.rent)
        length = _length(now, aimed)
        left = _gap(programme, now.moved(aimed, length))
        centre = relaxed * (left / relaxed) ** 3
        step = newton(
            centre - now.amounts * now.reduced - aimed.amounts * aimed.reduced,
            np.where(now.rent > 0, centre, 0.0) - now.room * now.rent - aimed.room * aimed.rent,
        )
        length = min(1.0, _SHORT_OF_THE_WALL * _length(now, step))
        now = now.moved(step, length)
        if length < 1e-10 or not np.isfinite(now.amounts).all():
            return


def _begin(programme: QuadraticProgram, start: Amounts) -> Iterate:
    slope = programme.points.along(programme.points.sum(start)) - programme.gain
    spare = np.abs(slope).mean() + 1e-3 * (programme.gain + np.abs(slope).max())
    prices = np.zeros_like(programme.to)
    if programme.cap is None:
        prices[0] = spare - slope.min()
        return Iterate(start, slope + prices[0], prices, np.ones(len(start)), np.zeros(len(start)))
    rent = np.maximum(0.0, -slope.min(1)) + spare
    return Iterate(start, slope + rent[:, None], prices, programme.cap - start.sum(1), rent)


def _gap(programme: QuadraticProgram, at: Iterate) -> float:
    """Mean of the products that are zero at the optimum."""
    products = (at.amounts * at.reduced).sum() + (at.room * at.rent).sum()
    return float(products / (at.amounts.size + (0 if programme.cap is None else len(at.room))))


def _length(now: Iterate, step: Iterate) -> float:
    """How far a step can be gone before something that must be positive is zero; at most 1."""
    longest = 1.0
    for name in ("amounts", "reduced", "room", "rent"):
        old, change = getattr(now, name), getattr(step, name)
        falling = change < 0
        if falling.any():
            longest = min(longest, float((-old[falling] / change[falling]).min()))
    return longest


Newton = Callable[[Amounts, Each], Iterate]


def _newton(programme: QuadraticProgram, now: Iterate) -> Newton:
    """The Newton step as a function of what the products of each pair are to change by."""
    points, equal = programme.points, programme.equal
    inverse = now.amounts / now.reduced
    bend = now.rent / now.room
    shrink = 1 / (1 + bend * inverse.sum(1))
    besides = 1 - np.eye(inverse.shape[1])
    outputs, features = points.code.shape[1], points.x.shape[1]
    moment = points.second_moment(inverse, bend)
    moment[np.diag_indices_from(moment)] += 1.0
    factor = cho_factor(moment, lower=True, overwrite_a=True, check_finite=True)
    own = inverse * shrink[:, None] * (1 + bend[:, None] * (inverse @ besides))
    other = inverse * (shrink * bend)[:, None]

    def scaled(right: Amounts) -> Amounts:
        """The inverse of the diagonal and of the caps' part, without differences of large numbers."""
        out: np.ndarray = own * right - other * ((inverse * right) @ besides)
        return out

    def roughly(right: Amounts) -> Amounts:
        turn = cho_solve(factor, points.sum(scaled(right)).ravel(), check_finite=False).reshape(outputs, features)
        return scaled(right - points.along(turn))

    def solved(right: Amounts) -> Amounts:
        # Where amounts are far from zero, large terms all but cancel: what that costs in digits is won back here.
        found = roughly(right)
        for _ in range(2):
            made = points.along(points.sum(found)) + found / inverse + (bend * found.sum(1))[:, None]
            found = found + roughly(right - made)
        return found

    columns = np.stack([solved(column) for column in np.moveaxis(equal, -1, 0)], -1) if equal.size else equal
    small = np.einsum("srq,srp->qp", equal, columns)
    cost = points.along(points.sum(now.amounts)) - programme.gain + equal @ now.prices + now.rent[:, None] - now.reduced
    unmet = np.einsum("srq,sr->q", equal, now.amounts) - programme.to
    over = np.zeros(len(now.room)) if programme.cap is None else now.amounts.sum(1) + now.room - programme.cap

    def step(products: Amounts, rents: Each) -> Iterate:
        right = products / now.amounts - cost - ((rents + now.rent * over) / now.room)[:, None]
        free = solved(right)
        prices = np.linalg.solve(small, np.einsum("srq,sr->q", equal, free) + unmet) if equal.size else now.prices * 0
        amounts = free - columns @ prices
        reduced = (products - now.reduced * amounts) / now.amounts
        if programme.cap is None:
            return Iterate(amounts, reduced, prices, np.zeros_like(now.room), np.zeros_like(now.rent))
        room = -over - amounts.sum(1)
        return Iterate(amounts, reduced, prices, room, (rents - now.rent * room) / now.room)

    return step
