"""Fits of label models to samples of many classes, of which only those that matter to each sample are kept."""

from collections.abc import Iterator

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.attribution.label_noise.confident import exceeds_chance
from hardsight.attribution.label_noise.config import INF, LabelModelConfig
from hardsight.attribution.label_noise.em import LabelModelFitter, confident_rows, scale_factors
from hardsight.attribution.label_noise.model import (
    Evidence,
    EvidenceCounts,
    LabelModel,
    Transition,
    clamped_log,
    mean_weights,
    row_blocks,
)
from hardsight.attribution.label_noise.sparse import Pairs, SparseEvidence, SparseTransition, likeliest_destinations

# Wrong labels, spread evenly, in the rows of a transition matrix that is read from confident predictions.
_CONFIDENT_PSEUDO_COUNT = 0.2


class SparseLabelModelFitter(LabelModelFitter):
    """Fits label models whose transition matrices are sparse.

    Args:
        kept: evidence of the classes that are kept.
        pairs: pairs of a true and a given label that have a probability of their own.
        counts: number of evidences of each kind.
    """

    def __init__(
        self,
        kept: SparseEvidence,
        pairs: Pairs,
        class_prior: Float64[Tensor, " class"],
        config: LabelModelConfig,
        counts: EvidenceCounts,
    ) -> None:
        super().__init__(kept.log_probability, kept.label, class_prior, config, counts)
        self.n_classes, self.kept, self.pairs = kept.n_classes, kept, pairs
        self._pair_of_label = kept.pair_of_label(pairs)

    @classmethod
    def of(cls, evidence: Evidence, rows: Int64[Tensor, " row"], config: LabelModelConfig) -> "SparseLabelModelFitter":
        """Keep the likeliest classes of each row, and the pairs of labels that they show."""
        kept = SparseEvidence.concatenate(list(_kept_blocks(evidence, rows, config)))
        pairs = _observed_pairs(kept, mean_weights(len(kept.mean_log), evidence.counts), config)
        return cls(kept, pairs, evidence.prior, config, evidence.counts)

    def is_informative(self) -> bool:
        """Return whether any evidence gives the labels more probability than labels drawn by the class shares get."""
        probability = self.evidence.exp()
        of_label = probability[:, self.kept.label_slot, torch.arange(self.n_rows)]
        shares = self.kept.log_prior(self.label_shares()).exp()
        gain = of_label - (shares * probability).sum(1)
        return bool(exceeds_chance(gain, self.config.chance_deviations).any())

    def even_transition(self, rate: float) -> SparseTransition:
        """Return T in which labels are wrong at a rate and all wrong classes are equally frequent."""
        return SparseTransition.spread_evenly(torch.full((self.n_classes,), rate, dtype=torch.float64))

    def confident_transition(self, *, balanced: bool = True) -> SparseTransition:
        """Estimate T from the labels of the samples that the consensus predicts most confidently as each class."""
        score = self.evidence[0] if balanced else self._unbalanced_consensus()
        confidence, slot = score[: self.kept.n_kept].exp().max(0)
        predicted = self.kept.classes.gather(0, slot[None]).squeeze(0)
        first = confident_rows(confidence, predicted, self.n_classes, self.config)
        n_classes, key = self.n_classes, predicted[first] * self.n_classes + self.label[first]
        key, count = torch.unique(key, return_counts=True)
        right = key // n_classes == key % n_classes
        at = torch.zeros(n_classes, dtype=torch.float64)
        counts = at.index_add(0, key // n_classes, count.double()) + 1
        diagonal = at.index_add(0, key[right] // n_classes, count[right].double()) + 1 - _CONFIDENT_PSEUDO_COUNT
        pairs = Pairs.of(key[~right], n_classes)
        even = _CONFIDENT_PSEUDO_COUNT / (n_classes - 1) / counts
        return SparseTransition(diagonal / counts, even, pairs, count[~right] / counts[pairs.source])

    def predicted_shares(self) -> Float64[Tensor, " class"]:
        """Return the shares of the predicted classes, with classes weighted by their labels."""
        slot = self._unbalanced_consensus()[: self.kept.n_kept].argmax(0)
        predicted = self.kept.classes.gather(0, slot[None]).squeeze(0)
        counts = torch.bincount(predicted, minlength=self.n_classes).double() + 1
        return counts / counts.sum()

    def _unbalanced_consensus(self) -> Float64[Tensor, "slot row"]:
        return (self.evidence[0] + self.kept.log_prior(self.label_shares().clamp(min=1e-6))).log_softmax(0)

    def with_targets(self, model: LabelModel, targets: Int64[Tensor, " class"]) -> LabelModel:
        """Return the model with the same rates of wrong labels and these targets."""
        return model._replace(
            transition=SparseTransition.with_targets(1 - model.transition.diagonal(), targets), targets=targets
        )

    def likeliest_targets(self, model: LabelModel) -> Int64[Tensor, " class"]:
        """Return the most frequent wrong label of each class."""
        return _transition(model).likeliest_destinations()

    def likely_destinations(self, transition: Transition, c: int) -> list[int]:
        """List the most frequent wrong labels of a class, at most three, among the pairs of a transition matrix."""
        assert isinstance(transition, SparseTransition)
        first, end = torch.searchsorted(transition.pairs.source, torch.tensor([c, c + 1])).tolist()
        share, at = transition.value[first:end].topk(min(self.config.max_likely_targets, end - first))
        return self.frequent(share, transition.pairs.destination[first:end][at])

    def expected_targets(self, model: LabelModel) -> Int64[Tensor, " class"]:
        """Return where most wrong labels of each class are expected to go, among the observed pairs."""
        wide = 0.5 * self.kept.of_label(_transition(model), model.prior) + 0.5 / self.n_classes
        r = (self.log_q(model) + clamped_log(wide)).softmax(0)
        return likeliest_destinations(self.pairs, self._pair_counts(r), self.n_classes)

    def scores(self, model: LabelModel) -> Float64[Tensor, "evidence slot row"]:
        """Return how much each evidence speaks for the class in each slot."""
        n_at_face_value = 0 if model.noise_aware else self.counts.models
        return self.kept.scores(_transition(model), self.class_prior, model.prior, n_at_face_value)

    def weighted_log_q(self, scores: Tensor, model: LabelModel) -> Float64[Tensor, "slot row"]:
        """Return the log-probabilities of the true labels from the scores of the evidence."""
        return self.kept.log_q(scores, model.evidence_weights, model.prior)

    def log_of_label(self, model: LabelModel) -> Float64[Tensor, "slot row"]:
        """Return the log-probabilities of each given label under the true label in each slot."""
        return clamped_log(self.kept.of_label(_transition(model), model.prior))

    def class_sums(self, r: Float64[Tensor, "slot row"], model: LabelModel) -> Float64[Tensor, " class"]:
        """Return the expected numbers of true labels of each class; those of the rest are divided by the class shares."""
        return self.kept.sum_by_class(r, model.prior)

    def update_q(
        self, model: LabelModel, scores: Tensor, q: Tensor, r: Tensor, *, update_weights: bool
    ) -> tuple[Float64[Tensor, " evidence"], Float64[Tensor, " class"]]:
        """Take a Newton step of the weights and one of the class factors, with a bound of the curvature for the latter.

        The curvature itself would have as many cells as there are pairs of classes.
        """
        weights = model.evidence_weights
        if update_weights:
            gradient, curvature = self.weight_derivatives(weights, scores, q, r, (q * scores).sum(1))
            weights = self.bounded_weights(curvature, curvature @ weights + gradient)
        gradient = self.class_sums(r - q, model) - self.factor_deviations(model.prior)
        # Twice the diagonal of a matrix of nonpositive off-diagonals and row sums of zero bounds it from above.
        curvature = 2 * self.class_sums(q * (1 - q), model) + self.config.factor_precision
        return weights, scale_factors(model.prior, gradient / curvature)

    def subset(self, mask: Tensor) -> "SparseLabelModelFitter":
        """Return a fitter of the rows in a mask."""
        return SparseLabelModelFitter(self.kept.subset(mask), self.pairs, self.class_prior, self.config, self.counts)

    def estimate_transition(self, r: Float64[Tensor, "slot row"], model: LabelModel) -> SparseTransition:
        """Estimate T from the posterior, shrunk by the model's pseudo-counts or bound to its targets."""
        total = self.class_sums(r, model)
        of_label = r[self.kept.label_slot, torch.arange(self.n_rows)]
        right = torch.bincount(self.label, of_label, minlength=self.n_classes)
        common_rate = 1 - float(right.sum() / total.sum())
        rate, spread = self.shrunk_rates(total, right, common_rate, model), model.pseudo_counts[1]
        if model.targets is not None:
            assert isinstance(model.transition, SparseTransition)
            return model.transition._replace(right=1 - rate, value=rate)
        if spread == INF:
            return SparseTransition.spread_evenly(rate)
        counts = self._pair_counts(r)
        wrong = total - right
        in_pairs = torch.zeros_like(total).index_add_(0, self.pairs.source, counts)
        factor = rate / (wrong + spread)
        even = factor * ((wrong - in_pairs).clamp(min=0) + spread) / (self.n_classes - 1)
        return SparseTransition(1 - rate, even, self.pairs, factor[self.pairs.source] * counts)

    def _pair_counts(self, r: Float64[Tensor, "slot row"]) -> Float64[Tensor, " pair"]:
        n_pairs = len(self.pairs.source)
        return torch.bincount(self._pair_of_label.flatten(), r.flatten(), minlength=n_pairs + 1)[:n_pairs]


def _transition(model: LabelModel) -> SparseTransition:
    assert isinstance(model.transition, SparseTransition)
    return model.transition


def _kept_blocks(evidence: Evidence, rows: Int64[Tensor, " row"], config: LabelModelConfig) -> Iterator[SparseEvidence]:
    for block in row_blocks(len(rows), len(evidence.prior)):
        some = rows[block]
        dense = evidence.label_evidence(some)
        weights = mean_weights(len(dense), evidence.counts)
        yield SparseEvidence.of(dense, evidence.label[some], evidence.prior, weights, config.kept_classes)


def _observed_pairs(kept: SparseEvidence, weights: Float64[Tensor, " evidence"], config: LabelModelConfig) -> Pairs:
    """Return the pairs of which labels are expected, if the evidence is taken at face value and few labels are wrong."""
    n_classes = kept.n_classes
    rate = torch.full((n_classes,), config.start_wrong_share, dtype=torch.float64)
    shares = torch.full((n_classes,), 1 / n_classes, dtype=torch.float64)
    log_q = kept.log_q(kept.log_probability, weights, shares)
    r = (log_q + kept.of_label(SparseTransition.spread_evenly(rate), shares).log()).softmax(0)
    key = (kept.classes * n_classes + kept.label)[: kept.n_kept]
    key, pair = torch.unique(key, return_inverse=True)
    count = torch.bincount(pair.flatten(), r[: kept.n_kept].flatten())
    return Pairs.of(key[(count >= config.min_pair_count) & (key // n_classes != key % n_classes)], n_classes)
