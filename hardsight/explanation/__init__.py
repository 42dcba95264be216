"""Explain weights: what they are, what to expect of them, and how models trained with them differ."""

from hardsight.explanation.analysis import explain
from hardsight.explanation.result import Explanation

__all__ = ["Explanation", "explain"]
