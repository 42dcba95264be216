"""The result for several annotators: the true labels, each annotation, each annotator, and what to ask next."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from hardsight.attribution.annotators import AnnotatorModel
from hardsight.attribution.annotators.quality import measure_quality
from hardsight.attribution.annotators.questions import choose_questions
from hardsight.data.annotations import Annotations
from hardsight.data.conversion import object_array
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.validation import check_int, suggest_name


@dataclass(frozen=True, eq=False, repr=False)
class AnnotationResult:
    """What annotations say about items and annotators.

    Attributes:
        data: the annotations.
        model: the fitted model of the annotators (:mod:`hardsight.attribution.annotators`).
        d: difficulty of the items, with the consensus of the annotations as labels; None without features. These labels are
            the consensus that the last models were trained on, which :attr:`consensus` may correct once more.
        notices: what a user should know about the result, one sentence each.
    """

    data: Annotations
    model: AnnotatorModel
    d: Difficulty | None = None
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return one line with the expected number of wrong labels."""
        wrong = float(self._p_wrong.sum())
        return f"AnnotationResult({self.data!r}, about {wrong:,.0f} labels wrong)"

    @cached_property
    def posterior(self) -> pd.DataFrame:
        """P(true label), by item and class; rows sum to 1. These are soft labels to train on."""
        return pd.DataFrame(self.model.posterior, index=self._item_index, columns=pd.Index(self.data.classes, name="class"))

    @cached_property
    def consensus(self) -> pd.DataFrame:
        """The likeliest true label of every item.

        ``consensus``; ``p_wrong``, the probability that it is wrong; ``annotations``, their number; ``agreement``, the share
        of them with this label; and ``p_disputed``, the probability that people disagree about it whatever their skill.
        """
        code = self._consensus
        agrees = np.bincount(self.data.item, self.data.label == code[self.data.item])
        count = np.bincount(self.data.item)
        return pd.DataFrame(
            {
                "consensus": self._names(code),
                "p_wrong": (1 - self.model.posterior.max(1)).clip(0, 1),
                "annotations": count,
                "agreement": agrees / count,
                "p_disputed": self.model.p_disputed,
            },
            index=self._item_index,
        )

    @cached_property
    def annotations(self) -> pd.DataFrame:
        """Every annotation in the order of the data: item, annotator, label, ``p_wrong``, and the label ``suggested``."""
        data = self.data
        return pd.DataFrame(
            {
                "item": data.items[data.item],
                "annotator": data.annotators[data.annotator],
                "label": self._names(data.label),
                "p_wrong": self._p_wrong,
                "suggested": self._names(self._consensus[data.item]),
            }
        )

    @cached_property
    def annotators(self) -> pd.DataFrame:
        """Every annotator, the most accurate one first.

        ``annotations``, their number; ``accuracy`` with its standard error ``accuracy_se``, shrunk to what is usual if there
        are few; ``agreement`` with others' labels of the same items; and ``mistake``, the most frequent one, in words.
        """
        quality = measure_quality(self.model)
        mistakes = zip(quality.mistaken, quality.mistaken_for, quality.mistakes, quality.of, strict=True)
        table = pd.DataFrame(
            {
                "annotations": quality.size,
                "accuracy": quality.accuracy,
                "accuracy_se": quality.accuracy_se,
                "agreement": quality.agreement,
                "mistake": [self._describe_mistake(*each) for each in mistakes],
            },
            index=pd.Index(self.data.annotators, name="annotator"),
        )
        return table.sort_values("accuracy", ascending=False, kind="stable")

    def confusion(self, annotator: Any) -> pd.DataFrame:
        """Return the confusion matrix of an annotator: P(label) by true class; rows sum to 1.

        Raises:
            InputError: there is no such annotator.
        """
        known = self.data.annotators.tolist()
        if annotator not in known:
            raise InputError(
                f"there is no annotator {annotator!r}{suggest_name(str(annotator), known)}: see result.annotators"
            )
        position = known.index(annotator)
        names = list(self.data.classes)
        return pd.DataFrame(
            self.model.matrix_of(position), index=pd.Index(names, name="true"), columns=pd.Index(names, name="label")
        )

    def ask_again(self, n: int = 10) -> pd.DataFrame:
        """Return the items about which one more label is expected to tell most, and who should give it.

        Args:
            n: number of items at most.

        Returns:
            By item: ``consensus``, its ``p_wrong``, the ``annotator`` to ask (None if all have labelled the item: ask
            someone new), and ``gain``, by how much the entropy of the true label is expected to fall, in nats.

        Raises:
            InputError: ``n`` is not an integer above 0.
        """
        check_int("n", n, 1)
        questions = choose_questions(self.model, measure_quality(self.model).accuracy, n)
        who = [None if each < 0 else self.data.annotators[each].item() for each in questions.annotator]
        rows = self.consensus.iloc[questions.item][["consensus", "p_wrong"]]
        return rows.assign(annotator=object_array(who), gain=questions.gain)

    def weights(self) -> np.ndarray:
        """Return a weight for every annotation, of mean 1, for training on all of them: ``(annotation,)``.

        The posterior probability of a label, divided among the annotations of the item that have this label. So an item
        counts once, however many labels it has, and the model learns the posterior as far as labels were given.
        """
        data = self.data
        same = self.model.incidence.items @ self.model.incidence.is_right.astype(np.float64)
        shares = self.model.posterior[data.item, data.label] / same[data.item, data.label]
        return np.asarray(shares / shares.mean())

    @property
    def _item_index(self) -> pd.Index:
        index: pd.Index = pd.Index(self.data.items, name="item")
        return index

    @cached_property
    def _consensus(self) -> np.ndarray:
        return np.asarray(self.model.posterior.argmax(1))

    @cached_property
    def _p_wrong(self) -> np.ndarray:
        p_right = self.model.posterior[self.data.item, self.data.label]
        return np.asarray((1 - p_right).clip(0, 1))

    def _names(self, codes: np.ndarray) -> np.ndarray:
        return np.asarray(pd.Series(list(self.data.classes)).to_numpy()[codes])

    def _describe_mistake(self, true: int, label: int, mistakes: float, of: float) -> str:
        if true < 0:
            return ""
        classes = self.data.classes
        return f"{classes[true]!r} labelled {classes[label]!r}: {mistakes:.0f} of {max(of, mistakes):.0f}"
