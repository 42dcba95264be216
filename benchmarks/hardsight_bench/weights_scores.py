"""What the rows of the study of weights gain: gap recovery, regret, ranks, and harm, with paired bootstrap intervals.

A cell is a set, a kind of noise and a kind of imbalance; its seeds are averaged. The *gap* of a cell is what the oracle,
who knows which labels are right, has over uniform weights in balanced accuracy. *Recovery* is the part of the gap that a row
gets, over the cells whose gap is above two points. *Regret* is what a row is short of the best fixed scheme of the cell,
uniform among them, but not random and automatic ones. Ranks are among all rows but the oracle. Intervals come from drawing
again, with replacement, the cells, and within each the seeds; all rows have the same draws.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from hardsight_bench.weights_field import AUTO

GAP, HARM = 0.02, 0.005
CELL = ["set", "noise", "imbalance"]
_DRAWS, _CELL_DRAWS = 1000, 4000
_LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over cells, and the bounds of its bootstrap interval."""

    mean: float
    low: float
    high: float


class RowScore(NamedTuple):
    """A row over all cells.

    Attributes:
        difference: of balanced accuracy to uniform.
        recovery: part of the gap, over the cells that have one; NaN where none has.
        regret: balanced accuracy short of the best fixed scheme of each cell.
        rank: mean rank, 1 the best.
        harmed: cells where the row is more than half a point below uniform, beyond the interval.
    """

    difference: Interval
    recovery: Interval
    regret: Interval
    rank: Interval
    harmed: int


class StudyScores(NamedTuple):
    """The study of one learner.

    Attributes:
        rows: by name, best mean rank first; the oracle last.
        cells: a row for each cell and row of the study: mean ``score``, ``difference`` to uniform with its bounds ``low``
            and ``high``, ``gap`` and ``recovery`` (NaN without a gap), ``harmed``.
        wide: how many cells have a gap.
        all: how many cells there are.
        left_out: rows that lack a score somewhere, and why.
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
    """What the rows of one learner gain.

    Args:
        rows: of :func:`hardsight_bench.weights_study.run_study`, of one learner.
        metric: of which higher is better.
        seed: of the bootstrap.
    """
    table = rows.pivot_table(index=[*CELL, "seed"], columns="row", values=metric, aggfunc="first", sort=False)
    whole = table.loc[:, table.notna().all()]
    names = [str(name) for name in whole.columns]
    rng = np.random.default_rng(seed)
    cells = _cells(rows[rows["row"].isin(names)], metric, rng)
    found = _gained(whole, cells.groupby("row")["harmed"].sum(), rng)
    order = sorted(names, key=lambda name: (name == "oracle", found[name].rank.mean))
    gaps = cells[cells["row"] == "oracle"]["gap"] > GAP
    lacking = rows[~rows["row"].isin(names) & (rows["fault"] != "")].drop_duplicates("row")
    why = {str(name): str(fault) for name, fault in zip(lacking["row"], lacking["fault"], strict=True)}
    return StudyScores({name: found[name] for name in order}, cells, int(gaps.sum()), len(gaps), why)


def _gained(table: pd.DataFrame, harmed: pd.Series, rng: np.random.Generator) -> dict[str, RowScore]:
    """Of scores, cells with their seeds × rows."""
    names = [str(name) for name in table.columns]
    scores, filled = _cube(table)
    # A cell that is drawn twice has its seeds drawn twice.
    drawn = rng.integers(len(scores), size=(_DRAWS, len(scores)))
    draws = [_statistics(_means(scores[at], filled[at], rng), names) for at in drawn]
    point = _statistics(_means(scores, filled), names)
    bounds = [_bounds(np.stack(each)) for each in zip(*draws, strict=True)]
    found = {}
    for i, name in enumerate(names):
        parts = (
            Interval(float(p[i]), float(low[i]), float(high[i])) for p, (low, high) in zip(point, bounds, strict=True)
        )
        difference, recovery, regret, rank = parts
        found[name] = RowScore(difference, recovery, regret, rank, int(harmed[name]))
    return found


def _cube(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Scores ``(cell, seed, row)``, and how many seeds each cell has; those of a cell come first."""
    groups = [group.to_numpy() for _, group in table.groupby(CELL, sort=False)]
    filled = np.array([len(group) for group in groups])
    found = np.full((len(groups), filled.max(), table.shape[1]), np.nan)
    for own, group in zip(found, groups, strict=True):
        own[: len(group)] = group
    return found, filled


def _means(scores: np.ndarray, filled: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """Means over seeds, or over a draw of them, ``(cell, row)``."""
    if rng is None:
        means: np.ndarray = np.nanmean(scores, axis=1)
        return means
    drawn = (rng.random(scores.shape[:2]) * filled[:, None]).astype(int)
    # As many draws as there are seeds.
    weight = (np.arange(scores.shape[1]) < filled[:, None]) / filled[:, None]
    picked = np.nan_to_num(np.take_along_axis(scores, drawn[:, :, None], axis=1))
    found: np.ndarray = (picked * weight[:, :, None]).sum(1)
    return found


def _statistics(means: np.ndarray, names: list[str]) -> _Statistics:
    """Of scores ``(cell, row)``."""
    uniform, oracle = (means[:, [names.index(name)]] for name in ("uniform", "oracle"))
    fixed = [i for i, name in enumerate(names) if name not in ("random", "oracle", AUTO)]
    gap = oracle - uniform
    wide = gap[:, 0] > GAP
    recovery = ((means - uniform)[wide] / gap[wide]).mean(0) if wide.any() else np.full(len(names), np.nan)
    ranked = [i for i, name in enumerate(names) if name != "oracle"]
    rank = np.full(len(names), np.nan)
    rank[ranked] = rankdata(-means[:, ranked], axis=1).mean(0)
    best = means[:, fixed].max(1, keepdims=True)
    return _Statistics((means - uniform).mean(0), recovery, (best - means).mean(0), rank)


def _bounds(draws: np.ndarray) -> np.ndarray:
    """Lower and upper bound of the middle of the draws, ``(bound, row)``; draws without a number do not count."""
    tail = (1 - _LEVEL) / 2
    found = np.full((2, draws.shape[1]), np.nan)
    known = ~np.isnan(draws).all(0)
    found[:, known] = np.nanquantile(draws[:, known], [tail, 1 - tail], axis=0)
    return found


def _cells(rows: pd.DataFrame, metric: str, rng: np.random.Generator) -> pd.DataFrame:
    keys = [*CELL, "seed"]
    uniform, oracle = (rows[rows["row"] == name].set_index(keys)[metric] for name in ("uniform", "oracle"))
    at = pd.MultiIndex.from_frame(rows[keys])
    seen = rows[[*CELL, "row", "se"]].assign(
        score=rows[metric],
        difference=rows[metric] - uniform.reindex(at).to_numpy(),
        gap=oracle.reindex(at).to_numpy() - uniform.reindex(at).to_numpy(),
    )
    found = []
    for key, own in seen.groupby([*CELL, "row"], sort=False):
        low, high = _interval(own["difference"].to_numpy(), own["se"].to_numpy(), rng)
        mean = own[["score", "difference", "gap"]].mean()
        found.append(
            dict(zip([*CELL, "row"], key, strict=True))
            | mean.to_dict()
            | {"low": low, "high": high, "harmed": bool(mean["difference"] < -HARM and high < -HARM)}
        )
    table = pd.DataFrame(found)
    return table.assign(recovery=(table["difference"] / table["gap"]).where(table["gap"] > GAP))


def _interval(differences: np.ndarray, errors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bounds of the mean over seeds: the seeds are drawn again, and the test samples of each (a normal number)."""
    drawn = rng.integers(len(differences), size=(_CELL_DRAWS, len(differences)))
    means = (differences[drawn] + errors[drawn] * rng.standard_normal(drawn.shape)).mean(1)
    found: np.ndarray = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return found


def best_fixed(cells: pd.DataFrame) -> pd.DataFrame:
    """The best fixed scheme of each cell, a row each."""
    fixed = cells[~cells["row"].isin(["random", "oracle", AUTO])]
    return fixed.loc[fixed.groupby(CELL, sort=False)["score"].idxmax()]
