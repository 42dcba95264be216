r"""What weights are: how many samples they are worth, who gets them, and which priority that really is.

$\mathrm{ESS} = (\sum w)^2 / \sum w^2$ and $\chi^2(\text{weighted} \,\|\, \text{training}) = N / \mathrm{ESS} - 1$,
the distance of the distribution that weighted training learns from to the one that the samples were drawn from.

The priority is read from the mean weights of the tenths by difficulty, not from the name of a scheme. The way from
the easiest tenth to the hardest goes up and down by steps, of which those below 2 % of the mean weight count for
nothing. If the highest and the lowest tenth differ by less than 5 % of the mean weight, there is none. If 85 % of the
way goes up, hard samples come first; if 85 % goes down, easy ones; if 85 % goes up to a tenth between and down from
there, the medium ones; if the other way round, the two ends. Else it is mixed.
"""

from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from hardsight.difficulty.result import Difficulty
from hardsight.explanation.groups import N_DECILES, assign_deciles, list_groups
from hardsight.weights.describe import effective

Priority = Literal["easy-first", "hard-first", "medium-first", "two-ends-first", "mixed", "none"]
LARGEST = 5
_STEP, _LEAST, _WAY = 0.02, 0.05, 0.85


def classify_priority(means: np.ndarray) -> Priority:
    """Which samples weigh most, from mean weights by difficulty.

    Args:
        means: from the easiest part to the hardest, ``(part,)``.

    >>> classify_priority(np.array([0.2, 0.5, 1.5, 1.8])), priority(np.array([1.2, 1.2, 1.2, 0.4]))
    ('hard-first', 'easy-first')
    """
    scaled = means / means.mean()
    if np.ptp(scaled) < _LEAST:
        return "none"
    steps = np.diff(scaled)
    steps[np.abs(steps) < _STEP] = 0
    up, down = np.maximum(steps, 0), np.maximum(-steps, 0)
    way = up.sum() + down.sum()
    if way == 0:
        # Many small steps one way.
        return "hard-first" if scaled[-1] > scaled[0] else "easy-first"
    if up.sum() >= _WAY * way:
        return "hard-first"
    if down.sum() >= _WAY * way:
        return "easy-first"
    if _turning(up, down) >= _WAY * way:
        return "medium-first"
    if _turning(down, up) >= _WAY * way:
        return "two-ends-first"
    return "mixed"


def _turning(before: np.ndarray, after: np.ndarray) -> float:
    """The most of the way that goes one way up to some part and the other way from there."""
    gone = np.concatenate([[0.0], before.cumsum()]) + after.sum() - np.concatenate([[0.0], after.cumsum()])
    return float(gone.max())


def means_by_decile(error: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean weight of the tenths by difficulty, the easiest first; as many as there are samples in."""
    tenth = assign_deciles(error)
    counts = np.bincount(tenth, minlength=N_DECILES + 1)[1:]
    sums = np.bincount(tenth, weights, minlength=N_DECILES + 1)[1:]
    found: np.ndarray = sums[counts > 0] / counts[counts > 0]
    return found


def weight_overview(d: Difficulty, weights: np.ndarray) -> dict[str, float | int | str]:
    """What the weights come to in one row.

    ``effective`` (samples), ``effective_share``, ``chi2``, ``largest`` and ``zeros``; ``spearman`` with the error
    (NaN where all weights are equal) and ``priority``; ``noise_share``, the part of the weight that wrong labels are
    expected to carry, beside ``noise_share_without`` (both NaN without a ledger).

    Args:
        d: of the samples.
        weights: of mean one, ``(sample,)``.
    """
    n, worth = len(weights), effective(weights)
    flat = np.ptp(weights) == 0 or np.ptp(d.error) == 0
    wrong = np.full(n, np.nan) if d.p_wrong is None else d.p_wrong
    return {
        "samples": n,
        "effective": worth,
        "effective_share": worth / n,
        "chi2": n / worth - 1,
        "largest": float(weights.max()),
        "zeros": int((weights == 0).sum()),
        "spearman": float("nan") if flat else float(spearmanr(weights, d.error).statistic),
        "priority": classify_priority(means_by_decile(d.error, weights)),
        "noise_share": float((weights * wrong).sum() / weights.sum()),
        "noise_share_without": float(wrong.mean()),
    }


def largest_weights(d: Difficulty, weights: np.ndarray, most: int = LARGEST) -> pd.DataFrame:
    """The samples of largest weight, with their label, error and cause; the largest first, by id."""
    at = np.argsort(-weights, kind="stable")[:most]
    columns = {"weight": weights[at], "label": d.label_names(d.labels[at]), "error": d.error[at]}
    if d.cause is not None:
        columns["cause"] = d.cause[at]
    return pd.DataFrame(columns, index=pd.Index(d.ids[at], name="id"))


def weight_shares(d: Difficulty, weights: np.ndarray) -> pd.DataFrame:
    """How the weight is divided, a row a group: columns by, group, samples, sample_share, weight_share, mean_weight."""
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
