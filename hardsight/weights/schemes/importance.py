"""Sampling by importance: chances to be drawn, and the weights that undo what the chances did to the mean."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_finite, check_losses
from hardsight.weights.scheme import Scheme
from hardsight.weights.schemes.output_gradient import output_gradient

_KATHAROPOULOS = (
    "Katharopoulos & Fleuret 2018, Not all samples are created equal: deep learning with importance sampling, ICML"
)
_SCHAUL = "Schaul et al. 2016, Prioritized experience replay, ICLR"
_QIN = "Qin et al. 2024, InfoBatch: lossless training speed up by unbiased dynamic data pruning, ICLR"


def correction(
    chances: Float[Tensor, " sample"], *, power: float = 1.0, largest_one: bool = False
) -> Float[Tensor, " sample"]:
    """Weights of samples drawn with replacement by their chances: w = (1/(N P))^power, P the chances over their sum.

    With power 1 the mean of w l over draws is, in expectation, the mean loss of all N samples. Below 1 it keeps some of the
    emphasis: beta of prioritized replay.

    Args:
        chances: of all N samples; they need not add up to one.
        power: 0 corrects nothing, 1 all.
        largest_one: divide by the largest weight, so that no step is longer than without weights (prioritized replay).

    Raises:
        InputError: a chance that is not finite and above 0.
    """
    check_range("power", power, 0)
    if bool((check_finite("chances", chances) <= 0).any()):
        at = int((chances <= 0).nonzero()[0])
        raise InputError(f"chances must be above 0: what is never drawn cannot be corrected for. Number {at} is not")
    log = -power * (chances.log() - chances.sum().log() + math.log(len(chances)))
    return (log - log.max() if largest_one else log).exp()


def biased_correction(
    drawn: Float[Tensor, " draw"], scores: Float[Tensor, " draw"], *, power: float
) -> Float[Tensor, " draw"]:
    """Softened correction of a drawn batch that keeps its total w·s: w^power (w·s)/(w^power·s).

    The biased form of the reference code of Katharopoulos & Fleuret; power 1 gives the weights back unchanged.

    Args:
        drawn: :func:`correction` of the samples of the batch.
        scores: their chances before normalisation.
        power: of the weights.
    """
    softened: Tensor = drawn ** check_range("power", power, 0)
    return softened * (drawn @ scores) / (softened @ scores)


def importance_sampling(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"]
) -> Float[Tensor, " sample"]:
    """Chances proportional to the norm of the gradient by the logits, a bound of that by all parameters."""
    norms: Tensor = torch.linalg.vector_norm(output_gradient(logits, labels), dim=1)
    return norms.clamp(min=torch.finfo(norms.dtype).eps)


def per(loss: Float[Tensor, " sample"], *, alpha: float = 0.6, eps: float = 1e-8) -> Float[Tensor, " sample"]:
    """Chances proportional to a power of the loss."""
    return (check_losses(loss) + check_range("eps", eps, 0, strict=(True, True))) ** check_range("alpha", alpha, 0)


def infobatch(
    loss: Float[Tensor, " sample"],
    epoch: float,
    epochs: float,
    generator: torch.Generator,
    *,
    prune: float = 0.5,
    delta: float = 0.875,
) -> Float[Tensor, " sample"]:
    """Of the samples below the mean loss a part is dropped, and the rest of them weighs more, so that E[w] = 1 for all.

    Each is kept by its own coin. After ``delta`` of the epochs all samples count.
    """
    check_range("prune", prune, 0, 1, strict=(False, True))
    loss = check_losses(loss)
    if epoch > check_range("delta", delta, 0, 1) * epochs:
        return torch.ones_like(loss)
    coins = torch.rand(len(loss), generator=generator, device=generator.device, dtype=torch.float64).to(loss.device)
    kept = (coins >= prune).to(loss.dtype) / (1 - prune)
    # The mean of equal losses can round to above them.
    return torch.where(loss < loss.mean().clamp(max=loss.max()), kept, torch.ones_like(loss))


ROWS = (
    Scheme(
        "importance-sampling",
        "samples of large gradient are drawn more often, and weigh less in return",
        "P ∝ norm2(softmax(z) - y); correction w = 1/(N P)",
        importance_sampling,
        "hard",
        "norm of the gradient by the logits, 0 to √2",
        _KATHAROPOULOS,
        kind="sampling",
        note="correction(chances) makes it unbiased; biased_correction is the reference trainer's softer form (power"
        " 0.5). Published for batches of b drawn from B = 3b candidates, once tau exceeds (B + 3b)/(3b). No "
        "chance is below the precision of floats, so that a perfectly learnt sample can still be corrected for.",
    ),
    Scheme(
        "per",
        "samples of large loss are drawn more often",
        "P ∝ (l + eps)^alpha; correction w = (1/(N P))^beta / max w",
        per,
        "hard",
        "loss, or any difficulty of 0 or more",
        _SCHAUL,
        kind="sampling",
        note="Proportional form; made for the size of the temporal-difference error. Correct it by "
        "correction(chances, power=beta, largest_one=True) with beta from 0.4 to 1 over training. The paper "
        "leaves eps open; 1e-8 is TorchRL's. Checked against TorchRL's documentation.",
    ),
    Scheme(
        "infobatch",
        "some samples of small loss are dropped, the rest of them weighs more",
        "l < mean(l): 1/(1-r) with chance 1-r, else 0; other samples 1; all 1 once t > delta T",
        infobatch,
        "hard",
        "loss, compared with its mean",
        _QIN,
        normalization="mean 1 in expectation",
        note="Give the last known losses of all the samples once an epoch; in the reference code they start at 3, "
        "and none is dropped while all are equal. It keeps exactly int((1-r) m) of m samples, which is biased "
        "low for small m; independent coins are not.",
    ),
)
