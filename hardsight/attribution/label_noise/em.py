"""Maximum likelihood (EM) of a label model on some samples, with a weak prior on its evidence_weights."""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.nn.functional import one_hot

from hardsight.attribution.label_noise.confident import CONFIDENT_FRACTION
from hardsight.attribution.label_noise.model import LabelModel, evidence_scores, log, log_q

ROUNDS = 200
SHARPEST = 20.0
# Inverse variance of a normal prior of each power around 1, where a witness is believed as it stands. Where classes are far
# apart the likelihood hardly falls with ever larger evidence_weights, and these deny the labels of rare classes, of which witnesses
# know little.
_BELIEVED = 1.0
INF = float("inf")
# Standard errors by which a witness must do better than by luck.
SURE_OF_LUCK = 2.0
STARTS = ((0.05, 1.0),)
# Of the samples that are predicted as a class, the fewest that show where its labels go.
_ENOUGH = 10
# Rate of wrong labels with one target a class: from a half on, a class and its target could exchange their names.
_MOST_WRONG = 0.49
# Power on the consensus where the search starts from what they show.
SHARP = 3.0


class LabelModelFit:
    """Maximum likelihood on some samples; evidence_weights have a prior."""

    def __init__(
        self,
        witnesses: Float64[Tensor, "witness class row"],
        label: Int64[Tensor, " row"],
        trained: Float64[Tensor, " class"],
    ) -> None:
        self.witnesses, self.label, self.trained = witnesses, label, trained
        self.classes, self.rows = witnesses.shape[1:]

    def is_informative(self) -> bool:
        """Whether a witness gives the labels more than it gives labels that are drawn by the classes' shares."""
        told = self.witnesses.exp()
        own = told.gather(1, self.label.expand(len(told), 1, -1)).squeeze(1)
        gain = own - torch.einsum("c,kcr->kr", self.shares(), told)
        return bool((gain.mean(1) > SURE_OF_LUCK * gain.std(1) / self.rows**0.5).any())

    def noise_free_model(self) -> LabelModel:
        """The model in which every label is right."""
        shares = torch.bincount(self.label, minlength=self.classes).clamp(min=1).double()
        same = torch.eye(self.classes, dtype=torch.float64)
        return LabelModel(
            same, shares / shares.sum(), self.consensus_only(1.0), (INF, INF), noise_aware=False, informative=False
        )

    def best(self, pseudo_counts: tuple[float, float], *, noise_aware: bool) -> LabelModel:
        """The most_likely of several starts: softness and noise can stand in for each other, so there are several hills."""
        starts = [(_even(self.classes, rate), power) for rate, power in STARTS]
        starts.append((transition_from_confident(self.witnesses[0], self.label), SHARP))
        return self.most_likely(self._from(*start, pseudo_counts, noise_aware) for start in starts)

    def most_likely(self, models: Iterable[LabelModel]) -> LabelModel:
        """Of some models, at least one."""
        return max(models, key=lambda model: float(self.log_likelihood(model).mean()))

    def log_likelihood(self, model: LabelModel) -> Float64[Tensor, " row"]:
        """Of every label."""
        return torch.logsumexp(self.before(model) + log(model.transition)[:, self.label], 0)

    def before(self, model: LabelModel) -> Float64[Tensor, "class row"]:
        """What is known of the true labels before the given ones are seen."""
        return log_q(evidence_scores(model, self.trained, self.witnesses), model.evidence_weights, model.prior)

    def counts(self, r: Float64[Tensor, "class row"]) -> Float64[Tensor, "class class"]:
        """How often each given label stands where the true one is this, by the posterior of that; rows true."""
        return torch.zeros(self.classes, self.classes, dtype=torch.float64).index_add_(1, self.label, r)

    def consensus_only(self, power: float) -> Float64[Tensor, " witness"]:
        """Powers that hear the consensus alone."""
        evidence_weights = torch.zeros(len(self.witnesses), dtype=torch.float64)
        evidence_weights[0] = power
        return evidence_weights

    def shares(self) -> Float64[Tensor, " class"]:
        """Of the given labels."""
        return torch.bincount(self.label, minlength=self.classes).double() / self.rows

    def subsample(self, most: int) -> "LabelModelFit":
        """The same for every so many-th sample, at most so many."""
        if self.rows <= most:
            return self
        kept = torch.zeros(self.rows, dtype=torch.bool)
        kept[torch.arange(most) * self.rows // most] = True
        return self.part(kept)

    def part(self, rows: Tensor) -> "LabelModelFit":
        """The same for some of the samples, a mask."""
        return LabelModelFit(self.witnesses[:, :, rows], self.label[rows], self.trained)

    def _from(
        self, transition: Tensor, power: float, pseudo_counts: tuple[float, float], noise_aware: bool
    ) -> LabelModel:
        shares = self.shares().clamp(min=1 / self.rows)
        return self.run_em(LabelModel(transition, shares, self.consensus_only(power), pseudo_counts, noise_aware))

    def run_em(self, start: LabelModel, rounds: int = ROUNDS, *, update_weights: bool = True) -> LabelModel:
        """The top of the hill that a model stands on, or where some rounds lead on the way to it."""
        model = start
        for _ in range(rounds):
            before = model
            like = evidence_scores(model, self.trained, self.witnesses)
            known = log_q(like, model.evidence_weights, model.prior)
            r = (known + log(model.transition)[:, self.label]).softmax(0)
            evidence_weights = (
                self._step(like, model.evidence_weights, known.exp(), r) if update_weights else model.evidence_weights
            )
            model = model._replace(
                transition=_transition(self.counts(r), model), prior=_shares(r), evidence_weights=evidence_weights
            )
            if (model.transition - before.transition).abs().max() < 1e-6 and (
                evidence_weights - before.evidence_weights
            ).abs().max() < 1e-4:
                break
        return model

    def _step(self, w: Tensor, evidence_weights: Tensor, q: Tensor, r: Tensor) -> Tensor:
        """One Newton step on what EM maximises, which is concave in the evidence_weights, back into their bounds."""
        mean = (q * w).sum(1)
        slope = ((r * w).sum(1) - mean).sum(1) - _BELIEVED * (evidence_weights - 1)
        bend = torch.einsum("cr,kcr,lcr->kl", q, w, w) - mean @ mean.T
        ridge = _BELIEVED * torch.eye(len(w), dtype=torch.float64)
        moved: Tensor = (evidence_weights + torch.linalg.solve(bend + ridge, slope)).clamp(0, SHARPEST)
        moved[0] += max(1 - float(moved.sum()), 0.0)
        return moved


def _even(classes: int, rate: float) -> Float64[Tensor, "class class"]:
    """Labels that are wrong at a rate, and then any other alike."""
    same = torch.eye(classes, dtype=torch.float64)
    found: Tensor = (1 - rate) * same + rate * (1 - same) / (classes - 1)
    return found


def _transition(counts: Float64[Tensor, "class class"], model: LabelModel) -> Float64[Tensor, "class class"]:
    classes = len(counts)
    total, right = counts.sum(1), counts.diagonal()
    common = 1 - float(right.sum() / counts.sum())
    level, spread = model.pseudo_counts
    rate = torch.full_like(total, common) if level == INF else (total - right + level * common) / (total + level)
    same = torch.eye(classes, dtype=torch.float64)
    where = (1 - same) / (classes - 1)
    if model.targets is not None:
        rate = rate.clamp(max=_MOST_WRONG)
        where = one_hot(model.targets, classes).double()
    elif spread != INF:
        where = (counts * (1 - same) + spread * where) / (total - right + spread)[:, None]
    return transition_matrix(rate, where)


def transition_matrix(rate: Float64[Tensor, " class"], where: Tensor) -> Float64[Tensor, "class class"]:
    """T of the rate of wrong labels of each class, and of where these go, ``(class, class)``."""
    found: Tensor = (1 - rate)[:, None] * torch.eye(len(rate), dtype=torch.float64) + rate[:, None] * where
    return found


def z_deficit(own: Float64[Tensor, " row"], best: Float64[Tensor, " row"]) -> float:
    """By how many standard errors of the difference labels are less likely under one model than under another."""
    short = best - own
    mean, error = float(short.mean()), float(short.std()) / math.sqrt(len(short))
    if error > 0:
        return mean / error
    return math.copysign(INF, mean) if mean else 0.0


def transition_from_confident(
    score: Float64[Tensor, "class row"], label: Int64[Tensor, " row"]
) -> Float64[Tensor, "class class"]:
    """Where the labels of each class go, by the labels of those samples that are most surely of it."""
    classes = len(score)
    sure, told = score.softmax(0).max(0)
    counts = _even(classes, 0.2)
    for c in range(classes):
        at = (told == c).nonzero().squeeze(1)
        first = at[sure[at].argsort(descending=True, stable=True)[: max(_ENOUGH, round(CONFIDENT_FRACTION * len(at)))]]
        counts[c] += torch.bincount(label[first], minlength=classes)
    found: Tensor = counts / counts.sum(1, keepdim=True)
    return found


def _shares(r: Float64[Tensor, "class row"]) -> Float64[Tensor, " class"]:
    return (r.sum(1) + 1) / (r.shape[1] + len(r))
