"""What the report's map and the review page hold of each sample: columns of the result, and what is needed to read them."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from hardsight.attribution.names import causes_in
from hardsight.difficulty.result import Difficulty
from hardsight.reporting.formatting import format_line, replace_surrogates
from hardsight.reporting.nouns import nouns_of
from hardsight.reporting.packing import PackedArrays, compact_codes, compact_numbers


def describe_columns(d: Difficulty) -> dict[str, Any]:
    """Return what the codes of :func:`pack_columns` stand for, and what labels and rows are called; JSON types only."""
    return {
        "classes": None if d.classes is None else [replace_surrogates(str(name)) for name in d.classes],
        "causes": list(causes_in(d.cause)),
        "labelName": format_line(d.run.label_name, 60),
        "nouns": nouns_of(d)._asdict(),
    }


def pack_columns(d: Difficulty, scores: Iterable[str], packed: PackedArrays, rows: np.ndarray | slice = slice(None)) -> None:
    """Add ids, scores, copies, labels, predictions and causes to the data of a page, as far as they are known.

    Args:
        scores: names of numbers per row, attributes of the result.
        rows: positions of the samples that the page shows.
    """
    packed.add_texts("ids", map(str, d.ids[rows].tolist()))
    for name in scores:
        values = getattr(d, name)
        if values is not None and np.isfinite(values).any():
            packed.add(name, compact_numbers(values[rows]))
    if d.copy_set is not None:
        packed.add("copy_set", d.copy_set[rows].astype(np.int32))
    if not d.loss_only:
        for name, values in (("label", d.labels), ("predicted", d.predicted)):
            codes = values.astype(np.float64) if d.classes is None else compact_codes(values, len(d.classes))
            packed.add(name, codes[rows])
    if d.cause is not None:
        causes = causes_in(d.cause)
        packed.add("cause", np.array([causes.index(name) for name in d.cause[rows].tolist()], dtype=np.uint8))
