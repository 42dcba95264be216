"""Weights in a Hugging Face ``Trainer``: ``WeightedTrainer``, see :mod:`hardsight.weights.training.hf_trainer`."""

from hardsight.weights.training.hf_trainer import WeightedTrainer

__all__ = ["WeightedTrainer"]
