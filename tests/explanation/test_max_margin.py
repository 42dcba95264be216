"""The max-margin dual against linear SVM solvers, a linear programme, and sets whose answer is known."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from support.example_data import blobs

from hardsight.errors import HardsightWarning, InputError
from hardsight.explanation.optimization.hull import MarginPoints
from hardsight.explanation.optimization.max_margin import solve_max_margin

Set = tuple[np.ndarray, np.ndarray]


def written_out(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points as rows, and the sample of each; by the definition, one at a time."""
    classes = int(y.max()) + 1
    if classes == 2:
        return (2 * y - 1)[:, None] * x, np.arange(len(x))
    rows = [
        (np.kron(np.eye(classes)[c] - np.eye(classes)[j], row), i)
        for i, (row, c) in enumerate(zip(x, y, strict=True))
        for j in range(classes)
        if j != c
    ]
    return np.array([row for row, _ in rows]), np.array([i for _, i in rows])


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_sums_products_and_moments_of_the_points_are_those_of_their_rows(classes: int) -> None:
    x, y = blobs(12, 5, 0.0, classes=classes)
    points, (rows, of) = MarginPoints.from_codes(x, y, classes), written_out(x, y)
    rng = np.random.default_rng(1)
    alpha, curvature = rng.random(points.other_classes.shape), rng.random(12)
    weights = rng.normal(size=points.sum(alpha).shape)
    np.testing.assert_allclose(points.sum(alpha).ravel(), alpha.ravel() @ rows)
    np.testing.assert_allclose(points.margins(weights).ravel(), rows @ weights.ravel())
    between = np.diag(1 / alpha.ravel()) + curvature[of][:, None] * (of[:, None] == of)
    moment = rows.T @ np.linalg.inv(between) @ rows
    np.testing.assert_allclose(points.second_moment(alpha, curvature), moment, atol=1e-12)


def test_two_points_halve_the_way_between_them_where_the_intercept_is_free() -> None:
    x = np.array([[3.0, 1.0], [-1.0, -2.0]])
    found = solve_max_margin(x, ["b", "a"], bias=True, tolerance=1e-12)
    across = x[0] - x[1]
    np.testing.assert_allclose(found.coefficients, 0.5)
    np.testing.assert_allclose(found.direction, across / 5)
    assert found.margin == pytest.approx(2.5)
    assert found.intercept == pytest.approx(-found.direction @ x.mean(0))


def test_two_points_through_the_origin_meet_at_the_foot_of_the_perpendicular() -> None:
    # z = (2, 0) and (0, 1): the segment's nearest point to the origin is (.4, .8).
    found = solve_max_margin([[2.0, 0.0], [0.0, -1.0]], [1, 0], tolerance=1e-12)
    np.testing.assert_allclose(found.coefficients, [0.2, 0.8])
    np.testing.assert_allclose(found.direction * found.margin, [0.4, 0.8])


@pytest.mark.parametrize("classes", [3, 4, 7])
@pytest.mark.parametrize("bias", [False, True])
def test_corners_of_a_simplex_share_the_dual_evenly(classes: int, bias: bool) -> None:
    found = solve_max_margin(np.eye(classes), np.arange(classes), bias=bias, tolerance=1e-12)
    centred = np.eye(classes) - 1 / classes
    np.testing.assert_allclose(found.coefficients, 1 / classes)
    np.testing.assert_allclose(found.direction, centred / np.linalg.norm(centred), atol=1e-12)
    assert found.margin == pytest.approx(1 / np.sqrt(classes - 1))


def test_alike_samples_have_equal_coefficients_though_the_dual_has_many_optima() -> None:
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    found = solve_max_margin(np.repeat(x, 2, axis=0), np.repeat(x[:, 0] > 0, 2), tolerance=1e-10)
    np.testing.assert_allclose(found.coefficients, 1 / 16)
    np.testing.assert_allclose(found.direction, [1, 0, 0], atol=1e-12)
    assert (found.margin, found.separable, found.surrogate) == (pytest.approx(1), True, None)


@pytest.mark.parametrize(("n", "d", "apart"), [(60, 2, 5), (60, 20, 3), (40, 60, 1), (200, 5, 1), (150, 10, 0.3)])
def test_it_finds_what_a_support_vector_machine_finds(n: int, d: int, apart: float) -> None:
    x, y = blobs(n, d, apart)
    found = solve_max_margin(x, y, bias=True, tolerance=1e-10)
    peer = SVC(kernel="linear", C=found.surrogate or 1e7, tol=1e-9).fit(x, y)
    dual = np.zeros(n)
    dual[peer.support_] = np.abs(peer.dual_coef_[0])
    np.testing.assert_allclose(found.coefficients, dual / dual.sum(), atol=1e-6)
    norm = np.linalg.norm(peer.coef_)
    np.testing.assert_allclose(found.direction, peer.coef_[0] / norm, atol=1e-5)
    assert found.intercept == pytest.approx(peer.intercept_[0] / norm, abs=1e-4)
    if found.separable:
        assert found.margin == pytest.approx(1 / norm, rel=1e-5)


@pytest.mark.parametrize(("apart", "separable"), [(3.0, True), (1.0, False)])
def test_it_finds_what_crammer_and_singers_machine_finds(apart: float, separable: bool) -> None:
    x, y = blobs(120, 6, apart, classes=4)
    found = solve_max_margin(x, y)
    assert found.separable is separable
    C = found.surrogate or 1e4
    peer = LinearSVC(multi_class="crammer_singer", fit_intercept=False, C=C, tol=1e-8, max_iter=10**6).fit(x, y)
    np.testing.assert_allclose(found.direction, peer.coef_ / np.linalg.norm(peer.coef_), atol=2e-4)


def _has_a_margin(x: np.ndarray, y: np.ndarray) -> bool:
    z, _ = written_out(x, y)
    return linprog(np.zeros(z.shape[1]), A_ub=-z, b_ub=-np.ones(len(z)), bounds=(None, None)).status == 0


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_separable_is_what_a_linear_programme_says(classes: int) -> None:
    answers = []
    for seed in range(12):
        x, y = blobs(24, 4, 0.2 * seed, seed, classes)
        answers.append((solve_max_margin(x, y).separable, _has_a_margin(x, y)))
    assert {separable for separable, _ in answers} == {True, False}
    assert all(separable == is_so for separable, is_so in answers)


@pytest.mark.slow
@pytest.mark.parametrize("flip", [False, True])
def test_digits_meet_the_conditions_of_optimality(flip: bool) -> None:
    X, y = load_digits(return_X_y=True)
    x, y = StandardScaler().fit_transform(X[:400]), y[:400].copy()
    if flip:
        x, y[::5] = x[:, ::3], (y[::5] + 1) % 10
    found = solve_max_margin(x, y)
    assert found.separable is not flip
    assert 0 <= found.gap <= 1e-7
    scores = x @ found.direction.T
    margins = scores[np.arange(400), y] - np.where(np.eye(10)[y] > 0, -np.inf, scores).max(1)
    assert margins.min() == pytest.approx(found.margin)
    assert np.linalg.norm(found.direction) == pytest.approx(1)
    assert found.coefficients.sum() == pytest.approx(1)
    if not flip:
        # Only samples on the margin hold the direction.
        assert margins[found.coefficients > 1e-4].max() <= found.margin * 1.01


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([2, 3]), st.floats(0, 4), st.booleans())
def test_scale_rotation_and_order_change_what_they_must(seed: int, classes: int, apart: float, bias: bool) -> None:
    x, y = blobs(24, 4, apart, seed, classes)
    rng = np.random.default_rng(seed)
    turn, order, scale = np.linalg.qr(rng.normal(size=(4, 4)))[0], rng.permutation(24), 10 ** rng.uniform(-5, 5)
    one = solve_max_margin(x, y, bias=bias)
    other = solve_max_margin((scale * x @ turn)[order], y[order], bias=bias)
    assert one.separable == other.separable
    assert other.margin == pytest.approx(scale * one.margin, rel=1e-4)
    np.testing.assert_allclose(other.direction, one.direction @ turn, atol=2e-3)
    np.testing.assert_allclose(other.coefficients, one.coefficients[order], atol=2e-3)
    if one.surrogate is not None and other.surrogate is not None:
        assert other.surrogate == pytest.approx(one.surrogate / scale**2)


def test_a_free_intercept_makes_the_place_of_the_origin_indifferent() -> None:
    for apart in (3.0, 0.5):
        x, y = blobs(40, 3, apart, classes=3)
        one, other = solve_max_margin(x, y, bias=True), solve_max_margin(x + 7, y, bias=True)
        np.testing.assert_allclose(other.direction, one.direction, atol=1e-4)
        np.testing.assert_allclose(other.intercept, one.intercept - one.direction @ np.full(3, 7.0), atol=1e-3)


def test_more_features_than_samples_are_no_matter() -> None:
    x, y = blobs(20, 6, 1.0)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(500, 6)))[0]
    one, other = solve_max_margin(x, y, tolerance=1e-10), solve_max_margin(x @ turn.T, y, tolerance=1e-10)
    np.testing.assert_allclose(other.coefficients, one.coefficients, atol=1e-7)
    np.testing.assert_allclose(other.direction, turn @ one.direction, atol=1e-7)


@pytest.mark.parametrize("bias", [False, True])
def test_where_every_point_has_its_opposite_there_is_no_direction(bias: bool) -> None:
    x = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    found = solve_max_margin(x, [1, 1, 0, 0], bias=bias)
    assert not found.separable
    assert not found.direction.any()
    assert np.isnan(found.angle(np.ones(2)))
    np.testing.assert_allclose(found.coefficients, 0.25, atol=1e-6)


def test_a_margin_of_next_to_nothing_is_still_one() -> None:
    x = np.array([[1.0, 1e-5], [-1.0, 1e-5], [1.0, -1e-5], [-0.9, -1e-5]])
    for tolerance in (1e-7, 1e-2):
        found = solve_max_margin(x, [1, 1, 0, 0], tolerance=tolerance)
        assert found.separable
        assert found.margin == pytest.approx(1e-5, rel=2 * tolerance)


def test_the_angle_is_in_degrees() -> None:
    found = solve_max_margin([[1.0, 0.0], [-1.0, 0.0]], [1, 0])
    assert found.angle(np.array([2.0, 2.0])) == pytest.approx(45)
    assert found.angle(np.array([1.0, 1e-9])) == pytest.approx(np.degrees(1e-9))
    assert found.angle(np.array([-3.0, 0.0])) == pytest.approx(180)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"x": np.ones(3), "y": [0, 1, 0]}, r"shape \(3,\)"),
        ({"x": [[1.0], [np.nan]], "y": [0, 1]}, "Row 1"),
        ({"x": np.ones((2, 1)), "y": [0]}, "one label per sample"),
        ({"x": np.ones((2, 1)), "y": [1, 1]}, "one class"),
        ({"x": np.ones((2, 1)), "y": [0, 1], "strength": 0.0}, "strength must be positive"),
        ({"x": np.ones((2, 1)), "y": [0, 1], "tolerance": np.nan}, "tolerance must be positive"),
        ({"x": np.eye(5000, 1000), "y": np.arange(5000) % 10}, "PCA"),
    ],
)
def test_what_cannot_be_solved_is_refused(given_: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        solve_max_margin(**given_)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("apart", [4.0, 0.5])
def test_a_gap_bounds_what_is_missing(classes: int, apart: float) -> None:
    x, y = blobs(40, 3, apart, classes=classes)
    best = solve_max_margin(x, y, tolerance=1e-9)
    for tolerance in (1e-1, 1e-2, 1e-3):
        rough = solve_max_margin(x, y, tolerance=tolerance)
        assert 0 < rough.gap <= tolerance
        if best.separable:
            assert rough.margin * (1 - 1e-9) <= best.margin <= rough.margin / (1 - rough.gap) * (1 + 1e-9)
            if classes == 2:
                most = np.linalg.norm(((2 * y - 1) * rough.coefficients) @ x)
                assert rough.gap == pytest.approx((most - rough.margin) / most)


def test_a_gap_that_rounding_leaves_is_told() -> None:
    x, y = blobs(60, 5, 1.0)
    with pytest.warns(HardsightWarning, match="relative gap"):
        solve_max_margin(x, y, tolerance=1e-17)
