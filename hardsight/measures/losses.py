"""Losses of predictions, and the values of a view whose running moments are kept."""

from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

Loss = Literal["log", "brier", "zero-one", "squared", "own"]
"""How predictions are judged; "own": the learner computes its loss itself, and its views hold losses instead of predictions."""


def loss_of(
    loss: str, predictions: Float64[Tensor, " row *class"], labels: Tensor, n_classes: int | None
) -> Float64[Tensor, " row"]:
    """Return the loss of every row of a view.

    Args:
        loss: a :data:`Loss`.
        predictions: log-probabilities, predicted targets, or losses.
        labels: class codes, or targets, ``(row,)``.
        n_classes: number of classes; None for regression.
    """
    if loss == "own":
        return predictions
    if loss == "log":
        return -predictions.log_softmax(1).gather(1, labels[:, None]).squeeze(1)
    return prediction_values(predictions, labels, n_classes)[loss]


def prediction_values(
    predictions: Float64[Tensor, " row *class"], labels: Tensor, n_classes: int | None
) -> dict[str, Float64[Tensor, " row *value"]]:
    """Return the predictions of a view in the forms that are averaged, and their losses, by name.

    Args:
        predictions: log-probabilities or predicted targets.
        labels: class codes, or targets, ``(row,)``.
        n_classes: number of classes; None for regression.
    """
    if n_classes is None:
        return {"prediction": predictions, "squared": (predictions - labels).square()}
    log_prob = predictions.log_softmax(1)
    prob = log_prob.exp()
    one_hot = torch.nn.functional.one_hot(labels, n_classes)
    vote = torch.nn.functional.one_hot(log_prob.argmax(1), n_classes).double()
    at_label = one_hot.bool()
    return {
        "log_prob": log_prob,
        "prob": prob,
        "vote": vote,
        "log": -log_prob[at_label],
        "brier": (prob - one_hot).square().sum(1),
        "zero-one": 1 - vote[at_label],
    }
