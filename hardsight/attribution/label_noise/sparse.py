r"""Label noise among many classes, at a cost that grows with the classes that matter to a sample.

Of each sample, the evidence of a few classes is kept: the given label and the likeliest ones. All others are one more class,
the *rest*, with their mean probability. $T$ is a diagonal, an even spread of wrong labels in each row, and what single pairs
of a true and a given label have beyond it. The divergences from $T^b_c \propto T(c \to \cdot)/\pi$ then follow from one sum
over all classes per sample, $\sum_j \log w(j)/\pi_j$, computed once, and from the pairs.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from scipy.sparse import csr_array
from torch import Tensor

# The share of the classes that are not kept is at least this before its logarithm is taken.
_MIN_SHARE = 1e-12


class Pairs(NamedTuple):
    """Pairs of different classes, in order of the first, then the second."""

    source: Int64[Tensor, " pair"]  # true labels
    destination: Int64[Tensor, " pair"]  # given labels

    @classmethod
    def of(cls, key: Int64[Tensor, " pair"], n_classes: int) -> "Pairs":
        """Split sorted keys, source × classes + destination."""
        return cls(key // n_classes, key % n_classes)

    def equals(self, other: "Pairs") -> bool:
        """Return whether the other pairs are the same."""
        return self is other or (torch.equal(self.source, other.source) and torch.equal(self.destination, other.destination))


class SparseTransition(NamedTuple):
    """P(given label | true label) of many classes."""

    right: Float64[Tensor, " class"]  # probability of the true label
    even: Float64[Tensor, " class"]  # probability of each other label, beside what follows
    pairs: Pairs
    value: Float64[Tensor, " pair"]  # probability of the pairs beyond the even one

    @classmethod
    def spread_evenly(cls, rate: Float64[Tensor, " class"]) -> "SparseTransition":
        """Build T from the rate of wrong labels of each class, if all wrong labels of a class are equally frequent."""
        none = torch.empty(0, dtype=torch.int64)
        return cls(1 - rate, rate / (len(rate) - 1), Pairs(none, none), torch.empty(0, dtype=torch.float64))

    @classmethod
    def with_targets(cls, rate: Float64[Tensor, " class"], targets: Int64[Tensor, " class"]) -> "SparseTransition":
        """Build T from the rate of wrong labels of each class, if they all go to one target."""
        return cls(1 - rate, torch.zeros_like(rate), Pairs(torch.arange(len(rate)), targets), rate)

    def diagonal(self) -> Float64[Tensor, " class"]:
        """Return the probabilities of right labels."""
        return self.right

    def dense(self) -> Float64[Tensor, "class class"]:
        """Return the matrix."""
        matrix = self.even[:, None].repeat(1, len(self.even))
        matrix[self.pairs] += self.value
        return matrix.diagonal_scatter(self.right)

    def is_diagonal_dominant(self) -> bool:
        """Return whether each class's own label is its most frequent one."""
        others = self.even + self.sum_by_source(self.value, "amax")
        return bool((self.right > others).all())

    def likeliest_destinations(self) -> Int64[Tensor, " class"]:
        """Return the most frequent wrong label of each class; the first one if all are equally frequent."""
        return likeliest_destinations(self.pairs, self.value, len(self.right))

    def sum_by_source(self, value: Float64[Tensor, " pair"], reduce: str = "sum") -> Float64[Tensor, " class"]:
        """Return the sums, or the maxima (at least 0), of values of pairs over the pairs of each true label."""
        return torch.zeros(len(self.right), dtype=torch.float64).scatter_reduce_(0, self.pairs.source, value, reduce)

    def largest_change(self, before: "SparseTransition") -> float:
        """Return the largest difference of a probability from those of another matrix."""
        if not self.pairs.equals(before.pairs):
            return float("inf")
        return max(
            float((now - then).abs().max()) if len(now) else 0.0
            for now, then in zip((self.right, self.even, self.value), (before.right, before.even, before.value), strict=True)
        )


def likeliest_destinations(pairs: Pairs, value: Float64[Tensor, " pair"], n_classes: int) -> Int64[Tensor, " class"]:
    """Return the destination of the largest value among the pairs of each source; the first other class if it has none."""
    targets = torch.zeros(n_classes, dtype=torch.int64)
    targets[0] = 1
    order = value.argsort(stable=True)
    order = order[value[order] > 0]
    # Of repeated sources, the last one is written last.
    source = pairs.source[order].numpy()
    last = len(source) - 1 - np.unique(source[::-1], return_index=True)[1]
    chosen = order[torch.from_numpy(last)]
    targets[pairs.source[chosen]] = pairs.destination[chosen]
    return targets


class SparseEvidence:
    """Log-probabilities of the true labels, of the classes that matter to each row.

    Attributes:
        classes: classes that are kept, ``(slot, row)``; the last slot is the rest, coded as the number of classes, unless
            all classes are kept.
        log_probability: ``(evidence, slot, row)``; of the rest: of one of its classes, on average.
        total_log: sum of the log-probabilities of all classes, each over its prior, ``(evidence, row)``.
        mean_log: mean log-probability of the classes of the rest, weighted by one over their prior, ``(evidence, row)``.
        label: given labels.
        label_slot: their slots.
        slot_of: the slot of each class, ``(row, class)`` int8, -1 for the rest.
    """

    def __init__(
        self,
        classes: Int64[Tensor, "slot row"],
        log_probability: Float64[Tensor, "evidence slot row"],
        total_log: Float64[Tensor, "evidence row"],
        mean_log: Float64[Tensor, "evidence row"],
        label: Int64[Tensor, " row"],
        n_classes: int,
    ) -> None:
        self.classes, self.log_probability, self.total_log, self.mean_log = classes, log_probability, total_log, mean_log
        self.label, self.n_classes, self.n_rows = label, n_classes, len(label)
        kept = classes if bool((classes[-1] < n_classes).all()) else classes[:-1]
        self.n_kept = len(kept)
        self.slot_of = torch.full((self.n_rows, n_classes), -1, dtype=torch.int8)
        slots = torch.arange(self.n_kept, dtype=torch.int8)
        self.slot_of.scatter_(1, kept.T, slots.expand(self.n_rows, -1))
        self.label_slot = self.slot_of.gather(1, label[:, None]).squeeze(1).long()
        # What was computed last, and for which pairs: EM asks for the same again and again.
        self._of_label: tuple[Pairs, Tensor] | None = None
        self._matrices: tuple[Pairs, list[csr_array]] | None = None

    @classmethod
    def of(
        cls,
        evidence: Float64[Tensor, "evidence class row"],
        label: Int64[Tensor, " row"],
        class_prior: Float64[Tensor, " class"],
        weights: Float64[Tensor, " evidence"],
        n_kept: int,
    ) -> "SparseEvidence":
        """Keep the given labels and the classes that are likeliest by all evidence.

        Args:
            weights: weights of the evidence by which classes are likeliest.
            n_kept: number of classes to keep, 127 at most.
        """
        n_classes = len(class_prior)
        inverse = 1 / class_prior
        joint = torch.einsum("k,kcr->rc", weights, evidence).scatter_(1, label[:, None], float("inf"))
        classes = joint.topk(min(n_kept, n_classes), dim=1).indices.T.contiguous()
        index = classes.expand(len(evidence), -1, -1)
        log_probability = evidence.gather(1, index)
        total_log = torch.einsum("c,kcr->kr", inverse, evidence)
        if len(classes) == n_classes:
            return cls(classes, log_probability, total_log, torch.zeros_like(total_log), label, n_classes)
        kept = inverse[classes]
        rest_log = total_log - (kept * log_probability).sum(1)
        mean_log = rest_log / (inverse.sum() - kept.sum(0)).clamp(min=float(inverse.min()))
        rest = evidence.scatter(1, index, -float("inf")).logsumexp(1) - float(np.log(n_classes - len(classes)))
        classes = torch.cat([classes, torch.full((1, len(label)), n_classes)])
        return cls(classes, torch.cat([log_probability, rest[:, None]], 1), total_log, mean_log, label, n_classes)

    @classmethod
    def concatenate(cls, parts: "list[SparseEvidence]") -> "SparseEvidence":
        """Join the rows of several parts."""
        return cls(
            torch.cat([part.classes for part in parts], 1),
            torch.cat([part.log_probability for part in parts], 2),
            torch.cat([part.total_log for part in parts], 1),
            torch.cat([part.mean_log for part in parts], 1),
            torch.cat([part.label for part in parts]),
            parts[0].n_classes,
        )

    def subset(self, mask: Tensor) -> "SparseEvidence":
        """Return the rows in a mask."""
        return SparseEvidence(
            self.classes[:, mask],
            self.log_probability[:, :, mask],
            self.total_log[:, mask],
            self.mean_log[:, mask],
            self.label[mask],
            self.n_classes,
        )

    def by_slot(self, value: Float64[Tensor, " class"], of_rest: float | Tensor) -> Float64[Tensor, "slot row"]:
        """Return the value of the class in each slot."""
        extended = torch.cat([value, torch.as_tensor(of_rest, dtype=torch.float64).reshape(1)])
        # Many times faster than an index of two dimensions.
        return extended.index_select(0, self.classes.flatten()).view(self.classes.shape)

    def sum_by_class(self, r: Float64[Tensor, "slot row"], shares: Float64[Tensor, " class"]) -> Float64[Tensor, " class"]:
        """Return the sums of a value over rows; that of the rest is divided by the classes' shares."""
        sums = torch.bincount(self.classes.flatten(), r.flatten(), minlength=self.n_classes + 1)
        return sums[:-1] + sums[-1] * shares / shares.sum()

    def log_prior(self, prior: Float64[Tensor, " class"]) -> Float64[Tensor, "slot row"]:
        """Return the log of the class shares; of the rest: of all its classes."""
        shares = self.by_slot(prior, 0.0)
        if self.n_kept < self.n_classes:
            shares[-1] = (prior.sum() - shares[:-1].sum(0)).clamp(min=_MIN_SHARE)
        return shares.log()

    def of_label(self, transition: SparseTransition, prior: Float64[Tensor, " class"]) -> Float64[Tensor, "slot row"]:
        """Return T(c → given label) of the class in each slot.

        Args:
            prior: shares of the true labels, by which the rest is a mean of classes.
        """
        result = self.by_slot(transition.even, _mean(transition.even, prior))
        if len(transition.value):
            value = torch.cat([transition.value, torch.zeros(1, dtype=torch.float64)])
            pair = self.pair_of_label(transition.pairs)
            result += value.index_select(0, pair.flatten()).view(pair.shape)
        return result.scatter_(0, self.label_slot[None], transition.right[self.label][None])

    def pair_of_label(self, pairs: Pairs) -> Int64[Tensor, "slot row"]:
        """Return the pair of the class in each slot and the given label; the number of pairs if it is not among them."""
        if self._of_label is None or self._of_label[0] is not pairs:
            self._of_label = pairs, self._find_pair_of_label(pairs)
        return self._of_label[1]

    def _find_pair_of_label(self, pairs: Pairs) -> Int64[Tensor, "slot row"]:
        if not len(pairs.source):
            return torch.zeros_like(self.classes)
        key = pairs.source * self.n_classes + pairs.destination
        cell_key = self.classes * self.n_classes + self.label
        at = torch.searchsorted(key, cell_key).clamp(max=len(key) - 1)
        return torch.where(key[at] == cell_key, at, len(key))

    def scores(
        self,
        transition: SparseTransition,
        class_prior: Float64[Tensor, " class"],
        prior: Float64[Tensor, " class"],
        n_at_face_value: int,
    ) -> Float64[Tensor, "evidence slot row"]:
        """Return how much each evidence speaks for each class, as :func:`model.evidence_scores` does.

        Args:
            prior: shares of the true labels, by which the rest is a mean of classes.
            n_at_face_value: number of evidences, the first ones, whose score is the log-probability.
        """
        expected = _ExpectedEvidence.of(transition, 1 / class_prior)
        own, even, entropy = (self.by_slot(value, _mean(value, prior)) for value in expected[:3])
        scores = self.log_probability.clone()
        for k in range(n_at_face_value, len(scores)):
            scores[k] = own * self.log_probability[k] + even * self.total_log[k] + entropy
        if not len(transition.value):
            return scores
        in_pairs = transition.sum_by_source(expected.of_pair)
        in_pairs_by_slot = self.by_slot(in_pairs, _mean(in_pairs, prior))
        of_pair = expected.of_pair.numpy()
        for k in range(n_at_face_value, len(scores)):
            scores[k] += in_pairs_by_slot * self.mean_log[k]
            kept = self.pair_matrices(transition.pairs)[k] @ of_pair
            scores[k, : self.n_kept] += torch.from_numpy(kept).reshape(self.n_kept, self.n_rows)
        return scores

    def log_q(
        self, scores: Float64[Tensor, "evidence slot row"], evidence_weights: Tensor, prior: Float64[Tensor, " class"]
    ) -> Float64[Tensor, "slot row"]:
        """Return the log-probabilities of the true labels before the given ones are seen."""
        return (torch.einsum("k,kcr->cr", evidence_weights, scores) + self.log_prior(prior)).log_softmax(0)

    def by_class(
        self, of_slot: Float64[Tensor, "slot row"], shares: Float64[Tensor, " class"]
    ) -> Float64[Tensor, "row class"]:
        """Return the probabilities of all classes; that of the rest is divided by the classes' shares."""
        kept, classes = of_slot[: self.n_kept].T, self.classes[: self.n_kept].T
        if self.n_kept == self.n_classes:
            return torch.empty(self.n_rows, self.n_classes, dtype=torch.float64).scatter_(1, classes, kept)
        share_of_rest = (shares.sum() - shares[classes].sum(1)).clamp(min=_MIN_SHARE)
        return ((of_slot[-1] / share_of_rest)[:, None] * shares).scatter_(1, classes, kept)

    def pair_matrices(self, pairs: Pairs) -> list[csr_array]:
        """Return, for each evidence, log-probability of a pair's destination minus ``mean_log``, ``(slot × row, pair)``.

        A pair counts for a slot if its source is the slot's class and its destination is kept, too.
        """
        if self._matrices is None or self._matrices[0] is not pairs:
            self._matrices = pairs, self._build_pair_matrices(pairs)
        return self._matrices[1]

    def _build_pair_matrices(self, pairs: Pairs) -> list[csr_array]:
        degree = torch.bincount(pairs.source, minlength=self.n_classes)
        first = degree.cumsum(0) - degree
        of_cell = degree[self.classes[: self.n_kept].flatten()]
        cell = torch.repeat_interleave(torch.arange(len(of_cell)), of_cell)
        offset = torch.arange(len(cell)) - torch.repeat_interleave(of_cell.cumsum(0) - of_cell, of_cell)
        pair = first[self.classes[: self.n_kept].flatten()][cell] + offset
        row = cell % self.n_rows
        slot = self.slot_of[row, pairs.destination[pair]].long()
        kept = slot >= 0
        cell, pair, row, slot = cell[kept], pair[kept], row[kept], slot[kept]
        n_cells = self.n_kept * self.n_rows
        start = np.concatenate([[0], np.bincount(cell.numpy(), minlength=n_cells).cumsum()])
        column = pair.numpy().astype(np.int32)
        return [
            csr_array(((log[slot, row] - mean[row]).numpy(), column, start.astype(np.int32)), (n_cells, len(pairs.source)))
            for log, mean in zip(self.log_probability, self.mean_log, strict=True)
        ]


class _ExpectedEvidence(NamedTuple):
    r"""What evidence says of a sample that is certainly of a class, $T^b_c$."""

    own: Tensor  # factor of log w(c), (class,), beside
    even: Tensor  # the factor of the sum over all classes
    entropy: Tensor  # (class,)
    of_pair: Tensor  # factor of log w(destination), (pair,)

    @classmethod
    def of(cls, transition: SparseTransition, inverse: Float64[Tensor, " class"]) -> "_ExpectedEvidence":
        right, even, pairs, value = transition
        at_destination = inverse[pairs.destination]
        total = right * inverse + even * (inverse.sum() - inverse) + transition.sum_by_source(value * at_destination)
        even, own = even / total, right * inverse / total
        of_pair, even_of_pair = value * at_destination / total[pairs.source], even[pairs.source] * at_destination
        # The even spread over all classes, then without the diagonal and the pairs.
        entropy = -(torch.xlogy(even, even) * inverse.sum() + even * torch.xlogy(inverse, inverse).sum())
        entropy += torch.special.entr(own) - torch.special.entr(even * inverse)
        in_pairs = torch.special.entr(of_pair + even_of_pair) - torch.special.entr(even_of_pair)
        entropy += transition.sum_by_source(in_pairs)
        return cls(own - even * inverse, even, entropy, of_pair)


def _mean(value: Float64[Tensor, " class"], prior: Float64[Tensor, " class"]) -> Tensor:
    return (value @ prior) / prior.sum()
