"""Who moves the parameters: shares of groups of samples in the sum of the norms of the samples' own gradients."""

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
    """What members of a stack of perceptrons say of some rows, and how long the gradient of each row's own loss is.

    Args:
        parameters: stacked, ``(member, …)``, by the names in ``stack``.
        stack: the linear layers, with ReLU between them.
        inputs: the same rows for all members, ``(row, feature)``.
        labels: class codes, ``(row,)``.

    Attributes:
        logits: ``(member, class, row)`` float64.
        lengths: norms of the gradients of the rows' cross-entropies in all parameters, without weights, ``(member, row)``.
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
        seen = [inputs.T.expand(len(weights[0]), -1, -1)]
        for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            out = torch.bmm(weight, seen[-1]) if bias is None else torch.baddbmm(bias[:, :, None], weight, seen[-1])
            seen.append(out.relu_() if index < len(weights) - 1 else out)
        self.logits = seen.pop().double()
        own = labels.expand(len(self.logits), 1, -1)
        back = self.logits.softmax(1)
        # The label's own slope is minus that of all others: a difference from one would lose the digits of sure rows.
        back = back.scatter(1, own, 0.0)
        back = back.scatter(1, own, -back.sum(1, keepdim=True)).float()
        squares = torch.zeros(back.shape[0], back.shape[2])
        for index in range(len(weights) - 1, -1, -1):
            # A layer's gradient for one row is the outer product of what comes back and what it has seen.
            came = seen[index].square().sum(1) + (0 if biases[index] is None else 1)
            squares += back.square().sum(1) * came
            if index:
                back = torch.bmm(weights[index].mT, back).mul_(seen[index] > 0)
        self.lengths = squares.double().sqrt()


def gradient_shares(
    lengths: Shaped[np.ndarray, "seed sample"], weights: Float64[np.ndarray, " sample"], groups: Iterable[Group]
) -> pd.DataFrame:
    """How the gradients are divided, a row a group.

    Columns: ``by``, ``group``, ``samples``, ``sample_share``; ``share``, the group's part of the sum of weight times
    length, a mean over seeds, and its standard error ``se`` (NaN for one seed); ``share_unweighted``, its part of the sum of
    lengths.

    Args:
        lengths: of the samples' gradients.
        weights: 0 or more.
        groups: of the samples.
    """
    rows = []
    for by, name, there in groups:
        mine = (lengths * weights)[:, there].sum(1) / (lengths @ weights)
        rows.append(
            {
                "by": by,
                "group": name,
                "samples": int(there.sum()),
                "sample_share": float(there.mean()),
                "share": float(mine.mean()),
                "se": float(mine.std(ddof=1) / np.sqrt(len(mine))) if len(mine) > 1 else float("nan"),
                "share_unweighted": float((lengths[:, there].sum(1) / lengths.sum(1)).mean()),
            }
        )
    return pd.DataFrame(rows)
