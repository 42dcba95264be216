"""Results of samples with several labels: one run, a label model and a ledger of each label, joined into one result.

Every label has its own share of samples that have it, and its own two rates of wrong labels. Labels depend on each other,
which models that predict them side by side see only through the features. So a logistic regression predicts each label from
the held-out log-odds of all labels and the other labels that the sample was given; its held-out predictions are one more
evidence of the label.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from hardsight.attribution.label_noise import LabelPosterior
from hardsight.attribution.neighbours import Neighbours
from hardsight.attribution.oddity import Oddity
from hardsight.data import Samples
from hardsight.data.labelled_parts import Layout
from hardsight.difficulty.actions import describe_trust
from hardsight.difficulty.columns import FIELDS
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.run_info import AdjustedInfo, RefinedInfo, RunInfo
from hardsight.estimation.assemble import (
    NO_EVIDENCE,
    SMALL_UNRELIABILITY,
    LabelInfo,
    TrueLabels,
    assemble,
    has_ledger,
    read_features,
    run_info,
)
from hardsight.estimation.job import Job
from hardsight.estimation.other_labels import predict_from_others
from hardsight.estimation.reweighted_rounds import infer_labels, labels_look_wrong, refine_groups, unjudged_samples
from hardsight.estimation.runner import Runner, RunResult
from hardsight.estimation.true_labels import refine_request
from hardsight.io.json_values import to_json
from hardsight.measures.held_out import HeldOut
from hardsight.validation import join_names

# A notice names at most so many labels.
_NAMED = 5


class _Label(NamedTuple):
    """One label of all samples."""

    rows: np.ndarray  # its parts
    samples: Samples
    held_out: HeldOut
    info: LabelInfo


def assemble_label_sets(job: Job, result: RunResult, runner: Runner) -> Difficulty:
    """Infer the true labels, and build the result of :func:`hardsight.measure`: one row per sample and label.

    Raises:
        HardsightError: as in the run.
    """
    layout, none = Layout.of(job.samples), RefinedInfo(rounds=0, members=0, why=job.refinement.why_none)
    labels, refined, notices = _split(job, result.held_out, layout), none, list[str]()
    attribute = job.request.estimate.ledger is not False
    if attribute and has_ledger(result.held_out, job.loss):
        labels, refined, notices = _infer(job, labels, result.held_out, layout, runner)
    adjusted, adjusted_info = None, AdjustedInfo(gain=None, gain_se=None, why=job.why_not_adjusted or "")
    if job.why_not_adjusted is None:
        second = result.held_out.control_variate_estimate(job.loss)
        adjusted = second.error
        adjusted_info = AdjustedInfo(gain=to_json(second.gain), gain_se=to_json(second.gain_se), why=second.reason)
    run = replace(run_info(job, result, TrueLabels(LabelInfo(), refined, notices)), adjusted=adjusted_info)
    parts = [
        assemble(
            label.held_out,
            replace(run, notices=()),
            job.samples.ids[label.rows],
            job.samples.classes,
            loss=job.loss,
            labels=label.info,
            samples=label.samples,
            adjusted=None if adjusted is None else adjusted[label.rows],
            copy_set=None if job.copy_set is None else job.copy_set[label.rows],
            attribute=attribute,
        )
        for label in labels
    ]
    joined = _join(parts, [label.rows for label in labels], layout.names, run)
    sum_se = result.held_out.sample_standard_error(job.loss)
    return replace(joined, samples=job.samples, sample_error_se=None if sum_se is None else sum_se.numpy())


def _split(job: Job, held_out: HeldOut, layout: Layout) -> list[_Label]:
    """Return each label with its held-out predictions and the features of its samples."""
    features = LabelInfo()
    if job.request.estimate.ledger is not False and layout.whole.numeric:
        blocks = np.unique(job.plan.blocks[layout.first], return_inverse=True)[1].reshape(-1)
        features = read_features(layout.whole.matrix, None, blocks, job.request.seed)
    labels = []
    for column in range(len(layout.names)):
        rows = np.flatnonzero(layout.column == column)
        info = _features_of_label(features, layout, rows, column, job.samples.labels)
        if job.in_small_class is not None:
            info = info._replace(in_small_class=job.in_small_class[rows])
        labels.append(_Label(rows, job.samples.take(rows), held_out.take(torch.from_numpy(rows)), info))
    return labels


def _features_of_label(features: LabelInfo, layout: Layout, rows: np.ndarray, column: int, labels: np.ndarray) -> LabelInfo:
    sample = layout.row[rows]
    neighbours, oddity = features.neighbours, features.oddity
    if neighbours is not None:
        part = layout.part[:, column]
        # The last one stands for neighbours that are not there.
        known = np.append(np.where(part >= 0, labels[part], -1), -1)
        near = neighbours.rows[sample]
        neighbours = Neighbours(known[near].astype(np.int32), neighbours.distance[sample], near)
    if oddity is not None:
        oddity = Oddity(*(values[sample] for values in oddity))
    return LabelInfo(neighbours=neighbours, oddity=oddity)


def _infer(
    job: Job, labels: Sequence[_Label], held_out: HeldOut, layout: Layout, runner: Runner
) -> tuple[list[_Label], RefinedInfo, list[str]]:
    """Return the labels with their posteriors, what later rounds came to, and notices."""
    witnesses = _evidence_of_others(job.samples, held_out.consensus, layout, job.plan.blocks, job.request.seed)
    posteriors = [
        infer_labels(
            label.held_out,
            label.samples,
            None if label.info.neighbours is None else torch.from_numpy(label.info.neighbours.labels),
            None if label.info.in_small_class is None else torch.from_numpy(label.info.in_small_class),
            witnesses=() if witnesses is None else (witnesses[label.rows],),
        )
        for label in labels
    ]
    refinement, notices = job.refinement, list[str]()
    info = RefinedInfo(rounds=0, members=0, why=refinement.why_none)
    if refinement.n_rounds and job.request.refine is None and not any(map(labels_look_wrong, posteriors)):
        info["why"] = "no label looks wrong for many samples"
    elif refinement.n_rounds:
        refined = refine_groups(refine_request(job, runner), posteriors, [label.rows for label in labels])
        posteriors, info, notices = refined.posteriors, refined.info, refined.notices
    inferred = [_with_posterior(label, posterior) for label, posterior in zip(labels, posteriors, strict=True)]
    rare = [
        name
        for name, label in zip(layout.names, inferred, strict=True)
        if label.info.in_small_class is not None
        and (job.in_small_class is None or not job.in_small_class[label.rows][label.info.in_small_class].all())
    ]
    if rare:
        named = join_names(rare, _NAMED)
        notices = [*notices, f"Too few samples that rightly have them to judge all of these labels: {named}."]
    return inferred, info, notices


def _with_posterior(label: _Label, posterior: LabelPosterior) -> _Label:
    unjudged = unjudged_samples(posterior)
    return label._replace(
        info=label.info._replace(
            posterior=posterior,
            prior=posterior.evidence.prior,
            in_small_class=None if unjudged is None else unjudged.numpy(),
        )
    )


def _evidence_of_others(
    samples: Samples, consensus: Tensor, layout: Layout, blocks: np.ndarray, seed: int
) -> Float64[Tensor, "part 2"] | None:
    """Return log-probabilities of every part by the other labels of its sample; None for a single label."""
    if len(layout.names) < 2:
        return None
    known = layout.part >= 0
    log_odds = np.where(known, (consensus[:, 1] - consensus[:, 0]).numpy()[layout.part], 0.0)
    given = np.where(known, 2.0 * samples.labels[layout.part] - 1, 0.0)
    predicted = predict_from_others(log_odds, given, blocks[layout.first], seed)
    of_part = torch.from_numpy(predicted[layout.row, layout.column])
    return torch.stack([torch.nn.functional.logsigmoid(-of_part), torch.nn.functional.logsigmoid(of_part)], 1)


def _join(results: Sequence[Difficulty], groups: Sequence[np.ndarray], names: Sequence[Any], run: RunInfo) -> Difficulty:
    """Return the results of several labels as one, in the order of the parts."""
    order = np.argsort(np.concatenate(groups), kind="stable")

    def join(field: str) -> np.ndarray | None:
        values = [getattr(result, field) for result in results]
        return None if any(each is None for each in values) else np.concatenate(values)[order]

    fields: dict[str, Any] = {field: join(field) for field in FIELDS}
    return replace(results[0], **fields, run=_join_runs(results, names, run))


def _join_runs(results: Sequence[Difficulty], names: Sequence[Any], run: RunInfo) -> RunInfo:
    """Return the record of the run: trust in the ledger is the mean over labels, as many times as they are doubted."""
    doubted = np.array([0 if each.p_wrong is None else (each.p_wrong > 0.5).sum() for each in results], dtype=float)
    trust = np.array([each.ledger_trust for each in results])
    mean = float((trust * doubted).sum() / max(doubted.sum(), 1)) if doubted.any() else 1.0
    notices = list(run.notices)
    if mean < 1 - SMALL_UNRELIABILITY:
        notices.append(describe_trust(mean))
        run = replace(run, ledger_trust=mean)
    without = [name for name, each in zip(names, results, strict=True) if NO_EVIDENCE in each.run.notices]
    if without:
        notices.append(f"{NO_EVIDENCE} This holds for {join_names(without, _NAMED)}.")
    return replace(run, notices=tuple(notices))
