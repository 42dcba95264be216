"""Ensembles of networks, all members of a chunk trained at once on stacked parameters."""

import copy
import math
import warnings
from collections.abc import Iterator, Sequence
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
from hardsight.learners.network.batches import Augment, Batches, Data
from hardsight.learners.network.devices import Place
from hardsight.learners.network.engines import ENGINES, Engine, Job, choose
from hardsight.learners.network.optimizer import Chunk, Descent, Predict, predictions
from hardsight.learners.network.stacked import MakeNet, Trial, build, check_output, tried
from hardsight.resampling.plan import Member, Plan
from hardsight.validation import check_int


class Network:
    r"""A network, trained from its own seed and batch order for every member of the ensemble.

    Perceptrons and small convolutional networks are trained as machine code where numba is installed, several members side
    by side. Of all others, the members of a chunk take each step together: one batched pass over stacked parameters. A
    module that cannot be stacked (running batch-norm statistics, state changed in place, control flow on values, random
    numbers other than those of dropout) is trained one member after another, with a :class:`HardsightWarning` that says
    why. Members share neither batches nor random numbers, so the result does not depend on how many share a chunk, beyond
    rounding.

    Weighted samples: a member makes the mean over its batches of $w_i \ell_i$ least, with weights of mean 1 over its
    training part, so that every step's gradient is unbiased for that of the weighted mean loss.

    Args:
        make_net: returns a new ``torch.nn.Module`` that maps ``(row, …)`` inputs to ``(row, class)`` logits, or to
            ``(row, 1)`` in regression. None: a perceptron with ``hidden`` ReLU layers. Rows reach it as they were given, in
            float32; images with channels as ``(row, channel, height, width)``, bytes scaled to 0 … 1; tables and texts as
            the numbers of :attr:`Samples.matrix`. Rows of an integer array reach a module that cannot read them in float32,
            such as one that begins with an embedding, as int64.
        hidden: widths of the default perceptron's hidden layers; ``()`` gives a linear model.
        epochs: passes over a member's training part. None: 20, more for small data so that at least 400 steps are taken,
            fewer for very large data (at most 40,000 steps, at least 3 passes).
        length: factor on the number of steps that ``epochs=None`` stands for;
            :mod:`hardsight.estimation.training_length` chooses it.
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
        augment: ``augment(batch, generator)`` returns a changed copy of one member's training batch ``(row, …)``, as the
            network sees its rows but before they are standardised, of the same shape, type and device. It must draw from
            ``generator`` alone, the member's own, on the CPU. Rows that are judged are left as they are.
        device: "cpu", "cuda" or "cuda:N". Data is moved there once; all random numbers are drawn on the CPU, so that a seed
            means the same everywhere (but for those that a module other than dropout draws on a GPU).
        precision: of the matrix products and convolutions of training: "float32", "tf32" (GPUs) or "bfloat16". Parameters,
            losses and held-out predictions are float32 always.
        engine: how members are trained. "native": as machine code, for perceptrons and small convolutional networks
            (chains of linear layers, ReLU, plain convolutions, max-pooling and flattening) on the CPU, where numba is
            installed; "compiled": stacked, by torch.compile, which takes up to a minute once; "stacked"; "alone": one after
            another. "auto" takes the first of these that can be had and pays. All find the same, beyond rounding.
        members_at_once: size of a chunk. None: from the size of the network and of a batch, and the free memory.

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
        augment: Augment | None = None,
        device: str = "cpu",
        precision: str = "float32",
        engine: str = "auto",
        members_at_once: int | None = None,
    ) -> None:
        for name, value in (("epochs", epochs), ("batch_size", batch_size), ("members_at_once", members_at_once)):
            if value is not None:
                check_int(name, value, 1)
        if not 0 < length < math.inf:
            raise InputError(f"length must be more than 0, the factor on the default number of steps. Got {length}")
        if epochs is not None and length != 1:
            raise InputError("epochs says already how long to train: leave out length")
        self.make_net, self.hidden, self.batch_size = make_net, tuple(hidden), batch_size
        self.epochs, self.length = epochs, length
        if engine not in ENGINES:
            raise InputError(f"engine must be one of {', '.join(ENGINES)}. Got {engine!r}")
        self.engine = engine
        self.descent = Descent(optimizer, learning_rate, weight_decay, schedule)
        self.standardize = make_net is None if standardize is None else standardize
        self.augment, self.place, self.members_at_once = augment, Place(device, precision), members_at_once
        self.name = "network" if make_net is None else f"network {getattr(make_net, '__name__', 'make_net')}"

    def describe(self) -> str:
        """The recipe in a line."""
        shape = "-".join(map(str, self.hidden)) or "linear"
        what = f"perceptron {shape}" if self.make_net is None else self.name
        longer = "" if self.length == 1 else f"{times(self.length)} "
        passes = f"{longer}as many passes as the data needs" if self.epochs is None else f"{self.epochs} epochs"
        changed = "" if self.augment is None else f", augmented by {getattr(self.augment, '__name__', 'augment')}"
        return f"{what}, {self.descent.describe()}, batch {self.batch_size}, {passes}{changed}{self.place.describe()}"

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
        """How many steps a member takes on a training part of so many samples."""
        return _steps(train_size, min(self.batch_size, round(train_size)), self.epochs, self.length)

    def n_models(self, plan: Plan) -> int:
        """One a member."""
        return plan.n_models

    def fit_predict(self, samples: Samples, plan: Plan, tick: OnProgress) -> Iterator[Predictions]:
        """See :meth:`Learner.fit_predict`."""
        key = (self, samples)
        if key not in plan.cache:
            plan.cache[key] = self._prepared(samples, plan)
        ready: _Ready = plan.cache[key]
        if ready.engine.obstacle:
            said = f"members are trained one after another: {ready.engine.obstacle}"
            warnings.warn(said, HardsightWarning, stacklevel=2)
        members = plan.members()
        while together := list(islice(members, ready.chunk)):
            data = Batches(
                together,
                ready.data,
                regression=samples.regression,
                standardize=self.standardize,
                augment=self.augment,
            )
            nets = (build(ready.make, m.seed) for m in together)
            done = _scaled_tick(tick, len(together))
            chunk = Chunk(nets, data, ready.batch, ready.steps, self.descent, self.place, done)
            judge = partial(self._views, together, data, in_sample=plan.in_sample)
            with closing(ready.engine.train(chunk, judge)) as trained:
                yield from chain.from_iterable(trained)

    def _views(
        self, members: list[Member], data: Batches, index: int, predict: Predict, *, in_sample: bool
    ) -> list[Predictions]:
        member = members[index]
        parts = [(member.held_out, False), *([(member.train, True)] if in_sample else [])]
        return [
            Predictions(rows, predictions(predict, index, rows, data, self.place), member.round, seen)
            for rows, seen in ((torch.from_numpy(part), seen) for part, seen in parts)
        ]

    def _prepared(self, samples: Samples, plan: Plan) -> "_Ready":
        """What all parts of a plan have in common."""
        self.place.check()
        inputs = self._inputs(samples)
        outputs = 1 if samples.classes is None else len(samples.classes)
        width = inputs[0].numel()
        make = self.make_net or (lambda: perceptron(width, self.hidden, outputs))
        template = build(make, plan.member_seed(0, 0))
        if self.make_net is not None and samples.integers and not self.standardize:
            inputs = _readable(template, inputs, samples, outputs)
        else:
            check_output(template, inputs[:2], outputs)
        trial = tried(template, inputs[:2])
        smallest, mean = _training_sizes(plan)
        batch = min(self.batch_size, smallest)
        chunk = self.members_at_once or self.place.members(_member_bytes(template, trial, inputs, batch))
        steps = _steps(mean, batch, self.epochs, self.length)
        whole_plan = plan.select(range(plan.repeats))
        job = Job(
            template,
            trial,
            inputs,
            self.place,
            augmented=self.augment is not None,
            lock_steps=steps * math.ceil(whole_plan.n_models / chunk),
        )
        engine = choose(self.engine, job)
        device = self.place.device
        data = Data(
            inputs.to(device),
            torch.from_numpy(samples.labels).to(device),
            None if samples.weights is None else torch.from_numpy(samples.weights).to(device),
        )
        return _Ready(data, make, engine, batch, steps, chunk if engine.shared else 1)

    def _inputs(self, samples: Samples) -> Tensor:
        if self.make_net is None or samples.kind in ("table", "text"):
            inputs = as_tensor(np.ascontiguousarray(samples.matrix))
        else:
            numbers = samples.numbers
            channels_last = samples.kind == "image" and numbers.ndim == 4
            inputs = as_tensor(np.ascontiguousarray(np.moveaxis(numbers, -1, 1) if channels_last else numbers))
        if not self.standardize and inputs.isnan().any():
            raise InputError(
                "the features have missing values, which a network without standardize=True cannot read: fill them, "
                "or pass Network(make_net, standardize=True)"
            )
        return inputs


class _Ready(NamedTuple):
    data: Data
    make: MakeNet
    engine: Engine
    batch: int
    steps: int
    chunk: int


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


def times(length: float) -> str:
    """A length in words.

    >>> times(9.0), times(1 / 3), times(0.27)
    ('9 ×', '1/3 ×', '0.27 ×')
    """
    simple = Fraction(length).limit_denominator(9)
    return f"{simple} ×" if math.isclose(simple, length) else f"{length:.4g} ×"


def _readable(net: nn.Module, numbers: Tensor, samples: Samples, outputs: int) -> Tensor:
    """The rows of an integer array in the type that a network reads: float32, else int64."""
    try:
        check_output(net, numbers[:2], outputs)
        return numbers
    except LearnerError as fault:
        ids = torch.from_numpy(np.asarray(samples.features).astype(np.int64))
        # An embedding that is too small would fail at the first batch with such a row, on a GPU without a message.
        extremes = [int(at) // ids[0].numel() for at in (ids.argmin(), ids.argmax())]
        try:
            check_output(net, ids[[0, 1, *extremes]], outputs)
        except LearnerError as other:
            raise LearnerError(f"{fault}; and {other}") from other
        return ids


def _scaled_tick(tick: OnProgress, members: int) -> OnProgress:
    return lambda share: tick(share * members)


def _training_sizes(plan: Plan) -> tuple[int, float]:
    sizes = np.concatenate([len(r.fold) - np.bincount(r.fold[r.fold >= 0], minlength=r.n_models) for r in plan.rounds])
    return int(sizes.min()), float(sizes.mean())


def _steps(train_size: float, batch: int, epochs: int | None, length: float = 1.0) -> int:
    a_pass = train_size / batch
    if epochs is not None:
        return max(1, round(epochs * a_pass))
    return math.ceil(length * max(min(max(20 * a_pass, 400), 40_000), 3 * a_pass))


def _member_bytes(net: nn.Module, trial: Trial, inputs: Tensor, batch: int) -> int:
    """Parameters, gradients and optimiser state; a batch, and what is kept of it for the gradient and on the way back."""
    parameters = sum(p.nbytes for p in net.parameters())
    return 5 * parameters + batch * (inputs[0].nbytes + 2 * trial.kept)
