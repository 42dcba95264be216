"""Inferring the true labels of a run, with further rounds of training if labels look wrong."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hardsight.attribution.label_noise import LabelPosterior, class_prior
from hardsight.attribution.label_noise.independent_witness import IndependentWitness
from hardsight.data import Samples
from hardsight.difficulty.run_info import RefinedInfo
from hardsight.estimation.assemble import LabelInfo, TrueLabels, has_ledger, read_features
from hardsight.estimation.job import Job
from hardsight.estimation.label_sets import read_features_of_whole
from hardsight.estimation.plan import name_classes
from hardsight.estimation.reweighted_rounds import (
    MIN_WRONG,
    RefineRequest,
    infer_labels,
    labels_look_wrong,
    refine_labels,
    unjudged_samples,
    weightable_learner,
)
from hardsight.estimation.runner import Runner
from hardsight.estimation.witnesses import NO_LEDGER, use_witnesses
from hardsight.measures.held_out import HeldOut


def infer_true_labels(job: Job, held_out: HeldOut, runner: Runner) -> TrueLabels:
    """Fit the label model, train again if labels look wrong, and add the evidence of witnesses.

    Raises:
        HardsightError: as in the run.
    """
    features = _read_features(job)

    def with_witnesses(posterior: LabelPosterior) -> LabelPosterior:
        if not job.independent_witnesses:
            return posterior
        return use_witnesses(posterior, held_out, job.independent_witnesses, features.neighbours).posterior

    labels = _infer_from_models(job, held_out, runner, features, with_witnesses)
    if not job.independent_witnesses:
        return labels
    return add_witnesses_to(labels, held_out, job.independent_witnesses)


def add_witnesses_to(labels: TrueLabels, held_out: HeldOut, witnesses: Sequence[IndependentWitness]) -> TrueLabels:
    """Return what is inferred with the evidence of witnesses, and a notice of how much they count."""
    posterior, neighbours = labels.info.posterior, labels.info.neighbours
    if posterior is None:
        return labels._replace(notices=[*labels.notices, NO_LEDGER])
    witnessed = use_witnesses(posterior, held_out, witnesses, neighbours)
    info = labels.info._replace(posterior=witnessed.posterior)
    return labels._replace(info=info, notices=[*labels.notices, witnessed.notice], witnesses=witnessed.records)


def _infer_from_models(
    job: Job,
    held_out: HeldOut,
    runner: Runner,
    features: LabelInfo,
    with_witnesses: Callable[[LabelPosterior], LabelPosterior],
) -> TrueLabels:
    """Fit the label model, and train again with automatic weights if that is asked for or labels look wrong."""
    samples, request, refinement = job.samples, job.request, job.refinement
    none = RefinedInfo(rounds=0, members=0, why=refinement.why_none)
    if samples.classes is None or request.estimate.ledger is False or not has_ledger(held_out, job.loss):
        return TrueLabels(features, none, [])
    neighbours = features.neighbours
    prior = class_prior(samples.labels, len(samples.classes), samples.weights)
    neighbour_labels = None if neighbours is None else torch.from_numpy(neighbours.labels)
    in_small_class = None if job.in_small_class is None else torch.from_numpy(job.in_small_class)
    posterior = infer_labels(
        held_out, samples, neighbour_labels, in_small_class, witnesses=job.witnesses, features=features.features
    )
    info = features._replace(prior=prior)
    if not refinement.n_rounds:
        return describe_posterior(samples, info, posterior, none, job.in_small_class)
    if request.refine is None and not labels_look_wrong(with_witnesses(posterior)):
        none["why"] = f"fewer than {MIN_WRONG:.0%} of the labels look wrong"
        return describe_posterior(samples, info, posterior, none, job.in_small_class)
    learner = weightable_learner(request.learner, job.learner, samples)
    assert learner is not None
    checkpoint = request.execution.checkpoint
    refined = refine_labels(
        RefineRequest(
            runner=replace(runner, learner=learner, user_record=None),
            splitter=job.splitter,
            in_small_class=in_small_class,
            blocks=job.plan.blocks,
            features=features.features,
            n_rounds=refinement.n_rounds,
            seed=request.seed,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            progress=request.progress,
            with_witnesses=with_witnesses,
        ),
        posterior,
    )
    return describe_posterior(samples, info, refined.posterior, refined.info, job.in_small_class, refined.notices)


def _read_features(job: Job) -> LabelInfo:
    """Return the neighbours and the oddity of all samples, if they have numbers as features and causes are wanted."""
    samples, request, blocks = job.samples, job.request, job.plan.blocks
    if request.estimate.ledger is False or not (samples.whole or samples).numeric:
        return LabelInfo()
    if samples.whole is not None:
        return read_features_of_whole(samples, blocks, request.seed)
    return read_features(samples.matrix, None if samples.classes is None else samples.labels, blocks, request.seed)


def describe_posterior(
    samples: Samples,
    info: LabelInfo,
    posterior: LabelPosterior,
    refined: RefinedInfo,
    too_small: np.ndarray | None = None,
    notices: Sequence[str] = (),
) -> TrueLabels:
    """Return what is inferred by a posterior, with a notice of the classes that are too rare to be judged.

    Args:
        too_small: samples of classes that are too small to be split, which need no notice here, ``(sample,)``; None: none.
    """
    unjudged = unjudged_samples(posterior)
    in_small_class = None if unjudged is None else unjudged.numpy()
    classes = samples.classes
    if in_small_class is not None and classes is not None:
        rare = in_small_class if too_small is None else in_small_class & ~too_small
        if rare.any():
            named = name_classes(np.unique(samples.labels[rare]), samples.labels, classes)
            notice = f"Too few right labels to tell which are right, in {named}. Models hardly ever predict these classes."
            notices = [*notices, notice]
    return TrueLabels(info._replace(posterior=posterior, in_small_class=in_small_class), refined, list(notices))
