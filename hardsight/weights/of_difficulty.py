"""From difficulty to weights: one number a sample, of mean one, for any learner that takes sample weights."""

from typing import Any

import numpy as np
import torch

from hardsight.difficulty import Difficulty
from hardsight.errors import InputError
from hardsight.weights.core import within
from hardsight.weights.table import scheme as named


def weigh(
    difficulty: Difficulty, scheme: str = "auto", *, clip: float | None = None, seed: int = 0, **given: Any
) -> np.ndarray:
    """Weights from what was measured: ``(sample,)`` float64, in the order of the samples, with mean one.

    A scheme that was made for the losses of the model in training reads held-out ones here: ``loss`` is the error, ``p`` is
    exp(-error), ``logits`` are the consensus' log-probabilities, ``sizes`` the class counts of the given labels.

    Args:
        difficulty: what :func:`hardsight.measure` found.
        scheme: a name of ``hardsight.SCHEMES``; "auto" reads the ledger (:mod:`hardsight.weights.automatic`).
        clip: the largest weight; what is cut off is spread over the others in proportion, so that the mean stays one.
        seed: of schemes that draw.
        given: the scheme's parameters, and what it reads that a difficulty does not hold (``epoch=…``, ``groups=…``).

    Raises:
        InputError: an unknown scheme or parameter, something that the scheme reads is missing, a scheme with a state, or one
            whose weights are all zero.
    """
    found = named(scheme)
    if found.start is not None or found.kind not in ("weights", "sampling"):
        raise InputError(
            f"scheme {scheme!r} needs a training loop: use hs.Weighting({scheme!r}, …), or a scheme without state"
        )
    parameters = {name: value for name, value in given.items() if name not in found.reads}
    inputs = _inputs(difficulty, seed) | {name: value for name, value in given.items() if name in found.reads}
    weights = found.of(inputs, parameters).double().numpy()
    if not weights.sum() > 0:
        raise InputError(f"scheme {scheme!r} gives no sample any weight here: loosen its parameters")
    return _clipped(weights / weights.mean(), clip)


def _inputs(difficulty: Difficulty, seed: int) -> dict[str, Any]:
    # Copies: what was loaded from a file is read-only, and torch warns of such arrays.
    told: dict[str, Any] = {
        "loss": torch.tensor(difficulty.error),
        "held_out": torch.tensor(difficulty.error),
        "generator": torch.Generator().manual_seed(seed),
    }
    if difficulty.consensus is not None and difficulty.classes is not None:
        labels = torch.tensor(difficulty.labels)
        sizes = torch.bincount(labels, minlength=len(difficulty.classes))
        told |= {"labels": labels, "logits": torch.tensor(difficulty.consensus), "sizes": sizes}
    if difficulty.p_wrong is not None:
        told["p_wrong"] = torch.tensor(difficulty.p_wrong)
    return told


def _clipped(weights: np.ndarray, clip: float | None) -> np.ndarray:
    if clip is None:
        return weights
    within("clip", clip, 1, strict=(True, False))
    # Each round cuts at least one sample more, or ends.
    while (over := weights > clip * (1 + 1e-12)).any():
        free = weights < clip
        spare = len(weights) - clip * (len(weights) - free.sum())
        weights = np.where(over | ~free, clip, weights * (spare / weights[free].sum()))
    return weights
