r"""Control-variate estimate of the error: uses the same models' in-sample losses, if a check shows that this helps.

Models also predict the samples they were trained on, at no cost and four times as often as the held-out ones with 5 folds.
If they do not memorise, these in-sample losses rank samples much like the held-out ones, with a fraction of their noise:
they are a control variate. Let $y_i$ be the log of a sample's mean held-out loss, $v_i$ the variance of its noise, and $f_i$
the value of a smooth curve through all samples at its in-sample loss. The adjusted log error is the posterior mean of
$f_i + \delta_i$ given $y_i = f_i + \delta_i + \varepsilon_i$, with $\varepsilon_i \sim N(0, v_i)$ and the prior of
$\delta$ a mixture of centred normals, fitted to all $y_i - f_i$. The prior has the heavy tails that the data require, so
that a hard sample whose label was memorised, which lies far off the curve, keeps its own error.

Mixtures of scales as priors: Stephens 2017, *False discovery rates: a new deal*.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.stats import rankdata
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import SplineTransformer

Values = Float64[np.ndarray, " sample"]

MIN_SAMPLES = 50
# A smaller loss is as good as zero, and its logarithm would only distort the curve.
_MIN_LOSS = 1e-12
_N_KNOTS, _N_PARTS = 6, 5
# Samples over which the noise is averaged: a share of all, and the fewest.
_WINDOW_SHARE, _MIN_WINDOW = 0.1, 20
# The prior: scales of the mixture, rounds of EM, samples it is fitted to.
_N_SCALES, _EM_ROUNDS, _MAX_FITTED = 16, 200, 20_000
_JACKKNIFE_BLOCKS = 40
# Standard errors by which the check must be passed.
_MIN_GAIN_DEVIATIONS = 2.0
_MAX_EXPONENT = 1400.0


class HalfEstimate(NamedTuple):
    """Mean losses of every sample in one half of the repeats."""

    error: Values  # mean held-out loss, (sample,)
    n_views: Int64[np.ndarray, " sample"]  # number of held-out views, (sample,)
    in_sample_loss: Values  # mean in-sample loss, (sample,)


class ControlVariateEstimate(NamedTuple):
    """The adjusted estimate, or the reason why there is none.

    Attributes:
        error: ``(sample,)``, positive, in the units of the loss; None if the check is not passed.
        gain: by how much adjusting raises the Spearman correlation of one half's estimate with the other half's raw error;
            NaN if it could not be computed.
        gain_se: standard error of the gain over samples.
        reason: the result of the check in words.
    """

    error: Values | None
    gain: float
    gain_se: float
    reason: str


def estimate_with_control_variate(first: HalfEstimate, second: HalfEstimate) -> ControlVariateEstimate:
    """Adjust the errors from all repeats, if adjusting each half predicts the other half better than the half itself."""
    halves = (first, second)
    if len(first.error) < MIN_SAMPLES:
        return _no_estimate(f"fewer than {MIN_SAMPLES} samples are too few to relate in-sample to held-out losses")
    if any((half.n_views < 1).any() or not np.isfinite(half.in_sample_loss).all() for half in halves):
        return _no_estimate("not every sample was held out and trained on in both halves of the repeats")
    if any(len(_knots(_log(half.in_sample_loss))) < 2 for half in halves):
        return _no_estimate("the in-sample losses hardly differ: the models have memorised their training samples")
    # Twice the variance of a single view's log loss if views were alike; for one sample a very noisy estimate.
    unit = (_log(first.error) - _log(second.error)) ** 2 / (1 / first.n_views + 1 / second.n_views)
    gain, error = correlation_gain(
        [(_posterior(half, unit), half.error, other.error) for half, other in (halves, halves[::-1])]
    )
    reason = (
        f"adjusting one half of the repeats changes its Spearman correlation with the other half's errors by {gain:+.4f} "
        f"± {error:.4f}"
    )
    if not gain > _MIN_GAIN_DEVIATIONS * error:
        return ControlVariateEstimate(None, gain, error, f"{reason}, which is no clear gain")
    return ControlVariateEstimate(np.exp(_posterior(_pool(first, second), unit)), gain, error, reason)


def _no_estimate(reason: str) -> ControlVariateEstimate:
    return ControlVariateEstimate(None, float("nan"), float("nan"), reason)


def _pool(first: HalfEstimate, second: HalfEstimate) -> HalfEstimate:
    n_views = first.n_views + second.n_views
    error = (first.error * first.n_views + second.error * second.n_views) / n_views
    return HalfEstimate(error, n_views, (first.in_sample_loss + second.in_sample_loss) / 2)


def _log(loss: Values) -> Values:
    logs: Values = np.log(np.maximum(loss, _MIN_LOSS))
    return logs


def _posterior(half: HalfEstimate, unit: Values) -> Values:
    """Return log errors shrunk towards the curve.

    Args:
        unit: squared noise of a single view, a noisy estimate for each sample.
    """
    error = _log(half.error)
    curve = fit_curve(_log(half.in_sample_loss), error)
    adjusted: Values = curve + shrink(error - curve, local_mean(curve, unit) / half.n_views)
    return adjusted


def _knots(control: Values) -> np.ndarray:
    """Return distinct quantiles of the control variate as knots of a spline."""
    knots: np.ndarray = np.unique(np.quantile(control, np.linspace(0, 1, _N_KNOTS)))
    # Knots closer than rounding error make the spline's divided differences explode.
    distinct: np.ndarray = np.concatenate([[True], np.diff(knots) > 1e-6 * max(float(np.ptp(knots)), 1e-6)])
    selected: np.ndarray = knots[distinct]
    return selected


def fit_curve(control: Values, target: Values) -> Values:
    """Predict each target by a cubic spline of the control variate that was fitted to other samples."""
    part = np.random.default_rng(0).permutation(len(target)) % _N_PARTS
    basis = SplineTransformer(knots=_knots(control)[:, None], extrapolation="linear")
    features = basis.fit_transform(control[:, None])
    curve = np.empty(len(target))
    for k in range(_N_PARTS):
        held_out = part == k
        curve[held_out] = LinearRegression().fit(features[~held_out], target[~held_out]).predict(features[held_out])
    return curve


def local_mean(curve: Values, unit: Values) -> Values:
    """Return the mean of ``unit`` among the nearest samples on the curve, leaving out the sample itself.

    A sample's own difference of halves must not enter the noise of its own half.
    """
    n = len(curve)
    order = np.argsort(curve, kind="stable")
    width = min(max(round(_WINDOW_SHARE * n), _MIN_WINDOW), n)
    total = np.concatenate([[0.0], np.cumsum(unit[order])])
    start = np.clip(np.arange(n) - width // 2, 0, n - width)
    mean = np.empty(n)
    mean[order] = (total[start + width] - total[start] - unit[order]) / (width - 1)
    return np.maximum(mean, 1e-12)


def shrink(gap: Values, noise: Values) -> Values:
    """Return the posterior mean of the gaps between samples and curve."""
    square = gap**2
    scales = np.concatenate([[0.0], np.geomspace(0.01 * square.mean() + 1e-12, square.max() + 2e-12, _N_SCALES)])
    fitted = slice(None, None, -(-len(gap) // _MAX_FITTED))
    density = np.stack([_density(square[fitted], noise[fitted] + scale) for scale in scales])
    weights = np.full(len(scales), 1 / len(scales))
    for _ in range(_EM_ROUNDS):
        share = density * weights[:, None]
        weights = (share / share.sum(0)).mean(1)
    weighted, total = np.zeros(len(gap)), np.zeros(len(gap))
    for weight, scale in zip(weights, scales, strict=True):
        share = weight * _density(square, noise + scale)
        weighted += share * scale / (noise + scale)
        total += share
    return gap * weighted / total


def _density(square: Values, variance: Values) -> Values:
    density: Values = np.exp(-0.5 * np.minimum(square / variance, _MAX_EXPONENT)) / np.sqrt(variance)
    return density


def correlation_gain(directions: list[tuple[Values, Values, Values]]) -> tuple[float, float]:
    """Return the mean of Spearman(adjusted, judge) - Spearman(raw, judge), and its standard error.

    The standard error is a jackknife over blocks of samples; the ranks are those among all samples throughout.

    Args:
        directions: ``(adjusted, raw, judge)`` for each of the two halves.
    """
    n = len(directions[0][0])
    block = np.random.default_rng(0).permutation(n) % _JACKKNIFE_BLOCKS
    full, left_out = [], []
    for direction in directions:
        adjusted, raw, judge = (rankdata(values) - (len(values) + 1) / 2 for values in direction)
        sums = np.stack([
            np.bincount(block, one * other, _JACKKNIFE_BLOCKS)
            for one, other in ((adjusted, judge), (raw, judge), (adjusted, adjusted), (raw, raw), (judge, judge))
        ])  # fmt: skip
        total = sums.sum(1, keepdims=True)
        full.append(_correlation_rise(total))
        left_out.append(_correlation_rise(total - sums))
    error = np.sqrt((_JACKKNIFE_BLOCKS - 1) * np.mean(left_out, axis=0).var())
    return float(np.mean(full)), float(error)


def _correlation_rise(sums: np.ndarray) -> np.ndarray:
    adjusted, raw, adjusted_square, raw_square, judge_square = sums
    with np.errstate(invalid="ignore"):
        rise: np.ndarray = (adjusted / np.sqrt(adjusted_square) - raw / np.sqrt(raw_square)) / np.sqrt(judge_square)
    return rise
