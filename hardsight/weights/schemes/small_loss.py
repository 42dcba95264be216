"""Small-loss selection: samples whose label is probably wrong are dropped or weigh less.

Which labels are wrong is judged by the loss under a second model, by a mixture of two distributions of losses, by a
running percentile (MentorNet), by margins in training, or by confident learning.
"""

from math import floor, log, pi
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from hardsight.errors import InputError
from hardsight.validation import check_int, check_range
from hardsight.weights.inputs import check_class_codes, check_finite, check_losses
from hardsight.weights.scheme import State, StateShape, scheme
from hardsight.weights.selection import nearest_percentile, quantile, select_top

_JIANG = "Jiang et al. 2018, MentorNet: learning data-driven curriculum for very deep neural networks, ICML"


class _DropSchedule(NamedTuple):
    rate: float
    gradual: int
    exponent: float

    def share(self, epoch: float) -> float:
        """Return the share of the batch that is dropped in an epoch."""
        rate, steps = check_range("rate", self.rate, 0, 1, strict=(False, True)), check_int("gradual", self.gradual, 1)
        exponent = check_range("exponent", self.exponent, 0, strict=(True, False))
        done = floor(check_range("epoch", epoch, 0))
        return rate**exponent * done / max(steps - 1, 1) if done < steps else rate


@scheme(
    "co-teaching",
    formula="1[l of the peer among the floor(R n) smallest]; R = 1 - f; f = rate^exponent t/(gradual - 1) while t < "
    "gradual, then rate; at least one is kept; of equal losses, those that come first",
    priority="varied",
    scale="loss by the peer, nats; rank in the batch",
    source="Han et al. 2018, Co-teaching: robust training of deep neural networks with extremely noisy labels, NeurIPS",
    compares_samples=True,
    reduction="weighted mean",
    note="rate is the share of wrong labels. The published code divides twice, by n and by the number of samples "
    "kept. With an exponent other than 1 the schedule, here as there, jumps at gradual.",
    example={"rate": 0.3},
)
def co_teaching(
    peer: Float[Tensor, " sample"], epoch: float, *, rate: float, gradual: int = 10, exponent: float = 1.0
) -> Float[Tensor, " sample"]:
    """Keep only samples that a second model finds easy, fewer over the epochs.

    The weight is 1 for the samples that the *other* model finds easiest, and 0 for the rest.

    Args:
        rate: share that is dropped in the end, which is the share of wrong labels and must be known.
        gradual: number of epochs over which the dropped share grows.
        exponent: exponent of the rate while it grows.
    """
    return _keep_smallest(check_losses(peer), _DropSchedule(rate, gradual, exponent).share(epoch))


_WEI = "Wei et al. 2020, Combating noisy labels by agreement: a joint training method with co-regularization, CVPR"


@scheme(
    "jocor",
    formula="1[(1 - a)(CE1 + CE2) + a (KL(p1, p2) + KL(p2, p1)) among the floor(R n) smallest]; R = 1 - f; f = "
    "rate^exponent t/(gradual - 1) while t < gradual, then rate; at least one is kept; of equal losses, "
    "those that come first",
    priority="varied",
    scale="joint loss, nats; rank in the batch",
    source=_WEI,
    compares_samples=True,
    reduction="weighted mean",
    note="Published with the joint loss as the training loss: that is jocor-loss. co_lambda .1 is the code's default.",
    example={"rate": 0.3},
)
def jocor(
    logits: Float[Tensor, "sample class"],
    peer_logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    epoch: float,
    *,
    rate: float,
    co_lambda: float = 0.1,
    gradual: int = 10,
    exponent: float = 1.0,
) -> Float[Tensor, " sample"]:
    """Keep only samples on which two models agree with the label and with each other, fewer over the epochs.

    The weight is 1 for the samples of smallest joint loss of two models, which includes their disagreement, and 0 for
    the rest.

    Args:
        rate: share that is dropped in the end, which is the share of wrong labels and must be known.
        co_lambda: weight of the disagreement.
        gradual: number of epochs over which the dropped share grows.
        exponent: exponent of the rate while it grows.
    """
    joint = _joint_loss(logits, peer_logits, labels, co_lambda)
    return _keep_smallest(joint, _DropSchedule(rate, gradual, exponent).share(epoch))


@scheme(
    "jocor-loss",
    formula="(1 - a)(CE1 + CE2) + a (KL(p1, p2) + KL(p2, p1)), of the floor(R n) smallest; R = 1 - f; f = rate^exponent "
    "t/(gradual - 1) while t < gradual, then rate; at least one is kept; of equal losses, those that come first",
    priority="varied",
    scale="joint loss, nats; rank in the batch",
    source=_WEI,
    compares_samples=True,
    kind="loss",
    through=True,
    normalization="its mean is the mean over the kept samples",
    note="Trains both models if both sets of logits carry gradients. co_lambda .1 is the code's default.",
    example={"rate": 0.3},
)
def jocor_loss(
    logits: Float[Tensor, "sample class"],
    peer_logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    epoch: float,
    *,
    rate: float,
    co_lambda: float = 0.1,
    gradual: int = 10,
    exponent: float = 1.0,
) -> Float[Tensor, " sample"]:
    """Keep only samples on which two models agree with the label and with each other, trained on the joint loss of both.

    Returns the joint loss of the samples that :func:`jocor` keeps, scaled so that its mean is the mean over these samples.

    Args:
        rate: share that is dropped in the end, which is the share of wrong labels and must be known.
        co_lambda: weight of the disagreement.
        gradual: number of epochs over which the dropped share grows.
        exponent: exponent of the rate while it grows.
    """
    joint = _joint_loss(logits, peer_logits, labels, co_lambda)
    kept = _keep_smallest(joint, _DropSchedule(rate, gradual, exponent).share(epoch))
    return joint * kept * (len(kept) / kept.sum())


def _keep_smallest(loss: Tensor, drop_share: float) -> Tensor:
    # Products such as (1 - 0.9) * 10 are slightly below the integer that is meant.
    count = max(floor((1 - drop_share) * len(loss) + 1e-9), 1)
    return select_top(-loss.detach(), count)


def _joint_loss(logits: Tensor, peer_logits: Tensor, labels: Tensor, co_lambda: float) -> Tensor:
    a = check_range("co_lambda", co_lambda, 0, 1)
    log_p, log_q = (log_softmax(check_finite("logits", logits), 1), log_softmax(check_finite("peer_logits", peer_logits), 1))
    disagreement = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1)
    labels = check_class_codes(labels, logits.shape[1])
    supervised = cross_entropy(logits, labels, reduction="none") + cross_entropy(peer_logits, labels, reduction="none")
    return (1 - a) * supervised + a * disagreement


_ALL_LOSSES = "Give the losses of all samples, not of a batch. Equal losses all get the weight 1. "


@scheme(
    "divide-mix-gmm",
    formula="P(component of lower mean | l), two Gaussians on (l - min)/(max - min)",
    priority="easy",
    scale="loss, any unit",
    source="Li et al. 2020, DivideMix: learning with noisy labels as semi-supervised learning, ICLR",
    compares_samples=True,
    note=_ALL_LOSSES
    + "Published: samples above .5 count as clean, the others lose their label; at 90 % noise the loss is the mean of the "
    "last five epochs. Starts from the best split in two, where scikit-learn draws.",
    exclude_from_benchmark={"in training": "reads all losses of the data set at once"},
)
def divide_mix_gmm(
    loss: Float[Tensor, " sample"], *, max_iter: int = 10, tol: float = 1e-2, reg: float = 5e-4
) -> Float[Tensor, " sample"]:
    """Prefer samples that probably belong to the component of small loss, in a mixture of two Gaussians.

    The weight is the posterior probability of the component of lower mean, for losses scaled to 0-1.

    Args:
        loss: of all samples, in any unit; ``(sample,)``.
        max_iter: steps of expectation-maximization, from the best split in two by squared distance.
        tol: EM stops when the mean log-likelihood changes by less in a step.
        reg: added to the variances of the scaled losses.

    Raises:
        InputError: a loss is not finite, or a parameter is out of range.
    """
    steps, reg = check_int("max_iter", max_iter, 1), check_range("reg", reg, 0, strict=(True, False))
    check_range("tol", tol, 0)
    x = check_finite("loss", loss).detach().double()
    if bool(x.max() <= x.min()):
        return torch.ones_like(loss)
    x = (x - x.min()) / (x.max() - x.min())
    components, previous = _fit_gaussians(x, _split_in_two(x), reg), -float("inf")
    for _ in range(steps):
        responsibility, likelihood = _responsibilities(_log_gaussian(x, *components))
        components = _fit_gaussians(x, responsibility, reg)
        if abs(likelihood - previous) < tol:
            break
        previous = likelihood
    low = int(components[1].argmin())
    return _responsibilities(_log_gaussian(x, *components))[0][:, low].to(loss.dtype)


@scheme(
    "bmm",
    formula="1 - P(second component | l), two Beta distributions on losses scaled by their percentiles 5 and 95",
    priority="easy",
    scale="loss, any unit",
    source="Arazo et al. 2019, Unsupervised label noise modeling and loss correction, ICML",
    compares_samples=True,
    note=_ALL_LOSSES
    + "Beyond its peak the probability of a wrong label stays constant, as with the published code's table.",
    exclude_from_benchmark={"in training": "reads all losses of the data set at once"},
)
def bmm(loss: Float[Tensor, " sample"], *, max_iter: int = 10, outliers: float = 0.05) -> Float[Tensor, " sample"]:
    """Prefer samples that probably belong to the component of small loss, in a mixture of two Beta distributions.

    The weight is the posterior probability of the component of small loss, for losses scaled to 0-1.

    Args:
        loss: of all samples, in any unit; ``(sample,)``.
        max_iter: steps of expectation-maximization, with parameters matched to the moments.
        outliers: share of the losses at either end that is left out of the fit; such a loss counts as the smallest or
            largest of the rest.

    Raises:
        InputError: a loss is not finite, or a parameter is out of range.
    """
    steps = check_int("max_iter", max_iter, 1)
    x = check_finite("loss", loss).detach().double()
    check_range("outliers", outliers, 0, 0.5, strict=(False, True))
    low, high = quantile(x, outliers), quantile(x, 1 - outliers)
    if bool(high <= low):
        return torch.ones_like(loss)
    inside = (x >= low) & (x <= high)
    if int(inside.sum()) < 2:
        # Among a few losses all may be at the ends.
        inside = torch.ones_like(inside)
    x = ((x - low) / (high - low)).clamp(1e-4, 1 - 1e-4)
    a, b, share = x.new_tensor([1, 2]), x.new_tensor([2, 1]), x.new_tensor([0.5, 0.5])
    for _ in range(steps):
        responsibility = (share * _beta_density(x[inside], a, b)).clamp(min=1e-12)
        responsibility = responsibility / responsibility.sum(1, keepdim=True)
        a, b = _beta_moments(x[inside], responsibility)
        share = responsibility.mean(0)
    # Constant beyond its peak: the tail of a Beta distribution must not make the largest losses count as clean.
    grid = torch.linspace(1e-4, 1 - 1e-4, 100, dtype=x.dtype, device=x.device)
    peak = grid[_wrong_probability(grid, a, b, share).argmax()]
    return (1 - _wrong_probability(x.clamp(max=float(peak)), a, b, share)).to(loss.dtype)


def _split_in_two(x: Tensor) -> Tensor:
    """Split the sorted values in two by the least squared distance to the two means; one indicator column per part."""
    order = x.argsort(stable=True)
    below = x[order].cumsum(0)[:-1]
    count = torch.arange(1, len(x), device=x.device)
    explained = below**2 / count + (x.sum() - below) ** 2 / (len(x) - count)
    parts = torch.zeros(len(x), 2, dtype=x.dtype, device=x.device)
    first = torch.arange(len(x), device=x.device) <= explained.argmax()
    parts[order, 0], parts[order, 1] = first.to(x.dtype), (~first).to(x.dtype)
    return parts


def _fit_gaussians(x: Tensor, responsibility: Tensor, reg: float) -> tuple[Tensor, Tensor, Tensor]:
    size = responsibility.sum(0) + 10 * torch.finfo(x.dtype).eps
    mean = responsibility.T @ x / size
    variance = (responsibility * (x[:, None] - mean) ** 2).sum(0) / size + reg
    return size / size.sum(), mean, variance


def _log_gaussian(x: Tensor, share: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return share.log() - 0.5 * ((x[:, None] - mean) ** 2 / variance + variance.log() + log(2 * pi))


def _responsibilities(joint: Tensor) -> tuple[Tensor, float]:
    """Return the posterior probabilities of the components, and the mean log-likelihood."""
    total = joint.logsumexp(1, keepdim=True)
    return (joint - total).exp(), float(total.mean())


def _beta_density(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    scale = torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b)
    return torch.exp((a - 1) * x.log()[:, None] + (b - 1) * torch.log1p(-x)[:, None] + scale)


def _beta_moments(x: Tensor, responsibility: Tensor) -> tuple[Tensor, Tensor]:
    mean = responsibility.T @ x / responsibility.sum(0)
    variance = (responsibility * (x[:, None] - mean) ** 2).sum(0) / responsibility.sum(0)
    a = (mean * (mean * (1 - mean) / variance.clamp(min=1e-12) - 1)).clamp(min=1e-6)
    return a, a * (1 - mean) / mean


def _wrong_probability(x: Tensor, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Return the posterior probability of the component of large loss."""
    joint = share * _beta_density(x, a, b)
    return joint[:, 1] / (joint.sum(1) + 1e-12)


_SCALE = "loss, nats, and its distance from a running percentile of the batch"
_RUNNING = "lam = decay lam + (1 - decay) percentile(l), from 0"
_DROPOUT = "Published with example dropout as well (a share of the batch gets the weight 0), which is left out here. "
_PERCENTILE = (
    "The percentile is the nearest loss of the batch, as in the reference code; its running mean starts at 0, "
    "so that few samples count in the first steps."
)


def _init_threshold(shape: StateShape) -> State:
    return {"threshold": torch.zeros((), device=shape.device)}


@scheme(
    "spcl-linear",
    formula=f"clip(1 - (l - lam)/gamma, 0, 1); {_RUNNING}",
    priority="easy",
    scale=_SCALE,
    source="Jiang et al. 2015, Self-paced curriculum learning, AAAI; as in MentorNet, Jiang et al. 2018, ICML",
    compares_samples=True,
    init=_init_threshold,
    note=_PERCENTILE,
)
def spcl_linear(
    state: State, loss: Float[Tensor, " sample"], *, gamma: float = 1.0, percentile: float = 0.7, decay: float = 0.5
) -> Float[Tensor, " sample"]:
    """Prefer samples with a loss up to a running percentile, and less and less those above it.

    The weight is 1 up to the running percentile of the loss and falls to 0 at ``gamma`` above it.

    Args:
        state: "threshold".
        gamma: width of the fall, nats.
        percentile: share of the batch below the threshold, 0-1.
        decay: share of the running percentile that stays in a step.
    """
    return _linear_fall(_loss_excess(state, loss, percentile, decay), gamma)


@scheme(
    "mentornet-pd",
    formula=f"1 to 18 % of the epochs; 1[l <= lam] to 90 %; then clip(1 - (l - lam)/gamma, 0, 1); {_RUNNING}",
    priority="varied",
    scale=_SCALE,
    source=_JIANG,
    compares_samples=True,
    init=_init_threshold,
    note=_DROPOUT + _PERCENTILE,
)
def mentornet_pd(
    state: State,
    loss: Float[Tensor, " sample"],
    epoch: float,
    epochs: float,
    *,
    gamma: float = 1.0,
    percentile: float = 0.7,
    decay: float = 0.5,
) -> Float[Tensor, " sample"]:
    """Keep all samples at first, then those below a running percentile of the loss, and finally a few above it too.

    All samples have the weight 1 up to 18 % of the training; those below the running percentile up to 90 %; then the
    weights are those of :func:`spcl_linear`.

    Args:
        state: "threshold".
        gamma: width of the fall, nats.
        percentile: share of the batch below the threshold, 0-1.
        decay: share of the running percentile that stays in a step.
    """
    check_range("gamma", gamma, 0, strict=(True, False))
    excess = _loss_excess(state, loss, percentile, decay)
    percent = _percent_done(epoch, epochs)
    if percent <= 18:
        return torch.ones_like(excess)
    return (excess <= 0).to(excess.dtype) if percent < 90 else _linear_fall(excess, gamma)


class Mentor(nn.Module):
    """A network that judges a sample by its loss: a one-step LSTM, embeddings of label and epoch, two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 1, bidirectional=True)
        self.label = nn.Embedding(2, 2)
        self.epoch = nn.Embedding(100, 5)
        self.epoch.weight.requires_grad_(False)
        self.hidden = nn.Linear(9, 20)
        self.out = nn.Linear(20, 1)

    def forward(self, loss: Tensor, excess: Tensor, percent: Tensor) -> Tensor:
        """Return the log-odds that the label is right; ``(sample,)``.

        Args:
            loss: nats; ``(sample,)``.
            excess: distance of the loss from the percentile; ``(sample,)``.
            percent: percentage of the training that is done, 0-99; ``(sample,)``.
        """
        cells = self.lstm(torch.stack([loss, excess], 1)[None])[1][1]
        # The network has an embedding of the label, but the published mentor always reads label 0.
        label = self.label(torch.zeros_like(percent))
        features = torch.cat([label, self.epoch(percent), cells.transpose(0, 1).flatten(1)], 1)
        return torch.as_tensor(self.out(torch.tanh(self.hidden(features)))).squeeze(1)


def train_mentor(
    loss: Float[Tensor, " sample"],
    clean: Bool[Tensor, " sample"],
    percent: Float[Tensor, " sample"],
    *,
    percentile: float = 0.7,
    steps: int = 30_000,
    batch: int = 32,
    seed: int = 0,
) -> Mentor:
    """Train a mentor for :func:`mentornet_dd` on a training run whose wrong labels are known.

    Published settings: Adam with learning rate 0.1, times 0.9 every 1,000 steps, gradients clipped at norm 5.

    Args:
        loss: losses of samples at some time of the run, nats; ``(sample,)``.
        clean: whether their labels are right; ``(sample,)``.
        percent: percentage of the run that was done at that time, 0-100; ``(sample,)``.
        percentile: the same as for :func:`mentornet_dd`.
        steps: number of training steps.
        batch: number of samples per step.
        seed: seed of the initial weights and of the batches.

    Raises:
        InputError: all labels are right, or all are wrong.
    """
    loss = check_losses(loss).detach().float()
    if bool(clean.all()) or not bool(clean.any()):
        raise InputError("clean must hold both right and wrong labels: a mentor learns to tell them apart")
    excess = loss - nearest_percentile(loss, percentile)
    percents, target = percent.clamp(0, 99).long(), clean.to(loss.dtype)
    rng = np.random.default_rng(seed)
    mentor = _new_mentor(rng).to(loss.device)
    optimizer = torch.optim.Adam([p for p in mentor.parameters() if p.requires_grad], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1000, 0.9)
    for _ in range(check_int("steps", steps, 1)):
        index = torch.from_numpy(rng.integers(len(loss), size=check_int("batch", batch, 1))).to(loss.device)
        log_odds = mentor(loss[index], excess[index], percents[index])
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.binary_cross_entropy_with_logits(log_odds, target[index]))
        nn.utils.clip_grad_norm_(mentor.parameters(), 5)
        optimizer.step()
        schedule.step()
    return mentor.requires_grad_(False)


def _new_mentor(rng: np.random.Generator) -> Mentor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        return Mentor()


@scheme(
    "mentornet-dd",
    formula=f"sigmoid(out(tanh(hidden(LSTM(l, l - lam), label 0, percent of the epochs)))); {_RUNNING}",
    priority="learned",
    scale=_SCALE,
    source=_JIANG,
    compares_samples=True,
    clean_data="for the mentor: losses of a run in which the wrong labels are known",
    init=_init_threshold,
    note=_DROPOUT
    + "The reference code reads the LSTM's cell states, and label 0 throughout, as here; it can freeze the epoch after a "
    "burn-in, this scheme does not. " + _PERCENTILE,
    example={"mentor": _new_mentor(np.random.default_rng(0))},
)
def mentornet_dd(
    state: State,
    loss: Float[Tensor, " sample"],
    epoch: float,
    epochs: float,
    *,
    mentor: Mentor,
    percentile: float = 0.7,
    decay: float = 0.5,
) -> Float[Tensor, " sample"]:
    """Prefer samples whose label a trained mentor believes, given their loss and the progress of the training.

    The weight is the mentor's probability that the label is right. Make the mentor with :func:`train_mentor`.

    Args:
        state: "threshold".
        mentor: the trained network.
        percentile: share of the batch below the threshold, 0-1.
        decay: share of the running percentile that stays in a step.
    """
    excess = _loss_excess(state, loss, percentile, decay)
    percent = torch.full(loss.shape, _percent_done(epoch, epochs), dtype=torch.int64, device=loss.device)
    dtype = mentor.out.weight.dtype
    return torch.sigmoid(mentor(loss.to(dtype), excess.to(dtype), percent)).to(loss.dtype)


def _loss_excess(state: State, loss: Tensor, percentile: float, decay: float) -> Tensor:
    check_range("decay", decay, 0, 1)
    threshold = state["threshold"]
    current = nearest_percentile(check_losses(loss).detach(), percentile).to(threshold.dtype)
    threshold.mul_(decay).add_((1 - decay) * current)
    return check_losses(loss) - threshold.to(loss.dtype)


def _linear_fall(excess: Tensor, gamma: float) -> Tensor:
    return (1 - excess / check_range("gamma", gamma, 0, strict=(True, False))).clamp(0, 1)


def _percent_done(epoch: float, epochs: float) -> int:
    share = check_range("epoch", epoch, 0) / check_range("epochs", epochs, 0, strict=(True, False))
    return min(int(100 * share + 1e-9), 99)


def threshold_samples(labels: Int[Tensor, " sample"], classes: int, *, seed: int = 0) -> Int[Tensor, " threshold"]:
    """Draw the rows of N / (K + 1) threshold samples. Give them the label K, one class more, and train with K + 1 classes.

    Their margins, averaged over training, are those of samples that are certainly mislabelled: the ``threshold`` of
    :func:`aum_filter`. A second run with another draw judges the samples of the first.

    Args:
        labels: of all samples; ``(sample,)``.
        classes: number of classes K.
        seed: seed of the draw.

    Returns:
        Sorted rows; ``(threshold,)``.

    Raises:
        InputError: there are too few samples to draw one.
    """
    count = len(labels) // (check_int("classes", classes, 2) + 1)
    if count < 1:
        raise InputError(f"labels must be those of {classes + 1} samples or more. Got {len(labels)}")
    rows = np.random.default_rng(seed).permutation(len(labels))[:count]
    return torch.from_numpy(np.sort(rows)).to(labels.device)


@scheme(
    "aum-filter",
    formula="1[AUM > percentile 99 of the threshold samples' AUM]; AUM: mean over epochs of z_y - max other z",
    priority="easy",
    scale="area under the margin, logits",
    source="Pleiss et al. 2020, Identifying mislabeled data using the area under the margin ranking, NeurIPS",
    compares_samples=False,
    reduction="weighted mean",
    note="Published with N/(K + 1) threshold samples of an extra class, and two runs, so that each sample is "
    "judged once (threshold_samples draws them); the rule was checked against a second account of the paper.",
    example={"threshold": torch.linspace(0, 0.5, 20)},
)
def aum_filter(
    aum: Float[Tensor, " sample"], *, threshold: Float[Tensor, " threshold"], percentile: float = 99.0
) -> Float[Tensor, " sample"]:
    """Keep samples whose margin in training is larger than that of deliberately wrong labels.

    The weight is 1 above the percentile of the threshold samples' margins, and 0 up to it.

    Args:
        threshold: mean margins of the threshold samples (:func:`threshold_samples`); ``(threshold,)``.
        percentile: 0-100.

    Raises:
        InputError: a margin is not finite, or there is no threshold sample.
    """
    if not len(threshold):
        raise InputError("threshold must hold the margin of one sample or more: see threshold_samples")
    check_range("percentile", percentile, 0, 100)
    bound = quantile(check_finite("threshold", threshold).double(), percentile / 100)
    return (check_finite("aum", aum).double() > bound).to(aum.dtype)


@scheme(
    "noise-matrix",
    formula="0 if pruned by the noise rate, otherwise 1/max(P(given k | true k), 1e-3)",
    priority="easy",
    scale="probabilities by models that were not trained on the sample",
    source="Northcutt et al. 2021, Confident learning: estimating uncertainty in dataset labels, JAIR",
    compares_samples=True,
    per="class",
    note="As in cleanlab: counts of the confident joint, calibrated to the class sizes, give the number of "
    "samples that are pruned. Of several confident classes the most likely counts, as in the paper; cleanlab "
    "takes the most likely of all classes. The logits must be held-out ones.",
    exclude_from_benchmark={"in training": "reads held-out probabilities"},
)
def noise_matrix(logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Keep samples whose label is probably right, with larger weights in classes that lost many samples.

    The weight is 0 if the label is probably wrong, and otherwise 1 / P(label k is given | it is the true one), for
    its class k.

    Args:
        logits: of models that were not trained on the sample; ``(sample, class)``.
    """
    p = check_finite("logits", logits).detach().double().softmax(1)
    labels = check_class_codes(labels, p.shape[1])
    sizes = torch.bincount(labels, minlength=p.shape[1])
    counts = _confident_counts(p, labels, sizes)
    right = counts.diagonal() / counts.sum(0).clamp(min=1)
    kept = ~_is_pruned(p, labels, counts)
    return (kept / right.clamp(min=1e-3)[labels]).to(logits.dtype)


def _confident_counts(p: Tensor, labels: Tensor, sizes: Tensor) -> Tensor:
    """Count the samples by given and true class; ``(class, class)`` integers whose rows add up to the class sizes."""
    self_p = p.gather(1, labels[:, None]).squeeze(1)
    mean = torch.zeros_like(p[0]).index_add(0, labels, self_p) / sizes
    confident = p >= mean.nan_to_num(nan=torch.inf) - 1e-6
    is_confident = confident.any(1)
    true = torch.where(confident, p, -1).argmax(1)
    classes = p.shape[1]
    counts = (
        torch.bincount(labels[is_confident] * classes + true[is_confident], minlength=classes**2)
        .reshape(classes, classes)
        .double()
    )
    counts.diagonal().clamp_(min=1)
    return _round_rows(counts * (sizes / counts.sum(1))[:, None], sizes)


def _round_rows(counts: Tensor, sizes: Tensor) -> Tensor:
    """Round to integers with the same row sums: the largest remainders are rounded up."""
    low = (counts + 1e-9).floor()
    missing = sizes - low.sum(1)
    rank = (counts - low).argsort(dim=1, descending=True, stable=True).argsort(1)
    return low + (rank < missing[:, None])


def _is_pruned(p: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return which samples to prune: per class k as many as belong to class j by the counts, where j exceeds k by most.

    Samples whose own class is the most likely are never pruned, nor is a whole class.
    """
    pruned = torch.zeros(len(p), dtype=torch.bool, device=p.device)
    for k in range(p.shape[1]):
        rows = (labels == k).nonzero()[:, 0]
        margin = p[rows] - p[rows, k, None]
        rank = margin.argsort(dim=0, descending=True, stable=True).argsort(0)
        quota = counts[k].clone()
        quota[k] = 0
        flagged = (rank < quota).any(1) & (margin > 0).any(1)
        if len(rows) and bool(flagged.all()):
            flagged[p[rows, k].argmax()] = False
        pruned[rows] = flagged
    return pruned
