"""Label Studio: labelled spans of texts, results of type ``labels`` with ``start`` and ``end`` in characters.

Its browser counts characters beyond the basic plane, such as emoji, twice. The text that is stored with a region tells which
count it is.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import pandas as pd

from hardsight.data.labelling import label_studio
from hardsight.data.labelling.project import ID_FIELD, PREFIX, Advice, choose_control, find_content, unique_ids
from hardsight.data.labelling.spans import SpanProject, TextSpan
from hardsight.errors import InputError
from hardsight.validation import join_examples

_KIND = "labels"
_MAX_NAMED = 3


def recognise(document: Any, control: str | None) -> bool:
    """Return whether the labels of a document are spans: those of the control, or all of them if none is named."""
    if not label_studio.recognise(document):
        return False
    of_spans = _controls(document)
    return control in of_spans if control is not None else bool(of_spans) and not label_studio.readable_controls(document)


def parse(document: Any, control: str | None = None) -> SpanProject:
    """Return the tasks with their spans. Of several annotations of a task, one that is marked as true counts, or the newest.

    Args:
        document: a list of tasks.
        control: name of the control whose labels are read; None: the only one.

    Raises:
        InputError: several controls, no text, regions with several labels or outside of the text, or ids that repeat.
    """
    notices: list[str] = []
    ids = unique_ids(label_studio.NAME, [task["data"].get(ID_FIELD, task.get("id")) for task in document], notices)
    control = choose_control(label_studio.NAME, "label control", _controls(document), control)
    objects = sorted({str(each.get("to_name", "")) for task in document for _, each in _regions(task, control)})
    data = pd.DataFrame([task["data"] for task in document]).astype(object)
    content = find_content(data, [*objects, "text"])
    if content is None:
        raise InputError(
            f"no field of these {label_studio.NAME} tasks is known to hold the text: name it {objects[0]!r} or 'text'"
        )
    texts = tuple(value if isinstance(value, str) else "" for value in data[content])
    spans: list[tuple[TextSpan, ...] | None] = []
    skipped, n_disputed, n_elsewhere, faults = [], 0, 0, []
    for number, (task, text) in enumerate(zip(document, texts, strict=True)):
        annotations = label_studio.list_annotations(task)
        of_task = [each for each in annotations if not label_studio.is_skipped(each)]
        if not of_task:
            skipped += [number] * bool(annotations)
            spans.append(None)
            continue
        of_each = [_spans(each, control, text) for each in of_task]
        if None in of_each:
            faults.append(ids[number])
        n_disputed += len(set(of_each)) > 1
        newest = _newest(of_task)
        n_elsewhere += _count_elsewhere(of_task[newest], control, text)
        spans.append(of_each[newest])
    if faults:
        named = join_examples(faults, _MAX_NAMED)
        raise InputError(
            f"regions of {len(faults):,} tasks have several labels, or lie outside the text ({named}): give each one label"
        )
    if n_disputed:
        notices.append(f"Annotations of {n_disputed:,} tasks differ: one that is marked as true counts, or the newest.")
    if n_elsewhere:
        subject = "1 region stores" if n_elsewhere == 1 else f"{n_elsewhere:,} regions store"
        notices.append(
            f"{subject} another text than stands at that place, so spans may be wrong: compare the texts, and their line "
            "ends, with those that were labelled."
        )
    extra = {"to_name": objects[0], "content": content}
    return SpanProject(
        label_studio.NAME, document, ids, texts, tuple(spans), control, tuple(skipped), tuple(notices), extra=extra
    )


def add_advice(project: SpanProject, advice: Sequence[tuple[int, Advice, Sequence[TextSpan]]], version: str) -> Any:
    """Return tasks with a prediction each, the spans that are likeliest to be right, and fields to sort by.

    Args:
        advice: the position of a task, what is said of it, and its suggested spans.
    """
    return [_with_prediction(project, number, each, spans, version) for number, each, spans in advice]


def _controls(document: list[Any]) -> set[str]:
    """Return the controls that label spans of texts."""
    return {str(each["from_name"]) for task in document for _, each in _regions(task, None)}


def _regions(task: Mapping[str, Any], control: str | None) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return the regions of texts in a task, each with its annotation."""
    return [
        (annotation, result)
        for annotation in label_studio.list_annotations(task)
        if not label_studio.is_skipped(annotation)
        for result in annotation.get("result") or []
        if _is_region(result) and control in (None, str(result["from_name"]))
    ]


def _is_region(result: Any) -> bool:
    if not isinstance(result, dict) or result.get("type") != _KIND or not result.get("from_name"):
        return False
    value = result.get("value")
    return isinstance(value, dict) and all(isinstance(value.get(name), int) for name in ("start", "end")) and _KIND in value


def _newest(annotations: Sequence[Mapping[str, Any]]) -> int:
    """Return the position of the annotation that counts."""
    return max(
        range(len(annotations)),
        key=lambda n: (
            annotations[n].get("ground_truth") is True,
            str(annotations[n].get("updated_at") or annotations[n].get("created_at") or ""),
            n,
        ),
    )


def _spans(annotation: Mapping[str, Any], control: str, text: str) -> tuple[TextSpan, ...] | None:
    """Return the spans of an annotation; None if one has several labels, or is outside of the text."""
    spans = []
    for _, result in _regions({"annotations": [annotation]}, control):
        value = result["value"]
        start, end = _characters(text, value["start"], value["end"], value.get("text"))
        labels = value[_KIND]
        if not isinstance(labels, list) or len(labels) != 1 or not 0 <= start < end <= len(text):
            return None
        spans.append(TextSpan(start, end, str(labels[0])))
    return tuple(sorted(spans))


def _characters(text: str, start: int, end: int, quote: Any) -> tuple[int, int]:
    """Return the bounds of a region in characters, from bounds in characters or in units of UTF-16."""
    if not isinstance(quote, str) or text[start:end] == quote:
        return start, end
    units = text.encode("utf-16-le", "surrogatepass")
    before, within = units[: 2 * start], units[2 * start : 2 * end]
    if within.decode("utf-16-le", "replace") != quote:
        return start, end
    first = len(before.decode("utf-16-le", "surrogatepass"))
    return first, first + len(quote)


def _count_elsewhere(annotation: Mapping[str, Any], control: str, text: str) -> int:
    """Return how many regions store another text than stands at their place; blanks and line ends may differ."""
    count = 0
    for _, result in _regions({"annotations": [annotation]}, control):
        value = result["value"]
        if isinstance(shown := value.get("text"), str):
            start, end = _characters(text, value["start"], value["end"], shown)
            count += _without_blanks(text[start:end]) != _without_blanks(shown)
    return count


def _without_blanks(text: str) -> str:
    # Line ends within a region may be a backslash and an n.
    return "".join(text.replace("\\n", " ").split())


def _units(text: str, at: int) -> int:
    return len(text[:at].encode("utf-16-le", "surrogatepass")) // 2


def _with_prediction(
    project: SpanProject, number: int, advice: Advice, spans: Sequence[TextSpan], version: str
) -> dict[str, Any]:
    task, text = project.document[number], project.texts[number]
    data = {name: value for name, value in task["data"].items() if not name.startswith(PREFIX)}
    results = [
        {
            "id": f"hs{at}",
            "from_name": project.control,
            "to_name": project.extra["to_name"],
            "type": _KIND,
            "value": {
                "start": _units(text, span.start),
                "end": _units(text, span.end),
                "text": text[span.start : span.end],
                _KIND: [span.label],
            },
        }
        for at, span in enumerate(spans)
    ]
    prediction = {"model_version": f"{label_studio.MODEL}{version}", "result": results}
    others = [each for each in task.get("predictions") or [] if not label_studio.is_own_prediction(each)]
    rest = {name: deepcopy(value) for name, value in task.items() if name not in ("data", "predictions")}
    return {**rest, "data": {**data, ID_FIELD: advice.id, **advice.fields()}, "predictions": [*others, prediction]}
