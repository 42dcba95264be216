"""Difficulty and human raters: do models find hard what people disagree on, and who finds the raters' errors?"""

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
    """Return the entropy of a sample's votes in nats. ``votes``: counts, ``(sample, class)``.

    >>> entropy(np.array([[4, 4], [8, 0]])).round(3).tolist()
    [0.693, 0.0]
    """
    shares = votes / votes.sum(1, keepdims=True)
    # 0 - x instead of -x, so that no disagreement gives 0.0 and not -0.0.
    result: np.ndarray = 0 - (shares * np.log(np.where(shares > 0, shares, 1))).sum(1)
    return result


def minority_share(votes: np.ndarray) -> np.ndarray:
    """Return the share of votes that are not for the majority's class. ``votes``: counts, ``(sample, class)``.

    >>> minority_share(np.array([[1, 3], [8, 0]])).tolist()
    [0.25, 0.0]
    """
    shares: np.ndarray = 1 - votes.max(1) / votes.sum(1)
    return shares


TARGETS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"entropy": entropy, "minority": minority_share}


def correlation_ceiling(votes: np.ndarray, target: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator) -> float:
    """Return the largest expected correlation with a target, which few raters determine only up to noise.

    The raters of every sample are split into halves; the correlation of the two halves' targets, averaged over 20
    splits, gives the reliability of all raters by the Spearman-Brown formula; its square root is the ceiling.
    """
    halves = []
    for _ in range(SPLITS):
        half = np.stack([rng.multivariate_hypergeometric(each, int(each.sum()) // 2) for each in votes])
        halves.append(spearmanr(target(half), target(votes - half)).statistic)
    half_reliability = float(np.mean(halves))
    return float(np.sqrt(2 * half_reliability / (1 + half_reliability)))


def draw_one_rater(votes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the label of one random rater for every sample, ``(sample,)``."""
    cumulative = votes.cumsum(1)
    drawn = rng.integers(cumulative[:, -1])
    labels: np.ndarray = (cumulative <= drawn[:, None]).sum(1)
    return labels


def rank_correlations(values: np.ndarray, target: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the Spearman correlation over all samples, and its size-weighted mean over classes.

    Constant scores have correlation 0.
    """

    def spearman(rows: np.ndarray) -> float:
        if np.ptp(values[rows]) == 0 or np.ptp(target[rows]) == 0:
            return 0.0
        return float(spearmanr(values[rows], target[rows]).statistic)

    classes, sizes = np.unique(y, return_counts=True)
    within = np.average([spearman(y == c) for c in classes], weights=sizes)
    return spearman(np.ones(len(y), dtype=bool)), float(within)


def compare_measures(
    name: str, folder: Path | None, most: int, seed: int, methods: tuple[str, ...] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield one row per measure for a set rated by people.

    Columns: set, seed, measure, by, trainings, seconds; ``entropy`` and ``minority``, the Spearman correlations of the
    scores with the two targets if the majority's label is given, with ``…_within`` classes and the ``…_ceiling``;
    ``wrong``, the share of wrong labels if one rater's label is given, with ``auroc`` and ``auprc`` for finding them;
    fault.

    Raises:
        InputError: unknown set, or it is not in the folder.
    """
    dataset = load_rated(name, folder, most, seed)
    ceilings, rater_stream, *streams = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),)).spawn(4)
    rng = np.random.default_rng(ceilings)
    ceiling_columns = {
        f"{each}_ceiling": correlation_ceiling(dataset.votes, target, rng) for each, target in TARGETS.items()
    }
    rater_labels = draw_one_rater(dataset.votes, np.random.default_rng(rater_stream))
    for method in METHODS if methods is None else methods:
        majority_scores, rater_scores = (
            run_method(method, METHODS[method], MethodInput(dataset.x, labels, False, method_stream(stream, method)))
            for labels, stream in zip((dataset.y, rater_labels), streams, strict=True)
        )
        by_measure = {score.measure: score for score in rater_scores}
        for score in majority_scores:
            columns = {"set": name, "seed": seed} | {k: v for k, v in score._asdict().items() if k != "values"}
            yield (
                columns
                | ceiling_columns
                | _agreement_columns(score, dataset)
                | _detection_columns(by_measure.get(score.measure), rater_labels != dataset.y)
            )


def _agreement_columns(score: MethodScore, dataset: RatedDataset) -> dict[str, float]:
    columns: dict[str, float] = {}
    for each, target in TARGETS.items():
        pair = (np.nan, np.nan)
        if score.values is not None:
            pair = rank_correlations(np.nan_to_num(score.values), target(dataset.votes), dataset.y)
        columns |= {each: pair[0], f"{each}_within": pair[1]}
    return columns


def _detection_columns(score: MethodScore | None, wrong: np.ndarray) -> dict[str, float]:
    known_score = score or MethodScore("", "", 0, 0.0, None)
    detection = score_detection(known_score, wrong)
    return {"wrong": detection["base"], "auroc": detection["auroc"], "auprc": detection["auprc"]}


def run_study(
    names: tuple[str, ...], folder: Path | None, most: int, seeds: int, on_progress: Callable[[], None]
) -> pd.DataFrame:
    """Return all rows of :func:`compare_measures`; call ``on_progress`` after each set and seed."""
    rows: list[dict[str, Any]] = []
    for name in names:
        for seed in range(seeds):
            rows += compare_measures(name, folder, most, seed)
            on_progress()
    return pd.DataFrame(rows)
