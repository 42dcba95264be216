"""Random ensembles, and the library's record of them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hardsight.measures.held_out import HeldOut


def random_log_probs(rng: np.random.Generator, members: int, samples: int, classes: int, scale: float = 2.0) -> Tensor:
    """Draw log-probabilities of random members, some calmer, some wilder: ``(member, sample, class)`` float64."""
    widths = rng.uniform(0.1, scale, (members, samples, 1))
    return torch.from_numpy(widths * rng.normal(size=(members, samples, classes))).log_softmax(2)


def random_labels(rng: np.random.Generator, samples: int, classes: int) -> Tensor:
    """Draw random labels, ``(sample,)`` int64."""
    return torch.from_numpy(rng.integers(0, classes, samples))


def record_held_out(views: Tensor, labels: Tensor, classes: int | None) -> HeldOut:
    """Record the views of an ensemble for which every sample is held out."""
    rows = torch.arange(len(labels))
    return HeldOut.from_views(labels, classes, ((rows, view, turn) for turn, view in enumerate(views)))


def max_abs(values: Tensor) -> float:
    """Return the largest absolute value; NaN if any value is NaN."""
    return float(values.abs().max())


def max_gap(gaps: Sequence[float] | np.ndarray) -> float:
    """Return the maximum; NaN if any value is NaN, which Python's own ``max`` would hide."""
    return float(np.max(np.asarray(gaps, dtype=np.float64)))


def plug_in_variance(views: int, variance: Tensor) -> Tensor:
    """Undo the correction of the variance for the number of views."""
    return variance * (views - 1) / views
