"""Evidence of the true labels, a model of how given labels arise, and the posterior of the true labels."""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.attribution.label_noise.config import DEFAULT_CONFIG
from hardsight.attribution.label_noise.sparse import SparseEvidence, SparseTransition

Transition: TypeAlias = Float64[Tensor, "class class"] | SparseTransition

# Samples and cells (samples times classes) that are computed at once.
_BLOCK, _BLOCK_CELLS = 65_536, 2**22
# Probabilities are at least this before their logarithm is taken.
_MIN_PROBABILITY = 1e-12


class EvidenceCounts(NamedTuple):
    """How many evidences are of the kinds that are modelled in their own ways; neighbours are between the two.

    Attributes:
        models: predictions of models, the consensus and the witnesses; they come first.
        centres: distances from class centres, 0 or 1; they come last.
    """

    models: int = 1
    centres: int = 0


ONE_MODEL = EvidenceCounts()


class Evidence(NamedTuple):
    """Evidence of the true labels.

    Attributes:
        consensus: log-probabilities of the dual mean of the held-out predictions.
        label: given labels.
        prior: class shares that the ensemble was trained on.
        neighbours: given labels of the nearest neighbours, ``(sample, neighbour)``, -1 if there are fewer; None if there
            are no features.
        neighbour_smoothing: pseudo-counts added to the class counts among neighbours.
        in_small_class: samples whose class is missing from the training part of models that predict them, ``(sample,)``
            bool; nothing is evidence of their labels, which are taken as right. None: there are none.
        witnesses: held-out log-probabilities by other kinds of models, ``(sample, class)`` each, trained on the same class
            shares. They were trained on the given labels, too, and are modelled like the consensus.
        max_p_wrong: upper bounds of P(wrong), ``(sample,)``; see
            :func:`~hardsight.attribution.label_noise.rare.bound_p_wrong`. None: there are none.
        centres: log-probabilities by the distances from class centres, ``(sample, class)``, under balanced classes; see
            :mod:`hardsight.attribution.label_noise.class_centres`. None: they are not used.
    """

    consensus: Float64[Tensor, "sample class"]
    label: Int64[Tensor, " sample"]
    prior: Float64[Tensor, " class"]
    neighbours: Tensor | None
    neighbour_smoothing: float = DEFAULT_CONFIG.neighbour_smoothing
    in_small_class: Tensor | None = None
    witnesses: tuple[Tensor, ...] = ()
    max_p_wrong: Tensor | None = None
    centres: Tensor | None = None

    @property
    def counts(self) -> EvidenceCounts:
        """Number of evidences of each kind."""
        return EvidenceCounts(1 + len(self.witnesses), int(self.centres is not None))

    def label_evidence(self, rows: Int64[Tensor, " row"]) -> Float64[Tensor, "evidence class row"]:
        """Return log-probabilities of the true labels under balanced classes.

        They are those of the consensus, then of the witnesses, the neighbours and the class centres.

        Rows come last because sums over a first axis are many times faster than over the last.
        """
        log_prior = self.prior.log()[:, None]
        evidence = [log_probability[rows].T - log_prior for log_probability in (self.consensus, *self.witnesses)]
        if self.neighbours is not None:
            neighbours = self.neighbours[rows].long()
            # Column 0 counts the missing neighbours.
            counts = torch.zeros(len(rows), len(self.prior) + 1, dtype=torch.float64)
            counts.scatter_add_(1, neighbours + 1, torch.ones(neighbours.shape, dtype=torch.float64))
            smoothed = counts[:, 1:].T + self.neighbour_smoothing * self.prior[:, None]
            evidence.append((smoothed / self.prior[:, None]).log())
        if self.centres is not None:
            evidence.append(self.centres[rows].T)
        return torch.stack(evidence).log_softmax(1)


class LabelModel(NamedTuple):
    """A model of how given labels arise from true ones.

    Attributes:
        transition: P(given label | true label), rows are true labels; sparse if there are many classes.
        prior: factor of each class in the distribution of the true label; sums to one.
        evidence_weights: weights of the consensus and, if there are any, of the witnesses, the neighbours and the centres.
        pseudo_counts: pseudo-counts that shrink the rows of ``transition``: to the common rate of wrong labels, and to an
            even spread of these.
        noise_aware: the consensus and the witnesses are modelled as trained on noisy labels.
        informative: some evidence predicts the labels better than their class shares do; if not, no label is doubted.
        targets: the one class that the wrong labels of each class go to, which overrides ``pseudo_counts``; None for any.
        shares: expected share of each class among the true labels; None: ``prior``.
        alternatives: models of nearly the same likelihood, each with its weight relative to this one's weight of 1.
    """

    transition: Transition
    prior: Float64[Tensor, " class"]
    evidence_weights: Float64[Tensor, " evidence"]
    pseudo_counts: tuple[float, float]
    noise_aware: bool
    informative: bool = True
    targets: Int64[Tensor, " class"] | None = None
    shares: Float64[Tensor, " class"] | None = None
    alternatives: "tuple[tuple[float, LabelModel], ...]" = ()

    def mixture(self) -> "list[tuple[float, LabelModel]]":
        """Return the model and its alternatives, with weights that sum to one."""
        models = ((1.0, self._replace(alternatives=())), *self.alternatives)
        total = sum(weight for weight, _ in models)
        return [(weight / total, model) for weight, model in models]

    @property
    def is_diagonal_dominant(self) -> bool:
        """Whether each class's own label is its most frequent one."""
        if isinstance(self.transition, SparseTransition):
            return self.transition.is_diagonal_dominant()
        return bool((self.transition.argmax(1) == torch.arange(len(self.transition))).all())

    @property
    def wrong_share(self) -> float:
        """Expected share of wrong labels, by this model alone."""
        return float(self.class_shares @ (1 - self.transition.diagonal()))

    @property
    def class_shares(self) -> Float64[Tensor, " class"]:
        """Expected share of each class among the true labels, by this model alone."""
        return self.prior if self.shares is None else self.shares

    def dense_transition(self) -> Float64[Tensor, "class class"]:
        """Return P(given label | true label) of this model alone."""
        return self.transition.dense() if isinstance(self.transition, SparseTransition) else self.transition

    def mean_transition(self) -> Float64[Tensor, "class class"]:
        """Return P(given label | true label), averaged over the model and its alternatives."""
        return torch.stack([weight * model.dense_transition() for weight, model in self.mixture()]).sum(0)

    def mean_shares(self) -> Float64[Tensor, " class"]:
        """Return the class shares of the true labels, averaged over the model and its alternatives."""
        return torch.stack([weight * model.class_shares for weight, model in self.mixture()]).sum(0)


class LabelPosterior(NamedTuple):
    """The posterior of the true labels.

    Attributes:
        evidence: evidence of the true labels.
        model: how the given labels arise.
        witnessed: the posterior with the evidence of witnesses that never saw the given labels, ``(sample, class)``; see
            :mod:`hardsight.attribution.label_noise.independent_witness`. None: there are none.
    """

    evidence: Evidence
    model: LabelModel
    witnessed: Tensor | None = None

    def probabilities(self, rows: Int64[Tensor, " row"]) -> Float64[Tensor, "row class"]:
        """Return the probabilities of the true label of some samples; rows sum to one."""
        if self.witnessed is not None:
            return self.witnessed[rows]
        return true_label_probabilities(self.model, self.evidence, rows)

    @property
    def p_wrong(self) -> Float64[Tensor, " sample"]:
        """Posterior probability that each given label is wrong."""
        label = self.evidence.label
        p_wrong = torch.empty(len(label), dtype=torch.float64)
        for rows in row_blocks(*self.evidence.consensus.shape):
            probability = self.probabilities(rows)
            p_wrong[rows] = (1 - probability.gather(1, label[rows][:, None]).squeeze(1)).clamp(0, 1)
        return p_wrong


def class_prior(labels: np.ndarray, n_classes: int, weights: np.ndarray | None = None) -> Float64[Tensor, " class"]:
    """Return the class shares that models are trained on, with sample weights counted.

    A class without weight counts as a thousandth of a sample.

    Args:
        labels: class codes, ``(sample,)``.
        n_classes: number of classes.
        weights: training weights, ``(sample,)``; None: all 1.
    """
    relative = torch.ones(len(labels), dtype=torch.float64)
    if weights is not None:
        relative = torch.from_numpy(weights / weights.mean())
    mass = torch.bincount(torch.from_numpy(labels), relative, minlength=n_classes).clamp(min=1e-3)
    return mass / mass.sum()


def true_label_probabilities(
    model: LabelModel, evidence: Evidence, rows: Int64[Tensor, " row"]
) -> Float64[Tensor, "row class"]:
    """Return P(true label | evidence, given label), averaged over a model and its alternatives; rows sum to one."""
    label = evidence.label[rows]
    if not model.informative:
        return _certain(label, len(model.prior))
    label_evidence = evidence.label_evidence(rows)
    if isinstance(model.transition, SparseTransition):
        probability = _sparse_probabilities(model, evidence, label_evidence, label)
    else:
        probability = torch.zeros(len(label), len(model.prior), dtype=torch.float64)
        for weight, part in model.mixture():
            scores = evidence_scores(part, evidence.prior, label_evidence, evidence.counts)
            log_prior = log_q(scores, part.evidence_weights, part.prior)
            probability += weight * (log_prior + clamped_log(part.dense_transition())[:, label]).softmax(0).T
    if evidence.max_p_wrong is not None:
        probability = _raise_own(probability, label, 1 - evidence.max_p_wrong[rows])
    if evidence.in_small_class is not None:
        taken_as_right = evidence.in_small_class[rows]
        probability[taken_as_right] = _certain(label[taken_as_right], len(model.prior))
    return probability


def _raise_own(probability: Tensor, label: Tensor, least: Tensor) -> Float64[Tensor, "row class"]:
    """Return probabilities of which that of each label is raised to its least value, the others in proportion."""
    own = probability.gather(1, label[:, None]).squeeze(1)
    raised = torch.maximum(own, least)
    scale = torch.where(raised > own, (1 - raised) / (1 - own), 1.0)
    return (probability * scale[:, None]).scatter(1, label[:, None], raised[:, None])


def _sparse_probabilities(
    model: LabelModel,
    evidence: Evidence,
    label_evidence: Float64[Tensor, "evidence class row"],
    label: Int64[Tensor, " row"],
) -> Float64[Tensor, "row class"]:
    weights = mean_weights(len(label_evidence), evidence.counts)
    kept = SparseEvidence.of(label_evidence, label, evidence.prior, weights, DEFAULT_CONFIG.kept_classes)
    of_slot = torch.zeros(kept.classes.shape, dtype=torch.float64)
    for weight, part in model.mixture():
        assert isinstance(part.transition, SparseTransition)
        n_at_face_value = 0 if part.noise_aware else evidence.counts.models
        scores = kept.scores(part.transition, evidence.prior, part.prior, n_at_face_value)
        log_prior = kept.log_q(scores, part.evidence_weights, part.prior)
        of_slot += weight * (log_prior + clamped_log(kept.of_label(part.transition, part.prior))).softmax(0)
    return kept.by_class(of_slot, model.prior)


def evidence_scores(
    model: LabelModel,
    class_prior: Float64[Tensor, " class"],
    evidence: Float64[Tensor, "evidence class row"],
    counts: EvidenceCounts = ONE_MODEL,
) -> Float64[Tensor, "evidence class row"]:
    r"""Return how much each evidence speaks for each class: $-\mathrm{KL}(T^b_c \| w_k)$, or $\log w_k(c)$.

    The divergence is between what the evidence would say of a sample that is certainly of the class, and what it says. The
    logarithm alone is the score of predictions that are not modelled as trained on noisy labels, and of class centres.
    """
    expected = model.dense_transition() / class_prior
    expected = expected / expected.sum(1, keepdim=True)
    scores: Tensor = torch.matmul(expected, evidence) + torch.special.entr(expected).sum(1)[:, None]
    if not model.noise_aware:
        scores[: counts.models] = evidence[: counts.models]
    first_centres = len(evidence) - counts.centres
    scores[first_centres:] = evidence[first_centres:]
    return scores


def mean_weights(n_evidence: int, counts: EvidenceCounts) -> Float64[Tensor, " evidence"]:
    """Return the means of the prior of the evidence weights.

    Models of different kinds learned from the same labels: together they count as one evidence, as neighbours do. Class
    centres follow from the posterior, and count as far as the labels show that they should.
    """
    weights = torch.ones(n_evidence, dtype=torch.float64)
    weights[: counts.models] = 1 / counts.models
    weights[n_evidence - counts.centres :] = 0
    return weights


def largest_change(transition: Transition, before: Transition) -> float:
    """Return the largest difference between two transition matrices of the same kind."""
    if isinstance(transition, SparseTransition):
        assert isinstance(before, SparseTransition)
        return transition.largest_change(before)
    assert isinstance(before, Tensor)
    return float((transition - before).abs().max())


def _certain(label: Int64[Tensor, " row"], n_classes: int) -> Float64[Tensor, "row class"]:
    """Return the probabilities of true labels that are the given ones."""
    return torch.zeros(len(label), n_classes, dtype=torch.float64).scatter_(1, label[:, None], 1.0)


def row_blocks(samples: int, n_classes: int) -> Iterator[Int64[Tensor, " row"]]:
    """Yield the rows of blocks that fit into memory."""
    block = max(1, min(_BLOCK, _BLOCK_CELLS // n_classes))
    for start in range(0, samples, block):
        yield torch.arange(start, min(start + block, samples))


def log_q(scores: Tensor, evidence_weights: Tensor, prior: Tensor) -> Float64[Tensor, "class row"]:
    """Return log q, the log-probabilities of the true labels before the given ones are seen.

    Args:
        scores: of :func:`evidence_scores`, ``(evidence, class, row)``.
        evidence_weights: ``(evidence,)``.
        prior: factor of each class, ``(class,)``.
    """
    return (torch.einsum("k,kcr->cr", evidence_weights, scores) + prior.log()[:, None]).log_softmax(0)


def clamped_log(probability: Tensor) -> Tensor:
    """Return the logarithm of probabilities, none of them taken as zero."""
    return probability.clamp(min=_MIN_PROBABILITY).log()
