"""Figures for notebooks, as altair charts: they show where the last line of a cell is one, and ``chart.save`` writes files.

Every function takes a :class:`hardsight.Difficulty`; ``d.plot`` has the same ones as methods. Charts carry their data and no
theme of their own: they go side by side (``a | b``), and ``chart.save("figure.png")`` or ``.svg`` needs no network.
"""

from hardsight.reporting.plot.accessor import Plots
from hardsight.reporting.plot.calibration import calibration
from hardsight.reporting.plot.difficulty import bias_variance, classes, errors, ledger
from hardsight.reporting.plot.weights import weights

__all__ = ["Plots", "bias_variance", "calibration", "classes", "errors", "ledger", "weights"]
