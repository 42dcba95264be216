"""Shares of groups of samples in the sum of the norms of the samples' gradients."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor

from hardsight.learners.network.mlp import Layer
from hardsight.learners.network.stacked import Parameters

# What a group is of, its name, and which samples are in it: a mask, ``(sample,)``.
Group = tuple[str, str, np.ndarray]


class SampleGradients:
    """Logits of a stack of perceptrons, and the norm of the gradient of each row's own loss.

    Args:
        parameters: stacked, ``(member, …)``, by the names in ``stack``.
        stack: the linear layers, with ReLU between them.
        inputs: the same rows for all members, ``(row, feature)``.
        labels: class codes, ``(row,)``.

    Attributes:
        logits: ``(member, class, row)`` float64.
        norms: norms of the gradients of the rows' cross-entropies in all parameters, without weights, ``(member, row)``.
    """

    def __init__(
        self,
        parameters: Parameters,
        stack: Sequence[Layer],
        inputs: Float[Tensor, "row feature"],
        labels: Int64[Tensor, " row"],
    ) -> None:
        weights = [parameters[layer.weight].detach() for layer in stack]
        biases = [None if layer.bias is None else parameters[layer.bias].detach() for layer in stack]
        activations = [inputs.T.expand(len(weights[0]), -1, -1)]
        for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            out = (
                torch.bmm(weight, activations[-1])
                if bias is None
                else torch.baddbmm(bias[:, :, None], weight, activations[-1])
            )
            activations.append(out.relu_() if index < len(weights) - 1 else out)
        self.logits = activations.pop().double()
        label_index = labels.expand(len(self.logits), 1, -1)
        backward = self.logits.softmax(1)
        # Minus the sum of all others: a difference from one would lose the digits of confident rows.
        backward = backward.scatter(1, label_index, 0.0)
        backward = backward.scatter(1, label_index, -backward.sum(1, keepdim=True)).float()
        squares = torch.zeros(backward.shape[0], backward.shape[2])
        for index in range(len(weights) - 1, -1, -1):
            # A layer's gradient for one row is the outer product of the backward signal and the layer's input.
            squared_input = activations[index].square().sum(1) + (0 if biases[index] is None else 1)
            squares += backward.square().sum(1) * squared_input
            if index:
                backward = torch.bmm(weights[index].mT, backward).mul_(activations[index] > 0)
        self.norms = squares.double().sqrt()


def gradient_shares(
    norms: Shaped[np.ndarray, "seed sample"], weights: Float64[np.ndarray, " sample"], groups: Iterable[Group]
) -> pd.DataFrame:
    """Return how the gradients are divided, one row per group.

    Columns: ``by``, ``group``, ``samples``, ``sample_share``; ``share``, the group's part of the sum of weight times norm, a
    mean over seeds, and its standard error ``se`` (NaN for one seed); ``share_unweighted``, its part of the sum of norms.
    """
    rows = []
    for by, name, mask in groups:
        share = (norms * weights)[:, mask].sum(1) / (norms @ weights)
        rows.append(
            {
                "by": by,
                "group": name,
                "samples": int(mask.sum()),
                "sample_share": float(mask.mean()),
                "share": float(share.mean()),
                "se": float(share.std(ddof=1) / np.sqrt(len(share))) if len(share) > 1 else float("nan"),
                "share_unweighted": float((norms[:, mask].sum(1) / norms.sum(1)).mean()),
            }
        )
    return pd.DataFrame(rows)
