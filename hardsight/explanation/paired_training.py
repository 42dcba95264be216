"""Training with and without weights: the same models twice or more, which differ by the weights of their samples alone.

The members of all arms share their splits, their seeds, and with them initial weights and batches, as far as the
learner draws from its seed alone. So two arms with equal weights say exactly the same, and what arms say apart is
what weights do.
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
from hardsight.measures.held_out import Loss, loss_of
from hardsight.resampling.plan import Plan

# Members of an arm that are trained before the next arm's turn.
_MEMBERS_A_PART = 25


class Said(NamedTuple):
    """What the models of one arm said of samples that they had not seen; a row a judgement.

    Attributes:
        loss: ``(judgement,)``.
        right: 1 where the label is predicted, else 0; NaN in regression. ``(judgement,)``
        margin: log-probability of the label less the largest other; NaN in regression. ``(judgement,)``
    """

    loss: np.ndarray
    right: np.ndarray
    margin: np.ndarray


class Arms(NamedTuple):
    """The judgements of all arms, in the same order.

    Attributes:
        sample: position of the sample that is judged, ``(judgement,)``.
        model: number of the model that judges it, the same in all arms. ``(judgement,)``
        without: of the models trained without the weights.
        by: of those trained with weights, by the name of the weights.
        notices: what was warned of, each text once.
    """

    sample: np.ndarray
    model: np.ndarray
    without: Said
    by: dict[str, Said]
    notices: list[str]


def train(
    learner: Learner,
    samples: Samples,
    weights: Mapping[str, np.ndarray],
    plan: Plan,
    loss: Loss,
    backend: Backend,
    tick: OnProgress,
) -> Arms:
    """Train a plan once without weights, and once with each of ``weights``.

    Args:
        learner: takes weights.
        samples: weights of their own count in every arm.
        weights: ``(sample,)`` each.
        plan: who judges whom, with what seeds.
        loss: how predictions are judged.
        backend: where to train.
        tick: told of progress, in models.

    Raises:
        LearnerError: a model failed, or predicts what is no number.
    """
    own = np.ones(len(samples)) if samples.weights is None else samples.weights
    # Ones in place of none: some learners take another way where there are no weights.
    variants = [replace(samples, weights=own), *(replace(samples, weights=own * each) for each in weights.values())]
    heard: list[_Heard] = [_Heard(samples, loss) for _ in variants]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for each, variant in zip(heard, variants, strict=True):
            for view in _views(learner, variant, _parts(plan), backend, tick):
                each.add(view, learner.name)
    told = list(dict.fromkeys(f"{one.category.__name__}: {first_line(_fault(one))}" for one in caught))
    first, *others = (each.said() for each in heard)
    sample, model = heard[0].judged()
    return Arms(sample, model, first, dict(zip(weights, others, strict=True)), told)


class _Heard:
    """Collects what one arm says, view by view."""

    def __init__(self, samples: Samples, loss: Loss) -> None:
        self._labels = as_tensor(samples.labels)
        self._classes = None if samples.classes is None else len(samples.classes)
        self._loss, self._ids = loss, samples.ids
        self._rows: list[np.ndarray] = []
        self._said: list[Said] = []

    def add(self, view: Predictions, name: str) -> None:
        labels, rows = self._labels[view.rows], view.rows.numpy()
        losses = loss_of(self._loss, view.values, labels, self._classes).numpy()
        if not np.isfinite(losses).all():
            odd = self._ids[rows[np.flatnonzero(~np.isfinite(losses))[0]]].item()
            raise LearnerError(
                f"{name} predicts no number for sample {odd!r} when trained with weights: scale the features, clip the "
                "weights, or use another learner"
            )
        margin = _margins(view.values, labels) if self._classes else np.full(len(rows), np.nan)
        right = np.where(np.isnan(margin), np.nan, margin > 0)
        self._rows.append(rows)
        self._said.append(Said(losses, right, margin))

    def said(self) -> Said:
        return Said(*map(np.concatenate, zip(*self._said, strict=True)))

    def judged(self) -> tuple[np.ndarray, np.ndarray]:
        sizes = [len(rows) for rows in self._rows]
        return np.concatenate(self._rows), np.repeat(np.arange(len(sizes)), sizes)


def _margins(log_prob: Tensor, labels: Tensor) -> np.ndarray:
    own = log_prob.gather(1, labels[:, None])
    others = log_prob.scatter(1, labels[:, None], -torch.inf)
    found: np.ndarray = (own.squeeze(1) - others.max(1).values).numpy()
    return found


def _views(
    learner: Learner, samples: Samples, parts: Sequence[Plan], backend: Backend, tick: OnProgress
) -> Iterator[Predictions]:
    with closing(backend.carry(learner, samples, parts, tick)) as carried:
        for _ in parts:
            yield from next(carried)


def _parts(plan: Plan) -> list[Plan]:
    members = plan.n_models if plan.rounds else plan.repeats
    size = max(1, round(_MEMBERS_A_PART * plan.repeats / max(members, 1)))
    return [plan.select(range(turn, min(turn + size, plan.repeats))) for turn in range(0, plan.repeats, size)]


def _fault(warning: warnings.WarningMessage) -> Warning:
    message = warning.message
    return message if isinstance(message, Warning) else UserWarning(message)
