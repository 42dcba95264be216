"""AdaBoost's weights: samples that the models so far got wrong."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_finite
from hardsight.weights.scheme import Scheme, State, StateShape


def start(room: StateShape) -> State:
    """All weights one."""
    return {"weights": torch.ones(room.samples, dtype=torch.float64, device=room.device)}


def adaboost(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    *,
    learning_rate: float = 1.0,
) -> Float[Tensor, " sample"]:
    """The weights for the next model, from what the last one, trained with the present ones, says of all samples.

    With err the weighted share that it has wrong and alpha = log((1 - err) / err) + log(K - 1), weights of the wrong
    ones grow by exp(learning_rate · alpha); then all have mean one. A model without errors leaves them as they are.

    Raises:
        InputError: not all samples at once, or a model that is no better than chance under the weights, where boosting ends.
    """
    weights = state["weights"]
    if len(rows) != len(weights) or len(torch.unique(rows)) != len(weights):
        raise InputError(
            f"rows must be all {len(weights)} samples, once each: a round of boosting looks at all of them"
        )
    classes = logits.shape[1]
    wrong = (check_finite("logits", logits).argmax(1) != labels).to(weights)
    error = float((weights[rows] * wrong).sum() / weights.sum())
    if error >= 1 - 1 / classes:
        raise InputError(
            f"logits are no better than chance under the weights (error {error:.3f}): end the boosting here"
        )
    if error > 0:
        alpha = check_range("learning_rate", learning_rate, 0) * (math.log((1 - error) / error) + math.log(classes - 1))
        weights[rows] *= torch.exp(alpha * wrong)
        weights /= weights.mean()
    return weights[rows].to(logits.dtype)


ROWS = (
    Scheme(
        "adaboost",
        "samples that earlier models got wrong",
        "w <- w exp(alpha 1[wrong]), alpha = log((1 - err)/err) + log(K - 1), divided by the mean",
        adaboost,
        "hard",
        "0/1 error of the model as it is",
        "Freund & Schapire 1997, JCSS; several classes, SAMME: Hastie et al. 2009, Multi-class AdaBoost, Statistics and Its "
        "Interface",
        reduction="weighted mean",
        normalization="mean one over the data set",
        init=start,
        note="A step is a round: a model trained with the weights, then all samples at once. Published weights sum to one.",
    ),
)
