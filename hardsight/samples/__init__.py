"""Doors for data: every kind of input becomes :class:`Samples`, with stable ids and labels as codes."""

from hardsight.samples.core import Kind, Samples

__all__ = ["Kind", "Samples"]
