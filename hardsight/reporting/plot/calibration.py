"""The reliability diagram: how often predictions of each probability are right."""

from typing import Any, NamedTuple

import altair as alt
import numpy as np

from hardsight.data.alignment import align_to_ids
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.reporting.charts import inline_data
from hardsight.reporting.formatting import format_count, format_number
from hardsight.reporting.palette import COLOURS, FAINT
from hardsight.reporting.plot.theme import check_not_empty, without_config

BINS = 10
# Normal quantile of a 95 % interval (Wilson 1927).
_Z = 1.96


class Bin(NamedTuple):
    """Samples with similar probabilities."""

    stated: float  # mean of the stated probabilities
    happened: float  # share of samples for which the event happened
    low: float  # lower end of its 95 % interval
    high: float  # upper end
    size: int  # number of samples


def calibration(d: Difficulty, wrong: Any = None) -> alt.LayerChart:
    """Draw how often events of each stated probability happened, in ten bins of equal width (Guo et al. 2017).

    Without ``wrong``, this checks the models: the consensus' probability of the class that it predicts, against how often
    that is the given label. Wrong labels count against the models, so noisy data look overconfident. With ``wrong``, it
    checks the label model: P(label wrong) against how often the label was wrong.

    Args:
        d: a result of classes, with a ledger if ``wrong`` is given.
        wrong: which labels are known to be wrong, ``(sample,)`` bool, in the order of ``d``.

    Raises:
        InputError: no probabilities are known, or ``wrong`` has another shape or other values.
    """
    check_not_empty(d)
    if wrong is None:
        if d.consensus is None:
            raise InputError("this result has no class probabilities to check: measure classes")
        stated, happened = np.exp(d.consensus.max(1)), d.predicted == d.labels
        titles = "probability of the predicted class", "share labelled so"
    else:
        if d.p_wrong is None:
            raise InputError(
                "this result has no P(label wrong): measure classes with loss='log' and at least two held-out views per "
                "sample"
            )
        stated, happened = d.p_wrong, _check_mask(wrong, d.ids)
        titles = "P(label wrong)", "share that was wrong"
    bins = reliability(stated, happened)
    gap = sum(each.size * abs(each.stated - each.happened) for each in bins) / max(len(stated), 1)
    title = f"expected calibration error {format_number(gap)}, {format_count(len(stated), 'sample')}"
    return _draw(bins, *titles, title)


def reliability(stated: np.ndarray, happened: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Return bins of equal width, lowest first, without the empty ones.

    Args:
        stated: probabilities, ``(sample,)``.
        happened: whether the event happened, ``(sample,)`` bool.

    >>> [each.size for each in reliability(np.array([0.0, 0.05, 1.0]), np.array([False, True, True]))]
    [2, 1]
    """
    index = np.minimum((stated * bins).astype(np.int64), bins - 1)
    filled = []
    for i in np.unique(index):
        mask = index == i
        n, share = int(mask.sum()), float(happened[mask].mean())
        squared = _Z**2 / n
        middle, half = share + squared / 2, _Z * np.sqrt(share * (1 - share) / n + squared / (4 * n))
        low, high = (middle - half) / (1 + squared), (middle + half) / (1 + squared)
        filled.append(Bin(float(stated[mask].mean()), share, float(max(low, 0)), float(min(high, 1)), n))
    return filled


def _check_mask(wrong: Any, ids: np.ndarray) -> np.ndarray:
    mask, samples = np.asarray(align_to_ids("wrong", wrong, ids)), len(ids)
    if mask.shape != (samples,) or mask.dtype != bool:
        raise InputError(
            f"wrong must be a boolean array of shape ({samples},), one value per sample in the order of the result. Got "
            f"{mask.dtype} {mask.shape}"
        )
    return mask


def _draw(bins: list[Bin], stated: str, happened: str, title: str) -> alt.LayerChart:
    values = [each._asdict() | {"shown": _format_share(each)} for each in bins]
    unit = alt.Scale(domain=[0, 1], nice=False)
    # The offset leaves space for points at 0.
    axis = alt.Axis(tickCount=5, offset=8)
    x = alt.X("stated:Q", scale=unit, title=stated, axis=axis)
    y = alt.Y("happened:Q", scale=unit, title=happened, axis=axis)
    largest = max((each.size for each in bins), default=1)
    size = alt.Size(
        "size:Q",
        scale=alt.Scale(type="sqrt", domain=[1, largest + 1], range=[20, 200]),
        legend=alt.Legend(title="samples", values=[10**power for power in range(len(str(largest)))], format=",d"),
    )
    tooltip = [
        alt.Tooltip("stated:Q", title="Stated", format=".3f"),
        alt.Tooltip("shown:N", title="Happened (95 %)"),
        alt.Tooltip("size:Q", title="Samples", format=","),
    ]
    base = alt.Chart(inline_data(values)).encode(x=x, tooltip=tooltip)
    diagonal = alt.Chart(inline_data([{"stated": 0, "happened": 0}, {"stated": 1, "happened": 1}]))
    low = alt.Y("low:Q", scale=unit, title=happened, axis=axis)
    colour = COLOURS["imbalance"]
    layers = [
        diagonal.mark_line(strokeDash=[4, 3], strokeWidth=1.2, color=FAINT).encode(x=x, y=y),
        base.mark_rule(strokeWidth=1.5, color=colour, opacity=0.7).encode(y=low, y2="high:Q"),
        base.mark_point(filled=True, opacity=1, color=colour).encode(y=y, size=size),
    ]
    return without_config(alt.LayerChart(layer=layers), title)


def _format_share(each: Bin) -> str:
    return f"{format_number(each.happened)} ({format_number(each.low, 2)} to {format_number(each.high, 2)})"
