"""Several processes of this machine."""

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
from hardsight.estimation.backends.base import Views, shared_out
from hardsight.estimation.backends.worker import Job, read, work, write
from hardsight.learners import Learner, OnProgress
from hardsight.resampling.plan import Plan

_IDLE_SECONDS = 60
_LOOK_SECONDS = 1
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Processes:
    """Processes of this machine, each with one thread. They share the memory of the samples.

    Args:
        jobs: how many; None for one a core.
    """

    jobs: int | None = None

    def carry(self, learner: Learner, samples: Samples, parts: Sequence[Plan], tick: OnProgress) -> Views:
        """See :meth:`Backend.carry`."""
        with _kept((learner, samples, parts[0])) as path:
            yield from shared_out(_Loky(self.jobs or loky.cpu_count(), path), learner, samples, parts, tick)


def workers(jobs: int) -> Any:
    """An executor of so many processes with one thread each.

    Those of the run before, where they still stand, have imported all that they need; broken ones are replaced.
    """
    return loky.get_reusable_executor(
        jobs, timeout=_IDLE_SECONDS, initializer=_begun, initargs=(os.getpid(),), env=dict.fromkeys(_THREADS, "1")
    )


@contextmanager
def _kept(job: Job) -> Iterator[str]:
    """The path of a file that holds a job, gone when the block ends or this process is killed.

    Raises:
        InputError: it cannot be written, or the learner cannot be pickled.
    """
    with ExitStack() as after:
        try:
            folder = tempfile.mkdtemp(prefix="hardsight-")
            # A process beside this one removes what is left of those that were killed.
            resource_tracker.register(folder, "folder")
            after.callback(resource_tracker.unregister, folder, "folder")
            after.callback(shutil.rmtree, folder, ignore_errors=True)
            path = Path(folder, "job")
            write(path, job)
        except OSError as fault:
            raise InputError(
                f"what the processes work on cannot be written to {tempfile.gettempdir()} ({fault.strerror or fault}): set "
                "TMPDIR to a folder with free space, or use backend='serial'"
            ) from fault
        yield str(path)


class _Loky:
    lost: tuple[type[Exception], ...] = (BrokenExecutor,)

    def __init__(self, jobs: int, path: str) -> None:
        self.jobs, self._path = jobs, path
        self._executor: Any = None

    def submit(self, turns: range, only: range | None) -> "Future[list[bytes]]":
        self._executor = workers(self.jobs)
        try:
            future: Future[list[bytes]] = self._executor.submit(
                work, self._path, partial(read, self._path), turns, only
            )
        except BrokenExecutor as fault:
            future = Future()
            future.set_exception(fault)
        return future

    def first(self, handles: "list[Future[list[bytes]]]") -> "Iterable[Future[list[bytes]]]":
        return wait(handles, return_when=FIRST_COMPLETED).done

    def result(self, handle: "Future[list[bytes]]") -> list[bytes]:
        return handle.result()

    def stop(self, handles: "list[Future[list[bytes]]]") -> None:
        self._executor.shutdown(kill_workers=True)


def _begun(asker: int) -> None:
    """What every worker does first.

    Args:
        asker: number of the process that gives it work.
    """
    # Ctrl-C reaches all processes of a terminal; the one that was started by hand stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(asker,), daemon=True).start()


def _end_with(asker: int) -> None:
    """End this process when the one that asks for its work is gone: nobody else would, were that one killed."""
    while os.getppid() == asker:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)
