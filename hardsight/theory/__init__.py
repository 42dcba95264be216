"""Numerical tests of every claim of the theory, on synthetic scenarios with known truth."""

from hardsight.theory.catalogue import CLAIMS, check
from hardsight.theory.claim import Claim, ClaimDefinition, Figure, Interval, Series
from hardsight.theory.page import write_figures, write_page

__all__ = ["CLAIMS", "Claim", "ClaimDefinition", "Figure", "Interval", "Series", "check", "write_figures", "write_page"]
