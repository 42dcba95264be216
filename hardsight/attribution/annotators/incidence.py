"""Annotations as a sparse matrix of items by the distinct (annotator, label) pairs, so that 10^6 of them take seconds."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import csr_array


class Incidence(NamedTuple):
    """Who gave which label to which item.

    An annotator and a label that occur together form a pair. All annotations of a pair say the same about the true label,
    so parameters are kept per pair, not per annotation. Pairs are sorted by annotator.

    Attributes:
        items: 1 where an item has an annotation of a pair, ``(item, pair)``.
        item: the item of each annotation.
        pair: the pair of each annotation.
        annotator: the annotator of each pair.
        label: the label of each pair.
        starts: the first pair of each annotator; each has at least one.
        n_classes: number of classes.
    """

    items: csr_array
    item: Int64[np.ndarray, " annotation"]
    pair: Int64[np.ndarray, " annotation"]
    annotator: Int64[np.ndarray, " pair"]
    label: Int64[np.ndarray, " pair"]
    starts: Int64[np.ndarray, " annotator"]
    n_classes: int

    @classmethod
    def of(
        cls,
        item: Int64[np.ndarray, " annotation"],
        annotator: Int64[np.ndarray, " annotation"],
        label: Int64[np.ndarray, " annotation"],
        n_items: int,
        n_classes: int,
    ) -> "Incidence":
        """Build the matrix from codes; every annotator code below the largest must occur."""
        pairs, pair = np.unique(annotator * n_classes + label, return_inverse=True)
        who = pairs // n_classes
        items = csr_array((np.ones(len(item)), (item, pair)), shape=(n_items, len(pairs)))
        starts = np.searchsorted(who, np.arange(who.max() + 1))
        return cls(items, item, pair.reshape(-1).astype(np.int64), who, pairs % n_classes, starts, n_classes)

    def by_annotator(self, values: Float64[np.ndarray, "pair class"]) -> Float64[np.ndarray, "annotator class"]:
        """Return the sums of values over the pairs of each annotator."""
        return np.add.reduceat(values, self.starts, axis=0)

    def by_label(self, values: Float64[np.ndarray, "pair class"]) -> Float64[np.ndarray, "class class"]:
        """Return the sums of values over annotators, ``(true class, label)``."""
        sums = np.zeros((self.n_classes, self.n_classes))
        np.add.at(sums, self.label, values)
        return sums.T

    @property
    def is_right(self) -> Bool[np.ndarray, "pair class"]:
        """Whether the label of a pair is the class."""
        return np.asarray(self.label[:, None] == np.arange(self.n_classes))
