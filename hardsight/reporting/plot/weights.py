"""Figures of weights: how they spread, and which samples get much."""

from typing import Any

import altair as alt
import numpy as np

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.reporting.formatting import UNITS, format_count, format_line, format_number, format_share
from hardsight.reporting.plot.theme import HEIGHT, without_config
from hardsight.reporting.report import figures
from hardsight.reporting.summary import loss

_BINS = 40


def weights(weights: Any, d: Difficulty | None = None) -> alt.LayerChart | alt.VConcatChart:
    """How many samples have which weight; with a result also the weight against the error, coloured by cause.

    The title tells the effective sample size, (sum w)² / sum w² (Kish 1965). Of more than 4,000 samples the lower part shows
    the 1,000 hardest and a random part of the others.

    Args:
        weights: ``(sample,)``, finite, 0 or more, as from :func:`hardsight.weigh`.
        d: what was measured of the same samples in the same order.

    Raises:
        InputError: weights that are none, or of another number than the samples.
    """
    given = _checked(weights, d)
    spread = _histogram(given)
    if d is None:
        return spread
    above = alt.vconcat(spread.properties(height=HEIGHT // 2), _against_error(given, d))
    both: alt.VConcatChart = above.resolve_scale(color="independent", shape="independent", x="independent")
    return both


def _checked(weights: Any, d: Difficulty | None) -> np.ndarray:
    try:
        given = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"weights must be numbers, one a sample. Got {type(weights).__name__}: give what weigh gives"
        ) from None
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise InputError("weights must be a row of finite numbers, 0 or more and not all 0, one a sample")
    if d is not None and len(given) != len(d):
        raise InputError(
            f"there are {len(given):,} weights for {len(d):,} samples: give one a sample, in the order of the result"
        )
    return given


def _histogram(weights: np.ndarray) -> alt.LayerChart:
    counts, edges = np.histogram(weights, bins=_BINS, range=(0.0, float(weights.max())))
    values = [
        {
            "low": float(edges[i]),
            "high": float(edges[i + 1]),
            "samples": int(counts[i]),
            "range": f"{format_number(edges[i])} to {format_number(edges[i + 1])}",
        }
        for i in np.flatnonzero(counts)
    ]
    domain = alt.Scale(domain=[0, float(edges[-1])], nice=False)
    bars = (
        alt.Chart(figures.inline_data([value | {"none": 0} for value in values]))
        .mark_rect(stroke=None, color=figures.COLOURS["imbalance"])
        .encode(
            x=alt.X("low:Q", scale=domain, title="weight", axis=alt.Axis(tickCount=6)),
            x2="high:Q",
            y=alt.Y("none:Q", title="samples", axis=alt.Axis(tickCount=4, format=",.6~g")),
            y2="samples:Q",
            tooltip=[alt.Tooltip("range:N", title="Weight"), alt.Tooltip("samples:Q", title="Samples", format=",")],
        )
    )
    mean = float(weights.mean())
    rule = alt.Chart(figures.inline_data([{"mean": mean}])).mark_rule(strokeDash=[4, 3], strokeWidth=1.2)
    worth, zero = float(weights.sum() ** 2 / np.square(weights).sum()), int((weights == 0).sum())
    return without_config(
        alt.LayerChart(layer=[bars, rule.encode(x=alt.X("mean:Q", scale=domain))]),
        f"{format_count(len(weights), 'weight')}, worth {worth:,.0f} equal ones ({format_share(worth, len(weights))}); {zero:,} are 0; "
        f"line: the mean, {format_number(mean)}",
    )


def _against_error(weights: np.ndarray, d: Difficulty) -> alt.Chart:
    at = figures.sample_points(d.ranking[np.isfinite(d.error[d.ranking])])
    group, kinds = figures.colour_groups(d)
    values = [
        {
            "error": float(d.error[i]),
            "weight": float(weights[i]),
            "group": str(group[i]),
            "id": format_line(d.ids[i], 60),
            "shown": f"{format_number(weights[i])}, error {format_number(d.error[i])}",
        }
        for i in reversed(at.tolist())
    ]
    unit = UNITS.get(loss(d), loss(d))
    # Linear up to the usual error and logarithmic beyond: the errors of confident mistakes are many times the usual one.
    usual, largest = max(float(np.median(d.error[at])), 1e-9), float(d.error[at].max())
    scale = alt.Scale(type="symlog", constant=usual)
    axis = alt.Axis(values=_ticks(usual, largest), format=",.6~g")
    chart: alt.Chart = (
        alt.Chart(figures.inline_data(values))
        .mark_point(filled=True, size=22, opacity=0.75, strokeWidth=0)
        .encode(
            x=alt.X("error:Q", title=f"error ({unit})", scale=scale, axis=axis),
            y=alt.Y("weight:Q", title="weight", axis=alt.Axis(tickCount=5)),
            color=figures.colour_channel(kinds, "group"),
            shape=alt.Shape(
                "group:N",
                scale=alt.Scale(domain=[kind for kind, _ in kinds], range=[figures.SHAPES[like] for _, like in kinds]),
                title=None,
            ),
            tooltip=[alt.Tooltip("id:N", title="Id"), alt.Tooltip("shown:N", title="Weight")],
        )
    )
    return without_config(chart)


def _ticks(usual: float, largest: float) -> list[float]:
    """Zero, and ones and threes of every power of ten from a third of the usual error on."""
    first, last = int(np.floor(np.log10(usual))) - 1, int(np.ceil(np.log10(max(largest, usual))))
    # Through text, so that 1e-5 is written as itself and not as 9.999999e-6.
    steps = [float(f"{step}e{power}") for power in range(first, last + 1) for step in (1, 3)]
    return [0.0, *(step for step in steps if usual / 3 <= step <= largest)]
