r"""Train linear models by gradient flow, one per weighting, all from zero.

The loss is $\sum_i w_i \ell_i(\theta) + \lambda \|\theta\|^2 / 2$ with weights of sum one, $\ell$ the logistic loss of
two classes or the cross-entropy of more. One unit of time is one step of gradient descent with a learning rate of one.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.explanation.optimization.gradient_flow import FlowField, integrate
from hardsight.explanation.optimization.max_margin import Dual

TIMES = tuple(float(t) for t in np.logspace(-1, 6, 22))
# The default budget: about ten seconds of multiply-adds, as a number of gradients between the two limits.
_PRODUCTS, _MAX_GRADIENTS, _MIN_GRADIENTS = 3.5e10, 12_000, 500
# The share of samples below the reported margin quantile: a single wrong label can determine the smallest margin.
LOWER_QUANTILE = 0.1


class LinearProblem(NamedTuple):
    """Weighted losses of linear models, one run per weighting."""

    x: Float64[Tensor, "sample feature"]
    target: Float64[Tensor, "output sample"]  # one-hot classes, (class, sample); the signs of two classes, (1, sample)
    weights: Float64[Tensor, "run sample"]  # with sum one, (run, sample)
    decay: float  # lambda

    @classmethod
    def from_codes(
        cls,
        x: Float64[np.ndarray, "sample feature"],
        codes: Int64[np.ndarray, " sample"],
        weights: Float64[np.ndarray, "run sample"],
        decay: float = 0.0,
    ) -> "LinearProblem":
        """Return the problem of class codes 0, 1, …; the weights need not sum to one."""
        classes = int(codes.max()) + 1
        target = 2.0 * codes[None] - 1 if classes == 2 else np.eye(classes)[:, codes]
        normalised = weights / weights.sum(1, keepdims=True)
        return cls(torch.tensor(x), torch.tensor(target), torch.tensor(normalised), decay)

    def scores(self, theta: Float64[Tensor, "run output feature"]) -> Float64[Tensor, "run output sample"]:
        """Return the models' outputs."""
        return (theta.flatten(0, 1) @ self.x.T).view(*theta.shape[:2], -1)

    def weight_gradient(self, score_gradient: Float64[Tensor, "run output sample"]) -> Float64[Tensor, "run output feature"]:
        """Map the gradient in the scores to the gradient in the weights."""
        return (score_gradient.flatten(0, 1) @ self.x).view(*score_gradient.shape[:2], -1)

    def losses(self, scores: Float64[Tensor, "run output sample"]) -> Float64[Tensor, "run sample"]:
        """Return the loss of every sample."""
        if len(self.target) == 1:
            return torch.nn.functional.softplus(-scores * self.target).squeeze(1)
        return scores.logsumexp(1) - (scores * self.target).sum(1)

    def margins(self, scores: Float64[Tensor, "run output sample"]) -> Float64[Tensor, "run sample"]:
        """Return the own score minus the largest other; for two classes, score times sign."""
        if len(self.target) == 1:
            return (scores * self.target).squeeze(1)
        return (scores * self.target).sum(1) - scores.masked_fill(self.target > 0, -torch.inf).amax(1)

    def negative_gradient(self, theta: Float64[Tensor, "run output feature"]) -> Float64[Tensor, "run output feature"]:
        """Return the negative gradient."""
        scores = self.scores(theta)
        if len(self.target) == 1:
            residual = self.target * torch.sigmoid(-scores * self.target)
        else:
            residual = self.target - scores.softmax(1)
        return self.weight_gradient(residual.mul_(self.weights[:, None])).sub_(self.decay * theta)

    def hessian_product(
        self, theta: Float64[Tensor, "run output feature"], vector: Float64[Tensor, "run output feature"]
    ) -> Float64[Tensor, "run output feature"]:
        """Return the Hessian times a vector."""
        scores, score_change = self.scores(theta), self.scores(vector)
        if len(self.target) == 1:
            p = scores.sigmoid()
            score_gradient = p * (1 - p) * score_change
        else:
            p = scores.softmax(1)
            score_gradient = p * (score_change - (p * score_change).sum(1, keepdim=True))
        return self.weight_gradient(score_gradient.mul_(self.weights[:, None])).add_(self.decay * vector)


def follow_linear_models(
    problem: LinearProblem, names: Sequence[str], dual: Dual, *, times: Sequence[float] = TIMES, budget: int | None = None
) -> pd.DataFrame:
    """Train one linear model per weighting; return one row per time and weighting.

    Columns: ``time``; ``weights``; ``loss``, the unweighted mean training loss, and ``weighted_loss``, the objective of
    this run (without the decay); ``wrong``, the share of misclassified samples; ``norm`` of the weights; ``margin``,
    the smallest margin over the norm, and ``margin_tenth``, its 10 % quantile over the samples; ``angle``, in degrees,
    to the direction of ``dual``, and ``angle_uniform``, to the run called "uniform".

    Times that the ``budget`` of gradients does not reach are left out; None: as many gradients as take about ten seconds.
    """
    theta = torch.zeros(len(problem.weights), len(problem.target), problem.x.shape[1], dtype=torch.float64)
    if budget is None:
        budget = int(min(max(_PRODUCTS / (theta.numel() * len(problem.x)), _MIN_GRADIENTS), _MAX_GRADIENTS))
    states = zip(
        times, integrate(FlowField(problem.negative_gradient, problem.hessian_product), theta, times, budget), strict=False
    )
    return pd.DataFrame([row for time, theta in states for row in _rows(problem, names, dual, time, theta)])


def _rows(problem: LinearProblem, names: Sequence[str], dual: Dual, time: float, theta: Tensor) -> Iterator[dict]:
    scores = problem.scores(theta)
    losses, margins = problem.losses(scores), problem.margins(scores)
    weights = theta.numpy() if len(problem.target) > 1 else theta[:, 0].numpy()
    norms = np.linalg.norm(weights.reshape(len(names), -1), axis=1)
    uniform = weights[names.index("uniform")] if "uniform" in names else None
    for k, name in enumerate(names):
        scaled = margins[k].numpy() / norms[k]
        yield {
            "time": time,
            "weights": name,
            "loss": float(losses[k].mean()),
            "weighted_loss": float(losses[k] @ problem.weights[k]),
            "wrong": float((scaled <= 0).mean()),
            "norm": float(norms[k]),
            "margin": float(scaled.min()),
            "margin_tenth": float(np.quantile(scaled, LOWER_QUANTILE)),
            "angle": dual.angle(weights[k]),
            "angle_uniform": float("nan") if uniform is None else angle_between(weights[k], uniform),
        }


def angle_between(one: np.ndarray, other: np.ndarray) -> float:
    """Return the angle between two arrays of weights, in degrees."""
    a, b = one / np.linalg.norm(one), other / np.linalg.norm(other)
    # The arc cosine loses all digits near zero degrees.
    return float(2 * np.degrees(np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))))
