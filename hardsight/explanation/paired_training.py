"""Training with and without weights: pairs of models that differ only in the weights of their training samples.

The models of all arms share their splits and seeds, and so their initial weights and batches, as far as the learner draws
only from its seed. Two arms with equal weights therefore predict exactly the same, and differences between arms are the
effect of the weights.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import LearnerError, first_line
from hardsight.estimation.backends import Backend
from hardsight.learners import Learner, OnProgress, Predictions
from hardsight.learners.base import as_tensor
from hardsight.measures.losses import Loss, loss_of
from hardsight.resampling.plan import Plan

# Models of an arm that are trained at a time.
_MODELS_PER_PART = 25


class ArmPredictions(NamedTuple):
    """Held-out predictions of one arm, one row per (sample, model)."""

    loss: np.ndarray  # (row,)
    right: np.ndarray  # 1 if the label is predicted, else 0; NaN in regression. (row,)
    margin: np.ndarray  # log-probability of the label minus the largest other one; NaN in regression. (row,)


class PairedPredictions(NamedTuple):
    """The held-out predictions of all arms, in the same order."""

    sample: np.ndarray  # row number of the predicted sample, (row,)
    model: np.ndarray  # index of the model, the same in all arms, (row,)
    without: ArmPredictions
    by: dict[str, ArmPredictions]
    notices: list[str]


def train_arms(
    learner: Learner,
    samples: Samples,
    weights: Mapping[str, np.ndarray],
    plan: Plan,
    loss: Loss,
    backend: Backend,
    on_progress: OnProgress,
) -> PairedPredictions:
    """Train a plan once without weights, and once with each of ``weights``.

    Args:
        samples: their own weights count in every arm.
        weights: ``(sample,)`` each.

    Raises:
        LearnerError: a model failed, or a prediction is not finite.
    """
    own = np.ones(len(samples)) if samples.weights is None else samples.weights
    # Ones rather than None, because some learners use another algorithm without weights.
    variants = [replace(samples, weights=own), *(replace(samples, weights=own * each) for each in weights.values())]
    collectors = [_Collector(samples, loss) for _ in variants]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for collector, variant in zip(collectors, variants, strict=True):
            for predictions in _run(learner, variant, _parts(plan), backend, on_progress):
                collector.add(predictions, learner.name)
    notices = list(dict.fromkeys(f"{each.category.__name__}: {first_line(_as_warning(each))}" for each in caught))
    first, *others = (collector.predictions() for collector in collectors)
    sample, model = collectors[0].rows()
    return PairedPredictions(sample, model, first, dict(zip(weights, others, strict=True)), notices)


class _Collector:
    """Collects the predictions of one arm, model by model."""

    def __init__(self, samples: Samples, loss: Loss) -> None:
        self._labels = as_tensor(samples.labels)
        self._classes = None if samples.classes is None else len(samples.classes)
        self._loss, self._ids = loss, samples.ids
        self._rows: list[np.ndarray] = []
        self._predictions: list[ArmPredictions] = []

    def add(self, predictions: Predictions, learner: str) -> None:
        labels, rows = self._labels[predictions.rows], predictions.rows.numpy()
        losses = loss_of(self._loss, predictions.values, labels, self._classes).numpy()
        invalid = np.flatnonzero(~np.isfinite(losses))
        if len(invalid):
            raise LearnerError(
                f"{learner} does not predict a finite number for sample {self._ids[rows[invalid[0]]].item()!r} when "
                "trained with weights: scale the features, clip the weights, or use another learner"
            )
        margin = _margins(predictions.values, labels) if self._classes else np.full(len(rows), np.nan)
        right = np.where(np.isnan(margin), np.nan, margin > 0)
        self._rows.append(rows)
        self._predictions.append(ArmPredictions(losses, right, margin))

    def predictions(self) -> ArmPredictions:
        return ArmPredictions(*map(np.concatenate, zip(*self._predictions, strict=True)))

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        sizes = [len(rows) for rows in self._rows]
        return np.concatenate(self._rows), np.repeat(np.arange(len(sizes)), sizes)


def _margins(log_prob: Tensor, labels: Tensor) -> np.ndarray:
    own = log_prob.gather(1, labels[:, None])
    others = log_prob.scatter(1, labels[:, None], -torch.inf)
    margins: np.ndarray = (own.squeeze(1) - others.max(1).values).numpy()
    return margins


def _run(
    learner: Learner, samples: Samples, parts: Sequence[Plan], backend: Backend, on_progress: OnProgress
) -> Iterator[Predictions]:
    with closing(backend.run(learner, samples, parts, on_progress)) as predictions_of_parts:
        for _ in parts:
            yield from next(predictions_of_parts)


def _parts(plan: Plan) -> list[Plan]:
    n_models = plan.n_models if plan.rounds else plan.repeats
    size = max(1, round(_MODELS_PER_PART * plan.repeats / max(n_models, 1)))
    return [plan.select(range(first, min(first + size, plan.repeats))) for first in range(0, plan.repeats, size)]


def _as_warning(caught: warnings.WarningMessage) -> Warning:
    message = caught.message
    return message if isinstance(message, Warning) else UserWarning(message)
