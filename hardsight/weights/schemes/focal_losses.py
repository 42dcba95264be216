"""Focal losses: weight falls with the probability of the given label, so that hard samples count more."""

import math

import torch
from jaxtyping import Float, Num
from scipy.special import lambertw
from torch import Tensor
from torch.nn.functional import logsigmoid

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_finite, check_probabilities
from hardsight.weights.scheme import Scheme

_LIN = "Lin et al. 2017, Focal loss for dense object detection, ICCV"
_MUKHOTI = "Mukhoti et al. 2020, Calibrating deep neural networks using focal loss, NeurIPS"
_BEN_BARUCH = "Ridnik, Ben-Baruch et al. 2021, Asymmetric loss for multi-label classification, ICCV"
_SMITH = "Smith 2022, Cyclical focal loss, arXiv 2202.08978"
_LENG = "Leng et al. 2022, PolyLoss: a polynomial expansion perspective of classification loss functions, ICLR"
_P = "probability of the given label, 0 to 1"
_THROUGH = "The gradient flows through the weight, as published"


def focal(p: Float[Tensor, " sample"], *, gamma: float = 2.0) -> Float[Tensor, " sample"]:
    """Falls from 1 at p = 0 to 0 at p = 1, the faster the larger gamma."""
    return _power(1 - check_probabilities(p), check_range("gamma", gamma, 0))


def flsd_53(p: Float[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Focal with gamma 5 where p < 0.2, and 3 elsewhere."""
    rest = 1 - check_probabilities(p)
    return torch.where(p < 0.2, rest**5, rest**3)


def focal_gamma(p0: float) -> float:
    """The gamma at which a focal loss's gradient is as long as that of cross-entropy at p = p0, and shorter above it.

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


def flsd_closed_form(p: Float[Tensor, " sample"], *, p0: float) -> Float[Tensor, " sample"]:
    """Focal with the gamma that :func:`focal_gamma` finds for p0."""
    return focal(p, gamma=focal_gamma(p0))


def focal_sigmoid(
    logits: Float[Tensor, "sample label"],
    labels: Num[Tensor, "..."],
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
) -> Float[Tensor, " sample"]:
    """Focal loss of independent yes/no labels, summed over a sample's labels.

    Args:
        logits: of each label.
        labels: 0/1 matrix.
        gamma: of the focal weight.
        alpha: weight of the positives, 1 - alpha that of the negatives; None: 1 for both.
    """
    check_range("gamma", gamma, 0)
    yes = _zero_one(labels, logits)
    # The logit of the right answer.
    right = torch.where(yes, check_finite("logits", logits), -logits)
    loss = -_power((-right).sigmoid(), gamma) * logsigmoid(right)
    if alpha is not None:
        check_range("alpha", alpha, 0, 1)
        loss = loss * (alpha * yes.to(loss.dtype) + (1 - alpha) * (~yes).to(loss.dtype))
    return loss.sum(1)


def asl(
    logits: Float[Tensor, "sample label"],
    labels: Num[Tensor, "..."],
    *,
    gamma_negative: float = 4.0,
    gamma_positive: float = 1.0,
    clip: float = 0.05,
    through_weight: bool = True,
) -> Float[Tensor, " sample"]:
    """Asymmetric loss of independent yes/no labels, summed over a sample's labels.

    Args:
        logits: of each label.
        labels: 0/1 matrix.
        gamma_negative: focal power of labels that are 0.
        gamma_positive: of those that are 1.
        clip: subtracted from the probability of labels that are 0; below it they do not count.
        through_weight: whether the gradient flows through the focal weights.
    """
    check_range("gamma_negative", gamma_negative, 0)
    check_range("gamma_positive", gamma_positive, 0)
    check_range("clip", clip, 0, 1, strict=(False, True))
    yes = _zero_one(labels, logits)
    p = check_finite("logits", logits).sigmoid()
    shifted = (p - clip).clamp(min=0)
    weights = torch.where(yes, _power(1 - p, gamma_positive), _power(shifted, gamma_negative))
    # Without a shift the logarithm is taken of the logits: 1 - p would round to 0.
    negative = torch.log1p(-shifted) if clip else logsigmoid(-logits)
    cross_entropy = -torch.where(yes, logsigmoid(logits), negative)
    return ((weights if through_weight else weights.detach()) * cross_entropy).sum(1)


def cyclical_focal(
    p: Float[Tensor, " sample"],
    epoch: float,
    epochs: float,
    *,
    factor: float = 2.0,
    gamma: float = 2.0,
    gamma_confident: float = 3.0,
) -> Float[Tensor, " sample"]:
    """Prefers samples that it is sure of at the beginning and the end of training, and hard ones in the middle.

    Raises:
        InputError: fewer than two epochs in all, or an epoch that is not below them.
    """
    p = check_probabilities(p)
    check_range("gamma", gamma, 0)
    check_range("gamma_confident", gamma_confident, 0)
    eta = _eta(epoch, epochs, factor)
    return (1 - eta) * _power(1 - p, gamma) + eta * (1 + p) ** gamma_confident


def poly_1(p: Float[Tensor, " sample"], *, eps: float) -> Float[Tensor, " sample"]:
    """Gradient weight of cross-entropy + eps (1 - p): above 0 it prefers easy samples, below 0 hard ones."""
    return 1 + check_range("eps", eps, -1) * check_probabilities(p)


def _power(base: Tensor, power: float) -> Tensor:
    # Below power 1 the slope at 0 is infinite, and times a loss of 0 not a number.
    return (base.clamp(min=torch.finfo(base.dtype).tiny) if 0 < power < 1 else base) ** power


def _zero_one(labels: Tensor, logits: Tensor) -> Tensor:
    wrong = (labels != 0) & (labels != 1)
    if labels.shape != logits.shape or bool(wrong.any()):
        raise InputError(
            f"labels must be a 0/1 matrix of the logits' shape {tuple(logits.shape)}: one column a label. "
            + (f"Got shape {tuple(labels.shape)}" if labels.shape != logits.shape else "Got other values")
        )
    return labels == 1


def _eta(epoch: float, epochs: float, factor: float) -> float:
    check_range("factor", factor, 1)
    check_range("epochs", epochs, 1, strict=(True, False))
    check_range("epoch", epoch, 0, epochs, strict=(False, True))
    done = factor * epoch / (epochs - 1)
    if factor * epoch < epochs:
        return max(1 - done, 0.0)
    return 0.0 if factor == 1 else min((done - 1) / (factor - 1), 1.0)


ROWS = (
    Scheme(
        "focal",
        "hard samples",
        "(1-p)^gamma",
        focal,
        "hard",
        _P,
        _LIN,
        through=True,
        note=f"{_THROUGH}: it is then worth (1-p)^g - g p (1-p)^(g-1) log p of cross-entropy's gradient. Factors of "
        "the classes are left to class schemes. Detectors divide by the number of positives.",
    ),
    Scheme(
        "flsd-53",
        "hard samples, the very hard ones less sharply set apart",
        "(1-p)^5 if p < 0.2, else (1-p)^3",
        flsd_53,
        "hard",
        _P,
        _MUKHOTI,
        through=True,
        note=f"{_THROUGH}. It steps down from p above 0.2 to p below, where gamma rises.",
    ),
    Scheme(
        "flsd-closed-form",
        "hard samples; up from p0 on gradients are shorter than cross-entropy's",
        (
            "(1-p)^g with g = (1-p0)/(p0 log p0) + W_-1(-y)/log(1-p0), y = (1-p0)^(1 - (1-p0)/(p0 log p0)) log(1-p0)/(p0"
            " log p0)"
        ),
        flsd_closed_form,
        "hard",
        _P,
        _MUKHOTI,
        through=True,
        note=f"{_THROUGH}. p0 is 0.5 or below; at 0.5 it is cross-entropy. p0 = 0.2 gives 4.85, 0.25 gives 3.07: "
        "FLSD-53.",
    ),
    Scheme(
        "focal-sigmoid",
        "hard labels of a sample with several, or of a detector",
        "sum over labels of alpha_t (1-p_t)^gamma (-log p_t)",
        focal_sigmoid,
        "hard",
        "logits of independent labels",
        _LIN,
        kind="loss",
        through=True,
        per="element",
        note=f"{_THROUGH}. labels is a 0/1 matrix of the shape of the logits. Published divided by the number of "
        "positives.",
    ),
    Scheme(
        "asl",
        "hard labels; labels that are 0 are focused sharply, and dropped once safely told",
        "sum over labels of -y (1-p)^g+ log p - (1-y) q^g- log(1-q), q = max(p - clip, 0)",
        asl,
        "hard",
        "logits of independent labels",
        _BEN_BARUCH,
        kind="loss",
        through=True,
        reduction="sum",
        per="element",
        note="labels is a 0/1 matrix of the shape of the logits. Defaults are the code's; the paper's text has g+ = "
        "0. The code's disable_torch_grad_focal_loss is through_weight=False. Its single-label form with g+ = 0"
        " is cross-entropy.",
    ),
    Scheme(
        "cyclical-focal",
        "easy samples first and last, hard ones between",
        (
            "(1-e) (1-p)^gamma + e (1+p)^gamma_confident; e = 1 - f t/(T-1) if f t < T, else (f t/(T-1) - 1)/(f-1), 0 if"
            " f = 1"
        ),
        cyclical_focal,
        "varied",
        _P,
        _SMITH,
        through=True,
        note=f"{_THROUGH}. t is 0 to T-1; within an epoch e is kept in 0 to 1. The published label smoothing is left "
        "to the loss.",
    ),
    Scheme(
        "poly-1",
        "easy samples for eps above 0, hard ones below",
        "1 + eps p, the gradient weight of -log p + eps (1-p)",
        poly_1,
        "varied",
        _P,
        _LENG,
        note="The gradient is that of the published loss where none flows through the weight; eps is tuned for each "
        "task.",
    ),
)
