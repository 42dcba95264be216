"""What is kept of held-out predictions: running moments per sample, so that memory does not grow with the views."""

from collections.abc import Iterable
from typing import Literal, get_args

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight import covariate, decompose, reliability
from hardsight.covariate import Adjusted, Half
from hardsight.decompose import Decomposition

Loss = Literal["log", "brier", "zero-one", "squared"]
_FIELDS = ("count", "mean", "spread")


class Moments:
    """Count, mean and summed squared deviation of a value per sample, by Welford's update.

    ``spread`` is summed over the value's axes: for a probability vector it is the sum of squared distances to the mean.

    >>> m = Moments(2)
    >>> for view in ([1.0, 5.0], [3.0, 5.0]):
    ...     m.add(torch.arange(2), torch.tensor(view, dtype=torch.float64))
    >>> m.mean.tolist(), m.spread.tolist()
    ([2.0, 5.0], [2.0, 0.0])

    Welford 1962, *Note on a method for calculating corrected sums of squares*; Chan et al. 1979 for :meth:`merge`.
    """

    def __init__(self, samples: int, *value: int) -> None:
        self.count = torch.zeros(samples, dtype=torch.int64)
        self.mean = torch.zeros(samples, *value, dtype=torch.float64)
        self.spread = torch.zeros(samples, dtype=torch.float64)

    def add(self, rows: Int64[Tensor, " row"], values: Float64[Tensor, " row *value"]) -> None:
        """Take in one view of the samples at ``rows``; each row may stand there once."""
        self.count[rows] += 1
        before = self.mean[rows]
        after = before + (values - before) / _column(self.count[rows], values)
        self.mean[rows] = after
        self.spread[rows] += _total((values - before) * (values - after))

    def merge(self, other: "Moments") -> None:
        """Take in what ``other`` has seen of the same samples. Order does not matter, beyond rounding."""
        count = self.count + other.count
        gap = other.mean - self.mean
        share = other.count.double() / count.clamp(min=1)
        self.mean = self.mean + gap * _column(share, gap)
        self.spread = self.spread + other.spread + _total(gap.square()) * self.count * share
        self.count = count

    @property
    def standard_error(self) -> Float64[Tensor, " sample"]:
        """Standard error of the mean; NaN where fewer than two views were seen."""
        views = self.count.double()
        return torch.where(self.count > 1, (self.spread / (views - 1) / views).sqrt(), torch.nan)


def _column(factor: Tensor, like: Tensor) -> Tensor:
    return factor.view(-1, *(1 for _ in like.shape[1:]))


def _total(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1) if values.ndim > 1 else values


class HeldOut:
    """Running moments of the held-out predictions of every sample.

    Classification keeps the mean log-probability, the mean probability with its spread, the votes and the three losses;
    regression keeps the prediction and the squared error; the losses are also kept for two halves of the views. Memory is
    about ``24 (classes + 13)`` bytes a sample, whatever the number of views, and 48 more with in-sample losses.

    Args:
        labels: class codes (int64) for classification, targets (float64) for regression, one a sample.
        classes: number of classes; None for regression.
        in_sample: the loss that is kept of the samples that members were trained on, too; None for none.
    """

    def __init__(self, labels: Tensor, classes: int | None, in_sample: Loss | None = None) -> None:
        self.labels, self.classes = labels, classes
        n = len(labels)
        values: dict[str, tuple[int, ...]] = (
            {"prediction": (), "squared": ()}
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
        self.moments = {name: Moments(n, *value) for name, value in values.items()}
        self.halves = tuple({name: Moments(n) for name in values if name in get_args(Loss)} for _ in range(2))
        self.in_sample = in_sample
        self.seen = () if in_sample is None else (Moments(n), Moments(n))

    @property
    def count(self) -> Int64[Tensor, " sample"]:
        """How many held-out views each sample has."""
        return next(iter(self.moments.values())).count

    def add(self, rows: Int64[Tensor, " row"], predictions: Float64[Tensor, " row *class"], turn: int = 0) -> None:
        """Take in one view.

        Args:
            rows: samples that it judges, each once.
            predictions: log-probabilities ``(row, class)``, or predicted targets ``(row,)`` in regression.
            turn: views of even and of odd turns are the halves of :meth:`reliability`.
        """
        for name, value in self._values(rows, predictions).items():
            self.moments[name].add(rows, value)
            if name in self.halves[turn % 2]:
                self.halves[turn % 2][name].add(rows, value)

    def add_seen(self, rows: Int64[Tensor, " row"], predictions: Float64[Tensor, " row *class"], turn: int) -> None:
        """Take in what one member predicts for samples that it was trained on; arguments as those of :meth:`add`."""
        label = self.labels[rows]
        if self.in_sample == "log":
            loss = -predictions.log_softmax(1).gather(1, label[:, None]).squeeze(1)
        else:
            loss = self._values(rows, predictions)[str(self.in_sample)]
        self.seen[turn % 2].add(rows, loss)

    def _values(
        self, rows: Int64[Tensor, " row"], predictions: Float64[Tensor, " row *class"]
    ) -> dict[str, Float64[Tensor, " row *value"]]:
        label = self.labels[rows]
        if self.classes is None:
            return {"prediction": predictions, "squared": (predictions - label).square()}
        log_prob = predictions.log_softmax(1)
        prob = log_prob.exp()
        one_hot = torch.nn.functional.one_hot(label, self.classes)
        vote = torch.nn.functional.one_hot(log_prob.argmax(1), self.classes).double()
        own = one_hot.bool()
        return {
            "log_prob": log_prob,
            "prob": prob,
            "vote": vote,
            "log": -log_prob[own],
            "brier": (prob - one_hot).square().sum(1),
            "zero-one": 1 - vote[own],
        }

    def merge(self, other: "HeldOut") -> None:
        """Take in the views of another record of the same samples."""
        for mine, theirs in zip(self._parts().values(), other._parts().values(), strict=True):
            mine.merge(theirs)

    def _parts(self) -> dict[str, Moments]:
        halves = {f"{name} {half}": m for half, held in enumerate(self.halves) for name, m in held.items()}
        return self.moments | halves | {f"seen {half}": m for half, m in enumerate(self.seen)}

    def state(self) -> dict[str, Tensor]:
        """Everything that was taken in, by name; :meth:`restore` takes it back."""
        return {f"{part}/{field}": getattr(m, field) for part, m in self._parts().items() for field in _FIELDS}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take the place of what :meth:`state` gave of a record of the same samples.

        Raises:
            KeyError: a part is missing.
            ValueError: a part has another shape or type.
        """
        for part, moments in self._parts().items():
            for field in _FIELDS:
                found, mine = state[f"{part}/{field}"], getattr(moments, field)
                if found.shape != mine.shape or found.dtype != mine.dtype:
                    raise ValueError(f"{part}/{field}")
                setattr(moments, field, found)

    @classmethod
    def of(
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
        """Error, bias and variance of every sample under ``loss``."""
        if self.classes is None:
            seen = self.moments["prediction"]
            return decompose.squared(seen.mean, seen.spread, self.labels, seen.count)
        if loss == "log":
            seen = self.moments["log_prob"]
            return decompose.log_loss(seen.mean, self.labels, seen.count)
        if loss == "brier":
            seen = self.moments["prob"]
            return decompose.brier(seen.mean, seen.spread, self.labels, seen.count)
        return decompose.zero_one(self.votes, self.labels, self.count)

    def standard_error(self, loss: Loss) -> Float64[Tensor, " sample"]:
        """Standard error of the mean loss over views; optimistic, because the members of one repeat share data."""
        return self.moments[loss].standard_error

    def reliability(self, loss: Loss) -> float:
        """Reliability of the ranking by the mean loss, from its halves; see :mod:`hardsight.reliability`."""
        first, second = (torch.where(half[loss].count > 0, half[loss].mean, torch.nan) for half in self.halves)
        return reliability.ranking(first, second)

    def adjusted(self, loss: Loss) -> Adjusted:
        """Errors that lean on the in-sample losses, where that helps; see :mod:`hardsight.covariate`.

        Raises:
            ValueError: the in-sample losses under ``loss`` were not kept.
        """
        if loss != self.in_sample:
            raise ValueError(loss)
        first, second = (
            Half(half[loss].mean.numpy(), half[loss].count.numpy(), torch.where(s.count > 0, s.mean, torch.nan).numpy())
            for half, s in zip(self.halves, self.seen, strict=True)
        )
        return covariate.adjust(first, second)

    @property
    def votes(self) -> Float64[Tensor, "sample class"]:
        """Share of the held-out views that predict each class; equal counts give exactly equal shares."""
        seen = self.moments["vote"]
        views = seen.count.clamp(min=1)[:, None]
        return (seen.mean * views).round() / views

    @property
    def consensus(self) -> Float64[Tensor, "sample class"]:
        """Log-probabilities of the dual mean of the held-out predictions (their normalised geometric mean)."""
        return self.moments["log_prob"].mean.log_softmax(1)
