"""Which of several label models is taken, and which others count beside it."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.attribution.label_noise.confident import NATURAL_DISAGREEMENT, most_confident
from hardsight.attribution.label_noise.em import INF, LabelModelFit, z_deficit
from hardsight.attribution.label_noise.model import Evidence, LabelModel, true_label_probabilities
from hardsight.attribution.label_noise.pair_flips import fit_pair_flips

# How strongly rows of T are pseudo_counts: to the common rate of wrong labels, and to an even spread of those; weakest first.
HOLDS = ((10.0, 3.0), (30.0, 30.0), (INF, 3.0), (INF, INF))
SURE = 0.0
# With two classes structure is no more than a difference of rates, and a bias of the members for one class looks like it.
SURE_OF_TWO = 5.0
# Standard errors by which a model may be less likely than the best and be taken because it explains what that does not.
_WITHIN = 3.0
# Standard errors behind by which a model's weight falls as that of a normal distribution by one deviation, and the least
# weight that is worth its time.
_UNSURE, _LEAST = 2.0, 0.01
# Expected share of wrong labels from which on a model is no rival: of so much noise its mirror image is as likely.
_TOO_MANY = 0.45
PARTS = 3
_CELLS, _FEWEST, _MOST = 200_000, 5_000, 20_000


def fit_label_model(evidence: Evidence) -> LabelModel:
    """The model that the labels left out speak for, among those that explain what surest predictions miss.

    It is estimated on at most 20,000 samples, fewer where classes are many: those at even steps from the most_likely to
    the least likely label, so that it depends on nothing but what is known of the samples. The parts are every third one.

    Args:
        evidence: of all samples.
    """
    samples, classes = evidence.consensus.shape
    most = min(max(_CELLS // classes, _FEWEST), _MOST, samples)
    order = evidence.consensus.gather(1, evidence.label[:, None]).squeeze(1).argsort(stable=True)
    rows = order[torch.arange(most) * samples // most]
    fit = LabelModelFit(evidence.label_evidence(rows), evidence.label[rows], evidence.prior)
    if not fit.is_informative():
        return fit.noise_free_model()
    found = [
        fit.best(pseudo_counts, noise_aware=noise_aware) for pseudo_counts in HOLDS for noise_aware in (True, False)
    ]
    # A class whose labels are mostly those of another is that other: members that ignore a rare class lead there.
    sound = [model for model in found if _sound(model)] or found[-2:]
    part = torch.arange(fit.rows) % PARTS
    told = [_Told(model, _left_out(fit, model, part)) for model in sound]
    plain = _strongest(told, SURE if classes > 2 else SURE_OF_TWO)
    missing = _Missing.of(evidence, rows)
    # Of two classes each has but one target.
    if classes == 2 or missing.share <= NATURAL_DISAGREEMENT[1]:
        return _with_alternatives(plain, told)
    free = [model for model in found if model.pseudo_counts[1] != INF]
    aimed = (fit_pair_flips(fit, free, plain.model, noise_aware=noise_aware) for noise_aware in (True, False))
    targeted = [_Told(model, _left_out(fit, model, part)) for model in aimed if model is not None and _sound(model)]
    return _with_alternatives(_explaining(plain, told, targeted, missing), [*told, *targeted])


class _Told(NamedTuple):
    """A model, and what labels that were left out say of it.

    Attributes:
        model: fitted to all samples.
        likelihood: of each label under class shares and a transition matrix that the other parts noise_aware, in nats.
    """

    model: LabelModel
    likelihood: Float64[Tensor, " row"]

    @property
    def mean(self) -> float:
        """Mean log-likelihood of a label."""
        return float(self.likelihood.mean())

    def behind(self, best: "_Told") -> float:
        """By how many standard errors of the difference it is less likely than the best."""
        return z_deficit(self.likelihood, best.likelihood)


class _Missing(NamedTuple):
    """What the surest predictions miss.

    Attributes:
        evidence: of all samples.
        rows: the surest.
        share: of their labels, those that are not as predicted.
    """

    evidence: Evidence
    rows: Int64[Tensor, " sure"]
    share: float

    @classmethod
    def of(cls, evidence: Evidence, rows: Int64[Tensor, " row"]) -> "_Missing":
        """Of some samples. Where classes count alike, a rare one wins samples that its wrong labels are of."""
        label = evidence.label[rows]
        shares = torch.bincount(label, minlength=len(evidence.prior)).double() / len(label)
        chosen, told = most_confident(evidence.consensus[rows] - evidence.prior.log() + shares.clamp(min=1e-6).log())
        return cls(evidence, rows[chosen], float((label != told)[chosen].double().mean()))

    def left_by(self, model: LabelModel) -> float:
        """The share that P(wrong) does not explain."""
        right = true_label_probabilities(model, self.evidence, self.rows).gather(
            1, self.evidence.label[self.rows][:, None]
        )
        return self.share - float(1 - right.mean())


def _sound(model: LabelModel) -> bool:
    return bool((model.transition.argmax(1) == torch.arange(len(model.transition))).all())


def _strongest(told: list[_Told], sure: float) -> _Told:
    """The strongest hold whose likelihood on labels left out is within some standard errors of the best."""
    best = max(told, key=lambda each: each.mean)
    return next(each for each in reversed(told) if each is best or each.behind(best) <= sure)


def _explaining(plain: _Told, others: list[_Told], aimed: list[_Told], missing: _Missing) -> _Told:
    """The model that is taken where surest predictions miss more labels than in clean data of nature.

    Softness can stand in for noise at little cost of likelihood, but not among the surest samples.

    Args:
        plain: that the likelihood is for, of those without targets.
        others: all of those.
        aimed: with targets.
        missing: what is to be explained.
    """
    little, much = NATURAL_DISAGREEMENT
    left = missing.left_by(plain.model)
    if left <= much:
        able = [
            each for each in aimed if missing.left_by(each.model) <= max(little, left) or plain.behind(each) > _WITHIN
        ]
        return max((plain, *able), key=lambda each: each.mean)
    every = [(each, missing.left_by(each.model)) for each in (*others, *aimed)]
    best = max((each for each, _ in every), key=lambda each: each.mean)
    able = [each for each, rest in every if rest <= little and each.behind(best) <= _WITHIN]
    able = able or [each for each, rest in every if rest <= left / 2 and each.mean >= plain.mean]
    return max(able, key=lambda each: each.mean, default=plain)


def _with_alternatives(taken: _Told, every: list[_Told]) -> LabelModel:
    """The model that is taken and all that are likely beside it: one of those that labels cannot tell apart is a bet."""
    alternatives = []
    for each in every:
        weight = math.exp(-0.5 * (max(each.behind(taken), 0.0) / _UNSURE) ** 2)
        if each is not taken and weight >= _LEAST and each.model.wrong_share <= _TOO_MANY:
            alternatives.append((weight, each.model))
    return taken.model._replace(alternatives=tuple(alternatives))


def _left_out(
    fit: LabelModelFit, model: LabelModel, part: Int64[Tensor, " row"], rounds: int = 50
) -> Float64[Tensor, " row"]:
    """Log-likelihood of every label under class shares and a transition matrix that the other parts noise_aware."""
    out = torch.empty(fit.rows, dtype=torch.float64)
    for left in (part == k for k in range(PARTS)):
        out[left] = fit.part(left).log_likelihood(fit.part(~left).run_em(model, rounds, update_weights=False))
    return out
