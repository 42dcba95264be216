"""Figures of claims as SVG text that adopts the page's colours."""

import re
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from hardsight.reporting.charts import configure_theme
from hardsight.reporting.palette import GREY
from hardsight.theory.claim import Figure, Series

# Okabe and Ito 2008, *Color Universal Design*; the page lightens the blue on a dark background.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#85898F")
WIDTH, HEIGHT = 330, 190
# Most points drawn; number above which points are smaller; number below which a line marks its points.
_MAX_POINTS, _SMALL_ABOVE, _MARKED_BELOW = 150, 60, 12


def draw_svg(figure: Figure, title: str) -> str:
    """Draw a figure as an ``svg`` element that scales with the page."""
    chart = _chart(figure).to_dict()
    text: str = vl_convert.vegalite_to_svg(chart, vl_version=alt.SCHEMA_VERSION.rpartition(".")[0])
    # The page sets the size; a fixed one would overflow a narrow screen.
    text = re.sub(r'^<svg([^>]*?) width="[^"]*" height="[^"]*"', r"<svg\1", text, count=1)
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _chart(figure: Figure) -> alt.LayerChart:
    has_names = any(isinstance(x, str) for each in figure.series for x in each.x)
    names = [each.name for each in figure.series]
    scale = alt.Scale(domain=names, range=[COLOURS[k % len(COLOURS)] for k in range(len(names))])
    legend = alt.Legend(orient="bottom", columns=1 if max(map(len, names)) > 22 else 2, labelLimit=300, symbolLimit=8)
    colour = alt.Color("series:N", title=None, scale=scale, legend=legend if len(names) > 1 else None)
    layers: list[Any] = [_layer(each, figure, colour, has_names=has_names) for each in figure.series]
    if figure.rule is not None:
        data = alt.Data(values=[{"at": figure.rule}])  # type: ignore[no-untyped-call]
        layers.append(
            alt.Chart(data).mark_rule(aria=False, strokeDash=[4, 3], stroke=GREY).encode(y=alt.Y("at:Q", title=None))
        )
    # A horizontal title above the axis fits long names and is easy to read.
    above = alt.TitleParams(
        figure.y, anchor="start", frame="group", fontSize=11, fontWeight="normal", color=GREY, limit=WIDTH, offset=6
    )
    return _apply_theme(alt.LayerChart(layer=layers).properties(width=WIDTH, height=HEIGHT, title=above))


def _layer(series: Series, figure: Figure, colour: alt.Color, *, has_names: bool) -> alt.Chart:
    values = [
        {"x": x, "y": float(y), "series": series.name}
        for x, y in zip(series.x, series.y, strict=True)
        if np.isfinite(y) and (isinstance(x, str) or np.isfinite(x))
    ]
    # More points would overlap and make the page large.
    values = values[:: max(1, len(values) // _MAX_POINTS)] if series.mark == "point" else values
    base = alt.Chart(alt.Data(values=values))  # type: ignore[no-untyped-call]
    x_axis = alt.Axis(tickCount=5, labelAngle=0, labelLimit=110, format=_number_format(figure, "x"), labelOverlap=True)
    x: Any
    if has_names:
        # Names side by side would overlap, so they are split into lines at spaces.
        name_axis = alt.Axis(labelAngle=0, labelExpr="split(datum.label, ' ')", labelLimit=120)
        x = alt.X("x:N", sort=None, title=figure.x, axis=name_axis)
    else:
        scale = alt.Scale(type="log" if "x" in figure.log else "linear", zero=False, nice=False, padding=6)
        x = alt.X("x:Q", title=figure.x, scale=scale, axis=x_axis)
    y_scale = alt.Scale(type="log", nice=False, padding=6) if "y" in figure.log else alt.Scale(zero=series.mark == "bar")
    y = alt.Y("y:Q", title=None, scale=y_scale, axis=alt.Axis(tickCount=5, format=_number_format(figure, "y")))
    marks: dict[str, alt.Chart] = {
        "line": base.mark_line(
            aria=False, strokeWidth=1.8, point=len(values) < _MARKED_BELOW and alt.OverlayMarkDef(size=18)
        ),
        "bar": base.mark_bar(aria=False, width=alt.RelativeBandSize(0.6)),
        "point": base.mark_circle(
            aria=False, **({"size": 16, "opacity": 0.55} if len(values) > _SMALL_ABOVE else {"size": 34})
        ),
    }
    grouped_bars = series.mark == "bar" and sum(other.mark == "bar" for other in figure.series) > 1
    offset: dict[str, Any] = {"xOffset": alt.XOffset("series:N", sort=None)} if grouped_bars else {}
    chart: alt.Chart = marks[series.mark].encode(x=x, y=y, color=colour, **offset)
    return chart


def _number_format(figure: Figure, axis: str) -> str:
    return ".0e" if axis in figure.log and _is_wide(figure, axis) else ",.6~g"


def _is_wide(figure: Figure, axis: str) -> bool:
    sizes = [abs(float(v)) for each in figure.series for v in getattr(each, axis) if not isinstance(v, str) and v]
    return bool(sizes) and (max(sizes) >= 1e5 or min(sizes) < 1e-4)


def _apply_theme(chart: alt.LayerChart) -> alt.LayerChart:
    return configure_theme(chart, {"gridOpacity": 0.3, "titleLimit": WIDTH}, {"symbolSize": 50, "rowPadding": 2})
