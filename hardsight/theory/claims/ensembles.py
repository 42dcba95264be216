"""Ensembles whose predictions are drawn, and what the library's own record makes of them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hardsight.measures.held_out import HeldOut


def random_log_probs(rng: np.random.Generator, members: int, samples: int, classes: int, scale: float = 2.0) -> Tensor:
    """Log-probabilities of random, calmer and wilder members: ``(member, sample, class)`` float64."""
    widths = rng.uniform(0.1, scale, (members, samples, 1))
    return torch.from_numpy(widths * rng.normal(size=(members, samples, classes))).log_softmax(2)


def random_labels(rng: np.random.Generator, samples: int, classes: int) -> Tensor:
    """Random labels, ``(sample,)`` int64."""
    return torch.from_numpy(rng.integers(0, classes, samples))


def record_held_out(views: Tensor, labels: Tensor, classes: int | None) -> HeldOut:
    """The record of the views of an ensemble that held every sample out."""
    rows = torch.arange(len(labels))
    return HeldOut.from_views(labels, classes, ((rows, view, turn) for turn, view in enumerate(views)))


def max_abs(values: Tensor) -> float:
    """The largest size of any entry; NaN where one is."""
    return float(values.abs().max())


def max_gap(gaps: Sequence[float] | np.ndarray) -> float:
    """The largest of all; NaN where one is, which Python's own would hide."""
    return float(np.max(np.asarray(gaps, dtype=np.float64)))


def plug_in_variance(views: int, variance: Tensor) -> Tensor:
    """The variance as it is over these very views, without the correction for their number."""
    return variance * (views - 1) / views
