"""Parts that all altair charts share: their theme, their data, unique names and colours by group."""

from typing import Any, TypeVar

import altair as alt

from hardsight.reporting.palette import COLOURS, FAINT, GREY

Chart = TypeVar("Chart", alt.Chart, alt.LayerChart)

_AXIS: dict[str, Any] = {
    "labelColor": GREY, "titleColor": GREY, "gridColor": FAINT, "tickColor": FAINT, "domain": False,
    "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal",
}  # fmt: skip
_LEGEND: dict[str, Any] = {
    "labelColor": GREY, "labelFontSize": 11, "symbolOpacity": 1, "padding": 0
}  # fmt: skip


def configure_theme(chart: Chart, axis: dict[str, Any], legend: dict[str, Any]) -> Chart:
    """Return the chart with the theme of all pages: transparent, in greys that are legible on white and on near-black."""
    configured: Chart = (
        chart.properties(background="transparent")
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(**_AXIS | axis)
        .configure_axisX(grid=False, domain=True, domainColor=FAINT)
        .configure_legend(**_LEGEND | legend)
    )
    return configured


def apply_theme(chart: Chart, height: Any) -> Chart:
    """Return the chart as pages show it: as wide as its place, ``height`` pixels high. The page's style sets the greys."""
    sized: Chart = chart.properties(
        width="container", height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding")
    )
    axis = {"gridOpacity": 0.35, "labelFontWeight": "normal", "titlePadding": 8}
    return configure_theme(sized, axis, {"symbolSize": 70, "offset": 8, "rowPadding": 3})


def inline_data(values: list[dict[str, Any]]) -> alt.Data:
    """Return data that the chart itself holds, whatever transformer the user's own charts are set to."""
    return alt.Data(values=values)  # type: ignore[no-untyped-call]


def unique_names(names: list[str]) -> list[str]:
    """Number names that are equal after cutting or printing. Equal names would share one bar.

    >>> unique_names(["cat", "dog", "cat"])
    ['cat', 'dog', 'cat (2)']
    """
    counts: dict[str, int] = {}
    unique = []
    for name in names:
        numbered = name
        while numbered in counts:
            counts[name] += 1
            numbered = f"{name} ({counts[name]})"
        counts[numbered] = 1
        unique.append(numbered)
    return unique


def colour_channel(groups: list[tuple[str, str]], field: str = "part") -> alt.Color:
    """Return the channel that colours by a field.

    Args:
        groups: name of each group, and the name whose colour in ``COLOURS`` it takes.
    """
    scale = alt.Scale(domain=[name for name, _ in groups], range=[COLOURS[like] for _, like in groups])
    # Five entries in one row would be cut off on a telephone.
    legend = alt.Legend(orient="top", columns=4 if len(groups) < 5 else 3, gridAlign="each", labelLimit=200)
    return alt.Color(f"{field}:N", scale=scale, title=None, legend=legend)
