"""Reweighting by loss for the pretraining of language models: exponential weights of a shape on the scaled loss."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from hardsight.validation import check_range
from hardsight.weights.inputs import check_losses
from hardsight.weights.scheme import Priority, Scheme

_SOW = "Sow et al. 2025, Dynamic loss-based sample reweighting for improved large language model pretraining, ICLR"


def llm_linupper(loss: Float[Tensor, " sample"], *, delta: float = 1.0, r: float = 1.0) -> Float[Tensor, " sample"]:
    """Grows with the loss up to the middle of its range, and is the same above."""
    return _softmax((_scaled(loss, delta) + delta).clamp(max=delta), r)


def llm_quadratic(loss: Float[Tensor, " sample"], *, delta: float = 1.0, r: float = 1.0) -> Float[Tensor, " sample"]:
    """Largest in the middle of the losses' range."""
    return _softmax(1 - (_scaled(loss, delta) / delta) ** 2, r)


def llm_extremes(loss: Float[Tensor, " sample"], *, delta: float = 1.0, r: float = 1.0) -> Float[Tensor, " sample"]:
    """Largest at both ends of the losses' range."""
    return _softmax(_scaled(loss, delta).abs(), r)


def _scaled(loss: Tensor, delta: float) -> Tensor:
    """The losses from -delta to delta; 0 where all are equal."""
    loss = check_losses(loss)
    low, high = loss.min(), loss.max()
    width = (high - low).where(high > low, 1)
    return (check_range("delta", delta, 0, strict=(True, True)) * (2 * loss - high - low) / width).where(high > low, 0)


def _softmax(values: Tensor, r: float) -> Tensor:
    return (values / check_range("r", r, 0, strict=(True, True))).softmax(0)


_NOTE = (
    "The range is that of the whole batch, over all ranks. The paper lowers r over training; large r weighs all alike."
)


def _row(name: str, what: str, shape: str, function: Callable[..., Tensor], priority: Priority) -> Scheme:
    return Scheme(
        name,
        what,
        f"softmax(h / r), h = {shape}, s = delta (2l - max - min)/(max - min)",
        function,
        priority,
        "loss, by its place between the batch's smallest and largest",
        _SOW,
        reduction="sum",
        normalization="sum 1",
        note=_NOTE,
    )


ROWS = (
    _row("llm-linupper", "hard samples, but for the hardest alike", "min(s + delta, delta)", llm_linupper, "hard"),
    _row("llm-quadratic", "samples of medium loss", "1 - s²/delta²", llm_quadratic, "medium"),
    _row("llm-extremes", "easy and hard samples, not those between", "|s|", llm_extremes, "two-ends"),
)
