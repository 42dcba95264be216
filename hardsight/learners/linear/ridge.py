"""Ridge and least squares, with every member's held-out prediction in closed form: exact, and nothing is refitted."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import cho_factor, cho_solve, solve
from scipy.optimize import minimize_scalar
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import InputError, LearnerError
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.resampling.plan import Plan, Round

_SINGULAR = (
    "the least squares of a training part have no single solution (more features than samples, or features that repeat "
    "each other): use a penalty above 0"
)


class Ridge:
    """Linear least squares with an L2 penalty on the slopes (the intercept goes free), judged in closed form.

    Features are scaled once, over all samples (missing values take the mean); given those, each held-out prediction is
    exactly that of a refit without the held-out part, folds and leave-one-out alike. Classes are one target a class, 0 or
    1; the scores become probabilities by a softmax with one scale, the one number that makes the round's held-out
    log-loss least. With weights of samples, of mean 1 over all samples, the fit is weighted least squares; scaling and the
    softmax's scale stay unweighted.

    Args:
        penalty: weight of the squared slopes, in units of samples; 0 gives least squares.

    Raises:
        InputError: a negative penalty.

    Hat-matrix shortcut: Allen 1974, *PRESS*; Golub, Heath & Wahba 1979.
    """

    # In-sample predictions need one solution per member, which held-out predictions do not.
    capabilities = Capabilities(takes_weights=True, predicts_in_sample=True)

    def __init__(self, penalty: float = 1.0) -> None:
        if not penalty >= 0:
            raise InputError(f"penalty must be 0 or more. Got {penalty}")
        self.penalty = penalty
        self.name = "ridge" if penalty else "least squares"

    def describe(self) -> str:
        """The recipe in a line."""
        return f"{self.name}, penalty {self.penalty:g}, closed form"

    def n_models(self, plan: Plan) -> int:
        """Models whose predictions are computed; none is fitted."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, tick: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        x = scaled(samples.matrix)
        targets = targets_of(samples)
        weights = None if samples.weights is None else samples.weights / samples.weights.mean()
        system = equations(x, targets, self.penalty, weights)
        for turn in plan.repeat_indices:
            drawn = plan.rounds[turn]
            rows = np.flatnonzero(drawn.fold >= 0)
            scores = held_out(system, drawn)[rows]
            scale = None if samples.regression else sharpness(scores, samples.labels[rows])
            tick(drawn.n_models)
            yield Predictions(torch.from_numpy(rows), _predictions(scores, scale), turn)
            if plan.in_sample:
                for seen, fitted in in_sample(system, drawn):
                    yield Predictions(torch.from_numpy(seen), _predictions(fitted, scale), turn, in_sample=True)


def _predictions(scores: np.ndarray, scale: float | None) -> Float64[Tensor, "row *class"]:
    """Log-probabilities at a scale of the scores; without one, the scores are the predicted targets."""
    found = torch.from_numpy(scores)
    return found[:, 0] if scale is None else (found * scale).log_softmax(1)


def targets_of(samples: Samples) -> np.ndarray:
    """What least squares fit, ``(sample, target)`` float64: one column a class, 0 or 1; the target itself in regression."""
    if samples.classes is None:
        return samples.labels[:, None]
    one_hot: np.ndarray = np.eye(len(samples.classes))[samples.labels]
    return one_hot


def scaled(matrix: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1, missing values 0, constant columns 0. ``(sample, feature)`` float64."""
    x = matrix.astype(np.float64)
    mean, sd = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    flat = sd <= 1e-7 * np.abs(mean)
    return np.nan_to_num(np.where(flat, 0.0, (x - mean) / np.where(flat, 1.0, sd)))


class Equations(NamedTuple):
    r"""The normal equations of ridge regression on all samples, $(Z^T W Z + R) B = Z^T W T$.

    Attributes:
        z: the features with a one before them, ``(sample, 1 + feature)``.
        weighted: the same times the weights.
        targets: ``(sample, target)``.
        gram: $Z^T W Z + R$.
        moment: $Z^T W T$.
    """

    z: np.ndarray
    weighted: np.ndarray
    targets: np.ndarray
    gram: np.ndarray
    moment: np.ndarray

    def without(self, rows: np.ndarray) -> np.ndarray:
        """The slopes of the fit that leaves some samples out, ``(1 + feature, target)``; LinAlgError where there is none."""
        part, pull = self.z[rows], self.weighted[rows]
        found: np.ndarray = solve(self.gram - pull.T @ part, self.moment - pull.T @ self.targets[rows], assume_a="pos")
        return found


def equations(x: np.ndarray, targets: np.ndarray, penalty: float, weights: np.ndarray | None = None) -> Equations:
    """The normal equations.

    Args:
        x: ``(sample, feature)``.
        targets: ``(sample, target)``.
        penalty: on the squared slopes; the intercept goes free.
        weights: of the squared residuals, ``(sample,)``; None: all 1.
    """
    z = np.column_stack([np.ones(len(x)), x])
    weighted = z if weights is None else z * weights[:, None]
    ridge = penalty * np.eye(z.shape[1])
    ridge[0, 0] = 0.0
    return Equations(z, weighted, targets, weighted.T @ z + ridge, weighted.T @ targets)


def held_out(system: Equations, drawn: Round) -> np.ndarray:
    r"""Predictions of every sample by the ridge fit that leaves its fold out, ``(sample, target)`` float64.

    With $H = Z (Z^T W Z + R)^{-1} Z^T W$ the hat matrix, of weights $W$ and penalty $R$, and $e$ the residuals of the one
    fit on all samples, the residuals of fold $F$ by the fit without it are $(I - H_{FF})^{-1} e_F$; for a fold of one,
    $e_i / (1 - h_{ii})$. Folds larger than the number of features are refitted on their Gram matrix taken off the whole
    one, which is the same and cheaper. Rows that no fold holds out are NaN.

    Args:
        system: of all samples.
        drawn: who holds out whom.

    Raises:
        LearnerError: the system is singular.
    """
    z, weighted, targets, gram, moment = system
    out = np.full(targets.shape, np.nan)
    try:
        factor = cho_factor(gram)
        if np.array_equal(np.sort(drawn.fold), np.arange(len(z))):
            hat = np.einsum("ij,ji->i", z, cho_solve(factor, weighted.T))
            fitted = z @ cho_solve(factor, moment)
            residual = (targets - fitted) / _room(1 - hat)[:, None]
            out[:] = targets - residual
            return out
        for rows in _folds(drawn):
            if len(rows) < z.shape[1]:
                hat = z[rows] @ cho_solve(factor, weighted[rows].T)
                residual = targets[rows] - z[rows] @ cho_solve(factor, moment)
                # Weights leave the hat matrix without its symmetry.
                form: Literal["pos", "gen"] = "pos" if weighted is z else "gen"
                out[rows] = targets[rows] - solve(np.eye(len(rows)) - hat, residual, assume_a=form)
            else:
                out[rows] = z[rows] @ system.without(rows)
    except np.linalg.LinAlgError:
        raise LearnerError(_SINGULAR) from None
    return out


def in_sample(system: Equations, drawn: Round) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every member the rows it was trained on, and what it says of them, ``(row, target)``; arguments as above.

    Raises:
        LearnerError: a system is singular.
    """
    for k, rows in enumerate(_folds(drawn)):
        seen = np.flatnonzero(drawn.fold != k)
        try:
            yield seen, system.z[seen] @ system.without(rows)
        except np.linalg.LinAlgError:
            raise LearnerError(_SINGULAR) from None


def _folds(drawn: Round) -> Iterator[np.ndarray]:
    order = np.argsort(drawn.fold, kind="stable")
    ends = np.searchsorted(drawn.fold[order], np.arange(drawn.n_models + 1))
    for start, end in pairwise(ends):
        yield order[start:end]


def _room(left: np.ndarray) -> np.ndarray:
    if (left <= 1e-12).any():
        raise np.linalg.LinAlgError
    return left


def probabilities(scores: np.ndarray, labels: np.ndarray) -> Float64[Tensor, "row class"]:
    """Log-probabilities: the softmax of the scores at their :func:`sharpness`."""
    return _predictions(scores, sharpness(scores, labels))


def sharpness(scores: np.ndarray, labels: np.ndarray) -> float:
    """The one scale of the scores at which the log-loss of the labels is least."""
    z, y = torch.from_numpy(scores), torch.from_numpy(labels)

    def loss(log_scale: float) -> float:
        return float(torch.nn.functional.cross_entropy(z * float(np.exp(log_scale)), y))

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 6.0), method="bounded").x))
