"""Weights in a Hugging Face ``Trainer``: ``WeightedTrainer``, see :mod:`hardsight.weighting.trainer`."""

from hardsight.weighting.trainer import WeightedTrainer

__all__ = ["WeightedTrainer"]
