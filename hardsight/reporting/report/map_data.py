"""The data of the report's map: positions of samples, and what it shows of each."""

from typing import Any, NamedTuple

import numpy as np

from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.reporting.embedding_map import pack_projections, project
from hardsight.reporting.packing import PackedArrays
from hardsight.reporting.page_columns import describe_columns, pack_columns
from hardsight.reporting.report.figures import sample_points

# Scripts of the review page that draw the map, in the order in which they are joined; the report's own starts it.
SCRIPTS = ("data", "format", "copies", "canvas", "embedding_map")
SAMPLES_SHOWN = 20_000
_SCORES = ("error", "p_wrong", "p_outlier", "p_strange")


class MapData(NamedTuple):
    """What the report's map needs."""

    about: dict[str, Any]  # JSON types only
    columns: str  # packed, see :class:`hardsight.reporting.packing.PackedArrays`
    shown: int  # number of samples on the map
    methods: tuple[str, ...]  # names of the projections


def map_data(d: Difficulty, samples: Samples | None, review: str | None) -> MapData | None:
    """Return the data of the map; None if the samples have no numbers to project.

    Args:
        samples: in the order of the result.
        review: address of the review page, where a click on a sample leads.
    """
    projections = project(samples)
    if not projections:
        return None
    rows = np.sort(sample_points(d.ranking, SAMPLES_SHOWN))
    packed = PackedArrays()
    pack_projections(projections, packed, rows)
    pack_columns(d, _SCORES, packed, rows)
    methods = tuple(projection.name for projection in projections)
    about = describe_columns(d) | {"n": len(rows), "columns": packed.directory, "maps": list(methods), "review": review}
    return MapData(about, packed.text(), len(rows), methods)
