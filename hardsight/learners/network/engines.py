"""The engines that train networks: machine code, stacked, stacked and compiled, or one after another."""

from collections.abc import Generator
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from hardsight.errors import InputError
from hardsight.learners.network import native
from hardsight.learners.network.compiled import CompiledSteps, has_compiler
from hardsight.learners.network.devices import Device
from hardsight.learners.network.native_program import read_program
from hardsight.learners.network.optimizer import Evaluate, MemberBatch, train_sequential, train_stacked
from hardsight.learners.network.stacked import StackingTrial

T = TypeVar("T")
ENGINES = ("auto", "native", "compiled", "stacked", "sequential")
# Number of steps of a whole stack, some milliseconds each, above which compiling pays for itself.
_MIN_COMPILED_STEPS = 30_000


class Train(Protocol):
    """A function that trains a batch of members and yields ``evaluate`` of every member, in order."""

    def __call__(self, batch: MemberBatch, evaluate: Evaluate[T]) -> Generator[T, None, None]:
        """Train; closing the generator ends the training."""
        ...


class Engine(NamedTuple):
    """A way to train."""

    train: Train
    many_members: bool  # whether a batch may have several members
    # Why members are trained one after another although the engine was "auto"; None if they are not.
    obstacle: str | None = None


class EngineRequest(NamedTuple):
    """What an engine is chosen for."""

    net: nn.Module
    trial: StackingTrial  # the outcome of try_stacking
    inputs: Tensor
    device: Device
    augmented: bool  # whether batches are augmented
    stacked_steps: int  # number of steps of whole stacks in the plan
    several_labels: bool = False  # whether samples have several labels


def choose_engine(name: str, request: EngineRequest) -> Engine:
    """Return the engine of this name, or for "auto" the fastest one.

    Raises:
        InputError: the engine cannot train this network; the message says why.
    """
    if name == "sequential":
        return Engine(train_sequential, many_members=False)
    if name in ("auto", "native"):
        engine, why_not = _native_engine(request)
        if engine is not None:
            return engine
        if name == "native":
            raise _cannot_train(name, why_not)
    if request.trial.obstacle:
        if name != "auto":
            raise _cannot_train(name, request.trial.obstacle)
        return Engine(train_sequential, many_members=False, obstacle=request.trial.obstacle)
    if not _compiles(name, request):
        return Engine(train_stacked, many_members=True)
    make_step = CompiledSteps(request.net, request.device).make_step
    return Engine(partial(train_stacked, make_step=make_step), many_members=True)


def _compiles(name: str, request: EngineRequest) -> bool:
    """Return whether stacked steps are compiled: if that is asked for, or left open and worthwhile."""
    why_not = _why_not_compiled(request.trial)
    if name == "compiled" and why_not:
        raise _cannot_train(name, why_not)
    pays = request.stacked_steps >= _MIN_COMPILED_STEPS and request.device.torch_device.type == "cpu" and not why_not
    return name == "compiled" or (name == "auto" and pays)


def _cannot_train(name: str, reason: str) -> InputError:
    return InputError(f"engine={name!r} cannot train this network: {reason}; use engine='auto'")


def _why_not_compiled(trial: StackingTrial) -> str:
    if trial.masked:
        return "dropout draws masks as it goes"
    return "" if has_compiler() else "there is no C++ compiler"


def _native_engine(request: EngineRequest) -> tuple[Engine | None, str]:
    """Return the native engine, or None and the reason."""
    if not native.is_available():
        return None, "numba is not installed (pip install 'hardsight[fast]')"
    if request.device.torch_device.type != "cpu" or request.device.precision != "float32":
        return None, "it works on the CPU in float32"
    if request.several_labels:
        return None, "samples have several labels"
    if request.augmented:
        return None, "batches are augmented"
    program = read_program(request.net, request.inputs.shape[1:])
    if program is None:
        return None, "it is not a chain of linear layers, ReLU, plain convolutions, max-pooling and flattening"
    return Engine(native.NativeEngine(program, request.inputs).train, many_members=True), ""
