"""Files of labelling tools, in the shape that the tools' own clients write."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

GOOD = ("lovely warm bread", "kind people and fine wine", "best pasta in town", "we come back soon")
BAD = ("cold soup again", "rude waiter, long wait", "never again, an hour late", "dirty table, stale bread")


def texts_and_labels(n: int = 80, wrong: Sequence[int] = (3, 10)) -> tuple[list[str], list[str], list[str]]:
    """Return texts, true labels, and labels of which some, by position, are wrong."""
    rng = np.random.default_rng(0)
    true = ["good" if number % 2 else "bad" for number in range(n)]
    pick = {"good": GOOD, "bad": BAD}
    texts = [f"{rng.choice(pick[label])}, {rng.choice(pick[label])} ({number})" for number, label in enumerate(true)]
    other = {"good": "bad", "bad": "good"}
    given = [other[label] if number in wrong else label for number, label in enumerate(true)]
    return texts, true, given


def choice(label: str, annotator: Any = 1, control: str = "sentiment", **more: Any) -> dict[str, Any]:
    """Return an annotation of Label Studio."""
    result = {"id": "a", "from_name": control, "to_name": "text", "type": "choices", "value": {"choices": [label]}}
    return {"id": 1, "completed_by": annotator, "was_cancelled": False, "ground_truth": False, "result": [result], **more}


def label_studio_task(number: int, text: str, annotations: list[Any], **data: Any) -> dict[str, Any]:
    """Return a task of Label Studio."""
    shown = {"text": text, "source": "web", **data}
    return {"id": 100 + number, "data": shown, "annotations": annotations, "predictions": []}


def label_studio_tasks(n: int = 80, wrong: Sequence[int] = (3, 10)) -> list[dict[str, Any]]:
    """Return labelled tasks of Label Studio."""
    texts, _, given = texts_and_labels(n, wrong)
    return [label_studio_task(i, text, [choice(label)]) for i, (text, label) in enumerate(zip(texts, given, strict=True))]


def doccano_tasks(n: int = 80, wrong: Sequence[int] = (3, 10)) -> list[dict[str, Any]]:
    """Return labelled tasks of doccano."""
    texts, _, given = texts_and_labels(n, wrong)
    return [
        {"id": 100 + i, "text": text, "source": "web", "label": [label], "Comments": []}
        for i, (text, label) in enumerate(zip(texts, given, strict=True))
    ]


def argilla_records(n: int = 80, wrong: Sequence[int] = (3, 10)) -> list[dict[str, Any]]:
    """Return records of argilla with one response each."""
    texts, _, given = texts_and_labels(n, wrong)
    return [
        {
            "id": f"r{i}",
            "fields": {"text": text},
            "metadata": {},
            "suggestions": {},
            "responses": {"sentiment": [{"value": label, "user_id": "00000000-0000-0000-0000-000000000001"}]},
            "vectors": {},
            "status": "pending",
            "_server_id": None,
        }
        for i, (text, label) in enumerate(zip(texts, given, strict=True))
    ]


def fiftyone_sample(number: int, path: str, label: str | None) -> dict[str, Any]:
    """Return a sample of FiftyOne."""
    classification = None if label is None else {
        "_id": {"$oid": f"{number:024x}"}, "_cls": "Classification", "tags": [], "label": label, "confidence": None,
        "logits": None,
    }  # fmt: skip
    return {"_id": {"$oid": f"{number + 4096:024x}"}, "filepath": path, "tags": ["train"], "ground_truth": classification}


def fiftyone_metadata() -> dict[str, Any]:
    """Return the metadata of a FiftyOne dataset with classifications."""
    entry = {
        "name": "ground_truth",
        "ftype": "fiftyone.core.fields.EmbeddedDocumentField",
        "embedded_doc_type": "fiftyone.core.labels.Classification",
        "subfield": None,
        "fields": [{"name": "label", "ftype": "fiftyone.core.fields.StringField", "db_field": "label"}],
        "db_field": "ground_truth",
    }
    return {"name": "pets", "version": "1.22.1", "media_type": "image", "sample_fields": [entry]}


def write_json(path: Path, document: Any) -> Path:
    """Write a document, or its objects line by line if the file is called so."""
    lines = path.suffix == ".jsonl"
    text = "".join(f"{json.dumps(each)}\n" for each in document) if lines else json.dumps(document)
    path.write_text(text, encoding="utf-8")
    return path
