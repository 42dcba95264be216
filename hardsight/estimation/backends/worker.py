"""The work of a worker, and its transport as bytes, which is the same for processes and for Ray."""

import io
import mmap
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from multiprocessing import current_process
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

WorkerJob = tuple[Learner, Samples, Plan]

# The job of this process by its key: it is read once, not with every task.
_jobs: dict[str, WorkerJob] = {}


def work(key: str, fetch: Callable[[], WorkerJob], repeat_range: range, model_range: range | None) -> list[bytes]:
    """Train a part of the job's plan; return packed predictions, then the error that ended them and the warnings.

    Predictions are packed as they come, so that none are held twice; see :func:`unpack`.

    Args:
        key: key of the job.
        fetch: reads the job, if this process does not hold it.
        repeat_range: as in :meth:`Plan.select`.
        model_range: as in :meth:`Plan.select`.
    """
    packed: list[bytes] = []
    error: Exception | None = None
    try:
        if key not in _jobs:
            _jobs.clear()
            _jobs[key] = fetch()
    except Exception as reason:  # noqa: BLE001 unpickling may raise anything
        error = InputError(
            f"the learner cannot be read by another process ({first_line(reason)}): make it importable there, or use "
            "backend='serial'"
        )
        return [cloudpickle.dumps((error, []))]
    learner, samples, plan = _jobs[key]
    torch.set_num_threads(1)
    _select_gpu()
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(1):
        warnings.simplefilter("always")
        try:
            # Predictions before an error are returned, as they would be in the main process.
            part = plan.select(repeat_range, model_range)
            packed.extend(map(_pack, learner.fit_predict(samples, part, lambda _: None)))
        except Exception as raised:  # noqa: BLE001 raised again by unpack
            error = _make_portable(raised)
    messages = list(dict.fromkeys((warning.category, str(warning.message)) for warning in caught))
    return [*packed, cloudpickle.dumps((error, messages))]


def _select_gpu() -> None:
    """Make another GPU the default of each process, if there are several; they then train side by side."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    # Processes are numbered from 1; a Ray task sees only the GPUs that it may use.
    numbers = getattr(current_process(), "_identity", ())
    if count > 1 and numbers:
        torch.cuda.set_device((numbers[-1] - 1) % count)


def _pack(predictions: Predictions) -> bytes:
    rows, values = predictions.rows.numpy(force=True), predictions.values.numpy(force=True)
    return pickle.dumps((rows, values, predictions.repeat, predictions.in_sample), protocol=5)


def unpack(result: list[bytes]) -> Iterator[Predictions]:
    """Yield the predictions of :func:`work`, each of which is removed from the result as it is read.

    The worker's warnings are issued first, and the error that ended it is raised at the end.
    """
    error, messages = pickle.loads(result.pop())  # noqa: S301 from our own worker
    for category, text in messages:
        warnings.warn(text, category, stacklevel=2)
    result.reverse()
    while result:
        rows, values, *rest = pickle.loads(result.pop())  # noqa: S301 from our own worker
        yield Predictions(torch.from_numpy(rows), torch.from_numpy(values), *rest)
    if error is not None:
        raise error


def _make_portable(error: Exception) -> Exception:
    """Return the error itself if it can be pickled; an unexpected one carries its traceback as a note."""
    if isinstance(error, HardsightError):
        return error
    try:
        copy: Exception = pickle.loads(cloudpickle.dumps(error))  # noqa: S301 made in this very line
    except Exception:  # noqa: BLE001 pickling may raise anything
        copy = RuntimeError(f"{type(error).__name__}: {first_line(error)}")
    copy.add_note("".join(traceback.format_exception(error)))
    return copy


def pickle_job(job: WorkerJob, buffers: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    """Return a job as bytes; its arrays go to ``buffers`` if that is set.

    Raises:
        InputError: the learner holds something that cannot be pickled.
    """
    file = io.BytesIO()
    try:
        _Pickler(file, protocol=5, buffer_callback=buffers).dump(job)
    except Exception as error:
        raise InputError(
            f"the learner cannot be sent to other processes ({first_line(error)}): keep open files, locks and generators "
            "out of it, or use backend='serial'"
        ) from error
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Also pickles a function that names ``torch`` and a ``.classes`` or ``.ops``: cloudpickle then wants those of torch."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, ModuleType) and type(thing) is not ModuleType and thing.__name__ in sys.modules:
            return import_module, (thing.__name__,)
        return super().reducer_override(thing)


def write_job(path: Path, job: WorkerJob) -> None:
    """Write a job with its arrays behind it, so that :func:`read_job` can map them into memory."""
    buffers: list[pickle.PickleBuffer] = []
    chunks = [memoryview(pickle_job(job, buffers.append)), *(buffer.raw() for buffer in buffers)]
    with path.open("wb") as file:
        pickle.dump([len(chunk) for chunk in chunks], file)
        for chunk in chunks:
            file.seek(_align(file.tell()))
            file.write(chunk)


def read_job(path: str) -> WorkerJob:
    """Read what :func:`write_job` wrote. Arrays share their memory with all other readers until they are written to."""
    with Path(path).open("rb") as file:
        sizes, end = pickle.load(file), file.tell()  # noqa: S301 written by write_job
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    chunks = []
    for size in sizes:
        start = _align(end)
        end = start + size
        chunks.append(content[start:end])
    job: WorkerJob = pickle.loads(chunks[0], buffers=chunks[1:])  # noqa: S301 written by write_job
    return job


def _align(offset: int) -> int:
    return -(-offset // 64) * 64
