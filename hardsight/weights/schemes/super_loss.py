"""SuperLoss: a confidence per sample, solved in closed form, multiplies its loss."""

from math import e, log, sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_class_codes, check_finite, check_losses
from hardsight.weights.scheme import Scheme, State, StateShape

_CASTELLS = "Castells et al. 2020, SuperLoss: a generic loss for robust curriculum learning, NeurIPS"
_SPREAD = 2.1
_NEAR, _FAR, _BEND = sqrt(2 * e) / _SPREAD, 0.35522888 / 0.17858395, 1 / 0.17858395
_FORMULA = "s = exp(-W(max(-1/e, (l - tau)/(2 lam)))), W: Lambert's function"


def lambert_w(x: Tensor) -> Tensor:
    """Principal branch of Lambert's W: W exp(W) = x, for x >= -1/e; what is smaller counts as -1/e, where W is -1.

    A start within .5 %, then Halley's steps, all of 1 + W, to the rounding of 1 + W. The gradient is that of the solution, 0
    where x is -1/e or less.
    """
    inside = x.detach().clamp(min=-1 / e)
    # Not quite 0 at the branch point, where a step would divide by it.
    lifted = _start((inside + 1 / e).clamp(min=torch.finfo(x.dtype).tiny))
    for _ in range(1 if x.dtype == torch.float32 else 4):
        w = lifted - 1
        miss = torch.addcdiv(w, inside, torch.exp(w), value=-1)
        slope = torch.addcdiv(lifted, miss, lifted, value=-0.5).add(miss, alpha=-0.5)
        lifted = torch.addcdiv(lifted, miss, slope, value=-1)
    w = lifted - 1
    if not x.requires_grad:
        return w
    steepness = torch.where(w > -1, torch.exp(-w) / lifted, 0)
    # Adds nothing to the value: it carries the gradient of the solution, not that of the steps.
    return w + steepness * (x - x.detach())


def _start(above: Tensor) -> Tensor:
    """1 + W, of x + 1/e.

    With u = log(1 + k √(x + 1/e)) it is √(2e) u / k for small u and about 2u for large ones. What is between was fitted:
    one step of Halley's leaves a relative error of 1.2e-7 at most, from the branch point to x = 1e38.
    """
    grown = torch.log1p(_SPREAD * above.sqrt())
    return torch.addcdiv(_FAR * grown, grown, grown + _BEND, value=(_NEAR - _FAR) * _BEND)


def superloss(
    loss: Float[Tensor, " sample"],
    logits: Float[Tensor, "sample class"] | None = None,
    classes: int | None = None,
    *,
    tau: float | None = None,
    lam: float = 1.0,
) -> Float[Tensor, " sample"]:
    """The confidence: e for the easiest samples, 1 where the loss is ``tau``, towards 0 for large losses.

    Args:
        loss: nats.
        logits: only their number of classes is read, for ``tau``.
        classes: number of classes, read if there are no logits.
        tau: boundary between easy and hard; None: log K, the loss of a model that knows nothing, or, if the number of
            classes K is not known, the mean of the losses.
        lam: regularization strength; the smaller, the stronger the weighting.

    Raises:
        InputError: a loss is not finite or is below zero, ``lam`` is not above 0, or there are fewer than two classes.
    """
    loss = check_losses(loss)
    if tau is None and (logits is not None or classes):
        tau = _log_classes(classes if logits is None else logits.shape[1])
    return _confidence(loss, loss.detach().mean() if tau is None else tau, lam)


def superloss_mean(
    state: State, loss: Float[Tensor, " sample"], *, lam: float = 1.0, decay: float = 0.9
) -> Float[Tensor, " sample"]:
    """As :func:`superloss`, with a running mean of the loss as ``tau``; losses may be of any kind.

    Args:
        state: "tau" and "steps".
        loss: of any unit; ``lam`` has the same.
        lam: the smaller, the stronger.
        decay: share of the running mean that stays in a step.
    """
    check_range("decay", decay, 0, 1, strict=(False, True))
    mean = check_finite("loss", loss).detach().mean().to(state["tau"].dtype)
    state["tau"].copy_(torch.where(state["steps"] > 0, decay * state["tau"] + (1 - decay) * mean, mean))
    state["steps"].add_(1)
    return _confidence(loss, state["tau"].to(loss.dtype), lam)


def superloss_loss(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], *, tau: float | None = None, lam: float = 1.0
) -> Float[Tensor, " sample"]:
    """(l - tau) s + lam (log s)², with s the confidence of :func:`superloss`; its derivative by the loss is s."""
    loss = torch.nn.functional.cross_entropy(
        check_finite("logits", logits), check_class_codes(labels, logits.shape[1]), reduction="none"
    )
    tau = _log_classes(logits.shape[1]) if tau is None else tau
    # The best s for the loss: a change of s changes nothing, to first order.
    confidence = _confidence(loss, tau, lam).detach()
    return (loss - tau) * confidence + lam * torch.log(confidence) ** 2


def _confidence(loss: Tensor, tau: float | Tensor, lam: float) -> Tensor:
    return torch.exp(-lambert_w((loss - tau) / (2 * check_range("lam", lam, 0, strict=(True, True)))))


def _log_classes(classes: int | None) -> float:
    if not classes or classes < 2:
        raise InputError(f"there must be 2 classes or more for tau = log K. Got {classes}: pass tau=…")
    return log(classes)


def _start_mean(room: StateShape) -> State:
    return {"tau": torch.zeros((), device=room.device), "steps": torch.zeros((), dtype=torch.int64, device=room.device)}


ROWS = (
    Scheme(
        "superloss",
        "samples of a loss below that of a model that knows nothing; large losses keep a little weight",
        f"{_FORMULA}; tau = log K if not given, or mean(l) if K is not known",
        superloss,
        "easy",
        "loss, nats",
        _CASTELLS,
        note="lam 1 was published for CIFAR-10, .25 for CIFAR-100. At the branch point of W it is exactly e, "
        "where scipy's lambertw in float64, and CurML with it, give NaN.",
    ),
    Scheme(
        "superloss-mean",
        "samples of a loss below the running mean; large losses keep a little weight",
        f"{_FORMULA}; tau = decay tau + (1 - decay) mean(l)",
        superloss_mean,
        "easy",
        "loss, any unit",
        _CASTELLS,
        init=_start_mean,
        note="decay .9 as in CurBench; starts at the mean of the first batch.",
    ),
    Scheme(
        "superloss-loss",
        "samples of a loss below that of a model that knows nothing: the loss itself, with its regulariser",
        f"(l - tau) s + lam (log s)²; {_FORMULA}; tau = log K if not given",
        superloss_loss,
        "easy",
        "loss, nats",
        _CASTELLS,
        kind="loss",
        through=True,
        note="Negative for easy samples. Its gradient is that of cross-entropy weighted with superloss.",
    ),
)
