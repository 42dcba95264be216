"""A result by tasks: one label each, or the set of labels of a task that has several."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.from_label_sets import KIND, NO, YES
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io.json_values import to_json


class TaskResults(NamedTuple):
    """What was measured, one entry per task.

    Attributes:
        ids: of the tasks.
        measured: the labels that were measured: a label, or a list of labels; None without labels.
        suggested: the likeliest true labels, likewise.
        p_suggested: probability of ``suggested``, ``(task,)``; NaN if unknown.
        doubt: probability that the given label is wrong, or the target an outlier, ``(task,)``; of several labels that of
            the one that is likeliest wrong; None if unknown.
        error: mean held-out loss, summed over labels, ``(task,)``.
        row: row of the result whose reason is told, ``(task,)`` int64.
        order: positions of the tasks, the likeliest wrong label first, ``(task,)`` int64.
    """

    ids: list[Any]
    measured: list[Any]
    suggested: list[Any]
    p_suggested: np.ndarray
    doubt: np.ndarray | None
    error: np.ndarray
    row: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, d: Difficulty) -> "TaskResults":
        """Return the results by task.

        Raises:
            InputError: rows are parts of samples that are no labels.
        """
        if d.sample is None:
            return cls._of_single_labels(d)
        if d.run.part_name != KIND:
            raise InputError(f"the rows of this result are {d.run.part_name}s of samples, which are not written as tasks")
        return cls._of_label_sets(d)

    @classmethod
    def _of_single_labels(cls, d: Difficulty) -> "TaskResults":
        n = len(d)
        measured = [None] * n if d.loss_only else list(map(to_json, d.label_names(d.labels).tolist()))
        suggested = [None] * n if d.suggested is None else list(map(to_json, d.label_names(d.suggested).tolist()))
        p_suggested = np.full(n, np.nan) if d.p_suggested is None else d.p_suggested
        doubt = d.p_outlier if d.p_wrong is None else d.p_wrong
        return cls(d.ids.tolist(), measured, suggested, p_suggested, doubt, d.error, np.arange(n), d.ranking_by_doubt)

    @classmethod
    def _of_label_sets(cls, d: Difficulty) -> "TaskResults":
        assert d.sample is not None
        assert d.part is not None
        code, names = pd.factorize(d.sample)
        has = d.label_names(d.labels) == YES
        then, p_then, doubt = has, np.full(len(d), np.nan), None
        if d.p_wrong is not None and d.suggested is not None and d.p_suggested is not None:
            # Only labels that are more likely wrong than right are suggested to change.
            changed = (d.p_wrong > 0.5) & (d.suggested != d.labels)
            then = np.where(changed, d.label_names(d.suggested) == YES, has)
            p_then = np.where(changed, d.p_suggested, 1 - d.p_wrong)
            doubt = pd.Series(d.p_wrong).groupby(code).max().to_numpy()
        worst = d.ranking_by_doubt[np.argsort(code[d.ranking_by_doubt], kind="stable")]
        first = worst[np.searchsorted(code[worst], np.arange(len(names)))]
        error = np.bincount(code, weights=d.error, minlength=len(names))
        order = np.lexsort((-error, -error if doubt is None else -doubt))
        product = pd.Series(p_then).groupby(code).prod(min_count=1).to_numpy()
        return cls(
            names.tolist(), _sets(d.part, has, code, len(names)), _sets(d.part, then, code, len(names)), product, doubt,
            error, first, order,
        )  # fmt: skip


def _sets(part: np.ndarray, has: np.ndarray, code: np.ndarray, n: int) -> list[list[Any]]:
    sets: list[list[Any]] = [[] for _ in range(n)]
    for name, task in zip(part[has].tolist(), code[has].tolist(), strict=True):
        sets[task].append(to_json(name))
    return sets


def changed_labels(d: Difficulty, rows: Sequence[int], task: int | str, now: Any) -> dict[int, str]:
    """Return the new label, yes or no, of each row that is about one label of a task, where it differs.

    Args:
        rows: all rows that are about the task.
        task: id of the task.
        now: its labels.

    Raises:
        InputError: a label that was not measured.
    """
    assert d.part is not None
    labels = set(map(str, now)) if isinstance(now, list | tuple) else {str(now)}
    parts = [str(d.part[row]) for row in rows]
    unknown = labels - set(parts)
    if unknown:
        raise InputError(
            f"task {task!r} has the label {sorted(unknown)[0]!r}, which was not measured: measure the file as it is now"
        )
    new = [YES if part in labels else NO for part in parts]
    before = d.label_names(d.labels[list(rows)]).tolist()
    return {row: label for row, label, old in zip(rows, new, before, strict=True) if label != old}
