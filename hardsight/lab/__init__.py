"""The lab: worlds with known truth, and every claim of the theory tested by numbers."""

from hardsight.lab.claim import Claim, Figure, Interval, Proposition, Series
from hardsight.lab.page import draw, write
from hardsight.lab.table import CLAIMS, check

__all__ = ["CLAIMS", "Claim", "Figure", "Interval", "Proposition", "Series", "check", "draw", "write"]
