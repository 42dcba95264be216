"""Members trained as machine code, side by side in threads.

Needs numba (the extra ``fast``). Where that is missing, the same networks are trained on stacked tensors.
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
from hardsight.learners.network.native_program import Program
from hardsight.learners.network.optimizer import EPSILON, Chunk, Judge, check_finite

T = TypeVar("T")

# Rows drawn ahead in one call: some ten milliseconds of work, after which an interrupt is heard.
_ROWS_A_CALL = 1 << 16
_NO_CODES, _NO_NUMBERS = np.empty(0, np.int64), np.empty(0, np.float32)


class Recipe(NamedTuple):
    """How parameters follow the gradient.

    ``rates`` is the learning rate of each step, ``(step,)`` float64; ``descent`` is the weight decay with AdamW's two betas
    and epsilon, or with SGD's momentum, 0 and 0.
    """

    rates: np.ndarray
    descent: tuple[float, float, float, float]
    batch: int


class Pupil(NamedTuple):
    """What one member reads.

    ``x`` is ``(sample, feature)`` float32, images with channels last; ``targets`` ``(sample,)`` int64 codes or float32;
    ``weights`` ``(sample,)`` float32 or None; ``mean`` and ``inverse`` ``(feature,)`` float32, inputs being read as
    ``clip((x - mean) * inverse, -far, far)``; ``order(count)`` gives the next ``count`` rows it trains on.
    """

    net: nn.Module
    x: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    mean: np.ndarray
    inverse: np.ndarray
    far: float
    order: Callable[[int], Tensor]


def available() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def version() -> str | None:
    """The version of numba; None where it is not installed."""
    return metadata.version("numba") if available() else None


def train(
    program: Program, pupils: Iterable[Pupil], recipe: Recipe, then: Callable[[int, Pupil, float], T]
) -> Generator[T, None, None]:
    """Train the pupils' nets in place, as many at a time as torch may use threads.

    ``then(index, pupil, loss)`` is called in the thread that trained a pupil, with the mean loss of its last batch; answers
    are given in the order of the pupils. Torch has one thread meanwhile. Closing the generator ends the training.
    """
    stop = Event()

    def work(index: int, pupil: Pupil) -> T:
        loss = _descend(program, pupil, recipe, stop)
        if stop.is_set():
            # Nobody waits for what an unfinished member has to say.
            raise CancelledError
        return then(index, pupil, loss)

    # One thread a member, for BLAS and for torch: the members themselves are what runs side by side. One for the caller,
    # too, who reads the first while the last are trained: more would wait for cores, and spin meanwhile.
    with (
        _one_thread_for_torch() as threads,
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        try:
            yield from pool.map(work, count(), pupils)
        finally:
            stop.set()


@contextmanager
def _one_thread_for_torch() -> Iterator[int]:
    """How many threads torch had, and will have again."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


class Native:
    """Chunks of one module's members.

    Args:
        program: the module.
        inputs: all samples ``(sample, …)`` float32, on the CPU.
    """

    def __init__(self, program: Program, inputs: Tensor) -> None:
        self.program = program
        self.x = _flat(inputs).numpy()

    def train(self, chunk: Chunk, judge: Judge[T]) -> Generator[T, None, None]:
        """What ``judge`` says of every member, as soon as it is trained."""
        descent, data, steps = chunk.descent, chunk.data, chunk.steps
        rates = np.array([descent.rate(step, steps) for step in range(steps)])
        recipe = Recipe(rates, (descent.decay(steps), *descent.betas, EPSILON), chunk.batch)
        pupils = (self._pupil(net, data, index) for index, net in enumerate(chunk.nets))

        def judged(index: int, pupil: Pupil, loss: float) -> T:
            check_finite(loss, data.members[index])
            return judge(index, pupil.net.eval())

        with closing(train(self.program, pupils, recipe, judged)) as found:
            for each in found:
                chunk.tick(1 / len(data.members))
                yield each

    def _pupil(self, net: nn.Module, data: Batches, index: int) -> Pupil:
        shape, weight = data.inputs.shape[1:], data.weight(index)
        mean, inverse = data.scaling(index)
        return Pupil(
            net,
            self.x,
            data.target(index).numpy(),
            None if weight is None else weight.numpy(),
            _flat(mean.view(1, *shape)).numpy()[0],
            _flat(inverse.view(1, *shape)).numpy()[0],
            data.far,
            data.orders[index],
        )


def _flat(x: Tensor) -> Tensor:
    """Rows of numbers, images with their channels last."""
    return (x.movedim(1, -1) if x.ndim == 4 else x).reshape(len(x), -1).contiguous()


def _descend(program: Program, pupil: Pupil, recipe: Recipe, stop: Event) -> float:
    from hardsight.learners.network import native_kernel as kernel

    state = np.zeros((3, program.size), np.float32)
    state[0] = program.pack(pupil.net)
    coded = pupil.targets.dtype == np.int64
    codes, targets = (pupil.targets, _NO_NUMBERS) if coded else (_NO_CODES, pupil.targets)
    weights = _NO_NUMBERS if pupil.weights is None else pupil.weights
    loss, steps = float("nan"), len(recipe.rates)
    together = max(1, _ROWS_A_CALL // recipe.batch)
    for done in range(0, steps, together):
        if stop.is_set():
            break
        count = min(together, steps - done)
        rows = pupil.order(count * recipe.batch).numpy().reshape(count, recipe.batch)
        loss = kernel.train(
            pupil.x,
            codes,
            targets,
            weights,
            rows,
            pupil.mean,
            pupil.inverse,
            np.float32(pupil.far),
            program.operations,
            program.windows,
            state,
            recipe.rates[done : done + count],
            np.array(recipe.descent),
            done,
        )
    program.unpack(state[0], pupil.net)
    return loss
