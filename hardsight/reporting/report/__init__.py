"""One self-contained HTML page that shows a result: it opens offline and loads nothing from the network."""

from hardsight.reporting.report.figures import bias_variance, histogram, ledger
from hardsight.reporting.report.page import write

__all__ = ["bias_variance", "histogram", "ledger", "write"]
