"""The figures of an explanation as altair charts: which samples get the weight, and how they are affected."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from hardsight.explanation.optimization.dynamics import UNIFORM, TrainingDynamics
from hardsight.reporting.charts import apply_theme, inline_data, unique_names
from hardsight.reporting.formatting import format_line, format_number
from hardsight.reporting.palette import COLOURS

# Rows of a figure; the largest changes are kept.
MAX_ROWS = 24
_MEASURED, _FORECAST = "measured, 95 %", "forecast"


def draw_weight_by_decile(shares: pd.DataFrame) -> alt.LayerChart:
    """Draw the mean weight of each decile of the samples, the easiest first."""
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
    reference = alt.Chart(inline_data([{"at": 1.0}])).mark_rule(strokeDash=[4, 3], strokeWidth=1.2).encode(y="at:Q")
    return apply_theme(alt.LayerChart(layer=[bars, reference]), 220)


def draw_effect(effects: pd.DataFrame | None, forecast: pd.DataFrame | None, by: str) -> alt.LayerChart:
    """Draw the change of the loss on probably right labels, by group: measured intervals, forecasts as diamonds."""
    measured = {} if effects is None else _rows_by_group(effects[effects["measure"] == "clean loss"], by)
    expected = {} if forecast is None else _rows_by_group(forecast, by)
    names = _largest_changes(measured, expected)
    labels = dict(zip(names, unique_names([format_line(name, 28) for name in names]), strict=True))
    measured_rows = [_interval_row(labels[name], measured[name]) for name in names if name in measured]
    expected_rows = [
        {
            "row": labels[name],
            "at": expected[name]["loss"],
            "shown": format_number(expected[name]["loss"]),
            "kind": _FORECAST,
        }
        for name in names
        if name in expected
    ]
    layers = _effect_layers(measured_rows, expected_rows, list(labels.values()))
    return apply_theme(alt.LayerChart(layer=layers), max(19 * len(names), 90))


def _largest_changes(measured: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> list[str]:
    """Return the names of the groups to draw, in their order."""
    names = list(measured or expected)
    if len(names) <= MAX_ROWS:
        return names
    size = {name: abs(measured[name]["difference"] if name in measured else expected[name]["loss"]) for name in names}
    largest = sorted(names, key=lambda name: -size[name])[:MAX_ROWS]
    return [name for name in names if name in largest]


def _effect_layers(measured: list[dict[str, Any]], expected: list[dict[str, Any]], labels: list[str]) -> list[Any]:
    """Return the layers of the effect chart: the zero line, forecasts, and measured intervals and means."""
    y = alt.Y(
        "row:N",
        sort=None,
        scale=alt.Scale(domain=labels),
        title=None,
        axis=alt.Axis(labelLimit=150, ticks=False, labelPadding=6),
    )
    # The axis ignores interval ends: the interval of a handful of samples would squeeze all others.
    positions = [row["at"] for row in [*measured, *expected]] + [0.0]
    extent = max(float(np.ptp(positions)), 1e-6)
    x = alt.X(
        "at:Q",
        title="change of the loss (left: gains)",
        axis=alt.Axis(tickCount=6),
        scale=alt.Scale(domain=[min(positions) - 0.6 * extent, max(positions) + 0.6 * extent], nice=True, clamp=True),
    )
    kinds = [(_MEASURED, "imbalance")] * bool(measured) + [(_FORECAST, "noise")] * bool(expected)
    tooltip = [alt.Tooltip("row:N", title="Of"), alt.Tooltip("shown:N", title="Change of the loss")]
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=[name for name, _ in kinds], range=[COLOURS[like] for _, like in kinds]),
        legend=alt.Legend(orient="top"),
    )
    layers: list[Any] = [alt.Chart(inline_data([{"at": 0.0}])).mark_rule(strokeDash=[4, 3], strokeWidth=1.2).encode(x=x)]
    if expected:
        chart = alt.Chart(inline_data(expected)).mark_point(shape="diamond", size=55, strokeWidth=1.6, filled=False)
        layers.append(chart.encode(y=y, x=x, color=colour, tooltip=tooltip))
    if measured:
        chart = alt.Chart(inline_data(measured))
        layers.append(chart.mark_bar(height=2, clip=True).encode(y=y, x=alt.X("low:Q"), x2="high:Q", color=colour))
        layers.append(chart.mark_point(filled=True, size=45, opacity=1).encode(y=y, x=x, color=colour, tooltip=tooltip))
    return layers


def _rows_by_group(table: pd.DataFrame, by: str) -> dict[str, dict[str, Any]]:
    return {
        str(row["group"]): {str(key): value for key, value in row.items()}
        for row in table[table["by"] == by].to_dict("records")
    }


def _interval_row(name: str, row: dict[str, Any]) -> dict[str, Any]:
    has_interval = bool(np.isfinite(row["low"]))
    ends = (row["low"], row["high"]) if has_interval else (row["difference"], row["difference"])
    text = f"{format_number(row['difference'])} ({format_number(row['low'])} to {format_number(row['high'])})"
    return {
        "row": name,
        "at": float(row["difference"]),
        "low": float(ends[0]),
        "high": float(ends[1]),
        "shown": text if has_interval else format_number(row["difference"]),
        "kind": _MEASURED,
    }


def draw_training_loss(dynamics: TrainingDynamics) -> alt.LayerChart:
    """Draw the unweighted mean training loss of the networks over their training, one line per set of weights."""
    rows = dynamics.networks.groupby(["weights", "step"], sort=False)["loss"].mean().reset_index()
    return _draw_lines(rows, "step", "loss", "step of training", "training loss, unweighted", logarithmic=False)


def draw_angle(dynamics: TrainingDynamics) -> alt.LayerChart:
    """Draw the angle between linear training with weights and without, over time."""
    rows = dynamics.linear[dynamics.linear["weights"] != UNIFORM].rename(columns={"angle_uniform": "angle"})
    rows = rows.loc[:, ~rows.columns.duplicated(keep="last")]
    return _draw_lines(
        rows, "time", "angle", "time of gradient flow, log scale", "degrees from unweighted training", logarithmic=True
    )


def draw_gradient_shares(dynamics: TrainingDynamics) -> alt.LayerChart:
    """Draw each decile's share of the gradient at the end of training."""
    rows = dynamics.gradients[(dynamics.gradients["by"] == "decile") & (dynamics.gradients["when"] == "end")]
    rows = rows.assign(tenth=rows["group"].astype(int))
    return _draw_lines(
        rows, "tenth", "share", "tenth of the samples, easiest to hardest", "share of the gradient", logarithmic=False
    )


_PALETTE = ("imbalance", "noise", "uncertainty", "margin")


def _draw_lines(rows: pd.DataFrame, x: str, y: str, x_title: str, y_title: str, *, logarithmic: bool) -> alt.LayerChart:
    """Draw one line per set of weights, unweighted training in grey; as many sets, in order, as there are colours."""
    weighted = [name for name in dict.fromkeys(rows["weights"]) if name != UNIFORM][: len(_PALETTE)]
    names = [*weighted, *([UNIFORM] if (rows["weights"] == UNIFORM).any() else [])]
    labels = dict(zip(names, unique_names([format_line(name, 24) for name in names]), strict=True))
    values = [
        {"x": float(row[x]), "y": float(row[y]), "kind": labels[row["weights"]], "shown": format_number(row[y])}
        for row in rows.to_dict("records")
        if row["weights"] in labels and np.isfinite(row[y])
    ]
    colours = [COLOURS[name] for name in _PALETTE[: len(weighted)]] + [COLOURS["none"]] * (len(names) - len(weighted))
    scale = alt.Scale(type="log" if logarithmic else "linear", nice=False)
    axis = alt.Axis(tickCount=6, format=".0~e") if logarithmic else alt.Axis(tickCount=10 if x == "tenth" else 6)
    chart = alt.Chart(inline_data(values)).encode(
        x=alt.X("x:Q", title=x_title, scale=scale, axis=axis),
        y=alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=5)),
        color=alt.Color(
            "kind:N",
            title=None,
            sort=None,
            scale=alt.Scale(domain=list(labels.values()), range=colours),
            legend=alt.Legend(orient="top", columns=4, labelLimit=110),
        ),
        tooltip=[alt.Tooltip("kind:N", title="Weights"), alt.Tooltip("shown:N", title="Value")],
    )
    layers = [chart.mark_line(strokeWidth=2), chart.mark_point(filled=True, size=22, opacity=1)]
    return apply_theme(alt.LayerChart(layer=layers), 220)
