"""The study of the ledger: scenarios in which several factors make samples hard at once, and the factor that is found.

In every scenario a third of the classes are cut to 12 % of their samples, and of the rest 6 % are mislabelled (to any
other class), 6 % are blends of two classes, and 6 % are atypical in one of several ways; these do not overlap each
other, but rare classes contain some of each. The samples of a factor are compared with *all* others, other hard ones
included.
"""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from hardsight.attribution.names import CAUSES, FACTORS, NO_CAUSE, STRANGE, TOO_FEW
from hardsight.difficulty.result import Difficulty
from hardsight.estimation.measure import measure
from hardsight.estimation.request import Estimate
from hardsight_bench.corruptions import KINDS, blend, rare, uniform
from hardsight_bench.datasets import Dataset, load_dataset

SETS = ("digits", "fashion", "letter", "satellite", "penbased", "texture", "phoneme", "movies", "products")
SHARE, RARE_SHARE = 0.06, 0.12
ATYPICAL_IMAGES, ATYPICAL_NUMBERS = ("shift", "zoom", "rotate"), ("near", "feature-noise", "marginal")
NOISES = (("uniform", 0.1), ("uniform", 0.2), ("uniform", 0.4), ("asymmetric", 0.2), ("asymmetric", 0.4),
          ("adjacent", 0.2), ("instance", 0.2))  # fmt: skip
_N_BINS = 10
REASONS, DETECTED = (*FACTORS, NO_CAUSE), (*CAUSES, TOO_FEW)


class Scenario(NamedTuple):
    """Samples that are hard for known reasons.

    Attributes:
        x: features, ``(sample, feature)`` float32.
        y: given labels, ``(sample,)``.
        hard: for each factor, ``(sample,)`` bool. Imbalance: all rightly labelled samples of a rare class.
        reason: the factor of every sample, or "none"; for rare samples that are hard in another way, that way.
    """

    x: np.ndarray
    y: np.ndarray
    hard: dict[str, np.ndarray]
    reason: np.ndarray


def atypical_kinds(data: Dataset) -> tuple[str, ...]:
    """Return the kinds of atypical samples that apply to a set."""
    return ATYPICAL_NUMBERS if data.shape is None else ATYPICAL_IMAGES


def make_scenario(data: Dataset, atypical: str, rng: np.random.Generator) -> Scenario:
    """Make a set hard in four ways at once.

    Args:
        data: the set.
        atypical: kind of corruption (:mod:`hardsight_bench.corruptions`) for uncertainty.
        rng: generator of all draws.
    """
    cut = rare(data, RARE_SHARE, rng)
    base = Dataset(cut.x, cut.y, data.shape)
    n = len(cut.y)
    wrong, blended, atypical_rows = np.split(rng.permutation(n)[: 3 * round(SHARE * n)], 3)
    x, y = cut.x.copy(), cut.y.copy()
    y[wrong] = uniform(base, 1.0, rng).y[wrong]
    x[blended] = blend(base, 1.0, rng).x[blended]
    x[atypical_rows] = KINDS[atypical].make(base, 1.0, rng).x[atypical_rows]
    reason = np.where(cut.hard, "imbalance", "none").astype("<U11")
    for factor, rows in (("noise", wrong), ("margin", blended), ("uncertainty", atypical_rows)):
        reason[rows] = factor
    hard = {factor: reason == factor for factor in FACTORS}
    hard["imbalance"] = cut.hard & (y == cut.y)
    return Scenario(x, y, hard, reason)


def separation(difficulty: Difficulty, truth: Scenario) -> Iterator[dict[str, Any]]:
    """Yield the AUROC of every term, and of p_wrong, for every factor's samples against all others."""
    assert difficulty.factors is not None
    terms = {name: difficulty.factors[name].to_numpy() for name in FACTORS} | {"p_wrong": difficulty.p_wrong}
    for (term, values), (factor, hard) in product(terms.items(), truth.hard.items()):
        yield {"line": term, "factor": factor, "auroc": float(roc_auc_score(hard, values))}


def confusion(cause: np.ndarray, reason: np.ndarray) -> tuple[np.ndarray, float]:
    """Count injected reasons (rows, ``REASONS``) and detected causes (columns, ``DETECTED``); also macro-F1.

    Strange samples are the injected reason for uncertainty, so for F1 the cause "strange" counts as uncertainty.
    """
    counts = pd.crosstab(reason, cause).reindex(index=REASONS, columns=DETECTED, fill_value=0).to_numpy()
    detected = np.where(cause == STRANGE, "uncertainty", cause)
    return counts, float(f1_score(reason, detected, labels=REASONS, average="macro", zero_division=0))


def calibration_error(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Return the expected calibration error: the gap of mean stated and observed frequency over ten equal-width bins.

    >>> calibration_error(np.array([0.1, 0.1, 0.9, 0.9]), np.array([False, False, True, False])).__round__(2)
    0.25
    """
    bins = np.minimum((_N_BINS * predicted).astype(int), _N_BINS - 1)
    gaps = [abs(predicted[bins == b].mean() - observed[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(gaps))


class Study(NamedTuple):
    """The tables of the study.

    Attributes:
        separation: one row per set, kind of atypical samples, seed, term and factor.
        causes: one row per set, kind of atypical samples and seed: macro-F1, and counts of reasons and causes.
        calibration: one row per set, kind of label noise, share and seed: calibration error of p_wrong, and average
            precision of p_wrong and of the error for the wrong labels.
    """

    separation: pd.DataFrame
    causes: pd.DataFrame
    calibration: pd.DataFrame


def run_study(names: tuple[str, ...], folder: Path | None, most: int, seeds: int, on_progress: Callable[[], None]) -> Study:
    """Run the study; call ``on_progress`` after each of :func:`count_measurements`.

    Args:
        names: data sets.
        folder: folder of data sets that do not come with scikit-learn.
        most: maximum number of samples of a set.
        seeds: number of seeds.
        on_progress: called after each measurement.
    """
    separations: list[dict[str, Any]] = []
    causes: list[dict[str, Any]] = []
    calibrations: list[dict[str, Any]] = []
    for name, seed in product(names, range(seeds)):
        data = load_dataset(name, folder, most, seed)
        scenario_stream, noise_stream = np.random.SeedSequence(seed, spawn_key=(11,)).spawn(2)
        for strange, stream in zip(atypical_kinds(data), scenario_stream.spawn(3), strict=True):
            draw, models = stream.spawn(2)
            scenario = make_scenario(data, strange, np.random.default_rng(draw))
            result = _measure(scenario.x, scenario.y, models)
            columns = {"set": name, "strange": strange, "seed": seed}
            separations += [columns | row for row in separation(result, scenario)]
            assert result.cause is not None
            counts, f1 = confusion(result.cause, scenario.reason)
            causes.append(columns | {"f1": f1, "counts": counts.ravel().tolist()})
            on_progress()
        for (kind, share), stream in zip(NOISES, noise_stream.spawn(len(NOISES)), strict=True):
            draw, models = stream.spawn(2)
            noisy = KINDS[kind].make(data, share, np.random.default_rng(draw))
            result = _measure(noisy.x, noisy.y, models)
            calibrations.append(
                {"set": name, "kind": kind, "share": share, "seed": seed} | _score_p_wrong(result, noisy.hard)
            )
            on_progress()
    return Study(pd.DataFrame(separations), pd.DataFrame(causes), pd.DataFrame(calibrations))


def count_measurements(names: tuple[str, ...], seeds: int) -> int:
    """Return the number of measurements of a study."""
    return len(names) * seeds * (3 + len(NOISES))


def _measure(x: np.ndarray, y: np.ndarray, stream: np.random.SeedSequence) -> Difficulty:
    return measure(x, y, seed=int(stream.generate_state(1)[0]), estimate=Estimate(adjusted=False))


def _score_p_wrong(difficulty: Difficulty, wrong: np.ndarray) -> dict[str, float]:
    assert difficulty.p_wrong is not None
    return {
        "ece": calibration_error(difficulty.p_wrong, wrong),
        "precision_p_wrong": float(average_precision_score(wrong, difficulty.p_wrong)),
        "precision_error": float(average_precision_score(wrong, difficulty.error)),
    }
