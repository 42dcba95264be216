"""Rank methods in every cell, average the ranks, and compute how far apart they must be to differ significantly.

Demšar 2006, *Statistical comparisons of classifiers over multiple data sets*.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, studentized_range

_CELL = ["set", "kind", "share"]


class Ranking(NamedTuple):
    """Mean ranks of the measures.

    Attributes:
        mean: mean rank over all cells, by measure, best first.
        by_kind: mean rank, measures × kinds, in the order of ``mean``.
        blocks: number of pairs of a set and a kind; cells of one pair that differ only in share are not independent.
        p: p-value of the Friedman test that all measures are equal, over the blocks.
        distance: mean ranks that differ by less are not significantly different (Nemenyi, 5 %).
        by: origin of each measure.
        left_out: measures without a score in some cell.
    """

    mean: pd.Series
    by_kind: pd.DataFrame
    blocks: int
    p: float
    distance: float
    by: pd.Series
    left_out: list[str]


def rank_measures(rows: pd.DataFrame, metric: str = "auprc", alpha: float = 0.05) -> Ranking:
    """Rank measures, 1 the best, by the mean of a metric over seeds in every cell; ties share a rank.

    Args:
        rows: of :func:`hardsight_bench.measures_study.run_study`; a cell is a set, kind and share.
        metric: auprc, auroc or precision.
        alpha: level of the Nemenyi test.
    """
    table = rows.pivot_table(index=_CELL, columns="measure", values=metric, aggfunc=_mean, dropna=False, observed=True)
    table = table.loc[table.notna().any(axis=1)]
    complete = table.loc[:, table.notna().all()]
    ranks = complete.rank(axis=1, ascending=False)
    mean = ranks.mean().sort_values()
    by_kind = ranks.groupby("kind").mean().T.loc[mean.index]
    blocks = ranks.groupby(["set", "kind"]).mean()
    n, k = blocks.shape
    p = float(friedmanchisquare(*blocks.to_numpy().T).pvalue) if n > 1 and k > 2 else math.nan
    by = rows.groupby("measure")["by"].first()[mean.index]
    return Ranking(
        mean, by_kind, n, p, critical_distance(k, n, alpha), by, sorted(map(str, table.columns.difference(complete.columns)))
    )


def _mean(values: pd.Series) -> float:
    # Averaging over the seeds that have a score would bias the cell.
    return float(values.mean(skipna=False))


def critical_distance(measures: int, blocks: int, alpha: float = 0.05) -> float:
    """Return Nemenyi's critical distance of mean ranks.

    >>> round(critical_distance(5, 30), 2)
    1.11
    """
    if measures < 2:
        return math.nan
    q = studentized_range.ppf(1 - alpha, measures, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(measures * (measures + 1) / (6 * blocks)))
