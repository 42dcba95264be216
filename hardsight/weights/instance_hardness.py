"""Dynamic instance hardness: samples that have been hard over the training so far are drawn more often."""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights.core import Room, Scheme, State, finite, losses, within

Hardness = Literal["loss", "change"]
Chances = Literal["proportional", "exponential"]


def start(room: Room) -> State:
    """Hardness one, nothing seen. "clock" adds up the learning rates of all steps; "since": where it was at the last look."""
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
    discount: float = 0.95,
) -> Float[Tensor, " sample"]:
    """Chances to be drawn next, after the samples that were trained on have brought their hardness up to date.

    r <- discount a + (1 - discount) r, with a = l / learning rate, or the absolute change of l since the last look,
    divided by the sum of the learning rates from that look on. Chances are r, or exp(sqrt(2 log N / N) r), where a is
    divided by the chance that the sample had. Chances of the samples not trained on: :func:`dihcl_chances`.

    Args:
        state: of :func:`start`.
        loss: of the samples trained on, before the step; ``(sample,)``.
        rows: of these samples.
        learning_rate: of the step.
        hardness: "loss", or "change": the first look at a sample then leaves its hardness as it is.
        chances: "proportional" or "exponential".
        discount: how much the last look counts.

    Raises:
        InputError: an unknown choice or a number out of its domain.
    """
    _known("hardness", hardness, Hardness)
    _observe(
        state, losses(loss), rows, learning_rate, hardness == "change", _known("chances", chances, Chances), discount
    )
    return dihcl_chances(state, chances=chances)[rows].to(loss.dtype)


def dihcl_flips(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    learning_rate: float,
    *,
    chances: Chances = "proportional",
    discount: float = 0.95,
) -> Float[Tensor, " sample"]:
    """:func:`dihcl` by how often a sample's prediction turns from right to wrong or back."""
    right = (finite("logits", logits).argmax(1) == labels).to(logits.dtype)
    _observe(state, right, rows, learning_rate, True, _known("chances", chances, Chances), discount)
    return dihcl_chances(state, chances=chances)[rows].to(logits.dtype)


def dihcl_chances(state: State, *, chances: Chances = "proportional") -> Float[Tensor, " row"]:
    """Chances of all samples to be drawn, by row; those of "exponential" are divided by the largest."""
    r = state["hardness"]
    if _known("chances", chances, Chances) == "proportional":
        return r.clone()
    return torch.exp(math.sqrt(2 * math.log(len(r)) / len(r)) * (r - r.max()))


def _observe(
    state: State, value: Tensor, rows: Tensor, learning_rate: float, change: bool, chances: Chances, discount: float
) -> None:
    within("discount", discount, 0, 1)
    within("learning_rate", learning_rate, 0, strict=(True, False))
    value = value.detach().to(state["hardness"])
    at = value / learning_rate
    if change:
        at = (value - state["last"][rows]).abs() / (state["clock"] + learning_rate - state["since"][rows])
    if chances == "exponential":
        had = dihcl_chances(state, chances=chances)
        at = at / (had[rows] / had.sum())
    old = state["hardness"][rows]
    new = discount * at + (1 - discount) * old
    state["hardness"][rows] = torch.where(state["seen"][rows] | (not change), new, old)
    state["last"][rows] = value
    state["since"][rows] = state["clock"].expand(len(rows))
    state["seen"][rows] = True
    state["clock"] += learning_rate


def _known(name: str, value: str, choices: object) -> Chances:
    if value not in get_args(choices):
        raise InputError(f"{name} must be one of {', '.join(get_args(choices))}. Got {value!r}")
    return value  # type: ignore[return-value]


_ZHOU = "Zhou, Wang & Bilmes 2020, Curriculum learning by dynamic instance hardness, NeurIPS"
_NOTE = (
    "As in the paper; the authors' code draws by softmax(tau r / mean r), with tau from 20 down to 1, and scales changes by "
    "another factor. Published with 5 epochs on all samples first, and then a number drawn without replacement that shrinks "
    "from N to .2 N by .85 an episode."
)

ROWS = (
    Scheme(
        "dihcl",
        "samples of high loss, or of a loss that changes much, on average over the training so far",
        "r, or exp(sqrt(2 log N / N) r); r <- discount a + (1 - discount) r, a = l/rate or |change of l| / sum of rates",
        dihcl,
        "hard",
        "running mean of the loss, nats, per learning rate",
        _ZHOU,
        kind="sampling",
        start=start,
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
        start=start,
        note=_NOTE,
    ),
)
