"""Going down the loss: a chunk of networks in lock-step on stacked parameters, or one network alone."""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor, nn

from hardsight.errors import InputError, LearnerError
from hardsight.learners.base import OnProgress
from hardsight.learners.network.batches import Batch, Batches
from hardsight.learners.network.devices import Place
from hardsight.learners.network.dropout import Masks
from hardsight.learners.network.mlp import Gradient, layers
from hardsight.learners.network.schedules import SCHEDULES
from hardsight.learners.network.seeds import drawing, generator
from hardsight.learners.network.stacked import Parameters, Stack, stacked
from hardsight.resampling.plan import Member

_PREDICT_ROWS = 8192
_SHRINK = 1.5
_RATES = {"adamw": 3e-3, "sgd": 0.05}
_MOMENTUM = 0.9
EPSILON = 1e-8

T = TypeVar("T")
Predict = Callable[[Tensor], Tensor]
# What is asked of a member once it is trained, by its index in the chunk; may be called in another thread.
Judge = Callable[[int, Predict], T]
# Losses ``(member,)`` of a batch; leaves the gradients with the parameters.
Step = Callable[[Batch], Tensor]
StepOf = Callable[[Parameters, Parameters], Step]


@dataclass(frozen=True)
class Descent:
    """How the loss is made less; see :class:`~hardsight.learners.network.network.Network` for what the arguments mean.

    Raises:
        InputError: an argument out of range.
    """

    optimizer: str = "adamw"
    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise InputError(f"schedule must be one of {', '.join(SCHEDULES)}. Got {self.schedule!r}")
        if self.optimizer not in _RATES:
            raise InputError(f"optimizer must be one of {', '.join(_RATES)}. Got {self.optimizer!r}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise InputError(f"learning_rate must be positive. Got {self.learning_rate}")
        if self.weight_decay is not None and not self.weight_decay >= 0:
            raise InputError(f"weight_decay must be 0 or more. Got {self.weight_decay}")

    @property
    def start(self) -> float:
        """The learning rate at the start."""
        return self.learning_rate or _RATES[self.optimizer]

    def describe(self) -> str:
        """In words."""
        decay = "scaled to the steps" if self.weight_decay is None else f"{self.weight_decay:g}"
        return f"{self.optimizer} lr {self.start:g} ({self.schedule}), weight decay {decay}"

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step."""
        return self.start * SCHEDULES[self.schedule](step / steps)

    def decay(self, steps: int) -> float:
        """The weight decay of a training of so many steps."""
        if self.weight_decay is not None:
            return self.weight_decay
        # A handful of steps must not shrink a weight through zero.
        share = min(_SHRINK / sum(SCHEDULES[self.schedule](step / steps) for step in range(steps)), 0.5)
        # Momentum lets every gradient act 1 / (1 - momentum) times.
        return share / self.start * (1 - _MOMENTUM if self.optimizer == "sgd" else 1)

    @property
    def betas(self) -> tuple[float, float]:
        """AdamW's two averages; SGD's momentum and 0."""
        return (0.9, 0.999) if self.optimizer == "adamw" else (_MOMENTUM, 0.0)

    def of(self, tensors: Sequence[Tensor], steps: int) -> torch.optim.Optimizer:
        """The optimiser; both kinds work element by element, so one over stacked tensors is one a member."""
        decay = self.decay(steps)
        if self.optimizer == "adamw":
            return torch.optim.AdamW(
                tensors, lr=self.start, betas=self.betas, eps=EPSILON, weight_decay=decay, fused=True
            )
        return torch.optim.SGD(tensors, lr=self.start, momentum=_MOMENTUM, weight_decay=decay, fused=True)


class Chunk(NamedTuple):
    """Members to be trained together, and how.

    Attributes:
        nets: new, one a member.
        data: what they are trained on.
        batch: rows of a step.
        steps: how many.
        descent: how the loss is made less.
        place: where, and in which arithmetic.
        tick: told of progress, in chunks.
    """

    nets: Iterable[nn.Module]
    data: Batches
    batch: int
    steps: int
    descent: Descent
    place: Place
    tick: OnProgress


def train_stacked(chunk: Chunk, judge: Judge[T], step_of: StepOf | None = None) -> Generator[T, None, None]:
    """Train all members together; what ``judge`` says of every one.

    ``step_of`` makes what finds the losses and gradients of a step; None: by hand for perceptrons, else autograd.
    """
    place = chunk.place
    nets = [net.to(place.device) for net in chunk.nets]
    parameters, buffers = stacked(nets)
    if step_of is not None:
        step = step_of(parameters, buffers)
    # Mixed precision is autograd's: the gradient by hand is float32 throughout.
    elif (stack := layers(nets[0])) is not None and place.precision != "bfloat16":
        step = Gradient(parameters, stack)
    else:
        together, masks = Stack(nets[0]), _masks(chunk.data)
        step = _by_autograd(list(parameters.values()), lambda x: together(parameters, buffers, x, masks), place)
    _descend(list(parameters.values()), step, chunk)
    template = nets[0].eval()
    own_buffers = [dict(net.named_buffers()) for net in nets]

    def predict(index: int, x: Tensor) -> Tensor:
        own = {name: p[index].detach() for name, p in parameters.items()}
        out: Tensor = torch.func.functional_call(template, (own, own_buffers[index]), (x,))
        return out

    for index in range(len(nets)):
        yield judge(index, partial(predict, index))


def train_alone(chunk: Chunk, judge: Judge[T]) -> Generator[T, None, None]:
    """Train the only member of a chunk as any module is trained; what ``judge`` says of it."""
    (net,) = chunk.nets
    net.to(chunk.place.device).train()
    masks = _masks(chunk.data)

    def forward(x: Tensor) -> Tensor:
        with masks:
            out: Tensor = net(x[0])[None]
        return out

    tensors = list(net.parameters())
    _descend(tensors, _by_autograd(tensors, forward, chunk.place), chunk)
    yield judge(0, net.eval())


@torch.inference_mode()
def predictions(
    predict: Predict, index: int, rows: Int64[Tensor, " row"], data: Batches, place: Place
) -> Float64[Tensor, " row *class"]:
    """What a member says of some rows, in float32 whatever it was trained in: log-probabilities, or targets."""
    with place.products(exact=True):
        parts = [predict(data.rows(index, part)).double() for part in torch.split(rows, _PREDICT_ROWS)]
    out = torch.cat(parts)
    if data.regression:
        return (out.squeeze(1) * data.width[index] + data.centre[index]).cpu()
    return out.log_softmax(1).cpu()


def _masks(data: Batches) -> Masks:
    return Masks([generator(member.seed, "masks") for member in data.members])


def batch_losses(
    logits: Float32[Tensor, "member row class"], target: Tensor, weight: Tensor | None
) -> Float32[Tensor, " member"]:
    """Mean loss of each member's batch, weighted: cross-entropy for class codes, squared error for float targets."""
    if target.is_floating_point():
        losses = (logits.squeeze(-1) - target).square()
    else:
        # Reductions over a last axis of ten are many times slower than over a first one.
        classes_first = logits.movedim(-1, 0).contiguous()
        losses = classes_first.logsumexp(0) - classes_first.gather(0, target[None]).squeeze(0)
    return (losses if weight is None else losses * weight).mean(1)


def _by_autograd(parameters: Sequence[Tensor], forward: Callable[[Tensor], Tensor], place: Place) -> Step:
    def step(batch: Batch) -> Tensor:
        for parameter in parameters:
            parameter.grad = None
        with place.forward():
            logits = forward(batch.inputs)
        losses = batch_losses(logits.float(), batch.targets, batch.weights)
        # Summed over members: each member's gradient is then that of its own mean loss.
        torch.autograd.backward(losses.sum())
        return losses.detach()

    return step


def _descend(parameters: Sequence[Tensor], gradient: Step, chunk: Chunk) -> None:
    trainable = [p for p in parameters if p.requires_grad]
    if not trainable:
        raise InputError("the network has no parameter to train: return a module with parameters from make_net")
    descent, steps, members = chunk.descent, chunk.steps, chunk.data.members
    optimizer = descent.of(trainable, steps)
    with drawing(members[0].seed, "forward", chunk.place.device), chunk.place.products():
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = descent.rate(step, steps)
            losses = gradient(chunk.data.next(chunk.batch))
            optimizer.step()
            chunk.tick(1 / steps)
    for member, loss in zip(members, losses.tolist(), strict=True):
        check_finite(loss, member)


def check_finite(loss: float, member: Member) -> None:
    """Refuse a member whose last loss is no number.

    Raises:
        LearnerError: names the member.
    """
    if not math.isfinite(loss):
        raise LearnerError(
            f"training diverged (member {member.fold} of round {member.round} ends at loss {loss:g}): "
            "lower learning_rate, or scale the features"
        )
