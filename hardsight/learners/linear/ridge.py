"""Ridge and least squares with every member's held-out predictions in closed form: exact, without refits."""

import copy
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
from hardsight.errors import LearnerError
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.resampling.plan import Plan, Round
from hardsight.validation import check_range

_SINGULAR = (
    "the least squares of a training part have no single solution (more features than samples, or features that repeat "
    "each other): use a penalty above 0"
)


class Ridge:
    """Linear least squares with an L2 penalty on the slopes (not on the intercept), with predictions in closed form.

    Features are scaled once, over all samples (missing values take the mean). Given those, each held-out prediction is
    exactly that of a refit without the held-out part, for folds and leave-one-out alike. Classes are one target per class,
    0 or 1; the scores become probabilities by a softmax with a single scale, the one that minimises the held-out log-loss of
    the repeat. With weights of samples, of mean 1 over all samples, the fit is weighted least squares; scaling and the
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
        self.penalty = check_range("penalty", penalty, 0)
        self.name = "ridge" if penalty else "least squares"
        self._scale: float | None = None

    def describe(self) -> str:
        """Return the recipe in one line."""
        return f"{self.name}, penalty {self.penalty:g}, closed form"

    def with_scale(self, samples: Samples) -> "Ridge":
        """Return the same recipe with the scale of its probabilities fixed, by leave-one-out predictions of these samples.

        Otherwise the labels of the samples that a repeat holds out decide the scale, which samples without a label cannot.
        """
        other = copy.copy(self)
        if not samples.regression:
            system = self._system(samples)
            scores = predict_held_out(system, Round(np.arange(len(samples), dtype=np.int32), len(samples)))
            other._scale = fit_scale(scores, samples.labels)
        return other

    def _system(self, samples: Samples) -> "NormalEquations":
        weights = None if samples.weights is None else samples.weights / samples.weights.mean()
        return normal_equations(standardize(samples.matrix), encode_targets(samples), self.penalty, weights)

    def n_models(self, plan: Plan) -> int:
        """Return the number of models whose predictions are computed; none is fitted."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        system = self._system(samples)
        for repeat in plan.repeat_indices:
            assignment = plan.rounds[repeat]
            rows = np.flatnonzero(assignment.fold >= 0)
            scores = predict_held_out(system, assignment)[rows]
            scale = self._scale
            if scale is None and not samples.regression:
                scale = fit_scale(scores, samples.labels[rows])
            on_progress(assignment.n_models)
            yield Predictions(torch.from_numpy(rows), _apply_scale(scores, scale), repeat)
            if plan.in_sample:
                for train, fitted in predict_in_sample(system, assignment):
                    yield Predictions(torch.from_numpy(train), _apply_scale(fitted, scale), repeat, in_sample=True)


def _apply_scale(scores: np.ndarray, scale: float | None) -> Float64[Tensor, "row *class"]:
    """Return log-probabilities at a scale of the scores; without one, the scores as predicted targets."""
    values = torch.from_numpy(scores)
    return values[:, 0] if scale is None else (values * scale).log_softmax(1)


def encode_targets(samples: Samples) -> np.ndarray:
    """Return the targets of least squares, ``(sample, target)`` float64: one-hot classes; the target in regression."""
    if samples.classes is None:
        return samples.labels[:, None]
    one_hot: np.ndarray = np.eye(len(samples.classes))[samples.labels]
    return one_hot


def standardize(matrix: np.ndarray) -> np.ndarray:
    """Scale columns to mean 0 and standard deviation 1, ``(sample, feature)`` float64.

    Missing values and constant columns become 0.
    """
    x = matrix.astype(np.float64)
    mean, sd = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    constant = sd <= 1e-7 * np.abs(mean)
    return np.nan_to_num(np.where(constant, 0.0, (x - mean) / np.where(constant, 1.0, sd)))


class NormalEquations(NamedTuple):
    r"""The normal equations of ridge regression on all samples, $(Z^T W Z + R) B = Z^T W T$."""

    z: np.ndarray  # the features with a column of ones before them, (sample, 1 + feature)
    weighted: np.ndarray  # z times the weights
    targets: np.ndarray  # (sample, target)
    gram: np.ndarray  # $Z^T W Z + R$
    moment: np.ndarray  # $Z^T W T$

    def solve_without(self, rows: np.ndarray) -> np.ndarray:
        """Return the coefficients of the fit that leaves some samples out, ``(1 + feature, target)``.

        Raises:
            LinAlgError: there is no single solution.
        """
        z, weighted = self.z[rows], self.weighted[rows]
        coefficients: np.ndarray = solve(
            self.gram - weighted.T @ z, self.moment - weighted.T @ self.targets[rows], assume_a="pos"
        )
        return coefficients


def normal_equations(
    x: np.ndarray, targets: np.ndarray, penalty: float, weights: np.ndarray | None = None
) -> NormalEquations:
    """Build the normal equations.

    Args:
        x: ``(sample, feature)``.
        targets: ``(sample, target)``.
        weights: of the squared residuals, ``(sample,)``; None: all 1.
    """
    z = np.column_stack([np.ones(len(x)), x])
    weighted = z if weights is None else z * weights[:, None]
    ridge = penalty * np.eye(z.shape[1])
    ridge[0, 0] = 0.0
    return NormalEquations(z, weighted, targets, weighted.T @ z + ridge, weighted.T @ targets)


def predict_held_out(system: NormalEquations, assignment: Round) -> np.ndarray:
    r"""Return predictions of every sample by the ridge fit that leaves its fold out, ``(sample, target)`` float64.

    With $H = Z (Z^T W Z + R)^{-1} Z^T W$ the hat matrix, of weights $W$ and penalty $R$, and $e$ the residuals of the one
    fit on all samples, the residuals of fold $F$ by the fit without it are $(I - H_{FF})^{-1} e_F$; for a fold of one,
    $e_i / (1 - h_{ii})$. Folds with more samples than features are refitted on their Gram matrix subtracted from the whole
    one, which is the same and cheaper. Rows that no fold holds out are NaN.

    Args:
        assignment: the fold that holds out each sample.

    Raises:
        LearnerError: the system is singular.
    """
    z, weighted, targets, gram, moment = system
    out = np.full(targets.shape, np.nan)
    try:
        factor = cho_factor(gram)
        if np.array_equal(np.sort(assignment.fold), np.arange(len(z))):
            leverage = np.einsum("ij,ji->i", z, cho_solve(factor, weighted.T))
            fitted = z @ cho_solve(factor, moment)
            residual = (targets - fitted) / _check_positive(1 - leverage)[:, None]
            out[:] = targets - residual
            return out
        for rows in _folds(assignment):
            if len(rows) < z.shape[1]:
                hat = z[rows] @ cho_solve(factor, weighted[rows].T)
                residual = targets[rows] - z[rows] @ cho_solve(factor, moment)
                # With weights the hat matrix is not symmetric.
                form: Literal["pos", "gen"] = "pos" if weighted is z else "gen"
                out[rows] = targets[rows] - solve(np.eye(len(rows)) - hat, residual, assume_a=form)
            else:
                out[rows] = z[rows] @ system.solve_without(rows)
    except np.linalg.LinAlgError:
        raise LearnerError(_SINGULAR) from None
    return out


def predict_in_sample(system: NormalEquations, assignment: Round) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the training rows of every member, and its predictions for them, ``(row, target)``.

    Raises:
        LearnerError: a system is singular.
    """
    for fold, rows in enumerate(_folds(assignment)):
        train = np.flatnonzero(assignment.fold != fold)
        try:
            yield train, system.z[train] @ system.solve_without(rows)
        except np.linalg.LinAlgError:
            raise LearnerError(_SINGULAR) from None


def _folds(assignment: Round) -> Iterator[np.ndarray]:
    order = np.argsort(assignment.fold, kind="stable")
    ends = np.searchsorted(assignment.fold[order], np.arange(assignment.n_models + 1))
    for start, end in pairwise(ends):
        yield order[start:end]


def _check_positive(values: np.ndarray) -> np.ndarray:
    if (values <= 1e-12).any():
        raise np.linalg.LinAlgError
    return values


def to_log_probabilities(scores: np.ndarray, labels: np.ndarray) -> Float64[Tensor, "row class"]:
    """Return the log-softmax of the scores at the scale of :func:`fit_scale`."""
    return _apply_scale(scores, fit_scale(scores, labels))


def fit_scale(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the single scale of the scores that minimises the log-loss of the labels."""
    z, y = torch.from_numpy(scores), torch.from_numpy(labels)

    def loss(log_scale: float) -> float:
        return float(torch.nn.functional.cross_entropy(z * float(np.exp(log_scale)), y))

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 6.0), method="bounded").x))
