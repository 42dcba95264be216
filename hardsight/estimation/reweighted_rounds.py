"""Later rounds: members that are trained again with the automatic weights of the round before, to know the labels better.

Members that learned from wrong labels answer softly, and doubt right labels beside wrong ones. Trained by what the first
round found, they tell the two apart better. What they say serves the posterior of the true labels alone: error, bias and
variance stay those of models of the data as given, which are what was asked for.

The weight of a training sample was found by members some of which had trained on the sample that is now held out. That leaks
nothing but by way of a neighbour's weight; mean P(wrong) stays where it was (``benchmarks/LOG.md``).
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hardsight.attribution.label_noise import Evidence, LabelPosterior, class_prior, fit_label_model
from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.estimation.backends import Backend
from hardsight.estimation.checkpoint import Checkpoint
from hardsight.estimation.runner import Until, carry_out
from hardsight.learners import Learner, OnProgress, capabilities_of, choose
from hardsight.measures.held_out import HeldOut, Loss
from hardsight.resampling.plan import Plan, check_rounds, split_seed
from hardsight.resampling.splitters import KFold, LeaveOneOut, Splitter
from hardsight.validation import check_int
from hardsight.weights.automatic import auto, distrust

ROUNDS, MOST = 1, 5
# Views of a sample in a later round; more hardly change the consensus, which is all that is read of it.
REPEATS = 4
# Share of wrong labels from which on a second round is made without being asked for.
NOISY = 0.01


class Again(NamedTuple):
    """What is to be done.

    Attributes:
        learner: takes weights.
        samples: of the run.
        splits: of the run; of repeated folds four repeats at most.
        units: codes of samples that must stay together, ``(sample,)``.
        rounds: how many.
        seed: of the run; every round draws from a stream of its own.
        backend: where to train.
        bar: shows progress, given the number of models.
        identity: what must be equal for an unfinished round to go on.
        checkpoint: of the first round; None: nothing is kept.
        resume: go on with the checkpoints of later rounds.
    """

    learner: Learner
    samples: Samples
    splits: Splitter
    units: np.ndarray
    rounds: int
    seed: int
    backend: Backend
    bar: Callable[[int], AbstractContextManager[OnProgress]]
    identity: Callable[[Samples, Learner, Plan], dict[str, str]]
    checkpoint: Path | None
    resume: bool


class Refined(NamedTuple):
    """What later rounds came to.

    Attributes:
        known: of the true labels, by the last round.
        settings: rounds, members, and why, as JSON types.
        notices: what was warned of.
    """

    known: LabelPosterior
    settings: dict[str, Any]
    notices: list[str]


def rounds_of(
    asked: bool | int | None,
    given: Any,
    learner: Learner,
    samples: Samples,
    splits: Splitter,
    loss: Loss,
    *,
    limited: bool,
) -> tuple[int, str]:
    """How many later rounds there are to be at most, and why there is none, if there is none.

    Args:
        asked: as the user says; None: where noise is found and nothing speaks against it.
        given: the learner as the user names it.
        learner: what that stands for.
        samples: of the run.
        splits: of the run.
        loss: of the run; the posterior of the labels is that of log-loss.
        limited: whether the run has a budget.

    Raises:
        InputError: rounds are asked for that cannot be had, or more than 5.
    """
    if asked is False or asked == 0:
        return 0, "not asked for"
    why = None
    if samples.classes is None:
        why = "there are no classes"
    elif loss != "log":
        why = f"the loss {loss!r} has no ledger"
    elif isinstance(splits, LeaveOneOut):
        why = "leaving one out again for every sample takes too long"
    elif weighing(given, learner, samples) is None:
        why = f"{learner.name} cannot weigh its training samples"
    elif asked is None and limited:
        why = "the run has a budget"
    if why is not None and asked is not None:
        raise InputError(f"there can be no second round, because {why}: leave out refine={asked!r}")
    if why is not None:
        return 0, why
    found = ROUNDS if asked is None or asked is True else check_int("refine", asked, 1)
    if found > MOST:
        raise InputError(f"refine must be {MOST} or less, rounds beyond the first. Got {found}")
    return found, ""


def weighing(given: Any, learner: Learner, samples: Samples) -> Learner | None:
    """The same learner in a form that takes weights; None: there is none."""
    if capabilities_of(learner).takes_weights:
        return learner
    if not isinstance(given, str):
        return None
    other = choose(given, replace(samples, weights=np.ones(len(samples))))[0]
    return other if capabilities_of(other).takes_weights else None


def checkpoints(path: str | Path) -> list[Path]:
    """The files that later rounds keep what they hold in, beside that of the first."""
    return [_beside(Path(path), number) for number in range(2, MOST + 2)]


def refine(again: Again, known: LabelPosterior) -> Refined:
    """Train again with the weights that the round before leads to.

    Args:
        again: what is to be done.
        known: of the true labels, by the first round.

    Raises:
        HardsightError: as the run would.
    """
    samples, own = again.samples, again.samples.weights
    labels, neighbours = known.evidence.label, known.evidence.neighbours
    # Of members of the data as given, whose array later rounds leave alone.
    given = known.evidence.consensus
    members, notices = 0, list[str]()
    for number in range(2, again.rounds + 2):
        # The next round sees whether the likeliest model was right; by the mean over its rivals pair flips would come back.
        alone = LabelPosterior(known.evidence, known.model._replace(alternatives=()))
        weights = auto(alone.p_wrong, given, labels).numpy()
        weighted = replace(samples, weights=weights if own is None else weights * own)
        plan = _plan(again, _stream(again.seed, number))
        kept = None
        if again.checkpoint is not None:
            kept = Checkpoint(_beside(again.checkpoint, number), again.identity(weighted, again.learner, plan))
        with again.bar(again.learner.n_models(plan)) as tick, warnings.catch_warnings():
            # They stand among the notices, and mostly were said in the first round.
            warnings.simplefilter("ignore")
            done = carry_out(
                again.learner, weighted, plan, Until(), tick, kept, resume=again.resume, backend=again.backend
            )
        known = known_by(done.record, weighted, neighbours)
        members += again.learner.n_models(plan)
        notices += [said for said in done.notices if said not in notices]
    return Refined(known, {"rounds": again.rounds, "members": members, "why": "labels look wrong"}, notices)


def noisy(known: LabelPosterior) -> bool:
    """Whether labels look wrong: by the posterior, or by what the surest predictions miss."""
    wrong, evidence = known.p_wrong, known.evidence
    return float(wrong.mean()) >= NOISY or distrust(wrong, evidence.consensus, evidence.label) > 0


def known_by(record: HeldOut, samples: Samples, neighbours: Tensor | None) -> LabelPosterior:
    """What a round knows of the true labels.

    Args:
        record: what its members said.
        samples: with the weights that they were trained by.
        neighbours: labels of the nearest neighbours.
    """
    assert samples.classes is not None
    prior = class_prior(samples.labels, len(samples.classes), samples.weights)
    evidence = Evidence(record.consensus, torch.from_numpy(samples.labels), prior, neighbours)
    return LabelPosterior(evidence, fit_label_model(evidence))


def _stream(seed: int, number: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=(4, number)).generate_state(1)[0])


def _plan(again: Again, seed: int) -> Plan:
    samples, splits, units = again.samples, again.splits, again.units
    if capabilities_of(again.learner).splits_itself:
        return Plan([], units, REPEATS, seed)
    dealt = KFold(splits.folds, min(splits.repeats, REPEATS)) if isinstance(splits, KFold) else splits
    rounds = dealt.split(samples.labels, units, split_seed(seed))
    check_rounds(rounds, samples.labels, units, samples.classes, once=False)
    return Plan(rounds, units, len(rounds), seed)


def _beside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.round{number}{path.suffix}")
