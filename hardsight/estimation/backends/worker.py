"""What runs in a worker, and how work gets there and back: as bytes, the same for processes and for Ray."""

import io
import mmap
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import torch
from threadpoolctl import threadpool_limits

from hardsight.data import Samples
from hardsight.errors import HardsightError, InputError, first_line
from hardsight.learners import Learner, Predictions
from hardsight.resampling.plan import Plan

Job = tuple[Learner, Samples, Plan]

# The job that this process works on, by its key: it is read once, not with every task.
_held: dict[str, Job] = {}


def work(key: str, fetch: Callable[[], Job], turns: range, only: range | None) -> list[bytes]:
    """Views of a part of the job's plan, the fault that ended them, and what was warned of; for :func:`unpacked`.

    Every view is packed by itself as it comes, so that none is held twice.

    Args:
        key: of the job.
        fetch: reads the job, where this process does not hold it.
        turns: as in :meth:`Plan.part`.
        only: as in :meth:`Plan.part`.
    """
    views: list[bytes] = []
    fault: Exception | None = None
    try:
        if key not in _held:
            _held.clear()
            _held[key] = fetch()
    except Exception as unread:  # noqa: BLE001 what unpickling raises is up to what is unpickled
        fault = InputError(
            f"the learner cannot be read by another process ({first_line(unread)}): let it be importable there, or use "
            "backend='serial'"
        )
        return [*views, cloudpickle.dumps((fault, []))]
    learner, samples, plan = _held[key]
    torch.set_num_threads(1)
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(1):
        warnings.simplefilter("always")
        try:
            # What came before a fault stays, as it would in this process.
            views.extend(map(_packed, learner.fit_predict(samples, plan.select(turns, only), lambda _: None)))
        except Exception as own:  # noqa: BLE001 raised again by unpacked
            fault = _portable(own)
    said = list(dict.fromkeys((w.category, str(w.message)) for w in caught))
    return [*views, cloudpickle.dumps((fault, said))]


def _packed(view: Predictions) -> bytes:
    parts = view.rows.numpy(force=True), view.values.numpy(force=True), view.repeat, view.in_sample
    return pickle.dumps(parts, protocol=5)


def unpacked(result: list[bytes]) -> Iterator[Predictions]:
    """The views of :func:`work`, each of which is taken out of the result as it is read.

    Warns of what was warned of first, and raises the fault that ended them, at the end.
    """
    fault, said = pickle.loads(result.pop())  # noqa: S301 from a worker of ours
    for category, text in said:
        warnings.warn(text, category, stacklevel=2)
    result.reverse()
    while result:
        rows, predictions, *rest = pickle.loads(result.pop())  # noqa: S301 from a worker of ours
        yield Predictions(torch.from_numpy(rows), torch.from_numpy(predictions), *rest)
    if fault is not None:
        raise fault


def _portable(fault: Exception) -> Exception:
    """The fault itself, if it can travel; one that nobody expected with where it arose, for a traceback to show."""
    if isinstance(fault, HardsightError):
        return fault
    try:
        copy: Exception = pickle.loads(cloudpickle.dumps(fault))  # noqa: S301 made in this very line
    except Exception:  # noqa: BLE001 what pickling raises is up to what is pickled
        copy = RuntimeError(f"{type(fault).__name__}: {first_line(fault)}")
    copy.add_note("".join(traceback.format_exception(fault)))
    return copy


def pickled(job: Job, buffers: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    """A job as bytes, its arrays apart where ``buffers`` takes them.

    Raises:
        InputError: the learner holds something that cannot be pickled.
    """
    file = io.BytesIO()
    try:
        _Pickler(file, protocol=5, buffer_callback=buffers).dump(job)
    except Exception as fault:
        raise InputError(
            f"the learner cannot be sent to other processes ({first_line(fault)}): keep open files, locks and generators "
            "out of it, or use backend='serial'"
        ) from fault
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Takes a function that names ``torch`` and any ``.classes`` or ``.ops`` too: cloudpickle then wants those of torch."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, ModuleType) and type(thing) is not ModuleType and thing.__name__ in sys.modules:
            return import_module, (thing.__name__,)
        return super().reducer_override(thing)


def write(path: Path, job: Job) -> None:
    """A job with its arrays behind it, so that :func:`read` can map them into memory."""
    buffers: list[pickle.PickleBuffer] = []
    blocks = [memoryview(pickled(job, buffers.append)), *(buffer.raw() for buffer in buffers)]
    with path.open("wb") as file:
        pickle.dump([len(block) for block in blocks], file)
        for block in blocks:
            file.seek(_aligned(file.tell()))
            file.write(block)


def read(path: str) -> Job:
    """What :func:`write` wrote. Arrays share their memory with all other readers until they are written to."""
    with Path(path).open("rb") as file:
        sizes, end = pickle.load(file), file.tell()  # noqa: S301 written by write
        everything = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    blocks = []
    for size in sizes:
        start = _aligned(end)
        end = start + size
        blocks.append(everything[start:end])
    job: Job = pickle.loads(blocks[0], buffers=blocks[1:])  # noqa: S301 written by write
    return job


def _aligned(place: int) -> int:
    return -(-place // 64) * 64
