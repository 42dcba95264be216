"""Results of samples with several labels: one run and one label model; a ledger of each label, joined into one result.

Every label has its own share of samples that have it, and so its own imbalance, and its own samples that are strange. The
rates of wrong labels are those of all labels together: a label alone has too few wrong entries to tell them from samples
that its models find hard. On the sets of ``benchmarks/multilabel.md`` that were chosen on, this found more wrong entries
than a model of each label.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from hardsight.attribution.label_noise import LabelPosterior, class_prior
from hardsight.attribution.neighbours import Neighbours
from hardsight.attribution.oddity import Oddity
from hardsight.data import Samples
from hardsight.difficulty.actions import describe_trust
from hardsight.difficulty.columns import FIELDS
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.run_info import RunInfo
from hardsight.estimation.assemble import (
    NO_EVIDENCE,
    SMALL_UNRELIABILITY,
    LabelInfo,
    TrueLabels,
    assemble,
    measure_adjusted,
    read_features,
    run_info,
    share_left_out,
)
from hardsight.estimation.job import Job
from hardsight.estimation.runner import RunResult
from hardsight.measures.held_out import HeldOut
from hardsight.measures.losses import Loss


def read_features_of_whole(samples: Samples, blocks: np.ndarray, seed: int) -> LabelInfo:
    """Return the neighbours and the oddity of parts that share their sample's features.

    Neighbours of a part are the parts of its name of the nearest samples.

    Args:
        blocks: of the parts, ``(part,)``.
        seed: of the run.
    """
    layout = samples.layout
    codes = np.unique(blocks[layout.first], return_inverse=True)[1].reshape(-1)
    features = read_features(layout.whole.matrix, None, codes, seed)
    neighbours, oddity = features.neighbours, features.oddity
    if neighbours is not None:
        near = neighbours.rows[layout.row]
        part = np.where(near >= 0, layout.part[near, layout.column[:, None]], -1)
        labels = np.where(part >= 0, samples.labels[part], -1).astype(np.int32)
        neighbours = Neighbours(labels, neighbours.distance[layout.row], part)
    if oddity is not None:
        oddity = Oddity(*(values[layout.row] for values in oddity))
    return LabelInfo(neighbours=neighbours, oddity=oddity)


def assemble_label_sets(job: Job, result: RunResult, labels: TrueLabels) -> Difficulty:
    """Build the result of :func:`hardsight.measure` for samples with several labels: one row per sample and label."""
    adjusted, info = measure_adjusted(job, result)
    return assemble_labels(
        result.held_out,
        job.samples,
        run_info(job, result, labels, info),
        labels.info,
        loss=job.loss,
        adjusted=adjusted,
        copy_set=job.copy_set,
        attribute=job.request.estimate.ledger is not False,
        left_out=share_left_out(job, result),
    )


def assemble_labels(
    held_out: HeldOut,
    samples: Samples,
    run: RunInfo,
    info: LabelInfo,
    *,
    loss: Loss,
    adjusted: np.ndarray | None = None,
    copy_set: np.ndarray | None = None,
    attribute: bool = True,
    left_out: float = 1.0,
) -> Difficulty:
    """Build the result of held-out predictions of parts, label by label; arguments as in :func:`assemble`."""
    layout = samples.layout
    groups = [np.flatnonzero(layout.column == column) for column in range(len(layout.names))]
    parts = []
    for rows in groups:
        of_label = samples.take(rows)
        parts.append(
            assemble(
                held_out.take(torch.from_numpy(rows)),
                replace(run, notices=()),
                of_label.ids,
                of_label.classes,
                loss=loss,
                labels=_take_info(info, rows, of_label),
                samples=of_label,
                adjusted=None if adjusted is None else adjusted[rows],
                copy_set=None if copy_set is None else copy_set[rows],
                attribute=attribute,
                left_out=left_out,
            )
        )
    sum_se = held_out.sample_standard_error(loss)
    fields = _join(parts, groups) | {"sample_error_se": None if sum_se is None else sum_se.numpy()}
    return replace(parts[0], **fields, run=_join_runs(parts, run), samples=samples)


def _take_info(info: LabelInfo, rows: np.ndarray, samples: Samples) -> LabelInfo:
    """Return what the attribution of errors reads of the parts of one label.

    Args:
        rows: the parts.
        samples: these parts.
    """
    neighbours, oddity, posterior = info.neighbours, info.oddity, info.posterior
    return LabelInfo(
        neighbours=None if neighbours is None else Neighbours(*(values[rows] for values in neighbours)),
        oddity=None if oddity is None else Oddity(*(values[rows] for values in oddity)),
        prior=class_prior(samples.labels, 2, samples.weights),
        posterior=None if posterior is None else _take_posterior(posterior, torch.from_numpy(rows)),
        in_small_class=None if info.in_small_class is None else info.in_small_class[rows],
    )


def _take_posterior(posterior: LabelPosterior, rows: torch.Tensor) -> LabelPosterior:
    evidence = posterior.evidence
    per_row = ("consensus", "label", "neighbours", "in_small_class", "max_p_wrong")
    of_rows: dict[str, Any] = {
        name: None if (values := getattr(evidence, name)) is None else values[rows] for name in per_row
    }
    return posterior._replace(
        evidence=evidence._replace(**of_rows, witnesses=tuple(each[rows] for each in evidence.witnesses)),
        witnessed=None if posterior.witnessed is None else posterior.witnessed[rows],
    )


def _join(results: Sequence[Difficulty], groups: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the values of several labels in the order of the parts."""
    order = np.argsort(np.concatenate(groups), kind="stable")

    def join(field: str) -> np.ndarray | None:
        values = [getattr(result, field) for result in results]
        return None if any(each is None for each in values) else np.concatenate(values)[order]

    return {field: join(field) for field in FIELDS}


def _join_runs(results: Sequence[Difficulty], run: RunInfo) -> RunInfo:
    """Return the record of the run: trust in the ledger is the mean over labels, as many times as they are doubted."""
    first = results[0].run
    doubted = np.array([0 if each.p_wrong is None else (each.p_wrong > 0.5).sum() for each in results], dtype=float)
    trust = np.array([each.ledger_trust for each in results])
    mean = float((trust * doubted).sum() / doubted.sum()) if doubted.any() else 1.0
    notices = [*run.notices, *([NO_EVIDENCE] if NO_EVIDENCE in first.notices else [])]
    if mean < 1 - SMALL_UNRELIABILITY:
        notices.append(describe_trust(mean))
        run = replace(run, ledger_trust=mean)
    sizes = np.array([each.run.class_sizes for each in results if each.run.class_sizes is not None])
    return replace(
        run,
        notices=tuple(notices),
        transition=first.transition,
        class_shares=first.class_shares,
        class_sizes=sizes.sum(0).tolist() if len(sizes) == len(results) else None,
        evidence_weights=first.evidence_weights,
        pseudo_counts=first.pseudo_counts,
    )
