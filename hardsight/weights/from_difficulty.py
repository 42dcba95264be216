"""From difficulty to weights: one number a sample, of mean one, for any learner that takes sample weights."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.difficulty.decisions import DROP, KEEP, RELABEL, match_decisions
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.validation import check_int, check_range
from hardsight.weights.catalogue import get_scheme
from hardsight.weights.inputs import SAMPLE_INPUTS, check_rows


def weigh(
    difficulty: Difficulty,
    scheme: str = "auto",
    *,
    clip: float | None = None,
    seed: int = 0,
    decisions: Any = None,
    **given: Any,
) -> np.ndarray:
    """Weights from what was measured: ``(sample,)`` float64, in the order of the samples, with mean one.

    A scheme that was made for the losses of the model in training reads held-out ones here: ``loss`` is the error, ``p`` is
    exp(-error), ``logits`` are the consensus' log-probabilities, ``sizes`` the class counts of the given labels.

    Args:
        difficulty: what :func:`hardsight.measure` found.
        scheme: a name of ``hardsight.SCHEMES``; "auto" reads the ledger (:mod:`hardsight.weights.automatic`).
        clip: the largest weight; what is cut off is spread over the others in proportion, so that the mean stays one.
        seed: of schemes that draw.
        decisions: of a review, as :meth:`hardsight.Difficulty.apply` takes them. Samples dropped weigh 0; those relabelled
            count for their new class, with the error of their new label. That a label was kept or put right, and so is
            certain, is known to "auto" alone: other schemes read the error, which does not change where a label is kept.
        given: the scheme's parameters, and what it reads that a difficulty does not hold (``epoch=…``, ``groups=…``), arrays
            with a row a sample in the order of the samples.

    Raises:
        InputError: no difficulty, an unknown scheme or parameter, something that the scheme reads is missing or has not a
            row a sample, a scheme with a state, one whose weights are all zero, a ``clip`` that is too low for that, or
            decisions that do not fit.
    """
    if not isinstance(difficulty, Difficulty):
        raise InputError(
            f"hs.weigh reads what hs.measure found, a Difficulty. Got {type(difficulty).__name__}: measure first, or use "
            "hs.Weighting for losses in a loop"
        )
    found = get_scheme(scheme)
    if found.init is not None or found.kind not in ("weights", "sampling"):
        raise InputError(
            f"scheme {scheme!r} needs a training loop: use hs.Weighting({scheme!r}, …), or a scheme without state"
        )
    parameters = {name: value for name, value in given.items() if name not in found.inputs}
    read = {
        name: check_rows(name, given[name], len(difficulty), "the difficulty") for name in found.inputs if name in given
    }
    review = None if decisions is None else settled(difficulty, decisions)
    inputs = _inputs(difficulty if review is None else review.difficulty, seed)
    if review is not None:
        read |= {name: value[review.stays] for name, value in read.items() if name in SAMPLE_INPUTS}
        if "certain" in found.parameters:
            parameters.setdefault("certain", review.certain)
    weights = found(inputs | read, parameters).double().numpy()
    if review is not None:
        every = np.zeros(len(difficulty))
        every[review.stays] = weights
        weights = every
    if not weights.sum() > 0:
        raise InputError(f"scheme {scheme!r} gives no sample any weight here: loosen its parameters")
    return _clipped(weights / weights.mean(), clip)


class Review(NamedTuple):
    """What decisions make of a result.

    Attributes:
        difficulty: as they leave it, without the samples dropped.
        stays: where each of its samples stood, ``(sample,)``.
        certain: whose label was kept or put right, ``(sample,)``.
    """

    difficulty: Difficulty
    stays: np.ndarray
    certain: Tensor


def settled(difficulty: Difficulty, decisions: Any) -> Review:
    """The result as a review leaves it.

    Labels kept or put right have no doubt left. The error of a relabelled sample is that of its new label, by the same
    predictions: only the consensus' part of it changes, in log-loss and in squared error.

    Raises:
        InputError: decisions that do not fit, none of the samples stays, or samples are relabelled under another loss.
    """
    found = match_decisions(decisions, difficulty)
    dropped = found.rows[found.actions == DROP]
    stays = np.setdiff1d(np.arange(len(difficulty)), dropped)
    if not len(stays):
        raise InputError("the decisions drop every sample: keep at least one")
    certain, changed = found.rows[np.isin(found.actions, (KEEP, RELABEL))], found.actions == RELABEL
    mask = np.zeros(len(difficulty), dtype=bool)
    mask[stays] = True
    reviewed = difficulty.select(mask)
    place = np.full(len(difficulty), -1)
    place[stays] = np.arange(len(stays))
    if changed.any():
        reviewed = _relabel(reviewed, place[found.rows[changed]], found.labels[changed])
    sure = np.zeros(len(stays), dtype=bool)
    sure[place[certain]] = True
    if reviewed.p_wrong is not None:
        reviewed = replace(reviewed, p_wrong=np.where(sure, 0.0, reviewed.p_wrong))
    return Review(reviewed, stays, torch.from_numpy(sure))


def _relabel(d: Difficulty, at: np.ndarray, labels: np.ndarray) -> Difficulty:
    loss = d.run.loss
    if d.classes is not None and d.consensus is not None and loss == "log":
        gain = d.consensus[at, d.labels[at]] - d.consensus[at, labels]
    elif d.regression and loss == "squared":
        gain = np.square(d.predicted[at] - labels) - np.square(d.predicted[at] - d.labels[at])
    else:
        raise InputError(
            f"samples are relabelled, and what their error would be is known for log-loss and squared error alone, not for "
            f"{loss!r}: relabel them in the data and measure again"
        )
    error, bias, relabelled = d.error.copy(), d.bias.copy(), d.labels.copy()
    error[at] += gain
    bias[at] += gain
    relabelled[at] = labels
    return replace(d, error=error, bias=bias, labels=relabelled)


def _inputs(difficulty: Difficulty, seed: int) -> dict[str, Any]:
    # Copies: what was loaded from a file is read-only, and torch warns of such arrays.
    told: dict[str, Any] = {
        "loss": torch.tensor(difficulty.error),
        "held_out": torch.tensor(difficulty.error),
        "generator": torch.Generator().manual_seed(check_int("seed", seed, 0)),
    }
    if difficulty.classes is not None:
        told["classes"] = len(difficulty.classes)
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
    check_range("clip", clip, 1, strict=(True, False))
    if (above := int((weights > 0).sum())) * clip < len(weights):
        raise InputError(
            f"clip must be {len(weights) / above:.3g} or more: {above:,} of {len(weights):,} samples have any weight, and "
            f"the mean is one. Got {clip:g}"
        )
    # Each round cuts at least one sample more, or ends.
    while (over := weights > clip * (1 + 1e-12)).any():
        free = weights < clip
        spare = len(weights) - clip * (len(weights) - free.sum())
        weights = np.where(over | ~free, clip, weights * (spare / weights[free].sum()))
    return weights
