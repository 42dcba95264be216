r"""Summarise weights: how many samples they are worth, who gets them, and which samples they favour.

$\mathrm{ESS} = (\sum w)^2 / \sum w^2$ and $\chi^2(\text{weighted} \,\|\, \text{training}) = N / \mathrm{ESS} - 1$,
the distance between the distribution that weighted training learns from and the one that the samples were drawn from.

The priority is derived from the mean weights of the deciles of difficulty, not from the name of a scheme. The path from
the easiest decile to the hardest goes up and down in steps; steps below 2 % of the mean weight are ignored. If the
highest and the lowest decile differ by less than 5 % of the mean weight, there is no priority. If 85 % of the path goes
up, hard samples come first; if 85 % goes down, easy ones; if 85 % goes up to a decile in between and down from there,
medium ones; if it goes down and then up, both ends. Otherwise it is mixed.
"""

from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from hardsight.difficulty.result import Difficulty
from hardsight.explanation.groups import N_DECILES, assign_deciles, list_groups
from hardsight.weights.describe import effective_sample_size

Priority = Literal["easy-first", "hard-first", "medium-first", "two-ends-first", "mixed", "none"]
LARGEST = 5
_MIN_STEP, _MIN_RANGE, _DOMINANT_SHARE = 0.02, 0.05, 0.85


def classify_priority(means: np.ndarray) -> Priority:
    """Classify which samples weigh most, from mean weights by difficulty.

    Args:
        means: from the easiest part to the hardest, ``(part,)``.

    >>> classify_priority(np.array([0.2, 0.5, 1.5, 1.8])), classify_priority(np.array([1.2, 1.2, 1.2, 0.4]))
    ('hard-first', 'easy-first')
    """
    scaled = means / means.mean()
    if np.ptp(scaled) < _MIN_RANGE:
        return "none"
    steps = np.diff(scaled)
    steps[np.abs(steps) < _MIN_STEP] = 0
    up, down = np.maximum(steps, 0), np.maximum(-steps, 0)
    path = up.sum() + down.sum()
    if path == 0:
        # Many small steps in one direction.
        return "hard-first" if scaled[-1] > scaled[0] else "easy-first"
    if up.sum() >= _DOMINANT_SHARE * path:
        return "hard-first"
    if down.sum() >= _DOMINANT_SHARE * path:
        return "easy-first"
    if _best_turn(up, down) >= _DOMINANT_SHARE * path:
        return "medium-first"
    if _best_turn(down, up) >= _DOMINANT_SHARE * path:
        return "two-ends-first"
    return "mixed"


def _best_turn(before: np.ndarray, after: np.ndarray) -> float:
    """Return the largest length of a path that follows ``before`` up to some part and ``after`` from there."""
    lengths = np.concatenate([[0.0], before.cumsum()]) + after.sum() - np.concatenate([[0.0], after.cumsum()])
    return float(lengths.max())


def means_by_decile(error: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean weight of each decile of difficulty that has samples, the easiest first."""
    decile = assign_deciles(error)
    counts = np.bincount(decile, minlength=N_DECILES + 1)[1:]
    sums = np.bincount(decile, weights, minlength=N_DECILES + 1)[1:]
    means: np.ndarray = sums[counts > 0] / counts[counts > 0]
    return means


def weight_overview(d: Difficulty, weights: np.ndarray) -> dict[str, float | int | str]:
    """Summarise the weights in one row.

    ``effective`` (samples), ``effective_share``, ``chi2``, ``largest`` and ``zeros``; ``spearman`` with the error
    (NaN if all weights are equal) and ``priority``; ``noise_share``, the part of the weight that wrong labels are
    expected to carry, beside ``noise_share_without`` (both NaN without a ledger).

    Args:
        weights: with mean one, ``(sample,)``.
    """
    n, ess = len(weights), effective_sample_size(weights)
    is_constant = np.ptp(weights) == 0 or np.ptp(d.error) == 0
    p_wrong = np.full(n, np.nan) if d.p_wrong is None else d.p_wrong
    return {
        "samples": n,
        "effective": ess,
        "effective_share": ess / n,
        "chi2": n / ess - 1,
        "largest": float(weights.max()),
        "zeros": int((weights == 0).sum()),
        "spearman": float("nan") if is_constant else float(spearmanr(weights, d.error).statistic),
        "priority": classify_priority(means_by_decile(d.error, weights)),
        "noise_share": float((weights * p_wrong).sum() / weights.sum()),
        "noise_share_without": float(p_wrong.mean()),
    }


def largest_weights(d: Difficulty, weights: np.ndarray, count: int = LARGEST) -> pd.DataFrame:
    """Return the samples with the largest weights, by id, largest first, with their label, error and cause."""
    index = np.argsort(-weights, kind="stable")[:count]
    columns = {"weight": weights[index], "label": d.label_names(d.labels[index]), "error": d.error[index]}
    if d.cause is not None:
        columns["cause"] = d.cause[index]
    return pd.DataFrame(columns, index=pd.Index(d.ids[index], name="id"))


def weight_shares(d: Difficulty, weights: np.ndarray) -> pd.DataFrame:
    """Return how the weight is divided, one row per group.

    Columns by, group, samples, sample_share, weight_share, mean_weight.
    """
    rows = [
        {
            "by": group.by,
            "group": group.name,
            "samples": int(group.rows.sum()),
            "sample_share": float(group.rows.mean()),
            "weight_share": float(weights[group.rows].sum() / weights.sum()),
            "mean_weight": float(weights[group.rows].mean()),
        }
        for group in list_groups(d)
    ]
    return pd.DataFrame(rows)
