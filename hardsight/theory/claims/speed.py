"""Speed of training on separable data, and the relation of the dual to the error: many draws, directions only."""

import numpy as np
from scipy.stats import spearmanr

from hardsight.estimation.measure import measure
from hardsight.estimation.request import Estimate
from hardsight.theory import intervals
from hardsight.theory.claim import Figure, Finding, Series, Trial, statistical_claim
from hardsight.theory.claims.dual import solve_dual
from hardsight.theory.flows import gradient_flow, normalised_margins, time_to_reach
from hardsight.theory.scenarios import draw_separable_classes

_GOAL = 0.9


def _weightings(error: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    """Return weights of mean one, clipped to .02 … 50 before the last scaling."""
    raw = {
        "error": error,
        "root of the error": error**0.5,
        "1/root of the error": error**-0.5,
        "half-way to the dual": p * len(p) + 1,
    }
    clipped = {name: np.clip(w / w.mean(), 0.02, 50) for name, w in raw.items()}
    return {name: w / w.mean() for name, w in clipped.items()}


@statistical_claim(
    "steps-to-margin",
    statement="Separable data, steps of one size: easy-first weights take longer than uniform ones to reach 90 % of the "
    "largest margin; weights half-way to the dual are much faster.",
    source="after Xu et al. 2021 and Zhou et al. 2022, as reconstructed; measured here",
    expected="share of the scenarios where easy-first is slower, among those where the two differ by 1 %: lower end of "
    "the interval above 0.5; half-way to the dual faster in more than 0.8 of the scenarios",
    limits="Time of the gradient flow, linear models, Gaussian classes. Raw error weights are not reliably faster: "
    "their share is reported, not asserted.",
    runs=9,
    full_runs=60,
)
def steps_to_margin(trial: Trial) -> Finding:
    """60 samples in 2 and 20 dimensions, 40 in 60."""
    times = np.logspace(0, 14, 281)
    sizes = ((60, 2, 3.0), (60, 20, 2.0), (40, 60, 1.0))
    times_to_goal: list[dict[str, float]] = []
    for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
        n, features, distance = sizes[run % 3]
        x, y = draw_separable_classes(n, features, distance, rng)
        z, dual = y[:, None] * x, solve_dual(x, y)
        d = measure(
            x, y > 0, learner="logistic", folds=5, repeats=6, estimate=Estimate(adjusted=False), refine=False, seed=seed
        )
        weightings = {"uniform": np.ones(n)} | _weightings(d.error, dual.coefficients)
        times_to_goal.append(
            {
                name: time_to_reach(times, normalised_margins(z, gradient_flow(z, w, times)) / dual.margin, _GOAL)
                for name, w in weightings.items()
            }
        )
    ratios = {
        name: np.array([each[name] / each["uniform"] for each in times_to_goal])
        for name in times_to_goal[0]
        if name != "uniform"
    }
    easy = ratios["1/root of the error"]
    differ = np.abs(easy - 1) > 0.01
    slower, n_different = int((easy[differ] > 1).sum()), int(differ.sum())
    interval = intervals.share_interval(slower, n_different) if n_different else intervals.share_interval(0, 1)
    share_faster = float((ratios["half-way to the dual"] < 1).mean())
    figure = Figure(
        "weights",
        "time to 90 % of the margin / uniform",
        tuple(
            Series(
                f"{features} features",
                [name for name, each in ratios.items() for _ in each[k::3]],
                [float(ratio) for each in ratios.values() for ratio in each[k::3]],
                "point",
            )
            for k, (_, features, _) in enumerate(sizes)
        ),
        log="y",
        rule=1.0,
        note="Above one: slower than uniform weights.",
    )
    measured = {
        "share of worlds where easy-first is slower": slower / max(n_different, 1),
        "share where half-way to the dual is quicker": share_faster,
        "share where root-of-error weights are quicker": float((ratios["root of the error"] < 1).mean()),
        "share where raw error weights are quicker": float((ratios["error"] < 1).mean()),
    }
    return Finding(bool(interval.low > 0.5 and share_faster > 0.8), measured, figure, interval)


@statistical_claim(
    "dual-follows-error",
    statement="Over random training sets, a sample's mean dual coefficient rises with its error, about as well as with its "
    "closeness to the boundary; single duals are sparse, so the coefficient from one set says little about most samples.",
    source="Proposition 5, after Zhou et al. 2022, as reconstructed; with p proportional to exp(-margin) and the "
    "exponential error it is an identity by assumption",
    expected="mean Spearman of mean coefficient and exponential error above 0.8, lower end of the interval included; "
    "more than half the coefficients of a set are zero in few dimensions",
    limits="80 Gaussian candidates, random halves, hard-margin machines. It is not asserted that error beats margin: "
    "it does so only sometimes.",
    runs=4,
    full_runs=20,
)
def dual_follows_error(trial: Trial) -> Finding:
    """Subsets of 50 of 80 candidates in 20 and 100 dimensions."""
    by_error, by_margin, zeros = [], [], []
    points: tuple[list[float], list[float]] = ([], [])
    for run, rng in enumerate(trial.rngs):
        features = (20, 100)[run % 2]
        x, y = draw_separable_classes(80, features, 2.0, rng)
        total, n_inside = np.zeros(80), np.zeros(80)
        losses, margin, n_outside = np.zeros(80), np.zeros(80), np.zeros(80)
        zero_shares = []
        for _ in range(60):
            inside_rows = rng.choice(80, 50, replace=False)
            dual = solve_dual(x[inside_rows], y[inside_rows])
            outside_rows = np.setdiff1d(np.arange(80), inside_rows)
            # In the units of the machine, support vectors have a margin of one.
            margins_outside = y[outside_rows] * (x[outside_rows] @ dual.direction) / dual.margin
            total[inside_rows] += dual.coefficients
            n_inside[inside_rows] += 1
            losses[outside_rows] += np.exp(-margins_outside)
            margin[outside_rows] += margins_outside
            n_outside[outside_rows] += 1
            zero_shares.append(float((dual.coefficients < 1e-6).mean()))
        p, error, mean = total / n_inside, losses / n_outside, margin / n_outside
        by_error.append(float(spearmanr(p, error).statistic))
        by_margin.append(float(spearmanr(p, -mean).statistic))
        if features == 20:
            zeros.append(float(np.mean(zero_shares)))
            points = (error.tolist(), p.tolist())
    interval = intervals.mean_interval(by_error)
    figure = Figure(
        "exponential error",
        "mean dual coefficient",
        (Series("sample, 20 features", *points, "point"),),
        log="x",
        note="The coefficient rises with the error, with scatter.",
    )
    measured = {
        "mean Spearman of coefficient and error": float(np.mean(by_error)),
        "mean Spearman of coefficient and -margin": float(np.mean(by_margin)),
        "share of zero coefficients, 20 features": float(np.mean(zeros)),
    }
    return Finding(bool(interval.low > 0.8 and np.mean(zeros) > 0.5), measured, figure, interval)
