"""SuperLoss: a confidence per sample, solved in closed form, multiplies its loss."""

from math import e, log

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.weights.core import Room, Scheme, State, class_codes, finite, losses, within

_CASTELLS = "Castells et al. 2020, SuperLoss: a generic loss for robust curriculum learning, NeurIPS"
_FORMULA = "s = exp(-W(max(-1/e, (l - tau)/(2 lam)))), W: Lambert's function"


def lambert_w(x: Tensor) -> Tensor:
    """Principal branch of Lambert's W: W exp(W) = x, for x >= -1/e; what is smaller counts as -1/e, where W is -1.

    Halley's steps from a start that is good everywhere; the gradient is that of the solution, 0 where x is -1/e or less.
    """
    inside = x.clamp(min=-1 / e)
    with torch.no_grad():
        w = _start(inside)
        for _ in range(5):
            grown = torch.exp(w)
            miss = w * grown - inside
            slope = grown * (w + 1) - (w + 2) * miss / (2 * (w + 1)).clamp(min=1e-8)
            w = torch.where(w + 1 > 1e-4, w - miss / slope, w).clamp(min=-1)
        steepness = torch.where(w > -1, torch.exp(-w) / (1 + w).clamp(min=1e-8), 0)
    # Adds nothing to the value: it carries the gradient of the solution, not that of the steps.
    return w + steepness * (inside - inside.detach())


def _start(x: Tensor) -> Tensor:
    """A series around the branch point below 0.3, an asymptotic form above."""
    p = (2 * (e * x + 1)).clamp(min=0).sqrt()
    near = -1 + p * (1 + p * (-1 / 3 + p * (11 / 72 + p * (-43 / 540 + p * (769 / 17280)))))
    grown = torch.log1p(x.clamp(min=0))
    far = grown * (1 - torch.log1p(grown) / (2 + grown))
    return torch.where(x < 0.3, near, far)


def superloss(
    loss: Float[Tensor, " sample"], logits: Float[Tensor, "sample class"], *, tau: float | None = None, lam: float = 1.0
) -> Float[Tensor, " sample"]:
    """The confidence: e for the easiest samples, 1 where the loss is ``tau``, towards 0 for large losses.

    Args:
        loss: nats.
        logits: only how many classes they have is read.
        tau: what parts easy from hard; None: log K, the loss of a model that knows nothing.
        lam: the smaller, the stronger.
    """
    return _confidence(losses(loss), _log_classes(logits) if tau is None else tau, lam)


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
    within("decay", decay, 0, 1, strict=(False, True))
    mean = finite("loss", loss).detach().mean().to(state["tau"].dtype)
    state["tau"].copy_(torch.where(state["steps"] > 0, decay * state["tau"] + (1 - decay) * mean, mean))
    state["steps"].add_(1)
    return _confidence(loss, state["tau"].to(loss.dtype), lam)


def superloss_loss(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], *, tau: float | None = None, lam: float = 1.0
) -> Float[Tensor, " sample"]:
    """(l - tau) s + lam (log s)², with s the confidence of :func:`superloss`; its derivative by the loss is s."""
    loss = torch.nn.functional.cross_entropy(
        finite("logits", logits), class_codes(labels, logits.shape[1]), reduction="none"
    )
    tau = _log_classes(logits) if tau is None else tau
    # The best s for the loss: a change of s changes nothing, to first order.
    confidence = _confidence(loss, tau, lam).detach()
    return (loss - tau) * confidence + lam * torch.log(confidence) ** 2


def _confidence(loss: Tensor, tau: float | Tensor, lam: float) -> Tensor:
    return torch.exp(-lambert_w((loss - tau) / (2 * within("lam", lam, 0, strict=(True, True)))))


def _log_classes(logits: Tensor) -> float:
    if logits.shape[1] < 2:
        raise InputError(f"logits must have 2 classes or more for tau = log K, or give tau. Got {logits.shape[1]}")
    return log(logits.shape[1])


def _start_mean(room: Room) -> State:
    return {"tau": torch.zeros((), device=room.device), "steps": torch.zeros((), dtype=torch.int64, device=room.device)}


ROWS = (
    Scheme(
        "superloss",
        "samples of a loss below that of a model that knows nothing; large losses keep a little weight",
        f"{_FORMULA}; tau = log K if not given",
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
        start=_start_mean,
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
