"""The figures of the report, as altair charts.

Fields have fixed names, and user strings appear only in the data, never in an expression. Counting is done here, so a page
holds some thousand numbers however many samples there are.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt
import numpy as np

from hardsight.attribution.names import FACTORS, NO_CAUSE, causes_in
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import group_by_class
from hardsight.errors import InputError
from hardsight.reporting.charts import apply_theme, colour_channel, inline_data, unique_names
from hardsight.reporting.formatting import UNITS, format_line, format_number, format_share, format_value
from hardsight.reporting.palette import COLOURS, SHAPES
from hardsight.reporting.summary import chance_level, is_mispredicted, summarize_causes, summarize_groups

_AS_GIVEN, _OTHERWISE = "predicted as labelled", "predicted differently"
_LOW, _HIGH = "predicted too low", "predicted too high"

HARDEST_POINTS = 1000
POINTS = 4000
LEDGER_CLASSES = 30
MATRIX_CLASSES, NUMBERED_CLASSES = 30, 12
_BINS, _FEW_BINS = 48, 20
# A bar that is this many times as high as the median bar would hide the others.
_TOWERING = 40

NO_LEDGER = "this result has no ledger: measure classes with loss='log' and at least two held-out views per sample"


class Bins(NamedTuple):
    """The counts of an error histogram."""

    edges: np.ndarray  # of the bins, (bin + 1,)
    as_labelled: np.ndarray  # samples that are predicted as labelled, or all samples if the bars are not split, (bin,) int64
    otherwise: np.ndarray  # samples that are predicted differently, (bin,) int64
    split: bool  # whether bars are split by the prediction
    log_error: bool  # whether the error's axis is logarithmic
    # Whether the axis of counts is logarithmic, because one bar towers over the others. Stacked parts mean nothing
    # on such an axis, so the bars are not split.
    log_count: bool


def histogram_bins(d: Difficulty) -> Bins:
    """Count samples by error. The error's axis is logarithmic if most errors are close to zero."""
    finite = np.isfinite(d.error)
    error = d.error[finite]
    mispredicted = np.zeros(len(error), dtype=bool) if d.classes is None else is_mispredicted(d)[finite]
    log_error = _spans_decades(error) and d.run.loss != "zero-one"
    chance = chance_level(d)
    edges = _bin_edges(error, chance.error if chance else 0.0, log_error)
    clipped = np.clip(error, edges[0], edges[-1])
    as_labelled, _ = np.histogram(clipped[~mispredicted], edges)
    otherwise, _ = np.histogram(clipped[mispredicted], edges)
    counts = as_labelled + otherwise
    filled = counts[counts > 0]
    log_count = not log_error and counts.max() > _TOWERING * float(np.median(filled)) and len(filled) > 2
    if log_count:
        as_labelled, otherwise = counts, np.zeros_like(counts)
    return Bins(edges, as_labelled, otherwise, d.classes is not None and not log_count, log_error, bool(log_count))


def histogram(d: Difficulty) -> alt.LayerChart:
    """Draw how many samples have which error, with a line at the error of knowing nothing."""
    bins = histogram_bins(d)
    scale = alt.Scale(
        type="log" if bins.log_error else "linear", domain=[float(bins.edges[0]), float(bins.edges[-1])], nice=False
    )
    layers: list[Any] = [_histogram_bars(bins, scale, UNITS.get(d.run.loss, d.run.loss))]
    chance = chance_level(d)
    if chance is not None and bins.edges[0] < chance.error < bins.edges[-1]:
        layers += _marker(chance.error, f"{chance.text} = {format_number(chance.error)}", bins, scale)
    return apply_theme(alt.LayerChart(layer=layers), 250)


def _histogram_bars(bins: Bins, scale: alt.Scale, unit: str) -> alt.Chart:
    edges = bins.edges
    highest = int((bins.as_labelled + bins.otherwise).max())
    if bins.log_count:
        y_scale = alt.Scale(type="symlog", domain=[0, highest * 1.6])
        y_axis = alt.Axis(values=[0, *_decades(1, highest)], format=",.6~g")
    else:
        y_scale = alt.Scale(type="linear", domain=[0, highest * 1.12])
        y_axis = alt.Axis(tickCount=4, format=",.6~g")
    x_axis = alt.Axis(values=_decades(edges[0], edges[-1]), format=",.6~g") if bins.log_error else alt.Axis(tickCount=6)
    tooltip = [alt.Tooltip("range:N", title="Error"), alt.Tooltip("count:Q", title="Samples", format=",")]
    colour: Any = alt.value(COLOURS["imbalance"])
    if bins.split:
        tooltip.append(alt.Tooltip("part:N", title="Of these"))
        colour = colour_channel([(_AS_GIVEN, "imbalance"), (_OTHERWISE, "noise")])
    chart: alt.Chart = (
        alt.Chart(inline_data(_bar_values(bins)))
        .mark_rect(stroke=None)
        .encode(
            x=alt.X("low:Q", scale=scale, axis=x_axis, title=f"error ({unit}){', log scale' * bins.log_error}"),
            x2="high:Q",
            y=alt.Y("from:Q", scale=y_scale, axis=y_axis, title="samples, log scale" if bins.log_count else "samples"),
            y2="to:Q",
            color=colour,
            tooltip=tooltip,
        )
    )
    return chart


def _bar_values(bins: Bins) -> list[dict[str, Any]]:
    edges, zero = bins.edges, np.zeros_like(bins.as_labelled)
    parts = [
        (_AS_GIVEN, zero, bins.as_labelled), (_OTHERWISE, bins.as_labelled, bins.as_labelled + bins.otherwise)
    ]  # fmt: skip
    return [
        {
            "low": float(edges[i]),
            "high": float(edges[i + 1]),
            "from": int(bottom[i]),
            "to": int(top[i]),
            "part": name,
            "range": f"{format_number(edges[i])} to {format_number(edges[i + 1])}",
            "count": int(top[i] - bottom[i]),
        }
        for name, bottom, top in parts
        for i in np.flatnonzero(top > bottom).tolist()
    ]


def _marker(error: float, text: str, bins: Bins, scale: alt.Scale) -> list[alt.Chart]:
    """Return a vertical line at an error, and its text on the side with more space."""
    low, high = bins.edges[0], bins.edges[-1]
    position = np.log(error / low) / np.log(high / low) if bins.log_error else (error - low) / (high - low)
    right = position > 0.5
    chart = alt.Chart(inline_data([{"at": error, "words": text}]))
    x = alt.X("at:Q", scale=scale)
    label = chart.mark_text(align="right" if right else "left", dx=-5 if right else 5, baseline="top", fontSize=11)
    return [
        chart.mark_rule(strokeDash=[4, 3], strokeWidth=1.2).encode(x=x),
        label.encode(x=x, y=alt.value(2), text="words:N"),
    ]


def bias_variance(d: Difficulty) -> alt.Chart:
    """Draw bias against variance, one point per sample, coloured by cause: the hardest and a random part of the others.

    Raises:
        InputError: no sample has a variance, because each has one view.
    """
    index = plotted_samples(d)
    if not len(index):
        raise InputError("no variance is known with one held-out view per sample: measure with repeats=2 or more")
    group, kinds = colour_groups(d)
    format_label = format_value if d.regression else _short_line
    names = zip(index, d.label_names(d.labels[index]), d.label_names(d.predicted[index]), strict=True)
    values = [
        {
            "bias": float(d.bias[i]),
            "variance": float(d.variance[i]),
            "group": group[i],
            "id": _short_line(d.ids[i]),
            "label": format_label(label),
            "predicted": format_label(predicted),
            "error": format_number(d.error[i]),
        }
        # The hardest are drawn last and so lie on top.
        for i, label, predicted in reversed(list(names))
    ]
    unit = UNITS.get(d.run.loss, d.run.loss)
    titles = {"id": "Id", "label": "Label", "predicted": "Predicted", "error": "Error"}
    chart: alt.Chart = point_chart(values, kinds).encode(
        x=_symlog_axis("bias", d.bias[index], f"bias ({unit})"),
        y=_symlog_axis("variance", d.variance[index], f"variance ({unit})"),
        tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()],
    )
    return apply_theme(chart, 250)


def point_chart(values: list[dict[str, Any]], groups: list[tuple[str, str]]) -> alt.Chart:
    """Return points whose colour and shape show their field "group"; ``groups`` as from :func:`colour_groups`."""
    shapes = alt.Scale(domain=[name for name, _ in groups], range=[SHAPES[like] for _, like in groups])
    chart: alt.Chart = (
        alt.Chart(inline_data(values))
        .mark_point(filled=True, size=22, opacity=0.75, strokeWidth=0)
        .encode(color=colour_channel(groups, "group"), shape=alt.Shape("group:N", scale=shapes, title=None))
    )
    return chart


def _short_line(value: Any) -> str:
    return format_line(value, 60)


def plotted_samples(d: Difficulty) -> np.ndarray:
    """Return positions of the samples that :func:`bias_variance` shows, hardest first."""
    return sample_points(d.ranking[np.isfinite(d.variance[d.ranking]) & np.isfinite(d.bias[d.ranking])])


def sample_points(ranking: np.ndarray, most: int = POINTS) -> np.ndarray:
    """Return the hardest of many samples and a random part of the others, or all if they are few.

    Args:
        ranking: positions, hardest first, ``(sample,)``.
        most: number of samples from which on some are left out.
    """
    if len(ranking) <= most:
        return ranking
    hardest, others = ranking[:HARDEST_POINTS], ranking[HARDEST_POINTS:]
    chosen = np.random.default_rng(0).choice(len(others), most - HARDEST_POINTS, replace=False)
    return np.concatenate([hardest, others[np.sort(chosen)]])


def ledger(d: Difficulty) -> alt.LayerChart:
    """Draw the mean of the four factors by class, or by label of several, stacked. Terms left of zero reduce the error.

    Raises:
        InputError: the result has no ledger.
    """
    _check_ledger(d)
    rows = summarize_groups(d)[:LEDGER_CLASSES]
    names = [format_line(row.name, 32) for row in rows]
    return stacked_bars(names, [row.terms for row in rows], f"mean error of the {group_by_class(d).noun} (nats)")


def ledger_by_cause(d: Difficulty) -> alt.LayerChart:
    """Draw the mean of the four factors over the samples of each cause, stacked.

    Raises:
        InputError: the result has no ledger.
    """
    _check_ledger(d)
    rows = [row for row in summarize_causes(d) if row.size]
    return stacked_bars([row.name for row in rows], [row.terms for row in rows], "mean error of the samples (nats)")


def transition(d: Difficulty) -> alt.LayerChart:
    """Draw the estimated P(given label | true label) as a heat map: one row per true class, wrong labels coloured.

    Raises:
        InputError: the result has no ledger.
    """
    if d.transition is None or d.classes is None:
        raise InputError(NO_LEDGER)
    names = unique_names([format_line(name, 32) for name in d.classes])
    axis: dict[str, Any] = {"labelLimit": 110, "ticks": False, "domain": False, "labelPadding": 5}
    few = len(names) <= NUMBERED_CLASSES
    angle = 0 if max(map(len, names)) < 3 else -60 if few else -90
    x_axis = alt.Axis(orient="top", labelAngle=angle, labelOverlap="parity", **axis)
    x = alt.X("given:N", sort=None, scale=alt.Scale(domain=names), title="given label", axis=x_axis)
    y = alt.Y("true:N", sort=None, scale=alt.Scale(domain=names), title="true label", axis=alt.Axis(**axis))
    colours = alt.Scale(domain=["right", "wrong"], range=[COLOURS[NO_CAUSE], COLOURS["noise"]])
    titles = {"true": "True label", "given": "Given label", "shown": "Share"}
    chart = alt.Chart(inline_data(_transition_cells(d.transition.to_numpy(), names)))
    cells = chart.mark_rect(stroke=None).encode(
        x=x,
        y=y,
        color=alt.Color("kind:N", scale=colours, legend=None),
        opacity=alt.Opacity("shade:Q", scale=None, legend=None),
        tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()],
    )
    numbers = [chart.mark_text(fontSize=11).encode(x=x, y=y, text="percent:N")] if few else []
    return apply_theme(alt.LayerChart(layer=[cells, *numbers]), max(len(names) * (26 if few else 16), 90))


def _transition_cells(shares: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    darkest = max(float((shares * (1 - np.eye(len(shares)))).max()), 0.05)
    return [
        {
            "true": true,
            "given": given,
            "kind": "right" if i == j else "wrong",
            "shade": 0.3 * shares[i, j] if i == j else 0.85 * shares[i, j] / darkest,
            "percent": f"{100 * shares[i, j]:.0f}" if shares[i, j] >= 0.005 else "",
            "shown": format_share(shares[i, j], 1),
        }
        for i, true in enumerate(names)
        for j, given in enumerate(names)
    ]


def _check_ledger(d: Difficulty) -> None:
    if d.ledger is None or d.factors is None or d.classes is None:
        raise InputError(NO_LEDGER)


def stacked_bars(names: list[str], terms: Sequence[Sequence[float]], title: str) -> alt.LayerChart:
    """Draw bars of the four factors and a tick at their sum.

    Args:
        terms: the factors of each bar, in the order of ``FACTORS``.
    """
    names = unique_names(names)
    rows = list(zip(names, terms, strict=True))
    bars = [
        {"row": name, "factor": factor, "rank": rank, "value": float(value), "shown": format_number(value)}
        for name, values in rows
        for rank, (factor, value) in enumerate(zip(FACTORS, values, strict=True))
    ]
    totals = [{"row": name, "value": float(sum(values)), "shown": format_number(sum(values))} for name, values in rows]
    # The order is that of the domain: a custom sort would carry the names into an expression.
    y_axis = alt.Axis(labelLimit=150, ticks=False, labelPadding=6)
    y = alt.Y("row:N", sort=None, scale=alt.Scale(domain=names), title=None, axis=y_axis)
    row_tip = alt.Tooltip("row:N", title="Of")
    stacked = (
        alt.Chart(inline_data(bars))
        .mark_bar(height=alt.RelativeBandSize(0.72))
        .encode(
            y=y,
            x=alt.X("value:Q", stack="zero", title=title, axis=alt.Axis(tickCount=6)),
            color=colour_channel([(name, name) for name in FACTORS], "factor"),
            order=alt.Order("rank:Q"),
            tooltip=[row_tip, alt.Tooltip("factor:N", title="Factor"), alt.Tooltip("shown:N", title="Mean")],
        )
    )
    total = (
        alt.Chart(inline_data(totals))
        .mark_tick(thickness=2)
        .encode(y=y, x="value:Q", tooltip=[row_tip, alt.Tooltip("shown:N", title="Mean error")])
    )
    return apply_theme(alt.LayerChart(layer=[stacked, total.properties(name="total")]), max(20 * len(names), 120))


def colour_groups(d: Difficulty) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Return each sample's group for the colour of its point, and per group the name whose colour and shape it takes."""
    if d.cause is not None:
        return d.cause, [(name, name) for name in causes_in(d.cause)]
    if d.regression:
        return np.where(d.predicted < d.labels, _LOW, _HIGH), [(_LOW, "imbalance"), (_HIGH, "noise")]
    return np.where(is_mispredicted(d), _OTHERWISE, _AS_GIVEN), [(_AS_GIVEN, "imbalance"), (_OTHERWISE, "noise")]


def _symlog_axis(field: str, values: np.ndarray, title: str) -> Any:
    """Return an axis that is logarithmic away from zero and linear near it, because a bias may be negative."""
    largest = float(np.abs(values).max()) or 1.0
    linear = 10.0 ** (np.floor(np.log10(largest)) - 2)
    decades = [linear * 10**power for power in range(4) if linear * 10**power <= largest]
    ticks = [*(-tick for tick in decades if -tick >= values.min()), 0.0, *decades]
    margin = 1.15
    low, high = float(min(values.min() * margin, 0.0)), float(max(values.max() * margin, linear))
    scale = alt.Scale(type="symlog", constant=linear, domain=[low, high], nice=False)
    axis = alt.Axis(values=sorted(ticks), format=",.6~g")
    return (alt.X if field == "bias" else alt.Y)(f"{field}:Q", scale=scale, axis=axis, title=title)


def _spans_decades(error: np.ndarray) -> bool:
    middle, high = np.quantile(error, [0.5, 0.99])
    return bool(middle > 0 and high > 10 * middle)


def _bin_edges(error: np.ndarray, chance: float, logarithmic: bool) -> np.ndarray:
    """Return the edges of the bins. They reach to chance if that leaves the samples enough space."""
    high = float(error.max())
    if logarithmic:
        low = max(float(error[error > 0].min()), high * 1e-6)
        edges: np.ndarray = np.geomspace(low, max(high, 1.05 * chance), _BINS + 1)
        return edges
    low = float(min(error.min(), 0.0))
    if high < chance < 2 * high:
        high = 1.05 * chance
    n_bins = _BINS if len(np.unique(error)) > _BINS else _FEW_BINS
    return np.linspace(low, high if high > low else low + 1, n_bins + 1)


def _decades(low: float, high: float) -> list[float]:
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    steps = (1, 3) if len(powers) < 4 else (1,)
    # Through text, so that 1e-5 is written as itself and not as 9.999999e-6.
    ticks = [float(f"{step}e{int(power)}") for power in powers for step in steps]
    return [tick for tick in ticks if low <= tick <= high]
