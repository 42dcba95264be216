"""The four priorities, easy, hard, medium and two-ends first, in one form, and the switch between them over the training.

A weight is w(d) = exp((kappa(d) - 1) / temperature), where d is the difficulty between 0 and 1, and kappa the
preference of a mode, from 0 for the least to 1 for the most preferred samples. In every mode the largest possible
weight is 1, which is exp(1 / temperature) times the smallest. Among all weights of one mean these maximize mean(w
kappa) - temperature mean(w log w).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_choice, check_range
from hardsight.weights.inputs import check_losses
from hardsight.weights.scheme import scheme

Axis = Literal["probability", "rank"]
Blend = Literal["linear", "cosine"]
_SCALE = "1 - p, or rank; from 0 to 1"
_MODES = "this library; the four modes after Zhou & Wu 2023, Which samples should be learned first: easy or hard?, TNNLS"
_PREFERENCES: dict[str, Callable[[Tensor], Tensor]] = {
    "easy-first": lambda d: 1 - d,
    "hard-first": lambda d: d,
    "medium-first": lambda d: 4 * d * (1 - d),
    "two-ends-first": lambda d: 1 - 4 * d * (1 - d),
    "uniform": torch.ones_like,
}


def _compares_ranks(values: Mapping[str, Any]) -> bool:
    """Whether the difficulty is the rank in the batch."""
    return values.get("axis") == "rank"


_mode = partial(
    scheme,
    scale=_SCALE,
    source=_MODES,
    compares_samples=_compares_ranks,
    reduction="weighted mean",
    normalization="at most 1",
)


def difficulty(loss: Float[Tensor, " sample"], *, axis: Axis = "probability") -> Float[Tensor, " sample"]:
    """Return the difficulty of each sample, from 0 to 1; ``(sample,)``.

    Args:
        loss: nats; ``(sample,)``.
        axis: "probability": 1 - exp(-loss), one minus the probability of the given label; "rank": the share of the
            given samples that are easier, with ties counted half, which is evenly spread and carries no gradient.

    >>> difficulty(torch.tensor([0.0, 2.0, 1.0, 1.0]), axis="rank")
    tensor([0.1250, 0.8750, 0.5000, 0.5000])
    """
    checked = check_losses(loss)
    if check_choice("axis", axis, get_args(Axis)) == "probability":
        return -torch.expm1(-checked)
    ascending = checked.detach().sort().values.contiguous()
    below = torch.searchsorted(ascending, checked.detach().contiguous())
    up_to = torch.searchsorted(ascending, checked.detach().contiguous(), right=True)
    return (below + up_to).to(loss.dtype) / (2 * max(len(loss), 1))


@_mode("easy-first", formula="exp(-d / temperature), d = 1 - exp(-l)", priority="easy")
def easy_first(
    loss: Float[Tensor, " sample"], *, temperature: float = 1.0, axis: Axis = "probability"
) -> Float[Tensor, " sample"]:
    """Prefer easy samples: the easier, the larger the weight.

    The preference is 1 - d, with d the difficulty.

    Args:
        temperature: smaller is sharper, .02 or more.
        axis: as in :func:`difficulty`.
    """
    return _to_weights(_PREFERENCES["easy-first"](difficulty(loss, axis=axis)), temperature)


@_mode("hard-first", formula="exp((d - 1) / temperature), d = 1 - exp(-l)", priority="hard")
def hard_first(
    loss: Float[Tensor, " sample"], *, temperature: float = 1.0, axis: Axis = "probability"
) -> Float[Tensor, " sample"]:
    """Prefer hard samples: the harder, the larger the weight.

    The preference is d, the difficulty.

    Args:
        temperature: smaller is sharper, .02 or more.
        axis: as in :func:`difficulty`.
    """
    return _to_weights(_PREFERENCES["hard-first"](difficulty(loss, axis=axis)), temperature)


@_mode("medium-first", formula="exp((4 d (1 - d) - 1) / temperature), d = 1 - exp(-l)", priority="medium")
def medium_first(
    loss: Float[Tensor, " sample"], *, temperature: float = 1.0, axis: Axis = "probability"
) -> Float[Tensor, " sample"]:
    """Prefer samples of medium difficulty over easy and hard ones.

    The preference is 4 d (1 - d), with d the difficulty; it is largest at d = 1/2.

    Args:
        temperature: smaller is sharper, .02 or more.
        axis: as in :func:`difficulty`.
    """
    return _to_weights(_PREFERENCES["medium-first"](difficulty(loss, axis=axis)), temperature)


@_mode("two-ends-first", formula="exp(-4 d (1 - d) / temperature), d = 1 - exp(-l)", priority="two-ends")
def two_ends_first(
    loss: Float[Tensor, " sample"], *, temperature: float = 1.0, axis: Axis = "probability"
) -> Float[Tensor, " sample"]:
    """Prefer easy and hard samples over those in between.

    The preference is 1 - 4 d (1 - d), with d the difficulty; it is smallest at d = 1/2.

    Args:
        temperature: smaller is sharper, .02 or more.
        axis: as in :func:`difficulty`.
    """
    return _to_weights(_PREFERENCES["two-ends-first"](difficulty(loss, axis=axis)), temperature)


@_mode("switching", formula="exp((blend over t/T of the modes' preferences - 1) / temperature)", priority="varied")
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
    """Prefer samples by one mode first and by another later.

    The preferences of the modes are blended over the training. The first mode applies at epoch 0, the last at the
    end, the others at equal distances in between. Between two neighbouring modes the share of the later one grows
    linearly, or along half a cosine, which stays longer at each mode.

    Args:
        modes: two or more of "easy-first", "hard-first", "medium-first", "two-ends-first" and "uniform".
        blend: "linear" or "cosine".
        temperature: smaller is sharper, .02 or more.
        axis: as in :func:`difficulty`.

    Raises:
        InputError: an unknown mode or blend, fewer than two modes, a number out of range, or a loss that is not
            finite or is below zero.
    """
    d = difficulty(loss, axis=axis)
    earlier, later, share = _current_modes(epoch, epochs, modes, blend)
    preference = (1 - share) * _PREFERENCES[earlier](d) + share * _PREFERENCES[later](d)
    return _to_weights(preference, temperature)


def _current_modes(epoch: float, epochs: float, modes: Sequence[str], blend: str) -> tuple[str, str, float]:
    """Return the earlier and the later mode, and the share of the later one."""
    if isinstance(modes, str) or len(modes) < 2:
        raise InputError(f"modes must be two or more of {', '.join(_PREFERENCES)}. Got {modes!r}")
    for mode in modes:
        check_choice("modes", mode, _PREFERENCES)
    check_choice("blend", blend, get_args(Blend))
    check_range("epochs", epochs, 0, strict=(True, False))
    position = min(check_range("epoch", epoch, 0) / epochs, 1) * (len(modes) - 1)
    first = min(int(position), len(modes) - 2)
    share = position - first
    return modes[first], modes[first + 1], share if blend == "linear" else (1 - math.cos(math.pi * share)) / 2


def _to_weights(preference: Tensor, temperature: float) -> Tensor:
    # Below .02 the smallest weight, exp(-1 / temperature), would underflow float32.
    return torch.exp((preference - 1) / check_range("temperature", temperature, 0.02))
