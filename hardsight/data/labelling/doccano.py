"""doccano: the JSON Lines that it exports and imports for classification of texts and images.

A line has the text (or the name of the image's file), ``label``, a list, and the task's other fields; exports also have an
``id`` and ``Comments``. A project that is not shared is exported as one file per annotator. See doccano's
``data_export/pipeline/factories.py`` and ``data_import/pipeline/data.py``: fields without a meaning come back unchanged.
"""

from typing import Any

import pandas as pd

from hardsight.data.labelling.project import (
    ID_FIELD,
    PREFIX,
    Advice,
    Label,
    LabellingProject,
    NewTasks,
    as_sets,
    find_content,
    unique_ids,
)
from hardsight.errors import InputError
from hardsight.validation import join_names

NAME = "doccano"
_CONTROL, _COMMENTS = "label", "Comments"
_CONTENT = ("text", "filename")


def recognise(document: Any) -> bool:
    """Return whether a document is a list of tasks, each with a text or file and a list of labels."""
    return isinstance(document, list) and bool(document) and all(map(_is_task, document))


def _is_task(task: Any) -> bool:
    if not isinstance(task, dict) or not any(isinstance(task.get(name), str) for name in _CONTENT):
        return False
    labels = task.get(_CONTROL)
    if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
        return False
    # Other files with lists of labels may have ids, too; in theirs an empty list says that no label applies.
    return _COMMENTS in task or ID_FIELD in task or (isinstance(task.get("id"), int) and len(labels) < 2)


def parse(document: Any, control: str | None = None, annotator: str | None = None) -> LabellingProject:
    """Return the tasks with their labels.

    Args:
        document: a list of tasks.
        control: what the user calls the label; doccano has one name for it, "label".
        annotator: who gave the labels; None if the file does not say.

    Raises:
        InputError: another control, or ids that repeat.
    """
    if control not in (None, _CONTROL):
        raise InputError(f"a doccano file calls the label {_CONTROL!r}. Got label={control!r}: leave it out")
    notices: list[str] = []
    ids = unique_ids(NAME, [task.get(ID_FIELD, task.get("id")) for task in document], notices)
    labels = as_sets(
        [
            Label(number, annotator, labels[0] if len(labels) == 1 else tuple(labels))
            for number, labels in enumerate(task[_CONTROL] for task in document)
            if labels
        ]
    )
    fields = [{name: value for name, value in task.items() if name not in ("id", _CONTROL, _COMMENTS)} for task in document]
    data = pd.DataFrame(fields).astype(object)
    return LabellingProject(
        NAME, document, ids, data, _CONTROL, find_content(data, _CONTENT), labels, notices=tuple(notices)
    )


def merge(projects: dict[str, LabellingProject]) -> LabellingProject:
    """Return one project from the files of its annotators.

    Args:
        projects: by annotator.

    Raises:
        InputError: a task shows different things to two annotators.
    """
    ids: dict[Any, int] = {}
    tasks: list[dict[str, Any]] = []
    labels = []
    for annotator, project in projects.items():
        for name, task in zip(project.ids, project.document, strict=True):
            number = ids.setdefault(name, len(ids))
            if number == len(tasks):
                tasks.append(task)
            if any(task.get(field) != tasks[number].get(field) for field in _CONTENT):
                raise InputError(
                    f"task {name!r} shows something else to {annotator!r} than to another annotator: pass the files of one "
                    "project"
                )
        labels += [Label(ids[project.ids[each.task]], annotator, each.value) for each in project.labels]
    first = next(iter(projects.values()))
    data = pd.DataFrame(tasks).astype(object)[list(first.data)]
    notice = f"Read as one doccano file per annotator: {join_names(projects, 5)}."
    return LabellingProject(NAME, tasks, tuple(ids), data, _CONTROL, first.content, tuple(labels), (), (notice,), lines=True)


def create(new: NewTasks) -> LabellingProject:
    """Return tasks with the labels that were measured.

    Raises:
        InputError: they are images, whose labels doccano does not import, or have no classes.
    """
    if new.kind == "image" or new.classes is None:
        raise InputError("doccano imports texts with classes, and these are not: use another tool")
    document = [{"text": text, _CONTROL: [str(label)]} for text, label in zip(new.contents, new.labels, strict=True)]
    data = pd.DataFrame({"text": new.contents}, dtype=object)
    return LabellingProject(NAME, document, new.ids, data, _CONTROL, "text", (), lines=True)


def add_advice(project: LabellingProject, advice: list[Advice], version: str) -> list[dict[str, Any]]:
    """Return the tasks that advice is about, in its order, with fields that doccano shows beside the text.

    Raises:
        InputError: the tasks are images, whose labels doccano does not import.
    """
    if project.kind == "image":
        raise InputError(
            "doccano imports images without labels or fields, so there is nothing to write: review them here (hardsight "
            "review), or use another tool"
        )
    return [_with_fields(task, each, version) for task, each in project.advised_tasks(advice)]


def _with_fields(task: dict[str, Any], advice: Advice, version: str) -> dict[str, Any]:
    fields = {name: value for name, value in task.items() if not name.startswith(PREFIX) and name not in ("id", _COMMENTS)}
    suggested = {} if advice.score is None else {f"{PREFIX}p_suggested": advice.score}
    return {**fields, ID_FIELD: advice.id, **advice.fields(), **suggested, f"{PREFIX}version": version}
