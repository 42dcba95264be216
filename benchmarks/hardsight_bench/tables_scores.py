"""Scores of what a method says about labels of which some are known to be wrong."""

import numpy as np
from sklearn.metrics import average_precision_score

from hardsight_bench.factors import calibration_error
from hardsight_bench.tables_methods import Findings

# Bands of P(wrong) above the threshold, by their lower and upper ends.
BANDS = ((0.5, 0.7), (0.7, 0.9), (0.9, 1.0))
_MIN_PER_BIN, _MAX_BINS = 50, 10


def equal_mass_calibration_error(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Return the calibration error over bins of equally many samples: ten, or as many as hold 50 samples each.

    >>> predicted = np.repeat([0.1, 0.9], 50)
    >>> equal_mass_calibration_error(predicted, predicted > 0.5).__round__(2)
    0.1
    """
    n_bins = max(1, min(_MAX_BINS, len(predicted) // _MIN_PER_BIN))
    bins = np.array_split(np.argsort(predicted, kind="stable"), n_bins)
    gaps = [abs(predicted[rows].mean() - observed[rows].mean()) * len(rows) for rows in bins]
    return float(sum(gaps) / len(predicted))


def score_findings(findings: Findings, noisy_labels: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Score what a method says; NaN where it says nothing.

    Args:
        findings: of the method.
        noisy_labels: labels that the method saw, ``(sample,)`` str.
        right: right labels, ``(sample,)`` str.

    Returns:
        ``average_precision``; ``flagged``, ``true_positives`` (wrong labels among these) and ``left`` (wrong labels after
        every flagged label is replaced by the suggestion); the calibration errors ``calibration`` (bins of equal mass) and
        ``calibration_width`` (ten of equal width); for each band the number of samples, and the sums of P(wrong) and of
        wrong labels.
    """
    wrong = noisy_labels != right
    scores = {"average_precision": float(average_precision_score(wrong, findings.score))}
    scores |= dict.fromkeys(("flagged", "true_positives", "left"), np.nan)
    if findings.flagged is not None and findings.suggested is not None:
        after = np.where(findings.flagged, findings.suggested, noisy_labels)
        scores["flagged"] = float(findings.flagged.sum())
        scores["true_positives"] = float((findings.flagged & wrong).sum())
        scores["left"] = float((after != right).sum())
    p = findings.p_wrong
    scores["calibration"] = np.nan if p is None else equal_mass_calibration_error(p, wrong)
    scores["calibration_width"] = np.nan if p is None else calibration_error(p, wrong)
    for band in BANDS:
        rows = np.zeros(len(wrong), bool) if p is None else _in_band(p, band)
        sums = (rows.sum(), 0.0 if p is None else p[rows].sum(), wrong[rows].sum())
        names = (band_column(band, each) for each in ("n", "p", "wrong"))
        scores |= {name: np.nan if p is None else float(value) for name, value in zip(names, sums, strict=True)}
    return scores


def band_column(band: tuple[float, float], quantity: str) -> str:
    """Return the column of a quantity of a band: "n", the sum "p" of P(wrong), or the number "wrong".

    >>> band_column((0.5, 0.7), "n")
    'band_50_n'
    """
    return f"band_{100 * band[0]:.0f}_{quantity}"


def _in_band(p: np.ndarray, band: tuple[float, float]) -> np.ndarray:
    rows: np.ndarray = (p > band[0]) & (p <= band[1])
    return rows
