"""Decisions about files in a folder with one subfolder per class: which file would be moved where, and why."""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from hardsight.data.spellings import normalize_spelling
from hardsight.difficulty.decisions import DROP, RELABEL
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io.moves import Move
from hardsight.validation import join_examples

# Hidden, so that its files are not read as samples of a class.
DROPPED = ".dropped"
# The action about a file that goes because a copy of it stays.
COPY = "copy"
_MAX_NAMED = 3


class PlannedMove(NamedTuple):
    """A move of one sample's file.

    Attributes:
        move: where from and to.
        row: of the sample in the result.
        action: "relabel", "drop", or "copy" if a copy of it stays.
        label: code of the label afterwards.
        is_renamed: whether it gets another name because there is a file of its own name at the target.
    """

    move: Move
    row: int
    action: str
    label: int
    is_renamed: bool


def plan_moves(folder: Path, d: Difficulty, decisions: Any, *, drop_copies: bool = False) -> list[PlannedMove]:
    """Return the moves that decisions about the samples of a folder stand for, in the order of the result.

    A relabelled file moves to the folder of its new class. A dropped one moves into a hidden folder, ".dropped", where it is
    not measured. A file whose name is taken at its target gets a number.

    Args:
        folder: that was measured: the ids are the paths of its files.
        decisions: path of a csv, or a DataFrame, see :mod:`hardsight.difficulty.decisions`; None: no decisions.
        drop_copies: keep one file of each set of copies, as in :meth:`hardsight.Difficulty.apply`.

    Raises:
        InputError: decisions that do not match, samples that did not come from a folder with one folder per class, or files
            that are not there.
    """
    curated = d.apply(decisions, drop_copies=drop_copies)
    if d.regression or d.loss_only:
        raise InputError(f"{folder} cannot be what was measured: these samples have no classes. Pass the table")
    paths = [PurePosixPath(str(name)) for name in d.ids.tolist()]
    labels = [str(name) for name in d.label_names(d.labels)]
    depth = _class_depth(paths, labels)
    missing = [path for path in paths if depth is None or not (folder / path).is_file()]
    if depth is None or missing:
        named = join_examples(map(str, missing), _MAX_NAMED)
        raise InputError(
            f"{len(missing):,} of {len(paths):,} samples are not files in {folder} ({named}): pass the folder that was "
            "measured, with one folder per class; if files were moved since, undo that (hardsight undo) or measure again"
        )
    codes = {str(name): code for code, name in enumerate(d.classes or ())}
    folders = _class_folders(paths, labels, depth)
    planned: list[PlannedMove] = []
    taken: set[str] = set()
    for row in np.flatnonzero((curated.actions == RELABEL) | ~curated.keep).tolist():
        path, new = paths[row], str(curated.labels[row])
        if curated.keep[row]:
            if new == labels[row]:
                continue
            parts, action = (*path.parts[:depth], folders.get(new, new), *path.parts[depth + 1 :]), RELABEL
        else:
            parts, action = (DROPPED, *path.parts), DROP if curated.actions[row] == DROP else COPY
        target = PurePosixPath(*parts)
        free = _free_name(folder, target, taken)
        taken.add(str(free).casefold())
        planned.append(PlannedMove(Move(str(path), str(free)), row, action, codes[new], free != target))
    return planned


def _class_depth(paths: list[PurePosixPath], labels: list[str]) -> int | None:
    """Return the position of the class's folder in all paths; None if there is none."""
    plain = [normalize_spelling(name) for name in labels]
    depths = range(min(len(path.parts) for path in paths) - 1)
    return next(
        (
            depth
            for depth in depths
            if all(normalize_spelling(path.parts[depth]) == name for path, name in zip(paths, plain, strict=True))
        ),
        None,
    )


def _class_folders(paths: list[PurePosixPath], labels: list[str], depth: int) -> dict[str, str]:
    """Return the usual folder of each class: its spelling may differ from the class's."""
    counts: dict[str, Counter[str]] = {}
    for path, name in zip(paths, labels, strict=True):
        counts.setdefault(name, Counter())[path.parts[depth]] += 1
    return {name: each.most_common(1)[0][0] for name, each in counts.items()}


def _free_name(folder: Path, target: PurePosixPath, taken: set[str]) -> PurePosixPath:
    """Return the path, or one with a number if there is such a file, or will be."""
    free, number = target, 1
    while str(free).casefold() in taken or (folder / free).exists() or (folder / free).is_symlink():
        number += 1
        free = target.with_name(f"{target.stem}-{number}{target.suffix}")
    return free
