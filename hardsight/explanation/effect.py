"""What weights did: the held-out errors of models trained with them less those of the same models trained without.

Where labels may be wrong, "raw" numbers mislead: models that were kept from learning wrong labels do worse on wrong
labels, and rightly so. So every mean stands here twice, "raw", of all labels as given, and "clean", in which a label
counts by the probability that it is right, ``1 - d.p_wrong``. The two are equal where there is no ledger. Balanced
accuracy is the mean over classes of the clean share predicted as labelled.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from hardsight.difficulty.result import Difficulty
from hardsight.explanation.groups import list_groups
from hardsight.explanation.intervals import UNKNOWN, MeanInterval, clustered_mean
from hardsight.explanation.paired_training import Arms, Said

MEASURES = ("loss", "clean loss", "accuracy", "clean accuracy", "clean balanced accuracy")


def sample_effects(d: Difficulty, arms: Arms, said: Said) -> pd.DataFrame:
    """The effect on every sample, by id: label, error without and with the weights, difference, its standard error, views.

    The standard error is that over views; it is optimistic, because models share training samples.
    """
    n = len(d)
    views = np.bincount(arms.sample, minlength=n)
    with np.errstate(divide="ignore", invalid="ignore"):
        without, by = (np.bincount(arms.sample, each.loss, minlength=n) / views for each in (arms.without, said))
        gap = said.loss - arms.without.loss
        spread = np.bincount(arms.sample, np.square(gap - (by - without)[arms.sample]), minlength=n)
        se = np.where(views > 1, np.sqrt(spread / np.maximum(views - 1, 1) / views), np.nan)
    columns = {
        "label": d.label_names(d.labels),
        "error_without": without,
        "error": by,
        "difference": by - without,
        "se": se,
    }
    if d.p_wrong is not None:
        columns["p_wrong"] = d.p_wrong
    return pd.DataFrame(columns | {"views": views}, index=pd.Index(d.ids, name="id"))


def effect_table(d: Difficulty, arms: Arms, said: Said) -> pd.DataFrame:
    """The effect by group, a row a group and measure.

    Columns by, group, samples, measure (of ``MEASURES``), without, with, difference, se, low, high, and outcome:
    "gains" or "pays" where the 95 % interval of the difference lies on one side of zero, else "unclear" ("same" where
    the arms say exactly the same). Accuracies are of classes alone; the balanced one is of all samples.
    """
    return pd.DataFrame(list(_rows(d, arms, said)))


def _rows(d: Difficulty, arms: Arms, said: Said) -> Iterator[dict[str, str | int | float]]:
    right = np.ones(len(d)) if d.p_wrong is None else 1 - d.p_wrong
    for group in list_groups(d):
        here = group.rows.astype(float)
        for measure in MEASURES:
            if (d.classes is None and "accuracy" in measure) or ("balanced" in measure and group.by != "all"):
                continue
            share = (here * right if "clean" in measure else here)[arms.sample]
            strata = d.labels[arms.sample] if "balanced" in measure else None
            without, by = ((each.right if "accuracy" in measure else each.loss) for each in (arms.without, said))

            def mean(values: np.ndarray, share: np.ndarray = share, strata: np.ndarray | None = strata) -> MeanInterval:
                return clustered_mean(values, share, arms.sample, arms.model, strata)

            gap = by - without
            found = mean(gap) if share.any() else UNKNOWN
            yield {
                "by": group.by,
                "group": group.name,
                "samples": int(group.rows.sum()),
                "measure": measure,
                "without": mean(without).value,
                "with": mean(by).value,
                "difference": found.value,
                "se": found.se,
                "low": found.low,
                "high": found.high,
                "outcome": _outcome(found, rising="accuracy" in measure) if gap[share > 0].any() else "same",
            }


def _outcome(found: MeanInterval, *, rising: bool) -> str:
    sign = found.sign if rising else -found.sign
    return {1: "gains", -1: "pays", 0: "unclear"}[sign]
