"""The machines of a Ray cluster."""

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
from hardsight.estimation.backends.base import Views, shared_out
from hardsight.estimation.backends.worker import Job, pickled, work
from hardsight.learners import Learner, OnProgress
from hardsight.resampling.plan import Plan

_STORE_BYTES = 2**28
_KNOCK_SECONDS = 10


class Ray:
    """The machines of a Ray cluster, one task a core; each of Ray's processes holds a copy of the samples.

    Where Ray is connected already, that is used. What is started here is stopped when the run ends.

    Args:
        jobs: tasks under way at a time; None for one a core of the cluster.
        address: "auto" for the cluster that this machine is part of, "host:port", or "ray://host:port"; None for what
            RAY_ADDRESS says, or else for a Ray of this machine alone, which is started.
        gpus: of which each task gets so many, or such a share.

    Raises:
        InputError: Ray is not installed.

    Moritz et al. 2018, *Ray: a distributed framework for emerging AI applications*.
    """

    def __init__(self, jobs: int | None = None, address: str | None = None, gpus: float = 0) -> None:
        self.jobs, self.address, self.gpus = jobs, address, gpus
        try:
            self._ray: Any = import_module("ray")
        except ImportError as fault:
            raise InputError("ray is not installed: pip install 'hardsight[ray]'") from fault

    def carry(self, learner: Learner, samples: Samples, parts: Sequence[Plan], tick: OnProgress) -> Views:
        """See :meth:`Backend.carry`."""
        packed = pickled((learner, samples, parts[0]))
        with self._connected(len(packed)) as own:
            has = self._ray.cluster_resources()
            if has.get("GPU", 0) < self.gpus:
                raise InputError(
                    f"each task is to have gpus={self.gpus:g}, and Ray has {has.get('GPU', 0):g}: ask for less"
                )
            jobs = self.jobs or max(1, int(has.get("CPU", 1)))
            yield from shared_out(_Tasks(self._ray, jobs, packed, self.gpus, own=own), learner, samples, parts, tick)

    @contextmanager
    def _connected(self, size: int) -> Iterator[bool]:
        """Whether this process alone uses that Ray."""
        if self._ray.is_initialized():
            if self.address not in (None, "auto"):
                raise InputError(
                    f"Ray is connected already: leave out address={self.address!r}, or ray.shutdown() first"
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
        own = {"num_cpus": self.jobs, "include_dashboard": False, "object_store_memory": _STORE_BYTES + 2 * size}
        started = own if address == "local" else {}
        try:
            _knock(address)
            with _set("RAY_USAGE_STATS_ENABLED", "0"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **started)
        except (OSError, RuntimeError, ValueError, ImportError) as fault:
            raise InputError(
                f"Ray at address={address!r} cannot be reached ({first_line(fault)}): start it there with "
                "`ray start --head`, or leave out the address"
            ) from fault


class _Tasks:
    def __init__(self, ray: Any, jobs: int, packed: bytes, gpus: float, *, own: bool) -> None:
        self.jobs, self._ray, self._own = jobs, ray, own
        self.lost: tuple[type[Exception], ...] = (ray.exceptions.RayError,)
        self._job = ray.put(packed)
        # A worker's death is answered for all backends alike, by the one who submits.
        self._task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(work)

    def submit(self, turns: range, only: range | None) -> Any:
        # Inside a list a reference stays one: a worker that holds the job does not read it again.
        return self._task.remote(self._job.hex(), partial(_get, [self._job]), turns, only)

    def first(self, handles: list[Any]) -> Iterable[Any]:
        ended: list[Any] = self._ray.wait(handles)[0]
        return ended

    def result(self, handle: Any) -> list[bytes]:
        try:
            found: list[bytes] = self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as fault:
            raise InputError(
                f"a Ray worker cannot begin ({first_line(fault.cause)}): install the same hardsight on every machine"
            ) from fault
        return found

    def stop(self, handles: list[Any]) -> None:
        # A Ray of our own ends with all its processes. Cancelled tasks, or any by force, now and then make it abort.
        for handle in [] if self._own else handles:
            self._ray.cancel(handle)


def _knock(address: str) -> None:
    """Ray itself takes minutes to say that nobody is there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()


def _get(held: list[Any]) -> Job:
    job: Job = pickle.loads(import_module("ray").get(held[0]))  # noqa: S301 from the process that asks
    return job


@contextmanager
def _set(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
