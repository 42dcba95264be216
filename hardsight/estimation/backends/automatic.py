"""The default backend: this process, or one process per core if the work is long and would leave the other cores idle."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from multiprocessing import current_process

import torch

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.estimation.backends.base import Backend, PartPredictions, Serial
from hardsight.estimation.backends.processes import Processes
from hardsight.io.system import free_memory
from hardsight.learners import Learner, OnProgress, Predictions, capabilities_of
from hardsight.resampling.plan import Plan

# Work from which several processes pay: each needs some seconds to import its libraries.
LONG_SECONDS = 20.0
# Memory of a process with its libraries, and room for a model.
_BYTES_PER_PROCESS = 2**30


@dataclass(frozen=True)
class Automatic:
    """Trains in this process, or in several if the models that are left would take long and each trains in one thread.

    The first model, or the first repeat of a learner that is divided by repeats, is trained in this process, and tells
    how long the others will take. There are as many processes as torch has threads (``OMP_NUM_THREADS``), or fewer if
    memory is short.
    """

    clock: Callable[[], float] = time.monotonic

    def run(self, learner: Learner, samples: Samples, parts: Sequence[Plan], on_progress: OnProgress) -> PartPredictions:
        """See :meth:`Backend.run`."""
        jobs = min(torch.get_num_threads(), free_memory() // _BYTES_PER_PROCESS)
        # Daemons, such as the workers of a multiprocessing pool, may not start processes.
        may_divide = jobs > 1 and not current_process().daemon and capabilities_of(learner).single_threaded
        if not may_divide or not parts:
            yield from Serial().run(learner, samples, parts, on_progress)
            return
        trial, rest = _split_first(parts[0], by_model=capabilities_of(learner).divisible)
        start = self.clock()
        predictions = list(learner.fit_predict(samples, trial, on_progress))
        left = [part for part in (rest, *parts[1:]) if part is not None]
        n_left = sum(learner.n_models(part) for part in left)
        seconds = (self.clock() - start) * n_left / learner.n_models(trial)
        backend: Backend = Processes(jobs) if seconds >= LONG_SECONDS else Serial()
        if rest is None:
            yield predictions
            yield from _run_left(backend, learner, samples, left, on_progress)
            return
        with closing(_run_left(backend, learner, samples, left, on_progress)) as parts_left:
            yield chain(predictions, next(parts_left))
            yield from parts_left


def _split_first(part: Plan, *, by_model: bool) -> tuple[Plan, Plan | None]:
    """Split off the first model, or the first repeat; None if nothing is left."""
    repeats = part.repeat_indices
    if by_model:
        n_models = part.n_models
        return part.select(repeats, range(1)), part.select(repeats, range(1, n_models)) if n_models > 1 else None
    return part.select(repeats[:1]), part.select(repeats[1:]) if len(repeats) > 1 else None


def _run_left(
    backend: Backend, learner: Learner, samples: Samples, parts: Sequence[Plan], on_progress: OnProgress
) -> PartPredictions:
    """Yield the predictions of the parts by a backend, or in this process if the other processes cannot be given the work.

    The result is the same, and a full temporary folder should not end a run that nobody asked to divide.
    """
    running = backend.run(learner, samples, parts, on_progress)
    try:
        first: Iterable[Predictions] | None = next(running, None)
    except InputError:
        running = Serial().run(learner, samples, parts, on_progress)
        first = next(running, None)
    with closing(running):
        if first is not None:
            yield first
            yield from running
