r"""Witnesses that never saw the given labels: a zero-shot model, rules, an older model, another annotator.

Models that are trained on wrong labels learn the noise where it depends on the sample, and the given labels are then likely
under what they predict. A witness that never saw these labels cannot be fitted to them. It is the other way round: the true
label is modelled from the sample and its given label, and judged by how well it predicts the *witness*,

$$P(w|x, y) = \sum_c P(c|x, y) \, P(w|c, x), \qquad
P(c|x, y) \propto r(c)^a \, \bar p^b(c)^b \, e^{s [c = y]},$$

with $r$ the posterior of the label model, $\bar p^b$ the balanced consensus of the held-out models, and $y$ the given label.
A witness that is independent of the given labels says by how much both may be trusted. It answers with its scores $l_w$
(log-probabilities; for a label, 1 for its class),

$$P(w|c, x) = \hat p(w) \left[(1 - \rho) f_w(c) + \rho \sum_k \kappa_x(k) f_w(k)\right], \qquad
f_w(c) = \frac{Q_w(c)}{\operatorname{mean}_v Q_v(c)}, \qquad
Q_w = (1 - \epsilon) \operatorname{softmax}(t \, l_w + b) + \frac{\epsilon}{C},$$

where $\hat p$ is the empirical distribution of its answers, so that the probabilities of all answers sum to one for every
class. With probability $\rho$ the answer depends on the sample alone: on a class that is drawn from $\kappa_x$, a mixture of
the consensus and of the witness's answers to the nearest neighbours. Without it, a witness that fails in whole regions, such
as a weak model, would make the right labels there look wrong. All parameters are fitted by maximum likelihood with normal
priors. The priors of $t$ and $\rho$ matter where labels and witness go wrong on the same samples, since there a good witness
and soft true labels are equally likely: they expect that it is right on 82 % of the samples, and that $\rho$ is one half.

The posterior is the mean over three models, weighted by their marginal likelihoods (Laplace's approximation in $a$, $b$ and
$s$): the one above; the label model as it is ($a = 1$, $b = s = 0$); and one in which the witness follows the given labels
alone, so that it says nothing of which are wrong and the posterior of the label model stays. The last has the prior odds
:data:`COPY_ODDS`: a copy of the given labels could not be told from confirmation, and would make wrong labels certain. If it
is the likeliest of the three, or if the witness agrees with the given labels no more than by chance (:data:`MIN_DEVIATIONS`
standard errors), the witness is not used at all.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import minimize
from torch import Tensor

from hardsight.attribution.label_noise.model import LabelPosterior, row_blocks
from hardsight.resampling.spacing import evenly_spaced

MIN_DEVIATIONS = 2.0
"""Standard errors by which a witness must agree with the given labels beyond chance."""
COPY_ODDS = 20.0
"""Prior odds that the answers follow the given labels alone, against each of the other two models."""

# Expected share of right answers, and the standard deviation of its logit.
_ACCURACY, _ACCURACY_DEVIATION = 0.82, 1.0
# Means and standard deviations of the logits of the share of random answers, of rho, and of the neighbours' part in kappa.
_RANDOM, _RHO, _NEIGHBOUR_PART = (-3.0, 1.0), (0.0, 0.4), (0.0, 1.0)
# Standard deviation of the class offsets b.
_OFFSET_DEVIATION = 0.5
# Standard deviations of a, b and s around 1, 0 and 0.
_EXPONENT_DEVIATIONS = (0.5, 0.5, 1.0)
# The label model is too sure where noise depends on the sample: its posterior is mixed with a uniform one of this weight.
_SMOOTHING = 1e-4
_MAX_ROWS, _MAX_CELLS = 5_000, 1_000_000
_MAX_ITERATIONS = 200


class IndependentWitness(NamedTuple):
    """What a witness says of the samples.

    Attributes:
        name: what notices call it.
        scores: log-probabilities of the classes, or 1 for the class of its label and 0 for others; ``(sample, class)``.
            Rows without an answer mean nothing.
        present: samples that it has an answer for, ``(sample,)`` bool.
    """

    name: str
    scores: Float64[Tensor, "sample class"]
    present: Bool[Tensor, " sample"]


class WitnessSummary(NamedTuple):
    """What was made of a witness.

    Attributes:
        name: its name.
        n_answers: number of samples that it has an answer for.
        accuracy: estimated share of them on which its likeliest class is the true one; None if it was not used.
        odds: how much more likely its answer is if its likeliest class is the true one than if the given label is, where
            the two differ: the median. None if it was not used or they never differ.
        why_unused: why it was not used; "" if it was.
    """

    name: str
    n_answers: int
    accuracy: float | None
    odds: float | None
    why_unused: str = ""


class WitnessedLabels(NamedTuple):
    """The posterior of the true labels with the evidence of witnesses.

    Attributes:
        probability: ``(sample, class)``; None if no witness was used.
        summaries: one per witness.
    """

    probability: Float64[Tensor, "sample class"] | None
    summaries: list[WitnessSummary]


def add_witnesses(
    posterior: LabelPosterior,
    consensus: Float64[Tensor, "sample class"],
    witnesses: Sequence[IndependentWitness],
    neighbours: Int64[Tensor, "sample neighbour"] | None = None,
) -> WitnessedLabels:
    """Return the posterior of the true labels given the answers of witnesses as well.

    Witnesses are taken as independent of each other given the true label.

    Args:
        posterior: the posterior without them.
        consensus: log-probabilities of the held-out models of the data as given.
        neighbours: positions of the nearest neighbours of each sample, -1 if there are fewer; None without features.
    """
    source = _Source(posterior, consensus)
    unused, used, models = dict[str, str](), list[_Answers](), None
    for witness in witnesses:
        answers = _Answers.of(witness, source.judged, neighbours)
        if not _agrees_with_labels(answers, posterior.evidence.label):
            unused[witness.name] = "it agrees with the given labels no more than by chance"
            continue
        fitted = _Models.fit(source, [answers])
        if fitted.follow_labels:
            unused[witness.name] = (
                "it agrees with the given labels as often where they look wrong as elsewhere, as a copy would"
            )
            continue
        used.append(answers)
        models = fitted
    if len(used) > 1:
        models = _Models.fit(source, used)
    probability = None if models is None else models.probability(source)
    summaries = []
    for witness in witnesses:
        summary = WitnessSummary(witness.name, int(witness.present.sum()), None, None, unused.get(witness.name, ""))
        if models is not None and probability is not None and not summary.why_unused:
            rows = (witness.present & source.judged).nonzero().squeeze(1)
            accuracy = float(probability[rows, witness.scores[rows].argmax(1)].mean())
            summary = summary._replace(accuracy=accuracy, odds=models.odds(source, witness.name))
        summaries.append(summary)
    return WitnessedLabels(probability, summaries)


class _Inputs(NamedTuple):
    """What is known of some samples without a witness."""

    features: Float64[Tensor, "3 sample class"]  # logarithms of the factors of P(true label | sample, given label)
    balanced: Float64[Tensor, "sample class"]  # probabilities of the consensus under balanced classes
    probability: Float64[Tensor, "sample class"]  # posterior of the label model
    label: Int64[Tensor, " sample"]


class _Source(NamedTuple):
    """What is known of all samples without a witness."""

    posterior: LabelPosterior
    consensus: Float64[Tensor, "sample class"]

    @property
    def judged(self) -> Bool[Tensor, " sample"]:
        """Samples whose class is large enough for their labels to be judged."""
        in_small_class = self.posterior.evidence.in_small_class
        return torch.ones(len(self.consensus), dtype=torch.bool) if in_small_class is None else ~in_small_class

    def take(self, rows: Int64[Tensor, " row"]) -> _Inputs:
        evidence = self.posterior.evidence
        label, probability = evidence.label[rows], self.posterior.probabilities(rows)
        balanced = (self.consensus[rows] - evidence.prior.log()).log_softmax(1)
        own = torch.zeros_like(probability).scatter_(1, label[:, None], 1.0)
        smoothed = (1 - _SMOOTHING) * probability + _SMOOTHING / probability.shape[1]
        return _Inputs(torch.stack([smoothed.log(), balanced, own]), balanced.exp(), probability, label)


class _Answers(NamedTuple):
    """The answers of one witness, in the form that its model reads."""

    name: str
    scores: Float64[Tensor, "sample class"]
    present: Bool[Tensor, " sample"]
    neighbourhood: "_Neighbourhood | None"  # the answers to the nearest neighbours; None without features
    log_scale: float  # logarithm of t at which it expects to be right on 82 %
    slope: float  # change of the logit of that share with log t

    @classmethod
    def of(cls, witness: IndependentWitness, judged: Tensor, neighbours: Tensor | None) -> "_Answers":
        scores, present = witness.scores.double(), witness.present & judged
        neighbourhood = None if neighbours is None else _Neighbourhood.of(scores, witness.present, neighbours)
        return cls(witness.name, scores, present, neighbourhood, *_expected_scale(scores[present]))

    def take(self, rows: Tensor) -> "_Answers":
        neighbourhood = None if self.neighbourhood is None else self.neighbourhood.take(rows)
        return self._replace(scores=self.scores[rows], present=self.present[rows], neighbourhood=neighbourhood)


class _Neighbourhood(NamedTuple):
    """The answers to the nearest neighbours of each sample."""

    scores: Float64[Tensor, "reference class"]  # of all samples that are neighbours of another, and have an answer
    is_neighbour: Tensor  # (sample, reference) sparse, 1 for the neighbours
    n_answers: Float64[Tensor, "sample 1"]  # number of neighbours with an answer

    @classmethod
    def of(cls, scores: Tensor, present: Tensor, neighbours: Int64[Tensor, "sample neighbour"]) -> "_Neighbourhood":
        known = (neighbours >= 0) & present[neighbours]
        reference, position = torch.unique(neighbours[known], return_inverse=True)
        rows = known.nonzero()[:, 0]
        ones = torch.ones(len(rows), dtype=torch.float64)
        shape = (len(neighbours), len(reference))
        matrix = torch.sparse_coo_tensor(torch.stack([rows, position]), ones, shape, check_invariants=False).coalesce()
        return cls(scores[reference], matrix, known.sum(1, keepdim=True).double())

    def take(self, rows: Tensor) -> "_Neighbourhood":
        return self._replace(is_neighbour=self.is_neighbour.index_select(0, rows), n_answers=self.n_answers[rows])

    def mean(self, of_class: Callable[[Tensor], Tensor], overall: Float64[Tensor, " class"]) -> Tensor:
        """Return the mean of what answers say of the classes, with their overall mean as one neighbour more."""
        total = torch.sparse.mm(self.is_neighbour, of_class(self.scores))
        mean: Tensor = (total + overall) / (self.n_answers + 1)
        return mean


def _expected_accuracy(scores: Tensor, log_scale: float) -> float:
    return float((math.exp(log_scale) * scores).softmax(1).max(1).values.mean())


def _expected_scale(scores: Float64[Tensor, "answer class"]) -> tuple[float, float]:
    """Return the logarithm of the scale at which the largest probabilities have the expected mean, and the slope there."""
    if not len(scores):
        return 0.0, 1.0
    low, high = -8.0, 8.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if _expected_accuracy(scores, middle) < _ACCURACY else (low, middle)
    step = 0.01
    logits = [math.log(p / (1 - p + 1e-12)) for p in (_expected_accuracy(scores, low + d) for d in (-step, step))]
    return low, max((logits[1] - logits[0]) / (2 * step), 0.3)


class _Parameters(NamedTuple):
    """Parameters of a witness, in standard deviations of their priors from the means."""

    scale: Tensor  # of the logit of the expected accuracy
    random: Tensor
    rho: Tensor
    neighbour_part: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, values: Float64[Tensor, " parameter"]) -> "_Parameters":
        """Return the parameters that are in one vector, four numbers and the offsets."""
        scale, random, rho, part = values[:4]
        return cls(scale, random, rho, part, values[4:])


def _logistic(prior: tuple[float, float], deviations: Tensor) -> Tensor:
    return torch.sigmoid(prior[0] + prior[1] * deviations)


def _says(answers: _Answers, parameters: _Parameters) -> Callable[[Tensor], Tensor]:
    """Return the function from scores to probabilities of the true classes, (answer, class) each."""
    scale = (answers.log_scale + _ACCURACY_DEVIATION * parameters.scale / answers.slope).exp()
    random = _logistic(_RANDOM, parameters.random)

    def says(scores: Tensor) -> Tensor:
        softmax = (scale * scores + _OFFSET_DEVIATION * parameters.offsets).softmax(1)
        return (1 - random) * softmax + random / scores.shape[1]

    return says


def _overall(answers: _Answers, parameters: _Parameters) -> Float64[Tensor, " class"]:
    """Return the mean of what the answers say of the classes."""
    return _says(answers, parameters)(answers.scores[answers.present]).mean(0)


def _likelihood(
    answers: _Answers, balanced: Tensor, parameters: _Parameters, overall: Float64[Tensor, " class"]
) -> Float64[Tensor, "sample class"]:
    """Return P(answer | true label, sample) over the answer's share among all; 1 where there is no answer."""
    says = _says(answers, parameters)
    relative = says(answers.scores) / overall
    of_sample = (balanced * relative).sum(1)
    if answers.neighbourhood is not None:
        part = _logistic(_NEIGHBOUR_PART, parameters.neighbour_part)
        of_neighbours = answers.neighbourhood.mean(says, overall)
        of_sample = (1 - part) * of_sample + part * (of_neighbours * relative).sum(1)
    rho = _logistic(_RHO, parameters.rho)
    likelihood = (1 - rho) * relative + rho * of_sample[:, None]
    return torch.where(answers.present[:, None], likelihood, 1.0)


class _Fit(NamedTuple):
    """A fitted model of the true labels and of all witnesses."""

    exponents: Float64[Tensor, "3"]  # a, b, s
    parameters: list[_Parameters]
    overall: list[Tensor]  # mean of what the answers of each witness say of the classes, (class,) each
    evidence: float  # logarithm of the marginal likelihood by Laplace's approximation in the exponents


# Returns P(true label) of some samples by the exponents.
_TrueLabels = Callable[[_Inputs, Tensor], Tensor]


def _as_given(inputs: _Inputs, _exponents: Tensor) -> Tensor:
    return inputs.features[2]


def _by_exponents(inputs: _Inputs, exponents: Tensor) -> Tensor:
    return torch.einsum("k,knc->nc", exponents, inputs.features).softmax(1)


def _fit(inputs: _Inputs, answers: Sequence[_Answers], true_labels: _TrueLabels, *, free: bool) -> _Fit:
    """Fit the witnesses, and if ``free`` the exponents, by maximum likelihood with their priors."""
    n_each, n_exponents = 4 + inputs.features.shape[2], 3 * free

    def unpack(values: Tensor) -> tuple[Tensor, list[_Parameters]]:
        """Return the deviations of the exponents, and the parameters of each witness."""
        deviations = values[:3] if free else torch.zeros(3, dtype=torch.float64)
        return deviations, [_Parameters.of(part) for part in torch.split(values[n_exponents:], n_each)]

    def log_likelihood(values: Tensor) -> Float64[Tensor, " row"]:
        deviations, parameters = unpack(values)
        joint = true_labels(inputs, _exponents(deviations))
        for each, own in zip(answers, parameters, strict=True):
            joint = joint * _likelihood(each, inputs.balanced, own, _overall(each, own))
        return joint.sum(1).clamp(min=1e-300).log()

    def loss(values: Tensor) -> Tensor:
        """Return the negative logarithm of likelihood and priors."""
        return 0.5 * values.square().sum() - log_likelihood(values).sum()

    def loss_and_gradient(point: np.ndarray) -> tuple[float, np.ndarray]:
        values = torch.from_numpy(point).requires_grad_()
        value = loss(values)
        return value.item(), torch.autograd.grad(value, values)[0].numpy()

    start = np.zeros(n_exponents + n_each * len(answers))
    solution = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": _MAX_ITERATIONS})
    values = torch.from_numpy(solution.x)
    evidence = -float(loss(values))
    if free:
        evidence -= 0.5 * float(torch.linalg.slogdet(_curvature(loss, values, n_exponents))[1])
    deviations, parameters = unpack(values)
    overall = [_overall(each, own) for each, own in zip(answers, parameters, strict=True)]
    return _Fit(_exponents(deviations), parameters, overall, evidence)


def _curvature(loss: Callable[[Tensor], Tensor], values: Tensor, n_first: int) -> Float64[Tensor, "first first"]:
    """Return the second derivatives of a loss in its first arguments."""
    values = values.clone().requires_grad_()
    gradient = torch.autograd.grad(loss(values), values, create_graph=True)[0]
    rows = [torch.autograd.grad(gradient[k], values, retain_graph=True)[0][:n_first] for k in range(n_first)]
    return torch.stack(rows)


def _exponents(deviations: Tensor) -> Float64[Tensor, "3"]:
    mean = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    return mean + deviations * torch.tensor(_EXPONENT_DEVIATIONS, dtype=torch.float64)


def _rows_to_fit(answers: Sequence[_Answers]) -> Int64[Tensor, " row"]:
    """Return at most 5,000 samples with an answer, evenly spaced."""
    rows = torch.stack([each.present for each in answers]).any(0).nonzero().squeeze(1)
    most = min(_MAX_ROWS, max(_MAX_CELLS // answers[0].scores.shape[1], 1_000))
    return rows[evenly_spaced(len(rows), most)]


def _deviations(values: Tensor) -> float:
    """Return the mean in standard errors."""
    if len(values) < 2:
        return 0.0
    error = float(values.std()) / math.sqrt(len(values))
    mean = float(values.mean())
    return mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0


def _agrees_with_labels(answers: _Answers, label: Int64[Tensor, " sample"]) -> bool:
    """Return whether a witness gives the labels more probability than it gives labels drawn by their shares."""
    rows = _rows_to_fit([answers])
    scores, label = answers.scores[rows], label[rows]
    says = (math.exp(answers.log_scale) * scores).softmax(1)
    shares = torch.bincount(label, minlength=scores.shape[1]).to(says) / max(len(rows), 1)
    return _deviations(says.gather(1, label[:, None]).squeeze(1) - says @ shares) >= MIN_DEVIATIONS


class _Models(NamedTuple):
    """The three models of some witnesses, with their weights."""

    answers: list[_Answers]
    free: _Fit
    kept: _Fit
    weights: Float64[Tensor, "3"]  # of the free model, of the label model as it is, of answers that follow the given labels

    @classmethod
    def fit(cls, source: _Source, answers: list[_Answers]) -> "_Models":
        rows = _rows_to_fit(answers)
        part, own = source.take(rows), [each.take(rows) for each in answers]
        free, kept = (_fit(part, own, _by_exponents, free=is_free) for is_free in (True, False))
        copy = _fit(part, own, _as_given, free=False)
        evidence = torch.tensor([free.evidence, kept.evidence, copy.evidence + math.log(COPY_ODDS)], dtype=torch.float64)
        return cls(answers, free, kept, evidence.softmax(0))

    @property
    def follow_labels(self) -> bool:
        """Whether the answers most likely follow the given labels alone."""
        return int(self.weights.argmax()) == 2

    def probability(self, source: _Source) -> Float64[Tensor, "sample class"]:
        """Return the posterior of the true labels."""
        judged, probability = source.judged, torch.empty(source.consensus.shape, dtype=torch.float64)
        for rows in row_blocks(*source.consensus.shape):
            inputs, answers = source.take(rows), [each.take(rows) for each in self.answers]
            answered = torch.stack([each.present for each in answers]).any(0)
            of_kept = torch.where(answered[:, None], _posterior(self.kept, inputs, answers), inputs.probability)
            mean = self.weights[0] * _posterior(self.free, inputs, answers) + self.weights[1] * of_kept
            mean += self.weights[2] * inputs.probability
            probability[rows] = torch.where(judged[rows][:, None], mean, inputs.probability)
        return probability

    def odds(self, source: _Source, name: str) -> float | None:
        """Return how much a witness's answers count against given labels, by the likelier of the two models.

        It is the median of the ratio of their likelihoods where they differ; None if they never do.
        """
        fit = self.free if self.weights[0] > self.weights[1] else self.kept
        position = [each.name for each in self.answers].index(name)
        rows = _rows_to_fit([self.answers[position]])
        inputs, answers = source.take(rows), self.answers[position].take(rows)
        likelihood = _likelihood(answers, inputs.balanced, fit.parameters[position], fit.overall[position])
        answer = answers.scores.argmax(1)
        ratio = likelihood.gather(1, answer[:, None]) / likelihood.gather(1, inputs.label[:, None])
        differ = answer != inputs.label
        return float(ratio[differ].median()) if bool(differ.any()) else None


def _posterior(fit: _Fit, inputs: _Inputs, answers: Sequence[_Answers]) -> Float64[Tensor, "sample class"]:
    joint = _by_exponents(inputs, fit.exponents)
    for each, parameters, overall in zip(answers, fit.parameters, fit.overall, strict=True):
        joint = joint * _likelihood(each, inputs.balanced, parameters, overall)
    return joint / joint.sum(1, keepdim=True)
