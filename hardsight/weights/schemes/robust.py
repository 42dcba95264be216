"""Robust losses: as weights, the factor by which each multiplies the gradient of cross-entropy, and as losses."""

from functools import partial
from math import log
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_choice, check_int, check_range
from hardsight.weights.inputs import check_class_codes, check_finite, check_probabilities
from hardsight.weights.scheme import State, StateShape, scheme

_ZHANG = "Zhang, Sabuncu 2018, Generalized cross entropy loss for training deep neural networks with noisy labels, NeurIPS"
_GHOSH = "Ghosh et al. 2017, Robust loss functions under label noise for deep neural networks, AAAI"
_SCE = "Wang et al. 2019, Symmetric cross entropy for robust learning with noisy labels, ICCV"
_MA = "Ma et al. 2020, Normalized loss functions for deep learning with noisy labels, ICML"
_P = "probability of the given label"
_EMPHASIS = "the magnitudes of the gradient, w 2(1 - p), sum to one"
_robust_loss = partial(scheme, priority="easy", scale="logits", kind="loss", through=True, compares_samples=False)


@scheme("gce", formula="p^q", priority="easy", scale=_P, source=_ZHANG, compares_samples=False)
def gce(p: Float[Tensor, " sample"], *, q: float = 0.7) -> Float[Tensor, " sample"]:
    """Prefer samples whose label the model finds likely.

    The weight is p^q; the loss lies between cross-entropy (q near 0) and mean absolute error (q = 1).

    Args:
        q: exponent, above 0 and at most 1.
    """
    # The slope at 0 is infinite, which gives NaN times the slope of p.
    positive = check_probabilities(p).clamp(min=torch.finfo(p.dtype).tiny)
    return positive ** check_range("q", q, 0, 1, strict=(True, False))


def _init_kept(shape: StateShape) -> State:
    return {"kept": torch.ones(shape.samples, dtype=torch.bool, device=shape.device)}


@scheme(
    "truncated-gce",
    formula="p^q 1[p > k], the indicator updated every 10 epochs from epoch 40 on",
    priority="varied",
    scale=_P,
    source=_ZHANG,
    compares_samples=False,
    init=_init_kept,
    note="The selection is made as the samples pass in these epochs; published: before the epoch, at once. The "
    "reference code selects with the model that is best on test data, which leaks.",
    exclude_from_benchmark={"in training": "prunes from epoch 40 on, when these trainings are over"},
)
def truncated_gce(
    state: State,
    p: Float[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    epoch: float,
    *,
    q: float = 0.7,
    k: float = 0.5,
    start_prune: int = 40,
    every: int = 10,
) -> Float[Tensor, " sample"]:
    """Prefer samples whose label the model finds likely, and after a while keep only these.

    The weight is p^q for samples whose label was last found likelier than ``k``, and 0 for the others.

    Args:
        state: "kept", one per sample.
        q: as in :func:`gce`.
        k: threshold of the probability.
        start_prune: first epoch in which the samples are selected; until then all are kept.
        every: number of epochs between selections.
    """
    due = int(epoch) - check_int("start_prune", start_prune, 0)
    check_range("k", k, 0, 1)
    if due >= 0 and due % check_int("every", every, 1) == 0:
        state["kept"][rows] = p.detach() > k
    return gce(p, q=q) * state["kept"][rows]


@scheme(
    "mae",
    formula="p",
    priority="easy",
    scale=_P,
    source=_GHOSH,
    compares_samples=False,
    note="For the loss 1 - p; in the form sum |p - y| it is twice that.",
)
def mae(p: Float[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Prefer samples in proportion to the probability of their label.

    The weight p is that of the loss 1 - p.
    """
    return check_probabilities(p)


@scheme(
    "sce",
    formula="alpha - beta log(floor) p",
    priority="easy",
    scale=_P,
    source=_SCE,
    compares_samples=False,
    note="alpha .1 and beta 1 are for CIFAR-10, 6 and .1 for CIFAR-100; those of the original script are 1 and 1. "
    "All published codes have the floor 1e-4, that is log(floor) = -9.21.",
)
def sce(
    p: Float[Tensor, " sample"], *, alpha: float = 0.1, beta: float = 1.0, floor: float = 1e-4
) -> Float[Tensor, " sample"]:
    """Prefer samples whose label the model finds likely; unlikely labels keep a small weight.

    The weight is alpha - beta log(floor) p: that of cross-entropy plus ``beta`` times reverse cross-entropy.

    Args:
        alpha: weight of cross-entropy.
        beta: weight of reverse cross-entropy.
        floor: value that replaces the 0 of a one-hot label in its logarithm.
    """
    reverse = -log(check_range("floor", floor, 0, 1, strict=(True, True)))
    return check_range("alpha", alpha, 0) + check_range("beta", beta, 0) * reverse * check_probabilities(p)


@scheme(
    "imae",
    formula="exp(scale p (1 - p))/(2 (1 - p) + 1e-6)/(sum exp(scale p (1 - p)) + 1e-8)",
    priority="medium",
    scale=_P,
    source="Wang et al. 2019, IMAE for noise-robust learning, arXiv:1903.12141",
    compares_samples=True,
    reduction="sum",
    normalization=_EMPHASIS,
    note="Checked against the authors' code. scale (T in the paper) was tuned to the share of wrong labels, "
    "between 1 and 12. Times the gradient of cross-entropy this gives the published gradient.",
    example={"scale": 8.0},
)
def imae(p: Float[Tensor, " sample"], *, scale: float) -> Float[Tensor, " sample"]:
    """Prefer samples whose label the model finds neither likely nor unlikely.

    The magnitude of the gradient becomes exp(scale p (1 - p)): as for mean absolute error, but with another spread.

    Args:
        scale: spread; the larger, the more the magnitudes differ.
    """
    return derivative_manipulation(p, beta=check_range("scale", scale, 0), lam=1.0)


@scheme(
    "derivative-manipulation",
    formula="exp(beta p^lam (1 - p))/(2 (1 - p) + 1e-6)/(sum exp(beta p^lam (1 - p)) + 1e-8)",
    priority="medium",
    scale=_P,
    source="Wang et al. 2019, Derivative manipulation for general example weighting, arXiv:1905.11233",
    compares_samples=True,
    reduction="sum",
    normalization=_EMPHASIS,
    note="beta and lam were tuned to the share of wrong labels. Times the gradient of cross-entropy this gives the "
    "published gradient, whose magnitude is exp(beta p^lam (1 - p)); lam 0 prefers hard samples, a large lam easy ones.",
    example={"beta": 2.0, "lam": 1.0},
)
def derivative_manipulation(p: Float[Tensor, " sample"], *, beta: float, lam: float) -> Float[Tensor, " sample"]:
    """Prefer samples whose label has a certain probability, lam/(lam + 1).

    The magnitude of the gradient becomes exp(beta p^lam (1 - p)), which is largest at p = lam / (lam + 1).

    Args:
        beta: spread; the larger, the more the magnitudes differ.
        lam: position of the maximum.
    """
    p = check_probabilities(p)
    magnitude = torch.exp(check_range("beta", beta, 0) * p ** check_range("lam", lam, 0) * (1 - p))
    # The gradient of cross-entropy itself has the magnitude 2 (1 - p), as the sum of absolute values.
    return magnitude / (2 * (1 - p) + 1e-6) / (magnitude.sum() + 1e-8)


@_robust_loss(
    "gce-loss", formula="(1 - p^q)/q", source=_ZHANG, exclude_from_benchmark={"in training": "the gradient is that of gce"}
)
def gce_loss(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], *, q: float = 0.7
) -> Float[Tensor, " sample"]:
    """Prefer samples whose label the model finds likely, as the loss of gce.

    Returns (1 - p^q) / q.

    Args:
        q: exponent, above 0 and at most 1.
    """
    q = check_range("q", q, 0, 1, strict=(True, False))
    return -torch.expm1(q * _of_label(_log_softmax(logits), labels)) / q


@_robust_loss(
    "mae-loss", formula="1 - p", source=_GHOSH, exclude_from_benchmark={"in training": "the gradient is that of mae"}
)
def mae_loss(logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Prefer samples in proportion to the probability of their label, as the loss of mae.

    Returns 1 - p.
    """
    return -torch.expm1(_of_label(_log_softmax(logits), labels))


@_robust_loss(
    "sce-loss",
    formula="-alpha log p - beta log(floor) (1 - p)",
    source=_SCE,
    note="alpha .1 and beta 1 are for CIFAR-10, 6 and .1 for CIFAR-100.",
    exclude_from_benchmark={"in training": "the gradient is that of sce"},
)
def sce_loss(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    floor: float = 1e-4,
) -> Float[Tensor, " sample"]:
    """Prefer samples whose label the model finds likely, as the loss of sce; unlikely labels keep a small weight.

    Returns -alpha log p - beta log(floor) (1 - p).

    Args:
        alpha: weight of cross-entropy.
        beta: weight of reverse cross-entropy.
        floor: value that replaces the 0 of a one-hot label in its logarithm.
    """
    log_p_label = _of_label(_log_softmax(logits), labels)
    return (
        check_range("beta", beta, 0) * _reverse_cross_entropy(log_p_label, floor)
        - check_range("alpha", alpha, 0) * log_p_label
    )


@_robust_loss(
    "nce-loss", formula="log p_y/sum_k log p_k", source=_MA, note="No weight on cross-entropy gives the same gradient."
)
def nce_loss(logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Prefer samples whose label the model finds likely, relative to the losses of the other labels.

    Returns cross-entropy divided by its sum over all labels, between 0 and 1.
    """
    log_p = _log_softmax(logits)
    return _of_label(log_p, labels) / log_p.sum(1)


@_robust_loss(
    "apl-loss",
    formula="alpha log p_y/sum_k log p_k + beta b; b: -log(1e-4) (1 - p_y) (rce), or 1 - p_y (mae)",
    source=_MA,
    note="alpha and beta are 1 and 1 for CIFAR-10; for CIFAR-100 they are 10 and .1 with rce, 10 and 1 with mae.",
)
def apl_loss(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    passive: Literal["rce", "mae"] = "rce",
) -> Float[Tensor, " sample"]:
    """Prefer samples whose label the model finds likely, by nce-loss plus a loss that pushes the other classes down.

    Returns ``alpha`` times :func:`nce_loss` plus ``beta`` times the passive loss.

    Args:
        alpha: weight of the active loss.
        beta: weight of the passive loss.
        passive: "rce", reverse cross-entropy -log(1e-4) (1 - p), or "mae", 1 - p.
    """
    check_choice("passive", passive, ("rce", "mae"))
    log_p_label = _of_label(_log_softmax(logits), labels)
    passive_loss = _reverse_cross_entropy(log_p_label, 1e-4) if passive == "rce" else -torch.expm1(log_p_label)
    return check_range("alpha", alpha, 0) * nce_loss(logits, labels) + check_range("beta", beta, 0) * passive_loss


@_robust_loss(
    "bi-tempered-loss",
    formula="-log_t1 p_y - (1 - sum_k p_k^(2 - t1))/(2 - t1); p = exp_t2(z - norm)",
    source="Amid et al. 2019, Robust bi-tempered logistic loss based on Bregman divergences, NeurIPS",
    note="t1 and t2 are tuned to the data. The normalizer is exact; the reference code stops after five steps.",
    example={"t1": 0.8, "t2": 1.2},
)
def bi_tempered_loss(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], *, t1: float, t2: float
) -> Float[Tensor, " sample"]:
    """Prefer samples whose label the model finds likely; t1 bounds the loss of a sample, t2 flattens the softmax.

    Returns -log_t1 p - (1 - sum p^(2 - t1)) / (2 - t1), with p the tempered softmax of t2.

    Args:
        t1: below 1 the loss of a sample is bounded; at 1 it is not.
        t2: above 1 the softmax has heavy tails; with both 1 the loss is cross-entropy.
    """
    check_range("t1", t1, 0, 1), check_range("t2", t2, 1)
    if t2 == 1:
        log_p = _log_softmax(logits)
    else:
        scores = _check_logits(logits) - _tempered_normalizer(logits, t2)
        log_p = -torch.log1p((1 - t2) * scores) / (t2 - 1)
    log_p_label = _of_label(log_p, labels)
    label_loss = -log_p_label if t1 == 1 else -torch.expm1((1 - t1) * log_p_label) / (1 - t1)
    return label_loss - (1 - torch.exp((2 - t1) * log_p).sum(1)) / (2 - t1)


def _init_targets(shape: StateShape) -> State:
    if shape.classes < 2:
        raise InputError("scheme 'elr' keeps a prediction of each class and needs the number of classes: pass classes=…")
    return {"target": torch.zeros(shape.samples, shape.classes, device=shape.device)}


@scheme(
    "elr",
    formula="-log p_y + lam log(1 - <t, p>), t = beta t + (1 - beta) p/sum p; p clamped to [1e-4, 1 - 1e-4]",
    priority="easy",
    scale="predictions of past epochs",
    source="Liu et al. 2020, Early-learning regularization prevents memorization of noisy labels, NeurIPS",
    compares_samples=False,
    kind="loss",
    through=True,
    init=_init_targets,
    note="beta and lam are .7 and 3 for CIFAR-10, .9 and 1 with asymmetric noise, .9 and 7 for CIFAR-100.",
)
def elr(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    *,
    beta: float = 0.7,
    lam: float = 3.0,
) -> Float[Tensor, " sample"]:
    """Prefer labels that agree with the sample's own earlier predictions.

    Returns cross-entropy plus lam log(1 - <t, p>), where t is a running mean of the sample's predictions.

    Args:
        state: "target", one row per sample.
        beta: share of the running mean that stays in a step.
        lam: strength of the regularization.
    """
    log_p = _log_softmax(logits)
    p = log_p.exp().clamp(1e-4, 1 - 1e-4)
    prediction = (p / p.sum(1, keepdim=True)).detach().to(state["target"].dtype)
    target = check_range("beta", beta, 0, 1) * state["target"][rows] + (1 - beta) * prediction
    state["target"][rows] = target
    return check_range("lam", lam, 0) * torch.log1p(-(target.to(p.dtype) * p).sum(1)) - _of_label(log_p, labels)


def _log_softmax(logits: Tensor) -> Tensor:
    return _check_logits(logits).log_softmax(1)


def _check_logits(logits: Tensor) -> Tensor:
    if logits.shape[1] < 2:
        raise InputError(f"logits must have 2 classes or more. Got {logits.shape[1]}")
    return check_finite("logits", logits)


def _of_label(log_p: Tensor, labels: Tensor) -> Tensor:
    return log_p.gather(1, check_class_codes(labels, log_p.shape[1])[:, None]).squeeze(1)


def _reverse_cross_entropy(log_p_label: Tensor, floor: float) -> Tensor:
    return log(check_range("floor", floor, 0, 1, strict=(True, True))) * torch.expm1(log_p_label)


def _tempered_normalizer(logits: Tensor, t: float) -> Tensor:
    """Return the number to subtract from the logits so that their tempered exponentials sum to one; t > 1.

    Newton's method on the sum to the power 1 - t, which is concave in that number: the steps approach the solution
    from below and never pass it. The gradient is that of the solution: the tempered softmax to the power t, normalized.
    """
    with torch.no_grad():
        norm = logits.amax(1, keepdim=True)
        for _ in range(12):
            base = 1 + (t - 1) * (norm - logits)
            total = (base ** (-1 / (t - 1))).sum(1, keepdim=True)
            slope = (t - 1) * total**-t * (base ** (-t / (t - 1))).sum(1, keepdim=True)
            norm = norm + (1 - total ** (1 - t)) / slope
        escort = (1 + (t - 1) * (norm - logits)) ** (-t / (t - 1))
        escort = escort / escort.sum(1, keepdim=True)
    return norm + (escort * (logits - logits.detach())).sum(1, keepdim=True)
