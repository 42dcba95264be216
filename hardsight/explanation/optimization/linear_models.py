r"""Linear models by gradient flow, one for each weighting, from the same start: zero.

The loss is $\sum_i w_i \ell_i(\theta) + \lambda \|\theta\|^2 / 2$ with weights of sum one, $\ell$ the logistic loss of two
classes or the cross-entropy of more. One unit of time is one step of gradient descent at a learning rate of one.
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
# Multiplications of weights by features, some ten seconds' worth, and the gradients that they are at most and at least.
_PRODUCTS, _MOST, _LEAST = 3.5e10, 12_000, 500
# A share of samples whose margins are left aside, since one wrong label can make the smallest margin what it is.
LOWER_QUANTILE = 0.1


class LinearProblem(NamedTuple):
    """Weighted losses of linear models, a run a weighting.

    Attributes:
        x: ``(sample, feature)``.
        target: 1 at a sample's class, else 0, ``(class, sample)``; the signs of two classes, ``(1, sample)``.
        weights: of sum one, ``(run, sample)``.
        decay: lambda.
    """

    x: Float64[Tensor, "sample feature"]
    target: Float64[Tensor, "output sample"]
    weights: Float64[Tensor, "run sample"]
    decay: float

    @classmethod
    def of(
        cls,
        x: Float64[np.ndarray, "sample feature"],
        codes: Int64[np.ndarray, " sample"],
        weights: Float64[np.ndarray, "run sample"],
        decay: float = 0.0,
    ) -> "LinearProblem":
        """Of class codes 0, 1, …; the weights need not have sum one."""
        classes = int(codes.max()) + 1
        target = 2.0 * codes[None] - 1 if classes == 2 else np.eye(classes)[:, codes]
        share = weights / weights.sum(1, keepdims=True)
        return cls(torch.tensor(x), torch.tensor(target), torch.tensor(share), decay)

    def scores(self, theta: Float64[Tensor, "run output feature"]) -> Float64[Tensor, "run output sample"]:
        """The models' outputs."""
        return (theta.flatten(0, 1) @ self.x.T).view(*theta.shape[:2], -1)

    def pulled(self, back: Float64[Tensor, "run output sample"]) -> Float64[Tensor, "run output feature"]:
        """From the slopes of the scores to those of the weights."""
        return (back.flatten(0, 1) @ self.x).view(*back.shape[:2], -1)

    def losses(self, scores: Float64[Tensor, "run output sample"]) -> Float64[Tensor, "run sample"]:
        """Of every sample."""
        if len(self.target) == 1:
            return torch.nn.functional.softplus(-scores * self.target).squeeze(1)
        return scores.logsumexp(1) - (scores * self.target).sum(1)

    def margins(self, scores: Float64[Tensor, "run output sample"]) -> Float64[Tensor, "run sample"]:
        """Own score less the largest other; of two classes, score times sign."""
        if len(self.target) == 1:
            return (scores * self.target).squeeze(1)
        return (scores * self.target).sum(1) - scores.masked_fill(self.target > 0, -torch.inf).amax(1)

    def down(self, theta: Float64[Tensor, "run output feature"]) -> Float64[Tensor, "run output feature"]:
        """The negative gradient."""
        scores = self.scores(theta)
        if len(self.target) == 1:
            off = self.target * torch.sigmoid(-scores * self.target)
        else:
            off = self.target - scores.softmax(1)
        return self.pulled(off.mul_(self.weights[:, None])).sub_(self.decay * theta)

    def curved(
        self, theta: Float64[Tensor, "run output feature"], by: Float64[Tensor, "run output feature"]
    ) -> Float64[Tensor, "run output feature"]:
        """The Hessian times a vector."""
        scores, turned = self.scores(theta), self.scores(by)
        if len(self.target) == 1:
            p = scores.sigmoid()
            back = p * (1 - p) * turned
        else:
            p = scores.softmax(1)
            back = p * (turned - (p * turned).sum(1, keepdim=True))
        return self.pulled(back.mul_(self.weights[:, None])).add_(self.decay * by)


def follow_linear_models(
    problem: LinearProblem,
    names: Sequence[str],
    dual: Dual,
    *,
    times: Sequence[float] = TIMES,
    budget: int | None = None,
) -> pd.DataFrame:
    """What becomes of each weighting over time, a row a time and weighting.

    Columns: ``time``; ``weights``; ``loss``, the mean training loss, unweighted, and ``weighted_loss``, what this run makes
    least (without the decay); ``wrong``, the share of samples on the wrong side; ``norm`` of the weights; ``margin``, the
    smallest one over the norm, and ``margin_tenth``, that which a tenth of the samples fall below; ``angle``, in degrees, to
    the direction of ``dual``, and ``angle_uniform``, to the run called "uniform".

    Times that the ``budget`` of gradients does not reach are left out; None: as many as take some ten seconds.
    """
    theta = torch.zeros(len(problem.weights), len(problem.target), problem.x.shape[1], dtype=torch.float64)
    if budget is None:
        budget = int(min(max(_PRODUCTS / (theta.numel() * len(problem.x)), _LEAST), _MOST))
    reached = zip(times, integrate(FlowField(problem.down, problem.curved), theta, times, budget), strict=False)
    return pd.DataFrame([row for time, at in reached for row in _rows(problem, names, dual, time, at)])


def _rows(problem: LinearProblem, names: Sequence[str], dual: Dual, time: float, theta: Tensor) -> Iterator[dict]:
    scores = problem.scores(theta)
    losses, margins = problem.losses(scores), problem.margins(scores)
    weights = theta.numpy() if len(problem.target) > 1 else theta[:, 0].numpy()
    norms = np.linalg.norm(weights.reshape(len(names), -1), axis=1)
    uniform = weights[names.index("uniform")] if "uniform" in names else None
    for k, name in enumerate(names):
        own = margins[k].numpy() / norms[k]
        yield {
            "time": time,
            "weights": name,
            "loss": float(losses[k].mean()),
            "weighted_loss": float(losses[k] @ problem.weights[k]),
            "wrong": float((own <= 0).mean()),
            "norm": float(norms[k]),
            "margin": float(own.min()),
            "margin_tenth": float(np.quantile(own, LOWER_QUANTILE)),
            "angle": dual.angle(weights[k]),
            "angle_uniform": float("nan") if uniform is None else angle_between(weights[k], uniform),
        }


def angle_between(one: np.ndarray, other: np.ndarray) -> float:
    """Degrees between two arrays of weights."""
    a, b = one / np.linalg.norm(one), other / np.linalg.norm(other)
    # The arc cosine has no digits left near zero degrees.
    return float(2 * np.degrees(np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))))
