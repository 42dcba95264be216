"""The search for the training length: a few models of several lengths, compared by their held-out losses before the run.

All lengths are tried on the same splits, from the same initial weights, so that the losses of a sample under two lengths
are paired. The chosen length is the shortest whose mean held-out loss exceeds the least by no more than one standard
error of the mean difference (the one-standard-error rule of Breiman et al. 1984, *Classification and Regression Trees*,
for pairs; :func:`hardsight.estimation.paired_losses.is_significant`).
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from hardsight.attribution.label_noise import class_prior
from hardsight.data import Samples
from hardsight.errors import HardsightError, InputError
from hardsight.estimation.paired_losses import is_significant, mean_and_error
from hardsight.estimation.plan import draw_rounds
from hardsight.estimation.runner import Runner
from hardsight.learners import Learner, OnProgress, TunableLength, capabilities_of
from hardsight.learners.network.network import format_length
from hardsight.learners.registry import is_auto
from hardsight.measures.held_out import HeldOut
from hardsight.measures.losses import Loss
from hardsight.resampling.plan import Plan, Round, check_rounds, small_classes
from hardsight.resampling.splitters import KFold, LeaveOneOut, Splitter

FOLDS = 5
# Samples that suffice to compare lengths.
MAX_SAMPLES = 10_000
# No length beyond the default is tried if one model would take more steps than this.
MAX_STEPS = 6_000
LONGER, SHORTER = (3.0, 9.0), 1 / 3


class LengthTrial(NamedTuple):
    """One training length that was tried."""

    length: float  # factor on the default number of steps
    loss: float
    gap: float  # difference from the least mean loss of all tried lengths
    gap_se: float  # standard error of gap, over blocks; 0 for the best itself


class PilotRun(NamedTuple):
    """Five models of the chosen length and what they predict."""

    samples: Samples
    plan: Plan
    log_prob: Tensor  # held-out log-probabilities, (sample, class); class shares where there is none

    @property
    def predicted(self) -> np.ndarray:
        """Whether a model predicts each sample, ``(sample,)``."""
        predicted: np.ndarray = self.plan.rounds[0].fold >= 0
        return predicted


class LengthSearch(NamedTuple):
    """The outcome of the search for the training length."""

    length: float
    trials: list[LengthTrial]  # the lengths that were tried, shortest first
    loss: Loss  # the loss that compared them
    models: int  # number of models trained in all
    samples: int  # number of samples that they predicted
    failed: str | None = None  # why there is nothing to choose by; None if the search succeeded
    pilot: PilotRun | None = None  # the run of the chosen length; None without classes, or if the search failed

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON types, without the pilot's predictions."""
        values = {**self._asdict(), "trials": [trial._asdict() for trial in self.trials]}
        del values["pilot"]
        return values

    def describe(self) -> str:
        """Describe the outcome, for the reason of a learner."""
        if self.failed is not None:
            return f"default training length, because the search for a better one failed: {self.failed}"
        return (
            f"training length {format_length(self.length)} the default, chosen by the held-out loss of {self.models} models"
        )


def tunable_learner(
    pilot: bool | None, learner_argument: Any, learner: Learner, splitter: Splitter, max_models: int | None
) -> TunableLength | None:
    """Return the learner if its training length is to be searched for, otherwise None.

    Args:
        pilot: whether the user asks for a search; None: if the learner was left open, has a length to choose, and the
            number of models is not limited.
        learner_argument: the learner as the user passed it.
        max_models: budget of the run in models; None without one.

    Raises:
        InputError: a search is asked for, and the learner has no length to choose.
    """
    if pilot is False:
        return None
    if pilot is None and (not is_auto(learner_argument) or max_models is not None or isinstance(splitter, LeaveOneOut)):
        return None
    if isinstance(learner, TunableLength) and capabilities_of(learner).tunable_length:
        return learner
    if pilot is None:
        return None
    raise InputError(
        f"pilot needs a learner with an open training length, which {learner.name} does not have: leave out pilot=True, or "
        "use the learner auto, network or convnet, or hs.Network without epochs and length"
    )


def search_length(
    runner: Runner,
    learner: TunableLength,
    blocks: np.ndarray,
    seed: int,
    loss: Loss,
    on_progress: OnProgress,
    *,
    raise_on_failure: bool = True,
) -> LengthSearch:
    """Choose the training length.

    Lengths 3 and 9 are tried as long as each pays, and 1/3 if 3 does not, with five models each. Large data are
    subsampled in whole blocks, with at least five blocks of every class that has so many.

    Args:
        runner: runner of the main run; its samples are used.
        seed: seed of the run; the search draws from a stream of its own.
        loss: loss of the run; "zero-one" is too coarse, and "log" decides instead.
        raise_on_failure: whether to raise errors; otherwise the length stays the default, and the result says why.

    Raises:
        HardsightError: as in the run.
    """
    compared_by: Loss = "log" if loss == "zero-one" else loss
    try:
        return _search(runner, learner, blocks, seed, compared_by, on_progress)
    except HardsightError as error:
        if raise_on_failure:
            raise
        return LengthSearch(1.0, [], compared_by, 0, 0, str(error))


def _search(
    runner: Runner, learner: TunableLength, blocks: np.ndarray, seed: int, loss: Loss, on_progress: OnProgress
) -> LengthSearch:
    samples = runner.samples
    own_seed = int(np.random.SeedSequence(seed, spawn_key=(2,)).generate_state(1)[0])
    steps = learner.steps((1 - 1 / FOLDS) * len(samples))
    samples, blocks = _draw_samples(samples, blocks, own_seed)
    plan = make_pilot_plan(samples, blocks, own_seed)

    predicted = plan.rounds[0].fold >= 0
    blocks = blocks[predicted]
    consensus = dict[float, Tensor]()

    def held_out_losses(length: float) -> np.ndarray:
        trial = replace(runner, learner=learner.with_length(length), samples=samples, resume=False, user_record=None)
        held_out = trial.run(plan, on_progress=on_progress).held_out
        if held_out.classes is not None:
            consensus[length] = consensus_of(held_out)
        losses: np.ndarray = held_out.moments[loss].mean.numpy()
        return losses[predicted]

    losses = {1.0: held_out_losses(1.0)}
    for longer in LONGER:
        if steps * longer > MAX_STEPS or choose_length(losses, blocks) != max(losses):
            break
        losses[longer] = held_out_losses(longer)
    if choose_length(losses, blocks) == 1:
        losses[SHORTER] = held_out_losses(SHORTER)
    best = losses[_best_length(losses)]
    trials = [
        LengthTrial(length, float(each.mean()), *mean_and_error(each - best, blocks))
        for length, each in sorted(losses.items())
    ]
    length = choose_length(losses, blocks)
    pilot = PilotRun(samples, plan, consensus[length]) if consensus else None
    return LengthSearch(length, trials, loss, plan.n_models * len(losses), len(blocks), pilot=pilot)


def _draw_samples(samples: Samples, blocks: np.ndarray, seed: int) -> tuple[Samples, np.ndarray]:
    """Return the samples of a pilot and their block codes: a subsample if there are more than ``MAX_SAMPLES``."""
    most = MAX_SAMPLES
    if samples.parts is not None and samples.parts.names is not None:
        # All labels of a sample are learned at once.
        most *= len(samples.parts.names)
    if len(samples) <= most:
        return samples, blocks
    rows = subsample(samples, blocks, np.random.default_rng(seed), most)
    return samples.take(rows), np.unique(blocks[rows], return_inverse=True)[1].reshape(-1)


def subsample(samples: Samples, blocks: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """Draw about ``most`` samples in whole blocks, each class in proportion; return their rows, ascending.

    ``FOLDS`` blocks of every class are drawn, or all that it has, even if that makes more samples.
    """
    strata = np.zeros(len(samples), dtype=np.int64) if samples.regression else samples.labels
    stratum, block = np.unique(np.stack([strata, blocks]), axis=1)
    order = np.lexsort((rng.random(len(block)), stratum))
    place = np.arange(len(order)) - np.searchsorted(stratum[order], stratum[order])
    share = np.where(place < FOLDS, 0, (place + rng.random(len(place))) / np.bincount(stratum)[stratum[order]])
    rank = np.full(int(blocks.max()) + 1, np.inf)
    np.minimum.at(rank, block[order], share)
    first = np.argsort(rank, kind="stable")
    size = np.bincount(blocks)[first].cumsum()
    drawn = np.zeros(len(rank), dtype=bool)
    drawn[first] = (size <= most) | (rank[first] == 0)
    return np.flatnonzero(drawn[blocks])


def choose_length(losses: dict[float, np.ndarray], blocks: np.ndarray) -> float:
    """Return the shortest length that the best one does not significantly improve on.

    Args:
        losses: held-out losses ``(sample,)`` by length.
    """
    best = _best_length(losses)
    return next(
        length for length in sorted(losses) if length == best or not is_significant(losses[length] - losses[best], blocks)
    )


def _best_length(losses: dict[float, np.ndarray]) -> float:
    return min(losses, key=lambda length: (losses[length].mean(), length))


def make_pilot_plan(samples: Samples, blocks: np.ndarray, seed: int) -> Plan:
    """Plan one repeat. Samples of classes that a model would not see are only trained on: no length predicts them better.

    Raises:
        InputError: a training part would have a single class.
    """
    labels = None if samples.regression else samples.labels
    [round_] = draw_rounds(KFold(min(FOLDS, int(blocks.max()) + 1), 2), samples, blocks, seed)[:1]
    if samples.classes is not None:
        small = small_classes([round_], samples.labels, blocks, len(samples.classes))
        round_ = Round(np.where(small[samples.labels], -1, round_.fold).astype(np.int32), round_.n_models)
        check_rounds([round_], labels, blocks, samples.classes, least=0)
    return Plan([round_], blocks, 1, seed)


def predict_once(runner: Runner, plan: Plan, on_progress: OnProgress) -> Float64[Tensor, "sample class"]:
    """Train the models of one repeat, and return their held-out log-probabilities as :func:`consensus_of` does."""
    return consensus_of(runner.run(plan, on_progress=on_progress).held_out)


def consensus_of(held_out: HeldOut) -> Float64[Tensor, "sample class"]:
    """Return the consensus, with the class shares of the labels for samples that no model predicts."""
    log_prob = held_out.consensus
    log_prob[held_out.count == 0] = class_prior(held_out.labels.numpy(), log_prob.shape[1]).log()
    return log_prob
