"""Ensembles of networks, many members trained at once."""

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from functools import partial
from itertools import chain, islice, pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hardsight.data import Samples
from hardsight.errors import HardsightWarning, InputError, LearnerError
from hardsight.learners.base import Capabilities, OnProgress, Predictions, as_tensor
from hardsight.learners.network.augmentation import bind_augment
from hardsight.learners.network.batches import Batches, TrainingData
from hardsight.learners.network.devices import Device
from hardsight.learners.network.engines import ENGINES, Engine, EngineRequest, choose_engine
from hardsight.learners.network.optimizer import MemberBatch, OptimizerConfig, Predict, predict_rows
from hardsight.learners.network.rotation import is_wide, rotate
from hardsight.learners.network.stacked import (
    MakeNet,
    StackingTrial,
    build_net,
    check_independent,
    check_output,
    try_stacking,
)
from hardsight.resampling.plan import Member, Plan
from hardsight.validation import check_choice, check_int, check_range


class Network:
    r"""A network, trained from its own seed and batch order for every member of the ensemble.

    Perceptrons and small convolutional networks are trained as machine code if numba is installed, several members in
    parallel threads. For all other modules, the members of a batch take each step together: one batched pass over stacked
    parameters. A module that cannot be stacked (running batch-norm statistics, state changed in place, control flow on
    values, random numbers other than those of dropout) is trained one member after another, with a
    :class:`HardsightWarning` that says why. Members share neither training batches nor random numbers, so the result does
    not depend on how many are trained together, beyond rounding.

    Weighted samples: a member minimises the mean over its batches of $w_i \ell_i$, with weights of mean 1 over its
    training part, so that every step's gradient is unbiased for that of the weighted mean loss.

    Args:
        make_net: returns a new ``torch.nn.Module`` that maps ``(row, …)`` inputs to ``(row, class)`` logits, or to
            ``(row, 1)`` in regression. None: a perceptron with ``hidden`` ReLU layers. The module gets rows as they were
            given, in float32; images with channels as ``(row, channel, height, width)``, bytes scaled to 0 … 1; tables and
            texts as the numbers of :attr:`Samples.matrix`. Rows of an integer array are passed as int64 to a module that
            cannot read float32, such as one that begins with an embedding.
        hidden: widths of the default perceptron's hidden layers; ``()`` gives a linear model.
        epochs: passes over a member's training part. None: 20, more for small data so that at least 400 steps are taken,
            fewer for very large data (at most 40,000 steps, at least 3 passes).
        length: factor on the default number of steps (``epochs=None``);
            :mod:`hardsight.estimation.training_length` chooses it.
        batch_size: samples per step.
        optimizer: "adamw", or "sgd" with momentum .9.
        learning_rate: at the start. None: 3e-3 for AdamW, 0.05 for SGD.
        weight_decay: decoupled for AdamW, part of the gradient for SGD. None: shrinks a weight that gets no gradient to
            e^-1.5 over training, whatever the number of steps; on noisy labels that ranks better than the decay with the
            lowest held-out loss.
        schedule: "cosine" or "constant", factor on the learning rate over training.
        standardize: shift and scale every feature by mean and standard deviation of the *training part* of each member;
            values beyond five deviations are clipped, missing ones take the mean. None: True for the default perceptron,
            False for ``make_net``.
        augment: ``augment(batch, generator)`` returns a changed copy of one member's training batch ``(row, …)``, as the
            network sees its rows but before they are standardised, of the same shape, type and device. It must draw from
            ``generator`` alone, the member's own, on the CPU. A function of the batch alone, such as a transform of
            torchvision, may draw global random numbers, which are seeded for each batch; it changes all rows of a batch
            alike if it draws once per call. Rows that are predicted are not augmented.
        device: "cpu", "cuda" or "cuda:N". Data is moved there once; all random numbers are drawn on the CPU, so that a seed
            means the same everywhere (except those that a module other than dropout draws on a GPU).
        precision: of the matrix products and convolutions of training: "float32", "tf32" (GPUs) or "bfloat16". Parameters,
            losses and predictions are always float32.
        engine: how members are trained. "native": as machine code, for perceptrons and small convolutional networks
            (chains of linear layers, ReLU, plain convolutions, max-pooling and flattening) on the CPU, if numba is
            installed; "compiled": stacked, by torch.compile, which takes up to a minute once; "stacked"; "sequential": one
            after another. "auto" takes the first of these that is available and worthwhile. All give the same result,
            beyond rounding.
        members_at_once: members trained together. None: from the size of the network and of a batch, and the free memory.

    Raises:
        InputError: an argument out of range.
    """

    def __init__(
        self,
        make_net: MakeNet | None = None,
        *,
        hidden: Sequence[int] = (128,),
        epochs: int | None = None,
        length: float = 1.0,
        batch_size: int = 64,
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        schedule: str = "cosine",
        standardize: bool | None = None,
        augment: Callable[..., Tensor] | None = None,
        device: str = "cpu",
        precision: str = "float32",
        engine: str = "auto",
        members_at_once: int | None = None,
    ) -> None:
        for name, value in (("epochs", epochs), ("batch_size", batch_size), ("members_at_once", members_at_once)):
            if value is not None:
                check_int(name, value, 1)
        check_range("length", length, 0, strict=(True, True))
        if epochs is not None and length != 1:
            raise InputError("epochs sets the training length already: leave out length")
        self.make_net, self.hidden, self.batch_size = make_net, tuple(hidden), batch_size
        self.epochs, self.length = epochs, length
        self.engine = check_choice("engine", engine, ENGINES)
        self.optimizer = OptimizerConfig(optimizer, learning_rate, weight_decay, schedule)
        self.standardize = make_net is None if standardize is None else standardize
        self.augment = None if augment is None else bind_augment(augment)
        self.device, self.members_at_once = Device(device, precision), members_at_once
        self.name = "network" if make_net is None else f"network {getattr(make_net, '__name__', 'make_net')}"

    def describe(self) -> str:
        """Return the recipe in one line."""
        widths = "-".join(map(str, self.hidden)) or "linear"
        model = f"perceptron {widths}" if self.make_net is None else self.name
        factor = "" if self.length == 1 else f"{format_length(self.length)} "
        passes = f"{factor}the default number of passes" if self.epochs is None else f"{self.epochs} epochs"
        augmented = "" if self.augment is None else f", augmented by {self.augment.name}"
        return f"{model}, {self.optimizer.describe()}, batch {self.batch_size}, {passes}{augmented}{self.device.describe()}"

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; see :class:`Capabilities`."""
        return Capabilities(
            takes_weights=True,
            divisible=True,
            predicts_in_sample=True,
            # One forward pass, where every epoch of training costs about three.
            in_sample_is_cheap=self.epochs is None or self.epochs >= 10,
            tunable_length=self.epochs is None and self.length == 1,
            hidden_widths=self.hidden if self.make_net is None else None,
        )

    def with_length(self, length: float) -> "Network":
        """Return the same recipe, trained ``length`` times as long as by default."""
        other = copy.copy(self)
        other.length = length
        return other

    def steps(self, train_size: float) -> int:
        """Return how many steps a member takes on a training part of ``train_size`` samples."""
        return count_steps(train_size, min(self.batch_size, round(train_size)), self.epochs, self.length)

    def n_models(self, plan: Plan) -> int:
        """Return the number of members."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, on_progress: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        return self.fit_predict_targets(samples, plan, on_progress)

    def fit_predict_targets(
        self, samples: Samples, plan: Plan, on_progress: OnProgress, targets: np.ndarray | None = None
    ) -> Iterator[Predictions]:
        """Train and predict as :meth:`fit_predict` does, also several labels per sample.

        Args:
            samples, plan, on_progress: as in :meth:`Learner.fit_predict`.
            targets: weights of several labels, float32 ``(sample, 2 · label)``: those of having each, then of not having it;
                both 0 where that is not known. The labels of ``samples`` are then not read, and predictions are the logits
                ``(row, label)``. None: one label per sample.
        """
        key = (self, samples)
        if key not in plan.cache:
            plan.cache[key] = self._prepare(samples, plan, targets)
        prepared: _Prepared = plan.cache[key]
        if prepared.engine.obstacle:
            message = f"members are trained one after another: {prepared.engine.obstacle}"
            warnings.warn(message, HardsightWarning, stacklevel=2)
        members = plan.members()
        while group := list(islice(members, prepared.members_at_once)):
            data = Batches(
                group, prepared.data, regression=samples.regression, standardize=prepared.standardize, augment=self.augment
            )
            nets = (build_net(prepared.make_net, member.seed) for member in group)
            batch = MemberBatch(
                nets,
                data,
                prepared.batch_size,
                prepared.steps,
                self.optimizer,
                self.device,
                _scale_progress(on_progress, len(group)),
            )
            evaluate = partial(self._predict, group, data, in_sample=plan.in_sample)
            with closing(prepared.engine.train(batch, evaluate)) as trained:
                yield from chain.from_iterable(trained)

    def _predict(
        self, members: list[Member], data: Batches, index: int, predict: Predict, *, in_sample: bool
    ) -> list[Predictions]:
        member = members[index]
        parts = [(member.held_out, False), *([(member.train, True)] if in_sample else [])]
        return [
            Predictions(rows, predict_rows(predict, index, rows, data, self.device), member.round, is_train)
            for rows, is_train in ((torch.from_numpy(part), is_train) for part, is_train in parts)
        ]

    def _prepare(self, samples: Samples, plan: Plan, targets: np.ndarray | None = None) -> "_Prepared":
        """Return what all parts of a plan have in common."""
        self.device.check_available()
        rotated = rotate(samples.matrix, adaptive=self.optimizer.name == "adamw") if self.rotates(samples) else None
        inputs = self._inputs(samples) if rotated is None else as_tensor(rotated.inputs)
        outputs = 1 if samples.classes is None else len(samples.classes)
        outputs = outputs if targets is None else targets.shape[1] // 2
        width = inputs[0].numel()
        scale = 1.0 if rotated is None else rotated.scale
        make_net = self.make_net or (lambda: build_perceptron(width, self.hidden, outputs, scale))
        template = build_net(make_net, plan.member_seed(0, 0))
        if self.make_net is not None:
            check_independent(template, build_net(make_net, plan.member_seed(0, 0)))
        if self.make_net is not None and samples.integers and not self.standardize:
            inputs = readable_inputs(template, inputs, samples, outputs)
        else:
            check_output(template, inputs[:2], outputs)
        trial = try_stacking(template, inputs[:2])
        smallest, mean = _training_sizes(plan)
        batch_size = min(self.batch_size, smallest)
        members_at_once = self.members_at_once or self.device.members_at_once(
            _member_bytes(template, trial, inputs, batch_size)
        )
        steps = count_steps(mean, batch_size, self.epochs, self.length)
        whole_plan = plan.select(range(plan.repeats))
        request = EngineRequest(
            template,
            trial,
            inputs,
            self.device,
            augmented=self.augment is not None,
            stacked_steps=steps * math.ceil(whole_plan.n_models / members_at_once),
            several_labels=targets is not None,
        )
        engine = choose_engine(self.engine, request)
        device = self.device.torch_device
        data = TrainingData(
            inputs.to(device),
            torch.from_numpy(samples.labels if targets is None else targets).to(device),
            None if samples.weights is None else torch.from_numpy(samples.weights).to(device),
        )
        standardize = self.standardize and rotated is None
        at_once = members_at_once if engine.many_members else 1
        return _Prepared(data, make_net, engine, batch_size, steps, at_once, standardize)

    def rotates(self, samples: Samples) -> bool:
        """Return whether the default perceptron reads the samples, which are wide, in fewer axes; see :func:`rotate`."""
        plain = self.make_net is None and self.augment is None and self.standardize
        return plain and samples.numeric and is_wide(*samples.matrix.shape)

    def _inputs(self, samples: Samples) -> Tensor:
        own = self.make_net is not None
        inputs = module_inputs(samples) if own else as_tensor(np.ascontiguousarray(samples.matrix))
        if not self.standardize and inputs.isnan().any():
            raise InputError(
                "the features have missing values, which a network without standardize=True cannot read: fill them, "
                "or pass Network(make_net, standardize=True)"
            )
        return inputs


class _Prepared(NamedTuple):
    data: TrainingData
    make_net: MakeNet
    engine: Engine
    batch_size: int
    steps: int
    members_at_once: int
    standardize: bool


def build_perceptron(inputs: int, hidden: Sequence[int], outputs: int, input_scale: float = 1.0) -> nn.Sequential:
    """Return linear layers with ReLU between them.

    Args:
        input_scale: root mean square of the inputs; the first weights are divided by it.

    >>> [tuple(p.shape) for p in build_perceptron(64, (128,), 10).parameters()]
    [(128, 64), (128,), (10, 128), (10,)]
    """
    widths = [inputs, *hidden]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))
    if input_scale != 1:
        with torch.no_grad():
            net.get_parameter("0.weight").div_(input_scale)
    return net


def format_length(length: float) -> str:
    """Format a training length as a factor.

    >>> format_length(9.0), format_length(1 / 3), format_length(0.27)
    ('9 ×', '1/3 ×', '0.27 ×')
    """
    simple = Fraction(length).limit_denominator(9)
    return f"{simple} ×" if math.isclose(simple, length) else f"{length:.4g} ×"


def module_inputs(samples: Samples) -> Tensor:
    """Return samples as modules read them, float32: images as ``(row, channel, height, width)``, else ``(row, …)``."""
    if samples.sparse or samples.kind in ("table", "text", "items", "ids"):
        return as_tensor(np.ascontiguousarray(samples.matrix))
    numbers = samples.numbers
    channels_last = samples.kind == "image" and numbers.ndim == 4
    return as_tensor(np.ascontiguousarray(np.moveaxis(numbers, -1, 1) if channels_last else numbers))


def readable_inputs(net: nn.Module, numbers: Tensor, samples: Samples, outputs: int) -> Tensor:
    """Return the rows of an integer array in the type that a network reads: float32, else int64."""
    try:
        check_output(net, numbers[:2], outputs)
        return numbers
    except LearnerError as error:
        integers = torch.from_numpy(np.asarray(samples.features).astype(np.int64))
        # An embedding that is too small would fail at the first batch with such a row, on a GPU without a message.
        extremes = [int(position) // integers[0].numel() for position in (integers.argmin(), integers.argmax())]
        try:
            check_output(net, integers[[0, 1, *extremes]], outputs)
        except LearnerError as other:
            raise LearnerError(f"{error}; and {other}") from other
        return integers


def _scale_progress(on_progress: OnProgress, members: int) -> OnProgress:
    return lambda share: on_progress(share * members)


def _training_sizes(plan: Plan) -> tuple[int, float]:
    sizes = np.concatenate([len(r.fold) - np.bincount(r.fold[r.fold >= 0], minlength=r.n_models) for r in plan.rounds])
    return int(sizes.min()), float(sizes.mean())


def count_steps(train_size: float, batch_size: int, epochs: int | None, length: float = 1.0) -> int:
    """Return how many steps a member takes on a training part of ``train_size`` samples; see :class:`Network`."""
    steps_per_epoch = train_size / batch_size
    if epochs is not None:
        return max(1, round(epochs * steps_per_epoch))
    return math.ceil(length * max(min(max(20 * steps_per_epoch, 400), 40_000), 3 * steps_per_epoch))


def _member_bytes(net: nn.Module, trial: StackingTrial, inputs: Tensor, batch_size: int) -> int:
    """Return the memory of a member: parameters, gradients, optimizer state, and a batch with its activations."""
    parameters = sum(p.nbytes for p in net.parameters())
    return 5 * parameters + batch_size * (inputs[0].nbytes + 2 * trial.saved_bytes)
