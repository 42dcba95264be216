"""Importance sampling and undersampling: probabilities to be drawn, and the weights that correct for them."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_codes, check_finite, check_losses, check_probabilities
from hardsight.weights.scheme import scheme
from hardsight.weights.schemes.focal import output_gradient
from hardsight.weights.selection import quantile


def correction(
    chances: Float[Tensor, " sample"], *, power: float = 1.0, largest_one: bool = False
) -> Float[Tensor, " sample"]:
    """Return the weights of samples drawn with replacement: w = (1/(N P))^power, P the chances divided by their sum.

    With power 1 the mean of w l over draws is, in expectation, the mean loss of all N samples. A smaller power keeps
    some of the
    emphasis: it is beta of prioritized replay.

    Args:
        chances: sampling probabilities of all N samples, which need not sum to one; ``(sample,)``.
        power: 0 corrects nothing, 1 everything.
        largest_one: divide by the largest weight, so that no step is longer than without weights (prioritized replay).

    Raises:
        InputError: a probability is not finite or not above 0.
    """
    check_range("power", power, 0)
    if bool((check_finite("chances", chances) <= 0).any()):
        index = int((chances <= 0).nonzero()[0])
        raise InputError(
            f"chances must be above 0, because a sample that is never drawn cannot be corrected for. Got "
            f"{float(chances[index]):g} for sample {index}"
        )
    log = -power * (chances.log() - chances.sum().log() + math.log(len(chances)))
    return (log - log.max() if largest_one else log).exp()


def biased_correction(
    drawn: Float[Tensor, " draw"], scores: Float[Tensor, " draw"], *, power: float
) -> Float[Tensor, " draw"]:
    """Return a softened correction of a drawn batch that keeps its total w·s: w^power (w·s)/(w^power·s).

    The biased form of the reference code of Katharopoulos & Fleuret; power 1 returns the weights unchanged.

    Args:
        drawn: :func:`correction` of the samples of the batch; ``(draw,)``.
        scores: their unnormalized sampling probabilities; ``(draw,)``.
        power: exponent of the weights.
    """
    softened: Tensor = drawn ** check_range("power", power, 0)
    return softened * (drawn @ scores) / (softened @ scores)


@scheme(
    "importance-sampling",
    formula="P ∝ norm2(softmax(z) - y); correction w = 1/(N P)",
    priority="hard",
    scale="norm of the gradient by the logits, 0 to √2",
    source="Katharopoulos & Fleuret 2018, Not all samples are created equal: deep learning with importance sampling, ICML",
    kind="sampling",
    note="correction(chances) makes it unbiased; biased_correction is the reference trainer's softer form (power 0.5). "
    "Published for batches of b drawn from B = 3b candidates, once tau exceeds (B + 3b)/(3b). Probabilities are at least "
    "the precision of floats, so that a perfectly learned sample can still be corrected for.",
)
def importance_sampling(logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " sample"]:
    """Draw samples with a large gradient more often; they weigh less in return.

    The sampling probability is proportional to the norm of the gradient by the logits, which bounds that by all parameters.
    """
    norms: Tensor = torch.linalg.vector_norm(output_gradient(logits, labels), dim=1)
    return norms.clamp(min=torch.finfo(norms.dtype).eps)


@scheme(
    "per",
    formula="P ∝ (l + eps)^alpha; correction w = (1/(N P))^beta / max w",
    priority="hard",
    scale="loss, or any difficulty of 0 or more",
    source="Schaul et al. 2016, Prioritized experience replay, ICLR",
    kind="sampling",
    note="Proportional form; made for the size of the temporal-difference error. Correct it by "
    "correction(chances, power=beta, largest_one=True) with beta from 0.4 to 1 over the training. The paper "
    "leaves eps open; 1e-8 is TorchRL's. Checked against TorchRL's documentation.",
)
def per(loss: Float[Tensor, " sample"], *, alpha: float = 0.6, eps: float = 1e-8) -> Float[Tensor, " sample"]:
    """Draw samples with a large loss more often.

    The sampling probability is proportional to a power of the loss.

    Args:
        alpha: exponent.
        eps: added to the loss.
    """
    return (check_losses(loss) + check_range("eps", eps, 0, strict=(True, True))) ** check_range("alpha", alpha, 0)


@scheme(
    "infobatch",
    formula="l < mean(l): 1/(1-r) with probability 1-r, else 0; other samples 1; all 1 once t > delta T",
    priority="hard",
    scale="loss, compared with its mean",
    source="Qin et al. 2024, InfoBatch: lossless training speed up by unbiased dynamic data pruning, ICLR",
    compares_samples=True,
    normalization="mean 1 in expectation",
    note="Give the last known losses of all samples once per epoch; in the reference code they start at 3, and "
    "none is dropped while all are equal. That code keeps exactly int((1-r) m) of m samples, which is biased "
    "low for small m; independent draws are not.",
)
def infobatch(
    loss: Float[Tensor, " sample"],
    epoch: float,
    epochs: float,
    generator: torch.Generator,
    *,
    prune: float = 0.5,
    delta: float = 0.875,
) -> Float[Tensor, " sample"]:
    """Drop some samples with a small loss, and give larger weights to the others of them.

    Samples below the mean loss are dropped independently with probability ``prune``, and the rest of them weighs
    more, so that E[w] = 1 for all. After ``delta`` of the epochs all samples count.

    Args:
        prune: probability that a sample below the mean loss is dropped.
        delta: share of the epochs with pruning.
    """
    check_range("prune", prune, 0, 1, strict=(False, True))
    loss = check_losses(loss)
    if epoch > check_range("delta", delta, 0, 1) * epochs:
        return torch.ones_like(loss)
    draws = torch.rand(len(loss), generator=generator, device=generator.device, dtype=torch.float64).to(loss.device)
    kept = (draws >= prune).to(loss.dtype) / (1 - prune)
    # The mean of equal losses can exceed them by rounding.
    return torch.where(loss < loss.mean().clamp(max=loss.max()), kept, torch.ones_like(loss))


def self_paced_quotas(
    hardness: Float[Tensor, " sample"], target: int, alpha: float, bins: int
) -> tuple[Int[Tensor, " sample"], Int[Tensor, " bin"]]:
    """Return each sample's bin of hardness ``(sample,)``, and the number of samples to draw from each bin ``(bin,)``.

    Args:
        hardness: of the samples of one class, not all equal; ``(sample,)``.
        target: total number to draw, before the number of each bin is rounded down and increased by one.
        alpha: at 0, bins are drawn from by one over their mean hardness; at infinity, all equally.
        bins: number of bins of equal width from the smallest to the largest hardness.
    """
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=hardness.device)
    low, high = hardness.double().min(), hardness.double().max()
    index = torch.bucketize(hardness.double(), low + (high - low) * edges[1:-1], right=True)
    counts = torch.bincount(index, minlength=bins)
    means = torch.zeros(bins, dtype=torch.float64, device=index.device).index_add(
        0, index, hardness.double()
    ) / counts.clamp(min=1)
    drawable = (counts > 0) & (means + alpha > 0)
    shares = torch.where(drawable, 1 / torch.where(drawable, means + alpha, 1), 0)
    return index, (target * shares / shares.sum()).long() + 1


@scheme(
    "self-paced-ensemble",
    formula="P = quota_b / n_b in bins of 1 - p; quota_b = int(n_min w_b / sum w) + 1, w_b = 1/(mean hardness_b + "
    "tan(pi/2 i/(n-1)))",
    priority="varied",
    scale="probability of the given label by the ensemble so far, 0 to 1",
    source="Liu et al. 2020, Self-paced ensemble for highly imbalanced massive data classification, ICDE",
    kind="sampling",
    normalization="the probabilities of each class sum to the size of the smallest class",
    note="i and n are epoch and epochs: the number of members so far, and in all. Samples of the smallest class "
    "have probability 1. The soft form of the authors' code; a bin without any hardness gets the quota 1 "
    "while alpha is 0, as there.",
    exclude_from_benchmark={"in training": "for ensembles, one step per member"},
)
def self_paced_ensemble(
    p: Float[Tensor, " sample"], labels: Int[Tensor, " sample"], epoch: float, epochs: float, *, bins: int = 5
) -> Float[Tensor, " sample"]:
    """Undersample large classes: at first mostly easy samples, in the end all bins of hardness equally.

    The sampling probabilities make all classes equally large.

    Args:
        p: probability of the given label by the ensemble so far; ``(sample,)``.
        epoch: number of members of the ensemble so far.
        epochs: total number of members.
        bins: number of bins of hardness, for each class.
    """
    check_range("bins", bins, 1)
    check_range("epochs", epochs, 1, strict=(True, False))
    alpha = math.tan(math.pi / 2 * min(check_range("epoch", epoch, 0) / (epochs - 1), 1.0))
    hardness = 1 - check_probabilities(p).detach()
    counts, target = _class_counts(labels)
    probabilities = torch.ones_like(hardness)
    for code in (counts > target).nonzero().flatten().tolist():
        of_class = labels == code
        probabilities[of_class] = _bin_probabilities(hardness[of_class], target, alpha, bins)
    return probabilities


def _class_counts(labels: Tensor) -> tuple[Tensor, int]:
    """Return the number of samples of each class, and of the smallest class that has any."""
    counts = torch.bincount(check_codes("labels", labels, int(labels.max()) + 1))
    return counts, int(counts[counts > 0].min())


def _bin_probabilities(hardness: Tensor, target: int, alpha: float, bins: int) -> Tensor:
    if hardness.min() == hardness.max():
        return torch.full_like(hardness, target / len(hardness))
    index, quotas = self_paced_quotas(hardness, target, alpha, bins)
    shares = quotas[index].double() / torch.bincount(index)[index]
    return (target * shares / shares.sum()).to(hardness.dtype)


@scheme(
    "instance-hardness-threshold",
    formula="1[q >= percentile(q of the class, 100 (1 - n_min/n_c))], q = exp(-held-out loss)",
    priority="easy",
    scale="out-of-sample probability of the given label",
    source="Smith, Martinez & Giraud-Carrier 2014, An instance level analysis of data complexity, Machine Learning",
    compares_samples=True,
    reduction="weighted mean",
    note="As in imbalanced-learn, there with a forest of 100 trees and 5 folds. For the whole data set, not a batch.",
)
def instance_hardness_threshold(
    held_out: Float[Tensor, " sample"], labels: Int[Tensor, " sample"]
) -> Float[Tensor, " sample"]:
    """Undersample large classes to their easiest samples.

    Of each class as many samples are kept as the smallest class has, those of largest held-out probability of their
    label. Samples at the threshold are all kept, so that ties leave a class slightly larger.
    """
    p = (-check_losses(held_out)).exp()
    counts, target = _class_counts(labels)
    kept = torch.zeros_like(p)
    for code in counts.nonzero().flatten().tolist():
        of_class = labels == code
        kept[of_class] = (p[of_class] >= quantile(p[of_class], 1 - target / int(counts[code]))).to(kept.dtype)
    return kept
