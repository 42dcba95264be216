"""Cells of tables whose samples have several labels, after decisions: 0/1 columns, separated texts, or lists."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hardsight.data.from_label_sets import BINARY_SPELLINGS
from hardsight.data.label_matrix import holds_lists
from hardsight.data.spellings import normalize_spelling, unique_spellings
from hardsight.difficulty.decisions import DROP, CuratedLabels
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.validation import join_names

_FLAGS = {text: flag for pair in BINARY_SPELLINGS for flag, text in enumerate(pair)}


def change_columns(
    d: Difficulty, curated: CuratedLabels, ids: list[str], columns: Mapping[str, list[Any]]
) -> dict[str, list[Any]]:
    """Return 0/1 columns after decisions. A dropped label becomes a missing cell.

    Args:
        ids: of all rows of the table, as text.
        columns: the cells by the name of the label.

    Raises:
        InputError: the cells are not what was measured, or a label that was measured has no column.
    """
    after, measured = _by_row(d, curated), _by_row(d, None)
    missing = [name for name in dict.fromkeys(name for _, name in measured) if name not in columns]
    if missing:
        raise InputError(f"labels that were measured are not named, {join_names(missing, 5)}: name all columns (--labels)")
    changed = {}
    for name, cells in columns.items():
        spellings = {flag: cell for cell in reversed(cells) if (flag := _flag(cell)) is not None}
        new = list(cells)
        for row, cell in enumerate(cells):
            before = measured.get((ids[row], name))
            if before is None:
                continue
            _check_cell(_flag(cell) == before, ids[row], name)
            now = after[ids[row], name]
            if now != before:
                new[row] = ("" if isinstance(cell, str) else None) if now is None else spellings[now]
        changed[name] = new
    return changed


def change_lists(
    d: Difficulty, curated: CuratedLabels, ids: list[str], cells: list[Any], name: str, separator: str | None
) -> list[Any]:
    """Return separated texts or lists after decisions: labels are removed from their place, and added at the end.

    Args:
        ids: of all rows of the table, as text.
        cells: texts with a separator, lists of labels, or rows of zeros and ones.
        name: of the column.

    Raises:
        InputError: the cells are not what was measured, or a label is dropped, for which such a cell has no sign.
    """
    if ((curated.actions == DROP) & _in_kept_sample(d, curated)).any():
        raise InputError(
            f"a single label of {name!r} cannot be dropped, as its cell would say that the sample lacks it: keep or change "
            "it, or drop all labels of the sample"
        )
    after, measured = _by_row(d, curated), _by_row(d, None)
    assert d.part is not None
    names = list(dict.fromkeys(map(str, d.part.tolist())))
    measured_rows = {row for row, _ in measured}
    if separator is None and not holds_lists(cells):
        return [_change_flags(cell, ids[row], name, names, measured, after) for row, cell in enumerate(cells)]
    spelling = unique_spellings(names)
    blank = " " if separator is not None and any(f"{separator} " in str(cell) for cell in cells) else ""
    new = list(cells)
    for row, cell in enumerate(cells):
        if ids[row] not in measured_rows:
            continue
        had = {each: _measured_name(str(each), names, spelling) for each in _labels_of(cell, separator)}
        before = {each: measured.get((ids[row], each)) for each in names}
        now = {each: after.get((ids[row], each)) for each in names}
        _check_cell({each for each in names if before[each]} == set(had.values()) & set(names), ids[row], name)
        if now == before:
            continue
        remaining = [each for each, measured_as in had.items() if now.get(measured_as, 1) != 0]
        added = [_like(each, list(had), d) for each in names if now[each] and not before[each]]
        labels = [*remaining, *added]
        new[row] = labels if separator is None else f"{separator}{blank}".join(map(str, labels))
    return new


def _change_flags(
    cell: Any,
    row: str,
    name: str,
    names: list[str],
    measured: Mapping[tuple[str, str], int | None],
    after: Mapping[tuple[str, str], int | None],
) -> Any:
    """Return a row of zeros and ones after decisions; labels are named by their positions in it."""
    known = [each for each in names if measured.get((row, each)) is not None]
    if cell is None or not known:
        return cell
    values = list(cell)
    for each in known:
        at = int(each)
        _check_cell(at < len(values) and values[at] == measured[row, each], row, name)
        now = after.get((row, each))
        if now is not None and now != measured[row, each]:
            values[at] = type(values[at])(now)
    return values


def _by_row(d: Difficulty, curated: CuratedLabels | None) -> dict[tuple[str, str], int | None]:
    """Return whether a sample has a label, by its id and the name of the label; None if the label was dropped."""
    assert d.sample is not None
    assert d.part is not None
    assert d.classes is not None
    yes = d.classes[1]
    flags = d.labels if curated is None else (curated.labels == yes).astype(np.int64)
    dropped = np.zeros(len(d), dtype=bool) if curated is None else curated.actions == DROP
    rows = zip(d.sample.tolist(), d.part.tolist(), flags.tolist(), dropped.tolist(), strict=True)
    return {(str(sample), str(part)): None if drop else int(flag) for sample, part, flag, drop in rows}


def _in_kept_sample(d: Difficulty, curated: CuratedLabels) -> np.ndarray:
    """Return whether any label of the sample of each row stays, ``(row,)`` bool."""
    assert d.sample is not None
    code = np.unique(d.sample, return_inverse=True)[1].reshape(-1)
    stays: np.ndarray = (np.bincount(code, curated.keep) > 0)[code]
    return stays


def _flag(cell: Any) -> int | None:
    """Return 1 for yes, 0 for no, None for anything else."""
    return _FLAGS.get(str(cell).strip().casefold())


def _labels_of(cell: Any, separator: str | None) -> list[Any]:
    if separator is None:
        return [] if cell is None else list(cell)
    return [label for each in str(cell or "").split(separator) if (label := each.strip())]


def _measured_name(label: str, names: list[str], spelling: Mapping[str, str]) -> str:
    """Return the name that a label of the table was measured under: its own, or the spelling that it was merged into."""
    return label if label in names else spelling.get(normalize_spelling(label), label)


def _like(name: str, had: list[Any], d: Difficulty) -> Any:
    """Return a label as a list would hold it: an integer if the labels are such."""
    assert d.part is not None
    return int(name) if d.part.dtype.kind == "i" and not any(isinstance(each, str) for each in had) else name


def _check_cell(same: bool, row: str, name: str) -> None:
    if not same:
        raise InputError(
            f"row {row!r} has other labels in {name!r} than were measured: give the same table, read as for measure "
            "(label_separator, --label-separator)"
        )
