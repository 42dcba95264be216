"""Selection of a label model among several, and of the alternatives that are averaged with it."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from hardsight.attribution.label_noise.confident import most_confident, plateau_width
from hardsight.attribution.label_noise.config import DEFAULT_CONFIG, INF, LabelModelConfig
from hardsight.attribution.label_noise.em import LabelModelFitter, z_deficit
from hardsight.attribution.label_noise.model import Evidence, LabelModel, true_label_probabilities
from hardsight.attribution.label_noise.pair_flips import fit_pair_flips
from hardsight.attribution.label_noise.sparse_em import SparseLabelModelFitter
from hardsight.resampling.spacing import evenly_spaced


def fit_label_model(evidence: Evidence, config: LabelModelConfig = DEFAULT_CONFIG) -> LabelModel:
    """Fit several label models and select the one that the labels left out support, with its alternatives.

    Pair flips are searched for where confident predictions miss more labels than in clean data. The models are fitted to at
    most 20,000 samples, fewer if there are many classes: those at even steps from the most to the least likely label, so
    that the choice depends on nothing but the evidence. The parts that are left out are every third of them.

    Args:
        evidence: evidence of all samples.
        config: constants.
    """
    n_classes = evidence.consensus.shape[1]
    rows = rows_to_fit(evidence, config)
    fitter = _fitter(evidence, rows, config)
    if not fitter.is_informative():
        return fitter.noise_free_model()
    paths = (fitter.fit_path(config.shrinkage_levels, noise_aware=noise_aware) for noise_aware in (True, False))
    models = [model for pair in zip(*paths, strict=True) for model in pair]
    # A class whose labels are mostly those of another is that other: ensembles that ignore a rare class lead there.
    admissible = [model for model in models if model.is_diagonal_dominant] or models[-2:]
    candidates = [_Candidate.of(fitter, model) for model in admissible]
    deviations = config.shrinkage_deviations if n_classes > 2 else config.two_class_shrinkage_deviations
    best = _strongest_shrinkage(candidates, deviations)
    disagreement = _ConfidentDisagreement.of(evidence, rows)
    if disagreement.share <= config.natural_disagreement[1]:
        return _with_alternatives(best, candidates, config)
    # With two classes, each has only one possible target.
    targeted = [] if n_classes == 2 else _fit_targeted(fitter, models, best.model)
    best = _best_explanation(best, candidates, targeted, disagreement, config)
    return _with_alternatives(best, [*candidates, *targeted], config)


def refit_label_model(evidence: Evidence, model: LabelModel, config: LabelModelConfig = DEFAULT_CONFIG) -> LabelModel:
    """Return a model and its alternatives after EM from where they are, with evidence that came in since.

    The models are not selected again and their transition matrices stay: such evidence follows from the models, and could
    otherwise confirm a rate of wrong labels that is off.

    Args:
        evidence: evidence of all samples; what came in since is the last, and starts with a weight of zero.
    """
    fitter = _fitter(evidence, rows_to_fit(evidence, config), config)

    def refit(each: LabelModel) -> LabelModel:
        weights = torch.zeros(len(fitter.evidence), dtype=torch.float64)
        weights[: len(each.evidence_weights)] = each.evidence_weights
        return fitter.run_em(each._replace(evidence_weights=weights, alternatives=()), update_transition=False)

    alternatives = tuple((weight, refit(each)) for weight, each in model.alternatives)
    return refit(model)._replace(alternatives=alternatives)


def _fitter(evidence: Evidence, rows: Int64[Tensor, " row"], config: LabelModelConfig) -> LabelModelFitter:
    if len(evidence.prior) > config.max_dense_classes:
        return SparseLabelModelFitter.of(evidence, rows, config)
    return LabelModelFitter(evidence.label_evidence(rows), evidence.label[rows], evidence.prior, config, evidence.counts)


def rows_to_fit(evidence: Evidence, config: LabelModelConfig) -> Int64[Tensor, " row"]:
    """Return the samples that a model is fitted to, at even steps from the least likely label to the likeliest."""
    n_classes = evidence.consensus.shape[1]
    order = evidence.consensus.gather(1, evidence.label[:, None]).squeeze(1).argsort(stable=True)
    if evidence.in_small_class is not None:
        order = order[~evidence.in_small_class[order]]
    samples = len(order)
    most = max(config.max_cells // n_classes, config.min_rows, config.rows_per_class * n_classes)
    most = min(most, config.max_rows, samples)
    return order[evenly_spaced(samples, most)]


class _Candidate(NamedTuple):
    """A model, and the likelihood of labels that were left out."""

    model: LabelModel  # fitted to all samples
    # Log-likelihood of each label, in nats, under class factors and a transition matrix fitted to the other parts.
    likelihood: Float64[Tensor, " row"]
    description: float = 0.0  # nats per label that it takes to describe what was searched for with all labels

    @classmethod
    def of(cls, fitter: LabelModelFitter, model: LabelModel) -> "_Candidate":
        """Compute the left-out likelihoods of a model; its evidence weights stay as they are."""
        parts, rounds = fitter.config.parts, fitter.config.left_out_rounds
        part = torch.arange(fitter.n_rows) % parts
        likelihood = torch.empty(fitter.n_rows, dtype=torch.float64)
        for k in range(parts):
            left_out = part == k
            fitted = fitter.subset(~left_out).run_em(model, rounds, update_weights=False)
            likelihood[left_out] = fitter.subset(left_out).log_likelihood(fitted)
        return cls(model, likelihood)

    @property
    def mean(self) -> float:
        """Mean log-likelihood of a label, less the description of the model."""
        return float(self.likelihood.mean()) - self.description

    def z_deficit(self, best: "_Candidate") -> float:
        """Return by how many standard errors of the difference it is less likely than the best, descriptions left out."""
        return z_deficit(self.likelihood, best.likelihood)


def _fit_targeted(fitter: LabelModelFitter, models: list[LabelModel], likely: LabelModel) -> list[_Candidate]:
    """Fit models with one target per class, which are less likely by what it takes to describe the targets.

    All labels are used to search for them, so the likelihood of labels left out is too high.
    """
    free = [model for model in models if model.pseudo_counts[1] != INF]
    flips = (fit_pair_flips(fitter, free, likely, noise_aware=noise_aware) for noise_aware in (True, False))
    description = fitter.n_classes * math.log(fitter.n_classes - 1) / fitter.n_rows
    candidates = (_Candidate.of(fitter, model) for model in flips if model is not None and model.is_diagonal_dominant)
    return [each._replace(description=description) for each in candidates]


class _ConfidentDisagreement(NamedTuple):
    """Disagreement between the most confident predictions and the labels."""

    evidence: Evidence
    rows: Int64[Tensor, " confident"]  # the most confidently predicted samples
    share: float  # share of their labels that differ from the prediction
    plateau_width: float  # see :func:`plateau_width`

    @classmethod
    def of(cls, evidence: Evidence, rows: Int64[Tensor, " row"]) -> "_ConfidentDisagreement":
        """Compute it among some samples, with classes weighted by their labels.

        Balanced, a rare class wins samples of the class whose wrong labels it holds.
        """
        label = evidence.label[rows]
        shares = torch.bincount(label, minlength=len(evidence.prior)).double() / len(label)
        scores = evidence.consensus[rows] - evidence.prior.log() + shares.clamp(min=1e-6).log()
        selected, predicted = most_confident(scores)
        share = float((label != predicted)[selected].double().mean())
        return cls(evidence, rows[selected], share, plateau_width(scores))

    def unexplained_by(self, model: LabelModel) -> float:
        """Return the share that P(wrong) under a model does not explain."""
        probability = true_label_probabilities(model, self.evidence, self.rows)
        right = probability.gather(1, self.evidence.label[self.rows][:, None])
        return self.share - float(1 - right.mean())


def _strongest_shrinkage(candidates: list[_Candidate], deviations: float) -> _Candidate:
    """Return the strongest shrinkage within some standard errors of the best likelihood on labels left out."""
    best = max(candidates, key=lambda candidate: candidate.mean)
    return next(
        candidate for candidate in reversed(candidates) if candidate is best or candidate.z_deficit(best) <= deviations
    )


def _best_explanation(
    best: _Candidate,
    others: list[_Candidate],
    targeted: list[_Candidate],
    disagreement: _ConfidentDisagreement,
    config: LabelModelConfig,
) -> _Candidate:
    """Select the likeliest model, or if confidences form a plateau, the likeliest that explains why they miss labels.

    Predictions that are the posterior of the noisy labels fit these exactly, whether there is noise or not.

    Args:
        best: the candidate that likelihood selects among those without targets.
        others: all candidates without targets.
    """
    typical = config.natural_disagreement[0]
    likeliest = max((best, *targeted), key=lambda each: each.mean)
    unexplained = disagreement.unexplained_by(best.model)
    if disagreement.plateau_width > config.max_plateau_width or unexplained <= typical:
        return likeliest
    every = [(each, disagreement.unexplained_by(each.model)) for each in (*others, *targeted)]
    first = max((each for each, _ in every), key=lambda each: each.mean)
    limit = config.max_deviations_to_explain
    able = [each for each, rest in every if rest <= typical and each.z_deficit(first) <= limit]
    able = able or [each for each, rest in every if rest <= unexplained / 2 and each.mean >= best.mean]
    return max(able, key=lambda each: each.mean, default=best)


def _with_alternatives(best: _Candidate, candidates: list[_Candidate], config: LabelModelConfig) -> LabelModel:
    """Return the best model with all that are nearly as likely: labels that cannot tell models apart justify no choice."""
    alternatives = []
    for candidate in candidates:
        z = max(candidate.z_deficit(best), 0.0) / config.alternative_deviations
        weight = config.alternative_weight * math.exp(-0.5 * z**2)
        wrong_share = candidate.model.wrong_share
        if (
            candidate is not best
            and weight >= config.min_alternative_weight
            and wrong_share <= config.max_alternative_wrong_share
        ):
            alternatives.append((weight, candidate.model))
    return best.model._replace(alternatives=tuple(alternatives))
