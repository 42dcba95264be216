"""Confident predictions per class: ambiguous but correct labels agree with the models on these samples."""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from hardsight.attribution.label_noise.config import DEFAULT_CONFIG


def most_confident(logits: Float[Tensor, "sample class"]) -> tuple[Bool[Tensor, " sample"], Int64[Tensor, " sample"]]:
    """Select the most confident quarter of the samples predicted as each class.

    Args:
        logits: logits or log-probabilities, ``(sample, class)``.

    Returns:
        The mask of the selected samples and the predicted classes of all samples, ``(sample,)`` each.
    """
    confidence, predicted = logits.softmax(1).max(1)
    selected = torch.zeros(len(predicted), dtype=torch.bool, device=logits.device)
    for c in range(logits.shape[1]):
        rows = (predicted == c).nonzero().squeeze(1)
        if not len(rows):
            continue
        # Ties are all selected, so that the order of the samples does not matter.
        last = math.ceil(DEFAULT_CONFIG.confident_fraction * len(rows)) - 1
        threshold = confidence[rows].sort(descending=True).values[last]
        selected[rows[confidence[rows] >= threshold]] = True
    return selected, predicted
