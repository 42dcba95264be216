"""Kernel ridge regression with exact leave-one-out predictions from one inverse."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotri
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import InputError, LearnerError
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.learners.leave_one_out.shared import batches, predict_repeats, rows_by_block_size
from hardsight.learners.linear.ridge import encode_targets, standardize, to_log_probabilities
from hardsight.resampling.plan import Plan
from hardsight.validation import check_range

# Memory grows with the square of the samples (0.8 GB here), time with the cube.
MAX_SAMPLES = 10_000


class KernelRidgeLeaveOneOut:
    r"""Kernel ridge regression, the mean of a Gaussian process, with exact leave-one-out residuals from one inverse.

    The kernel is $\exp(-\gamma \lVert x - x' \rVert^2)$ on features scaled once, over all samples (missing values take the
    mean); the intercept is not penalised. Classes are one target per class, 0 or 1; the scores become probabilities by a
    softmax with a single scale, the one that minimises the held-out log-loss. Time grows with the cube of the samples.

    Args:
        penalty: added to the kernel's diagonal: the noise variance, where the prior variance is 1.
        gamma: of the kernel; None: 1 / number of features.

    Raises:
        InputError: a penalty or gamma that is not above 0.

    Wahba 1990, *Spline models for observational data*, ch. 4; with the intercept: Cawley & Talbot 2004, *Fast exact
    leave-one-out cross-validation of sparse least-squares support vector machines*.
    """

    name = "kernel ridge leave-one-out"
    capabilities = Capabilities(leaves_one_out=True)

    def __init__(self, penalty: float = 1.0, gamma: float | None = None) -> None:
        self.penalty = check_range("penalty", penalty, 0, strict=(True, True))
        self.gamma = None if gamma is None else check_range("gamma", gamma, 0, strict=(True, True))

    def describe(self) -> str:
        """Return the recipe in one line."""
        gamma = "1/features" if self.gamma is None else f"{self.gamma:g}"
        return f"kernel ridge, Gaussian kernel, gamma {gamma}, penalty {self.penalty:g}, exact leave-one-out"

    def n_models(self, plan: Plan) -> int:
        """Return the number of models whose predictions are computed; one is fitted."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`.

        Raises:
            InputError: splits that are not leave-one-out, or too many samples.
            LearnerError: the system is singular.
        """
        return predict_repeats(self.name, plan, on_progress, lambda: self._predict(samples, plan.blocks))

    def _predict(self, samples: Samples, blocks: np.ndarray) -> Float64[Tensor, " sample *class"]:
        if len(samples) > MAX_SAMPLES:
            raise InputError(
                f"{self.name} takes time with the cube of the samples and stops at {MAX_SAMPLES:,}. Got {len(samples):,}: "
                "use knn-loo or ridge, or measure a part of the samples"
            )
        x = standardize(samples.matrix)
        gamma = 1 / max(x.shape[1], 1) if self.gamma is None else self.gamma
        scores = predict_kernel_ridge(x, encode_targets(samples), blocks, self.penalty, gamma)
        return torch.from_numpy(scores[:, 0]) if samples.regression else to_log_probabilities(scores, samples.labels)


def predict_kernel_ridge(x: np.ndarray, targets: np.ndarray, blocks: np.ndarray, penalty: float, gamma: float) -> np.ndarray:
    r"""Return predictions of every sample by the kernel ridge fit without its block, ``(sample, target)`` float64.

    With $G = K + \lambda I$ and $P = G^{-1} - G^{-1} 1 1^T G^{-1} / 1^T G^{-1} 1$, so that $\lambda P = I - H$ for the hat
    matrix $H$, the residuals of block $U$ by the fit without it are $(P_{UU})^{-1} (P y)_U$; for a block of one sample,
    $e_i / (1 - h_i)$.

    Args:
        x: ``(sample, feature)``.
        targets: ``(sample, target)``.
        blocks: codes of samples left out together, ``(sample,)``.

    Raises:
        LearnerError: the system is singular.
    """
    gram = rbf_kernel(x, gamma=gamma)
    gram.flat[:: len(x) + 1] += penalty
    # With a free intercept, subtracting the mean changes nothing but the rounding.
    centred = targets - targets.mean(axis=0)
    out = np.empty(targets.shape)
    try:
        # The transpose of a symmetric array is itself, in the order that LAPACK can overwrite.
        factor = cho_factor(gram.T, lower=True, overwrite_a=True, check_finite=False)
        ones = cho_solve(factor, np.ones(len(x)))
        coefficients = cho_solve(factor, centred)
        coefficients -= np.outer(ones, ones @ centred) / ones.sum()
        inverse = dpotri(factor[0], lower=1, overwrite_c=1)[0]
        for rows in rows_by_block_size(blocks):
            for batch in batches(rows, rows.shape[1] ** 2):
                # Only the lower triangle is filled; within a block rows ascend.
                block = np.tril(inverse[batch[:, :, None], batch[:, None, :]])
                block = block + np.tril(block, -1).transpose(0, 2, 1)
                block -= ones[batch][:, :, None] * ones[batch][:, None, :] / ones.sum()
                out[batch] = targets[batch] - np.linalg.solve(block, coefficients[batch])
    except np.linalg.LinAlgError:
        raise LearnerError("the kernel ridge has a singular system: use a larger penalty") from None
    return out
