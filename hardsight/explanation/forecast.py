r"""What weights will do, told from the ledger and the weights alone, before any model is trained with them.

Training that weighs a sample $(x, y)$ by $w$ learns, where the model can follow, the conditional distribution

$$p_w(c \mid x) \propto p(c \mid x)\; \mathbb{E}[w \mid x, y = c],$$

which minimises the weighted log-loss. $p$ is the held-out consensus; the mean weight of a label $c$ at $x$ is that of
the samples labelled $c$ whose log-odds of $c$ are nearest (a quarter of the class, at least five). So weights of
whole classes shift the prior, weights against wrong labels remove these from $p$, and weights towards them bring them
in, up to the point where they win.

Weights also change how much models scatter about that. To first order the variance of a weighted estimate is $\sum
w^2 g^2 / (\sum w h)^2$ (Huber 1967), with $g = 1 - p(y)$ the size of a sample's gradient and $h = \hat p (1 - \hat
p)$ the curvature it gives, $\hat p$ the largest probability; here class by class, as a factor $f$ on what it is
without weights. The scatter of log-odds without weights is $\sigma^2 = 2 \bar V / \overline{p (1 - p)}$, which is the
second-order expansion of the ledger's variance $V$. Then a label is predicted with chance $\Phi(m_w / \sigma
\sqrt{f})$, $m_w$ its margin under $p_w$, and its loss is $-\log p_w(y) + V f$.

This knows nothing of what a model cannot represent, nor of training that ends early, where weight on hard samples may
help more than it says; the paired measurement decides.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import log_softmax, ndtr

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.explanation.groups import Group, list_groups

# A change of balanced accuracy that is called little.
LITTLE = 0.005
_NEAR, _FEWEST = 4, 5
# Of a mean weight of one: labels of no weight keep a trace, as they do in any model.
_TRACE = 1e-3
_FACTORS = 0.1, 20.0
_NARROWEST = 0.05


class Forecast(NamedTuple):
    """What is to be expected, sample by sample; probabilities are those of held-out models.

    Attributes:
        chance_without: that a model predicts the given label, ``(sample,)``.
        chance: the same with the weights.
        loss: expected change of the log-loss, ``(sample,)``.
        balanced: expected change of balanced accuracy on labels that are right.
    """

    chance_without: np.ndarray
    chance: np.ndarray
    loss: np.ndarray
    balanced: float

    @property
    def direction(self) -> str:
        """Better, worse, or little change, below half a point."""
        return describe_change(self.balanced, LITTLE)


def describe_change(change: float, little: float) -> str:
    """A change of accuracy as a word."""
    if not abs(change) >= little:
        return "little change"
    return "better" if change > 0 else "worse"


def forecast(d: Difficulty, weights: np.ndarray) -> Forecast:
    """What the weights will do.

    Args:
        d: of classes, with a ledger.
        weights: of mean one, ``(sample,)``.

    Raises:
        InputError: there is no ledger.
    """
    if d.consensus is None or d.p_wrong is None:
        raise InputError("a forecast reads the ledger, and there is none (it needs classes, log-loss and two views)")
    log_prob, row = d.consensus, np.arange(len(d))
    weighted = log_softmax(log_prob + np.log(np.maximum(mean_weights(d, weights), _TRACE)), axis=1)
    own, own_weighted = log_prob[row, d.labels], weighted[row, d.labels]
    variance = np.maximum(d.variance, 0)
    p = np.exp(own)
    scatter = max(np.sqrt(2 * variance.mean() / max(float((p * (1 - p)).mean()), 1e-12)), _NARROWEST)
    factor = scatter_factors(d, weights)
    before = ndtr(held_out_margins(log_prob, d.labels) / scatter)
    after = ndtr(held_out_margins(weighted, d.labels) / (scatter * np.sqrt(factor)))
    loss = own - own_weighted + variance * (factor - 1)
    right = 1 - d.p_wrong
    mass = np.bincount(d.labels, right)
    there = mass > 0
    change = np.bincount(d.labels, right * (after - before))[there] / mass[there]
    return Forecast(before, after, loss, float(change.mean()) if there.any() else 0.0)


def mean_weights(d: Difficulty, weights: np.ndarray) -> np.ndarray:
    """Mean weight that each label has where each sample is, ``(sample, class)``; 1 for classes without samples."""
    assert d.consensus is not None
    found = np.ones_like(d.consensus)
    for code in np.unique(d.labels):
        mine = d.labels == code
        log_prob = np.minimum(d.consensus[:, code], -1e-9)
        odds = log_prob - np.log(-np.expm1(log_prob))
        order = np.argsort(odds[mine], kind="stable")
        there = int(mine.sum())
        near = min(max(there // _NEAR, _FEWEST), there)
        sums = np.concatenate([[0.0], np.cumsum(weights[mine][order])])
        first = np.clip(np.searchsorted(odds[mine][order], odds) - near // 2, 0, there - near)
        found[:, code] = (sums[first + near] - sums[first]) / near
    return found


def scatter_factors(d: Difficulty, weights: np.ndarray) -> np.ndarray:
    """By what the variance of models is multiplied, of the class of each sample, ``(sample,)``."""
    assert d.consensus is not None
    gradient = np.square(1 - d.p_label)
    top = np.exp(d.consensus.max(1))
    curvature = np.maximum(top * (1 - top), 1e-12)
    sums = (np.bincount(d.labels, each) for each in (weights**2 * gradient, weights * curvature, gradient, curvature))
    noise, signal, noise_without, signal_without = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = noise / signal**2 * signal_without**2 / noise_without
    # A class of no weight at all.
    factor = np.where(np.isnan(factor), _FACTORS[1], factor)
    found: np.ndarray = np.clip(factor, *_FACTORS)[d.labels]
    return found


def forecast_table(d: Difficulty, told: Forecast) -> pd.DataFrame:
    """The forecast by group: expected changes on labels that are right, and who will gain.

    Columns by, group, samples, ``loss`` and ``accuracy`` (changes), ``expected``: "gains" where the loss is to fall,
    else "pays", "little" where it changes by less than 1 % of the mean error.
    """
    assert d.p_wrong is not None
    right = 1 - d.p_wrong
    little = 0.01 * float(d.error.mean())

    def row(group: Group) -> dict[str, str | int | float]:
        share = right * group.rows
        if not share.sum() > 0:
            share = group.rows.astype(float)
        loss = float((share * told.loss).sum() / share.sum())
        accuracy = float((share * (told.chance - told.chance_without)).sum() / share.sum())
        expected = "little" if abs(loss) < little else "gains" if loss < 0 else "pays"
        return {
            "by": group.by,
            "group": group.name,
            "samples": int(group.rows.sum()),
            "loss": loss,
            "accuracy": accuracy,
            "expected": expected,
        }

    return pd.DataFrame([row(group) for group in list_groups(d)])


def held_out_margins(log_prob: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The label's log-probability less the largest other, ``(sample,)``."""
    row = np.arange(len(labels))
    others = log_prob.copy()
    others[row, labels] = -np.inf
    found: np.ndarray = log_prob[row, labels] - others.max(1)
    return found
