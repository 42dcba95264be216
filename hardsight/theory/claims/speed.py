"""Speed of training on separable data, and what the dual has to do with the error: many draws, directions only."""

import numpy as np
from scipy.stats import spearmanr

from hardsight.estimation.measure import measure
from hardsight.theory import intervals
from hardsight.theory.claim import Figure, Finding, Series, Trial, define_claim
from hardsight.theory.claims.dual import solve_dual
from hardsight.theory.flows import gradient_flow, normalised_margins, time_to_reach
from hardsight.theory.scenarios import draw_separable_classes

_GOAL = 0.9


def _weightings(error: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    """Weights of mean one, between .02 and 50 before that."""
    made = {
        "error": error,
        "root of the error": error**0.5,
        "1/root of the error": error**-0.5,
        "half-way to the dual": p * len(p) + 1,
    }
    clipped = {name: np.clip(w / w.mean(), 0.02, 50) for name, w in made.items()}
    return {name: w / w.mean() for name, w in clipped.items()}


@define_claim(
    "steps-to-margin",
    statement="Separable data, steps of one size: easy-first weights take longer to 90 % of the largest margin than "
    "uniform ones; weights half-way to the dual are far quicker.",
    source="after Xu et al. 2021 and Zhou et al. 2022, as reconstructed; measured here",
    kind="statistical",
    expected="share of the worlds where easy-first is slower, of those where the two differ by 1 %: lower end of the "
    "interval above 0.5; half-way to the dual quicker in more than 0.8 of the worlds",
    limits="Time of the gradient flow, linear models, Gaussian classes. Raw error weights are not reliably quicker: "
    "their share is told, not asserted.",
    runs=9,
    full_runs=60,
)
def steps_to_margin(trial: Trial) -> Finding:
    """60 samples in 2 and 20 dimensions, 40 in 60."""
    times = np.logspace(0, 14, 281)
    sizes = ((60, 2, 3.0), (60, 20, 2.0), (40, 60, 1.0))
    took: list[dict[str, float]] = []
    for run, (rng, seed) in enumerate(zip(trial.rngs, trial.seeds, strict=True)):
        n, features, distance = sizes[run % 3]
        x, y = draw_separable_classes(n, features, distance, rng)
        z, found = y[:, None] * x, solve_dual(x, y)
        d = measure(x, y > 0, learner="logistic", folds=5, repeats=6, adjusted=False, refine=False, seed=seed)
        weightings = {"uniform": np.ones(n)} | _weightings(d.error, found.coefficients)
        took.append(
            {
                name: time_to_reach(times, normalised_margins(z, gradient_flow(z, w, times)) / found.margin, _GOAL)
                for name, w in weightings.items()
            }
        )
    ratios = {name: np.array([each[name] / each["uniform"] for each in took]) for name in took[0] if name != "uniform"}
    easy = ratios["1/root of the error"]
    differ = np.abs(easy - 1) > 0.01
    slower, of_them = int((easy[differ] > 1).sum()), int(differ.sum())
    interval = intervals.share_interval(slower, of_them) if of_them else intervals.share_interval(0, 1)
    quick = float((ratios["half-way to the dual"] < 1).mean())
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
        "share of worlds where easy-first is slower": slower / max(of_them, 1),
        "share where half-way to the dual is quicker": quick,
        "share where root-of-error weights are quicker": float((ratios["root of the error"] < 1).mean()),
        "share where raw error weights are quicker": float((ratios["error"] < 1).mean()),
    }
    return Finding(bool(interval.low > 0.5 and quick > 0.8), measured, figure, interval)


@define_claim(
    "dual-follows-error",
    statement="Over random training sets, a sample's mean dual coefficient rises with its error, about as well as with "
    "its closeness to the boundary; real duals are sparse, so that the coefficient of one set says little of "
    "most samples.",
    source="Proposition 5, after Zhou et al. 2022, as reconstructed; with p in proportion to exp(-margin) and the "
    "exponential error it is an identity by assumption",
    kind="statistical",
    expected="mean Spearman of mean coefficient and exponential error above 0.8, lower end of the interval included; "
    "more than half the coefficients of a set are zero in few dimensions",
    limits="80 Gaussian candidates, random halves, hard-margin machines. That error beats margin is not asserted: it "
    "does only sometimes.",
    runs=4,
    full_runs=20,
)
def dual_follows_error(trial: Trial) -> Finding:
    """Subsets of 50 of 80 candidates in 20 and 100 dimensions."""
    by_error, by_margin, zeros = [], [], []
    shown: tuple[list[float], list[float]] = ([], [])
    for run, rng in enumerate(trial.rngs):
        features = (20, 100)[run % 2]
        x, y = draw_separable_classes(80, features, 2.0, rng)
        total, inside = np.zeros(80), np.zeros(80)
        losses, margin, outside = np.zeros(80), np.zeros(80), np.zeros(80)
        empty = []
        for _ in range(60):
            at = rng.choice(80, 50, replace=False)
            found = solve_dual(x[at], y[at])
            out = np.setdiff1d(np.arange(80), at)
            # In the units of the machine support vectors have a margin of one.
            m = y[out] * (x[out] @ found.direction) / found.margin
            total[at] += found.coefficients
            inside[at] += 1
            losses[out] += np.exp(-m)
            margin[out] += m
            outside[out] += 1
            empty.append(float((found.coefficients < 1e-6).mean()))
        p, error, mean = total / inside, losses / outside, margin / outside
        by_error.append(float(spearmanr(p, error).statistic))
        by_margin.append(float(spearmanr(p, -mean).statistic))
        if features == 20:
            zeros.append(float(np.mean(empty)))
            shown = (error.tolist(), p.tolist())
    interval = intervals.mean_interval(by_error)
    figure = Figure(
        "exponential error",
        "mean dual coefficient",
        (Series("sample, 20 features", *shown, "point"),),
        log="x",
        note="It rises, with scatter.",
    )
    measured = {
        "mean Spearman of coefficient and error": float(np.mean(by_error)),
        "mean Spearman of coefficient and -margin": float(np.mean(by_margin)),
        "share of zero coefficients, 20 features": float(np.mean(zeros)),
    }
    return Finding(bool(interval.low > 0.8 and np.mean(zeros) > 0.5), measured, figure, interval)
