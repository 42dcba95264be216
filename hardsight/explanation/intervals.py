r"""How sure a mean over judgements is, where samples are judged by several models and models judge several samples.

A judgement $(i, m)$ shares its sample with some others and its model, hence a training part and a seed, with more.
Taken for independent, intervals would be far too narrow. The variance here is clustered both ways (Cameron, Gelbach &
Miller 2011, *Robust inference with multiway clustering*, JBES): for a mean $\hat\theta = \sum a_{im} x_{im} / \sum
a_{im}$ with influences $u_{im} = a_{im} (x_{im} - \hat\theta) / \sum a$,

$$\hat V = \tfrac{n}{n-1} \sum_i \Big(\sum_m u_{im}\Big)^2 + \tfrac{M}{M-1} \sum_m \Big(\sum_i u_{im}\Big)^2
- \sum_{im} u_{im}^2,$$

never taken for less than the larger of the first two terms. The interval is that of Student's t with as many degrees
of freedom as there are samples or models, whichever are fewer, less one. It is about what other samples of the kind
and other models of these data would show. Models of a repeat share no more training samples than models of different
repeats do, so the model is the cluster, and not the repeat. All models share *this* data set; another one would vary
more, and the interval does not say by how much.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

LEVEL = 0.95


class MeanInterval(NamedTuple):
    """A mean and how sure it is.

    Attributes:
        value: the mean.
        se: its standard error; NaN where one sample or one model is all there is.
        low: lower end of the 95 % interval.
        high: its upper end.
    """

    value: float
    se: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)


UNKNOWN = MeanInterval(float("nan"), float("nan"), float("nan"), float("nan"))


def clustered_mean(
    values: np.ndarray, share: np.ndarray, sample: np.ndarray, model: np.ndarray, strata: np.ndarray | None = None
) -> MeanInterval:
    """A weighted mean over judgements, or the plain mean of such means over strata, with its interval.

    Args:
        values: ``(judgement,)``.
        share: how much each judgement counts, 0 or more. ``(judgement,)``
        sample: position of the sample that is judged, ``(judgement,)``.
        model: number of the model that judges, ``(judgement,)``.
        strata: code of each judgement's stratum; every stratum counts alike, but for those without any share.

    >>> clustered_mean(np.array([1.0, 3.0, 1.0, 3.0]), np.ones(4), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])).value
    2.0
    """
    at = share > 0
    if not at.any():
        return UNKNOWN
    values, share, sample, model = values[at], share[at], sample[at], model[at]
    codes = np.zeros(len(values), dtype=np.int64) if strata is None else np.unique(strata[at], return_inverse=True)[1]
    mass = np.bincount(codes, share)
    means = np.bincount(codes, share * values) / mass
    influence = share * (values - means[codes]) / mass[codes] / len(mass)
    return _interval(float(means.mean()), influence, (sample, model))


def _interval(value: float, influence: np.ndarray, clusters: Sequence[np.ndarray]) -> MeanInterval:
    codes = [np.unique(each, return_inverse=True)[1] for each in clusters]
    sizes = [int(each.max()) + 1 for each in codes]
    if min(sizes) < 2:
        return MeanInterval(value, float("nan"), float("nan"), float("nan"))
    terms = [n / (n - 1) * np.square(np.bincount(each, influence)).sum() for each, n in zip(codes, sizes, strict=True)]
    variance = max(sum(terms) - np.square(influence).sum(), *terms)
    se = float(np.sqrt(variance))
    reach = float(student.ppf((1 + LEVEL) / 2, min(sizes) - 1)) * se
    return MeanInterval(value, se, value - reach, value + reach)
