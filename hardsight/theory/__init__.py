"""The lab: worlds with known truth, and every claim of the theory tested by numbers."""

from hardsight.theory.catalogue import CLAIMS, check
from hardsight.theory.claim import Claim, Figure, Interval, Proposition, Series
from hardsight.theory.page import draw, write

__all__ = ["CLAIMS", "Claim", "Figure", "Interval", "Proposition", "Series", "check", "draw", "write"]
