"""Held-out predictions as running moments per sample, so that memory does not grow with the number of views."""

import math
from collections.abc import Iterable, Iterator
from typing import get_args

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.io.memmap import ArrayAllocator, row_blocks
from hardsight.measures import bias_variance
from hardsight.measures.bias_variance import Decomposition
from hardsight.measures.control_variate import ControlVariateEstimate, HalfEstimate, estimate_with_control_variate
from hardsight.measures.losses import Loss, loss_of, prediction_values
from hardsight.measures.part_sums import PartSums
from hardsight.measures.reliability import ranking_reliability
from hardsight.measures.running import RunningMoments

_ALL = slice(None)


class HeldOut:
    """Running moments of the held-out predictions of every sample.

    For classification, these are the mean log-probability, the mean probability with its spread, the votes and the three
    losses; for regression, the prediction and the squared error. If views hold losses, only these are kept: there is an
    error then, but neither bias nor variance. The losses are also kept for two halves of the views. This takes about
    ``8 (4 classes + 33)`` bytes per sample, whatever the number of views, and 48 more with in-sample losses, in memory or,
    if that is too small, in temporary files; see :class:`hardsight.io.memmap.ArrayAllocator`.

    Args:
        labels: class codes (int64) for classification, targets (float64) for regression, one per sample.
        classes: number of classes; None for regression.
        in_sample: the loss that is also kept for the samples that models were trained on; None for none.
        loss_only: views hold losses; labels are not read, and ``classes`` must be None.
        part_of: number of each row's sample, ``(row,)`` int64, if rows are parts of samples: the losses are then also summed
            over the parts of each sample, view by view.

    Attributes:
        notice: where the arrays are stored, if in files; otherwise None.

    Raises:
        InputError: neither memory nor the temporary folder has room for the arrays.
    """

    def __init__(
        self,
        labels: Tensor,
        classes: int | None,
        in_sample: Loss | None = None,
        *,
        loss_only: bool = False,
        part_of: Tensor | None = None,
    ) -> None:
        self.labels, self.classes, self.in_sample, self.loss_only = labels, classes, in_sample, loss_only
        n, shapes = len(labels), _value_shapes(classes, loss_only)
        losses = [name for name in shapes if name in get_args(Loss)]
        # Numbers per sample: count, spread and mean of each value, three per loss and half, and the consensus.
        numbers = sum(2 + math.prod(shape) for shape in shapes.values()) + (classes or 0)
        numbers += 3 * 2 * (len(losses) + (in_sample is not None))
        n_sums = 0 if part_of is None else len(torch.bincount(part_of))
        allocator = ArrayAllocator(8 * (n * numbers + n_sums * 3 * len(losses)))
        self.notice, zeros = allocator.notice, allocator.zeros
        self.moments = {name: RunningMoments(n, *shape, zeros=zeros) for name, shape in shapes.items()}
        self.halves = tuple({name: RunningMoments(n, zeros=zeros) for name in losses} for _ in range(2))
        self.in_sample_halves = tuple(RunningMoments(n, zeros=zeros) for _ in range(0 if in_sample is None else 2))
        self.part_sums = None if part_of is None else PartSums(part_of, losses, zeros)
        # Allocated now, so that a run does not fail at its end for lack of room.
        self._consensus = None if classes is None else zeros(n, classes, dtype=torch.float64)

    @classmethod
    def from_views(
        cls,
        labels: Tensor,
        classes: int | None,
        views: Iterable[tuple[Int64[Tensor, " row"], Float64[Tensor, " row *class"], int]],
        *,
        loss_only: bool = False,
        part_of: Tensor | None = None,
    ) -> "HeldOut":
        """Build it from an iterable of ``(rows, predictions, repeat)``."""
        record = cls(labels, classes, loss_only=loss_only, part_of=part_of)
        for rows, predictions, repeat in views:
            record.add(rows, predictions, repeat)
        return record

    @property
    def count(self) -> Int64[Tensor, " sample"]:
        """Number of held-out views of each sample."""
        return next(iter(self.moments.values())).count

    def add(self, rows: Int64[Tensor, " row"], predictions: Float64[Tensor, " row *class"], repeat: int = 0) -> None:
        """Add one view.

        Args:
            rows: the samples that it predicts, each once.
            predictions: log-probabilities ``(row, class)``, predicted targets ``(row,)``, or losses ``(row,)``.
            repeat: views of even and of odd repeats are the halves of :meth:`reliability`.
        """
        half = self.halves[repeat % 2]
        sums = self.part_sums
        losses = {} if sums is None else {name: torch.empty(len(rows), dtype=torch.float64) for name in sums.moments}
        for block in self._blocks(len(rows)):
            for name, value in self._values(predictions[block], self.labels[rows[block]]).items():
                self.moments[name].add(rows[block], value)
                if name in half:
                    half[name].add(rows[block], value)
                if name in losses:
                    losses[name][block] = value
        if sums is not None:
            sums.add(rows, losses)

    def add_in_sample(self, rows: Int64[Tensor, " row"], predictions: Float64[Tensor, " row *class"], repeat: int) -> None:
        """Add a model's predictions for samples that it was trained on; arguments as in :meth:`add`."""
        for block in self._blocks(len(rows)):
            losses = loss_of(str(self.in_sample), predictions[block], self.labels[rows[block]], self.classes)
            self.in_sample_halves[repeat % 2].add(rows[block], losses)

    def add_in_sample_losses(self, rows: Int64[Tensor, " row"], losses: Float64[Tensor, " row"], repeat: int) -> None:
        """Add the same as :meth:`add_in_sample`, with :func:`loss_of` already computed."""
        for block in self._blocks(len(rows)):
            self.in_sample_halves[repeat % 2].add(rows[block], losses[block])

    def _values(
        self, predictions: Float64[Tensor, " row *class"], labels: Tensor
    ) -> dict[str, Float64[Tensor, " row *value"]]:
        return {"own": predictions} if self.loss_only else prediction_values(predictions, labels, self.classes)

    def _blocks(self, rows: int) -> Iterator[slice]:
        return row_blocks(rows, self.classes or 1)

    def take(self, rows: Int64[Tensor, " row"]) -> "HeldOut":
        """Return the views of some samples, in that order, without the sums of their parts."""
        taken = HeldOut(self.labels[rows], self.classes, self.in_sample, loss_only=self.loss_only)
        state = self.state()
        for name, values in taken.state().items():
            values.copy_(state[name][rows])
        return taken

    def merge(self, other: "HeldOut") -> None:
        """Add the views of another record of the same samples."""
        for mine, theirs in zip(self._all_moments().values(), other._all_moments().values(), strict=True):
            mine.merge(theirs)

    def _all_moments(self) -> dict[str, RunningMoments]:
        halves = {f"{name} {number}": moments for number, half in enumerate(self.halves) for name, moments in half.items()}
        in_sample = {f"in-sample {number}": moments for number, moments in enumerate(self.in_sample_halves)}
        sums = {} if self.part_sums is None else {f"sum {name}": each for name, each in self.part_sums.moments.items()}
        return self.moments | halves | in_sample | sums

    def state(self) -> dict[str, Tensor]:
        """Return all arrays by name, not copied: filling those of a new record restores it."""
        return {
            f"{name}/{column}": values
            for name, moments in self._all_moments().items()
            for column, values in moments.state().items()
        }

    def decompose(self, loss: Loss) -> Decomposition:
        """Return error, bias and variance of every sample; the latter two are NaN if views hold losses."""
        n = len(self.labels)
        # Allocated first: small results between the blocks' large arrays would keep that memory from being reused.
        whole = Decomposition(*(torch.empty(n, dtype=torch.float64) for _ in Decomposition._fields))
        for block in self._blocks(n):
            for column, part in zip(whole, self._decompose_block(loss, block), strict=True):
                column[block] = part
        return whole

    def _decompose_block(self, loss: Loss, block: slice) -> Decomposition:
        labels = self.labels[block]
        if self.loss_only:
            error = self.moments["own"].mean[block]
            unknown = torch.full_like(error, torch.nan)
            return Decomposition(error, unknown, unknown)
        if loss == "zero-one":
            return bias_variance.zero_one(self.votes(block), labels, self.count[block])
        moments = self.moments["prediction" if self.classes is None else "log_prob" if loss == "log" else "prob"]
        mean, spread, count = moments.mean[block], moments.spread[block], moments.count[block]
        if self.classes is None:
            return bias_variance.squared(mean, spread, labels, count)
        if loss == "log":
            return bias_variance.log_loss(mean, labels, count)
        return bias_variance.brier(mean, spread, labels, count)

    def standard_error(self, loss: Loss) -> Float64[Tensor, " sample"]:
        """Return the standard error of the mean loss over views; optimistic, as the models of one repeat share data."""
        return self.moments[loss].standard_error

    def sample_standard_error(self, loss: Loss) -> Float64[Tensor, " row"] | None:
        """Return the standard error of the summed loss of each row's sample; None if rows are whole samples."""
        return None if self.part_sums is None else self.part_sums.standard_error(loss, self.count)

    @property
    def in_sample_loss(self) -> Float64[Tensor, " sample"] | None:
        """Mean in-sample loss; None if it was not kept or some sample has none."""
        if not self.in_sample_halves:
            return None
        first, second = self.in_sample_halves
        count = first.count + second.count
        if not bool((count > 0).all()):
            return None
        mean: Tensor = (first.mean * first.count + second.mean * second.count) / count
        return mean

    def reliability(self, loss: Loss) -> float:
        """Return the reliability of the ranking by the mean loss; see :mod:`hardsight.measures.reliability`."""
        first, second = (_mean_or_nan(half[loss]).numpy() for half in self.halves)
        return ranking_reliability(first, second)

    def control_variate_estimate(self, loss: Loss) -> ControlVariateEstimate:
        """Return errors that use the in-sample losses, if that helps; see :mod:`hardsight.measures.control_variate`.

        Raises:
            ValueError: the in-sample losses under ``loss`` were not kept.
        """
        if loss != self.in_sample:
            raise ValueError(loss)
        first, second = (
            HalfEstimate(half[loss].mean.numpy(), half[loss].count.numpy(), _mean_or_nan(in_sample).numpy())
            for half, in_sample in zip(self.halves, self.in_sample_halves, strict=True)
        )
        return estimate_with_control_variate(first, second)

    def votes(self, block: slice = _ALL) -> Float64[Tensor, "sample class"]:
        """Return the share of the held-out views that predict each class; equal counts give exactly equal shares."""
        moments = self.moments["vote"]
        views = moments.count[block].clamp(min=1)[:, None]
        return (moments.mean[block] * views).round() / views

    def count_votes(self, codes: Int64[Tensor, " sample"]) -> Int64[Tensor, " sample"]:
        """Return how many held-out views predict a class of each sample.

        Args:
            codes: the class asked about.
        """
        counts = torch.empty_like(codes)
        for block in self._blocks(len(codes)):
            share = self.votes(block).gather(1, codes[block][:, None]).squeeze(1)
            counts[block] = (share * self.count[block]).round().long()
        return counts

    @property
    def majority(self) -> Int64[Tensor, " sample"]:
        """The class with most votes, the lowest one on a tie."""
        majority = torch.empty_like(self.labels)
        for block in self._blocks(len(majority)):
            majority[block] = self.votes(block).argmax(1)
        return majority

    @property
    def consensus(self) -> Float64[Tensor, "sample class"]:
        """Log-probabilities of the dual mean of the held-out predictions (their normalised geometric mean).

        The array belongs to the record and is overwritten at every access.

        Raises:
            ValueError: there are no classes.
        """
        if self._consensus is None:
            raise ValueError("consensus")
        mean = self.moments["log_prob"].mean
        for block in self._blocks(len(mean)):
            self._consensus[block] = mean[block].log_softmax(1)
        return self._consensus


def _value_shapes(classes: int | None, loss_only: bool) -> dict[str, tuple[int, ...]]:
    """Return the shape of every value whose moments are kept, by name."""
    if loss_only:
        return {"own": ()}
    if classes is None:
        return {"prediction": (), "squared": ()}
    vectors, numbers = ("log_prob", "prob", "vote"), ("log", "brier", "zero-one")
    return dict.fromkeys(vectors, (classes,)) | dict.fromkeys(numbers, ())


def _mean_or_nan(moments: RunningMoments) -> Float64[Tensor, " sample"]:
    return torch.where(moments.count > 0, moments.mean, torch.nan)
