"""Curricula by selection: pacing functions say which share of the samples is in, a curriculum which ones."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from hardsight.validation import check_choice, check_int, check_range
from hardsight.weights.inputs import check_losses
from hardsight.weights.scheme import Scheme

_BENGIO = "Bengio et al. 2009, Curriculum learning, ICML"


def linear(progress: float, start: float) -> float:
    """Grows evenly.

    >>> linear(0.5, 0.5)
    0.75
    """
    return start + (1 - start) * progress


def geometric(progress: float, start: float) -> float:
    """Grows by the same factor in the same time; ``start`` above 0 (Platanios et al. 2019)."""
    return float(check_range("start", start, 0, 1, strict=(True, False)) ** (1 - progress))


def root(progress: float, start: float, power: float = 2) -> float:
    """Grows so that its ``power`` grows evenly: fast at first (Platanios et al. 2019; the square root is theirs).

    >>> root(0.25, 0)
    0.5
    """
    check_range("power", power, 0, strict=(True, False))
    return float((start**power + (1 - start**power) * progress) ** (1 / power))


def one_step(progress: float, start: float) -> float:
    """``start`` until the growth is over, then all (Hacohen & Weinshall 2019)."""
    return start if progress < 1 else 1.0


def exponential(progress: float, start: float) -> float:
    """Slow at first: in proportion to exp(10 progress) - 1 (Wu, Dyer & Neyshabur 2021)."""
    return start + (1 - start) * math.expm1(10 * progress) / math.expm1(10)


def logarithmic(progress: float, start: float) -> float:
    """Fast at first: in proportion to 1 + log(progress + e^-10) / 10 (Wu, Dyer & Neyshabur 2021)."""
    return min(start + (1 - start) * (1 + 0.1 * math.log(progress + math.exp(-10))), 1.0)


PACINGS: dict[str, Callable[[float, float], float]] = {
    "linear": linear,
    "geometric": geometric,
    "root": root,
    "one-step": one_step,
    "exponential": exponential,
    "logarithmic": logarithmic,
}


def share(epoch: float, epochs: float, *, start: float, pacing: str = "linear", until: float = 1.0) -> float:
    """The share of the samples that is in.

    Args:
        epoch: epochs done.
        epochs: in all.
        start: the share at epoch 0.
        pacing: a name of ``PACINGS``.
        until: share of the epochs after which all samples are in.

    Raises:
        InputError: an unknown pacing, or a number out of its domain.

    >>> share(5, 20, start=0.1, until=0.5)
    0.55
    """
    check_range("epochs", epochs, 0, strict=(True, False))
    end = check_range("until", until, 0, 1, strict=(True, False)) * epochs
    progress = min(check_range("epoch", epoch, 0) / end, 1.0)
    return PACINGS[check_choice("pacing", pacing, PACINGS)](progress, check_range("start", start, 0, 1))


def curriculum(
    loss: Float[Tensor, " sample"],
    epoch: float,
    epochs: float,
    *,
    start: float,
    pacing: str = "linear",
    until: float = 1.0,
) -> Float[Tensor, " sample"]:
    """1 for the easiest :func:`share` of the samples given, rounded up and at least one sample; 0 for the others.

    Samples that tie with the last one in are in too, so that their order does not matter. The loss may be any score.
    """
    return _easiest(loss, share(epoch, epochs, start=start, pacing=pacing, until=until))


def baby_step(loss: Float[Tensor, " sample"], epoch: float, epochs: float, *, buckets: int) -> Float[Tensor, " sample"]:
    """1 for the easiest of ``buckets`` equal parts, of which one more is in after each ``1 / buckets`` of the epochs."""
    check_range("epochs", epochs, 0, strict=(True, False))
    stages = math.floor(min(check_range("epoch", epoch, 0) / epochs, 1) * check_int("buckets", buckets, 1)) + 1
    return _easiest(loss, min(stages / buckets, 1.0))


def _easiest(loss: Tensor, rate: float) -> Tensor:
    checked = check_losses(loss)
    if not len(checked):
        return checked
    # What is a whole number but for rounding is not rounded up.
    kept = max(math.ceil(rate * len(checked) - 1e-9), 1)
    return (checked <= torch.kthvalue(checked, kept).values).to(loss.dtype)


_SCORE = "loss, or any score of which only the order is read"
_BATCHES = "The share is of the samples given: all of a data set for hs.weigh, those of the batch in a training loop."

ROWS = (
    Scheme(
        "curriculum",
        "the easiest share of the samples, which grows until all are in",
        "1[l among the smallest share(t/T)], share from start to 1: linear, geometric, root, one-step, …",
        curriculum,
        "varied",
        _SCORE,
        f"{_BENGIO}; pacing: Hacohen & Weinshall 2019, ICML; Platanios et al. 2019, NAACL; Wu, Dyer & Neyshabur 2021, ICLR",
        reduction="weighted mean",
        note=_BATCHES,
    ),
    Scheme(
        "baby-step",
        "the easiest of equal parts of the samples, one part more after each stage",
        "1[l among the smallest (floor(buckets · t/T) + 1) / buckets]",
        baby_step,
        "varied",
        _SCORE,
        f"{_BENGIO}; Spitkovsky, Alshawi & Jurafsky 2010, From baby steps to leapfrog, NAACL",
        reduction="weighted mean",
        note=_BATCHES,
    ),
)
