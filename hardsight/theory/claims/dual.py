"""The max-margin dual, compared with closed forms and a solver of support vector machines."""

import numpy as np

from hardsight.explanation.optimization import max_margin
from hardsight.theory.claim import Figure, Finding, Series, Trial, exact_claim
from hardsight.theory.claims.ensembles import max_gap
from hardsight.theory.flows import angles_to
from hardsight.theory.scenarios import SeparableData, draw_planted_dual, draw_separable_classes

_TOLERANCE = 1e-10


def solve_dual(x: np.ndarray, y: np.ndarray) -> max_margin.Dual:
    """Solve the max-margin problem more precisely than by default."""
    return max_margin.solve_max_margin(x, y, tolerance=_TOLERANCE)


def _gaps(dual: max_margin.Dual, data: SeparableData) -> tuple[float, float, float]:
    return (
        max_gap(np.abs(dual.coefficients - data.coefficients).tolist()),
        float(np.linalg.norm(dual.direction - data.direction)),
        abs(dual.margin / data.margin - 1),
    )


@exact_claim(
    "dual-closed-form",
    statement="Coefficients, direction and margin of the max-margin problem match the closed form in scenarios whose "
    "dual is known by construction, including two points in the plane.",
    source="optimality conditions of the hard-margin problem",
    expected="coefficients within 1e-5, direction within 1e-5, margin within 1e-8 relative",
    limits="No intercept; separable sets whose dual is unique.",
    runs=20,
)
def dual_closed_form(trial: Trial) -> Finding:
    """Planted support vectors, and right angles."""
    gaps, true, computed = [], [], []
    for rng in trial.rngs:
        features = int(rng.integers(2, 12))
        data = draw_planted_dual(60, features, int(rng.integers(2, features + 1)), rng.uniform(0.2, 2), rng)
        dual = solve_dual(data.x, data.y)
        gaps.append(_gaps(dual, data))
        true += data.coefficients[:features].tolist()
        computed += dual.coefficients[:features].tolist()
        a, b = rng.uniform(0.5, 3, 2)
        # Two points at right angles: each coefficient is proportional to the squared length of the other point.
        two_points = SeparableData(
            np.array([[a, 0.0], [0.0, -b]]), np.array([1.0, -1.0]), np.array([b * b, a * a]) / (a * a + b * b),
            np.array([b, a]) / np.hypot(a, b), a * b / np.hypot(a, b),
        )  # fmt: skip
        gaps.append(_gaps(solve_dual(two_points.x, two_points.y), two_points))
    coefficients, direction, margin = np.max(gaps, axis=0)
    figure = Figure(
        "planted coefficient",
        "computed coefficient",
        (Series("sample", true, computed, "point"),),
        note="All points lie on the diagonal.",
    )
    measured = {
        "largest gap of a coefficient": coefficients,
        "largest gap of the direction": direction,
        "largest relative gap of the margin": margin,
    }
    return Finding(bool(coefficients <= 1e-5 and direction <= 1e-5 and margin <= 1e-8), measured, figure)


@exact_claim(
    "dual-is-that-of-svms",
    statement="The dual equals the solution of a support vector machine solver with an infinite penalty.",
    source="scikit-learn's SVC (libsvm) on the samples and their mirror images, whose best intercept is zero",
    expected="coefficients within 1e-4, directions within 0.01 degrees",
    limits="Up to the tolerance of that solver.",
    runs=6,
    full_runs=30,
)
def dual_is_that_of_svms(trial: Trial) -> Finding:
    """Two separable Gaussian classes."""
    from sklearn.svm import SVC

    gaps, angles, ours, theirs = [], [], [], []
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
        dual = solve_dual(x, y)
        gaps.append(float(np.abs(dual.coefficients - p).max()))
        angles.append(float(angles_to(machine.coef_, dual.direction)[0]))
        ours += dual.coefficients.tolist()
        theirs += p.tolist()
    figure = Figure(
        "normalised dual coefficient of SVC",
        "coefficient of hardsight",
        (Series("sample", theirs, ours, "point"),),
        note="All points lie on the diagonal; most samples are not support vectors.",
    )
    measured = {"largest gap of a coefficient": max_gap(gaps), "largest angle (degrees)": max_gap(angles)}
    return Finding(bool(max_gap(gaps) <= 1e-4 and max_gap(angles) <= 0.01), measured, figure)
