"""The choice of a learner for tables: several kinds of models are compared by their held-out losses before the run.

Small networks, gradient boosting of two lengths (LightGBM's if it is installed, otherwise scikit-learn's), random forests
and logistic regression are trained on the same five folds once. Log-probabilities of trees are calibrated by a temperature,
fitted to these held-out predictions. The network is replaced by the kind of the least mean log-loss if the gain exceeds its
standard error (:func:`hardsight.estimation.training_length.is_significant`). The predictions of the others serve as
witnesses of the true labels (:class:`hardsight.attribution.label_noise.Evidence`): what several kinds of models agree on is
seldom a fault of one of them.
"""

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from scipy.optimize import minimize_scalar
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from hardsight.attribution.label_noise import class_prior
from hardsight.data import Samples
from hardsight.errors import HardsightError
from hardsight.estimation.job import Job, why_not_adjusted
from hardsight.estimation.reweighted_rounds import plan_refinement
from hardsight.estimation.runner import Runner
from hardsight.estimation.training_length import FOLDS, draw_pilot_samples, is_significant, make_pilot_plan, mean_and_error
from hardsight.io.progress import progress_bar
from hardsight.learners import LEARNERS, Learner, SklearnModel
from hardsight.learners.presets.trees import make_boosting, make_lightgbm
from hardsight.learners.tempered import Tempered
from hardsight.resampling.plan import Plan
from hardsight.resampling.splitters import KFold

# Beyond these, boosting takes far longer than networks.
MAX_FEATURES, MAX_CLASSES = 500, 30
# Rounds of boosting that are compared.
_BOOSTING_ROUNDS = (20, 100)
_LOG_TEMPERATURES = -2.5, 2.5


class Trial(NamedTuple):
    """A kind of models that was tried."""

    name: str
    kind: str  # of several trials of one kind, one is a witness at most
    learner: Learner
    log_prob: Float64[Tensor, "sample class"]  # held-out predictions, calibrated; class shares where there is none
    losses: np.ndarray  # log-loss of each predicted sample

    @property
    def loss(self) -> float:
        """Mean log-loss."""
        return float(self.losses.mean())


def compare_learners(job: Job, runner: Runner) -> Job:
    """Compare kinds of models if the learner is open and the samples are a table; otherwise return the job unchanged."""
    if not _is_open(job):
        return job
    seed = int(np.random.SeedSequence(job.request.seed, spawn_key=(6,)).generate_state(1)[0])
    samples, blocks = draw_pilot_samples(job.samples, job.plan.blocks, seed)
    own = replace(runner, samples=samples, resume=False, user_record=None)
    trials, failures = list[Trial](), list[str]()
    with progress_bar(job.request.progress, None, "comparing kinds of models") as on_progress:
        try:
            plan = make_pilot_plan(samples, blocks, seed)
        except HardsightError as error:
            return replace(job, reason=f"{job.reason}; not compared with other kinds of models: {error}")
        for name, kind, learner in _candidates(job.learner, samples):
            try:
                trials.append(_try(replace(own, learner=learner), plan, name, kind, on_progress))
            except HardsightError as error:
                failures.append(f"{name} failed: {error}")
    predicted = blocks[plan.rounds[0].fold >= 0]
    if not trials or trials[0].kind != "network":
        return replace(job, reason=f"{job.reason}; not compared with other kinds of models: {'; '.join(failures)}")
    network, best = trials[0], min(trials, key=lambda trial: trial.loss)
    if not is_significant(network.losses - best.losses, predicted):
        best = network
    reason = f"{_describe(best, trials, predicted, plan.n_models)}{''.join('; ' + each for each in failures)}"
    witnesses = _witnesses(best, trials) if len(samples) == len(job.samples) else ()
    if best is network:
        return replace(job, reason=f"{job.reason}; {reason}", witnesses=witnesses)
    request = job.request
    obstacle = why_not_adjusted(request.estimate.adjusted, best.learner, job.splitter, job.loss)
    return replace(
        job,
        learner=best.learner,
        reason=reason,
        plan=replace(job.plan, in_sample=obstacle is None),
        why_not_adjusted=obstacle,
        refinement=plan_refinement(
            request.refine, request.learner, best.learner, job.samples, job.splitter, job.loss, limited=False
        ),
        witnesses=witnesses,
    )


def _is_open(job: Job) -> bool:
    """Return whether the learner is left open, and the samples are a table that all kinds of models can learn."""
    request, samples = job.request, job.samples
    return (
        isinstance(request.learner, str)
        and request.learner == "auto"
        and request.estimate.pilot is not False
        and request.record is None
        and not request.budget.limited
        and request.reliability is None
        and samples.classes is not None
        and len(samples.classes) <= MAX_CLASSES
        and samples.kind == "table"
        and samples.numeric
        and not samples.sparse
        and samples.matrix.shape[1] <= MAX_FEATURES
        and isinstance(job.splitter, KFold)
    )


def _candidates(network: Learner, samples: Samples) -> Iterator[tuple[str, str, Learner]]:
    """Yield the name, the kind and the learner of each trial; the network comes first."""
    yield "network", "network", network
    # LightGBM is several times as fast.
    make = make_boosting if find_spec("lightgbm") is None else make_lightgbm
    for rounds in _BOOSTING_ROUNDS:
        boosting = make(samples, rounds)
        yield f"{boosting.name} ({rounds} rounds)", "boosting", boosting
    forest = RandomForestClassifier(n_estimators=100, n_jobs=1)
    yield "forest", "forest", SklearnModel(forest, name="forest", numbers=True)
    yield "logistic", "logistic", LEARNERS["logistic"].make(samples)


def _try(runner: Runner, plan: Plan, name: str, kind: str, on_progress: Any) -> Trial:
    held_out = runner.run(plan, on_progress=on_progress).held_out
    predicted = torch.from_numpy(plan.rounds[0].fold >= 0)
    label, learner = held_out.labels, runner.learner
    log_prob = held_out.consensus.clone()
    if kind in ("boosting", "forest"):
        temperature = fit_temperature(log_prob[predicted], label[predicted])
        learner, log_prob = Tempered(learner, temperature), (log_prob / temperature).log_softmax(1)
    log_prob[~predicted] = class_prior(label.numpy(), log_prob.shape[1]).log()
    losses = -log_prob[predicted].gather(1, label[predicted][:, None]).squeeze(1)
    return Trial(name, kind, learner, log_prob, losses.numpy())


def fit_temperature(log_prob: Float64[Tensor, "sample class"], label: Tensor) -> float:
    """Return the temperature that log-probabilities must be divided by for the least log-loss, .08 to 12."""

    def loss(log_temperature: float) -> float:
        calibrated = (log_prob / np.exp(log_temperature)).log_softmax(1)
        return -float(calibrated.gather(1, label[:, None]).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded").x))


def _witnesses(chosen: Trial, trials: list[Trial]) -> tuple[Tensor, ...]:
    """Return the predictions of the best trial of each other kind."""
    best = dict[str, Trial]()
    for trial in sorted(trials, key=lambda each: each.loss):
        best.setdefault(trial.kind, trial)
    return tuple(trial.log_prob for kind, trial in best.items() if kind != chosen.kind)


def _describe(chosen: Trial, trials: list[Trial], blocks: np.ndarray, models: int) -> str:
    """Describe the outcome in one line: what was taken, by how much it won, and what the comparison cost."""
    losses = ", ".join(f"{trial.name} {trial.loss:.3f}" for trial in trials)
    cost = f"{models * len(trials)} models of {FOLDS} folds each" if models != FOLDS else f"{FOLDS} models each"
    if chosen is trials[0]:
        return f"no other kind of model has a lower held-out log-loss beyond its standard error ({losses}; {cost})"
    gain, error = mean_and_error(trials[0].losses - chosen.losses, blocks)
    return f"{chosen.name}, which lowers the held-out log-loss of networks by {gain:.3f} ± {error:.3f} ({losses}; {cost})"
