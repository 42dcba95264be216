"""Running moments of values per sample, without keeping the values.

The functions work on columns with one row per sample: ``count``, ``mean`` and ``spread``, the summed squared deviation
(Welford 1962, *Note on a method for calculating corrected sums of squares*; Chan et al. 1979 for merging).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor

from hardsight.io.memmap import row_blocks

State = dict[str, Tensor]


def add_mean(state: State, values: Float[Tensor, " row *value"]) -> State:
    """Return ``count`` and ``mean`` after one more view of every row."""
    count = state["count"] + 1
    return {"count": count, "mean": state["mean"] + (values - state["mean"]) / expand(count, values)}


def merge_mean(first: State, second: State) -> State:
    """Return ``count`` and ``mean`` over the views of both states."""
    count = first["count"] + second["count"]
    share = expand(second["count"].double() / count.clamp(min=1), second["mean"])
    return {"count": count, "mean": first["mean"] + (second["mean"] - first["mean"]) * share}


def add_moments(state: State, values: Float[Tensor, " row *value"]) -> State:
    """Return all columns after one more view of every row; ``spread`` is summed over the axes that it lacks."""
    after = add_mean(state, values)
    deviation = (values - state["mean"]) * (values - after["mean"])
    return after | {"spread": state["spread"] + _sum_like(deviation, state["spread"])}


def merge_moments(first: State, second: State) -> State:
    """Return all columns over the views of both states."""
    merged = merge_mean(first, second)
    gap = _sum_like((second["mean"] - first["mean"]).square(), first["spread"])
    share = second["count"].double() / merged["count"].clamp(min=1)
    between = gap * expand(first["count"], gap) * expand(share, gap)
    return merged | {"spread": first["spread"] + second["spread"] + between}


def expand(column: Shaped[Tensor, " row"], values: Tensor) -> Tensor:
    """Return a column with as many axes as the values, for broadcasting."""
    return column.view(-1, *(1 for _ in values.shape[1:]))


def _sum_like(values: Tensor, like: Tensor) -> Tensor:
    return values.flatten(1).sum(1) if values.ndim > like.ndim else values


class RunningMoments:
    """Count, mean and summed squared deviation of a value per sample.

    ``spread`` is summed over the value's axes: for a probability vector it is the sum of squared distances to the mean.

    >>> m = RunningMoments(2)
    >>> for view in ([1.0, 5.0], [3.0, 5.0]):
    ...     m.add(torch.arange(2), torch.tensor(view, dtype=torch.float64))
    >>> m.mean.tolist(), m.spread.tolist()
    ([2.0, 5.0], [2.0, 0.0])

    Args:
        value: shape of the value.
    """

    def __init__(self, samples: int, *value: int, zeros: Callable[..., Tensor] = torch.zeros) -> None:
        self.count = zeros(samples, dtype=torch.int64)
        self.mean = zeros(samples, *value, dtype=torch.float64)
        self.spread = zeros(samples, dtype=torch.float64)

    def add(self, rows: Int64[Tensor, " row"], values: Float64[Tensor, " row *value"]) -> None:
        """Add one view of the samples at ``rows``, which must be distinct."""
        self._write(rows, add_moments(self._read(rows), values))

    def merge(self, other: "RunningMoments") -> None:
        """Add the views of ``other``, of the same samples. The order does not matter, beyond rounding."""
        for block in row_blocks(len(self.count), self.mean[:1].numel()):
            self._write(block, merge_moments(self._read(block), other._read(block)))

    def state(self) -> State:
        """Return the columns themselves, by name."""
        return {"count": self.count, "mean": self.mean, "spread": self.spread}

    def _read(self, rows: Tensor | slice) -> State:
        return {name: column[rows] for name, column in self.state().items()}

    def _write(self, rows: Tensor | slice, state: State) -> None:
        for name, column in self.state().items():
            column[rows] = state[name]

    @property
    def standard_error(self) -> Float64[Tensor, " sample"]:
        """Standard error of the mean; NaN for samples with fewer than two views."""
        views = self.count.double()
        return torch.where(self.count > 1, (self.spread / (views - 1) / views).sqrt(), torch.nan)
