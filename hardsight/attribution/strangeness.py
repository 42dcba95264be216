r"""P(strange): the probability that a sample is unlike the rest, by all signals together, weighed by what they show.

A signal is any measurement that is larger for stranger samples: those of :mod:`hardsight.attribution.oddity`, which need
features only, and the disagreement of models (:func:`hardsight.attribution.ledger.disagreement_index`). Few data sets have
samples that stand out by all of them, and a signal by which nothing stands out adds noise, so each is weighed:

1. $t_{ik}$ is the distance of signal $k$ from its median, in the deviations that the distance from the median to the
   84 % quantile stands for. If predictions are known, medians of the predicted classes are taken off first.
2. The weight of a signal is what its upper tail has in excess of a normal distribution,
   $w_k \propto \mathrm{mean}_i \min([t_{ik} - 2]_+, 4) - E[Z - 2]_+ + 0.03$.
3. $u_i = \log \sum_k w_k e^{t_{ik}}$ is standardised like a signal, and $P = 1/(1 + e^{-2(u_i - 4)})$: half at four
   deviations.

Half at four deviations is chosen so that at most 2 % of the samples of ordinary data sets exceed it. The probability
refers to no particular kind of strangeness, and most samples that are planted by changing a few features are not beyond
it; they rank high.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logsumexp
from scipy.stats import norm

from hardsight.attribution.oddity import Oddity

# The probability: half at so many deviations, and its slope there.
_HALF_AT, _SLOPE = 4.0, 2.0
# The upper tail of a signal begins here, and its samples count for at most so much.
_TAIL_FROM, _TAIL_LENGTH = 2.0, 4.0
# Weight of a signal without any tail; real tails have .02 to .2.
_MIN_WEIGHT = 0.03
# Quantile at one standard deviation of a normal distribution.
_UPPER_QUANTILE = float(norm.cdf(1))
# Deviations beyond it are alike; e to this power times 10^6 samples can be represented.
_MAX_DEVIATION = 30.0
# The median of a small class is drawn towards that of all samples, as if so many more samples had it.
_PSEUDO_COUNTS = 10.0
# With fewer samples outside of the reference, their own median and deviation are too uncertain.
_MIN_OUTSIDE = 200


def p_strange(
    oddity: Oddity | None, predicted: np.ndarray | None = None, more: Sequence[np.ndarray] = ()
) -> np.ndarray | None:
    """Return the probability that a sample is unlike the rest, ``(sample,)``; None without any signal.

    Args:
        oddity: of :func:`hardsight.attribution.oddity.measure_oddity`; None if there are no features.
        predicted: class codes that models predict, ``(sample,)``; None in regression or without models.
        more: further signals, ``(sample,)`` each.
    """
    deviations = [_deviations(signal) for signal in more]
    if oddity is not None:
        for signal in oddity.measurements:
            relative = signal if predicted is None else relative_to_class(signal, predicted)
            deviations.append(_deviations(relative, oddity.in_reference))
    if not deviations:
        return None
    probability: np.ndarray = expit(_SLOPE * (_deviations(_combine(deviations)) - _HALF_AT))
    return probability


def _combine(deviations: Sequence[np.ndarray]) -> np.ndarray:
    weights = np.array([_tail_excess(deviation) + _MIN_WEIGHT for deviation in deviations])
    together: np.ndarray = logsumexp(np.minimum(deviations, _MAX_DEVIATION), axis=0, b=(weights / weights.sum())[:, None])
    return together


def _tail_excess(deviation: np.ndarray) -> float:
    """Return how much the upper tail of standardised values has in excess of a normal distribution's."""
    expected = norm.pdf(_TAIL_FROM) - _TAIL_FROM * norm.sf(_TAIL_FROM)
    return max(float(np.clip(deviation - _TAIL_FROM, 0, _TAIL_LENGTH).mean() - expected), 0.0)


def _deviations(signal: np.ndarray, in_reference: np.ndarray | None = None) -> np.ndarray:
    """Return the distances of a signal from its median, in standard deviations of its upper half; unknown values get 0.

    Args:
        in_reference: whether the sample belongs to the reference, ``(sample,)``; the others are standardised apart.
    """
    if in_reference is not None and (~in_reference).sum() >= _MIN_OUTSIDE:
        result = np.empty(len(signal))
        for group in (in_reference, ~in_reference):
            result[group] = _deviations(signal[group])
        return result
    known = np.isfinite(signal)
    if not known.any():
        return np.zeros(len(signal))
    median, upper = np.quantile(signal[known], [0.5, _UPPER_QUANTILE])
    distance = np.where(known, signal - median, 0)
    # If most values are equal, as those of a few discrete features, all of them together give the scale.
    scale = upper - median if upper > median else np.sqrt(np.square(distance).mean())
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
