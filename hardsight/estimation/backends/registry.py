"""Backends by name, for the command line and for ``backend="…"``."""

from typing import Any

from hardsight.errors import InputError
from hardsight.estimation.backends.base import Backend, Serial
from hardsight.estimation.backends.processes import Processes
from hardsight.estimation.backends.ray import Ray
from hardsight.validation import check_int


def choose_backend(backend: Any = None, jobs: int | None = None, address: str | None = None) -> Backend:
    """Return the backend that arguments stand for; without a name, processes for several jobs, else this process.

    Raises:
        InputError: an unknown name, arguments that exclude each other, or Ray is not installed.

    >>> choose_backend(), choose_backend(jobs=2)
    (Serial(), Processes(jobs=2))
    """
    jobs = None if jobs is None else check_int("jobs", jobs, 1)
    name = ("serial" if jobs in (None, 1) else "processes") if backend is None else backend
    if address is not None and name != "ray":
        raise InputError(f"address={address!r} is for Ray: pass backend='ray' (--backend ray), or leave it out")
    if name == "serial":
        if jobs not in (None, 1):
            raise InputError(f"backend='serial' trains in this process alone: leave out jobs={jobs}, or the backend")
        return Serial()
    if name == "processes":
        return Processes(jobs)
    if name == "ray":
        return Ray(jobs, address)
    if isinstance(name, type) or not isinstance(name, Backend):
        raise InputError(
            f"backend must be 'serial', 'processes' or 'ray', or one of hardsight.estimation.backends. Got {name!r}"
        )
    if jobs is not None:
        raise InputError(f"backend={name!r} already sets the number of jobs: leave out jobs={jobs}")
    return name
