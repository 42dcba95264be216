"""The search for the training length: a few models of several lengths, compared by their held-out losses before the run.

All lengths are tried on the same splits, from the same initial weights, so that the losses of a sample under two lengths
are paired. The chosen length is the shortest whose mean held-out loss exceeds the least by no more than one standard
error of the mean difference (the one-standard-error rule of Breiman et al. 1984, *Classification and Regression Trees*,
for pairs). The mean of gains g_i exceeds its standard error if and only if (Σ g_i)² > Σ g_i²: if the loss of one sample
falls by much and the others' hardly change, the sign of these others decides, however small. So the mean has to exceed
its standard error without the sample (or group) that gains the most; with it, it then does, too.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from hardsight.data import Samples
from hardsight.errors import HardsightError, InputError
from hardsight.estimation.runner import Runner
from hardsight.learners import Learner, OnProgress, TunableLength, capabilities_of
from hardsight.learners.network.network import format_length
from hardsight.measures.losses import Loss
from hardsight.resampling.plan import Plan, Round, check_rounds, small_classes, split_seed
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


class LengthSearch(NamedTuple):
    """The outcome of the search for the training length."""

    length: float
    trials: list[LengthTrial]  # the lengths that were tried, shortest first
    loss: Loss  # the loss that compared them
    models: int  # number of models trained in all
    samples: int  # number of samples that they predicted
    failed: str | None = None  # why there is nothing to choose by; None if the search succeeded

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON types."""
        return {**self._asdict(), "trials": [trial._asdict() for trial in self.trials]}

    def describe(self) -> str:
        """Describe the outcome, for the reason of a learner."""
        if self.failed is not None:
            return f"default training length, because the search for a better one failed: {self.failed}"
        return (
            f"training length {format_length(self.length)} the default, by held-out loss in a pilot of {self.models} models"
        )


def tunable_learner(
    pilot: bool | None, learner_argument: Any, learner: Learner, splitter: Splitter, max_models: int | None
) -> TunableLength | None:
    """Return the learner if its training length is to be searched for, otherwise None.

    Args:
        pilot: whether the user asks for a search; None: if the learner was left open and the number of models is not
            limited.
        learner_argument: the learner as the user passed it.
        max_models: budget of the run in models; None without one.

    Raises:
        InputError: a search is asked for, and the learner has no length to choose.
    """
    if pilot is False:
        return None
    if pilot is None:
        left_open = isinstance(learner_argument, str) and learner_argument == "auto"
        if not left_open or max_models is not None or isinstance(splitter, LeaveOneOut):
            return None
    if isinstance(learner, TunableLength) and capabilities_of(learner).tunable_length:
        return learner
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
    samples, blocks = draw_pilot_samples(samples, blocks, own_seed)
    plan = make_pilot_plan(samples, blocks, own_seed)

    predicted = plan.rounds[0].fold >= 0
    blocks = blocks[predicted]

    def held_out_losses(length: float) -> np.ndarray:
        trial = replace(runner, learner=learner.with_length(length), samples=samples, resume=False, user_record=None)
        losses: np.ndarray = trial.run(plan, on_progress=on_progress).held_out.moments[loss].mean.numpy()
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
    return LengthSearch(choose_length(losses, blocks), trials, loss, plan.n_models * len(losses), len(blocks))


def draw_pilot_samples(samples: Samples, blocks: np.ndarray, seed: int) -> tuple[Samples, np.ndarray]:
    """Return the samples of a pilot and their block codes: a subsample if there are more than ``MAX_SAMPLES``."""
    if len(samples) <= MAX_SAMPLES:
        return samples, blocks
    rows = subsample(samples, blocks, np.random.default_rng(seed))
    return samples.take(rows), np.unique(blocks[rows], return_inverse=True)[1].reshape(-1)


def subsample(samples: Samples, blocks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw about ``MAX_SAMPLES`` samples in whole blocks, each class in proportion; return their rows, ascending.

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
    drawn[first] = (size <= MAX_SAMPLES) | (rank[first] == 0)
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


def is_significant(gain: np.ndarray, blocks: np.ndarray) -> bool:
    """Return whether the mean gain exceeds its standard error, without the block that gains the most."""
    rest = blocks != np.bincount(blocks, gain).argmax()
    mean, error = mean_and_error(gain[rest], blocks[rest])
    return mean > error


def _best_length(losses: dict[float, np.ndarray]) -> float:
    return min(losses, key=lambda length: (losses[length].mean(), length))


def mean_and_error(difference: np.ndarray, blocks: np.ndarray) -> tuple[float, float]:
    """Return the mean over samples and its standard error over blocks, whose samples may be alike.

    The error is infinite for fewer than two blocks.
    """
    codes = np.unique(blocks, return_inverse=True)[1].reshape(-1)
    count = int(codes.max(initial=-1)) + 1
    if count < 2:
        return 0.0, float("inf")
    mean = float(difference.mean())
    deviation = np.bincount(codes, difference - mean)
    return mean, float(np.sqrt(count / (count - 1) * (deviation**2).sum()) / len(difference))


def make_pilot_plan(samples: Samples, blocks: np.ndarray, seed: int) -> Plan:
    """Plan one repeat. Samples of classes that a model would not see are only trained on: no length predicts them better.

    Raises:
        InputError: a training part would have a single class.
    """
    labels = None if samples.regression else samples.labels
    [round_] = KFold(min(FOLDS, int(blocks.max()) + 1), 2).split(labels, blocks, split_seed(seed))[:1]
    if samples.classes is not None:
        small = small_classes([round_], samples.labels, blocks, len(samples.classes))
        round_ = Round(np.where(small[samples.labels], -1, round_.fold).astype(np.int32), round_.n_models)
        check_rounds([round_], labels, blocks, samples.classes, least=0)
    return Plan([round_], blocks, 1, seed)
