"""The page: columns of the result, what the samples are, and the script that shows both, written as one file."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from hardsight import __version__
from hardsight.attribution.names import FACTORS
from hardsight.data.samples import Samples
from hardsight.difficulty.decisions import result_digest
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError
from hardsight.io.atomic import atomic_write
from hardsight.reporting import summary
from hardsight.reporting.formatting import LOSSES, UNITS, format_count, format_line, replace_surrogates
from hardsight.reporting.report.examples import find_samples
from hardsight.reporting.report.page import content_policy, embed_json, read_asset, template_environment
from hardsight.reporting.review.nearest import NearestSearch, nearest_search
from hardsight.reporting.review.packing import PackedArrays, compact_codes
from hardsight.reporting.review.page_data import pack_samples

# In the order in which they are read; one script is made of all.
SCRIPTS = ("data", "words", "contents", "decisions", "filters", "canvas", "plots", "list", "detail", "together", "main")
_APP = "reporting/review/app"
# Classes of the consensus that are told of a sample.
TOLD = 5


def write(difficulty: Difficulty, path: str | Path, samples: Samples | None = None, report: str | None = None) -> None:
    """Write one self-contained HTML page on which a person looks through all samples and decides about them.

    Args:
        difficulty: the result.
        path: where to.
        samples: the measured samples, to show them as what they are; found by id, in any order.
        report: where the report lies, seen from the page; a link leads there.

    Raises:
        InputError: the path cannot be written, ``samples`` lack an id of ``difficulty`` or have other labels, or there is
            nothing to show.
    """
    page = render(difficulty, samples, report)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render(d: Difficulty, samples: Samples | None = None, report: str | None = None, *, served: bool = False) -> str:
    """The page as text; see :func:`write`.

    Args:
        d: the result.
        samples: the measured samples.
        report: where the report lies.
        served: whether the page asks its server for what samples are, and hands it decisions; nothing of them is held then.
    """
    if not len(d):
        raise InputError("a result with no sample has nothing to review: select at least one")
    columns, about = PackedArrays(), _about(d, report)
    _columns(d, columns)
    held = ""
    if samples is not None and not served:
        aligned = align_samples(d, samples)
        shown = pack_samples(aligned, d.ranking)
        place = np.full(len(d), -1, dtype=np.int32)
        place[shown.at] = np.arange(len(shown.at))
        columns.add("place", place)
        about["contents"] = shown.about | {"directory": shown.packed.directory, "held": len(shown.at)}
        held = shown.packed.text()
        search = nearest_search(aligned)
        if search is not None:
            _neighbours(search, d, columns)
    if served:
        about["served"] = {"samples": samples is not None, "nearest": samples is not None and samples.numeric}
    about["columns"] = columns.directory
    script = _script()
    # What is asked of the own server stays on this machine; a file asks nobody.
    own = ("img-src data: blob: 'self'", "connect-src 'self'") if served else ("img-src data: blob:",)
    return (
        template_environment(_APP)
        .get_template("page.html.jinja")
        .render(
            version=__version__,
            policy=content_policy(script, *own),
            style=Markup(read_asset("theme.css") + read_asset("page.css", _APP)),  # noqa: S704 - our own files
            script=Markup(script),  # noqa: S704 - our own files
            about=embed_json(about),
            columns=columns.text(),
            contents=held,
            subject=about["subject"],
            causes=(*FACTORS, "none") if d.factors is not None else (),
            measured=not d.loss_only,
            report=report,
        )
    )


def align_samples(d: Difficulty, samples: Samples) -> Samples:
    """The samples of a result, in its order.

    Raises:
        InputError: ``samples`` lack an id of ``d``, or have other labels.
    """
    at = find_samples(d, samples)
    return samples if np.array_equal(at, np.arange(len(samples))) else samples.take(at)


def _about(d: Difficulty, report: str | None) -> dict[str, Any]:
    source = d.settings.get("source")
    loss = summary.loss(d)
    return {
        "subject": format_line(source, 120) if source else format_count(len(d), "sample"),
        "identity": result_digest(d),
        "n": len(d),
        "classes": None if d.classes is None else [replace_surrogates(str(name)) for name in d.classes],
        "lossOnly": d.loss_only,
        "labelName": format_line(d.settings.get("label_name", "label"), 60),
        "loss": LOSSES.get(loss, loss),
        "unit": UNITS.get(loss, ""),
        "factors": list(FACTORS) if d.factors is not None else [],
        "causes": [*FACTORS, "none"],
        "told": 0 if d.consensus is None else min(TOLD, d.consensus.shape[1]),
        "report": report,
    }


def _columns(d: Difficulty, packed: PackedArrays) -> None:
    packed.add_texts("ids", map(str, d.ids.tolist()))
    single = ("error", "error_se", "bias", "variance", "hardness", "p_wrong", "p_suggested", "p_outlier")
    for name in single:
        values = getattr(d, name)
        if values is not None and np.isfinite(values).any():
            packed.add(name, values.astype(np.float32))
    packed.add("views", np.minimum(d.n_views, 2**31 - 1).astype(np.int32))
    if d.loss_only:
        return
    if d.classes is None:
        packed.add("label", d.labels.astype(np.float64))
        packed.add("predicted", d.predicted.astype(np.float64))
        return
    for name, values in (("label", d.labels), ("predicted", d.predicted), ("suggested", d.suggested)):
        if values is not None:
            packed.add(name, compact_codes(values, len(d.classes)))
    if d.factors is not None:
        for name in FACTORS:
            packed.add(name, d.factors[name].to_numpy(dtype=np.float32))
    if d.cause is not None:
        known = {name: code for code, name in enumerate([*FACTORS, "none"])}
        packed.add("cause", np.array([known[name] for name in d.cause.tolist()], dtype=np.uint8))
    if d.consensus is not None:
        top = np.argsort(-d.consensus, axis=1, kind="stable")[:, :TOLD]
        packed.add("top", compact_codes(top.ravel(), len(d.classes)))
        packed.add("top_p", np.exp(np.take_along_axis(d.consensus, top, 1)).astype(np.float32).ravel())
        packed.add("p_label", d.p_label.astype(np.float32))


def _neighbours(search: NearestSearch, d: Difficulty, packed: PackedArrays) -> None:
    at = d.ranking[: search.affordable()]
    packed.add("near_at", at.astype(np.int32))
    packed.add("near", search.of(at).ravel())


@cache
def _script() -> str:
    parts = [read_asset(f"{name}.js", _APP) for name in SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();"
