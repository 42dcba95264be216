"""Training in torch: members stacked, in lockstep, or a single network; optimizer settings and predictions."""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor, nn
from torch.nn.functional import softplus

from hardsight.errors import InputError, LearnerError
from hardsight.learners.base import OnProgress
from hardsight.learners.network.batches import Batch, Batches
from hardsight.learners.network.devices import Device
from hardsight.learners.network.dropout import MemberDropout
from hardsight.learners.network.mlp import MlpGradient, find_layers
from hardsight.learners.network.schedules import SCHEDULES
from hardsight.learners.network.seeds import make_generator, seeded_torch
from hardsight.learners.network.stacked import Parameters, StackedModule, stack_parameters
from hardsight.learners.threads import limit_threads
from hardsight.measures.probabilities import warn_of_probabilities
from hardsight.resampling.plan import Member
from hardsight.validation import check_choice, check_range

_PREDICT_ROWS = 8192
_SHRINK = 1.5
_LEARNING_RATES = {"adamw": 3e-3, "sgd": 0.05}
_MOMENTUM = 0.9
EPSILON = 1e-8

T = TypeVar("T")
Predict = Callable[[Tensor], Tensor]
# Is called with the index of a trained member in its batch and its prediction function; may run in another thread.
Evaluate = Callable[[int, Predict], T]
# Returns the losses ``(member,)`` of a batch, and stores the gradients with the parameters.
Step = Callable[[Batch], Tensor]
MakeStep = Callable[[Parameters, Parameters], Step]


@dataclass(frozen=True)
class OptimizerConfig:
    """Settings of the optimizer; see :class:`~hardsight.learners.network.network.Network` for the arguments.

    Raises:
        InputError: an argument out of range.
    """

    name: str = "adamw"
    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("optimizer", self.name, _LEARNING_RATES)
        if self.learning_rate is not None:
            check_range("learning_rate", self.learning_rate, 0, strict=(True, False))
        if self.weight_decay is not None:
            check_range("weight_decay", self.weight_decay, 0)

    @property
    def initial_rate(self) -> float:
        """The learning rate at the start."""
        return self.learning_rate or _LEARNING_RATES[self.name]

    def describe(self) -> str:
        """Describe the settings in one line."""
        decay = "scaled to the steps" if self.weight_decay is None else f"{self.weight_decay:g}"
        return f"{self.name} lr {self.initial_rate:g} ({self.schedule}), weight decay {decay}"

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of one of ``steps`` steps."""
        return self.initial_rate * SCHEDULES[self.schedule](step / steps)

    def decay_for(self, steps: int) -> float:
        """Return the weight decay of a training of ``steps`` steps."""
        if self.weight_decay is not None:
            return self.weight_decay
        # A handful of steps must not shrink a weight through zero.
        share = min(_SHRINK / sum(SCHEDULES[self.schedule](step / steps) for step in range(steps)), 0.5)
        # With momentum every gradient acts 1 / (1 - momentum) times.
        return share / self.initial_rate * (1 - _MOMENTUM if self.name == "sgd" else 1)

    @property
    def betas(self) -> tuple[float, float]:
        """AdamW's two betas; SGD's momentum and 0."""
        return (0.9, 0.999) if self.name == "adamw" else (_MOMENTUM, 0.0)

    def build(self, tensors: Sequence[Tensor], steps: int) -> torch.optim.Optimizer:
        """Return the optimizer. Both kinds work element by element, so one serves all stacked members."""
        decay = self.decay_for(steps)
        if self.name == "adamw":
            return torch.optim.AdamW(
                tensors, lr=self.initial_rate, betas=self.betas, eps=EPSILON, weight_decay=decay, fused=True
            )
        return torch.optim.SGD(tensors, lr=self.initial_rate, momentum=_MOMENTUM, weight_decay=decay, fused=True)


class MemberBatch(NamedTuple):
    """Members to be trained together, and how."""

    nets: Iterable[nn.Module]
    data: Batches
    batch_size: int  # rows per step
    steps: int  # number of steps
    optimizer: OptimizerConfig
    device: Device
    on_progress: OnProgress  # is called with the share of the training done since the last call


def train_stacked(batch: MemberBatch, evaluate: Evaluate[T], make_step: MakeStep | None = None) -> Generator[T, None, None]:
    """Train all members in lockstep on stacked parameters, and yield ``evaluate`` of each.

    Args:
        make_step: returns the function that computes losses and gradients of a step; None: by hand for perceptrons, else
            by autograd.
    """
    device, largest = batch.device, math.inf
    nets = [net.to(device.torch_device) for net in batch.nets]
    parameters, buffers = stack_parameters(nets)
    if make_step is not None:
        step = make_step(parameters, buffers)
    # Mixed precision needs autograd: the gradient by hand is float32 throughout.
    elif (layers := find_layers(nets[0])) is not None and device.precision != "bfloat16":
        step = MlpGradient(parameters, layers)
        largest = batch.batch_size * max(p.numel() // p.shape[-1] for p in parameters.values())
    else:
        stacked, dropout = StackedModule(nets[0]), _member_dropout(batch.data)
        step = _autograd_step(list(parameters.values()), lambda x: stacked(parameters, buffers, x, dropout), device)
    _run_steps(list(parameters.values()), step, batch, largest)
    template = nets[0].eval()
    member_buffers = [dict(net.named_buffers()) for net in nets]

    def predict(index: int, x: Tensor) -> Tensor:
        member_parameters = {name: p[index].detach() for name, p in parameters.items()}
        out: Tensor = torch.func.functional_call(template, (member_parameters, member_buffers[index]), (x,))
        return out

    for index in range(len(nets)):
        yield evaluate(index, partial(predict, index))


def train_sequential(batch: MemberBatch, evaluate: Evaluate[T]) -> Generator[T, None, None]:
    """Train the only member of a batch as any module is trained, and yield ``evaluate`` of it."""
    (net,) = batch.nets
    net.to(batch.device.torch_device).train()
    dropout = _member_dropout(batch.data)

    def forward(x: Tensor) -> Tensor:
        with dropout:
            out: Tensor = net(x[0])[None]
        return out

    tensors = list(net.parameters())
    _run_steps(tensors, _autograd_step(tensors, forward, batch.device), batch)
    yield evaluate(0, net.eval())


@torch.inference_mode()
def predict_rows(
    predict: Predict, index: int, rows: Int64[Tensor, " row"], data: Batches, device: Device
) -> Float64[Tensor, " row *class"]:
    """Return a member's log-probabilities or targets for some rows; in float32 whatever the precision of training.

    Of several labels per sample, they are the logits of each.
    """
    with device.matmul_precision(exact=True):
        parts = [predict(data.select_inputs(index, part)).double() for part in torch.split(rows, _PREDICT_ROWS)]
    out = torch.cat(parts)
    if data.regression:
        return (out.squeeze(1) * data.target_scale[index] + data.target_mean[index]).cpu()
    if data.several_labels:
        return out.cpu()
    warn_of_probabilities(out, "the network")
    return out.log_softmax(1).cpu()


def _member_dropout(data: Batches) -> MemberDropout:
    return MemberDropout([make_generator(member.seed, "masks") for member in data.members])


def batch_losses(
    logits: Float32[Tensor, "member row class"], target: Tensor, weight: Tensor | None
) -> Float32[Tensor, " member"]:
    """Return each member's weighted mean loss; see :func:`hardsight.learners.network.mlp.mean_loss_and_gradient`."""
    if target.ndim == 3:
        having, lacking = target.chunk(2, dim=2)
        losses = (having * softplus(-logits) + lacking * softplus(logits)).mean(2)
    elif target.is_floating_point():
        losses = (logits.squeeze(-1) - target).square()
    else:
        # Reductions over a last axis of ten are many times slower than over a first one.
        classes_first = logits.movedim(-1, 0).contiguous()
        losses = classes_first.logsumexp(0) - classes_first.gather(0, target[None]).squeeze(0)
    return (losses if weight is None else losses * weight).mean(1)


def _autograd_step(parameters: Sequence[Tensor], forward: Callable[[Tensor], Tensor], device: Device) -> Step:
    def step(batch: Batch) -> Tensor:
        for parameter in parameters:
            parameter.grad = None
        with device.autocast():
            logits = forward(batch.inputs)
        losses = batch_losses(logits.float(), batch.targets, batch.weights)
        # Summed over members: each member's gradient is then that of its own mean loss.
        torch.autograd.backward(losses.sum())
        return losses.detach()

    return step


def _run_steps(parameters: Sequence[Tensor], step: Step, batch: MemberBatch, largest: float = math.inf) -> None:
    """Train members. ``largest`` is the number of values in the largest matrix of a step, which decides on threads."""
    trainable = [p for p in parameters if p.requires_grad]
    if not trainable:
        raise InputError("the network has no parameter to train: return a module with parameters from make_net")
    config, steps, members = batch.optimizer, batch.steps, batch.data.members
    optimizer = config.build(trainable, steps)
    torch_device = batch.device.torch_device
    with seeded_torch(members[0].seed, "forward", torch_device), batch.device.matmul_precision(), limit_threads(largest):
        for number in range(steps):
            optimizer.param_groups[0]["lr"] = config.rate_at(number, steps)
            losses = step(batch.data.next_batch(batch.batch_size))
            optimizer.step()
            batch.on_progress(1 / steps)
    for member, loss in zip(members, losses.tolist(), strict=True):
        check_finite(loss, member)


def check_finite(loss: float, member: Member) -> None:
    """Check a member's last loss.

    Raises:
        LearnerError: the loss is not finite; names the member.
    """
    if not math.isfinite(loss):
        raise LearnerError(
            f"training diverged (member {member.fold} of round {member.round} ends at loss {loss:g}): "
            "lower learning_rate, or scale the features"
        )
