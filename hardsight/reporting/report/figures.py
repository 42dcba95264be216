"""The figures, as altair charts.

Fields carry fixed names and user strings only ever stand in the data, never in an expression. What is counted is
counted here, so that a page holds some thousand numbers however many samples there are.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import altair as alt
import numpy as np

from hardsight.attribution.names import FACTORS
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.reporting.formatting import UNITS, format_line, format_number, format_share, format_value
from hardsight.reporting.summary import NONE, chance_level, is_mispredicted, loss, summarize_causes, summarize_groups

# Okabe and Ito 2008, *Color Universal Design*: of their eight, those with 3:1 contrast on white and on near-black.
COLOURS = {"noise": "#D55E00", "imbalance": "#0072B2", "margin": "#CC79A7", "uncertainty": "#009E73", NONE: "#85898F"}
SHAPES = {"noise": "circle", "imbalance": "square", "margin": "triangle-up", "uncertainty": "diamond", NONE: "circle"}
_AS_GIVEN, _OTHERWISE = "predicted as labelled", "predicted otherwise"
_LOW, _HIGH = "predicted too low", "predicted too high"

HARDEST_POINTS = 1000
POINTS = 4000
LEDGER_CLASSES = 30
MATRIX_CLASSES, NUMBERED_CLASSES = 30, 12
_BINS = 48

_NO_LEDGER = "this result has no ledger: measure classes with loss='log' and at least two held-out views a sample"

Chart = TypeVar("Chart", alt.Chart, alt.LayerChart)


def histogram(d: Difficulty) -> alt.LayerChart:
    """How many samples have which error; the error's axis is logarithmic where most of them are close to zero."""
    error = d.error[np.isfinite(d.error)]
    miss = np.zeros(len(error), dtype=bool) if d.classes is None else is_mispredicted(d)[np.isfinite(d.error)]
    logarithmic = _spans_decades(error) and loss(d) != "zero-one"
    mark = chance_level(d)
    edges = _edges(error, mark.error if mark else 0.0, logarithmic)
    clipped = np.clip(error, edges[0], edges[-1])
    right, _ = np.histogram(clipped[~miss], edges)
    other, _ = np.histogram(clipped[miss], edges)
    tallest = int((right + other).max())
    # A single bar that towers over all others would hide them; stacked parts mean nothing on a logarithmic axis.
    filled = (right + other)[right + other > 0]
    towering = not logarithmic and tallest > 40 * float(np.median(filled)) and len(filled) > 2
    if towering:
        right, other = right + other, np.zeros_like(other)
    parts = [(_AS_GIVEN, np.zeros_like(right), right), (_OTHERWISE, right, right + other)]
    values = [
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
        for i in range(len(right))
        if top[i] > bottom[i]
    ]
    x_scale = alt.Scale(type="log" if logarithmic else "linear", domain=[float(edges[0]), float(edges[-1])], nice=False)
    axis = alt.Axis(values=_decades(edges[0], edges[-1]), format=",.6~g") if logarithmic else alt.Axis(tickCount=6)
    unit = UNITS.get(loss(d), loss(d))
    y_scale = alt.Scale(type="symlog" if towering else "linear", domain=[0, tallest * (1.6 if towering else 1.12)])
    y_axis = (
        alt.Axis(values=[0, *_decades(1, tallest)], format=",.6~g")
        if towering
        else alt.Axis(tickCount=4, format=",.6~g")
    )
    plain = d.classes is None or towering
    bars = (
        alt.Chart(inline_data(values))
        .mark_rect(stroke=None)
        .encode(
            x=alt.X("low:Q", scale=x_scale, axis=axis, title=f"error ({unit}){', log scale' if logarithmic else ''}"),
            x2="high:Q",
            y=alt.Y("from:Q", scale=y_scale, axis=y_axis, title="samples, log scale" if towering else "samples"),
            y2="to:Q",
            color=alt.value(COLOURS["imbalance"])
            if plain
            else colour_channel([(_AS_GIVEN, "imbalance"), (_OTHERWISE, "noise")]),
            tooltip=[
                alt.Tooltip("range:N", title="Error"),
                alt.Tooltip("count:Q", title="Samples", format=","),
                *([] if plain else [alt.Tooltip("part:N", title="Of these")]),
            ],
        )
    )
    layers: list[Any] = [bars]
    if mark is not None and edges[0] < mark.error < edges[-1]:
        spot = _place(mark.error, edges[0], edges[-1], logarithmic)
        at = alt.Chart(inline_data([{"at": mark.error, "words": f"{mark.words} = {format_number(mark.error)}"}]))
        layers.append(at.mark_rule(strokeDash=[4, 3], strokeWidth=1.2).encode(x=alt.X("at:Q", scale=x_scale)))
        layers.append(
            at.mark_text(
                align="right" if spot > 0.5 else "left", dx=-5 if spot > 0.5 else 5, baseline="top", fontSize=11
            ).encode(x=alt.X("at:Q", scale=x_scale), y=alt.value(2), text="words:N")
        )
    return apply_theme(alt.LayerChart(layer=layers), 250)


def bias_variance(d: Difficulty) -> alt.Chart:
    """Bias against variance, a point a sample: the hardest and a random part of the others, coloured by cause.

    Raises:
        InputError: no sample has a variance, because each was judged once.
    """
    at = plotted_samples(d)
    if not len(at):
        raise InputError("no variance is known with one held-out view a sample: measure with repeats=2 or more")
    group, kinds = colour_groups(d)
    name = d.label_names(d.labels[at]), d.label_names(d.predicted[at])
    values = [
        {
            "bias": float(d.bias[i]),
            "variance": float(d.variance[i]),
            "group": group[i],
            "id": format_line(d.ids[i], 60),
            "label": format_value(label) if d.regression else format_line(label, 60),
            "predicted": format_value(predicted) if d.regression else format_line(predicted, 60),
            "error": format_number(d.error[i]),
        }
        # The hardest are drawn last and so lie on top.
        for i, label, predicted in reversed(list(zip(at, *name, strict=True)))
    ]
    unit = UNITS.get(loss(d), loss(d))
    chart: alt.Chart = (
        alt.Chart(inline_data(values))
        .mark_point(filled=True, size=22, opacity=0.75, strokeWidth=0)
        .encode(
            x=_symlog("bias", d.bias[at], f"bias ({unit})"),
            y=_symlog("variance", d.variance[at], f"variance ({unit})"),
            color=colour_channel(kinds, "group"),
            shape=alt.Shape(
                "group:N",
                scale=alt.Scale(domain=[kind for kind, _ in kinds], range=[SHAPES[like] for _, like in kinds]),
                title=None,
            ),
            tooltip=[
                alt.Tooltip(f"{field}:N", title=title)
                for field, title in (("id", "Id"), ("label", "Label"), ("predicted", "Predicted"), ("error", "Error"))
            ],
        )
    )
    return apply_theme(chart, 250)


def plotted_samples(d: Difficulty) -> np.ndarray:
    """Positions of the samples that :func:`bias_variance` shows, hardest first."""
    return sample_points(d.ranking[np.isfinite(d.variance[d.ranking]) & np.isfinite(d.bias[d.ranking])])


def sample_points(order: np.ndarray) -> np.ndarray:
    """Of many samples the hardest and a random part of the others, of few all; ``order`` has the hardest first."""
    if len(order) <= POINTS:
        return order
    hardest, others = order[:HARDEST_POINTS], order[HARDEST_POINTS:]
    chosen = np.random.default_rng(0).choice(len(others), POINTS - HARDEST_POINTS, replace=False)
    return np.concatenate([hardest, others[np.sort(chosen)]])


def ledger(d: Difficulty) -> alt.LayerChart:
    """The mean of the four factors by class, stacked; what lies left of zero is saved already.

    Raises:
        InputError: the result has no ledger.
    """
    _needs_ledger(d)
    rows = summarize_groups(d)[:LEDGER_CLASSES]
    return stacked_bars(
        [format_line(row.name, 32) for row in rows], [row.terms for row in rows], "mean error of the class (nats)"
    )


def ledger_by_cause(d: Difficulty) -> alt.LayerChart:
    """The mean of the four factors over the samples of each cause, stacked.

    Raises:
        InputError: the result has no ledger.
    """
    _needs_ledger(d)
    rows = [row for row in summarize_causes(d) if row.size]
    return stacked_bars([row.name for row in rows], [row.terms for row in rows], "mean error of the samples (nats)")


def transition(d: Difficulty) -> alt.LayerChart:
    """Estimated P(given label | true label) as a heat map: a row a true class, wrong labels coloured.

    Raises:
        InputError: the result has no ledger.
    """
    matrix = d.transition
    if matrix is None or d.classes is None:
        raise InputError(_NO_LEDGER)
    shares = matrix.to_numpy()
    wrong = shares * (1 - np.eye(len(shares)))
    names = unique_names([format_line(name, 32) for name in d.classes])
    longest = max(map(len, names))
    darkest = max(float(wrong.max()), 0.05)
    values = [
        {
            "true": names[i],
            "given": names[j],
            "kind": "right" if i == j else "wrong",
            "shade": 0.3 * shares[i, j] if i == j else 0.85 * shares[i, j] / darkest,
            "percent": f"{100 * shares[i, j]:.0f}" if shares[i, j] >= 0.005 else "",
            "shown": format_share(shares[i, j], 1),
        }
        for i in range(len(names))
        for j in range(len(names))
    ]
    axis: dict[str, Any] = {"labelLimit": 110, "ticks": False, "domain": False, "labelPadding": 5}
    x = alt.X(
        "given:N",
        sort=None,
        scale=alt.Scale(domain=names),
        title="given label",
        axis=alt.Axis(
            orient="top",
            labelAngle=0 if longest < 3 else -60 if len(names) <= NUMBERED_CLASSES else -90,
            labelOverlap="parity",
            **axis,
        ),
    )
    y = alt.Y("true:N", sort=None, scale=alt.Scale(domain=names), title="true label", axis=alt.Axis(**axis))
    chart = alt.Chart(inline_data(values))
    cells = chart.mark_rect(stroke=None).encode(
        x=x,
        y=y,
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=["right", "wrong"], range=[COLOURS[NONE], COLOURS["noise"]]),
            legend=None,
        ),
        opacity=alt.Opacity("shade:Q", scale=None, legend=None),
        tooltip=[
            alt.Tooltip("true:N", title="True label"),
            alt.Tooltip("given:N", title="Given label"),
            alt.Tooltip("shown:N", title="Share"),
        ],
    )
    layers: list[Any] = [cells]
    if len(names) <= NUMBERED_CLASSES:
        layers.append(chart.mark_text(fontSize=11).encode(x=x, y=y, text="percent:N"))
    return apply_theme(
        alt.LayerChart(layer=layers), max(len(names) * (16 if len(names) > NUMBERED_CLASSES else 26), 90)
    )


def _needs_ledger(d: Difficulty) -> None:
    if d.factors is None or d.classes is None:
        raise InputError(_NO_LEDGER)


def stacked_bars(names: list[str], lines: Sequence[Sequence[float]], title: str) -> alt.LayerChart:
    """Bars of the four factors and a tick at their sum, a row a name."""
    names = unique_names(names)
    bars = [
        {"row": name, "factor": key, "rank": rank, "value": float(amounts[rank]), "shown": format_number(amounts[rank])}
        for name, amounts in zip(names, lines, strict=True)
        for rank, key in enumerate(FACTORS)
    ]
    totals = [
        {"row": name, "value": float(sum(amounts)), "shown": format_number(sum(amounts))}
        for name, amounts in zip(names, lines, strict=True)
    ]
    # The order stands in the domain: a custom sort would carry the names into an expression.
    y = alt.Y(
        "row:N",
        sort=None,
        scale=alt.Scale(domain=names),
        title=None,
        axis=alt.Axis(labelLimit=150, ticks=False, labelPadding=6),
    )
    stacked = (
        alt.Chart(inline_data(bars))
        .mark_bar(height=alt.RelativeBandSize(0.72))
        .encode(
            y=y,
            x=alt.X("value:Q", stack="zero", title=title, axis=alt.Axis(tickCount=6)),
            color=colour_channel([(name, name) for name in FACTORS], "factor"),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("row:N", title="Of"),
                alt.Tooltip("factor:N", title="Factor"),
                alt.Tooltip("shown:N", title="Mean"),
            ],
        )
    )
    total = (
        alt.Chart(inline_data(totals))
        .mark_tick(thickness=2)
        .encode(
            y=y,
            x="value:Q",
            tooltip=[alt.Tooltip("row:N", title="Of"), alt.Tooltip("shown:N", title="Mean error")],
        )
    )
    return apply_theme(alt.LayerChart(layer=[stacked, total.properties(name="total")]), max(20 * len(names), 120))


def colour_groups(d: Difficulty) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """What a point is coloured by, and for each such group whose colour and shape it takes."""
    if d.cause is not None:
        return d.cause, [(name, name) for name in (*FACTORS, NONE)]
    if d.regression:
        return np.where(d.predicted < d.labels, _LOW, _HIGH), [(_LOW, "imbalance"), (_HIGH, "noise")]
    return np.where(is_mispredicted(d), _OTHERWISE, _AS_GIVEN), [(_AS_GIVEN, "imbalance"), (_OTHERWISE, "noise")]


def colour_channel(kinds: list[tuple[str, str]], field: str = "part") -> alt.Color:
    """The channel that colours by a field; ``kinds`` as :func:`colour_groups` gives them."""
    scale = alt.Scale(domain=[name for name, _ in kinds], range=[COLOURS[like] for _, like in kinds])
    # Five entries in one row would be cut off on a telephone.
    legend = alt.Legend(orient="top", columns=4 if len(kinds) < 5 else 3, gridAlign="each", labelLimit=200)
    return alt.Color(f"{field}:N", scale=scale, title=None, legend=legend)


def _symlog(field: str, values: np.ndarray, title: str) -> Any:
    """An axis that is logarithmic away from zero and linear near it, because a bias may be negative."""
    largest = float(np.abs(values).max()) or 1.0
    linear = 10.0 ** (np.floor(np.log10(largest)) - 2)
    decades = [linear * 10**power for power in range(4) if linear * 10**power <= largest]
    ticks = [*(-tick for tick in decades if -tick >= values.min()), 0.0, *decades]
    room = 1.15
    low = float(min(values.min() * room, 0.0))
    scale = alt.Scale(type="symlog", constant=linear, domain=[low, float(max(values.max() * room, linear))], nice=False)
    axis = alt.Axis(values=sorted(ticks), format=",.6~g")
    return (alt.X if field == "bias" else alt.Y)(f"{field}:Q", scale=scale, axis=axis, title=title)


def _spans_decades(error: np.ndarray) -> bool:
    middle, high = np.quantile(error, [0.5, 0.99])
    return bool(middle > 0 and high > 10 * middle)


def _edges(error: np.ndarray, chance: float, logarithmic: bool) -> np.ndarray:
    """Edges of the bins; they reach to chance where that leaves the samples room enough."""
    high = float(error.max())
    if logarithmic:
        low = max(float(error[error > 0].min()), high * 1e-6)
        edges: np.ndarray = np.geomspace(low, max(high, 1.05 * chance), _BINS + 1)
        return edges
    low = float(min(error.min(), 0.0))
    if high < chance < 2 * high:
        high = 1.05 * chance
    return np.linspace(low, high if high > low else low + 1, _BINS + 1 if len(np.unique(error)) > _BINS else 21)


def _decades(low: float, high: float) -> list[float]:
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    steps = (1, 3) if len(powers) < 4 else (1,)
    # Through text, so that 1e-5 is written as itself and not as 9.999999e-6.
    ticks = [float(f"{step}e{int(power)}") for power in powers for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def _place(value: float, low: float, high: float, logarithmic: bool) -> float:
    if logarithmic:
        value, low, high = np.log(value), np.log(low), np.log(high)
    return float((value - low) / (high - low))


def unique_names(names: list[str]) -> list[str]:
    """Names told apart by a number where cutting or printing made them equal: equal names would share one bar."""
    seen: dict[str, int] = {}
    told = []
    for name in names:
        shown = name
        while shown in seen:
            seen[name] += 1
            shown = f"{name} ({seen[name]})"
        seen[shown] = 1
        told.append(shown)
    return told


def inline_data(values: list[dict[str, Any]]) -> alt.Data:
    """Data that stands in the chart itself, whatever transformer the user's own charts are set to."""
    return alt.Data(values=values)  # type: ignore[no-untyped-call]


def apply_theme(chart: Chart, height: Any) -> Chart:
    """What all figures share. The greys are legible in both themes; the page's own style sets them exactly."""
    grey, faint = "#6b7280", "#9ca3af"
    finished: Chart = (
        chart.properties(
            width="container",
            height=height,
            background="transparent",
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=grey,
            titleColor=grey,
            gridColor=faint,
            gridOpacity=0.35,
            domain=False,
            tickColor=faint,
            labelFontSize=11,
            titleFontSize=11,
            titleFontWeight="normal",
            labelFontWeight="normal",
            titlePadding=8,
        )
        .configure_axisX(grid=False, domain=True, domainColor=faint)
        .configure_legend(
            labelColor=grey, labelFontSize=11, symbolSize=70, symbolOpacity=1, offset=8, padding=0, rowPadding=3
        )
    )
    return finished
