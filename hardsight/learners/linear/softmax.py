"""The loss of many linear softmax models on shared rows, each over its own training part, in blocks of rows."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int32, Int64
from torch import Tensor

# Scores per block of rows, so that they stay in the cache between the two matrix products.
_SCORES = 1_000_000
_MIN_ROWS = 256


class TrainingParts(NamedTuple):
    """The rows that each member trains on, without a list per member: ``assignment`` of its repeat differs from its fold."""

    assignment: Int32[Tensor, "repeat row"]
    repeat: Int64[Tensor, " member"]
    fold: Int32[Tensor, " member"]

    def select(self, members: Int64[Tensor, " selected"]) -> "TrainingParts":
        """Return the training parts of some members."""
        return TrainingParts(self.assignment, self.repeat[members], self.fold[members])

    def train_mask(self, rows: slice) -> Bool[Tensor, "member block"]:
        """Return whether each member trains on each of some rows."""
        return self.assignment[:, rows][self.repeat] != self.fold[:, None]

    def held_out(self, member: int) -> Int64[Tensor, " row"]:
        """Return the rows that a member does not train on."""
        return (self.assignment[self.repeat[member]] == self.fold[member]).nonzero().squeeze(1)


def row_blocks(rows: int, scores: int) -> Iterator[slice]:
    """Yield slices of the rows, sized for ``scores`` numbers per row."""
    size = max(_MIN_ROWS, _SCORES // scores)
    for start in range(0, rows, size):
        yield slice(start, start + size)


def losses_and_gradients(
    design: Float64[Tensor, "row coefficient"],
    labels: Int64[Tensor, " row"],
    parts: TrainingParts,
    weights: Float64[Tensor, "member class coefficient"],
) -> tuple[Float64[Tensor, " member"], Float64[Tensor, "member class coefficient"]]:
    """Return each member's log-loss, summed over its training part, and the gradient by its weights.

    Args:
        weights: scores are ``design @ weights.T``.
    """
    members, classes, width = weights.shape
    # Classes before rows: sums over few classes then run along contiguous rows.
    flat = weights.reshape(-1, width)
    value, gradient = weights.new_zeros(members), torch.zeros_like(flat)
    for rows in row_blocks(len(design), len(flat)):
        x = design[rows]
        scores = (flat @ x.T).view(members, classes, -1)
        scores.sub_(scores.amax(1, keepdim=True))
        in_training = parts.train_mask(rows)[:, None].double()
        label = labels[rows].expand(members, 1, -1)
        label_score = scores.gather(1, label)
        total = scores.exp_().sum(1, keepdim=True)
        value += ((total.log() - label_score) * in_training).sum((1, 2))
        scores.mul_(in_training / total).scatter_add_(1, label, -in_training)
        gradient.addmm_(scores.view(-1, len(x)), x)
    return value, gradient.view(weights.shape)
