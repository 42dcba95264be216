"""Maximum-likelihood fits (EM) of label models to some samples, with a weak prior on the evidence weights."""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property

import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.nn.functional import one_hot

from hardsight.attribution.label_noise.confident import exceeds_chance
from hardsight.attribution.label_noise.config import DEFAULT_CONFIG, INF, LabelModelConfig
from hardsight.attribution.label_noise.model import (
    ONE_MODEL,
    EvidenceCounts,
    LabelModel,
    Transition,
    clamped_log,
    evidence_scores,
    largest_change,
    log_q,
    mean_weights,
)
from hardsight.resampling.spacing import evenly_spaced

_TRANSITION_TOLERANCE, _WEIGHT_TOLERANCE = 3e-5, 1e-3
# Longest step of the logarithm of a class factor.
_MAX_LOG_STEP = 2.0
# Differences below which two models count as the same.
_SAME_TRANSITION, _SAME_WEIGHT = 1e-2, 0.1


class LabelModelFitter:
    """Fits label models to some samples.

    Args:
        evidence: log-probabilities of the true labels, see :meth:`Evidence.label_evidence`.
        class_prior: class shares that the ensemble was trained on.
        counts: number of evidences of each kind.
    """

    def __init__(
        self,
        evidence: Float64[Tensor, "evidence class row"],
        label: Int64[Tensor, " row"],
        class_prior: Float64[Tensor, " class"],
        config: LabelModelConfig = DEFAULT_CONFIG,
        counts: EvidenceCounts = ONE_MODEL,
    ) -> None:
        self.evidence, self.label, self.class_prior, self.config = evidence, label, class_prior, config
        self.counts = counts
        self.n_classes, self.n_rows = evidence.shape[1:]

    def is_informative(self) -> bool:
        """Return whether any evidence gives the labels more probability than labels drawn by the class shares get."""
        probability = self.evidence.exp()
        of_label = probability.gather(1, self.label.expand(len(probability), 1, -1)).squeeze(1)
        gain = of_label - torch.einsum("c,kcr->kr", self.label_shares(), probability)
        return bool(exceeds_chance(gain, self.config.chance_deviations).any())

    def noise_free_model(self) -> LabelModel:
        """Return the model in which every label is right."""
        shares = torch.bincount(self.label, minlength=self.n_classes).clamp(min=1).double()
        weights = self.models_only(1.0)
        return LabelModel(
            self.even_transition(0.0), shares / shares.sum(), weights, (INF, INF), noise_aware=False, informative=False
        )

    def fit_path(self, levels: Sequence[tuple[float, float]], *, noise_aware: bool) -> list[LabelModel]:
        """Fit a model for each level of shrinkage, from several starts, and return the best of each level.

        Several, because softness and noise can explain each other. Every level but the first starts where the one before
        ended.
        """
        config = self.config
        starts = (
            (self.even_transition(config.start_wrong_share), 1.0),
            (self.confident_transition(), config.confident_start_weight),
        )
        shares = self.label_shares().clamp(min=1 / self.n_rows)
        models = [LabelModel(T, shares, self.models_only(weight), levels[0], noise_aware) for T, weight in starts]
        path = []
        for level in levels:
            models = _distinct([self.run_em(model._replace(pseudo_counts=level)) for model in models])
            # A model in which two classes have each other's name can be as likely.
            path.append(self.most_likely([model for model in models if model.is_diagonal_dominant] or models))
        return path

    def most_likely(self, models: Iterable[LabelModel]) -> LabelModel:
        """Return the model of the largest likelihood; there must be at least one."""
        return max(models, key=lambda model: float(self.log_likelihood(model).mean()))

    def log_likelihood(self, model: LabelModel) -> Float64[Tensor, " row"]:
        """Return the log-likelihood of every label."""
        return torch.logsumexp(self.log_q(model) + self.log_of_label(model), 0)

    def log_q(self, model: LabelModel) -> Float64[Tensor, "class row"]:
        """Return the log-probabilities of the true labels before the given ones are seen."""
        return self.weighted_log_q(self.scores(model), model)

    # What follows is overridden for many classes.

    def even_transition(self, rate: float) -> Transition:
        """Return T in which labels are wrong at a rate and all wrong classes are equally frequent."""
        return _even_transition(self.n_classes, rate)

    def confident_transition(self, *, balanced: bool = True) -> Transition:
        """Estimate T from the labels of the samples that the consensus predicts most confidently as each class."""
        return transition_from_confident(
            self.evidence[0] if balanced else self._unbalanced_consensus(), self.label, self.config
        )

    def predicted_shares(self) -> Float64[Tensor, " class"]:
        """Return the shares of the predicted classes, with classes weighted by their labels."""
        counts = torch.bincount(self._unbalanced_consensus().argmax(0), minlength=self.n_classes).double() + 1
        return counts / counts.sum()

    def with_targets(self, model: LabelModel, targets: Int64[Tensor, " class"]) -> LabelModel:
        """Return the model with the same rates of wrong labels and these targets."""
        rate = 1 - model.transition.diagonal()
        return model._replace(transition=transition_matrix(rate, one_hot(targets, len(rate))), targets=targets)

    def likeliest_targets(self, model: LabelModel) -> Int64[Tensor, " class"]:
        """Return the most frequent wrong label of each class."""
        return off_diagonal(model.dense_transition()).argmax(1)

    def likely_destinations(self, transition: Transition, c: int) -> list[int]:
        """List the most frequent wrong labels of a class, at most three."""
        assert isinstance(transition, Tensor)
        share, targets = off_diagonal(transition)[c].topk(self.config.max_likely_targets)
        return self.frequent(share, targets)

    def frequent(self, share: Tensor, targets: Tensor) -> list[int]:
        """List the targets that are frequent relative to the first one."""
        selected: list[int] = targets[share >= self.config.min_relative_frequency * share[:1]].tolist()
        return selected

    def expected_targets(self, model: LabelModel) -> Int64[Tensor, " class"]:
        """Return where most wrong labels of each class are expected to go."""
        # As if labels could go anywhere: under fixed targets, others would never be seen.
        wide = 0.5 * model.dense_transition() + 0.5 / self.n_classes
        r = (self.log_q(model) + clamped_log(wide)[:, self.label]).softmax(0)
        return off_diagonal(self.expected_counts(r)).argmax(1)

    def _unbalanced_consensus(self) -> Float64[Tensor, "class row"]:
        """Return the consensus with classes weighted by their labels.

        Balanced, a rare class wins samples of the class whose wrong labels it holds.
        """
        return (self.evidence[0] + self.label_shares().clamp(min=1e-6).log()[:, None]).log_softmax(0)

    def weighted_log_q(self, scores: Tensor, model: LabelModel) -> Float64[Tensor, "class row"]:
        """Return the log-probabilities of the true labels from the scores of the evidence."""
        return log_q(scores, model.evidence_weights, model.prior)

    def log_of_label(self, model: LabelModel) -> Float64[Tensor, "class row"]:
        """Return the log-probabilities of each given label under each true label."""
        return clamped_log(model.dense_transition())[:, self.label]

    def class_sums(self, r: Float64[Tensor, "class row"], _model: LabelModel) -> Float64[Tensor, " class"]:
        """Return the expected numbers of true labels of each class."""
        return r.sum(1)

    def smoothed_shares(self, probability: Float64[Tensor, "class row"], model: LabelModel) -> Float64[Tensor, " class"]:
        """Return the mean probability of each class, with one sample more per class; they sum to one."""
        return (self.class_sums(probability, model) + 1) / (self.n_rows + self.n_classes)

    def scores(self, model: LabelModel) -> Float64[Tensor, "evidence class row"]:
        """Return how much each evidence speaks for each class."""
        return evidence_scores(model, self.class_prior, self.evidence, self.counts)

    def expected_counts(self, r: Float64[Tensor, "class row"]) -> Float64[Tensor, "class class"]:
        """Count pairs of true and given label by the posterior ``r`` of the true ones; rows are true labels."""
        return torch.zeros(self.n_classes, self.n_classes, dtype=torch.float64).index_add_(1, self.label, r)

    def models_only(self, weight: float) -> Float64[Tensor, " evidence"]:
        """Return evidence weights that use the predictions of models alone, in equal parts."""
        weights = torch.zeros(len(self.evidence), dtype=torch.float64)
        weights[: self.counts.models] = weight / self.counts.models
        return weights

    def label_shares(self) -> Float64[Tensor, " class"]:
        """Return the class shares of the given labels."""
        return torch.bincount(self.label, minlength=self.n_classes).double() / self.n_rows

    def subsample(self, most: int) -> "LabelModelFitter":
        """Subsample to at most ``most`` rows, evenly spaced."""
        if self.n_rows <= most:
            return self
        mask = torch.zeros(self.n_rows, dtype=torch.bool)
        mask[evenly_spaced(self.n_rows, most)] = True
        return self.subset(mask)

    def subset(self, mask: Tensor) -> "LabelModelFitter":
        """Return a fitter of the rows in a mask."""
        evidence = self.evidence[:, :, mask]
        return LabelModelFitter(evidence, self.label[mask], self.class_prior, self.config, self.counts)

    def run_em(
        self,
        start: LabelModel,
        max_rounds: int | None = None,
        *,
        update_weights: bool = True,
        update_transition: bool = True,
    ) -> LabelModel:
        """Run EM from a model until it converges or the rounds are used up.

        Args:
            max_rounds: default: ``config.max_rounds``.
        """
        model, scores = start, self.scores(start)
        for _ in range(self.config.max_rounds if max_rounds is None else max_rounds):
            before = model
            log_prior = self.weighted_log_q(scores, model)
            q = log_prior.exp()
            r = (log_prior + self.log_of_label(model)).softmax(0)
            weights, prior = self.update_q(model, scores, q, r, update_weights=update_weights)
            shares = self.smoothed_shares(r, model)
            transition = self.estimate_transition(r, model) if update_transition else model.transition
            model = model._replace(transition=transition, prior=prior, shares=shares, evidence_weights=weights)
            if (
                largest_change(transition, before.transition) < _TRANSITION_TOLERANCE
                and (weights - before.evidence_weights).abs().max() < _WEIGHT_TOLERANCE
            ):
                break
            if update_transition:
                scores = self.scores(model)
        return model

    def update_q(
        self, model: LabelModel, scores: Tensor, q: Tensor, r: Tensor, *, update_weights: bool
    ) -> tuple[Float64[Tensor, " evidence"], Float64[Tensor, " class"]]:
        """Take one Newton step on the expected log-likelihood of ``q``, and return evidence weights and class factors.

        It is concave in the weights and the logarithms of the factors. At its maximum, q and the posterior ``r`` have the
        same class shares; factors equal to the shares of ``r`` would lower it wherever ``q`` is soft.
        """
        prior = model.prior
        class_gradient = (r - q).sum(1) - self.factor_deviations(prior)
        class_curvature = torch.diag(q.sum(1) + self.config.factor_precision) - q @ q.T
        if not update_weights:
            step = torch.linalg.solve(class_curvature, class_gradient)
            return model.evidence_weights, scale_factors(prior, step)
        mean = (q * scores).sum(1)
        gradient, curvature = self.weight_derivatives(model.evidence_weights, scores, q, r, mean)
        # The class factors are eliminated, so that the weights can be bounded.
        cross = (q * scores).sum(2) - mean @ q.T
        solved = torch.linalg.solve(class_curvature, torch.cat([cross.T, class_gradient[:, None]], 1))
        per_weight, rest = solved[:, :-1], solved[:, -1]
        reduced = curvature - cross @ per_weight
        weights = self.bounded_weights(reduced, reduced @ model.evidence_weights + gradient - cross @ rest)
        return weights, scale_factors(prior, rest - per_weight @ (weights - model.evidence_weights))

    def factor_deviations(self, factors: Float64[Tensor, " class"]) -> Float64[Tensor, " class"]:
        """Return the gradient of the penalty of class factors that differ from the shares of the labels."""
        deviation = factors.log() - self._log_label_shares
        return self.config.factor_precision * (deviation - deviation.mean())

    @cached_property
    def _log_label_shares(self) -> Float64[Tensor, " class"]:
        return self.label_shares().clamp(min=1 / self.n_rows).log()

    def weight_derivatives(
        self,
        weights: Float64[Tensor, " evidence"],
        scores: Tensor,
        q: Tensor,
        r: Tensor,
        mean: Float64[Tensor, "evidence row"],
    ) -> tuple[Float64[Tensor, " evidence"], Float64[Tensor, "evidence evidence"]]:
        """Return gradient and negative curvature of the expected log-likelihood in the weights, with their prior.

        Args:
            mean: mean scores under ``q``.
        """
        precision = self.config.weight_precision
        distance = weights - mean_weights(len(weights), self.counts)
        gradient = ((r * scores).sum(1) - mean).sum(1) - precision * distance
        curvature = torch.einsum("cr,kcr,lcr->kl", q, scores, scores) - mean @ mean.T
        return gradient, curvature + precision * torch.eye(len(weights), dtype=torch.float64)

    def bounded_weights(
        self, curvature: Float64[Tensor, "evidence evidence"], target: Float64[Tensor, " evidence"]
    ) -> Float64[Tensor, " evidence"]:
        """Solve ``curvature @ weights = target`` with weights within their bounds."""
        weights = solve_nonnegative(curvature, target).clamp(max=self.config.max_weight)
        # The weights sum to one at least: below, heavy noise in small data passes for soft predictions of right labels.
        n_models = self.counts.models
        models, others = weights[:n_models], float(weights[n_models:].sum())
        if float(models.sum()) + others < 1:
            share = models / models.sum() if models.any() else torch.full_like(models, 1 / len(models))
            models.copy_((1 - others) * share)
        return weights

    def estimate_transition(self, r: Float64[Tensor, "class row"], model: LabelModel) -> Transition:
        """Estimate T from the posterior, shrunk by the model's pseudo-counts or bound to its targets."""
        counts = self.expected_counts(r)
        total, right = counts.sum(1), counts.diagonal()
        common_rate = 1 - float(right.sum() / counts.sum())
        rate, spread = self.shrunk_rates(total, right, common_rate, model), model.pseudo_counts[1]
        identity = torch.eye(self.n_classes, dtype=torch.float64)
        destination = (1 - identity) / (self.n_classes - 1)
        if model.targets is not None:
            destination = one_hot(model.targets, self.n_classes).double()
        elif spread != INF:
            destination = (counts * (1 - identity) + spread * destination) / (total - right + spread)[:, None]
        return transition_matrix(rate, destination)

    def shrunk_rates(
        self, total: Float64[Tensor, " class"], right: Float64[Tensor, " class"], common_rate: float, model: LabelModel
    ) -> Float64[Tensor, " class"]:
        """Estimate the rate of wrong labels of each class from the numbers of its labels, and of the right ones."""
        level = model.pseudo_counts[0]
        rate = torch.full_like(total, common_rate)
        if level != INF:
            rate = (total - right + level * common_rate) / (total + level)
        return rate if model.targets is None else rate.clamp(max=self.config.max_pair_flip_rate)


def scale_factors(prior: Float64[Tensor, " class"], step: Float64[Tensor, " class"]) -> Float64[Tensor, " class"]:
    """Return class factors whose logarithms are moved by a step, which is bounded; they sum to one."""
    factors = prior * step.clamp(-_MAX_LOG_STEP, _MAX_LOG_STEP).exp()
    return factors / factors.sum()


def _distinct(models: list[LabelModel]) -> list[LabelModel]:
    """Return the models without those that are nearly the same as an earlier one."""
    kept: list[LabelModel] = []
    for model in models:
        if not any(
            largest_change(model.transition, other.transition) < _SAME_TRANSITION
            and (model.evidence_weights - other.evidence_weights).abs().max() < _SAME_WEIGHT
            for other in kept
        ):
            kept.append(model)
    return kept


def solve_nonnegative(matrix: Tensor, target: Tensor) -> Float64[Tensor, " evidence"]:
    """Solve ``matrix @ x = target`` with variables that would be negative fixed at zero, one after another.

    Clipping the solution instead would leave the others where the negative ones had pushed them.
    """
    free = list(range(len(target)))
    solution = torch.zeros_like(target)
    while free:
        solution.zero_()
        solution[free] = torch.linalg.solve(matrix[free][:, free], target[free])
        lowest = min(free, key=lambda k: float(solution[k]))
        if solution[lowest] >= 0:
            break
        free.remove(lowest)
        solution.zero_()
    return solution


def transition_matrix(rate: Float64[Tensor, " class"], destination: Tensor) -> Float64[Tensor, "class class"]:
    """Build T from the rate of wrong labels of each class and their destinations, ``(class, class)``."""
    transition: Tensor = (1 - rate)[:, None] * torch.eye(len(rate), dtype=torch.float64) + rate[:, None] * destination
    return transition


def transition_from_confident(
    score: Float64[Tensor, "class row"], label: Int64[Tensor, " row"], config: LabelModelConfig = DEFAULT_CONFIG
) -> Float64[Tensor, "class class"]:
    """Estimate T from the labels of the samples that are most confidently predicted as each class."""
    n_classes = len(score)
    confidence, predicted = score.softmax(0).max(0)
    first = confident_rows(confidence, predicted, n_classes, config)
    counts = _even_transition(n_classes, 0.2)
    counts += torch.bincount(predicted[first] * n_classes + label[first], minlength=n_classes**2).reshape(n_classes, -1)
    transition: Tensor = counts / counts.sum(1, keepdim=True)
    return transition


def confident_rows(
    confidence: Float64[Tensor, " row"], predicted: Int64[Tensor, " row"], n_classes: int, config: LabelModelConfig
) -> Int64[Tensor, " confident"]:
    """Return the rows that are most confidently predicted as each class."""
    order = confidence.argsort(descending=True, stable=True)
    order = order[predicted[order].argsort(stable=True)]
    size = torch.bincount(predicted, minlength=n_classes)
    rank = torch.arange(len(order)) - (size.cumsum(0) - size)[predicted[order]]
    count = (config.confident_fraction * size.double()).round().clamp(min=config.min_confident)
    return order[rank < count[predicted[order]]]


def z_deficit(own: Float64[Tensor, " row"], best: Float64[Tensor, " row"]) -> float:
    """Return by how many standard errors labels are less likely under one model than under another."""
    deficit = best - own
    mean, error = float(deficit.mean()), float(deficit.std()) / math.sqrt(len(deficit))
    if error > 0:
        return mean / error
    return math.copysign(INF, mean) if mean else 0.0


def _even_transition(n_classes: int, rate: float) -> Float64[Tensor, "class class"]:
    """Return T in which labels are wrong at a rate and all wrong classes are equally frequent."""
    identity = torch.eye(n_classes, dtype=torch.float64)
    transition: Tensor = (1 - rate) * identity + rate * (1 - identity) / max(n_classes - 1, 1)
    return transition


def off_diagonal(matrix: Float64[Tensor, "class class"]) -> Float64[Tensor, "class class"]:
    """Return the matrix with zeros on its diagonal and above zero elsewhere, so that every class has a target."""
    return (matrix + 1e-9) * (1 - torch.eye(len(matrix), dtype=torch.float64))
