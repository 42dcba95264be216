"""The colours and shapes of all figures. This module imports no altair, so the terminal can use it, too."""

from hardsight.attribution.names import NO_CAUSE, STRANGE, TOO_FEW

# Okabe and Ito 2008, *Color Universal Design*: those of their eight with a contrast of 3:1 on white and on near-black,
# and a violet of that contrast.
COLOURS = {
    "noise": "#D55E00", "imbalance": "#0072B2", "margin": "#CC79A7", "uncertainty": "#009E73", NO_CAUSE: "#85898F",
    STRANGE: "#8F63C9", TOO_FEW: "#85898F",
}  # fmt: skip
SHAPES = {
    "noise": "circle", "imbalance": "square", "margin": "triangle-up", "uncertainty": "diamond", NO_CAUSE: "circle",
    STRANGE: "triangle-down", TOO_FEW: "cross",
}  # fmt: skip
# 4.8:1 on white, 3.9:1 on #111111: at least what WCAG 2.1 asks of large text and of graphics, on both.
GREY, FAINT = "#6b7280", "#9ca3af"
