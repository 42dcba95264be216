"""Schemes on the length of a sample's own gradient."""

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from hardsight.errors import InputError
from hardsight.validation import check_range
from hardsight.weights.inputs import check_finite
from hardsight.weights.scheme import Scheme
from hardsight.weights.schemes.output_gradient import output_gradient

_PARK = "Park et al. 2021, Influence-balanced loss for imbalanced visual classification, ICCV"
_SANTIAGO = (
    "Santiago et al. 2021, LOW: training deep neural networks by learning optimal sample weights, Pattern Recognition"
)


def influence_balanced(
    logits: Float[Tensor, "sample class"],
    labels: Int[Tensor, " sample"],
    features: Float[Tensor, "sample feature"],
    sizes: Num[Tensor, " class"],
    epoch: float,
    *,
    alpha: float = 1000.0,
    start: float = 100.0,
) -> Float[Tensor, " sample"]:
    """One over the sample's influence on the last layer, times one over the size of its class.

    Args:
        logits: of the model.
        labels: class codes.
        features: what the last layer reads.
        sizes: samples of each class.
        epoch: epochs done.
        alpha: scale.
        start: before this epoch all weigh 1.
    """
    check_range("alpha", alpha, 0, strict=(True, True))
    if epoch < start:
        return logits.new_ones(len(logits))
    if bool((sizes <= 0).any()):
        raise InputError(f"sizes must be above 0. Class {int((sizes <= 0).nonzero()[0])} has no sample")
    influence = output_gradient(logits, labels).abs().sum(1) * check_finite("features", features).abs().sum(1)
    inverse = 1 / sizes.to(logits.dtype)
    return alpha / (influence + 1e-3) * (inverse / inverse.mean())[labels]


def low(
    logits: Float[Tensor, "sample class"], labels: Int[Tensor, " sample"], *, lam: float = 0.1, batch_mean: bool = True
) -> Float[Tensor, " sample"]:
    """Weights of mean one that would lower the batch's loss most, held near one by a square penalty.

    Args:
        logits: of the model.
        labels: class codes.
        lam: of the penalty.
        batch_mean: the gradient is that of the batch's mean loss, as in the authors' code; False: of the sample's own loss.
    """
    check_range("lam", lam, 0, strict=(True, True))
    lengths = torch.linalg.vector_norm(output_gradient(logits, labels), dim=1)
    if batch_mean:
        lengths = lengths / len(lengths)
    return _onto_simplex(lengths**2 / (2 * lam))


def _onto_simplex(values: Tensor) -> Tensor:
    """The nearest weights that are 0 or more and have mean one."""
    count = len(values)
    ordered = values.sort(descending=True).values
    numbers = torch.arange(1, count + 1, device=values.device, dtype=values.dtype)
    shifts = (ordered.cumsum(0) - count) / numbers
    active = int((ordered > shifts).sum())
    return (values - shifts[active - 1]).clamp(min=0)


ROWS = (
    Scheme(
        "influence-balanced",
        "samples with little influence on the decision boundary, and small classes",
        "alpha / (norm1(p - y) norm1(h) + 1e-3) × (1/n_c) / mean(1/n_c); 1 before epoch start",
        influence_balanced,
        "easy",
        "L1 norms of the gradient by the logits and of the features",
        _PARK,
        through=True,
        note="The gradient flows through the weight in the authors' code. alpha = 1000 as in their training script "
        "(the class's own default is 10000), which also lowers the learning rate a hundredfold from epoch start"
        " on: the weights are large.",
    ),
    Scheme(
        "low",
        "samples of long gradients",
        "max(0, (g² - mu) / (2 lam)) with mean 1: the minimum of lam |w|² - w·(g² + lam), w ≥ 0, sum w = n",
        low,
        "hard",
        "L2 norm of the gradient by the logits",
        _SANTIAGO,
        normalization="mean 1",
        note="In the authors' code g is the gradient of the batch's mean loss, 1/n of the sample's own: weights are "
        "nearly 1 and depend on the batch size. batch_mean=False takes the sample's own. Solved by sorting "
        "instead of a quadratic solver.",
    ),
)
