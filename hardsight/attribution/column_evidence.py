r"""Which columns of a table speak for one label of a sample against another, judged by the nearest samples of each label.

For every sample the 20 nearest samples of either label are found. A column's evidence is the log of how much likelier the
sample's value is among those of the one label than among those of the other: for numbers under normal distributions of the
two means and a common variance, for categories by their shares. Nearest samples differ in little but what tells the labels
apart, so columns that matter only elsewhere, or not at all, have no say. Columns are judged one by one (naive Bayes); what
only two columns together show is not seen.
"""

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from hardsight.attribution.neighbours import fit_scaler
from hardsight.resampling.spacing import evenly_spaced

N_NEAREST = 20
# Evidence that is worth a mention, in nats.
MIN_EVIDENCE = 1.0
# Level of the test, over all columns, that two means differ.
_LEVEL = 0.05
# Samples of one label among which neighbours are searched.
_MAX_REFERENCE = 2_000
# Shares of categories are drawn towards those of all samples as if so many more neighbours had been seen.
_PSEUDO_COUNT = 2.0
# Standardised numbers are clipped here, so that one typing error among the neighbours does not decide.
_MAX_DEVIATION = 8.0
_QUARTILES_OF_NORMAL = 1.349


class NearestByLabel(NamedTuple):
    """The nearest samples of two labels, for some samples: positions ``(row, 20)``, nearest first; -1 if there are fewer."""

    given: Int64[np.ndarray, "row nearest"]
    other: Int64[np.ndarray, "row nearest"]


def find_nearest_by_label(
    matrix: np.ndarray, labels: np.ndarray, trusted: np.ndarray, rows: np.ndarray, other: np.ndarray
) -> NearestByLabel:
    """Find the nearest trusted samples of the given label, and of another one, for some samples.

    Up to 2,000 samples of each label are searched, evenly spread over the order given.

    Args:
        matrix: the numbers that learners read, ``(sample, feature)``; NaN is missing. They are standardised.
        labels: class codes, ``(sample,)``.
        trusted: samples whose labels are likely right, ``(sample,)`` bool.
        rows: positions of the samples asked about, ``(row,)``.
        other: the other class code of each, ``(row,)``.
    """
    pairs = np.stack([labels[rows], other])
    references = {}
    for code in np.unique(pairs).tolist():
        members = np.flatnonzero(trusted & (labels == code))
        references[code] = members[evenly_spaced(len(members), _MAX_REFERENCE)]
    scale = fit_scaler(np.asarray(matrix[np.concatenate(list(references.values()))], dtype=np.float64))
    nearest = np.full((2, len(rows), N_NEAREST), -1)
    for code, reference in references.items():
        side, at = np.nonzero(pairs == code)
        if len(reference):
            nearest[side, at] = _search(matrix, scale, reference, rows[at])
    return NearestByLabel(*nearest)


def _search(
    matrix: np.ndarray, scale: Callable[[np.ndarray], np.ndarray], reference: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Return positions of the nearest of the reference for each row, itself left out, ``(row, 20)``."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(N_NEAREST + 1, len(reference)), algorithm="brute", n_jobs=1)
    search.fit(scale(np.asarray(matrix[reference], dtype=np.float64)))
    positions = reference[search.kneighbors(scale(np.asarray(matrix[rows], dtype=np.float64)), return_distance=False)]
    # A stable sort moves the sample itself behind all others.
    itself = positions == rows[:, None]
    order = np.argsort(itself, axis=1, kind="stable")
    positions = np.where(np.take_along_axis(itself, order, 1), -1, np.take_along_axis(positions, order, 1))[:, :N_NEAREST]
    return np.pad(positions, ((0, 0), (0, N_NEAREST - positions.shape[1])), constant_values=-1)


def weigh_numbers(
    values: Float64[np.ndarray, " sample"], rows: np.ndarray, nearest: NearestByLabel, n_columns: int
) -> np.ndarray:
    """Return a numeric column's evidence for the other label, in nats, ``(row,)``; 0 where the means do not differ.

    Args:
        values: of the column; NaN is missing.
        rows: positions of the samples asked about, ``(row,)``.
        nearest: of the same samples.
        n_columns: number of columns that are judged; the more there are, the farther apart the means must be.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(len(rows))
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    spread = (high - low) / _QUARTILES_OF_NORMAL or float(known.std())
    if not spread > 0:
        return np.zeros(len(rows))
    z = np.clip((values - middle) / spread, -_MAX_DEVIATION, _MAX_DEVIATION)
    groups = [np.where(side >= 0, z[side], np.nan) for side in nearest]
    counts = [np.isfinite(group).sum(1) for group in groups]
    means = [np.nansum(group, 1) / np.maximum(count, 1) for group, count in zip(groups, counts, strict=True)]
    squares = sum(np.nansum((group - mean[:, None]) ** 2, 1) for group, mean in zip(groups, means, strict=True))
    # The variance of the whole column counts as one more neighbour.
    variance = (squares + 1.0) / np.maximum(counts[0] + counts[1] - 1, 1)
    evidence = ((z[rows] - means[0]) ** 2 - (z[rows] - means[1]) ** 2) / (2 * variance)
    error = np.sqrt(variance * sum(1 / np.maximum(count, 1) for count in counts))
    differs = np.abs(means[1] - means[0]) > -NormalDist().inv_cdf(_LEVEL / (2 * n_columns)) * error
    return np.where(differs & (counts[0] > 0) & (counts[1] > 0) & np.isfinite(evidence), evidence, 0.0)


def weigh_categories(codes: Int64[np.ndarray, " sample"], rows: np.ndarray, nearest: NearestByLabel) -> np.ndarray:
    """Return a categorical column's evidence for the other label, in nats, ``(row,)``.

    Args:
        codes: of the categories, ``(sample,)``; -1 is missing, a category of its own.
        rows, nearest: as in :func:`weigh_numbers`.
    """
    share = (np.bincount(codes + 1) / max(len(codes), 1))[codes[rows] + 1]
    log_shares = []
    for side in nearest:
        known = side >= 0
        same = (known & (codes[side] == codes[rows][:, None])).sum(1)
        log_shares.append(np.log((same + _PSEUDO_COUNT * share) / (known.sum(1) + _PSEUDO_COUNT)))
    evidence: np.ndarray = log_shares[1] - log_shares[0]
    return evidence


def strongest_columns(evidence: Sequence[np.ndarray], n: int) -> list[list[int]]:
    """Return the ``n`` columns with the most evidence for the other label, of those worth a mention, for each sample.

    Args:
        evidence: of each column, ``(row,)``.
    """
    if not len(evidence):
        return []
    table = np.stack(evidence, axis=1)
    order = np.argsort(-table, axis=1, kind="stable")[:, :n]
    return [[at for at in best if values[at] >= MIN_EVIDENCE] for best, values in zip(order.tolist(), table, strict=True)]
