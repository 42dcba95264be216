"""Multinomial logistic regression for all members of a plan at once, each trained to convergence."""

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float64, Int64
from scipy.linalg.blas import ssyrk
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import HardsightWarning, InputError
from hardsight.learners.base import OnProgress, Predictions, as_tensor
from hardsight.learners.linear.lbfgs import Minima, Precondition, minimise
from hardsight.learners.linear.softmax import Parts, blocks, losses
from hardsight.learners.sklearn import laplace
from hardsight.resampling.plan import Member, Plan

EVALUATIONS = 1_000
# Largest entry of the gradient of the mean loss: at the end, and where the fit to all samples is good enough as a start.
_FLAT, _START = 1e-8, 1e-3
# The same of the summed loss in units of the penalty: slopes are then off by the norm of that at most.
_EXACT = 1e-3
_LARGEST_CHUNK = 64
# Numbers that the pairs of a chunk's L-BFGS, or the blocks of its preconditioner, may hold.
_NUMBERS = 2**26
# No real score comes near; its exponential is zero.
_NEVER = -1e6


class Logistic:
    r"""Multinomial logistic regression with an L2 penalty, all members of a chunk trained at once, to convergence.

    Each member makes $\sum_i -\log p_i(y_i) + \tfrac{\lambda}{2} \lVert W \rVert^2$ least over its training part, on
    features scaled by mean and standard deviation of that part (missing values take its mean; what is constant there counts
    for nothing); intercepts go free. That is scikit-learn's ``make_pipeline(SimpleImputer(), StandardScaler(),
    LogisticRegression(C=1 / penalty))``, two classes included, where the penalty is that of the one difference of slopes.

    The gradient of all members is two matrix products over shared rows, a member's own scaling being a scaling of its
    weights. L-BFGS starts at the fit to all samples, with that fit's Hessian, a block a class, as preconditioner. The
    optimum is unique, so that the start leaks nothing beyond the tolerance: every member goes on until no entry of the
    gradient of its mean loss exceeds 1e-8, nor a thousandth of the penalty over the size of its training part.

    Args:
        penalty: $\lambda$, weight of the squared slopes against the sum of the losses.

    Raises:
        InputError: a penalty that is not above 0.
    """

    name = "logistic"

    def __init__(self, penalty: float = 1.0) -> None:
        if not 0 < penalty < float("inf"):
            raise InputError(f"penalty must be above 0. Got {penalty}")
        self.penalty = penalty

    def describe(self) -> str:
        """The recipe in a line."""
        return (
            f"multinomial logistic regression, penalty {self.penalty:g}, features scaled by each training part, L-BFGS to "
            f"gradients below {_FLAT:g}; zero probabilities smoothed by Laplace's rule"
        )

    def n_models(self, plan: Plan) -> int:
        """One a member."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, tick: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`.

        A member that has not converged after a thousand evaluations warns with a :class:`HardsightWarning`.

        Raises:
            InputError: numbers to predict.
        """
        if samples.classes is None:
            raise InputError(
                f"{self.name} is a classifier, and the labels are numbers to predict: use ridge or network"
            )
        whole = _whole(samples, self.penalty)
        members = plan.members()
        chunk = max(1, min(_LARGEST_CHUNK, _NUMBERS // (24 * whole.weights.numel())))
        while together := list(islice(members, chunk)):
            fits = Fits(whole.design, _parts(together), self.penalty)
            found = fits.solve(whole.weights.expand(len(together), -1, -1), whole.precondition)
            self._say(found, fits.tolerance)
            for index, member in enumerate(together):
                yield Predictions(torch.from_numpy(member.held_out), fits.held_out(found.points, index), member.round)
                tick(1)

    def _say(self, found: Minima, tolerance: Tensor) -> None:
        short = found.slope > tolerance
        if short.any():
            warnings.warn(
                f"{int(short.sum())} of {len(short)} members trained together have not converged in {found.evaluations} "
                f"evaluations (largest gradient of the mean loss {float(found.slope[short].max()):.1e}, sought "
                f"{float(tolerance[short].min()):.1e}): use a larger penalty",
                HardsightWarning,
                stacklevel=3,
            )


class Design(NamedTuple):
    """The shared rows: a one, the features scaled over all samples (missing ones 0), a mark for each with missing values.

    Attributes:
        rows: ``(row, 1 + features + marks)``.
        labels: class codes.
        gaps: which features the marks belong to.
        classes: how many.
    """

    rows: Float64[Tensor, "row coefficient"]
    labels: Int64[Tensor, " row"]
    gaps: Int64[Tensor, " mark"]
    classes: int

    @property
    def features(self) -> int:
        """How many, the one not counted."""
        return self.rows.shape[1] - len(self.gaps) - 1


def design_of(samples: Samples) -> Design:
    """The shared rows of some samples with classes, made in place: they are the largest thing held."""
    matrix = as_tensor(samples.matrix)
    missing = matrix.isnan()
    gaps = missing.any(0).nonzero().squeeze(1)
    features = matrix.shape[1]
    rows = torch.ones(len(matrix), 1 + features + len(gaps), dtype=torch.float64)
    rows[:, 1 + features :] = missing[:, gaps]
    body = rows[:, 1 : 1 + features].copy_(matrix).masked_fill_(missing, 0.0)
    known = (len(matrix) - missing.sum(0)).clamp(min=1)
    mean = body.sum(0) / known
    deviation = (body.sub_(mean).masked_fill_(missing, 0.0).square().sum(0) / known).sqrt()
    # Rounding leaves a constant column a deviation of its own.
    body.mul_(torch.where(deviation <= 1e-7 * mean.abs(), 0.0, 1 / deviation))
    return Design(rows, torch.from_numpy(samples.labels), gaps, len(samples.classes or ()))


class Fits:
    """The regressions of some members; weights are ``(member, class, 1 + feature)``, in each member's own scaling."""

    def __init__(self, design: Design, parts: Parts, penalty: float) -> None:
        self.design, self.parts = design, parts
        self.sizes, self.mean, self.inverse, counts = _moments(design, parts)
        self.present = counts > 0
        # With two classes scikit-learn penalises the one difference of slopes, whose square is twice that of the pair.
        self.penalty = penalty * torch.where(self.present.sum(1) == 2, 2.0, 1.0).double()
        self.tolerance = (_EXACT * self.penalty / self.sizes).clamp(max=_FLAT)

    def solve(
        self, start: Float64[Tensor, "member class weight"], precondition: Precondition, least: float = 0.0
    ) -> Minima:
        """Weights at the optimum, as ``(member, class x (1 + feature))``. ``least``: a tolerance that is good enough."""
        shape = start.shape[1:]
        begin = self._centred(start, torch.arange(len(start)))
        begin[:, :, 0] += torch.where(self.present, 0.0, _NEVER)

        def objective(points: Tensor, live: Tensor) -> tuple[Tensor, Tensor]:
            value, slope = self._value(points.view(-1, *shape), live)
            return value, slope.flatten(1)

        def within(vectors: Tensor, live: Tensor) -> Tensor:
            return self._centred(precondition(vectors, live).view(-1, *shape), live).flatten(1)

        return minimise(objective, begin.flatten(1), within, self.tolerance.clamp(min=least), EVALUATIONS)

    def _centred(self, weights: Tensor, live: Tensor) -> Float64[Tensor, "member class weight"]:
        """Sums over the classes taken off: they move no score, and gradients at the optimum have none."""
        there = self.present[live][:, :, None].double()
        return (weights - (weights * there).sum(1, keepdim=True) / there.sum(1, keepdim=True)) * there

    def _value(self, weights: Tensor, live: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss with its penalty, and its gradient."""
        value, slope = losses(self.design.rows, self.design.labels, self.parts.of(live), self.shared(weights, live))
        within = 1 + self.design.features
        marked = 1 + self.design.gaps
        slope[:, :, marked] += self.mean[live][:, None, self.design.gaps] * slope[:, :, within:]
        slope = slope[:, :, :within]
        slope[:, :, 1:] *= self.inverse[live][:, None]
        pull = self.penalty[live][:, None, None] * weights[:, :, 1:]
        slope[:, :, 1:] += pull
        value += 0.5 * (pull * weights[:, :, 1:]).sum((1, 2))
        sizes = self.sizes[live]
        return value / sizes, slope / sizes[:, None, None]

    def shared(self, weights: Tensor, live: Tensor) -> Float64[Tensor, "member class coefficient"]:
        """The weights for the shared rows. The mean that a member takes off moves its intercept, which goes free."""
        slopes = weights[:, :, 1:] * self.inverse[live][:, None]
        fill = slopes[:, :, self.design.gaps] * self.mean[live][:, None, self.design.gaps]
        return torch.cat([weights[:, :, :1], slopes, fill], dim=2)

    def held_out(self, points: Tensor, member: int) -> Float64[Tensor, "row class"]:
        """Log-probabilities of the rows that a member does not train on."""
        live = torch.tensor([member])
        (weights,) = self.shared(points[live].view(1, self.design.classes, -1), live)
        # Classes first: a softmax along ten numbers is slow.
        found = (weights @ self.design.rows[self.parts.held_out(member)].T).log_softmax(0).T.contiguous()
        found[:, ~self.present[member]] = -torch.inf
        return torch.from_numpy(laplace(found.numpy(), int(self.sizes[member])))


class _Moments(NamedTuple):
    """Of the members' training parts.

    Attributes:
        sizes: rows.
        mean: of the known values of each feature.
        inverse: of the standard deviation, missing values at the mean; 0 where nothing varies.
        counts: rows of each class.
    """

    sizes: Float64[Tensor, " member"]
    mean: Float64[Tensor, "member feature"]
    inverse: Float64[Tensor, "member feature"]
    counts: Float64[Tensor, "member class"]


def _moments(design: Design, parts: Parts) -> _Moments:
    members, width = len(parts.fold), design.rows.shape[1]
    first, second = torch.zeros(2, members, width, dtype=torch.float64)
    counts = torch.zeros(members, design.classes, dtype=torch.float64)
    for rows in blocks(len(design.rows), max(members, width)):
        trains, x = parts.trains(rows).double(), design.rows[rows]
        first.addmm_(trains, x)
        second.addmm_(trains, x.square())
        counts.index_add_(1, design.labels[rows], trains)
    sizes, within = first[:, 0].clone(), slice(1, 1 + design.features)
    known = sizes[:, None].repeat(1, design.features)
    known[:, design.gaps] -= first[:, 1 + design.features :]
    mean = first[:, within] / known.clamp(min=1)
    variance = (second[:, within] - known * mean.square()) / sizes[:, None]
    inverse = variance.rsqrt()
    # All features vary by 1 over all samples: so little is constant, or rounding. Sums of squares cannot tell.
    for member, feature in (variance < 1e-6).nonzero().tolist():
        inverse[member, feature] = _inverse_deviation(design, parts, member, feature)
    return _Moments(sizes, mean, inverse, counts)


def _inverse_deviation(design: Design, parts: Parts, member: int, feature: int) -> float:
    trains = parts.of(torch.tensor([member])).trains(slice(None))[0]
    values = design.rows[trains, 1 + feature]
    mark = (design.gaps == feature).nonzero()
    known = values if not len(mark) else values[design.rows[trains, 1 + design.features + int(mark[0, 0])] == 0]
    if not len(known) or known.max() == known.min():
        return 0.0
    return float((len(values) / (known - known.mean()).square().sum()).sqrt())


class _Whole(NamedTuple):
    """The fit to all samples: ``(1, class, 1 + feature)``, and what its Hessian makes of a vector."""

    design: Design
    weights: Float64[Tensor, "1 class weight"]
    precondition: Precondition


_WHOLE: WeakKeyDictionary[Samples, tuple[float, _Whole]] = WeakKeyDictionary()


def _whole(samples: Samples, penalty: float) -> _Whole:
    """The latest is kept as long as its samples are: the parts of a run all begin there."""
    kept = _WHOLE.get(samples)
    if kept is None or kept[0] != penalty:
        kept = penalty, _fit_all(design_of(samples), penalty)
        _WHOLE[samples] = kept
    return kept[1]


def _fit_all(design: Design, penalty: float) -> _Whole:
    rows, classes, width = len(design.rows), design.classes, 1 + design.features
    everyone = Parts(torch.zeros(1, rows, dtype=torch.int32), torch.tensor([0]), torch.tensor([-1], dtype=torch.int32))
    fits = Fits(design, everyone, penalty)
    alike = torch.full((rows, 1), 1 / classes, dtype=torch.float64)
    found = fits.solve(torch.zeros(1, classes, width, dtype=torch.float64), _blocks(design, alike, penalty), _START)
    weights = found.points.view(1, classes, width)
    shared = fits.shared(weights, torch.tensor([0]))[0]
    return _Whole(design, weights, _blocks(design, (design.rows @ shared.T).softmax(1), penalty))


def _blocks(design: Design, prob: Float64[Tensor, "row block"], penalty: float) -> Precondition:
    """Inverse of the mean loss's Hessian, a block a class (or one for all); only its diagonal where blocks are too large.

    Single precision will do: this steers the way, not where it ends.
    """
    classes, width = design.classes, 1 + design.features
    x, bend = design.rows[:, :width].float(), (prob * (1 - prob)).float()
    pull = torch.full((width,), penalty / len(prob), dtype=torch.float64)
    # Where one class is certain, nothing bends an intercept.
    pull[0] = 1e-6
    if classes * width**2 > _NUMBERS:
        diagonal = (bend.T @ x.square()).double() / len(x) + pull
        return lambda vectors, live: (vectors.view(-1, classes, width) / diagonal).flatten(1)
    inverse = torch.empty(bend.shape[1], width, width, dtype=torch.float64)
    for block, own in zip(inverse, bend.T.sqrt(), strict=True):
        # One triangle of the product takes half the time; Fortran's upper one is C's lower one.
        gram = torch.from_numpy(ssyrk(1.0, (x * own[:, None]).numpy().T).T)
        block[:] = torch.cholesky_inverse(torch.linalg.cholesky(gram.double() / len(x) + pull.diag()))
    inverse = inverse.expand(classes, width, width)
    return lambda vectors, live: (
        torch.bmm(vectors.view(-1, classes, width).transpose(0, 1), inverse).transpose(0, 1).flatten(1)
    )


def _parts(members: list[Member]) -> Parts:
    turns = sorted({member.round for member in members})
    by_turn = {member.round: member.assignment for member in members}
    return Parts(
        torch.from_numpy(np.stack([by_turn[turn] for turn in turns])),
        torch.tensor([turns.index(member.round) for member in members]),
        torch.tensor([member.fold for member in members], dtype=torch.int32),
    )
