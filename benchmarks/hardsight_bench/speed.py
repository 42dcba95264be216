"""How long an ensemble takes: hardsight beside what people write without it, and how the time grows.

All ways of a case do the same work: the same members on the same splits, the same number of epochs, batch size and
optimiser, the same held-out samples judged. They are timed in turn, several times over; a ratio is one of medians within
this one run. Beside every time stand the mean held-out log-loss and the rank correlation of the errors with those of a
larger ensemble of another seed, so that no accuracy is traded unseen.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hardsight import Samples
from hardsight.learners import Learner, Logistic, Network
from hardsight.learners.network import native
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.resampling.splitters import KFold
from hardsight_bench.baselines import MakeNet, Task, refit_classifiers, train_in_loop

_PAUSE = 0.5

Way = Callable[[], np.ndarray]


class Case(NamedTuple):
    """The same work done in several ways; the first one is the baseline.

    Attributes:
        title: of the table.
        what: the work, in one sentence.
        ways: the function of each way, by name; it returns the samples' errors.
        visits: samples processed in training; 0 if the ways differ in that.
        flops: floating-point operations per visit, forward and backward.
        reference: errors of a larger ensemble.
    """

    title: str
    what: str
    ways: dict[str, Way]
    visits: float
    flops: float
    reference: Way


@dataclass(frozen=True)
class Timing:
    """The timing of one way.

    Attributes:
        way: its name.
        seconds: median of the runs.
        ratio: how many times as fast as the first way.
        visits_per_second: samples processed in training per second; NaN if not applicable.
        gflops: billions of floating-point operations per second; NaN if not applicable.
        log_loss: mean held-out loss.
        spearman: rank correlation of the errors with the reference's.
    """

    way: str
    seconds: float
    ratio: float
    visits_per_second: float
    gflops: float
    log_loss: float
    spearman: float


class Growth(NamedTuple):
    """Growth of the time with one size while the others are constant: ``seconds`` for every value of ``what``."""

    what: str
    values: list[int]
    seconds: list[float]


def measure_peak(runs: int = 5, side: int = 2048) -> float:
    """Return GFLOP/s of one large matrix product in float32, with torch's threads."""
    square = torch.ones(side, side)
    return 2 * side**3 / median(_time(lambda: square @ square) for _ in range(runs + 1)) / 1e9


def time_case(case: Case, runs: int) -> list[Timing]:
    """Time all ways of a case in turn, ``runs`` times, after a warm-up in which code is compiled."""
    seconds: dict[str, list[float]] = {name: [] for name in case.ways}
    errors: dict[str, np.ndarray] = {}
    reference = case.reference()
    for run, (name, way) in product(range(runs + 1), case.ways.items()):
        # Idle threads of the previous way spin for a while and would slow this one down.
        time.sleep(_PAUSE)
        start = time.perf_counter()
        errors[name] = way()
        if run:
            seconds[name].append(time.perf_counter() - start)
    medians = {name: median(times) for name, times in seconds.items()}
    first = next(iter(medians.values()))
    rate = case.visits or float("nan")
    return [
        Timing(
            way=name,
            seconds=seconds_median,
            ratio=first / seconds_median,
            visits_per_second=rate / seconds_median,
            gflops=rate * case.flops / seconds_median / 1e9,
            log_loss=float(errors[name].mean()),
            spearman=float(spearmanr(errors[name], reference).statistic),
        )
        for name, seconds_median in medians.items()
    ]


def perceptrons() -> Case:
    """Perceptrons 64-128-10 on digits."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    task = Task(x, y, _plan(y, repeats=10), epochs=10)
    samples = Samples.of(x, y)

    def net() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def classifier(seed: int) -> MLPClassifier:
        return MLPClassifier(128, batch_size=64, max_iter=10, learning_rate_init=task.rate, random_state=seed)

    ways: dict[str, Way] = {
        "plain DataLoader loop": lambda: train_in_loop(task, net, "DataLoader"),
        "loop over tensors, fused AdamW": lambda: train_in_loop(task, net, "tensors"),
        "scikit-learn MLPClassifier": lambda: refit_classifiers(task, classifier),
        **_engine_ways(task, samples, net),
        # A layer unknown to the machine code and the hand-written gradient, like a module of the user.
        "hardsight, any module": _network_way(task, samples, _hide(net), "stacked"),
        "hardsight, any module, torch.compile": _network_way(task, samples, _hide(net), "compiled"),
    }
    what = "50 perceptrons 64-128-10 on digits (1,797 × 64), 5 folds × 10 repeats, batches of 64, 10 epochs, AdamW."
    return Case("Perceptrons", what, ways, task.visits, _flops(net, x), _reference_way(task, samples, net))


def convolutions(side: int, repeats: int) -> Case:
    """Small convolutional networks on digits, enlarged to ``side`` pixels."""
    x, y = load_digits(return_X_y=True)
    image = torch.from_numpy((x / 16).astype(np.float32)).view(-1, 1, 8, 8)
    x = nn.functional.interpolate(image, size=(side, side), mode="bilinear").numpy()
    task = Task(x, y, _plan(y, repeats=repeats), epochs=3)
    samples = Samples.of(x, y)
    flat = 32 * (side // 4) ** 2

    def net() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(flat, 10),
        )

    ways: dict[str, Way] = {
        "plain DataLoader loop": lambda: train_in_loop(task, net, "DataLoader"),
        "loop over tensors, fused AdamW, channels last": lambda: train_in_loop(task, net, "tensors"),
        **_engine_ways(task, samples, net),
    }
    what = (
        f"{task.plan.n_models} networks conv 16 – pool – conv 32 – pool – linear on digits of {side} × {side} pixels, "
        f"5 folds × {repeats} repeats, batches of 64, 3 epochs, AdamW."
    )
    title = f"Convolutional networks, {side} × {side}"
    return Case(title, what, ways, task.visits, _flops(net, x), _reference_way(task, samples, net))


def logistic() -> Case:
    """Logistic regression on synthetic embeddings, to convergence; compared with the exact optimum."""
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=2000)
    hidden = 0.7 * rng.standard_normal((10, 32))[y] + rng.standard_normal((2000, 32))
    x = np.maximum(hidden @ rng.standard_normal((32, 384)) / np.sqrt(32), 0)
    x = (x + 0.3 * rng.standard_normal(x.shape)).astype(np.float32)
    noisy = rng.random(2000) < 0.05
    y[noisy] = rng.integers(10, size=int(noisy.sum()))
    task = Task(x, y, _plan(y, repeats=2), epochs=0)

    def scikit(tolerance: float) -> Callable[[int], Pipeline]:
        return lambda seed: make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000, tol=tolerance))

    ways: dict[str, Way] = {
        "scikit-learn LogisticRegression": lambda: refit_classifiers(task, scikit(1e-4)),
        "scikit-learn LogisticRegression, tol 1e-6": lambda: refit_classifiers(task, scikit(1e-6)),
        # New samples, so that no fit to all of them is cached.
        "hardsight logistic": lambda: _learner_way(task, Samples.of(x, y), Logistic())(),
    }
    what = (
        "10 heads on 2,000 × 384 made-up embeddings, 10 classes, 5 % of the labels drawn anew, 5 folds × 2 repeats. "
        "Spearman is with the exact optimum."
    )
    return Case("Logistic regression", what, ways, task.visits, 0.0, lambda: refit_classifiers(task, scikit(1e-8)))


CASES: dict[str, Callable[[], Case]] = {
    "perceptrons": perceptrons,
    "convolutions-8": lambda: convolutions(8, 4),
    "convolutions-28": lambda: convolutions(28, 2),
    "logistic": logistic,
}


def measure_growth(runs: int, engine: str = "auto") -> Iterator[Growth]:
    """Yield seconds of perceptrons when one size is doubled: samples, members, classes, features or hidden units."""
    common = {"samples": 4000, "members": 10, "classes": 10, "features": 64, "hidden units": 128}
    for what in common:
        values = [common[what] * factor for factor in (1, 2, 4)]
        seconds = []
        for value in values:
            size = common | {what: value}
            x, y = make_classification(
                size["samples"], size["features"], n_informative=20, n_redundant=0, n_classes=size["classes"],
                n_clusters_per_class=1, random_state=0,
            )  # fmt: skip
            samples, plan = Samples.of(x.astype(np.float32), y), _plan(y, repeats=size["members"] // 5)
            learner = Network(hidden=(size["hidden units"],), epochs=5, engine=engine)
            work = partial(_fit_predict, learner, samples, plan)
            seconds.append(median(_time(work) for _ in range(runs)))
        yield Growth(what, values, seconds)


def _time(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _plan(labels: np.ndarray, repeats: int, seed: int = 0) -> Plan:
    units = block_codes(len(labels))
    return Plan(KFold(5, repeats).split(labels, units, split_seed(seed)), units, repeats, seed)


def _fit_predict(learner: Learner, samples: Samples, plan: Plan) -> list[Any]:
    return list(learner.fit_predict(samples, plan, lambda _: None))


def _network_way(task: Task, samples: Samples, make: MakeNet, engine: str, plan: Plan | None = None) -> Way:
    network = Network(
        make, epochs=task.epochs, batch_size=task.batch, learning_rate=task.rate, weight_decay=task.decay, engine=engine
    )
    return _learner_way(task, samples, network, plan)


def _learner_way(task: Task, samples: Samples, learner: Learner, plan: Plan | None = None) -> Way:
    plan = plan or task.plan

    def way() -> np.ndarray:
        views = learner.fit_predict(samples, plan, lambda _: None)
        return task.errors(zip(plan.members(), (view.values for view in views), strict=True))

    return way


def _reference_way(task: Task, samples: Samples, make: MakeNet) -> Way:
    plan = _plan(task.y.numpy(), repeats=max(2 * task.plan.repeats, 20), seed=1)
    return _network_way(task, samples, make, "auto", plan)


def _engine_ways(task: Task, samples: Samples, make: MakeNet) -> dict[str, Way]:
    code = {"hardsight, machine code": _network_way(task, samples, make, "native")}
    return (code if native.is_available() else {}) | {"hardsight, stacked": _network_way(task, samples, make, "stacked")}


class _Opaque(nn.Module):
    """A module that only autograd can differentiate."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(x)
        return out


def _hide(make: MakeNet) -> MakeNet:
    return lambda: _Opaque(make())


def _flops(make: MakeNet, x: np.ndarray) -> float:
    """Return the floating-point operations of one sample, forward and backward."""
    rows = torch.from_numpy(x[:8])
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(make()(rows).sum())
    return float(counter.get_total_flops()) / len(rows)
