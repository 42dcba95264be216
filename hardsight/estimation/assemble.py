"""Assembling the result: held-out moments and the posterior of the labels become a :class:`Difficulty`."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from hardsight.attribution.hardness import hardness
from hardsight.attribution.label_noise import LabelPosterior, SampleFeatures
from hardsight.attribution.label_noise.confident import ledger_unreliability
from hardsight.attribution.ledger import Ledger, ledger
from hardsight.attribution.names import CAUSES, TOO_FEW
from hardsight.attribution.neighbours import Neighbours, count_neighbours, find_neighbours
from hardsight.attribution.oddity import Oddity, measure_oddity
from hardsight.attribution.regression_noise import fit_noise
from hardsight.attribution.strangeness import p_strange, strangeness
from hardsight.attribution.target_errors import find_target_errors
from hardsight.data import Samples
from hardsight.data.labelled_parts import Parts
from hardsight.difficulty.actions import describe_trust
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.run_info import AdjustedInfo, RefinedInfo, RunInfo
from hardsight.estimation.job import Job
from hardsight.estimation.runner import RunResult
from hardsight.io.json_values import to_json
from hardsight.learners import capabilities_of
from hardsight.learners.threads import limit_threads
from hardsight.measures.bias_variance import Decomposition
from hardsight.measures.held_out import HeldOut
from hardsight.measures.losses import Loss

NO_EVIDENCE = (
    "Held-out models and neighbours predict the labels no better than the class shares do. Without evidence, no label "
    "counts as wrong, and the noise factor of the ledger is zero."
)
# Below it, trust in the ledger is written as 100 %.
SMALL_UNRELIABILITY = 0.005
# With more classes, the matrix of transitions would be the largest part of the result.
_MAX_TRANSITION_CLASSES = 1_000
# With more, their covariance would take longer than training.
_MAX_FEATURES = 20_000


class LabelInfo(NamedTuple):
    """What the attribution of errors reads beside the predictions."""

    neighbours: Neighbours | None = None
    oddity: Oddity | None = None  # how unlike the others the features are
    features: SampleFeatures | None = None  # by which samples are compared with class centres; None: they are not
    prior: Float64[Tensor, " class"] | None = None  # class shares that the models were trained on; None: those of the labels
    posterior: LabelPosterior | None = None  # posterior of the true labels; None: by these predictions
    in_small_class: np.ndarray | None = None  # samples of classes too small for their labels to be judged; None: none


class TrueLabels(NamedTuple):
    """What a run infers about the true labels."""

    info: LabelInfo
    refined: RefinedInfo
    notices: list[str]
    witnesses: list[dict[str, Any]] | None = None  # what was made of each witness; None if there are none


def has_ledger(held_out: HeldOut, loss: Loss) -> bool:
    """Return whether errors can be attributed: that takes classes, log-loss and two predictions of every sample."""
    return held_out.classes is not None and loss == "log" and bool((held_out.count > 1).all())


def read_features(matrix: np.ndarray, labels: np.ndarray | None, blocks: np.ndarray, seed: int) -> LabelInfo:
    """Return the neighbours in other blocks, and how unlike the others the features are; ``labels``: None without classes.

    With more than 20,000 features, neighbours are all there is.
    """
    neighbours = find_seeded_neighbours(matrix, labels, blocks, seed)
    if matrix.shape[1] > _MAX_FEATURES:
        return LabelInfo(neighbours)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(4,)))
    oddity = measure_oddity(matrix, blocks, neighbours, rng)
    return LabelInfo(neighbours, oddity, None if labels is None else SampleFeatures(matrix, blocks))


def find_seeded_neighbours(matrix: np.ndarray, labels: np.ndarray | None, blocks: np.ndarray, seed: int) -> Neighbours:
    """Return nearest neighbours in other blocks, with a random stream of their own."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
    return find_neighbours(matrix, labels, blocks, rng)


def assemble(
    held_out: HeldOut,
    run: RunInfo,
    ids: np.ndarray,
    classes: tuple[Any, ...] | None,
    *,
    loss: Loss,
    labels: LabelInfo = LabelInfo(),  # noqa: B008 - immutable
    samples: Samples | None = None,
    adjusted: np.ndarray | None = None,
    copy_set: np.ndarray | None = None,
    attribute: bool = True,
    labelled_parts: Parts | None = None,
    left_out: float = 1.0,
) -> Difficulty:
    """Build the result of a run.

    Args:
        run: the record of the run; what is estimated of the labels is added to it.
        classes: what class codes stand for; None in regression and for losses alone.
        adjusted: control-variate estimate of the error, ``(sample,)``; None if there is none.
        copy_set: set of copies of each sample, ``(sample,)``, -1 for none; None if there are no copies.
        attribute: attribute the errors to their causes, where that is possible.
        labelled_parts: which sample each row belongs to, if rows are parts of samples and ``samples`` does not say so.
        left_out: share of the data that a model leaves out, as in :func:`hardsight.attribution.ledger.ledger`.
    """
    parts = held_out.decompose(loss)
    consensus = None if classes is None else held_out.consensus
    if held_out.notice is not None:
        run = replace(run, notices=(*run.notices, held_out.notice))
    fields: dict[str, Any]
    if attribute and consensus is not None and has_ledger(held_out, loss):
        with limit_threads(consensus.numel()):
            account = ledger(
                parts,
                consensus,
                held_out.labels,
                labels.neighbours,
                oddity=labels.oddity,
                prior=labels.prior,
                features=labels.features,
                label_posterior=labels.posterior,
                left_out=left_out,
            )
        run = _add_trust(_add_label_model(run, account, held_out.labels), account, consensus, held_out, labels.posterior)
        fields = _ledger_fields(account) | {"hardness": _hardness(parts, account, held_out)}
        if labels.in_small_class is not None:
            fields["cause"] = np.where(labels.in_small_class, TOO_FEW, fields["cause"])
    else:
        deviations = strangeness(labels.oddity)
        fields = {"p_strange": None if deviations is None else p_strange(deviations)}
    parts_of = labelled_parts if samples is None else samples.parts
    predicted = _predict(held_out, loss, consensus)
    fields |= _count_votes(held_out, predicted) | _count_neighbours(labels.neighbours, held_out, fields.get("suggested"))
    if consensus is None and not held_out.loss_only:
        noise = fit_noise(held_out.labels.numpy(), predicted)
        errors = find_target_errors(held_out.labels.numpy(), predicted, np.nan_to_num(parts.variance.numpy()))
        fields |= {"noise_variance": noise.variance, "p_outlier": noise.p_outlier, "target_error": errors.kind}
        fields |= {"suggested": errors.corrected, "p_suggested": errors.p_kind}
    sum_se = held_out.sample_standard_error(loss)
    return Difficulty(
        error=parts.error.numpy(),
        error_se=held_out.standard_error(loss).numpy(),
        bias=parts.bias.numpy(),
        variance=parts.variance.numpy(),
        n_views=held_out.count.numpy(),
        labels=held_out.labels.numpy(),
        predicted=predicted,
        ids=ids,
        run=run,
        classes=classes,
        consensus=None if consensus is None else consensus.numpy(),
        samples=samples,
        sample=None if parts_of is None else parts_of.sample,
        part=None if parts_of is None else parts_of.name,
        sample_error_se=None if sum_se is None else sum_se.numpy(),
        adjusted=adjusted,
        copy_set=copy_set,
        **fields,
    )


def assemble_run(job: Job, result: RunResult, labels: TrueLabels) -> Difficulty:
    """Build the result of :func:`hardsight.measure`."""
    samples = job.samples
    adjusted, info = measure_adjusted(job, result)
    return assemble(
        result.held_out,
        run_info(job, result, labels, info),
        samples.ids,
        samples.classes,
        loss=job.loss,
        labels=labels.info,
        samples=samples,
        adjusted=adjusted,
        copy_set=job.copy_set,
        attribute=job.request.estimate.ledger is not False,
        left_out=share_left_out(job, result),
    )


def share_left_out(job: Job, result: RunResult) -> float:
    """Return the share of the data that a model leaves out; 1 where predictions do not differ by what their models left out.

    So it is with learners that split by themselves, and where all rounds have the same folds, as when one sample is left
    out: their variance comes from random numbers alone.
    """
    plan = job.plan.select(range(result.repeats))
    folds = [plan.rounds[index].fold for index in plan.repeat_indices] if plan.rounds else []
    if all(np.array_equal(fold, folds[0]) for fold in folds):
        return 1.0
    return float(result.held_out.count.double().mean()) / plan.n_models


def measure_adjusted(job: Job, result: RunResult) -> tuple[np.ndarray | None, AdjustedInfo]:
    """Return the control-variate estimate of the error, ``(sample,)``, None if there is none, and what it came to."""
    if job.why_not_adjusted is not None:
        return None, AdjustedInfo(gain=None, gain_se=None, why=job.why_not_adjusted)
    second = result.held_out.control_variate_estimate(job.loss)
    return second.error, AdjustedInfo(gain=to_json(second.gain), gain_se=to_json(second.gain_se), why=second.reason)


def run_info(job: Job, result: RunResult, labels: TrueLabels, adjusted: AdjustedInfo) -> RunInfo:
    """Return the record of a run, without the label model and the trust in the ledger."""
    samples, learner = job.samples, job.learner
    ended_early = result.repeats < job.plan.repeats
    end = f", ended after {result.repeats}: {result.stop_reason}" if ended_early else ""
    notices = [*samples.notices, *job.notices, *result.notices]
    notices += [notice for notice in labels.notices if notice not in notices]
    return RunInfo(
        loss=(capabilities_of(learner).loss_name or job.loss) if samples.loss_only else job.loss,
        learner=learner.name,
        recipe=learner.describe() + ("" if samples.weights is None else "; training samples weighted"),
        reason=job.reason,
        splits=job.splits + end,
        n_models=learner.n_models(job.plan.select(range(result.repeats))),
        reliability=to_json(result.held_out.reliability(job.loss)),
        seed=job.request.seed,
        duplicates=job.duplicates,
        label_name=samples.label_name,
        part_name=None if samples.parts is None else samples.parts.kind,
        notices=tuple(notices),
        task="loss" if samples.loss_only else None,
        calibration=None if job.calibration is None else job.calibration._asdict(),
        training_length=None if job.length_search is None else job.length_search.to_json(),
        adjusted=adjusted,
        refined=labels.refined,
        witnesses=labels.witnesses,
    )


def _add_label_model(run: RunInfo, account: Ledger, labels: Tensor) -> RunInfo:
    model = account.label_model
    return replace(
        run,
        notices=run.notices if model.informative else (*run.notices, NO_EVIDENCE),
        transition=model.mean_transition().tolist() if len(model.prior) <= _MAX_TRANSITION_CLASSES else None,
        class_shares=model.mean_shares().tolist(),
        class_sizes=torch.bincount(labels, minlength=len(model.prior)).tolist(),
        evidence_weights=model.evidence_weights.tolist(),
        pseudo_counts=[to_json(float(count)) for count in model.pseudo_counts],
    )


def _add_trust(
    run: RunInfo, account: Ledger, consensus: Tensor, held_out: HeldOut, posterior: LabelPosterior | None
) -> RunInfo:
    certain = None if posterior is None else posterior.evidence.in_small_class
    unreliability = ledger_unreliability(account.p_wrong, consensus, held_out.labels, certain)
    # Without a doubted label there is nothing to act on.
    if unreliability < SMALL_UNRELIABILITY or not bool((account.p_wrong > 0.5).any()):
        return run
    trust = 1 - unreliability
    return replace(run, notices=(*run.notices, describe_trust(trust)), ledger_trust=trust)


def _ledger_fields(account: Ledger) -> dict[str, np.ndarray]:
    return {
        "ledger": account.terms.numpy(),
        "p_wrong": account.p_wrong.numpy(),
        "cause": np.array(CAUSES)[account.cause.numpy()],
        "suggested": account.suggested.numpy(),
        "p_suggested": account.p_suggested.numpy(),
        "p_strange": account.p_strange,
    }


def _count_votes(held_out: HeldOut, predicted: np.ndarray) -> dict[str, np.ndarray]:
    if held_out.classes is None:
        return {}
    asked = {"votes_label": held_out.labels, "votes_predicted": torch.from_numpy(predicted)}
    return {name: held_out.count_votes(codes).numpy() for name, codes in asked.items()}


def _count_neighbours(
    neighbours: Neighbours | None, held_out: HeldOut, suggested: np.ndarray | None
) -> dict[str, np.ndarray]:
    if neighbours is None or suggested is None:
        return {}
    return {
        "n_neighbours": (neighbours.labels >= 0).sum(1),
        "neighbours_label": count_neighbours(neighbours, held_out.labels.numpy()),
        "neighbours_suggested": count_neighbours(neighbours, suggested),
    }


def _hardness(parts: Decomposition, account: Ledger, held_out: HeldOut) -> np.ndarray:
    labels, classes = held_out.labels, held_out.classes
    assert classes is not None
    # Size of each sample's class, relative to the mean size.
    share = torch.bincount(labels)[labels].double() * classes / len(labels)
    optional = (None if part is None else part.numpy() for part in (account.atypicality, held_out.in_sample_loss))
    return hardness(parts.error.numpy(), parts.variance.numpy(), account.p_wrong.numpy(), share.numpy(), *optional)


def _predict(held_out: HeldOut, loss: Loss, consensus: Tensor | None) -> np.ndarray:
    """Return the predicted class codes or targets, ``(sample,)``; NaN if there are only losses."""
    if held_out.loss_only:
        return np.full(len(held_out.labels), np.nan)
    if consensus is None:
        return held_out.moments["prediction"].mean.numpy()
    return (held_out.majority if loss == "zero-one" else consensus.argmax(1)).numpy()
