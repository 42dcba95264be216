"""Noise of labels and of features, and its effect on a sample's error."""

import numpy as np
import torch
from torch import Tensor

from hardsight.attribution import label_noise
from hardsight.attribution.label_noise import Evidence, LabelModel
from hardsight.measures.bias_variance import log_loss, zero_one
from hardsight.theory.claim import Figure, Finding, Series, Trial, bound_claim, exact_claim, statistical_claim
from hardsight.theory.claims.ensembles import max_abs, max_gap, record_held_out
from hardsight.theory.intervals import mean_interval
from hardsight.theory.scenarios import GaussianMixture, flip_labels, pair_transition, uniform_transition

_PROPOSITION_1 = "Proposition 1, after Zhou et al. 2022, as reconstructed"
_PROPOSITION_2 = "Proposition 2, after Zhou et al. 2022, as reconstructed"


def _errors_by_label(p: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return log-loss and 0-1 error of one sample under each label, by the library."""
    members, classes = p.shape
    views = torch.from_numpy(np.log(p))
    count = torch.full((classes,), members)
    votes = torch.nn.functional.one_hot(views.argmax(1), classes).double().mean(0)
    mean = views.mean(0).expand(classes, classes)
    labels = torch.arange(classes)
    return log_loss(mean, labels, count).error, zero_one(votes.expand(classes, classes), labels, count).error


@bound_claim(
    "label-noise-log-loss",
    statement="Replacing a label uniformly by another class raises the log-loss error if every model gives the true "
    "label more than 1/C: a probability above 1/2 is not needed.",
    source=f"{_PROPOSITION_2} (there p > 1/2); the weaker condition was derived here by Jensen's inequality",
    expected="noisy - clean error is at least mean log(p (C - 1)/(1 - p)) > 0 on every draw, with p below 1/2 in many "
    "of them",
    limits="Uniform flips; models that were not trained on the sample. For asymmetric flips see asymmetric-flips.",
    runs=500,
)
def label_noise_log_loss(trial: Trial) -> Finding:
    """Members that give the true label a probability between 1/C and 1."""
    slack, effects, probabilities = [], [], []
    below_half = 0
    for rng in trial.rngs:
        members, classes = int(rng.integers(1, 6)), int(rng.integers(3, 11))
        p_true = 1 / classes + (1 - 1 / classes) * rng.uniform(0.01, 0.99, members) ** 2
        p = np.column_stack([p_true, (1 - p_true)[:, None] * rng.dirichlet(np.ones(classes - 1), members)])
        errors, _ = _errors_by_label(p)
        effect = float(errors[1:].mean() - errors[0])
        bound = float(np.log(p_true * (classes - 1) / (1 - p_true)).mean())
        slack.append(effect - bound)
        effects.append(effect)
        probabilities.append(float(p_true.mean()))
        below_half += bool((p_true < 0.5).all())
    figure = Figure(
        "mean probability of the true label",
        "error of the flipped label - error of the true one (nats)",
        (Series("ensemble", probabilities, effects, "point"),),
        rule=0.0,
        note="Above zero everywhere, also below a probability of one half.",
    )
    measured = {
        "smallest effect (nats)": float(np.min(effects)),
        "smallest slack of the bound (nats)": float(np.min(slack)),
        "draws with p < 1/2": below_half,
    }
    return Finding(bool(np.min(slack) >= -1e-12 and np.min(effects) > 0 and below_half > 50), measured, figure)


@exact_claim(
    "label-noise-zero-one",
    statement="A uniformly flipped label raises the 0-1 error exactly if models predict the true label more often than 1/C.",
    source=f"{_PROPOSITION_2} (there p > 1/2); derived here",
    expected="sign of noisy - clean error = sign of P(correct) - 1/C on every draw",
    limits="Uniform flips.",
    runs=300,
)
def label_noise_zero_one(trial: Trial) -> Finding:
    """Random votes, correct more or less often than by chance."""
    wrong, rates, effects = 0, [], []
    for rng in trial.rngs:
        members, classes = int(rng.integers(5, 40)), int(rng.integers(2, 8))
        p = rng.dirichlet(np.concatenate([[rng.uniform(0.2, 4)], np.ones(classes - 1)]), members)
        _, errors = _errors_by_label(p)
        accuracy = float(1 - errors[0])
        effect = float(errors[1:].mean() - errors[0])
        gap = accuracy - 1 / classes
        wrong += bool(abs(gap) > 1e-9 and np.sign(effect) != np.sign(gap))
        rates.append(gap)
        effects.append(effect)
    figure = Figure(
        "P(correct) - 1/C",
        "0-1 error: flipped - true label",
        (Series("ensemble", rates, effects, "point"),),
        rule=0.0,
        note="The effect changes its sign at chance level, not at one half.",
    )
    return Finding(bool(wrong == 0), {"draws of the wrong sign": wrong}, figure)


@exact_claim(
    "asymmetric-flips",
    statement="A flip from y to one class k raises the log-loss error exactly if the consensus gives k less than y: a "
    "confident mistake in the direction of the noise makes the wrong label the easier one.",
    source=f"{_PROPOSITION_2}, extended here to asymmetric flips",
    expected="sign of the effect = sign of consensus(y) - consensus(k) on every draw; some flips make a sample easier",
    limits="This is why pair flips that the models have learned cannot be detected by the error alone.",
    runs=300,
)
def asymmetric_flips(trial: Trial) -> Finding:
    """One draw: the true label against the next class."""
    wrong, gaps, effects = 0, [], []
    for rng in trial.rngs:
        members, classes = int(rng.integers(1, 8)), int(rng.integers(2, 8))
        p = rng.dirichlet(np.full(classes, 1.5), members)
        errors, _ = _errors_by_label(p)
        consensus = np.log(p).mean(0)
        effect, gap = float(errors[1] - errors[0]), float(consensus[0] - consensus[1])
        wrong += bool(np.sign(effect) != np.sign(gap))
        gaps.append(gap)
        effects.append(effect)
    figure = Figure(
        "log-odds of the true label against the flipped one, in the consensus",
        "error: flipped - true label (nats)",
        (Series("ensemble", gaps, effects, "point"),),
        rule=0.0,
        note="Left of zero the flipped label is easier.",
    )
    easier = float(np.mean(np.array(effects) < 0))
    return Finding(bool(wrong == 0 and easier > 0), {"draws of the wrong sign": wrong, "share made easier": easier}, figure)


class _Members:
    """A few small random networks with three layers, and their loss at any point."""

    def __init__(self, rng: np.random.Generator, members: int = 5, features: int = 4, classes: int = 3) -> None:
        self.first = torch.from_numpy(rng.normal(size=(members, features, 16)) / np.sqrt(features))
        self.last = torch.from_numpy(rng.normal(size=(members, 16, classes)))

    def logits(self, x: Tensor) -> Tensor:
        """Return logits, ``(member, sample, class)``."""
        return torch.tanh(x @ self.first) @ self.last

    def errors(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return the error of every sample, by the library."""
        views = self.logits(x).log_softmax(2)
        return record_held_out(views, labels, views.shape[2]).decompose("log").error


@exact_claim(
    "feature-noise",
    statement="A small change dx of a sample raises its error exactly if the mean gradient of the loss points along dx: "
    "feature noise may be adversarial or helpful.",
    source=f"{_PROPOSITION_1}; with the gradient of the loss in place of that of f, derived here",
    expected="sign of the change = sign of E[grad loss] · dx in every draw where that is not close to zero; the naive "
    "form, E[grad f_y] · dx < 0, gives the wrong sign in some",
    limits="First order: for dx of length 1e-4 here.",
    runs=60,
)
def feature_noise(trial: Trial) -> Finding:
    """Random members, points and directions; gradients by autograd, changes by the library's error."""
    wrong, naive, slopes, changes = 0, 0, [], []
    for rng in trial.rngs:
        members = _Members(rng)
        x = torch.from_numpy(rng.normal(size=(1, 4))).requires_grad_()
        y = torch.from_numpy(rng.integers(0, 3, 1))
        direction = rng.normal(size=(1, 4))
        step = torch.from_numpy(1e-4 * direction / np.linalg.norm(direction))
        logits = members.logits(x)
        loss = -logits.log_softmax(2)[:, 0, y].mean()
        (slope,) = torch.autograd.grad(loss, x, retain_graph=True)
        (logit_slope,) = torch.autograd.grad(logits[:, 0, y].mean(), x)
        predicted, naive_prediction = float((slope * step).sum()), float((logit_slope * step).sum())
        point = x.detach()
        change = float(members.errors(point + step, y) - members.errors(point, y))
        if abs(predicted) > 1e-6:
            wrong += bool(np.sign(change) != np.sign(predicted))
            naive += bool(np.sign(change) != -np.sign(naive_prediction))
        slopes.append(predicted * 1e4)
        changes.append(change * 1e4)
    figure = Figure(
        "mean gradient of the loss along the change",
        "change of the error, per unit of change",
        (Series("draw", slopes, changes, "point"),),
        note="All points lie on the diagonal.",
    )
    measured = {"wrong signs": wrong, "wrong signs of the naive form": naive, "draws": len(slopes)}
    return Finding(bool(wrong == 0 and naive > 0), measured, figure)


@exact_claim(
    "posterior-is-bayes",
    statement="If the class posterior and the transition matrix are known, P(label wrong) follows from Bayes' rule: "
    "r(c) is proportional to q(c) T(c, y).",
    source="confident learning, Northcutt et al. 2021; the label model of this library",
    expected="largest gap to Bayes' rule 1e-12 or less; the mean of P(label wrong) within 4 standard errors of the "
    "share wrong",
    limits="In practice, T and the trust in the consensus are estimated; see transition-estimated.",
    runs=20,
)
def posterior_is_bayes(trial: Trial) -> Finding:
    """Gaussian classes, labels flipped by known matrices."""
    gaps, z_scores, estimated, true_shares = [], [], [], []
    for run, rng in enumerate(trial.rngs):
        classes = 4
        mixture = GaussianMixture(2 * rng.normal(size=(classes, 3)), rng.dirichlet(np.full(classes, 5.0)))
        x, y = mixture.draw(2000, rng)
        # An impossible label would have the library's floor of 1e-12 instead of zero.
        pair = 0.9 * pair_transition(classes, rng.uniform(0.05, 0.4)) + 0.1 * uniform_transition(classes, 0.2)
        transition = pair if run % 2 else uniform_transition(classes, rng.uniform(0.05, 0.4))
        labels = torch.from_numpy(flip_labels(y, transition, rng))
        log_q, shares = torch.from_numpy(mixture.log_posterior(x)), torch.from_numpy(mixture.shares)
        matrix = torch.from_numpy(transition)
        # The members are assumed to be trained on the true shares, so the evidence is balanced by these.
        model = LabelModel(matrix, shares, torch.ones(1, dtype=torch.float64), (np.inf, np.inf), noise_aware=False)
        posterior = label_noise.true_label_probabilities(model, Evidence(log_q, labels, shares, None), torch.arange(len(y)))
        rule = log_q.exp() * matrix[:, labels].T
        rule /= rule.sum(1, keepdim=True)
        gaps.append(max_abs(posterior - rule))
        p_wrong = 1 - posterior[torch.arange(len(y)), labels]
        share = float((labels.numpy() != y).mean())
        estimated.append(float(p_wrong.mean()))
        true_shares.append(share)
        z_scores.append(abs(estimated[-1] - share) / (float((p_wrong * (1 - p_wrong)).mean()) / len(y)) ** 0.5)
    figure = Figure(
        "share of labels that are wrong",
        "mean P(label wrong)",
        (Series("world", true_shares, estimated, "point"), Series("equal", [0, max(true_shares)], [0, max(true_shares)])),
        note="Calibrated, up to the luck of the draw.",
    )
    measured = {"largest gap": max_gap(gaps), "largest distance, in standard errors": max_gap(z_scores)}
    return Finding(bool(max_gap(gaps) <= 1e-12 and max_gap(z_scores) <= 4), measured, figure)


@statistical_claim(
    "transition-estimated",
    statement="From predictions of the true label and the given labels, the transition matrix of the labels can be "
    "estimated. If the consensus is exactly the posterior of the noisy labels, likelihood alone cannot "
    "identify it, since zero noise explains them equally well; but most of the rate is found under the "
    "assumption that the most confident samples of a class are not ambiguous by nature.",
    source="Northcutt et al. 2021; the label model of this library; that it is not identifiable was derived here",
    expected="mean over scenarios of the largest mean error of a row below 0.05, upper end of the interval included; "
    "less than half the rate of flips is missed in the second case, in the mean",
    limits="Gaussian classes, 1,000 samples, rates of 10 to 40 %, uniform and pair flips. Trained members lie "
    "between both cases.",
    runs=4,
    full_runs=40,
)
def transition_estimated(trial: Trial) -> Finding:
    """The library's label model in scenarios whose matrix is known."""
    errors, rates, estimated_rates, rates_from_noisy = [], [], [], []
    for run, rng in enumerate(trial.rngs):
        classes = 4
        mixture = GaussianMixture(3 * np.eye(classes) + 0.3 * rng.normal(size=(classes, classes)), np.full(classes, 0.25))
        x, y = mixture.draw(1000, rng)
        rate = float(rng.uniform(0.1, 0.4))
        transition = (uniform_transition, pair_transition)[run % 2](classes, rate)
        labels = flip_labels(y, transition, rng)
        prior, label = torch.from_numpy(np.bincount(labels, minlength=classes) / len(labels)), torch.from_numpy(labels)
        clean = mixture.log_posterior(x)
        transitions = [
            label_noise.fit_label_model(Evidence(torch.from_numpy(consensus), label, prior, None)).dense_transition().numpy()
            for consensus in (clean, np.log(np.exp(clean) @ transition))
        ]
        # Sampling variation of the labels is not an error of the estimate.
        empirical = np.stack([np.bincount(labels[y == c], minlength=classes) / (y == c).sum() for c in range(classes)])
        errors.append(float(np.abs(transitions[0] - empirical).mean(1).max()))
        rates.append(rate)
        estimated_rates.append(float(1 - transitions[0].diagonal().mean()))
        rates_from_noisy.append(float(1 - transitions[1].diagonal().mean()))
    interval = mean_interval(errors)
    missed = 1 - float(np.mean(rates_from_noisy) / np.mean(rates))
    figure = Figure(
        "rate of wrong labels",
        "estimated rate",
        (
            Series("consensus of the true label", rates, estimated_rates, "point"),
            Series("exact posterior of the noisy label", rates, rates_from_noisy, "point"),
            Series("equal", [0.1, 0.4], [0.1, 0.4]),
        ),
        note="The first estimates follow the truth, the second ones most of it; some find no noise at all.",
    )
    measured = {"mean largest error of a row": float(np.mean(errors)), "share of the rate missed in the second case": missed}
    return Finding(bool(interval.high < 0.05 and missed < 0.5), measured, figure, interval)
