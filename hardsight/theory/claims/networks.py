"""Results for linear models, on networks: weights that fade, decay that preserves them, and what is separated first."""

import numpy as np

from hardsight.estimation.measure import measure
from hardsight.estimation.request import Estimate
from hardsight.learners import Network
from hardsight.theory import intervals
from hardsight.theory.claim import Figure, Finding, Series, Trial, statistical_claim
from hardsight.theory.nets import NetworkEnsemble
from hardsight.theory.scenarios import draw_separable_classes

_BYRD = "Byrd & Lipton 2019; replicated here on networks of one hidden layer"


def _append_one(x: np.ndarray) -> np.ndarray:
    """Append a constant feature in place of biases, which would break the homogeneity."""
    return np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1)


@statistical_claim(
    "networks-forget-weights",
    statement="A network that separates its training data forgets class weights: the predictions for new points under "
    "weights of 16:1 and 1:16 differ much at first and hardly at the end of a long training; with weight "
    "decay the difference stays.",
    source=_BYRD,
    expected="mean difference at the end below a tenth of that at the start without decay, and with decay at least "
    "0.05 more, lower end of the interval above zero",
    limits="Two separable Gaussian classes, 60 samples, full gradient steps on the log of the exponential loss. The "
    "authors observed it in convolutional networks, also with dropout and batch normalisation.",
    runs=4,
    full_runs=16,
)
def networks_forget_weights(trial: Trial) -> Finding:
    """The share of points between and around the classes that is assigned to the positive one."""
    stops = [10, 30, 100, 300, 1000, 2000]
    data = [draw_separable_classes(60, 2, 1.5, rng) for rng in trial.rngs]
    points = _append_one(trial.rng.uniform(-2, 2, (2000, 2)))
    x = np.stack([_append_one(x) for x, _ in data for _ in range(2)])
    y = np.stack([y for _, y in data for _ in range(2)])
    weights = np.stack([np.where(y > 0, ratio, 1.0) for _, y in data for ratio in (16.0, 1 / 16)])
    seeds = [seed for seed in trial.seeds for _ in range(2)]
    differences = {}
    for name, decay in (("no decay", 0.0), ("weight decay 0.01", 0.01)):
        nets = NetworkEnsemble(x, y, weights, 32, seeds, decay)
        shares = np.array([nets.positive_share(points) for _ in nets.train(stops[-1], 0.02, stops)])
        differences[name] = shares[:, ::2] - shares[:, 1::2]
    without_decay, with_decay = differences.values()
    interval = intervals.mean_interval(with_decay[-1] - np.abs(without_decay[-1]))
    figure = Figure(
        "steps",
        "positive share: weights 16:1 - 1:16",
        tuple(Series(name, stops, each.mean(1).tolist()) for name, each in differences.items()),
        log="x",
        rule=0.0,
        note="One line goes to zero, the other levels off.",
    )
    measured = {
        "difference kept by decay, mean": float((with_decay[-1] - np.abs(without_decay[-1])).mean()),
        "difference at the start, no decay": float(without_decay[0].mean()),
        "difference at the end, no decay": float(without_decay[-1].mean()),
    }
    faded = abs(without_decay[-1].mean()) < 0.1 * without_decay[0].mean()
    gap = float((with_decay[-1] - np.abs(without_decay[-1])).mean())
    return Finding(bool(faded and gap >= 0.05 and interval.low > 0), measured, figure, interval)


@statistical_claim(
    "networks-separate-hard-first",
    statement="Compared with uniform weights, a network classifies all training samples correctly sooner with weights "
    "that rise moderately with the error, and later with easy-first weights.",
    source="the convergence experiments of Zhou et al. 2022, as reconstructed; measured here",
    expected="mean log ratio of the steps, easy-first to uniform, above zero, interval included; root-of-error weights "
    "sooner in the mean",
    limits="Two moons, 80 samples, 64 hidden units. Raw error weights are reported, not asserted: they overshoot.",
    runs=4,
    full_runs=16,
)
def networks_separate_hard_first(trial: Trial) -> Finding:
    """Errors by small networks in five folds."""
    from sklearn.datasets import make_moons

    names = ("uniform", "error", "root of the error", "1/root of the error")
    x, y, weights, seeds = [], [], [], []
    for seed in trial.seeds:
        moons, codes = make_moons(80, noise=0.15, random_state=seed)
        d = measure(
            moons,
            codes,
            learner=Network(hidden=(32,)),
            folds=5,
            repeats=3,
            estimate=Estimate(adjusted=False),
            refine=False,
            seed=seed,
        )
        for w in (np.ones(80), d.error, d.error**0.5, d.error**-0.5):
            x.append(_append_one(moons - moons.mean(0)))
            y.append(2.0 * codes - 1)
            weights.append(np.clip(w / w.mean(), 0.02, 50))
            seeds.append(seed)
    stops = list(range(10, 2001, 10))
    nets = NetworkEnsemble(np.stack(x), np.stack(y), np.stack(weights), 64, seeds)
    margins = np.array([nets.margins() for _ in nets.train(stops[-1], 0.02, stops)])
    # The step after the last one with a misclassified sample; the whole time if some sample never is correct.
    steps = np.array([(np.flatnonzero(each <= 0)[-1:].sum() + 1) * 10.0 for each in margins.T]).reshape(-1, len(names))
    ratios = np.log(steps / steps[:, :1])
    interval = intervals.mean_interval(ratios[:, 3])
    figure = Figure(
        "steps",
        "smallest margin / squared norm, mean",
        tuple(Series(name, stops, margins[:, k :: len(names)].mean(1).tolist()) for k, name in enumerate(names)),
        log="x",
        rule=0.0,
        note="The sooner a line crosses zero, the sooner all samples are separated.",
    )
    mean = np.exp(ratios.mean(0))
    measured = {
        "log ratio of steps, easy-first to uniform": float(ratios[:, 3].mean()),
        "steps, root of the error / uniform": float(mean[2]),
        "steps, error / uniform": float(mean[1]),
    }
    return Finding(bool(interval.low > 0 and mean[2] < 1), measured, figure, interval)
