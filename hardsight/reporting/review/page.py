"""The review page: columns of the result, the content of samples, and the script that shows both, as one file."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from hardsight import __version__
from hardsight.attribution.names import FACTORS, TOO_FEW, causes_in
from hardsight.data.labelled_parts import texts_of_parts
from hardsight.data.samples import Samples
from hardsight.difficulty.actions import is_relabelling_advised
from hardsight.difficulty.decisions import result_digest
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.samples_of_parts import class_codes
from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write
from hardsight.reporting.embedding_map import pack_projections, project
from hardsight.reporting.formatting import LOSSES, UNITS
from hardsight.reporting.html import content_policy, embed_json, read_asset, template_environment
from hardsight.reporting.nouns import nouns_of
from hardsight.reporting.packing import PackedArrays, compact_codes
from hardsight.reporting.page_columns import describe_columns, pack_columns
from hardsight.reporting.reasons import write_reasons
from hardsight.reporting.report.examples import align_samples, contents_of, has_texts_of_parts
from hardsight.reporting.report.page import subject
from hardsight.reporting.review.nearest import NearestSearch, nearest_search
from hardsight.reporting.review.page_data import pack_samples

# In the order in which they are joined into one script.
SCRIPTS = (
    "data",
    "format",
    "sources",
    "decisions",
    "forecast",
    "copies",
    "filters",
    "canvas",
    "plots",
    "embedding_map",
    "map_panel",
    "list",
    "parts",
    "detail",
    "together",
    "main",
)
_APP = "reporting/review/app"
# Samples whose sentence the page holds: some seconds of work, and a megabyte.
REASONS_HELD = 20_000
_SCORES = ("error", "error_se", "bias", "variance", "hardness", "p_wrong", "p_suggested", "p_outlier", "p_strange")
# Likeliest classes of a sample that the page shows.
TOP_CLASSES = 5


def write(difficulty: Difficulty, path: str | Path, samples: Samples | None = None, report: str | None = None) -> None:
    """Write one self-contained HTML page on which a person goes through all samples and decides about them.

    Args:
        difficulty: the result.
        path: path of the page.
        samples: the measured samples, so that the page can show them; matched by id, in any order.
        report: address of the report, relative to this page, for a link.

    Raises:
        InputError: the path cannot be written, ``samples`` lack an id of ``difficulty`` or have other labels, or there is
            nothing to show.
    """
    page = render(difficulty, samples, report)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render(d: Difficulty, samples: Samples | None = None, report: str | None = None, *, served: bool = False) -> str:
    """Return the page as text; see :func:`write`.

    Args:
        served: whether the page asks its server for the content of samples and sends it decisions. It then holds no
            samples itself, except for the texts of parts.
    """
    if not len(d):
        raise InputError("a result with no sample has nothing to review: select at least one")
    columns, about, contents = PackedArrays(), _about(d, report), ""
    _pack_columns(d, columns)
    aligned = None if samples is None else align_samples(d, samples)
    _pack_parts(d, aligned, columns)
    projections = project(aligned)
    pack_projections(projections, columns)
    about["maps"] = [projection.name for projection in projections]
    _pack_reasons(d, aligned, columns)
    if served:
        shown = samples is not None and not has_texts_of_parts(samples)
        about["served"] = {"samples": shown, "nearest": samples is not None and samples.numeric}
    elif aligned is not None:
        about["contents"], contents = _pack_contents(d, aligned, columns)
    about["columns"] = columns.directory
    script = _script()
    # Requests to the page's own server stay on this machine; a file makes none.
    directives = ("img-src data: blob: 'self'", "connect-src 'self'") if served else ("img-src data: blob:",)
    template = template_environment(_APP).get_template("page.html.jinja")
    return template.render(
        version=__version__,
        policy=content_policy(script, *directives),
        style=Markup(read_asset("theme.css") + read_asset("page.css", _APP) + read_asset("map.css", _APP)),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704 - our own files
        about=embed_json(about),
        columns=columns.text(),
        contents=contents,
        subject=about["subject"],
        content="" if samples is None else contents_of(samples).samples.kind,
        causes=causes_in(d.cause) if d.ledger is not None else (),
        measured=not d.loss_only,
        regression=d.regression,
        copies=d.copy_set is not None,
        nouns=nouns_of(d),
        mapped=bool(projections),
        report=report,
    )


def _pack_contents(d: Difficulty, samples: Samples, columns: PackedArrays) -> tuple[dict[str, Any], str]:
    """Add places and neighbours to the columns; return what the script needs to read packed samples, and these as text."""
    rows = _top_rows(d)
    contents = pack_samples(samples, rows)
    columns.add("place", contents.place)
    search = nearest_search(samples)
    if search is not None:
        _pack_neighbours(search, rows, columns)
    about = contents.about | {"directory": contents.packed.directory}
    return about, contents.packed.text()


def _top_rows(d: Difficulty) -> np.ndarray:
    """Return all row positions, those first that come early by P(label wrong) or by error: what people open first."""
    places = np.empty((2, len(d)), dtype=np.int64)
    for place, order in zip(places, (d.ranking_by_doubt, d.ranking), strict=True):
        place[order] = np.arange(len(d))
    top: np.ndarray = np.lexsort((places[0], places.min(0)))
    return top


def _pack_neighbours(search: NearestSearch, rows: np.ndarray, columns: PackedArrays) -> None:
    index = rows[: search.affordable()]
    columns.add("near_at", index.astype(np.int32))
    columns.add("near", search.find(index).ravel())


def _pack_reasons(d: Difficulty, samples: Samples | None, columns: PackedArrays) -> None:
    """Add the sentences of the samples that are likeliest wrong, strangest or hardest, as many as the page holds."""
    rows = d.ranking
    if d.p_wrong is not None and d.p_strange is not None:
        rows = rows[np.argsort(-np.maximum(d.p_wrong, d.p_strange)[rows].round(2), kind="stable")]
    rows = rows[:REASONS_HELD]
    columns.add("reason_of", rows.astype(np.int32))
    columns.add_texts("reasons", write_reasons(d, rows, samples))


def _about(d: Difficulty, report: str | None) -> dict[str, Any]:
    return describe_columns(d) | {
        "subject": subject(d),
        "identity": result_digest(d),
        "n": len(d),
        "lossOnly": d.loss_only,
        "loss": LOSSES.get(d.run.loss, d.run.loss),
        "unit": UNITS.get(d.run.loss, ""),
        "factors": list(FACTORS) if d.ledger is not None else [],
        "tooFew": TOO_FEW if TOO_FEW in causes_in(d.cause) else None,
        "trust": d.ledger_trust,
        "topClasses": 0 if d.consensus is None else min(TOP_CLASSES, d.consensus.shape[1]),
        "report": report,
    }


def _pack_columns(d: Difficulty, packed: PackedArrays) -> None:
    pack_columns(d, _SCORES, packed)
    packed.add("views", np.minimum(d.n_views, 2**31 - 1).astype(np.int32))
    if d.classes is not None:
        _pack_class_columns(d, len(d.classes), packed)
    elif d.suggested is not None:
        packed.add("suggested", d.suggested.astype(np.float64))


def _pack_parts(d: Difficulty, samples: Samples | None, packed: PackedArrays) -> None:
    """Add the samples that rows are parts of, and the parts' names and texts, each text once; a server's page, too."""
    if d.sample is None or d.part is None:
        return
    for name, kinds, values in (
        ("sample_of", "samples", d.sample),
        ("part_of", "part_names", d.part),
        ("part_text", "part_texts", texts_of_parts(samples)),
    ):
        if values is not None:
            codes, distinct = pd.factorize(values)
            packed.add(name, compact_codes(codes, len(distinct)))
            packed.add_texts(kinds, map(str, distinct.tolist()))


def _pack_class_columns(d: Difficulty, n_classes: int, packed: PackedArrays) -> None:
    if d.suggested is not None:
        packed.add("suggested", compact_codes(d.suggested, n_classes))
    if d.ledger is not None:
        for i, name in enumerate(FACTORS):
            packed.add(name, d.ledger[:, i].astype(np.float32))
    if d.cause is not None and d.p_wrong is not None and d.suggested is not None:
        labels, suggested = class_codes(d, d.labels), class_codes(d, d.suggested)
        advised = is_relabelling_advised(d.cause, d.p_wrong, labels, suggested, d.p_suggested)
        packed.add("advised", advised.astype(np.uint8))
    if d.consensus is not None:
        top = np.argsort(-d.consensus, axis=1, kind="stable")[:, :TOP_CLASSES]
        packed.add("top", compact_codes(top.ravel(), n_classes))
        packed.add("top_p", np.exp(np.take_along_axis(d.consensus, top, 1)).astype(np.float32).ravel())
        packed.add("p_label", d.p_label.astype(np.float32))


@cache
def _script() -> str:
    parts = [read_asset(f"{name}.js", _APP) for name in SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();"
