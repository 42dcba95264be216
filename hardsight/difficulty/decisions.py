"""A reviewer's decisions about samples: read from and written to csv, checked against a result, and applied.

A file of decisions has the columns ``id``, ``action`` and ``label``, one row per sample that was decided about. ``label`` is
the new label of a relabelled sample and empty otherwise. An optional column ``given`` says which label the sample had when
it was reviewed. See :mod:`hardsight.io.csv_cells`.
"""

import hashlib
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.attribution.conversions import NO_ERROR
from hardsight.errors import InputError
from hardsight.io import csv_cells
from hardsight.validation import join_examples

if TYPE_CHECKING:
    from hardsight.difficulty.result import Difficulty

KEEP, RELABEL, DROP, UNSURE = "keep", "relabel", "drop", "unsure"
DECISIONS = (KEEP, RELABEL, DROP, UNSURE)
COLUMNS = ("id", "action", "label")
# Name of the file that a server keeps beside the result.
FILE_NAME = "decisions.csv"
_READ = (*COLUMNS, "given")
_FIX = f"export the decisions again, or write the columns id, action ({', '.join(DECISIONS)}) and label"
# Relative tolerance of numbers that a spreadsheet has shortened.
_SPREADSHEET_PRECISION = 1e-5
_MAX_NAMES, _MAX_NAMED = 10, 3


class Decisions(NamedTuple):
    """Decisions that match a result.

    Attributes:
        rows: positions of the samples decided about, ``(decision,)`` int64, each once.
        actions: of ``DECISIONS``, ``(decision,)`` str.
        labels: class codes (int64) or targets (float64), ``(decision,)``; as given unless the action is "relabel".
    """

    rows: np.ndarray
    actions: np.ndarray
    labels: np.ndarray


class CuratedLabels(NamedTuple):
    """What to train on, in the order of the measured samples.

    Attributes:
        ids: ``(sample,)`` int64 or str.
        labels: after relabelling: classes by name, or targets. ``(sample,)``
        keep: whether the sample stays, ``(sample,)`` bool: False if it was dropped.
        actions: the decision, of ``DECISIONS``; empty if there is none. ``(sample,)`` str
        redundant: whether the sample does not stay because a copy of it does, ``(sample,)`` bool.
    """

    ids: np.ndarray
    labels: np.ndarray
    keep: np.ndarray
    actions: np.ndarray
    redundant: np.ndarray

    @property
    def table(self) -> pd.DataFrame:
        """One row per sample that stays, by id: its label, and the decision."""
        columns = {"label": self.labels[self.keep], "action": self.actions[self.keep]}
        return pd.DataFrame(columns, index=pd.Index(self.ids[self.keep], name="id", dtype=self.ids.dtype))


def format_decisions(frame: pd.DataFrame) -> str:
    """Format decisions as csv.

    Args:
        frame: columns ``id``, ``action`` and ``label``.
    """
    rows = frame[list(COLUMNS)].itertuples(index=False, name=None)
    return csv_cells.format_csv(COLUMNS, ([_to_text(value) for value in row] for row in rows), end="\r\n")


def read_decisions(decisions: Any) -> pd.DataFrame:
    """Read decisions into a frame of text columns ``id``, ``action``, ``label`` and ``given``, in the order given.

    Args:
        decisions: path of a csv file, or a DataFrame with these columns. Ids may be the index. The last two columns may be
            missing: they are empty then.

    Raises:
        InputError: there is no such file, it is not csv in UTF-8, or a column is missing.
    """
    if isinstance(decisions, pd.DataFrame):
        frame = decisions.reset_index() if decisions.index.name == "id" and "id" not in decisions else decisions
        _check_columns(list(frame.columns), "the decisions")
        empty = [""] * len(frame)
        columns = {name: [_to_text(value) for value in frame[name]] if name in frame else empty for name in _READ}
        return pd.DataFrame(columns, dtype=object)
    if not isinstance(decisions, str | Path):
        raise InputError(f"decisions must be the path of a csv file, or a DataFrame. Got {type(decisions).__name__}")
    text = csv_cells.read_csv_text(decisions, "give the csv that the review page exports")
    return parse_decisions(text, str(decisions))


def add_decisions(place: Path, new: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the decisions of a file with others behind them, and how many of the others it holds already.

    Args:
        place: a csv file of decisions.
        new: as in :func:`read_decisions`.

    Raises:
        InputError: the file decides otherwise about a sample, or cannot be read.
    """
    before, others = read_decisions(place), read_decisions(new)
    of_file = {
        name: (action.strip().lower(), label) for name, action, label in before[list(COLUMNS)].itertuples(index=False)
    }
    in_file = others["id"].isin(list(of_file)).to_numpy()
    contrary = [
        f"{name!r} ({_describe(*of_file[name])} there, {_describe(action, label)} now)"
        for name, action, label in others.loc[in_file, list(COLUMNS)].itertuples(index=False)
        if of_file[name][0] != action or not csv_cells.same_cell(of_file[name][1], label)
    ]
    if contrary:
        named = ", ".join(contrary[:_MAX_NAMED]) + (", …" if len(contrary) > _MAX_NAMED else "")
        raise InputError(f"{place} decides otherwise about {named}: move it away, or name another file with --output")
    return pd.concat([before, others[~in_file]], ignore_index=True), int(in_file.sum())


def _describe(action: str, label: str) -> str:
    return f"{action} to {label!r}" if action == RELABEL else action


def parse_decisions(text: str, source: str = "the file of decisions") -> pd.DataFrame:
    """Parse the text of a csv file of decisions; see :func:`read_decisions`."""
    rows = csv_cells.parse_csv(text, source, _READ, 2, _FIX)
    return pd.DataFrame(rows, columns=list(_READ), dtype=object)


def match_decisions(decisions: Any, d: "Difficulty") -> Decisions:
    """Check decisions against a result.

    Args:
        decisions: see :func:`read_decisions`.
        d: the result.

    Raises:
        InputError: an id that was not measured or appears twice, one that was measured with another label than ``given``
            says, an unknown action or class, or a relabelling without a label.
    """
    frame = read_decisions(decisions)
    source = f" in {decisions}" if isinstance(decisions, str | Path) else ""
    fix = "use the result that was reviewed" + (", or move that file away" if source else "")
    rows = _find_rows(frame["id"], d, source, fix)
    _check_labels_unchanged(frame, rows, d, source, fix)
    actions = frame["action"].str.strip().str.lower().to_numpy()
    for name, action in zip(frame["id"], actions, strict=True):
        if action not in DECISIONS:
            raise InputError(
                f"the action for id {name!r} must be one of {', '.join(DECISIONS)}. Got {action!r}: change it, or remove "
                "the row"
            )
    return Decisions(rows, actions.astype(str), _new_labels(frame, rows, actions == RELABEL, d))


def suggest_decisions(d: "Difficulty") -> pd.DataFrame:
    """Return the advised changes of labels; see :meth:`hardsight.Difficulty.suggestions`."""
    rows = advised_rows(d)
    if rows is None or d.suggested is None or d.p_suggested is None:
        raise InputError(
            "this result suggests no labels: measure classes by log-loss or numbers by squared error, and two views per "
            "sample or more"
        )
    columns = {
        "action": np.full(len(rows), RELABEL, dtype=object),
        "label": d.label_names(d.suggested[rows]),
        "given": d.label_names(d.labels[rows]),
        "p_outlier" if d.regression else "p_wrong": _doubt(d)[rows],
        "p_suggested": d.p_suggested[rows],
    }
    return pd.DataFrame(columns, index=pd.Index(d.ids[rows], name="id", dtype=d.ids.dtype))


def advised_rows(d: "Difficulty") -> np.ndarray | None:
    """Return the positions of the samples whose label is advised to change; None if the result cannot tell.

    In regression these are the targets that a wrong unit or digit explains.
    """
    if d.regression:
        return None if d.target_error is None else np.flatnonzero(d.target_error != NO_ERROR)
    return None if d.recommended_action is None else np.flatnonzero(d.recommended_action == RELABEL)


def gather_decisions(d: "Difficulty", decisions: Any, *, suggestions: bool) -> pd.DataFrame:
    """Return decisions, checked, and the advised changes of labels of samples that were not decided about.

    Args:
        decisions: as in :func:`read_decisions`; None: no decisions.
        suggestions: add the advised changes.

    Raises:
        InputError: as in :func:`match_decisions` and :func:`suggest_decisions`.
    """
    rows = pd.DataFrame(columns=list(_READ), dtype=object)
    if decisions is not None:
        match_decisions(decisions, d)
        rows = read_decisions(decisions)
    if not suggestions:
        return rows
    advised = read_decisions(suggest_decisions(d))
    return pd.concat([rows, advised[~advised["id"].isin(rows["id"])]], ignore_index=True)


def apply_decisions(d: "Difficulty", decisions: Any = None, *, drop_copies: bool = False) -> CuratedLabels:
    """Return what to train on after a review; see :meth:`hardsight.Difficulty.apply`."""
    labels, keep, actions = d.labels.copy(), np.ones(len(d), dtype=bool), np.full(len(d), "", dtype="U7")
    if decisions is not None:
        matched = match_decisions(decisions, d)
        labels[matched.rows], actions[matched.rows] = matched.labels, matched.actions
        keep[matched.rows] = matched.actions != DROP
    redundant = _redundant_copies(d, labels, keep, actions) if drop_copies else np.zeros(len(d), dtype=bool)
    return CuratedLabels(d.ids, d.label_names(labels), keep & ~redundant, actions, redundant)


def _redundant_copies(d: "Difficulty", labels: np.ndarray, keep: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Return which samples are copies of another that stays and whose label is likelier right, ``(sample,)`` bool."""
    redundant = np.zeros(len(d), dtype=bool)
    if d.copy_set is None:
        return redundant
    p_right = np.where(np.isin(actions, (KEEP, RELABEL)), 1, 1 - _doubt(d))
    if d.suggested is not None and d.p_suggested is not None:
        # Suggestions may have been taken unseen.
        p_right = np.where((actions == RELABEL) & (labels == d.suggested), d.p_suggested, p_right)
    if d.sample is not None:
        # The parts of a sample stay or go together.
        code = np.unique(d.sample, return_inverse=True)[1].reshape(-1)
        p_right = (np.bincount(code, weights=p_right) / np.bincount(code))[code]
    rows = np.flatnonzero((d.copy_set >= 0) & keep)
    # By set, the likeliest label first; the sort is stable.
    order = rows[np.lexsort((-p_right[rows], d.copy_set[rows]))]
    codes = d.copy_set[order]
    redundant[order[1:][codes[1:] == codes[:-1]]] = True
    return redundant


def _doubt(d: "Difficulty") -> np.ndarray:
    """Return the probability that the label is wrong or the target an outlier, ``(sample,)``; zeros if it is unknown."""
    known = d.p_outlier if d.p_wrong is None else d.p_wrong
    return np.zeros(len(d)) if known is None else known


def result_digest(d: "Difficulty") -> str:
    """Return a digest that tells this result from others. Decisions that a browser keeps belong to it."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update("\0".join(map(str, d.ids.tolist())).encode("utf-8", "replace"))
    digest.update(np.ascontiguousarray(d.labels).tobytes())
    digest.update(np.ascontiguousarray(d.error).tobytes())
    return digest.hexdigest()


def _find_rows(ids: pd.Series, d: "Difficulty", source: str, fix: str) -> np.ndarray:
    """Return the positions of ids, ``(decision,)`` int64."""
    rows = pd.Index(d.ids.astype(str), dtype=object).get_indexer(pd.Index(ids.to_numpy(), dtype=object))
    if (rows < 0).any():
        unknown = ids.to_numpy()[rows < 0]
        raise InputError(
            f"{len(unknown):,} of {len(ids):,} decisions{source} are about ids that were not measured ({unknown[0]!r}; ids "
            f"look like {d.ids[:1].tolist()}): {fix}"
        )
    repeated = ids.duplicated()
    if repeated.any():
        raise InputError(f"there are two decisions{source} about id {ids[repeated].iloc[0]!r}: keep one")
    return np.asarray(rows, dtype=np.int64)


def _check_labels_unchanged(frame: pd.DataFrame, rows: np.ndarray, d: "Difficulty", source: str, fix: str) -> None:
    """Raise if a decision was made about another label than was measured. An empty cell in ``given`` says nothing."""
    if d.loss_only:
        return
    for name, given, label in zip(frame["id"], frame["given"], d.labels[rows], strict=True):
        if not given.strip():
            continue
        measured = _label_text(label, d.classes)
        if not (csv_cells.same_cell(given, measured) or (d.classes is None and _is_shortened(given, label))):
            raise InputError(
                f"the decision{source} about id {name!r} is about the label {given!r}, but {measured!r} was measured: {fix}"
            )


def _label_text(label: Any, classes: tuple[Any, ...] | None) -> str:
    """Return a label as pages write it, where half a surrogate pair cannot be written."""
    text = str(label if classes is None else classes[label])
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_shortened(cell: str, target: float) -> bool:
    """Return whether a cell is a target as a spreadsheet may have shortened it."""
    try:
        return math.isclose(float(cell), target, rel_tol=_SPREADSHEET_PRECISION)
    except ValueError:
        return False


def _new_labels(frame: pd.DataFrame, rows: np.ndarray, relabelled: np.ndarray, d: "Difficulty") -> np.ndarray:
    """Return the labels of the samples decided about, after relabelling."""
    labels: np.ndarray = d.labels[rows]
    if relabelled.any() and d.loss_only:
        raise InputError("these samples have no labels to change: use keep, drop or unsure")
    names = Counter(map(str, d.classes or ()))
    codes = {str(name): code for code, name in enumerate(d.classes or ())}
    for row in np.flatnonzero(relabelled):
        name, label = frame["id"].iloc[row], frame["label"].iloc[row]
        labels[row] = _parse_target(label, name) if d.classes is None else _find_code(label, name, names, codes)
    return labels


def _find_code(label: str, name: str, names: Counter[str], codes: dict[str, int]) -> int:
    if names[label] > 1:
        raise InputError(f"several classes are written {label!r}: rename one of them and measure again")
    if label in codes:
        return codes[label]
    # As a spreadsheet writes it, or pandas: 1 for 1.0.
    alike = [known for known in codes if csv_cells.same_cell(label, known)]
    if len(alike) != 1:
        raise InputError(
            f"the new label of id {name!r} must be a class. Got {label!r}: use one of {join_examples(codes, _MAX_NAMES)}"
        )
    return codes[alike[0]]


def _parse_target(label: str, name: str) -> float:
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"the new label of id {name!r} must be a finite number. Got {label!r}")
    return number


def _check_columns(names: list[Any], source: str) -> None:
    for name in COLUMNS[:2]:
        if names.count(name) != 1:
            listed = ", ".join(map(repr, names[:_MAX_NAMES])) or "none"
            raise InputError(f"{source} must have one column {name!r}. The columns are {listed}: {_FIX}")


def _to_text(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    missing = value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))
    return "" if missing else str(value)
