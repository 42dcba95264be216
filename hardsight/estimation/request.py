"""The arguments of :func:`hardsight.measure` other than the data, and their checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import partial
from inspect import signature
from numbers import Real
from pathlib import Path
from typing import Any, TypedDict, get_args

import numpy as np

from hardsight.data import Samples
from hardsight.data.from_hf_rows import rows_to_samples
from hardsight.data.from_ids import ids_to_samples
from hardsight.data.read_options import option_names
from hardsight.data.tokens.sentences import Tokens
from hardsight.errors import Faults, InputError
from hardsight.estimation.backends import choose_backend
from hardsight.estimation.blocks import DUPLICATES
from hardsight.learners import capabilities_of, check_name
from hardsight.measures.losses import Loss
from hardsight.measures.record import Record
from hardsight.resampling.budget import parse_budget
from hardsight.validation import check_choice, check_int


class DataOptions(TypedDict, total=False):
    """How data become samples; see :meth:`Samples.of`."""

    task: str  # "classification", "regression" or "auto" (default); for HuggingFace and Loop also "loss"
    label: str | None  # name of the label in tables and reports
    text: str | None  # column of a DataFrame that holds the texts
    embedding: Any  # how texts and images become numbers; "auto" by default
    unlabelled: str  # samples whose label is missing: "drop" (default), "predict" or "refuse"
    merge_spellings: bool  # whether classes that differ only in case, blanks or the encoding of letters are one
    labels: Sequence[str] | None  # columns of zeros and ones, of samples with several labels
    label_separator: str | None  # what stands between the labels of a text that holds several


class MeasureOptions(DataOptions, total=False):
    """Options of :func:`hardsight.measure` about the data."""

    witness: Any  # what something that never saw the labels says of the samples
    parts: Any  # the parts of each sample whose losses a loop returns: numbers of parts, or their names
    kind: str  # what a part is called, in the singular


@dataclass(frozen=True)
class Execution:
    """Where models are trained, and the file that lets a stopped run continue. The numbers do not depend on it.

    Args:
        jobs: number of processes, or of concurrent Ray tasks. None: one per core if ``backend`` is set.
        backend: "serial", "processes" (default for several ``jobs``), "ray", or an instance from
            :mod:`hardsight.estimation.backends`. None, and no ``jobs``: this process, or one process per core for named
            learners that train one model after another (forests, boosted trees) if that takes more than 20 seconds.
        address: address of a Ray cluster, "auto" or "ray://host:port". None: start Ray on this machine if none is connected.
        checkpoint: file to save the state of the run to, after every few models. It remains when the run ends. Later
            rounds have files of their own beside it.
        resume: continue from ``checkpoint``; the result is the same to the last byte.

    Raises:
        InputError: ``resume`` without ``checkpoint``, or a value of the wrong type.

    >>> Execution(jobs=2).backend is None
    True
    """

    jobs: int | None = None
    backend: Any = None
    address: str | None = None
    checkpoint: str | Path | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "resume", bool(_check_switch("resume", self.resume)))
        if self.resume and self.checkpoint is None:
            raise InputError("resume needs the checkpoint that the run was started with: pass checkpoint=PATH")


@dataclass(frozen=True)
class Estimate:
    """Extra steps of the estimation that are taken only where they pay, unless set here.

    Args:
        adjusted: also estimate the errors with the models' in-sample losses as control variates, and keep that second
            estimate if a check says that it ranks better (:mod:`hardsight.measures.control_variate`). Nothing else changes
            except ``hardness``, which also reads the in-sample losses. None: if that is cheap beside the training.
        pilot: choose the training length of the networks by the held-out losses of a few models, before the run
            (:mod:`hardsight.estimation.training_length`). None: if ``learner`` is "auto", except for leave-one-out or a
            budget of models. These models are not among the ``members``.
        calibrate: divide the log-probabilities of all models by one temperature, fitted to the first held-out predictions of
            the run (:mod:`hardsight.estimation.calibration`). None: for trees and other estimators that are too sure of
            their predictions, if that lowers their log-loss by a tenth or more. False: the errors are those of the models'
            own probabilities.
        ledger: attribute the errors to noise, imbalance, margin and uncertainty, where that is possible. It takes a label
            model, some seconds of it. False: the result has no ledger, ``p_wrong``, ``suggested``,
            ``p_strange`` or ``hardness``.

    Raises:
        InputError: a value that is not True, False or None.
    """

    adjusted: bool | None = None
    pilot: bool | None = None
    calibrate: bool | None = None
    ledger: bool | None = None

    def __post_init__(self) -> None:
        for name in ("adjusted", "pilot", "calibrate", "ledger"):
            object.__setattr__(self, name, _check_switch(name, getattr(self, name)))


@dataclass(frozen=True)
class Request:
    """The arguments of one run as the user passed them, except for the data; see :func:`hardsight.measure`."""

    learner: Any = "auto"
    loss: str | None = None
    folds: int | None = None
    repeats: int | None = None
    splits: Any = None
    duplicates: str = "auto"
    refine: Any = None
    budget: Any = None
    reliability: float | None = None
    estimate: Any = None
    execution: Any = None
    record: Record | None = None
    seed: int = 0
    progress: bool = False

    def checked(self) -> "Request":
        """Return the request with every argument converted, ``budget`` to a :class:`Budget`.

        Raises:
            InputError: arguments that cannot be used; all of them are reported at once.
        """
        checks: dict[str, Callable[[Any], Any]] = {
            "learner": check_name,
            "loss": _check_loss,
            "splits": _check_splits,
            "duplicates": _check_duplicates,
            "refine": _check_refine,
            "budget": parse_budget,
            "reliability": _check_reliability,
            "estimate": partial(_check_group, "estimate", Estimate),
            "execution": check_execution,
            "seed": partial(check_int, "seed", least=0),
            "progress": lambda value: bool(_check_switch("progress", value)),
        }
        values, faults = {}, Faults()
        for name, check in checks.items():
            with faults.collect():
                values[name] = check(getattr(self, name))
        faults.raise_all()
        return replace(self, **values)


def check_options(function: Callable[..., Any], options: Mapping[str, Any], kind: type = DataOptions) -> None:
    """Refuse keyword arguments that a function does not have, and say where each belongs.

    Args:
        function: the function; it has ``**options`` of ``kind``.
        options: the keyword arguments that are not in its signature.
        kind: :class:`DataOptions`, or one with more.

    Raises:
        InputError: an unknown argument, or one that belongs to a group.
    """
    names = list(signature(function).parameters)[:-1] + list(kind.__annotations__)
    groups = {name: group for group in (Execution, Estimate) for name in (field.name for field in fields(group))}
    problems = []
    for name in sorted(options.keys() - kind.__annotations__.keys()):
        group = groups.get(name)
        if group is not None and group.__name__.lower() in names:
            argument = group.__name__.lower()
            problems.append(f"{name} is part of {argument}: pass {argument}=hs.{group.__name__}({name}=…)")
        else:
            problems.append(f"{function.__name__} has no argument {name!r}{_argument_hint(name, names)}")
    if problems:
        raise InputError("; ".join(problems))


def _argument_hint(name: str, names: list[str]) -> str:
    plural = {"id": "ids", "group": "groups"}.get(name)
    if plural is None and name in option_names():
        instead = ", or leave the column out of X" if name == "drop" else ""
        return f", but hs.read has: pass hs.read(path, {name}=…){instead}"
    close = [plural] if plural else get_close_matches(name, names, n=1)
    return f". Did you mean {close[0]}?" if close else ""


def as_samples(X: Any, learner: Any, options: DataOptions, **columns: Any) -> Samples:
    """Return the data as samples, read the way that the learner needs.

    Args:
        columns: y, ids, groups and weights.

    Raises:
        InputError: data that cannot be used, or ``X`` is :class:`Samples` and arguments that they already hold are set.
    """
    if isinstance(X, Tokens):
        X = X.samples(options.pop("embedding", "auto"))
    if not isinstance(X, Samples):
        return _converter(learner)(X, **columns, **options)
    extra = [name for name, value in {**columns, **options}.items() if not _is_default(value)]
    if extra:
        raise InputError(
            "X is Samples, which already hold labels, ids, groups, weights and how the data were read: leave out "
            f"{', '.join(extra)}, or pass them where the Samples are made"
        )
    return X


def _converter(learner: Any) -> Callable[..., Samples]:
    capabilities = capabilities_of(learner)
    if capabilities.reads_items:
        return rows_to_samples
    return ids_to_samples if capabilities.reads_ids else Samples.of


def _is_default(value: Any) -> bool:
    return value is None or (isinstance(value, str | bool) and value in ("auto", False))


def check_execution(execution: Execution | None) -> Execution:
    """Return the execution group, the default if it is None.

    Raises:
        InputError: it is not one, or its backend cannot be used.
    """
    checked: Execution = _check_group("execution", Execution, execution)
    choose_backend(checked.backend, checked.jobs, checked.address)
    return checked


def _check_group(name: str, kind: type, value: Any) -> Any:
    if value is None:
        return kind()
    if not isinstance(value, kind):
        example = fields(kind)[0].name
        raise InputError(f"{name} must be hs.{kind.__name__}, such as hs.{kind.__name__}({example}=…). Got {value!r}")
    return value


def _check_switch(name: str, value: Any) -> bool | None:
    """Return True or False, also for numpy's, 1 and 0; None stays None."""
    if value is None:
        return None
    if not isinstance(value, bool | int | np.bool_) or value not in (0, 1):
        raise InputError(f"{name} must be True or False. Got {value!r}")
    return bool(value)


def _check_loss(value: Any) -> Any:
    # Whether it suits the labels is checked when they are known.
    return value if value is None else check_choice("loss", value, [loss for loss in get_args(Loss) if loss != "own"])


def _check_splits(value: Any) -> Any:
    if isinstance(value, str) and value not in ("kfold", "subsets", "loo"):
        raise InputError(f"splits must be 'kfold', 'subsets', 'loo', hs.KFold, hs.Subsets or hs.LeaveOneOut. Got {value!r}")
    return value


def _check_duplicates(value: Any) -> str:
    return str(check_choice("duplicates", value, DUPLICATES))


def _check_reliability(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, Real) or not 0 < float(value) < 1:
        raise InputError(f"reliability must be a number between 0 and 1, such as 0.95. Got {value!r}")
    return float(value)


def _check_refine(value: bool | int | np.bool_ | None) -> bool | int | None:
    if isinstance(value, np.bool_):
        return bool(value)
    if value is not None and not hasattr(value, "__index__"):
        raise InputError(f"refine must be True, False or a number of rounds. Got {value!r}")
    return value
