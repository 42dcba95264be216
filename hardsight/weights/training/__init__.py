"""Weights in a training loop: the weighted loss, the weighted sampler, and ids that travel with the samples."""

from hardsight.weights.training.datasets import ID, IdCollator, IndexedDataset, collate, indexed
from hardsight.weights.training.sampler import WeightedSampler
from hardsight.weights.training.weighting import Weighting

__all__ = ["ID", "IdCollator", "IndexedDataset", "WeightedSampler", "Weighting", "collate", "indexed"]
