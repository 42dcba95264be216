"""argilla: ``records.json`` as ``dataset.records.to_json`` and ``dataset.to_disk`` write it.

A record has ``fields``, ``responses`` (by question, a list of values by ``user_id``) and ``suggestions`` (by question, with
``value``, ``score`` and ``agent``). ``dataset.records.from_json`` updates the records of a dataset by their ``id``. The file
does not say which responses were submitted and which are drafts.
"""

from copy import deepcopy
from typing import Any

import pandas as pd

from hardsight.data.labelling.project import (
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

NAME = "argilla"
_AGENT = "hardsight"
_PARTS = ("fields", "responses", "suggestions")
_NOT_SUBMITTED = ("draft", "discarded")


def recognise(document: Any) -> bool:
    """Return whether a document is a list of records."""
    return isinstance(document, list) and bool(document) and all(map(_is_record, document))


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and all(isinstance(record.get(key), dict) for key in _PARTS)


def parse(document: Any, control: str | None = None) -> LabellingProject:
    """Return the records with the responses to one question.

    Args:
        document: a list of records.
        control: name of the question; None: the only one that has responses.

    Raises:
        InputError: no responses that can be read, several questions, or ids that repeat.
    """
    notices: list[str] = []
    ids = unique_ids(NAME, [record.get("id") for record in document], notices)
    questions: set[str] = set()
    others: set[str] = set()
    for record in document:
        for question in record["responses"]:
            if values := [value for value, _ in _responses(record, question)]:
                (questions if all(map(_is_label, values)) else others).add(question)
    questions -= others
    if (control is None and not questions and others) or control in others:
        raise InputError(
            f"responses to {join_names(sorted(others), 5)} hold spans or ranks: questions with labels, or a rating, are read"
        )
    if questions or control is not None:
        control = choose_control(NAME, "question", questions, control)
    else:
        control = _suggested_question(document)
    labels = [
        Label(number, user, tuple(value) if isinstance(value, list) else value)
        for number, record in enumerate(document)
        for value, user in _responses(record, control)
    ]
    data = pd.DataFrame([record["fields"] for record in document]).astype(object)
    content = find_content(data, ("text", "image"))
    return LabellingProject(NAME, document, ids, data, control, content, as_sets(labels), notices=tuple(notices))


def _is_label(value: Any) -> bool:
    """Return whether a response is one label, a rating, or a list of labels."""
    return isinstance(value, str | int | float) or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def _suggested_question(document: Any) -> str:
    """Return the question that has suggestions, where nobody responded yet."""
    return str(next((question for record in document for question in record["suggestions"]), "label"))


def _responses(record: dict[str, Any], question: str) -> list[tuple[Any, str | None]]:
    """Return the values and users of the responses to a question, without those known not to be submitted."""
    responses = record["responses"].get(question) or []
    return [
        (each["value"], None if each.get("user_id") is None else str(each["user_id"]))
        for each in responses
        if isinstance(each, dict) and each.get("value") not in (None, []) and each.get("status") not in _NOT_SUBMITTED
    ]


def create(new: NewTasks) -> LabellingProject:
    """Return records without responses.

    Raises:
        InputError: they are images, or have no classes.
    """
    if new.kind == "image" or new.classes is None:
        raise InputError("argilla records are written for texts with classes, and these are not: use another tool")
    empty: dict[str, Any] = {
        "metadata": {},
        "suggestions": {},
        "responses": {},
        "vectors": {},
        "status": "pending",
        "_server_id": None,
    }
    document = [
        {"id": str(name), "fields": {"text": text}, **deepcopy(empty)}
        for name, text in zip(new.ids, new.contents, strict=True)
    ]
    data = pd.DataFrame({"text": new.contents}, dtype=object)
    return LabellingProject(NAME, document, new.ids, data, new.control, "text", ())


def add_advice(project: LabellingProject, advice: list[Advice], version: str) -> list[dict[str, Any]]:
    """Return the records that advice is about, in its order, with a suggestion each.

    A suggestion's score is the probability of the suggested label. Fields of other kinds would need settings of the dataset.
    Responses are left out: those in the dataset stay, and none that is newer than the file is replaced.
    """
    return [_with_suggestion(project.control, record, each, version) for record, each in project.advised_tasks(advice)]


def _value(label: Any) -> Any:
    """Return a label as a question takes it: the name of a class, or an integer of a rating."""
    if isinstance(label, list):
        return list(map(str, label))
    return label if isinstance(label, int) and not isinstance(label, bool) else str(label)


def _with_suggestion(question: str, record: dict[str, Any], advice: Advice, version: str) -> dict[str, Any]:
    record = {**deepcopy(record), "responses": {}}
    if advice.label is not None:
        record["suggestions"][question] = {
            "value": _value(advice.label),
            "score": advice.score,
            "agent": f"{_AGENT} {version}",
        }
    return record
