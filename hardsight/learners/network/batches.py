"""The batches of members trained together: rows gathered, augmented, and standardised by each member's training part."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from hardsight.errors import LearnerError
from hardsight.learners.network.augmentation import Augment
from hardsight.learners.network.seeds import make_generator, shuffled_rows
from hardsight.resampling.plan import Member

# A feature that is nearly constant is tens of deviations away where it is not, and would dominate.
_CLIP = 5.0
# One call for each member and step would cost as much as the step.
_STEPS_AHEAD = 64
_BLOCK_ROWS = 1 << 16


class TrainingData(NamedTuple):
    """All samples, on the device."""

    inputs: Tensor  # (sample, …)
    # (sample,), or of several labels per sample (sample, 2 · label): the weight of having each, then that of not having it.
    targets: Tensor
    weights: Tensor | None = None  # float64, (sample,), or separate ones of each member (member, sample); None: all 1


class Batch(NamedTuple):
    """One batch of every member."""

    inputs: Tensor  # (member, row, …)
    targets: Tensor  # class codes, or standardised float targets; (member, row), or weights (member, row, 2 · label)
    weights: Tensor | None  # float32, with mean 1 over each member's training part, (member, row); None: all 1
    rows: Tensor  # positions of the samples, (member, row)


class Batches:
    """Batches to train the members on, and inputs as they see them in prediction.

    Args:
        regression: standardise the targets by the member's training part.
        standardize: the same for the inputs.
        augment: changes training batches before they are standardised.

    Raises:
        LearnerError: all samples of a training part have weight 0.
    """

    def __init__(
        self,
        members: list[Member],
        data: TrainingData,
        *,
        regression: bool,
        standardize: bool,
        augment: Augment | None = None,
    ) -> None:
        self.members, self.regression, self.standardize, self.augment = members, regression, standardize, augment
        self.inputs, self.targets, self.weights = data
        self.orders = [shuffled_rows(m.train, m.seed) for m in members]
        self.upcoming_rows = torch.empty(0)
        self.augment_generators = [make_generator(m.seed, "augment") for m in members]
        trains = [torch.from_numpy(m.train).to(self.inputs.device) for m in members]
        if standardize:
            flat = self.inputs.flatten(1)
            mean, scale = zip(*(_mean_and_scale(flat, train) for train in trains), strict=True)
            self.mean, self.inverse_scale = torch.stack(mean).float(), (1 / torch.stack(scale)).float()
            self.missing = bool(flat.isnan().any())
        if regression:
            mean, scale = zip(*(_mean_and_scale(self.targets[:, None], train) for train in trains), strict=True)
            self.target_mean, self.target_scale = torch.cat(mean), torch.cat(scale)
        if self.weights is not None:
            self.mean_weight = torch.stack([self._weights(index)[train].mean() for index, train in enumerate(trains)])
            if (self.mean_weight == 0).any():
                raise LearnerError("all samples of a member's training part have weight 0: give more samples weight")

    @property
    def several_labels(self) -> bool:
        """Whether samples have several labels."""
        return self.targets.ndim == 2

    @property
    def clip(self) -> float:
        """Standardised inputs are clipped to ± this."""
        return _CLIP if self.standardize else math.inf

    def scaling(self, index: int) -> tuple[Tensor, Tensor]:
        """Return what member ``index`` subtracts from its inputs and then multiplies by, both ``(feature,)`` float32."""
        if self.standardize:
            return self.mean[index], self.inverse_scale[index]
        features = self.inputs[0].numel()
        return torch.zeros(features), torch.ones(features)

    def target(self, index: int) -> Tensor:
        """Return all targets of member ``index``: class codes, or float32 ones, standardised. ``(sample,)``"""
        if self.regression:
            return ((self.targets - self.target_mean[index]) / self.target_scale[index]).float()
        return self.targets

    def weight(self, index: int) -> Tensor | None:
        """Return all weights of member ``index``, float32, with mean 1 over its training part. ``(sample,)``"""
        return None if self.weights is None else (self._weights(index) / self.mean_weight[index]).float()

    def next_batch(self, size: int) -> Batch:
        """Return the next batch of every member, ``size`` rows each."""
        rows = self._next_rows(size)
        flat = rows.flatten()
        x = self.inputs.index_select(0, flat).view(*rows.shape, *self.inputs.shape[1:])
        if self.augment is not None:
            x = torch.stack([self.augment(*each) for each in zip(x, self.augment_generators, strict=True)])
        if self.standardize:
            x = self._standardize(x, self.mean[:, None], self.inverse_scale[:, None])
        y = self.targets.index_select(0, flat).view(*rows.shape, *self.targets.shape[1:])
        if self.regression:
            y = ((y - self.target_mean[:, None]) / self.target_scale[:, None]).float()
        if self.weights is None:
            return Batch(x, y, None, rows)
        weights = self.weights[rows] if self.weights.ndim == 1 else self.weights.gather(1, rows)
        return Batch(x, y, (weights / self.mean_weight[:, None]).float(), rows)

    def _next_rows(self, size: int) -> Tensor:
        """Return the rows of the next batch, ``(member, row)``; those of many batches are drawn at once."""
        if not len(self.upcoming_rows):
            drawn = [take(size * _STEPS_AHEAD).view(_STEPS_AHEAD, size) for take in self.orders]
            self.upcoming_rows = torch.stack(drawn, dim=1).to(self.inputs.device)
        rows, self.upcoming_rows = self.upcoming_rows[0], self.upcoming_rows[1:]
        return rows

    def select_inputs(self, index: int, rows: Tensor) -> Tensor:
        """Return the inputs of some rows as member ``index`` sees them."""
        x = self.inputs.index_select(0, rows.to(self.inputs.device))
        return self._standardize(x, self.mean[index], self.inverse_scale[index]) if self.standardize else x

    def _weights(self, index: int) -> Tensor:
        assert self.weights is not None
        return self.weights if self.weights.ndim == 1 else self.weights[index]

    def _standardize(self, x: Tensor, mean: Tensor, inverse_scale: Tensor) -> Tensor:
        flat = ((x.flatten(x.ndim - self.inputs.ndim + 1) - mean) * inverse_scale).clamp(-_CLIP, _CLIP)
        # Missing values take the training mean, which is zero here.
        return (flat.nan_to_num(0.0) if self.missing else flat).view_as(x)


def _mean_and_scale(x: Tensor, rows: Tensor) -> tuple[Float64[Tensor, " feature"], Float64[Tensor, " feature"]]:
    """Return mean and standard deviation of the observed values in some rows.

    Block by block: a float64 copy of a large training part would need more memory than the data.
    """
    blocks = torch.split(rows, _BLOCK_ROWS)
    count = torch.stack([(~x[block].isnan()).sum(0) for block in blocks]).sum(0).clamp(min=1)
    total = torch.stack([x[block].nan_to_num(0.0).sum(0, dtype=torch.float64) for block in blocks]).sum(0)
    mean = total / count
    squares = [(x[block].double() - mean).nan_to_num(0.0).square().sum(0) for block in blocks]
    variance = torch.stack(squares).sum(0) / count
    scale = variance.sqrt()
    # A constant feature carries no information; dividing by its rounding noise would inflate it.
    return mean, torch.where(scale > 1e-7 * mean.abs().clamp(min=1e-30), scale, 1.0)
