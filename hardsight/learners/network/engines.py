"""How the members of a chunk are trained: as machine code, stacked, stacked and compiled, or one after another."""

from collections.abc import Generator
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.learners.network import native
from hardsight.learners.network.compiled import Compiled, compiler
from hardsight.learners.network.devices import Place
from hardsight.learners.network.native_program import program
from hardsight.learners.network.optimizer import Chunk, Judge, train_alone, train_stacked
from hardsight.learners.network.stacked import Trial

T = TypeVar("T")
ENGINES = ("auto", "native", "compiled", "stacked", "alone")
# Steps of a whole stack, some milliseconds each, from which on compiling pays for itself.
_LONG = 30_000


class Train(Protocol):
    """What trains a chunk, and gives what ``judge`` says of every member, in order."""

    def __call__(self, chunk: Chunk, judge: Judge[T]) -> Generator[T, None, None]:
        """Closing the generator ends the training."""
        ...


class Engine(NamedTuple):
    """What trains.

    Attributes:
        train: trains a chunk.
        shared: whether a chunk may have several members.
        obstacle: why members that were to share a pass do not; None where they do, or were not to.
    """

    train: Train
    shared: bool
    obstacle: str | None = None


class Job(NamedTuple):
    """What an engine is chosen for.

    ``net`` is any member's module, ``trial`` what came of trying it, ``inputs`` are all samples, ``augmented`` says whether
    batches are changed, ``lock_steps`` how many steps of a whole stack the plan comes to.
    """

    net: nn.Module
    trial: Trial
    inputs: Tensor
    place: Place
    augmented: bool
    lock_steps: int


def choose(wanted: str, job: Job) -> Engine:
    """The engine that is wanted, or with "auto" the fastest for the job.

    Raises:
        InputError: the engine that is wanted cannot do the job; says why.
    """
    if wanted == "alone":
        return Engine(train_alone, shared=False)
    found, why_not = _native(job)
    if wanted == "native" and found is None:
        raise InputError(f"engine='native' cannot train this network: {why_not}; use engine='auto'")
    if found is not None and wanted in ("auto", "native"):
        return found
    if job.trial.obstacle:
        if wanted != "auto":
            raise InputError(f"engine={wanted!r} cannot train this network: {job.trial.obstacle}; use engine='auto'")
        return Engine(train_alone, shared=False, obstacle=job.trial.obstacle)
    obstacle = (
        "dropout draws masks as it goes" if job.trial.masked else "" if compiler() else "there is no C++ compiler"
    )
    if wanted == "compiled" and obstacle:
        raise InputError(f"engine='compiled' cannot train this network: {obstacle}; use engine='auto'")
    pays = job.lock_steps >= _LONG and job.place.device.type == "cpu" and not obstacle
    if wanted == "compiled" or (wanted == "auto" and pays):
        return Engine(partial(train_stacked, step_of=Compiled(job.net, job.place).step_of), shared=True)
    return Engine(train_stacked, shared=True)


def _native(job: Job) -> tuple[Engine | None, str]:
    """The engine, or why it cannot be had."""
    if not native.available():
        return None, "numba is not installed (pip install 'hardsight[fast]')"
    if job.place.device.type != "cpu" or job.place.precision != "float32":
        return None, "it works on the CPU in float32"
    if job.augmented:
        return None, "batches are augmented"
    found = program(job.net, job.inputs.shape[1:])
    if found is None:
        return None, "it is no chain of linear layers, ReLU, plain convolutions, max-pooling and flattening"
    return Engine(native.Native(found, job.inputs).train, shared=True), ""
