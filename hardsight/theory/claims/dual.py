"""The max-margin dual, against closed forms and a solver of support vector machines."""

import numpy as np

from hardsight.explanation.optimization import max_margin as dual
from hardsight.theory.claim import Figure, Finding, Series, Trial, define_claim
from hardsight.theory.claims.ensembles import max_gap
from hardsight.theory.flows import angles_to
from hardsight.theory.scenarios import SeparableData, draw_planted_dual, draw_separable_classes

_SHARP = 1e-10


def solve_dual(x: np.ndarray, y: np.ndarray) -> dual.Dual:
    """The dual to more digits than its default asks for."""
    return dual.solve_max_margin(x, y, tolerance=_SHARP)


def _gaps(found: dual.Dual, world: SeparableData) -> tuple[float, float, float]:
    return (
        max_gap(np.abs(found.coefficients - world.coefficients).tolist()),
        float(np.linalg.norm(found.direction - world.direction)),
        abs(found.margin / world.margin - 1),
    )


@define_claim(
    "dual-closed-form",
    statement="Coefficients, direction and margin of the max-margin problem are those of worlds whose dual is known by "
    "construction, two points in the plane among them.",
    source="optimality conditions of the hard-margin problem",
    kind="exact",
    expected="coefficients within 1e-5, direction within 1e-5, margin within 1e-8 relative",
    limits="No intercept; separable sets whose dual is unique.",
    runs=20,
)
def dual_closed_form(trial: Trial) -> Finding:
    """Planted support vectors, and right angles."""
    gaps, true, found_ones = [], [], []
    for rng in trial.rngs:
        features = int(rng.integers(2, 12))
        world = draw_planted_dual(60, features, int(rng.integers(2, features + 1)), rng.uniform(0.2, 2), rng)
        found = solve_dual(world.x, world.y)
        gaps.append(_gaps(found, world))
        true += world.coefficients[:features].tolist()
        found_ones += found.coefficients[:features].tolist()
        a, b = rng.uniform(0.5, 3, 2)
        # Two points at right angles: the shares of each are in proportion to the square of the other's length.
        flat = SeparableData(
            np.array([[a, 0.0], [0.0, -b]]), np.array([1.0, -1.0]), np.array([b * b, a * a]) / (a * a + b * b),
            np.array([b, a]) / np.hypot(a, b), a * b / np.hypot(a, b),
        )  # fmt: skip
        gaps.append(_gaps(solve_dual(flat.x, flat.y), flat))
    coefficients, direction, margin = np.max(gaps, axis=0)
    figure = Figure(
        "planted coefficient",
        "coefficient found",
        (Series("sample", true, found_ones, "point"),),
        note="All points lie on the diagonal.",
    )
    measured = {
        "largest gap of a coefficient": coefficients,
        "largest gap of the direction": direction,
        "largest relative gap of the margin": margin,
    }
    return Finding(bool(coefficients <= 1e-5 and direction <= 1e-5 and margin <= 1e-8), measured, figure)


@define_claim(
    "dual-is-that-of-svms",
    statement="The dual is what a solver of support vector machines finds with an endless penalty.",
    source="scikit-learn's SVC (libsvm) on the samples and their mirror images, whose best intercept is zero",
    kind="exact",
    expected="coefficients within 1e-4, directions within 0.01 degrees",
    limits="To the solver's own tolerance.",
    runs=6,
    full_runs=30,
)
def dual_is_that_of_svms(trial: Trial) -> Finding:
    """Two Gaussian classes that are apart."""
    from sklearn.svm import SVC

    gaps, turned, ours, theirs = [], [], [], []
    for rng in trial.rngs:
        x, y = draw_separable_classes(50, int(rng.integers(2, 15)), 2.0, rng)
        z = y[:, None] * x
        machine = SVC(C=1e10, kernel="linear", tol=1e-10).fit(
            np.concatenate([z, -z]), np.concatenate([np.ones(50), -np.ones(50)])
        )
        alpha = np.zeros(100)
        alpha[machine.support_] = np.abs(machine.dual_coef_[0])
        p = alpha[:50] + alpha[50:]
        p /= p.sum()
        found = solve_dual(x, y)
        gaps.append(float(np.abs(found.coefficients - p).max()))
        turned.append(float(angles_to(machine.coef_, found.direction)[0]))
        ours += found.coefficients.tolist()
        theirs += p.tolist()
    figure = Figure(
        "normalised dual coefficient of SVC",
        "coefficient of hardsight",
        (Series("sample", theirs, ours, "point"),),
        note="All points lie on the diagonal; most samples are no support vectors.",
    )
    measured = {"largest gap of a coefficient": max_gap(gaps), "largest angle (degrees)": max_gap(turned)}
    return Finding(bool(max_gap(gaps) <= 1e-4 and max_gap(turned) <= 0.01), measured, figure)
