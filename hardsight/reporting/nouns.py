"""What the rows of a result and the samples that they belong to are called."""

from typing import NamedTuple

import numpy as np

from hardsight.data.conversion import object_array
from hardsight.data.from_label_sets import YES
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import has_several_labels, name_without
from hardsight.reporting.formatting import format_line, pluralize

# What has the parts of a kind, where "sample" would be vague.
_WHOLES = {"token": "sentence", "box": "image", "mask": "image", "segment": "recording"}


class Nouns(NamedTuple):
    """Nouns in the singular and the plural."""

    row: str
    rows: str
    sample: str  # what a row is a part of; the same as ``row`` if rows are whole samples
    samples: str


def nouns_of(d: Difficulty) -> Nouns:
    """Return what the rows of a result and its samples are called: token and sentence, say; both "sample" without parts."""
    if d.sample is None:
        return Nouns("sample", "samples", "sample", "samples")
    part = format_line(d.run.part_name or "part", 40)
    whole = _WHOLES.get(part, "sample")
    return Nouns(part, pluralize(part), whole, pluralize(whole))


def class_names(d: Difficulty, rows: np.ndarray) -> np.ndarray:
    """Name the given classes of some rows, ``(row,)``; if each is one of several labels, "dog" or "samples without dog"."""
    names = d.label_names(d.labels[rows])
    if d.part is None or not has_several_labels(d):
        return names
    pairs = zip(names.tolist(), d.part[rows].tolist(), strict=True)
    return object_array([part if name == YES else name_without(part) for name, part in pairs])
