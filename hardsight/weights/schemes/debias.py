"""A second network that learns the easy way shows which samples the first one should learn from."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.validation import check_range
from hardsight.weights.inputs import check_codes, check_losses
from hardsight.weights.scheme import Scheme, State, StateShape

_NAM = "Nam et al. 2020, Learning from failure: training debiased classifier from biased classifier, NeurIPS"


def lff_start(room: StateShape) -> State:
    """Running losses of no sample yet, and classes of none."""
    return {
        "debiased": torch.zeros(room.samples, device=room.device),
        "biased": torch.zeros(room.samples, device=room.device),
        "labels": torch.full((room.samples,), -1, dtype=torch.int64, device=room.device),
    }


def lff(
    state: State,
    loss: Float[Tensor, " sample"],
    peer: Float[Tensor, " sample"],
    labels: Int[Tensor, " sample"],
    rows: Int[Tensor, " sample"],
    *,
    decay: float = 0.7,
) -> Float[Tensor, " sample"]:
    """How much more the biased network fails on a sample than the debiased one.

    Args:
        state: running losses of both networks, and labels.
        loss: of the debiased network, which the weights are for.
        peer: of the biased network, trained by generalised cross-entropy.
        labels: class codes.
        rows: of the samples in the state.
        decay: of the running losses.
    """
    check_range("decay", decay, 0, 1, strict=(False, True))
    at = check_codes("rows", rows, len(state["labels"])).long()
    old = state["labels"][at] >= 0
    for name, now in (("debiased", loss), ("biased", peer)):
        before = state[name][at]
        fresh = check_losses(now).detach().to(before)
        state[name][at] = torch.where(old, decay * before + (1 - decay) * fresh, fresh)
    state["labels"][at] = labels.long()
    debiased, biased = (_by_class(state, name, at) for name in ("debiased", "biased"))
    return (biased / (biased + debiased + 1e-8)).to(loss.dtype)


def _by_class(state: State, name: str, at: Tensor) -> Tensor:
    """Running losses over the largest of the class; 0 where that is 0."""
    labels, values = state["labels"], state[name]
    seen = labels >= 0
    largest = values.new_zeros(int(labels.max()) + 1)
    largest.scatter_reduce_(0, labels[seen], values[seen], "amax")
    scale = largest[labels[at]]
    return values[at] / torch.where(scale > 0, scale, 1)


ROWS = (
    Scheme(
        "lff",
        "samples that a network which learns the easy way fails on",
        "b / (b + d + 1e-8); b, d: running losses of the biased and the debiased network over the largest of the class",
        lff,
        "hard",
        "loss of two networks, relative to the class",
        _NAM,
        normalization="between 0 and 1",
        init=lff_start,
        note="Train the second network by the scheme or loss gce with q = 0.7. The largest running loss of a class "
        "is that of the samples seen so far.",
    ),
)
