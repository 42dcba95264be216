"""Small-loss selection: the samples of smallest loss are kept, more of them dropped as training goes on."""

from math import floor
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from hardsight.validation import check_int, check_range
from hardsight.weights.inputs import check_class_codes, check_finite, check_losses
from hardsight.weights.scheme import Scheme

_HAN = "Han et al. 2018, Co-teaching: robust training of deep neural networks with extremely noisy labels, NeurIPS"
_WEI = "Wei et al. 2020, Combating noisy labels by agreement: a joint training method with co-regularization, CVPR"
_SHARE = (
    "R = 1 - f; f = rate^exponent t/(gradual - 1) while t < gradual, then rate; "
    "at least one is kept; of equal losses, those that come first"
)
_JOINT = "(1 - a)(CE1 + CE2) + a (KL(p1, p2) + KL(p2, p1))"


class _Schedule(NamedTuple):
    rate: float
    gradual: int
    exponent: float

    def dropped(self, epoch: float) -> float:
        rate, steps = check_range("rate", self.rate, 0, 1, strict=(False, True)), check_int("gradual", self.gradual, 1)
        exponent = check_range("exponent", self.exponent, 0, strict=(True, False))
        done = floor(check_range("epoch", epoch, 0))
        return rate**exponent * done / max(steps - 1, 1) if done < steps else rate


def co_teaching(
    peer: Float[Tensor, " sample"], epoch: float, *, rate: float, gradual: int = 10, exponent: float = 1.0
) -> Float[Tensor, " sample"]:
    """1 for the samples that the *other* model finds easiest, 0 for the rest.

    Args:
        peer: loss by the other model, nats.
        epoch: epochs done.
        rate: share that is dropped in the end: the share of wrong labels, which must be known.
        gradual: epochs over which dropping grows.
        exponent: of the rate while it grows.
    """
    return _smallest(check_losses(peer), _Schedule(rate, gradual, exponent).dropped(epoch))


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
    """1 for the samples of smallest joint loss of two models, which also counts their disagreement; 0 for the rest."""
    joint = _joint(logits, peer_logits, labels, co_lambda)
    return _smallest(joint, _Schedule(rate, gradual, exponent).dropped(epoch))


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
    """The joint loss of the samples that :func:`jocor` keeps, scaled so that its mean is the mean over these."""
    joint = _joint(logits, peer_logits, labels, co_lambda)
    kept = _smallest(joint, _Schedule(rate, gradual, exponent).dropped(epoch))
    return joint * kept * (len(kept) / kept.sum())


def _smallest(loss: Tensor, dropped: float) -> Tensor:
    # Products such as (1 - 0.9) * 10 come out a little below the whole number that is meant.
    kept = max(floor((1 - dropped) * len(loss) + 1e-9), 1)
    weights = torch.zeros_like(loss)
    weights[loss.detach().argsort(stable=True)[:kept]] = 1
    return weights


def _joint(logits: Tensor, peer_logits: Tensor, labels: Tensor, co_lambda: float) -> Tensor:
    a = check_range("co_lambda", co_lambda, 0, 1)
    first, second = (
        log_softmax(check_finite("logits", logits), 1),
        log_softmax(check_finite("peer_logits", peer_logits), 1),
    )
    disagreement = ((first.exp() - second.exp()) * (first - second)).sum(1)
    labels = check_class_codes(labels, logits.shape[1])
    told = cross_entropy(logits, labels, reduction="none") + cross_entropy(peer_logits, labels, reduction="none")
    return (1 - a) * told + a * disagreement


ROWS = (
    Scheme(
        "co-teaching",
        "only samples that a second model finds easy, fewer and fewer of them",
        f"1[l of the peer among the floor(R n) smallest]; {_SHARE}",
        co_teaching,
        "varied",
        "loss by the peer, nats; rank in the batch",
        _HAN,
        reduction="weighted mean",
        note="rate is the share of wrong labels. The published code divides twice: by n, and by how many are kept. With an "
        "exponent other than 1 its schedule, which is this one, jumps at gradual.",
    ),
    Scheme(
        "jocor",
        "only samples on which two models agree with the label and each other, fewer and fewer of them",
        f"1[{_JOINT} among the floor(R n) smallest]; {_SHARE}",
        jocor,
        "varied",
        "joint loss, nats; rank in the batch",
        _WEI,
        reduction="weighted mean",
        note="Published with the joint loss as what is trained on: that is jocor-loss. co_lambda .1 is the code's default.",
    ),
    Scheme(
        "jocor-loss",
        "the joint loss of two models, of the samples on which they agree with the label and each other",
        f"{_JOINT}, of the floor(R n) smallest; {_SHARE}",
        jocor_loss,
        "varied",
        "joint loss, nats; rank in the batch",
        _WEI,
        kind="loss",
        through=True,
        normalization="its mean is the mean over the kept samples",
        note="Trains both models if both sets of logits carry gradients. co_lambda .1 is the code's default.",
    ),
)
