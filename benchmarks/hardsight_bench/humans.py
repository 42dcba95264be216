"""Difficulty and human raters: is what models find hard what people disagree on, and who finds wrong labels of theirs?"""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from hardsight_bench.datasets import RatedDataset, load_rated
from hardsight_bench.measures_methods import METHODS, MethodInput, MethodScore, run_method
from hardsight_bench.measures_study import method_stream, score_detection

SPLITS = 20


def entropy(votes: np.ndarray) -> np.ndarray:
    """Entropy of a sample's votes, in nats. ``votes``: counts, ``(sample, class)``.

    >>> entropy(np.array([[4, 4], [8, 0]])).round(3).tolist()
    [0.693, 0.0]
    """
    shares = votes / votes.sum(1, keepdims=True)
    # Zero minus it, lest no disagreement be minus zero.
    found: np.ndarray = 0 - (shares * np.log(np.where(shares > 0, shares, 1))).sum(1)
    return found


def minority_share(votes: np.ndarray) -> np.ndarray:
    """Share of the votes that are not for the majority's class. ``votes``: counts, ``(sample, class)``.

    >>> minority_share(np.array([[1, 3], [8, 0]])).tolist()
    [0.25, 0.0]
    """
    found: np.ndarray = 1 - votes.max(1) / votes.sum(1)
    return found


TARGETS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"entropy": entropy, "minority": minority_share}


def correlation_ceiling(
    votes: np.ndarray, target: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator
) -> float:
    """The largest correlation with a target that is to be expected, because few raters tell it with noise.

    The raters of every sample are dealt into halves; the correlation of the two halves' targets, mean over 20 deals,
    gives the reliability of all raters by Spearman and Brown's formula, and its root is the ceiling.
    """
    halves = []
    for _ in range(SPLITS):
        half = np.stack([rng.multivariate_hypergeometric(each, int(each.sum()) // 2) for each in votes])
        halves.append(spearmanr(target(half), target(votes - half)).statistic)
    half_reliability = float(np.mean(halves))
    return float(np.sqrt(2 * half_reliability / (1 + half_reliability)))


def draw_one_rater(votes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The label that one rater of every sample gave, drawn at random, ``(sample,)``."""
    before = votes.cumsum(1)
    drawn = rng.integers(before[:, -1])
    labels: np.ndarray = (before <= drawn[:, None]).sum(1)
    return labels


def rank_correlations(values: np.ndarray, target: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Spearman correlation over all samples, and its mean over classes by their size; scores all equal correlate at 0."""

    def spearman(rows: np.ndarray) -> float:
        if np.ptp(values[rows]) == 0 or np.ptp(target[rows]) == 0:
            return 0.0
        return float(spearmanr(values[rows], target[rows]).statistic)

    classes, sizes = np.unique(y, return_counts=True)
    within = np.average([spearman(y == c) for c in classes], weights=sizes)
    return spearman(np.ones(len(y), dtype=bool)), float(within)


def compare_measures(
    name: str, folder: Path | None, most: int, seed: int, field: tuple[str, ...] | None = None
) -> Iterator[dict[str, Any]]:
    """A row for each measure of a set that people rated.

    Columns: set, seed, measure, by, trainings, seconds; ``entropy`` and ``minority``, the Spearman correlations of the
    scores with the two targets where the majority's label is given, with ``…_within`` classes and the ``…_ceiling``;
    ``wrong``, the share of wrong labels where one rater's is given, with ``auroc`` and ``auprc`` for finding them; fault.

    Raises:
        InputError: no such set, or it is not in the folder.
    """
    found = load_rated(name, folder, most, seed)
    ceilings, drawn, *streams = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),)).spawn(4)
    rng = np.random.default_rng(ceilings)
    most_possible = {
        f"{each}_ceiling": correlation_ceiling(found.votes, target, rng) for each, target in TARGETS.items()
    }
    given = draw_one_rater(found.votes, np.random.default_rng(drawn))
    for entrant in METHODS if field is None else field:
        agreed, single = (
            run_method(entrant, METHODS[entrant], MethodInput(found.x, labels, False, method_stream(stream, entrant)))
            for labels, stream in zip((found.y, given), streams, strict=True)
        )
        noisy = {one.measure: one for one in single}
        for one in agreed:
            about = {"set": name, "seed": seed} | {k: v for k, v in one._asdict().items() if k != "values"}
            yield about | most_possible | _agreement(one, found) | _wrong(noisy.get(one.measure), given != found.y)


def _agreement(scored: MethodScore, found: RatedDataset) -> dict[str, float]:
    told: dict[str, float] = {}
    for each, target in TARGETS.items():
        pair = (np.nan, np.nan)
        if scored.values is not None:
            pair = rank_correlations(np.nan_to_num(scored.values), target(found.votes), found.y)
        told |= {each: pair[0], f"{each}_within": pair[1]}
    return told


def _wrong(scored: MethodScore | None, wrong: np.ndarray) -> dict[str, float]:
    missing = scored or MethodScore("", "", 0, 0.0, None)
    how = score_detection(missing, wrong)
    return {"wrong": how["base"], "auroc": how["auroc"], "auprc": how["auprc"]}


def run_study(
    names: tuple[str, ...], folder: Path | None, most: int, seeds: int, tell: Callable[[], None]
) -> pd.DataFrame:
    """All rows of :func:`compare_measures`; ``tell`` is called after each set and seed."""
    rows: list[dict[str, Any]] = []
    for name in names:
        for seed in range(seeds):
            rows += compare_measures(name, folder, most, seed)
            tell()
    return pd.DataFrame(rows)
