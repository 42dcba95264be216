"""Copies: samples that stand in the data more than once, exactly or nearly."""

from hardsight.copies.across import CopiesAcross, find_copies_across
from hardsight.copies.sets import CopySets, find_copy_sets

__all__ = ["CopiesAcross", "CopySets", "find_copies_across", "find_copy_sets"]
