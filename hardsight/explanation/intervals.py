r"""Confidence intervals of means over held-out predictions, clustered by sample and by model.

A prediction $(i, m)$ shares its sample with some others, and its model, hence a training set and a seed, with more.
Treating predictions as independent would make intervals far too narrow. The variance here is clustered both ways
(Cameron, Gelbach & Miller 2011, *Robust inference with multiway clustering*, JBES): for a mean $\hat\theta = \sum
a_{im} x_{im} / \sum a_{im}$ with influences $u_{im} = a_{im} (x_{im} - \hat\theta) / \sum a$,

$$\hat V = \tfrac{n}{n-1} \sum_i \Big(\sum_m u_{im}\Big)^2 + \tfrac{M}{M-1} \sum_m \Big(\sum_i u_{im}\Big)^2
- \sum_{im} u_{im}^2,$$

but at least the larger of the first two terms. The interval is that of Student's t; its degrees of freedom are the
number of samples or of models, whichever is smaller, minus one. It covers other samples of the same kind and other
models of these data. Models of one repeat share no more training samples than models of different repeats do, so the
cluster is the model, not the repeat. All models share *this* data set; another data set would vary more, and the
interval does not say by how much.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

LEVEL = 0.95


class MeanInterval(NamedTuple):
    """A mean and its uncertainty."""

    value: float
    se: float  # its standard error; NaN if there is only one sample or one model
    low: float
    high: float

    @property
    def sign(self) -> int:
        """Return 1 or -1 if the interval lies on one side of zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)


UNKNOWN = MeanInterval(float("nan"), float("nan"), float("nan"), float("nan"))


def clustered_mean(
    values: np.ndarray, share: np.ndarray, sample: np.ndarray, model: np.ndarray, strata: np.ndarray | None = None
) -> MeanInterval:
    """Return a weighted mean over predictions, or the plain mean of such means over strata, with its interval.

    Args:
        values: ``(prediction,)``.
        share: weight of each prediction, 0 or more. ``(prediction,)``
        sample: position of the predicted sample, ``(prediction,)``.
        model: number of the predicting model, ``(prediction,)``.
        strata: code of the stratum of each prediction; strata count equally, and those without any share are left out.

    >>> clustered_mean(np.array([1.0, 3.0, 1.0, 3.0]), np.ones(4), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])).value
    2.0
    """
    positive = share > 0
    if not positive.any():
        return UNKNOWN
    values, share, sample, model = values[positive], share[positive], sample[positive], model[positive]
    codes = np.zeros(len(values), dtype=np.int64) if strata is None else np.unique(strata[positive], return_inverse=True)[1]
    mass = np.bincount(codes, share)
    means = np.bincount(codes, share * values) / mass
    influence = share * (values - means[codes]) / mass[codes] / len(mass)
    return _interval(float(means.mean()), influence, (sample, model))


def _interval(value: float, influence: np.ndarray, clusters: Sequence[np.ndarray]) -> MeanInterval:
    codes = [np.unique(cluster, return_inverse=True)[1] for cluster in clusters]
    sizes = [int(cluster.max()) + 1 for cluster in codes]
    if min(sizes) < 2:
        return MeanInterval(value, float("nan"), float("nan"), float("nan"))
    terms = [n / (n - 1) * np.square(np.bincount(cluster, influence)).sum() for cluster, n in zip(codes, sizes, strict=True)]
    variance = max(sum(terms) - np.square(influence).sum(), *terms)
    se = float(np.sqrt(variance))
    half_width = float(student.ppf((1 + LEVEL) / 2, min(sizes) - 1)) * se
    return MeanInterval(value, se, value - half_width, value + half_width)
