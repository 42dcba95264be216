"""doccano: the JSON Lines of sequence labelling, with ``label`` as ``[start, end, name]``, or ``entities`` with offsets."""

from collections.abc import Mapping, Sequence
from typing import Any

from hardsight.data.labelling import doccano
from hardsight.data.labelling.project import ID_FIELD, PREFIX, Advice, unique_ids
from hardsight.data.labelling.spans import SpanProject, TextSpan
from hardsight.errors import InputError
from hardsight.validation import join_examples

_LABEL, _ENTITIES = "label", "entities"
_MAX_NAMED = 3


def recognise(document: Any) -> bool:
    """Return whether a document is a list of tasks with texts and spans."""
    if not isinstance(document, list) or not document:
        return False
    return all(map(_is_task, document)) and any(task.get(_LABEL) or task.get(_ENTITIES) for task in document)


def _is_task(task: Any) -> bool:
    if not isinstance(task, dict) or not isinstance(task.get("text"), str):
        return False
    spans = task.get(_ENTITIES, task.get(_LABEL))
    return isinstance(spans, list) and all(_read_span(each) is not None for each in spans)


def _read_span(value: Any) -> TextSpan | None:
    """Return a span; None if it is something else."""
    if isinstance(value, dict):
        value = [value.get("start_offset"), value.get("end_offset"), value.get("label")]
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[2], str):
        return None
    return TextSpan(*value) if isinstance(value[0], int) and isinstance(value[1], int) else None


def parse(document: Any, control: str | None = None) -> SpanProject:
    """Return the tasks with their spans.

    Args:
        document: a list of tasks.
        control: what the user calls the label; doccano has one name for it, "label".

    Raises:
        InputError: another control, spans outside of the text, or ids that repeat.
    """
    if control not in (None, _LABEL):
        raise InputError(f"a doccano file calls the label {_LABEL!r}. Got label={control!r}: leave it out")
    notices: list[str] = []
    ids = unique_ids(doccano.NAME, [task.get(ID_FIELD, task.get("id")) for task in document], notices)
    texts = tuple(task["text"] for task in document)
    spans = [
        tuple(sorted(span for each in task.get(_ENTITIES, task.get(_LABEL)) if (span := _read_span(each)) is not None))
        for task in document
    ]
    outside = [
        name
        for name, text, own in zip(ids, texts, spans, strict=True)
        if any(not 0 <= span.start < span.end <= len(text) for span in own)
    ]
    if outside:
        named = join_examples(outside, _MAX_NAMED)
        raise InputError(f"spans of {len(outside):,} tasks lie outside of the text ({named}): export the file again")
    return SpanProject(doccano.NAME, document, ids, texts, tuple(spans), _LABEL, (), tuple(notices), lines=True)


def add_advice(project: SpanProject, advice: Sequence[tuple[int, Advice, Sequence[TextSpan]]], version: str) -> Any:
    """Return tasks with fields that doccano shows beside the text. The labels stay: doccano would take others as accepted.

    Args:
        advice: the position of a task, what is said of it, and its suggested spans.
    """
    return [_with_fields(project.document[number], each, version) for number, each, _ in advice]


def _with_fields(task: Mapping[str, Any], advice: Advice, version: str) -> dict[str, Any]:
    fields = {name: value for name, value in task.items() if not name.startswith(PREFIX) and name not in ("id", "Comments")}
    return {**fields, ID_FIELD: advice.id, **advice.fields(), f"{PREFIX}version": version}
