"""Predictions for samples without a label, by models that are trained on all samples that have one."""

import numpy as np
import pandas as pd

from hardsight.data import Samples
from hardsight.data.unlabelled import join_unlabelled
from hardsight.difficulty.columns import CLASS_PREDICTION_COLUMNS, PREDICTION_COLUMNS
from hardsight.estimation.job import Job
from hardsight.estimation.runner import Runner
from hardsight.io.progress import progress_bar
from hardsight.learners import Learner, SklearnModel
from hardsight.learners.forest_oob import ForestOOB
from hardsight.learners.label_sets import LabelsApart
from hardsight.learners.linear.ridge import Ridge
from hardsight.learners.tempered import Tempered
from hardsight.measures.held_out import HeldOut
from hardsight.resampling.plan import Plan, Round

N_MODELS = 5


def predict_unlabelled(job: Job, runner: Runner) -> pd.DataFrame | None:
    """Train five models on all labelled samples, and predict those without a label; None if there are none.

    Returns:
        One row per sample without a label, by id. With classes: ``predicted``, the class of the consensus, and
        ``p_predicted``, its probability. In regression: ``predicted``, the mean, and ``spread``, the standard deviation over
        the models.

    Raises:
        HardsightError: as in the run.
    """
    samples = job.samples
    if samples.unlabelled is None:
        return None
    everything = join_unlabelled(samples)
    is_labelled = np.arange(len(everything)) < len(samples)
    # Labelled samples are held out from no model.
    round_ = Round(np.where(is_labelled, -1, 0).astype(np.int32), 1)
    seed = int(np.random.SeedSequence(job.request.seed, spawn_key=(5,)).generate_state(1)[0])
    plan = Plan([round_] * N_MODELS, np.arange(len(everything)), N_MODELS, seed)
    own = Runner(_predicting_learner(runner.learner, samples), everything, runner.backend)
    with progress_bar(job.request.progress, N_MODELS, "predicting unlabelled samples") as on_progress:
        held_out = own.run(plan, on_progress=on_progress).held_out
    ids = pd.Index(samples.unlabelled.ids, name="id")
    if samples.classes is None:
        return pd.DataFrame(dict(zip(PREDICTION_COLUMNS, _targets(held_out, ~is_labelled), strict=True)), index=ids)
    log_prob = held_out.consensus.numpy()[~is_labelled]
    predicted = [samples.classes[code] for code in log_prob.argmax(1)]
    values = (pd.Series(predicted, index=ids, dtype=object), np.exp(log_prob.max(1)).clip(0, 1))
    return pd.DataFrame(dict(zip(CLASS_PREDICTION_COLUMNS, values, strict=True)), index=ids)


def _predicting_learner(learner: Learner, samples: Samples) -> Learner:
    """Return the learner in a form that predicts samples without a label."""
    if isinstance(learner, Tempered):
        return learner.with_learner(_predicting_learner(learner.learner, samples))
    if isinstance(learner, LabelsApart):
        if isinstance(learner.learner, Ridge):
            return LabelsApart(learner.learner, learner.n_labels, adapt=_predicting_learner)
        return LabelsApart(_predicting_learner(learner.learner, samples), learner.n_labels)
    if isinstance(learner, ForestOOB):
        return SklearnModel(learner.forest, numbers=learner.numbers)
    return learner.with_scale(samples) if isinstance(learner, Ridge) else learner


def _targets(held_out: HeldOut, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the predicted targets, ``(row,)`` each."""
    moments = held_out.moments["prediction"]
    variance = moments.spread / (moments.count - 1).clamp(min=1)
    return moments.mean.numpy()[rows], variance.clamp(min=0).sqrt().numpy()[rows]
