"""Weights and losses by the sizes of the classes: for imbalance, whatever the difficulty of a sample in its class."""

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_finite
from hardsight.weights.scheme import Scheme

_CUI = "Cui et al. 2019, Class-balanced loss based on effective number of samples, CVPR"
_CAO = "Cao et al. 2019, Learning imbalanced datasets with label-distribution-aware margin loss, NeurIPS"
_SIZES = "samples of each class"


def uniform(loss: Float[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """1, whatever the loss."""
    return torch.ones_like(loss)


def balanced(labels: Int[Tensor, " sample"], sizes: Real[Tensor, " class"]) -> Float[Tensor, " sample"]:
    """N / (K n_c), K the classes that have samples: every class weighs the same in all.

    >>> balanced(torch.tensor([0, 0, 0, 1]), torch.tensor([3, 1]))
    tensor([0.6667, 0.6667, 0.6667, 2.0000])
    """
    return _inverse_power(labels, sizes, 1)


def balanced_sqrt(labels: Int[Tensor, " sample"], sizes: Real[Tensor, " class"]) -> Float[Tensor, " sample"]:
    """In proportion to n_c^(-1/2): half-way, on a log scale, from uniform to balanced; mean one over the data set."""
    return _inverse_power(labels, sizes, 0.5)


def _inverse_power(labels: Tensor, sizes: Tensor, power: float) -> Tensor:
    n = class_sizes(labels, sizes)
    seen = torch.where(n > 0, n, 1)
    of_class = n.sum() / (seen ** (1 - power) * (n > 0)).sum() / seen**power
    return of_class[labels.long()]


def class_balanced(
    labels: Int[Tensor, " sample"], sizes: Real[Tensor, " class"], *, beta: float = 0.9999
) -> Float[Tensor, " sample"]:
    """Inverse of the effective number of samples (1 - beta^n_c) / (1 - beta); mean one over the classes.

    ``beta`` = 0 is uniform, ``beta`` → 1 the inverse frequency.
    """
    return _effective(class_sizes(labels, sizes), beta)[labels.long()]


def _effective(n: Tensor, beta: float) -> Tensor:
    kept = torch.as_tensor(check_range("beta", beta, 0, 1, strict=(False, True)), dtype=torch.float64).log().to(n)
    # 1 - beta^n loses its digits where beta^n is near 1.
    inverse = torch.where(n > 0, -1 / torch.expm1(torch.where(n > 0, n, 1) * kept), 0)
    return inverse * (n > 0).sum() / inverse.sum()


def drw(
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " class"],
    epoch: float,
    epochs: float,
    *,
    start: float = 0.8,
    beta: float = 0.9999,
) -> Float[Tensor, " sample"]:
    """Deferred re-weighting: 1 at first; :func:`class_balanced` once the share ``start`` of the epochs is done."""
    weights = class_balanced(labels, sizes, beta=beta)
    return weights if _late(epoch, epochs, start) else torch.ones_like(weights)


def _late(epoch: float, epochs: float, start: float) -> bool:
    check_range("epochs", epochs, 0, strict=(True, False))
    return check_range("epoch", epoch, 0) >= check_range("start", start, 0, 1) * epochs


def ldam_loss(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " size"],
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
) -> Float[Tensor, " sample"]:
    """Cross-entropy of scale (z - m_y e_y), with margins m_c in proportion to n_c^(-1/4); the largest is ``max_margin``.

    The logits are cosines: of features and of a last layer's rows, both of length one.
    """
    margins = ldam_margins(_sizes_of(logits, labels, sizes), max_margin=max_margin)
    shifted = check_finite("logits", logits) - one_hot(labels, len(margins)) * margins
    return cross_entropy(check_range("scale", scale, 0, strict=(True, False)) * shifted, labels, reduction="none")


def ldam_margins(sizes: Real[Tensor, " class"], *, max_margin: float = 0.5) -> Float[Tensor, " class"]:
    """Margins of :func:`ldam_loss`; those of a class without samples are the largest.

    >>> ldam_margins(torch.tensor([500, 5]))
    tensor([0.1581, 0.5000])
    """
    n = _floats(sizes)
    smallest = n[n > 0].min()
    return check_range("max_margin", max_margin, 0) * (smallest / n.clamp(min=smallest)) ** 0.25


def ldam_drw(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " size"],
    epoch: float,
    epochs: float,
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
    start: float = 0.8,
    beta: float = 0.9999,
) -> Float[Tensor, " sample"]:
    """:func:`ldam_loss` times :func:`drw`, whose weights have mean one over the batch here."""
    weights = drw(labels, sizes, epoch, epochs, start=start, beta=beta).to(logits)
    return ldam_loss(logits, labels, sizes, max_margin=max_margin, scale=scale) * weights / weights.mean()


def logit_adjusted_loss(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    sizes: Real[Tensor, " size"],
    *,
    tau: float = 1.0,
) -> Float[Tensor, " sample"]:
    """Cross-entropy of z + tau log(n / N): the logits themselves then learn the posterior of balanced classes."""
    n = _sizes_of(logits, labels, sizes)
    prior = n.clamp(min=torch.finfo(n.dtype).tiny).log() - n.sum().log()
    return cross_entropy(check_finite("logits", logits) + check_range("tau", tau, 0) * prior, labels, reduction="none")


def _sizes_of(logits: Tensor, labels: Tensor, sizes: Tensor) -> Tensor:
    if logits.shape[1] != len(sizes):
        raise InputError(f"sizes must be those of all {logits.shape[1]} classes that logits have. Got {len(sizes)}")
    return class_sizes(labels, sizes).to(logits)


def class_sizes(labels: Int[Tensor, " sample"], sizes: Real[Tensor, " class"]) -> Float[Tensor, " class"]:
    """The sizes, checked against the labels, as floats.

    Raises:
        InputError: a label that is no class, or of a class that has no samples; a size below zero.
    """
    n = check_finite("sizes", _floats(sizes))
    if bool((n < 0).any()):
        raise InputError("sizes must be 0 or more: give the samples of each class in the data set")
    outside = (labels < 0) | (labels >= len(n))
    if bool(outside.any()):
        wrong = int(labels[outside][0])
        raise InputError(f"labels must be class codes from 0 to {len(n) - 1}, as sizes has {len(n)}. Got {wrong}")
    own = n[labels.long()]
    if bool((own == 0).any()):
        empty = int(labels[own == 0][0])
        raise InputError(
            f"sizes says that class {empty} has no samples, but labels has one: give sizes of this data set"
        )
    return n


def _floats(sizes: Tensor) -> Tensor:
    return sizes if sizes.is_floating_point() else sizes.to(torch.get_default_dtype())


ROWS = (
    Scheme(
        "uniform",
        "all samples alike",
        "1",
        uniform,
        "none",
        "none: the loss is read for its length only",
        "none",
        normalization="mean one",
    ),
    Scheme(
        "balanced",
        "samples of small classes, so that all classes weigh the same",
        "N / (K n_c)",
        balanced,
        "none",
        _SIZES,
        "King & Zeng 2001, Logistic regression in rare events data, Political Analysis; scikit-learn's 'balanced'",
        normalization="mean one over the data set",
        per="class",
        note="K counts the classes that have samples.",
    ),
    Scheme(
        "balanced-sqrt",
        "samples of small classes, half-way to balanced",
        "N n_c^(-1/2) / sum_k n_k^(1/2)",
        balanced_sqrt,
        "none",
        _SIZES,
        "Mahajan et al. 2018, Exploring the limits of weakly supervised pretraining, ECCV",
        normalization="mean one over the data set",
        per="class",
        note="Published as sampling by the square root of the frequency.",
    ),
    Scheme(
        "class-balanced",
        "samples of small classes, less so where classes are large enough to repeat themselves",
        "(1 - beta) / (1 - beta^n_c) · K / sum",
        class_balanced,
        "none",
        _SIZES,
        _CUI,
        normalization="mean one over classes",
        per="class",
        note="The paper tries beta of .9, .99, .999 and .9999; the default is that of LDAM's code. The mean over "
        "the samples is below one: large classes weigh less.",
    ),
    Scheme(
        "drw",
        "all samples alike, then those of small classes",
        "1 while t < start · T, then class-balanced",
        drw,
        "varied",
        _SIZES,
        _CAO,
        reduction="weighted mean",
        normalization="mean one over classes",
        per="class",
        note="Published with the switch at epoch 160 of 200.",
    ),
    Scheme(
        "ldam-loss",
        "samples of small classes by a wider margin",
        "cross-entropy of scale (z - m_y e_y), m_c = max_margin (n_min / n_c)^(1/4)",
        ldam_loss,
        "none",
        _SIZES,
        _CAO,
        kind="loss",
        through=True,
        per="class",
        note="Made for a cosine classifier; other logits times 30 saturate.",
    ),
    Scheme(
        "ldam-drw",
        "samples of small classes by a wider margin, and later by weight too",
        "ldam-loss · drw / (mean of drw over the batch)",
        ldam_drw,
        "varied",
        _SIZES,
        _CAO,
        kind="loss",
        through=True,
        normalization="mean one over the batch",
        per="class",
        note="Weights are divided by their batch mean, because as published the weighted losses are divided by sum(w).",
    ),
    Scheme(
        "logit-adjusted-loss",
        "samples of small classes, by a margin that makes the balanced error consistent",
        "cross-entropy of z + tau log(n_c / N)",
        logit_adjusted_loss,
        "none",
        _SIZES,
        "Menon et al. 2021, Long-tail learning via logit adjustment, ICLR",
        kind="loss",
        through=True,
        per="class",
    ),
)
