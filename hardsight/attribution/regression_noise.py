r"""Noise and outliers in regression: the typical distance of targets from the consensus, and the targets that lie farther.

The residual of a sample is its target minus the mean of its held-out predictions. It is noise of the size $\sigma$ that is
typical of samples with similar predictions, or, with a probability common to all samples, noise plus a gross error:

$$r \sim (1-\varepsilon)\; s\sigma\, t_\nu + \varepsilon\; N(0, s^2\sigma^2 + \tau^2).$$

$\sigma$ is the running median of $|r|$ over the prediction, which outliers hardly move; $s$, $\nu$, $\tau$ and $\varepsilon$
are fitted by maximum likelihood, with $\tau$ at least three times the median $\sigma$. Student's $t$ allows noise with heavy
tails: with normal noise instead, Laplace noise without a single outlier passes for noise with 11 % of them. Held-out
residuals contain the models' systematic error, too, which cannot be separated from noise if every sample has one target: the
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

from hardsight.resampling.spacing import evenly_spaced

Values = Float64[np.ndarray, " sample"]

_MIN_WINDOW, _N_WINDOWS = 50, 200
# Outliers no wider than the noise itself cannot be told from it.
_MIN_RELATIVE_WIDTH = 3.0
_MIN_RELATIVE_SIGMA = 0.01
# Prior of the share of outliers: as if one of twenty samples seen before had been one.
_PRIOR_OUTLIERS, _PRIOR_SAMPLES = 1, 20
_MAX_FITTED = 20_000
# Bounds and starts of log s^2, log ν, log of τ² over its minimum, and the log-odds of ε. The likelihood has several maxima.
_BOUNDS = [(-4.0, 4.0), (np.log(3), np.log(100)), (0.0, 10.0), (-12.0, 1.0)]
_STARTS = [np.array([0.0, freedom, width, -3.0]) for freedom in np.log([4, 50]) for width in (1.0, 4.0)]


class RegressionNoise(NamedTuple):
    """Noise estimate of every sample.

    Attributes:
        variance: variance of the noise about the consensus among samples of similar prediction, ``(sample,)``, in squared
            units of the target.
        p_outlier: posterior probability that the residual is more than noise, ``(sample,)``.
    """

    variance: Values
    p_outlier: Values


def fit_noise(target: Values, prediction: Values) -> RegressionNoise:
    """Estimate the noise variance and the probability of being an outlier from held-out predictions.

    Args:
        target: given targets.
        prediction: mean of the held-out predictions.

    >>> prediction = np.linspace(0, 1, 101)
    >>> target = prediction + np.where(np.arange(101) % 2, 0.1, -0.1)
    >>> target[50] = 9.0
    >>> noise = fit_noise(target, prediction)
    >>> int((noise.p_outlier > 0.5).sum()), int(noise.p_outlier.argmax())
    (1, 50)
    """
    residual = target - prediction
    model = fit_residuals(residual, prediction)
    if model is None:
        return RegressionNoise(np.zeros_like(residual), np.zeros_like(residual))
    as_noise, as_outlier = model.log_densities(residual, model.sigma)
    p_outlier = expit(as_outlier - as_noise)
    p_inlier = 1 - p_outlier
    scale = float(np.sum(p_inlier * (residual / model.sigma) ** 2) / np.sum(p_inlier))
    return RegressionNoise(scale * model.sigma**2, p_outlier)


class ResidualModel(NamedTuple):
    """The fitted mixture of noise and gross errors.

    Attributes:
        sigma: typical size of the noise of each sample, ``(sample,)``.
        min_tau_squared: least variance of gross errors.
        parameters: log s^2, log ν, log of τ² over its minimum, and the log-odds of ε.
    """

    sigma: Values
    min_tau_squared: float
    parameters: Float64[np.ndarray, " 4"]

    def log_densities(self, residual: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log-densities of residuals as noise and as gross errors, each plus the log of its share.

        A constant that both have in common is left out.

        Args:
            sigma: of each residual, of the same shape.
        """
        return _log_densities(residual, sigma, self.min_tau_squared, self.parameters)


def fit_residuals(residual: Values, prediction: Values) -> ResidualModel | None:
    """Fit the mixture to residuals; None if all are zero."""
    rms = float(np.sqrt(np.mean(residual**2))) if len(residual) else 0.0
    if rms == 0:
        return None
    # If most residuals are zero, their median says nothing about the others.
    sigma = np.maximum(_running_median(np.abs(residual), prediction) / norm.ppf(0.75), _MIN_RELATIVE_SIGMA * rms)
    min_tau_squared = _MIN_RELATIVE_WIDTH**2 * float(np.median(sigma**2))
    rows = evenly_spaced(len(residual), _MAX_FITTED)
    return ResidualModel(sigma, min_tau_squared, _fit_mixture(residual[rows], sigma[rows], min_tau_squared))


def _running_median(values: Values, along: Values) -> Values:
    """Return the median of values over the samples of nearest rank in ``along``.

    The window has n^(4/5) samples, the optimal rate of local means.
    """
    n = len(values)
    window = min(n, max(_MIN_WINDOW, round(n**0.8)))
    ordered = values[np.argsort(along, kind="stable")]
    starts = np.unique(np.linspace(0, n - window, _N_WINDOWS).astype(np.int64))
    medians = np.array([np.median(ordered[start : start + window]) for start in starts])
    # Samples of equal prediction share their mean rank, and so their noise.
    interpolated: Values = np.interp(rankdata(along) - 1, starts + (window - 1) / 2, medians)
    return interpolated


def _fit_mixture(residual: Values, sigma: Values, min_tau_squared: float) -> Float64[np.ndarray, " 4"]:
    """Return the parameters of the largest posterior density, in the order of ``_BOUNDS``."""

    def negative_log_posterior(parameters: np.ndarray) -> float:
        share = expit(parameters[3])
        prior = _PRIOR_OUTLIERS * np.log(share) + (_PRIOR_SAMPLES - _PRIOR_OUTLIERS) * np.log1p(-share)
        likelihood = np.logaddexp(*_log_densities(residual, sigma, min_tau_squared, parameters)).sum()
        return -float(likelihood + prior) / len(residual)

    bounds, starts = _BOUNDS, _STARTS
    widest = float(np.log(np.max(residual**2) / min_tau_squared))
    if widest > _BOUNDS[2][1]:
        # A single target a thousand times too large would otherwise pass for the tail of the noise.
        bounds = [*_BOUNDS[:2], (_BOUNDS[2][0], widest), _BOUNDS[3]]
        starts = [*_STARTS, *(np.array([0.0, freedom, widest, -3.0]) for freedom in np.log([4, 50]))]
    fits = [minimize(negative_log_posterior, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    best: np.ndarray = min(fits, key=lambda fit: float(fit.fun)).x
    return best


def _log_densities(
    residual: Values, sigma: Values, min_tau_squared: float, parameters: Float64[np.ndarray, " 4"]
) -> tuple[Values, Values]:
    """Return log-densities of the residuals as noise and as outliers, each plus the log of its share.

    One constant that both have in common is left out.
    """
    scale, freedom, width = np.exp(parameters[:3])
    noise_variance = scale * sigma**2
    outlier_variance = noise_variance + width * min_tau_squared
    square = residual**2
    peak = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom / 2)
    as_noise = peak - (freedom + 1) / 2 * np.log1p(square / (freedom * noise_variance)) - 0.5 * np.log(noise_variance)
    as_outlier = -0.5 * (square / outlier_variance + np.log(outlier_variance))
    return as_noise - np.logaddexp(0, parameters[3]), as_outlier - np.logaddexp(0, -parameters[3])
