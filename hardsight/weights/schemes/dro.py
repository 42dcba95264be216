"""Distributionally robust weights: those under which the loss is worst, among all weights not too far from uniform."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_losses
from hardsight.weights.scheme import Scheme, State, StateShape

_LEVY = "Levy et al. 2020, Large-scale methods for distributionally robust optimization, NeurIPS"
_FAN = "Fan et al. 2017, Learning with average top-k loss, NeurIPS; " + _LEVY
_NAMKOONG = "Namkoong & Duchi 2017, Variance-based regularization with convex objectives, NeurIPS; " + _LEVY
_LI = "Li et al. 2021, Tilted empirical risk minimization, ICLR"
_QI = "Qi et al. 2023, Attentional-biased stochastic gradient descent, TMLR"


def tilted(loss: Float[Tensor, " sample"], *, t: float) -> Float[Tensor, " sample"]:
    """Exponential in the loss: above 0 the hard samples, below 0 the easy ones, at 0 all alike."""
    return (check_range("t", t, -math.inf) * check_losses(loss)).softmax(0)


def tilted_groups(
    loss: Float[Tensor, " sample"], groups: Int[Tensor, " sample"], *, t: float, tau: float
) -> Float[Tensor, " sample"]:
    """Exponential in the loss within groups, and in the tilted loss of the groups over them.

    Args:
        loss: of each sample.
        groups: code of each sample's group.
        t: tilt over groups.
        tau: tilt within groups; 0: their mean loss.
    """
    loss = check_losses(loss)
    member = torch.unique(groups).unsqueeze(1) == groups
    sizes = member.sum(1).to(loss.dtype)
    inner = (tau * loss).where(member, -math.inf).log_softmax(1)
    if tau == 0:
        risks = loss.where(member, 0).sum(1) / sizes
    else:
        risks = ((tau * loss).where(member, -math.inf).logsumexp(1) - sizes.log()) / tau
    outer = (t * risks + sizes.log()).softmax(0)
    weights: Tensor = (outer.unsqueeze(1) * inner.exp()).sum(0)
    return weights


def kl_dro(loss: Float[Tensor, " sample"], *, lam: float = 0.5) -> Float[Tensor, " sample"]:
    """Worst weights with a penalty lam on their divergence from uniform; below 0 the best ones: easy samples."""
    _nonzero("lam", lam)
    return (check_losses(loss) / lam).softmax(0)


def absgd_start(room: StateShape) -> State:
    """A running mean of exp(l / lam), in logarithms, from 0."""
    return {"log_mean": torch.full((), -math.inf, dtype=torch.float64, device=room.device)}


def absgd(
    state: State, loss: Float[Tensor, " sample"], *, lam: float = 0.5, gamma: float = 0.9, alpha: float = 1.0
) -> Float[Tensor, " sample"]:
    """Exponential in the loss, over a running mean of the exponentials.

    Args:
        state: the running mean, in logarithms, so that large losses do not overflow.
        loss: of each sample.
        lam: scale of the loss; below 0 easy samples weigh more.
        gamma: share of the batch in the running mean.
        alpha: factor of the batch's mean.
    """
    _nonzero("lam", lam)
    check_range("gamma", gamma, 0, 1, strict=(True, False))
    check_range("alpha", alpha, 0, strict=(True, True))
    scaled, count = check_losses(loss).double() / lam, math.log(len(loss))
    batch = scaled.detach().logsumexp(0) - count + math.log(gamma * alpha)
    state["log_mean"].copy_(
        torch.logaddexp(state["log_mean"] + (math.log1p(-gamma) if gamma < 1 else -math.inf), batch)
    )
    return (scaled - state["log_mean"] - count).exp().to(loss.dtype)


def cvar(loss: Float[Tensor, " sample"], *, alpha: float, reg: float = 0.0) -> Float[Tensor, " sample"]:
    """Worst weights that are nowhere above 1/(alpha n): the share alpha of largest losses.

    Args:
        loss: of each sample.
        alpha: the share. Where alpha n is no whole number the next sample gets the remainder; equal losses share alike.
        reg: penalty on the weights' divergence from uniform.
    """
    check_range("alpha", alpha, 0, 1, strict=(True, False))
    check_range("reg", reg, 0)
    exact = check_losses(loss).double()
    return (_penalised_top(exact, alpha, reg) if reg > 0 else _top(exact, alpha)).to(loss.dtype)


def chi2_dro(loss: Float[Tensor, " sample"], *, rho: float = 1.0) -> Float[Tensor, " sample"]:
    """Worst weights in a ball around uniform, mean (n w - 1)² / 2 <= rho; equal losses weigh alike.

    Found by sorting: which samples weigh anything decides a quadratic equation for the threshold.
    """
    check_range("rho", rho, 0, strict=(True, True))
    exact = check_losses(loss).double()
    count, largest = len(exact), (exact == exact.max()).to(exact)
    # The ball holds all the mass on the largest losses.
    if count <= (1 + 2 * rho) * int(largest.sum()):
        return (largest / largest.sum()).to(loss.dtype)
    ordered = (exact - exact.max()).sort(descending=True).values
    numbers = torch.arange(1, count + 1, device=loss.device, dtype=torch.float64)
    sums, squares = ordered.cumsum(0), (ordered**2).cumsum(0)
    # How uneven the weights are with the threshold at the next loss: it grows with the threshold.
    following = ordered[1:]
    uneven = count * (squares[:-1] - 2 * following * sums[:-1] + numbers[:-1] * following**2)
    inside = uneven <= (1 + 2 * rho) * (sums[:-1] - numbers[:-1] * following) ** 2
    inside &= following < 0
    k = int(inside.to(torch.int8).argmax()) + 1 if bool(inside.any()) else count
    mean = sums[k - 1] / k
    variance = (squares[k - 1] / k - mean**2).clamp(min=0)
    threshold = mean - (variance / ((1 + 2 * rho) * k / count - 1)).sqrt()
    above = (exact - exact.max() - threshold).clamp(min=0)
    return (above / above.sum()).to(loss.dtype)


def chi2_penalised(loss: Float[Tensor, " sample"], *, lam: float = 1.0) -> Float[Tensor, " sample"]:
    """Worst weights with a penalty lam on mean (n w - 1)² / 2."""
    check_range("lam", lam, 0, strict=(True, True))
    exact = check_losses(loss).double()
    scale = lam * len(exact)
    ordered = exact.sort(descending=True).values
    numbers = torch.arange(1, len(exact) + 1, device=loss.device, dtype=torch.float64)
    thresholds = (ordered.cumsum(0) - scale) / numbers
    threshold = thresholds[int((ordered > thresholds).sum()) - 1]
    return ((exact - threshold).clamp(min=0) / scale).to(loss.dtype)


def _nonzero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value != 0):
        raise InputError(f"{name} must be a number other than 0. Got {value!r}")


def _top(loss: Tensor, alpha: float) -> Tensor:
    mass = alpha * len(loss)
    last = loss.sort(descending=True).values[math.ceil(mass) - 1]
    above, at = (loss > last).to(loss), (loss == last).to(loss)
    return above / mass + at * (1 - above.sum() / mass) / at.sum()


def _penalised_top(loss: Tensor, alpha: float, reg: float) -> Tensor:
    """min(exp((l - eta) / reg), 1/alpha) / n that adds up to one: k samples at the bound, exponentials over the others."""
    count, bound = len(loss), 1 / (alpha * len(loss))
    scaled = loss / reg
    ordered = scaled.sort(descending=True).values
    rest = ordered.flip(0).logcumsumexp(0).flip(0)
    free = 1 - bound * torch.arange(count, device=loss.device, dtype=torch.float64)
    shift = free.clamp(min=0).log() - rest
    fits = ordered + shift <= math.log(bound) + 1e-12
    k = int(fits.to(torch.int8).argmax())
    return (scaled + shift[k]).exp().clamp(max=bound)


ROWS = (
    Scheme(
        "tilted",
        "hard samples for t above 0, easy ones below",
        "softmax(t l)",
        tilted,
        "varied",
        "loss; t is in units of one over it",
        _LI,
        reduction="sum",
        normalization="sum 1",
        note="t is tuned for each task.",
    ),
    Scheme(
        "tilted-groups",
        "hard groups, and hard samples in them, each by its own tilt",
        "softmax over groups of (t R_g + log n_g), times softmax(tau l) in the group; R_g = log(mean exp(tau l)) / tau",
        tilted_groups,
        "varied",
        "loss; t and tau are in units of one over it",
        _LI,
        reduction="sum",
        normalization="sum 1",
        note="The gradient of the paper's hierarchical objective; checked against the authors' code.",
    ),
    Scheme(
        "kl-dro",
        "hard samples, in proportion to exp(l / lam)",
        "softmax(l / lam)",
        kl_dro,
        "hard",
        "loss, nats",
        _QI,
        reduction="sum",
        normalization="sum 1",
        note="What absgd follows with a running mean in place of the batch's own.",
    ),
    Scheme(
        "absgd",
        "hard samples, in proportion to exp(l / lam); easy ones for lam below 0",
        "exp(l / lam) / (n u), u <- (1-gamma) u + gamma alpha mean(exp(l / lam))",
        absgd,
        "hard",
        "loss, nats",
        _QI,
        reduction="sum",
        normalization="sum near 1",
        init=absgd_start,
        note="u starts at 0, as in the authors' code: the first weights add up to 1/gamma. Kept in logarithms, where"
        " the code overflows.",
    ),
    Scheme(
        "cvar",
        "only the share alpha of largest losses",
        (
            "1/(alpha n) for the alpha n largest, remainder to the next; with reg: min(exp((l - eta)/reg), 1/alpha)/n, "
            "sum 1"
        ),
        cvar,
        "hard",
        "loss; reg is in its units",
        _FAN,
        reduction="sum",
        normalization="sum 1",
        note="alpha is tuned for each task. Equal losses share the remainder alike.",
    ),
    Scheme(
        "chi2-dro",
        "hard samples, in proportion to the loss above a threshold",
        "(l - eta)+ / sum, eta such that mean((n w - 1)²)/2 = rho",
        chi2_dro,
        "hard",
        "loss; the weights do not change with its unit",
        _NAMKOONG,
        reduction="sum",
        normalization="sum 1",
        note="Where the ball holds all the mass on the largest losses these share it, as when all are equal.",
    ),
    Scheme(
        "chi2-penalised",
        "hard samples, in proportion to the loss above a threshold",
        "(l - eta)+ / (lam n), eta such that the sum is 1",
        chi2_penalised,
        "hard",
        "loss; lam is in its units",
        _LEVY,
        reduction="sum",
        normalization="sum 1",
    ),
)
