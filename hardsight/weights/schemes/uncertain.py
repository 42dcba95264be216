"""Uncertain samples first: those whose prediction changes between epochs, or stays near the threshold."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hardsight.validation import check_range
from hardsight.weights.inputs import check_codes, check_probabilities
from hardsight.weights.scheme import Scheme, State, StateShape

_CHANG = "Chang et al. 2017, Active bias: training more accurate networks by emphasizing high variance samples, NeurIPS"
_HISTORY = "probability of the given label, 0 to 1, over past epochs"


def predictions_start(room: StateShape) -> State:
    """No prediction seen yet of any sample: how many, their mean, and the sum of squared distances from it."""
    return {name: torch.zeros(room.samples, device=room.device) for name in ("count", "mean", "squares")}


def active_bias(
    state: State,
    p: Float[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    *,
    eps: float = 0.2,
    warm_up: int = 15,
) -> Float[Tensor, " sample"]:
    """Standard deviation of the past probabilities of the given label, with its own uncertainty added.

    Args:
        state: of past predictions; the present one is added after the weights are found.
        p: probability of the given label.
        rows: of the samples in the state.
        eps: added to each deviation, so that no sample is left out.
        warm_up: samples with fewer past predictions than this, or than two, weigh 1.
    """
    check_range("eps", eps, 0)
    past, _, squares = _past(state, rows)
    variance = squares / past.clamp(min=1)
    deviation = (variance + variance**2 / (past - 1).clamp(min=1)).sqrt()
    weights = _mean_one(deviation + eps, past >= max(2, check_range("warm_up", warm_up, 0)))
    _remember(state, p, rows)
    return weights.to(p.dtype)


def threshold_closeness(
    state: State,
    p: Float[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    *,
    eps: float | None = None,
    warm_up: int = 15,
) -> Float[Tensor, " sample"]:
    """How near the mean of the past probabilities of the given label is to one half.

    Args:
        state: of past predictions; the present one is added after the weights are found.
        p: probability of the given label.
        rows: of the samples in the state.
        eps: added to each; None: the mean of what it is added to, over the batch.
        warm_up: samples with fewer past predictions than this, or none, weigh 1.
    """
    past, mean, _ = _past(state, rows)
    told = past >= max(1, check_range("warm_up", warm_up, 0))
    closeness = mean * (1 - mean)
    raised = closeness + (
        closeness[told].mean() if eps is None and bool(told.any()) else check_range("eps", eps or 0.0, 0)
    )
    weights = _mean_one(raised, told)
    _remember(state, p, rows)
    return weights.to(p.dtype)


def _past(state: State, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    check_codes("rows", rows, len(state["count"]))
    return state["count"][rows], state["mean"][rows], state["squares"][rows]


def _remember(state: State, p: Tensor, rows: Tensor) -> None:
    """Welford's update of mean and squared distances."""
    count, mean, squares = _past(state, rows)
    now = check_probabilities(p).detach().to(mean)
    moved = mean + (now - mean) / (count + 1)
    state["count"][rows] = count + 1
    state["mean"][rows] = moved
    state["squares"][rows] = squares + (now - mean) * (now - moved)


def _mean_one(values: Tensor, told: Bool[Tensor, " sample"]) -> Tensor:
    """The values that tell something over their mean; 1 for the others, and where that mean is 0."""
    total = values[told].mean() if bool(told.any()) else values.new_zeros(())
    return torch.where(told & (total > 0), values / torch.where(total > 0, total, 1), 1.0)


ROWS = (
    Scheme(
        "active-bias",
        "samples whose prediction changes from epoch to epoch",
        "(sqrt(v + v²/(m-1)) + eps) / mean; v: variance over the m past epochs",
        active_bias,
        "medium",
        _HISTORY,
        _CHANG,
        normalization="mean 1",
        init=predictions_start,
        note="eps and the warm-up of 15 epochs are those of the implementation by Song; the variance divides by m.",
    ),
    Scheme(
        "threshold-closeness",
        "samples whose mean prediction is near one half",
        "(a (1-a) + eps) / mean; a: mean over past epochs",
        threshold_closeness,
        "medium",
        _HISTORY,
        _CHANG,
        normalization="mean 1",
        init=predictions_start,
        note="The quantity was checked against the code of dataset cartography (Swayamdipta et al. 2020), which has "
        "both measures of active bias. eps is the mean of the quantity, there over the data set, here over the "
        "batch; the warm-up is that of active-bias.",
    ),
)
