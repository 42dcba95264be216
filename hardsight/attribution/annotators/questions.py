"""Which item to ask about again, and whom: the expected information of one more label."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import entr

from hardsight.attribution.annotators.fit import AnnotatorModel

# Annotators that are tried for each item, the most accurate ones.
_MAX_ANNOTATORS = 200
# Items that are looked at in detail, per item that is asked for.
_CANDIDATES = 3


class Questions(NamedTuple):
    """Items in the order in which to ask about them.

    Attributes:
        item: ``(question,)``.
        annotator: who of those that have not labelled the item tells most, ``(question,)``; -1: all have labelled it.
        gain: expected fall of the entropy of the true label by that label, nats, ``(question,)``.
    """

    item: Int64[np.ndarray, " question"]
    annotator: Int64[np.ndarray, " question"]
    gain: Float64[np.ndarray, " question"]


def choose_questions(model: AnnotatorModel, accuracy: Float64[np.ndarray, " annotator"], n: int) -> Questions:
    """Return the items about which one more label is expected to tell most, and by whom.

    The gain is the mutual information of the true label and the next label, whose distribution follows from the annotator's
    confusion matrix and, for disputed items, from the random labels.

    Args:
        model: the fitted model.
        accuracy: of each annotator.
        n: number of questions at most.
    """
    usual = _gain(model, model.skill.mean_matrix(), np.arange(len(model.posterior)))
    items = np.argsort(-usual, kind="stable")[: _CANDIDATES * n]
    best, gain = np.full(len(items), -1), np.full(len(items), -np.inf)
    labelled = set(zip(model.incidence.item.tolist(), model.incidence.annotator[model.incidence.pair].tolist(), strict=True))
    for annotator in np.argsort(-accuracy, kind="stable")[:_MAX_ANNOTATORS].tolist():
        gains = _gain(model, model.matrix_of(annotator), items)
        open_to = np.array([(item, annotator) not in labelled for item in items.tolist()], dtype=bool)
        better = open_to & (gains > gain)
        best[better], gain[better] = annotator, gains[better]
    gain = np.where(best < 0, usual[items], gain)
    order = np.argsort(-gain, kind="stable")[:n]
    return Questions(items[order], best[order], gain[order])


def _gain(model: AnnotatorModel, matrix: np.ndarray, items: np.ndarray) -> Float64[np.ndarray, " row"]:
    """Return the mutual information of the true label and the next label, of items."""
    random = (model.disputes.random * model.p_disputed[items])[:, None]
    before = model.posterior[items]
    # Given the item, a label is random with the same probability for every class, so that the joint is a mixture.
    next_label = (1 - random) * (before @ matrix) + random / len(matrix)
    given = np.zeros(len(items))
    for true, row in enumerate(matrix):
        given += before[:, true] * entr((1 - random) * row + random / len(matrix)).sum(1)
    return np.asarray(np.maximum(entr(next_label).sum(1) - given, 0))
