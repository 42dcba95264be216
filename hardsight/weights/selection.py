"""The largest or smallest of many values, and their quantiles, by selection instead of a full sort."""

import torch
from jaxtyping import Float
from torch import Tensor

from hardsight.validation import check_range


def select_top(scores: Float[Tensor, " sample"], k: int) -> Float[Tensor, " sample"]:
    """Return 1 for the k largest scores, of tied ones for the first, and 0 for the others."""
    if k >= len(scores):
        return torch.ones_like(scores)
    if k < 1:
        return torch.zeros_like(scores)
    threshold = scores.topk(k, sorted=False).values.min()
    selected = scores > threshold
    tied = (scores == threshold).nonzero()[:, 0]
    selected[tied[: k - int(selected.sum())]] = True
    return selected.to(scores.dtype)


def nearest_percentile(values: Float[Tensor, " sample"], percentile: float) -> Tensor:
    """Return the value at the nearest rank to a percentile, from 0 to 1."""
    return values.kthvalue(round(check_range("percentile", percentile, 0, 1) * (len(values) - 1)) + 1).values


def quantile(values: Float[Tensor, " sample"], share: float) -> Tensor:
    """Return the quantile with linear interpolation; torch's own takes at most 2^24 values."""
    position = check_range("share", share, 0, 1) * (len(values) - 1)
    below = int(position)
    low = values.kthvalue(below + 1).values
    high = values.kthvalue(min(below + 1, len(values) - 1) + 1).values
    return low + (position - below) * (high - low)


def draw_without_replacement(
    probabilities: Float[Tensor, " sample"], count: int, generator: torch.Generator
) -> Float[Tensor, " sample"]:
    """Return 1 for ``count`` samples drawn one after another without replacement, and 0 for the others.

    Each gets an exponential waiting time of the rate of its probability, and the first ``count`` are taken (Efraimidis &
    Spirakis 2006, Weighted random sampling with a reservoir). torch.multinomial takes at most 2^24 samples.
    """
    waits = torch.empty_like(probabilities).exponential_(generator=generator) / probabilities
    return select_top(-waits, count)
