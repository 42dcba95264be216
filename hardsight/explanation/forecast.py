r"""Forecast the effect of weights from the ledger and the weights alone, before any model is trained with them.

Training that weights a sample $(x, y)$ by $w$ learns, where the model is flexible enough, the conditional distribution

$$p_w(c \mid x) \propto p(c \mid x)\; \mathbb{E}[w \mid x, y = c],$$

which minimises the weighted log-loss. $p$ is the held-out consensus. The mean weight of a label $c$ at $x$ is that of
all samples labelled $c$, each counted by the inverse cube of its distance from $x$ in the log-probabilities of all
classes (Shepard 1968, *A two-dimensional interpolation function for irregularly-spaced data*). So weights of whole
classes shift the prior, weights against wrong labels remove these from $p$, and weights in favour of wrong labels add
them, until they win.

Weights also change how much models scatter about that distribution. To first order the variance of a weighted estimate
is $\sum w^2 g^2 / (\sum w h)^2$ (Huber 1967), with $g = 1 - p(y)$ the size of a sample's gradient and $h = \hat p (1 -
\hat p)$ its curvature, $\hat p$ the largest probability; it is computed class by class, as a factor $f$ on the variance
without weights. The scatter of log-odds without weights is $\sigma^2 = 2 \bar V / \overline{p (1 - p)}$, which is the
second-order expansion of the ledger's variance $V$. Then a label is predicted with probability $\Phi(m_w / \sigma
\sqrt{f})$, $m_w$ its margin under $p_w$, and its loss is $-\log p_w(y) + V f$.

The forecast ignores what a model cannot represent, and training that ends early, where weight on hard samples may
help more than forecast; the paired measurement decides.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import log_softmax, ndtr

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.explanation.groups import Group, list_groups
from hardsight.io.memmap import row_blocks
from hardsight.resampling.spacing import evenly_spaced

# Changes of balanced accuracy below this are called little.
LITTLE = 0.005
# The mean weight of a label counts each sample by the inverse cube of its distance, to which so many nats are added.
_MIN_DISTANCE = 0.3
# Samples that the mean is taken of: so many, divided by the classes, and at least so many per class.
_MAX_REFERENCES, _MIN_REFERENCES = 4000, 20
# Smaller probabilities are alike.
_MIN_LOG_PROB = float(np.log(1e-6))
# Smallest mean weight of a label: labels of zero weight keep a trace in any model.
_MIN_MEAN_WEIGHT = 1e-3
_FACTOR_RANGE = 0.1, 20.0
_MIN_SCATTER = 0.05


class Forecast(NamedTuple):
    """The expected effect, per sample; probabilities are those of held-out models."""

    chance_without: np.ndarray  # probability that a model predicts the given label, (sample,)
    chance: np.ndarray  # the same with the weights
    loss: np.ndarray  # expected change of the log-loss, (sample,)
    balanced: float  # expected change of balanced accuracy on labels that are right

    @property
    def direction(self) -> str:
        """Return "better", "worse", or "little change" below half a point."""
        return describe_change(self.balanced, LITTLE)


def describe_change(change: float, little: float) -> str:
    """Return a change of accuracy as a word."""
    if not abs(change) >= little:
        return "little change"
    return "better" if change > 0 else "worse"


def forecast(d: Difficulty, weights: np.ndarray) -> Forecast:
    """Forecast the effect of the weights.

    Args:
        weights: of mean one, ``(sample,)``.

    Raises:
        InputError: there is no ledger.
    """
    if d.consensus is None or d.p_wrong is None:
        raise InputError("a forecast needs the ledger, which needs classes, log-loss and two views per sample")
    log_prob, index = d.consensus, np.arange(len(d))
    weighted = log_softmax(log_prob + np.log(np.maximum(mean_weights(d, weights), _MIN_MEAN_WEIGHT)), axis=1)
    log_prob_label, log_prob_label_weighted = log_prob[index, d.labels], weighted[index, d.labels]
    variance = np.maximum(d.variance, 0)
    p_label = np.exp(log_prob_label)
    scatter = max(np.sqrt(2 * variance.mean() / max(float((p_label * (1 - p_label)).mean()), 1e-12)), _MIN_SCATTER)
    factor = scatter_factors(d, weights)
    before = ndtr(held_out_margins(log_prob, d.labels) / scatter)
    after = ndtr(held_out_margins(weighted, d.labels) / (scatter * np.sqrt(factor)))
    loss = log_prob_label - log_prob_label_weighted + variance * (factor - 1)
    p_right = 1 - d.p_wrong
    mass = np.bincount(d.labels, p_right)
    present = mass > 0
    change = np.bincount(d.labels, p_right * (after - before))[present] / mass[present]
    return Forecast(before, after, loss, float(change.mean()) if present.any() else 0.0)


def mean_weights(d: Difficulty, weights: np.ndarray) -> np.ndarray:
    """Return the mean weight of each label near each sample, ``(sample, class)``; 1 for classes without samples.

    Near in all log-probabilities: samples with the same log-odds of a wrong label differ by how likely their true one is.
    """
    assert d.consensus is not None
    log_prob = np.maximum(d.consensus, _MIN_LOG_PROB)
    square = np.square(log_prob).sum(1)
    of_samples = np.column_stack([log_prob, square, np.ones(len(log_prob))])
    most = max(_MAX_REFERENCES // log_prob.shape[1], _MIN_REFERENCES)
    means: np.ndarray = np.ones_like(log_prob)
    for code in np.unique(d.labels):
        rows = np.flatnonzero(d.labels == code)
        by_probability = rows[np.argsort(log_prob[rows, code], kind="stable")]
        references = by_probability[evenly_spaced(len(rows), most)]
        # So that one product gives all squared distances: |x|² + |r|² - 2 x·r.
        of_references = np.vstack([-2 * log_prob[references].T, np.ones(len(references)), square[references]])
        sums = np.stack([weights[references] - 1, np.ones(len(references))], 1)
        for block in row_blocks(len(log_prob), len(references)):
            excess, total = (_closeness(of_samples[block] @ of_references) @ sums).T
            # Weights of one leave exactly one.
            means[block, code] = 1 + excess / total
    return means


def _closeness(squared_distance: np.ndarray) -> np.ndarray:
    """Return the inverse cubes of distances, 0.3 nats added, from their squares, which are overwritten."""
    distance: np.ndarray = np.sqrt(np.maximum(squared_distance, 0, out=squared_distance), out=squared_distance)
    distance += _MIN_DISTANCE
    # A general power would take more time than all else together.
    cube: np.ndarray = distance * distance
    cube *= distance
    np.reciprocal(cube, out=cube)
    return cube


def scatter_factors(d: Difficulty, weights: np.ndarray) -> np.ndarray:
    """Return the factor on the models' variance for the class of each sample, ``(sample,)``."""
    assert d.consensus is not None
    gradient = np.square(1 - d.p_label)
    p_top = np.exp(d.consensus.max(1))
    curvature = np.maximum(p_top * (1 - p_top), 1e-12)
    sums = (np.bincount(d.labels, each) for each in (weights**2 * gradient, weights * curvature, gradient, curvature))
    noise, signal, noise_without, signal_without = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = noise / signal**2 * signal_without**2 / noise_without
    # A class whose weights are all zero.
    factor = np.where(np.isnan(factor), _FACTOR_RANGE[1], factor)
    factors: np.ndarray = np.clip(factor, *_FACTOR_RANGE)[d.labels]
    return factors


def forecast_table(d: Difficulty, expected_effect: Forecast) -> pd.DataFrame:
    """Return the forecast by group: expected changes on labels that are right, and who is expected to gain.

    Columns by, group, samples, ``loss`` and ``accuracy`` (changes), ``expected``: "gains" if the loss is expected to
    fall, else "pays", "little" if it changes by less than 1 % of the mean error.
    """
    assert d.p_wrong is not None
    p_right = 1 - d.p_wrong
    little = 0.01 * float(d.error.mean())

    def to_row(group: Group) -> dict[str, str | int | float]:
        share = p_right * group.rows
        if not share.sum() > 0:
            share = group.rows.astype(float)
        loss = float((share * expected_effect.loss).sum() / share.sum())
        accuracy = float((share * (expected_effect.chance - expected_effect.chance_without)).sum() / share.sum())
        expected = "little" if abs(loss) < little else "gains" if loss < 0 else "pays"
        return {
            "by": group.by,
            "group": group.name,
            "samples": int(group.rows.sum()),
            "loss": loss,
            "accuracy": accuracy,
            "expected": expected,
        }

    return pd.DataFrame([to_row(group) for group in list_groups(d)])


def held_out_margins(log_prob: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the log-probability of the label minus the largest other, ``(sample,)``."""
    index = np.arange(len(labels))
    others = log_prob.copy()
    others[index, labels] = -np.inf
    margins: np.ndarray = log_prob[index, labels] - others.max(1)
    return margins
