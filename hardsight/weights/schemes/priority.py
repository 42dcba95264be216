"""One family for the four priorities, and the switch between them over training.

A weight is w(d) = exp((kappa(d) - 1) / temperature): d is the difficulty between 0 and 1, kappa the preference of a
mode, from 0 for the samples that it wants least to 1 for those that it wants most. In every mode the largest possible
weight is 1, and exp(1 / temperature) times the smallest. Of all weights of one mean these maximise
mean(w kappa) - temperature mean(w log w).
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_choice, check_range
from hardsight.weights.inputs import check_losses
from hardsight.weights.scheme import Scheme

Axis = Literal["probability", "rank"]
Blend = Literal["linear", "cosine"]

_PREFERENCES: dict[str, Callable[[Tensor], Tensor]] = {
    "easy-first": lambda d: 1 - d,
    "hard-first": lambda d: d,
    "medium-first": lambda d: 4 * d * (1 - d),
    "two-ends-first": lambda d: 1 - 4 * d * (1 - d),
    "uniform": torch.ones_like,
}


def difficulty(loss: Float[Tensor, " sample"], *, axis: Axis = "probability") -> Float[Tensor, " sample"]:
    """How hard, from 0 to 1.

    Args:
        loss: nats; ``(sample,)``.
        axis: "probability": 1 - exp(-loss), one minus the probability of the given label; "rank": the share of the samples
            given that are easier, ties counted half, which spreads them evenly and through which no gradient flows.

    >>> difficulty(torch.tensor([0.0, 2.0, 1.0, 1.0]), axis="rank")
    tensor([0.1250, 0.8750, 0.5000, 0.5000])
    """
    checked = check_losses(loss)
    if check_choice("axis", axis, get_args(Axis)) == "probability":
        return -torch.expm1(-checked)
    ordered = checked.detach().sort().values.contiguous()
    below = torch.searchsorted(ordered, checked.detach().contiguous())
    up_to = torch.searchsorted(ordered, checked.detach().contiguous(), right=True)
    return (below + up_to).to(loss.dtype) / (2 * max(len(loss), 1))


def easy_first(
    loss: Float[Tensor, " sample"], *, temperature: float = 1.0, axis: Axis = "probability"
) -> Float[Tensor, " sample"]:
    """Falls with the difficulty d: the preference is 1 - d."""
    return _weights(_PREFERENCES["easy-first"](difficulty(loss, axis=axis)), temperature)


def hard_first(
    loss: Float[Tensor, " sample"], *, temperature: float = 1.0, axis: Axis = "probability"
) -> Float[Tensor, " sample"]:
    """Rises with the difficulty d: the preference is d."""
    return _weights(_PREFERENCES["hard-first"](difficulty(loss, axis=axis)), temperature)


def medium_first(
    loss: Float[Tensor, " sample"], *, temperature: float = 1.0, axis: Axis = "probability"
) -> Float[Tensor, " sample"]:
    """Highest at d = 1/2: the preference is 4 d (1 - d)."""
    return _weights(_PREFERENCES["medium-first"](difficulty(loss, axis=axis)), temperature)


def two_ends_first(
    loss: Float[Tensor, " sample"], *, temperature: float = 1.0, axis: Axis = "probability"
) -> Float[Tensor, " sample"]:
    """Lowest at d = 1/2: the preference is 1 - 4 d (1 - d)."""
    return _weights(_PREFERENCES["two-ends-first"](difficulty(loss, axis=axis)), temperature)


def switching(
    loss: Float[Tensor, " sample"],
    epoch: float,
    epochs: float,
    *,
    modes: Sequence[str] = ("easy-first", "hard-first"),
    blend: Blend = "linear",
    temperature: float = 1.0,
    axis: Axis = "probability",
) -> Float[Tensor, " sample"]:
    """From one mode to the next over training: the preferences are blended.

    The first mode holds at epoch 0, the last at the end, the others at equal distances between; of two neighbouring
    modes the share of the later one grows linearly, or along half a cosine, which stays longer at each.

    Args:
        loss: nats; ``(sample,)``.
        epoch: epochs done.
        epochs: in all.
        modes: two or more of "easy-first", "hard-first", "medium-first", "two-ends-first" and "uniform".
        blend: "linear" or "cosine".
        temperature: smaller is sharper.
        axis: as in :func:`difficulty`.

    Raises:
        InputError: an unknown mode or blend, less than two modes, or a number out of its domain.
    """
    d = difficulty(loss, axis=axis)
    earlier, later, share = _between(epoch, epochs, modes, blend)
    preference = (1 - share) * _PREFERENCES[earlier](d) + share * _PREFERENCES[later](d)
    return _weights(preference, temperature)


def _between(epoch: float, epochs: float, modes: Sequence[str], blend: str) -> tuple[str, str, float]:
    if isinstance(modes, str) or len(modes) < 2:
        raise InputError(f"modes must be two or more of {', '.join(_PREFERENCES)}. Got {modes!r}")
    for mode in modes:
        check_choice("modes", mode, _PREFERENCES)
    check_choice("blend", blend, get_args(Blend))
    check_range("epochs", epochs, 0, strict=(True, False))
    place = min(check_range("epoch", epoch, 0) / epochs, 1) * (len(modes) - 1)
    first = min(int(place), len(modes) - 2)
    share = place - first
    return modes[first], modes[first + 1], share if blend == "linear" else (1 - math.cos(math.pi * share)) / 2


def _weights(preference: Tensor, temperature: float) -> Tensor:
    # Below .02 the smallest weight, exp(-1 / temperature), would leave float32.
    return torch.exp((preference - 1) / check_range("temperature", temperature, 0.02))


_SCALE = "1 - p, or rank; from 0 to 1"
_MODES = (
    "this library; the four modes after Zhou & Wu 2023, Which samples should be learned first: easy or hard?, TNNLS"
)

ROWS = (
    Scheme(
        "easy-first",
        "the easier, the more",
        "exp(-d / temperature), d = 1 - exp(-l)",
        easy_first,
        "easy",
        _SCALE,
        _MODES,
        reduction="weighted mean",
        normalization="at most one",
    ),
    Scheme(
        "hard-first",
        "the harder, the more",
        "exp((d - 1) / temperature), d = 1 - exp(-l)",
        hard_first,
        "hard",
        _SCALE,
        _MODES,
        reduction="weighted mean",
        normalization="at most one",
    ),
    Scheme(
        "medium-first",
        "samples of medium difficulty, easy and hard ones less",
        "exp((4 d (1 - d) - 1) / temperature), d = 1 - exp(-l)",
        medium_first,
        "medium",
        _SCALE,
        _MODES,
        reduction="weighted mean",
        normalization="at most one",
    ),
    Scheme(
        "two-ends-first",
        "easy and hard samples, those between less",
        "exp(-4 d (1 - d) / temperature), d = 1 - exp(-l)",
        two_ends_first,
        "two-ends",
        _SCALE,
        _MODES,
        reduction="weighted mean",
        normalization="at most one",
    ),
    Scheme(
        "switching",
        "by one mode first, by another later",
        "exp((blend over t/T of the modes' preferences - 1) / temperature)",
        switching,
        "varied",
        _SCALE,
        _MODES,
        reduction="weighted mean",
        normalization="at most one",
    ),
)
