"""The data of the report's map: positions of samples, and what it shows of each."""

from typing import Any, NamedTuple

import numpy as np

from hardsight.attribution.names import causes_in
from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.reporting.embedding_map import pack_projections, project
from hardsight.reporting.formatting import format_line, replace_surrogates
from hardsight.reporting.nouns import nouns_of
from hardsight.reporting.packing import PackedArrays, compact_codes
from hardsight.reporting.report.examples import align_samples
from hardsight.reporting.report.figures import sample_points

# Scripts of the review page that draw the map, in the order in which they are joined; the report's own starts it.
SCRIPTS = ("data", "format", "copies", "canvas", "embedding_map")
SAMPLES_SHOWN = 20_000


class MapData(NamedTuple):
    """What the report's map needs."""

    about: dict[str, Any]  # JSON types only
    columns: str  # packed, see :class:`hardsight.reporting.packing.PackedArrays`
    shown: int  # number of samples on the map
    methods: tuple[str, ...]  # names of the projections


def map_data(d: Difficulty, samples: Samples | None, review: str | None) -> MapData | None:
    """Return the data of the map; None if the samples have no numbers to project.

    Args:
        review: address of the review page, where a click on a sample leads.
    """
    projections = () if samples is None else project(align_samples(d, samples))
    if not projections:
        return None
    rows = np.sort(sample_points(d.ranking, SAMPLES_SHOWN))
    packed = PackedArrays()
    pack_projections(projections, packed, rows)
    _pack_columns(d, rows, packed)
    methods = tuple(projection.name for projection in projections)
    about = {
        "n": len(rows),
        "columns": packed.directory,
        "maps": list(methods),
        "classes": None if d.classes is None else [replace_surrogates(str(name)) for name in d.classes],
        "causes": list(causes_in(d.cause)),
        "labelName": format_line(d.run.label_name, 60),
        "nouns": nouns_of(d)._asdict(),
        "review": review,
    }
    return MapData(about, packed.text(), len(rows), methods)


def _pack_columns(d: Difficulty, rows: np.ndarray, packed: PackedArrays) -> None:
    packed.add_texts("ids", map(str, d.ids[rows].tolist()))
    for name in ("error", "p_wrong", "p_outlier", "p_strange"):
        values = getattr(d, name)
        if values is not None and np.isfinite(values).any():
            packed.add(name, values[rows].astype(np.float32))
    if d.copy_set is not None:
        packed.add("copy_set", d.copy_set[rows].astype(np.int32))
    if not d.loss_only:
        for name, values in (("label", d.labels), ("predicted", d.predicted)):
            codes = values.astype(np.float64) if d.classes is None else compact_codes(values, len(d.classes))
            packed.add(name, codes[rows])
    if d.cause is not None:
        causes = causes_in(d.cause)
        packed.add("cause", np.array([causes.index(name) for name in d.cause[rows].tolist()], dtype=np.uint8))
