"""Robust losses, per sample, for use in place of cross-entropy."""

from collections.abc import Callable
from math import log
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_class_codes, check_finite
from hardsight.weights.scheme import Scheme, State, StateShape

_ZHANG = (
    "Zhang, Sabuncu 2018, Generalized cross entropy loss for training deep neural networks with noisy labels, NeurIPS"
)
_GHOSH = "Ghosh et al. 2017, Robust loss functions under label noise for deep neural networks, AAAI"
_SCE = "Wang et al. 2019, Symmetric cross entropy for robust learning with noisy labels, ICCV"
_MA = "Ma et al. 2020, Normalized loss functions for deep learning with noisy labels, ICML"
_AMID = "Amid et al. 2019, Robust bi-tempered logistic loss based on Bregman divergences, NeurIPS"
_LIU = "Liu et al. 2020, Early-learning regularization prevents memorization of noisy labels, NeurIPS"
_LOGITS = "logits"


def gce_loss(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], *, q: float = 0.7
) -> Float[Tensor, " sample"]:
    """(1 - p^q) / q."""
    q = check_range("q", q, 0, 1, strict=(True, False))
    return -torch.expm1(q * _given(_log_softmax(logits), labels)) / q


def mae_loss(logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """1 - p."""
    return -torch.expm1(_given(_log_softmax(logits), labels))


def sce_loss(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    floor: float = 1e-4,
) -> Float[Tensor, " sample"]:
    """-alpha log p - beta log(floor) (1 - p)."""
    given = _given(_log_softmax(logits), labels)
    return check_range("beta", beta, 0) * _reverse(given, floor) - check_range("alpha", alpha, 0) * given


def nce_loss(logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Cross-entropy over its sum over all labels, between 0 and 1."""
    told = _log_softmax(logits)
    return _given(told, labels) / told.sum(1)


def apl_loss(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    passive: Literal["rce", "mae"] = "rce",
) -> Float[Tensor, " sample"]:
    """A sum of :func:`nce_loss`, alpha times, and beta times a loss that pushes the other classes down.

    Args:
        logits: of the model.
        labels: class codes.
        alpha: strength of the active loss.
        beta: strength of the passive loss.
        passive: "rce", reverse cross-entropy -log(1e-4) (1 - p), or "mae", 1 - p.
    """
    if passive not in ("rce", "mae"):
        raise InputError(f"passive must be 'rce' or 'mae'. Got {passive!r}")
    given = _given(_log_softmax(logits), labels)
    other = _reverse(given, 1e-4) if passive == "rce" else -torch.expm1(given)
    return check_range("alpha", alpha, 0) * nce_loss(logits, labels) + check_range("beta", beta, 0) * other


def bi_tempered_loss(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], *, t1: float, t2: float
) -> Float[Tensor, " sample"]:
    """-log_t1 p - (1 - sum p^(2 - t1)) / (2 - t1), with p the tempered softmax of t2.

    Args:
        logits: of the model.
        labels: class codes.
        t1: below 1 bounds the loss of a sample; 1 does not.
        t2: above 1 gives the softmax heavy tails; with both 1 the loss is cross-entropy.
    """
    check_range("t1", t1, 0, 1), check_range("t2", t2, 1)
    if t2 == 1:
        told = _log_softmax(logits)
    else:
        scores = _checked(logits) - _normaliser(logits, t2)
        told = -torch.log1p((1 - t2) * scores) / (t2 - 1)
    given = _given(told, labels)
    missed = -given if t1 == 1 else -torch.expm1((1 - t1) * given) / (1 - t1)
    return missed - (1 - torch.exp((2 - t1) * told).sum(1)) / (2 - t1)


def elr(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    *,
    beta: float = 0.7,
    lam: float = 3.0,
) -> Float[Tensor, " sample"]:
    """Cross-entropy plus lam log(1 - <t, p>), where t is a running mean of the sample's own predictions.

    Args:
        state: "target", for every sample.
        logits: of the model.
        labels: class codes.
        rows: of the samples.
        beta: share of the running mean that stays in a step.
        lam: strength.
    """
    told = _log_softmax(logits)
    p = told.exp().clamp(1e-4, 1 - 1e-4)
    seen = (p / p.sum(1, keepdim=True)).detach().to(state["target"].dtype)
    target = check_range("beta", beta, 0, 1) * state["target"][rows] + (1 - beta) * seen
    state["target"][rows] = target
    return check_range("lam", lam, 0) * torch.log1p(-(target.to(p.dtype) * p).sum(1)) - _given(told, labels)


def _log_softmax(logits: Tensor) -> Tensor:
    return _checked(logits).log_softmax(1)


def _checked(logits: Tensor) -> Tensor:
    if logits.shape[1] < 2:
        raise InputError(f"logits must have 2 classes or more. Got {logits.shape[1]}")
    return check_finite("logits", logits)


def _given(told: Tensor, labels: Tensor) -> Tensor:
    return told.gather(1, check_class_codes(labels, told.shape[1])[:, None]).squeeze(1)


def _reverse(given: Tensor, floor: float) -> Tensor:
    return log(check_range("floor", floor, 0, 1, strict=(True, True))) * torch.expm1(given)


def _normaliser(logits: Tensor, t: float) -> Tensor:
    """What must be taken from the logits for their tempered exponentials to add up to one; t > 1.

    Newton's steps on the sum to the power 1 - t, which is concave in it: they come from below and never pass it. The
    gradient is that of the solution: the tempered softmax to the power t, normalised.
    """
    with torch.no_grad():
        taken = logits.amax(1, keepdim=True)
        for _ in range(12):
            base = 1 + (t - 1) * (taken - logits)
            total = (base ** (-1 / (t - 1))).sum(1, keepdim=True)
            slope = (t - 1) * total**-t * (base ** (-t / (t - 1))).sum(1, keepdim=True)
            taken = taken + (1 - total ** (1 - t)) / slope
        escort = (1 + (t - 1) * (taken - logits)) ** (-t / (t - 1))
        escort = escort / escort.sum(1, keepdim=True)
    return taken + (escort * (logits - logits.detach())).sum(1, keepdim=True)


def _start(room: StateShape) -> State:
    if room.classes < 2:
        raise InputError("scheme 'elr' keeps a prediction of each class: say how many there are, classes=…")
    return {"target": torch.zeros(room.samples, room.classes, device=room.device)}


def _row(name: str, what: str, formula: str, function: Callable[..., Tensor], source: str, note: str = "") -> Scheme:
    return Scheme(name, what, formula, function, "easy", _LOGITS, source, "loss", through=True, note=note)


ROWS = (
    _row("gce-loss", "as gce: samples whose label is found likely", "(1 - p^q)/q", gce_loss, _ZHANG),
    _row("mae-loss", "as mae: samples whose label is found likely, in proportion", "1 - p", mae_loss, _GHOSH),
    _row(
        "sce-loss",
        "as sce: samples whose label is found likely; unlikely ones keep a little weight",
        "-alpha log p - beta log(floor) (1 - p)",
        sce_loss,
        _SCE,
        "alpha .1 and beta 1 are for CIFAR-10, 6 and .1 for CIFAR-100.",
    ),
    _row(
        "nce-loss",
        "samples whose label is found likely, against the losses that other labels would have",
        "log p_y/sum_k log p_k",
        nce_loss,
        _MA,
        "No weight on cross-entropy gives the same gradient.",
    ),
    _row(
        "apl-loss",
        "nce-loss, and a second loss that pushes the other classes down",
        "alpha log p_y/sum_k log p_k + beta b; b: -log(1e-4) (1 - p_y) (rce), or 1 - p_y (mae)",
        apl_loss,
        _MA,
        "alpha and beta are 1 and 1 for CIFAR-10; for CIFAR-100 10 and .1 with rce, 10 and 1 with mae.",
    ),
    _row(
        "bi-tempered-loss",
        "samples whose label is found likely; t1 bounds the loss of a sample, t2 flattens the softmax",
        "-log_t1 p_y - (1 - sum_k p_k^(2 - t1))/(2 - t1); p = exp_t2(z - norm)",
        bi_tempered_loss,
        _AMID,
        "t1 and t2 are tuned to the data. The normaliser is exact; the reference code stops after five steps.",
    ),
    Scheme(
        "elr",
        "the labels that a sample's own earlier predictions agree with",
        "-log p_y + lam log(1 - <t, p>), t = beta t + (1 - beta) p/sum p; p clamped to [1e-4, 1 - 1e-4]",
        elr,
        "easy",
        "predictions of past epochs",
        _LIU,
        "loss",
        through=True,
        init=_start,
        note="beta and lam are .7 and 3 for CIFAR-10, .9 and 1 with asymmetric noise, .9 and 7 for CIFAR-100.",
    ),
)
