"""Logistic regression with leave-one-out predictions from one fit, refitted where the approximation is poor."""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import cho_factor, cho_solve, helmert
from scipy.special import log_softmax
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import HardsightWarning, InputError, LearnerError
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.learners.leave_one_out.shared import batches, predict_repeats, rows_by_block_size
from hardsight.learners.linear.lbfgs import Objective, minimize
from hardsight.learners.linear.ridge import standardize
from hardsight.learners.linear.softmax import TrainingParts, losses_and_gradients
from hardsight.resampling.plan import Plan
from hardsight.validation import check_range

# Largest number of unknowns, (features + 1) x (classes - 1): memory grows with its square, time with its cube.
MAX_UNKNOWNS = 8_000
NEWTON_STEPS = 100
EVALUATIONS = 1_000
# A block whose Newton step moves a logit further than this is refitted.
REFIT_THRESHOLD = 0.3
# Refits done at once: for each of them L-BFGS holds a few dozen times the unknowns.
REFIT_BATCH = 64
# Tolerance on the gradient of the mean loss where Newton takes over; that of refits, in units of the penalty.
_NEWTON_START, _REFIT_TOLERANCE = 1e-5, 1e-4


class LogisticLeaveOneOut:
    r"""Multinomial logistic regression, with every sample's logits by the fit without it approximated from one fit.

    The fit minimises $\sum_i -\log p_i(y_i) + \tfrac{\lambda}{2} \lVert W \rVert^2$, to convergence in float64; intercepts
    are not penalised. Logits are written in classes - 1 orthonormal contrasts, because at the optimum every feature's slopes
    sum to 0 over the classes: this changes no fit, and leaves no direction in which the Hessian is singular. Leaving block
    $U$ out is one Newton step from the whole fit, on the Hessian without $U$:

    $$u_{-U} = u_U + M (I - B M)^{-1} (p_U - y_U), \qquad M = V_U H^{-1} V_U^T$$

    with $V_U$ the block's rows, one per contrast, and $B$ the second derivatives of its own losses. Blocks with more rows
    than there are coefficients per contrast are refitted exactly, starting at the whole fit.

    The step is too short for the blocks with the most influence on the fit, the more so the smaller the penalty. How far it
    moves their own logits tells which. Blocks that it moves by more than 0.3 are refitted exactly, many at a time, by L-BFGS
    from where the step ended.

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
    capabilities = Capabilities(leaves_one_out=True)

    def __init__(self, penalty: float = 10.0) -> None:
        self.penalty = check_range("penalty", penalty, 0, strict=(True, True))

    def describe(self) -> str:
        """Return the recipe in one line."""
        return (
            f"multinomial logistic regression, penalty {self.penalty:g}, leave-one-out by one Newton step, "
            f"and by refits where that moves a logit by more than {REFIT_THRESHOLD:g}"
        )

    def n_models(self, plan: Plan) -> int:
        """Return the number of models whose predictions are computed; one is fitted."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`.

        Raises:
            InputError: numbers to predict, splits that are not leave-one-out, or too many features times classes.
            LearnerError: the fit does not converge.
        """
        return predict_repeats(self.name, plan, on_progress, lambda: self._predict(samples, plan.blocks))

    def _predict(self, samples: Samples, blocks: np.ndarray) -> Float64[Tensor, "sample class"]:
        if samples.classes is None:
            raise InputError(
                f"{self.name} is a classifier, and the labels are numbers to predict: use ridge, knn-loo or kernel-loo"
            )
        x = samples.matrix
        unknowns = (x.shape[1] + 1) * (len(samples.classes) - 1)
        if unknowns > MAX_UNKNOWNS:
            raise InputError(
                f"{self.name} solves for (features + 1) x (classes - 1) = {unknowns:,} unknowns at once, and stops at "
                f"{MAX_UNKNOWNS:,}: reduce the features (PCA), or use ridge or logistic"
            )
        return torch.from_numpy(predict_logistic(standardize(x), samples.labels, blocks, self.penalty))


def predict_logistic(x: np.ndarray, labels: np.ndarray, blocks: np.ndarray, penalty: float) -> np.ndarray:
    """Return log-probabilities of every sample by the logistic regression without its block, ``(sample, class)`` float64.

    Args:
        x: ``(sample, feature)`` float64, scaled.
        labels: codes 0 … C-1, ``(sample,)``; every class has samples outside every block.
        blocks: codes of samples left out together, ``(sample,)``.

    Raises:
        LearnerError: the fit does not converge.
    """
    z = np.column_stack([np.ones(len(x)), x])
    problem = _Problem(z, labels, helmert(int(labels.max()) + 1), penalty)
    try:
        logits = _logits_without_blocks(problem, blocks)
    except np.linalg.LinAlgError:
        raise LearnerError("the logistic regression has a singular Hessian: use a larger penalty") from None
    log_prob: np.ndarray = log_softmax(logits @ problem.contrasts, axis=1)
    return log_prob


def _logits_without_blocks(problem: "_Problem", blocks: np.ndarray) -> np.ndarray:
    """Return every sample's logits without its block, in contrasts, ``(sample, contrast)``."""
    z, contrasts = problem.z, problem.contrasts
    fit = _fit(problem, None, np.ones(len(z), dtype=bool))
    logits: np.ndarray = z @ fit.weights.T
    inverse = cho_solve(fit.factor, np.eye(fit.weights.size))
    residual = (fit.prob - np.eye(len(fit.prob.T))[problem.labels]) @ contrasts.T
    for rows in rows_by_block_size(blocks):
        size = rows.shape[1]
        if size >= z.shape[1]:
            for block in rows:
                rest = np.ones(len(z), dtype=bool)
                rest[block] = False
                logits[block] = z[block] @ _fit(problem, fit.weights, rest).weights.T
            continue
        for batch in batches(rows, max((size * len(contrasts)) ** 2, size * z.shape[1])):
            step = _newton_step(z[batch], inverse, _curvature(fit.prob[batch], contrasts), residual[batch])
            logits[batch] += step.shift
            far = np.abs(step.shift).max(axis=(1, 2)) > REFIT_THRESHOLD
            _refit(problem, blocks, batch[far], fit.weights, inverse, step.push[far], logits)
    return logits


class _Fit(NamedTuple):
    """A fit: ``weights`` ``(contrast, coefficient)``, ``prob`` ``(sample, class)``, and the Hessian's Cholesky factor."""

    weights: np.ndarray
    prob: np.ndarray
    factor: Any


class _Problem:
    """The objective of the logistic regression on any part of the samples; unknowns are ``(contrast, coefficient)``.

    Args:
        z: ``(sample, coefficient)``, the first of them 1.
        contrasts: ``(contrast, class)``, orthonormal, each with sum 0.
    """

    def __init__(self, z: np.ndarray, labels: np.ndarray, contrasts: np.ndarray, penalty: float) -> None:
        self.z, self.labels, self.contrasts, self.penalty = z, labels, contrasts, penalty
        self.shape = (len(contrasts), z.shape[1])
        self.ridge = np.full(self.shape, penalty)
        self.ridge[:, 0] = 0.0

    def objective(self, parts: TrainingParts) -> Objective:
        """Return the function of values and gradients on some training parts."""
        rows, labels = torch.from_numpy(self.z), torch.from_numpy(self.labels)
        contrasts, ridge = torch.from_numpy(self.contrasts), torch.from_numpy(self.ridge)

        def evaluate(points: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
            weights = points.view(-1, *self.shape)
            value, gradient = losses_and_gradients(rows, labels, parts.select(active), contrasts.T @ weights)
            pull = ridge * weights
            return value + 0.5 * (pull * weights).sum((1, 2)), (contrasts @ gradient + pull).flatten(1)

        return evaluate

    def starting_point(self, parts: TrainingParts) -> Tensor:
        """Return a point near the optimum by L-BFGS, preconditioned with the Hessian of equal probabilities."""
        equal = self.z.T @ self.z / len(self.contrasts.T) + np.diag(self.ridge[0])
        inverse = torch.from_numpy(cho_solve(cho_factor(equal), np.eye(len(equal))))
        tolerance = torch.full((1,), _NEWTON_START * len(self.z), dtype=torch.float64)
        zero = torch.zeros(1, self.ridge.size, dtype=torch.float64)

        def precondition(vectors: Tensor, active: Tensor) -> Tensor:
            return (vectors.view(-1, *self.shape) @ inverse).flatten(1)

        return minimize(self.objective(parts), zero, precondition, tolerance, EVALUATIONS).points[0]


def _fit(problem: _Problem, start: np.ndarray | None, rest: np.ndarray) -> _Fit:
    """Fit by L-BFGS (if there is no start), then by Newton's method until a step moves no logit by more than 1e-6.

    That step is still taken; the next would be in the order of its square.

    Args:
        rest: mask of the samples to fit, ``(sample,)``.
    """
    z, shape = problem.z[rest], problem.shape
    parts = _leave_out(np.where(rest, 0, 1), np.array([1]))
    objective, only = problem.objective(parts), torch.tensor([0])

    def evaluate(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(torch.from_numpy(point)[None], only)
        return float(value), gradient[0].numpy()

    def probabilities(point: np.ndarray) -> np.ndarray:
        prob: np.ndarray = np.exp(log_softmax(z @ point.reshape(shape).T @ problem.contrasts, axis=1))
        return prob

    point = problem.starting_point(parts).numpy() if start is None else start.ravel()
    for _ in range(NEWTON_STEPS):
        hessian = _hessian(z, probabilities(point), problem.contrasts, problem.ridge)
        factor = cho_factor(hessian, overwrite_a=True, check_finite=False)
        value, gradient = evaluate(point)
        step = -cho_solve(factor, gradient)
        if np.abs(z @ step.reshape(shape).T).max() <= 1e-6:
            point = point + step
            return _Fit(point.reshape(shape), probabilities(point), factor)
        length = 1.0
        while length > 1e-6 and evaluate(point + length * step)[0] > value + 1e-4 * length * (gradient @ step):
            length /= 2
        point = point + length * step
    raise LearnerError(f"the logistic regression has not converged in {NEWTON_STEPS} steps: use a larger penalty")


def _leave_out(blocks: np.ndarray, left_out: np.ndarray) -> TrainingParts:
    """Return training parts that leave one block out each."""
    codes = torch.from_numpy(blocks.astype(np.int32))[None]
    return TrainingParts(codes, torch.zeros(len(left_out), dtype=torch.int64), torch.from_numpy(left_out.astype(np.int32)))


def _refit(
    problem: _Problem,
    blocks: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    inverse: np.ndarray,
    push: np.ndarray,
    logits: np.ndarray,
) -> None:
    """Refit without each of some blocks, starting where the Newton step ended, preconditioned with the whole Hessian.

    Args:
        rows: of the blocks to leave out, ``(block, row)``.
        weights: of the whole fit.
        inverse: of its Hessian.
        push: of :class:`_Step`, ``(block, row, contrast)``.
        logits: of each sample without its block, ``(sample, contrast)``; those of ``rows`` are replaced.
    """
    preconditioner = torch.from_numpy(inverse)
    for first in range(0, len(rows), REFIT_BATCH):
        batch = np.arange(first, min(first + REFIT_BATCH, len(rows)))
        z = problem.z[rows[batch]]
        moved = np.einsum("urk,urd->ukd", push[batch], z, optimize=True).reshape(len(batch), -1) @ inverse
        result = minimize(
            problem.objective(_leave_out(blocks, blocks[rows[batch, 0]])),
            torch.from_numpy(weights.ravel() + moved),
            lambda vectors, _: vectors @ preconditioner,
            torch.full((len(batch),), _REFIT_TOLERANCE * problem.penalty, dtype=torch.float64),
            EVALUATIONS,
        )
        unfinished = int((result.max_gradient > _REFIT_TOLERANCE * problem.penalty).sum())
        if unfinished:
            warnings.warn(
                f"{unfinished} of {len(batch)} leave-one-out refits have not converged in {result.evaluations} evaluations "
                f"(largest gradient {float(result.max_gradient.max()):.1e}): use a larger penalty",
                HardsightWarning,
                stacklevel=5,
            )
        logits[rows[batch]] = np.einsum("urd,ukd->urk", z, result.points.numpy().reshape(-1, *problem.shape))


def _hessian(z: np.ndarray, prob: np.ndarray, contrasts: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    count, width = ridge.shape
    hessian = np.empty((count, width, count, width))
    mean = prob @ contrasts.T
    for a in range(count):
        for b in range(a + 1):
            curvature = prob @ (contrasts[a] * contrasts[b]) - mean[:, a] * mean[:, b]
            hessian[a, :, b] = (z * curvature[:, None]).T @ z
            hessian[b, :, a] = hessian[a, :, b]
    flat = hessian.reshape(ridge.size, ridge.size)
    flat.flat[:: ridge.size + 1] += ridge.ravel()
    return flat


def _curvature(prob: np.ndarray, contrasts: np.ndarray) -> np.ndarray:
    """Return the second derivatives of samples' losses by their contrasts, ``(…, contrast, contrast)``."""
    mean = prob @ contrasts.T
    second_moment = (prob[..., None, :] * contrasts) @ contrasts.T
    curvature: np.ndarray = second_moment - mean[..., :, None] * mean[..., None, :]
    return curvature


class _Step(NamedTuple):
    """One Newton step without each block; both are ``(block, row, contrast)``."""

    shift: np.ndarray  # how far the step moves the logits of the block's rows
    push: np.ndarray  # the weights move by the inverse Hessian times the sum of push times the rows


def _newton_step(z: np.ndarray, inverse: np.ndarray, curvature: np.ndarray, residual: np.ndarray) -> _Step:
    """Compute one Newton step without each block.

    Args:
        z: ``(block, row, coefficient)``.
        inverse: of the Hessian.
        curvature: ``(block, row, contrast, contrast)``.
        residual: probability minus one-hot label, in contrasts, ``(block, row, contrast)``.
    """
    count, size, contrasts = residual.shape
    width = z.shape[2]
    inverse_blocks = inverse.reshape(contrasts, width, contrasts, width)
    leverage = np.empty((count, size, contrasts, size, contrasts))
    for a in range(contrasts):
        for b in range(a + 1):
            product = (z.reshape(-1, width) @ inverse_blocks[a, :, b]).reshape(z.shape)
            leverage[:, :, a, :, b] = np.einsum("uid,ujd->uij", product, z, optimize=size > 1)
            leverage[:, :, b, :, a] = leverage[:, :, a, :, b].transpose(0, 2, 1)
    flat = (count, size * contrasts, size * contrasts)
    weighted = (curvature @ leverage.reshape(count, size, contrasts, -1)).reshape(flat)
    push = np.linalg.solve(np.eye(flat[1]) - weighted, residual.reshape(count, -1, 1))
    return _Step((leverage.reshape(flat) @ push).reshape(residual.shape), push.reshape(residual.shape))
