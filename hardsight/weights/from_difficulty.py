"""From difficulty to weights: one number per sample, of mean one, for any learner that takes sample weights."""

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hardsight.attribution.names import NO_CAUSE, TOO_FEW
from hardsight.data.alignment import align_to_ids
from hardsight.difficulty.decisions import DROP, KEEP, RELABEL, match_decisions
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import class_codes, has_several_labels, labels_apart
from hardsight.errors import InputError
from hardsight.validation import check_int, check_range
from hardsight.weights.catalogue import get_scheme
from hardsight.weights.inputs import INPUTS, SAMPLE_INPUTS, check_rows
from hardsight.weights.scheme import Scheme
from hardsight.weights.schemes.automatic import samples_in_small_classes

REGRESSION_INPUTS = frozenset({"loss", "p", "held_out", "generator"})
"""Inputs of schemes that every difficulty holds."""
CLASSIFICATION_INPUTS = REGRESSION_INPUTS | {"classes", "labels", "logits", "sizes", "p_wrong"}
"""Inputs of schemes that a difficulty of classes holds."""


def weigh(
    difficulty: Difficulty,
    scheme: str = "auto",
    *,
    clip: float | None = None,
    seed: int = 0,
    decisions: Any = None,
    **arguments: Any,
) -> np.ndarray:
    """Compute weights from a result: ``(sample,)`` float64, in the order of the samples, with mean one.

    Where rows are parts of samples, there is one weight per part; :func:`average_by_sample` takes their means. Where samples
    have several labels, schemes that read classes are computed for each label by itself, and have mean one in each: they
    balance those that have the label and those that do not.

    Weights that balance classes change the class shares that a model learns, and so its probabilities:
    :func:`hardsight.correct_priors` corrects them.

    A scheme made for the losses of the model in training reads held-out ones here: ``loss`` is the error, ``p`` is
    exp(-error), ``logits`` are the log-probabilities of the consensus, ``sizes`` are the class counts of the given labels.

    Args:
        difficulty: result of :func:`hardsight.measure`.
        scheme: a name of ``hardsight.SCHEMES``; "auto" reads the ledger (:mod:`hardsight.weights.schemes.automatic`).
        clip: largest weight; the excess is distributed over the other weights in proportion, so that the mean stays one.
        seed: seed of schemes that draw random numbers.
        decisions: decisions of a review, as :meth:`hardsight.Difficulty.apply` takes them. Dropped samples have the weight
            0. Relabelled ones count for their new class, with the error of their new label. Only "auto" knows that a
            confirmed label is certain: other schemes read the error, which stays the same for a kept label.
        arguments: parameters of the scheme, and inputs that a difficulty does not hold (``epoch=…``, ``groups=…``), as
            arrays with one row per sample in the order of the samples, or as a Series indexed by id.

    Raises:
        InputError: ``difficulty`` is not a :class:`Difficulty`; the scheme or a parameter is unknown; an input is missing or
            does not have one row per sample; the scheme keeps a state, or gives all samples the weight zero; ``clip`` is too
            small; or the decisions do not match.
    """
    if not isinstance(difficulty, Difficulty):
        raise InputError(
            f"hs.weigh needs a Difficulty, the result of hs.measure. Got {type(difficulty).__name__}: measure first, or "
            "use hs.Weighting for losses in a loop"
        )
    row = _check_scheme(scheme)
    if difficulty.regression and "p_wrong" in row.reads and "p_wrong" not in arguments:
        raise InputError(
            f"scheme {scheme!r} needs P(label wrong), which only classes have: for numbers take another scheme, or the "
            "weights 1 - d.p_outlier, which leave out targets that are far off"
        )
    parameters = {name: value for name, value in arguments.items() if name not in row.inputs}
    inputs = {
        name: check_rows(name, _aligned(name, arguments[name], difficulty), len(difficulty), "the difficulty")
        for name in row.inputs
        if name in arguments
    }
    if decisions is None:
        weights = _call(row, difficulty, inputs, parameters, seed)
    else:
        reviewed = apply_review(difficulty, decisions)
        inputs = {name: value[reviewed.rows] if name in SAMPLE_INPUTS else value for name, value in inputs.items()}
        if "certain" in row.parameters:
            parameters.setdefault("certain", reviewed.certain)
        weights = np.zeros(len(difficulty))
        weights[reviewed.rows] = _call(row, reviewed.difficulty, inputs, parameters, seed)
    if not weights.sum() > 0:
        raise InputError(f"scheme {scheme!r} gives no sample any weight here: loosen its parameters")
    return _clip(weights / weights.mean(), clip)


def average_by_sample(difficulty: Difficulty, weights: Any) -> pd.Series:
    """Return the mean weight of the parts of each sample, by sample, in the order in which the samples first appear.

    For learners that take one weight per sample, such as those of scikit-learn.

    Args:
        difficulty: a result whose rows are parts of samples.
        weights: one per part, ``(part,)``, as :func:`weigh` returns them.

    Raises:
        InputError: rows are whole samples, or there is not one weight per part.
    """
    if difficulty.sample is None:
        raise InputError("the rows of this result are whole samples: their weights are those of hs.weigh(d)")
    values = np.asarray(align_to_ids("weights", weights, difficulty.ids), dtype=np.float64)
    if values.shape != (len(difficulty),):
        raise InputError(f"weights must have one value per row of the result, ({len(difficulty)},). Got {values.shape}")
    by_part = pd.Series(values, index=pd.Index(difficulty.sample, name="sample"), name="weight")
    return by_part.groupby(level=0, sort=False).mean()


def _call(row: Scheme, d: Difficulty, inputs: dict[str, Any], parameters: dict[str, Any], seed: int) -> np.ndarray:
    """Return what a scheme gives, ``(row,)``; for several labels, schemes that read classes judge each label by itself.

    Args:
        inputs: those that the caller gave; the result holds the others.
    """
    if "in_small_class" in row.parameters:
        parameters = {"in_small_class": samples_in_small_classes(d)} | parameters
    if not has_several_labels(d) or not {"labels", "sizes"} & set(row.inputs):
        values: np.ndarray = row(_difficulty_inputs(d, seed) | inputs, parameters).double().numpy()
        return values
    weights = np.zeros(len(d))
    for rows, alone in labels_apart(d):
        own = {name: value[rows] if name in SAMPLE_INPUTS else value for name, value in inputs.items()}
        settings = {name: value[rows] if _is_of_rows(value, len(d)) else value for name, value in parameters.items()}
        values = row(_difficulty_inputs(alone, seed) | own, settings).double().numpy()
        weights[rows] = values / (values.mean() or 1.0)
    return weights


def _is_of_rows(value: Any, rows: int) -> bool:
    return isinstance(value, Tensor | np.ndarray) and value.shape[:1] == (rows,)


def _aligned(name: str, value: Any, difficulty: Difficulty) -> Any:
    return align_to_ids(name, value, difficulty.ids) if name in SAMPLE_INPUTS else value


def check_weighable(scheme: str, parameters: Mapping[str, Any], clip: float | None, inputs: Container[str]) -> None:
    """Check the arguments of :func:`weigh` before there is a difficulty.

    Args:
        scheme: name of the scheme.
        parameters: its parameters.
        clip: as in :func:`weigh`.
        inputs: names of the inputs that the difficulty will hold.

    Raises:
        InputError: as in :func:`weigh`.
    """
    row = _check_scheme(scheme)
    for name in row.reads:
        if name not in inputs and name not in parameters:
            raise InputError(f"scheme {scheme!r} needs {name}: pass {name}=…, {INPUTS[name]}")
    row.check_parameters({name: value for name, value in parameters.items() if name not in row.inputs})
    if clip is not None:
        check_range("clip", clip, 1, strict=(True, False))


def _check_scheme(scheme: str) -> Scheme:
    """Return the scheme if it needs no training loop."""
    row = get_scheme(scheme)
    if row.init is not None or row.kind not in ("weights", "sampling"):
        raise InputError(
            f"scheme {scheme!r} needs a training loop: use hs.Weighting({scheme!r}, …), or a scheme without state"
        )
    return row


class ReviewedDifficulty(NamedTuple):
    """A result after a review."""

    difficulty: Difficulty  # the result without the dropped samples
    rows: np.ndarray  # rows of its samples in the original result, (sample,)
    certain: Tensor  # whether the label was confirmed or corrected, (sample,)


def apply_review(difficulty: Difficulty, decisions: Any) -> ReviewedDifficulty:
    """Apply the decisions of a review to a result.

    Confirmed and corrected labels have P(wrong) 0. The error of a relabelled sample is that of its new label under the same
    predictions: only the consensus' part of it changes, in log-loss and in squared error.

    Raises:
        InputError: the decisions do not match or drop every sample, or samples are relabelled under another loss.
    """
    matched = match_decisions(decisions, difficulty)
    rows = np.setdiff1d(np.arange(len(difficulty)), matched.rows[matched.actions == DROP])
    if not len(rows):
        raise InputError("the decisions drop every sample: keep at least one")
    new_rows = np.full(len(difficulty), -1)
    new_rows[rows] = np.arange(len(rows))
    reviewed = difficulty.select(new_rows >= 0)
    changed = matched.actions == RELABEL
    if changed.any():
        reviewed = _relabel(reviewed, new_rows[matched.rows[changed]], matched.labels[changed])
    certain = np.zeros(len(rows), dtype=bool)
    certain[new_rows[matched.rows[np.isin(matched.actions, (KEEP, RELABEL))]]] = True
    if reviewed.p_wrong is not None:
        reviewed = replace(reviewed, p_wrong=np.where(certain, 0.0, reviewed.p_wrong))
    if reviewed.cause is not None:
        reviewed = replace(reviewed, cause=_review_causes(difficulty, reviewed, rows, certain))
    return ReviewedDifficulty(reviewed, rows, torch.from_numpy(certain))


def _review_causes(d: Difficulty, reviewed: Difficulty, rows: np.ndarray, certain: np.ndarray) -> np.ndarray:
    """Return the causes after a review: a class too small to be split also is for labels that were corrected to it.

    Args:
        d: the result before the review.
        rows: rows of the reviewed samples in it, ``(sample,)``.
        certain: whether the label was confirmed or corrected, ``(sample,)``.
    """
    assert reviewed.cause is not None
    before = samples_in_small_classes(d)
    small = np.zeros(len(d), dtype=bool) if before is None else before.numpy()
    labels = d.labels.copy()
    labels[rows] = reviewed.labels
    in_small_class = np.isin(class_codes(d, labels), class_codes(d, d.labels)[small])[rows]
    # The labels of a rare class that was split can be told once they are reviewed.
    after_review = np.where(certain & (reviewed.cause == TOO_FEW), NO_CAUSE, reviewed.cause)
    return np.where(in_small_class, TOO_FEW, after_review)


def _relabel(d: Difficulty, rows: np.ndarray, labels: np.ndarray) -> Difficulty:
    loss = d.run.loss
    if d.classes is not None and d.consensus is not None and loss == "log":
        change = d.consensus[rows, d.labels[rows]] - d.consensus[rows, labels]
    elif d.regression and loss == "squared":
        change = np.square(d.predicted[rows] - labels) - np.square(d.predicted[rows] - d.labels[rows])
    else:
        raise InputError(
            f"the error of a relabelled sample is known only for log-loss and squared error. Got {loss!r}: relabel the "
            "samples in the data and measure again"
        )
    error, bias, relabelled = d.error.copy(), d.bias.copy(), d.labels.copy()
    error[rows] += change
    bias[rows] += change
    relabelled[rows] = labels
    return replace(d, error=error, bias=bias, labels=relabelled)


def _difficulty_inputs(difficulty: Difficulty, seed: int) -> dict[str, Any]:
    # Copied, because arrays loaded from a file are read-only and torch warns of those.
    inputs: dict[str, Any] = {
        "loss": torch.tensor(difficulty.error),
        "p": torch.exp(-torch.tensor(difficulty.error)),
        "held_out": torch.tensor(difficulty.error),
        "generator": torch.Generator().manual_seed(check_int("seed", seed, 0)),
    }
    if difficulty.classes is not None:
        inputs["classes"] = len(difficulty.classes)
    if difficulty.consensus is not None and difficulty.classes is not None:
        labels = torch.tensor(difficulty.labels)
        sizes = torch.bincount(labels, minlength=len(difficulty.classes))
        inputs |= {"labels": labels, "logits": torch.tensor(difficulty.consensus), "sizes": sizes}
    if difficulty.p_wrong is not None:
        inputs["p_wrong"] = torch.tensor(difficulty.p_wrong)
    return inputs


def _clip(weights: np.ndarray, clip: float | None) -> np.ndarray:
    if clip is None:
        return weights
    check_range("clip", clip, 1, strict=(True, False))
    if (positive := int((weights > 0).sum())) * clip < len(weights):
        raise InputError(
            f"clip must be {len(weights) / positive:.3g} or more: {positive:,} of {len(weights):,} samples have a positive "
            f"weight, and the mean is one. Got {clip:g}"
        )
    # Each round clips at least one more sample, or is the last.
    while (over := weights > clip * (1 + 1e-12)).any():
        free = weights < clip
        remainder = len(weights) - clip * (len(weights) - free.sum())
        weights = np.where(over | ~free, clip, weights * (remainder / weights[free].sum()))
    return weights
