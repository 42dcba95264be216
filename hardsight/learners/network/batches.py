"""What the members of a chunk see: rows gathered, augmented, and standardised by each member's own training part."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from hardsight.errors import InputError, LearnerError
from hardsight.learners.network.seeds import generator, order
from hardsight.resampling.plan import Member

Augment = Callable[[Tensor, torch.Generator], Tensor]
# A feature that is nearly always the same stands tens of deviations out where it is not, and would decide alone.
_FAR = 5.0
# A call for each member and step would cost as much as the step.
_STEPS_AHEAD = 64
_BLOCK_ROWS = 1 << 16


class Data(NamedTuple):
    """All samples, on the device: inputs ``(sample, …)``, targets ``(sample,)``, and weights, float64.

    The weights are ``(sample,)``, those of each member ``(member, sample)``, or None.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None


class Batch(NamedTuple):
    """A batch of every member.

    Attributes:
        inputs: ``(member, row, …)``.
        targets: class codes, or standardised float targets; ``(member, row)``.
        weights: float32, with mean 1 over each member's training part, ``(member, row)``; None: all 1.
        rows: positions of the samples, ``(member, row)``.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None
    rows: Tensor


class Batches:
    """Batches to train the members on, and rows as they see them to judge.

    Args:
        members: of the chunk.
        data: all samples.
        regression: standardise the targets by the member's training part.
        standardize: the inputs likewise.
        augment: changes training batches, before they are standardised.

    Raises:
        LearnerError: all samples of a training part have weight 0.
    """

    def __init__(
        self,
        members: list[Member],
        data: Data,
        *,
        regression: bool,
        standardize: bool,
        augment: Augment | None = None,
    ) -> None:
        self.members, self.regression, self.standardize, self.augment = members, regression, standardize, augment
        self.inputs, self.targets, self.weights = data
        self.orders = [order(m.train, m.seed) for m in members]
        self.ahead = torch.empty(0)
        self.augmenters = [generator(m.seed, "augment") for m in members]
        trains = [torch.from_numpy(m.train).to(self.inputs.device) for m in members]
        if standardize:
            flat = self.inputs.flatten(1)
            mean, scale = zip(*(_mean_and_scale(flat, train) for train in trains), strict=True)
            self.mean, self.inverse = torch.stack(mean).float(), (1 / torch.stack(scale)).float()
            self.missing = bool(flat.isnan().any())
        if regression:
            centre, width = zip(*(_mean_and_scale(self.targets[:, None], train) for train in trains), strict=True)
            self.centre, self.width = torch.cat(centre), torch.cat(width)
        if self.weights is not None:
            self.level = torch.stack([self._weights(index)[train].mean() for index, train in enumerate(trains)])
            if (self.level == 0).any():
                raise LearnerError("all samples of a member's training part have weight 0: give more samples weight")

    @property
    def far(self) -> float:
        """Where scaled inputs are cut."""
        return _FAR if self.standardize else math.inf

    def scaling(self, index: int) -> tuple[Tensor, Tensor]:
        """What member ``index`` takes off its inputs, and what it multiplies the rest by; both ``(feature,)`` float32."""
        if self.standardize:
            return self.mean[index], self.inverse[index]
        features = self.inputs[0].numel()
        return torch.zeros(features), torch.ones(features)

    def target(self, index: int) -> Tensor:
        """All targets as member ``index`` sees them: class codes, or float32 ones, standardised. ``(sample,)``"""
        if self.regression:
            return ((self.targets - self.centre[index]) / self.width[index]).float()
        return self.targets

    def weight(self, index: int) -> Tensor | None:
        """All weights of member ``index``, float32, with mean 1 over its training part. ``(sample,)``"""
        return None if self.weights is None else (self._weights(index) / self.level[index]).float()

    def next(self, batch: int) -> Batch:
        """The next batch of every member."""
        rows = self._rows(batch)
        flat = rows.flatten()
        x = self.inputs.index_select(0, flat).view(*rows.shape, *self.inputs.shape[1:])
        if self.augment is not None:
            x = torch.stack([_augmented(self.augment, *each) for each in zip(x, self.augmenters, strict=True)])
        if self.standardize:
            x = self._scaled(x, self.mean[:, None], self.inverse[:, None])
        y = self.targets.index_select(0, flat).view(rows.shape)
        if self.regression:
            y = ((y - self.centre[:, None]) / self.width[:, None]).float()
        if self.weights is None:
            return Batch(x, y, None, rows)
        drawn = self.weights[rows] if self.weights.ndim == 1 else self.weights.gather(1, rows)
        return Batch(x, y, (drawn / self.level[:, None]).float(), rows)

    def _rows(self, batch: int) -> Tensor:
        """The samples of the next batch, ``(member, row)``, of which many are drawn at once."""
        if not len(self.ahead):
            drawn = [take(batch * _STEPS_AHEAD).view(_STEPS_AHEAD, batch) for take in self.orders]
            self.ahead = torch.stack(drawn, dim=1).to(self.inputs.device)
        rows, self.ahead = self.ahead[0], self.ahead[1:]
        return rows

    def rows(self, index: int, rows: Tensor) -> Tensor:
        """Inputs of some rows as member ``index`` sees them."""
        x = self.inputs.index_select(0, rows.to(self.inputs.device))
        return self._scaled(x, self.mean[index], self.inverse[index]) if self.standardize else x

    def _weights(self, index: int) -> Tensor:
        assert self.weights is not None
        return self.weights if self.weights.ndim == 1 else self.weights[index]

    def _scaled(self, x: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
        flat = ((x.flatten(x.ndim - self.inputs.ndim + 1) - mean) * inverse).clamp(-_FAR, _FAR)
        # Missing values take the training mean, which is zero here.
        return (flat.nan_to_num(0.0) if self.missing else flat).view_as(x)


def _augmented(augment: Augment, x: Tensor, own: torch.Generator) -> Tensor:
    shape, kind = x.shape, (x.dtype, x.device)
    found = augment(x, own)
    if not isinstance(found, Tensor):
        raise InputError(f"augment must return the batch as a tensor. Got {type(found).__name__}")
    if found.shape != shape or (found.dtype, found.device) != kind:
        raise InputError(
            f"augment must keep the batch's shape, type and device: {tuple(shape)}, {kind[0]}, {kind[1]}. It returned "
            f"{tuple(found.shape)}, {found.dtype}, {found.device}"
        )
    return found.detach()


def _mean_and_scale(x: Tensor, rows: Tensor) -> tuple[Float64[Tensor, " feature"], Float64[Tensor, " feature"]]:
    """Of the known values in some rows, block by block: a copy of a large training part, in float64, would be larger."""
    blocks = torch.split(rows, _BLOCK_ROWS)
    count = torch.stack([(~x[block].isnan()).sum(0) for block in blocks]).sum(0).clamp(min=1)
    total = torch.stack([x[block].nan_to_num(0.0).sum(0, dtype=torch.float64) for block in blocks]).sum(0)
    mean = total / count
    squares = [(x[block].double() - mean).nan_to_num(0.0).square().sum(0) for block in blocks]
    square = torch.stack(squares).sum(0) / count
    scale = square.sqrt()
    # A constant feature carries nothing; dividing by its rounding noise would blow it up.
    return mean, torch.where(scale > 1e-7 * mean.abs().clamp(min=1e-30), scale, 1.0)
