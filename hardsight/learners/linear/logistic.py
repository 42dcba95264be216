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
from hardsight.learners.linear.lbfgs import Minimum, Precondition, minimize
from hardsight.learners.linear.softmax import TrainingParts, losses_and_gradients, row_blocks
from hardsight.learners.sklearn import laplace
from hardsight.resampling.plan import Member, Plan
from hardsight.validation import check_range

EVALUATIONS = 1_000
# Tolerance on the gradient of the mean loss: of the members, and of the fit to all samples that they start at.
_TOLERANCE, _START_TOLERANCE = 1e-8, 1e-3
# Tolerance on the gradient of the summed loss in units of the penalty, which bounds the error of the slopes.
_PENALTY_TOLERANCE = 1e-3
_MAX_BATCH = 64
# Most numbers that the history of one batch's L-BFGS, or the blocks of its preconditioner, may hold.
_NUMBERS = 2**26
# Intercept of a class that a training part lacks: far below all real scores, and its exponential is zero.
_ABSENT = -1e6


class Logistic:
    r"""Multinomial logistic regression with an L2 penalty, many members trained together, each to convergence.

    Each member minimises $\sum_i -\log p_i(y_i) + \tfrac{\lambda}{2} \lVert W \rVert^2$ over its training part, on features
    scaled by mean and standard deviation of that part (missing values take its mean; features constant there count for
    nothing); intercepts are not penalised. That is scikit-learn's ``make_pipeline(SimpleImputer(), StandardScaler(),
    LogisticRegression(C=1 / penalty))``, two classes included, where the penalty is that of the one difference of slopes.

    The gradient of all members is two matrix products over shared rows, because a member's own scaling is a scaling of its
    weights. L-BFGS starts at the fit to all samples, preconditioned with that fit's Hessian, one block per class. The
    optimum is unique, so that the start leaks nothing beyond the tolerance: every member goes on until no entry of the
    gradient of its mean loss exceeds 1e-8, nor a thousandth of the penalty over the size of its training part.

    Args:
        penalty: $\lambda$, weight of the squared slopes against the sum of the losses.

    Raises:
        InputError: a penalty that is not above 0.
    """

    name = "logistic"

    def __init__(self, penalty: float = 1.0) -> None:
        self.penalty = check_range("penalty", penalty, 0, strict=(True, True))

    def describe(self) -> str:
        """Return the recipe in one line."""
        return (
            f"multinomial logistic regression, penalty {self.penalty:g}, features scaled by each training part, L-BFGS to "
            f"gradients below {_TOLERANCE:g}; zero probabilities smoothed by Laplace's rule"
        )

    def n_models(self, plan: Plan) -> int:
        """Return the number of members."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`.

        A member that has not converged after a thousand evaluations warns with a :class:`HardsightWarning`.

        Raises:
            InputError: numbers to predict.
        """
        if samples.classes is None:
            raise InputError(f"{self.name} is a classifier, and the labels are numbers to predict: use ridge or network")
        start = _starting_fit(samples, self.penalty)
        members = plan.members()
        size = max(1, min(_MAX_BATCH, _NUMBERS // (24 * start.weights.numel())))
        while batch := list(islice(members, size)):
            fits = MemberFits(start.design, _training_parts(batch), self.penalty)
            result = fits.solve(start.weights.expand(len(batch), -1, -1), start.precondition)
            _warn_unconverged(result, fits.tolerance)
            for index, member in enumerate(batch):
                values = fits.predict_held_out(result.points, index)
                yield Predictions(torch.from_numpy(member.held_out), values, member.round)
                on_progress(1)


def _warn_unconverged(result: Minimum, tolerance: Tensor) -> None:
    unfinished = result.max_gradient > tolerance
    if unfinished.any():
        warnings.warn(
            f"{int(unfinished.sum())} of {len(unfinished)} members trained together have not converged in "
            f"{result.evaluations} evaluations (largest gradient of the mean loss "
            f"{float(result.max_gradient[unfinished].max()):.1e}, tolerance {float(tolerance[unfinished].min()):.1e}): use "
            "a larger penalty",
            HardsightWarning,
            stacklevel=3,
        )


class Design(NamedTuple):
    """The shared rows: a one, the features scaled over all samples (missing ones 0), indicators of missing values."""

    rows: Float64[Tensor, "row coefficient"]  # (row, 1 + features + indicators)
    labels: Int64[Tensor, " row"]
    with_missing: Int64[Tensor, " indicator"]  # the features that have an indicator, in the order of the indicators
    classes: int

    @property
    def features(self) -> int:
        """Number of features, without the one."""
        return self.rows.shape[1] - len(self.with_missing) - 1


def build_design(samples: Samples) -> Design:
    """Return the shared rows of samples with classes. They are the largest array here, and are built in place."""
    matrix = as_tensor(samples.matrix)
    missing = matrix.isnan()
    with_missing = missing.any(0).nonzero().squeeze(1)
    features = matrix.shape[1]
    rows = torch.ones(len(matrix), 1 + features + len(with_missing), dtype=torch.float64)
    rows[:, 1 + features :] = missing[:, with_missing]
    body = rows[:, 1 : 1 + features].copy_(matrix).masked_fill_(missing, 0.0)
    observed = (len(matrix) - missing.sum(0)).clamp(min=1)
    mean = body.sum(0) / observed
    deviation = (body.sub_(mean).masked_fill_(missing, 0.0).square().sum(0) / observed).sqrt()
    # Rounding gives a constant column a tiny deviation.
    body.mul_(torch.where(deviation <= 1e-7 * mean.abs(), 0.0, 1 / deviation))
    return Design(rows, torch.from_numpy(samples.labels), with_missing, len(samples.classes or ()))


class MemberFits:
    """The regressions of some members; weights are ``(member, class, 1 + feature)``, in each member's own scaling.

    Args:
        parts: the rows that each member trains on.
    """

    def __init__(self, design: Design, parts: TrainingParts, penalty: float) -> None:
        self.design, self.parts = design, parts
        self.sizes, self.mean, self.inverse, counts = _moments(design, parts)
        self.present = counts > 0
        # With two classes scikit-learn penalises the one difference of slopes, whose square is twice that of the pair.
        self.penalty = penalty * torch.where(self.present.sum(1) == 2, 2.0, 1.0).double()
        self.tolerance = (_PENALTY_TOLERANCE * self.penalty / self.sizes).clamp(max=_TOLERANCE)

    def solve(
        self, start: Float64[Tensor, "member class weight"], precondition: Precondition, min_tolerance: float = 0.0
    ) -> Minimum:
        """Return the weights at the optimum, as ``(member, class x (1 + feature))``.

        Args:
            min_tolerance: smaller tolerances are raised to it.
        """
        shape = start.shape[1:]
        initial = self._centre(start, torch.arange(len(start)))
        initial[:, :, 0] += torch.where(self.present, 0.0, _ABSENT)

        def objective(points: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
            value, gradient = self._evaluate(points.view(-1, *shape), active)
            return value, gradient.flatten(1)

        def centred_precondition(vectors: Tensor, active: Tensor) -> Tensor:
            return self._centre(precondition(vectors, active).view(-1, *shape), active).flatten(1)

        tolerance = self.tolerance.clamp(min=min_tolerance)
        return minimize(objective, initial.flatten(1), centred_precondition, tolerance, EVALUATIONS)

    def _centre(self, weights: Tensor, active: Tensor) -> Float64[Tensor, "member class weight"]:
        """Subtract means over the classes: they change no score, and gradients at the optimum have none."""
        present = self.present[active][:, :, None].double()
        return (weights - (weights * present).sum(1, keepdim=True) / present.sum(1, keepdim=True)) * present

    def _evaluate(self, weights: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss with its penalty, and its gradient."""
        design = self.design
        value, gradient = losses_and_gradients(
            design.rows, design.labels, self.parts.select(active), self.to_shared(weights, active)
        )
        end = 1 + design.features
        missing_columns = 1 + design.with_missing
        gradient[:, :, missing_columns] += self.mean[active][:, None, design.with_missing] * gradient[:, :, end:]
        gradient = gradient[:, :, :end]
        gradient[:, :, 1:] *= self.inverse[active][:, None]
        pull = self.penalty[active][:, None, None] * weights[:, :, 1:]
        gradient[:, :, 1:] += pull
        value += 0.5 * (pull * weights[:, :, 1:]).sum((1, 2))
        sizes = self.sizes[active]
        return value / sizes, gradient / sizes[:, None, None]

    def to_shared(self, weights: Tensor, active: Tensor) -> Float64[Tensor, "member class coefficient"]:
        """Return weights for the shared rows. A member's mean moves only its intercept, which is not penalised."""
        slopes = weights[:, :, 1:] * self.inverse[active][:, None]
        fill = slopes[:, :, self.design.with_missing] * self.mean[active][:, None, self.design.with_missing]
        return torch.cat([weights[:, :, :1], slopes, fill], dim=2)

    def predict_held_out(self, points: Tensor, member: int) -> Float64[Tensor, "row class"]:
        """Return log-probabilities of the rows that a member does not train on."""
        active = torch.tensor([member])
        (weights,) = self.to_shared(points[active].view(1, self.design.classes, -1), active)
        # Classes first: a softmax along ten numbers is slow.
        log_prob = (weights @ self.design.rows[self.parts.held_out(member)].T).log_softmax(0).T.contiguous()
        log_prob[:, ~self.present[member]] = -torch.inf
        return torch.from_numpy(laplace(log_prob.numpy(), int(self.sizes[member])))


class _Moments(NamedTuple):
    """Moments of the members' training parts."""

    sizes: Float64[Tensor, " member"]  # rows
    mean: Float64[Tensor, "member feature"]  # of the observed values of each feature
    # One over the standard deviation, missing values at the mean; 0 for constant features.
    inverse: Float64[Tensor, "member feature"]
    counts: Float64[Tensor, "member class"]  # rows of each class


def _moments(design: Design, parts: TrainingParts) -> _Moments:
    members, width = len(parts.fold), design.rows.shape[1]
    first, second = torch.zeros(2, members, width, dtype=torch.float64)
    counts = torch.zeros(members, design.classes, dtype=torch.float64)
    for rows in row_blocks(len(design.rows), max(members, width)):
        in_training, x = parts.train_mask(rows).double(), design.rows[rows]
        first.addmm_(in_training, x)
        second.addmm_(in_training, x.square())
        counts.index_add_(1, design.labels[rows], in_training)
    sizes, columns = first[:, 0].clone(), slice(1, 1 + design.features)
    observed = sizes[:, None].repeat(1, design.features)
    observed[:, design.with_missing] -= first[:, 1 + design.features :]
    mean = first[:, columns] / observed.clamp(min=1)
    variance = (second[:, columns] - observed * mean.square()) / sizes[:, None]
    inverse = variance.rsqrt()
    # All features have variance 1 over all samples. So small a variance is a constant feature, or rounding: sums of squares
    # cannot tell.
    for member, feature in (variance < 1e-6).nonzero().tolist():
        inverse[member, feature] = _inverse_deviation(design, parts, member, feature)
    return _Moments(sizes, mean, inverse, counts)


def _inverse_deviation(design: Design, parts: TrainingParts, member: int, feature: int) -> float:
    rows = parts.select(torch.tensor([member])).train_mask(slice(None))[0]
    values = design.rows[rows, 1 + feature]
    indicator = (design.with_missing == feature).nonzero()
    observed = values
    if len(indicator):
        observed = values[design.rows[rows, 1 + design.features + int(indicator[0, 0])] == 0]
    if not len(observed) or observed.max() == observed.min():
        return 0.0
    return float((len(values) / (observed - observed.mean()).square().sum()).sqrt())


class _StartingFit(NamedTuple):
    """The fit to all samples: ``(1, class, 1 + feature)``, and its inverse Hessian as a function of vectors."""

    design: Design
    weights: Float64[Tensor, "1 class weight"]
    precondition: Precondition


_STARTING_FITS: WeakKeyDictionary[Samples, tuple[float, _StartingFit]] = WeakKeyDictionary()


def _starting_fit(samples: Samples, penalty: float) -> _StartingFit:
    """Return the fit to all samples; the latest is cached as long as its samples live, for all parts of a run."""
    cached = _STARTING_FITS.get(samples)
    if cached is None or cached[0] != penalty:
        cached = penalty, _fit_all(build_design(samples), penalty)
        _STARTING_FITS[samples] = cached
    return cached[1]


def _fit_all(design: Design, penalty: float) -> _StartingFit:
    rows, classes, width = len(design.rows), design.classes, 1 + design.features
    all_rows = TrainingParts(
        torch.zeros(1, rows, dtype=torch.int32), torch.tensor([0]), torch.tensor([-1], dtype=torch.int32)
    )
    fits = MemberFits(design, all_rows, penalty)
    equal = torch.full((rows, 1), 1 / classes, dtype=torch.float64)
    zero = torch.zeros(1, classes, width, dtype=torch.float64)
    result = fits.solve(zero, _inverse_hessian(design, equal, penalty), _START_TOLERANCE)
    weights = result.points.view(1, classes, width)
    shared = fits.to_shared(weights, torch.tensor([0]))[0]
    prob = (design.rows @ shared.T).softmax(1)
    return _StartingFit(design, weights, _inverse_hessian(design, prob, penalty))


def _inverse_hessian(design: Design, prob: Float64[Tensor, "row block"], penalty: float) -> Precondition:
    """Return the inverse of the mean loss's Hessian, one block per class (or one for all classes).

    Only its diagonal is used if blocks are too large. Single precision is enough for a preconditioner.
    """
    classes, width = design.classes, 1 + design.features
    x, curvature = design.rows[:, :width].float(), (prob * (1 - prob)).float()
    pull = torch.full((width,), penalty / len(prob), dtype=torch.float64)
    # Where one class is certain, an intercept has no curvature.
    pull[0] = 1e-6
    if classes * width**2 > _NUMBERS:
        diagonal = (curvature.T @ x.square()).double() / len(x) + pull
        return lambda vectors, active: (vectors.view(-1, classes, width) / diagonal).flatten(1)
    inverse = torch.empty(curvature.shape[1], width, width, dtype=torch.float64)
    for block, root in zip(inverse, curvature.T.sqrt(), strict=True):
        # One triangle of the product takes half the time; Fortran's upper one is C's lower one.
        gram = torch.from_numpy(ssyrk(1.0, (x * root[:, None]).numpy().T).T)
        block[:] = torch.cholesky_inverse(torch.linalg.cholesky(gram.double() / len(x) + pull.diag()))
    inverse = inverse.expand(classes, width, width)
    return lambda vectors, active: (
        torch.bmm(vectors.view(-1, classes, width).transpose(0, 1), inverse).transpose(0, 1).flatten(1)
    )


def _training_parts(members: list[Member]) -> TrainingParts:
    repeats = sorted({member.round for member in members})
    assignments = {member.round: member.assignment for member in members}
    return TrainingParts(
        torch.from_numpy(np.stack([assignments[repeat] for repeat in repeats])),
        torch.tensor([repeats.index(member.round) for member in members]),
        torch.tensor([member.fold for member in members], dtype=torch.int32),
    )
