"""Running a plan a few repeats at a time, until it is done, the ranking is reliable or the time budget is spent."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch

from hardsight.data import Samples
from hardsight.errors import InputError, LearnerError, first_line
from hardsight.estimation.backends import Backend, Serial
from hardsight.estimation.calibration import Calibration, Calibrator
from hardsight.estimation.checkpoint import Checkpoint, Progress
from hardsight.io.memmap import row_blocks
from hardsight.learners import InSampleLosses, Learner, OnProgress, Predictions, capabilities_of
from hardsight.learners.threads import limit_threads
from hardsight.measures.held_out import HeldOut
from hardsight.measures.losses import Loss
from hardsight.measures.probabilities import look_like_probabilities
from hardsight.measures.record import Record
from hardsight.resampling.plan import Plan

# About as many models share a part as fill a stack of small networks. It is a constant, so it changes no result.
MODELS_PER_PART = 25


@dataclass(frozen=True)
class StopRule:
    """When a run may end before its plan does."""

    reliability: float | None = None  # reliability of the ranking by loss to reach, between 0 and 1; None: never stop for it
    seconds: float = float("inf")  # time budget of this process, kept as far as whole parts allow
    min_predictions: int = 2  # held-out predictions that every sample needs before the run may stop early
    # The loss that ranks the samples, and that is kept of in-sample predictions if the plan asks for them.
    loss: Loss = "log"


class RunResult(NamedTuple):
    """The outcome of a run."""

    held_out: HeldOut  # moments of the held-out predictions of all finished repeats
    repeats: int  # number of finished repeats
    stop_reason: str  # why the run ended, in words
    notices: list[str]
    calibration: Calibration | None = None  # None if predictions are not calibrated


_RUN_ALL = StopRule()
_SERIAL = Serial()


@dataclass(frozen=True)
class Runner:
    """Trains the models of a plan and collects their predictions.

    Parts are the same for every run of a plan, and a part depends on nothing but the plan, so a run that was stopped and
    resumed gives the same bytes as one that was not.
    """

    learner: Learner
    samples: Samples
    backend: Backend = _SERIAL  # where models are trained; changes no byte
    resume: bool = False  # whether to start from the checkpoint
    user_record: Record | None = None  # a record of the user that also receives every prediction, numbered as they come
    # Whether to divide predictions of classes by a temperature; None: if that clearly lowers their log-loss.
    calibrate: bool | None = False
    clock: Callable[[], float] = time.monotonic

    def run(
        self,
        plan: Plan,
        stop: StopRule = _RUN_ALL,
        on_progress: OnProgress = lambda _: None,
        checkpoint: Checkpoint | None = None,
    ) -> RunResult:
        """Train and predict part by part.

        Args:
            checkpoint: where to save the state after every part.

        Raises:
            InputError: the checkpoint cannot be written or belongs to another run, or the budget ends before every
                sample has enough predictions.
            LearnerError: a model failed.
        """
        start, slowest, view = self.clock(), 0.0, 0
        held_out = self._empty(plan, stop)
        saved = Progress() if checkpoint is None or not self.resume else checkpoint.restore(held_out)
        repeats, notices, calibrator = saved.repeats, list(saved.notices), self._make_calibrator(plan, saved.calibration)
        on_progress(self.learner.n_models(plan.select(range(repeats))))
        size = 1 if capabilities_of(self.learner).expensive else _repeats_per_part(plan)
        parts = [plan.select(range(first, min(first + size, plan.repeats))) for first in range(repeats, plan.repeats, size)]
        # Losses of predictions that are yet to be calibrated say nothing.
        losses_only = plan.in_sample and self.user_record is None and self.samples.classes is not None and not calibrator
        learner: Learner = InSampleLosses(self.learner, stop.loss) if losses_only else self.learner
        add_in_sample = held_out.add_in_sample_losses if losses_only else held_out.add_in_sample
        with (
            limit_threads(_largest_matrix(self.samples), "blas"),
            closing(self.backend.run(learner, self.samples, parts, on_progress)) as predictions_of_parts,
        ):
            while (reason := _stop_reason(held_out, repeats, plan, stop, self.clock() - start, slowest)) is None:
                part_start = self.clock()
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    part = self._check_finite(next(predictions_of_parts))
                    for predictions in part if calibrator is None else calibrator.apply(part):
                        add = add_in_sample if predictions.in_sample else held_out.add
                        add(predictions.rows, predictions.values, predictions.repeat)
                        self._copy_to_record(view, predictions)
                        view += 1
                _collect_warnings(caught, notices)
                repeats, slowest = min(repeats + size, plan.repeats), max(slowest, self.clock() - part_start)
                if checkpoint is not None:
                    checkpoint.save(held_out, repeats, notices, None if calibrator is None else calibrator.calibration)
        return RunResult(held_out, repeats, reason, notices, None if calibrator is None else calibrator.calibration)

    def _make_calibrator(self, plan: Plan, saved: Calibration | None) -> Calibrator | None:
        """Return what calibrates the predictions, None if nothing does.

        Args:
            saved: what a run that is continued has fitted.
        """
        if self.calibrate is False or self.samples.classes is None:
            return None
        calibrator = Calibrator(torch.from_numpy(self.samples.labels), plan.blocks, always=self.calibrate is True)
        calibrator.calibration = saved
        return calibrator

    def _empty(self, plan: Plan, stop: StopRule) -> HeldOut:
        return HeldOut(
            torch.from_numpy(self.samples.labels),
            None if self.samples.classes is None else len(self.samples.classes),
            stop.loss if plan.in_sample else None,
            loss_only=self.samples.loss_only,
            part_of=None if self.samples.parts is None else torch.from_numpy(self.samples.parts.codes),
        )

    def _check_finite(self, part: Iterable[Predictions]) -> Iterator[Predictions]:
        """Yield the predictions unchanged; one that is not finite would silently spoil its sample's error."""
        for predictions in part:
            for rows in row_blocks(len(predictions.rows), predictions.values[:1].numel()):
                values = predictions.values[rows]
                invalid = ~values.isfinite()
                if invalid.any():
                    name = self.samples.ids[int(predictions.rows[rows][invalid.nonzero()[0, 0]])].item()
                    raise LearnerError(
                        f"{self.learner.name} predicts {values[invalid][0].item():g} for sample {name!r}: scale the "
                        "features, or use another learner"
                    )
            if self.samples.classes is not None and look_like_probabilities(predictions.values):
                raise LearnerError(
                    f"{self.learner.name} predicts probabilities (none below zero, rows sum to one), where logits or "
                    "log-probabilities are needed: return their logarithm"
                )
            yield predictions

    def _copy_to_record(self, view: int, predictions: Predictions) -> None:
        if self.user_record is None:
            return
        rows = predictions.rows.numpy()
        self.user_record.add(
            view=view,
            ids=self.samples.ids[rows],
            logits=predictions.values,
            labels=self.samples.labels[rows],
            held_out=not predictions.in_sample,
        )


def _repeats_per_part(plan: Plan) -> int:
    # Learners that split by themselves have no rounds; a repeat of theirs is a whole forest.
    n_models = plan.n_models if plan.rounds else plan.repeats * MODELS_PER_PART
    return max(2, round(MODELS_PER_PART * plan.repeats / max(n_models, 1)))


def _largest_matrix(samples: Samples) -> int:
    """Return the size of the largest matrix that a learner is likely to form: of features, or of pairs of samples."""
    features = samples.features if samples.embedding is None else samples.embedding
    return max(int(getattr(features, "size", 0)), len(samples) ** 2)


def _stop_reason(held_out: HeldOut, repeats: int, plan: Plan, stop: StopRule, elapsed: float, slowest: float) -> str | None:
    """Return why the run ends now, in words; None if it goes on.

    Args:
        repeats: number of finished repeats.
        elapsed: seconds since the start.
        slowest: seconds that the slowest part took.

    Raises:
        InputError: the time is spent before every sample has enough predictions.
    """
    if repeats >= plan.repeats:
        return "all repeats done"
    seldom = int((held_out.count < stop.min_predictions).sum())
    may_stop = repeats > 0 and not seldom
    if may_stop and stop.reliability is not None and held_out.reliability(stop.loss) >= stop.reliability:
        return f"reliability {stop.reliability:g} reached"
    # Two repeats are trained in any case: one alone has no error bar.
    if repeats >= 2 and elapsed + slowest > stop.seconds:
        if seldom:
            raise InputError(
                f"the budget ends with {seldom:,} samples that have fewer than {stop.min_predictions} held-out "
                "predictions: allow more time"
            )
        return "budget spent"
    return None


def _collect_warnings(caught: Iterable[warnings.WarningMessage], notices: list[str]) -> None:
    """Pass warnings on to the caller and add them to the notices, each text once: hundreds of models raise the same."""
    for warning in caught:
        text = f"{warning.category.__name__}: {first_line(cast(Warning, warning.message))}"
        if text not in notices:
            notices.append(text)
            warnings.warn(warning.message, warning.category, stacklevel=4)
