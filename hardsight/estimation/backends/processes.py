"""The backend of several processes on this machine."""

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import loky
from loky.backend import resource_tracker

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.estimation.backends.base import PartPredictions, run_in_pool
from hardsight.estimation.backends.worker import WorkerJob, read_job, work, write_job
from hardsight.learners import Learner, OnProgress
from hardsight.resampling.plan import Plan

_IDLE_SECONDS = 60
_POLL_SECONDS = 1
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Processes:
    """Trains in processes of this machine with one thread each, which share the memory of the samples.

    Args:
        jobs: number of processes; None: one per core.
    """

    jobs: int | None = None

    def run(self, learner: Learner, samples: Samples, parts: Sequence[Plan], on_progress: OnProgress) -> PartPredictions:
        """See :meth:`Backend.run`."""
        with _job_file((learner, samples, parts[0])) as path:
            pool = _LokyPool(self.jobs or loky.cpu_count(), path)
            yield from run_in_pool(pool, learner, samples, parts, on_progress)


def worker_processes(jobs: int) -> Any:
    """Return an executor with a number of processes of one thread each.

    Processes of an earlier run that are still alive are used again, with all their imports; broken ones are replaced.
    """
    return loky.get_reusable_executor(
        jobs,
        timeout=_IDLE_SECONDS,
        initializer=_initialize,
        initargs=(os.getpid(),),
        env=dict.fromkeys(_THREAD_VARIABLES, "1"),
    )


@contextmanager
def _job_file(job: WorkerJob) -> Iterator[str]:
    """Write a job to a file and yield its path. It is removed when the block ends or this process is killed.

    Raises:
        InputError: the file cannot be written, or the learner cannot be pickled.
    """
    with ExitStack() as cleanup:
        try:
            folder = tempfile.mkdtemp(prefix="hardsight-")
            # A helper process removes the folders of killed processes.
            resource_tracker.register(folder, "folder")
            cleanup.callback(resource_tracker.unregister, folder, "folder")
            cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
            path = Path(folder, "job")
            write_job(path, job)
        except OSError as error:
            raise InputError(
                f"the job of the processes cannot be written to {tempfile.gettempdir()} ({error.strerror or error}): set "
                "TMPDIR to a folder with free space, or use backend='serial'"
            ) from error
        yield str(path)


class _LokyPool:
    worker_errors: tuple[type[Exception], ...] = (BrokenExecutor,)

    def __init__(self, jobs: int, path: str) -> None:
        self.jobs, self._path = jobs, path
        self._executor: Any = None

    def submit(self, repeat_range: range, model_range: range | None) -> "Future[list[bytes]]":
        self._executor = worker_processes(self.jobs)
        try:
            future: Future[list[bytes]] = self._executor.submit(
                work, self._path, partial(read_job, self._path), repeat_range, model_range
            )
        except BrokenExecutor as error:
            future = Future()
            future.set_exception(error)
        return future

    def wait_any(self, handles: "list[Future[list[bytes]]]") -> "Iterable[Future[list[bytes]]]":
        return wait(handles, return_when=FIRST_COMPLETED).done

    def result(self, handle: "Future[list[bytes]]") -> list[bytes]:
        return handle.result()

    def stop(self, handles: "list[Future[list[bytes]]]") -> None:
        self._executor.shutdown(kill_workers=True)


def _initialize(parent: int) -> None:
    """Prepare a worker process."""
    # Ctrl-C reaches all processes of a terminal; the one that the user started stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Processes that learners start, such as those of a DataLoader, are not loky's.
    multiprocessing.set_start_method(None, force=True)
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()


def _exit_with_parent(parent: int) -> None:
    """End this process when its parent is gone: if the parent was killed, nothing else would."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)
