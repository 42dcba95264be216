"""Evidence of the true labels, a model of how given ones come about, and the posterior that both lead to."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

_BLOCK = 65_536
# Added to the counts among neighbours, in neighbours, spread like the classes.
_SMOOTHED = 2.0


class Evidence(NamedTuple):
    """What speaks of the true labels.

    Attributes:
        consensus: log-probabilities of the dual mean.
        label: as given.
        prior: class shares that the members were trained on.
        neighbours: labels of the nearest neighbours, -1 where there are fewer; None where there are no features.
    """

    consensus: Float64[Tensor, "sample class"]
    label: Int64[Tensor, " sample"]
    prior: Float64[Tensor, " class"]
    neighbours: Tensor | None

    def label_evidence(self, rows: Int64[Tensor, " row"]) -> Float64[Tensor, "witness class row"]:
        """Log-probabilities under balanced classes. Sums over a first axis are many times quicker than over a last."""
        found = [self.consensus[rows].T - self.prior.log()[:, None]]
        if self.neighbours is not None:
            near = self.neighbours[rows].long()
            counts = torch.zeros(len(rows), len(self.prior) + 1, dtype=torch.float64)
            counts.scatter_add_(1, near + 1, torch.ones(near.shape, dtype=torch.float64))
            smooth = counts[:, 1:].T + _SMOOTHED * self.prior[:, None]
            found.append((smooth / self.prior[:, None]).log())
        return torch.stack(found).log_softmax(1)


class LabelModel(NamedTuple):
    """How labels come about.

    Attributes:
        transition: P(given label | true label), rows true.
        prior: share of each class among the true labels.
        evidence_weights: of the witnesses: the consensus, then the neighbours if there are any.
        pseudo_counts: pseudo-counts that hold the rows of ``transition``: to the common rate, and to an even spread.
        noise_aware: whether the consensus is taken for what members say that learned the noise, too.
        informative: whether any witness tells the labels better than their shares do; where none does, no label is doubted.
        targets: the one class that wrong labels of each class go to, which ``pseudo_counts`` then says nothing of; None: any.
        alternatives: models that the likelihood hardly tells from this one, each with its weight where this one's is 1.
    """

    transition: Float64[Tensor, "class class"]
    prior: Float64[Tensor, " class"]
    evidence_weights: Float64[Tensor, " witness"]
    pseudo_counts: tuple[float, float]
    noise_aware: bool
    informative: bool = True
    targets: Int64[Tensor, " class"] | None = None
    alternatives: "tuple[tuple[float, LabelModel], ...]" = ()

    def mixture(self) -> "list[tuple[float, LabelModel]]":
        """It and its alternatives, with weights that sum to one."""
        models = ((1.0, self._replace(alternatives=())), *self.alternatives)
        total = sum(weight for weight, _ in models)
        return [(weight / total, model) for weight, model in models]

    @property
    def wrong_share(self) -> float:
        """Share of wrong labels to expect, by this model alone."""
        return float(self.prior @ (1 - self.transition.diagonal()))

    def mean_transition(self) -> Float64[Tensor, "class class"]:
        """P(given label | true label), the mean over it and its alternatives."""
        return torch.stack([weight * model.transition for weight, model in self.mixture()]).sum(0)

    def mean_prior(self) -> Float64[Tensor, " class"]:
        """Shares of the classes among the true labels, the mean over it and its alternatives."""
        return torch.stack([weight * model.prior for weight, model in self.mixture()]).sum(0)


class LabelPosterior(NamedTuple):
    """What is known of the true labels.

    Attributes:
        evidence: what speaks of them.
        model: how the given ones come about.
    """

    evidence: Evidence
    model: LabelModel

    @property
    def p_wrong(self) -> Float64[Tensor, " sample"]:
        """Posterior probability that each given label is wrong."""
        label, found = self.evidence.label, torch.empty(len(self.evidence.label), dtype=torch.float64)
        for start in range(0, len(label), _BLOCK):
            rows = torch.arange(start, min(start + _BLOCK, len(label)))
            right = true_label_probabilities(self.model, self.evidence, rows).gather(1, label[rows][:, None]).squeeze(1)
            found[rows] = (1 - right).clamp(0, 1)
        return found


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
    """P(true label | witnesses, given label), the mean over a model and its alternatives; rows sum to one."""
    label = evidence.label[rows]
    if not model.informative:
        return model.transition[label]
    witnesses, found = evidence.label_evidence(rows), torch.zeros(len(label), len(model.prior), dtype=torch.float64)
    for weight, each in model.mixture():
        before = log_q(evidence_scores(each, evidence.prior, witnesses), each.evidence_weights, each.prior)
        found += weight * (before + log(each.transition)[:, label]).softmax(0).T
    return found


def evidence_scores(
    model: LabelModel, trained: Float64[Tensor, " class"], witnesses: Tensor
) -> Float64[Tensor, "witness class row"]:
    """Minus the divergence of what each witness says from what it would say of a sample that is surely of the class."""
    told = model.transition / trained
    told = told / told.sum(1, keepdim=True)
    found: Tensor = torch.matmul(told, witnesses) + torch.special.entr(told).sum(1)[:, None]
    if not model.noise_aware:
        found[0] = witnesses[0]
    return found


def log_q(witnesses: Tensor, evidence_weights: Tensor, prior: Tensor) -> Float64[Tensor, "class row"]:
    """What is known of the true labels before the given ones are seen."""
    return (torch.einsum("k,kcr->cr", evidence_weights, witnesses) + prior.log()[:, None]).log_softmax(0)


def log(transition: Tensor) -> Tensor:
    """Of chances, none of them nothing."""
    return transition.clamp(min=1e-12).log()
