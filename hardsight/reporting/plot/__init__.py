"""Figures for notebooks, as altair charts. A chart in the last line of a cell is shown; ``chart.save`` writes files.

Every function takes a :class:`hardsight.Difficulty`; ``d.plot`` has the same functions as methods. Charts carry their data
and no theme, so they can go side by side (``a | b``). ``chart.save("figure.png")`` or ``.svg`` needs no network.
"""

from hardsight.reporting.plot.accessor import Plots
from hardsight.reporting.plot.calibration import calibration
from hardsight.reporting.plot.difficulty import bias_variance, classes, errors, ledger
from hardsight.reporting.plot.weights import weights

__all__ = ["Plots", "bias_variance", "calibration", "classes", "errors", "ledger", "weights"]
