"""Members trained as machine code, in parallel threads.

Needs numba (the extra ``fast``). Without it, the same networks are trained on stacked tensors.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib import metadata
from importlib.util import find_spec
from itertools import count
from threading import Event
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from hardsight.learners.network.batches import Batches
from hardsight.learners.network.native_program import LayerProgram
from hardsight.learners.network.optimizer import EPSILON, Evaluate, MemberBatch, check_finite

T = TypeVar("T")

# Rows per call of the kernel: some ten milliseconds of work, after which an interrupt is noticed.
_ROWS_PER_CALL = 1 << 16
_NO_CODES, _NO_NUMBERS = np.empty(0, np.int64), np.empty(0, np.float32)


class OptimizerArrays(NamedTuple):
    """Settings of the optimizer as the kernel reads them."""

    rates: np.ndarray  # learning rate of each step, (step,) float64
    # Weight decay with AdamW's two betas and epsilon, or with SGD's momentum, 0 and 0.
    settings: tuple[float, float, float, float]
    batch_size: int  # rows per step


class MemberJob(NamedTuple):
    """What the kernel reads of one member."""

    net: nn.Module  # is trained in place
    x: np.ndarray  # (sample, feature) float32, images with channels last
    targets: np.ndarray  # (sample,) int64 codes or float32
    weights: np.ndarray | None  # (sample,) float32, or None
    mean: np.ndarray  # (feature,) float32; inputs are read as clip((x - mean) * inverse_scale, -clip, clip)
    inverse_scale: np.ndarray
    clip: float  # see mean
    order: Callable[[int], Tensor]  # order(count) returns the next count training rows


def is_available() -> bool:
    """Return whether numba is installed."""
    return find_spec("numba") is not None


def version() -> str | None:
    """Return the version of numba; None if it is not installed."""
    return metadata.version("numba") if is_available() else None


def train(
    program: LayerProgram,
    jobs: Iterable[MemberJob],
    optimizer: OptimizerArrays,
    on_trained: Callable[[int, MemberJob, float], T],
) -> Generator[T, None, None]:
    """Train the networks of the jobs in place, as many at a time as torch may use threads.

    Torch has one thread meanwhile. Closing the generator ends the training.

    Args:
        on_trained: ``on_trained(index, job, loss)`` is called in the thread that trained a job, with the mean loss of its
            last batch; its results are yielded in the order of the jobs.
    """
    stop = Event()

    def work(index: int, job: MemberJob) -> T:
        loss = _train_member(program, job, optimizer, stop)
        if stop.is_set():
            # The generator was closed; drop this member's result.
            raise CancelledError
        return on_trained(index, job, loss)

    # One thread per member, for BLAS and for torch: members run in parallel instead. One for the caller, too, who reads
    # the first members while the last are trained: more would wait for cores, and spin meanwhile.
    with (
        _one_torch_thread() as threads,
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        try:
            yield from pool.map(work, count(), jobs)
        finally:
            stop.set()


@contextmanager
def _one_torch_thread() -> Iterator[int]:
    """Give torch one thread; the value is how many it had, and has again afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


class NativeEngine:
    """Trains members of one module as machine code.

    Args:
        inputs: all samples ``(sample, …)`` float32, on the CPU.
    """

    def __init__(self, program: LayerProgram, inputs: Tensor) -> None:
        self.program = program
        self.x = _flatten(inputs).numpy()

    def train(self, batch: MemberBatch, evaluate: Evaluate[T]) -> Generator[T, None, None]:
        """Train, and yield ``evaluate`` of every member as soon as it is trained."""
        config, data, steps = batch.optimizer, batch.data, batch.steps
        rates = np.array([config.rate_at(step, steps) for step in range(steps)])
        optimizer = OptimizerArrays(rates, (config.decay_for(steps), *config.betas, EPSILON), batch.batch_size)
        jobs = (self._job(net, data, index) for index, net in enumerate(batch.nets))

        def on_trained(index: int, job: MemberJob, loss: float) -> T:
            check_finite(loss, data.members[index])
            return evaluate(index, job.net.eval())

        with closing(train(self.program, jobs, optimizer, on_trained)) as results:
            for result in results:
                batch.on_progress(1 / len(data.members))
                yield result

    def _job(self, net: nn.Module, data: Batches, index: int) -> MemberJob:
        shape, weight = data.inputs.shape[1:], data.weight(index)
        mean, inverse_scale = data.scaling(index)
        return MemberJob(
            net,
            self.x,
            data.target(index).numpy(),
            None if weight is None else weight.numpy(),
            _flatten(mean.view(1, *shape)).numpy()[0],
            _flatten(inverse_scale.view(1, *shape)).numpy()[0],
            data.clip,
            data.orders[index],
        )


def _flatten(x: Tensor) -> Tensor:
    """Return one row of numbers per sample, images with their channels last."""
    return (x.movedim(1, -1) if x.ndim == 4 else x).reshape(len(x), -1).contiguous()


def _train_member(program: LayerProgram, job: MemberJob, optimizer: OptimizerArrays, stop: Event) -> float:
    from hardsight.learners.network import native_kernel as kernel

    state = np.zeros((3, program.size), np.float32)
    state[0] = program.pack(job.net)
    is_classes = job.targets.dtype == np.int64
    codes, targets = (job.targets, _NO_NUMBERS) if is_classes else (_NO_CODES, job.targets)
    weights = _NO_NUMBERS if job.weights is None else job.weights
    loss, steps = float("nan"), len(optimizer.rates)
    steps_per_call = max(1, _ROWS_PER_CALL // optimizer.batch_size)
    for done in range(0, steps, steps_per_call):
        if stop.is_set():
            break
        size = min(steps_per_call, steps - done)
        rows = job.order(size * optimizer.batch_size).numpy().reshape(size, optimizer.batch_size)
        loss = kernel.train(
            job.x,
            codes,
            targets,
            weights,
            rows,
            job.mean,
            job.inverse_scale,
            np.float32(job.clip),
            program.operations,
            program.windows,
            state,
            optimizer.rates[done : done + size],
            np.array(optimizer.settings),
            done,
        )
    program.unpack(state[0], job.net)
    return loss
