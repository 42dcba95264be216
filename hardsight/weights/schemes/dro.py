"""Distributionally robust weights: those of the largest loss among all weights close enough to uniform.

For single samples in closed form; for groups by weights that follow their losses step by step; and for language
models by exponential weights of a shape on the scaled loss.
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_codes, check_losses
from hardsight.weights.scheme import State, StateShape, scheme

_LEVY = "Levy et al. 2020, Large-scale methods for distributionally robust optimization, NeurIPS"
_FAN = "Fan et al. 2017, Learning with average top-k loss, NeurIPS; " + _LEVY
_NAMKOONG = "Namkoong & Duchi 2017, Variance-based regularization with convex objectives, NeurIPS; " + _LEVY
_LI = "Li et al. 2021, Tilted empirical risk minimization, ICLR"
_QI = "Qi et al. 2023, Attentional-biased stochastic gradient descent, TMLR"
_sums_to_one = partial(scheme, compares_samples=True, reduction="sum", normalization="sum 1")


@_sums_to_one(
    "tilted",
    formula="softmax(t l)",
    priority="varied",
    scale="loss; t has the unit of 1 / loss",
    source=_LI,
    note="t is tuned for each task.",
    example={"t": 1.0},
)
def tilted(loss: Float[Tensor, " sample"], *, t: float) -> Float[Tensor, " sample"]:
    """Prefer hard samples for t above 0, easy ones below.

    The weights are the softmax of ``t`` times the loss; at 0 all are equal.

    Args:
        t: tilt.
    """
    return _softmax(check_range("t", t, -math.inf) * check_losses(loss))


@_sums_to_one(
    "tilted-groups",
    formula="softmax over groups of (t R_g + log n_g), times softmax(tau l) in the group; R_g = log(mean exp(tau l)) / tau",
    priority="varied",
    scale="loss; t and tau have the unit of 1 / loss",
    source=_LI,
    note="The gradient of the paper's hierarchical objective; checked against the authors' code.",
    example={"t": 1.0, "tau": 1.0},
)
def tilted_groups(
    loss: Float[Tensor, " sample"], groups: Int[Tensor, " sample"], *, t: float, tau: float
) -> Float[Tensor, " sample"]:
    """Prefer hard groups, and hard samples within them, each by a tilt of its own.

    Weights are exponential in the loss within groups, and in the tilted loss of the groups over them.

    Args:
        t: tilt over groups.
        tau: tilt within groups; 0: their mean loss.
    """
    check_range("t", t, -math.inf)
    check_range("tau", tau, -math.inf)
    # float32 cannot add up the exponentials of millions of losses.
    exact = check_losses(loss).double()
    member = torch.unique(groups).unsqueeze(1) == groups
    sizes = member.sum(1).double()
    inner = (tau * exact).where(member, -math.inf).log_softmax(1)
    if tau == 0:
        risks = exact.where(member, 0).sum(1) / sizes
    else:
        risks = ((tau * exact).where(member, -math.inf).logsumexp(1) - sizes.log()) / tau
    outer = (t * risks + sizes.log()).softmax(0)
    weights: Tensor = (outer.unsqueeze(1) * inner.exp()).sum(0)
    return weights.to(loss.dtype)


@_sums_to_one(
    "kl-dro",
    formula="softmax(l / lam)",
    priority="hard",
    scale="loss, nats",
    source=_QI,
    note="The limit of absgd with the batch's own mean in place of a running one.",
)
def kl_dro(loss: Float[Tensor, " sample"], *, lam: float = 0.5) -> Float[Tensor, " sample"]:
    """Prefer hard samples, in proportion to exp(l / lam).

    These are the worst weights with a penalty ``lam`` on their KL divergence from uniform; below 0 the best ones,
    which prefer easy samples.

    Args:
        lam: strength of the penalty, not 0.
    """
    _check_nonzero("lam", lam)
    return _softmax(check_losses(loss) / lam)


def init_absgd(shape: StateShape) -> State:
    """Return a running mean of exp(l / lam) in logarithms, which starts at 0."""
    return {"log_mean": torch.full((), -math.inf, dtype=torch.float64, device=shape.device)}


@scheme(
    "absgd",
    formula="exp(l / lam) / (n u), u <- (1-gamma) u + gamma alpha mean(exp(l / lam))",
    priority="hard",
    scale="loss, nats",
    source=_QI,
    compares_samples=True,
    reduction="sum",
    normalization="sum near 1",
    init=init_absgd,
    note="u starts at 0, as in the authors' code: the first weights sum to 1/gamma. Kept in logarithms, where the "
    "code overflows.",
)
def absgd(
    state: State, loss: Float[Tensor, " sample"], *, lam: float = 0.5, gamma: float = 0.9, alpha: float = 1.0
) -> Float[Tensor, " sample"]:
    """Prefer hard samples, in proportion to exp(l / lam) over its running mean; easy ones for lam below 0.

    Args:
        state: the running mean, in logarithms, so that large losses do not overflow.
        lam: scale of the loss; below 0 easy samples weigh more.
        gamma: share of the batch in the running mean.
        alpha: factor of the batch's mean.
    """
    _check_nonzero("lam", lam)
    check_range("gamma", gamma, 0, 1, strict=(True, False))
    check_range("alpha", alpha, 0, strict=(True, True))
    scaled, count = check_losses(loss).double() / lam, math.log(len(loss))
    batch = scaled.detach().logsumexp(0) - count + math.log(gamma * alpha)
    state["log_mean"].copy_(torch.logaddexp(state["log_mean"] + (math.log1p(-gamma) if gamma < 1 else -math.inf), batch))
    return (scaled - state["log_mean"] - count).exp().to(loss.dtype)


@_sums_to_one(
    "cvar",
    formula="1/(alpha n) for the alpha n largest, remainder to the next; with reg: min(exp((l - eta)/reg), "
    "1/alpha)/n, sum 1",
    priority="hard",
    scale="loss; reg has the unit of the loss",
    source=_FAN,
    note="alpha is tuned for each task. Equal losses share the remainder equally.",
    example={"alpha": 0.3},
)
def cvar(loss: Float[Tensor, " sample"], *, alpha: float, reg: float = 0.0) -> Float[Tensor, " sample"]:
    """Keep only the share alpha with the largest losses.

    These are the worst weights that are nowhere above 1/(alpha n).

    Args:
        alpha: the share. If alpha n is not an integer, the next sample gets the remainder; equal losses share equally.
        reg: strength of a penalty on the weights' KL divergence from uniform.
    """
    check_range("alpha", alpha, 0, 1, strict=(True, False))
    check_range("reg", reg, 0)
    exact = check_losses(loss).double()
    return (_penalized_top_share(exact, alpha, reg) if reg > 0 else _top_share(exact, alpha)).to(loss.dtype)


@_sums_to_one(
    "chi2-dro",
    formula="(l - eta)+ / sum, eta such that mean((n w - 1)²)/2 = rho",
    priority="hard",
    scale="loss; its unit does not matter",
    source=_NAMKOONG,
    note="If the ball contains the weights with all mass on the largest losses, these share it equally, as when "
    "all losses are equal.",
)
def chi2_dro(loss: Float[Tensor, " sample"], *, rho: float = 1.0) -> Float[Tensor, " sample"]:
    """Prefer hard samples, in proportion to the loss above a threshold.

    These are the worst weights in a ball around uniform, mean (n w - 1)² / 2 <= rho; equal losses have equal weights.
    They are found by sorting: the number of samples of positive weight determines a quadratic equation for the threshold.

    Args:
        rho: radius of the ball.
    """
    check_range("rho", rho, 0, strict=(True, True))
    exact = check_losses(loss).double()
    count, largest = len(exact), (exact == exact.max()).to(exact)
    # The ball contains the weights with all mass on the largest losses.
    if count <= (1 + 2 * rho) * int(largest.sum()):
        return (largest / largest.sum()).to(loss.dtype)
    descending = (exact - exact.max()).sort(descending=True).values
    numbers = torch.arange(1, count + 1, device=loss.device, dtype=torch.float64)
    sums, squares = descending.cumsum(0), (descending**2).cumsum(0)
    # Divergence of the weights if the threshold is the next loss; it grows with the threshold.
    following = descending[1:]
    divergence = count * (squares[:-1] - 2 * following * sums[:-1] + numbers[:-1] * following**2)
    inside = divergence <= (1 + 2 * rho) * (sums[:-1] - numbers[:-1] * following) ** 2
    inside &= following < 0
    k = int(inside.to(torch.int8).argmax()) + 1 if bool(inside.any()) else count
    mean = sums[k - 1] / k
    variance = (squares[k - 1] / k - mean**2).clamp(min=0)
    threshold = mean - (variance / ((1 + 2 * rho) * k / count - 1)).sqrt()
    above = (exact - exact.max() - threshold).clamp(min=0)
    return (above / above.sum()).to(loss.dtype)


@_sums_to_one(
    "chi2-penalised",
    formula="(l - eta)+ / (lam n), eta such that the sum is 1",
    priority="hard",
    scale="loss; lam has the unit of the loss",
    source=_LEVY,
)
def chi2_penalised(loss: Float[Tensor, " sample"], *, lam: float = 1.0) -> Float[Tensor, " sample"]:
    """Prefer hard samples, in proportion to the loss above a threshold that a penalty sets.

    These are the worst weights with a penalty ``lam`` on mean (n w - 1)² / 2.

    Args:
        lam: strength of the penalty.
    """
    check_range("lam", lam, 0, strict=(True, True))
    exact = check_losses(loss).double()
    scale = lam * len(exact)
    descending = exact.sort(descending=True).values
    numbers = torch.arange(1, len(exact) + 1, device=loss.device, dtype=torch.float64)
    thresholds = (descending.cumsum(0) - scale) / numbers
    threshold = thresholds[int((descending > thresholds).sum()) - 1]
    return ((exact - threshold).clamp(min=0) / scale).to(loss.dtype)


def _softmax(values: Tensor) -> Tensor:
    # float32 cannot add up the exponentials of millions of losses.
    return values.double().softmax(0).to(values.dtype)


def _check_nonzero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value != 0):
        raise InputError(f"{name} must be a number other than 0. Got {value!r}")


def _top_share(loss: Tensor, alpha: float) -> Tensor:
    mass = alpha * len(loss)
    last = loss.kthvalue(len(loss) - math.ceil(mass) + 1).values
    above, tied = (loss > last).to(loss), (loss == last).to(loss)
    return above / mass + tied * (1 - above.sum() / mass) / tied.sum()


def _penalized_top_share(loss: Tensor, alpha: float, reg: float) -> Tensor:
    """Return min(exp((l - eta) / reg), 1/alpha) / n with sum 1: k samples at the bound, exponentials over the others."""
    count, bound = len(loss), 1 / (alpha * len(loss))
    scaled = loss / reg
    descending = scaled.sort(descending=True).values
    rest = descending.flip(0).logcumsumexp(0).flip(0)
    free = 1 - bound * torch.arange(count, device=loss.device, dtype=torch.float64)
    shift = free.clamp(min=0).log() - rest
    fits = descending + shift <= math.log(bound) + 1e-12
    k = int(fits.to(torch.int8).argmax())
    return (scaled + shift[k]).exp().clamp(max=bound)


_SAGAWA = "Sagawa et al. 2020, Distributionally robust neural networks for group shifts, ICLR"
_XIE = "Xie et al. 2023, DoReMi: optimizing data mixtures speeds up language model pretraining, NeurIPS"


def init_group_dro(shape: StateShape) -> State:
    """Return equal probabilities of all groups, in logarithms."""
    count = _check_groups(shape)
    return {"log_q": torch.zeros(count, dtype=torch.float64, device=shape.device).log_softmax(0)}


@scheme(
    "group-dro",
    formula="q_g / n_g in the batch; q_g ∝ q_g exp(eta (l_g + C/sqrt(N_g))), l_g: mean loss of the group, 0 if absent",
    priority="hard",
    scale="loss, mean of the group",
    source=_SAGAWA,
    compares_samples=True,
    reduction="sum",
    normalization="sum of the groups' q that are in the batch",
    per="group",
    init=init_group_dro,
    note="C is 0 to 5 in the paper, with strong weight decay. The reference code accidentally adds the adjustment "
    "to the training loss as well; this scheme does not.",
)
def group_dro(
    state: State,
    loss: Float[Tensor, " sample"],
    groups: Int[Tensor, " sample"],
    *,
    eta: float = 0.01,
    adjustment: float = 0.0,
    group_sizes: Sequence[int] | None = None,
) -> Float[Tensor, " sample"]:
    """Prefer groups with a large loss.

    Each group's probability grows with its mean loss, and is divided by the number of its samples in the batch.

    Args:
        state: logarithms of the groups' probabilities.
        eta: step size.
        adjustment: C, which adds C/sqrt(n_g) to the losses of small groups.
        group_sizes: n_g, the number of samples of each group in the data set; needed only for an adjustment.

    Raises:
        InputError: an adjustment without sizes, a loss that is not finite or is below zero, or a number out of range.
    """
    check_range("eta", eta, 0)
    log_q = state["log_q"]
    mean, counts = _group_means(check_losses(loss), groups, len(log_q))
    raised = mean + check_range("adjustment", adjustment, 0) * _inverse_roots(group_sizes, adjustment, log_q)
    log_q.copy_((log_q + eta * raised).log_softmax(0))
    return (log_q.exp() / counts.clamp(min=1))[groups].to(loss.dtype)


def init_doremi(shape: StateShape) -> State:
    """Return equal weights of all domains, without observations."""
    count = _check_groups(shape)
    uniform = torch.full((count,), 1 / count, dtype=torch.float64, device=shape.device)
    return {
        "domains": uniform,
        "excess": torch.zeros_like(uniform),
        "total": torch.zeros_like(uniform),
        "steps": torch.zeros((), dtype=torch.int64, device=shape.device),
    }


@scheme(
    "doremi",
    formula="a_g; a_g ∝ a_g exp(eta mean max(l - l_ref, 0)), then (1-eps) a + eps/D",
    priority="hard",
    scale="loss minus that of a reference model, mean of the domain",
    source=_XIE,
    compares_samples=True,
    reduction="weighted mean",
    normalization="sum 1 over domains",
    per="group",
    init=init_doremi,
    note="eps is the code's; the paper's is 1e-3. The result is doremi_mixture(state), the average over steps, by "
    "which the domains are then sampled. Means are over samples here, over tokens in the code.",
)
def doremi(
    state: State,
    loss: Float[Tensor, " sample"],
    first: Float[Tensor, " sample"],
    groups: Int[Tensor, " sample"],
    *,
    eta: float = 1.0,
    eps: float = 1e-4,
) -> Float[Tensor, " sample"]:
    """Prefer domains whose loss is reducible, as a reference model shows.

    Each domain's weight grows with the excess of its samples' losses over those of a reference model.

    Args:
        state: weights of the domains.
        first: loss under the reference model; ``(sample,)``.
        groups: code of each sample's domain; ``(sample,)``.
        eta: step size.
        eps: share of uniform weights that is mixed in.
    """
    check_range("eta", eta, 0)
    check_range("eps", eps, 0, 1, strict=(True, False))
    excess = (check_losses(loss) - check_losses(first)).clamp(min=0)
    mean, counts = _group_means(excess, groups, len(state["domains"]))
    # A domain that is not in the batch keeps its last excess.
    state["excess"].copy_(torch.where(counts > 0, mean, state["excess"]))
    grown = (state["domains"].log() + eta * state["excess"]).softmax(0)
    state["domains"].copy_((1 - eps) * grown + eps / len(grown))
    state["total"].add_(state["domains"])
    state["steps"].add_(1)
    return state["domains"][groups].to(loss.dtype)


def doremi_mixture(state: State) -> Float[Tensor, " domain"]:
    """Return DoReMi's result: the weights of the domains, averaged over the steps; ``(domain,)``."""
    return state["total"] / state["steps"] if int(state["steps"]) else state["domains"].clone()


def _check_groups(shape: StateShape) -> int:
    if shape.groups < 1:
        raise InputError("groups must be the number of groups or domains, 1 or more. Got 0")
    return shape.groups


def _group_means(values: Tensor, groups: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean of each group, 0 if it has no sample, and the number of its samples."""
    check_codes("groups", groups, count)
    counts = torch.bincount(groups, minlength=count)
    sums = torch.zeros(count, dtype=torch.float64, device=values.device).index_add(0, groups, values.detach().double())
    return sums / counts.clamp(min=1), counts


def _inverse_roots(sizes: Sequence[int] | None, adjustment: float, like: Tensor) -> Tensor:
    if sizes is None:
        if adjustment:
            raise InputError("adjustment needs the groups' sizes: pass group_sizes=…")
        return torch.zeros_like(like)
    if len(sizes) != len(like) or min(sizes) < 1:
        raise InputError(f"group_sizes must be {len(like)} numbers of samples, each 1 or more. Got {sizes!r}")
    return torch.tensor(sizes, dtype=like.dtype, device=like.device).rsqrt()


_SOW = "Sow et al. 2025, Dynamic loss-based sample reweighting for improved large language model pretraining, ICLR"
_IN_RANGE = "loss, by its position between the batch's smallest and largest"
_SHAPE = "s = delta (2l - max - min)/(max - min)"
_WHOLE_BATCH = (
    "The range is that of the whole batch, over all ranks. The paper lowers r over the training; a large r makes all "
    "weights equal."
)


_softmax_of_shape = partial(_sums_to_one, scale=_IN_RANGE, source=_SOW, note=_WHOLE_BATCH)


@_softmax_of_shape("llm-linupper", formula=f"softmax(h / r), h = min(s + delta, delta), {_SHAPE}", priority="hard")
def llm_linupper(loss: Float[Tensor, " sample"], *, delta: float = 1.0, r: float = 1.0) -> Float[Tensor, " sample"]:
    """Prefer hard samples, the hardest all equally.

    The weight grows with the loss up to the middle of its range, and is constant above.

    Args:
        delta: half the width of the scaled range.
        r: temperature of the softmax; small values are sharp.
    """
    return _softmax_at((_scale_to_range(loss, delta) + delta).clamp(max=delta), r)


@_softmax_of_shape("llm-quadratic", formula=f"softmax(h / r), h = 1 - s²/delta², {_SHAPE}", priority="medium")
def llm_quadratic(loss: Float[Tensor, " sample"], *, delta: float = 1.0, r: float = 1.0) -> Float[Tensor, " sample"]:
    """Prefer samples with a medium loss.

    The weight is largest in the middle of the range of losses.

    Args:
        delta: half the width of the scaled range.
        r: temperature of the softmax; small values are sharp.
    """
    return _softmax_at(1 - (_scale_to_range(loss, delta) / delta) ** 2, r)


@_softmax_of_shape("llm-extremes", formula=f"softmax(h / r), h = |s|, {_SHAPE}", priority="two-ends")
def llm_extremes(loss: Float[Tensor, " sample"], *, delta: float = 1.0, r: float = 1.0) -> Float[Tensor, " sample"]:
    """Prefer easy and hard samples, rather than those in between.

    The weight is largest at both ends of the range of losses.

    Args:
        delta: half the width of the scaled range.
        r: temperature of the softmax; small values are sharp.
    """
    return _softmax_at(_scale_to_range(loss, delta).abs(), r)


def _scale_to_range(loss: Tensor, delta: float) -> Tensor:
    """Scale the losses to the range from -delta to delta; 0 if all are equal."""
    loss = check_losses(loss)
    low, high = loss.min(), loss.max()
    width = (high - low).where(high > low, 1)
    return (check_range("delta", delta, 0, strict=(True, True)) * (2 * loss - high - low) / width).where(high > low, 0)


def _softmax_at(values: Tensor, r: float) -> Tensor:
    return _softmax(values / check_range("r", r, 0, strict=(True, True)))
