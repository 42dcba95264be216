"""From arguments to a checked plan: the splitter, and the train/held-out assignment."""

from typing import Any, NamedTuple

import numpy as np

from hardsight.data import Samples
from hardsight.data.tokens.sentences import spells_spans
from hardsight.errors import InputError
from hardsight.learners import Learner, capabilities_of
from hardsight.learners.forest_oob import ForestOOB
from hardsight.learners.label_sets import LabelsApart
from hardsight.resampling.budget import Budget, choose_layout
from hardsight.resampling.plan import Plan, Round, check_class_sizes, check_rounds, small_classes, split_seed
from hardsight.resampling.splitters import KFold, LeaveOneOut, Splitter, Subsets
from hardsight.validation import check_int, format_option

FOLDS, REPEATS = 5, 10
# A notice names at most so many classes.
_CLASSES_NAMED = 5


class FoldCounts(NamedTuple):
    """Folds and repeats that a budget of models allows, and a note on it for the description of the splits."""

    folds: int | None
    repeats: int | None
    note: str = ""


def fit_budget(
    budget: Budget,
    samples: Samples,
    learner: Learner,
    blocks: np.ndarray,
    splits: Any,
    folds: int | None,
    repeats: int | None,
) -> FoldCounts:
    """Choose folds and repeats for a budget of models; without one they stay as the user set them.

    Raises:
        InputError: the budget is too small, or the splits fix the number of models.
    """
    if budget.models is None:
        return FoldCounts(folds, repeats)
    if splits not in (None, "kfold"):
        raise InputError("a budget of models needs repeated folds: leave out splits, or set the number of models in them")
    if capabilities_of(learner).splits_itself:
        per_repeat = learner.n_models(Plan([], blocks, 1, 0))
        affordable, needed = budget.models // per_repeat, 2 if repeats is None else repeats
        if needed > affordable:
            raise InputError(
                f"budget must be {needed * per_repeat} models or more for {needed} repeats of {learner.name}. Got "
                f"{budget.models} models"
            )
        return FoldCounts(folds, affordable if repeats is None else repeats, f" (for {budget.models} models)")
    n_blocks = int(blocks.max()) + 1
    layout = choose_layout(budget.models, folds=folds, repeats=repeats, max_folds=max(2, n_blocks))
    return FoldCounts(layout.folds, layout.repeats, f" ({layout.reason})")


def make_splitter(splits: Any, folds: int | None, repeats: int | None, learner: Learner) -> Splitter:
    """Return the splitter that the arguments of :func:`hardsight.measure` stand for.

    Raises:
        InputError: arguments that exclude each other, or that this learner cannot use.
    """
    if capabilities_of(learner).splits_itself:
        return _splitter_of_repeats(splits, folds, repeats, learner)
    counts = {name: value for name, value in (("folds", folds), ("repeats", repeats)) if value is not None}
    if splits is None or splits == "kfold":
        return KFold(**{"folds": FOLDS, "repeats": REPEATS} | counts)
    if splits == "loo":
        if folds is not None:
            raise InputError("folds has no meaning for splits='loo', which leaves one sample out: leave it out")
        return LeaveOneOut(**counts)
    if splits == "subsets":
        if counts:
            raise InputError(
                "folds and repeats have no meaning for splits='subsets': pass splits=hs.Subsets(members, ratio)"
            )
        return Subsets()
    if not isinstance(splits, Splitter):
        raise InputError(f"splits must be 'kfold', 'subsets', 'loo', hs.KFold, hs.Subsets or hs.LeaveOneOut. Got {splits!r}")
    if counts:
        raise InputError(f"splits={splits!r} already fixes the splits: leave out folds and repeats")
    return splits


def _splitter_of_repeats(splits: Any, folds: int | None, repeats: int | None, learner: Learner) -> Splitter:
    if splits not in (None, "kfold"):
        raise InputError(f"{learner.name} holds samples out by itself: leave out splits")
    if folds is not None or splits is not None:
        raise InputError(f"{learner.name} holds samples out by itself: leave out folds and splits (repeats counts)")
    if repeats is not None:
        check_int("repeats", repeats, 2, ": one prediction has no error bar")
    return KFold(FOLDS, REPEATS if repeats is None else repeats)


def make_plan(
    samples: Samples, learner: Learner, splitter: Splitter, blocks: np.ndarray, repeats: int | None, seed: int
) -> Plan:
    """Draw the splits and check them.

    Args:
        repeats: repeats of learners that split by themselves; None: 10.

    Raises:
        InputError: there are too few classes or samples to split them so.
    """
    itself = capabilities_of(learner).splits_itself
    labels = None if samples.classes is None else samples.labels
    folds = splitter.folds if isinstance(splitter, KFold) and not itself else None
    if samples.classes is not None:
        check_class_sizes(samples.labels, blocks, samples.classes)
    if itself:
        return Plan([], blocks, REPEATS if repeats is None else repeats, seed)
    n_blocks = int(blocks.max()) + 1
    if folds is not None and n_blocks < folds:
        raise InputError(f"folds must be {n_blocks} or less, the number of samples (or groups). Got {folds}")
    rounds = draw_rounds(splitter, samples, blocks, seed)
    check_rounds(rounds, labels, blocks, samples.classes, least=1 if isinstance(splitter, LeaveOneOut) else 2)
    return Plan(rounds, blocks, len(rounds), seed)


def draw_rounds(splitter: Splitter, samples: Samples, blocks: np.ndarray, seed: int) -> list[Round]:
    """Draw the splits, stratified by the labels; of samples with several labels, by each sample's rarest one.

    Args:
        seed: of the run.
    """
    stream = split_seed(seed)
    if samples.whole is None:
        return splitter.split(None if samples.classes is None else samples.labels, blocks, stream)
    layout = samples.layout
    rounds = splitter.split(layout.whole.labels, blocks[layout.first], stream)
    return [Round(each.fold[layout.row], each.n_models) for each in rounds]


def find_small_classes(samples: Samples, plan: Plan) -> tuple[np.ndarray | None, list[str]]:
    """Return which samples belong to a class too small for their labels to be judged, ``(sample,)``, and a notice.

    None without classes, or if every class is large enough.
    """
    if samples.classes is None:
        return None, []
    if samples.whole is not None:
        return _find_small_labels(samples, plan)
    small = np.flatnonzero(small_classes(plan.rounds, samples.labels, plan.blocks, len(samples.classes)))
    if not len(small):
        return None, []
    named = name_classes(small, samples.labels, samples.classes)
    if spells_spans(samples):
        notice = (
            f"Models that predict them never saw their tag, in {named}. P(wrong) there says whether they look like a span."
        )
    else:
        what = "Too few samples to tell whether the label is right"
        notice = f"{what}, in {named}. Models that predict them never saw their class."
    return np.isin(samples.labels, small), [notice]


def _find_small_labels(samples: Samples, plan: Plan) -> tuple[np.ndarray | None, list[str]]:
    """Return the parts of labels that too few samples have, or too few have not, ``(part,)``, and a notice."""
    layout = samples.layout
    small, named = np.zeros(len(samples), dtype=bool), list[str]()
    for column, name in enumerate(layout.names):
        parts = np.flatnonzero(layout.column == column)
        rounds = [Round(each.fold[parts], each.n_models) for each in plan.rounds]
        few = small_classes(rounds, samples.labels[parts], plan.blocks[parts], 2)
        small[parts] = few[samples.labels[parts]]
        if few.any():
            named.append(f"{name!r} ({int(samples.labels[parts].sum()):,} of {len(parts):,} samples)")
    if not named:
        return None, []
    more = f" and {len(named) - _CLASSES_NAMED} more" if len(named) > _CLASSES_NAMED else ""
    notice = f"Too few samples to judge all of these labels: {', '.join(named[:_CLASSES_NAMED])}{more}."
    return small, [notice]


def name_classes(codes: np.ndarray, labels: np.ndarray, classes: tuple[Any, ...]) -> str:
    """Describe some classes by number, names and sizes, such as "2 classes: 'a' (3), 'b' (1)"; at most five by name."""
    sizes = np.bincount(labels, minlength=len(classes))
    counts = [f"{classes[code]!r} ({sizes[code]:,})" for code in codes[:_CLASSES_NAMED]]
    rest = len(codes) - len(counts)
    where = "1 class" if len(codes) == 1 else f"{len(codes):,} classes"
    return f"{where}: {', '.join(counts)}" + (f" and {rest:,} more" if rest else "")


def check_predicts_others(learner: Learner) -> None:
    """Refuse a learner that predicts no samples beyond those it is trained on.

    Raises:
        InputError: it is such a learner.
    """
    capabilities, inner = capabilities_of(learner), learner.learner if isinstance(learner, LabelsApart) else learner
    if capabilities.leaves_one_out or (capabilities.splits_itself and not isinstance(inner, ForestOOB)):
        raise InputError(
            f"unlabelled='predict' needs a learner that predicts other samples than its own, and {learner.name} does not: "
            f"use another learner, or leave such samples out ({format_option('unlabelled', 'drop')})"
        )


def describe_splits(learner: Learner, splitter: Splitter, plan: Plan) -> str:
    """Describe how the samples of a run are held out."""
    if capabilities_of(learner).splits_itself:
        return f"out of bag × {plan.repeats} repeats"
    return splitter.describe()
