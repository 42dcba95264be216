"""Losses of predictions, and the values of a view whose running moments are kept."""

from typing import Literal

from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.measures.statistics import View, brier, log_loss, vote, wrong

Loss = Literal["log", "brier", "zero-one", "squared", "own"]
"""How predictions are judged; "own": the learner computes its loss, and its views hold losses instead of predictions."""
_CLASS_LOSSES = {"log": log_loss, "brier": brier, "zero-one": wrong}


def loss_of(
    loss: str, predictions: Float64[Tensor, " row *class"], labels: Tensor, n_classes: int | None
) -> Float64[Tensor, " row"]:
    """Return the loss of every row of a view.

    Args:
        predictions: log-probabilities, predicted targets, or losses.
        n_classes: number of classes; None for regression.
    """
    if loss == "own":
        return predictions
    if n_classes is None:
        return (predictions - labels).square()
    return _CLASS_LOSSES[loss](_as_view(predictions, labels))


def prediction_values(
    predictions: Float64[Tensor, " row *class"], labels: Tensor, n_classes: int | None
) -> dict[str, Float64[Tensor, " row *value"]]:
    """Return the predictions of a view in the forms that are averaged, and their losses, by name.

    Args:
        n_classes: number of classes; None for regression.
    """
    if n_classes is None:
        return {"prediction": predictions, "squared": (predictions - labels).square()}
    view = _as_view(predictions, labels)
    losses = {name: loss(view) for name, loss in _CLASS_LOSSES.items()}
    return {"log_prob": view.log_prob, "prob": view.prob, "vote": vote(view)} | losses


def _as_view(predictions: Float64[Tensor, "row class"], labels: Int64[Tensor, " row"]) -> View:
    view = View(predictions, labels)
    # Not the view's own faster formula: the label model amplifies its rounding by up to 1e12 where samples tie.
    view.log_prob = predictions.log_softmax(1)
    return view
