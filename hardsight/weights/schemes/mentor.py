"""MentorNet: weights by a loss's distance from a running percentile, by rule or by a small network trained to judge it."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.validation import check_int, check_range
from hardsight.weights.inputs import check_losses
from hardsight.weights.scheme import Scheme, State, StateShape

_JIANG = "Jiang et al. 2018, MentorNet: learning data-driven curriculum for very deep neural networks, ICML"
_SPCL = "Jiang et al. 2015, Self-paced curriculum learning, AAAI; as in MentorNet, Jiang et al. 2018, ICML"
_SCALE = "loss, nats, and its distance from a running percentile of the batch"
_RUNNING = "lam = decay lam + (1 - decay) percentile(l), from 0"
_DROPPED = "Published with example dropout besides (a share of the batch gets weight 0), which is left out here. "
_PERCENTILE = (
    "The percentile is the nearest loss of the batch, as in the reference code; its running mean starts at 0, "
    "so that few samples count in the first steps."
)


def spcl_linear(
    state: State, loss: Float[Tensor, " sample"], *, gamma: float = 1.0, percentile: float = 0.7, decay: float = 0.5
) -> Float[Tensor, " sample"]:
    """1 up to the running percentile of the loss, falling to 0 at ``gamma`` above it.

    Args:
        state: "threshold".
        loss: nats.
        gamma: width of the fall, nats.
        percentile: share of the batch below the threshold, 0-1.
        decay: share of the running percentile that stays in a step.
    """
    return _linear(_excess(state, loss, percentile, decay), gamma)


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
    """All samples up to 18 % of the training, those below the running percentile up to 90 %, then :func:`spcl_linear`."""
    excess = _excess(state, loss, percentile, decay)
    done = _percent(epoch, epochs)
    if done <= 18:
        return torch.ones_like(excess)
    return (excess <= 0).to(excess.dtype) if done < 90 else _linear(excess, gamma)


class Mentor(nn.Module):
    """The network that judges a sample by its loss: an LSTM of one step, embeddings of label and epoch, two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.told = nn.LSTM(2, 1, bidirectional=True)
        self.label = nn.Embedding(2, 2)
        self.epoch = nn.Embedding(100, 5)
        self.epoch.weight.requires_grad_(False)
        self.hidden = nn.Linear(9, 20)
        self.out = nn.Linear(20, 1)

    def forward(self, loss: Tensor, excess: Tensor, percent: Tensor) -> Tensor:
        """Log-odds that the label is right; ``(sample,)``.

        Args:
            loss: nats; ``(sample,)``.
            excess: its distance from the percentile; ``(sample,)``.
            percent: how much of the training is done, 0-99; ``(sample,)``.
        """
        cells = self.told(torch.stack([loss, excess], 1)[None])[1][1]
        # The label's embedding has a place in the network, but the published mentor always reads label 0.
        label = self.label(torch.zeros_like(percent))
        known = torch.cat([label, self.epoch(percent), cells.transpose(0, 1).flatten(1)], 1)
        return torch.as_tensor(self.out(torch.tanh(self.hidden(known)))).squeeze(1)


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
    """A mentor for :func:`mentornet_dd`, from a training run on data of which the wrong labels are known.

    Published settings: Adam from a rate of 0.1, times 0.9 every 1,000 steps, gradients cut at norm 5.

    Args:
        loss: of samples at some time of the run, nats.
        clean: whether their labels are right.
        percent: how much of the run was done then, 0-100.
        percentile: the same as :func:`mentornet_dd` is given.
        steps: of training.
        batch: samples a step.
        seed: of the first weights and the batches.

    Raises:
        InputError: all labels are right, or all wrong.
    """
    loss = check_losses(loss).detach().float()
    if bool(clean.all()) or not bool(clean.any()):
        raise InputError("clean must hold both right and wrong labels: a mentor learns to tell them apart")
    excess = loss - _nearest(loss, percentile)
    done, target = percent.clamp(0, 99).long(), clean.to(loss.dtype)
    rng = np.random.default_rng(seed)
    mentor = _fresh(rng).to(loss.device)
    optimizer = torch.optim.Adam([p for p in mentor.parameters() if p.requires_grad], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1000, 0.9)
    for _ in range(check_int("steps", steps, 1)):
        at = torch.from_numpy(rng.integers(len(loss), size=check_int("batch", batch, 1))).to(loss.device)
        judged = mentor(loss[at], excess[at], done[at])
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.binary_cross_entropy_with_logits(judged, target[at]))
        nn.utils.clip_grad_norm_(mentor.parameters(), 5)
        optimizer.step()
        schedule.step()
    return mentor.requires_grad_(False)


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
    """The mentor's belief that the label is right. Make the mentor with :func:`train_mentor`."""
    excess = _excess(state, loss, percentile, decay)
    done = torch.full(loss.shape, _percent(epoch, epochs), dtype=torch.int64, device=loss.device)
    kind = mentor.out.weight.dtype
    return torch.sigmoid(mentor(loss.to(kind), excess.to(kind), done)).to(loss.dtype)


def _fresh(rng: np.random.Generator) -> Mentor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        return Mentor()


def _excess(state: State, loss: Tensor, percentile: float, decay: float) -> Tensor:
    check_range("decay", decay, 0, 1)
    threshold = state["threshold"]
    here = _nearest(check_losses(loss).detach(), percentile).to(threshold.dtype)
    threshold.mul_(decay).add_((1 - decay) * here)
    return check_losses(loss) - threshold.to(loss.dtype)


def _nearest(loss: Tensor, percentile: float) -> Tensor:
    at = round(check_range("percentile", percentile, 0, 1) * (len(loss) - 1))
    return loss.sort().values[at]


def _linear(excess: Tensor, gamma: float) -> Tensor:
    return (1 - excess / check_range("gamma", gamma, 0, strict=(True, False))).clamp(0, 1)


def _percent(epoch: float, epochs: float) -> int:
    share = check_range("epoch", epoch, 0) / check_range("epochs", epochs, 0, strict=(True, False))
    return min(int(100 * share + 1e-9), 99)


def _start(room: StateShape) -> State:
    return {"threshold": torch.zeros((), device=room.device)}


ROWS = (
    Scheme(
        "spcl-linear",
        "samples of a loss up to a running percentile, less and less above it",
        f"clip(1 - (l - lam)/gamma, 0, 1); {_RUNNING}",
        spcl_linear,
        "easy",
        _SCALE,
        _SPCL,
        init=_start,
        note=_PERCENTILE,
    ),
    Scheme(
        "mentornet-pd",
        "all samples at first, then those below a running percentile of the loss, in the end a few above it too",
        f"1 to 18 % of the epochs; 1[l <= lam] to 90 %; then clip(1 - (l - lam)/gamma, 0, 1); {_RUNNING}",
        mentornet_pd,
        "varied",
        _SCALE,
        _JIANG,
        init=_start,
        note=_DROPPED + _PERCENTILE,
    ),
    Scheme(
        "mentornet-dd",
        "samples whose label a trained mentor believes, from the loss and how far the training has come",
        f"sigmoid(out(tanh(hidden(LSTM(l, l - lam), label 0, percent of the epochs)))); {_RUNNING}",
        mentornet_dd,
        "learned",
        _SCALE,
        _JIANG,
        clean_data="for the mentor: losses of a run in which the wrong labels are known",
        init=_start,
        note=_DROPPED
        + "The reference code feeds the LSTM's cell states, and label 0 throughout, as here; it can freeze the "
        "epoch after a burn-in, this does not. " + _PERCENTILE,
    ),
)
