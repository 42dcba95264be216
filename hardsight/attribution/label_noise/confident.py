"""The samples of which models are surest, class by class: labels that are ambiguous by nature agree with models on these."""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

# Of the samples that are predicted as a class.
CONFIDENT_FRACTION = 0.25
# Shares of labels that even the surest predictions miss: what clean data of nature show, and what only noise does.
NATURAL_DISAGREEMENT = 0.07, 0.15


def most_confident(logits: Float[Tensor, "sample class"]) -> tuple[Bool[Tensor, " sample"], Int64[Tensor, " sample"]]:
    """The surest quarter of the samples that are predicted as each class, and what all are predicted as.

    Args:
        logits: or log-probabilities.
    """
    sure, told = logits.softmax(1).max(1)
    chosen = torch.zeros(len(told), dtype=torch.bool, device=logits.device)
    for c in range(logits.shape[1]):
        at = (told == c).nonzero().squeeze(1)
        if not len(at):
            continue
        # Ties share one fate, so that the order of the samples decides nothing.
        least = sure[at].sort(descending=True).values[math.ceil(CONFIDENT_FRACTION * len(at)) - 1]
        chosen[at[sure[at] >= least]] = True
    return chosen, told
