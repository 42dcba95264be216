"""Measured effect of weights: held-out errors of models trained with them, minus those of the same models without.

Where labels may be wrong, raw numbers mislead: models that were kept from learning wrong labels do worse on wrong
labels, as they should. Therefore every mean is given twice: "raw", over all labels as given, and "clean", where a label
counts by the probability that it is right, ``1 - d.p_wrong``. Both are equal without a ledger. Balanced accuracy is the
mean over classes of the clean share predicted as labelled.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from hardsight.difficulty.result import Difficulty
from hardsight.explanation.groups import list_groups
from hardsight.explanation.intervals import UNKNOWN, MeanInterval, clustered_mean
from hardsight.explanation.paired_training import ArmPredictions, PairedPredictions

MEASURES = ("loss", "clean loss", "accuracy", "clean accuracy", "clean balanced accuracy")


def sample_effects(d: Difficulty, arms: PairedPredictions, predictions: ArmPredictions) -> pd.DataFrame:
    """Return the effect on every sample, by id.

    Columns: label, error without and with the weights, difference, its standard error, and number of views. The
    standard error is that over views; it is optimistic, because models share training samples.
    """
    n = len(d)
    views = np.bincount(arms.sample, minlength=n)
    with np.errstate(divide="ignore", invalid="ignore"):
        error_without, error = (
            np.bincount(arms.sample, each.loss, minlength=n) / views for each in (arms.without, predictions)
        )
        difference = predictions.loss - arms.without.loss
        spread = np.bincount(arms.sample, np.square(difference - (error - error_without)[arms.sample]), minlength=n)
        se = np.where(views > 1, np.sqrt(spread / np.maximum(views - 1, 1) / views), np.nan)
    columns = {
        "label": d.label_names(d.labels),
        "error_without": error_without,
        "error": error,
        "difference": error - error_without,
        "se": se,
    }
    if d.p_wrong is not None:
        columns["p_wrong"] = d.p_wrong
    return pd.DataFrame(columns | {"views": views}, index=pd.Index(d.ids, name="id"))


def effect_table(d: Difficulty, arms: PairedPredictions, predictions: ArmPredictions) -> pd.DataFrame:
    """Return the effect by group, one row per group and measure.

    Columns by, group, samples, measure (of ``MEASURES``), without, with, difference, se, low, high, and outcome:
    "gains" or "pays" if the 95 % interval of the difference lies on one side of zero, "same" if both runs predict
    exactly the same, else "unclear". Accuracies exist for classes only, and balanced accuracy for all samples only.
    """
    return pd.DataFrame(list(_rows(d, arms, predictions)))


def _rows(d: Difficulty, arms: PairedPredictions, predictions: ArmPredictions) -> Iterator[dict[str, str | int | float]]:
    right = np.ones(len(d)) if d.p_wrong is None else 1 - d.p_wrong
    for group in list_groups(d):
        membership = group.rows.astype(float)
        for measure in MEASURES:
            if (d.classes is None and "accuracy" in measure) or ("balanced" in measure and group.by != "all"):
                continue
            share = (membership * right if "clean" in measure else membership)[arms.sample]
            strata = d.labels[arms.sample] if "balanced" in measure else None
            losses_without, losses_with = (
                (each.right if "accuracy" in measure else each.loss) for each in (arms.without, predictions)
            )

            def mean(values: np.ndarray, share: np.ndarray = share, strata: np.ndarray | None = strata) -> MeanInterval:
                return clustered_mean(values, share, arms.sample, arms.model, strata)

            difference = losses_with - losses_without
            interval = mean(difference) if share.any() else UNKNOWN
            yield {
                "by": group.by,
                "group": group.name,
                "samples": int(group.rows.sum()),
                "measure": measure,
                "without": mean(losses_without).value,
                "with": mean(losses_with).value,
                "difference": interval.value,
                "se": interval.se,
                "low": interval.low,
                "high": interval.high,
                "outcome": _outcome(interval, rising="accuracy" in measure) if difference[share > 0].any() else "same",
            }


def _outcome(interval: MeanInterval, *, rising: bool) -> str:
    sign = interval.sign if rising else -interval.sign
    return {1: "gains", -1: "pays", 0: "unclear"}[sign]
