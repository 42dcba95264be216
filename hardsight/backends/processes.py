"""Several processes of this machine."""

import signal
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import loky

from hardsight.backends.core import Views, shared_out
from hardsight.backends.worker import read, work, write
from hardsight.learners import Learner, Tick
from hardsight.samples import Samples
from hardsight.splits import Plan

_IDLE_SECONDS = 60
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Processes:
    """Processes of this machine, each with one thread. They share the memory of the samples.

    Args:
        jobs: how many; None for one a core.
    """

    jobs: int | None = None

    def carry(self, learner: Learner, samples: Samples, parts: Sequence[Plan], tick: Tick) -> Views:
        """See :meth:`Backend.carry`."""
        with tempfile.TemporaryDirectory(prefix="hardsight-", ignore_cleanup_errors=True) as folder:
            path = Path(folder, "job")
            write(path, (learner, samples, parts[0]))
            yield from shared_out(_Loky(self.jobs or loky.cpu_count(), str(path)), learner, samples, parts, tick)


def workers(jobs: int) -> Any:
    """An executor of so many processes with one thread each.

    Those of the run before, where they still stand, have imported all that they need; broken ones are replaced.
    """
    return loky.get_reusable_executor(jobs, timeout=_IDLE_SECONDS, initializer=_deaf, env=dict.fromkeys(_THREADS, "1"))


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


def _deaf() -> None:
    """Ctrl-C reaches all processes of a terminal; the one that was started by hand stops the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
