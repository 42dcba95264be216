"""Self-paced learning: easy samples first, the pace set by a threshold on the loss."""

from math import ceil, log

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.validation import check_int, check_range
from hardsight.weights.inputs import check_losses
from hardsight.weights.scheme import Scheme

_KUMAR = "Kumar et al. 2010, Self-paced learning for latent variable models, NeurIPS"
_JIANG = "Jiang et al. 2014, Easy samples first: self-paced reranking for zero-example multimedia search, ACM MM"
_ZHAO = "Zhao et al. 2015, Self-paced learning for matrix factorization, AAAI"
_XU = "Xu et al. 2015, Multi-view self-paced learning for clustering, IJCAI"
_GONG = (
    "Gong et al. 2019, Decomposition-based evolutionary multiobjective optimization to self-paced learning, IEEE TEVC"
)
_DIVERSITY = "Jiang et al. 2014, Self-paced learning with diversity, NeurIPS"
_NATS = "loss, nats"


def spl_hard(loss: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """1 below the threshold, 0 from it on. Grow ``lam`` over training."""
    return (check_losses(loss) < check_range("lam", lam, 0)).to(loss.dtype)


def spl_share(loss: Float[Tensor, " sample"], *, rate: float) -> Float[Tensor, " sample"]:
    """1 for the ceil(rate N) smallest losses; of equal ones, those that come first. Grow ``rate`` over training."""
    # Products such as 0.07 * 100 come out a little above the whole number that is meant.
    kept = ceil(check_range("rate", rate, 0, 1) * len(loss) - 1e-9)
    weights = torch.zeros_like(loss)
    weights[check_losses(loss).argsort(stable=True)[:kept]] = 1
    return weights


def spl_linear(loss: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """Falls from 1 at no loss to 0 at the threshold; minimises v l + lam (v²/2 - v) over v in [0, 1]."""
    return (1 - check_losses(loss) / check_range("lam", lam, 0, strict=(True, True))).clamp(min=0)


def spl_logarithmic(loss: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """Falls from 1 to 0 at the threshold; minimises v l + z v - z^v / log z over v in [0, 1], with z = 1 - lam."""
    rest = 1 - check_range("lam", lam, 0, 1, strict=(True, True))
    return (torch.log(check_losses(loss).clamp(max=lam) + rest) / log(rest)).clamp(0, 1)


def spl_mixture(loss: Float[Tensor, " sample"], *, lam1: float, lam2: float) -> Float[Tensor, " sample"]:
    """1 up to ``lam2``, 0 from ``lam1`` on; minimises v l - z log(v + z / lam1), z = lam1 lam2 / (lam1 - lam2)."""
    lam2 = check_range("lam2", lam2, 0, strict=(True, True))
    z = check_range("lam1", lam1, lam2, strict=(True, True)) * lam2 / (lam1 - lam2)
    loss = check_losses(loss)
    between = (z / loss.clamp(lam2, lam1) - z / lam1).clamp(0, 1)
    return torch.where(loss <= lam2, 1, torch.where(loss >= lam1, 0, between))


def spl_mixture_2(loss: Float[Tensor, " sample"], *, lam: float, gamma: float) -> Float[Tensor, " sample"]:
    """1 up to (lam gamma / (lam + gamma))², 0 from lam² on; minimises v l + gamma² / (v + gamma / lam)."""
    lam, gamma = check_range("lam", lam, 0, strict=(True, True)), check_range("gamma", gamma, 0, strict=(True, True))
    whole_up_to = (lam * gamma / (lam + gamma)) ** 2
    loss = check_losses(loss)
    between = (gamma * (loss.clamp(whole_up_to, lam**2).rsqrt() - 1 / lam)).clamp(0, 1)
    return torch.where(loss <= whole_up_to, 1, torch.where(loss >= lam**2, 0, between))


def spl_logistic(loss: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """Falls from 1 as a logistic curve around ``lam``, never to 0."""
    lam = check_range("lam", lam, 0, strict=(True, True))
    return torch.sigmoid(lam - check_losses(loss)) / torch.sigmoid(loss.new_tensor(lam))


def spl_polynomial(loss: Float[Tensor, " sample"], *, lam: float, t: int = 3) -> Float[Tensor, " sample"]:
    """(1 - l / lam)^(1 / (t - 1)) below the threshold; minimises v l + lam (v^t / t - v) over v in [0, 1]."""
    below = (check_losses(loss) < check_range("lam", lam, 0, strict=(True, True))).to(loss.dtype)
    # The root's slope at its zero is infinite: it is taken of 1 where the weight is 0.
    return below * (1 - below * loss.clamp(min=0) / lam) ** (1 / (check_int("t", t, 2) - 1))


def spl_diversity(
    loss: Float[Tensor, " sample"], groups: Int[Tensor, " sample"], *, lam: float, gamma: float
) -> Float[Tensor, " sample"]:
    """1 where the loss is below lam + gamma / (√i + √(i - 1)), for the i-th smallest loss of its group.

    Minimises sum v l - lam sum v - gamma sum over groups of √(samples kept) over v in {0, 1}.
    """
    loss, lam, gamma = check_losses(loss), check_range("lam", lam, 0), check_range("gamma", gamma, 0)
    order = loss.argsort(stable=True)
    order = order[groups[order].argsort(stable=True)]
    size = torch.unique_consecutive(groups[order], return_counts=True)[1]
    start = (size.cumsum(0) - size).repeat_interleave(size)
    rank = torch.arange(1, len(loss) + 1, device=loss.device) - start
    threshold = lam + gamma / (rank.to(loss.dtype).sqrt() + (rank - 1).to(loss.dtype).sqrt())
    weights = torch.zeros_like(loss)
    weights[order] = (loss[order] < threshold).to(loss.dtype)
    return weights


ROWS = (
    Scheme(
        "spl-hard",
        "only samples of small loss",
        "1[l < lam]",
        spl_hard,
        "easy",
        _NATS,
        _KUMAR,
        reduction="weighted mean",
        note="Published with lam grown every epoch.",
    ),
    Scheme(
        "spl-share",
        "only the given share of the samples, those of smallest loss",
        "1[l among the ceil(rate N) smallest]",
        spl_share,
        "easy",
        "rank of the loss",
        _KUMAR,
        reduction="weighted mean",
        note="spl-hard as tools do it: the share is grown, linearly from 0 to 1 over 100 epochs in CurBench.",
    ),
    Scheme(
        "spl-linear",
        "samples of small loss, less and less up to a threshold",
        "max(0, 1 - l/lam)",
        spl_linear,
        "easy",
        _NATS,
        _JIANG,
    ),
    Scheme(
        "spl-logarithmic",
        "samples of small loss, less and less up to a threshold, fast at first",
        "log(l + z)/log(z) if l < lam, otherwise 0; z = 1 - lam, 0 < lam < 1",
        spl_logarithmic,
        "easy",
        _NATS,
        _JIANG,
        note="Not defined from lam = 1 on, where CurML and CurBench give NaN: scale the losses, or choose another scheme.",
    ),
    Scheme(
        "spl-mixture",
        "all samples of small loss, none of large loss, fewer and fewer between",
        "1 if l <= lam2; 0 if l >= lam1; otherwise z/l - z/lam1, z = lam1 lam2/(lam1 - lam2)",
        spl_mixture,
        "easy",
        _NATS,
        _JIANG,
    ),
    Scheme(
        "spl-mixture-2",
        "all samples of small loss, none of large loss, fewer and fewer between",
        "1 if l <= (lam gamma/(lam + gamma))²; 0 if l >= lam²; otherwise gamma (1/√l - 1/lam)",
        spl_mixture_2,
        "easy",
        _NATS,
        _ZHAO,
    ),
    Scheme(
        "spl-logistic",
        "samples of small loss; large losses keep a little weight",
        "(1 + exp(-lam))/(1 + exp(l - lam))",
        spl_logistic,
        "easy",
        _NATS,
        _XU,
    ),
    Scheme(
        "spl-polynomial",
        "samples of small loss up to a threshold; the larger t, the more like spl-hard",
        "(1 - l/lam)^(1/(t - 1)) if l < lam, otherwise 0; t = 2, 3, …",
        spl_polynomial,
        "easy",
        _NATS,
        _GONG,
        note="CurML and CurBench compute (1 - l/lam)/(t - 1) in its place.",
    ),
    Scheme(
        "spl-diversity",
        "samples of small loss, from many groups rather than from one",
        "1[l < lam + gamma/(√i + √(i - 1))] for the i-th smallest loss of its group",
        spl_diversity,
        "easy",
        _NATS,
        _DIVERSITY,
        reduction="weighted mean",
        note="The threshold was checked against several public implementations of the paper's algorithm. "
        "Grow lam and gamma over training.",
    ),
)
