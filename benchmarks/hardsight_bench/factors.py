"""Which factor? Worlds in which several factors make samples hard at once, and what the ledger says of each sample.

In every world a third of the classes are cut to 12 % of their samples, and of what is left 6 % are mislabelled (to any
other class), 6 % are blends of two classes, and 6 % are strange in one of several ways; these do not overlap each other,
but rare classes have their part of all. A factor's samples are set against *all* others, the other hard ones included.
"""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from hardsight.attribution.names import CAUSES, FACTORS
from hardsight.difficulty.result import Difficulty
from hardsight.estimation.measure import measure
from hardsight.estimation.request import Estimate
from hardsight_bench.corruptions import KINDS, blend, rare, uniform
from hardsight_bench.datasets import Dataset, load_dataset

SETS = ("digits", "fashion", "letter", "satellite", "penbased", "texture", "phoneme", "movies", "products")
SHARE, LEFT = 0.06, 0.12
STRANGE_IMAGES, STRANGE_NUMBERS = ("shift", "zoom", "rotate"), ("near", "feature-noise", "marginal")
NOISES = (("uniform", 0.1), ("uniform", 0.2), ("uniform", 0.4), ("asymmetric", 0.2), ("asymmetric", 0.4),
          ("adjacent", 0.2), ("instance", 0.2))  # fmt: skip
_BINS = 10


class Scenario(NamedTuple):
    """Samples that are hard for known reasons.

    Attributes:
        x: features, ``(sample, feature)`` float32.
        y: labels as given, ``(sample,)``.
        hard: for each factor, ``(sample,)`` bool. Imbalance: the rightly labelled samples of a rare class, whatever else.
        reason: the factor of every sample, or "none"; of rare samples that are hard in another way, that way.
    """

    x: np.ndarray
    y: np.ndarray
    hard: dict[str, np.ndarray]
    reason: np.ndarray


def strange_kinds(found: Dataset) -> tuple[str, ...]:
    """The ways to be strange that a set can take."""
    return STRANGE_NUMBERS if found.shape is None else STRANGE_IMAGES


def make_scenario(found: Dataset, strange: str, rng: np.random.Generator) -> Scenario:
    """Make a set hard in four ways at once.

    Args:
        found: the set.
        strange: kind of hardness (:mod:`hardsight_bench.corruptions`) for uncertainty.
        rng: draws everything.
    """
    cut = rare(found, LEFT, rng)
    base = Dataset(cut.x, cut.y, found.shape)
    n = len(cut.y)
    wrong, mixed, odd = np.split(rng.permutation(n)[: 3 * round(SHARE * n)], 3)
    x, y = cut.x.copy(), cut.y.copy()
    y[wrong] = uniform(base, 1.0, rng).y[wrong]
    x[mixed] = blend(base, 1.0, rng).x[mixed]
    x[odd] = KINDS[strange].make(base, 1.0, rng).x[odd]
    reason = np.where(cut.hard, "imbalance", "none").astype("<U11")
    for factor, rows in (("noise", wrong), ("margin", mixed), ("uncertainty", odd)):
        reason[rows] = factor
    hard = {factor: reason == factor for factor in FACTORS}
    hard["imbalance"] = cut.hard & (y == cut.y)
    return Scenario(x, y, hard, reason)


def separation(found: Difficulty, truth: Scenario) -> Iterator[dict[str, Any]]:
    """AUROC of every line, and of p_wrong, for every factor's samples against all others."""
    assert found.factors is not None
    lines = {name: found.factors[name].to_numpy() for name in FACTORS} | {"p_wrong": found.p_wrong}
    for (line, values), (factor, hard) in product(lines.items(), truth.hard.items()):
        yield {"line": line, "factor": factor, "auroc": float(roc_auc_score(hard, values))}


def confusion(cause: np.ndarray, reason: np.ndarray) -> tuple[np.ndarray, float]:
    """Counts of injected reasons (rows) against causes told (columns), in the order of ``CAUSES``, and macro-F1."""
    counts = pd.crosstab(reason, cause).reindex(index=CAUSES, columns=CAUSES, fill_value=0).to_numpy()
    return counts, float(f1_score(reason, cause, labels=CAUSES, average="macro", zero_division=0))


def calibration_error(stated: np.ndarray, happened: np.ndarray) -> float:
    """Expected calibration error: the gap between mean stated and observed frequency, over ten bins of equal width.

    >>> calibration_error(np.array([0.1, 0.1, 0.9, 0.9]), np.array([False, False, True, False])).__round__(2)
    0.25
    """
    bins = np.minimum((_BINS * stated).astype(int), _BINS - 1)
    gaps = [abs(stated[bins == b].mean() - happened[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(gaps))


class Study(NamedTuple):
    """What was found.

    Attributes:
        separation: a row for each set, strange kind, seed, line and factor.
        causes: a row for each set, strange kind and seed: macro-F1, and counts of reasons against causes.
        calibration: a row for each set, kind of mislabelling, share and seed: calibration error of p_wrong, and average
            precision of p_wrong and of the error for the wrong labels.
    """

    separation: pd.DataFrame
    causes: pd.DataFrame
    calibration: pd.DataFrame


def run_study(names: tuple[str, ...], folder: Path | None, most: int, seeds: int, tell: Callable[[], None]) -> Study:
    """Everything; ``tell`` is called after each of :func:`count_measurements`.

    Args:
        names: data sets.
        folder: where those lie that do not come with scikit-learn.
        most: samples of a set, at most.
        seeds: how many.
        tell: told of progress.
    """
    apart: list[dict[str, Any]] = []
    causes: list[dict[str, Any]] = []
    calibrated: list[dict[str, Any]] = []
    for name, seed in product(names, range(seeds)):
        found = load_dataset(name, folder, most, seed)
        worlds, noises = np.random.SeedSequence(seed, spawn_key=(11,)).spawn(2)
        for strange, stream in zip(strange_kinds(found), worlds.spawn(3), strict=True):
            draw, models = stream.spawn(2)
            truth = make_scenario(found, strange, np.random.default_rng(draw))
            result = _measured(truth.x, truth.y, models)
            about = {"set": name, "strange": strange, "seed": seed}
            apart += [about | row for row in separation(result, truth)]
            assert result.cause is not None
            counts, f1 = confusion(result.cause, truth.reason)
            causes.append(about | {"f1": f1, "counts": counts.ravel().tolist()})
            tell()
        for (kind, share), stream in zip(NOISES, noises.spawn(len(NOISES)), strict=True):
            draw, models = stream.spawn(2)
            noisy = KINDS[kind].make(found, share, np.random.default_rng(draw))
            result = _measured(noisy.x, noisy.y, models)
            calibrated.append({"set": name, "kind": kind, "share": share, "seed": seed} | _judged(result, noisy.hard))
            tell()
    return Study(pd.DataFrame(apart), pd.DataFrame(causes), pd.DataFrame(calibrated))


def count_measurements(names: tuple[str, ...], seeds: int) -> int:
    """How many measurements a study takes."""
    return len(names) * seeds * (3 + len(NOISES))


def _measured(x: np.ndarray, y: np.ndarray, stream: np.random.SeedSequence) -> Difficulty:
    return measure(x, y, seed=int(stream.generate_state(1)[0]), estimate=Estimate(adjusted=False))


def _judged(found: Difficulty, wrong: np.ndarray) -> dict[str, float]:
    assert found.p_wrong is not None
    return {
        "ece": calibration_error(found.p_wrong, wrong),
        "precision_p_wrong": float(average_precision_score(wrong, found.p_wrong)),
        "precision_error": float(average_precision_score(wrong, found.error)),
    }
