"""Curricula: easy samples first, by a pace or a threshold.

Pacing functions give the share of the samples that is in, self-paced learning a threshold on the loss, SuperLoss a
confidence per sample, and the minimax curriculum a subset that is both hard and diverse.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from math import ceil, e, log, sqrt
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_choice, check_int, check_range
from hardsight.weights.inputs import check_class_codes, check_finite, check_losses
from hardsight.weights.scheme import State, StateShape, scheme
from hardsight.weights.selection import select_top

_KUMAR = "Kumar et al. 2010, Self-paced learning for latent variable models, NeurIPS"
_JIANG = "Jiang et al. 2014, Easy samples first: self-paced reranking for zero-example multimedia search, ACM MM"
_CASTELLS = "Castells et al. 2020, SuperLoss: a generic loss for robust curriculum learning, NeurIPS"
_NATS = "loss, nats"
_ANY_SCORE = "loss, or any score of which only the order is read"
_OF_BATCH = "The share is of the samples given: the whole data set for hs.weigh, the batch in a training loop."
_self_paced = partial(scheme, priority="easy", scale=_NATS, compares_samples=False)


def pace_linear(progress: float, start: float) -> float:
    """Return a share that grows evenly.

    >>> pace_linear(0.5, 0.5)
    0.75
    """
    return start + (1 - start) * progress


def pace_geometric(progress: float, start: float) -> float:
    """Return a share that grows by the same factor in equal times; ``start`` above 0 (Platanios et al. 2019)."""
    return float(check_range("start", start, 0, 1, strict=(True, False)) ** (1 - progress))


def pace_root(progress: float, start: float, power: float = 2) -> float:
    """Return a share whose ``power`` grows evenly: fast at first (Platanios et al. 2019, who take the square root).

    >>> pace_root(0.25, 0)
    0.5
    """
    check_range("power", power, 0, strict=(True, False))
    return float((start**power + (1 - start**power) * progress) ** (1 / power))


def pace_one_step(progress: float, start: float) -> float:
    """Return ``start`` until the growth is over, then 1 (Hacohen & Weinshall 2019)."""
    return start if progress < 1 else 1.0


def pace_exponential(progress: float, start: float) -> float:
    """Return a share that grows as exp(10 progress) - 1: slowly at first (Wu, Dyer & Neyshabur 2021)."""
    return start + (1 - start) * math.expm1(10 * progress) / math.expm1(10)


def pace_logarithmic(progress: float, start: float) -> float:
    """Return a share that grows as 1 + log(progress + e^-10) / 10: fast at first (Wu, Dyer & Neyshabur 2021)."""
    return min(start + (1 - start) * (1 + 0.1 * math.log(progress + math.exp(-10))), 1.0)


PACINGS: dict[str, Callable[[float, float], float]] = {
    "linear": pace_linear,
    "geometric": pace_geometric,
    "root": pace_root,
    "one-step": pace_one_step,
    "exponential": pace_exponential,
    "logarithmic": pace_logarithmic,
}
"""Pacing functions by name: the share of the samples that is in, from the progress (0 to 1) and the share at the start."""


def paced_share(epoch: float, epochs: float, *, start: float, pacing: str = "linear", until: float = 1.0) -> float:
    """Return the share of the samples that is in.

    Args:
        epoch: number of epochs done.
        epochs: total number of epochs.
        start: share at epoch 0.
        pacing: a name of ``PACINGS``.
        until: share of the epochs after which all samples are in.

    Raises:
        InputError: an unknown pacing, or a number out of range.

    >>> paced_share(5, 20, start=0.1, until=0.5)
    0.55
    """
    check_range("epochs", epochs, 0, strict=(True, False))
    end = check_range("until", until, 0, 1, strict=(True, False)) * epochs
    progress = min(check_range("epoch", epoch, 0) / end, 1.0)
    return PACINGS[check_choice("pacing", pacing, PACINGS)](progress, check_range("start", start, 0, 1))


@scheme(
    "curriculum",
    formula="1[l among the smallest share(t/T)], share from start to 1: linear, geometric, root, one-step, …",
    priority="varied",
    scale=_ANY_SCORE,
    source="Bengio et al. 2009, Curriculum learning, ICML; pacing: Hacohen & Weinshall 2019, ICML; Platanios et al. "
    "2019, NAACL; Wu, Dyer & Neyshabur 2021, ICLR",
    compares_samples=True,
    reduction="weighted mean",
    note=_OF_BATCH,
    example={"start": 0.2},
)
def curriculum(
    loss: Float[Tensor, " sample"], epoch: float, epochs: float, *, start: float, pacing: str = "linear", until: float = 1.0
) -> Float[Tensor, " sample"]:
    """Keep the easiest share of the samples, which grows until all are in.

    The weight is 1 for the easiest :func:`paced_share` of the samples given, rounded up and at least one sample, and
    0 for the others. Samples that tie with the last one in are in too, so that their order does not matter. The loss
    may be any score.

    Args:
        start: share at epoch 0.
        pacing: a name of ``PACINGS``.
        until: share of the epochs after which all samples are in.
    """
    return _keep_easiest(loss, paced_share(epoch, epochs, start=start, pacing=pacing, until=until))


@scheme(
    "baby-step",
    formula="1[l among the smallest (floor(buckets · t/T) + 1) / buckets]",
    priority="varied",
    scale=_ANY_SCORE,
    source="Bengio et al. 2009, Curriculum learning, ICML; Spitkovsky, Alshawi & Jurafsky 2010, From baby steps to "
    "leapfrog, NAACL",
    compares_samples=True,
    reduction="weighted mean",
    note=_OF_BATCH,
    example={"buckets": 3},
)
def baby_step(loss: Float[Tensor, " sample"], epoch: float, epochs: float, *, buckets: int) -> Float[Tensor, " sample"]:
    """Keep the easiest of several equal parts of the samples, and add one part after each stage.

    The samples are split by their loss into ``buckets`` equal parts, and one more is in after each ``1 / buckets`` of
    the epochs.

    Args:
        buckets: number of parts.
    """
    check_range("epochs", epochs, 0, strict=(True, False))
    stages = math.floor(min(check_range("epoch", epoch, 0) / epochs, 1) * check_int("buckets", buckets, 1)) + 1
    return _keep_easiest(loss, min(stages / buckets, 1.0))


def _keep_easiest(loss: Tensor, rate: float) -> Tensor:
    checked = check_losses(loss)
    if not len(checked):
        return checked
    # Products that are integers up to rounding error are not rounded up.
    count = max(math.ceil(rate * len(checked) - 1e-9), 1)
    return (checked <= torch.kthvalue(checked, count).values).to(loss.dtype)


@_self_paced(
    "spl-hard",
    formula="1[l < lam]",
    source=_KUMAR,
    reduction="weighted mean",
    note="Published with lam grown every epoch.",
    example={"lam": 2.0},
)
def spl_hard(loss: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """Keep only samples with a small loss.

    The weight is 1 below the threshold and 0 from it on. Grow ``lam`` over training.

    Args:
        lam: threshold, nats.
    """
    return (check_losses(loss) < check_range("lam", lam, 0)).to(loss.dtype)


@scheme(
    "spl-share",
    formula="1[l among the ceil(rate N) smallest]",
    priority="easy",
    scale="rank of the loss",
    source=_KUMAR,
    compares_samples=True,
    reduction="weighted mean",
    note="The form of spl-hard that tools implement: the share is grown, linearly from 0 to 1 over 100 epochs in CurBench.",
    example={"rate": 0.5},
)
def spl_share(loss: Float[Tensor, " sample"], *, rate: float) -> Float[Tensor, " sample"]:
    """Keep only a share of the samples, those with the smallest losses.

    The weight is 1 for the ceil(rate N) smallest losses; of equal losses, for those that come first. Grow ``rate``
    over training.

    Args:
        rate: share of the samples, 0 to 1.
    """
    # Products such as 0.07 * 100 are slightly above the integer that is meant.
    count = ceil(check_range("rate", rate, 0, 1) * len(loss) - 1e-9)
    return select_top(-check_losses(loss).detach(), count)


@_self_paced("spl-linear", formula="max(0, 1 - l/lam)", source=_JIANG, example={"lam": 2.0})
def spl_linear(loss: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """Prefer samples with a small loss, less and less up to a threshold.

    The weight falls from 1 at no loss to 0 at the threshold; it minimizes v l + lam (v²/2 - v) over v in [0, 1].

    Args:
        lam: threshold, nats.
    """
    return (1 - check_losses(loss) / check_range("lam", lam, 0, strict=(True, True))).clamp(min=0)


@_self_paced(
    "spl-logarithmic",
    formula="log(l + z)/log(z) if l < lam, otherwise 0; z = 1 - lam, 0 < lam < 1",
    source=_JIANG,
    note="Undefined for lam of 1 or more, where CurML and CurBench give NaN: scale the losses, or choose another scheme.",
    example={"lam": 0.9},
)
def spl_logarithmic(loss: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """Prefer samples with a small loss, less and less up to a threshold, falling fast at first.

    The weight falls from 1 to 0 at the threshold; it minimizes v l + z v - z^v / log z over v in [0, 1], with z = 1 - lam.

    Args:
        lam: threshold, between 0 and 1.
    """
    z = 1 - check_range("lam", lam, 0, 1, strict=(True, True))
    return (torch.log(check_losses(loss).clamp(max=lam) + z) / log(z)).clamp(0, 1)


@_self_paced(
    "spl-mixture",
    formula="1 if l <= lam2; 0 if l >= lam1; otherwise z/l - z/lam1, z = lam1 lam2/(lam1 - lam2)",
    source=_JIANG,
    example={"lam1": 2.0, "lam2": 1.0},
)
def spl_mixture(loss: Float[Tensor, " sample"], *, lam1: float, lam2: float) -> Float[Tensor, " sample"]:
    """Keep all samples with a small loss and none with a large loss, with falling weights in between.

    The weight is 1 up to ``lam2`` and 0 from ``lam1`` on; it minimizes v l - z log(v + z / lam1), z = lam1 lam2 /
    (lam1 - lam2).

    Args:
        lam1: upper threshold, nats.
        lam2: lower threshold, nats.
    """
    lam2 = check_range("lam2", lam2, 0, strict=(True, True))
    z = check_range("lam1", lam1, lam2, strict=(True, True)) * lam2 / (lam1 - lam2)
    loss = check_losses(loss)
    between = (z / loss.clamp(lam2, lam1) - z / lam1).clamp(0, 1)
    return torch.where(loss <= lam2, 1, torch.where(loss >= lam1, 0, between))


@_self_paced(
    "spl-mixture-2",
    formula="1 if l <= (lam gamma/(lam + gamma))²; 0 if l >= lam²; otherwise gamma (1/√l - 1/lam)",
    source="Zhao et al. 2015, Self-paced learning for matrix factorization, AAAI",
    example={"lam": 2.0, "gamma": 1.0},
)
def spl_mixture_2(loss: Float[Tensor, " sample"], *, lam: float, gamma: float) -> Float[Tensor, " sample"]:
    """Keep all samples with a small loss and none with a large one; weights in between fall with the root of the loss.

    The weight is 1 up to (lam gamma / (lam + gamma))² and 0 from lam² on; it minimizes v l + gamma² / (v + gamma / lam).

    Args:
        lam: root of the upper threshold.
        gamma: width of the fall; the larger, the higher the lower threshold.
    """
    lam, gamma = check_range("lam", lam, 0, strict=(True, True)), check_range("gamma", gamma, 0, strict=(True, True))
    lower = (lam * gamma / (lam + gamma)) ** 2
    loss = check_losses(loss)
    between = (gamma * (loss.clamp(lower, lam**2).rsqrt() - 1 / lam)).clamp(0, 1)
    return torch.where(loss <= lower, 1, torch.where(loss >= lam**2, 0, between))


@_self_paced(
    "spl-logistic",
    formula="(1 + exp(-lam))/(1 + exp(l - lam))",
    source="Xu et al. 2015, Multi-view self-paced learning for clustering, IJCAI",
    example={"lam": 1.0},
)
def spl_logistic(loss: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """Prefer samples with a small loss; large losses keep a small weight.

    The weight falls from 1 as a logistic curve around ``lam`` and never reaches 0.

    Args:
        lam: center of the fall, nats.
    """
    lam = check_range("lam", lam, 0, strict=(True, True))
    return torch.sigmoid(lam - check_losses(loss)) / torch.sigmoid(loss.new_tensor(lam))


@_self_paced(
    "spl-polynomial",
    formula="(1 - l/lam)^(1/(t - 1)) if l < lam, otherwise 0; t = 2, 3, …",
    source="Gong et al. 2019, Decomposition-based evolutionary multiobjective optimization to self-paced learning, "
    "IEEE TEVC",
    note="CurML and CurBench compute (1 - l/lam)/(t - 1) instead.",
    example={"lam": 2.0},
)
def spl_polynomial(loss: Float[Tensor, " sample"], *, lam: float, t: int = 3) -> Float[Tensor, " sample"]:
    """Prefer samples with a small loss up to a threshold; the larger t, the closer to spl-hard.

    The weight is (1 - l / lam)^(1 / (t - 1)) below the threshold; it minimizes v l + lam (v^t / t - v) over v in [0, 1].

    Args:
        lam: threshold, nats.
        t: degree of the polynomial, 2 or more.
    """
    below = (check_losses(loss) < check_range("lam", lam, 0, strict=(True, True))).to(loss.dtype)
    # The root has an infinite slope at 0: where the weight is 0, it is taken of 1 instead.
    return below * (1 - below * loss.clamp(min=0) / lam) ** (1 / (check_int("t", t, 2) - 1))


@_self_paced(
    "spl-diversity",
    formula="1[l < lam + gamma/(√i + √(i - 1))] for the i-th smallest loss of its group",
    source="Jiang et al. 2014, Self-paced learning with diversity, NeurIPS",
    compares_samples=True,
    reduction="weighted mean",
    note="The threshold was checked against several public implementations of the paper's algorithm. Grow lam and "
    "gamma over training.",
    example={"lam": 1.0, "gamma": 1.0},
)
def spl_diversity(
    loss: Float[Tensor, " sample"], groups: Int[Tensor, " sample"], *, lam: float, gamma: float
) -> Float[Tensor, " sample"]:
    """Prefer samples with a small loss, from many groups rather than from one.

    The weight is 1 if the loss is below lam + gamma / (√i + √(i - 1)), for the i-th smallest loss of its group. It
    minimizes sum v l - lam sum v - gamma sum over groups of √(number of samples kept) over v in {0, 1}.

    Args:
        lam: threshold, nats.
        gamma: weight of the diversity.
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


# Constants of the fit in `_init_lambert`.
_SPREAD = 2.1
_NEAR, _FAR, _BEND = sqrt(2 * e) / _SPREAD, 0.35522888 / 0.17858395, 1 / 0.17858395


def lambert_w(x: Tensor) -> Tensor:
    """Return the principal branch of Lambert's W: W exp(W) = x for x >= -1/e; smaller values count as -1/e, where W is -1.

    An initial value within 0.5 % is refined by Halley's steps on 1 + W, to the rounding of 1 + W. The gradient is
    that of the solution; it is 0 where x is -1/e or less.
    """
    clamped = x.detach().clamp(min=-1 / e)
    # Slightly above 0 at the branch point, where a step would divide by it.
    lifted = _init_lambert((clamped + 1 / e).clamp(min=torch.finfo(x.dtype).tiny))
    for _ in range(1 if x.dtype == torch.float32 else 4):
        w = lifted - 1
        miss = torch.addcdiv(w, clamped, torch.exp(w), value=-1)
        slope = torch.addcdiv(lifted, miss, lifted, value=-0.5).add(miss, alpha=-0.5)
        lifted = torch.addcdiv(lifted, miss, slope, value=-1)
    w = lifted - 1
    if not x.requires_grad:
        return w
    steepness = torch.where(w > -1, torch.exp(-w) / lifted, 0)
    # Adds 0 to the value; it carries the gradient of the solution instead of that of the steps.
    return w + steepness * (x - x.detach())


def _init_lambert(above: Tensor) -> Tensor:
    """Return an approximation of 1 + W for ``above`` = x + 1/e.

    With u = log(1 + k √(x + 1/e)) it is √(2e) u / k for small u and about 2u for large u. The range in between was
    fitted: one Halley step leaves a relative error of at most 1.2e-7, from the branch point to x = 1e38.
    """
    grown = torch.log1p(_SPREAD * above.sqrt())
    return torch.addcdiv(_FAR * grown, grown, grown + _BEND, value=(_NEAR - _FAR) * _BEND)


def _compares_to_mean_loss(values: Mapping[str, Any]) -> bool:
    """Whether tau is the mean loss of the batch, because neither tau nor the number of classes is known."""
    return values.get("tau") is None and values.get("logits") is None and not values.get("classes")


_CONFIDENCE = "s = exp(-W(max(-1/e, (l - tau)/(2 lam)))), W: Lambert's function"


@scheme(
    "superloss",
    formula=f"{_CONFIDENCE}; tau = log K if not given, mean(l) if K is unknown",
    priority="easy",
    scale="loss, nats",
    source=_CASTELLS,
    compares_samples=_compares_to_mean_loss,
    note="lam 1 was published for CIFAR-10, .25 for CIFAR-100. K is known from logits, or from classes= or sizes= "
    "of hs.Weighting. At the branch point of W the weight is exactly e, where scipy's lambertw in float64, "
    "and CurML with it, give NaN.",
)
def superloss(
    loss: Float[Tensor, " sample"],
    logits: Float[Tensor, "sample class"] | None = None,
    classes: int | None = None,
    *,
    tau: float | None = None,
    lam: float = 1.0,
) -> Float[Tensor, " sample"]:
    """Prefer samples whose loss is below that of uniform guessing; large losses keep a small weight.

    The weight is a confidence: e for the easiest samples, 1 at a loss of ``tau``, towards 0 for large losses.

    Args:
        logits: read only for the number of classes; ``(sample, class)``.
        classes: number of classes K, read if there are no logits.
        tau: boundary between easy and hard. None: log K, the loss of uniform guessing, or, if K is unknown, the mean
            of the losses given; both are choices of the paper.
        lam: regularization strength; the smaller, the stronger the weighting.

    Raises:
        InputError: a loss is not finite or is below zero, ``lam`` is not above 0, or there are fewer than two classes.
    """
    loss = check_losses(loss)
    if tau is None and (logits is not None or classes):
        tau = _log_classes(classes if logits is None else logits.shape[1])
    return _confidence(loss, loss.detach().mean() if tau is None else tau, lam)


def _init_superloss_mean(shape: StateShape) -> State:
    return {"tau": torch.zeros((), device=shape.device), "steps": torch.zeros((), dtype=torch.int64, device=shape.device)}


@scheme(
    "superloss-mean",
    formula=f"{_CONFIDENCE}; tau = decay tau + (1 - decay) mean(l)",
    priority="easy",
    scale="loss, any unit",
    source=_CASTELLS,
    compares_samples=True,
    init=_init_superloss_mean,
    note="decay .9 as in CurBench; the running mean starts at the mean of the first batch.",
)
def superloss_mean(
    state: State, loss: Float[Tensor, " sample"], *, lam: float = 1.0, decay: float = 0.9
) -> Float[Tensor, " sample"]:
    """Prefer samples whose loss is below the running mean; large losses keep a small weight.

    As :func:`superloss`, with a running mean of the loss as ``tau``; losses may be of any kind.

    Args:
        state: "tau" and "steps".
        loss: of any unit; ``(sample,)``.
        lam: regularization strength, in units of the loss.
        decay: share of the running mean that stays in a step.

    Raises:
        InputError: a loss is not finite, or a parameter is out of range.
    """
    check_range("decay", decay, 0, 1, strict=(False, True))
    mean = check_finite("loss", loss).detach().mean().to(state["tau"].dtype)
    state["tau"].copy_(torch.where(state["steps"] > 0, decay * state["tau"] + (1 - decay) * mean, mean))
    state["steps"].add_(1)
    return _confidence(loss, state["tau"].to(loss.dtype), lam)


@scheme(
    "superloss-loss",
    formula=f"(l - tau) s + lam (log s)²; {_CONFIDENCE}; tau = log K if not given",
    priority="easy",
    scale="loss, nats",
    source=_CASTELLS,
    compares_samples=False,
    kind="loss",
    through=True,
    note="Negative for easy samples. Its gradient is that of cross-entropy weighted with superloss.",
    exclude_from_benchmark={"in training": "the gradient is that of superloss"},
)
def superloss_loss(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], *, tau: float | None = None, lam: float = 1.0
) -> Float[Tensor, " sample"]:
    """Prefer samples whose loss is below that of uniform guessing: the loss itself, with its regularizer.

    Returns (l - tau) s + lam (log s)², with s the confidence of :func:`superloss`; its derivative by the loss is s.

    Args:
        tau: boundary between easy and hard; None: log K, the loss of uniform guessing.
        lam: regularization strength; the smaller, the stronger the weighting.

    Raises:
        InputError: logits that are not finite, labels that are not class codes, fewer than two classes without
            ``tau``, or ``lam`` that is not above 0.
    """
    loss = torch.nn.functional.cross_entropy(
        check_finite("logits", logits), check_class_codes(labels, logits.shape[1]), reduction="none"
    )
    tau = _log_classes(logits.shape[1]) if tau is None else tau
    # s is optimal for the loss, so its change has no first-order effect.
    confidence = _confidence(loss, tau, lam).detach()
    return (loss - tau) * confidence + lam * torch.log(confidence) ** 2


def _confidence(loss: Tensor, tau: float | Tensor, lam: float) -> Tensor:
    return torch.exp(-lambert_w((loss - tau) / (2 * check_range("lam", lam, 0, strict=(True, True)))))


def _log_classes(classes: int | None) -> float:
    if not classes or classes < 2:
        raise InputError(f"there must be 2 classes or more for tau = log K. Got {classes}: pass tau=…")
    return log(classes)


@scheme(
    "mcl",
    formula="1[i in A], A greedy for sum_A l + diversity · sum_j max_{i in A} exp(-|h_i - h_j|² / 2 s²), |A| = share · n",
    priority="hard",
    scale="loss; distances between features",
    source="Zhou & Bilmes 2018, Minimax curriculum learning, ICLR; similarity: Zhou, Wang & Bilmes 2020, NeurIPS",
    compares_samples=True,
    reduction="weighted mean",
    note="Published with a share that grows and a diversity that falls from stage to stage. The authors' code replaces "
    "facility location by a sum of similarities, as does CurBench. Of tied samples the first is taken.",
    example={"share": 0.5, "diversity": 0.1},
)
def mcl(
    loss: Float[Tensor, " sample"], features: Float[Tensor, "sample feature"], *, share: float, diversity: float
) -> Float[Tensor, " sample"]:
    """Prefer a subset of hard samples that are unlike each other.

    The weight is 1 for a subset A of high sum of losses + diversity · sum over all j of max over i in A of
    similarity(i, j). A is found greedily, within a factor of 1 - 1/e of the optimum. The matrix of similarities
    ``(sample, sample)`` is kept in memory.

    Args:
        features: they give the similarity exp(-distance² / (2 s²)), s the mean distance; ``(sample, feature)``.
        share: share of the samples that are in, rounded up; grow it over training.
        diversity: weight of the similarity to all samples, per sample; let it fall over training.

    Raises:
        InputError: a loss or feature that is not finite, or a parameter out of range.
    """
    gain = check_losses(loss).detach()
    n = len(gain)
    count = math.ceil(check_range("share", share, 0, 1, strict=(True, False)) * n - 1e-9)
    chosen = torch.zeros(n, dtype=torch.bool, device=loss.device)
    similarity = check_range("diversity", diversity, 0) * _similarity(check_finite("features", features).to(gain))
    covered = torch.zeros_like(gain)
    for _ in range(count):
        gains = gain + (similarity - covered).clamp(min=0).sum(1)
        best = int(gains.masked_fill(chosen, -math.inf).argmax())
        chosen[best] = True
        covered = torch.maximum(covered, similarity[best])
    return chosen.to(loss.dtype)


def _similarity(features: Tensor) -> Tensor:
    distance = torch.cdist(features, features)
    pairs = len(features) * (len(features) - 1)
    mean = distance.sum() / max(pairs, 1)
    return torch.exp(-(distance**2) / (2 * mean**2).clamp(min=torch.finfo(features.dtype).tiny))
