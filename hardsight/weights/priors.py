"""Class priors: what weights do to predicted probabilities, and how to undo it.

A model that is trained with weights learns the class probabilities of a population in which each class has its share of
the weight. Weights that balance classes so make rare classes look more frequent than they are.
"""

from typing import Any

import numpy as np

from hardsight.data.alignment import check_indexes
from hardsight.data.conversion import to_numpy
from hardsight.errors import InputError

_SMALL_SHIFT = 0.1


def correct_priors(probabilities: Any, labels: Any, weights: Any = None, *, priors: Any = None) -> np.ndarray:
    """Correct predicted probabilities for the weights of the training, ``(row, class)`` float64.

    By Bayes' rule p(c | x) is proportional to q(c | x) pi_c / v_c: q is the prediction, v_c the share of the weight that
    class c had in the training, and pi_c its prior. This is exact if the weights differ between classes only, or
    independently of x within them. The ranking of rows by the odds of two classes stays the same.

    Source: Elkan 2001, The foundations of cost-sensitive learning, IJCAI; Saerens, Latinne & Decaestecker 2002, Adjusting
    the outputs of a classifier to new a priori probabilities, Neural Computation.

    Args:
        probabilities: predictions of a model that was trained with the weights, ``(row, class)``.
        labels: class codes of the training samples, ``(sample,)``.
        weights: their weights in the training, ``(sample,)``; None: all alike, if only ``priors`` differ.
        priors: share of each class where the model is used, ``(class,)``; None: that of the training samples.

    Raises:
        InputError: shapes or indexes do not match, a value is negative or not finite, or a class that has a prior has no
            weight.

    >>> correct_priors([[0.5, 0.5]], labels=[0, 0, 0, 1], weights=[1, 1, 1, 3])
    array([[0.75, 0.25]])
    """
    check_indexes(labels=labels, weights=weights)
    predicted = _check_numbers("probabilities", probabilities, 2)
    classes = predicted.shape[1]
    codes = np.asarray(to_numpy(labels))
    if codes.ndim != 1 or codes.dtype.kind not in "iu" or not len(codes) or codes.min() < 0 or codes.max() >= classes:
        raise InputError(f"labels must be class codes from 0 to {classes - 1}, as probabilities have {classes} columns")
    values = np.ones(len(codes)) if weights is None else _check_numbers("weights", weights, 1)
    if len(values) != len(codes):
        raise InputError(f"weights must have one value per sample. Got {len(values)} for {len(codes)} labels")
    trained = np.bincount(codes, values, classes)
    target = np.bincount(codes, minlength=classes) if priors is None else _check_numbers("priors", priors, 1)
    if len(target) != classes:
        raise InputError(f"priors must have one value for each of the {classes} classes. Got {len(target)}")
    if ((trained == 0) & (target > 0)).any():
        wrong = int(((trained == 0) & (target > 0)).argmax())
        raise InputError(f"class {wrong} has a prior but no weight in the training, so its probability cannot be corrected")
    ratio = np.divide(target, trained, out=np.zeros(classes), where=trained > 0)
    corrected = predicted * (ratio / ratio.max())
    return np.asarray(corrected / corrected.sum(1, keepdims=True))


def describe_prior_shift(labels: np.ndarray, weights: np.ndarray, classes: Any) -> str:
    """Return a line on the class whose share the weights change most; empty if no share changes by a tenth of itself."""
    before = np.bincount(labels, minlength=len(classes)) / len(labels)
    after = np.bincount(labels, weights, len(classes)) / weights.sum()
    present = before > 0
    change = np.where(present, np.abs(np.divide(after, before, out=np.ones_like(after), where=present) - 1), 0)
    most = int(change.argmax())
    if change[most] < _SMALL_SHIFT:
        return ""
    return (
        f"With these weights class {str(classes[most])!r} counts for {after[most]:.1%} in place of {before[most]:.1%}, "
        "which shifts predicted probabilities: hs.correct_priors(probabilities, labels, weights) corrects them."
    )


def _check_numbers(name: str, values: Any, dimensions: int) -> np.ndarray:
    array = np.asarray(to_numpy(values), dtype=np.float64)
    if array.ndim != dimensions or not len(array) or not (np.isfinite(array) & (array >= 0)).all():
        shape = "(row, class)" if dimensions == 2 else "(sample,)" if name == "weights" else "(class,)"
        raise InputError(f"{name} must be finite numbers of 0 or more, {shape}. Got the shape {array.shape}")
    if not array.sum(-1).all():
        raise InputError(f"{name} must not be all 0")
    return array
