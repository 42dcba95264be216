"""Label Studio: the JSON that it exports and imports.

A task has ``data``, and ``annotations`` by ``completed_by`` whose ``result`` lists what was entered in each control
(``from_name``). Of results with one value per task, ``choices``, ``rating``, ``number`` and ``taxonomy`` are read.
See https://labelstud.io/guide/export and label_studio_sdk.converter.
"""

from collections.abc import Iterator, Mapping, Set
from copy import deepcopy
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pandas as pd

from hardsight.data.labelling.project import (
    ID_FIELD,
    PREFIX,
    Advice,
    Label,
    LabellingProject,
    NewTasks,
    as_sets,
    choose_control,
    find_content,
    unique_ids,
)
from hardsight.errors import InputError
from hardsight.validation import join_names

NAME = "Label Studio"
# Types of results that are read; the value of each is stored under its type.
_TYPES = ("choices", "rating", "number", "taxonomy")
_BETWEEN_LEVELS = " / "
# Names of data fields in Label Studio's own templates.
_SHOWN = ("text", "image")
# What the versions of our predictions begin with.
MODEL = "hardsight "


def recognise(document: Any) -> bool:
    """Return whether a document is a list of tasks."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in document)
        and any(isinstance(_annotations(task), list) for task in document)
    )


def parse(document: Any, control: str | None = None) -> LabellingProject:
    """Return the tasks with their labels.

    Args:
        document: a list of tasks.
        control: name of the control whose labels are read; None: the only one.

    Raises:
        InputError: no label that can be read, several controls, several choices of one task, or ids that repeat.
    """
    notices: list[str] = []
    results = list(_results(document))
    readable = [each for each in results if each.kind in _TYPES and not each.of_region]
    controls = {each.control for each in readable}
    _refuse_unreadable(results, controls, control)
    ids = [task["data"].get(ID_FIELD, task.get("id")) for task in document]
    names = unique_ids(NAME, ids, notices)
    if not controls and control is None:
        # Nothing is labelled yet, which is said where labels are needed.
        control, of_control = "label", []
    else:
        control = choose_control(NAME, "label control", controls, control)
        of_control = [each for each in readable if each.control == control]
    labels = as_sets([each.label() for each in of_control])
    labelled = {label.task for label in labels}
    skipped = tuple(
        n for n, task in enumerate(document) if n not in labelled and any(map(is_skipped, list_annotations(task)))
    )
    data = pd.DataFrame([task["data"] for task in document]).astype(object)
    content = find_content(data, [*dict.fromkeys(each.shown for each in of_control), *_SHOWN])
    extra = {
        "to_name": of_control[0].shown if of_control else content,
        "type": of_control[0].kind if of_control else "choices",
    }
    return LabellingProject(NAME, document, names, data, control, content, labels, skipped, tuple(notices), extra=extra)


def readable_controls(document: list[Any]) -> set[str]:
    """Return the controls with one value per task."""
    return {each.control for each in _results(document) if each.kind in _TYPES and not each.of_region}


class _Result:
    """What one annotator entered in one control."""

    def __init__(self, task: int, annotation: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        self.task, self.annotation = task, annotation
        self.control, self.kind = str(result.get("from_name", "")), str(result.get("type", ""))
        self.shown = str(result.get("to_name", ""))
        value = result.get("value")
        self.value = value if isinstance(value, dict) else {}
        # Choices about a region stand beside its bounds.
        self.of_region = bool(self.value.keys() - {*_TYPES, "type"})

    def label(self) -> Label:
        """Return the label; a tuple if several were chosen."""
        entered = self.value.get(self.kind)
        if isinstance(entered, list):
            names = [_BETWEEN_LEVELS.join(map(str, each)) if isinstance(each, list) else str(each) for each in entered]
            entered = names[0] if len(names) == 1 else tuple(dict.fromkeys(names))
        entered = entered if isinstance(entered, str | int | float | tuple) else str(entered)
        time = str(self.annotation.get("updated_at") or self.annotation.get("created_at") or "")
        is_truth = self.annotation.get("ground_truth") is True
        return Label(self.task, _annotator(self.annotation.get("completed_by")), entered, time, is_truth)


def _annotations(task: Mapping[str, Any]) -> Any:
    """Return the annotations of a task; they were called completions once."""
    return task.get("annotations", task.get("completions"))


def list_annotations(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the annotations of a task, those that were skipped among them."""
    return [each for each in _annotations(task) or [] if isinstance(each, dict)]


def is_skipped(annotation: Mapping[str, Any]) -> bool:
    """Return whether an annotator skipped the task."""
    return bool(annotation.get("was_cancelled") or annotation.get("skipped"))


def _annotator(who: Any) -> str | int | None:
    if isinstance(who, dict):
        who = who.get("email") or who.get("username") or who.get("id")
    return who if isinstance(who, str | int) else None


def _results(document: list[Any]) -> Iterator[_Result]:
    """Yield all results of annotations that were not cancelled, if they hold a value."""
    for number, task in enumerate(document):
        for annotation in list_annotations(task):
            if is_skipped(annotation):
                continue
            for result in annotation.get("result") or []:
                # Relations between regions have no control.
                if isinstance(result, dict) and result.get("from_name") and result.get("value"):
                    entry = _Result(number, annotation, result)
                    if entry.kind not in _TYPES or entry.value.get(entry.kind) not in (None, []):
                        yield entry


def _refuse_unreadable(results: list[_Result], readable: Set[str], control: str | None) -> None:
    """Raise if the control, or every control if none was chosen, holds what is not one value per task."""
    others = {each.control: each.kind for each in results if each.control not in readable}
    if (control is None and not readable and others) or control in others:
        named = join_names([f"{name} ({kind})" for name, kind in sorted(others.items())], 5)
        raise InputError(
            f"this Label Studio file labels parts of tasks, in {named}: controls with one value per task are read, "
            f"{', '.join(_TYPES)}"
        )


def create(new: NewTasks) -> LabellingProject:
    """Return tasks without annotations. Images are addressed as Label Studio serves local files."""
    address = "{}" if new.kind == "text" else "/data/local-files/?d={}"
    contents = [address.format(quote(each) if new.kind == "image" else each) for each in new.contents]
    data = pd.DataFrame({new.kind: contents}, dtype=object)
    document = [{"data": {new.kind: each}} for each in contents]
    extra = {"to_name": new.kind, "type": "number" if new.classes is None else "choices"}
    return LabellingProject(NAME, document, new.ids, data, new.control, new.kind, (), extra=extra)


def format_interface(new: NewTasks) -> str:
    """Return the labelling interface for :func:`create`'s tasks, in the XML that Label Studio reads."""
    shown = {"text": "Text", "image": "Image"}[new.kind]
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, shown, name=new.kind, value=f"${new.kind}")
    if new.classes is None:
        ElementTree.SubElement(view, "Number", name=new.control, toName=new.kind)
    else:
        choices = ElementTree.SubElement(view, "Choices", name=new.control, toName=new.kind, choice="single")
        for name in new.classes:
            ElementTree.SubElement(choices, "Choice", value=str(name))
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def add_advice(project: LabellingProject, advice: list[Advice], version: str) -> Any:
    """Return the tasks that advice is about, in its order, each with a prediction and fields to sort by.

    A prediction's score is the probability of the suggested label.
    """
    return [_with_prediction(project, task, each, version) for task, each in project.advised_tasks(advice)]


def _with_prediction(project: LabellingProject, task: Any, advice: Advice, version: str) -> dict[str, Any]:
    kind = project.extra["type"]
    data = {name: value for name, value in task["data"].items() if not name.startswith(PREFIX)}
    others = [each for each in task.get("predictions") or [] if not is_own_prediction(each)]
    predictions = []
    if advice.label is not None:
        value: Any = advice.label
        if kind in ("choices", "taxonomy"):
            value = list(map(str, value if isinstance(value, list) else [value]))
            value = value if kind == "choices" else [each.split(_BETWEEN_LEVELS) for each in value]
        result = {"from_name": project.control, "to_name": project.extra["to_name"], "type": kind, "value": {kind: value}}
        predictions = [{"model_version": f"{MODEL}{version}", "score": advice.score, "result": [result]}]
    rest = {name: deepcopy(value) for name, value in task.items() if name not in ("data", "predictions")}
    return {**rest, "data": {**data, ID_FIELD: advice.id, **advice.fields()}, "predictions": [*others, *predictions]}


def is_own_prediction(prediction: Any) -> bool:
    """Return whether hardsight wrote a prediction."""
    return isinstance(prediction, dict) and str(prediction.get("model_version", "")).startswith(MODEL)
