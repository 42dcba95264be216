"""Nearest neighbours with exact leave-one-out predictions."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float64
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.learners.base import Capabilities, OnProgress, Predictions
from hardsight.learners.leave_one_out.shared import batches, predict_repeats, rows_by_block_size
from hardsight.learners.linear.ridge import standardize
from hardsight.learners.sklearn import laplace
from hardsight.resampling.plan import Plan
from hardsight.validation import check_int


class NeighboursLeaveOneOut:
    """Class shares (in regression the mean target) of a sample's nearest neighbours in other blocks; exact.

    Features are scaled once, over all samples (missing values take the mean); distances are Euclidean. Rows with a class
    that no neighbour has are smoothed by Laplace's rule, with ``neighbours`` observations.

    Args:
        neighbours: how many vote, each with the same weight.

    Raises:
        InputError: fewer than 1.

    Cover & Hart 1967, *Nearest neighbor pattern classification*.
    """

    name = "neighbours leave-one-out"
    capabilities = Capabilities(leaves_one_out=True)

    def __init__(self, neighbours: int = 10) -> None:
        self.neighbours = check_int("neighbours", neighbours, 1)

    def describe(self) -> str:
        """Return the recipe in one line."""
        return f"{self.neighbours} nearest neighbours; zero probabilities smoothed by Laplace's rule"

    def n_models(self, plan: Plan) -> int:
        """Return the number of models whose predictions are computed; none is fitted."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`.

        Raises:
            InputError: splits that are not leave-one-out, or too few samples outside a block.
        """
        return predict_repeats(self.name, plan, on_progress, lambda: self._predict(samples, plan.blocks))

    def _predict(self, samples: Samples, blocks: np.ndarray) -> Float64[Tensor, " sample *class"]:
        nearest = find_neighbours(standardize(samples.matrix), blocks, self.neighbours)
        if samples.classes is None:
            return torch.from_numpy(samples.labels[nearest].mean(axis=1))
        cell = np.arange(len(nearest))[:, None] * len(samples.classes) + samples.labels[nearest]
        votes = np.bincount(cell.ravel(), minlength=len(nearest) * len(samples.classes)).reshape(len(nearest), -1)
        with np.errstate(divide="ignore"):
            return torch.from_numpy(laplace(np.log(votes / self.neighbours), self.neighbours))


def find_neighbours(x: np.ndarray, blocks: np.ndarray, count: int) -> np.ndarray:
    """Return the nearest samples of other blocks, nearest first, ``(sample, count)`` int64.

    Args:
        blocks: codes; samples of one block are no neighbours of each other. ``(sample,)``

    Raises:
        InputError: fewer than ``count`` samples outside a block.
    """
    available = len(x) - int(np.bincount(blocks).max())
    if available < count:
        raise InputError(
            f"neighbours={count} is more than the {available} samples outside the largest group: use "
            f"neighbours={available} or fewer"
        )
    index = NearestNeighbors().fit(x)
    nearest = np.empty((len(x), count), dtype=np.int64)
    for rows in rows_by_block_size(blocks):
        candidates = count + rows.shape[1]
        for batch in batches(rows.ravel(), candidates):
            found = index.kneighbors(x[batch], n_neighbors=min(candidates, len(x)), return_distance=False)
            # A stable sort on "same block" brings the others to the front, in order of distance.
            order = np.argsort(blocks[found] == blocks[batch][:, None], axis=1, kind="stable")
            nearest[batch] = np.take_along_axis(found, order[:, :count], axis=1)
    return nearest
