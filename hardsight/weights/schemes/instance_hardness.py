"""Dynamic instance hardness: samples that have been hard over the training so far are drawn more often.

In a loop with an ``hs.WeightedSampler``, ``dihcl(state, loss, rows, learning_rate)`` after each forward pass, and
``sampler.update(dihcl_chances(state))`` between epochs.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.validation import check_choice, check_range
from hardsight.weights.inputs import check_finite, check_losses
from hardsight.weights.scheme import Scheme, State, StateShape

Hardness = Literal["loss", "change"]
Chances = Literal["proportional", "exponential"]


def start(room: StateShape) -> State:
    """Hardness one, nothing seen. "clock": learning rates of all steps, summed; "since": the same up to the last look."""
    zeros = torch.zeros(room.samples, dtype=torch.float64, device=room.device)
    return {
        "hardness": torch.ones_like(zeros),
        "last": zeros,
        "since": zeros.clone(),
        "seen": zeros.bool(),
        "clock": torch.zeros((), dtype=torch.float64, device=room.device),
    }


def dihcl(
    state: State,
    loss: Float[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    learning_rate: float,
    *,
    hardness: Hardness = "loss",
    chances: Chances = "proportional",
    tau: float = 1.0,
    discount: float = 0.95,
) -> Float[Tensor, " sample"]:
    """Chances to be drawn next, after the samples that were trained on have brought their hardness up to date.

    r <- discount a + (1 - discount) r, with a = l / learning rate, or the absolute change of l since the last look,
    divided by the sum of the learning rates from that look on. Chances are r, or the softmax of tau r / mean r, where a
    is divided by the chance that the sample had. Chances of the samples not trained on: :func:`dihcl_chances`.

    Args:
        state: of :func:`start`.
        loss: of the samples trained on, before the step; ``(sample,)``.
        rows: of these samples.
        learning_rate: of the step.
        hardness: "loss", or "change": the first look at a sample then leaves its hardness as it is.
        chances: "proportional" or "exponential".
        tau: sharpness of the exponential; published falling from 20 to 1, by .8 an episode.
        discount: how much the last look counts.

    Raises:
        InputError: an unknown choice or a number out of its domain.
    """
    check_choice("hardness", hardness, get_args(Hardness))
    _observe(state, check_losses(loss), rows, learning_rate, hardness == "change", chances, tau, discount)
    return dihcl_chances(state, chances=chances, tau=tau)[rows].to(loss.dtype)


def dihcl_flips(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    learning_rate: float,
    *,
    chances: Chances = "proportional",
    tau: float = 1.0,
    discount: float = 0.95,
) -> Float[Tensor, " sample"]:
    """:func:`dihcl` by how often a sample's prediction turns from right to wrong or back."""
    right = (check_finite("logits", logits).argmax(1) == labels).to(logits.dtype)
    _observe(state, right, rows, learning_rate, True, chances, tau, discount)
    return dihcl_chances(state, chances=chances, tau=tau)[rows].to(logits.dtype)


def dihcl_chances(state: State, *, chances: Chances = "proportional", tau: float = 1.0) -> Float[Tensor, " row"]:
    """Chances of all samples to be drawn, by row; those of "exponential" add up to one."""
    r = state["hardness"]
    if check_choice("chances", chances, get_args(Chances)) == "proportional":
        return r.clone()
    return torch.softmax(check_range("tau", tau, 0) * r / r.mean(), 0)


def _observe(
    state: State,
    value: Tensor,
    rows: Tensor,
    learning_rate: float,
    change: bool,
    chances: Chances,
    tau: float,
    discount: float,
) -> None:
    check_range("discount", discount, 0, 1)
    check_range("learning_rate", learning_rate, 0, strict=(True, False))
    value = value.detach().to(state["hardness"])
    at = value / learning_rate
    if change:
        at = (value - state["last"][rows]).abs() / (state["clock"] + learning_rate - state["since"][rows])
    if chances == "exponential":
        at = at / (dihcl_chances(state, chances=chances, tau=tau)[rows] + 1e-8)
    old = state["hardness"][rows]
    new = discount * at + (1 - discount) * old
    state["hardness"][rows] = torch.where(state["seen"][rows] | (not change), new, old)
    state["last"][rows] = value
    state["since"][rows] = state["clock"].expand(len(rows))
    state["seen"][rows] = True
    state["clock"] += learning_rate


_ZHOU = "Zhou, Wang & Bilmes 2020, Curriculum learning by dynamic instance hardness, NeurIPS"
_NOTE = (
    '"proportional" is DIHCL-Rand of the paper; "exponential" is DIHCL-Exp as in the authors\' code, because the paper\'s '
    "exp(sqrt(2 log N / N) r) overflows. Published with 5 epochs on all samples first, and then a number drawn without "
    "replacement that shrinks from N to .2 N by .85 an episode."
)

ROWS = (
    Scheme(
        "dihcl",
        "samples of high loss, or of a loss that changes much, on average over the training so far",
        "r, or softmax(tau r / mean r); r <- discount a + (1 - discount) r, a = l/rate or |change of l| / sum of rates",
        dihcl,
        "hard",
        "running mean of the loss, nats, per learning rate",
        _ZHOU,
        kind="sampling",
        init=start,
        note=_NOTE,
    ),
    Scheme(
        "dihcl-flips",
        "samples whose prediction turns from right to wrong and back",
        "as dihcl, with a = |change of 1[right]| / sum of rates",
        dihcl_flips,
        "hard",
        "running mean of 0/1, per learning rate",
        _ZHOU,
        kind="sampling",
        init=start,
        note=_NOTE,
    ),
)
