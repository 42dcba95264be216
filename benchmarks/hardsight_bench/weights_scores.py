"""Scores of the rows of the study of weights: gap recovery, regret, ranks and harm, with paired bootstrap intervals.

A cell is a set, a kind of noise and a kind of imbalance; its seeds are averaged. The *gap* of a cell is the advantage
in balanced accuracy of the oracle, which knows the right labels, over uniform weights. *Recovery* is the share of the
gap that a row reaches, over the cells whose gap exceeds two points. *Regret* is how far a row is below the best fixed
scheme of the cell, uniform included, random and automatic ones excluded. Ranks are among all rows but the oracle and those
by other models.
Intervals come from resampling, with replacement, the cells, and within each the seeds; all rows share the same draws.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from hardsight_bench.weights_by_other_models import OTHER_MODELS
from hardsight_bench.weights_field import AUTO

GAP, HARM = 0.02, 0.005
_UNRANKED = ("oracle", *OTHER_MODELS)
_NOT_FIXED = ("random", AUTO, *_UNRANKED)
CELL = ["set", "noise", "imbalance"]
_DRAWS, _CELL_DRAWS = 1000, 4000
_LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over cells, and the bounds of its bootstrap interval."""

    mean: float
    low: float
    high: float


class RowScore(NamedTuple):
    """Scores of a row over all cells.

    Attributes:
        difference: of balanced accuracy to uniform.
        recovery: share of the gap, over the cells that have one; NaN if there are none.
        regret: balanced accuracy below the best fixed scheme of each cell.
        rank: mean rank, 1 the best.
        harmed: number of cells where the row is more than half a point below uniform, beyond the interval.
    """

    difference: Interval
    recovery: Interval
    regret: Interval
    rank: Interval
    harmed: int


class StudyScores(NamedTuple):
    """Scores of the study for one learner.

    Attributes:
        rows: by name, best mean rank first; those without a rank last.
        cells: one row per cell and row of the study: mean ``score``, ``difference`` to uniform with its bounds ``low``
            and ``high``, ``gap`` and ``recovery`` (NaN without a gap), ``harmed``.
        wide: number of cells with a gap.
        all: number of cells.
        left_out: rows without a score in some cell, and why.
    """

    rows: dict[str, RowScore]
    cells: pd.DataFrame
    wide: int
    all: int
    left_out: dict[str, str]


class _Statistics(NamedTuple):
    """Means over cells, each ``(row,)``."""

    difference: np.ndarray
    recovery: np.ndarray
    regret: np.ndarray
    rank: np.ndarray


def score_rows(rows: pd.DataFrame, metric: str = "balanced_accuracy", seed: int = 0) -> StudyScores:
    """Score the rows of one learner.

    Args:
        rows: of :func:`hardsight_bench.weights_study.run_study`, of one learner.
        metric: one where higher is better.
        seed: of the bootstrap.
    """
    table = rows.pivot_table(index=[*CELL, "seed"], columns="row", values=metric, aggfunc="first", sort=False)
    complete = table.loc[:, table.notna().all()]
    names = [str(name) for name in complete.columns]
    rng = np.random.default_rng(seed)
    cells = _cell_table(rows[rows["row"].isin(names)], metric, rng)
    scores = _bootstrap_scores(complete, cells.groupby("row")["harmed"].sum(), rng)
    order = sorted(names, key=lambda name: (name in _UNRANKED, name == "oracle", scores[name].rank.mean))
    gaps = cells[cells["row"] == "oracle"]["gap"] > GAP
    incomplete = rows[~rows["row"].isin(names) & (rows["fault"] != "")].drop_duplicates("row")
    faults = {str(name): str(fault) for name, fault in zip(incomplete["row"], incomplete["fault"], strict=True)}
    return StudyScores({name: scores[name] for name in order}, cells, int(gaps.sum()), len(gaps), faults)


def _bootstrap_scores(table: pd.DataFrame, harmed: pd.Series, rng: np.random.Generator) -> dict[str, RowScore]:
    """Score rows from a table of scores, cells with their seeds × rows."""
    names = [str(name) for name in table.columns]
    scores, filled = _stack_seeds(table)
    # A cell drawn twice has its seeds resampled twice.
    drawn = rng.integers(len(scores), size=(_DRAWS, len(scores)))
    draws = [_statistics(_means(scores[at], filled[at], rng), names) for at in drawn]
    point = _statistics(_means(scores, filled), names)
    bounds = [_bounds(np.stack(each)) for each in zip(*draws, strict=True)]
    scores_by_row = {}
    for i, name in enumerate(names):
        intervals = (
            Interval(float(p[i]), float(low[i]), float(high[i])) for p, (low, high) in zip(point, bounds, strict=True)
        )
        difference, recovery, regret, rank = intervals
        scores_by_row[name] = RowScore(difference, recovery, regret, rank, int(harmed[name]))
    return scores_by_row


def _stack_seeds(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return scores ``(cell, seed, row)``, padded with NaN at the end, and the number of seeds of each cell."""
    groups = [group.to_numpy() for _, group in table.groupby(CELL, sort=False)]
    filled = np.array([len(group) for group in groups])
    scores = np.full((len(groups), filled.max(), table.shape[1]), np.nan)
    for cell_scores, group in zip(scores, groups, strict=True):
        cell_scores[: len(group)] = group
    return scores, filled


def _means(scores: np.ndarray, filled: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """Return means over seeds, or over a resample of them, ``(cell, row)``."""
    if rng is None:
        means: np.ndarray = np.nanmean(scores, axis=1)
        return means
    drawn = (rng.random(scores.shape[:2]) * filled[:, None]).astype(int)
    # Each cell uses as many draws as it has seeds.
    weight = (np.arange(scores.shape[1]) < filled[:, None]) / filled[:, None]
    picked = np.nan_to_num(np.take_along_axis(scores, drawn[:, :, None], axis=1))
    resampled: np.ndarray = (picked * weight[:, :, None]).sum(1)
    return resampled


def _statistics(means: np.ndarray, names: list[str]) -> _Statistics:
    """Return the statistics of scores ``(cell, row)``."""
    uniform, oracle = (means[:, [names.index(name)]] for name in ("uniform", "oracle"))
    fixed = [i for i, name in enumerate(names) if name not in _NOT_FIXED]
    gap = oracle - uniform
    wide = gap[:, 0] > GAP
    recovery = ((means - uniform)[wide] / gap[wide]).mean(0) if wide.any() else np.full(len(names), np.nan)
    ranked = [i for i, name in enumerate(names) if name not in _UNRANKED]
    rank = np.full(len(names), np.nan)
    rank[ranked] = rankdata(-means[:, ranked], axis=1).mean(0)
    best = means[:, fixed].max(1, keepdims=True)
    return _Statistics((means - uniform).mean(0), recovery, (best - means).mean(0), rank)


def _bounds(draws: np.ndarray) -> np.ndarray:
    """Return lower and upper bound of the central interval, ``(bound, row)``, ignoring NaN draws."""
    tail = (1 - _LEVEL) / 2
    bounds = np.full((2, draws.shape[1]), np.nan)
    has_values = ~np.isnan(draws).all(0)
    bounds[:, has_values] = np.nanquantile(draws[:, has_values], [tail, 1 - tail], axis=0)
    return bounds


def _cell_table(rows: pd.DataFrame, metric: str, rng: np.random.Generator) -> pd.DataFrame:
    keys = [*CELL, "seed"]
    uniform, oracle = (rows[rows["row"] == name].set_index(keys)[metric] for name in ("uniform", "oracle"))
    index = pd.MultiIndex.from_frame(rows[keys])
    observations = rows[[*CELL, "row", "se"]].assign(
        score=rows[metric],
        difference=rows[metric] - uniform.reindex(index).to_numpy(),
        gap=oracle.reindex(index).to_numpy() - uniform.reindex(index).to_numpy(),
    )
    table_rows = []
    for key, group in observations.groupby([*CELL, "row"], sort=False):
        low, high = _interval(group["difference"].to_numpy(), group["se"].to_numpy(), rng)
        mean = group[["score", "difference", "gap"]].mean()
        table_rows.append(
            dict(zip([*CELL, "row"], key, strict=True))
            | mean.to_dict()
            | {"low": low, "high": high, "harmed": bool(mean["difference"] < -HARM and high < -HARM)}
        )
    table = pd.DataFrame(table_rows)
    return table.assign(recovery=(table["difference"] / table["gap"]).where(table["gap"] > GAP))


def _interval(differences: np.ndarray, errors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return bounds of the mean over seeds, resampling the seeds and the test error of each (a normal draw)."""
    drawn = rng.integers(len(differences), size=(_CELL_DRAWS, len(differences)))
    means = (differences[drawn] + errors[drawn] * rng.standard_normal(drawn.shape)).mean(1)
    bounds: np.ndarray = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return bounds


def best_fixed(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the best fixed scheme of each cell, one row each."""
    fixed = cells[~cells["row"].isin(_NOT_FIXED)]
    return fixed.loc[fixed.groupby(CELL, sort=False)["score"].idxmax()]


def list_losses(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return what a row gains in each cell, and where it harms for certain.

    ``p`` is the probability of so low a mean, or a lower one, if the row were half a point below uniform, by a normal
    distribution with the standard error over test samples. ``harmed`` is whether Holm's correction of all cells rejects that
    at 5 % (Holm 1979, *A simple sequentially rejective multiple test procedure*).

    Args:
        rows: of one learner, with the number of right labels of the rarest class as ``n_right``.
        name: of the row.
    """
    keys = [*CELL, "seed"]
    uniform = rows[rows["row"] == "uniform"].set_index(keys)["balanced_accuracy"]
    part = rows[rows["row"] == name].set_index(keys)
    part = part.assign(points=100 * (part["balanced_accuracy"] - uniform), variance=(100 * part["se"]) ** 2)
    groups = part.groupby(CELL)
    cells = groups.agg(points=("points", "mean"), n_right=("n_right", "min"), seeds=("points", "size"))
    error = np.maximum(np.sqrt(groups["variance"].mean() / cells["seeds"]), 1e-9)
    cells["p"] = norm.cdf((cells["points"] + 100 * HARM) / error)
    ordered = cells["p"].sort_values()
    rejected = (ordered <= (1 - _LEVEL) / np.arange(len(ordered), 0, -1)).cummin()
    return cells.assign(harmed=rejected.reindex(cells.index))
