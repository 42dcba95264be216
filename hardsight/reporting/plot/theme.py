"""What the figures share: sizes, and greys that are legible on white and on near-black."""

from typing import Any, TypeVar

import altair as alt

from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError

# 4.8:1 on white, 3.9:1 on #111111: at least what WCAG 2.1 asks of large text and of graphics, on both.
GREY = "#6b7280"
FAINT = "#9ca3af"
WIDTH, HEIGHT = 460, 280

Chart = TypeVar("Chart", alt.Chart, alt.LayerChart)

_AXIS: dict[str, Any] = {
    "labelColor": GREY, "titleColor": GREY, "tickColor": FAINT, "gridColor": FAINT, "gridOpacity": 0.35,
    "titleFontWeight": "normal", "labelFontSize": 11, "titleFontSize": 11, "titlePadding": 8,
}  # fmt: skip
_OF_AXIS: dict[str, Any] = {"x": {"grid": False, "domain": True, "domainColor": FAINT}, "y": {"domain": False}}
_LEGEND: dict[str, Any] = {
    "labelColor": GREY,
    "titleColor": GREY,
    "titleFontWeight": "normal",
    "symbolOpacity": 1,
    "labelFontSize": 11,
}
_WORDS_AND_RULES = ("text", "rule", "tick")


def check_not_empty(d: Difficulty) -> Difficulty:
    """The result itself.

    Raises:
        InputError: it holds no sample.
    """
    if not len(d):
        raise InputError("this result holds no sample that could be shown: select some")
    return d


def without_config(chart: Chart, title: str = "", *, height: int = HEIGHT) -> Chart:
    """The chart without a configuration, so that it can be set beside others, and with the greys in its own axes.

    Args:
        chart: one of this package, or of the report; it is left as it is.
        title: a line above it.
        height: of the part inside the axes, in pixels.
    """
    bare = chart.copy(deep=True)
    for only_on_top in ("config", "background", "autosize"):
        bare[only_on_top] = alt.Undefined
    for unit in bare.layer if isinstance(bare, alt.LayerChart) else [bare]:
        _style(unit)
    named = (
        {"title": alt.TitleParams(title, color=GREY, fontSize=12, fontWeight="normal", anchor="start")} if title else {}
    )
    finished: Chart = bare.properties(
        width=WIDTH, height=height, view=alt.ViewBackground(stroke=None, fill=None), **named
    )
    return finished


def _style(unit: Any) -> None:
    mark = unit.mark if isinstance(unit.mark, alt.MarkDef) else alt.MarkDef(type=unit.mark)
    coloured = mark["color"] is not alt.Undefined or unit.encoding["color"] is not alt.Undefined
    if mark["type"] in _WORDS_AND_RULES and not coloured:
        mark["color"] = GREY
    unit.mark = mark
    for name, own in _OF_AXIS.items():
        channel = unit.encoding[name]
        if isinstance(channel, alt.X | alt.Y) and channel["axis"] is not None:
            channel["axis"] = _filled(channel["axis"], alt.Axis, _AXIS | own)
    for name in ("color", "size", "shape"):
        channel = unit.encoding[name]
        if isinstance(channel, alt.Color | alt.Size | alt.Shape) and channel["legend"] is not None:
            channel["legend"] = _filled(channel["legend"], alt.Legend, _LEGEND)
            # The report breaks legends for telephones.
            channel["legend"]["columns"] = alt.Undefined


def _filled(given: Any, kind: Any, common: dict[str, Any]) -> Any:
    """What was given, with what is common for all that it leaves open."""
    filled = kind() if given is alt.Undefined else given
    for name, value in common.items():
        if filled[name] is alt.Undefined:
            filled[name] = value
    return filled
