"""The figures of claims, as SVG texts that take the page's colours."""

import re
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from hardsight.theory.claim import Figure, Series

# Okabe and Ito 2008, *Color Universal Design*; the page lightens the blue on black.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#85898F")
WIDTH, HEIGHT = 330, 190
# Points beyond which only some are drawn, or smaller; and below which a line shows where they are.
_POINTS, _MANY, _DOTTED = 150, 60, 12
_GREY, _FAINT = "#6b7280", "#9ca3af"


def svg(figure: Figure, title: str) -> str:
    """A figure as an ``svg`` element that scales with the page.

    Args:
        figure: what to draw.
        title: what screen readers are told.
    """
    chart = _chart(figure).to_dict()
    text: str = vl_convert.vegalite_to_svg(chart, vl_version=alt.SCHEMA_VERSION.rpartition(".")[0])
    # The page sets the size; a fixed one would overflow a telephone.
    text = re.sub(r'^<svg([^>]*?) width="[^"]*" height="[^"]*"', r"<svg\1", text, count=1)
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _chart(figure: Figure) -> alt.LayerChart:
    named = any(isinstance(x, str) for each in figure.series for x in each.x)
    names = [each.name for each in figure.series]
    scale = alt.Scale(domain=names, range=[COLOURS[k % len(COLOURS)] for k in range(len(names))])
    legend = alt.Legend(orient="bottom", columns=1 if max(map(len, names)) > 22 else 2, labelLimit=300, symbolLimit=8)
    colour = alt.Color("series:N", title=None, scale=scale, legend=legend if len(names) > 1 else None)
    layers: list[Any] = [_layer(each, figure, colour, named=named) for each in figure.series]
    if figure.rule is not None:
        at = alt.Data(values=[{"at": figure.rule}])  # type: ignore[no-untyped-call]
        layers.append(
            alt.Chart(at).mark_rule(aria=False, strokeDash=[4, 3], stroke=_GREY).encode(y=alt.Y("at:Q", title=None))
        )
    # Above the axis a long name has room, and is read without turning the head.
    above = alt.TitleParams(
        figure.y, anchor="start", frame="group", fontSize=11, fontWeight="normal", color=_GREY, limit=WIDTH, offset=6
    )
    return _plain(alt.LayerChart(layer=layers).properties(width=WIDTH, height=HEIGHT, title=above))


def _layer(each: Series, figure: Figure, colour: alt.Color, *, named: bool) -> alt.Chart:
    values = [
        {"x": x, "y": float(y), "series": each.name}
        for x, y in zip(each.x, each.y, strict=True)
        if np.isfinite(y) and (isinstance(x, str) or np.isfinite(x))
    ]
    # More would hide each other, and make the page heavy.
    values = values[:: max(1, len(values) // _POINTS)] if each.mark == "point" else values
    base = alt.Chart(alt.Data(values=values))  # type: ignore[no-untyped-call]
    x_axis = alt.Axis(tickCount=5, labelAngle=0, labelLimit=110, format=_format(figure, "x"), labelOverlap=True)
    x: Any
    if named:
        # Names side by side would overlap: they are broken into lines at their spaces.
        broken = alt.Axis(labelAngle=0, labelExpr="split(datum.label, ' ')", labelLimit=120)
        x = alt.X("x:N", sort=None, title=figure.x, axis=broken)
    else:
        scale = alt.Scale(type="log" if "x" in figure.log else "linear", zero=False, nice=False, padding=6)
        x = alt.X("x:Q", title=figure.x, scale=scale, axis=x_axis)
    y_scale = alt.Scale(type="log", nice=False, padding=6) if "y" in figure.log else alt.Scale(zero=each.mark == "bar")
    y = alt.Y("y:Q", title=None, scale=y_scale, axis=alt.Axis(tickCount=5, format=_format(figure, "y")))
    marks: dict[str, alt.Chart] = {
        "line": base.mark_line(
            aria=False, strokeWidth=1.8, point=len(values) < _DOTTED and alt.OverlayMarkDef(size=18)
        ),
        "bar": base.mark_bar(aria=False, width=alt.RelativeBandSize(0.6)),
        "point": base.mark_circle(
            aria=False, **({"size": 16, "opacity": 0.55} if len(values) > _MANY else {"size": 34})
        ),
    }
    several = each.mark == "bar" and sum(other.mark == "bar" for other in figure.series) > 1
    beside: dict[str, Any] = {"xOffset": alt.XOffset("series:N", sort=None)} if several else {}
    drawn: alt.Chart = marks[each.mark].encode(x=x, y=y, color=colour, **beside)
    return drawn


def _format(figure: Figure, axis: str) -> str:
    return ".0e" if axis in figure.log and _wide(figure, axis) else ",.6~g"


def _wide(figure: Figure, axis: str) -> bool:
    sizes = [abs(float(v)) for each in figure.series for v in getattr(each, axis) if not isinstance(v, str) and v]
    return bool(sizes) and (max(sizes) >= 1e5 or min(sizes) < 1e-4)


def _plain(chart: alt.LayerChart) -> alt.LayerChart:
    dressed: alt.LayerChart = (
        chart.properties(background="transparent")
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=_GREY,
            titleColor=_GREY,
            gridColor=_FAINT,
            gridOpacity=0.3,
            domain=False,
            tickColor=_FAINT,
            labelFontSize=11,
            titleFontSize=11,
            titleFontWeight="normal",
            titleLimit=WIDTH,
        )
        .configure_axisX(grid=False, domain=True, domainColor=_FAINT)
        .configure_legend(labelColor=_GREY, labelFontSize=11, symbolSize=50, symbolOpacity=1, padding=0, rowPadding=2)
    )
    return dressed
