"""How the samples of a run are dealt to its models: what must stay together, how it is split, and the checked plan."""

from typing import Any

import numpy as np

from hardsight.data import Samples
from hardsight.errors import InputError
from hardsight.learners import Learner, capabilities_of
from hardsight.resampling.plan import Plan, block_codes, check_class_sizes, check_rounds, split_seed
from hardsight.resampling.splitters import KFold, LeaveOneOut, Splitter, Subsets
from hardsight.validation import check_int

FOLDS, REPEATS = 5, 10


def units_alike(samples: Samples, duplicates: str) -> tuple[np.ndarray, list[str]]:
    """Codes of the samples that must stay together, and what there is to say of duplicates."""
    if duplicates == "apart":
        return block_codes(len(samples), samples.groups), []
    alike = np.unique(samples.fingerprints(), return_inverse=True)[1].reshape(-1)
    copies = int((np.bincount(alike)[alike] > 1).sum())
    if not copies:
        return block_codes(len(samples), samples.groups), []
    share = copies / len(samples)
    more = (
        " With so many, equal rows may be different samples rather than copies: duplicates='apart' treats them so."
        if share > 0.2
        else ""
    )
    said = (
        f"{copies:,} of {len(samples):,} samples ({share:.1%}) share their features with another exactly; they are "
        f"kept on one side of every split.{more}"
    )
    return block_codes(len(samples), samples.groups, alike), [said]


def splits_of(splits: Any, folds: int | None, repeats: int | None, learner: Learner) -> Splitter:
    """The way to split that the arguments of :func:`hardsight.measure` stand for.

    Raises:
        InputError: arguments that do not go together, or with this learner.
    """
    if splits is None or splits == "kfold":
        if capabilities_of(learner).splits_itself:
            if folds is not None or splits is not None:
                raise InputError(
                    f"{learner.name} holds samples out by itself: leave out folds and splits (repeats counts)"
                )
            return KFold(
                FOLDS, REPEATS if repeats is None else check_int("repeats", repeats, 2, ": one view has no error bar")
            )
        return KFold(FOLDS if folds is None else folds, REPEATS if repeats is None else repeats)
    if capabilities_of(learner).splits_itself:
        raise InputError(f"{learner.name} holds samples out by itself: leave out splits")
    if splits == "loo":
        if folds is not None:
            raise InputError("folds has no meaning when one sample is left out at a time: leave it out")
        return LeaveOneOut(1 if repeats is None else repeats)
    if splits == "subsets":
        if folds is not None or repeats is not None:
            raise InputError(
                "folds and repeats have no meaning for random subsets: pass splits=hs.Subsets(members, ratio)"
            )
        return Subsets()
    if not isinstance(splits, Splitter):
        raise InputError(
            f"splits must be 'kfold', 'subsets', 'loo', hs.KFold, hs.Subsets or hs.LeaveOneOut. Got {splits!r}"
        )
    if folds is not None or repeats is not None:
        raise InputError(f"splits={splits!r} says how to split already: leave out folds and repeats")
    return splits


def plan_of(
    samples: Samples, learner: Learner, splits: Splitter, units: np.ndarray, repeats: int | None, seed: int
) -> Plan:
    """The checked plan of a run.

    Args:
        samples: that are dealt.
        learner: who trains.
        splits: how they are split.
        units: codes of those that stay together, ``(sample,)``.
        repeats: turns of learners that split by themselves; None: 10.
        seed: fixes every random number.

    Raises:
        InputError: classes or samples too few to be split so.
    """
    labels = None if samples.classes is None else samples.labels
    if samples.classes is not None:
        check_class_sizes(
            samples.labels,
            units,
            samples.classes,
            splits.folds if isinstance(splits, KFold) and not capabilities_of(learner).splits_itself else None,
        )
    if capabilities_of(learner).splits_itself:
        return Plan([], units, REPEATS if repeats is None else repeats, seed)
    together = int(units.max()) + 1
    if isinstance(splits, KFold) and together < splits.folds:
        raise InputError(
            f"folds={splits.folds} is larger than the {together} samples (or groups): use folds={together} or fewer"
        )
    rounds = splits.split(labels, units, split_seed(seed))
    check_rounds(rounds, labels, units, samples.classes, once=isinstance(splits, LeaveOneOut))
    return Plan(rounds, units, len(rounds), seed)
