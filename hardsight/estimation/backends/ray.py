"""The backend of a Ray cluster."""

import logging
import os
import pickle
import socket
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from hardsight.data import Samples
from hardsight.errors import InputError, first_line
from hardsight.estimation.backends.base import PartPredictions, run_in_pool
from hardsight.estimation.backends.worker import WorkerJob, pickle_job, work
from hardsight.learners import Learner, OnProgress
from hardsight.resampling.plan import Plan

_STORE_BYTES = 2**28
_CONNECT_SECONDS = 10


class Ray:
    """Trains on the machines of a Ray cluster, one task per core; each of Ray's processes holds a copy of the samples.

    If Ray is already connected, that connection is used. If Ray is started here, it is stopped when the run ends.

    Args:
        jobs: number of concurrent tasks; None: one per core of the cluster.
        address: "auto" for the cluster that this machine is part of, "host:port", or "ray://host:port"; None: the value of
            RAY_ADDRESS, or else Ray is started on this machine alone.
        gpus: number of GPUs per task, which may be a fraction.

    Raises:
        InputError: Ray is not installed.

    Moritz et al. 2018, *Ray: a distributed framework for emerging AI applications*.
    """

    def __init__(self, jobs: int | None = None, address: str | None = None, gpus: float = 0) -> None:
        self.jobs, self.address, self.gpus = jobs, address, gpus
        try:
            self._ray: Any = import_module("ray")
        except ImportError as error:
            raise InputError("ray is not installed: pip install 'hardsight[ray]'") from error

    def run(self, learner: Learner, samples: Samples, parts: Sequence[Plan], on_progress: OnProgress) -> PartPredictions:
        """See :meth:`Backend.run`."""
        payload = pickle_job((learner, samples, parts[0]))
        with self._connected(len(payload)) as own_cluster:
            resources = self._ray.cluster_resources()
            if resources.get("GPU", 0) < self.gpus:
                raise InputError(
                    f"gpus must be {resources.get('GPU', 0):g} or less per task, what the cluster has. Got {self.gpus:g}"
                )
            jobs = self.jobs or max(1, int(resources.get("CPU", 1)))
            pool = _RayPool(self._ray, jobs, payload, self.gpus, own_cluster=own_cluster)
            yield from run_in_pool(pool, learner, samples, parts, on_progress)

    @contextmanager
    def _connected(self, size: int) -> Iterator[bool]:
        """Connect to Ray for the block; yield whether the cluster serves this process alone."""
        if self._ray.is_initialized():
            if self.address not in (None, "auto"):
                raise InputError(
                    f"Ray is already connected: leave out address={self.address!r}, or call ray.shutdown() first"
                )
            yield False
            return
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        self._connect(address, size)
        try:
            yield address == "local"
        finally:
            self._ray.shutdown()

    def _connect(self, address: str, size: int) -> None:
        limits = {"num_cpus": self.jobs, "include_dashboard": False, "object_store_memory": _STORE_BYTES + 2 * size}
        options = limits if address == "local" else {}
        try:
            _check_reachable(address)
            with _environment("RAY_USAGE_STATS_ENABLED", "0"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **options)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            raise InputError(
                f"Ray at address={address!r} cannot be reached ({first_line(error)}): start it there with "
                "`ray start --head`, or leave out the address"
            ) from error


class _RayPool:
    def __init__(self, ray: Any, jobs: int, payload: bytes, gpus: float, *, own_cluster: bool) -> None:
        self.jobs, self._ray, self._own_cluster = jobs, ray, own_cluster
        self.worker_errors: tuple[type[Exception], ...] = (ray.exceptions.RayError,)
        self._job = ray.put(payload)
        # Retries after a worker's death are the same for all backends; see run_in_order.
        self._task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(work)

    def submit(self, repeat_range: range, model_range: range | None) -> Any:
        # A reference inside a list is not resolved, so a worker that already holds the job does not read it again.
        return self._task.remote(self._job.hex(), partial(_fetch_job, [self._job]), repeat_range, model_range)

    def wait_any(self, handles: list[Any]) -> Iterable[Any]:
        ended: list[Any] = self._ray.wait(handles)[0]
        return ended

    def result(self, handle: Any) -> list[bytes]:
        try:
            result: list[bytes] = self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as error:
            raise InputError(
                f"a Ray worker cannot start ({first_line(error.cause)}): install the same hardsight on every machine"
            ) from error
        return result

    def stop(self, handles: list[Any]) -> None:
        # Our own cluster ends with all its processes; cancelling tasks sometimes makes it abort.
        for handle in [] if self._own_cluster else handles:
            self._ray.cancel(handle)


def _check_reachable(address: str) -> None:
    """Raise OSError if nothing listens at the address: Ray itself takes minutes to notice."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()


def _fetch_job(reference: list[Any]) -> WorkerJob:
    job: WorkerJob = pickle.loads(import_module("ray").get(reference[0]))  # noqa: S301 from our own process
    return job


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
