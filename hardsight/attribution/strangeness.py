r"""Strangeness: how unlike the rest a sample is, by all signals together, each weighed by what it shows.

A signal is any measurement that is larger for stranger samples: those of :mod:`hardsight.attribution.oddity`, which need
features only, and the disagreement of models (:func:`hardsight.attribution.ledger.disagreement_index`). Few data sets have
samples that stand out by all of them, and a signal by which nothing stands out adds noise, so each is weighed:

1. $t_{ik}$ is the distance of signal $k$ from its median, in the standard deviations that the distance of the upper quartile
   from the median stands for. If predictions are known, medians of the predicted classes are taken off first. Signals
   of few different values, as in tables of few categories, are standardised by all samples instead.
2. The weight of a signal is what its upper tail has in excess of a normal distribution,
   $w_k \propto \mathrm{mean}_i \min([t_{ik} - 2]_+, 4) - E[Z - 2]_+ + 0.03$.
3. The strangeness $u_i = \log \sum_k w_k e^{t_{ik}}$ is standardised like a signal.
4. $P(\text{strange}) = 1/(1 + e^{-2(u_i - 4.5)})$: half at 4.5 deviations. The share of the remaining error that the ledger
   attributes to strangeness is half at 2 deviations: an odd sample that is hard is more likely hard for being odd.

The probability is half at 4.5 deviations so that at most 2 % of the samples of ordinary data sets exceed it. The probability
refers to no particular kind of strangeness, and most samples that are planted by changing a few features are not beyond
it; they rank high.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logsumexp
from scipy.stats import norm

from hardsight.attribution.oddity import Oddity

# The probability and the share of the error: half at so many deviations, and the slope of both there.
_PROBABLE_AT, _HALF_OF_ERROR_AT, _SLOPE = 4.5, 2.0, 2.0
# The upper tail of a signal begins here, and its samples count for at most so much.
_TAIL_FROM, _TAIL_LENGTH = 2.0, 4.0
# Weight of a signal without any tail; real tails have .02 to .2.
_MIN_WEIGHT = 0.03
# The quantile that gives the scale, which up to a quarter of strange samples hardly move, and its normal deviation.
_UPPER_QUANTILE = 0.75
_UPPER_DEVIATION = float(norm.ppf(_UPPER_QUANTILE))
# Deviations beyond it are alike; e to this power times 10^6 samples can be represented.
_MAX_DEVIATION = 30.0
# A signal with fewer different values per sample, to so many decimals, is discrete.
_MIN_DISTINCT, _DECIMALS = 0.25, 6
# The median of a small class is drawn towards that of all samples, as if so many more samples had it.
_PSEUDO_COUNTS = 10.0
# With fewer samples outside of the reference, their own median and deviation are too uncertain.
_MIN_OUTSIDE = 200


def strangeness(
    oddity: Oddity | None, predicted: np.ndarray | None = None, more: Sequence[np.ndarray] = ()
) -> np.ndarray | None:
    """Return how unlike the rest each sample is, in standard deviations, ``(sample,)``; None without any signal.

    Args:
        oddity: of :func:`hardsight.attribution.oddity.measure_oddity`; None if there are no features.
        predicted: class codes that models predict, ``(sample,)``; None in regression or without models.
        more: further signals, ``(sample,)`` each.
    """
    # Of equal samples by the dozen, as in tables of few categories, all signals take few values.
    discrete = oddity is not None and _is_discrete(oddity.distance)
    deviations = [_deviations(signal, discrete=discrete) for signal in more]
    if oddity is not None:
        for signal in oddity.measurements:
            relative = signal if predicted is None else relative_to_class(signal, predicted)
            deviations.append(_deviations(relative, oddity.in_reference, discrete=discrete or _is_discrete(signal)))
    return _deviations(_combine(deviations), discrete=discrete) if deviations else None


def p_strange(deviations: np.ndarray) -> np.ndarray:
    """Return the probability that a sample is unlike the rest, ``(sample,)``, from its :func:`strangeness`."""
    probability: np.ndarray = expit(_SLOPE * (deviations - _PROBABLE_AT))
    return probability


def strange_share(deviations: np.ndarray) -> np.ndarray:
    """Return the share of the remaining error that is down to the sample being unlike the rest, ``(sample,)``."""
    share: np.ndarray = expit(_SLOPE * (deviations - _HALF_OF_ERROR_AT))
    return share


def _combine(deviations: Sequence[np.ndarray]) -> np.ndarray:
    weights = np.array([_tail_excess(deviation) + _MIN_WEIGHT for deviation in deviations])
    together: np.ndarray = logsumexp(np.minimum(deviations, _MAX_DEVIATION), axis=0, b=(weights / weights.sum())[:, None])
    return together


def _tail_excess(deviation: np.ndarray) -> float:
    """Return how much the upper tail of standardised values has in excess of a normal distribution's."""
    expected = norm.pdf(_TAIL_FROM) - _TAIL_FROM * norm.sf(_TAIL_FROM)
    return max(float(np.clip(deviation - _TAIL_FROM, 0, _TAIL_LENGTH).mean() - expected), 0.0)


def _is_discrete(signal: np.ndarray) -> bool:
    """Return whether a signal takes few different values for the number of samples."""
    return len(np.unique(signal.round(_DECIMALS))) < _MIN_DISTINCT * len(signal)


def _deviations(signal: np.ndarray, in_reference: np.ndarray | None = None, *, discrete: bool = False) -> np.ndarray:
    """Return the distances of a signal from its median, in standard deviations by its upper quartile; unknown values get 0.

    Args:
        in_reference: whether the sample belongs to the reference, ``(sample,)``; the others are standardised apart.
        discrete: whether all samples give the scale, because a quartile of few values can be next to the median.
    """
    if in_reference is not None and (~in_reference).sum() >= _MIN_OUTSIDE:
        result = np.empty(len(signal))
        for group in (in_reference, ~in_reference):
            result[group] = _deviations(signal[group], discrete=discrete)
        return result
    known = np.isfinite(signal)
    if not known.any():
        return np.zeros(len(signal))
    median, upper = np.quantile(signal[known], [0.5, _UPPER_QUANTILE])
    distance = np.where(known, signal - median, 0)
    by_quartile = not discrete and upper > median
    scale = (upper - median) / _UPPER_DEVIATION if by_quartile else np.sqrt(np.square(distance).mean())
    return distance / scale if scale > 0 else np.zeros(len(signal))


def _median(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.5, method="lower"))


def relative_to_class(signal: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return a signal relative to its median in the predicted class; 0 if it is unknown.

    Args:
        signal: ``(sample,)``, NaN if unknown.
        predicted: class codes, ``(sample,)``.
    """
    known = np.isfinite(signal)
    if not known.any():
        return np.zeros(len(signal))
    median = _median(signal[known])
    typical = np.zeros(int(predicted.max()) + 1)
    for code in np.unique(predicted):
        of_class = signal[known & (predicted == code)]
        class_median = _median(of_class) if len(of_class) else median
        typical[code] = (len(of_class) * class_median + _PSEUDO_COUNTS * median) / (len(of_class) + _PSEUDO_COUNTS)
    return np.where(known, signal - typical[predicted], 0.0)
