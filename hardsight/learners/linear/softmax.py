"""The loss of many linear softmax models on shared rows, each over its own training part, in blocks of rows."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int32, Int64
from torch import Tensor

# Scores that a block of rows may have, so that they stay in the cache between the two matrix products.
_SCORES = 1_000_000
_LEAST_ROWS = 256


class Parts(NamedTuple):
    """Who trains on what, without a list of rows a member: where ``assignment`` of its turn is not its fold.

    Attributes:
        assignment: ``(turn, row)``.
        turn: ``(member,)``.
        fold: ``(member,)``.
    """

    assignment: Int32[Tensor, "turn row"]
    turn: Int64[Tensor, " member"]
    fold: Int32[Tensor, " member"]

    def of(self, live: Int64[Tensor, " live"]) -> "Parts":
        """Those of some members."""
        return Parts(self.assignment, self.turn[live], self.fold[live])

    def trains(self, rows: slice) -> Bool[Tensor, "member block"]:
        """Whether each member trains on each of some rows."""
        return self.assignment[:, rows][self.turn] != self.fold[:, None]

    def held_out(self, member: int) -> Int64[Tensor, " row"]:
        """The rows that a member does not train on."""
        return (self.assignment[self.turn[member]] == self.fold[member]).nonzero().squeeze(1)


def blocks(rows: int, scores: int) -> Iterator[slice]:
    """Slices of the rows, of a size that suits so many scores a row."""
    size = max(_LEAST_ROWS, _SCORES // scores)
    for start in range(0, rows, size):
        yield slice(start, start + size)


def losses(
    design: Float64[Tensor, "row coefficient"],
    labels: Int64[Tensor, " row"],
    parts: Parts,
    weights: Float64[Tensor, "member class coefficient"],
) -> tuple[Float64[Tensor, " member"], Float64[Tensor, "member class coefficient"]]:
    """Each member's log-loss, summed over its training part, and the gradient by its weights.

    Args:
        design: shared by all members.
        labels: class codes.
        parts: who trains on what.
        weights: scores are ``design @ weights.T``.
    """
    members, classes, width = weights.shape
    # Classes before rows: sums over few classes then run along contiguous rows.
    flat = weights.reshape(-1, width)
    value, slope = weights.new_zeros(members), torch.zeros_like(flat)
    for rows in blocks(len(design), len(flat)):
        x = design[rows]
        scores = (flat @ x.T).view(members, classes, -1)
        scores.sub_(scores.amax(1, keepdim=True))
        trains = parts.trains(rows)[:, None].double()
        own = labels[rows].expand(members, 1, -1)
        of_own = scores.gather(1, own)
        total = scores.exp_().sum(1, keepdim=True)
        value += ((total.log() - of_own) * trains).sum((1, 2))
        scores.mul_(trains / total).scatter_add_(1, own, -trains)
        slope.addmm_(scores.view(-1, len(x)), x)
    return value, slope.view(weights.shape)
