"""Focal losses and other weights by the gradient of a sample's loss.

Focal weights fall with the probability of the given label, so that hard samples count more; gradient harmonizing
makes samples of a common gradient norm count less; two schemes weigh by the norm of the gradient itself.
"""

import math
from functools import partial

import torch
from jaxtyping import Float, Int, Num
from scipy.special import lambertw
from torch import Tensor
from torch.nn.functional import logsigmoid

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_codes, check_finite, check_probabilities
from hardsight.weights.scheme import State, StateShape, scheme

_LIN = "Lin et al. 2017, Focal loss for dense object detection, ICCV"
_MUKHOTI = "Mukhoti et al. 2020, Calibrating deep neural networks using focal loss, NeurIPS"
_P = "probability of the given label, 0 to 1"
_THROUGH = "The gradient flows through the weight, as published"
_focal = partial(scheme, priority="hard", scale=_P, through=True, compares_samples=False)


@_focal(
    "focal",
    formula="(1-p)^gamma",
    source=_LIN,
    note=f"{_THROUGH}: it then multiplies cross-entropy's gradient by (1-p)^g - g p (1-p)^(g-1) log p. Factors of the "
    "classes are left to class schemes. Detectors divide by the number of positives.",
)
def focal(p: Float[Tensor, " sample"], *, gamma: float = 2.0) -> Float[Tensor, " sample"]:
    """Prefer hard samples.

    The weight (1-p)^gamma falls from 1 at p = 0 to 0 at p = 1, the faster the larger ``gamma``.

    Args:
        gamma: exponent.
    """
    return _power(1 - check_probabilities(p), check_range("gamma", gamma, 0))


@_focal(
    "flsd-53",
    formula="(1-p)^5 if p < 0.2, else (1-p)^3",
    source=_MUKHOTI,
    note=f"{_THROUGH}. It steps down from p above 0.2 to p below, where gamma rises.",
)
def flsd_53(p: Float[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Prefer hard samples, with a smaller contrast among the less hard ones.

    The weight is focal with gamma 5 where p < 0.2, and with gamma 3 elsewhere.
    """
    complement = 1 - check_probabilities(p)
    return torch.where(p < 0.2, complement**5, complement**3)


def focal_gamma(p0: float) -> float:
    """Return the gamma at which a focal loss's gradient is as long as that of cross-entropy at p = p0, and shorter above it.

    >>> round(focal_gamma(0.25), 2)
    3.07
    """
    check_range("p0", p0, 0, 0.5, strict=(True, False))
    if p0 == 0.5:
        return 0.0
    a = (1 - p0) / (p0 * math.log(p0))
    b = math.log1p(-p0)
    # The solution of (1-p)^g (1 - g p log(p)/(1-p)) = 1 that is not g = 0.
    y = (1 - p0) ** (1 - a) * b / (p0 * math.log(p0))
    return float(a + lambertw(-y, -1).real / b)


@_focal(
    "flsd-closed-form",
    formula="(1-p)^g with g = (1-p0)/(p0 log p0) + W_-1(-y)/log(1-p0), y = (1-p0)^(1 - (1-p0)/(p0 log p0)) "
    "log(1-p0)/(p0 log p0)",
    source=_MUKHOTI,
    note=f"{_THROUGH}. p0 is 0.5 or less; at 0.5 it is cross-entropy. p0 = 0.2 gives 4.85, 0.25 gives 3.07: FLSD-53.",
    example={"p0": 0.2},
)
def flsd_closed_form(p: Float[Tensor, " sample"], *, p0: float) -> Float[Tensor, " sample"]:
    """Prefer hard samples; from p0 on, gradients are smaller than those of cross-entropy.

    The weight is focal with the gamma that :func:`focal_gamma` gives for ``p0``.

    Args:
        p0: probability at which the gradient is as long as that of cross-entropy, at most 0.5.
    """
    return focal(p, gamma=focal_gamma(p0))


@scheme(
    "focal-sigmoid",
    formula="sum over labels of alpha_t (1-p_t)^gamma (-log p_t)",
    priority="hard",
    scale="logits of independent labels",
    source=_LIN,
    compares_samples=False,
    kind="loss",
    through=True,
    per="element",
    note=f"{_THROUGH}. labels is a 0/1 matrix of the shape of the logits. Published divided by the number of positives.",
    exclude_from_benchmark={"in training": "for labels that do not exclude each other"},
)
def focal_sigmoid(
    logits: Float[Tensor, "sample label"], labels: Num[Tensor, "..."], *, gamma: float = 2.0, alpha: float | None = 0.25
) -> Float[Tensor, " sample"]:
    """Prefer hard labels, of samples with several labels or of a detector.

    Returns the focal loss of independent yes/no labels, summed over a sample's labels.

    Args:
        logits: of each label; ``(sample, label)``.
        labels: 0/1 matrix; ``(sample, label)``.
        gamma: exponent of the focal weight.
        alpha: weight of the positives; that of the negatives is 1 - alpha. None: 1 for both.

    Raises:
        InputError: logits that are not finite, labels that are not a 0/1 matrix of their shape, or a parameter out of range.
    """
    check_range("gamma", gamma, 0)
    positive = _check_zero_one(labels, logits)
    true_logits = torch.where(positive, check_finite("logits", logits), -logits)
    loss = -_power((-true_logits).sigmoid(), gamma) * logsigmoid(true_logits)
    if alpha is not None:
        check_range("alpha", alpha, 0, 1)
        loss = loss * (alpha * positive.to(loss.dtype) + (1 - alpha) * (~positive).to(loss.dtype))
    return loss.sum(1)


@scheme(
    "asl",
    formula="sum over labels of -y (1-p)^g+ log p - (1-y) q^g- log(1-q), q = max(p - clip, 0)",
    priority="hard",
    scale="logits of independent labels",
    source="Ridnik, Ben-Baruch et al. 2021, Asymmetric loss for multi-label classification, ICCV",
    compares_samples=False,
    kind="loss",
    through=True,
    reduction="sum",
    per="element",
    note="labels is a 0/1 matrix of the shape of the logits. Defaults are the code's; the paper's text has g+ = 0. The "
    "code's disable_torch_grad_focal_loss is through_weight=False. Its single-label form with g+ = 0 is cross-entropy.",
    exclude_from_benchmark={"in training": "for labels that do not exclude each other"},
)
def asl(
    logits: Float[Tensor, "sample label"],
    labels: Num[Tensor, "..."],
    *,
    gamma_negative: float = 4.0,
    gamma_positive: float = 1.0,
    clip: float = 0.05,
    through_weight: bool = True,
) -> Float[Tensor, " sample"]:
    """Prefer hard labels; negative labels are focused sharply, and dropped once they are certain.

    Returns the asymmetric loss of independent yes/no labels, summed over a sample's labels.

    Args:
        logits: of each label; ``(sample, label)``.
        labels: 0/1 matrix; ``(sample, label)``.
        gamma_negative: focal exponent of labels that are 0.
        gamma_positive: focal exponent of labels that are 1.
        clip: subtracted from the probability of labels that are 0; below it they do not count.
        through_weight: whether the gradient flows through the focal weights.

    Raises:
        InputError: logits that are not finite, labels that are not a 0/1 matrix of their shape, or a parameter out of range.
    """
    check_range("gamma_negative", gamma_negative, 0)
    check_range("gamma_positive", gamma_positive, 0)
    check_range("clip", clip, 0, 1, strict=(False, True))
    positive = _check_zero_one(labels, logits)
    p = check_finite("logits", logits).sigmoid()
    shifted = (p - clip).clamp(min=0)
    weights = torch.where(positive, _power(1 - p, gamma_positive), _power(shifted, gamma_negative))
    # Without a shift the logarithm is computed from the logits, because 1 - p would round to 0.
    negative = torch.log1p(-shifted) if clip else logsigmoid(-logits)
    label_losses = -torch.where(positive, logsigmoid(logits), negative)
    return ((weights if through_weight else weights.detach()) * label_losses).sum(1)


@scheme(
    "cyclical-focal",
    formula="(1-e) (1-p)^gamma + e (1+p)^gamma_confident; e = 1 - f t/(T-1) if f t < T, else (f t/(T-1) - 1)/(f-1), "
    "0 if f = 1",
    priority="varied",
    scale=_P,
    source="Smith 2022, Cyclical focal loss, arXiv 2202.08978",
    compares_samples=False,
    through=True,
    note=f"{_THROUGH}. t is 0 to T-1; within an epoch e stays in 0 to 1. The published label smoothing is left to the loss.",
)
def cyclical_focal(
    p: Float[Tensor, " sample"],
    epoch: float,
    epochs: float,
    *,
    factor: float = 2.0,
    gamma: float = 2.0,
    gamma_confident: float = 3.0,
) -> Float[Tensor, " sample"]:
    """Prefer easy samples at the start and the end of training, and hard ones in between.

    The weight blends (1 + p)^gamma_confident, at the start and the end, with the focal weight (1 - p)^gamma.

    Args:
        epoch: number of epochs done, below ``epochs``.
        epochs: total number of epochs, 2 or more.
        factor: ``epochs`` / ``factor`` epochs lead to the focal weight.
        gamma: exponent of the focal weight.
        gamma_confident: exponent of the weight that prefers easy samples.

    Raises:
        InputError: fewer than two epochs in all, an epoch that is not below them, or another number out of range.
    """
    p = check_probabilities(p)
    check_range("gamma", gamma, 0)
    check_range("gamma_confident", gamma_confident, 0)
    share = _confident_share(epoch, epochs, factor)
    return (1 - share) * _power(1 - p, gamma) + share * (1 + p) ** gamma_confident


@scheme(
    "poly-1",
    formula="1 + eps p, the gradient weight of -log p + eps (1-p)",
    priority="varied",
    scale=_P,
    source="Leng et al. 2022, PolyLoss: a polynomial expansion perspective of classification loss functions, ICLR",
    compares_samples=False,
    note="The gradient is that of the published loss if none flows through the weight; eps is tuned for each task.",
    example={"eps": 1.0},
)
def poly_1(p: Float[Tensor, " sample"], *, eps: float) -> Float[Tensor, " sample"]:
    """Prefer easy samples for eps above 0, hard ones below.

    The weight 1 + eps p is the gradient weight of cross-entropy + eps (1 - p).

    Args:
        eps: coefficient of the first polynomial term, -1 or more.
    """
    return 1 + check_range("eps", eps, -1) * check_probabilities(p)


def _power(base: Tensor, power: float) -> Tensor:
    # Below power 1 the slope at 0 is infinite, which gives NaN times a loss of 0.
    return (base.clamp(min=torch.finfo(base.dtype).tiny) if 0 < power < 1 else base) ** power


def _check_zero_one(labels: Tensor, logits: Tensor) -> Tensor:
    invalid = (labels != 0) & (labels != 1)
    if labels.shape != logits.shape or bool(invalid.any()):
        raise InputError(
            f"labels must be a 0/1 matrix of the logits' shape {tuple(logits.shape)}, one column per label. "
            + (f"Got shape {tuple(labels.shape)}" if labels.shape != logits.shape else "Got other values")
        )
    return labels == 1


def _confident_share(epoch: float, epochs: float, factor: float) -> float:
    check_range("factor", factor, 1)
    check_range("epochs", epochs, 1, strict=(True, False))
    check_range("epoch", epoch, 0, epochs, strict=(False, True))
    progress = factor * epoch / (epochs - 1)
    if factor * epoch < epochs:
        return max(1 - progress, 0.0)
    return 0.0 if factor == 1 else min((progress - 1) / (factor - 1), 1.0)


_LI = "Li, Liu & Wang 2019, Gradient harmonized single-stage detector, AAAI"
_COUNTS = (
    "Running counts start at 0 and change only where the batch has samples, as in the reference code (MMDetection): the "
    "first weights are up to 1/(1 - momentum) too large. Defaults are those of the authors' configurations. With momentum "
    "0 the mean is 1."
)


def init_ghm(shape: StateShape, *, bins: int) -> State:
    """Return empty counts, one per bin."""
    check_range("bins", bins, 1)
    return {"counts": torch.zeros(bins, dtype=torch.float64, device=shape.device)}


@scheme(
    "ghm-c",
    formula="n / (a_b B); a_b: running count of the sample's bin of g = 1 - p, B: number of bins that are not empty",
    priority="medium",
    scale="probability of the given label, 0 to 1",
    source=_LI,
    compares_samples=True,
    normalization="mean 1 without momentum",
    init=init_ghm,
    note=f"Published for each label of a detector, where g = |sigmoid(z) - y|. {_COUNTS}",
)
def ghm_c(state: State, p: Float[Tensor, " sample"], *, bins: int = 30, momentum: float = 0.75) -> Float[Tensor, " sample"]:
    """Prefer samples with a rare gradient norm, neither the many easy ones nor a mass of outliers.

    The weight is one over the number of samples whose gradient 1 - p falls into the same bin.

    Args:
        state: running counts of the bins.
        bins: number of bins of equal width between 0 and 1.
        momentum: of the running counts; 0 for the counts of the batch.
    """
    return _inverse_density(state, 1 - check_probabilities(p), bins, momentum)


@scheme(
    "ghm-r",
    formula="mean over targets of w (sqrt(d² + mu²) - mu); w = n / (a_b B) by the bin of g = |d|/sqrt(d² + mu²)",
    priority="medium",
    scale="prediction less target",
    source=_LI,
    compares_samples=True,
    kind="loss",
    per="element",
    init=init_ghm,
    note=f"The authors' configuration multiplies the loss by 10. {_COUNTS}",
)
def ghm_r(
    state: State, residual: Float[Tensor, "sample ..."], *, mu: float = 0.02, bins: int = 10, momentum: float = 0.7
) -> Float[Tensor, " sample"]:
    """Prefer residuals with a rare gradient norm.

    Returns the smooth absolute error of regression, each residual weighted by how rare the norm of its gradient is.

    Args:
        state: running counts of the bins.
        mu: scale below which the error is nearly quadratic.
        bins: number of bins of equal width between 0 and 1.
        momentum: of the running counts; 0 for the counts of the batch.
    """
    check_range("mu", mu, 0, strict=(True, True))
    root = (check_finite("residual", residual) ** 2 + mu**2).sqrt()
    weights = _inverse_density(state, (residual / root).abs().detach().flatten(), bins, momentum)
    return ((root - mu) * weights.view_as(residual)).flatten(1).mean(1) if residual.dim() > 1 else (root - mu) * weights


def _inverse_density(state: State, norms: Tensor, bins: int, momentum: float) -> Tensor:
    check_range("momentum", momentum, 0, 1, strict=(False, True))
    edges = torch.arange(1, bins, device=norms.device, dtype=norms.dtype) / bins
    index = torch.bucketize(norms.detach(), edges, right=True)
    counts = torch.bincount(index, minlength=bins).to(state["counts"])
    filled = counts > 0
    state["counts"].copy_(torch.where(filled, momentum * state["counts"] + (1 - momentum) * counts, state["counts"]))
    return (len(norms) / (state["counts"][index] * filled.sum())).to(norms.dtype)


def output_gradient(logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Float[Tensor, "sample class"]:
    """Return the gradient of cross-entropy by the logits, probabilities minus the one-hot label; ``(sample, class)``.

    The entry of the label is computed as minus the sum of the others, because 1 - p would round to 0 where p is near 1.

    Raises:
        InputError: logits that are not finite, or labels that are not class codes.
    """
    index = check_codes("labels", labels, logits.shape[1]).long().unsqueeze(1)
    others = check_finite("logits", logits).softmax(1).scatter(1, index, 0)
    return others.scatter(1, index, -others.sum(1, keepdim=True))


@scheme(
    "influence-balanced",
    formula="alpha / (norm1(p - y) norm1(h) + 1e-3) × (1/n_c) / mean(1/n_c); 1 before epoch start",
    priority="easy",
    scale="L1 norms of the gradient by the logits and of the features",
    source="Park et al. 2021, Influence-balanced loss for imbalanced visual classification, ICCV",
    compares_samples=False,
    through=True,
    note="The gradient flows through the weight in the authors' code. alpha = 1000 as in their training script (the default "
    "of the class is 10000), which also lowers the learning rate a hundredfold from epoch start on: the weights are large.",
)
def influence_balanced(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    features: Float[Tensor, "sample feature"],
    sizes: Num[Tensor, " class"],
    epoch: float,
    *,
    alpha: float = 1000.0,
    start: float = 100.0,
) -> Float[Tensor, " sample"]:
    """Prefer samples with little influence on the decision boundary, and small classes.

    The weight is one over the sample's influence on the last layer, times one over the size of its class.

    Args:
        features: input of the last layer; ``(sample, feature)``.
        alpha: scale of the weights.
        start: before this epoch all weights are 1.

    Raises:
        InputError: logits or features that are not finite, labels that are not class codes, a class without samples,
            or ``alpha`` that is not above 0.
    """
    check_range("alpha", alpha, 0, strict=(True, True))
    if epoch < check_range("start", start, 0):
        return logits.new_ones(len(logits))
    if bool((sizes <= 0).any()):
        raise InputError(f"sizes must be above 0. Class {int((sizes <= 0).nonzero()[0])} has no sample")
    influence = output_gradient(logits, labels).abs().sum(1) * check_finite("features", features).abs().sum(1)
    inverse = 1 / sizes.to(logits.dtype)
    return alpha / (influence + 1e-3) * (inverse / inverse.mean())[labels]


@scheme(
    "low",
    formula="max(0, (g² - mu) / (2 lam)) with mean 1: the minimum of lam |w|² - w·(g² + lam), w ≥ 0, sum w = n",
    priority="hard",
    scale="L2 norm of the gradient by the logits",
    source="Santiago et al. 2021, LOW: training deep neural networks by learning optimal sample weights, Pattern "
    "Recognition",
    compares_samples=True,
    normalization="mean 1",
    note="In the authors' code g is the gradient of the batch's mean loss, 1/n of that of the sample's own: "
    "weights are nearly 1 and depend on the batch size. batch_mean=False takes the sample's own. Solved by "
    "sorting instead of a quadratic solver.",
)
def low(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], *, lam: float = 0.1, batch_mean: bool = True
) -> Float[Tensor, " sample"]:
    """Prefer samples with a large gradient norm.

    The weights, of mean one, would reduce the batch's loss most under a quadratic penalty on their distance from one.

    Args:
        lam: strength of the penalty.
        batch_mean: whether the gradient is that of the batch's mean loss, as in the authors' code, or of the sample's
            own loss.
    """
    check_range("lam", lam, 0, strict=(True, True))
    norms = torch.linalg.vector_norm(output_gradient(logits, labels), dim=1)
    if batch_mean:
        norms = norms / len(norms)
    return _project_to_simplex(norms**2 / (2 * lam))


def _project_to_simplex(values: Tensor) -> Tensor:
    """Return the nearest weights that are 0 or more and have mean one."""
    count = len(values)
    ordered = values.sort(descending=True).values
    numbers = torch.arange(1, count + 1, device=values.device, dtype=values.dtype)
    shifts = (ordered.cumsum(0) - count) / numbers
    active = int((ordered > shifts).sum())
    return (values - shifts[active - 1]).clamp(min=0)
