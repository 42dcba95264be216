"""Training loops of the user: any code that trains on samples by their ids and predicts others."""

from hardsight.learners.loop.loop import Loop

__all__ = ["Loop"]
