"""Minimax curriculum: a subset that is hard and diverse, found greedily."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from hardsight.validation import check_range
from hardsight.weights.inputs import check_finite, check_losses
from hardsight.weights.scheme import Scheme


def mcl(
    loss: Float[Tensor, " sample"], features: Float[Tensor, "sample feature"], *, share: float, diversity: float
) -> Float[Tensor, " sample"]:
    """1 for a subset A of high sum of losses + diversity · sum over all j of max over i in A of similarity(i, j).

    The greedy subset, within a factor of 1 - 1/e of the best one; one similarity for each pair of samples is kept.

    Args:
        loss: ``(sample,)``.
        features: by which samples are alike: exp(-distance² / (2 s²)), s the mean distance; ``(sample, feature)``.
        share: of the samples that are in, rounded up; grow it over training.
        diversity: how much similarity to all counts, per sample; let it fall over training.
    """
    gain = check_losses(loss).detach()
    n = len(gain)
    kept = math.ceil(check_range("share", share, 0, 1, strict=(True, False)) * n - 1e-9)
    chosen = torch.zeros(n, dtype=torch.bool, device=loss.device)
    alike = check_range("diversity", diversity, 0) * _similarity(check_finite("features", features).to(gain))
    covered = torch.zeros_like(gain)
    for _ in range(kept):
        gains = gain + (alike - covered).clamp(min=0).sum(1)
        best = int(gains.masked_fill(chosen, -math.inf).argmax())
        chosen[best] = True
        covered = torch.maximum(covered, alike[best])
    return chosen.to(loss.dtype)


def _similarity(features: Tensor) -> Tensor:
    distance = torch.cdist(features, features)
    pairs = len(features) * (len(features) - 1)
    mean = distance.sum() / max(pairs, 1)
    return torch.exp(-(distance**2) / (2 * mean**2).clamp(min=torch.finfo(features.dtype).tiny))


ROWS = (
    Scheme(
        "mcl",
        "a subset of hard samples that are unlike each other",
        "1[i in A], A greedy for sum_A l + diversity · sum_j max_{i in A} exp(-|h_i - h_j|² / 2 s²), |A| = share · n",
        mcl,
        "hard",
        "loss; distances between features",
        "Zhou & Bilmes 2018, Minimax curriculum learning, ICLR; similarity: Zhou, Wang & Bilmes 2020, NeurIPS",
        reduction="weighted mean",
        note="Published with a share that grows and a diversity that falls from stage to stage. The authors' code replaces "
        "facility location by a sum of similarities, as does CurBench. Ties go to the sample that stands first.",
    ),
)
