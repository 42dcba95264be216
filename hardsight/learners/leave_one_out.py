"""Leave-one-out from one fit: logistic regression (refitted where that falls short), nearest neighbours, kernel ridge."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import cho_factor, cho_solve, helmert
from scipy.linalg.lapack import dpotri
from scipy.special import log_softmax
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import HardsightWarning, InputError, LearnerError
from hardsight.learners.base import OnProgress, Predictions
from hardsight.learners.linear.lbfgs import Objective, minimise
from hardsight.learners.linear.ridge import probabilities, scaled, targets_of
from hardsight.learners.linear.softmax import Parts, losses
from hardsight.learners.sklearn import laplace
from hardsight.resampling.plan import Plan, Round
from hardsight.validation import check_int

# Unknowns of the logistic regression, (features + 1) x (classes - 1): their square is held, their cube is computed.
LARGEST_SYSTEM = 8_000
# Samples of the kernel ridge: their square is held (0.8 GB), their cube is computed.
LARGEST_KERNEL = 10_000
# Numbers that a batch may hold at a time.
BATCH = 4_000_000
NEWTON_STEPS = 100
EVALUATIONS = 1_000
# A step that moves a logit further than this is followed by a refit.
FAR = 0.3
# Refits made at once: what L-BFGS holds for one is a few dozen times the unknowns.
UNITS_A_CHUNK = 64
# Gradient of the mean loss where Newton takes over, and of refits, in units of the penalty.
_NEAR, _REFINED = 1e-5, 1e-4


class LogisticLeaveOneOut:
    r"""Multinomial logistic regression, with every sample's logits by the fit without it approximated from one fit.

    The fit makes $\sum_i -\log p_i(y_i) + \tfrac{\lambda}{2} \lVert W \rVert^2$ least, to convergence in float64; intercepts
    go free. Logits are written in classes - 1 orthonormal contrasts, because at the optimum every feature's slopes sum
    to 0 over the classes: this changes no fit, and leaves no direction in which the Hessian is singular. Leaving unit
    $U$ out is one Newton step from the whole fit, on the Hessian without $U$:

    $$u_{-U} = u_U + M (I - B M)^{-1} (p_U - y_U), \qquad M = V_U H^{-1} V_U^T$$

    with $V_U$ the unit's rows, one a contrast, and $B$ the second derivatives of its own losses. Units with more rows than
    there are coefficients a contrast are refitted without, exactly, from the whole fit on.

    The step falls short for the units that pull hardest on the fit, the more so the smaller the penalty; how far it moves
    their own logits tells which. Units that it moves by more than 0.3 are refitted without, exactly, many at a time, by
    L-BFGS from where the step went.

    Features are scaled once, over all samples (missing values take the mean). With two classes this is scikit-learn's
    ``LogisticRegression(C=2 / penalty)``, with more ``LogisticRegression(C=1 / penalty)``.

    Args:
        penalty: $\lambda$, weight of the squared slopes against the sum of the losses.

    Raises:
        InputError: a penalty that is not above 0.

    Rad & Maleki 2020, *A scalable estimate of the out-of-sample prediction error via approximate leave-one-out*;
    Obuchi & Kabashima 2018, *Accelerating cross-validation in multinomial logistic regression with l1-regularization*.
    """

    name = "logistic leave-one-out"

    def __init__(self, penalty: float = 10.0) -> None:
        self.penalty = _positive("penalty", penalty)

    def describe(self) -> str:
        """The recipe in a line."""
        return (
            f"multinomial logistic regression, penalty {self.penalty:g}, leave-one-out by one Newton step, "
            f"and by refits where that moves a logit by more than {FAR:g}"
        )

    def n_models(self, plan: Plan) -> int:
        """Models whose predictions are computed; one is fitted."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, tick: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`.

        Raises:
            InputError: numbers to predict, splits that are not leave-one-out, or too many features times classes.
            LearnerError: the fit does not converge.
        """

        def judge() -> Float64[Tensor, "sample class"]:
            if samples.classes is None:
                raise InputError(
                    f"{self.name} is a classifier, and the labels are numbers to predict: use ridge, knn-loo or kernel-loo"
                )
            x = samples.matrix
            unknowns = (x.shape[1] + 1) * (len(samples.classes) - 1)
            if unknowns > LARGEST_SYSTEM:
                raise InputError(
                    f"{self.name} solves for (features + 1) x (classes - 1) = {unknowns:,} unknowns at once, and stops at "
                    f"{LARGEST_SYSTEM:,}: reduce the features (PCA), or use ridge or logistic"
                )
            return torch.from_numpy(logistic(scaled(x), samples.labels, plan.blocks, self.penalty))

        return _views(self.name, plan, tick, judge)


class NeighboursLeaveOneOut:
    """Class shares (in regression the mean target) of a sample's nearest neighbours in other units; exact.

    Features are scaled once, over all samples (missing values take the mean); distances are Euclidean. Rows with a class
    that no neighbour has are smoothed by Laplace's rule, with ``neighbours`` observations.

    Args:
        neighbours: how many vote, each alike.

    Raises:
        InputError: fewer than 1.

    Cover & Hart 1967, *Nearest neighbor pattern classification*.
    """

    name = "neighbours leave-one-out"

    def __init__(self, neighbours: int = 10) -> None:
        self.neighbours = check_int("neighbours", neighbours, 1)

    def describe(self) -> str:
        """The recipe in a line."""
        return f"{self.neighbours} nearest neighbours; zero probabilities smoothed by Laplace's rule"

    def n_models(self, plan: Plan) -> int:
        """Models whose predictions are computed; none is fitted."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, tick: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`.

        Raises:
            InputError: splits that are not leave-one-out, or too few samples outside a unit.
        """

        def judge() -> Float64[Tensor, " sample *class"]:
            near = neighbours(scaled(samples.matrix), plan.blocks, self.neighbours)
            if samples.classes is None:
                return torch.from_numpy(samples.labels[near].mean(axis=1))
            cell = np.arange(len(near))[:, None] * len(samples.classes) + samples.labels[near]
            votes = np.bincount(cell.ravel(), minlength=len(near) * len(samples.classes)).reshape(len(near), -1)
            with np.errstate(divide="ignore"):
                return torch.from_numpy(laplace(np.log(votes / self.neighbours), self.neighbours))

        return _views(self.name, plan, tick, judge)


class KernelRidgeLeaveOneOut:
    r"""Kernel ridge regression, the mean of a Gaussian process, with exact leave-one-out residuals from one inverse.

    The kernel is $\exp(-\gamma \lVert x - x' \rVert^2)$ on features scaled once, over all samples (missing values take the
    mean); the intercept goes free. Classes are one target a class, 0 or 1; the scores become probabilities by a softmax
    with one scale, the one number that makes the held-out log-loss least. Takes time with the cube of the samples.

    Args:
        penalty: added to the kernel's diagonal: the noise variance, where the prior's is 1.
        gamma: of the kernel; None for one by the number of features.

    Raises:
        InputError: a penalty or gamma that is not above 0.

    Wahba 1990, *Spline models for observational data*, ch. 4; with the intercept: Cawley & Talbot 2004, *Fast exact
    leave-one-out cross-validation of sparse least-squares support vector machines*.
    """

    name = "kernel ridge leave-one-out"

    def __init__(self, penalty: float = 1.0, gamma: float | None = None) -> None:
        self.penalty = _positive("penalty", penalty)
        self.gamma = None if gamma is None else _positive("gamma", gamma)

    def describe(self) -> str:
        """The recipe in a line."""
        gamma = "1/features" if self.gamma is None else f"{self.gamma:g}"
        return f"kernel ridge, Gaussian kernel, gamma {gamma}, penalty {self.penalty:g}, exact leave-one-out"

    def n_models(self, plan: Plan) -> int:
        """Models whose predictions are computed; one is fitted."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, tick: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`.

        Raises:
            InputError: splits that are not leave-one-out, or too many samples.
            LearnerError: the system is singular.
        """

        def judge() -> Float64[Tensor, " sample *class"]:
            if len(samples) > LARGEST_KERNEL:
                raise InputError(
                    f"{self.name} takes time with the cube of the samples and stops at {LARGEST_KERNEL:,}, and these are "
                    f"{len(samples):,}: use knn-loo or ridge, or measure a part of the samples"
                )
            x = scaled(samples.matrix)
            gamma = 1 / max(x.shape[1], 1) if self.gamma is None else self.gamma
            scores = kernel_ridge(x, targets_of(samples), plan.blocks, self.penalty, gamma)
            return torch.from_numpy(scores[:, 0]) if samples.regression else probabilities(scores, samples.labels)

        return _views(self.name, plan, tick, judge)


def logistic(x: np.ndarray, labels: np.ndarray, units: np.ndarray, penalty: float) -> np.ndarray:
    """Log-probabilities of every sample by the logistic regression without its unit, ``(sample, class)`` float64.

    Args:
        x: ``(sample, feature)`` float64, scaled.
        labels: codes 0 … C-1, ``(sample,)``; every class outside every unit.
        units: codes of samples left out together, ``(sample,)``.
        penalty: on the squared slopes.

    Raises:
        LearnerError: the fit does not converge.
    """
    z = np.column_stack([np.ones(len(x)), x])
    contrasts = helmert(int(labels.max()) + 1)
    problem = _Problem(z, labels, contrasts, penalty)
    try:
        fit = _fit(problem, None, np.ones(len(z), dtype=bool))
        left = z @ fit.weights.T
        inverse = cho_solve(fit.factor, np.eye(fit.weights.size))
        residual = (fit.prob - np.eye(len(fit.prob.T))[labels]) @ contrasts.T
        for rows in _by_size(units):
            if rows.shape[1] < z.shape[1]:
                for part in _parts(rows, max((rows.shape[1] * len(contrasts)) ** 2, rows.shape[1] * z.shape[1])):
                    step = _step(z[part], inverse, _curvature(fit.prob[part], contrasts), residual[part])
                    left[part] += step.shift
                    far = np.abs(step.shift).max(axis=(1, 2)) > FAR
                    _refine(problem, units, part[far], fit.weights, inverse, step.push[far], left)
                continue
            for unit in rows:
                rest = np.ones(len(z), dtype=bool)
                rest[unit] = False
                left[unit] = z[unit] @ _fit(problem, fit.weights, rest).weights.T
    except np.linalg.LinAlgError:
        raise LearnerError("the logistic regression has a singular Hessian: use a larger penalty") from None
    found: np.ndarray = log_softmax(left @ contrasts, axis=1)
    return found


def neighbours(x: np.ndarray, units: np.ndarray, count: int) -> np.ndarray:
    """The nearest samples of other units, nearest first, ``(sample, count)`` int64.

    Args:
        x: ``(sample, feature)``.
        units: codes of samples that do not see each other, ``(sample,)``.
        count: how many.

    Raises:
        InputError: fewer than ``count`` samples outside a unit.
    """
    size = np.bincount(units)
    least = len(x) - int(size.max())
    if least < count:
        raise InputError(
            f"neighbours={count} is more than the {least} samples outside the largest group: use neighbours={least} or fewer"
        )
    index = NearestNeighbors().fit(x)
    near = np.empty((len(x), count), dtype=np.int64)
    for rows in _by_size(units):
        ask = count + rows.shape[1]
        for part in _parts(rows.ravel(), ask):
            found = index.kneighbors(x[part], n_neighbors=min(ask, len(x)), return_distance=False)
            # A stable sort on "same unit" brings the others to the front, in order of distance.
            order = np.argsort(units[found] == units[part][:, None], axis=1, kind="stable")
            near[part] = np.take_along_axis(found, order[:, :count], axis=1)
    return near


def kernel_ridge(x: np.ndarray, targets: np.ndarray, units: np.ndarray, penalty: float, gamma: float) -> np.ndarray:
    r"""Predictions of every sample by the kernel ridge fit without its unit, ``(sample, target)`` float64.

    With $G = K + \lambda I$ and $P = G^{-1} - G^{-1} 1 1^T G^{-1} / 1^T G^{-1} 1$, so that $\lambda P = I - H$ for the hat
    matrix $H$, the residuals of unit $U$ by the fit without it are $(P_{UU})^{-1} (P y)_U$; for a unit of one,
    $e_i / (1 - h_i)$.

    Args:
        x: ``(sample, feature)``.
        targets: ``(sample, target)``.
        units: codes of samples left out together, ``(sample,)``.
        penalty: on the diagonal.
        gamma: of the Gaussian kernel.

    Raises:
        LearnerError: the system is singular.
    """
    gram = rbf_kernel(x, gamma=gamma)
    gram.flat[:: len(x) + 1] += penalty
    # A mean taken off changes nothing under a free intercept but the rounding.
    goal = targets - targets.mean(axis=0)
    out = np.empty(targets.shape)
    try:
        # The transpose of a symmetric array is itself, in the order that LAPACK can overwrite.
        factor = cho_factor(gram.T, lower=True, overwrite_a=True, check_finite=False)
        ones = cho_solve(factor, np.ones(len(x)))
        coefficient = cho_solve(factor, goal)
        coefficient -= np.outer(ones, ones @ goal) / ones.sum()
        inverse = dpotri(factor[0], lower=1, overwrite_c=1)[0]
        for rows in _by_size(units):
            for part in _parts(rows, rows.shape[1] ** 2):
                # Only the lower triangle is filled; within a unit rows ascend.
                block = np.tril(inverse[part[:, :, None], part[:, None, :]])
                block = block + np.tril(block, -1).transpose(0, 2, 1)
                block -= ones[part][:, :, None] * ones[part][:, None, :] / ones.sum()
                out[part] = targets[part] - np.linalg.solve(block, coefficient[part])
    except np.linalg.LinAlgError:
        raise LearnerError("the kernel ridge has a singular system: use a larger penalty") from None
    return out


class _Fit(NamedTuple):
    """``weights`` ``(contrast, coefficient)``, probabilities ``(sample, class)``, and the Hessian's Cholesky factor."""

    weights: np.ndarray
    prob: np.ndarray
    factor: Any


class _Problem:
    """The objective of the logistic regression, of any part of the samples; unknowns are ``(contrast, coefficient)``.

    Args:
        z: ``(sample, coefficient)``, the first of them 1.
        labels: class codes.
        contrasts: ``(contrast, class)``, orthonormal and each of sum 0.
        penalty: on the squared slopes.
    """

    def __init__(self, z: np.ndarray, labels: np.ndarray, contrasts: np.ndarray, penalty: float) -> None:
        self.z, self.labels, self.contrasts, self.penalty = z, labels, contrasts, penalty
        self.shape = (len(contrasts), z.shape[1])
        self.ridge = np.full(self.shape, penalty)
        self.ridge[:, 0] = 0.0

    def objective(self, parts: Parts) -> Objective:
        """Its value and gradient without each of the folds of some parts."""
        rows, labels = torch.from_numpy(self.z), torch.from_numpy(self.labels)
        contrasts, ridge = torch.from_numpy(self.contrasts), torch.from_numpy(self.ridge)

        def value_and_slope(points: Tensor, live: Tensor) -> tuple[Tensor, Tensor]:
            weights = points.view(-1, *self.shape)
            value, slope = losses(rows, labels, parts.of(live), contrasts.T @ weights)
            pull = ridge * weights
            return value + 0.5 * (pull * weights).sum((1, 2)), (contrasts @ slope + pull).flatten(1)

        return value_and_slope

    def start(self, parts: Parts) -> Tensor:
        """Close to the optimum: L-BFGS, with the Hessian of even odds to precondition."""
        even = self.z.T @ self.z / len(self.contrasts.T) + np.diag(self.ridge[0])
        inverse = torch.from_numpy(cho_solve(cho_factor(even), np.eye(len(even))))
        tolerance = torch.full((1,), _NEAR * len(self.z), dtype=torch.float64)
        zero = torch.zeros(1, self.ridge.size, dtype=torch.float64)

        def precondition(vectors: Tensor, live: Tensor) -> Tensor:
            return (vectors.view(-1, *self.shape) @ inverse).flatten(1)

        return minimise(self.objective(parts), zero, precondition, tolerance, EVALUATIONS).points[0]


def _fit(problem: _Problem, start: np.ndarray | None, rest: np.ndarray) -> _Fit:
    """L-BFGS (where there is no start), then Newton until a step moves no logit by more than 1e-6.

    That step is taken still, and its successor would be in the order of the square. ``rest``: the samples to fit.
    """
    z, shape = problem.z[rest], problem.shape
    parts = _without(np.where(rest, 0, 1), np.array([1]))
    loss, one = problem.objective(parts), torch.tensor([0])

    def at(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = loss(torch.from_numpy(flat)[None], one)
        return float(value), slope[0].numpy()

    flat = problem.start(parts).numpy() if start is None else start.ravel()
    for _ in range(NEWTON_STEPS):
        prob = np.exp(log_softmax(z @ flat.reshape(shape).T @ problem.contrasts, axis=1))
        factor = cho_factor(_hessian(z, prob, problem.contrasts, problem.ridge), overwrite_a=True, check_finite=False)
        value, slope = at(flat)
        step = -cho_solve(factor, slope)
        if np.abs(z @ step.reshape(shape).T).max() <= 1e-6:
            flat = flat + step
            prob = np.exp(log_softmax(z @ flat.reshape(shape).T @ problem.contrasts, axis=1))
            return _Fit(flat.reshape(shape), prob, factor)
        length = 1.0
        while length > 1e-6 and at(flat + length * step)[0] > value + 1e-4 * length * (slope @ step):
            length /= 2
        flat = flat + length * step
    raise LearnerError(f"the logistic regression has not converged in {NEWTON_STEPS} steps: use a larger penalty")


def _without(units: np.ndarray, out: np.ndarray) -> Parts:
    """Parts that leave one unit out each."""
    codes = torch.from_numpy(units.astype(np.int32))[None]
    return Parts(codes, torch.zeros(len(out), dtype=torch.int64), torch.from_numpy(out.astype(np.int32)))


def _refine(
    problem: _Problem,
    units: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    inverse: np.ndarray,
    push: np.ndarray,
    left: np.ndarray,
) -> None:
    """Refit without each of some units, from where the Newton step went, with the whole Hessian to precondition.

    Args:
        problem: what is fitted.
        units: codes of samples left out together.
        rows: of the units, ``(unit, row)``.
        weights: of the whole fit.
        inverse: of its Hessian.
        push: of :class:`_Step`, ``(unit, row, contrast)``.
        left: the contrasts of each sample without its unit, ``(sample, contrast)``; those of the rows are replaced.
    """
    steer = torch.from_numpy(inverse)
    for first in range(0, len(rows), UNITS_A_CHUNK):
        at = np.arange(first, min(first + UNITS_A_CHUNK, len(rows)))
        moved = np.einsum("urk,urd->ukd", push[at], problem.z[rows[at]], optimize=True).reshape(len(at), -1) @ inverse
        found = minimise(
            problem.objective(_without(units, units[rows[at, 0]])),
            torch.from_numpy(weights.ravel() + moved),
            lambda vectors, _: vectors @ steer,
            torch.full((len(at),), _REFINED * problem.penalty, dtype=torch.float64),
            EVALUATIONS,
        )
        short = int((found.slope > _REFINED * problem.penalty).sum())
        if short:
            warnings.warn(
                f"{short} of {len(at)} refits without a unit have not converged in {found.evaluations} evaluations (largest "
                f"gradient {float(found.slope.max()):.1e}): use a larger penalty",
                HardsightWarning,
                stacklevel=4,
            )
        left[rows[at]] = np.einsum(
            "urd,ukd->urk", problem.z[rows[at]], found.points.numpy().reshape(-1, *problem.shape)
        )


def _hessian(z: np.ndarray, prob: np.ndarray, contrasts: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    many, width = ridge.shape
    hessian = np.empty((many, width, many, width))
    mean = prob @ contrasts.T
    for a in range(many):
        for b in range(a + 1):
            bend = prob @ (contrasts[a] * contrasts[b]) - mean[:, a] * mean[:, b]
            hessian[a, :, b] = (z * bend[:, None]).T @ z
            hessian[b, :, a] = hessian[a, :, b]
    flat = hessian.reshape(ridge.size, ridge.size)
    flat.flat[:: ridge.size + 1] += ridge.ravel()
    return flat


def _curvature(prob: np.ndarray, contrasts: np.ndarray) -> np.ndarray:
    """Second derivatives of samples' losses by their contrasts, ``(…, contrast, contrast)``."""
    mean = prob @ contrasts.T
    spread = (prob[..., None, :] * contrasts) @ contrasts.T
    found: np.ndarray = spread - mean[..., :, None] * mean[..., None, :]
    return found


class _Step(NamedTuple):
    """Both ``(unit, row, contrast)``.

    Attributes:
        shift: how far one Newton step without each unit moves its rows' contrasts.
        push: how hard the rows push the weights: those move by the inverse Hessian times the sum of pushes times rows.
    """

    shift: np.ndarray
    push: np.ndarray


def _step(z: np.ndarray, inverse: np.ndarray, curvature: np.ndarray, residual: np.ndarray) -> _Step:
    """One Newton step without each unit.

    Args:
        z: ``(unit, row, coefficient)``.
        inverse: of the Hessian.
        curvature: ``(unit, row, contrast, contrast)``.
        residual: probability less truth, in contrasts, ``(unit, row, contrast)``.
    """
    units, size, contrasts = residual.shape
    width = z.shape[2]
    blocks = inverse.reshape(contrasts, width, contrasts, width)
    lever = np.empty((units, size, contrasts, size, contrasts))
    for a in range(contrasts):
        for b in range(a + 1):
            through = (z.reshape(-1, width) @ blocks[a, :, b]).reshape(z.shape)
            lever[:, :, a, :, b] = np.einsum("uid,ujd->uij", through, z, optimize=size > 1)
            lever[:, :, b, :, a] = lever[:, :, a, :, b].transpose(0, 2, 1)
    flat = (units, size * contrasts, size * contrasts)
    bent = (curvature @ lever.reshape(units, size, contrasts, -1)).reshape(flat)
    push = np.linalg.solve(np.eye(flat[1]) - bent, residual.reshape(units, -1, 1))
    return _Step((lever.reshape(flat) @ push).reshape(residual.shape), push.reshape(residual.shape))


def _by_size(units: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of the units, ascending, all units of one size at a time: ``(unit, row)``."""
    order = np.argsort(units, kind="stable")
    size = np.bincount(units)[units[order]]
    for rows in np.unique(size):
        yield order[size == rows].reshape(-1, rows)


def _parts(rows: np.ndarray, numbers: int) -> Iterator[np.ndarray]:
    """The rows, as many at a time as a batch may hold where each takes some ``numbers``."""
    many = max(1, BATCH // max(numbers, 1))
    for start in range(0, len(rows), many):
        yield rows[start : start + many]


def _views(name: str, plan: Plan, tick: OnProgress, judge: Callable[[], Tensor]) -> Iterator[Predictions]:
    """One view of every sample a turn, the same each time, since nothing is drawn."""
    predictions: Tensor | None = None
    for turn in plan.repeat_indices:
        drawn = plan.rounds[turn]
        if not _one_out(drawn, plan.blocks):
            raise InputError(
                f"{name} judges every sample, or group, by the model fitted without it: use splits='loo' (--splits loo)"
            )
        predictions = judge() if predictions is None else predictions
        tick(drawn.n_models)
        yield Predictions(torch.arange(len(plan.blocks)), predictions, turn)


def _one_out(drawn: Round, units: np.ndarray) -> bool:
    pairs = np.unique(np.stack([drawn.fold, units]), axis=1)
    apart = [len(np.unique(codes)) for codes in (drawn.fold, units)]
    return bool(drawn.fold.min() >= 0) and apart == [pairs.shape[1]] * 2


def _positive(name: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise InputError(f"{name} must be above 0. Got {value}")
    return value
