"""Weights: how the library's schemes map difficulty to weights, and the meaning of a weight."""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.special import expit
from scipy.stats import spearmanr

from hardsight.difficulty.result import Difficulty
from hardsight.estimation.predictions import measure_predictions
from hardsight.theory.claim import Figure, Finding, Series, Trial, exact_claim
from hardsight.theory.claims.ensembles import max_gap, random_log_probs
from hardsight.theory.flows import angles_to
from hardsight.theory.scenarios import draw_planted_dual
from hardsight.weights import describe, weigh
from hardsight.weights.catalogue import get_scheme
from hardsight.weights.schemes import sampling
from hardsight.weights.training import Weighting


def _difficulty(rng: np.random.Generator, samples: int = 60, classes: int = 3) -> Difficulty:
    views = random_log_probs(rng, 4, samples, classes).numpy()
    return measure_predictions(views, rng.integers(0, classes, samples))


@exact_claim(
    "uniform-weights",
    statement="Uniform weights are all one: D_chi2 is 0 and the effective sample size is n.",
    source="definitions; Kish 1965",
    expected="gap of 1e-12 or less",
    limits="None.",
    runs=5,
)
def uniform_weights(trial: Trial) -> Finding:
    """The scheme of that name, on random difficulties."""
    gaps, sizes = [], []
    for rng in trial.rngs:
        d = _difficulty(rng, int(rng.integers(20, 100)))
        w = weigh(d, "uniform")
        gaps += [
            abs(float(np.square(w).mean()) - 1),
            abs(describe.effective_sample_size(w) - len(d)),
            max_gap(np.abs(w - 1).tolist()),
        ]
        sizes.append((len(d), describe.effective_sample_size(w)))
    figure = Figure(
        "samples",
        "effective sample size",
        (Series("uniform weights", [n for n, _ in sizes], [worth for _, worth in sizes], "point"),),
        note="Equal.",
    )
    return Finding(bool(max_gap(gaps) <= 1e-12), {"largest gap": max_gap(gaps)}, figure)


@exact_claim(
    "priorities",
    statement="Hard-first weights rise with the error and easy-first weights fall: the Spearman correlation of weight "
    "and error reveals the priority of a scheme.",
    source="the priority modes of Zhou & Wu 2023; this library's schemes",
    expected="Spearman 1 and -1; mean weight 1 within 1e-12; each weight equal to the formula within 1e-12",
    limits="For held-out errors; during training the order changes with the model.",
    runs=5,
)
def priorities(trial: Trial) -> Finding:
    """Weights of random difficulties, against their formulas."""
    ranks, gaps = [], []
    for rng in trial.rngs:
        d = _difficulty(rng)
        hard, easy = weigh(d, "hard-first", temperature=0.5), weigh(d, "easy-first", temperature=0.5)
        p = np.exp(-d.error)
        formula = np.exp(-2 * p), np.exp(-2 * (1 - p))
        gaps += [max_gap(np.abs(w - f / f.mean()).tolist()) for w, f in zip((hard, easy), formula, strict=True)]
        gaps += [abs(float(w.mean()) - 1) for w in (hard, easy)]
        ranks.append((spearmanr(hard, d.error).statistic, spearmanr(easy, d.error).statistic))
    order = np.argsort(d.error)
    figure = Figure(
        "error (nats)",
        "weight",
        (
            Series("hard-first", d.error[order].tolist(), hard[order].tolist()),
            Series("easy-first", d.error[order].tolist(), easy[order].tolist()),
        ),
        rule=1.0,
        note="One rises, the other falls.",
    )
    lowest_hard, highest_easy = np.min(ranks, 0)[0], np.max(ranks, 0)[1]
    measured = {
        "largest gap to the formula": max_gap(gaps),
        "smallest Spearman of hard-first": lowest_hard,
        "largest of easy-first": highest_easy,
    }
    return Finding(bool(max_gap(gaps) <= 1e-12 and lowest_hard > 1 - 1e-12 and highest_easy < -1 + 1e-12), measured, figure)


def _grid_minimiser(objective: np.ndarray, grid: np.ndarray) -> np.ndarray:
    best: np.ndarray = grid[objective.argmin(1)]
    return best


@exact_claim(
    "self-paced-minimises",
    statement="Self-paced weights are the minimisers over v in [0, 1] of v l + f(v), with the regulariser f of each form.",
    source="Kumar et al. 2010; Jiang et al. 2014; Gong et al. 2019",
    expected="within one step (1e-4) of the best point of a grid",
    limits="Three forms: hard, linear, polynomial.",
    runs=3,
)
def self_paced_minimises(trial: Trial) -> Finding:
    """Search over a grid of 10,001 weights."""
    grid = np.linspace(0, 1, 10_001)
    gaps, curves = [], {}
    for rng in trial.rngs:
        loss, lam = np.sort(rng.uniform(0, 3, 40)), float(rng.uniform(0.5, 2))
        forms = {
            "spl-hard": ({}, -lam * grid),
            "spl-linear": ({}, lam * (grid**2 / 2 - grid)),
            "spl-polynomial": ({"t": 4}, lam * (grid**4 / 4 - grid)),
        }
        for name, (parameters, regulariser) in forms.items():
            w = get_scheme(name)({"loss": torch.from_numpy(loss)}, {"lam": lam, **parameters}).numpy()
            gaps.append(max_gap(np.abs(w - _grid_minimiser(loss[:, None] * grid + regulariser, grid)).tolist()))
            curves[name] = (loss, w)
    figure = Figure(
        "loss (nats)",
        "weight",
        tuple(Series(name, loss.tolist(), w.tolist()) for name, (loss, w) in curves.items()),
        note="Zero above the threshold.",
    )
    return Finding(bool(max_gap(gaps) <= 1e-4 + 1e-12), {"largest gap": max_gap(gaps)}, figure)


@exact_claim(
    "weight-is-copies",
    statement="An integer weight is equivalent to that many copies: the weighted mean loss has the gradient of the data "
    "set with copies.",
    source="definition of the weighted empirical risk",
    expected="largest gap of a gradient 1e-6 or less, by hs.Weighting, which keeps weights in single precision, and by "
    "plain cross-entropy",
    limits="For the loss. Cross-validation must keep copies together, and dropout or augmentation treats copies separately.",
    runs=10,
)
def weight_is_copies(trial: Trial) -> Finding:
    """The gradient of a linear model, weights 0 to 4."""
    gaps, copy_gradients, weight_gradients = [], [], []
    for rng in trial.rngs:
        x, y = torch.from_numpy(rng.normal(size=(30, 4))), torch.from_numpy(rng.integers(0, 3, 30))
        w = rng.integers(0, 5, 30)
        theta = torch.from_numpy(rng.normal(size=(4, 3)))
        weighting = Weighting(w.astype(np.float64), reduction="weighted mean")
        gradients = []
        for weighted in (True, False):
            parameters = theta.clone().requires_grad_()
            if weighted:
                loss = torch.nn.functional.cross_entropy(x @ parameters, y, reduction="none")
                total = weighting(loss, torch.arange(30))
            else:
                rows = torch.from_numpy(np.repeat(np.arange(30), w))
                total = torch.nn.functional.cross_entropy(x[rows] @ parameters, y[rows])
            (gradient,) = torch.autograd.grad(total, parameters)
            gradients.append(gradient)
        gaps.append(float((gradients[0] - gradients[1]).abs().max()))
        weight_gradients += gradients[0].ravel().tolist()
        copy_gradients += gradients[1].ravel().tolist()
    figure = Figure(
        "gradient with copies",
        "gradient with weights",
        (Series("entry", copy_gradients, weight_gradients, "point"),),
        note="All points lie on the diagonal.",
    )
    return Finding(bool(max_gap(gaps) <= 1e-6), {"largest gap": max_gap(gaps)}, figure)


@exact_claim(
    "importance-is-unbiased",
    statement="Samples drawn with probabilities P and weighted by 1/(N P) have, in expectation, the mean loss of all "
    "samples, for any P.",
    source="Katharopoulos & Fleuret 2018; Schaul et al. 2016",
    expected="largest gap 1e-12 or less; without the correction the mean is biased",
    limits="Unbiased does not mean low variance.",
    runs=20,
)
def importance_is_unbiased(trial: Trial) -> Finding:
    """Expectations as sums over all samples; probabilities by the loss."""
    gaps, plain, corrected, true = [], [], [], []
    for rng in trial.rngs:
        loss = torch.from_numpy(rng.gamma(0.5, 1.0, 80))
        unnormalised = get_scheme("per")({"loss": loss}, {"alpha": 0.8})
        p = unnormalised / unnormalised.sum()
        true.append(float(loss.mean()))
        corrected.append(float((p * sampling.correction(unnormalised) * loss).sum()))
        plain.append(float((p * loss).sum()))
        gaps.append(abs(corrected[-1] - true[-1]))
    figure = Figure(
        "mean loss of all samples (nats)",
        "expected mean of the drawn (nats)",
        (Series("corrected", true, corrected, "point"), Series("not corrected", true, plain, "point")),
        note="The corrected ones lie on the diagonal, the others above.",
    )
    smallest_bias = float(np.min(np.subtract(plain, true)))
    return Finding(
        bool(max_gap(gaps) <= 1e-12 and smallest_bias > 0),
        {"largest gap": max_gap(gaps), "smallest bias without it": smallest_bias},
        figure,
    )


@exact_claim(
    "dynamic-weights-escape",
    statement="Weights that depend on the loss and may be zero are outside the theorem of vanishing effect: if the "
    "samples with the largest loss are left out at every step, training never tends to the max-margin "
    "direction; with a lower bound on the same weights it does.",
    source="limit of the optimization theory (Xu et al. 2021 ask for weights in [b, B], b > 0), shown here",
    expected="with spl-share the angle to the max-margin direction changes by less than a fifth over the last third, "
    "and is in the end three times that with a lower bound, which falls by a fifth or more meanwhile",
    limits="Gradient descent with normalised steps in planted scenarios; nine tenths of the samples kept.",
    runs=3,
    full_runs=10,
)
def dynamic_weights_escape(trial: Trial) -> Finding:
    """Weights by the library's own scheme, recomputed at every step."""
    steps, every = 3000, 100
    lines: dict[str, list[float]] = {}
    late_changes, falls, times = [], [], []
    for rng in trial.rngs:
        world = draw_planted_dual(40, 4, 3, 1.0, rng, width=3.0)
        paths = {}
        for name, floor in (("largest losses left out", 0.0), ("with a floor of 0.1", 0.1)):
            paths[name] = [
                float(angles_to(theta[None], world.direction)[0])
                for theta in _weighted_descent(world.signed, floor, steps, every)
            ]
        unbounded, floored = paths.values()
        third = 2 * len(unbounded) // 3
        late_changes.append(abs(unbounded[-1] / unbounded[third] - 1))
        falls.append(floored[-1] / floored[third])
        times.append(unbounded[-1] / floored[-1])
        lines = lines or paths
    stops = list(range(every, steps + 1, every))
    figure = Figure(
        "steps",
        "angle to the max-margin direction (degrees)",
        tuple(Series(name, stops, path) for name, path in lines.items()),
        log="y",
        note="Without a lower bound the angle does not vanish.",
    )
    measured = {
        "smallest ratio of the last angles": min(times),
        "largest late change, left out": max_gap(late_changes),
        "largest late ratio, with a floor": max_gap(falls),
    }
    return Finding(bool(min(times) > 3 and max_gap(late_changes) < 0.2 and max_gap(falls) < 0.8), measured, figure)


def _weighted_descent(z: np.ndarray, floor: float, steps: int, every: int) -> Iterator[np.ndarray]:
    """Yield the parameters every so many steps of normalised gradient descent with scheme weights."""
    theta = np.zeros(z.shape[1])
    for step in range(1, steps + 1):
        m = z @ theta
        w = get_scheme("spl-share")({"loss": torch.from_numpy(np.logaddexp(0, -m))}, {"rate": 0.9}).numpy()
        q = np.maximum(w, floor) * expit(-m)
        # The step size does not depend on the losses: time is on a logarithmic scale.
        theta = theta + 0.05 * q @ z / q.sum()
        if step % every == 0:
            yield theta
