"""The cells of the training matrix: every combination of loop, ranks, accumulation, weights and restart."""

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

LOOPS = ("plain loop", "accelerate", "Lightning", "Trainer", "skorch")
RANKS = (1, 2)
ACCUMULATION = (1, 4)
WEIGHTS = ("fixed", "per-sample", "batch-normalised", "sampler")
RESTARTS = ("straight", "resumed")


class Cell(NamedTuple):
    """One way to train.

    Attributes:
        loop: what runs the training loop.
        ranks: number of processes.
        accumulation: number of micro-batches per optimizer step.
        weights: "fixed": an array; "per-sample": a scheme with a state per sample; "batch-normalised": a scheme whose
            weights sum to one over the batch; "sampler": draws in place of weights.
        restart: "straight"; "resumed": from a checkpoint in the middle of the second epoch, with new objects.
    """

    loop: str
    ranks: int
    accumulation: int
    weights: str
    restart: str

    def __str__(self) -> str:
        return f"{self.loop}, {self.ranks} ranks, accumulation {self.accumulation}, {self.weights}, {self.restart}"


CELLS = tuple(Cell(*levels) for levels in product(LOOPS, RANKS, ACCUMULATION, WEIGHTS, RESTARTS))


def pairwise(cells: Sequence[Cell] = CELLS) -> list[Cell]:
    """Return a few cells in which every pair of levels occurs, chosen greedily; ties go to the first."""
    missing = {pair for cell in cells for pair in _pairs(cell)}
    chosen = []
    while missing:
        best = max(cells, key=lambda cell: sum(pair in missing for pair in _pairs(cell)))
        chosen.append(best)
        missing.difference_update(_pairs(best))
    return chosen


def _pairs(cell: Cell) -> Iterator[tuple[tuple[int, object], tuple[int, object]]]:
    return combinations(enumerate(cell), 2)
