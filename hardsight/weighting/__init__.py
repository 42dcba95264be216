"""Weights in a training loop: the weighted loss, the weighted sampler, and ids that travel with the samples."""

from hardsight.weighting.core import Weighting
from hardsight.weighting.datasets import ID, Collate, Indexed, collate, indexed
from hardsight.weighting.sampler import WeightedSampler

__all__ = ["ID", "Collate", "Indexed", "WeightedSampler", "Weighting", "collate", "indexed"]
