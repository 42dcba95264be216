"""The quality of annotators: accuracy, agreement with others, and what each mistakes for what."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from hardsight.attribution.annotators.fit import AnnotatorModel


class Quality(NamedTuple):
    """The quality of each annotator, ``(annotator,)`` each.

    Attributes:
        size: number of annotations.
        accuracy: probability that a label is right; that of few labels is shrunk to what is usual.
        accuracy_se: its standard error: of so many labels, whose truth is itself uncertain.
        agreement: share of the others' labels of the same items that agree; NaN if there are none.
        mistaken: true class of the most frequent mistake, -1 if there is hardly one.
        mistaken_for: label that is given for it.
        mistakes: expected number of these mistakes.
        of: expected number of the annotator's items of that true class.
    """

    size: Int64[np.ndarray, " annotator"]
    accuracy: Float64[np.ndarray, " annotator"]
    accuracy_se: Float64[np.ndarray, " annotator"]
    agreement: Float64[np.ndarray, " annotator"]
    mistaken: Int64[np.ndarray, " annotator"]
    mistaken_for: Int64[np.ndarray, " annotator"]
    mistakes: Float64[np.ndarray, " annotator"]
    of: Float64[np.ndarray, " annotator"]


def measure_quality(model: AnnotatorModel) -> Quality:
    """Return the quality of each annotator."""
    incidence = model.incidence
    pairs = incidence.items.T.tocsr() @ model.posterior
    by_class = incidence.by_annotator(pairs)
    count = by_class.sum(1)
    p_right = model.posterior[incidence.item, incidence.label[incidence.pair]]
    who = incidence.annotator[incidence.pair]
    right = np.bincount(who, p_right)
    usual = float(model.posterior.mean(0) @ model.skill.accuracy)
    strength = model.skill.accuracy_strength
    accuracy = (right + strength * usual) / (count + strength)
    unknown = np.bincount(who, p_right * (1 - p_right))
    variance = accuracy * (1 - accuracy) / (count + strength + 1) + unknown / (count + strength) ** 2
    return Quality(
        np.rint(count).astype(np.int64), accuracy, np.sqrt(variance), _agreement(model), *_worst(model, pairs, by_class)
    )


def _agreement(model: AnnotatorModel) -> Float64[np.ndarray, " annotator"]:
    incidence = model.incidence
    label = incidence.label[incidence.pair]
    votes = incidence.items @ incidence.is_right.astype(np.float64)
    who = incidence.annotator[incidence.pair]
    agreeing = np.bincount(who, votes[incidence.item, label] - 1)
    others = np.bincount(who, votes.sum(1)[incidence.item] - 1)
    return np.asarray(np.divide(agreeing, others, out=np.full(len(others), np.nan), where=others > 0))


def _worst(model: AnnotatorModel, pairs: np.ndarray, by_class: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the most frequent mistake of each annotator: true class, label, expected number, and number of items."""
    incidence = model.incidence
    wrong = np.where(incidence.is_right, 0.0, pairs)
    of_pair, true = wrong.max(1), wrong.argmax(1)
    order = np.lexsort((-of_pair, incidence.annotator))
    first = order[np.unique(incidence.annotator[order], return_index=True)[1]]
    mistakes = of_pair[first]
    annotators = np.arange(len(first))
    # Less than one expected mistake is none.
    mistaken = np.where(mistakes >= 1, true[first], -1)
    return mistaken, incidence.label[first], mistakes, by_class[annotators, true[first]]
