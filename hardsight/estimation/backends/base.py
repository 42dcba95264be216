"""The backend protocol, and what all backends with workers share: tasks, their order and their retries."""

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
from hardsight.estimation.backends.worker import unpack
from hardsight.learners import InSampleLosses, Learner, OnProgress, Predictions, capabilities_of
from hardsight.resampling.plan import Plan

# How often a task whose worker died is started again before the task itself is blamed.
MAX_RETRIES = 3
# Models per task at most: progress is reported, and work is lost with a worker, one task at a time.
MODELS_PER_TASK = 25
# Bytes of the predictions of one task at most, unless one model, or one whole repeat, has more.
TASK_BYTES = 2**25
# Tasks per job that may be finished ahead of the one that is waited for, since their predictions are held in memory. If
# tasks have more than TASK_BYTES there are fewer, but at least one.
TASKS_AHEAD = 4

PartPredictions = Generator[Iterable[Predictions], None, None]


@runtime_checkable
class Backend(Protocol):
    """A place where learners run."""

    def run(self, learner: Learner, samples: Samples, parts: Sequence[Plan], on_progress: OnProgress) -> PartPredictions:
        """Yield the predictions of one part after another, in the order of the plan.

        Those of one part are read before the next is asked for. Closing the generator stops unfinished work.

        Args:
            learner: what to train.
            samples: what to train on and predict.
            parts: parts of one plan, in order.
            on_progress: is called with the number of newly finished models.

        Raises:
            InputError: as the learner does, or the work cannot be sent to the workers.
            LearnerError: as the learner does, or workers died again and again.
        """
        ...


@dataclass(frozen=True)
class Serial:
    """Trains in this process, with as many threads as its libraries use."""

    def run(self, learner: Learner, samples: Samples, parts: Sequence[Plan], on_progress: OnProgress) -> PartPredictions:
        """See :meth:`Backend.run`."""
        for part in parts:
            yield learner.fit_predict(samples, part, on_progress)


@runtime_checkable
class Pool(Protocol):
    """Workers that already hold learner, samples and plan. A handle stands for an unfinished task."""

    jobs: int  # number of concurrent tasks
    worker_errors: tuple[type[Exception], ...]  # what result raises if a worker died

    def submit(self, repeat_range: range, model_range: range | None) -> Any:
        """Start a task, a part of the plan, and return its handle."""
        ...

    def wait_any(self, handles: list[Any]) -> Iterable[Any]:
        """Wait until a task has ended, and return the handles of all that have."""
        ...

    def result(self, handle: Any) -> list[bytes]:
        """Return the result of :func:`hardsight.estimation.backends.worker.work`."""
        ...

    def stop(self, handles: list[Any]) -> None:
        """End unfinished tasks, whatever they do."""
        ...


class _Task(NamedTuple):
    position: int
    plan: Plan
    tries: int


def run_in_pool(
    pool: Pool, learner: Learner, samples: Samples, parts: Sequence[Plan], on_progress: OnProgress
) -> PartPredictions:
    """Yield the predictions of each part, as :meth:`Backend.run` does, while the next parts are trained."""
    by_model = capabilities_of(learner).divisible
    held_out_values = 1 if samples.classes is None else len(samples.classes)
    in_sample_values = 1 if isinstance(learner, InSampleLosses) else held_out_values
    largest = max((max_bytes(part, held_out_values, in_sample_values, by_model=by_model) for part in parts), default=0)
    tasks = [divide(part, pool.jobs, largest, by_model=by_model) for part in parts]
    report = lambda plan: on_progress(learner.n_models(plan))  # noqa: E731
    with closing(run_in_order(pool, list(chain.from_iterable(tasks)), report, tasks_ahead(largest))) as results:
        for tasks_of_part in tasks:
            yield chain.from_iterable(map(unpack, islice(results, len(tasks_of_part))))


def max_bytes(part: Plan, held_out_values: int, in_sample_values: int, *, by_model: bool) -> int:
    """Return the bytes of the predictions of the model, or the whole repeat, that has most of them.

    Args:
        held_out_values: values per held-out row.
        in_sample_values: values per in-sample row, if the plan asks for in-sample predictions.
        by_model: whether to look at single models rather than whole repeats.
    """
    # The row number is stored beside the values.
    held_out, in_sample = 8 * (held_out_values + 1), 8 * (in_sample_values + 1) * part.in_sample
    n_samples = len(part.blocks)
    if not part.rounds:
        return held_out * n_samples
    rounds = (part.rounds[index] for index in part.repeat_indices)
    rows = (np.bincount(fold[fold >= 0], minlength=n_models) for fold, n_models in rounds)
    sizes = (held_out * count + in_sample * (n_samples - count) for count in rows)
    return max(int(size.max() if by_model else size.sum()) for size in sizes)


def tasks_ahead(largest: int) -> int:
    """Return how many tasks per job may be finished ahead, if no model or whole repeat has more bytes of predictions."""
    return max(1, TASKS_AHEAD * TASK_BYTES // max(largest, TASK_BYTES))


def divide(part: Plan, jobs: int, largest: int, *, by_model: bool) -> list[Plan]:
    """Divide a part into tasks: by models, or by repeats if the learner needs whole ones.

    Args:
        part: part of a plan.
        jobs: number of tasks at least, if there is as much to divide.
        largest: bytes of the predictions of a model, or of a whole repeat.
    """
    count = part.n_models if by_model else len(part.repeat_indices)
    most = max(1, min(MODELS_PER_TASK, TASK_BYTES // max(largest, 1)))
    n_tasks = min(count, max(jobs, -(-count // most)))
    ends = pairwise(count * k // n_tasks for k in range(n_tasks + 1))
    if by_model:
        before = 0 if part.model_range is None else part.model_range.start
        return [part.select(part.repeat_indices, range(before + first, before + last)) for first, last in ends]
    return [part.select(part.repeat_indices[slice(*end)]) for end in ends]


def run_in_order(
    pool: Pool, plans: list[Plan], on_finished: Callable[[Plan], None], queued: int = TASKS_AHEAD
) -> Generator[list[bytes], None, None]:
    """Run tasks in a pool and yield their results in order.

    Args:
        queued: tasks per job that may be finished ahead of the one that is waited for.

    Raises:
        LearnerError: workers died over one task more than ``MAX_RETRIES`` times.
    """
    queue = deque(_Task(position, plan, 1) for position, plan in enumerate(plans))
    running: dict[Any, _Task] = {}
    results: dict[int, list[bytes]] = {}

    def submit_next(index: int) -> None:
        while queue and len(running) < pool.jobs and queue[0].position < index + queued * pool.jobs:
            task = queue.popleft()
            running[pool.submit(task.plan.repeat_indices, task.plan.model_range)] = task

    def collect() -> None:
        for handle in pool.wait_any(list(running)):
            task = running.pop(handle)
            try:
                results[task.position] = pool.result(handle)
            except pool.worker_errors as error:
                queue.appendleft(_retry(task, error))
            else:
                on_finished(task.plan)

    try:
        for index in range(len(plans)):
            # Warnings of the library of workers are no notices of the result.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                submit_next(index)
                while index not in results:
                    collect()
                    submit_next(index)
            yield results.pop(index)
    finally:
        if running:
            pool.stop(list(running))


def _retry(task: _Task, error: Exception) -> _Task:
    if task.tries > MAX_RETRIES:
        raise LearnerError(
            f"a worker died {task.tries} times over the same task, killed or out of memory ({first_line(error)}): use fewer "
            "jobs or a smaller learner. A checkpoint, if there is one, holds the models trained so far: resume continues"
        ) from error
    return task._replace(tries=task.tries + 1)
