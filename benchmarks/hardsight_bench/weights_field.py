"""The rows of the study of weights: controls, every scheme on a held-out difficulty, and schemes in training.

A scheme enters with its published defaults, or, where none were published, with a setting of ours in ``HELD_OUT`` or
``IN_TRAINING``. It enters *held out* if it can make weights of a difficulty (:func:`hardsight.weigh`), and *in training* if
it can make them of a batch's logits and labels; a scheme's
``exclude_from_benchmark`` says where it could enter and does not, and why.
"""

from collections.abc import Callable, Mapping, Sequence
from math import log, sqrt
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.weights import SCHEMES, Scheme, StateShape, weigh
from hardsight_bench.heterogeneous_ensemble import BatchView, Objective
from hardsight_bench.weights_by_other_models import OTHER_MODELS
from hardsight_bench.weights_scenarios import Scenario

How = Literal["control", "held out", "in training", "auto", "other models"]
AUTO = "auto"
OF_DIFFICULTY = frozenset({"loss", "p", "logits", "labels", "sizes", "held_out", "generator", "first", "class_error"})
OF_BATCH = frozenset({"loss", "p", "logits", "labels", "sizes", "held_out", "rows", "epoch", "epochs", "generator"})
# A scheme is taken in training where it reads the model as it is.
_LIVE = frozenset({"loss", "p", "logits"})

Setting = Callable[[int], dict[str, Any]]
HELD_OUT: dict[str, Setting] = {
    "spl-hard": lambda classes: {"lam": log(classes)},
    "spl-linear": lambda classes: {"lam": log(classes)},
    "spl-logistic": lambda classes: {"lam": log(classes)},
    "spl-polynomial": lambda classes: {"lam": log(classes)},
    "spl-mixture": lambda classes: {"lam1": log(classes), "lam2": log(classes) / 2},
    "spl-mixture-2": lambda classes: {"lam": sqrt(log(classes)), "gamma": 1.0},
    "jtt": lambda _: {"lam": 4.0},
}
"""Parameters for schemes that were published without, of the number of classes. Thresholds on the loss are log K, the loss
of a model that knows nothing; JTT's factor is that of MultiNLI."""
IN_TRAINING: dict[str, Setting] = {
    "curriculum": lambda _: {"start": 0.0, "until": 0.5},
    "baby-step": lambda _: {"buckets": 5},
    "selective-backprop": lambda _: {"beta": 1.0},
    "ohem": lambda _: {"k": 32},
    "poly-1": lambda _: {"eps": 1.0},
    "bi-tempered-loss": lambda _: {"t1": 0.8, "t2": 1.2},
}
"""The same in training. The curriculum is self-paced learning as tools pace it, CurBench's: all samples are in from half of
the epochs on. OHEM keeps half of a batch."""


class Row(NamedTuple):
    """A row of the study.

    Attributes:
        name: unique.
        how: what kind of row it is.
        scheme: of ``SCHEMES``; None for controls.
    """

    name: str
    how: How
    scheme: Scheme | None = None


CONTROLS = ("uniform", "random", "oracle")


def rows(named: Sequence[str] = ()) -> list[Row]:
    """All rows, or those of the schemes that are named, and uniform and oracle, which all are compared with.

    Rows by other models (:mod:`hardsight_bench.weights_by_other_models`) are only run if they are named.

    Raises:
        InputError: no row of such a name.
    """
    every = [Row(name, "control") for name in CONTROLS]
    every += [Row(name, "auto" if name == AUTO else "held out", SCHEMES[name]) for name in SCHEMES if _held_out(name)]
    every += [Row(f"{name} (in training)", "in training", SCHEMES[name]) for name in SCHEMES if _in_training(name)]
    every = [row for row in every if row.scheme is None or row.how not in row.scheme.exclude_from_benchmark]
    if not named:
        return every
    every += [Row(name, "other models") for name in OTHER_MODELS]
    known = {row.name.removesuffix(" (in training)") for row in every}
    for name in named:
        if name not in known:
            raise InputError(f"no row is called {name!r}: choose among {', '.join(sorted(known))}")
    selected = {*named, "uniform", "oracle"}
    return [row for row in every if row.name.removesuffix(" (in training)") in selected]


def _held_out(name: str) -> bool:
    scheme = SCHEMES[name]
    readable = name == AUTO or OF_DIFFICULTY.issuperset(scheme.reads)
    # Uniform is a control.
    return (
        readable
        and name not in CONTROLS
        and scheme.init is None
        and scheme.kind in ("weights", "sampling")
        and _set(scheme, HELD_OUT)
    )


def _in_training(name: str) -> bool:
    scheme = SCHEMES[name]
    live = not _LIVE.isdisjoint(scheme.reads) or "epoch" in scheme.reads
    return (
        live
        and name not in (AUTO, *CONTROLS)
        and OF_BATCH.issuperset(scheme.reads)
        and scheme.kind != "learned"
        and _set(scheme, IN_TRAINING)
    )


def _set(scheme: Scheme, settings: Mapping[str, Setting]) -> bool:
    return scheme.name in settings or ... not in scheme.parameters.values()


def _scheme_inputs(scheme: Scheme, settings: Mapping[str, Setting], classes: int) -> dict[str, Any]:
    return settings[scheme.name](classes) if scheme.name in settings else {}


def weights(row: Row, world: Scenario, difficulty: Difficulty, stream: np.random.SeedSequence) -> np.ndarray | str:
    """Weights of the training samples, ``(sample,)`` of mean one, by a row that is not in training; or why there are none.

    Args:
        row: of :func:`rows`.
        world: whose truth only controls read.
        difficulty: of its training samples.
        stream: of what is drawn.
    """
    rng = np.random.default_rng(stream)
    if row.how == "control":
        return control(row.name, world, rng)
    if row.how == "other models":
        return OTHER_MODELS[row.name](world, int(stream.generate_state(1)[0]))
    assert row.scheme is not None
    inputs = _scheme_inputs(row.scheme, HELD_OUT, int(world.true.max()) + 1)
    inputs |= {name: value for name, value in _result_inputs(difficulty).items() if name in row.scheme.reads}
    try:
        return weigh(difficulty, row.scheme.name, seed=int(stream.generate_state(1)[0]), **inputs)
    except InputError as fault:
        return str(fault)


def control(name: str, world: Scenario, rng: np.random.Generator) -> np.ndarray:
    """Uniform weights, exponential random numbers, or what only the truth tells: right labels alone, classes balanced.

    >>> import numpy as np
    >>> one = np.array([0, 0, 0, 1, 1])
    >>> control("oracle", Scenario(one, np.array([0, 0, 1, 1, 1]), one, one, one, None), np.random.default_rng(0)).tolist()
    [1.25, 1.25, 0.0, 1.25, 1.25]
    """
    n = len(world.y)
    if name == "uniform":
        return np.ones(n)
    if name == "random":
        drawn = rng.exponential(size=n)
        return np.asarray(drawn / drawn.mean())
    right = world.y == world.true
    sizes = np.bincount(world.true[right], minlength=int(world.true.max()) + 1)
    found = right / np.maximum(sizes, 1)[world.true]
    return np.asarray(found / found.mean())


def _result_inputs(difficulty: Difficulty) -> dict[str, Tensor]:
    """What a difficulty says besides what ``weigh`` reads: errors of a first model, and of classes; both held out."""
    assert difficulty.consensus is not None
    wrong = difficulty.consensus.argmax(1) != difficulty.labels
    sizes = np.bincount(difficulty.labels, minlength=difficulty.consensus.shape[1])
    rates = np.bincount(difficulty.labels, weights=wrong, minlength=len(sizes)) / np.maximum(sizes, 1)
    return {"first": torch.from_numpy(wrong.astype(np.float64)), "class_error": torch.from_numpy(rates)}


class InTraining:
    """A scheme as the objective of one member, with its state: sees one batch after another.

    Weights that are chances draw the batch anew, with replacement. The gradient flows through weights as published.

    Args:
        scheme: the scheme.
        labels: of the training samples as given, ``(sample,)``.
        held_out: their held-out losses, ``(sample,)``.
        epochs: how many there will be.
        seed: of what it draws.
    """

    def __init__(self, scheme: Scheme, labels: np.ndarray, held_out: np.ndarray, epochs: float, seed: int) -> None:
        sizes = torch.from_numpy(np.bincount(labels))
        self._scheme = scheme
        self._parameters = _scheme_inputs(scheme, IN_TRAINING, len(sizes))
        self._state = scheme.init_state(StateShape(len(labels), classes=len(sizes)), self._parameters)
        self._held_out = torch.from_numpy(held_out).float()
        self._generator = torch.Generator().manual_seed(seed)
        self._always: Mapping[str, Any] = {"sizes": sizes, "epochs": epochs, "generator": self._generator}

    def __call__(self, seen: BatchView) -> Tensor:
        """One number of a batch, with its gradient."""
        loss = torch.nn.functional.cross_entropy(seen.logits, seen.labels, reduction="none")
        inputs = {
            **self._always,
            "logits": seen.logits,
            "labels": seen.labels,
            "loss": loss,
            "rows": seen.rows,
            "held_out": self._held_out[seen.rows],
            "epoch": seen.epoch,
        }
        found: Tensor = self._scheme(inputs, self._parameters, self._state)
        if self._scheme.kind == "loss":
            return _reduced(found, torch.ones_like(found), self._scheme)
        if self._scheme.kind == "sampling":
            found = self._counts(found.detach())
        return _reduced(loss, found if self._scheme.through else found.detach(), self._scheme)

    def _counts(self, chances: Tensor) -> Tensor:
        drawn = torch.multinomial(chances, len(chances), replacement=True, generator=self._generator)
        return torch.bincount(drawn, minlength=len(chances)).to(chances)


def _reduced(loss: Tensor, weights: Tensor, scheme: Scheme) -> Tensor:
    total = (weights * loss).sum()
    if scheme.reduction == "sum":
        return total
    if scheme.reduction == "mean":
        return total / len(loss)
    # Where no sample of a batch has a weight, the batch teaches nothing.
    return total / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def objective(row: Row, labels: np.ndarray, difficulty: Difficulty, epochs: float, seed: int) -> Objective:
    """The objective of a member by a row that is in training."""
    assert row.scheme is not None
    return InTraining(row.scheme, labels, difficulty.error, epochs, seed)
