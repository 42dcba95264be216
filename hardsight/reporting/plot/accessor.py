"""``d.plot``: the figures of a result as methods."""

from typing import Any

import altair as alt

from hardsight.difficulty.result import Difficulty
from hardsight.reporting.plot.calibration import calibration
from hardsight.reporting.plot.difficulty import bias_variance, classes, errors, ledger
from hardsight.reporting.plot.weights import weights as plot_weights


class Plots:
    """The figures of one result. Each method returns an altair chart that can be shown, changed, combined and saved.

    Args:
        d: the result.
    """

    def __init__(self, d: Difficulty) -> None:
        self._d = d

    def ledger(self, by: str = "class", most: int = 20) -> alt.LayerChart:
        """Draw the four factors as stacked bars; see :func:`hardsight.reporting.plot.ledger`."""
        return ledger(self._d, by, most)

    def map(self) -> alt.Chart:
        """Draw bias against variance, coloured by cause; see :func:`hardsight.reporting.plot.bias_variance`."""
        return bias_variance(self._d)

    def classes(self, most: int = 30) -> alt.LayerChart:
        """Draw the mean error of every class with its interval; see :func:`hardsight.reporting.plot.classes`."""
        return classes(self._d, most)

    def errors(self) -> alt.LayerChart:
        """Draw how many samples have which error; see :func:`hardsight.reporting.plot.errors`."""
        return errors(self._d)

    def calibration(self, wrong: Any = None) -> alt.LayerChart:
        """Draw how often predictions of each probability are right; see :func:`hardsight.reporting.plot.calibration`."""
        return calibration(self._d, wrong)

    def weights(self, weights: Any) -> alt.LayerChart | alt.VConcatChart:
        """Draw weights of these samples, alone and against their error; see :func:`hardsight.reporting.plot.weights`."""
        return plot_weights(weights, self._d)

    def __repr__(self) -> str:
        return "ledger(), map(), classes(), errors(), calibration(), weights(w): altair charts"
