"""How long to train: a few models of several lengths, before the run, tell by their held-out losses.

All lengths are tried on the same splits, from the same initial weights, so that the losses of a sample under two of them are
a pair. The length that is chosen is the shortest whose mean held-out loss is not above the least by more than one standard
error of the mean difference (the one-standard-error rule of Breiman et al. 1984, *Classification and Regression Trees*, for
pairs). The mean of gains g_i is above its standard error just if (Σ g_i)² > Σ g_i²: where the loss of one sample falls by
much and the others' hardly at all, their sign decides, however small. So the mean has to be above its standard error without
the sample (or group) that gains the most; with it, it then is, too.
"""

from typing import Any, NamedTuple

import numpy as np

from hardsight.data import Samples
from hardsight.errors import HardsightError, InputError
from hardsight.estimation.backends import Backend
from hardsight.estimation.runner import Until, carry_out
from hardsight.learners import Learner, OnProgress, TunableLength, capabilities_of
from hardsight.learners.network.network import times
from hardsight.measures.held_out import Loss
from hardsight.resampling.plan import Plan, check_rounds, max_folds, split_seed
from hardsight.resampling.splitters import KFold, LeaveOneOut, Splitter

FOLDS = 5
# Samples that are enough to tell lengths apart.
MOST_SAMPLES = 10_000
# No length beyond the default is tried that takes a member more steps than this.
MOST_STEPS = 6_000
LONGER, SHORTER = (3.0, 9.0), 1 / 3


class Trial(NamedTuple):
    """One length.

    Attributes:
        length: factor on the default number of steps.
        loss: mean held-out loss.
        gap: how much higher that is than the least of all lengths tried.
        gap_se: standard error of ``gap``, over units; 0 for the best itself.
    """

    length: float
    loss: float
    gap: float
    gap_se: float


class Pilot(NamedTuple):
    """What a pilot came to.

    Attributes:
        length: chosen.
        trials: the lengths tried, shortest first.
        loss: by which they were judged.
        models: how many were trained in all.
        samples: how many they judged.
        failed: why there is nothing to choose by; None where there is.
    """

    length: float
    trials: list[Trial]
    loss: Loss
    models: int
    samples: int
    failed: str | None = None

    def settings(self) -> dict[str, Any]:
        """As JSON types."""
        return {**self._asdict(), "trials": [trial._asdict() for trial in self.trials]}

    def describe(self) -> str:
        """In words, for the reason of a learner."""
        if self.failed is not None:
            return f"training length as by default, because there can be no pilot: {self.failed}"
        return f"training length {times(self.length)} the default, by held-out loss in a pilot of {self.models} models"


def open_length(
    asked: bool | None, given: Any, learner: Learner, splits: Splitter, models: int | None
) -> TunableLength | None:
    """The network whose length of training a pilot is to choose; None if there is to be no pilot.

    Args:
        asked: as the user says; None: where the learner was left open, and the number of models is not limited.
        given: the learner as the user names it.
        learner: what that stands for.
        splits: of the run.
        models: budget of the run; None without one.

    Raises:
        InputError: a pilot is asked for, and the learner has no length to choose.
    """
    if asked is False:
        return None
    if asked is None and (not isinstance(given, str) or given != "auto"):
        return None
    if asked is None and (models is not None or isinstance(splits, LeaveOneOut)):
        return None
    if isinstance(learner, TunableLength) and capabilities_of(learner).tunable_length:
        return learner
    raise InputError(
        f"there can be no pilot, because {learner.name} has no length of training, or it is given: leave out pilot=True, "
        "or use the learner auto, network or convnet, or hs.Network without epochs and length"
    )


def try_lengths(
    network: TunableLength,
    samples: Samples,
    units: np.ndarray,
    seed: int,
    loss: Loss,
    backend: Backend,
    tick: OnProgress,
    *,
    must: bool = True,
) -> Pilot:
    """Choose the length of training.

    Lengths 3 and 9 are tried for as long as each pays, and 1/3 if 3 does not: five models each. Of many samples some are
    drawn, units whole, at least five units of every class.

    Args:
        network: whose length is open.
        samples: of the run.
        units: codes of samples that must stay together, ``(sample,)``.
        seed: of the run; the pilot draws from a stream of its own.
        loss: of the run; for "zero-one", which is too coarse, "log" decides.
        backend: where to train.
        tick: told of progress, in models.
        must: whether to raise what goes wrong; otherwise the length stays the default, and the result says why.

    Raises:
        HardsightError: as the run would.
    """
    by: Loss = "log" if loss == "zero-one" else loss
    try:
        return _tried(network, samples, units, seed, by, backend, tick)
    except HardsightError as fault:
        if must:
            raise
        return Pilot(1.0, [], by, 0, 0, str(fault))


def _tried(
    network: TunableLength, samples: Samples, units: np.ndarray, seed: int, by: Loss, backend: Backend, tick: OnProgress
) -> Pilot:
    own = int(np.random.SeedSequence(seed, spawn_key=(2,)).generate_state(1)[0])
    largest = network.steps((1 - 1 / FOLDS) * len(samples))
    if len(samples) > MOST_SAMPLES:
        at = drawn(samples, units, np.random.default_rng(own))
        samples, units = samples.take(at), np.unique(units[at], return_inverse=True)[1].reshape(-1)
    plan = _plan(samples, units, own)

    def judged(length: float) -> np.ndarray:
        done = carry_out(network.with_length(length), samples, plan, Until(), tick, backend=backend)
        losses: np.ndarray = done.record.moments[by].mean.numpy()
        return losses

    tried = {1.0: judged(1.0)}
    for longer in LONGER:
        if largest * longer > MOST_STEPS or chosen(tried, units) != max(tried):
            break
        tried[longer] = judged(longer)
    if chosen(tried, units) == 1:
        tried[SHORTER] = judged(SHORTER)
    best = _best(tried)
    gaps = {length: _gap(losses - tried[best], units) for length, losses in sorted(tried.items())}
    trials = [Trial(length, float(tried[length].mean()), *gap) for length, gap in gaps.items()]
    return Pilot(chosen(tried, units), trials, by, plan.n_models * len(tried), len(samples))


def drawn(samples: Samples, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions of about ``MOST_SAMPLES`` samples, ascending: every class at its share, units whole.

    Of every class there are ``FOLDS`` units, or all that it has, even where that makes more samples.
    """
    strata = np.zeros(len(samples), dtype=np.int64) if samples.regression else samples.labels
    stratum, unit = np.unique(np.stack([strata, units]), axis=1)
    order = np.lexsort((rng.random(len(unit)), stratum))
    place = np.arange(len(order)) - np.searchsorted(stratum[order], stratum[order])
    share = np.where(place < FOLDS, 0, (place + rng.random(len(place))) / np.bincount(stratum)[stratum[order]])
    rank = np.full(int(units.max()) + 1, np.inf)
    np.minimum.at(rank, unit[order], share)
    first = np.argsort(rank, kind="stable")
    together = np.bincount(units)[first].cumsum()
    kept = np.zeros(len(rank), dtype=bool)
    kept[first] = (together <= MOST_SAMPLES) | (rank[first] == 0)
    return np.flatnonzero(kept[units])


def chosen(tried: dict[float, np.ndarray], units: np.ndarray) -> float:
    """The shortest length over which the best one does not pay. ``tried``: losses ``(sample,)`` by length."""
    best = _best(tried)
    return next(length for length in sorted(tried) if length == best or not pays(tried[length] - tried[best], units))


def pays(gain: np.ndarray, units: np.ndarray) -> bool:
    """Whether the mean gain ``(sample,)`` is above nothing by more than its standard error, without the best unit."""
    rest = units != np.bincount(units, gain).argmax()
    mean, error = _gap(gain[rest], units[rest])
    return mean > error


def _best(tried: dict[float, np.ndarray]) -> float:
    return min(tried, key=lambda length: (tried[length].mean(), length))


def _gap(difference: np.ndarray, units: np.ndarray) -> tuple[float, float]:
    """Mean over samples, and its standard error over units, whose samples may be alike; infinite for fewer than two."""
    codes = np.unique(units, return_inverse=True)[1].reshape(-1)
    count = int(codes.max(initial=-1)) + 1
    if count < 2:
        return 0.0, float("inf")
    mean = float(difference.mean())
    spread = np.bincount(codes, difference - mean)
    return mean, float(np.sqrt(count / (count - 1) * (spread**2).sum()) / len(difference))


def _plan(samples: Samples, units: np.ndarray, seed: int) -> Plan:
    """One repeat, in as many folds as the smallest class allows.

    Raises:
        InputError: a class would be missing from a training part.
    """
    labels = None if samples.regression else samples.labels
    folds = min(FOLDS, max_folds(samples.labels, units, samples.classes))
    rounds = KFold(folds, 2).split(labels, units, split_seed(seed))[:1]
    check_rounds(rounds, labels, units, samples.classes, once=True)
    return Plan(rounds, units, 1, seed)
