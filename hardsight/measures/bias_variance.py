r"""Bias–variance decomposition: a sample's error = bias + variance, for four losses, from running means over held-out views.

Every function returns a :class:`Decomposition` whose ``error`` equals ``bias + variance`` exactly. ``error`` is
unbiased at every number of views. The plug-in variance of M views is too small, in expectation by about (M-1)/M; it is
multiplied by M/(M-1) (exact for Brier and squared error, first order for log-loss) and the bias is the remainder, which
may therefore fall slightly below zero. With a single view neither part can be estimated: both are NaN.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor


class Decomposition(NamedTuple):
    """Per-sample ``error = bias + variance``; in nats for log-loss, in squared units otherwise."""

    error: Float64[Tensor, " sample"]
    bias: Float64[Tensor, " sample"]
    variance: Float64[Tensor, " sample"]


def _with_finite_correction(
    error: Float64[Tensor, " sample"], plug_in: Float64[Tensor, " sample"], count: Int64[Tensor, " sample"]
) -> Decomposition:
    views = count.double()
    # With one view, 0/0 and x/0 must both read as unknown, so the factor is NaN there and not infinity.
    correction = torch.where(count > 1, views / (views - 1), torch.nan)
    variance = plug_in * correction
    return Decomposition(error, error - variance, variance)


def log_loss(
    mean_log_prob: Float64[Tensor, "sample class"], label: Int64[Tensor, " sample"], count: Int64[Tensor, " sample"]
) -> Decomposition:
    r"""Decompose log-loss: $E = -\bar\ell(y)$, $V = -\log\sum_c e^{\bar\ell(c)}$, with $\bar\ell$ the mean log-probability.

    $V$ is the mean of $KL(\bar p\,\|\,p_m)$ to the consensus $\bar p = \mathrm{softmax}(\bar\ell)$, needs no label and is
    never negative.

    Args:
        mean_log_prob: mean log-probability over views.
        label: class codes.
        count: number of views.

    >>> half, confident = [0.5, 0.5], [0.9, 0.1]
    >>> mean = torch.tensor([half, confident], dtype=torch.float64).log().mean(0, keepdim=True)
    >>> error, bias, variance = log_loss(mean, torch.tensor([0]), torch.tensor([2]))
    >>> round(error.item(), 4), round(variance.item(), 4), bool(error == bias + variance)
    (0.3993, 0.2231, True)

    Heskes 1998, *Bias/variance decompositions for likelihood-based estimators*; Pfau 2013; Gupta et al. 2022.
    """
    error = -mean_log_prob.gather(1, label[:, None]).squeeze(1)
    # Only rounding can bring it below zero.
    plug_in = (-torch.logsumexp(mean_log_prob, dim=1)).clamp(min=0)
    return _with_finite_correction(error, plug_in, count)


def brier(
    mean_prob: Float64[Tensor, "sample class"],
    spread: Float64[Tensor, " sample"],
    label: Int64[Tensor, " sample"],
    count: Int64[Tensor, " sample"],
) -> Decomposition:
    r"""Decompose the Brier score: $E\|p_m - e_y\|^2 = \|\hat p - e_y\|^2 + E\|p_m - \hat p\|^2$ ($\hat p$: arithmetic mean).

    Args:
        mean_prob: mean probability over views.
        spread: sum over views of $\|p_m - \hat p\|^2$ (Welford's running sum, never $E[p^2] - E[p]^2$).
        label: class codes.
        count: number of views.
    """
    target = torch.nn.functional.one_hot(label, mean_prob.shape[1])
    plug_in = spread / count
    error = (mean_prob - target).square().sum(1) + plug_in
    return _with_finite_correction(error, plug_in, count)


def squared(
    mean: Float64[Tensor, " sample"],
    spread: Float64[Tensor, " sample"],
    target: Float64[Tensor, " sample"],
    count: Int64[Tensor, " sample"],
) -> Decomposition:
    r"""Decompose squared error: $E(f_m - y)^2 = (\bar f - y)^2 + E(f_m - \bar f)^2$. ``spread`` as in :func:`brier`."""
    plug_in = spread / count
    return _with_finite_correction((mean - target).square() + plug_in, plug_in, count)


def zero_one(
    vote: Float64[Tensor, "sample class"], label: Int64[Tensor, " sample"], count: Int64[Tensor, " sample"]
) -> Decomposition:
    r"""Decompose 0-1 loss: bias is 1 if the main prediction (most votes, lowest class on a tie) is wrong.

    The ``variance`` returned is the *effect* of variance, $c_2 V$ of Domingos 2000, *A unified bias-variance decomposition*,
    with the given label as the truth: positive if the main prediction is right, negative if it is wrong (there variance
    helps). No finite-M correction exists.

    Args:
        vote: share of views that predict each class.
        label: class codes.
        count: number of views.
    """
    error = 1 - vote.gather(1, label[:, None]).squeeze(1)
    bias = (vote.argmax(1) != label).double()
    unknown = torch.where(count > 1, 0.0, torch.nan)
    return Decomposition(error, bias + unknown, error - bias + unknown)
