"""Hard examples are mined: samples of large loss are kept, the others dropped or trained on less often."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_losses
from hardsight.weights.scheme import Scheme, State, StateShape

_SHRIVASTAVA = "Shrivastava et al. 2016, Training region-based object detectors with online hard example mining, CVPR"
_MENTORNET = "Jiang et al. 2018, MentorNet: learning data-driven curriculum for very deep neural networks, ICML"
_SELECTIVE = "Jiang et al. 2019, Accelerating deep learning by focusing on the biggest losers, arXiv 1910.00762"
_LOSHCHILOV = "Loshchilov & Hutter 2016, Online batch selection for faster training of neural networks, ICLR workshop"
_LIU = "Liu et al. 2021, Just train twice: improving group robustness without training group information, ICML"


def top(scores: Float[Tensor, " sample"], k: int) -> Float[Tensor, " sample"]:
    """1 for the k largest, 0 for the others; of equal ones the first in the batch. All where there are no more than k."""
    chosen = scores.argsort(descending=True, stable=True)[:k]
    return torch.zeros_like(scores).scatter(0, chosen, 1)


def ohem(loss: Float[Tensor, " sample"], *, k: int) -> Float[Tensor, " sample"]:
    """Only the k samples of largest loss; of equal ones the first in the batch."""
    return top(check_losses(loss).detach(), int(check_range("k", k, 1)))


def percentile_start(room: StateShape) -> State:
    """A running percentile of the loss, from 0."""
    return {"percentile": torch.zeros((), dtype=torch.float64, device=room.device)}


def hard_mining(
    state: State,
    loss: Float[Tensor, " sample"],
    labels: Int[Tensor, " sample"] | None = None,
    *,
    percentile: float = 0.7,
    decay: float = 0.5,
    background: int | None = None,
) -> Float[Tensor, " sample"]:
    """Samples at or above a running percentile of the loss.

    Args:
        state: the running percentile.
        loss: of each sample.
        labels: class codes.
        percentile: of the batch's losses that is followed, as a share.
        decay: of the running percentile.
        background: every sample of another class is kept; None: no class is kept whole.
    """
    if background is not None and labels is None:
        raise InputError("background needs the labels: pass labels=…")
    loss = check_losses(loss).detach()
    now = loss.double().quantile(check_range("percentile", percentile, 0, 1), interpolation="nearest")
    state["percentile"].mul_(check_range("decay", decay, 0, 1)).add_((1 - decay) * now)
    kept = loss >= state["percentile"]
    return (kept if background is None else kept | (labels != background)).to(loss.dtype)


def history_start(room: StateShape, *, memory: int) -> State:
    """No losses seen yet."""
    check_range("memory", memory, 1)
    return {
        "losses": torch.zeros(memory, dtype=torch.float64, device=room.device),
        "seen": torch.zeros((), dtype=torch.int64, device=room.device),
    }


def selective_backprop(
    state: State,
    loss: Float[Tensor, " sample"],
    generator: torch.Generator,
    *,
    beta: float,
    memory: int = 1024,
    least: float = 0.0,
) -> Float[Tensor, " sample"]:
    """Trains on each sample with a chance that grows with the rank of its loss among the last ones.

    Args:
        state: the last losses.
        loss: of each sample.
        generator: of the draws.
        beta: power of the rank; 1 / (beta + 1) of the samples are trained on.
        memory: how many last losses, the batch's own included.
        least: smallest chance.
    """
    loss = check_losses(loss).detach()
    check_range("beta", beta, 0)
    check_range("least", least, 0, 1)
    last = torch.cat([state["losses"], loss.double()])[-memory:]
    state["losses"].copy_(last)
    state["seen"].add_(len(loss)).clamp_(max=memory)
    chances = rank_chances(loss.double(), last[memory - int(state["seen"]) :], beta).clamp(min=least)
    drawn = torch.rand(len(loss), generator=generator, device=generator.device, dtype=torch.float64)
    return (drawn.to(loss.device) < chances).to(loss.dtype)


def rank_chances(loss: Float[Tensor, " sample"], last: Float[Tensor, " loss"], beta: float) -> Float[Tensor, " sample"]:
    """Chances of selective backprop: the share of the last losses that are no larger, to the power beta."""
    return (torch.searchsorted(last.sort().values, loss, right=True).to(loss) / len(last)) ** beta


def steps_start(room: StateShape) -> State:
    """No steps yet."""
    return {"steps": torch.zeros((), dtype=torch.int64, device=room.device)}


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
    """Trains on a fixed share of each batch, drawn by the rank of the loss, in a middle part of training.

    Args:
        state: steps done.
        loss: of each sample.
        epoch: epochs done.
        epochs: in all.
        generator: of the draws.
        keep: share of the batch that is trained on, at least one sample.
        start: share of training before which all are.
        end: share of training from which on all are.
        interrupt: every so manyth batch is whole; 0: none.
    """
    loss = check_losses(loss).detach()
    check_range("keep", keep, 0, 1, strict=(True, False))
    check_range("epochs", epochs, 0, strict=(True, True))
    state["steps"].add_(1)
    chosen = start <= epoch / epochs < end and (interrupt == 0 or int(state["steps"]) % interrupt != 0)
    if not chosen or keep == 1:
        return torch.ones_like(loss)
    count = len(loss)
    middles = (torch.arange(count, dtype=torch.float64, device=generator.device) + 0.5) / count
    drawn = torch.multinomial(middles ** (1 / keep - 1), max(1, int(keep * count)), generator=generator)
    return torch.zeros_like(loss).scatter(0, loss.argsort(stable=True)[drawn.to(loss.device)], 1)


def online_batch_selection(
    loss: Float[Tensor, " sample"], epoch: float, epochs: float, *, start: float = 100.0, end: float = 1.0
) -> Float[Tensor, " sample"]:
    """Chances that fall exponentially with the rank of the last known loss.

    Args:
        loss: the last known one of every sample.
        epoch: epochs done.
        epochs: in all.
        start: how many times more often the sample of largest loss is drawn than that of smallest, at first.
        end: the same at last.
    """
    loss = check_losses(loss)
    for name, value in (("start", start), ("end", end)):
        check_range(name, value, 1)
    check_range("epochs", epochs, 0, strict=(True, True))
    pressure = math.log(start) + math.log(end / start) * check_range("epoch", epoch, 0, epochs) / epochs
    order = loss.argsort(descending=True, stable=True)
    ranks = torch.empty_like(loss).scatter(0, order, torch.arange(1, len(loss) + 1).to(loss))
    return (-pressure * ranks / len(loss)).exp()


def jtt(first: Float[Tensor, " sample"], *, lam: float) -> Float[Tensor, " sample"]:
    """Samples that a first model got wrong weigh more.

    Args:
        first: 1 where the first model is wrong, 0 where it is right.
        lam: weight of those that it got wrong.
    """
    if bool(((first != 0) & (first != 1)).any()):
        raise InputError("first must be 0 where the first model is right and 1 where it is wrong: give its 0/1 errors")
    return 1 + (check_range("lam", lam, 0, strict=(True, True)) - 1) * first


_NATS = "loss"

ROWS = (
    Scheme(
        "ohem",
        "only the samples of largest loss in the batch",
        "1[l among the k largest]",
        ohem,
        "hard",
        _NATS,
        _SHRIVASTAVA,
        reduction="weighted mean",
        note="Ties: the first in the batch.",
    ),
    Scheme(
        "hard-mining",
        "samples above a running percentile of the loss",
        "1[l >= a], or any label but background; a <- decay a + (1-decay) percentile(l)",
        hard_mining,
        "hard",
        "loss, compared with a running percentile of it",
        _MENTORNET,
        init=percentile_start,
        note="The rule v* for hard examples of MentorNet's code, which is binary: background=0 keeps every positive,"
        " as there. The percentile is the nearest loss of the batch, and its running mean starts at 0.",
    ),
    Scheme(
        "selective-backprop",
        "samples are trained on the more often, the higher their loss ranks",
        "1 with chance F(l)^beta, else 0; F: share of the last memory losses that are no larger",
        selective_backprop,
        "hard",
        "loss, by its rank among the last ones",
        _SELECTIVE,
        reduction="weighted mean",
        init=history_start,
        note="The authors' code counts only losses that are smaller: its smallest is never trained on, and none "
        "where all are equal. Biased to hard samples: nothing corrects for the chances.",
    ),
    Scheme(
        "selective-backprop-composer",
        "a fixed share of each batch, drawn by the rank of the loss",
        "1 for int(keep n) drawn without replacement by ((i - 0.5)/n)^(1/keep - 1), i: ascending rank of l; else 0",
        selective_backprop_composer,
        "varied",
        "loss, by its rank in the batch",
        _SELECTIVE + "; as in MosaicML Composer",
        reduction="weighted mean",
        init=steps_start,
        note="Whole batches before start, from end on and every interrupt-th; Composer counts batches within the "
        "epoch, this over training. It draws none of a batch of one; this keeps it.",
    ),
    Scheme(
        "online-batch-selection",
        "samples of large loss are drawn more often, less and less over training",
        "P ∝ exp(-log(s)/N)^i; i: rank of l from 1, the largest; s = start (end/start)^(t/T)",
        online_batch_selection,
        "varied",
        "loss, by its rank in the data set",
        _LOSHCHILOV,
        kind="sampling",
        note="Checked against a second public implementation. Ties: the first in the data set. The paper does not "
        "correct for the chances; correction(chances) does.",
    ),
    Scheme(
        "jtt",
        "samples that a first model, trained briefly, gets wrong",
        "lam if the first model is wrong, else 1",
        jtt,
        "hard",
        "0/1 error of a first model",
        _LIU,
        note="The first model is trained for a few epochs and judged on what it was trained on; held-out errors do "
        "as well. lam is tuned on group labels: 100 Waterbirds, 50 CelebA, 4 MultiNLI, 6 CivilComments. The "
        "paper repeats samples instead.",
    ),
)
