"""FiftyOne: ``samples.json`` of a dataset exported as ``fiftyone.types.FiftyOneDataset``, and ``metadata.json`` beside it.

A sample has a ``filepath``, ``tags``, and fields; a label is an object with ``_cls`` "Classification". The other file holds
the schema: a new field needs an entry in ``sample_fields``. Both are MongoDB's extended JSON.
"""

import hashlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pandas as pd

from hardsight.data.labelling.project import PREFIX, Advice, Label, LabellingProject, choose_control, unique_ids
from hardsight.errors import InputError

NAME = "FiftyOne"
TAG = "hardsight"
SAMPLES_FILE, METADATA_FILE = "samples.json", "metadata.json"
_SAMPLES, _PATH = "samples", "filepath"
_CLASSIFICATION = "Classification"
_DEFAULT = "ground_truth"
_SUGGESTED = f"{PREFIX}suggested"
_FIELD_TYPES = {
    f"{PREFIX}p_wrong": "FloatField",
    f"{PREFIX}error": "FloatField",
    f"{PREFIX}rank": "IntField",
    f"{PREFIX}reason": "StringField",
}


def recognise(document: Any) -> bool:
    """Return whether a document holds the samples of a dataset."""
    samples = document.get(_SAMPLES) if isinstance(document, dict) else None
    return isinstance(samples, list) and bool(samples) and all(map(_is_sample, samples))


def _is_sample(sample: Any) -> bool:
    return isinstance(sample, dict) and isinstance(sample.get(_PATH), str) and isinstance(sample.get("tags", []), list)


def parse(document: Any, control: str | None = None) -> LabellingProject:
    """Return the samples with the labels in one field.

    Args:
        document: the content of samples.json.
        control: name of the field; None: the only one, or "ground_truth".

    Raises:
        InputError: no field of classifications, several fields, or ids that repeat.
    """
    samples, notices = document[_SAMPLES], list[str]()
    ids = unique_ids(NAME, [_id(sample) for sample in samples], notices)
    labelled = {name for sample in samples for name, value in sample.items() if _label(value) is not None}
    fields = {name for name in labelled if not name.startswith(PREFIX)}
    control = choose_control(NAME, "classification field", fields, control, _DEFAULT)
    values = [_label(sample.get(control)) for sample in samples]
    labels = [Label(number, None, value) for number, value in enumerate(values) if value is not None]
    data = pd.DataFrame({_PATH: [sample[_PATH] for sample in samples]}, dtype=object)
    return LabellingProject(NAME, document, ids, data, control, _PATH, tuple(labels), notices=tuple(notices))


def _id(sample: dict[str, Any]) -> Any:
    name = sample.get("_id")
    return name.get("$oid") if isinstance(name, dict) else name


def _label(value: Any) -> Any:
    return value.get("label") if isinstance(value, dict) and value.get("_cls") == _CLASSIFICATION else None


def add_advice(project: LabellingProject, advice: list[Advice], folder: Path) -> dict[str, Any]:
    """Return all samples, with fields for those that advice is about, and a tag on those to look at.

    Args:
        folder: from which paths that are not absolute lead to the files.
    """
    by_id = {each.id: each for each in advice}
    samples = [
        _with_fields(sample, by_id.get(name), folder)
        for name, sample in zip(project.ids, project.document[_SAMPLES], strict=True)
    ]
    return {**project.document, _SAMPLES: samples}


def _with_fields(sample: dict[str, Any], advice: Advice | None, folder: Path) -> dict[str, Any]:
    sample = deepcopy(sample)
    sample[_PATH] = str(folder / sample[_PATH])
    sample["tags"] = [tag for tag in sample.get("tags", []) if tag != TAG]
    values: dict[str, Any] = dict.fromkeys((*_FIELD_TYPES, _SUGGESTED))
    if advice is not None:
        fields = advice.fields()
        values |= {name: fields.get(name) for name in _FIELD_TYPES}
        values[_SUGGESTED] = _classification(sample, advice)
        sample["tags"] += [TAG] if advice.chosen else []
    return {**sample, **values}


def _classification(sample: dict[str, Any], advice: Advice) -> dict[str, Any] | None:
    if advice.label is None:
        return None
    # Labels have ids, too: the same for the same sample, so that files can be compared.
    name = hashlib.blake2b(f"{_SUGGESTED} {_id(sample)}".encode(), digest_size=12).hexdigest()
    return {
        "_id": {"$oid": name},
        "_cls": _CLASSIFICATION,
        "tags": [],
        "label": str(advice.label),
        "confidence": advice.score,
        "logits": None,
    }


def add_fields(metadata: Any, control: str) -> dict[str, Any]:
    """Return the content of metadata.json with entries for the fields of :func:`add_advice`.

    Args:
        control: the field of the labels, whose entry the suggested label shares.

    Raises:
        InputError: it is not such a file.
    """
    entries = metadata.get("sample_fields") if isinstance(metadata, dict) else None
    if not isinstance(entries, list):
        raise InputError(
            "metadata.json has no sample_fields: export the dataset with dataset_type=fiftyone.types.FiftyOneDataset"
        )
    model = next((entry for entry in entries if entry.get("name") == control), None)
    if model is None:
        raise InputError(f"metadata.json has no field {control!r}: pass the one that was exported with the samples")
    added = [_entry(name, f"fiftyone.core.fields.{kind}") for name, kind in _FIELD_TYPES.items()]
    added.append({**deepcopy(model), "name": _SUGGESTED, "db_field": _SUGGESTED})
    names = {entry["name"] for entry in added}
    return {**metadata, "sample_fields": [*(entry for entry in entries if entry.get("name") not in names), *added]}


def _entry(name: str, kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "ftype": kind,
        "embedded_doc_type": None,
        "subfield": None,
        "fields": [],
        "db_field": name,
        "description": None,
        "info": None,
        "read_only": False,
        "created_at": None,
    }
