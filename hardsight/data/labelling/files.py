"""Reading of labelling tools' files."""

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hardsight.data.formats import json_records
from hardsight.data.labelling import doccano, doccano_spans, fiftyone, label_studio_spans
from hardsight.data.labelling.project import LabellingProject
from hardsight.data.labelling.recognition import NAMES, find_tool
from hardsight.data.labelling.spans import SpanProject
from hardsight.errors import InputError, first_line
from hardsight.io import limits
from hardsight.io.compression import decompress, decompressed_name

# What stands in the first piece of a file with spans: annotations of Label Studio, or lists of labels of doccano.
_KEYS_OF_SPANS = re.compile(rb'"(annotations|completions)"\s*:|"(label|entities)"\s*:\s*\[')


def read_project(path: str | Path, control: str | None = None) -> LabellingProject | SpanProject:
    """Read the tasks of a labelling tool, with the labels that people gave them, or to spans of their texts.

    Args:
        path: the JSON that Label Studio, doccano, argilla (``records.json``) or FiftyOne (``samples.json``, or its folder)
            exports; or a folder with one doccano file per annotator.
        control: the label to read, if tasks have several: a control of Label Studio, a question of argilla, a field of
            FiftyOne.

    Raises:
        InputError: there is no such file, no tool wrote it, or its labels cannot be read.
    """
    place = Path(path)
    project = find_span_project(place, control) or find_project(place, control)
    if project is None:
        raise InputError(f"{place} was not written by {' or '.join(NAMES)}: pass the JSON that one of them exports")
    return project


def find_project(place: Path, control: str | None) -> LabellingProject | None:
    """Return the tasks in a file, as :func:`read_project` does; None if no labelling tool wrote it.

    Raises:
        InputError: there is no such file, or its labels cannot be read.
    """
    place = project_file(place)
    if not place.exists():
        raise InputError(f"no file or folder at {place}: check the path")
    if place.is_dir():
        return _read_folder(place, control)
    if PurePosixPath(decompressed_name(place)).suffix.lower() not in json_records.SUFFIXES:
        return None
    _check_readable(place)
    _, document, lines = json_records.read_document(place)
    tool = find_tool(document)
    return None if tool is None else replace(tool.parse(document, control), lines=lines)


def find_span_project(place: Path, control: str | None, encoding: str | None = None) -> SpanProject | None:
    """Return the tasks with spans in a file of Label Studio or doccano; None if it is none, or is to be read otherwise.

    Raises:
        InputError: the spans cannot be read.
    """
    if not place.is_file() or PurePosixPath(decompressed_name(place)).suffix.lower() not in json_records.SUFFIXES:
        return None
    _check_readable(place)
    # Most JSON holds something else, and is read only once.
    if _KEYS_OF_SPANS.search(next(decompress(place), b"").replace(b"\0", b"")) is None:
        return None
    _, document, lines = json_records.read_document(place, encoding)
    project: SpanProject | None = None
    if label_studio_spans.recognise(document, control):
        project = label_studio_spans.parse(document, control)
    elif doccano_spans.recognise(document):
        project = doccano_spans.parse(document, control)
    return None if project is None else replace(project, lines=lines)


def _check_readable(place: Path) -> None:
    try:
        limits.check_regular_file(place)
    except OSError as error:
        raise InputError(f"{place} cannot be read ({first_line(error)}): check the path") from None


def project_file(place: Path) -> Path:
    """Return the file that holds the tasks: that of a FiftyOne dataset in its folder."""
    samples = place / fiftyone.SAMPLES_FILE
    return samples if samples.is_file() else place


def _read_folder(folder: Path, control: str | None) -> LabellingProject | None:
    """Return the tasks in a folder of doccano files, one per annotator; None if it holds anything else."""
    files = sorted(folder.iterdir())
    if not files or any(file.suffix.lower() != ".jsonl" for file in files):
        return None
    projects = {}
    for file in files:
        document = json_records.read_document(file).content
        if not doccano.recognise(document):
            return None
        projects[file.stem] = doccano.parse(document, control, file.stem)
    return doccano.merge(projects)
