r"""A second estimate of the error that leans on the same models' in-sample losses, where a check says that this helps.

Members judge the samples that they were trained on for nothing, four times as often as those held out with 5 folds. Where
they do not memorise, these in-sample losses rank samples much like the held-out ones, with a fraction of their noise: they
are a control variate. Let $y_i$ be the log of a sample's mean held-out loss, $v_i$ the variance of its noise, and $f_i$
what a smooth curve through all samples says of it from its in-sample loss. The adjusted log error is the posterior mean of
$f_i + \delta_i$ given $y_i = f_i + \delta_i + \varepsilon_i$, with $\varepsilon_i \sim N(0, v_i)$ and the prior of
$\delta$ a mixture of centred normals, fitted to all $y_i - f_i$. The prior has the heavy tails that the data ask for, so
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
# Below this a loss is as good as zero, and its logarithm would only lead away the curve.
_LEAST_LOSS = 1e-12
_KNOTS, _PARTS = 6, 5
_WINDOW, _LEAST_WINDOW = 0.1, 20
_SCALES, _ROUNDS, _ENOUGH = 16, 200, 20_000
_BLOCKS = 40
# Standard errors by which the check must be passed.
_SURE = 2.0


class HalfEstimate(NamedTuple):
    """What one half of the turns says of every sample.

    Attributes:
        error: mean held-out loss, ``(sample,)``.
        views: how many held-out views that is of, ``(sample,)``.
        seen: mean in-sample loss, ``(sample,)``.
    """

    error: Values
    views: Int64[np.ndarray, " sample"]
    seen: Values


class ControlVariateEstimate(NamedTuple):
    """The adjusted estimate, or why there is none.

    Attributes:
        error: ``(sample,)``, positive, in the units of the loss; None where the check is not passed.
        gain: by how much the Spearman correlation of one half's estimate with the other half's raw error rises when it is
            adjusted; NaN where that could not be told.
        gain_se: standard error of the gain over samples.
        reason: what the check said.
    """

    error: Values | None
    gain: float
    gain_se: float
    reason: str


def estimate_with_control_variate(first: HalfEstimate, second: HalfEstimate) -> ControlVariateEstimate:
    """The adjusted errors from all turns, if adjusting each half predicts the other half better than the half itself."""
    halves = (first, second)
    if len(first.error) < MIN_SAMPLES:
        return _none(f"fewer than {MIN_SAMPLES} samples are too few to relate in-sample to held-out losses")
    if any((half.views < 1).any() or not np.isfinite(half.seen).all() for half in halves):
        return _none("not every sample was held out and trained on in both halves of the repeats")
    if any(len(_knots(_log(half.seen))) < 2 for half in halves):
        return _none("the in-sample losses hardly differ: the models have memorised their training samples")
    # Twice the variance of a single view's log loss, were views alike; of one sample it is anybody's guess.
    unit = (_log(first.error) - _log(second.error)) ** 2 / (1 / first.views + 1 / second.views)
    gain, error = _gain([(_posterior(half, unit), half.error, other.error) for half, other in (halves, halves[::-1])])
    said = (
        f"adjusting one half of the repeats changes its Spearman correlation with the other half's errors by {gain:+.4f} "
        f"± {error:.4f}"
    )
    if not gain > _SURE * error:
        return ControlVariateEstimate(None, gain, error, f"{said}, which is no clear gain")
    return ControlVariateEstimate(np.exp(_posterior(_whole(first, second), unit)), gain, error, said)


def _none(why: str) -> ControlVariateEstimate:
    return ControlVariateEstimate(None, float("nan"), float("nan"), why)


def _whole(first: HalfEstimate, second: HalfEstimate) -> HalfEstimate:
    views = first.views + second.views
    error = (first.error * first.views + second.error * second.views) / views
    return HalfEstimate(error, views, (first.seen + second.seen) / 2)


def _log(loss: Values) -> Values:
    logs: Values = np.log(np.maximum(loss, _LEAST_LOSS))
    return logs


def _posterior(half: HalfEstimate, unit: Values) -> Values:
    """Log errors drawn towards the curve. ``unit``: squared noise of a single view, a guess for each sample."""
    error = _log(half.error)
    curve = _curve(_log(half.seen), error)
    adjusted: Values = curve + _shrunk(error - curve, _nearby(curve, unit) / half.views)
    return adjusted


def _knots(covariate: Values) -> np.ndarray:
    knots: np.ndarray = np.unique(np.quantile(covariate, np.linspace(0, 1, _KNOTS)))
    # Knots closer than rounding can tell make the spline's divided differences explode.
    apart: np.ndarray = np.concatenate([[True], np.diff(knots) > 1e-6 * max(float(np.ptp(knots)), 1e-6)])
    chosen: np.ndarray = knots[apart]
    return chosen


def _curve(covariate: Values, target: Values) -> Values:
    """What a cubic spline of the covariate, fitted to other samples, says of each target."""
    part = np.random.default_rng(0).permutation(len(target)) % _PARTS
    basis = SplineTransformer(knots=_knots(covariate)[:, None], extrapolation="linear")
    features = basis.fit_transform(covariate[:, None])
    found = np.empty(len(target))
    for k in range(_PARTS):
        held_out = part == k
        found[held_out] = LinearRegression().fit(features[~held_out], target[~held_out]).predict(features[held_out])
    return found


def _nearby(curve: Values, unit: Values) -> Values:
    """Mean of ``unit`` among the samples next to each on the curve, itself left out: its own half must not tell on it."""
    n = len(curve)
    order = np.argsort(curve, kind="stable")
    width = min(max(round(_WINDOW * n), _LEAST_WINDOW), n)
    total = np.concatenate([[0.0], np.cumsum(unit[order])])
    start = np.clip(np.arange(n) - width // 2, 0, n - width)
    found = np.empty(n)
    found[order] = (total[start + width] - total[start] - unit[order]) / (width - 1)
    return np.maximum(found, 1e-12)


def _shrunk(gap: Values, noise: Values) -> Values:
    """Posterior mean of the gaps between samples and curve. ``noise``: variance of each."""
    square = gap**2
    scales = np.concatenate([[0.0], np.geomspace(0.01 * square.mean() + 1e-12, square.max() + 2e-12, _SCALES)])
    some = slice(None, None, -(-len(gap) // _ENOUGH))
    density = np.stack([_density(square[some], noise[some] + scale) for scale in scales])
    weights = np.full(len(scales), 1 / len(scales))
    for _ in range(_ROUNDS):
        share = density * weights[:, None]
        weights = (share / share.sum(0)).mean(1)
    kept, total = np.zeros(len(gap)), np.zeros(len(gap))
    for weight, scale in zip(weights, scales, strict=True):
        share = weight * _density(square, noise + scale)
        kept += share * scale / (noise + scale)
        total += share
    return gap * kept / total


def _density(square: Values, variance: Values) -> Values:
    density: Values = np.exp(-0.5 * np.minimum(square / variance, 1400.0)) / np.sqrt(variance)
    return density


def _gain(directions: list[tuple[Values, Values, Values]]) -> tuple[float, float]:
    """Mean of Spearman(adjusted, judge) - Spearman(raw, judge), and its standard error by a jackknife over blocks.

    The ranks are those among all samples throughout.
    """
    block = np.random.default_rng(0).permutation(len(directions[0][0])) % _BLOCKS
    whole, without = [], []
    for direction in directions:
        adjusted, raw, judge = (rankdata(values) - (len(values) + 1) / 2 for values in direction)
        sums = np.stack([
            np.bincount(block, one * other, _BLOCKS)
            for one, other in ((adjusted, judge), (raw, judge), (adjusted, adjusted), (raw, raw), (judge, judge))
        ])  # fmt: skip
        total = sums.sum(1, keepdims=True)
        whole.append(_rise(total))
        without.append(_rise(total - sums))
    left_out = np.mean(without, axis=0)
    error = np.sqrt((_BLOCKS - 1) * left_out.var())
    return float(np.mean(whole)), float(error)


def _rise(sums: np.ndarray) -> np.ndarray:
    adjusted, raw, adjusted_square, raw_square, judge_square = sums
    with np.errstate(invalid="ignore"):
        rise: np.ndarray = (adjusted / np.sqrt(adjusted_square) - raw / np.sqrt(raw_square)) / np.sqrt(judge_square)
    return rise
