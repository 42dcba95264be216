"""Round trips with labelling tools: Label Studio, doccano, argilla and FiftyOne.

:func:`read` reads what a tool exports, and :func:`hardsight.read` and ``hardsight measure`` measure it. :func:`export`
writes the tasks to look at, with suggested labels, in the format that came. :func:`decisions` reads what was changed in the
tool.
"""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from hardsight import __version__
from hardsight.data.labelling import argilla, doccano, doccano_spans, fiftyone, label_studio, label_studio_spans
from hardsight.data.labelling.files import project_file
from hardsight.data.labelling.files import read_project as read
from hardsight.data.labelling.project import Advice, LabellingProject, NewTasks, is_image
from hardsight.data.labelling.spans import SpanProject
from hardsight.data.samples import Samples
from hardsight.difficulty.decisions import RELABEL, UNSURE, match_decisions
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.integrations import _span_tasks
from hardsight.integrations._task_results import TaskResults, changed_labels
from hardsight.io.atomic import as_path, atomic_write
from hardsight.io.csv_cells import same_cell
from hardsight.io.json_values import to_json
from hardsight.reporting.formatting import format_count
from hardsight.reporting.report.examples import align_samples
from hardsight.validation import check_choice, check_int, join_examples

__all__ = ["LabellingProject", "SpanProject", "TaskDecisions", "decisions", "export", "export_new", "read"]

_MAX_NAMED = 3
# Beyond it, writing sentences takes longer than all the rest.
_MAX_REASONS = 20_000
TOOLS = {"label-studio": label_studio, "doccano": doccano, "argilla": argilla}
_WRITERS = {tool.NAME: tool for tool in TOOLS.values()}
_SPAN_WRITERS = {label_studio.NAME: label_studio_spans, doccano.NAME: doccano_spans}


class TaskDecisions(NamedTuple):
    """What changed in a labelling tool since its tasks were measured.

    Attributes:
        table: decisions by id, with the columns action, label and given, for :meth:`hardsight.Difficulty.apply`: tasks with
            another label are to be relabelled, and skipped ones are unsure.
        unchanged: number of tasks with the label that was measured.
        unlabelled: number of measured tasks without a label now.
        not_measured: number of tasks that were not measured, such as new ones.
    """

    table: pd.DataFrame
    unchanged: int
    unlabelled: int
    not_measured: int

    def describe(self) -> str:
        """Return the numbers in one sentence."""
        actions = self.table["action"]
        changed = int((actions == RELABEL).sum())
        parts = [f"{format_count(changed, 'label')} changed", f"{self.unchanged:,} did not"]
        counts = ((int((actions == UNSURE).sum()), "skipped"), (self.unlabelled, "without a label now"))
        parts += [f"{count:,} {what}" for count, what in counts if count]
        others = "1 task of the file was" if self.not_measured == 1 else f"{self.not_measured:,} tasks of the file were"
        rest = f" {others} not measured." if self.not_measured else ""
        return f"{', '.join(parts)}.{rest}"


def export(
    d: Difficulty,
    project: LabellingProject | SpanProject | str | Path,
    path: str | Path,
    *,
    control: str | None = None,
    top: int | None = None,
    samples: Samples | None = None,
) -> int:
    """Write tasks to look at in the format of the tool that they come from, those with the likeliest wrong label first.

    Label Studio: each task with a prediction (the suggested label, its probability as the score) and fields to sort by.
    doccano: each task with fields that it shows. argilla: each record with a suggestion. FiftyOne: a folder with all
    samples, fields of the result, and a tag "hardsight" on those to look at. Tasks with spans of texts: those with a span
    that is likely wrong or missed; of Label Studio, the prediction holds all spans that the text should have.

    Args:
        d: the result of measuring the tasks.
        project: the tasks: the file that was measured, or what :func:`read` read.
        path: the file to write; for FiftyOne a folder.
        control: the label that was measured, if the tasks have several.
        top: how many tasks, those first whose label is likeliest wrong. None: all whose label is more likely wrong than
            right.
        samples: the measured samples, for the reasons of tables; by default those in memory.

    Returns:
        How many tasks are to be looked at.

    Raises:
        InputError: tasks that were not measured, nothing to look at, or a path that cannot be written.
    """
    source = None if isinstance(project, LabellingProject | SpanProject) else Path(project)
    tasks = read(project, control) if isinstance(project, str | Path) else project
    if isinstance(tasks, SpanProject):
        advised = _span_tasks.advise(d, tasks, top)
        _write_json(as_path(path), _SPAN_WRITERS[tasks.tool].add_advice(tasks, advised, __version__), lines=tasks.lines)
        return len(advised)
    results = TaskResults.of(d)
    chosen = _tasks_to_look_at(results, top)
    if tasks.tool == fiftyone.NAME:
        # All samples get fields, and those to look at a tag.
        order = np.concatenate([chosen, results.order[~np.isin(results.order, chosen)]])
        advice = _advise(d, results, tasks, order, samples)
        advice = [each._replace(chosen=n < len(chosen)) for n, each in enumerate(advice)]
        _export_fiftyone(tasks, source, as_path(path), advice)
        return len(chosen)
    content = _WRITERS[tasks.tool].add_advice(tasks, _advise(d, results, tasks, chosen, samples), __version__)
    _write_json(as_path(path), content, lines=tasks.lines)
    return len(chosen)


def export_new(
    d: Difficulty, samples: Samples, path: str | Path, tool: str, *, top: int | None = None
) -> tuple[int, Path | None]:
    """Write samples that came from elsewhere (a table, a folder of images) as new tasks for a labelling tool.

    Each task shows the text, the image, or one line per column of a table, and suggests a label as in :func:`export`. It
    keeps the sample's id, by which :func:`decisions` knows it again.

    Args:
        d: the result.
        samples: the measured samples.
        path: the file to write. For Label Studio a second one, ending in .xml, holds the labelling interface.
        tool: "label-studio", "doccano" or "argilla".
        top: as in :func:`export`.

    Returns:
        How many tasks were written, and the path of the labelling interface, if any.

    Raises:
        InputError: another tool, samples that cannot be shown, nothing to look at, or a path that cannot be written.
    """
    writer = TOOLS[check_choice("tool", tool, tuple(TOOLS))]
    if d.sample is not None:
        raise InputError(
            "the rows of this result are parts of samples, of which no tasks are made: pass the tool's own file"
        )
    results = TaskResults.of(d)
    rows = _tasks_to_look_at(results, top)
    new = _new_tasks(d.select(d.ids[rows]), align_samples(d, samples).take(rows))
    tasks, target = writer.create(new), as_path(path)
    advice = _advise(d, results, tasks, rows, samples)
    _write_json(target, writer.add_advice(tasks, advice, __version__), lines=tasks.lines)
    if tool != "label-studio":
        return len(rows), None
    # Of all classes, not of those that these samples have.
    interface = target.with_suffix(".xml")
    with atomic_write(interface) as temporary:
        temporary.write_text(label_studio.format_interface(new), encoding="utf-8")
    return len(rows), interface


def _new_tasks(d: Difficulty, samples: Samples) -> NewTasks:
    kind: Literal["text", "image"] = "image" if samples.kind == "image" else "text"
    if samples.kind == "image" and all(is_image(str(name)) for name in d.ids.tolist()):
        contents = [str(name) for name in d.ids.tolist()]
    elif samples.kind == "text":
        contents = [str(text) for text in samples.features]
    elif samples.original is not None:
        contents = [
            "\n".join(f"{name}: {value}" for name, value in row.items()) for row in samples.original.to_dict("records")
        ]
    else:
        raise InputError(
            f"samples of kind {samples.kind!r} have nothing that a labelling tool can show: pass texts, a table, or a "
            "folder of images"
        )
    labels = [] if d.loss_only else [to_json(label) for label in d.label_names(d.labels).tolist()]
    return NewTasks(tuple(d.ids.tolist()), contents, labels, samples.label_name, d.classes, kind)


def _tasks_to_look_at(results: TaskResults, top: int | None) -> np.ndarray:
    """Return the positions of tasks to look at, the likeliest wrong label first, ``(task,)`` int64."""
    if top is not None:
        return results.order[: check_int("top", top, 1)]
    if results.doubt is None:
        raise InputError("this result has no P(label wrong): say how many of the hardest tasks to write (top=20, --top 20)")
    chosen: np.ndarray = results.order[results.doubt[results.order] > 0.5]
    if not len(chosen):
        raise InputError("no label is more likely wrong than right: say how many tasks to write (top=20, --top 20)")
    return chosen


def _advise(
    d: Difficulty, results: TaskResults, tasks: LabellingProject, chosen: np.ndarray, samples: Samples | None
) -> list[Advice]:
    """Return advice about some tasks, in their order.

    Raises:
        InputError: one of them is not among the tasks.
    """
    ids = {str(name): name for name in tasks.ids}
    measured = [results.ids[task] for task in chosen.tolist()]
    missing = [name for name in measured if str(name) not in ids]
    if missing:
        raise InputError(
            f"{len(missing):,} of {len(measured):,} tasks to write are not in this {tasks.tool} file "
            f"({join_examples(missing, _MAX_NAMED)}; its ids look like {tasks.ids[0]!r}): pass the file that was measured"
        )
    reasons = _write_reasons(d, results.row[chosen[:_MAX_REASONS]], samples)
    reasons += [""] * (len(chosen) - len(reasons))
    return [
        Advice(
            id=ids[str(results.ids[task])],
            measured=results.measured[task],
            label=results.suggested[task],
            p_label=_probability(results.p_suggested, task),
            rank=rank,
            p_wrong=_probability(results.doubt, task),
            error=float(results.error[task]),
            reason=reason,
        )
        for rank, (task, reason) in enumerate(zip(chosen.tolist(), reasons, strict=True), 1)
    ]


def _write_reasons(d: Difficulty, rows: np.ndarray, samples: Samples | None) -> list[str]:
    reasons = [text.replace("\u00a0", " ") for text in d.reasons(d.ids[rows], samples).tolist()]
    if d.part is None:
        return reasons
    return [f"{name}: {text}" for name, text in zip(d.part[rows].tolist(), reasons, strict=True)]


def _probability(values: np.ndarray | None, task: int) -> float | None:
    return None if values is None or np.isnan(values[task]) else float(values[task])


def _export_fiftyone(tasks: LabellingProject, source: Path | None, target: Path, advice: list[Advice]) -> None:
    """Write a FiftyOne dataset: its samples with more fields, and its metadata with their entries."""
    if source is None:
        raise InputError("a FiftyOne dataset is two files: pass its folder, or the path of samples.json, as the project")
    folder = project_file(source).parent.absolute()
    try:
        metadata = json.loads((folder / fiftyone.METADATA_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"{folder} has no {fiftyone.METADATA_FILE} that can be read: pass the folder that FiftyOne exported"
        ) from None
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file: name a folder for the dataset of FiftyOne")
    if target.exists() and target.samefile(folder):
        raise InputError(f"{target} is the dataset that was measured: name another folder")
    content = fiftyone.add_advice(tasks, advice, folder)
    entries = fiftyone.add_fields(metadata, tasks.control)
    target.mkdir(parents=True, exist_ok=True)
    _write_json(target / fiftyone.SAMPLES_FILE, content, lines=False)
    _write_json(target / fiftyone.METADATA_FILE, entries, lines=False)


def _write_json(path: Path, content: Any, *, lines: bool) -> None:
    """Write a document, or one object per line. Letters beyond ASCII are escaped: some tools read another encoding."""
    with atomic_write(path) as temporary:
        text = "".join(f"{json.dumps(each)}\n" for each in content) if lines else json.dumps(content, indent=1)
        temporary.write_text(text, encoding="utf-8")


def decisions(
    d: Difficulty, project: LabellingProject | SpanProject | str | Path, *, control: str | None = None
) -> TaskDecisions:
    """Return what was changed in a labelling tool since its tasks were measured, as decisions.

    If several people labelled a task, one label counts, as when the tasks are measured: one that is marked as true, or else
    the most frequent, of equally frequent ones the newest. Spans of texts: each word whose tag changed is a decision.

    Args:
        d: the result of measuring the tasks, before they were looked at.
        project: the tasks as they are now: a file, or what :func:`read` read.
        control: the label that was measured, if the tasks have several.

    Raises:
        InputError: none of the tasks was measured, or a new label is not a class of the result.
    """
    tasks = read(project, control) if isinstance(project, str | Path) else project
    if isinstance(tasks, SpanProject):
        return _decide_spans(d, tasks)
    if d.loss_only:
        raise InputError("this result has no labels that could have changed: measure with labels")
    names = d.ids if d.sample is None else d.sample
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(names.tolist()):
        rows_of.setdefault(str(name), []).append(row)
    measured = [number for number, name in enumerate(tasks.ids) if str(name) in rows_of]
    if not measured:
        raise InputError(
            f"none of the {len(tasks.ids):,} tasks was measured (their ids look like {tasks.ids[0]!r}, those of the result "
            f"like {names.tolist()[0]!r}): pass the result of these tasks"
        )
    labels, _ = tasks.agreed_labels()
    measured_labels = d.label_names(d.labels).tolist()
    skipped, changes = set(tasks.skipped), list[tuple[int, str, str]]()
    unchanged = unlabelled = 0
    for number in measured:
        rows, now = rows_of[str(tasks.ids[number])], labels.get(number)
        if now is not None:
            if d.sample is not None:
                new_labels = changed_labels(d, rows, tasks.ids[number], now)
            else:
                new_labels = {row: str(now) for row in rows if not same_cell(str(now), str(measured_labels[row]))}
            changes += [(row, RELABEL, label) for row, label in new_labels.items()]
            unchanged += not new_labels
        elif number in skipped:
            changes += [(row, UNSURE, "") for row in rows]
        else:
            unlabelled += 1
    return TaskDecisions(_make_decisions(d, changes), unchanged, unlabelled, len(tasks.ids) - len(measured))


def _decide_spans(d: Difficulty, tasks: SpanProject) -> TaskDecisions:
    changes = _span_tasks.find_changes(d, tasks)
    rows = [(row, RELABEL, tag) for row, tag in changes.tags.items()] + [(row, UNSURE, "") for row in changes.skipped]
    return TaskDecisions(_make_decisions(d, rows), changes.unchanged, changes.unlabelled, changes.not_measured)


def _make_decisions(d: Difficulty, changes: list[tuple[int, str, str]]) -> pd.DataFrame:
    """Return decisions, checked, from rows of the result, actions and labels."""
    ids, labels = d.ids.tolist(), d.label_names(d.labels).tolist()
    decided = [(ids[row], action, label, str(labels[row])) for row, action, label in changes]
    table = pd.DataFrame(decided, columns=["id", "action", "label", "given"]).set_index("id")
    match_decisions(table.reset_index(), d)
    return table
