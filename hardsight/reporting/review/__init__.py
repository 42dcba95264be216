"""One self-contained page on which a person looks through all samples and decides about them."""

from hardsight.reporting.review.page import write

__all__ = ["write"]
