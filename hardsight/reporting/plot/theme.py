"""What the figures for notebooks share: sizes, and colours set in each chart in place of a configuration."""

from typing import Any

import altair as alt

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.reporting.charts import Chart
from hardsight.reporting.palette import FAINT, GREY

WIDTH, HEIGHT = 460, 280

_AXIS: dict[str, Any] = {
    "labelColor": GREY, "titleColor": GREY, "tickColor": FAINT, "gridColor": FAINT, "gridOpacity": 0.35,
    "titleFontWeight": "normal", "labelFontSize": 11, "titleFontSize": 11, "titlePadding": 8,
}  # fmt: skip
_AXES: dict[str, dict[str, Any]] = {
    "x": _AXIS | {"grid": False, "domain": True, "domainColor": FAINT},
    "y": _AXIS | {"domain": False},
}
_LEGEND: dict[str, Any] = {
    "labelColor": GREY, "titleColor": GREY, "titleFontWeight": "normal", "symbolOpacity": 1, "labelFontSize": 11,
}  # fmt: skip
_GREY_MARKS = ("text", "rule", "tick")


def check_not_empty(d: Difficulty) -> Difficulty:
    """Return the result.

    Raises:
        InputError: it has no samples.
    """
    if not len(d):
        raise InputError("this result has no samples to plot: select some")
    return d


def without_config(chart: Chart, title: str = "", *, height: int = HEIGHT) -> Chart:
    """Return the chart without a configuration, so that it can be combined with others, and with grey axes of its own.

    Args:
        height: of the part inside the axes, in pixels.
    """
    bare = chart.copy(deep=True)
    for top_level in ("config", "background", "autosize"):
        bare[top_level] = alt.Undefined
    for unit in bare.layer if isinstance(bare, alt.LayerChart) else [bare]:
        _style(unit)
    title_params = alt.TitleParams(title, color=GREY, fontSize=12, fontWeight="normal", anchor="start")
    sized: Chart = bare.properties(
        width=WIDTH,
        height=height,
        view=alt.ViewBackground(stroke=None, fill=None),
        **({"title": title_params} if title else {}),
    )
    return sized


def _style(unit: Any) -> None:
    mark = unit.mark if isinstance(unit.mark, alt.MarkDef) else alt.MarkDef(type=unit.mark)
    coloured = mark["color"] is not alt.Undefined or unit.encoding["color"] is not alt.Undefined
    if mark["type"] in _GREY_MARKS and not coloured:
        mark["color"] = GREY
    unit.mark = mark
    for name, defaults in _AXES.items():
        channel = unit.encoding[name]
        if isinstance(channel, alt.X | alt.Y) and channel["axis"] is not None:
            channel["axis"] = _with_defaults(channel["axis"], alt.Axis, defaults)
    for name in ("color", "size", "shape"):
        channel = unit.encoding[name]
        if isinstance(channel, alt.Color | alt.Size | alt.Shape) and channel["legend"] is not None:
            channel["legend"] = _with_defaults(channel["legend"], alt.Legend, _LEGEND)
            # The report breaks legends for telephones.
            channel["legend"]["columns"] = alt.Undefined


def _with_defaults(guide: Any, kind: Any, defaults: dict[str, Any]) -> Any:
    """Return an axis or legend with defaults for everything that it leaves open."""
    filled = kind() if guide is alt.Undefined else guide
    for name, value in defaults.items():
        if filled[name] is alt.Undefined:
            filled[name] = value
    return filled
