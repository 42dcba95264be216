"""Gradient harmonizing: samples weigh less where many have a gradient of the same length."""

import torch
from jaxtyping import Float
from torch import Tensor

from hardsight.validation import check_range
from hardsight.weights.inputs import check_finite, check_probabilities
from hardsight.weights.scheme import Scheme, State, StateShape

_LI = "Li, Liu & Wang 2019, Gradient harmonized single-stage detector, AAAI"


def ghm_start(room: StateShape, *, bins: int) -> State:
    """No counts yet."""
    check_range("bins", bins, 1)
    return {"counts": torch.zeros(bins, dtype=torch.float64, device=room.device)}


def ghm_c(
    state: State, p: Float[Tensor, " sample"], *, bins: int = 30, momentum: float = 0.75
) -> Float[Tensor, " sample"]:
    """One over the number of samples with a gradient 1 - p of about the same length.

    Args:
        state: running counts of the bins.
        p: probability of the given label.
        bins: of equal width between 0 and 1.
        momentum: of the running counts; 0: the batch's own.
    """
    return _rarity(state, 1 - check_probabilities(p), bins, momentum)


def ghm_r(
    state: State, residual: Float[Tensor, "sample ..."], *, mu: float = 0.02, bins: int = 10, momentum: float = 0.7
) -> Float[Tensor, " sample"]:
    """Smooth absolute error of regression, each number weighed by how rare the length of its gradient is.

    Args:
        state: running counts of the bins.
        residual: prediction less target, ``(sample,)`` or ``(sample, target)``.
        mu: below it the error is nearly a square.
        bins: of equal width between 0 and 1.
        momentum: of the running counts; 0: the batch's own.
    """
    check_range("mu", mu, 0, strict=(True, True))
    root = (check_finite("residual", residual) ** 2 + mu**2).sqrt()
    rarity = _rarity(state, (residual / root).abs().detach().flatten(), bins, momentum)
    return ((root - mu) * rarity.view_as(residual)).flatten(1).mean(1) if residual.dim() > 1 else (root - mu) * rarity


def _rarity(state: State, lengths: Tensor, bins: int, momentum: float) -> Tensor:
    check_range("momentum", momentum, 0, 1, strict=(False, True))
    edges = torch.arange(1, bins, device=lengths.device, dtype=lengths.dtype) / bins
    at = torch.bucketize(lengths.detach(), edges, right=True)
    counts = torch.bincount(at, minlength=bins).to(state["counts"])
    filled = counts > 0
    state["counts"].copy_(torch.where(filled, momentum * state["counts"] + (1 - momentum) * counts, state["counts"]))
    return (len(lengths) / (state["counts"][at] * filled.sum())).to(lengths.dtype)


_NOTE = (
    "Running counts start at 0 and move only where the batch has samples, as in the reference code (MMDetection): "
    "first weights are up to 1/(1 - momentum) too large. Defaults are those of the authors' configurations. With "
    "momentum 0 the mean is 1."
)

ROWS = (
    Scheme(
        "ghm-c",
        "samples of a rare gradient length: neither the many easy ones nor a mass of outliers",
        "n / (a_b B); a_b: running count of the sample's bin of g = 1 - p, B: bins that are not empty",
        ghm_c,
        "medium",
        "probability of the given label, 0 to 1",
        _LI,
        normalization="mean 1 without momentum",
        init=ghm_start,
        note=f"Published for each label of a detector, where g = |sigmoid(z) - y|. {_NOTE}",
    ),
    Scheme(
        "ghm-r",
        "numbers of a rare gradient length",
        "mean over targets of w (sqrt(d² + mu²) - mu); w = n / (a_b B) by the bin of g = |d|/sqrt(d² + mu²)",
        ghm_r,
        "medium",
        "prediction less target",
        _LI,
        kind="loss",
        per="element",
        init=ghm_start,
        note=f"The authors' configuration multiplies the loss by 10. {_NOTE}",
    ),
)
