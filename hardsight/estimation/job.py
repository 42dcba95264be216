"""A planned run: everything that :func:`hardsight.measure` decides before the first model is trained."""

import time
from dataclasses import dataclass, replace
from typing import cast, get_args

import numpy as np
from torch import Tensor

from hardsight.attribution.label_noise.independent_witness import IndependentWitness
from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.estimation.backends import Automatic, choose_backend
from hardsight.estimation.blocks import find_blocks
from hardsight.estimation.calibration import Calibration
from hardsight.estimation.checkpoint import Checkpoint, run_identity
from hardsight.estimation.plan import (
    check_predicts_others,
    describe_splits,
    find_small_classes,
    fit_budget,
    make_plan,
    make_splitter,
)
from hardsight.estimation.request import Request
from hardsight.estimation.reweighted_rounds import RefinePlan, plan_refinement
from hardsight.estimation.runner import Runner, StopRule
from hardsight.estimation.training_length import LengthSearch, search_length, tunable_learner
from hardsight.io.progress import progress_bar
from hardsight.learners import Learner, TunableLength, capabilities_of, choose, weighted_learners
from hardsight.learners.tempered import Tempered
from hardsight.measures.losses import Loss
from hardsight.resampling.plan import Plan
from hardsight.resampling.splitters import LeaveOneOut, Splitter

# Repeats at most if the run ends by reliability or budget.
MAX_REPEATS = 50
_KEEP_PROBABILITIES = "calibrate=False (--no-calibrate) leaves them as they are."


@dataclass(frozen=True)
class Job:
    """A run that is planned and checked."""

    request: Request
    samples: Samples
    learner: Learner
    reason: str  # why this learner is used, in words
    loss: Loss
    splitter: Splitter
    plan: Plan
    refinement: RefinePlan  # how many later rounds there may be
    why_not_adjusted: str | None  # why no control-variate estimate is made; None if one is
    splits: str
    in_small_class: np.ndarray | None  # samples of classes too small for their labels to be judged; None: there are none
    copy_set: np.ndarray | None  # set of copies of each sample, (sample,), -1 for none; None: there are no copies
    duplicates: str  # which samples were kept together as copies: "near", "together" (exact ones) or "apart"
    notices: list[str]
    deadline: float  # when the time budget ends, by the monotonic clock
    calibration: Calibration | None = None  # how the learner is calibrated; None if it is not, or if the run decides
    tunable: TunableLength | None = None  # the learner if its training length is to be searched for; otherwise None
    length_search: LengthSearch | None = None  # the search for the training length; None if there was none
    # Held-out log-probabilities by other kinds of models, (sample, class) each; see Evidence.witnesses.
    witnesses: tuple[Tensor, ...] = ()
    independent_witnesses: tuple[IndependentWitness, ...] = ()  # what never saw the given labels says of them

    @property
    def calibrate(self) -> bool | None:
        """Whether the run calibrates its predictions; see :class:`Runner`."""
        if self.samples.classes is None or self.calibration is not None:
            return False
        asked: bool | None = self.request.estimate.calibrate
        # The loss of votes would not change.
        if asked is None and (self.loss == "zero-one" or not capabilities_of(self.learner).needs_calibration):
            return False
        return asked

    def make_runner(self) -> Runner:
        """Return the runner of the main run."""
        execution = self.request.execution
        backend = choose_backend(execution.backend, execution.jobs, execution.address)
        # An estimator of the user may use a GPU, threads or much memory of its own, so it is never divided unasked.
        if isinstance(self.request.learner, str) and execution.backend is None and execution.jobs is None:
            backend = Automatic()
        return Runner(self.learner, self.samples, backend, execution.resume, self.request.record)

    def make_checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint of the main run; None if nothing is saved."""
        path = self.request.execution.checkpoint
        if path is None:
            return None
        return Checkpoint(path, run_identity(self.samples, self.learner, self.splitter, self.plan, self.calibrate))

    def stop_rule(self) -> StopRule:
        """Return when the run may end before its plan does."""
        left = self.deadline - time.monotonic()
        min_predictions = 1 if isinstance(self.splitter, LeaveOneOut) else 2
        return StopRule(self.request.reliability, left, min_predictions, self.loss)


def plan_job(samples: Samples, request: Request) -> Job:
    """Decide what is trained on what; train nothing.

    Raises:
        InputError: arguments that do not fit the samples, the learner or each other.
    """
    start = time.monotonic()
    learner, reason = choose(request.learner, samples)
    _check_learner(learner, samples)
    if samples.unlabelled is not None:
        check_predicts_others(learner)
    _check_record(request, samples)
    if request.estimate.calibrate and samples.classes is None:
        raise InputError("calibrate needs classes, and these samples have none: leave out calibrate=True")
    loss = choose_loss(request.loss, regression=samples.regression, loss_only=samples.loss_only)
    together = find_blocks(samples, request.duplicates)
    blocks = together.codes
    budget = request.budget
    counts = fit_budget(budget, samples, learner, blocks, request.splits, request.folds, request.repeats)
    limited = request.reliability is not None or budget.limited
    repeats = counts.repeats
    if repeats is None and limited and request.splits in (None, "kfold"):
        repeats = MAX_REPEATS
    splitter = make_splitter(request.splits, counts.folds, repeats, learner)
    refinement = plan_refinement(request.refine, request.learner, learner, samples, splitter, loss, limited=limited)
    obstacle = why_not_adjusted(request.estimate.adjusted, learner, splitter, loss)
    tunable = tunable_learner(request.estimate.pilot, request.learner, learner, splitter, budget.models)
    plan = make_plan(samples, learner, splitter, blocks, repeats, request.seed)
    in_small_class, more = find_small_classes(samples, plan)
    return Job(
        request=request,
        samples=samples,
        learner=learner,
        reason=reason,
        loss=loss,
        splitter=splitter,
        plan=replace(plan, in_sample=obstacle is None),
        refinement=refinement,
        why_not_adjusted=obstacle,
        splits=describe_splits(learner, splitter, plan) + counts.note,
        in_small_class=in_small_class,
        copy_set=together.copy_set,
        duplicates=together.duplicates,
        notices=[*together.notices, *more],
        deadline=start + budget.seconds,
        tunable=tunable,
    )


def tune_training_length(job: Job, runner: Runner) -> Job:
    """Search for the training length if it is open, with a few short trainings; otherwise return the job unchanged.

    Raises:
        HardsightError: as in the run, if the user asks for the search.
    """
    request = job.request
    if job.tunable is None:
        return job
    with progress_bar(request.progress, None, "choosing the training length") as on_progress:
        search = search_length(
            runner,
            job.tunable,
            job.plan.blocks,
            request.seed,
            job.loss,
            on_progress,
            raise_on_failure=bool(request.estimate.pilot),
        )
    reason = f"{job.reason}; {search.describe()}"
    return replace(job, learner=job.tunable.with_length(search.length), reason=reason, length_search=search)


def apply_calibration(job: Job, calibration: Calibration | None) -> Job:
    """Return the job with the learner that the run's calibration leads to; unchanged if it has none."""
    if calibration is None:
        return job
    if not calibration.applied:
        return replace(job, calibration=calibration)
    notices, described = job.notices, calibration.describe()
    if job.request.estimate.calibrate is None:
        notices = [*notices, f"{job.learner.name} is overconfident. Its {described}. {_KEEP_PROBABILITIES}"]
    return replace(
        job,
        learner=Tempered(job.learner, calibration.temperature),
        reason=f"{job.reason}; {described}",
        notices=notices,
        calibration=calibration,
    )


def choose_loss(loss: str | None, *, regression: bool, loss_only: bool = False) -> Loss:
    """Return the loss to measure.

    Args:
        loss: the loss that the user asks for; None: log-loss for classes, squared error for numbers.

    Raises:
        InputError: a loss that does not fit the labels.
    """
    if loss_only:
        if loss is not None:
            raise InputError(f"loss cannot be {loss!r}: these samples have a loss and nothing to predict. Leave out loss")
        return "own"
    if loss is None:
        return "squared" if regression else "log"
    choices = ("squared",) if regression else tuple(each for each in get_args(Loss) if each not in ("squared", "own"))
    if loss not in choices:
        kind = "numbers" if regression else "classes"
        raise InputError(f"loss must be {' or '.join(choices)} for labels that are {kind}. Got {loss!r}")
    return cast(Loss, loss)


def _check_learner(learner: Learner, samples: Samples) -> None:
    if samples.weights is not None and not capabilities_of(learner).takes_weights:
        raise InputError(
            f"{learner.name} does not take weights of training samples: leave out weights, or use "
            f"{', '.join(weighted_learners())}, an estimator whose fit takes sample_weight, or hs.HuggingFace by its own "
            "loss"
        )


def _check_record(request: Request, samples: Samples) -> None:
    record = request.record
    if record is None:
        return
    if samples.classes is None:
        raise InputError("record needs classes, and these samples have none: leave it out")
    if request.execution.checkpoint is not None:
        raise InputError("record is not part of a checkpoint: leave out record or checkpoint")
    if record.ordered:
        raise InputError(
            f"record must not hold {', '.join(record.ordered)}, because the models of an ensemble have no order: pass "
            "record=hs.Record(members=True)"
        )


def why_not_adjusted(adjusted: bool | None, learner: Learner, splitter: Splitter, loss: Loss) -> str | None:
    """Return why no control-variate estimate is made; None if one is.

    Raises:
        InputError: it is asked for, and impossible.
    """
    if adjusted is False:
        return "not asked for"
    obstacle = None
    capabilities = capabilities_of(learner)
    if not capabilities.predicts_in_sample:
        obstacle = f"{learner.name} does not predict its training samples"
    elif isinstance(splitter, LeaveOneOut):
        obstacle = "leave-one-out would need a prediction of every pair of samples"
    elif loss == "zero-one":
        obstacle = "0-1 losses are too coarse to relate in-sample to held-out errors"
    elif adjusted is None and not capabilities.in_sample_is_cheap:
        obstacle = "predicting its training samples may take the learner long: adjusted=True asks for it"
    if adjusted and obstacle is not None:
        raise InputError(f"adjusted errors are impossible, because {obstacle}: leave out adjusted=True")
    return obstacle
