"""Results of spans by task: what to look at in a labelling tool, and the tags that were changed there."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from hardsight.data.labelling.project import Advice
from hardsight.data.labelling.spans import SpanProject, TextSpan
from hardsight.data.tokens.schemes import Span
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.validation import check_int


class _Judged(NamedTuple):
    """A span with what is said of it."""

    span: Span  # without a type if it was missed
    likeliest: Span | None  # at its place
    p_wrong: float  # probability that it is wrong, or that the missed one is right


class SpanChanges(NamedTuple):
    """What changed in a labelling tool, by rows of the result."""

    tags: dict[int, str]  # new tags
    skipped: list[int]  # rows of tasks that were skipped
    unchanged: int  # tasks
    unlabelled: int  # tasks
    not_measured: int  # tasks


def advise(d: Difficulty, project: SpanProject, top: int | None) -> list[tuple[int, Advice, list[TextSpan]]]:
    """Return what is said of the tasks to look at, those with the likeliest wrong or missed span first.

    Args:
        top: how many; None: those with a span that is more likely wrong than right, or missed.

    Returns:
        The position of each task, the advice, and the spans that its text should have.

    Raises:
        InputError: the result is not of these tasks, or there is nothing to look at.
    """
    rows, spans = _rows_of_tasks(d, project), _list_spans(d)
    doubt = {task: max((each.p_wrong for each in spans.get(str(project.ids[task]), ())), default=0.0) for task in rows}
    error = {task: float(d.error[own].sum()) for task, own in rows.items()}
    order = sorted(rows, key=lambda task: (-doubt[task], -error[task]))
    if top is not None:
        order = order[: check_int("top", top, 1)]
    else:
        order = [task for task in order if doubt[task] > 0.5]
        if not order:
            raise InputError("no span is more likely wrong than right: say how many tasks to write (top=20, --top 20)")
    advice = []
    for rank, task in enumerate(order, 1):
        text, own = project.texts[task], list(project.spans[task] or ())
        suggested, reasons = _suggest(project, task, spans.get(str(project.ids[task]), []))
        about = Advice(
            id=project.ids[task],
            measured=_describe(text, own),
            label=_describe(text, suggested),
            p_label=None,
            rank=rank,
            p_wrong=doubt[task],
            error=error[task],
            reason="; ".join(reasons),
        )
        advice.append((task, about, suggested))
    return advice


def find_changes(d: Difficulty, project: SpanProject) -> SpanChanges:
    """Return the tags of words that were changed since the tasks were measured.

    Raises:
        InputError: none of the tasks was measured, a text is another one, or spans overlap.
    """
    rows, tags = _rows_of_tasks(d, project), project.tags()
    before = d.label_names(d.labels)
    tags_now, skipped = dict[int, str](), list[int]()
    unchanged = unlabelled = 0
    for task, own in rows.items():
        if task in tags:
            new = {int(row): tag for row, tag in zip(own, tags[task], strict=True) if tag != str(before[row])}
            tags_now |= new
            unchanged += not new
        elif task in project.skipped:
            skipped += own.tolist()
        else:
            unlabelled += 1
    return SpanChanges(tags_now, skipped, unchanged, unlabelled, len(project.ids) - len(rows))


def _names(d: Difficulty) -> list[str]:
    if d.sample is None or d.part is None or d.run.part_name != "token":
        raise InputError("the rows of this result are not tokens, and these tasks have spans: measure their file")
    return [str(name) for name in d.sample.tolist()]


def _rows_of_tasks(d: Difficulty, project: SpanProject) -> dict[int, np.ndarray]:
    """Return the rows of each measured task in the order of its words, by the position of the task.

    Raises:
        InputError: none of the tasks was measured, or one has another number of words.
    """
    names = _names(d)
    assert d.part is not None
    order = np.lexsort((d.part.astype(np.int64), pd.factorize(np.array(names))[0]))
    rows: dict[str, list[int]] = {}
    for row in order.tolist():
        rows.setdefault(names[row], []).append(row)
    of_task = {task: np.array(rows[str(name)]) for task, name in enumerate(project.ids) if str(name) in rows}
    if not of_task:
        raise InputError(
            f"none of the {len(project.ids):,} tasks was measured (their ids look like {project.ids[0]!r}, those of the "
            f"result like {names[0]!r}): pass the result of these tasks"
        )
    other = [project.ids[task] for task, own in of_task.items() if len(own) != project.n_words(task)]
    if other:
        raise InputError(
            f"the text of {len(other):,} tasks, such as {other[0]!r}, has another number of words than was measured: pass "
            "the file with the texts that were measured"
        )
    return of_task


def _list_spans(d: Difficulty) -> dict[str, list[_Judged]]:
    """Return the spans of each task with what is said of them, by its id."""
    table, spans = d.spans(), dict[str, list[_Judged]]()
    names = ("sample", "start", "end", "label", "suggested", "suggested_start", "suggested_end", "p_wrong")
    for name, start, end, label, suggested, first, last, p_wrong in zip(
        *(table[each].tolist() for each in names), strict=True
    ):
        likeliest = Span(first, last, suggested) if suggested else None
        spans.setdefault(str(name), []).append(_Judged(Span(start, end, label), likeliest, p_wrong))
    return spans


def _suggest(project: SpanProject, task: int, judged: list[_Judged]) -> tuple[list[TextSpan], list[str]]:
    """Return the spans that a text should have, and in words what is to be changed.

    A span that is more likely wrong than right becomes the likeliest one at its place, if there is one, and a missed one is
    added.
    """
    text, suggested, reasons = project.texts[task], set[TextSpan](), list[str]()
    for each in judged:
        now = project.place(task, each.span)
        if each.p_wrong <= 0.5:
            # As it was labelled, which may end within a word.
            suggested |= {span for span in project.spans[task] or () if span.start < now.end and now.start < span.end}
            continue
        then = None if each.likeliest is None else project.place(task, each.likeliest)
        suggested |= set() if then is None else {then}
        new = "none" if then is None else f"{then.label} {text[then.start : then.end]!r}"
        words = text[now.start : now.end]
        if then == now:
            reasons.append(f"{words!r} is doubtful as {now.label}")
        else:
            reasons.append(f"{words!r} is {now.label}, likelier {new}" if now.label else f"missed {new}")
    return sorted(suggested), reasons


def _describe(text: str, spans: list[TextSpan]) -> str:
    return "; ".join(f"{text[span.start : span.end]}: {span.label}" for span in spans)
