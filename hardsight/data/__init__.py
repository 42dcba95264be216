"""Readers and converters: every kind of input becomes :class:`Samples`, with stable ids and labels as codes."""

from hardsight.data.encoder import Encoder
from hardsight.data.from_files import read
from hardsight.data.samples import Kind, Samples

__all__ = ["Encoder", "Kind", "Samples", "read"]
