"""Carrying out a plan: a few turns at a time, until all are done, the ranking is reliable, or the budget is spent."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch

from hardsight.data import Samples
from hardsight.errors import InputError, LearnerError, first_line
from hardsight.estimation.backends import Backend, Serial
from hardsight.estimation.checkpoint import Checkpoint
from hardsight.io.memmap import row_blocks
from hardsight.learners import InSampleLosses, Learner, OnProgress, Predictions
from hardsight.measures.held_out import HeldOut, Loss
from hardsight.measures.record import Record
from hardsight.resampling.plan import Plan

# About as many members share a part as fill a stack of small networks; a constant, so that it changes no result.
MEMBERS_A_PART = 25
_HERE = Serial()


@dataclass(frozen=True)
class Until:
    """When a run ends before its plan does.

    Attributes:
        reliability: of the ranking by ``loss``, between 0 and 1; None: never because of it.
        seconds: budget of this process, kept as far as whole parts allow.
        judgements: views that every sample has before anything may end the run early.
        loss: whose ranking counts, and which is kept in-sample where the plan asks for that.
    """

    reliability: float | None = None
    seconds: float = float("inf")
    judgements: int = 2
    loss: Loss = "log"


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
        record: the held-out views of all turns done.
        turns: how many those are.
        ended: why it ended, in words.
        notices: what was warned of, each text once.
    """

    record: HeldOut
    turns: int
    ended: str
    notices: list[str]


def carry_out(
    learner: Learner,
    samples: Samples,
    plan: Plan,
    until: Until,
    tick: OnProgress,
    checkpoint: Checkpoint | None = None,
    *,
    resume: bool = False,
    backend: Backend = _HERE,
    own: Record | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Train and judge part by part.

    Parts are the same for every run of a plan, and a part depends on nothing but the plan, so a run that was stopped and
    resumed holds the same bytes as one that was not.

    Args:
        learner: who trains.
        samples: what is judged.
        plan: who judges whom.
        until: when to end early.
        tick: told of progress, in models.
        checkpoint: where to keep what is held after every part.
        resume: begin with what the checkpoint holds.
        backend: where to train; changes no byte.
        own: a record of the caller's that takes in every view, too, numbered as they come.
        clock: seconds.

    Raises:
        InputError: the checkpoint cannot be written or is of another run, or the budget ends before every sample is
            judged often enough.
        LearnerError: a model failed.
    """
    start, slowest, number = clock(), 0.0, 0
    record = HeldOut(
        torch.from_numpy(samples.labels),
        None if samples.classes is None else len(samples.classes),
        until.loss if plan.in_sample else None,
        loss_only=samples.loss_only,
    )
    turns, notices = (0, list[str]()) if checkpoint is None or not resume else checkpoint.restore(record)
    size = max(2, round(MEMBERS_A_PART * plan.repeats / max(_members(plan), 1)))
    tick(learner.n_models(plan.select(range(turns))))
    parts = [plan.select(range(turn, min(turn + size, plan.repeats))) for turn in range(turns, plan.repeats, size)]
    reduced = plan.in_sample and own is None and samples.classes is not None
    trained: Learner = InSampleLosses(learner, until.loss) if reduced else learner
    add_in_sample = record.add_in_sample_losses if reduced else record.add_in_sample
    with closing(backend.carry(trained, samples, parts, tick)) as carried:
        while (ended := _ended(record, turns, plan, until, clock() - start, slowest)) is None:
            began = clock()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                for view in _finite(next(carried), learner.name, samples.ids):
                    (add_in_sample if view.in_sample else record.add)(view.rows, view.values, view.repeat)
                    if own is not None:
                        _tell(own, number, view, samples)
                    number += 1
            _again(caught, notices)
            turns, slowest = min(turns + size, plan.repeats), max(slowest, clock() - began)
            if checkpoint is not None:
                checkpoint.save(record, turns, notices)
    return Outcome(record, turns, ended, notices)


def _tell(own: Record, number: int, view: Predictions, samples: Samples) -> None:
    at = view.rows.numpy()
    own.add(
        view=number, ids=samples.ids[at], logits=view.values, labels=samples.labels[at], held_out=not view.in_sample
    )


def _members(plan: Plan) -> int:
    # Learners that split by themselves have no rounds; a turn of theirs is a whole forest.
    return plan.n_models if plan.rounds else plan.repeats * MEMBERS_A_PART


def _ended(record: HeldOut, turns: int, plan: Plan, until: Until, spent: float, slowest: float) -> str | None:
    if turns >= plan.repeats:
        return "all turns done"
    seldom = int((record.count < until.judgements).sum())
    if until.reliability is not None and turns and not seldom:
        found = record.reliability(until.loss)
        if found >= until.reliability:
            return f"reliability {until.reliability:g} reached"
    if turns and spent + slowest > until.seconds:
        if seldom:
            raise InputError(
                f"the budget ends with {seldom:,} samples judged fewer than {until.judgements} times: give more time"
            )
        return "budget spent"
    return None


def _finite(views: Iterable[Predictions], name: str, ids: np.ndarray) -> Iterator[Predictions]:
    """The views as they are; a prediction that is no number would silently spoil its sample's error."""
    for view in views:
        for at in row_blocks(len(view.rows), view.values[:1].numel()):
            found = view.values[at]
            odd = ~found.isfinite()
            if odd.any():
                where = ids[int(view.rows[at][odd.nonzero()[0, 0]])].item()
                raise LearnerError(
                    f"{name} predicts {found[odd][0].item():g} for sample {where!r}: scale the features, or use another "
                    "learner"
                )
        yield view


def _again(caught: Iterable[warnings.WarningMessage], notices: list[str]) -> None:
    """Hand warnings on to the caller and to the notices, each text once: hundreds of members say the same thing."""
    for warning in caught:
        text = f"{warning.category.__name__}: {first_line(cast(Warning, warning.message))}"
        if text not in notices:
            notices.append(text)
            warnings.warn(warning.message, warning.category, stacklevel=4)
