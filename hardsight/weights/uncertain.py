"""Uncertain samples first: those whose prediction changes between epochs, or stays near the threshold."""

import torch
from jaxtyping import Float
from torch import Tensor

from hardsight.weights.core import Scheme, probabilities, within

_CHANG = "Chang et al. 2017, Active bias: training more accurate networks by emphasizing high variance samples, NeurIPS"
_HISTORY = "probability of the given label, 0 to 1, over past epochs"


def active_bias(
    history: Float[Tensor, "sample epoch"], *, eps: float = 0.2, warm_up: int = 15
) -> Float[Tensor, " sample"]:
    """Standard deviation of the probability of the given label over past epochs, with its own uncertainty added.

    Args:
        history: an epoch a column.
        eps: added to each, so that no sample is left out.
        warm_up: while there are fewer past epochs than this, or than two, all weigh 1.
    """
    within("eps", eps, 0)
    past = history.shape[1]
    if past < max(2, within("warm_up", warm_up, 0)):
        return history.new_ones(len(history))
    variance = probabilities(history).var(1, correction=0)
    # The square root has no slope at 0.
    deviation = (variance + variance**2 / (past - 1)).clamp(min=torch.finfo(history.dtype).tiny).sqrt()
    return _mean_one(deviation, eps)


def threshold_closeness(
    history: Float[Tensor, "sample epoch"], *, eps: float | None = None, warm_up: int = 0
) -> Float[Tensor, " sample"]:
    """How near the mean probability of the given label over past epochs is to one half.

    Args:
        history: an epoch a column.
        eps: added to each; None: the mean of what it is added to.
        warm_up: while there are fewer past epochs than this, or none, all weigh 1.
    """
    if history.shape[1] < max(1, within("warm_up", warm_up, 0)):
        return history.new_ones(len(history))
    mean = probabilities(history).mean(1)
    closeness = mean * (1 - mean)
    return _mean_one(closeness, closeness.mean() if eps is None else within("eps", eps, 0))


def _mean_one(values: Tensor, eps: Tensor | float) -> Tensor:
    raised = values + eps
    total = raised.mean()
    return torch.where(total > 0, raised / torch.where(total > 0, total, 1), torch.ones_like(raised))


ROWS = (
    Scheme(
        "active-bias",
        "samples whose prediction changes from epoch to epoch",
        "(sqrt(v + v²/(m-1)) + eps) / mean; v: variance over the m past epochs",
        active_bias,
        "medium",
        _HISTORY,
        _CHANG,
        normalised="mean 1",
        note="eps and the warm-up of 15 epochs are those of the implementation by Song; the variance divides by m.",
    ),
    Scheme(
        "threshold-closeness",
        "samples whose mean prediction is near one half",
        "(m (1-m) + eps) / mean; m: mean over past epochs",
        threshold_closeness,
        "medium",
        _HISTORY,
        _CHANG,
        normalised="mean 1",
        note="The quantity checked against the reference code of dataset cartography (Swayamdipta et al. 2020), "
        "which has both measures of active bias, with their mean as eps.",
    ),
)
