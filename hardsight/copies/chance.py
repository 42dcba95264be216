"""Whether equal rows are copies, or different samples that happen to be equal."""

import numpy as np
import pandas as pd

from hardsight.data import Samples

# With a smaller share of equal samples, it matters little.
_MANY = 0.2
# Equal rows are different samples if chance alone explains this share of them, or the smaller share where no column has
# more values than that: columns that depend on each other coincide far more often than shuffled ones.
_EXPLAINED = 1 / 3
_EXPLAINED_IF_FEW, _FEW_VALUES = 1 / 25, 32
_DRAWS = 3
# Targets of a regression are grouped into so many classes.
_TARGET_GROUPS = 10
_SEED = 0


def equal_by_chance(samples: Samples, n_equal: int) -> bool:
    """Return whether many samples have equal features, and so many are to be expected without any copy.

    Columns of few values coincide by chance. How often is seen after the values of each column are shuffled among samples
    with the same label, which keeps the distribution of each column in each class and breaks up copies. Columns that depend
    on each other within a class coincide more often still. So equal rows are taken for different samples where shuffled
    columns give a third of them, or 4 % of them if no column has more than 32 values. Up to a fifth of equal samples are
    copies in any case.

    Args:
        n_equal: number of samples whose features equal those of another sample.
    """
    if n_equal <= _MANY * len(samples):
        return False
    codes = column_codes(samples)
    # Equal constants say nothing.
    codes = None if codes is None else [column for column in codes if column.min() < column.max()]
    if not codes:
        return False
    rng = np.random.default_rng(_SEED)
    strata = _strata(samples)
    expected = np.mean([_count_equal(_shuffle(codes, strata, rng)) for _ in range(_DRAWS)])
    few = max(int(column.max()) for column in codes) < _FEW_VALUES
    return bool(expected >= (_EXPLAINED_IF_FEW if few else _EXPLAINED) * n_equal)


def column_codes(samples: Samples) -> list[np.ndarray] | None:
    """Return one array of codes per column, equal for equal values; None if the features are no columns of values."""
    if samples.kind == "table":
        return [pd.factorize(samples.features[name])[0] for name in samples.features]
    if samples.kind != "array" or samples.sparse or samples.features.ndim != 2:
        return None
    columns: np.ndarray = samples.features
    return [pd.factorize(column)[0] for column in columns.T]


def _strata(samples: Samples) -> np.ndarray:
    """Return classes, or groups of similar targets; all the same without labels. ``(sample,)``"""
    if not samples.regression:
        classes: np.ndarray = np.nan_to_num(samples.labels)
        return classes
    bounds = np.quantile(samples.labels, np.linspace(0, 1, _TARGET_GROUPS + 1)[1:-1])
    groups: np.ndarray = np.searchsorted(bounds, samples.labels)
    return groups


def _shuffle(codes: list[np.ndarray], strata: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the columns, each shuffled within the strata, which are then in ascending order."""
    order = np.argsort(strata, kind="stable")
    ordered = strata[order]
    shuffled = []
    for column in codes:
        # Sorted by stratum, and in random order within.
        rows = order[np.lexsort((rng.random(len(order)), ordered))]
        shuffled.append(column[rows])
    return shuffled


def _count_equal(codes: list[np.ndarray]) -> int:
    """Return how many samples have the values of another sample in every column."""
    rows = np.zeros(len(codes[0]), dtype=np.int64)
    for column in codes:
        rows = np.unique(rows * (int(column.max()) + 2) + column + 1, return_inverse=True)[1].reshape(-1)
    return int((np.bincount(rows)[rows] > 1).sum())
