"""Running moments of each sample's summed loss, where rows are labelled parts of samples.

All parts of a sample are predicted by the same models, so their losses rise and fall together, and the standard error of
their sum is not the root of the summed squares. It is that of the sums: one sum per sample and view.
"""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.measures.running import RunningMoments


class PartSums:
    """Count, mean and summed squared deviation of the summed losses of each sample's parts.

    >>> sums = PartSums(torch.tensor([0, 0, 1]), ["own"])
    >>> for losses in ([1.0, 1.0, 5.0], [2.0, 2.0, 5.0]):
    ...     sums.add(torch.arange(3), {"own": torch.tensor(losses, dtype=torch.float64)})
    >>> sums.standard_error("own", torch.tensor([2, 2, 2])).tolist()
    [1.0, 1.0, 0.0]

    Args:
        sample: number of each part's sample, 0, 1, 2, ….
        losses: names of the losses.
    """

    def __init__(
        self, sample: Int64[Tensor, " part"], losses: Iterable[str], zeros: Callable[..., Tensor] = torch.zeros
    ) -> None:
        self.sample, self.sizes = sample, torch.bincount(sample)
        self.moments = {name: RunningMoments(len(self.sizes), zeros=zeros) for name in losses}

    def add(self, rows: Int64[Tensor, " row"], losses: dict[str, Float64[Tensor, " row"]]) -> None:
        """Add one view. Samples of which it predicts only some parts have no sum in it.

        Args:
            rows: the parts that the view predicts, each once.
            losses: their losses, by name.
        """
        sample, n = self.sample[rows], len(self.sizes)
        whole = (torch.bincount(sample, minlength=n) == self.sizes).nonzero().squeeze(1)
        for name, values in losses.items():
            self.moments[name].add(whole, torch.bincount(sample, weights=values, minlength=n)[whole])

    def standard_error(self, loss: str, count: Int64[Tensor, " part"]) -> Float64[Tensor, " part"]:
        """Return the standard error of the mean summed loss of each part's sample.

        It is NaN for samples that have fewer than two sums, or views with only some of their parts.

        Args:
            count: number of views of each part.
        """
        moments = self.moments[loss]
        other_views = moments.count[self.sample] != count
        partial = torch.zeros(len(self.sizes), dtype=torch.bool)
        partial[self.sample[other_views]] = True
        return torch.where(partial, torch.nan, moments.standard_error)[self.sample]
