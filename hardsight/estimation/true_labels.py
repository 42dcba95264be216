"""Inferring the true labels of a run, with further rounds of training if labels look wrong."""

from dataclasses import replace
from pathlib import Path

import torch

from hardsight.attribution.label_noise import class_prior
from hardsight.difficulty.run_info import RefinedInfo
from hardsight.estimation.assemble import LabelInfo, TrueLabels, find_seeded_neighbours, has_ledger
from hardsight.estimation.job import Job
from hardsight.estimation.reweighted_rounds import (
    MIN_WRONG,
    RefineRequest,
    infer_labels,
    labels_look_wrong,
    refine_labels,
    weightable_learner,
)
from hardsight.estimation.runner import Runner
from hardsight.measures.held_out import HeldOut


def infer_true_labels(job: Job, held_out: HeldOut, runner: Runner) -> TrueLabels:
    """Fit the label model, and train again with automatic weights if that is asked for or labels look wrong.

    Raises:
        HardsightError: as in the run.
    """
    samples, request, refinement = job.samples, job.request, job.refinement
    none = RefinedInfo(rounds=0, members=0, why=refinement.why_none)
    if samples.classes is None or request.estimate.ledger is False or not has_ledger(held_out, job.loss):
        return TrueLabels(LabelInfo(), none, [])
    neighbours = None
    if samples.numeric:
        neighbours = find_seeded_neighbours(samples.matrix, samples.labels, job.plan.blocks, request.seed)
    prior = class_prior(samples.labels, len(samples.classes), samples.weights)
    neighbour_labels = None if neighbours is None else torch.from_numpy(neighbours.labels)
    in_small_class = None if job.in_small_class is None else torch.from_numpy(job.in_small_class)
    posterior = infer_labels(held_out, samples, neighbour_labels, in_small_class)
    info = LabelInfo(neighbours, prior, posterior, job.in_small_class)
    if not refinement.n_rounds:
        return TrueLabels(info, none, [])
    if request.refine is None and not labels_look_wrong(posterior):
        none["why"] = f"fewer than {MIN_WRONG:.0%} of the labels look wrong"
        return TrueLabels(info, none, [])
    learner = weightable_learner(request.learner, job.learner, samples)
    assert learner is not None
    checkpoint = request.execution.checkpoint
    refined = refine_labels(
        RefineRequest(
            runner=replace(runner, learner=learner, user_record=None),
            splitter=job.splitter,
            blocks=job.plan.blocks,
            n_rounds=refinement.n_rounds,
            seed=request.seed,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            progress=request.progress,
        ),
        posterior,
    )
    return TrueLabels(info._replace(posterior=refined.posterior), refined.info, refined.notices)
