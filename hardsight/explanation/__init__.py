"""What weights do: what they are, what is to be expected of them, and what models trained with them do otherwise."""

from hardsight.explanation.analysis import explain
from hardsight.explanation.result import Explanation

__all__ = ["Explanation", "explain"]
