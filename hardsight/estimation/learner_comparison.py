"""The choice of a learner for tables: several kinds of models are compared by their held-out losses before the run.

Small networks, gradient boosting of two lengths (LightGBM's if it is installed, otherwise scikit-learn's), random forests
and logistic regression are trained on the same five folds once; the networks are those of the search for their training
length. Log-probabilities of trees are calibrated by a temperature, fitted to these held-out predictions. The network is
replaced by the kind of the least mean log-loss if the gain exceeds its standard error
(:func:`hardsight.estimation.paired_losses.is_significant`). The predictions of the others serve as witnesses of the true
labels (:class:`hardsight.attribution.label_noise.Evidence`): what several kinds of models agree on is seldom a fault of one
of them. If only a part of the samples was compared on, they are trained once more for that, on five folds of all, as far as
that takes no long time.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from hardsight.data import Samples
from hardsight.errors import HardsightError
from hardsight.estimation.calibration import Calibration, fit_calibration
from hardsight.estimation.job import Job, why_not_adjusted
from hardsight.estimation.paired_losses import is_significant, mean_and_error
from hardsight.estimation.reweighted_rounds import plan_refinement
from hardsight.estimation.runner import Runner
from hardsight.estimation.training_length import PilotRun, make_pilot_plan, predict_once
from hardsight.io.progress import progress_bar
from hardsight.learners import LEARNERS, Learner, SklearnModel
from hardsight.learners.presets.trees import make_boosting, make_lightgbm
from hardsight.learners.registry import is_auto
from hardsight.learners.tempered import Tempered
from hardsight.resampling.splitters import KFold

# Beyond these, boosting takes far longer than networks.
MAX_FEATURES, MAX_CLASSES = 500, 30
# Rounds of boosting that are compared.
_BOOSTING_ROUNDS = (20, 100)
# A kind that would take a model longer than this on all samples, by its size, is no witness if it was compared on a part.
MAX_SECONDS = 20.0
# Seconds of one core per million values (rows × columns × classes), measured on tables of 20,000 to 40,000 rows.
_SECONDS_PER_MILLION = {"network": 0.3, "boosting": 0.6, "logistic": 0.3}
# Forests: seconds per million rows × log₂ rows × √columns.
_FOREST_SECONDS_PER_MILLION = 1.8


class Trial(NamedTuple):
    """A kind of models that was tried."""

    name: str
    kind: str  # of several trials of one kind, one is a witness at most
    learner: Learner  # calibrated, unless the user asks for the models' own probabilities
    log_prob: Float64[Tensor, "sample class"]  # held-out predictions, calibrated; class shares where there is none
    losses: np.ndarray  # log-loss of the learner for each predicted sample
    calibration: Calibration | None = None  # None for kinds that are not calibrated

    @property
    def loss(self) -> float:
        """Mean log-loss."""
        return float(self.losses.mean())


def compare_learners(job: Job, runner: Runner) -> Job:
    """Compare kinds of models if the learner is open and the samples are a table; otherwise return the job unchanged."""
    pilot = None if job.length_search is None else job.length_search.pilot
    if pilot is None or not _is_open(job):
        return job
    runner = replace(runner, resume=False, user_record=None)
    trials = [_make_trial("network", "network", job.learner, pilot, pilot.log_prob, calibrate=False)]
    failures = list[str]()
    calibrate = job.request.estimate.calibrate is not False
    with progress_bar(job.request.progress, None, "comparing kinds of models") as on_progress:
        for name, kind, learner in _other_kinds(pilot.samples):
            try:
                log_prob = predict_once(replace(runner, learner=learner, samples=pilot.samples), pilot.plan, on_progress)
            except HardsightError as error:
                failures.append(f"{name} failed: {error}")
            else:
                trials.append(_make_trial(name, kind, learner, pilot, log_prob, calibrate=calibrate and kind != "logistic"))
    chosen = _choose(trials, pilot)
    witnesses = _witnesses(job, runner, chosen, trials, pilot)
    reason = f"{job.reason}; {_describe(chosen, trials, pilot)}{''.join('; ' + each for each in failures)}"
    job = replace(job, reason=reason, witnesses=witnesses)
    return job if chosen is trials[0] else _with_learner(job, chosen)


def _is_open(job: Job) -> bool:
    """Return whether the learner is left open, and the samples are a table that all kinds of models can learn."""
    request, samples = job.request, job.samples
    return (
        is_auto(request.learner)
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


def _other_kinds(samples: Samples) -> Iterator[tuple[str, str, Learner]]:
    """Yield the name, the kind and the learner of each trial beside the networks."""
    # LightGBM is several times as fast.
    make = make_boosting if find_spec("lightgbm") is None else make_lightgbm
    for rounds in _BOOSTING_ROUNDS:
        boosting = make(samples, rounds)
        yield f"{boosting.name} ({rounds} rounds)", "boosting", boosting
    forest = RandomForestClassifier(n_estimators=100, n_jobs=1)
    yield "forest", "forest", SklearnModel(forest, name="forest", numbers=True)
    yield "logistic", "logistic", LEARNERS["logistic"].make(samples)


def _make_trial(name: str, kind: str, learner: Learner, pilot: PilotRun, log_prob: Tensor, *, calibrate: bool) -> Trial:
    """Return a trial with its losses.

    Args:
        log_prob: held-out log-probabilities of the pilot's samples, ``(sample, class)``.
        calibrate: whether to calibrate the learner, and these predictions.
    """
    rows, label = pilot.predicted, torch.from_numpy(pilot.samples.labels)
    calibration = None
    if calibrate:
        blocks = pilot.plan.blocks[rows]
        calibration = fit_calibration(log_prob[rows], label[rows], blocks, always=True)
        learner = Tempered(learner, calibration.temperature)
        log_prob[rows] = (log_prob[rows] / calibration.temperature).log_softmax(1)
    losses = -log_prob[rows].gather(1, label[rows][:, None]).squeeze(1)
    return Trial(name, kind, learner, log_prob, losses.numpy(), calibration)


def _choose(trials: Sequence[Trial], pilot: PilotRun) -> Trial:
    """Return the trial of the least loss, or the first if that gains no more than its standard error."""
    best = min(trials, key=lambda trial: trial.loss)
    is_better = is_significant(trials[0].losses - best.losses, pilot.plan.blocks[pilot.predicted])
    return best if is_better else trials[0]


def _with_learner(job: Job, chosen: Trial) -> Job:
    """Return the job with another learner, and what follows from it."""
    request, learner = job.request, chosen.learner
    obstacle = why_not_adjusted(request.estimate.adjusted, learner, job.splitter, job.loss)
    return replace(
        job,
        learner=learner,
        calibration=chosen.calibration,
        plan=replace(job.plan, in_sample=obstacle is None),
        why_not_adjusted=obstacle,
        refinement=plan_refinement(
            request.refine, request.learner, learner, job.samples, job.splitter, job.loss, limited=False
        ),
    )


def _witnesses(
    job: Job, runner: Runner, chosen: Trial, trials: Sequence[Trial], pilot: PilotRun
) -> tuple[Float64[Tensor, "sample class"], ...]:
    """Return predictions of all samples by the best trial of each other kind; kinds that take too long are left out.

    Raises:
        HardsightError: as in the run.
    """
    best = dict[str, Trial]()
    for trial in sorted(trials, key=lambda each: each.loss):
        best.setdefault(trial.kind, trial)
    others = [trial for kind, trial in best.items() if kind != chosen.kind]
    if len(pilot.samples) == len(job.samples):
        return tuple(trial.log_prob for trial in others)
    plan = make_pilot_plan(job.samples, job.plan.blocks, pilot.plan.seed)
    quick = [trial for trial in others if seconds_per_model(trial.kind, job.samples) <= MAX_SECONDS]
    with progress_bar(job.request.progress, None, "training other kinds of models on all samples") as on_progress:
        return tuple(predict_once(replace(runner, learner=trial.learner), plan, on_progress) for trial in quick)


def seconds_per_model(kind: str, samples: Samples) -> float:
    """Estimate how long a model of a kind takes one core, by the size of the samples: the seed alone decides a run."""
    n_rows, n_columns = map(int, samples.matrix.shape)
    if kind == "forest":
        return _FOREST_SECONDS_PER_MILLION * n_rows * math.log2(n_rows) * math.sqrt(n_columns) / 1e6
    n_values = n_rows * n_columns * len(samples.classes or ())
    return _SECONDS_PER_MILLION[kind] * n_values / 1e6


def _describe(chosen: Trial, trials: Sequence[Trial], pilot: PilotRun) -> str:
    """Describe the outcome in one line: what was taken, by how much it won, and what the comparison cost."""
    losses = ", ".join(f"{trial.name} {trial.loss:.3f}" for trial in trials)
    cost = f"{pilot.plan.n_models} models each"
    if chosen is trials[0]:
        return f"no other kind of model has a lower held-out log-loss beyond its standard error ({losses}; {cost})"
    gain, error = mean_and_error(trials[0].losses - chosen.losses, pilot.plan.blocks[pilot.predicted])
    return f"{chosen.name}, which lowers the held-out log-loss of networks by {gain:.3f} ± {error:.3f} ({losses}; {cost})"
