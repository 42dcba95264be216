"""The figures of an explanation, as altair charts: who gets the weight, and what it did to whom."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from hardsight.explanation.optimization.dynamics import UNIFORM, TrainingDynamics
from hardsight.reporting.formatting import format_line, format_number
from hardsight.reporting.report.figures import COLOURS, apply_theme, inline_data, unique_names

# Rows of a figure, the largest changes first to be kept.
ROWS = 24
_MEASURED, _FORECAST = "measured, 95 %", "forecast"


def weight_by_decile(shares: pd.DataFrame) -> alt.LayerChart:
    """Mean weight of each tenth of the samples, the easiest first."""
    rows = shares[shares["by"] == "decile"]
    values = [
        {"tenth": str(row["group"]), "weight": float(row["mean_weight"]), "shown": format_number(row["mean_weight"])}
        for row in rows.to_dict("records")
    ]
    names = [str(value["tenth"]) for value in values]
    bars = (
        alt.Chart(inline_data(values))
        .mark_bar(color=COLOURS["imbalance"], width=alt.RelativeBandSize(0.78))
        .encode(
            x=alt.X(
                "tenth:N",
                sort=None,
                scale=alt.Scale(domain=names),
                title="tenth of the samples, easiest to hardest",
                axis=alt.Axis(labelAngle=0, ticks=False),
            ),
            y=alt.Y("weight:Q", title="mean weight", axis=alt.Axis(tickCount=5)),
            tooltip=[alt.Tooltip("tenth:N", title="Tenth"), alt.Tooltip("shown:N", title="Mean weight")],
        )
    )
    one = alt.Chart(inline_data([{"at": 1.0}])).mark_rule(strokeDash=[4, 3], strokeWidth=1.2).encode(y="at:Q")
    return apply_theme(alt.LayerChart(layer=[bars, one]), 220)


def effect(effects: pd.DataFrame | None, forecast: pd.DataFrame | None, by: str) -> alt.LayerChart:
    """Change of the loss on labels that are probably right, by group: intervals measured, and the forecast as a diamond.

    Args:
        effects: the measured table of one scheme, if there is one.
        forecast: the forecast of the same, if there is one.
        by: kind of group.
    """
    found = {} if effects is None else _rows(effects[effects["measure"] == "clean loss"], by)
    told = {} if forecast is None else _rows(forecast, by)
    names = list(found or told)
    if len(names) > ROWS:
        size = {name: abs(found[name]["difference"] if name in found else told[name]["loss"]) for name in names}
        kept = sorted(names, key=lambda name: -size[name])[:ROWS]
        names = [name for name in names if name in kept]
    shown = dict(zip(names, unique_names([format_line(name, 28) for name in names]), strict=True))
    measured = [_interval(shown[name], found[name]) for name in names if name in found]
    expected = [
        {"row": shown[name], "at": told[name]["loss"], "shown": format_number(told[name]["loss"]), "kind": _FORECAST}
        for name in names
        if name in told
    ]
    y = alt.Y(
        "row:N",
        sort=None,
        scale=alt.Scale(domain=list(shown.values())),
        title=None,
        axis=alt.Axis(labelLimit=150, ticks=False, labelPadding=6),
    )
    # An interval of a handful of samples would leave the others no room.
    wide = [each for row in measured for each in (row["at"],)] + [row["at"] for row in expected] + [0.0]
    reach = max(float(np.ptp(wide)), 1e-6)
    x = alt.X(
        "at:Q",
        title="change of the loss (left: gains)",
        axis=alt.Axis(tickCount=6),
        scale=alt.Scale(domain=[min(wide) - 0.6 * reach, max(wide) + 0.6 * reach], nice=True, clamp=True),
    )
    kinds = [(_MEASURED, "imbalance")] * bool(measured) + [(_FORECAST, "noise")] * bool(expected)
    layers: list[Any] = [
        alt.Chart(inline_data([{"at": 0.0}])).mark_rule(strokeDash=[4, 3], strokeWidth=1.2).encode(x=x)
    ]
    tooltip = [alt.Tooltip("row:N", title="Of"), alt.Tooltip("shown:N", title="Change of the loss")]
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=[name for name, _ in kinds], range=[COLOURS[like] for _, like in kinds]),
        legend=alt.Legend(orient="top"),
    )
    if expected:
        chart = alt.Chart(inline_data(expected)).mark_point(shape="diamond", size=55, strokeWidth=1.6, filled=False)
        layers.append(chart.encode(y=y, x=x, color=colour, tooltip=tooltip))
    if measured:
        chart = alt.Chart(inline_data(measured))
        layers.append(chart.mark_bar(height=2, clip=True).encode(y=y, x=alt.X("low:Q"), x2="high:Q", color=colour))
        layers.append(chart.mark_point(filled=True, size=45, opacity=1).encode(y=y, x=x, color=colour, tooltip=tooltip))
    return apply_theme(alt.LayerChart(layer=layers), max(19 * len(names), 90))


def _rows(table: pd.DataFrame, by: str) -> dict[str, dict[str, Any]]:
    return {
        str(row["group"]): {str(key): value for key, value in row.items()}
        for row in table[table["by"] == by].to_dict("records")
    }


def _interval(name: str, row: dict[str, Any]) -> dict[str, Any]:
    known = bool(np.isfinite(row["low"]))
    ends = (row["low"], row["high"]) if known else (row["difference"], row["difference"])
    words = f"{format_number(row['difference'])} ({format_number(row['low'])} to {format_number(row['high'])})"
    return {
        "row": name,
        "at": float(row["difference"]),
        "low": float(ends[0]),
        "high": float(ends[1]),
        "shown": words if known else format_number(row["difference"]),
        "kind": _MEASURED,
    }


def training(course: TrainingDynamics) -> alt.LayerChart:
    """Mean loss of the networks over their training, all samples alike, a line each weights."""
    rows = course.networks.groupby(["weights", "step"], sort=False)["loss"].mean().reset_index()
    return _lines(rows, "step", "loss", "step of training", "training loss, unweighted", logarithmic=False)


def turning(course: TrainingDynamics) -> alt.LayerChart:
    """Angle between linear training with weights and without, over time."""
    rows = course.linear[course.linear["weights"] != UNIFORM].rename(columns={"angle_uniform": "angle"})
    rows = rows.loc[:, ~rows.columns.duplicated(keep="last")]
    return _lines(
        rows, "time", "angle", "time of gradient flow, log scale", "degrees from unweighted", logarithmic=True
    )


def gradients(course: TrainingDynamics) -> alt.LayerChart:
    """Share of the gradient that each tenth by difficulty makes, at the end of training."""
    rows = course.gradients[(course.gradients["by"] == "decile") & (course.gradients["when"] == "end")]
    rows = rows.assign(tenth=rows["group"].astype(int))
    return _lines(
        rows, "tenth", "share", "tenth of the samples, easiest to hardest", "share of the gradient", logarithmic=False
    )


_PALETTE = ("imbalance", "noise", "uncertainty", "margin")


def _lines(rows: pd.DataFrame, x: str, y: str, x_title: str, y_title: str, *, logarithmic: bool) -> alt.LayerChart:
    """A line a weights; without weights in grey. The first few weights alone, as many as there are colours."""
    there = [name for name in dict.fromkeys(rows["weights"]) if name != UNIFORM][: len(_PALETTE)]
    names = [*there, *([UNIFORM] if (rows["weights"] == UNIFORM).any() else [])]
    shown = dict(zip(names, unique_names([format_line(name, 24) for name in names]), strict=True))
    values = [
        {"x": float(row[x]), "y": float(row[y]), "kind": shown[row["weights"]], "shown": format_number(row[y])}
        for row in rows.to_dict("records")
        if row["weights"] in shown and np.isfinite(row[y])
    ]
    colours = [COLOURS[name] for name in _PALETTE[: len(there)]] + [COLOURS["none"]] * (len(names) - len(there))
    scale = alt.Scale(type="log" if logarithmic else "linear", nice=False)
    axis = alt.Axis(tickCount=6, format=".0~e") if logarithmic else alt.Axis(tickCount=10 if x == "tenth" else 6)
    chart = alt.Chart(inline_data(values)).encode(
        x=alt.X("x:Q", title=x_title, scale=scale, axis=axis),
        y=alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=5)),
        color=alt.Color(
            "kind:N",
            title=None,
            sort=None,
            scale=alt.Scale(domain=list(shown.values()), range=colours),
            legend=alt.Legend(orient="top", columns=4, labelLimit=110),
        ),
        tooltip=[alt.Tooltip("kind:N", title="Weights"), alt.Tooltip("shown:N", title="Value")],
    )
    layers = [chart.mark_line(strokeWidth=2), chart.mark_point(filled=True, size=22, opacity=1)]
    return apply_theme(alt.LayerChart(layer=layers), 220)
