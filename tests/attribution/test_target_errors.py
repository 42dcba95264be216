"""Wrong units and lost digits of targets: planted errors are undone, and right targets are left alone."""

import numpy as np
import pytest
from scipy.stats import t

from hardsight.attribution import target_errors
from hardsight.attribution.conversions import CONVERSIONS, KINDS, Conversion
from hardsight.attribution.target_errors import find_target_errors


def targets(kind: str, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Right targets of several shapes, and predictions about as good as those of models."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=n)
    if kind == "one order of magnitude":
        truth, prediction = 50 + 12 * x, 50 + 11 * x
        return np.round(truth + 3 * rng.normal(size=n), 1), prediction
    if kind == "skewed":
        return np.round(np.exp(8 + x + 0.2 * rng.normal(size=n))), np.exp(8 + x)
    if kind == "integers":
        return rng.poisson(np.exp(4 + 0.5 * x)).astype(float), np.exp(4 + 0.5 * x)
    if kind == "negative":
        return 4 * x + rng.normal(size=n), 4 * x
    return 100 + 20 * x + 4 * rng.standard_t(3, size=n), 100 + 20 * x  # heavy tails


SHAPES = ["one order of magnitude", "skewed", "integers", "negative", "heavy tails"]


@pytest.mark.parametrize("shape", SHAPES)
def test_right_targets_are_left_alone(shape: str) -> None:
    y, prediction = targets(shape)
    errors = find_target_errors(y, prediction)
    assert (errors.kind != "").mean() <= 0.005
    right = errors.kind == ""
    np.testing.assert_array_equal(errors.corrected[right], y[right])


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "negative"])
@pytest.mark.parametrize("conversion", CONVERSIONS[:3] + CONVERSIONS[5:8] + CONVERSIONS[10:11], ids=lambda each: each.name)
def test_planted_errors_are_undone(shape: str, conversion: Conversion) -> None:
    y, prediction = targets(shape)
    rows = np.arange(0, 400, 40)
    given = y.copy()
    given[rows] = conversion.factor * y[rows] + conversion.offset
    errors = find_target_errors(given, prediction)
    found = rows[errors.kind[rows] == conversion.name]
    assert len(found) >= 6
    np.testing.assert_allclose(errors.corrected[found], y[found])
    assert (errors.kind != "").sum() <= len(rows) + 2


@pytest.mark.parametrize("conversion", CONVERSIONS, ids=lambda each: each.name)
def test_every_conversion_is_found_where_predictions_are_precise(conversion: Conversion) -> None:
    rng = np.random.default_rng(0)
    prediction = rng.uniform(40, 60, 300)
    y = prediction + 0.3 * rng.normal(size=300)
    given = y.copy()
    given[:5] = conversion.factor * y[:5] + conversion.offset
    errors = find_target_errors(given, prediction)
    assert (errors.kind[:5] == conversion.name).all()
    np.testing.assert_allclose(errors.corrected[:5], y[:5])


def test_digits_lost_and_doubled() -> None:
    rng = np.random.default_rng(0)
    prediction = np.exp(rng.uniform(np.log(2_000), np.log(60_000), 400))
    y = np.round(prediction * np.exp(0.05 * rng.normal(size=400)))
    # Right value, given value, prediction.
    planted = [(1_234, 12_344, 1_244), (13_456, 3_456, 13_500), (4_567, 45_567, 4_600), (4_567, 44_567, 4_500)]
    y[:4], given, prediction[:4] = [right for right, _, _ in planted], y.copy(), [each for _, _, each in planted]
    given[:4] = [wrong for _, wrong, _ in planted]
    errors = find_target_errors(given, prediction)
    assert errors.kind[:4].tolist() == ["digit doubled", "digit lost", "digit doubled", "digit doubled"]
    np.testing.assert_array_equal(errors.corrected[[0, 2, 3]], y[[0, 2, 3]])
    assert abs(errors.corrected[1] - prediction[1]) < 700


def test_digits_by_hand() -> None:
    assert dict(target_errors._remove_double("11233")) == {"1233": 1 / 4, "1123": 1 / 4}
    restored = dict(target_errors._restore_digit("12"))
    assert sum(restored.values()) == pytest.approx((9 + 10 + 10) / 3)
    assert restored["112"] == pytest.approx(2 / 3)
    assert "012" not in restored


def test_a_density_is_that_of_the_fitted_noise() -> None:
    """The log-density of right targets against scipy's t distribution, of targets and of their logarithms."""
    for shape, log in (("negative", False), ("skewed", True)):
        y, prediction = targets(shape)
        density = target_errors._fit_density(y, prediction, np.zeros(len(y)))
        assert density is not None
        assert density.log == log
        z, centre = (np.log(y), density.centre) if log else (y, density.centre)
        scale = density.sigma * np.exp(density.model.parameters[0] / 2)
        expected = t.logpdf(z, np.exp(density.model.parameters[1]), centre, scale) - (z if log else 0)
        right, _ = density.log_densities(y, np.arange(len(y)))
        np.testing.assert_allclose(right - expected, np.full(len(y), (right - expected)[0]), atol=1e-9)


def test_a_sample_whose_models_a_gross_error_drags_along_is_left_alone() -> None:
    y, prediction = targets("skewed")
    given, dragged, variance = y.copy(), prediction.copy(), np.zeros(400)
    given[0] = 1000 * y[0]
    dragged[1:6] *= 10
    variance[1:6] = (8 * prediction[1:6]) ** 2
    errors = find_target_errors(given, dragged, variance)
    assert (errors.kind[1:6] == "").all()


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_few_or_constant_targets(n: int) -> None:
    for y in (np.zeros(n), np.arange(n) * 1.0, np.full(n, 7.0)):
        for prediction in (np.zeros(n), np.full(n, 3.0)):
            errors = find_target_errors(y, prediction)
            assert errors.kind.shape == errors.corrected.shape == (n,)
            assert set(errors.kind.tolist()) <= {*KINDS, ""}
