"""What a person decided about samples: read from and written to csv, checked, and carried out.

A file of decisions has the columns ``id``, ``action`` and ``label``, one row a sample that was decided about. ``label`` is
the new label of a relabelled sample and empty otherwise. ``given`` may say which label the sample had when it was decided
about. See :mod:`hardsight.io.csv_cells`.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.errors import InputError
from hardsight.io import csv_cells as cells

KEEP, RELABEL, DROP, UNSURE = "keep", "relabel", "drop", "unsure"
ACTIONS = (KEEP, RELABEL, DROP, UNSURE)
COLUMNS = ("id", "action", "label")
# Beside a result, where a server keeps them.
FILE = "decisions.csv"
_READ = (*COLUMNS, "given")
_MEND = "export the decisions again"
# Of a number that a spreadsheet has shortened.
_DIGITS_KEPT = 1e-5


class Decisions(NamedTuple):
    """Decisions that fit a result.

    Attributes:
        at: positions of the samples decided about, ``(decision,)`` int64, each once.
        actions: of ``ACTIONS``, ``(decision,)`` str.
        labels: class codes (int64), or targets (float64), ``(decision,)``; as given where the action is not "relabel".
    """

    at: np.ndarray
    actions: np.ndarray
    labels: np.ndarray


class Curated(NamedTuple):
    """What to train on, in the order of the samples measured.

    Attributes:
        ids: ``(sample,)`` int64 or str.
        labels: after relabelling: classes as they were named, or targets. ``(sample,)``
        keep: whether the sample stays, ``(sample,)`` bool: False for those dropped.
        actions: what was decided, of ``ACTIONS``; empty where nothing was. ``(sample,)`` str
    """

    ids: np.ndarray
    labels: np.ndarray
    keep: np.ndarray
    actions: np.ndarray

    @property
    def table(self) -> pd.DataFrame:
        """One row a sample that stays, by id: its label, and what was decided."""
        columns = {"label": self.labels[self.keep], "action": self.actions[self.keep]}
        return pd.DataFrame(columns, index=pd.Index(self.ids[self.keep], name="id", dtype=self.ids.dtype))


def written(frame: pd.DataFrame) -> str:
    """Decisions as csv.

    Args:
        frame: columns ``id``, ``action`` and ``label``.
    """
    rows = frame[list(COLUMNS)].itertuples(index=False, name=None)
    return cells.written(COLUMNS, ([_text(value) for value in row] for row in rows), end="\r\n")


def read(decisions: Any) -> pd.DataFrame:
    """Decisions as a frame of text columns ``id``, ``action``, ``label`` and ``given``, in the order given.

    Args:
        decisions: path of a csv file, or a DataFrame with these columns; ids may be the index, and the last two may be
            missing: they are empty then.

    Raises:
        InputError: no such file, no csv in UTF-8, or a column is missing.
    """
    if isinstance(decisions, pd.DataFrame):
        named = decisions.reset_index() if decisions.index.name == "id" and "id" not in decisions else decisions
        _columns(list(named.columns), "the decisions")
        none = [""] * len(named)
        cells_of = {name: [_text(v) for v in named[name]] if name in named else none for name in _READ}
        return pd.DataFrame(cells_of, dtype=object)
    if not isinstance(decisions, str | Path):
        raise InputError(
            f"decisions must be the path of a csv file, or a DataFrame. Got {type(decisions).__name__}: give one of them"
        )
    return parsed(cells.text_of(decisions, "give the csv that the review page exports"), str(decisions))


def parsed(text: str, source: str = "the file of decisions") -> pd.DataFrame:
    """Decisions from the text of a csv file; see :func:`read`."""
    rows = cells.parsed(text, source, _READ, 2, _MEND)
    return pd.DataFrame(rows, columns=list(_READ), dtype=object)


def fitted(
    decisions: Any, ids: np.ndarray, labels: np.ndarray, classes: tuple[Any, ...] | None, *, labelled: bool = True
) -> Decisions:
    """Decisions checked against a result.

    Args:
        decisions: see :func:`read`.
        ids: of the samples measured, ``(sample,)``.
        labels: as given, codes or targets, ``(sample,)``.
        classes: what codes stand for; None where labels are numbers.
        labelled: whether there are labels at all.

    Raises:
        InputError: an id that was not measured or stands twice, one that was measured with another label than ``given``
            says, an unknown action or class, a relabelling without a label.
    """
    frame = read(decisions)
    from_file = isinstance(decisions, str | Path)
    where, mend = (f" in {decisions}", ", or move that file away") if from_file else ("", "")
    at = pd.Index(ids.astype(str), dtype=object).get_indexer(pd.Index(frame["id"].to_numpy(), dtype=object))
    if (at < 0).any():
        odd = frame["id"].to_numpy()[at < 0]
        raise InputError(
            f"{len(odd):,} of {len(frame):,} decisions{where} are about ids that were not measured ({odd[0]!r}; ids look "
            f"like {ids[:1].tolist()}): use the result that was reviewed{mend}"
        )
    twice = frame["id"].duplicated()
    if twice.any():
        raise InputError(f"there are two decisions{where} about id {frame['id'][twice].iloc[0]!r}: leave one")
    other = _otherwise_labelled(frame["given"].to_numpy(), labels[at], classes) if labelled else None
    if other is not None:
        named, told = frame.loc[other, ["id", "given"]]
        raise InputError(
            f"the decision{where} about id {named!r} is about the label {told!r}, and {_name(labels[at[other]], classes)!r} "
            f"was measured: use the result that was reviewed{mend}"
        )
    actions = frame["action"].str.strip().str.lower().to_numpy()
    for name, action in zip(frame["id"], actions, strict=True):
        if action not in ACTIONS:
            raise InputError(
                f"the action about id {name!r} is {action!r}: use one of {', '.join(ACTIONS)}, or take the row out"
            )
    changed = labels[at]
    relabelled = np.flatnonzero(actions == RELABEL)
    if len(relabelled) and not labelled:
        raise InputError("these samples have no labels to change: use keep, drop or unsure")
    code = _targets if classes is None else _codes(classes)
    for row in relabelled:
        changed[row] = code(frame["label"].iloc[row], frame["id"].iloc[row])
    return Decisions(at.astype(np.int64), actions.astype(str), changed)


def _otherwise_labelled(given: np.ndarray, labels: np.ndarray, classes: tuple[Any, ...] | None) -> int | None:
    """The first decision that was made about another label than was measured; nothing is known where ``given`` is empty."""
    for row, (cell, label) in enumerate(zip(given, labels, strict=True)):
        if not cell.strip() or cell == (name := _name(label, classes)):
            continue
        if not (cells.alike(cell, name) or (classes is None and _close(cell, label))):
            return row
    return None


def _name(label: Any, classes: tuple[Any, ...] | None) -> str:
    """A label as pages write it: half a surrogate pair cannot be."""
    named = str(label) if classes is None else str(classes[label])
    return named.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _close(cell: str, target: float) -> bool:
    try:
        return math.isclose(float(cell), target, rel_tol=_DIGITS_KEPT)
    except ValueError:
        return False


def _codes(classes: tuple[Any, ...]) -> Any:
    names: dict[str, int] = {}
    shared = set()
    for code, name in enumerate(map(str, classes)):
        shared |= {name} if name in names else set()
        names.setdefault(name, code)

    def code_of(label: str, about: str) -> int:
        if label in shared:
            raise InputError(f"several classes are written {label!r}: rename one of them and measure again")
        if label not in names:
            listed = ", ".join(map(repr, list(names)[:10])) + (", …" if len(names) > 10 else "")
            said = f"no class is called {label!r}" if label else "the new label is missing"
            raise InputError(f"id {about!r} is to be relabelled, and {said}: use one of {listed}")
        return names[label]

    return code_of


def _targets(label: str, about: str) -> float:
    try:
        number = float(label)
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise InputError(f"id {about!r} is to be relabelled as {label!r}: labels are numbers here, give a finite one")
    return number


def _columns(found: list[Any], source: str) -> None:
    for name in COLUMNS[:2]:
        if found.count(name) != 1:
            listed = ", ".join(map(repr, found[:10])) or "none"
            raise InputError(f"{source} must have one column {name!r}. The columns are {listed}: {_MEND}")


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    missing = value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))
    return "" if missing else str(value)
