"""Large classes are undersampled by how hard their samples are."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.validation import check_range
from hardsight.weights.inputs import check_codes, check_losses, check_probabilities
from hardsight.weights.scheme import Scheme

_LIU = "Liu et al. 2020, Self-paced ensemble for highly imbalanced massive data classification, ICDE"
_SMITH = "Smith, Martinez & Giraud-Carrier 2014, An instance level analysis of data complexity, Machine Learning"


def self_paced_quotas(
    hardness: Float[Tensor, " sample"], target: int, alpha: float, bins: int
) -> tuple[Int[Tensor, " sample"], Int[Tensor, " bin"]]:
    """Each sample's bin of hardness, and how many are to be drawn from each bin.

    Args:
        hardness: of the samples of one class, not all equal.
        target: how many to draw in all, before rounding each bin's down and adding one.
        alpha: 0 draws by one over the mean hardness of the bin, infinity alike from all.
        bins: of equal width from the least to the largest hardness.
    """
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=hardness.device)
    low, high = hardness.double().min(), hardness.double().max()
    at = torch.bucketize(hardness.double(), low + (high - low) * edges[1:-1], right=True)
    counts = torch.bincount(at, minlength=bins)
    means = torch.zeros(bins, dtype=torch.float64, device=at.device).index_add(0, at, hardness.double()) / counts.clamp(
        min=1
    )
    wanted = (counts > 0) & (means + alpha > 0)
    shares = torch.where(wanted, 1 / torch.where(wanted, means + alpha, 1), 0)
    return at, (target * shares / shares.sum()).long() + 1


def self_paced_ensemble(
    p: Float[Tensor, " sample"], labels: Int[Tensor, " sample"], epoch: float, epochs: float, *, bins: int = 5
) -> Float[Tensor, " sample"]:
    """Chances that make the classes equally large, from each class's easy samples first, in the end from all alike.

    Args:
        p: probability of the given label by the ensemble so far.
        labels: class codes.
        epoch: members of the ensemble so far.
        epochs: members in all.
        bins: of hardness, for each class.
    """
    check_range("bins", bins, 1)
    check_range("epochs", epochs, 1, strict=(True, False))
    alpha = math.tan(math.pi / 2 * min(check_range("epoch", epoch, 0) / (epochs - 1), 1.0))
    hardness = 1 - check_probabilities(p).detach()
    counts, target = _counts(labels)
    chances = torch.ones_like(hardness)
    for code in (counts > target).nonzero().flatten().tolist():
        mine = labels == code
        chances[mine] = _chances(hardness[mine], target, alpha, bins)
    return chances


def _counts(labels: Tensor) -> tuple[Tensor, int]:
    """Samples of each class, and of the smallest class that has any."""
    counts = torch.bincount(check_codes("labels", labels, int(labels.max()) + 1))
    return counts, int(counts[counts > 0].min())


def _chances(hardness: Tensor, target: int, alpha: float, bins: int) -> Tensor:
    if hardness.min() == hardness.max():
        return torch.full_like(hardness, target / len(hardness))
    at, quotas = self_paced_quotas(hardness, target, alpha, bins)
    each = quotas[at].double() / torch.bincount(at)[at]
    return (target * each / each.sum()).to(hardness.dtype)


def instance_hardness_threshold(
    held_out: Float[Tensor, " sample"], labels: Int[Tensor, " sample"]
) -> Float[Tensor, " sample"]:
    """Of each class as many samples as the smallest has, those of largest out-of-sample probability of their label.

    Samples at the threshold are all kept, so that ties leave a class a little larger.
    """
    likely = (-check_losses(held_out)).exp()
    counts, target = _counts(labels)
    kept = torch.zeros_like(likely)
    for code in counts.nonzero().flatten().tolist():
        mine = labels == code
        kept[mine] = (likely[mine] >= _quantile(likely[mine], 1 - target / int(counts[code]))).to(kept.dtype)
    return kept


def _quantile(values: Tensor, share: float) -> Tensor:
    """Of linear interpolation; torch's own takes 2^24 values at most."""
    ordered = values.sort().values
    at = share * (len(values) - 1)
    below = int(at)
    above = min(below + 1, len(values) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


ROWS = (
    Scheme(
        "self-paced-ensemble",
        "large classes are undersampled: at first mostly easy samples, at last all bins of hardness alike",
        (
            "P = quota_b / n_b in bins of 1 - p; quota_b = int(n_min w_b / sum w) + 1, w_b = 1/(mean hardness_b + "
            "tan(pi/2 i/(n-1)))"
        ),
        self_paced_ensemble,
        "varied",
        "probability of the given label by the ensemble so far, 0 to 1",
        _LIU,
        kind="sampling",
        normalization="the chances of each class add up to the size of the smallest",
        note="i and n are epoch and epochs: member of the ensemble, and members in all. Samples of the smallest "
        "class have chance 1. The soft form of the authors' code; a bin without any hardness gets the quota 1 "
        "while alpha is 0, as there.",
    ),
    Scheme(
        "instance-hardness-threshold",
        "large classes are undersampled to their easiest samples",
        "1[q >= percentile(q of the class, 100 (1 - n_min/n_c))], q = exp(-held-out loss)",
        instance_hardness_threshold,
        "easy",
        "out-of-sample probability of the given label",
        _SMITH,
        reduction="weighted mean",
        note="As imbalanced-learn has it, there with a forest of 100 trees and 5 folds. For the whole data set, not "
        "a batch.",
    ),
)
