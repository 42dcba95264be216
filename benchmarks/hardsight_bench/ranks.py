"""Who comes first: ranks in every cell, their means, and how far apart they must be to be told apart.

Demšar 2006, *Statistical comparisons of classifiers over multiple data sets*.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, studentized_range

_CELL = ["set", "kind", "share"]


class Ranking(NamedTuple):
    """How the measures stand.

    Attributes:
        mean: mean rank over all cells, by measure, best first.
        by_kind: mean rank, measures × kinds, in the order of ``mean``.
        blocks: pairs of a set and a kind; cells of one pair that differ in share alone are not independent.
        p: of the Friedman test that all measures are alike, over the blocks.
        distance: mean ranks that differ by less cannot be told apart (Nemenyi, 5 %).
        by: whose each measure is.
        left_out: measures that lack a score in some cell.
    """

    mean: pd.Series
    by_kind: pd.DataFrame
    blocks: int
    p: float
    distance: float
    by: pd.Series
    left_out: list[str]


def rank_measures(rows: pd.DataFrame, metric: str = "auprc", alpha: float = 0.05) -> Ranking:
    """Ranks, 1 the best, by the mean of a metric over seeds in every cell (set, kind, share); ties share a rank.

    Args:
        rows: of :func:`hardsight_bench.measures_study.run_study`.
        metric: auprc, auroc or precision.
        alpha: level of the Nemenyi test.
    """
    table = rows.pivot_table(index=_CELL, columns="measure", values=metric, aggfunc=_mean, dropna=False, observed=True)
    table = table.loc[table.notna().any(axis=1)]
    whole = table.loc[:, table.notna().all()]
    ranks = whole.rank(axis=1, ascending=False)
    mean = ranks.mean().sort_values()
    by_kind = ranks.groupby("kind").mean().T.loc[mean.index]
    blocks = ranks.groupby(["set", "kind"]).mean()
    n, k = blocks.shape
    p = float(friedmanchisquare(*blocks.to_numpy().T).pvalue) if n > 1 and k > 2 else math.nan
    by = rows.groupby("measure")["by"].first()[mean.index]
    return Ranking(
        mean,
        by_kind,
        n,
        p,
        critical_distance(k, n, alpha),
        by,
        sorted(map(str, table.columns.difference(whole.columns))),
    )


def _mean(values: pd.Series) -> float:
    # A seed without a score must not make a cell look better or worse than it is.
    return float(values.mean(skipna=False))


def critical_distance(measures: int, blocks: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical distance of mean ranks.

    >>> round(critical_distance(5, 30), 2)
    1.11
    """
    if measures < 2:
        return math.nan
    q = studentized_range.ppf(1 - alpha, measures, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(measures * (measures + 1) / (6 * blocks)))
