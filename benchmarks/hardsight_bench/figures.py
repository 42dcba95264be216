"""Figures of the studies, as SVG files."""

from pathlib import Path
from typing import Any

import altair as alt

from hardsight.errors import InputError
from hardsight_bench.ranks import Ranking
from hardsight_bench.weights_scores import StudyScores

# Okabe and Ito 2008, as in the report.
COLOURS = {
    "hardsight": "#D55E00",
    "classic": "#0072B2",
    "cleanlab": "#009E73",
    "aum": "#E69F00",
    "yours": "#CC79A7",
    "control": "#85898F",
}
_ROW_HEIGHT = 15
# Differences to uniform, in points, at which the colour scale ends and above which cells are dark.
_COLOUR_LIMIT, _DARK_ABOVE = 20, 12


def draw_mean_ranks(ranking: Ranking) -> alt.LayerChart:
    """Draw mean ranks, best first, with bars as long as the critical distance: ranks without overlap differ."""
    half = ranking.distance / 2
    values = [
        {"measure": name, "rank": rank, "low": rank - half, "high": rank + half, "by": ranking.by[str(name)]}
        for name, rank in ranking.mean.items()
    ]
    names = list(ranking.mean.index)
    origins = list(dict.fromkeys(ranking.by[name] for name in names))
    colour = alt.Color("by:N", title=None, scale=alt.Scale(domain=origins, range=[COLOURS[origin] for origin in origins]))
    y = alt.Y("measure:N", sort=names, title=None, axis=alt.Axis(labelLimit=300))
    x = alt.X("low:Q", title="mean rank (1 is best)", scale=alt.Scale(zero=False))
    base = alt.Chart(alt.Data(values=values))  # type: ignore[no-untyped-call]
    bars = base.mark_rule(strokeWidth=4, opacity=0.35, aria=False).encode(x=x, x2="high:Q", y=y, color=colour)
    points = base.mark_circle(size=40, opacity=1, aria=False).encode(x="rank:Q", y=y, color=colour)
    return _apply_theme(
        alt.LayerChart(layer=[bars, points]).properties(width=420, height=_ROW_HEIGHT * len(names)), grid=True
    )


def draw_rank_heatmap(ranking: Ranking) -> alt.LayerChart:
    """Draw the mean rank of every measure for every kind of corruption."""
    names, kinds = list(ranking.by_kind.index), list(ranking.by_kind.columns)
    values = [
        {"measure": name, "kind": kind, "rank": rank, "shown": f"{rank:.0f}", "dark": rank < len(names) / 3}
        for name, row in ranking.by_kind.iterrows()
        for kind, rank in row.items()
    ]
    base = alt.Chart(alt.Data(values=values)).encode(  # type: ignore[no-untyped-call]
        x=alt.X("kind:N", sort=kinds, title=None, axis=alt.Axis(orient="top", labelAngle=-45)),
        y=alt.Y("measure:N", sort=names, title=None, axis=alt.Axis(labelLimit=300)),
    )
    squares = base.mark_rect(aria=False).encode(
        color=alt.Color("rank:Q", title="mean rank", scale=alt.Scale(scheme="blues", reverse=True))
    )
    numbers = base.mark_text(fontSize=9, aria=False).encode(
        text="shown:N", color=alt.condition("datum.dark", alt.value("white"), alt.value("black"))
    )
    chart = alt.LayerChart(layer=[squares, numbers]).properties(width=36 * len(kinds), height=_ROW_HEIGHT * len(names))
    return _apply_theme(chart, grid=False)


def draw_gains(scores: StudyScores) -> alt.LayerChart:
    """Draw points of balanced accuracy relative to uniform, by row, noise and imbalance; means over sets."""
    names = [name for name in scores.rows if name != "uniform"]
    mean = scores.cells.groupby(["row", "noise", "imbalance"], as_index=False, sort=False)["difference"].mean()
    labels = mean["noise"] + ", " + mean["imbalance"]
    values = [
        {"row": name, "scenario": scenario, "points": points, "shown": f"{points:z.0f}", "dark": abs(points) > _DARK_ABOVE}
        for name, scenario, points in zip(mean["row"], labels, 100 * mean["difference"], strict=True)
        if name != "uniform"
    ]
    base = alt.Chart(alt.Data(values=values)).encode(  # type: ignore[no-untyped-call]
        x=alt.X(
            "scenario:N", sort=list(labels.unique()), title="noise, imbalance", axis=alt.Axis(orient="top", labelAngle=-45)
        ),
        y=alt.Y("row:N", sort=names, title=None, axis=alt.Axis(labelLimit=300)),
    )
    scale = alt.Scale(scheme="redblue", domain=[-_COLOUR_LIMIT, _COLOUR_LIMIT], clamp=True)
    squares = base.mark_rect(aria=False).encode(color=alt.Color("points:Q", title="points to uniform", scale=scale))
    numbers = base.mark_text(fontSize=9, aria=False).encode(
        text="shown:N", color=alt.condition("datum.dark", alt.value("white"), alt.value("black"))
    )
    chart = alt.LayerChart(layer=[squares, numbers]).properties(width=30 * labels.nunique(), height=_ROW_HEIGHT * len(names))
    return _apply_theme(chart, grid=False)


def write_figure(chart: Any, path: Path) -> None:
    """Write a figure as SVG.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        chart.save(str(path), format="svg")
    except OSError as fault:
        raise InputError(f"cannot write {path}: {fault.strerror}: choose another folder") from fault


def _apply_theme(chart: alt.LayerChart, *, grid: bool) -> alt.LayerChart:
    themed: alt.LayerChart = (
        chart.configure(font="sans-serif", background="white", padding=16)
        .configure_view(stroke=None)
        .configure_axis(domain=False, ticks=False, labelFontSize=10, grid=grid, gridOpacity=0.4)
        .configure_legend(orient="top")
    )
    return themed
