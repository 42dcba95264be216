"""Witnesses that never saw the labels: what they bring, and what must not be believed."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from hardsight.attribution.label_noise import Evidence, LabelModel, LabelPosterior, independent_witness
from hardsight.attribution.label_noise.em import transition_matrix
from hardsight.attribution.label_noise.independent_witness import IndependentWitness, add_witnesses

N, C = 600, 4


class World:
    """Labels that go wrong where classes overlap, and the exact posterior of the labels as given as the consensus."""

    def __init__(self, noise: str, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.true = rng.integers(0, C, N)
        angle = 2 * np.pi * np.arange(C) / C
        centres = 2.5 * np.stack([np.cos(angle), np.sin(angle)], 1)
        x = centres[self.true] + rng.normal(size=(N, 2))
        score = -0.5 * ((x[:, None] - centres) ** 2).sum(2)
        q = np.exp(score - np.logaddexp.reduce(score, axis=1, keepdims=True))
        given = np.zeros((N, C, C))  # P(given label | true label) of each sample
        if noise == "instance":
            other = q[:, None, :] * (1 - np.eye(C))
            other /= other.sum(2, keepdims=True)
            # The nearer the boundary, the likelier wrong.
            rate = np.minimum(1.4 * np.sqrt(1 - q.max(1)), 0.9)[:, None, None]
            given = (1 - rate) * np.eye(C) + rate * other
        else:
            rate = {"none": 0.0, "uniform": 0.25}[noise]
            given[:] = (1 - rate) * np.eye(C) + rate * (1 - np.eye(C)) / (C - 1)
        self.label = np.array([rng.choice(C, p=given[i, self.true[i]]) for i in range(N)])
        self.wrong = self.label != self.true
        self.consensus = torch.from_numpy(np.log(np.einsum("nc,ncl->nl", q, given) + 1e-9))
        distance = ((x[:, None] - x) ** 2).sum(2) + 1e9 * np.eye(N)
        self.neighbours = torch.from_numpy(distance.argsort(1)[:, :10])
        label = torch.from_numpy(self.label)
        prior = torch.bincount(label, minlength=C).double() / N
        evidence = Evidence(self.consensus, label, prior, label[self.neighbours])
        # Where the noise depends on the sample, nearly all labels pass for right.
        wrong_share = 0.25 if noise == "uniform" else 0.02
        transition = transition_matrix(torch.full((C,), wrong_share).double(), (1 - torch.eye(C).double()) / (C - 1))
        model = LabelModel(
            transition, torch.full((C,), 1 / C).double(), torch.ones(2).double(), (10.0, 3.0), noise_aware=True
        )
        self.posterior = LabelPosterior(evidence, model)
        self.rng = rng

    def answer(self, share_right: float, about: np.ndarray | None = None) -> np.ndarray:
        """Return labels that are right on a share of the samples, and any other class elsewhere."""
        about = self.true if about is None else about
        other = (about + self.rng.integers(1, C, N)) % C
        return np.where(self.rng.random(N) < share_right, about, other)

    def add(self, *answers: np.ndarray, neighbours: bool = True) -> independent_witness.WitnessedLabels:
        witnesses = [witness_of(labels, f"witness {k}") for k, labels in enumerate(answers)]
        return add_witnesses(self.posterior, self.consensus, witnesses, self.neighbours if neighbours else None)

    def squared_error(self, probability: torch.Tensor | None) -> float:
        posterior = self.posterior if probability is None else self.posterior._replace(witnessed=probability)
        return float(((posterior.p_wrong.numpy() - self.wrong) ** 2).mean())


def witness_of(labels: np.ndarray, name: str = "witness") -> IndependentWitness:
    return IndependentWitness(name, torch.eye(C, dtype=torch.float64)[np.maximum(labels, 0)], torch.from_numpy(labels >= 0))


@pytest.fixture(scope="module")
def instance() -> World:
    return World("instance")


@pytest.mark.parametrize("neighbours", [True, False])
def test_a_witness_reveals_labels_that_are_wrong_where_models_err(instance, neighbours):
    witnessed = instance.add(instance.answer(0.8), neighbours=neighbours)
    before, after = (
        posterior.p_wrong.numpy()
        for posterior in (instance.posterior, instance.posterior._replace(witnessed=witnessed.probability))
    )
    assert instance.wrong.mean() > 0.15
    assert abs(before.mean() - instance.wrong.mean()) > 0.1
    assert abs(after.mean() - instance.wrong.mean()) < 0.05
    precision = [average_precision_score(instance.wrong, p_wrong) for p_wrong in (before, after)]
    assert precision[1] > precision[0] + 0.05
    assert witnessed.summaries[0].accuracy == pytest.approx(0.8, abs=0.06)
    assert witnessed.summaries[0].odds > 2
    torch.testing.assert_close(witnessed.probability.sum(1), torch.ones(N, dtype=torch.float64))


@pytest.mark.parametrize("noise", ["instance", "uniform", "none"])
@pytest.mark.parametrize("kind", ["random", "constant", "against", "copy", "noisy copy"])
def test_a_witness_that_tells_nothing_changes_nothing(noise, kind):
    world = World(noise, seed=3)
    answers = {
        "random": world.rng.integers(0, C, N),
        "constant": np.ones(N, dtype=int),
        "against": world.answer(0.0),
        "copy": world.label,
        "noisy copy": world.answer(0.8, world.label),
    }[kind]
    witnessed = world.add(answers)
    assert witnessed.probability is None
    reason = "as a copy would" if "copy" in kind else "no more than by chance"
    assert reason in witnessed.summaries[0].why_unused


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["uniform", "none"])
def test_a_witness_does_not_make_good_judgements_worse(noise):
    world = World(noise, seed=1)
    for share_right in (0.5, 0.8, 0.95):
        after = world.squared_error(world.add(world.answer(share_right)).probability)
        assert after < world.squared_error(None) + 0.002


def test_a_witness_that_fails_in_a_whole_region_does_not_make_right_labels_look_wrong():
    world = World("none", seed=2)
    # It takes one class for another everywhere, as a weak model may.
    answers = np.where(world.true == 2, 1, world.answer(0.9))
    after = world.squared_error(world.add(answers).probability)
    assert after < world.squared_error(None) + 0.005


def test_answers_about_a_tenth_of_the_samples_help_with_the_others_too(instance):
    answers = np.where(instance.rng.random(N) < 0.15, instance.answer(0.9), -1)
    witnessed = instance.add(answers)
    assert witnessed.summaries[0].n_answers == (answers >= 0).sum()
    silent = answers < 0
    after = 1 - witnessed.probability[torch.arange(N), torch.from_numpy(instance.label)].numpy()
    before = instance.posterior.p_wrong.numpy()
    error = [((p_wrong - instance.wrong)[silent] ** 2).mean() for p_wrong in (before, after)]
    assert error[1] < error[0]


@pytest.mark.slow
def test_two_witnesses_say_more_than_one_and_a_copy_among_them_is_left_out(instance):
    first, second = instance.answer(0.8), instance.answer(0.8)
    alone, both = instance.add(first), instance.add(first, instance.label, second)
    assert instance.squared_error(both.probability) < instance.squared_error(alone.probability)
    assert [bool(each.why_unused) for each in both.summaries] == [False, True, False]
    again = instance.add(first, second)
    torch.testing.assert_close(both.probability, again.probability)


def test_the_scale_of_log_probabilities_does_not_matter(instance):
    rng = np.random.default_rng(5)
    logits = 2 * np.eye(C)[instance.true] + rng.normal(size=(N, C))
    scores = torch.from_numpy(logits).log_softmax(1)
    present = torch.ones(N, dtype=torch.bool)
    sure, unsure = (
        add_witnesses(instance.posterior, instance.consensus, [IndependentWitness("w", scale * scores, present)])
        for scale in (6.0, 0.3)
    )
    torch.testing.assert_close(sure.probability, unsure.probability, atol=0.02, rtol=0)


def test_samples_of_classes_too_small_keep_their_posterior(instance):
    in_small_class = torch.from_numpy(instance.label == 3)
    evidence = instance.posterior.evidence._replace(in_small_class=in_small_class)
    posterior = instance.posterior._replace(evidence=evidence)
    witnessed = add_witnesses(posterior, instance.consensus, [witness_of(instance.answer(0.8))])
    rows = in_small_class.nonzero().squeeze(1)
    torch.testing.assert_close(witnessed.probability[rows], posterior.probabilities(rows))


def test_the_likelihood_is_that_of_the_formula():
    world = World("uniform")
    answers = independent_witness._Answers.of(
        witness_of(world.answer(0.7)), torch.ones(N, dtype=torch.bool), world.neighbours
    )
    parameters = independent_witness._Parameters.of(torch.tensor([0.3, -0.5, 0.8, 0.2, 0.1, -0.4, 0.0, 0.6]).double())
    overall = independent_witness._overall(answers, parameters)
    balanced = world.consensus.softmax(1)
    likelihood = independent_witness._likelihood(answers, balanced, parameters, overall).numpy()
    logistic = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    t = math.exp(answers.log_scale + 0.3 / answers.slope)
    epsilon, rho, part = logistic(-3 - 0.5), logistic(0.4 * 0.8), logistic(0.2)
    offsets = [0.05, -0.2, 0.0, 0.3]
    says = np.empty((N, C))
    for row, c in product(range(N), range(C)):
        says[row, c] = math.exp(t * float(answers.scores[row, c]) + offsets[c])
    says = (1 - epsilon) * says / says.sum(1, keepdims=True) + epsilon / C
    for row in (0, 17, 400):
        near = (says[world.neighbours[row].numpy()].sum(0) + says.mean(0)) / 11
        kappa = (1 - part) * balanced[row].numpy() + part * near
        f = says[row] / says.mean(0)
        np.testing.assert_allclose(likelihood[row], (1 - rho) * f + rho * (kappa * f).sum(), rtol=1e-7)


def test_the_curvature_is_that_of_finite_differences():
    def loss(values: torch.Tensor) -> torch.Tensor:
        return (values[0] * values[1]).sin() + values[0] ** 3 * values[2].exp()

    at, step = torch.tensor([0.3, 0.7, -0.2]).double(), 1e-4
    units = step * torch.eye(3, dtype=torch.float64)
    expected = [
        [(loss(at + a + b) - loss(at + a - b) - loss(at - a + b) + loss(at - a - b)) / (4 * step**2) for b in units[:2]]
        for a in units[:2]
    ]
    curvature = independent_witness._curvature(loss, at, 2)
    torch.testing.assert_close(curvature, torch.tensor(expected).double(), atol=1e-5, rtol=1e-5)
