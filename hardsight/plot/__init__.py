"""Figures for notebooks, as altair charts: they show where the last line of a cell is one, and ``chart.save`` writes files.

Every function takes a :class:`hardsight.Difficulty`; ``d.plot`` has the same ones as methods. Charts carry their data and no
theme of their own: they go side by side (``a | b``), and ``chart.save("figure.png")`` or ``.svg`` needs no network.
"""

from hardsight.plot.calibration import calibration
from hardsight.plot.of_difficulty import Plots
from hardsight.plot.of_weights import weights
from hardsight.plot.pictures import bias_variance, classes, errors, ledger

__all__ = ["Plots", "bias_variance", "calibration", "classes", "errors", "ledger", "weights"]
