"""Optimization: what weights change on the path of training, and what they do not."""

import numpy as np
from scipy.special import entr

from hardsight.theory.claim import Figure, Finding, Series, Trial, bound_claim, exact_claim
from hardsight.theory.claims.dual import solve_dual
from hardsight.theory.claims.ensembles import max_gap
from hardsight.theory.flows import (
    LOGISTIC,
    angles_to,
    gradient_flow,
    kl_divergence,
    minimise_loss,
    normalised_flow,
    polynomial_loss,
    polynomial_tail_limit,
)
from hardsight.theory.scenarios import draw_planted_dual, draw_separable_classes

_XU = "after Xu, Ye & Ruan 2021 and Ji & Telgarsky 2021; this form was derived here"
_BYRD = "Byrd & Lipton 2019; the rate was derived here"


def _weightings(z: np.ndarray, direction: np.ndarray, p: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Uniform, small margins first, large margins first, random, and half-way to the dual; each with sum one."""
    m = z @ direction
    raw = {
        "uniform": np.ones(len(z)),
        "small margins first": np.exp(-m),
        "large margins first": np.exp(0.5 * m),
        "random": rng.uniform(0.1, 1, len(z)),
        "half-way to the dual": p + 1 / len(z),
    }
    return {name: w / w.sum() for name, w in raw.items()}


@bound_claim(
    "flow-bound",
    statement="Weighted exponential loss, gradient flow on its logarithm: after time s, theta/s is within sqrt(2 "
    "KL(p*||w)/s) of the max-margin solution, and half the squared norm of sum q z exceeds half the squared "
    "margin by at most KL(p*||w)/s.",
    source=_XU,
    expected="both ratios to the bound are 1 or less, for every scenario, weighting and time",
    limits="Separable data, linear model, exponential loss, static weights. KL for uniform weights is log n - H(p*).",
    runs=4,
    full_runs=20,
)
def flow_bound(trial: Trial) -> Finding:
    """Scenarios with two to twenty features, five weightings, times from 0.1 to 100."""
    times = np.array([0.1, 1.0, 10.0, 100.0])
    first, second, entropy = [], [], []
    lines: dict[str, list[float]] = {}
    for run, rng in enumerate(trial.rngs):
        x, y = draw_separable_classes(50, (2, 5, 10, 20)[run % 4], 2.0, rng)
        z = y[:, None] * x
        dual = solve_dual(x, y)
        p, g = dual.coefficients, dual.margin
        entropy.append(abs(kl_divergence(p, np.ones(50)) - (np.log(50) - float(entr(p).sum()))))
        for name, w in _weightings(z, dual.direction, p, rng).items():
            kl = kl_divergence(p, w)
            thetas = normalised_flow(z, w, times)
            distance = np.square(thetas / times[:, None] - g * dual.direction).sum(1) * times / (2 * kl)
            q = w * np.exp(-(thetas @ z.T - (thetas @ z.T).min(1, keepdims=True)))
            q /= q.sum(1, keepdims=True)
            excess = (np.square(q @ z).sum(1) - g * g) / 2 * times / kl
            first.append(float(distance.max()))
            second.append(float(excess.max()))
            if run == 0:
                lines[name] = distance.tolist()
    figure = Figure(
        "flow time s",
        "squared distance / bound",
        tuple(Series(name, times.tolist(), values) for name, values in lines.items()),
        log="xy",
        rule=1.0,
        note="All lines stay below one.",
    )
    measured = {
        "largest squared distance / bound": max_gap(first),
        "largest excess / bound": max_gap(second),
        "gap of KL to log n - H(p*)": max_gap(entropy),
    }
    return Finding(bool(max_gap(first) <= 1 and max_gap(second) <= 1 and max_gap(entropy) <= 1e-9), measured, figure)


@exact_claim(
    "dual-weights-go-straight",
    statement="With the dual coefficients as weights, the flow goes straight along the max-margin direction from the "
    "first step.",
    source=_XU,
    expected="theta = s g u within 1e-6 relative at every time, angle below 0.001 degrees; uniform weights are off by "
    "more than 1 degree",
    limits="The dual is known only after the problem is solved; p* is sparse, so most samples are left out.",
    runs=6,
)
def dual_weights_go_straight(trial: Trial) -> Finding:
    """Planted scenarios; the weights are the library's dual."""
    times = np.array([0.01, 0.1, 1.0, 10.0, 100.0])
    gaps, dual_angles, uniform_angles = [], [], []
    for rng in trial.rngs:
        data = draw_planted_dual(40, 6, 4, 1.0, rng)
        dual = solve_dual(data.x, data.y)
        # An interior-point solution is slightly positive on samples that are not support vectors.
        p = np.where(dual.coefficients > 1e-6, dual.coefficients, 0)
        thetas = normalised_flow(data.signed, p / p.sum(), times)
        straight = times[:, None] * data.margin * data.direction
        gaps.append(float((np.linalg.norm(thetas - straight, axis=1) / (times * data.margin)).max()))
        dual_angles.append(angles_to(thetas, data.direction))
        uniform_angles.append(angles_to(normalised_flow(data.signed, np.ones(40), times), data.direction))
    figure = Figure(
        "flow time s",
        "angle to the max-margin direction (degrees)",
        (
            Series("uniform weights", times.tolist(), np.mean(uniform_angles, 0).tolist()),
            Series("dual weights", times.tolist(), np.maximum(np.mean(dual_angles, 0), 1e-9).tolist()),
        ),
        log="xy",
        note="The lower line is rounding error.",
    )
    measured = {
        "largest relative gap": max_gap(gaps),
        "largest angle (degrees)": float(np.max(dual_angles)),
        "smallest first angle of uniform weights": float(np.min(np.array(uniform_angles)[:, 0])),
    }
    return Finding(
        bool(max_gap(gaps) <= 1e-6 and np.max(dual_angles) <= 1e-3 and np.min(np.array(uniform_angles)[:, 0]) > 1),
        measured,
        figure,
    )


@exact_claim(
    "smaller-kl-is-no-speed",
    statement="A smaller KL(p*||w) is a smaller bound, not a faster direction: compared with uniform weights, weights on "
    "small margins have a smaller KL and a smaller bounded distance, and yet for some time the larger angle.",
    source="counterexamples found here to the reading that weights near the dual accelerate (Xu et al. 2021; Zhou et "
    "al. 2022, as reconstructed)",
    expected="at least one scenario with smaller KL, smaller distance and larger angle at the same time",
    limits="Shows that it happens, not how often: see steps-to-margin for speed on average.",
    runs=20,
)
def smaller_kl_is_no_speed(trial: Trial) -> Finding:
    """Weights e^(-margin) against uniform ones in many scenarios."""
    times = np.array([1.0, 10.0])
    n_counterexamples, kl_saved, angle = 0, [], []
    for rng in trial.rngs:
        x, y = draw_separable_classes(50, 5, 2.0, rng)
        z = y[:, None] * x
        dual = solve_dual(x, y)
        small = np.exp(-(z @ dual.direction))
        uniform = np.ones(50)
        kl_gain = kl_divergence(dual.coefficients, uniform) - kl_divergence(dual.coefficients, small)
        a, b = normalised_flow(z, small, times), normalised_flow(z, uniform, times)
        goal = dual.margin * dual.direction
        distance = [np.linalg.norm(each / times[:, None] - goal, axis=1) for each in (a, b)]
        worse = angles_to(a, dual.direction) - angles_to(b, dual.direction)
        n_counterexamples += bool(kl_gain > 0 and ((distance[0] < distance[1]) & (worse > 0)).any())
        kl_saved.append(kl_gain)
        angle.append(float(worse.max()))
    figure = Figure(
        "KL saved by small-margin weights (nats)",
        "angle: small-margin - uniform (degrees, worst time)",
        (Series("world", kl_saved, angle, "point"),),
        rule=0.0,
        note="Right of zero the bound is smaller; above zero the direction is worse nevertheless.",
    )
    measured = {"worlds with smaller bound and worse angle": n_counterexamples, "worlds": len(angle)}
    return Finding(bool(n_counterexamples > 0), measured, figure)


@exact_claim(
    "weights-fade",
    statement="Separable data, logistic loss: static weights do not change the direction that training tends to. The "
    "angle between weighted and unweighted training falls like c/||theta||, that is 1/log t, where c is the "
    "shift that equalises log w over the support vectors.",
    source=f"{_BYRD}, with the constant",
    expected="angle × ||theta|| within 3 % of c at t = 1e12, and the angle there below 0.4 of that at t = 1e2, in "
    "every scenario",
    limits="Exponential tails, no regularisation, weights that are bounded and fixed; the fading is slow.",
    runs=6,
    full_runs=20,
)
def weights_fade(trial: Trial) -> Finding:
    """Planted scenarios, so that the support vectors are known; one class weighs four times the other."""
    times = np.logspace(2, 12, 21)
    ratios, relative_gaps, curves = [], [], []
    for rng in trial.rngs:
        data = draw_planted_dual(60, 5, 5, 1.0, rng, width=6.0)
        z, w = data.signed, np.where(data.y > 0, 4.0, 1.0)
        unweighted, weighted = gradient_flow(z, np.ones(60), times), gradient_flow(z, w, times)
        angle = angles_to(weighted, unweighted)
        is_support = data.coefficients > 0
        orthogonal = z[is_support] - data.margin * data.direction
        # Margins of support vectors tend to log w - log p + a common constant.
        shift = np.linalg.lstsq(np.column_stack([orthogonal, np.ones(len(orthogonal))]), np.log(w[is_support]), rcond=None)[
            0
        ][:-1]
        scaled = np.radians(angle) * np.linalg.norm(unweighted, axis=1)
        relative_gaps.append(abs(scaled[-1] / float(np.linalg.norm(shift)) - 1))
        ratios.append(float(angle[-1] / angle[0]))
        curves.append(angle)
    figure = Figure(
        "training time t",
        "angle between weighted and unweighted (degrees)",
        tuple(Series(f"scenario {k + 1}", times.tolist(), each.tolist()) for k, each in enumerate(curves[:4])),
        log="xy",
        note="The angle keeps falling, ever more slowly.",
    )
    measured = {"largest relative gap to c": max_gap(relative_gaps), "largest angle(1e12) / angle(1e2)": max_gap(ratios)}
    return Finding(bool(max_gap(ratios) < 0.4 and max_gap(relative_gaps) < 0.03), measured, figure)


@exact_claim(
    "decay-freezes-weights",
    statement="With weight decay the effect of weights persists: the angle between weighted and unweighted training "
    "stops falling, at a larger value for a larger ratio of the weights.",
    source="Byrd & Lipton 2019 observed it; shown here by the minimisers",
    expected="the angle changes by less than 1 % from t = 1e8 to 1e10, is above 1 degree, is that of the minimisers to "
    "1 %, and grows with the ratio",
    limits="Decay 1e-3; linear model.",
    runs=4,
    full_runs=12,
)
def decay_freezes_weights(trial: Trial) -> Finding:
    """Class ratios 4 and 64."""
    times = np.logspace(2, 10, 17)
    late_changes, ends, relative_gaps, is_increasing = [], [], [], []
    lines: list[np.ndarray] = []
    for rng in trial.rngs:
        data = draw_planted_dual(60, 5, 5, 1.0, rng, width=6.0)
        z, y = data.signed, data.y
        unweighted = gradient_flow(z, np.ones(60), times, decay=1e-3)
        last = []
        for ratio in (4.0, 64.0):
            w = np.where(y > 0, ratio, 1.0)
            weighted = gradient_flow(z, w, times, decay=1e-3)
            angle = angles_to(weighted, unweighted)
            ends_at = minimise_loss(z, w / w.mean() / 60, 1e-3), minimise_loss(z, np.ones(60) / 60, 1e-3)
            relative_gaps.append(abs(angle[-1] / float(angles_to(ends_at[0][None], ends_at[1])[0]) - 1))
            late_changes.append(abs(angle[-1] / angle[-5] - 1))
            last.append(float(angle[-1]))
            if len(lines) < 2:
                lines.append(angle)
        ends += last
        is_increasing.append(last[1] > last[0])
    figure = Figure(
        "training time t",
        "angle between weighted and unweighted (degrees)",
        (
            Series("weights 4:1", times.tolist(), lines[0].tolist()),
            Series("weights 64:1", times.tolist(), lines[1].tolist()),
        ),
        log="x",
        note="With decay the lines level off.",
    )
    measured = {
        "smallest last angle (degrees)": min(ends),
        "largest late change": max_gap(late_changes),
        "largest gap to minimisers": max_gap(relative_gaps),
    }
    return Finding(
        bool(max_gap(late_changes) < 0.01 and max_gap(relative_gaps) < 0.01 and min(ends) > 1 and all(is_increasing)),
        measured,
        figure,
    )


@exact_claim(
    "not-separable-weights-stay",
    statement="If no hyperplane separates the classes, weights change the minimiser permanently.",
    source="derived here; classic for weighted maximum likelihood",
    expected="the angle of weighted and unweighted training at t = 1e6 is that of the minimisers, to 0.1 %, and above "
    "0.5 degrees",
    limits="Misspecified models: if the model contains the true posterior, and weights depend on x only, both limits agree.",
    runs=6,
    full_runs=20,
)
def not_separable_weights_stay(trial: Trial) -> Finding:
    """Overlapping classes of different shapes."""
    times = np.logspace(1, 6, 11)
    relative_gaps, ends, curves = [], [], []
    for rng in trial.rngs:
        y = np.where(np.arange(200) % 2 == 0, 1.0, -1.0)
        x = rng.normal(size=(200, 2)) * np.where(y > 0, 0.5, 1.5)[:, None] + 0.6 * y[:, None] * np.array([1.0, 0.3])
        z, w = y[:, None] * x, np.where(y * x[:, 1] > 0, 4.0, 1.0)
        unweighted, weighted = gradient_flow(z, np.ones(200), times), gradient_flow(z, w, times)
        angle = angles_to(weighted, unweighted)
        limits = minimise_loss(z, w, 0.0), minimise_loss(z, np.ones(200), 0.0)
        relative_gaps.append(abs(angle[-1] / float(angles_to(limits[0][None], limits[1])[0]) - 1))
        ends.append(float(angle[-1]))
        curves.append(angle)
    figure = Figure(
        "training time t",
        "angle between weighted and unweighted (degrees)",
        tuple(Series(f"scenario {k + 1}", times.tolist(), each.tolist()) for k, each in enumerate(curves[:4])),
        log="x",
        note="Level lines: the effect is permanent.",
    )
    measured = {"smallest last angle (degrees)": min(ends), "largest gap to minimisers": max_gap(relative_gaps)}
    return Finding(bool(max_gap(relative_gaps) < 1e-3 and min(ends) > 0.5), measured, figure)


@exact_claim(
    "polynomial-tails-keep-weights",
    statement="With a polynomial loss tail instead of an exponential one, weights change the limit direction although "
    "the data are separable.",
    source="Wang et al. 2022 (abstract); the limit of m^-a tails, the direction that minimises sum w m^-a, was derived here",
    expected="weighted and unweighted limits are more than 1 degree apart in every scenario, and training at t = 1e14 "
    "is within a fifth of that of each limit; with the logistic loss the angle falls throughout",
    limits="Tail m^-1, linear model. The margin may be worse than with exponential tails (Ji et al. 2020).",
    runs=4,
    full_runs=12,
)
def polynomial_tails_keep_weights(trial: Trial) -> Finding:
    """Class ratio 8."""
    times = np.logspace(1, 14, 14)
    limit_angles, relative_gaps, falls = [], [], []
    lines: list[np.ndarray] = []
    for rng in trial.rngs:
        data = draw_planted_dual(60, 5, 5, 1.0, rng, width=6.0)
        z, w, one = data.signed, np.where(data.y > 0, 8.0, 1.0), np.ones(60)
        loss = polynomial_loss(1.0)
        limits = polynomial_tail_limit(z, w, 1.0), polynomial_tail_limit(z, one, 1.0)
        limit_angle = float(angles_to(limits[0][None], limits[1])[0])
        weighted, unweighted = gradient_flow(z, w, times, loss), gradient_flow(z, one, times, loss)
        ends = [float(angles_to(path[-1:], limit)[0]) for path, limit in zip((weighted, unweighted), limits, strict=True)]
        polynomial_angles = angles_to(weighted, unweighted)
        logistic = [gradient_flow(z, each, times[:10], LOGISTIC) for each in (w, one)]
        logistic_angles = angles_to(*logistic)
        limit_angles.append(limit_angle)
        relative_gaps.append(max(ends) / limit_angle)
        falls.append(float(logistic_angles[-1] / logistic_angles[2]))
        if not lines:
            lines = [polynomial_angles, logistic_angles]
    figure = Figure(
        "training time t",
        "angle between weighted and unweighted (degrees)",
        (
            Series("polynomial tail", times.tolist(), lines[0].tolist()),
            Series("logistic loss", times[:10].tolist(), lines[1].tolist()),
        ),
        log="xy",
        note="One line levels off, the other keeps falling.",
    )
    measured = {
        "smallest angle of the limits (degrees)": min(limit_angles),
        "largest distance from a limit, of that angle": max_gap(relative_gaps),
        "logistic angle at 1e10 / at 1e3, largest": max_gap(falls),
    }
    return Finding(bool(min(limit_angles) > 1 and max_gap(relative_gaps) < 0.2 and max_gap(falls) < 0.6), measured, figure)
