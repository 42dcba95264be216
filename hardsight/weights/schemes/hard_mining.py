"""Hard example mining: samples that are hard, learnable, uncertain or often wrong are kept or drawn more often.

In a loop with an ``hs.WeightedSampler``, dynamic instance hardness is ``dihcl(state, loss, rows, learning_rate)``
after each forward pass, and ``sampler.update(dihcl_chances(state))`` between epochs.
"""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_choice, check_range
from hardsight.weights.inputs import check_codes, check_finite, check_losses, check_probabilities
from hardsight.weights.scheme import State, StateShape, scheme
from hardsight.weights.selection import draw_without_replacement, nearest_percentile, select_top

_SELECTIVE = "Jiang et al. 2019, Accelerating deep learning by focusing on the biggest losers, arXiv 1910.00762"


@scheme(
    "ohem",
    formula="1[l among the k largest]",
    priority="hard",
    scale="loss",
    source="Shrivastava et al. 2016, Training region-based object detectors with online hard example mining, CVPR",
    compares_samples=True,
    reduction="weighted mean",
    note="Of tied losses the first in the batch is kept.",
    example={"k": 4},
)
def ohem(loss: Float[Tensor, " sample"], *, k: int) -> Float[Tensor, " sample"]:
    """Keep only the samples with the largest losses in the batch.

    The weight is 1 for the ``k`` largest losses; of tied ones, for the first in the batch.

    Args:
        k: number of samples that are kept.
    """
    return select_top(check_losses(loss).detach(), int(check_range("k", k, 1)))


def init_percentile(shape: StateShape) -> State:
    """Return a running percentile of the loss, which starts at 0."""
    return {"percentile": torch.zeros((), dtype=torch.float64, device=shape.device)}


@scheme(
    "hard-mining",
    formula="1[l >= a], or any label but background; a <- decay a + (1-decay) percentile(l)",
    priority="hard",
    scale="loss, compared with a running percentile of it",
    source="Jiang et al. 2018, MentorNet: learning data-driven curriculum for very deep neural networks, ICML",
    compares_samples=True,
    init=init_percentile,
    note="The rule v* for hard examples of MentorNet's code, which is binary: background=0 keeps every positive, "
    "as there. The percentile is the nearest loss of the batch, and its running mean starts at 0.",
)
def hard_mining(
    state: State,
    loss: Float[Tensor, " sample"],
    labels: Int[Tensor, " sample"] | None = None,
    *,
    percentile: float = 0.7,
    decay: float = 0.5,
    background: int | None = None,
) -> Float[Tensor, " sample"]:
    """Keep samples whose loss is at or above a running percentile.

    Args:
        state: the running percentile.
        labels: class codes, read only if there is a ``background``; ``(sample,)``.
        percentile: percentile of the batch's losses that is followed, 0-1.
        decay: share of the running percentile that stays in a step.
        background: every sample of another class is kept; None: no class is kept entirely.

    Raises:
        InputError: a loss is not finite or is below zero, a parameter is out of range, or there is a ``background``
            without labels.
    """
    if background is not None and labels is None:
        raise InputError("background needs the labels: pass labels=…")
    loss = check_losses(loss).detach()
    current = nearest_percentile(loss, percentile).double()
    state["percentile"].mul_(check_range("decay", decay, 0, 1)).add_((1 - decay) * current)
    kept = loss >= state["percentile"]
    return (kept if background is None else kept | (labels != background)).to(loss.dtype)


def init_history(shape: StateShape, *, memory: int) -> State:
    """Return an empty history of losses."""
    check_range("memory", memory, 1)
    return {
        "losses": torch.zeros(memory, dtype=torch.float64, device=shape.device),
        "seen": torch.zeros((), dtype=torch.int64, device=shape.device),
    }


@scheme(
    "selective-backprop",
    formula="1 with probability F(l)^beta, else 0; F: share of the last memory losses that are no larger",
    priority="hard",
    scale="loss, by its rank among the last losses",
    source=_SELECTIVE,
    compares_samples=True,
    reduction="weighted mean",
    init=init_history,
    note="The authors' code counts only smaller losses: the smallest is never trained on, and no sample is if "
    "all are equal. Biased to hard samples: nothing corrects for the probabilities.",
    example={"beta": 1.0},
)
def selective_backprop(
    state: State,
    loss: Float[Tensor, " sample"],
    generator: torch.Generator,
    *,
    beta: float,
    memory: int = 1024,
    least: float = 0.0,
) -> Float[Tensor, " sample"]:
    """Train more often on samples whose loss ranks high.

    The weight is 1 with a probability that grows with the rank of the loss among the last losses, and 0 otherwise.

    Args:
        state: the last losses.
        beta: exponent of the rank; 1 / (beta + 1) of the samples are trained on.
        memory: number of last losses, those of the batch included.
        least: smallest probability.
    """
    loss = check_losses(loss).detach()
    check_range("beta", beta, 0)
    check_range("least", least, 0, 1)
    last = torch.cat([state["losses"], loss.double()])[-memory:]
    state["losses"].copy_(last)
    state["seen"].add_(len(loss)).clamp_(max=memory)
    probabilities = rank_probabilities(loss.double(), last[memory - int(state["seen"]) :], beta).clamp(min=least)
    draws = torch.rand(len(loss), generator=generator, device=generator.device, dtype=torch.float64)
    return (draws.to(loss.device) < probabilities).to(loss.dtype)


def rank_probabilities(
    loss: Float[Tensor, " sample"], last: Float[Tensor, " loss"], beta: float
) -> Float[Tensor, " sample"]:
    """Return the probabilities of selective backprop: the share of the last losses that are no larger, to the power beta."""
    return (torch.searchsorted(last.sort().values, loss, right=True).to(loss) / len(last)) ** beta


def init_steps(shape: StateShape) -> State:
    """Return a counter of steps."""
    return {"steps": torch.zeros((), dtype=torch.int64, device=shape.device)}


@scheme(
    "selective-backprop-composer",
    formula="1 for int(keep n) drawn without replacement by ((i - 0.5)/n)^(1/keep - 1), i: ascending rank of l; else 0",
    priority="varied",
    scale="loss, by its rank in the batch",
    source="Jiang et al. 2019, Accelerating deep learning by focusing on the biggest losers, arXiv 1910.00762; as "
    "in MosaicML Composer",
    compares_samples=True,
    reduction="weighted mean",
    init=init_steps,
    note="Whole batches before start, from end on and every interrupt-th; Composer counts batches within the "
    "epoch, this scheme over the training. Composer draws nothing from a batch of one; this scheme keeps it.",
)
def selective_backprop_composer(
    state: State,
    loss: Float[Tensor, " sample"],
    epoch: float,
    epochs: float,
    generator: torch.Generator,
    *,
    keep: float = 0.5,
    start: float = 0.5,
    end: float = 0.9,
    interrupt: int = 2,
) -> Float[Tensor, " sample"]:
    """Train on a fixed share of each batch, drawn by the rank of the loss.

    Only in a middle part of the training; before and after it, and on every ``interrupt``-th batch, all samples have
    the weight 1.

    Args:
        state: number of steps done.
        keep: share of the batch that is trained on, at least one sample.
        start: share of the training before which all are trained on.
        end: share of the training from which on all are trained on.
        interrupt: every ``interrupt``-th batch is whole; 0: none is.
    """
    loss = check_losses(loss).detach()
    check_range("keep", keep, 0, 1, strict=(True, False))
    check_range("start", start, 0)
    check_range("end", end, 0)
    check_range("epochs", epochs, 0, strict=(True, True))
    state["steps"].add_(1)
    selects = start <= epoch / epochs < end and (interrupt == 0 or int(state["steps"]) % interrupt != 0)
    if not selects or keep == 1:
        return torch.ones_like(loss)
    count = len(loss)
    quantiles = (torch.arange(count, dtype=torch.float64, device=generator.device) + 0.5) / count
    drawn = draw_without_replacement(quantiles ** (1 / keep - 1), max(1, int(keep * count)), generator)
    return torch.empty_like(loss).scatter(0, loss.argsort(stable=True), drawn.to(loss))


@scheme(
    "online-batch-selection",
    formula="P ∝ exp(-log(s)/N)^i; i: rank of l from 1, the largest; s = start (end/start)^(t/T)",
    priority="varied",
    scale="loss, by its rank in the data set",
    source="Loshchilov & Hutter 2016, Online batch selection for faster training of neural networks, ICLR workshop",
    kind="sampling",
    note="Checked against a second public implementation. Of tied losses the first in the data set ranks higher. "
    "The paper does not correct for the probabilities; correction(chances) does.",
)
def online_batch_selection(
    loss: Float[Tensor, " sample"], epoch: float, epochs: float, *, start: float = 100.0, end: float = 1.0
) -> Float[Tensor, " sample"]:
    """Draw samples with a large loss more often, less so over the training.

    The sampling probability falls exponentially with the rank of the last known loss.

    Args:
        loss: last known loss of every sample; ``(sample,)``.
        start: ratio of the sampling probabilities of the largest and the smallest loss, at first.
        end: the same ratio at the end.
    """
    loss = check_losses(loss)
    for name, value in (("start", start), ("end", end)):
        check_range(name, value, 1)
    check_range("epochs", epochs, 0, strict=(True, True))
    pressure = math.log(start) + math.log(end / start) * check_range("epoch", epoch, 0, epochs) / epochs
    order = loss.argsort(descending=True, stable=True)
    ranks = torch.empty_like(loss).scatter(0, order, torch.arange(1, len(loss) + 1).to(loss))
    return (-pressure * ranks / len(loss)).exp()


@scheme(
    "jtt",
    formula="lam if the first model is wrong, else 1",
    priority="hard",
    scale="0/1 error of a first model",
    source="Liu et al. 2021, Just train twice: improving group robustness without training group information, ICML",
    compares_samples=False,
    note="The first model is trained for a few epochs and judged on its training data; held-out errors serve as well. lam "
    "is tuned on group labels: 100 Waterbirds, 50 CelebA, 4 MultiNLI, 6 CivilComments. The paper repeats samples instead.",
    example={"lam": 5.0},
)
def jtt(first: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """Prefer samples that a briefly trained first model gets wrong.

    Args:
        first: 1 where the first model is wrong, 0 where it is right; ``(sample,)``.
        lam: weight of the samples that it gets wrong; the others have the weight 1.

    Raises:
        InputError: ``first`` holds other values, or ``lam`` is not above 0.
    """
    if bool(((first != 0) & (first != 1)).any()):
        raise InputError("first must be 0 where the first model is right and 1 where it is wrong: give its 0/1 errors")
    return 1 + (check_range("lam", lam, 0, strict=(True, True)) - 1) * first


@scheme(
    "rho-loss",
    formula="1[l - l_held_out among the keep n largest]",
    priority="hard",
    scale="loss in training minus held-out loss, nats",
    source="Mindermann et al. 2022, Prioritized training on points that are learnable, worth learning, and not yet "
    "learnt, ICML",
    compares_samples=True,
    reduction="weighted mean",
    clean_data="held-out data for training a second model; here d.error of the same data serves",
    note="Published with 32 of a batch of 320. The held-out loss stays fixed during training.",
    exclude_from_benchmark={"held out": "the loss and the held-out loss are the same here"},
)
def rho_loss(
    loss: Float[Tensor, " sample"], held_out: Float[Tensor, " sample"], *, keep: float = 0.1
) -> Float[Tensor, " sample"]:
    """Keep samples that are not learned yet but can be learned, neither noisy nor already learned.

    The weight is 1 for the share of the batch whose loss exceeds the held-out loss most; of tied samples, for the
    first in the batch.

    Args:
        keep: share that is trained on, at least one sample.
    """
    check_range("keep", keep, 0, 1, strict=(True, False))
    reducible = check_losses(loss).detach() - check_finite("held_out", held_out).to(loss.dtype)
    return select_top(reducible, max(1, round(keep * len(loss))))


_CHANG = "Chang et al. 2017, Active bias: training more accurate networks by emphasizing high variance samples, NeurIPS"
_HISTORY = "probability of the given label, 0 to 1, over past epochs"


def init_predictions(shape: StateShape) -> State:
    """Return an empty record of past predictions: their number, mean and sum of squared deviations, per sample."""
    return {name: torch.zeros(shape.samples, device=shape.device) for name in ("count", "mean", "squares")}


@scheme(
    "active-bias",
    formula="(sqrt(v + v²/(m-1)) + eps) / mean; v: variance over the m past epochs",
    priority="medium",
    scale=_HISTORY,
    source=_CHANG,
    compares_samples=True,
    normalization="mean 1",
    init=init_predictions,
    note="eps and the warm-up of 15 epochs are those of the implementation by Song; the variance divides by m.",
)
def active_bias(
    state: State, p: Float[Tensor, " sample"], rows: Int[Tensor, " sample"], *, eps: float = 0.2, warm_up: int = 15
) -> Float[Tensor, " sample"]:
    """Prefer samples whose prediction changes from epoch to epoch.

    The weight is the standard deviation of the past probabilities of the given label, with its own uncertainty added.

    Args:
        state: past predictions; the present one is added after the weights are computed.
        eps: added to each deviation, so that no sample is left out.
        warm_up: samples with fewer past predictions than this, or than two, have the weight 1.
    """
    check_range("eps", eps, 0)
    count, _, squares = _past_predictions(state, rows)
    variance = squares / count.clamp(min=1)
    deviation = (variance + variance**2 / (count - 1).clamp(min=1)).sqrt()
    weights = _normalize_known(deviation + eps, count >= max(2, check_range("warm_up", warm_up, 0)))
    _add_prediction(state, p, rows)
    return weights.to(p.dtype)


@scheme(
    "threshold-closeness",
    formula="(a (1-a) + eps) / mean; a: mean over past epochs",
    priority="medium",
    scale=_HISTORY,
    source=_CHANG,
    compares_samples=True,
    normalization="mean 1",
    init=init_predictions,
    note="The quantity was checked against the code of dataset cartography (Swayamdipta et al. 2020), which has "
    "both measures of active bias. eps is the mean of the quantity, there over the data set, here over the "
    "batch; the warm-up is that of active-bias.",
)
def threshold_closeness(
    state: State, p: Float[Tensor, " sample"], rows: Int[Tensor, " sample"], *, eps: float | None = None, warm_up: int = 15
) -> Float[Tensor, " sample"]:
    """Prefer samples whose mean prediction is near one half.

    The weight is a (1 - a), with a the mean of the past probabilities of the given label.

    Args:
        state: past predictions; the present one is added after the weights are computed.
        eps: added to each weight; None: the mean of the weights before, over the batch.
        warm_up: samples with fewer past predictions than this, or none, have the weight 1.
    """
    count, mean, _ = _past_predictions(state, rows)
    known = count >= max(1, check_range("warm_up", warm_up, 0))
    closeness = mean * (1 - mean)
    raised = closeness + (
        closeness[known].mean() if eps is None and bool(known.any()) else check_range("eps", eps or 0.0, 0)
    )
    weights = _normalize_known(raised, known)
    _add_prediction(state, p, rows)
    return weights.to(p.dtype)


def _past_predictions(state: State, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    check_codes("rows", rows, len(state["count"]))
    return state["count"][rows], state["mean"][rows], state["squares"][rows]


def _add_prediction(state: State, p: Tensor, rows: Tensor) -> None:
    """Add the present prediction, by Welford's update of mean and squared deviations."""
    count, mean, squares = _past_predictions(state, rows)
    current = check_probabilities(p).detach().to(mean)
    updated = mean + (current - mean) / (count + 1)
    state["count"][rows] = count + 1
    state["mean"][rows] = updated
    state["squares"][rows] = squares + (current - mean) * (current - updated)


def _normalize_known(values: Tensor, known: Bool[Tensor, " sample"]) -> Tensor:
    """Return the known values divided by their mean; 1 for the others, and for all if that mean is 0."""
    total = values[known].mean() if bool(known.any()) else values.new_zeros(())
    return torch.where(known & (total > 0), values / torch.where(total > 0, total, 1), 1.0)


Hardness = Literal["loss", "change"]
Chances = Literal["proportional", "exponential"]
_ZHOU = "Zhou, Wang & Bilmes 2020, Curriculum learning by dynamic instance hardness, NeurIPS"
_DIHCL = (
    '"proportional" is DIHCL-Rand of the paper; "exponential" is DIHCL-Exp as in the authors\' code, because the paper\'s '
    "exp(sqrt(2 log N / N) r) overflows. Published with 5 epochs on all samples first, and then a number drawn without "
    "replacement that shrinks from N to .2 N by .85 per episode."
)


def init_dihcl(shape: StateShape) -> State:
    """Return a hardness of one and no observations.

    "clock" is the sum of the learning rates of all steps, "since" the same sum at the last observation.
    """
    zeros = torch.zeros(shape.samples, dtype=torch.float64, device=shape.device)
    return {
        "hardness": torch.ones_like(zeros),
        "last": zeros,
        "since": zeros.clone(),
        "seen": zeros.bool(),
        "clock": torch.zeros((), dtype=torch.float64, device=shape.device),
    }


@scheme(
    "dihcl",
    formula="r, or softmax(tau r / mean r); r <- discount a + (1 - discount) r, a = l/rate or |change of l| / sum of rates",
    priority="hard",
    scale="running mean of the loss, nats, per learning rate",
    source=_ZHOU,
    kind="sampling",
    init=init_dihcl,
    note=_DIHCL,
)
def dihcl(
    state: State,
    loss: Float[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    learning_rate: float,
    *,
    hardness: Hardness = "loss",
    chances: Chances = "proportional",
    tau: float = 1.0,
    discount: float = 0.95,
) -> Float[Tensor, " sample"]:
    """Draw samples more often whose loss so far was high, or changed much.

    Returns the sampling probabilities of the samples, after those trained on have updated their hardness r <- discount a +
    (1 - discount) r. Here a = l / learning rate, or the absolute change of l since the last observation divided by the sum
    of the learning rates since then. Probabilities are proportional to r, or to the softmax of tau r / mean r; for the
    softmax, a is divided by the sample's former probability. :func:`dihcl_chances` returns those of all samples.

    Args:
        state: from :func:`init_dihcl`.
        loss: of the samples trained on, before the step; ``(sample,)``.
        hardness: "loss", or "change", for which the first observation leaves the hardness as it is.
        chances: "proportional" or "exponential".
        tau: sharpness of the exponential; published falling from 20 to 1, by .8 per episode.
        discount: weight of the last observation.

    Raises:
        InputError: an unknown choice, a number out of range, or a loss that is not finite or is below zero.
    """
    check_choice("hardness", hardness, get_args(Hardness))
    _update_hardness(state, check_losses(loss), rows, learning_rate, hardness == "change", chances, tau, discount)
    return dihcl_chances(state, chances=chances, tau=tau)[rows].to(loss.dtype)


@scheme(
    "dihcl-flips",
    formula="as dihcl, with a = |change of 1[correct]| / sum of rates",
    priority="hard",
    scale="running mean of 0/1, per learning rate",
    source=_ZHOU,
    kind="sampling",
    init=init_dihcl,
    note=_DIHCL,
)
def dihcl_flips(
    state: State,
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    learning_rate: float,
    *,
    chances: Chances = "proportional",
    tau: float = 1.0,
    discount: float = 0.95,
) -> Float[Tensor, " sample"]:
    """Draw samples more often whose prediction flips between right and wrong.

    As :func:`dihcl`, with the change of correctness in place of the loss.

    Args:
        state: from :func:`init_dihcl`.
        logits: of the samples trained on, before the step; ``(sample, class)``.
        chances: "proportional" or "exponential".
        tau: sharpness of the exponential; published falling from 20 to 1, by .8 per episode.
        discount: weight of the last observation.
    """
    correct = (check_finite("logits", logits).argmax(1) == labels).to(logits.dtype)
    _update_hardness(state, correct, rows, learning_rate, True, chances, tau, discount)
    return dihcl_chances(state, chances=chances, tau=tau)[rows].to(logits.dtype)


def dihcl_chances(state: State, *, chances: Chances = "proportional", tau: float = 1.0) -> Float[Tensor, " row"]:
    """Return the sampling probabilities of all samples, by row; those of "exponential" sum to one."""
    check_range("tau", tau, 0)
    r = state["hardness"]
    if check_choice("chances", chances, get_args(Chances)) == "proportional":
        return r.clone()
    return torch.softmax(tau * r / r.mean(), 0)


def _update_hardness(
    state: State,
    value: Tensor,
    rows: Tensor,
    learning_rate: float,
    change: bool,
    chances: Chances,
    tau: float,
    discount: float,
) -> None:
    check_range("discount", discount, 0, 1)
    check_range("learning_rate", learning_rate, 0, strict=(True, False))
    value = value.detach().to(state["hardness"])
    observed = value / learning_rate
    if change:
        observed = (value - state["last"][rows]).abs() / (state["clock"] + learning_rate - state["since"][rows])
    if chances == "exponential":
        observed = observed / (dihcl_chances(state, chances=chances, tau=tau)[rows] + 1e-8)
    old = state["hardness"][rows]
    new = discount * observed + (1 - discount) * old
    state["hardness"][rows] = torch.where(state["seen"][rows] | (not change), new, old)
    state["last"][rows] = value
    state["since"][rows] = state["clock"].expand(len(rows))
    state["seen"][rows] = True
    state["clock"] += learning_rate
