"""Ensembles of networks, all members of a chunk trained at once on stacked parameters."""

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor, nn

from hardsight.errors import HardsightWarning, InputError, LearnerError, first_line, whole
from hardsight.learners.core import Tick, View
from hardsight.learners.perceptrons import Gradient, layers
from hardsight.samples import Samples
from hardsight.schedules import SCHEDULES
from hardsight.splits import Member, Plan

MakeNet = Callable[[], nn.Module]
_PREDICT_ROWS = 8192
_SHRINK = 1.5
_RATES = {"adamw": 3e-3, "sgd": 0.05}
_MOMENTUM = 0.9
# A feature that is nearly always the same stands tens of deviations out where it is not, and would decide alone.
_FAR = 5.0


class Network:
    """A network, trained from its own seed and batch order for every member of the ensemble.

    All members of a chunk take each step together: one batched pass over stacked parameters. A module that cannot be
    stacked (running batch-norm statistics, state changed in place, control flow on values) is trained one member after
    another, with a :class:`HardsightWarning` that says why. Members never share batches, so the result does not
    depend on how many share a chunk, beyond rounding; only dropout masks do, which a chunk draws from one stream.

    Args:
        make_net: returns a new ``torch.nn.Module`` that maps ``(row, …)`` inputs to ``(row, class)`` logits, or to
            ``(row, 1)`` in regression. None: a perceptron with ``hidden`` ReLU layers. Rows reach it as they were given, in
            float32; images with channels as ``(row, channel, height, width)``, bytes scaled to 0 … 1; tables and texts as
            the numbers of :attr:`Samples.matrix`.
        hidden: widths of the default perceptron's hidden layers; ``()`` gives a linear model.
        epochs: passes over a member's training part. None: 20, more for small data so that at least 400 steps are taken,
            fewer for very large data (at most 40,000 steps, at least 3 passes).
        batch_size: samples a step.
        optimizer: "adamw", or "sgd" with momentum .9.
        learning_rate: at the start. None: 3e-3 for AdamW, 0.05 for SGD.
        weight_decay: decoupled for AdamW, part of the gradient for SGD. None: as much as shrinks a weight that gets no
            gradient to e^-1.5 over training, whatever the number of steps; on noisy labels that ranks better than the
            least held-out loss does.
        schedule: "cosine" or "constant", factor on the learning rate over training.
        standardize: shift and scale every feature by mean and standard deviation of the *training part* of each member;
            values beyond five deviations are cut there, missing ones take the mean. None: True for the default perceptron,
            False for ``make_net``.
        members_at_once: size of a chunk. None: from the size of the network and of a batch.

    Raises:
        InputError: an argument out of range.
    """

    splits_itself = False

    def __init__(
        self,
        make_net: MakeNet | None = None,
        *,
        hidden: Sequence[int] = (128,),
        epochs: int | None = None,
        batch_size: int = 64,
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        schedule: str = "cosine",
        standardize: bool | None = None,
        members_at_once: int | None = None,
    ) -> None:
        if schedule not in SCHEDULES:
            raise InputError(f"schedule must be one of {', '.join(SCHEDULES)}. Got {schedule!r}")
        for name, value in (("epochs", epochs), ("batch_size", batch_size), ("members_at_once", members_at_once)):
            if value is not None:
                whole(name, value, 1)
        if optimizer not in _RATES:
            raise InputError(f"optimizer must be one of {', '.join(_RATES)}. Got {optimizer!r}")
        if learning_rate is not None and not learning_rate > 0:
            raise InputError(f"learning_rate must be positive. Got {learning_rate}")
        if weight_decay is not None and not weight_decay >= 0:
            raise InputError(f"weight_decay must be 0 or more. Got {weight_decay}")
        self.make_net, self.hidden, self.epochs, self.batch_size = make_net, tuple(hidden), epochs, batch_size
        self.optimizer, self.learning_rate = optimizer, learning_rate or _RATES[optimizer]
        self.weight_decay, self.schedule = weight_decay, schedule
        self.standardize = make_net is None if standardize is None else standardize
        self.members_at_once = members_at_once
        self.name = "network" if make_net is None else f"network {getattr(make_net, '__name__', 'make_net')}"

    def describe(self) -> str:
        """The recipe in a line."""
        shape = "-".join(map(str, self.hidden)) or "linear"
        what = f"perceptron {shape}" if self.make_net is None else self.name
        passes = "as many passes as the data needs" if self.epochs is None else f"{self.epochs} epochs"
        decay = "scaled to the steps" if self.weight_decay is None else f"{self.weight_decay:g}"
        return (
            f"{what}, {self.optimizer} lr {self.learning_rate:g} ({self.schedule}), weight decay {decay}, "
            f"batch {self.batch_size}, {passes}"
        )

    @property
    def in_sample_is_cheap(self) -> bool:
        """One forward pass over what takes three of them in every epoch of training."""
        return self.epochs is None or self.epochs >= 10

    def models(self, plan: Plan) -> int:
        """One a member."""
        return plan.count

    def views(self, samples: Samples, plan: Plan, tick: Tick) -> Iterator[View]:
        """See :meth:`Learner.views`."""
        inputs = self._inputs(samples)
        targets = torch.from_numpy(samples.labels)
        outputs = 1 if samples.classes is None else len(samples.classes)
        make = self.make_net or (lambda: perceptron(inputs[0].numel(), self.hidden, outputs))
        smallest, mean = _training_sizes(plan)
        batch = min(self.batch_size, smallest)
        steps = _steps(mean, batch, self.epochs)
        template = _build(make, stream(plan.member_seed(0, 0), "weights"))
        _check_output(template, inputs[:2], outputs)
        reason = why_not_stackable(template, inputs[:2])
        if reason:
            warnings.warn(f"members are trained one after another: {reason}", HardsightWarning, stacklevel=2)
        chunk = self.members_at_once or _chunk(template, inputs, batch)
        members = plan.members()
        while together := list(islice(members, 1 if reason else chunk)):
            data = _Chunk(together, inputs, targets, regression=samples.regression, standardize=self.standardize)
            nets = [_build(make, stream(m.seed, "weights")) for m in together]
            train = _train_alone if reason else _train_stacked
            predict = train(nets, data, batch, steps, self, _scaled_tick(tick, len(together)))
            for index, member in enumerate(together):
                rows = torch.from_numpy(member.held_out)
                yield View(rows, _held_out(predict, index, rows, data), member.round)
                if plan.in_sample:
                    rows = torch.from_numpy(member.train)
                    yield View(rows, _held_out(predict, index, rows, data), member.round, seen=True)

    def _inputs(self, samples: Samples) -> Tensor:
        if self.make_net is None or samples.kind in ("table", "text"):
            inputs = torch.from_numpy(np.ascontiguousarray(samples.matrix))
        else:
            numbers = samples.numbers
            channels_last = samples.kind == "image" and numbers.ndim == 4
            inputs = torch.from_numpy(np.ascontiguousarray(np.moveaxis(numbers, -1, 1) if channels_last else numbers))
        if not self.standardize and inputs.isnan().any():
            raise InputError(
                "the features have missing values, which a network without standardize=True cannot read: fill them, "
                "or pass Network(make_net, standardize=True)"
            )
        return inputs


def perceptron(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """Linear layers with ReLU between them.

    >>> [tuple(p.shape) for p in perceptron(64, (128,), 10).parameters()]
    [(128, 64), (128,), (10, 128), (10,)]
    """
    widths = [inputs, *hidden]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


class _Chunk:
    """Inputs as members see them: rows gathered by member, standardised by the member's own training part."""

    def __init__(
        self, members: list[Member], inputs: Tensor, targets: Tensor, *, regression: bool, standardize: bool
    ) -> None:
        self.members, self.regression, self.standardize = members, regression, standardize
        self.inputs, self.targets = inputs, targets
        self.orders = [_order(m.train, stream(m.seed, "order")) for m in members]
        if standardize:
            flat = inputs.flatten(1)
            mean, scale = zip(*(_mean_and_scale(flat[torch.from_numpy(m.train)]) for m in members), strict=True)
            self.mean, self.inverse = torch.stack(mean).float(), (1 / torch.stack(scale)).float()
            self.missing = bool(flat.isnan().any())
        if regression:
            centre, width = zip(
                *(_mean_and_scale(targets[torch.from_numpy(m.train), None]) for m in members), strict=True
            )
            self.centre, self.width = torch.cat(centre), torch.cat(width)

    def next(self, batch: int) -> tuple[Tensor, Tensor]:
        """A batch for every member: inputs ``(member, row, …)`` and targets ``(member, row)``."""
        rows = torch.stack([order(batch) for order in self.orders])
        flat = rows.flatten()
        x = self.inputs.index_select(0, flat).view(*rows.shape, *self.inputs.shape[1:])
        y = self.targets.index_select(0, flat).view(rows.shape)
        if self.regression:
            y = ((y - self.centre[:, None]) / self.width[:, None]).float()
        return (self._scaled(x, self.mean[:, None], self.inverse[:, None]) if self.standardize else x), y

    def rows(self, index: int, rows: Tensor) -> Tensor:
        """Inputs of some rows as member ``index`` sees them."""
        x = self.inputs.index_select(0, rows)
        return self._scaled(x, self.mean[index], self.inverse[index]) if self.standardize else x

    def _scaled(self, x: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
        flat = ((x.flatten(x.ndim - self.inputs.ndim + 1) - mean) * inverse).clamp(-_FAR, _FAR)
        # Missing values take the training mean, which is zero here.
        return (flat.nan_to_num(0.0) if self.missing else flat).view_as(x)


def stream(seed: int, purpose: Literal["weights", "order", "masks"]) -> int:
    """A seed of its own for each thing that a member draws."""
    key = ("weights", "order", "masks").index(purpose)
    return int(np.random.SeedSequence(seed, spawn_key=(key,)).generate_state(1)[0])


def _order(train: np.ndarray, seed: int) -> Callable[[int], Tensor]:
    """Endless stream of a member's training rows: one permutation after another, cut wherever a batch is full.

    Every batch is then full whatever the size of the training part, so members of unequal folds take the same steps.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.from_numpy(train)
    waiting = rows[:0]

    def take(batch: int) -> Tensor:
        nonlocal waiting
        while len(waiting) < batch:
            waiting = torch.cat([waiting, rows[torch.randperm(len(rows), generator=generator)]])
        head, waiting = waiting[:batch], waiting[batch:]
        return head

    return take


def _mean_and_scale(x: Tensor) -> tuple[Float64[Tensor, " feature"], Float64[Tensor, " feature"]]:
    known = ~x.isnan()
    count = known.sum(0).clamp(min=1)
    mean = x.nan_to_num(0.0).sum(0, dtype=torch.float64) / count
    square = (x.double() - mean).nan_to_num(0.0).square().sum(0) / count
    scale = square.sqrt()
    # A constant feature carries nothing; dividing by its rounding noise would blow it up.
    return mean, torch.where(scale > 1e-7 * mean.abs().clamp(min=1e-30), scale, 1.0)


def _build(make: MakeNet, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = make()
    if not isinstance(net, nn.Module):
        raise InputError(f"make_net must return a torch.nn.Module. Got {type(net).__name__}")
    return net


def _check_output(net: nn.Module, x: Tensor, outputs: int) -> None:
    try:
        with torch.inference_mode():
            shape = tuple(copy.deepcopy(net).eval()(x.nan_to_num(0.0)).shape)
    except RuntimeError as fault:
        raise LearnerError(f"the network cannot read inputs of shape (row, {_dims(x)}): {fault}") from fault
    if shape != (len(x), outputs):
        want = f"(row, {outputs}): one logit a class" if outputs > 1 else "(row, 1): the predicted target"
        raise InputError(f"the network must return {want}. For {len(x)} rows it returned {shape}")


def _dims(x: Tensor) -> str:
    return ", ".join(map(str, x.shape[1:]))


def why_not_stackable(net: nn.Module, x: Tensor) -> str | None:
    """Why members of this module cannot share one batched pass; None where they can. ``x``: a few inputs."""
    for name, module in net.named_modules():
        if getattr(module, "track_running_stats", False) and module.running_mean is not None:
            return f"{type(module).__name__} ({name or 'the module'}) keeps running statistics"
    twins = [copy.deepcopy(net) for _ in range(2)]
    try:
        # Dropout draws even here, and must not draw from the caller's numbers.
        with torch.random.fork_rng(devices=[]):
            _stacked_forward(twins)[1](torch.stack([x, x]).nan_to_num(0.0))
    except (RuntimeError, ValueError) as fault:
        return f"{type(net).__name__} cannot be vectorised ({first_line(fault)})"
    return None


def _stacked_forward(nets: list[nn.Module]) -> tuple[dict[str, Tensor], Callable[[Tensor], Tensor]]:
    parameters, buffers = torch.func.stack_module_state(nets)
    base = copy.deepcopy(nets[0]).to("meta").train()

    def one(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(base, (p, b), (x,))
        return out

    together = torch.vmap(one, randomness="different")
    return parameters, lambda x: together(parameters, buffers, x)


def _loss(logits: Float32[Tensor, "member row class"], target: Tensor) -> Float32[Tensor, " member"]:
    """Mean loss of each member's batch: cross-entropy for class codes, squared error for float targets."""
    if target.is_floating_point():
        return (logits.squeeze(-1) - target).square().mean(1)
    # Reductions over a last axis of ten are many times slower than over a first one.
    classes_first = logits.movedim(-1, 0).contiguous()
    own = classes_first.gather(0, target[None]).squeeze(0)
    return (classes_first.logsumexp(0) - own).mean(1)


Predict = Callable[[int, Tensor], Tensor]


def _train_stacked(nets: list[nn.Module], data: _Chunk, batch: int, steps: int, recipe: Network, tick: Tick) -> Predict:
    parameters, forward = _stacked_forward(nets)
    stack = layers(nets[0])
    tensors = list(parameters.values())
    gradient = _by_autograd(tensors, forward) if stack is None else Gradient(parameters, stack)
    _descend(tensors, gradient, data, batch, steps, recipe, tick)
    template = nets[0].eval()
    buffers = [dict(net.named_buffers()) for net in nets]

    def predict(index: int, x: Tensor) -> Tensor:
        own = {name: p[index].detach() for name, p in parameters.items()}
        out: Tensor = torch.func.functional_call(template, (own, buffers[index]), (x,))
        return out

    return predict


def _train_alone(nets: list[nn.Module], data: _Chunk, batch: int, steps: int, recipe: Network, tick: Tick) -> Predict:
    (net,) = nets
    net.train()
    tensors = list(net.parameters())
    _descend(tensors, _by_autograd(tensors, lambda x: net(x[0])[None]), data, batch, steps, recipe, tick)
    net.eval()
    return lambda _, x: net(x)


def _by_autograd(
    parameters: Sequence[Tensor], forward: Callable[[Tensor], Tensor]
) -> Callable[[Tensor, Tensor], Tensor]:
    def gradient(x: Tensor, y: Tensor) -> Tensor:
        for parameter in parameters:
            parameter.grad = None
        losses = _loss(forward(x), y)
        # Summed over members: each member's gradient is then that of its own mean loss.
        torch.autograd.backward(losses.sum())
        return losses.detach()

    return gradient


def _descend(
    parameters: Sequence[Tensor],
    gradient: Callable[[Tensor, Tensor], Tensor],
    data: _Chunk,
    batch: int,
    steps: int,
    recipe: Network,
    tick: Tick,
) -> None:
    trainable = [p for p in parameters if p.requires_grad]
    if not trainable:
        raise InputError("the network has no parameter to train: return a module with parameters from make_net")
    schedule = SCHEDULES[recipe.schedule]
    decay = recipe.weight_decay
    if decay is None:
        # A handful of steps must not shrink a weight through zero.
        share = min(_SHRINK / sum(schedule(step / steps) for step in range(steps)), 0.5)
        # Momentum lets every gradient act 1 / (1 - momentum) times.
        decay = share / recipe.learning_rate * (1 - _MOMENTUM if recipe.optimizer == "sgd" else 1)
    # Both work element by element, so one optimiser over stacked tensors is one optimiser a member.
    optimizer: torch.optim.Optimizer = (
        torch.optim.AdamW(trainable, lr=recipe.learning_rate, weight_decay=decay, fused=True)
        if recipe.optimizer == "adamw"
        else torch.optim.SGD(trainable, lr=recipe.learning_rate, momentum=_MOMENTUM, weight_decay=decay, fused=True)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(data.members[0].seed, "masks"))
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * schedule(step / steps)
            x, y = data.next(batch)
            losses = gradient(x, y)
            optimizer.step()
            tick(1 / steps)
    if not losses.isfinite().all():
        worst = data.members[int(losses.isfinite().logical_not().nonzero()[0])]
        raise LearnerError(
            f"training diverged (member {worst.fold} of round {worst.round} ends at loss {losses.sum().item():g}): "
            "lower learning_rate, or scale the features"
        )


@torch.inference_mode()
def _held_out(
    predict: Predict, index: int, rows: Int64[Tensor, " row"], data: _Chunk
) -> Float64[Tensor, " row *class"]:
    parts = [predict(index, data.rows(index, part)).double() for part in torch.split(rows, _PREDICT_ROWS)]
    out = torch.cat(parts)
    if data.regression:
        return out.squeeze(1) * data.width[index] + data.centre[index]
    return out.log_softmax(1)


def _scaled_tick(tick: Tick, members: int) -> Tick:
    return lambda share: tick(share * members)


def _training_sizes(plan: Plan) -> tuple[int, float]:
    sizes = np.concatenate([len(r.fold) - np.bincount(r.fold[r.fold >= 0], minlength=r.members) for r in plan.rounds])
    return int(sizes.min()), float(sizes.mean())


def _steps(train_size: float, batch: int, epochs: int | None) -> int:
    a_pass = train_size / batch
    if epochs is not None:
        return max(1, round(epochs * a_pass))
    return math.ceil(max(min(max(20 * a_pass, 400), 40_000), 3 * a_pass))


def _chunk(net: nn.Module, inputs: Tensor, batch: int) -> int:
    """Members whose parameters, gradients, optimiser state and activations stay below about half a gigabyte."""
    parameters = sum(p.numel() for p in net.parameters())
    widest = max((p.numel() for p in net.parameters()), default=1) // max(inputs[0].numel(), 1)
    each = 4 * (5 * parameters + 6 * batch * (inputs[0].numel() + widest))
    return max(1, min(64, 2**29 // each))
