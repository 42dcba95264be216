"""Doors for data: every kind of input becomes :class:`Samples`, with stable ids and labels as codes."""

from hardsight.samples.core import Kind, Samples
from hardsight.samples.files import read
from hardsight.samples.memory import of

__all__ = ["Kind", "Samples", "of", "read"]
