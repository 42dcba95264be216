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
_ROW = 15
# Points either side of uniform at which the colours end, and from which they are dark.
_END, _DARK = 20, 12


def draw_mean_ranks(found: Ranking) -> alt.LayerChart:
    """Mean ranks, best first, each with a bar as long as the critical distance: bars that do not overlap differ."""
    half = found.distance / 2
    values = [
        {"measure": name, "rank": rank, "low": rank - half, "high": rank + half, "by": found.by[str(name)]}
        for name, rank in found.mean.items()
    ]
    names = list(found.mean.index)
    whose = list(dict.fromkeys(found.by[name] for name in names))
    colour = alt.Color("by:N", title=None, scale=alt.Scale(domain=whose, range=[COLOURS[one] for one in whose]))
    y = alt.Y("measure:N", sort=names, title=None, axis=alt.Axis(labelLimit=300))
    x = alt.X("low:Q", title="mean rank (1 is best)", scale=alt.Scale(zero=False))
    base = alt.Chart(alt.Data(values=values))  # type: ignore[no-untyped-call]
    bars = base.mark_rule(strokeWidth=4, opacity=0.35, aria=False).encode(x=x, x2="high:Q", y=y, color=colour)
    points = base.mark_circle(size=40, opacity=1, aria=False).encode(x="rank:Q", y=y, color=colour)
    return _plain(alt.LayerChart(layer=[bars, points]).properties(width=420, height=_ROW * len(names)), grid=True)


def draw_rank_heatmap(found: Ranking) -> alt.LayerChart:
    """Mean rank of every measure on every kind of hardness."""
    names, kinds = list(found.by_kind.index), list(found.by_kind.columns)
    values = [
        {"measure": name, "kind": kind, "rank": rank, "shown": f"{rank:.0f}", "dark": rank < len(names) / 3}
        for name, row in found.by_kind.iterrows()
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
        text="shown:N",
        color=alt.condition("datum.dark", alt.value("white"), alt.value("black")),
    )
    chart = alt.LayerChart(layer=[squares, numbers]).properties(width=36 * len(kinds), height=_ROW * len(names))
    return _plain(chart, grid=False)


def draw_gains(found: StudyScores) -> alt.LayerChart:
    """Points of balanced accuracy to uniform, every row of the study of weights by noise and imbalance; means over sets."""
    names = [name for name in found.rows if name != "uniform"]
    mean = found.cells.groupby(["row", "noise", "imbalance"], as_index=False, sort=False)["difference"].mean()
    labels = mean["noise"] + ", " + mean["imbalance"]
    values = [
        {"row": name, "world": world, "points": points, "shown": f"{points:z.0f}", "dark": abs(points) > _DARK}
        for name, world, points in zip(mean["row"], labels, 100 * mean["difference"], strict=True)
        if name != "uniform"
    ]
    base = alt.Chart(alt.Data(values=values)).encode(  # type: ignore[no-untyped-call]
        x=alt.X(
            "world:N",
            sort=list(labels.unique()),
            title="noise, imbalance",
            axis=alt.Axis(orient="top", labelAngle=-45),
        ),
        y=alt.Y("row:N", sort=names, title=None, axis=alt.Axis(labelLimit=300)),
    )
    scale = alt.Scale(scheme="redblue", domain=[-_END, _END], clamp=True)
    squares = base.mark_rect(aria=False).encode(color=alt.Color("points:Q", title="points to uniform", scale=scale))
    numbers = base.mark_text(fontSize=9, aria=False).encode(
        text="shown:N",
        color=alt.condition("datum.dark", alt.value("white"), alt.value("black")),
    )
    chart = alt.LayerChart(layer=[squares, numbers]).properties(width=30 * labels.nunique(), height=_ROW * len(names))
    return _plain(chart, grid=False)


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


def _plain(chart: alt.LayerChart, *, grid: bool) -> alt.LayerChart:
    dressed: alt.LayerChart = (
        chart.configure(font="sans-serif", background="white", padding=16)
        .configure_view(stroke=None)
        .configure_axis(domain=False, ticks=False, labelFontSize=10, grid=grid, gridOpacity=0.4)
        .configure_legend(orient="top")
    )
    return dressed
