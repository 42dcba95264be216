"""Label refinement: later rounds of models, trained with the automatic weights of the round before.

Models that learned from wrong labels predict softly, and doubt right labels beside wrong ones. Trained with weights that
the first round leads to, they separate the two better. Their predictions serve only the posterior of the true labels:
error, bias and variance stay those of models of the data as given, which the user asked for.

The weight of a training sample comes from models some of which were trained on the sample that is now held out. Only the
weight of a neighbour can leak that way; the mean P(wrong) stays the same (``benchmarks/LOG.md``).

A later round replaces the posterior only if it passes a check on the most confident predictions of the first round, a
quarter of each predicted class. Naturally ambiguous labels agree with these, so what disagrees beyond what P(wrong)
explains is noise that a round has not found. If a round leaves the labels as unreliable by that measure as they were, its
weights did not lead to the noise: in overlapping or rare classes they only made the models doubt more right labels. Nor
does it count if it expects far fewer wrong ones among the labels that looked wrong, and had small weights: soft models and
wrong labels can be equally likely explanations of what it predicts (``benchmarks/LOG.md``).

What witnesses that never saw the labels say counts in the weights of a round and in that check, and is added anew to the
posterior of each round.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.attribution.label_noise import (
    Evidence,
    LabelPosterior,
    SampleFeatures,
    add_class_centres,
    class_prior,
    fit_label_model,
)
from hardsight.attribution.label_noise.confident import ledger_unreliability
from hardsight.attribution.label_noise.rare import bound_p_wrong, cannot_be_judged
from hardsight.attribution.label_noise.span_tags import back_off, fit_span_tag_model
from hardsight.attribution.label_noise.symmetric import fit_symmetric_model
from hardsight.data import Samples
from hardsight.data.tokens.schemes import OUTSIDE
from hardsight.data.tokens.sentences import spells_spans
from hardsight.difficulty.run_info import RefinedInfo
from hardsight.errors import InputError
from hardsight.estimation.checkpoint import Checkpoint, run_identity
from hardsight.estimation.other_labels import read_other_labels
from hardsight.estimation.outputs import MAX_ROUNDS, round_checkpoint
from hardsight.estimation.plan import draw_rounds
from hardsight.estimation.runner import Runner
from hardsight.io.progress import progress_bar
from hardsight.learners import Learner, capabilities_of, choose
from hardsight.learners.tempered import Tempered
from hardsight.learners.threads import limit_threads
from hardsight.measures.held_out import HeldOut
from hardsight.measures.losses import Loss
from hardsight.resampling.plan import Plan, check_rounds
from hardsight.resampling.splitters import KFold, LeaveOneOut, Splitter
from hardsight.validation import check_int

_DEFAULT_ROUNDS = 1
# Predictions of a sample in a later round; more hardly change the consensus, and nothing else is read.
_REPEATS = 4
# Mean P(wrong) from which a second round is run without being asked for.
MIN_WRONG = 0.01
# A round whose posterior leaves more than this share of the unreliability before it is not kept. On 19 real tables chosen
# on and 19 others, wrong labels left fell from 2,141 to 2,020 and from 1,869 to 1,582, and none kept more than before.
_MAX_UNRELIABILITY_LEFT = 0.9
# A round that expects less than this share of wrong ones among the labels that looked wrong before does not count.
_MIN_DOUBT_LEFT = 0.8


class RefinePlan(NamedTuple):
    """The number of later rounds at most, and why there are none if there are none."""

    n_rounds: int
    why_none: str = ""


def plan_refinement(
    refine: bool | int | None,
    learner_argument: Any,
    learner: Learner,
    samples: Samples,
    splitter: Splitter,
    loss: Loss,
    *,
    limited: bool,
) -> RefinePlan:
    """Decide how many later rounds there may be.

    Args:
        refine: number of rounds that the user asks for; None: one if labels look wrong and nothing prevents it.
        learner_argument: the learner as the user passed it.
        loss: loss of the run; the posterior of the labels needs log-loss.
        limited: whether the run has a budget.

    Raises:
        InputError: rounds are asked for that are impossible, or more than 5.
    """
    if refine is False or refine == 0:
        return RefinePlan(0, "not asked for")
    obstacle = _obstacle(learner_argument, learner, samples, splitter, loss)
    if obstacle and refine is not None:
        raise InputError(f"a second round is impossible, because {obstacle}: leave out refine={refine!r}")
    if refine is None and limited:
        obstacle = obstacle or "the run has a budget"
    if obstacle:
        return RefinePlan(0, obstacle)
    if refine is None or refine is True:
        return RefinePlan(_DEFAULT_ROUNDS)
    return RefinePlan(check_int("refine", refine, 1, most=MAX_ROUNDS))


def _obstacle(learner_argument: Any, learner: Learner, samples: Samples, splitter: Splitter, loss: Loss) -> str:
    """Return why later rounds are impossible; an empty string if they are not."""
    if samples.classes is None:
        return "there are no classes"
    if loss != "log":
        return f"the loss {loss!r} has no ledger"
    if isinstance(splitter, LeaveOneOut):
        return "another leave-one-out run for every sample takes too long"
    if weightable_learner(learner_argument, learner, samples) is None:
        return f"{learner.name} does not take weights"
    return ""


def weightable_learner(learner_argument: Any, learner: Learner, samples: Samples) -> Learner | None:
    """Return the same learner in a form that takes weights; None if there is none."""
    if capabilities_of(learner).takes_weights:
        return learner
    if not isinstance(learner_argument, str):
        return None
    if isinstance(learner, Tempered):
        inner = weightable_learner(learner_argument, learner.learner, samples)
        return None if inner is None else learner.with_learner(inner)
    weighted = choose(learner_argument, replace(samples, weights=np.ones(len(samples))))[0]
    return weighted if capabilities_of(weighted).takes_weights else None


def infer_labels(
    held_out: HeldOut,
    samples: Samples,
    neighbours: Tensor | None,
    in_small_class: Tensor | None = None,
    first_consensus: Tensor | None = None,
    witnesses: tuple[Tensor, ...] = (),
    features: SampleFeatures | None = None,
) -> LabelPosterior:
    """Fit the label model to the predictions of a round, and judge rare classes by those of the first.

    Where the wrong labels of each class go to one other class, rare classes are judged like others: ranks tell labels that
    are wrong by chance.

    Args:
        samples: the samples, with the weights that the models were trained with.
        neighbours: labels of the nearest neighbours, and
        in_small_class: samples whose labels cannot be judged; see :class:`Evidence`.
        first_consensus: consensus of the first round; None: this is the first.
        witnesses: held-out predictions by other kinds of models; see :class:`Evidence`.
        features: by which the distances from class centres are measured; None: these are not used.
    """
    assert samples.classes is not None
    prior = class_prior(samples.labels, len(samples.classes), samples.weights)
    consensus, label = held_out.consensus, torch.from_numpy(samples.labels)
    if samples.whole is not None:
        consensus = read_other_labels(consensus, samples)
    if samples.symmetric_noise:
        evidence = Evidence(consensus, label, prior, None)
        with limit_threads(consensus.numel()):
            return LabelPosterior(evidence, fit_symmetric_model(evidence))
    if spells_spans(samples):
        outside = samples.classes.index(OUTSIDE) if OUTSIDE in samples.classes else None
        if in_small_class is not None:
            consensus = back_off(consensus, label, in_small_class, outside)
        evidence = Evidence(consensus, label, prior, None, witnesses=witnesses)
        with limit_threads(consensus.numel()):
            return LabelPosterior(evidence, fit_span_tag_model(evidence, outside))
    evidence = Evidence(consensus, label, prior, neighbours, in_small_class=in_small_class, witnesses=witnesses)
    with limit_threads(consensus.numel()):
        evidence, model = add_class_centres(evidence, fit_label_model(evidence), features)
        if model.targets is None:
            bound = bound_p_wrong(consensus if first_consensus is None else first_consensus, label, in_small_class)
            evidence = evidence._replace(max_p_wrong=bound)
        return LabelPosterior(evidence, model)


def unjudged_samples(posterior: LabelPosterior) -> Tensor | None:
    """Return the samples of classes too small or too rare for their labels to be judged, ``(sample,)``; None: none."""
    evidence = posterior.evidence
    if evidence.max_p_wrong is None:
        return evidence.in_small_class
    unjudged = cannot_be_judged(posterior.p_wrong, evidence.label, evidence.max_p_wrong)
    if evidence.in_small_class is not None:
        unjudged |= evidence.in_small_class
    return unjudged if bool(unjudged.any()) else None


def labels_look_wrong(posterior: LabelPosterior) -> bool:
    """Return whether labels look wrong: by the posterior, or by confident predictions that disagree with labels."""
    if float(posterior.p_wrong.mean()) >= MIN_WRONG:
        return True
    return _unreliability(posterior, posterior.evidence.consensus) > 0


def _unreliability(posterior: LabelPosterior, consensus: Tensor) -> float:
    """Return how unreliable a posterior is, from 0 to 1, judged by predictions of models of the data as given."""
    evidence = posterior.evidence
    with limit_threads(consensus.numel()):
        return ledger_unreliability(posterior.p_wrong, consensus, evidence.label, evidence.in_small_class)


def _explains_noise(before: LabelPosterior, after: LabelPosterior, first_consensus: Tensor) -> bool:
    """Return whether a round should be kept.

    It is if it still doubts the labels that looked wrong, and makes unreliable labels more reliable.
    """
    looked_wrong = before.p_wrong > 0.5
    if float(after.p_wrong[looked_wrong].sum()) < _MIN_DOUBT_LEFT * float(before.p_wrong[looked_wrong].sum()):
        return False
    unreliability = _unreliability(before, first_consensus)
    return unreliability == 0 or _unreliability(after, first_consensus) < _MAX_UNRELIABILITY_LEFT * unreliability


@dataclass(frozen=True)
class RefineRequest:
    """What later rounds need."""

    runner: Runner  # its learner takes weights
    splitter: Splitter  # splitter of the run; of repeated folds at most four repeats are used
    in_small_class: Tensor | None  # samples whose class is missing from the training part of models that predict them
    blocks: np.ndarray
    features: SampleFeatures | None  # by which the distances from class centres are measured; None: these are not used
    n_rounds: int
    seed: int  # seed of the run; every round draws from a stream of its own
    checkpoint: Path | None  # checkpoint of the first round; None: nothing is saved
    progress: bool
    with_witnesses: Callable[[LabelPosterior], LabelPosterior]  # adds the evidence of witnesses that never saw the labels


class RefineResult(NamedTuple):
    """The outcome of later rounds."""

    posterior: LabelPosterior
    info: RefinedInfo
    notices: list[str]


def refine_labels(request: RefineRequest, posterior: LabelPosterior) -> RefineResult:
    """Train again with the weights that the round before leads to, as long as that explains wrong labels.

    Args:
        posterior: the posterior of the true labels by the first round, without witnesses; so is the result's.

    Raises:
        HardsightError: as in the run.
    """
    runner = request.runner
    # Later rounds change neither these arrays nor the evidence of the neighbours.
    first_consensus, neighbours = posterior.evidence.consensus, posterior.evidence.neighbours
    kept, n_models, notices, why = 0, 0, list[str](), "labels look wrong"
    for number in range(2, request.n_rounds + 2):
        weighted = replace(runner.samples, weights=_automatic_weights(request, posterior, first_consensus))
        plan = _make_plan(request, number)
        checkpoint = None
        if request.checkpoint is not None:
            identity = run_identity(weighted, runner.learner, request.splitter, plan)
            checkpoint = Checkpoint(round_checkpoint(request.checkpoint, number), identity)
        round_models = runner.learner.n_models(plan)
        bar = progress_bar(request.progress, round_models, "training again by automatic weights")
        with bar as on_progress, warnings.catch_warnings():
            # They are collected as notices, and most were raised in the first round, too.
            warnings.simplefilter("ignore")
            result = replace(runner, samples=weighted).run(plan, on_progress=on_progress, checkpoint=checkpoint)
        n_models += round_models
        notices += [text for text in result.notices if text not in notices]
        later = infer_labels(
            result.held_out,
            weighted,
            neighbours,
            request.in_small_class,
            first_consensus,
            _reweight(posterior.evidence, weighted),
            request.features,
        )
        before, after = (request.with_witnesses(each) for each in (posterior, later))
        if not _explains_noise(before, after, first_consensus):
            why += (
                f", but round {number} does not count: it doubts suspicious labels less, or explains no more of the labels "
                "that the most confident predictions contradict"
            )
            break
        posterior, kept = later, kept + 1
    return RefineResult(posterior, RefinedInfo(rounds=kept, members=n_models, why=why), notices)


def _reweight(evidence: Evidence, samples: Samples) -> tuple[Tensor, ...]:
    """Return the witnesses as if they had been trained on the class shares of weighted samples."""
    prior = class_prior(samples.labels, len(evidence.prior), samples.weights)
    shift = prior.log() - evidence.prior.log()
    return tuple((witness + shift).log_softmax(1) for witness in evidence.witnesses)


def _automatic_weights(request: RefineRequest, posterior: LabelPosterior, consensus: Tensor) -> np.ndarray:
    # Imported here, since all schemes come with it, and most runs need none.
    from hardsight.weights.schemes.automatic import auto

    # The next round tests the likeliest model; the mean over its alternatives would bring pair flips back.
    likeliest = LabelPosterior(posterior.evidence, posterior.model._replace(alternatives=()))
    p_wrong = request.with_witnesses(likeliest).p_wrong
    weights: np.ndarray = auto(
        p_wrong, consensus, posterior.evidence.label, in_small_class=unjudged_samples(posterior)
    ).numpy()
    own = request.runner.samples.weights
    return weights if own is None else weights * own


def _make_plan(request: RefineRequest, number: int) -> Plan:
    seed = int(np.random.SeedSequence(request.seed, spawn_key=(4, number)).generate_state(1)[0])
    samples, splitter, blocks = request.runner.samples, request.splitter, request.blocks
    if capabilities_of(request.runner.learner).splits_itself:
        return Plan([], blocks, _REPEATS, seed)
    if isinstance(splitter, KFold):
        splitter = KFold(splitter.folds, min(splitter.repeats, _REPEATS))
    rounds = draw_rounds(splitter, samples, blocks, seed)
    check_rounds(rounds, samples.labels, blocks, samples.classes, least=2)
    return Plan(rounds, blocks, len(rounds), seed)
