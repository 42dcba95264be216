r"""Noise and outliers in regression: how far targets usually lie from the consensus, and which lie farther.

The residual of a sample is its target less the mean of its held-out predictions. It is noise of the size $\sigma$ that is
usual among samples of like prediction, or, with a probability common to all samples, noise and something that has gone wrong
besides:

$$r \sim (1-\varepsilon)\; s\sigma\, t_\nu + \varepsilon\; N(0, s^2\sigma^2 + \tau^2).$$

$\sigma$ is the running median of $|r|$ over the prediction, which outliers hardly move; $s$, $\nu$, $\tau$ and $\varepsilon$
are fitted by maximum likelihood, with $\tau$ three times the median $\sigma$ at least. Student's $t$ lets noise have heavy
tails: with normal noise in its place, Laplace noise without a single outlier passes for one with 11 % of them. Held-out
residuals hold the models' systematic error too, which nothing tells from noise where every sample has one target: the
estimate is of both together.

Contamination: Tukey 1960, *A survey of sampling from contaminated distributions*; $t$ for noise: Lange, Little and Taylor
1989, *Robust statistical modeling using the t distribution*.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize
from scipy.special import expit, gammaln
from scipy.stats import norm, rankdata

Values = Float64[np.ndarray, " sample"]

_LEAST_WINDOW, _PLACES = 50, 200
# Outliers that are no wider than the noise itself could not be told from it.
_LEAST_WIDTH = 3.0
_LEAST_USUAL = 0.01
# Prior of the share of outliers: as if one of twenty samples seen before had been one.
_BEFORE, _OF = 1, 20
_ENOUGH = 20_000
# Bounds and starts of log s^2, log ν, log of τ² over its least, and the log-odds of ε. The likelihood has several maxima.
_BOUNDS = [(-4.0, 4.0), (np.log(3), np.log(100)), (0.0, 10.0), (-12.0, 1.0)]
_STARTS = [np.array([0.0, freedom, width, -3.0]) for freedom in np.log([4, 50]) for width in (1.0, 4.0)]


class RegressionNoise(NamedTuple):
    """What the residuals say of every sample.

    Attributes:
        variance: of the noise about the consensus among samples of like prediction, ``(sample,)``, squared units of the
            target.
        p_outlier: posterior probability that the residual is more than noise, ``(sample,)``.
    """

    variance: Values
    p_outlier: Values


def fit_noise(target: Values, prediction: Values) -> RegressionNoise:
    """Noise variance, and the probability of being an outlier, from held-out predictions.

    Args:
        target: as given.
        prediction: mean of the held-out predictions.

    >>> prediction = np.linspace(0, 1, 101)
    >>> target = prediction + np.where(np.arange(101) % 2, 0.1, -0.1)
    >>> target[50] = 9.0
    >>> found = fit_noise(target, prediction)
    >>> int((found.p_outlier > 0.5).sum()), int(found.p_outlier.argmax())
    (1, 50)
    """
    residual = target - prediction
    root = float(np.sqrt(np.mean(residual**2))) if len(residual) else 0.0
    if root == 0:
        return RegressionNoise(np.zeros_like(residual), np.zeros_like(residual))
    # Where most residuals are zero their median says nothing of the others.
    usual = np.maximum(_running_median(np.abs(residual), prediction) / norm.ppf(0.75), _LEAST_USUAL * root)
    least = _LEAST_WIDTH**2 * float(np.median(usual**2))
    some = np.linspace(0, len(residual) - 1, min(len(residual), _ENOUGH)).astype(np.int64)
    fitted = _fit(residual[some], usual[some], least)
    as_noise, as_outlier = _densities(residual, usual, least, fitted)
    p_outlier = expit(as_outlier - as_noise)
    inlying = 1 - p_outlier
    scale = float(np.sum(inlying * (residual / usual) ** 2) / np.sum(inlying))
    return RegressionNoise(scale * usual**2, p_outlier)


def _running_median(values: Values, along: Values) -> Values:
    """Median over the samples of nearest rank in ``along``, a window of n^(4/5) of them: the rate of local means."""
    n = len(values)
    window = min(n, max(_LEAST_WINDOW, round(n**0.8)))
    ordered = values[np.argsort(along, kind="stable")]
    starts = np.unique(np.linspace(0, n - window, _PLACES).astype(np.int64))
    medians = np.array([np.median(ordered[at : at + window]) for at in starts])
    # Samples of equal prediction share their mean rank, and so their noise.
    found: Values = np.interp(rankdata(along) - 1, starts + (window - 1) / 2, medians)
    return found


def _fit(residual: Values, usual: Values, least: float) -> Float64[np.ndarray, " 4"]:
    """The parameters of largest posterior density, as in ``_BOUNDS``."""

    def surprise(point: np.ndarray) -> float:
        share = expit(point[3])
        before = _BEFORE * np.log(share) + (_OF - _BEFORE) * np.log1p(-share)
        likelihood = np.logaddexp(*_densities(residual, usual, least, point)).sum()
        return -float(likelihood + before) / len(residual)

    fits = [minimize(surprise, start, method="L-BFGS-B", bounds=_BOUNDS) for start in _STARTS]
    best: np.ndarray = min(fits, key=lambda fit: float(fit.fun)).x
    return best


def _densities(
    residual: Values, usual: Values, least: float, point: Float64[np.ndarray, " 4"]
) -> tuple[Values, Values]:
    """Log-densities of the residuals as noise and as outliers but for one constant, each with the log of its share."""
    scale, freedom, width = np.exp(point[:3])
    narrow = scale * usual**2
    wide = narrow + width * least
    square = residual**2
    peak = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom / 2)
    as_noise = peak - (freedom + 1) / 2 * np.log1p(square / (freedom * narrow)) - 0.5 * np.log(narrow)
    as_outlier = -0.5 * (square / wide + np.log(wide))
    return as_noise - np.logaddexp(0, point[3]), as_outlier - np.logaddexp(0, -point[3])
