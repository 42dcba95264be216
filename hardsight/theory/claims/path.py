"""The regularisation path: the effect of weights on the margin as the penalty vanishes."""

from collections.abc import Iterator

import numpy as np

from hardsight.explanation.optimization.max_margin import Dual
from hardsight.theory.claim import Figure, Finding, Series, Trial, bound_claim, exact_claim
from hardsight.theory.claims.dual import solve_dual
from hardsight.theory.claims.ensembles import max_gap
from hardsight.theory.flows import EXPONENTIAL, minimise_loss, normalised_margins
from hardsight.theory.scenarios import draw_separable_classes

_THEOREM_1 = "Theorem 1, after Zhou et al. 2022, as reconstructed, and Wei et al. 2019"


def _draw_scenarios(trial: Trial) -> Iterator[tuple[np.random.Generator, np.ndarray, Dual, np.ndarray]]:
    """Yield for each run its generator, 50 separable samples times their labels, their dual and their margins."""
    for run, rng in enumerate(trial.rngs):
        x, y = draw_separable_classes(50, (2, 5, 10)[run % 3], 2.0, rng)
        z, dual = y[:, None] * x, solve_dual(x, y)
        yield rng, z, dual, z @ dual.direction


@bound_claim(
    "path-bound",
    statement="Weighted exponential loss with an L2 penalty: the minimiser's normalised margin falls short of the "
    "largest one by at most log(nB/b)/||theta||, weights between b and B.",
    source=f"{_THEOREM_1}; this form was derived here",
    expected="shortfall × ||theta|| / log(nB/b) is 1 or less for every world, weighting and penalty",
    limits="Linear model, exponential loss, separable data. Weights change the margin by at most the logarithm of "
    "their ratio.",
    runs=6,
    full_runs=30,
)
def path_bound(trial: Trial) -> Finding:
    """Penalties from 1 to 1e-8; weight ratios of up to 1,000."""
    penalties = np.logspace(0, -8, 9)
    ratios, lines = [], {}
    for run, (rng, z, dual, sample_margins) in enumerate(_draw_scenarios(trial)):
        for name, w in (
            ("uniform", np.ones(50)),
            ("small margins", np.clip(np.exp(-sample_margins), 1e-3, 1)),
            ("large margins", np.clip(np.exp(sample_margins - sample_margins.max()), 1e-3, 1)),
            ("random, 1,000:1", 10 ** rng.uniform(-3, 0, 50)),
        ):
            thetas = np.stack([minimise_loss(z, w, penalty, EXPONENTIAL) for penalty in penalties])
            shortfall = (dual.margin - normalised_margins(z, thetas)) * np.linalg.norm(thetas, axis=1)
            ratio = shortfall / np.log(50 * w.max() / w.min())
            ratios.append(float(ratio.max()))
            if run == 0:
                lines[name] = ratio.tolist()
    figure = Figure(
        "penalty",
        "shortfall of the margin / bound",
        tuple(Series(name, penalties.tolist(), each) for name, each in lines.items()),
        log="x",
        rule=1.0,
        note="All lines stay below one.",
    )
    return Finding(bool(max_gap(ratios) <= 1), {"largest shortfall / bound": max_gap(ratios)}, figure)


@exact_claim(
    "path-margin",
    statement="As the penalty vanishes, the normalised margin tends to the largest one for any weights that are bounded.",
    source=_THEOREM_1,
    expected="at the smallest penalty every weighting has 95 % of the largest margin or more, and the mean over "
    "scenarios and weightings grows at every step",
    limits="An asymptotic statement: at typical penalties weights do matter.",
    runs=6,
    full_runs=30,
)
def path_margin(trial: Trial) -> Finding:
    """Penalties from 1 to 1e-14."""
    penalties = np.logspace(0, -14, 8)
    shares, lines = [], {}
    for run, (_, z, dual, sample_margins) in enumerate(_draw_scenarios(trial)):
        for name, w in (
            ("uniform", np.ones(50)),
            ("small margins first", np.exp(-np.clip(sample_margins, 0, 5))),
            ("large margins first", np.exp(np.clip(sample_margins, 0, 5) - 5)),
        ):
            share = (
                normalised_margins(z, np.stack([minimise_loss(z, w, each, EXPONENTIAL) for each in penalties])) / dual.margin
            )
            shares.append(share)
            if run == 0:
                lines[name] = share.tolist()
    figure = Figure(
        "penalty",
        "normalised margin / largest",
        tuple(Series(name, penalties.tolist(), each) for name, each in lines.items()),
        log="x",
        rule=1.0,
        note="All lines meet at one, to the left.",
    )
    reached = np.array(shares)
    grows = bool((np.diff(reached.mean(0)) > 0).all())
    smallest = float(reached[:, -1].min())
    return Finding(bool(grows and smallest >= 0.95), {"smallest share of the largest margin": smallest}, figure)
