"""Mixtures of two on the losses: each sample weighs as much as it probably belongs to the part of small loss."""

from math import log, pi

import torch
from jaxtyping import Float
from torch import Tensor

from hardsight.validation import check_int, check_range
from hardsight.weights.inputs import check_finite
from hardsight.weights.scheme import Scheme

_LI = "Li et al. 2020, DivideMix: learning with noisy labels as semi-supervised learning, ICLR"
_ARAZO = "Arazo et al. 2019, Unsupervised label noise modeling and loss correction, ICML"
_ALL = "Give the losses of all samples, not of a batch. Where all are alike every sample weighs 1. "


def divide_mix_gmm(
    loss: Float[Tensor, " sample"], *, max_iter: int = 10, tol: float = 1e-2, reg: float = 5e-4
) -> Float[Tensor, " sample"]:
    """Chance of the component of lower mean, in a mixture of two Gaussians on the losses scaled to 0-1.

    Args:
        loss: of all samples, any unit.
        max_iter: of expectation-maximisation, from the best split in two by squared distance.
        tol: mean log-likelihood must gain as much in a step to go on.
        reg: added to the variances, of losses scaled to 0-1.
    """
    steps, reg = check_int("max_iter", max_iter, 1), check_range("reg", reg, 0, strict=(True, False))
    x = check_finite("loss", loss).detach().double()
    if bool(x.max() <= x.min()):
        return torch.ones_like(loss)
    x = (x - x.min()) / (x.max() - x.min())
    parts, before = _gaussians(x, _split(x), reg), -float("inf")
    for _ in range(steps):
        chance, fit = _judged(_log_gaussian(x, *parts))
        parts = _gaussians(x, chance, reg)
        if abs(fit - before) < tol:
            break
        before = fit
    low = int(parts[1].argmin())
    return _judged(_log_gaussian(x, *parts))[0][:, low].to(loss.dtype)


def bmm(loss: Float[Tensor, " sample"], *, max_iter: int = 10, outliers: float = 0.05) -> Float[Tensor, " sample"]:
    """Chance of the component of small loss, in a mixture of two Beta distributions on the scaled losses.

    Args:
        loss: of all samples, any unit.
        max_iter: steps of expectation-maximisation, with parameters matched to the moments.
        outliers: share of the losses at either end that the mixture is fitted without; they count as the least and the
            largest loss.
    """
    steps = check_int("max_iter", max_iter, 1)
    x = check_finite("loss", loss).detach().double()
    least, most = torch.quantile(
        x, x.new_tensor([check_range("outliers", outliers, 0, 0.5, strict=(False, True)), 1 - outliers])
    )
    if bool(most <= least):
        return torch.ones_like(loss)
    inside = (x >= least) & (x <= most)
    x = ((x - least) / (most - least)).clamp(1e-4, 1 - 1e-4)
    a, b, share = x.new_tensor([1, 2]), x.new_tensor([2, 1]), x.new_tensor([0.5, 0.5])
    for _ in range(steps):
        chance = (share * _beta(x[inside], a, b)).clamp(min=1e-12)
        chance = chance / chance.sum(1, keepdim=True)
        a, b = _moments(x[inside], chance)
        share = chance.mean(0)
    # Past its peak the chance of a wrong label is held: the tail of a Beta distribution must not clear the largest losses.
    grid = torch.linspace(1e-4, 1 - 1e-4, 100, dtype=x.dtype, device=x.device)
    peak = grid[_wrong(grid, a, b, share).argmax()]
    return (1 - _wrong(x.clamp(max=float(peak)), a, b, share)).to(loss.dtype)


def _split(x: Tensor) -> Tensor:
    """One column a part: the split of the sorted values that leaves the least squared distance to the two means."""
    order = x.argsort(stable=True)
    below = x[order].cumsum(0)[:-1]
    count = torch.arange(1, len(x), device=x.device)
    between = below**2 / count + (x.sum() - below) ** 2 / (len(x) - count)
    parts = torch.zeros(len(x), 2, dtype=x.dtype, device=x.device)
    first = torch.arange(len(x), device=x.device) <= between.argmax()
    parts[order, 0], parts[order, 1] = first.to(x.dtype), (~first).to(x.dtype)
    return parts


def _gaussians(x: Tensor, chance: Tensor, reg: float) -> tuple[Tensor, Tensor, Tensor]:
    size = chance.sum(0) + 10 * torch.finfo(x.dtype).eps
    mean = chance.T @ x / size
    variance = (chance * (x[:, None] - mean) ** 2).sum(0) / size + reg
    return size / size.sum(), mean, variance


def _log_gaussian(x: Tensor, share: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return share.log() - 0.5 * ((x[:, None] - mean) ** 2 / variance + variance.log() + log(2 * pi))


def _judged(joint: Tensor) -> tuple[Tensor, float]:
    """Chances of the parts, and the mean log-likelihood."""
    total = joint.logsumexp(1, keepdim=True)
    return (joint - total).exp(), float(total.mean())


def _beta(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    scale = torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b)
    return torch.exp((a - 1) * x.log()[:, None] + (b - 1) * torch.log1p(-x)[:, None] + scale)


def _moments(x: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
    mean = chance.T @ x / chance.sum(0)
    variance = (chance * (x[:, None] - mean) ** 2).sum(0) / chance.sum(0)
    a = (mean * (mean * (1 - mean) / variance.clamp(min=1e-12) - 1)).clamp(min=1e-6)
    return a, a * (1 - mean) / mean


def _wrong(x: Tensor, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    joint = share * _beta(x, a, b)
    return joint[:, 1] / (joint.sum(1) + 1e-12)


ROWS = (
    Scheme(
        "divide-mix-gmm",
        "samples that probably belong to the part of small loss",
        "P(component of lower mean | l), two Gaussians on (l - min)/(max - min)",
        divide_mix_gmm,
        "easy",
        "loss, any unit",
        _LI,
        note=_ALL
        + "Published: samples above .5 are clean, the others lose their label; at 90 % noise the loss is the mean of "
        "the last five epochs. Starts from the best split in two, where scikit-learn draws.",
    ),
    Scheme(
        "bmm",
        "samples that probably belong to the part of small loss",
        "1 - P(second component | l), two Beta distributions on losses scaled by their percentiles 5 and 95",
        bmm,
        "easy",
        "loss, any unit",
        _ARAZO,
        note=_ALL + "Past its peak the chance of a wrong label is held, as by the published code's table.",
    ),
)
