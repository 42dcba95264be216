"""Groups of samples that do worse weigh more, by weights that follow their losses step by step."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_codes, check_losses
from hardsight.weights.scheme import Scheme, State, StateShape

_SAGAWA = "Sagawa et al. 2020, Distributionally robust neural networks for group shifts, ICLR"
_XIE = "Xie et al. 2023, DoReMi: optimizing data mixtures speeds up language model pretraining, NeurIPS"


def group_dro_start(room: StateShape) -> State:
    """All groups alike."""
    count = _groups(room)
    return {"log_q": torch.zeros(count, dtype=torch.float64, device=room.device).log_softmax(0)}


def group_dro(
    state: State,
    loss: Float[Tensor, " sample"],
    groups: Int[Tensor, " sample"],
    *,
    eta: float = 0.01,
    adjustment: float = 0.0,
    group_sizes: Sequence[int] | None = None,
) -> Float[Tensor, " sample"]:
    """Each group's probability, grown by its mean loss, over its samples in the batch.

    Args:
        state: logarithms of the groups' probabilities.
        loss: of each sample.
        groups: code of each sample's group.
        eta: step size.
        adjustment: C, which adds C/sqrt(n_g) to the losses of small groups.
        group_sizes: n_g, samples of each group in the data set; only needed for an adjustment.

    Raises:
        InputError: an adjustment without sizes.
    """
    check_range("eta", eta, 0)
    log_q = state["log_q"]
    mean, counts = _means(check_losses(loss), groups, len(log_q))
    raised = mean + check_range("adjustment", adjustment, 0) * _inverse_roots(group_sizes, adjustment, log_q)
    log_q.copy_((log_q + eta * raised).log_softmax(0))
    return (log_q.exp() / counts.clamp(min=1))[groups].to(loss.dtype)


def doremi_start(room: StateShape) -> State:
    """All domains alike, none seen yet."""
    count = _groups(room)
    uniform = torch.full((count,), 1 / count, dtype=torch.float64, device=room.device)
    return {
        "domains": uniform,
        "excess": torch.zeros_like(uniform),
        "total": torch.zeros_like(uniform),
        "steps": torch.zeros((), dtype=torch.int64, device=room.device),
    }


def doremi(
    state: State,
    loss: Float[Tensor, " sample"],
    first: Float[Tensor, " sample"],
    groups: Int[Tensor, " sample"],
    *,
    eta: float = 1.0,
    eps: float = 1e-4,
) -> Float[Tensor, " sample"]:
    """Each domain's weight, grown by how much its samples' losses exceed those of a reference model.

    Args:
        state: weights of the domains.
        loss: of each sample.
        first: loss by the reference model.
        groups: code of each sample's domain.
        eta: step size.
        eps: share of uniform weights that is mixed in.
    """
    check_range("eta", eta, 0)
    check_range("eps", eps, 0, 1, strict=(True, False))
    excess = (check_losses(loss) - check_losses(first)).clamp(min=0)
    mean, counts = _means(excess, groups, len(state["domains"]))
    # A domain that is not in the batch keeps its last excess.
    state["excess"].copy_(torch.where(counts > 0, mean, state["excess"]))
    grown = (state["domains"].log() + eta * state["excess"]).softmax(0)
    state["domains"].copy_((1 - eps) * grown + eps / len(grown))
    state["total"].add_(state["domains"])
    state["steps"].add_(1)
    return state["domains"][groups].to(loss.dtype)


def doremi_mixture(state: State) -> Float[Tensor, " domain"]:
    """What DoReMi finds: the weights of the domains, averaged over the steps."""
    return state["total"] / state["steps"] if int(state["steps"]) else state["domains"].clone()


def _groups(room: StateShape) -> int:
    if room.groups < 1:
        raise InputError("groups must be given: how many groups or domains there are. Got 0")
    return room.groups


def _means(values: Tensor, groups: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean of each group, 0 where it has no sample, and how many samples it has."""
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


ROWS = (
    Scheme(
        "group-dro",
        "groups of large loss",
        "q_g / n_g in the batch; q_g ∝ q_g exp(eta (l_g + C/sqrt(N_g))), l_g: mean loss of the group, 0 if absent",
        group_dro,
        "hard",
        "loss, mean of the group",
        _SAGAWA,
        reduction="sum",
        normalization="sum of the groups' q that are in the batch",
        per="group",
        init=group_dro_start,
        note="C is 0 to 5 in the paper, with strong weight decay. The reference code adds the adjustment to the loss"
        " that is trained on as well, by accident; this does not.",
    ),
    Scheme(
        "doremi",
        "domains whose loss a reference model shows to be reducible",
        "a_g; a_g ∝ a_g exp(eta mean max(l - l_ref, 0)), then (1-eps) a + eps/D",
        doremi,
        "hard",
        "loss less that of a reference model, mean of the domain",
        _XIE,
        reduction="weighted mean",
        normalization="sum 1 over domains",
        per="group",
        init=doremi_start,
        note="eps is the code's; the paper's is 1e-3. The result is doremi_mixture(state), the average over steps, "
        "by which the domains are then sampled. Means are over samples here, over tokens in the code.",
    ),
)
