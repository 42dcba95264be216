"""Whether probabilities are frequencies: the reliability diagram."""

from typing import Any, NamedTuple

import altair as alt
import numpy as np

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.reporting.formatting import format_count, format_number
from hardsight.reporting.plot.theme import FAINT, check_not_empty, without_config
from hardsight.reporting.report.figures import COLOURS, inline_data

BINS = 10
# Wilson 1927: of a normal distribution, 95 % lie as many standard deviations about its mean.
_SURE = 1.96


class Bin(NamedTuple):
    """Samples of like probability: the mean of what was stated, how often it happened, and that one's 95 % interval."""

    stated: float
    happened: float
    low: float
    high: float
    size: int


def calibration(d: Difficulty, wrong: Any = None) -> alt.LayerChart:
    """How often what was stated with some probability happened, in ten bins of equal width (Guo et al. 2017).

    Without ``wrong`` it asks the models: the consensus' probability of the class that it predicts, against how often that is
    the label given. Wrong labels count against the models here, so noisy data look overconfident. With ``wrong`` it asks the
    label model: P(label wrong) against how often it was.

    Args:
        d: of classes; with a ledger where ``wrong`` is given.
        wrong: which labels are known to be wrong, ``(sample,)`` bool, in the order of ``d``.

    Raises:
        InputError: no probabilities are known, or ``wrong`` has another shape or other values.
    """
    check_not_empty(d)
    if wrong is None:
        if d.consensus is None:
            raise InputError(
                "there are no probabilities of classes here, whose calibration could be shown: measure classes"
            )
        stated, happened = np.exp(d.consensus.max(1)), d.predicted == d.labels
        names = "probability of the predicted class", "share labelled so"
    else:
        if d.p_wrong is None:
            raise InputError(
                "this result has no P(label wrong): measure classes with loss='log' and at least two held-out views a sample"
            )
        stated, happened = d.p_wrong, _mask(wrong, len(d))
        names = "P(label wrong)", "share that was wrong"
    found = reliability(stated, happened)
    gap = sum(each.size * abs(each.stated - each.happened) for each in found) / max(len(stated), 1)
    return _drawn(
        found, *names, f"expected calibration error {format_number(gap)}, {format_count(len(stated), 'sample')}"
    )


def reliability(stated: np.ndarray, happened: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Bins of equal width, lowest first, without the empty ones.

    Args:
        stated: probabilities, ``(sample,)``.
        happened: whether it did, ``(sample,)`` bool.
        bins: how many.

    >>> [each.size for each in reliability(np.array([0.0, 0.05, 1.0]), np.array([False, True, True]))]
    [2, 1]
    """
    at = np.minimum((stated * bins).astype(np.int64), bins - 1)
    found = []
    for each in np.unique(at):
        inside = at == each
        n, share = int(inside.sum()), float(happened[inside].mean())
        squared = _SURE**2 / n
        middle, half = share + squared / 2, _SURE * np.sqrt(share * (1 - share) / n + squared / (4 * n))
        low, high = (middle - half) / (1 + squared), (middle + half) / (1 + squared)
        found.append(Bin(float(stated[inside].mean()), share, float(max(low, 0)), float(min(high, 1)), n))
    return found


def _mask(wrong: Any, samples: int) -> np.ndarray:
    mask = np.asarray(wrong)
    if mask.shape != (samples,) or mask.dtype != bool:
        raise InputError(
            f"wrong must be a boolean array of shape ({samples},), one value a sample in the order of the result. Got "
            f"{mask.dtype} {mask.shape}"
        )
    return mask


def _round(most: int) -> list[int]:
    """One and the powers of ten up to the largest count."""
    return [10**power for power in range(len(str(most)))]


def _drawn(found: list[Bin], stated: str, happened: str, title: str) -> alt.LayerChart:
    values = [
        each._asdict()
        | {"shown": f"{format_number(each.happened)} ({format_number(each.low, 2)} to {format_number(each.high, 2)})"}
        for each in found
    ]
    unit = alt.Scale(domain=[0, 1], nice=False)
    # Room for the points that lie at 0.
    axis = alt.Axis(tickCount=5, offset=8)
    x, y = (
        alt.X("stated:Q", scale=unit, title=stated, axis=axis),
        alt.Y("happened:Q", scale=unit, title=happened, axis=axis),
    )
    base = alt.Chart(inline_data(values)).encode(
        x=x,
        tooltip=[
            alt.Tooltip("stated:Q", title="Stated", format=".3f"),
            alt.Tooltip("shown:N", title="Happened (95 %)"),
            alt.Tooltip("size:Q", title="Samples", format=","),
        ],
    )
    diagonal = alt.Chart(inline_data([{"stated": 0, "happened": 0}, {"stated": 1, "happened": 1}]))
    size = alt.Size(
        "size:Q",
        scale=alt.Scale(type="sqrt", domain=[1, max((each.size for each in found), default=1) + 1], range=[20, 200]),
        legend=alt.Legend(title="samples", values=_round(max((each.size for each in found), default=1)), format=",d"),
    )
    colour = COLOURS["imbalance"]
    return without_config(
        alt.LayerChart(
            layer=[
                diagonal.mark_line(strokeDash=[4, 3], strokeWidth=1.2, color=FAINT).encode(x=x, y=y),
                base.mark_rule(strokeWidth=1.5, color=colour, opacity=0.7).encode(
                    y=alt.Y("low:Q", scale=unit, title=happened, axis=axis), y2="high:Q"
                ),
                base.mark_point(filled=True, opacity=1, color=colour).encode(y=y, size=size),
            ]
        ),
        title,
    )
