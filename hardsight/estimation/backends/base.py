"""The seam between a run and where it runs, and what all backends with workers share: tasks, their order, their retries."""

import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from hardsight.data import Samples
from hardsight.errors import LearnerError, first_line
from hardsight.estimation.backends.worker import unpacked
from hardsight.learners import InSampleLosses, Learner, OnProgress, Predictions, capabilities_of
from hardsight.resampling.plan import Plan

# How often a task is begun anew whose worker died, before that is taken for the task's own doing.
RETRIES = 3
# Members of one task at most: progress is told, and work is lost with a worker, a task at a time.
MEMBERS_A_TASK = 25
# Bytes of the views of one task at most, unless one member, or one whole turn, has more of them.
TASK_BYTES = 2**25
# Tasks, by the job, that may be done ahead of the one that is waited for: their views are held in memory. Fewer of such
# as have more than TASK_BYTES, but one at least.
AHEAD = 4

Views = Generator[Iterable[Predictions], None, None]


@runtime_checkable
class Backend(Protocol):
    """Somewhere that learners can be run."""

    def carry(self, learner: Learner, samples: Samples, parts: Sequence[Plan], tick: OnProgress) -> Views:
        """The views of one part after another, in the order of the plan; those of one are read before the next is asked for.

        Closing the generator stops what is under way.

        Args:
            learner: who trains.
            samples: what is judged.
            parts: of one plan, in order.
            tick: told of progress, in models.

        Raises:
            InputError: as the learner does, or the work cannot be sent where it should run.
            LearnerError: as the learner does, or workers died again and again.
        """
        ...


@dataclass(frozen=True)
class Serial:
    """This process, and as many threads as its libraries take."""

    def carry(self, learner: Learner, samples: Samples, parts: Sequence[Plan], tick: OnProgress) -> Views:
        """See :meth:`Backend.carry`."""
        for part in parts:
            yield learner.fit_predict(samples, part, tick)


@runtime_checkable
class Pool(Protocol):
    """Workers that hold learner, samples and plan already. A handle stands for a task under way.

    Attributes:
        jobs: tasks under way at a time.
        lost: what :meth:`result` raises where a worker died.
    """

    jobs: int
    lost: tuple[type[Exception], ...]

    def submit(self, turns: range, only: range | None) -> Any:
        """Begin a task, a part of the plan; its handle."""
        ...

    def first(self, handles: list[Any]) -> Iterable[Any]:
        """Those that have ended; waits for one."""
        ...

    def result(self, handle: Any) -> list[bytes]:
        """What :func:`hardsight.estimation.backends.worker.work` gave."""
        ...

    def stop(self, handles: list[Any]) -> None:
        """End tasks under way, whatever they do."""
        ...


class _Task(NamedTuple):
    at: int
    plan: Plan
    tries: int


def shared_out(pool: Pool, learner: Learner, samples: Samples, parts: Sequence[Plan], tick: OnProgress) -> Views:
    """The views of each part, as :meth:`Backend.carry` gives them. While one is read, the next are trained already."""
    members = capabilities_of(learner).divisible
    held_out = 1 if samples.classes is None else len(samples.classes)
    seen = 1 if isinstance(learner, InSampleLosses) else held_out
    largest = max((largest_views(part, held_out, seen, members=members) for part in parts), default=0)
    tasks = [divided(part, pool.jobs, largest, members=members) for part in parts]
    every = list(chain.from_iterable(tasks))
    with closing(in_order(pool, every, lambda plan: tick(learner.n_models(plan)), ahead(largest))) as results:
        for some in tasks:
            yield chain.from_iterable(map(unpacked, islice(results, len(some))))


def largest_views(part: Plan, held_out: int, seen: int, *, members: bool) -> int:
    """Bytes of the views of the member, or the whole turn, that has most of them.

    Args:
        part: of a plan.
        held_out: predictions of a row that was held out.
        seen: those of a row that a member was trained on, where the plan asks for such views.
        members: whether members count, not turns.
    """
    # The number of a row stands beside its predictions.
    out, own, samples = 8 * (held_out + 1), 8 * (seen + 1) * part.in_sample, len(part.blocks)
    if not part.rounds:
        return out * samples
    rows = (
        np.bincount(fold[fold >= 0], minlength=count)
        for fold, count in (part.rounds[turn] for turn in part.repeat_indices)
    )
    sizes = (out * judged + own * (samples - judged) for judged in rows)
    return max(int(size.max() if members else size.sum()) for size in sizes)


def ahead(largest: int) -> int:
    """Tasks, by the job, that may be done ahead, if no member or whole turn has more bytes of views."""
    return max(1, AHEAD * TASK_BYTES // max(largest, TASK_BYTES))


def divided(part: Plan, jobs: int, largest: int, *, members: bool) -> list[Plan]:
    """Tasks for so many workers: a part's members shared out; its turns, where a learner needs whole ones.

    Args:
        part: of a plan.
        jobs: tasks at least, if there is as much to share out.
        largest: bytes of the views of a member, or of a whole turn.
        members: whether members are shared out.
    """
    count = part.n_models if members else len(part.repeat_indices)
    most = max(1, min(MEMBERS_A_TASK, TASK_BYTES // max(largest, 1)))
    tasks = min(count, max(jobs, -(-count // most)))
    ends = pairwise(count * k // tasks for k in range(tasks + 1))
    if members:
        return [part.select(part.repeat_indices, range(*end)) for end in ends]
    return [part.select(part.repeat_indices[slice(*end)]) for end in ends]


def in_order(
    pool: Pool, plans: list[Plan], finished: Callable[[Plan], None], ahead: int = AHEAD
) -> Generator[list[bytes], None, None]:
    """Results in the order of the tasks.

    Args:
        pool: who works.
        plans: the tasks.
        finished: told of each as it ends.
        ahead: tasks, by the job, that may be done ahead of the one that is waited for.

    Raises:
        LearnerError: workers died over one task more than ``RETRIES`` times.
    """
    queue = deque(_Task(at, plan, 1) for at, plan in enumerate(plans))
    running: dict[Any, _Task] = {}
    results: dict[int, list[bytes]] = {}

    def submit_what_may(at: int) -> None:
        while queue and len(running) < pool.jobs and queue[0].at < at + ahead * pool.jobs:
            task = queue.popleft()
            running[pool.submit(task.plan.repeat_indices, task.plan.model_range)] = task

    def collect() -> None:
        for handle in pool.first(list(running)):
            task = running.pop(handle)
            try:
                results[task.at] = pool.result(handle)
            except pool.lost as fault:
                queue.appendleft(_again(task, fault))
            else:
                finished(task.plan)

    try:
        for at in range(len(plans)):
            # What a library of workers has to say of itself is no notice of the result.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                submit_what_may(at)
                while at not in results:
                    collect()
                    submit_what_may(at)
            yield results.pop(at)
    finally:
        if running:
            pool.stop(list(running))


def _again(task: _Task, fault: Exception) -> _Task:
    if task.tries > RETRIES:
        raise LearnerError(
            f"a worker died {task.tries} times over the same task, killed or out of memory ({first_line(fault)}): use "
            "fewer jobs or a smaller learner. A checkpoint, if there is one, holds what was trained before: resume goes on"
        ) from fault
    return task._replace(tries=task.tries + 1)
