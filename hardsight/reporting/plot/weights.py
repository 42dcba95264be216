"""Figures of weights: how they are distributed, and which samples get large ones."""

from typing import Any

import altair as alt
import numpy as np

from hardsight.data.alignment import align_to_ids
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.reporting.charts import inline_data
from hardsight.reporting.formatting import UNITS, format_count, format_line, format_number, format_share
from hardsight.reporting.palette import COLOURS
from hardsight.reporting.plot.theme import HEIGHT, without_config
from hardsight.reporting.report.figures import colour_groups, point_chart, sample_points

_BINS = 40


def weights(weights: Any, d: Difficulty | None = None) -> alt.LayerChart | alt.VConcatChart:
    """Draw how many samples have which weight; with a result also the weight against the error, coloured by cause.

    The title gives the effective sample size, (sum w)² / sum w² (Kish 1965). Of more than 4,000 samples the lower part shows
    the 1,000 hardest and a random part of the others.

    Args:
        weights: ``(sample,)``, finite, 0 or more, as from :func:`hardsight.weigh`.
        d: the result for the same samples in the same order.

    Raises:
        InputError: these are no weights, or their number is not that of the samples.
    """
    checked = _check_weights(weights, d)
    histogram = _histogram(checked)
    if d is None:
        return histogram
    stacked = alt.vconcat(histogram.properties(height=HEIGHT // 2), _against_error(checked, d))
    chart: alt.VConcatChart = stacked.resolve_scale(color="independent", shape="independent", x="independent")
    return chart


def _check_weights(weights: Any, d: Difficulty | None) -> np.ndarray:
    try:
        values = np.asarray(weights if d is None else align_to_ids("weights", weights, d.ids), dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"weights must be numbers, one per sample, such as hs.weigh returns. Got {type(weights).__name__}"
        ) from None
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InputError("weights must be one finite number per sample, 0 or more and not all 0")
    if d is not None and len(values) != len(d):
        raise InputError(
            f"weights must have one value per sample, in the order of the result. Got {len(values):,} for {len(d):,} samples"
        )
    return values


def _histogram(weights: np.ndarray) -> alt.LayerChart:
    counts, edges = np.histogram(weights, bins=_BINS, range=(0.0, float(weights.max())))
    values = [
        {
            "low": float(edges[i]),
            "high": float(edges[i + 1]),
            "samples": int(counts[i]),
            "range": f"{format_number(edges[i])} to {format_number(edges[i + 1])}",
            "none": 0,
        }
        for i in np.flatnonzero(counts)
    ]
    scale = alt.Scale(domain=[0, float(edges[-1])], nice=False)
    bars = (
        alt.Chart(inline_data(values))
        .mark_rect(stroke=None, color=COLOURS["imbalance"])
        .encode(
            x=alt.X("low:Q", scale=scale, title="weight", axis=alt.Axis(tickCount=6)),
            x2="high:Q",
            y=alt.Y("none:Q", title="samples", axis=alt.Axis(tickCount=4, format=",.6~g")),
            y2="samples:Q",
            tooltip=[alt.Tooltip("range:N", title="Weight"), alt.Tooltip("samples:Q", title="Samples", format=",")],
        )
    )
    mean = float(weights.mean())
    line = alt.Chart(inline_data([{"mean": mean}])).mark_rule(strokeDash=[4, 3], strokeWidth=1.2)
    effective, zeros = float(weights.sum() ** 2 / np.square(weights).sum()), int((weights == 0).sum())
    return without_config(
        alt.LayerChart(layer=[bars, line.encode(x=alt.X("mean:Q", scale=scale))]),
        f"{format_count(len(weights), 'weight')}, worth {effective:,.0f} equal ones "
        f"({format_share(effective, len(weights))}); {zeros:,} are 0; line: the mean, {format_number(mean)}",
    )


def _against_error(weights: np.ndarray, d: Difficulty) -> alt.Chart:
    index = sample_points(d.ranking[np.isfinite(d.error[d.ranking])])
    group, groups = colour_groups(d)
    values = [
        {
            "error": float(d.error[i]),
            "weight": float(weights[i]),
            "group": str(group[i]),
            "id": format_line(d.ids[i], 60),
            "shown": f"{format_number(weights[i])}, error {format_number(d.error[i])}",
        }
        for i in reversed(index.tolist())
    ]
    # Linear up to the usual error and logarithmic beyond: confident mistakes have many times the usual error.
    usual, largest = max(float(np.median(d.error[index])), 1e-9), float(d.error[index].max())
    axis = alt.Axis(values=_ticks(usual, largest), format=",.6~g")
    title = f"error ({UNITS.get(d.run.loss, d.run.loss)})"
    chart: alt.Chart = point_chart(values, groups).encode(
        x=alt.X("error:Q", title=title, scale=alt.Scale(type="symlog", constant=usual), axis=axis),
        y=alt.Y("weight:Q", title="weight", axis=alt.Axis(tickCount=5)),
        tooltip=[alt.Tooltip("id:N", title="Id"), alt.Tooltip("shown:N", title="Weight")],
    )
    return without_config(chart)


def _ticks(usual: float, largest: float) -> list[float]:
    """Return zero, and one and three times every power of ten, from a third of the usual error."""
    first, last = int(np.floor(np.log10(usual))) - 1, int(np.ceil(np.log10(max(largest, usual))))
    # Through text, so that 1e-5 is written as itself and not as 9.999999e-6.
    steps = [float(f"{step}e{power}") for power in range(first, last + 1) for step in (1, 3)]
    return [0.0, *(step for step in steps if usual / 3 <= step <= largest)]
