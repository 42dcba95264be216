"""What is kept of held-out predictions: running moments per sample, so that memory does not grow with the views."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.io.memmap import ArrayAllocator, row_blocks
from hardsight.measures import bias_variance as decompose
from hardsight.measures import control_variate as covariate
from hardsight.measures import reliability
from hardsight.measures.bias_variance import Decomposition
from hardsight.measures.control_variate import ControlVariateEstimate, HalfEstimate

Loss = Literal["log", "brier", "zero-one", "squared", "own"]
"""How predictions are judged; "own": the learner says so itself, and its views hold losses in place of predictions."""
_FIELDS = ("count", "mean", "spread")
_ALL = slice(None)


class RunningMoments:
    """Count, mean and summed squared deviation of a value per sample, by Welford's update.

    ``spread`` is summed over the value's axes: for a probability vector it is the sum of squared distances to the mean.

    >>> m = RunningMoments(2)
    >>> for view in ([1.0, 5.0], [3.0, 5.0]):
    ...     m.add(torch.arange(2), torch.tensor(view, dtype=torch.float64))
    >>> m.mean.tolist(), m.spread.tolist()
    ([2.0, 5.0], [2.0, 0.0])

    Args:
        samples: how many.
        value: shape of the value.
        zeros: makes the arrays.

    Welford 1962, *Note on a method for calculating corrected sums of squares*; Chan et al. 1979 for :meth:`merge`.
    """

    def __init__(self, samples: int, *value: int, zeros: Callable[..., Tensor] = torch.zeros) -> None:
        self.count = zeros(samples, dtype=torch.int64)
        self.mean = zeros(samples, *value, dtype=torch.float64)
        self.spread = zeros(samples, dtype=torch.float64)

    def add(self, rows: Int64[Tensor, " row"], values: Float64[Tensor, " row *value"]) -> None:
        """Take in one view of the samples at ``rows``; each row may stand there once."""
        self.count[rows] += 1
        before = self.mean[rows]
        after = before + (values - before) / _column(self.count[rows], values)
        self.mean[rows] = after
        self.spread[rows] += _total((values - before) * (values - after))

    def merge(self, other: "RunningMoments") -> None:
        """Take in what ``other`` has seen of the same samples. Order does not matter, beyond rounding."""
        for at in row_blocks(len(self.count), self.mean[:1].numel()):
            count = self.count[at] + other.count[at]
            gap = other.mean[at] - self.mean[at]
            share = other.count[at].double() / count.clamp(min=1)
            self.mean[at] += gap * _column(share, gap)
            self.spread[at] = self.spread[at] + other.spread[at] + _total(gap.square()) * self.count[at] * share
            self.count[at] = count

    @property
    def standard_error(self) -> Float64[Tensor, " sample"]:
        """Standard error of the mean; NaN where fewer than two views were seen."""
        views = self.count.double()
        return torch.where(self.count > 1, (self.spread / (views - 1) / views).sqrt(), torch.nan)


def _column(factor: Tensor, like: Tensor) -> Tensor:
    return factor.view(-1, *(1 for _ in like.shape[1:]))


def _total(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1) if values.ndim > 1 else values


def loss_of(
    loss: str, predictions: Float64[Tensor, " row *class"], labels: Tensor, classes: int | None
) -> Float64[Tensor, " row"]:
    """The loss of every row of a view.

    Args:
        loss: a :data:`Loss`.
        predictions: log-probabilities, predicted targets, or losses.
        labels: class codes, or targets, ``(row,)``.
        classes: number of classes; None for regression.
    """
    if loss == "own":
        return predictions
    if loss == "log":
        return -predictions.log_softmax(1).gather(1, labels[:, None]).squeeze(1)
    return _values(predictions, labels, classes)[loss]


def _values(
    predictions: Float64[Tensor, " row *class"], labels: Tensor, classes: int | None
) -> dict[str, Float64[Tensor, " row *value"]]:
    if classes is None:
        return {"prediction": predictions, "squared": (predictions - labels).square()}
    log_prob = predictions.log_softmax(1)
    prob = log_prob.exp()
    one_hot = torch.nn.functional.one_hot(labels, classes)
    vote = torch.nn.functional.one_hot(log_prob.argmax(1), classes).double()
    own = one_hot.bool()
    return {
        "log_prob": log_prob,
        "prob": prob,
        "vote": vote,
        "log": -log_prob[own],
        "brier": (prob - one_hot).square().sum(1),
        "zero-one": 1 - vote[own],
    }


class HeldOut:
    """Running moments of the held-out predictions of every sample.

    Classification keeps the mean log-probability, the mean probability with its spread, the votes and the three losses;
    regression keeps the prediction and the squared error; views that are losses are kept as such, and then there is an
    error, but neither bias nor variance. The losses are also kept for two halves of the views. That is
    about ``8 (4 classes + 33)`` bytes a sample, whatever the number of views, and 48 more with in-sample losses. It lies
    in memory or, where that has no room, in temporary files; see :class:`hardsight.io.memmap.ArrayAllocator`.

    Args:
        labels: class codes (int64) for classification, targets (float64) for regression, one a sample.
        classes: number of classes; None for regression.
        in_sample: the loss that is kept of the samples that members were trained on, too; None for none.
        loss_only: views hold losses; labels are not read, and classes must be None.

    Attributes:
        notice: where all of it lies, if in files.

    Raises:
        InputError: there is no room for it.
    """

    def __init__(
        self, labels: Tensor, classes: int | None, in_sample: Loss | None = None, *, loss_only: bool = False
    ) -> None:
        self.labels, self.classes, self.loss_only = labels, classes, loss_only
        n = len(labels)
        values: dict[str, tuple[int, ...]] = (
            {"own": ()}
            if loss_only
            else {"prediction": (), "squared": ()}
            if classes is None
            else {
                "log_prob": (classes,),
                "prob": (classes,),
                "vote": (classes,),
                "log": (),
                "brier": (),
                "zero-one": (),
            }
        )
        halved = [name for name in values if name in get_args(Loss)]
        by_half = 3 * 2 * (len(halved) + (in_sample is not None))
        numbers = sum(2 + math.prod(value) for value in values.values()) + by_half + (classes or 0)
        arrays = ArrayAllocator(8 * n * numbers)
        self.notice, zeros = arrays.notice, arrays.zeros
        self.moments = {name: RunningMoments(n, *value, zeros=zeros) for name, value in values.items()}
        self.halves = tuple({name: RunningMoments(n, zeros=zeros) for name in halved} for _ in range(2))
        self.in_sample = in_sample
        self.seen = () if in_sample is None else (RunningMoments(n, zeros=zeros), RunningMoments(n, zeros=zeros))
        # Made now, so that a run does not find at its end that there is no room for it.
        self._consensus = None if classes is None else zeros(n, classes, dtype=torch.float64)

    @property
    def count(self) -> Int64[Tensor, " sample"]:
        """How many held-out views each sample has."""
        return next(iter(self.moments.values())).count

    def add(self, rows: Int64[Tensor, " row"], predictions: Float64[Tensor, " row *class"], turn: int = 0) -> None:
        """Take in one view.

        Args:
            rows: samples that it judges, each once.
            predictions: log-probabilities ``(row, class)``, predicted targets ``(row,)``, or losses ``(row,)``.
            turn: views of even and of odd turns are the halves of :meth:`reliability`.
        """
        half = self.halves[turn % 2]
        for at in self._blocks(len(rows)):
            for name, value in self._values(predictions[at], self.labels[rows[at]]).items():
                self.moments[name].add(rows[at], value)
                if name in half:
                    half[name].add(rows[at], value)

    def add_in_sample(
        self, rows: Int64[Tensor, " row"], predictions: Float64[Tensor, " row *class"], turn: int
    ) -> None:
        """Take in what one member predicts for samples that it was trained on; arguments as those of :meth:`add`."""
        for at in self._blocks(len(rows)):
            losses = loss_of(str(self.in_sample), predictions[at], self.labels[rows[at]], self.classes)
            self.seen[turn % 2].add(rows[at], losses)

    def add_in_sample_losses(self, rows: Int64[Tensor, " row"], losses: Float64[Tensor, " row"], turn: int) -> None:
        """Take in the same as :meth:`add_in_sample`, where :func:`loss_of` was asked already."""
        for at in self._blocks(len(rows)):
            self.seen[turn % 2].add(rows[at], losses[at])

    def _values(
        self, predictions: Float64[Tensor, " row *class"], labels: Tensor
    ) -> dict[str, Float64[Tensor, " row *value"]]:
        return {"own": predictions} if self.loss_only else _values(predictions, labels, self.classes)

    def _blocks(self, rows: int) -> Iterator[slice]:
        return row_blocks(rows, self.classes or 1)

    def merge(self, other: "HeldOut") -> None:
        """Take in the views of another record of the same samples."""
        for mine, theirs in zip(self._parts().values(), other._parts().values(), strict=True):
            mine.merge(theirs)

    def _parts(self) -> dict[str, RunningMoments]:
        halves = {f"{name} {half}": m for half, held in enumerate(self.halves) for name, m in held.items()}
        return self.moments | halves | {f"seen {half}": m for half, m in enumerate(self.seen)}

    def state(self) -> dict[str, Tensor]:
        """Everything that was taken in, by name: the arrays themselves. Who fills those of a new record restores it."""
        return {f"{part}/{field}": getattr(m, field) for part, m in self._parts().items() for field in _FIELDS}

    @classmethod
    def from_views(
        cls,
        labels: Tensor,
        classes: int | None,
        views: Iterable[tuple[Int64[Tensor, " row"], Float64[Tensor, " row *class"], int]],
    ) -> "HeldOut":
        """The record of an iterable of ``(rows, predictions, turn)``."""
        record = cls(labels, classes)
        for rows, predictions, turn in views:
            record.add(rows, predictions, turn)
        return record

    def decompose(self, loss: Loss) -> Decomposition:
        """Error, bias and variance of every sample under ``loss``; the latter two are NaN where views are losses."""
        n = len(self.labels)
        # Made first: small results kept between the blocks' large ones would keep the memory of those from being used again.
        whole = Decomposition(*(torch.empty(n, dtype=torch.float64) for _ in Decomposition._fields))
        for at in self._blocks(n):
            for column, part in zip(whole, self._decomposed(loss, at), strict=True):
                column[at] = part
        return whole

    def _decomposed(self, loss: Loss, at: slice) -> Decomposition:
        label = self.labels[at]
        if self.loss_only:
            error = self.moments["own"].mean[at]
            unknown = torch.full_like(error, torch.nan)
            return Decomposition(error, unknown, unknown)
        if self.classes is None:
            seen = self.moments["prediction"]
            return decompose.squared(seen.mean[at], seen.spread[at], label, seen.count[at])
        if loss == "log":
            seen = self.moments["log_prob"]
            return decompose.log_loss(seen.mean[at], label, seen.count[at])
        if loss == "brier":
            seen = self.moments["prob"]
            return decompose.brier(seen.mean[at], seen.spread[at], label, seen.count[at])
        return decompose.zero_one(self.votes(at), label, self.count[at])

    def standard_error(self, loss: Loss) -> Float64[Tensor, " sample"]:
        """Standard error of the mean loss over views; optimistic, because the members of one repeat share data."""
        return self.moments[loss].standard_error

    @property
    def in_sample_loss(self) -> Float64[Tensor, " sample"] | None:
        """Mean in-sample loss; None where some sample has none."""
        if not self.seen:
            return None
        first, second = self.seen
        count = first.count + second.count
        if not bool((count > 0).all()):
            return None
        found: Tensor = (first.mean * first.count + second.mean * second.count) / count
        return found

    def reliability(self, loss: Loss) -> float:
        """Reliability of the ranking by the mean loss, from its halves; see :mod:`hardsight.measures.reliability`."""
        first, second = (torch.where(half[loss].count > 0, half[loss].mean, torch.nan) for half in self.halves)
        return reliability.ranking_reliability(first, second)

    def control_variate_estimate(self, loss: Loss) -> ControlVariateEstimate:
        """Errors that lean on the in-sample losses, where that helps; see :mod:`hardsight.measures.control_variate`.

        Raises:
            ValueError: the in-sample losses under ``loss`` were not kept.
        """
        if loss != self.in_sample:
            raise ValueError(loss)
        first, second = (
            HalfEstimate(
                half[loss].mean.numpy(), half[loss].count.numpy(), torch.where(s.count > 0, s.mean, torch.nan).numpy()
            )
            for half, s in zip(self.halves, self.seen, strict=True)
        )
        return covariate.estimate_with_control_variate(first, second)

    def votes(self, at: slice = _ALL) -> Float64[Tensor, "sample class"]:
        """Share of the held-out views that predict each class; equal counts give exactly equal shares.

        Args:
            at: samples that are asked for.
        """
        seen = self.moments["vote"]
        views = seen.count[at].clamp(min=1)[:, None]
        return (seen.mean[at] * views).round() / views

    @property
    def majority(self) -> Int64[Tensor, " sample"]:
        """The class with most votes, the lowest one on a tie."""
        found = torch.empty_like(self.labels)
        for at in self._blocks(len(found)):
            found[at] = self.votes(at).argmax(1)
        return found

    @property
    def consensus(self) -> Float64[Tensor, "sample class"]:
        """Log-probabilities of the dual mean of the held-out predictions (their normalised geometric mean).

        One array of the record, written anew whenever it is asked for.

        Raises:
            ValueError: there are no classes.
        """
        if self._consensus is None:
            raise ValueError("consensus")
        mean = self.moments["log_prob"].mean
        for at in self._blocks(len(mean)):
            self._consensus[at] = mean[at].log_softmax(1)
        return self._consensus
